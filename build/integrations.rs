//! Splits the built-in manifests into names, a head and single commands, so that a run parses only
//! the command that it needs. Collects the texts of the built-in rules.
//!
//! Does not validate manifests: a test does that. A file that is not JSON stops the build.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

/// Writes `<id>.rs` for every file of `manifests/`: an expression of type `Compiled`.
///
/// Errors: the file that cannot be read or is not JSON.
pub(crate) fn prepare(root: &Path, out: &Path) -> Result<(), String> {
    let folder = root.join("manifests");
    println!("cargo::rerun-if-changed=manifests");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("manifests/: {error}"))?;
    for entry in entries {
        let path = entry
            .map_err(|error| format!("manifests/: {error}"))?
            .path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        let manifest = serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
        let name = Path::new(file.as_ref()).with_extension("rs");
        std::fs::write(out.join(name), expression(&file, &text, manifest))
            .map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

/// Writes `rules.rs`: the names and texts of the files `mappings/*/rules/*.yml`, as an array.
pub(crate) fn prepare_rules(root: &Path, out: &Path) -> Result<(), String> {
    println!("cargo::rerun-if-changed=mappings");
    let named = |error: std::io::Error| format!("mappings/: {error}");
    let mut files = Vec::new();
    for integration in std::fs::read_dir(root.join("mappings")).map_err(named)? {
        let Ok(rules) = std::fs::read_dir(integration.map_err(named)?.path().join("rules")) else {
            continue;
        };
        for file in rules {
            files.push(file.map_err(named)?.path());
        }
    }
    files.sort();
    let mut array = String::from("&[");
    for file in files {
        let name = file.strip_prefix(root).map_err(|error| error.to_string())?;
        let text = std::fs::read_to_string(&file).map_err(named)?;
        // Writing to a String cannot fail.
        let _ = write!(array, "({:?}, {text:?}),", name.display().to_string());
    }
    array.push(']');
    std::fs::write(out.join("rules.rs"), array).map_err(named)
}

fn expression(file: &str, text: &str, mut manifest: Value) -> String {
    let commands = manifest["commands"].take();
    manifest["commands"] = Value::Array(Vec::new());
    let id = manifest["id"].as_str().unwrap_or_default().to_owned();
    let mut split = String::new();
    for command in commands.as_array().into_iter().flatten() {
        let aliases = command["aliases"].as_array().into_iter().flatten();
        let names = [&command["id"], &command["title"]]
            .into_iter()
            .chain(aliases);
        let names: Vec<&str> = names.filter_map(Value::as_str).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            split,
            "CompiledCommand {{ names: &{names:?}, text: {:?} }},",
            command.to_string()
        );
    }
    format!(
        "Compiled {{ file: {:?}, id: {id:?}, text: {text:?}, head: {:?}, commands: &[{split}] }}",
        format!("manifests/{file}"),
        manifest.to_string(),
    )
}
