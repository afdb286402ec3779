//! The catalog: which integrations there are, and the table of those compiled in.
//!
//! Data is loaded by one function whether it is compiled in or lies in an operator's folder. What
//! is compiled in is checked by a test, so that a start costs nothing for it; a folder is checked
//! when it loads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::host::check;
use crate::host::face::{Compiled, CompiledCommand, Face, shared_choices};
use crate::manifest::{self, CommandSpec, Manifest};
use crate::mapping::{self, Definition};
use crate::names::suggestion;
use crate::ops;
use crate::protocol::failure::{ErrorKind, Failure};

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
    "purview_audit_alert_v2": ["fetch_event", "fetch_event_extended"];
}

/// What a catalog folder holds: one of them at least.
const FOLDERS: [&str; 2] = ["manifests", "mappings"];

const VOCABULARY: &str = include_str!("../../mappings/fields.json");

/// Integrations, mappings and the vocabulary of event fields.
#[derive(Debug)]
pub struct Catalog {
    faces: Vec<Face>,
    mappings: BTreeMap<String, File<Cow<'static, str>>>,
    vocabulary: Cow<'static, str>,
}

/// Something with the file it came from.
#[derive(Debug)]
struct File<T> {
    name: String,
    content: T,
}

/// What a request addresses.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The integration, of whose commands only this one is read.
    pub manifest: &'a Manifest,
    /// The command.
    pub command: &'a CommandSpec,
    /// The operation that carries it out.
    pub operation: &'static ops::Operation,
}

impl Catalog {
    /// What is compiled in.
    pub fn builtin() -> Result<Self, Failure> {
        let mappings = MAPPINGS.iter().copied().flatten().map(|(name, text)| {
            let file = File {
                name: format!("mappings/{name}.json"),
                content: Cow::Borrowed(*text),
            };
            ((*name).to_owned(), file)
        });
        Ok(Catalog {
            faces: MANIFESTS.iter().map(Face::builtin).collect(),
            mappings: mappings.collect(),
            vocabulary: Cow::Borrowed(VOCABULARY),
        })
    }

    /// The compiled-in files, read as strictly as an operator's folder.
    pub fn builtin_strict() -> Result<Self, Failure> {
        let manifests = MANIFESTS
            .iter()
            .map(|face| (face.file.to_owned(), face.text.to_owned()));
        let mappings = MAPPINGS
            .iter()
            .copied()
            .flatten()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let (catalog, faults) = Catalog::of(manifests.collect(), mappings.collect(), None);
        Failure::join(faults).map_or(Ok(catalog), Err)
    }

    /// An operator's folder with `manifests/` and `mappings/`; checked whole.
    pub fn load(folder: &Path) -> Result<Self, Failure> {
        let (catalog, mut faults) = Catalog::read(folder)?;
        faults.extend(catalog.check());
        match Failure::join(faults) {
            Some(failure) => Err(failure),
            None => Ok(catalog),
        }
    }

    /// The catalog folder that a file lies in: the nearest above it with `manifests/` or
    /// `mappings/`.
    pub fn folder_of(file: &Path) -> Option<PathBuf> {
        let file = file.canonicalize().ok()?;
        let mut folders = file.ancestors().skip(1);
        let holds = |folder: &&Path| FOLDERS.iter().any(|name| folder.join(name).is_dir());
        folders.find(holds).map(Path::to_path_buf)
    }

    /// A folder, read but not checked: what could be read, and a fault for each manifest that
    /// could not.
    pub fn read(folder: &Path) -> Result<(Self, Vec<Failure>), Failure> {
        if !FOLDERS.iter().any(|name| folder.join(name).is_dir()) {
            let message = format!(
                "{} is no catalog folder: it has neither manifests/ nor mappings/.",
                folder.display()
            );
            return Err(Failure::invalid_input("--catalog", message));
        }
        let manifests = json_files(&folder.join("manifests"), "manifests")?;
        let mut mappings = json_files(&folder.join("mappings"), "mappings")?;
        let vocabulary = mappings.remove("mappings/fields.json");
        let strip = |name: &str| {
            name.trim_start_matches("mappings/")
                .trim_end_matches(".json")
                .to_owned()
        };
        let mappings = mappings
            .into_iter()
            .map(|(name, text)| (strip(&name), text))
            .collect();
        Ok(Catalog::of(manifests, mappings, vocabulary))
    }

