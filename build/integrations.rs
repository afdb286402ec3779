//! Splits the built-in manifests into names, a head and single commands, so that a run parses only
//! the command that it needs.
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
