//! `init`: writes a catalog folder to begin with.
//!
//! The files are in `init/catalog`; the schemas are those of this program. They pass
//! `validate`, `fmt --check`, `mapping test` and `rules test`. Never changes existing files.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::front::cli::ExitResult;
use crate::front::cli::out::Out;
use crate::front::cli::schema::{SCHEMAS, write_schemas};
use crate::protocol::Failure;

/// Arguments of `init`.
#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// The folder to create; it can exist if it is empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

macro_rules! catalog {
    ($($file:literal),* $(,)?) => {
        /// The files of the folder, with their texts.
        const FILES: &[(&str, &str)] = &[
            $(($file, include_str!(concat!("init/catalog/", $file)))),*
        ];
    };
}

catalog! {
    "manifests/my_alerts.json",
    "mappings/my_alerts/alert.json",
    "mappings/my_alerts/rules/inbox_rule.yml",
    "requests/fetch_my_alerts.json",
    "samples/my_alerts/alert/two_alerts.json",
    "samples/my_alerts/rules/inbox_rule.json",
    "snapshots/my_alerts/alert/two_alerts.snap",
}

/// For Visual Studio Code. Its name would hide it in the sources.
const SETTINGS: (&str, &str) = (
    ".vscode/settings.json",
    include_str!("init/catalog/vscode_settings.json"),
);

/// The files and folders that an empty folder can contain.
const HARMLESS: [&str; 1] = [".git"];

/// Writes the folder, and prints the next commands.
pub(super) fn init(args: &InitArgs, out: &mut Out) -> ExitResult {
    let folder = &args.folder;
    in_the_way(folder)?;
    for (file, text) in FILES.iter().chain([&SETTINGS]) {
        write(&folder.join(file), text)?;
    }
    write_schemas(folder)?;
    let count = FILES.len() + 1 + SCHEMAS.len();
    writeln!(out, "{count} files written to {}.\n", folder.display())?;
    for (file, what) in [
        ("manifests/my_alerts.json", "two commands"),
        (
            "mappings/my_alerts/alert.json",
            "their fields: one custom, one with a look-up table",
        ),
        ("mappings/my_alerts/rules", "a detection rule (Sigma)"),
        ("requests", "a request"),
        ("samples, snapshots", "raw data, and the expected events"),
        (
            "snapshots/schema, .vscode",
            "for editors: completion and checks",
        ),
    ] {
        writeln!(out, "  {file:<30} {what}")?;
    }
    let shown = quoted(folder);
    writeln!(out, "\nNext:\n")?;
    for command in NEXT {
        writeln!(out, "  soarhost {}", command.replace("DIR", &shown))?;
    }
    Ok(0)
}

/// Commands to try, with `DIR` for the folder.
const NEXT: &[&str] = &[
    "validate DIR",
    #[cfg(feature = "sim")]
    "try \"Fetch My Alerts\" --catalog DIR",
    "map my_alerts/alert DIR/samples/my_alerts/alert/two_alerts.json --catalog DIR",
    "mapping test DIR",
    #[cfg(feature = "rules")]
    "rules test DIR",
    #[cfg(feature = "sim")]
    "run --sandbox --pretty --catalog DIR DIR/requests/fetch_my_alerts.json",
];

/// Fails if the folder is not empty.
fn in_the_way(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    let refused = |why: String| {
        let advice = "Name a folder that does not exist or is empty.";
        Failure::invalid_input("", why).advice(advice)
    };
    if !folder.exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder)
        .map_err(|error| refused(format!("The folder {shown} cannot be read: {error}.")))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.retain(|name| !HARMLESS.contains(&name.as_str()));
    names.sort();
    if names.is_empty() {
        return Ok(());
    }
    let names = names.join(", ");
    Err(refused(format!(
        "The folder {shown} is not empty. It has: {names}."
    )))
}

#[expect(
    clippy::disallowed_methods,
    reason = "an author's tool that writes files on request"
)]
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(file);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, text));
    written.map_err(|error| {
        let message = format!("{} cannot be written: {error}.", file.display());
        Failure::invalid_input("", message)
    })
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-~+@%".contains(c);
    if text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''")).into()
}
