//! `mapping diff`: compares two versions of a mapping on samples.
//!
//! Finds the versions (files, mappings of the catalog, git revisions) and the samples, and prints
//! the difference. `mapping::diff` compares.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::samples::{Folder, read};
use super::text::Compared;
use super::{markdown, revision, text};
use crate::front::cli::ExitResult;
use crate::front::cli::out::Out;
use crate::front::cli::settings::SettingsArgs;
use crate::front::cli::style::Style;
use crate::host::catalog::Catalog;
use crate::json::whitespace::indented;
use crate::mapping::Definition;
use crate::mapping::diff::Comparison;
use crate::protocol::failure::{ErrorKind, Failure};

const HINT: &str = "\
OLD and NEW are a file, a mapping of the catalog, or a file of a git revision:

  soarhost mapping diff HEAD:mappings/acme/alert.json mappings/acme/alert.json
  soarhost mapping diff acme/alert new.json answer.json

Without SAMPLE, the samples of the mapping are used: samples/MAPPING/*.json (or tests/samples/…) in the
folder with its mappings/, or in the current folder.

Exit codes: 0 same; 1 different; 2 a file, a revision or a sample cannot be read or mapped.";

/// Arguments of `mapping diff`.
#[derive(Args, Debug)]
#[command(after_help = HINT)]
pub(in crate::front::cli) struct DiffArgs {
    /// The old version: a file, the name of a mapping, or REVISION:PATH
    old: String,
    /// The new version
    new: String,
    /// Saved answers of the service, or results that hold them [default: the samples of the mapping]
    #[arg(value_name = "SAMPLE")]
    samples: Vec<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print a table in Markdown, for a pull request
    #[arg(long)]
    markdown: bool,
}

/// One version of a mapping.
struct Version {
    definition: Definition,
    /// Its name in a catalog.
    name: Option<String>,
    /// The catalog folder that contains it.
    folder: Option<PathBuf>,
}

/// Compares two versions of a mapping.
pub(super) fn diff(
    args: &DiffArgs,
    settings: &SettingsArgs,
    catalog: &Catalog,
    out: &mut Out,
) -> ExitResult {
    let versions = [version(&args.old, catalog)?, version(&args.new, catalog)?];
    let [old, new] = &versions;
    let mut comparison = Comparison::new(&old.definition, &new.definition)?;
    let samples = samples(args, settings, &versions)?;
    for file in &samples {
        let name = file
            .file_stem()
            .unwrap_or(file.as_os_str())
            .to_string_lossy();
        comparison.add(&name, &read(file)?)?;
    }
    let difference = comparison.finish();
    let code = u8::from(!difference.is_empty());
    let compared = Compared {
        title: new.name.clone().unwrap_or_else(|| args.new.clone()),
        samples: samples.len(),
        difference,
    };
    if args.json {
        let json = serde_json::to_string(&compared.difference).map_err(std::io::Error::from)?;
        writeln!(out, "{}", indented(&json))?;
    } else if args.markdown {
        out.write_all(markdown::page(&compared).as_bytes())?;
    } else {
        let page = text::page(&compared, Style::of(out));
        out.write_all(page.as_bytes())?;
    }
    Ok(code)
}

/// Reads a version: a file, else a git revision if the name has a colon, else a mapping of the
/// catalog.
fn version(name: &str, catalog: &Catalog) -> Result<Version, Failure> {
    let file = Path::new(name);
    let (text, path, folder) = if file.is_file() {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("{name} cannot be read: {error}.");
            Failure::new(ErrorKind::InvalidMapping, message)
        })?;
        (text, name, Catalog::folder_of(file))
    } else if let Some((_, path)) = name.split_once(':') {
        (revision::show(name)?, path, None)
    } else {
        let definition = catalog.mapping(name).map_err(|failure| {
            failure.advice(
                "Name a file, a mapping of the catalog, or a file of a git revision, such as \
                 HEAD:mappings/NAME.json.",
            )
        })?;
        return Ok(Version {
            definition,
            name: Some(name.to_owned()),
            folder: None,
        });
    };
    let definition = Definition::parse(&text, name)?;
    let id = Some(definition.id.clone()).filter(|id| !id.is_empty());
    Ok(Version {
        name: name_in_catalog(path).or(id),
        definition,
        folder,
    })
}

/// `acme/alert` of `…/mappings/acme/alert.json`.
fn name_in_catalog(path: &str) -> Option<String> {
    let (_, below) = format!("/{path}")
        .rsplit_once("/mappings/")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))?;
    below.strip_suffix(".json").map(str::to_owned)
}

/// The samples to compare.
fn samples(
    args: &DiffArgs,
    settings: &SettingsArgs,
    versions: &[Version; 2],
) -> Result<Vec<PathBuf>, Failure> {
    if !args.samples.is_empty() {
        return Ok(args.samples.clone());
    }
    let mut names: Vec<&str> = versions
        .iter()
        .rev()
        .filter_map(|one| one.name.as_deref())
        .collect();
    names.dedup();
    let folders = versions.iter().rev().filter_map(|one| one.folder.clone());
    let folders = folders
        .chain(settings.catalog.clone())
        .chain([PathBuf::from(".")]);
    for folder in folders {
        let folder = Folder::of(&folder);
        let mut found = Vec::new();
        for name in &names {
            found.extend(folder.samples_of(name)?);
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let name = names.first().copied().unwrap_or("MAPPING");
    let message = format!("No sample of \"{name}\" was found.");
    let advice = format!(
        "Name a saved answer after the two versions, or save it as samples/{name}/NAME.json."
    );
    Err(Failure::new(ErrorKind::InvalidInput, message).advice(advice))
}
