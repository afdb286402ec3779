//! The catalog: integrations and mappings, and the table of the built-in ones.
//!
//! An operator's folder is checked when it is loaded. The built-in catalog is checked by a test
//! instead, because a check would take time at every start.

mod check;
pub(crate) mod folder;
mod integration;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use integration::{Compiled, CompiledCommand, Integration, shared_choices};

use crate::manifest::{self, CommandSpec, Manifest};
use crate::mapping::{self, Definition, StandardFields};
use crate::names::suggestion;
use crate::ops;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{further_faults, repaired, strict_object};
use crate::rules::RuleText;

macro_rules! integrations {
    ($($(#[$when:meta])* $id:literal: [$($mapping:literal),*];)*) => {
        static MANIFESTS: &[Compiled] = &[
            $($(#[$when])* include!(concat!(env!("OUT_DIR"), "/", $id, ".rs")),)*
        ];
        const MAPPINGS: &[&[(&str, &str)]] = &[
            $($(#[$when])* &[$((concat!($id, "/", $mapping),
                 include_str!(concat!("../../mappings/", $id, "/", $mapping, ".json"))),)*],)*
        ];
    };
}

// THE TABLE of integrations: one line each, with its mappings.
integrations! {
    #[cfg(feature = "sim")] "chaos": ["record"];
    "management_activity": ["content_record", "enabled_subscription", "incident", "subscription"];
    "office365_audit": ["event"];
    "policy_compliance_audit_log": ["record"];
    "purview_audit_alert_v2": ["fetch_event", "fetch_event_extended"];
}

macro_rules! mapping_files {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../mappings/", $name, ".json")))),*]
    };
}

/// The mappings to standard vocabularies, which no manifest names: `map --as` and requests do.
const STANDARD: &[(&str, &str)] =
    mapping_files!["ecs/alert", "ecs/audit", "ocsf/alert", "ocsf/audit"];

/// The folders of a catalog. At least one must exist.
const FOLDERS: [&str; 2] = ["manifests", "mappings"];

/// The built-in rules: file name and text.
const RULES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));

const VOCABULARY: &str = include_str!("../../mappings/fields.json");

/// Integrations, mappings and the vocabulary of event fields.
#[derive(Debug)]
pub struct Catalog {
    integrations: Vec<Integration>,
    /// The text of each mapping, by its name: the path below `mappings/` without `.json`.
    mappings: BTreeMap<String, Cow<'static, str>>,
    vocabulary: Cow<'static, str>,
    /// The files of rules, by name. `None`: the built-in ones.
    rules: Option<BTreeMap<String, String>>,
}

/// The command that a request selects.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The integration, with this command only.
    pub manifest: &'a Manifest,
    /// The command.
    pub command: &'a CommandSpec,
    /// The operation that the command calls.
    pub operation: &'static ops::Operation,
}

impl Catalog {
    /// The built-in catalog.
    pub fn builtin() -> Result<Self, Failure> {
        Ok(Catalog {
            integrations: MANIFESTS.iter().map(Integration::builtin).collect(),
            mappings: builtin_mappings().collect(),
            vocabulary: Cow::Borrowed(VOCABULARY),
            rules: None,
        })
    }

    /// The built-in catalog, read as strictly as an operator's folder.
    pub fn builtin_strict() -> Result<Self, Failure> {
        let manifests = MANIFESTS
            .iter()
            .map(|one| (one.file.to_owned(), one.text.to_owned()));
        let (catalog, faults) =
            Catalog::of(manifests.collect(), builtin_mappings().collect(), None);
        Failure::join(faults).map_or(Ok(catalog), Err)
    }

    /// An operator's folder with `manifests/` and `mappings/`, completely checked.
    pub fn load(folder: &Path) -> Result<Self, Failure> {
        let (catalog, mut faults) = Catalog::read(folder)?;
        faults.extend(catalog.check());
        Failure::join(faults).map_or(Ok(catalog), Err)
    }

