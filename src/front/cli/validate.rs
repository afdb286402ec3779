//! `validate`: every fault of a catalog and of single files, with file, line, column and advice.
//!
//! A folder with `manifests/` or `mappings/` is a catalog. The kind of a file is determined by its
//! `$schema`, or by its first member. A file is checked against the catalog that contains it, or
//! against the catalog in use.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::front::cli::args::ValidateArgs;
use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::front::cli::settings::SettingsArgs;
use crate::front::cli::{ExitResult, settings};
use crate::front::counted;
use crate::host::catalog::Catalog;
use crate::host::profiles::Profiles;
use crate::host::{Cancel, Host, Storage};
use crate::json::document::position_of;
use crate::mapping::StandardFields;
use crate::microsoft::Cloud;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{Redactor, Secret, strict_object, unreadable_at};
use crate::rules::{RuleFault, RuleSet, RuleText, Severity};

/// One fault with its place.
struct Finding {
    file: String,
    place: Option<(usize, usize)>,
    pointer: String,
    severity: Severity,
    message: String,
    advice: Option<String>,
}

/// Checks files and folders, or the catalog in use.
pub(super) fn validate(args: &ValidateArgs, settings: &SettingsArgs, out: &mut Out) -> ExitResult {
    let (mut findings, mut checked) = (Vec::new(), 0);
    let in_use: Vec<PathBuf> = settings.catalog.iter().cloned().collect();
    let paths = if args.paths.is_empty() {
        &in_use
    } else {
        &args.paths
    };
    if paths.is_empty() {
        let catalog = Catalog::builtin_strict()?;
        checked += catalog.files();
        findings.extend(
            catalog
                .check()
                .iter()
                .map(|fault| finding(Path::new(""), fault)),
        );
        findings.extend(rule_findings(&catalog.rules(), Path::new("")));
    }
    for path in paths {
        if path.is_dir() {
            // The folder is an argument, not the setting `--catalog`.
            let (catalog, mut faults) = Catalog::read(path)
                .map_err(|failure| failure.reworded(failure.message().to_owned()))?;
            checked += catalog.files() + faults.len();
            faults = faults.into_iter().flat_map(Failure::split).collect();
            faults.extend(catalog.check());
            findings.extend(faults.iter().map(|fault| finding(path, fault)));
            findings.extend(rule_findings(&catalog.rules(), path));
        } else {
            checked += usize::from(path.exists());
            findings.extend(file_findings(path, settings));
        }
    }
    report(&findings, checked, args.json, out)
}

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Manifest,
    Mapping,
    Fields,
    Profiles,
    Endpoints,
    Request,
    World,
}

/// The kinds, each with the name of its schema and the member that identifies it.
const KINDS: [(&str, &str, Kind); 7] = [
    ("manifest", "manifest", Kind::Manifest),
    ("mapping", "mapping", Kind::Mapping),
    ("fields", "fields", Kind::Fields),
    ("profiles", "profiles", Kind::Profiles),
    ("endpoints", "cloud", Kind::Endpoints),
    ("request", "command", Kind::Request),
    ("world", "world", Kind::World),
];

/// The kind of a file, by its `$schema` or by an identifying member.
fn kind_of(object: &Map<String, Value>) -> Option<Kind> {
    let schema = object
        .get("$schema")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let file = schema.rsplit('/').next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let by_schema = KINDS.iter().find(|(name, _, _)| *name == stem);
    let members = object.keys().filter(|name| *name != "$schema");
    let by_member = |name: &String| KINDS.iter().find(|(_, member, _)| member == name);
    // A request can contain a mapping.
    let request = KINDS
        .iter()
        .find(|(_, member, _)| *member == "command" && object.contains_key(*member));
    let found = by_schema
        .or(request)
        .or_else(|| members.clone().find_map(by_member))
        .map(|(_, _, kind)| *kind);
    // `world` is optional in a world.
    found.or_else(|| {
        let mut members = members.into_iter();
        members
            .any(|name| is_world_member(name))
            .then_some(Kind::World)
    })
}

