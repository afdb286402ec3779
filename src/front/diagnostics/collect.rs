//! Collects the faults of files, folders and texts.
//!
//! A folder with `manifests/` or `mappings/` is a catalog. A file is checked against the catalog that
//! contains it, or against the catalog in use. Prints nothing.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::front::cli::{is_world_member, world_faults};
use crate::front::diagnostics::kind::Kind;
use crate::front::diagnostics::rules::{rule_faults, rule_file_faults};
use crate::front::diagnostics::secrets::secrets;
use crate::front::diagnostics::source::{Source, invalid_json};
use crate::front::diagnostics::{Fault, Report, Severity};
use crate::host::catalog::{Catalog, folder};
use crate::host::profiles::Profiles;
use crate::host::{Host, Settings, Storage};
use crate::manifest::CommandKind;
use crate::mapping::StandardFields;
use crate::microsoft::Cloud;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{
    Redactor, Secret, escape, further_faults, repaired, strict_object, unreadable_at,
};

/// The folders and files of a catalog folder that do not belong to the catalog.
const COMPANIONS: [&str; 4] = ["requests", "worlds", "profiles.json", "endpoints.json"];

/// Checks files with the settings of a host.
#[derive(Debug)]
pub(in crate::front) struct Checker {
    settings: Settings,
    /// The catalog in use; without it, the built-in one.
    catalog: Option<PathBuf>,
}

impl Checker {
    /// Checks with these settings. Files outside a catalog folder are checked against the catalog
    /// of the settings.
    pub(in crate::front) fn new(mut settings: Settings) -> Self {
        settings.storage = Storage::Unneeded;
        settings.allowed.placeholder = Some(Secret::new("placeholder"));
        let catalog = settings.catalog.take();
        Checker { settings, catalog }
    }

    /// Checks these files and folders; without any, the catalog in use.
    pub(in crate::front) fn report(&self, paths: &[PathBuf]) -> Result<Report, Failure> {
        let mut report = Report::default();
        let in_use: Vec<PathBuf> = self.catalog.iter().cloned().collect();
        let paths = if paths.is_empty() { &in_use } else { paths };
        if paths.is_empty() {
            let catalog = Catalog::builtin_strict()?;
            report.is_builtin = true;
            let faults = catalog_faults(&catalog, Vec::new(), Path::new(""));
            report.add(catalog.files(), faults);
        }
        for path in paths {
            if !path.is_dir() {
                report.add(usize::from(path.exists()), self.file(path));
                continue;
            }
            let before = report.checked;
            let mut beside: Vec<PathBuf> = COMPANIONS.map(|name| path.join(name)).into();
            if Catalog::is_folder(path) {
                let (catalog, unreadable) = Catalog::read(path)
                    .map_err(|failure| failure.reworded(failure.message().to_owned()))?;
                let checked = catalog.files() + unreadable.len();
                report.add(checked, catalog_faults(&catalog, unreadable, path));
            } else {
                beside = vec![path.clone()];
            }
            for path in &beside {
                match files(path) {
                    Ok(files) => {
                        for file in files {
                            report.add(1, self.file(&file));
                        }
                    }
                    Err(error) => {
                        let message = format!("Cannot be read: {error}.");
                        report.add(0, vec![Fault::of_file(&path.to_string_lossy(), &message)]);
                    }
                }
            }
            if report.checked == before {
                let message = "The folder has no files to check. Name a file, or a folder with \
                               manifests/ or mappings/.";
                report.add(0, vec![Fault::of_file(&path.to_string_lossy(), message)]);
            }
        }
        Ok(report)
    }