    /// The catalog folder that contains a file: the nearest one with `manifests/` or `mappings/`.
    pub fn folder_of(file: &Path) -> Option<PathBuf> {
        let file = file.canonicalize().ok()?;
        let mut folders = file.ancestors().skip(1);
        folders
            .find(|folder| Catalog::is_folder(folder))
            .map(Path::to_path_buf)
    }

    /// Is it a catalog folder: does it have `manifests/` or `mappings/`?
    pub fn is_folder(folder: &Path) -> bool {
        FOLDERS.iter().any(|name| folder.join(name).is_dir())
    }

    /// Reads a folder without checking it. Also returns a fault for each manifest that cannot be
    /// read.
    pub fn read(folder: &Path) -> Result<(Self, Vec<Failure>), Failure> {
        if !Catalog::is_folder(folder) {
            let message = format!(
                "{} is not a catalog folder: it has neither manifests/ nor mappings/.",
                folder.display()
            );
            return Err(Failure::invalid_input("--catalog", message));
        }
        let manifests = files(&folder.join("manifests"), "manifests", "json")?;
        let mut mappings = files(&folder.join("mappings"), "mappings", "json")?;
        let vocabulary = mappings.remove("mappings/fields.json");
        let mappings = mappings.into_iter().map(|(file, text)| {
            let name = file
                .trim_start_matches("mappings/")
                .trim_end_matches(".json");
            (name.to_owned(), Cow::Owned(text))
        });
        let (mut catalog, faults) = Catalog::of(manifests, mappings.collect(), vocabulary);
        catalog.rules = Some(rule_files(folder)?);
        Ok((catalog, faults))
    }

    fn of(
        manifests: BTreeMap<String, String>,
        mappings: BTreeMap<String, Cow<'static, str>>,
        vocabulary: Option<String>,
    ) -> (Self, Vec<Failure>) {
        let (mut integrations, mut unreadable) = (Vec::new(), Vec::new());
        for (name, text) in manifests {
            match Integration::strict(name.clone(), &text) {
                Ok(integration) => integrations.push(integration),
                Err(failure) => unreadable.push((name, text, failure)),
            }
        }
        let catalog = Catalog {
            integrations,
            mappings,
            vocabulary: vocabulary.map_or(Cow::Borrowed(VOCABULARY), Cow::Owned),
            rules: None,
        };
        let faults = unreadable.into_iter().map(|(name, text, failure)| {
            let all = placed(&name, catalog.manifest_faults(&text)).collect();
            Failure::join(all).unwrap_or(failure)
        });
        let faults = faults.collect();
        (catalog, faults)
    }

    /// The number of files.
    pub fn files(&self) -> usize {
        self.integrations.len() + self.mappings.len() + 1 + self.rules().len()
    }

