//! Samples of the results of commands, for the reference page.
//!
//! `samples.json` holds the simulator's answers to the sample requests of the built-in
//! integrations. A test writes and compares it. Commands of an operator's catalog have no samples.

use serde_json::{Map, Value};

use super::line;
use crate::json::whitespace::indented;
use crate::manifest::{CommandSpec, Manifest};

const SAMPLES: &str = include_str!("samples.json");

/// Writes the samples of a command.
pub(super) fn section(page: &mut String, manifest: &Manifest, command: &CommandSpec) {
    // A test reads every sample, so parsing never fails.
    let samples: Map<String, Value> = serde_json::from_str(SAMPLES).unwrap_or_default();
    let Some(sample) = samples.get(&format!("{}.{}", manifest.id, command.id)) else {
        return;
    };
    if let Some(result) = sample.get("result") {
        line(page, "\nSample result. Lists are shortened:\n");
        block(page, result);
    }
    if let Some(readable) = sample.get("readable").and_then(Value::as_str) {
        line(page, "\n`readable` of this sample:\n");
        for text in readable.lines() {
            line(page, format!("> {text}").trim_end());
        }
    }
    if let Some(failure) = sample.get("failure") {
        line(page, "\nSample failure:\n");
        block(page, failure);
    }
}

fn block(page: &mut String, value: &Value) {
    line(
        page,
        &format!("```json\n{}\n```", indented(&value.to_string())),
    );
}
