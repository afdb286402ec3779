//! Faults as a SARIF 2.1.0 log, for annotations in pull requests.
//!
//! Paths are relative to the folder in which the command runs, which must be the root of the
//! repository. Has only the members that code scanning reads.

use std::path::Path;

use serde_json::{Value, json};
use url::Url;

use crate::front::diagnostics::kind::Kind;
use crate::front::diagnostics::{Fault, Report};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The id of the rule for files whose kind is unknown or that cannot be read.
const FILE: &str = "invalid-file";

/// The log. `root` is the absolute path of the repository.
pub(in crate::front) fn sarif(report: &Report, root: &Path) -> Value {
    let ids = || Kind::ALL.map(Some).into_iter().chain([None]);
    let rules = ids().map(|kind| {
        let what = kind.map_or("file", Kind::name);
        json!({ "id": rule(kind), "name": rule(kind),
                "shortDescription": { "text": format!("Invalid {what}") },
                "defaultConfiguration": { "level": "error" },
                "help": { "text": "soarhost validate shows each fault with its remedy." } })
    });
    let results = report.faults.iter().map(|fault| {
        let index = ids().position(|kind| kind == fault.kind);
        let advice = fault.advice.iter().map(|advice| format!(" {advice}"));
        let message = std::iter::once(fault.message.clone()).chain(advice);
        json!({ "ruleId": rule(fault.kind), "ruleIndex": index,
                "level": fault.severity.name(),
                "message": { "text": message.collect::<String>() },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": uri(&fault.file, root) },
                    "region": region(fault) } }] })
    });
    json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [{
        "tool": { "driver": { "name": "soarhost", "semanticVersion": env!("CARGO_PKG_VERSION"),
                              "rules": rules.collect::<Vec<_>>() } },
        "columnKind": "unicodeCodePoints",
        "results": results.collect::<Vec<_>>() }] })
}

fn rule(kind: Option<Kind>) -> String {
    kind.map_or(FILE.to_owned(), |kind| format!("invalid-{}", kind.name()))
}

/// A fault without a place is shown at the first line, because code scanning requires a region.
fn region(fault: &Fault) -> Value {
    match fault.place {
        Some(place) => json!({ "startLine": place.line, "startColumn": place.column,
                               "endLine": place.line, "endColumn": place.end_column }),
        None => json!({ "startLine": 1 }),
    }
}

/// The path below the root as a relative reference, percent-encoded.
fn uri(file: &str, root: &Path) -> String {
    let absolute = root.join(file);
    let (Ok(base), Ok(file_url)) = (
        Url::from_directory_path(root),
        Url::from_file_path(absolute),
    ) else {
        return file.to_owned();
    };
    let relative = base.make_relative(&file_url);
    relative.unwrap_or_else(|| file_url.to_string())
}