    fn file(&self, path: &Path) -> Vec<Fault> {
        let name = path.to_string_lossy();
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => self.text(&name, &text),
            Ok(Err(error)) => {
                let at = error.utf8_error().valid_up_to();
                let message = format!("The file is not UTF-8 at byte {at}. Save it as UTF-8.");
                vec![Fault::of_file(&name, &message)]
            }
            Err(error) => vec![Fault::of_file(
                &name,
                &format!("The file cannot be read: {error}."),
            )],
        }
    }

    /// The faults of a text that has this file name.
    pub(in crate::front) fn text(&self, file: &str, text: &str) -> Vec<Fault> {
        let (path, text) = (Path::new(file), text.trim_start_matches('\u{feff}'));
        let folder = Catalog::folder_of(path).or_else(|| self.catalog.clone());
        let read = match &folder {
            Some(folder) => Catalog::read(folder),
            None => Catalog::builtin().map(|catalog| (catalog, Vec::new())),
        };
        let (catalog, unreadable) = match read {
            Ok(read) => read,
            Err(failure) => return vec![Fault::of_file(file, failure.message())],
        };
        if is_yaml(path) {
            let own = folder.is_some();
            return rule_file_faults(file, text, own.then_some(&catalog));
        }
        let object = match strict_object(text) {
            Ok(object) => object,
            Err(failure) => return vec![invalid_json(file, text, &failure)],
        };
        let kind = Kind::of(&object, is_world_member).or_else(|| Kind::of_path(path));
        let Some(kind) = kind else {
            let message = format!(
                "The type of this file is unknown. Add a `$schema` of soarhost, or one of the members {}.",
                Kind::members()
            );
            return vec![Fault::of_file(file, &message)];
        };
        let source = Source { file, text, kind };
        let hidden = secrets(text, kind, &catalog);
        let faults = self.faults(&source, &catalog, folder);
        let mut faults = faults.unwrap_or_else(Failure::split);
        // A name can be that of a file that cannot be read, which is reported separately.
        let is_known = |fault: &Failure| fault.kind() != ErrorKind::UnknownName;
        faults.retain(|fault| unreadable.is_empty() || is_known(fault));
        faults
            .iter()
            .map(|fault| source.fault(fault, &hidden))
            .collect()
    }

    /// Does a text with this file name have an error?
    pub(in crate::front) fn has_error(&self, file: &str, text: &str) -> bool {
        let faults = self.text(file, text);
        faults.iter().any(|fault| fault.severity == Severity::Error)
    }

    fn faults(
        &self,
        source: &Source<'_>,
        catalog: &Catalog,
        folder: Option<PathBuf>,
    ) -> Result<Vec<Failure>, Failure> {
        let text = source.text;
        let host = || {
            let settings = Settings {
                catalog: folder,
                ..self.settings.clone()
            };
            Host::open(settings, Redactor::default())
        };
        Ok(match source.kind {
            Kind::Manifest => catalog.manifest_faults(text),
            Kind::Mapping => catalog.mapping_faults(text),
            Kind::Fields => {
                StandardFields::parse(text, "").map_or_else(Failure::split, |_| Vec::new())
            }
            Kind::Profiles => self.profile_faults(text, catalog, &host())?,
            Kind::Endpoints => {
                let cloud = Cloud::from_operator(text, &Cloud::named(Cloud::DEFAULT)?);
                cloud.map_or_else(Failure::split, |_| Vec::new())
            }
            Kind::Request => {
                let mut faults = request_faults(&host(), text.as_bytes());
                // A fault of a manifest without a place in the request is reported in its file only.
                let of_catalog = catalog.check();
                let is_own = |fault: &Failure| {
                    let mut others = of_catalog.iter();
                    !fault.place().unwrap_or_default().is_empty()
                        || others.all(|other| other.message() != fault.message())
                };
                faults.retain(is_own);
                faults
            }
            Kind::World => world_faults(text),
            Kind::Rule => Vec::new(),
        })
    }

    /// The faults of stored connections: their form, their parameters, and their sign-in.
    fn profile_faults(
        &self,
        text: &str,
        catalog: &Catalog,
        host: &Host,
    ) -> Result<Vec<Failure>, Failure> {
        let (profiles, mut faults) = match Profiles::parse(text) {
            Ok(profiles) => (Some(profiles), Vec::new()),
            Err(failure) => (repaired(&strict_object(text)?).pop(), failure.split()),
        };
        // The place names the flag first.
        let in_file = |fault: Failure| {
            let place = fault.place().unwrap_or_default();
            let pointer = place.find('/').map_or("", |from| &place[from..]).to_owned();
            fault.at(pointer)
        };
        faults = faults.into_iter().map(in_file).collect();
        let Some(profiles) = profiles else {
            return Ok(faults);
        };
        let mut further = profiles.faults(catalog, self.settings.clock.now())?;
        for (name, profile) in profiles.connections() {
            let Ok(manifest) = catalog.integration(&profile.integration) else {
                continue;
            };
            let commands = || manifest.commands.iter();
            let for_tests = commands().find(|command| command.kind == CommandKind::Test);
            let Some(command) = for_tests.or(commands().next()) else {
                continue;
            };
            let request = json!({ "integration": manifest.id, "command": command.id,
                                  "connection": profile.params });
            let params = format!("/connections/{}/params", escape(name));
            for fault in request_faults(host, request.to_string().as_bytes()) {
                let at = fault.place().and_then(|at| at.strip_prefix("/connection"));
                let Some(at) = at.map(|below| format!("{params}{below}")) else {
                    continue;
                };
                let same = |other: &Failure| {
                    other.place() == Some(&at) && other.message() == fault.message()
                };
                if !further.iter().any(same) {
                    further.push(fault.at(at));
                }
            }
        }
        faults.extend(further_faults(&faults, &[further]));
        Ok(faults)
    }
}