fn file_findings(path: &Path, settings: &SettingsArgs) -> Vec<Finding> {
    let name = path.to_string_lossy().into_owned();
    let bare = |place, message: String| Finding {
        file: name.clone(),
        place,
        pointer: String::new(),
        severity: Severity::Error,
        message,
        advice: None,
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return vec![bare(None, format!("The file cannot be read: {error}."))],
    };
    if path
        .extension()
        .is_some_and(|own| own == "yml" || own == "yaml")
    {
        return rule_file_findings(&name, text, settings);
    }
    let object = match strict_object(&text) {
        Ok(object) => object,
        Err(failure) => {
            return vec![bare(unreadable_at(&text), failure.message().to_owned())];
        }
    };
    let Some(kind) = kind_of(&object) else {
        let known: Vec<&str> = KINDS.iter().map(|(_, member, _)| *member).collect();
        let message = format!(
            "The type of this file is unknown. A file must have a `$schema` of soarhost or one of the members {}.",
            known.join(", ")
        );
        return vec![bare(Some((1, 1)), message)];
    };
    let faults = faults_of(kind, &text, path, settings).unwrap_or_else(|failure| vec![failure]);
    faults
        .into_iter()
        .flat_map(Failure::split)
        .map(|fault| Finding {
            file: name.clone(),
            ..placed(&text, &fault)
        })
        .collect()
}

/// The faults of a file of that kind, each at a pointer into it.
fn faults_of(
    kind: Kind,
    text: &str,
    path: &Path,
    settings: &SettingsArgs,
) -> Result<Vec<Failure>, Failure> {
    let folder = Catalog::folder_of(path).or_else(|| settings.catalog.clone());
    let catalog = match &folder {
        Some(folder) => Catalog::read(folder)?.0,
        None => Catalog::builtin()?,
    };
    Ok(match kind {
        Kind::Manifest => catalog.manifest_faults(text),
        Kind::Mapping => catalog.mapping_faults(text),
        Kind::Fields => StandardFields::parse(text, "").err().into_iter().collect(),
        Kind::Profiles => Profiles::parse(text)
            .and_then(|profiles| {
                profiles.faults(&catalog, settings::clock(settings.now.as_deref())?.now())
            })
            .unwrap_or_else(|failure| vec![failure]),
        Kind::Endpoints => {
            let cloud = Cloud::from_operator(text, &Cloud::named(Cloud::DEFAULT)?);
            cloud.err().into_iter().collect()
        }
        Kind::Request => request_faults(text, folder, settings)?,
        Kind::World => world_faults(text),
    })
}

/// The faults of a request that do not depend on the host, unlike secrets and stored states.
fn request_faults(
    text: &str,
    catalog: Option<PathBuf>,
    args: &SettingsArgs,
) -> Result<Vec<Failure>, Failure> {
    let mut settings = settings::settings(args)?;
    settings.catalog = catalog;
    settings.storage = Storage::Unneeded;
    settings.allowed.placeholder = Some(Secret::new("placeholder"));
    let host = Host::open(settings, Redactor::default());
    let Err(refused) = host.check(text.as_bytes(), &Cancel::default()) else {
        return Ok(Vec::new());
    };
    let Some(error) = refused.error else {
        return Ok(Vec::new());
    };
    let depends_on_host = |kind: ErrorKind| kind == ErrorKind::SecretUnavailable;
    if error.items.is_empty() && !depends_on_host(error.kind) {
        let fault = Failure::new(error.kind, error.message).at(error.at.unwrap_or_default());
        return Ok(vec![fault.advice(error.assistance)]);
    }
    let items = error.items.into_iter();
    let items = items.filter(|item| !depends_on_host(item.kind));
    Ok(items
        .map(|item| Failure::new(item.kind, item.message).at(item.at.unwrap_or_default()))
        .collect())
}

#[cfg(feature = "sim")]
fn is_world_member(name: &str) -> bool {
    super::simulate::is_world_member(name)
}

#[cfg(not(feature = "sim"))]
fn is_world_member(_: &str) -> bool {
    false
}

#[cfg(feature = "sim")]
fn world_faults(text: &str) -> Vec<Failure> {
    super::simulate::world_faults(text)
}

