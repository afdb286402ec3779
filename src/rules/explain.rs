//! Explains why a rule matches a record or does not. Correlations have no explanation: their alerts
//! name their records.

use rsigma_eval::{RuleExplanation, explain_rule};
use serde_json::Value;

use crate::rules::RuleSet;
use crate::rules::record::{Record, Wanted};

/// Why one rule matches a record or does not.
#[derive(Debug)]
pub struct Explanation {
    /// The rule's title.
    pub title: String,
    /// Does the rule match?
    pub matched: bool,
    /// Does the log source of the rule include records of this workload?
    pub in_log_source: bool,
    /// The record's workload.
    pub workload: String,
    parts: RuleExplanation,
}

impl Explanation {
    /// The parts of the condition as JSON.
    pub fn condition(&self) -> Value {
        serde_json::to_value(&self.parts.conditions).unwrap_or_default()
    }

    /// One line for each part of the condition: `yes` or `no`, and the values.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for part in self.condition().as_array().into_iter().flatten() {
            add(part, 1, &mut lines);
        }
        lines
    }
}

/// Adds a part and the parts below it.
fn add(part: &Value, depth: usize, lines: &mut Vec<String>) {
    let kind = part["type"].as_str().unwrap_or_default();
    let label = match kind {
        // The line of a selection is enough.
        "all_of" | "keywords" => None,
        "and" => Some("all of".to_owned()),
        "or" | "any_of" => Some("one of".to_owned()),
        _ if part["matcher"].is_string() => Some(item(part)),
        "quantified" => Some(format!("{} of", text(&part["quantifier"]))),
        "array_match" => Some(format!(
            "{} of {}",
            text(&part["quantifier"]),
            text(&part["field"])
        )),
        "selection" | "" => Some(text(&part["name"])),
        other => Some(other.to_owned()),
    };
    let below = depth + usize::from(label.is_some());
    if let Some(label) = label {
        let verdict = if part["matched"] == true {
            "yes"
        } else {
            "no "
        };
        lines.push(format!("{}{verdict}   {label}", "  ".repeat(depth)));
    }
    for name in ["children", "branches", "items", "members"] {
        for part in part[name].as_array().into_iter().flatten() {
            add(part, below, lines);
        }
    }
    for name in ["child", "detection", "condition", "item"] {
        if part[name].is_object() {
            add(&part[name], below, lines);
        }
    }
}

/// The comparison of one field.
fn item(part: &Value) -> String {
    let field = part["field"].as_str().unwrap_or("any value");
    let kind = match text(&part["matcher"]).as_str() {
        "exact" => "is".to_owned(),
        "one_of" => "is one of".to_owned(),
        other => other.replace('_', " "),
    };
    let wanted = text(&part["pattern"]);
    match &part["actual"] {
        Value::Null => format!("{field} {kind} {wanted}; the record has no value"),
        actual => format!("{field} {kind} {wanted}; the record has {actual}"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl RuleSet {
    /// Explains every rule about single records. `None` if the record is not a JSON object.
    pub fn explain(&self, record: &str) -> Option<Vec<Explanation>> {
        let record = Record::read(record, &Wanted::everything())?;
        let explain = |one: &super::set::Detector| {
            let in_log_source = one.scope.has_workload(&record.workload);
            let parts = explain_rule(&one.rule, &record.event);
            Explanation {
                title: one.rule.title.clone(),
                matched: parts.matched && in_log_source,
                in_log_source,
                workload: record.workload.clone(),
                parts,
            }
        };
        Some(self.detectors.iter().map(explain).collect())
    }
}