/// The faults of a request that do not depend on the host, unlike secrets and stored states.
fn request_faults(host: &Host, request: &[u8]) -> Vec<Failure> {
    let mut faults = host.faults(request);
    // Faults of mappings and profiles have the places of their files.
    let is_in_request = |place: &str| place.is_empty() || place.starts_with('/');
    faults.retain(|fault| {
        fault.kind() != ErrorKind::SecretUnavailable
            && is_in_request(fault.place().unwrap_or_default())
    });
    faults
}

/// The faults of a catalog and of its rules.
fn catalog_faults(catalog: &Catalog, unreadable: Vec<Failure>, folder: &Path) -> Vec<Fault> {
    let found = unreadable
        .into_iter()
        .flat_map(Failure::split)
        .chain(catalog.check());
    let mut faults: Vec<Fault> = found.map(|fault| in_catalog(folder, &fault)).collect();
    faults.extend(rule_faults(&catalog.rules(), folder));
    faults
}

/// A fault of a catalog, at `file:pointer`.
fn in_catalog(folder: &Path, fault: &Failure) -> Fault {
    let place = fault.place().unwrap_or_default();
    let (file, pointer) = match place.rsplit_once(".json") {
        Some((file, rest)) => (format!("{file}.json"), rest.trim_start_matches(':')),
        None => (place.to_owned(), ""),
    };
    let on_disk = folder.join(&file);
    let text = std::fs::read_to_string(&on_disk).unwrap_or_default();
    let name = on_disk.to_string_lossy();
    if unreadable_at(&text).is_some() {
        return invalid_json(&name, &text, fault);
    }
    let kind = Kind::of_path(&on_disk).unwrap_or(Kind::Mapping);
    let kind = if file == "mappings/fields.json" {
        Kind::Fields
    } else {
        kind
    };
    let source = Source {
        file: &name,
        text: &text,
        kind,
    };
    source.fault(&fault.clone().at(pointer), &[])
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yml" | "yaml"))
}

/// The JSON and YAML files at a path and below it, in order.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.is_dir() {
        return folder::files(path, &["json", "yml", "yaml"]);
    }
    Ok(Some(path.to_owned())
        .into_iter()
        .filter(|path| path.is_file())
        .collect())
}