#[cfg(not(feature = "sim"))]
fn world_faults(_: &str) -> Vec<Failure> {
    let message = "This build has no simulator, so it cannot check world files.";
    vec![Failure::invalid_input("", message)]
}

/// A fault at a pointer into a text. A flag before the pointer is omitted.
fn placed(text: &str, fault: &Failure) -> Finding {
    let place = fault.place().unwrap_or_default();
    let pointer = place.find('/').map_or("", |from| &place[from..]);
    Finding {
        file: String::new(),
        place: position_of(text, pointer),
        pointer: pointer.to_owned(),
        severity: Severity::Error,
        message: fault.message().to_owned(),
        advice: fault.assistance().map(str::to_owned),
    }
}

/// A fault of a catalog, at `file:pointer`.
fn finding(folder: &Path, fault: &Failure) -> Finding {
    let place = fault.place().unwrap_or_default();
    let (file, pointer) = match place.rsplit_once(".json") {
        Some((file, rest)) => (format!("{file}.json"), rest.trim_start_matches(':')),
        None => (place.to_owned(), ""),
    };
    let on_disk = folder.join(&file);
    let text = std::fs::read_to_string(&on_disk).ok();
    let found = placed(text.as_deref().unwrap_or_default(), fault);
    let place = text.and_then(|text| match strict_object(&text) {
        Ok(_) => position_of(&text, pointer),
        Err(_) => unreadable_at(&text),
    });
    Finding {
        file: on_disk.to_string_lossy().into_owned(),
        place,
        pointer: pointer.to_owned(),
        ..found
    }
}

/// The faults and warnings of a catalog's rules.
fn rule_findings(rules: &[RuleText<'_>], folder: &Path) -> Vec<Finding> {
    let finding = |fault: RuleFault| Finding {
        file: folder.join(&fault.place).to_string_lossy().into_owned(),
        place: fault.position,
        pointer: String::new(),
        severity: fault.severity,
        message: fault.message,
        advice: fault.advice,
    };
    RuleSet::check(rules).into_iter().map(finding).collect()
}

/// The faults of one file of rules. Its correlations can name rules of the catalog.
fn rule_file_findings(name: &str, text: String, settings: &SettingsArgs) -> Vec<Finding> {
    let path = Path::new(name);
    let folder = Catalog::folder_of(path).or_else(|| settings.catalog.clone());
    let catalog = folder.and_then(|folder| Some(Catalog::read(&folder).ok()?.0));
    let own = RuleText::of_catalog(name, text);
    let stem = own.stem().to_owned();
    let others = catalog.iter().flat_map(Catalog::rules);
    let mut rules: Vec<RuleText<'_>> = others.filter(|other| other.stem() != stem).collect();
    rules.push(own);
    let mut findings = rule_findings(&rules, Path::new(""));
    findings.retain(|finding| finding.file == name);
    findings
}

fn report(findings: &[Finding], checked: usize, json: bool, out: &mut Out) -> ExitResult {
    let has_error = findings.iter().any(|f| f.severity == Severity::Error);
    let code = if has_error { 2 } else { 0 };
    if json {
        let all: Vec<_> = findings
            .iter()
            .map(|f| {
                let (line, column) = f.place.unzip();
                json!({ "file": f.file, "line": line, "column": column, "pointer": f.pointer,
                        "severity": f.severity.name(), "message": f.message, "advice": f.advice })
            })
            .collect();
        print_json(&json!({ "checked": checked, "faults": all }), out)?;
        return Ok(code);
    }
    for f in findings {
        let place = f.place.map(|(line, column)| format!(":{line}:{column}"));
        let place = place.unwrap_or_default();
        let pointer = match f.pointer.as_str() {
            "" => String::new(),
            pointer => format!(" {pointer}:"),
        };
        let severity = match f.severity {
            Severity::Error => "",
            Severity::Warning => " warning:",
        };
        writeln!(out, "{}{place}:{severity}{pointer} {}", f.file, f.message)?;
    }
    let word = |n: usize, one: &str| counted(u64::try_from(n).unwrap_or(u64::MAX), one);
    let (faults, files) = (word(findings.len(), "fault"), word(checked, "file"));
    writeln!(out, "{faults}; {files} checked.")?;
    Ok(code)
}
