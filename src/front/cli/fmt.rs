//! `fmt`: writes manifests and mappings in one layout, so that changes are easy to review.
//!
//! `layout` has the rules. A file with faults is not changed. Other files are left alone.

mod layout;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::front::cli::out::Out;
use crate::front::cli::settings::{self, SettingsArgs};
use crate::front::cli::{ExitResult, INVALID};
use crate::front::counted;
use crate::front::diagnostics::Checker;
use crate::host::catalog::{Catalog, folder};
use crate::manifest::Manifest;
use crate::mapping::Definition;
use crate::protocol::Failure;
pub use layout::canonical;

/// Arguments of `fmt`.
#[derive(Args, Debug)]
pub(super) struct FmtArgs {
    /// Manifests, mappings or catalog folders [default: the folder of --catalog, else the current one]
    paths: Vec<PathBuf>,
    /// Change nothing; name the files that would change, and exit with 1 if there are any
    #[arg(long)]
    check: bool,
}

/// The schemas that determine the order of members.
struct Schemas {
    manifest: Value,
    mapping: Value,
}

/// Formats files.
pub(super) fn fmt(args: &FmtArgs, operator: &SettingsArgs, out: &mut Out) -> ExitResult {
    let checker = Checker::new(settings::settings(operator)?);
    let in_use = operator
        .catalog
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    let paths = if args.paths.is_empty() {
        &vec![in_use]
    } else {
        &args.paths
    };
    let schemas = Schemas {
        manifest: schema::<Manifest>(),
        mapping: schema::<Definition>(),
    };
    let mut files = Vec::new();
    for path in paths {
        files.extend(authored(path)?);
    }
    let (mut changed, mut faulty) = (0, 0);
    for file in &files {
        let name = file.strip_prefix(".").unwrap_or(file).display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::invalid_input("", format!("{name} cannot be read: {error}."))
        })?;
        if checker.has_error(&file.to_string_lossy(), &text) {
            faulty += 1;
            tracing::error!(
                "{name} has faults and was not changed. `soarhost validate {name}` shows them."
            );
            continue;
        }
        let Some(schema) = schemas.of(&text) else {
            faulty += 1;
            tracing::error!("{name} is neither a manifest nor a mapping and was not changed.");
            continue;
        };
        let formatted = canonical(&text, schema);
        if formatted == text {
            continue;
        }
        changed += 1;
        writeln!(out, "{name}")?;
        if !args.check {
            write(file, &formatted)?;
        }
    }
    let word = if args.check {
        "would change"
    } else {
        "changed"
    };
    let unchanged = files.len() - changed - faulty;
    let count = |number: usize| counted(u64::try_from(number).unwrap_or(u64::MAX), "file");
    writeln!(out, "{} {word}, {unchanged} unchanged.", count(changed))?;
    Ok(match (faulty, changed) {
        (1.., _) => INVALID,
        (0, 1..) if args.check => 1,
        _ => 0,
    })
}

fn schema<T: JsonSchema>() -> Value {
    Value::from(schema_for!(T))
}

impl Schemas {
    /// The schema of a text; `None` if it is neither a manifest nor a mapping.
    fn of(&self, text: &str) -> Option<&Value> {
        let read: Result<Value, _> = serde_json::from_str(text.trim_start_matches('\u{feff}'));
        let object = read.ok()?;
        match (object.get("manifest"), object.get("mapping")) {
            (Some(_), _) => Some(&self.manifest),
            // A request can name a mapping.
            (None, Some(_)) if object.get("command").is_none() => Some(&self.mapping),
            _ => None,
        }
    }
}

/// The manifests and mappings at a path: the file, or those of a catalog folder.
fn authored(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !Catalog::is_folder(path) {
        let name = path.display();
        let message = if path.exists() {
            format!("The folder {name} has no manifests or mappings.")
        } else {
            format!("{name} does not exist.")
        };
        let advice = "Name a manifest, a mapping, or a folder with manifests/ or mappings/.";
        return Err(Failure::invalid_input("", message).advice(advice));
    }
    let folders = ["manifests", "mappings"].map(|name| path.join(name));
    let mut files = Vec::new();
    for folder in &folders {
        files.extend(folder::files(folder, &["json"]).map_err(|error| {
            let message = format!("{} cannot be read: {error}.", folder.display());
            Failure::invalid_input("", message)
        })?);
    }
    files.retain(|file| *file != path.join("mappings").join("fields.json"));
    Ok(files)
}

/// Writes a file. A new file with the same permissions replaces it, so it is never incomplete. Of a
/// link, the file it leads to is written.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    replace(file, text.as_bytes()).map_err(|error| {
        let message = format!("{} cannot be written: {error}.", file.display());
        Failure::invalid_input("", message)
    })
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = file.canonicalize()?;
    // A file that must not be written is not replaced either.
    OpenOptions::new().write(true).open(&file)?;
    let permissions = file.metadata()?.permissions();
    // Two processes must not write the same new file.
    let new = file.with_extension(format!("new-{:x}", fastrand::u64(..)));
    let mut options = OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .open(&new)
        .and_then(|mut opened| {
            opened.set_permissions(permissions)?;
            opened.write_all(bytes)?;
            opened.sync_all()
        })
        .and_then(|()| std::fs::rename(&new, &file));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}