    fn of(
        manifests: BTreeMap<String, String>,
        mappings: BTreeMap<String, String>,
        vocabulary: Option<String>,
    ) -> (Self, Vec<Failure>) {
        let (mut faces, mut faults) = (Vec::new(), Vec::new());
        for (name, text) in manifests {
            match Face::strict(name, text) {
                Ok(face) => faces.push(face),
                Err(failure) => faults.push(failure),
            }
        }
        let mappings = mappings.into_iter().map(|(name, text)| {
            let file = File {
                name: format!("mappings/{name}.json"),
                content: Cow::Owned(text),
            };
            (name, file)
        });
        let catalog = Catalog {
            faces,
            mappings: mappings.collect(),
            vocabulary: vocabulary.map_or(Cow::Borrowed(VOCABULARY), Cow::Owned),
        };
        (catalog, faults)
    }

    /// How many files it was read from.
    pub fn files(&self) -> usize {
        self.faces.len() + self.mappings.len() + 1
    }

    /// Every fault of a manifest that would be one of this catalog, each at its pointer.
    pub fn manifest_faults(&self, text: &str) -> Vec<Failure> {
        let mut manifest = match Manifest::parse(text, "") {
            Ok(manifest) => manifest,
            Err(failure) => return vec![failure],
        };
        manifest.resolve_choices(shared_choices);
        let mut faults = manifest::lint::lint(&manifest);
        faults.extend(check::cross_check(&manifest, &self.fields()));
        faults
    }

    /// Every fault of a mapping that would be one of this catalog, each at its pointer.
    pub fn mapping_faults(&self, text: &str) -> Vec<Failure> {
        let read = Definition::parse(text, "").and_then(|read| Ok((read, self.vocabulary()?)));
        match read {
            Ok((definition, known)) => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                mapping::lint(&definition, &known, "")
            }
            Err(failure) => vec![failure],
        }
    }

    /// The names of the fields of each mapping that can be read.
    fn fields(&self) -> BTreeMap<&str, Vec<String>> {
        let read = self.mappings.iter().filter_map(|(name, file)| {
            let definition = Definition::parse(&file.content, &file.name).ok()?;
            Some((name.as_str(), definition.field_names()))
        });
        read.collect()
    }

    /// Every integration, in order.
    pub fn manifests(&self) -> Result<Vec<&Manifest>, Failure> {
        self.faces.iter().map(Face::manifest).collect()
    }

    /// The names of the standard event fields.
    pub fn vocabulary(&self) -> Result<Vec<String>, Failure> {
        mapping::vocabulary(&self.vocabulary)
    }

    /// The mapping of that name, read.
    pub fn mapping(&self, name: &str) -> Result<Definition, Failure> {
        let file = self.mappings.get(name).ok_or_else(|| {
            let hint = suggestion(name, self.mappings.keys().map(String::as_str));
            let message = format!("There is no mapping \"{name}\". {hint}");
            Failure::new(ErrorKind::UnknownName, message)
        })?;
        Definition::parse(&file.content, &file.name)
    }

    /// The names of the mappings that extend that one, for requests to choose.
    pub fn variants(&self, mapping: &str) -> impl Iterator<Item = &str> {
        let names = self.mappings.keys().map(String::as_str);
        names.filter(move |name| *name != mapping && extends(name, mapping))
    }

    /// The command a request addresses. `integration` is an id, or an id with a version prefix.
    pub fn find(&self, integration: Option<&str>, command: &str) -> Result<Target<'_>, Failure> {
        let among: Vec<&Face> = match integration {
            Some(wanted) => vec![self.face(wanted)?],
            None => self.faces.iter().collect(),
        };
        let found: Vec<(&Face, usize)> = among
            .iter()
            .flat_map(|face| face.commands(command).map(|n| (*face, n)))
            .collect();
        match found.as_slice() {
            [(face, n)] => target(face, *n),
            [] => Err(no_command(command, &among)),
            several => Err(ambiguous(command, several)),
        }
    }

    /// The command named as `COMMAND` or `INTEGRATION.COMMAND`, for people at a terminal.
    pub fn find_dotted(&self, name: &str) -> Result<Target<'_>, Failure> {
        match name.split_once('.') {
            Some((integration, command)) => self.find(Some(integration), command),
            None => self.find(None, name),
        }
    }

    /// The integration of that id, with the version prefix if one is given.
    pub fn integration(&self, wanted: &str) -> Result<&Manifest, Failure> {
        self.face(wanted)?.manifest()
    }

    fn face(&self, wanted: &str) -> Result<&Face, Failure> {
        let (id, version) = match wanted.split_once('@') {
            Some((id, version)) => (id, Some(version)),
            None => (wanted, None),
        };
        let face = self
            .faces
            .iter()
            .find(|face| face.id() == id)
            .ok_or_else(|| {
                let hint = suggestion(id, self.faces.iter().map(Face::id));
                let message = format!("There is no integration \"{id}\". {hint}");
                Failure::new(ErrorKind::UnknownName, message).at("/integration")
            })?;
        let Some(version) = version else {
            return Ok(face);
        };
        let here = face.manifest()?;
        if here.version == version || here.version.starts_with(&format!("{version}.")) {
            return Ok(face);
        }
        let message = format!(
            "\"{wanted}\" is not here; this host has {}.",
            here.full_id()
        );
        Err(Failure::new(ErrorKind::UnknownName, message).at("/integration"))
    }

    /// Every fault of the catalog, each with `file:pointer`.
    pub fn check(&self) -> Vec<Failure> {
        let mut faults = Vec::new();
        let vocabulary = match self.vocabulary() {
            Ok(names) => names,
            Err(failure) => return vec![failure.at("mappings/fields.json")],
        };
        let names: Vec<&str> = vocabulary.iter().map(String::as_str).collect();
        let fields = self.fields();
        for file in self.mappings.values() {
            match Definition::parse(&file.content, &file.name) {
                Ok(definition) => {
                    faults.extend(mapping::lint(&definition, &names, &file.name));
                }
                Err(failure) => faults.push(failure),
            }
        }
        for face in &self.faces {
            match face.manifest() {
                Ok(manifest) => {
                    faults.extend(placed(&face.file, manifest::lint::lint(manifest)));
                    faults.extend(placed(&face.file, check::cross_check(manifest, &fields)));
                }
                Err(failure) => faults.push(failure),
            }
        }
        faults
    }

    /// Mappings that no manifest names, that extend no named one (`fetch_event_extended` extends
    /// `fetch_event` and is there for requests to choose), and that belong to no standard
    /// vocabulary. A compiled-in one is dead data, and a test fails.
    pub fn unused(&self) -> Vec<Failure> {
        let named = |name: &str| {
            self.faces
                .iter()
                .filter_map(|face| face.manifest().ok())
                .flat_map(|manifest| &manifest.commands)
                .any(|command| {
                    let made = [
                        command.mapping.as_deref(),
                        command.outputs.context_mapping(),
                    ];
                    made.into_iter().flatten().any(|known| extends(name, known))
                })
        };
        self.mappings
            .iter()
            .filter(|(name, _)| !name.starts_with("ocsf/") && !name.starts_with("ecs/"))
            .filter(|(name, _)| !named(name))
            .map(|(_, file)| {
                let message = "No manifest names this mapping.";
                Failure::new(ErrorKind::InvalidMapping, message).at(file.name.clone())
            })
            .collect()
    }
}