    /// The files `mappings/*/rules/*.yml`, by name.
    pub fn rules(&self) -> Vec<RuleText<'_>> {
        match &self.rules {
            None => RULES
                .iter()
                .map(|(name, text)| RuleText::of_catalog(*name, *text))
                .collect(),
            Some(files) => files
                .iter()
                .map(|(name, text)| RuleText::of_catalog(name.as_str(), text.as_str()))
                .collect(),
        }
    }

    /// The file of rules with this name: its stem, or the id or title of a rule in it.
    pub fn rule(&self, name: &str) -> Result<RuleText<'_>, Failure> {
        let rules = self.rules();
        if let Some(found) = rules.iter().find(|text| text.is_named(name)) {
            return Ok(found.clone());
        }
        let hint = suggestion(name, rules.iter().map(RuleText::stem));
        let message = format!("There is no rule \"{name}\". {hint}");
        Err(Failure::new(ErrorKind::UnknownName, message)
            .cause("The catalog has no rule with this file name, ID or title.")
            .advice("Correct the name, or use --catalog for the rules of your own folder."))
    }

    /// Every fault of a manifest as part of this catalog, each at its pointer.
    pub fn manifest_faults(&self, text: &str) -> Vec<Failure> {
        let (manifests, mut faults) = match Manifest::parse(text, "") {
            Ok(manifest) => (vec![manifest], Vec::new()),
            Err(failure) => {
                let repaired = strict_object(text).map(|object| repaired::<Manifest>(&object));
                (repaired.unwrap_or_default(), failure.split())
            }
        };
        let fields = self.fields();
        let check = |mut manifest: Manifest| {
            manifest.resolve_choices(shared_choices);
            faults_of(&manifest, &fields)
        };
        let lists: Vec<Vec<Failure>> = manifests.into_iter().map(check).collect();
        faults.extend(further_faults(&faults, &lists));
        faults
    }

    /// Every fault of a mapping as part of this catalog, each at its pointer.
    pub fn mapping_faults(&self, text: &str) -> Vec<Failure> {
        // Faults of the vocabulary are reported at its file.
        let known = self.vocabulary().unwrap_or_default();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let (definitions, mut faults) = match Definition::parse(text, "") {
            Ok(definition) => (vec![definition], Vec::new()),
            Err(failure) => {
                let repaired = strict_object(text).map(|object| repaired::<Definition>(&object));
                (repaired.unwrap_or_default(), failure.split())
            }
        };
        let definitions = definitions.iter();
        let lists: Vec<Vec<Failure>> = definitions
            .map(|definition| mapping::lint(definition, &known, ""))
            .collect();
        faults.extend(further_faults(&faults, &lists));
        faults
    }

    /// The field names of each mapping; none if it cannot be read.
    fn fields(&self) -> BTreeMap<&str, Vec<String>> {
        let names = self.mappings.keys();
        let fields = |name: &String| self.mapping(name).map(|mapping| mapping.field_names());
        names
            .map(|name| (name.as_str(), fields(name).unwrap_or_default()))
            .collect()
    }

    /// All integrations, in order.
    pub fn manifests(&self) -> Result<Vec<&Manifest>, Failure> {
        self.integrations
            .iter()
            .map(Integration::manifest)
            .collect()
    }

    /// The names of the standard event fields.
    pub fn vocabulary(&self) -> Result<Vec<String>, Failure> {
        mapping::vocabulary(&self.vocabulary)
    }

    /// The mapping with this name: of the catalog, or of a standard vocabulary.
    pub fn mapping(&self, name: &str) -> Result<Definition, Failure> {
        let standard = || STANDARD.iter().find(|(known, _)| *known == name);
        let own = self.mappings.get(name).map(Cow::as_ref);
        let text = own.or_else(|| standard().map(|(_, text)| *text));
        let text = text.ok_or_else(|| {
            let hint = suggestion(name, self.mappings.keys().map(String::as_str));
            let message = format!("There is no mapping \"{name}\". {hint}");
            Failure::new(ErrorKind::UnknownName, message)
        })?;
        Definition::parse(text, &mapping_file(name))
    }

    /// A mapping that uses only standard fields and custom ones.
    pub fn checked_mapping(&self, name: &str) -> Result<Definition, Failure> {
        let definition = self.mapping(name)?;
        let faults = self.mapping_faults(&self.mappings[name]);
        let placed = placed(&mapping_file(name), faults).collect();
        Failure::join(placed).map_or(Ok(definition), Err)
    }

    /// The names of all mappings.
    pub fn mapping_names(&self) -> impl Iterator<Item = &str> {
        self.mappings.keys().map(String::as_str)
    }

    /// The names of the mappings that extend this one. Requests can select them.
    pub fn variants(&self, mapping: &str) -> impl Iterator<Item = &str> {
        let names = self.mappings.keys().map(String::as_str);
        names.filter(move |name| *name != mapping && extends(name, mapping))
    }

    /// The command that a request selects. `integration` is an id, or an id with a version prefix.
    pub fn find(&self, integration: Option<&str>, command: &str) -> Result<Target<'_>, Failure> {
        let candidates: Vec<&Integration> = match integration {
            Some(wanted) => vec![self.find_integration(wanted)?],
            None => self.integrations.iter().collect(),
        };
        let found: Vec<(&Integration, usize)> = candidates
            .iter()
            .flat_map(|integration| integration.commands(command).map(|n| (*integration, n)))
            .collect();
        match found.as_slice() {
            [(integration, n)] => target(integration, *n),
            [] => Err(no_command(command, &candidates)),
            several => Err(ambiguous(command, several)),
        }
    }

    /// The command with this name, as `COMMAND` or `INTEGRATION.COMMAND`.
    pub fn find_dotted(&self, name: &str) -> Result<Target<'_>, Failure> {
        match name.split_once('.') {
            Some((integration, command)) => self.find(Some(integration), command),
            None => self.find(None, name),
        }
    }

    /// The integration with this id and, if one is given, version prefix.
    pub fn integration(&self, wanted: &str) -> Result<&Manifest, Failure> {
        self.find_integration(wanted)?.manifest()
    }

    fn find_integration(&self, wanted: &str) -> Result<&Integration, Failure> {
        let (id, version) = match wanted.split_once('@') {
            Some((id, version)) => (id, Some(version)),
            None => (wanted, None),
        };
        let integration = self
            .integrations
            .iter()
            .find(|integration| integration.id == id)
            .ok_or_else(|| {
                let hint = suggestion(id, self.integrations.iter().map(|one| one.id.as_str()));
                let message = format!("There is no integration \"{id}\". {hint}");
                Failure::new(ErrorKind::UnknownName, message).at("/integration")
            })?;
        let Some(version) = version else {
            return Ok(integration);
        };
        let manifest = integration.manifest()?;
        if manifest.version == version || manifest.version.starts_with(&format!("{version}.")) {
            return Ok(integration);
        }
        let message = format!(
            "There is no \"{wanted}\". This host has {}.",
            manifest.full_id()
        );
        Err(Failure::new(ErrorKind::UnknownName, message).at("/integration"))
    }

    /// Every fault of the catalog, each with `file:pointer`.
    pub fn check(&self) -> Vec<Failure> {
        let mut faults = Vec::new();
        if let Err(failure) = StandardFields::parse(&self.vocabulary, "") {
            return placed("mappings/fields.json", failure.split()).collect();
        }
        let fields = self.fields();
        for (name, text) in &self.mappings {
            let mut found = self.mapping_faults(text);
            found.extend(other_id(name, text));
            faults.extend(placed(&mapping_file(name), found));
        }
        for integration in &self.integrations {
            match integration.manifest() {
                Ok(manifest) => {
                    let found = faults_of(manifest, &fields);
                    faults.extend(placed(&integration.file, found));
                }
                Err(failure) => faults.push(failure),
            }
        }
        faults
    }

    /// A fault for each unused mapping: no manifest names it, or the mapping that it extends
    /// (`fetch_event_extended` extends `fetch_event`). Mappings in `ocsf/` and `ecs/` are exempt. A
    /// test requires that the built-in catalog has no such fault.
    pub fn unused(&self) -> Vec<Failure> {
        let manifests = self
            .integrations
            .iter()
            .filter_map(|one| one.manifest().ok());
        let commands = manifests.flat_map(|manifest| &manifest.commands);
        let named: Vec<&str> = commands
            .flat_map(|command| {
                [
                    command.mapping.as_deref(),
                    command.outputs.context_mapping(),
                ]
            })
            .flatten()
            .collect();
        let is_exempt = |name: &str| name.starts_with("ocsf/") || name.starts_with("ecs/");
        let is_named = |name: &str| named.iter().any(|known| extends(name, known));
        let unused = self
            .mappings
            .keys()
            .filter(|name| !is_exempt(name) && !is_named(name));
        let fault = |name: &String| {
            let message = "No manifest names this mapping.";
            Failure::new(ErrorKind::InvalidMapping, message).at(mapping_file(name))
        };
        unused.map(fault).collect()
    }
}

