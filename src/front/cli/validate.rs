//! `validate`: every fault of manifests and mappings, with file, line, pointer and fix.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::front::cli::Ended;
use crate::front::cli::args::{SettingsArgs, ValidateArgs};
use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::host::catalog::Catalog;
use crate::manifest::{self, Manifest};
use crate::mapping::{self, Definition};
use crate::protocol::document::line_of;
use crate::protocol::failure::{ErrorKind, Failure};

/// One fault, with where.
struct Finding {
    file: String,
    line: Option<usize>,
    pointer: String,
    message: String,
}

/// Checks files and folders, or the catalog in use.
pub(super) fn validate(args: &ValidateArgs, settings: &SettingsArgs, out: &mut Out) -> Ended {
    let mut findings = Vec::new();
    let mut checked = 0;
    let in_use = settings.catalog.iter().cloned().collect();
    let paths: &Vec<PathBuf> = if args.paths.is_empty() {
        &in_use
    } else {
        &args.paths
    };
    if paths.is_empty() {
        let catalog = Catalog::builtin_strict();
        checked += 1;
        findings.extend(
            faults_of(catalog)
                .into_iter()
                .map(|fault| finding(Path::new(""), &fault)),
        );
    }
    for path in paths {
        checked += 1;
        let faults = if path.is_dir() {
            faults_of(Catalog::read(path))
        } else {
            file_faults(path)
        };
        findings.extend(faults.into_iter().map(|fault| finding(path, &fault)));
    }
    report(&findings, checked, args.json, out)
}

fn faults_of(catalog: Result<Catalog, Failure>) -> Vec<Failure> {
    match catalog {
        Ok(catalog) => catalog.check(),
        Err(failure) => failure.split(),
    }
}

/// A file of either kind, told apart by its version key.
fn file_faults(path: &Path) -> Vec<Failure> {
    let name = path.to_string_lossy().into_owned();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("The file cannot be read: {error}.");
            return vec![Failure::new(ErrorKind::InvalidMapping, message).at(name)];
        }
    };
    let is_manifest = serde_json::from_str::<serde_json::Value>(&text)
        .is_ok_and(|value| value.get("manifest").is_some());
    let faults = if is_manifest {
        Manifest::parse(&text, &name).map(|read| {
            let faults = manifest::lint::lint(&read).into_iter();
            faults.map(|fault| placed(fault, &name)).collect()
        })
    } else {
        Definition::parse(&text, &name).and_then(|read| {
            let known = Catalog::builtin()?.vocabulary()?;
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Ok(mapping::lint(&read, &known, &name))
        })
    };
    match faults {
        Err(failure) => failure.split(),
        Ok(faults) => faults,
    }
}

fn placed(fault: Failure, file: &str) -> Failure {
    let pointer = fault.place().unwrap_or_default().to_owned();
    fault.at(format!("{file}:{pointer}"))
}

fn finding(path: &Path, fault: &Failure) -> Finding {
    let place = fault.place().unwrap_or_default();
    let (file, pointer) = place
        .rsplit_once(".json:")
        .map_or((place.to_owned(), ""), |(file, rest)| {
            (format!("{file}.json"), rest)
        });
    let on_disk = if path.is_dir() {
        path.join(&file)
    } else {
        path.to_path_buf()
    };
    let text = std::fs::read_to_string(&on_disk).ok();
    Finding {
        line: text.and_then(|text| line_of(&text, pointer)),
        file: if path.is_dir() {
            on_disk.to_string_lossy().into_owned()
        } else {
            file
        },
        pointer: pointer.to_owned(),
        message: fault.message().to_owned(),
    }
}

fn report(findings: &[Finding], checked: usize, json: bool, out: &mut Out) -> Ended {
    let code = if findings.is_empty() { 0 } else { 2 };
    if json {
        let all: Vec<_> = findings
            .iter()
            .map(|f| json!({ "file": f.file, "line": f.line, "pointer": f.pointer, "message": f.message }))
            .collect();
        print_json(&json!({ "faults": all }), out)?;
        return Ok(code);
    }
    for f in findings {
        let line = f.line.map(|line| format!(":{line}")).unwrap_or_default();
        writeln!(out, "{}{line}: {}: {}", f.file, f.pointer, f.message)?;
    }
    let word = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    writeln!(
        out,
        "{}; {} checked.",
        word(findings.len(), "fault"),
        checked
    )?;
    Ok(code)
}