/// Is it that mapping, or a variant of it: the same name with a suffix after an underscore?
fn extends(name: &str, known: &str) -> bool {
    let suffix = name.strip_prefix(known);
    suffix.is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('_'))
}

fn target(face: &Face, number: usize) -> Result<Target<'_>, Failure> {
    let (manifest, command) = face.addressed(number)?;
    let fault = |why: String| {
        let at = format!("{}:/commands/{number}", face.file);
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

fn no_command(command: &str, among: &[&Face]) -> Failure {
    let titles: Vec<&str> = among.iter().flat_map(|face| face.titles()).collect();
    let hint = suggestion(command, titles);
    let message = format!("There is no command \"{command}\". {hint}");
    Failure::new(ErrorKind::UnknownName, message).at("/command")
}

fn ambiguous(command: &str, several: &[(&Face, usize)]) -> Failure {
    let ids: Vec<&str> = several.iter().map(|(face, _)| face.id()).collect();
    let message = format!("\"{command}\" is a command of {}.", ids.join(" and of "));
    Failure::new(ErrorKind::UnknownName, message)
        .at("/integration")
        .advice("Name the integration in the request.")
}

fn placed(file: &str, faults: Vec<Failure>) -> impl Iterator<Item = Failure> {
    faults.into_iter().map(move |fault| {
        let pointer = fault.place().unwrap_or_default().to_owned();
        fault.at(format!("{file}:{pointer}"))
    })
}

/// The JSON files below a folder, by their path from the catalog's root.
fn json_files(folder: &Path, prefix: &str) -> Result<BTreeMap<String, String>, Failure> {
    let unreadable = |error: std::io::Error| {
        let message = format!(
            "The catalog folder {} cannot be read: {error}.",
            folder.display()
        );
        Failure::invalid_input("--catalog", message)
    };
    let mut files = BTreeMap::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let below = format!("{prefix}/{name}");
        if path.is_dir() {
            files.extend(json_files(&path, &below)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.insert(below, std::fs::read_to_string(&path).map_err(unreadable)?);
        }
    }
    Ok(files)
}