/// The texts of the built-in mappings, by name.
fn builtin_mappings() -> impl Iterator<Item = (String, Cow<'static, str>)> {
    let mappings = MAPPINGS.iter().copied().flatten().chain(STANDARD);
    mappings.map(|(name, text)| ((*name).to_owned(), Cow::Borrowed(*text)))
}

/// The fault of a mapping whose `id` is not its name in the catalog, as in a copied file.
fn other_id(name: &str, text: &str) -> Option<Failure> {
    let id = Definition::parse(text, "").ok()?.id;
    let message = format!("`id` must be the path of the file below mappings/; got \"{id}\".");
    let fault = Failure::new(ErrorKind::InvalidMapping, message).at("/id");
    (!id.is_empty() && id != name).then(|| fault.advice(format!("Write \"{name}\".")))
}

/// The file of a mapping, for messages.
fn mapping_file(name: &str) -> String {
    format!("mappings/{name}.json")
}

/// The faults of a manifest by itself and of its references.
fn faults_of(manifest: &Manifest, fields: &BTreeMap<&str, Vec<String>>) -> Vec<Failure> {
    let mut faults = manifest::lint::lint(manifest);
    faults.extend(check::cross_check(manifest, fields));
    faults
}

/// True for the mapping itself and for its variants: the same name with `_` and a suffix.
fn extends(name: &str, known: &str) -> bool {
    let suffix = name.strip_prefix(known);
    suffix.is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('_'))
}

fn target(integration: &Integration, number: usize) -> Result<Target<'_>, Failure> {
    let (manifest, command) = integration.with_command(number)?;
    let fault = |why: String| {
        let at = format!("{}:/commands/{number}", integration.file);
        Failure::new(ErrorKind::InvalidManifest, why).at(at)
    };
    let operation = ops::find(&command.operation)
        .ok_or_else(|| fault(format!("There is no operation \"{}\".", command.operation)))?;
    Ok(Target {
        manifest,
        command,
        operation,
    })
}

fn no_command(command: &str, candidates: &[&Integration]) -> Failure {
    let mut titles: Vec<&str> = Vec::new();
    for title in candidates.iter().flat_map(|one| one.titles()) {
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let hint = suggestion(command, titles);
    let message = format!("There is no command \"{command}\". {hint}");
    Failure::new(ErrorKind::UnknownName, message).at("/command")
}

fn ambiguous(command: &str, several: &[(&Integration, usize)]) -> Failure {
    let ids: Vec<&str> = several
        .iter()
        .map(|(integration, _)| integration.id.as_str())
        .collect();
    let message = format!("\"{command}\" is a command of {}.", ids.join(" and "));
    Failure::new(ErrorKind::UnknownName, message)
        .at("/integration")
        .advice(
            "Set `integration` in the request, or write INTEGRATION.COMMAND on the command line.",
        )
}

fn placed(file: &str, faults: Vec<Failure>) -> impl Iterator<Item = Failure> {
    faults.into_iter().map(move |fault| {
        let pointer = fault.place().unwrap_or_default().trim_start_matches(':');
        let at = match pointer {
            "" => file.to_owned(),
            pointer => format!("{file}:{pointer}"),
        };
        fault.at(at)
    })
}

/// The files of rules: `mappings/*/rules/*.yml` and `.yaml`.
fn rule_files(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut rules = files(&folder.join("mappings"), "mappings", "yml")?;
    rules.extend(files(&folder.join("mappings"), "mappings", "yaml")?);
    let is_in_rules = |name: &String| name.split('/').nth(2) == Some("rules");
    rules.retain(|name, _| is_in_rules(name));
    Ok(rules)
}

/// The files below a folder with this extension, by their path from the catalog's root.
fn files(
    folder: &Path,
    prefix: &str,
    extension: &str,
) -> Result<BTreeMap<String, String>, Failure> {
    let unreadable = |error: std::io::Error| {
        let message = format!(
            "The catalog folder {} cannot be read: {error}.",
            folder.display()
        );
        Failure::invalid_input("--catalog", message)
    };
    let mut files = BTreeMap::new();
    for path in folder::files(folder, &[extension]).map_err(unreadable)? {
        let below = path.strip_prefix(folder).unwrap_or(&path);
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        files.insert(format!("{prefix}/{}", slashed(below)), text);
    }
    Ok(files)
}

/// A path with slashes.
fn slashed(path: &Path) -> String {
    let parts = path.iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}
