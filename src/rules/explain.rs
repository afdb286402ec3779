//! Why a rule matches a record or not.

use rsigma_eval::{ConditionTrace, DetectionTrace, ItemTrace, RuleExplanation, explain_rule};

use crate::rules::RuleSet;
use crate::rules::record::{Record, Wanted};

/// Why one rule matches a record or not.
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
    /// The parts of the condition.
    pub parts: RuleExplanation,
}

impl Explanation {
    /// One line for each part of the condition: `yes` or `no`, and the values.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for condition in &self.parts.conditions {
            add_condition(condition, 1, &mut lines);
        }
        lines
    }
}

fn add(matched: bool, depth: usize, text: &str, lines: &mut Vec<String>) {
    let verdict = if matched { "yes" } else { "no " };
    lines.push(format!("{}{verdict}   {text}", "  ".repeat(depth)));
}

fn add_condition(part: &ConditionTrace, depth: usize, lines: &mut Vec<String>) {
    let matched = part.matched();
    match part {
        ConditionTrace::Selection {
            name, detection, ..
        } => {
            add(matched, depth, name, lines);
            add_detection(detection, depth + 1, lines);
        }
        ConditionTrace::And { children, .. } | ConditionTrace::Or { children, .. } => {
            let is_and = matches!(part, ConditionTrace::And { .. });
            add(
                matched,
                depth,
                if is_and { "all of" } else { "one of" },
                lines,
            );
            for child in children {
                add_condition(child, depth + 1, lines);
            }
        }
        ConditionTrace::Not { child, .. } => {
            add(matched, depth, "not", lines);
            add_condition(child, depth + 1, lines);
        }
        ConditionTrace::Quantified {
            quantifier,
            branches,
            ..
        } => {
            add(matched, depth, &format!("{quantifier} of"), lines);
            for branch in branches {
                add(branch.matched, depth + 1, &branch.name, lines);
                add_detection(&branch.detection, depth + 2, lines);
            }
        }
    }
}

fn add_detection(part: &DetectionTrace, depth: usize, lines: &mut Vec<String>) {
    match part {
        DetectionTrace::AllOf { items, .. } => {
            for item in items {
                add_item(item, depth, lines);
            }
        }
        DetectionTrace::AnyOf { branches, .. } | DetectionTrace::And { branches, .. } => {
            let is_and = matches!(part, DetectionTrace::And { .. });
            add(
                part.matched(),
                depth,
                if is_and { "all of" } else { "one of" },
                lines,
            );
            for branch in branches {
                add_detection(branch, depth + 1, lines);
            }
        }
        DetectionTrace::Keywords { item, .. } => add_item(item, depth, lines),
        DetectionTrace::ArrayMatch {
            field,
            quantifier,
            matched_count,
            member_count,
            ..
        } => {
            let text = format!("{quantifier} of {field}: {matched_count} of {member_count} match");
            add(part.matched(), depth, &text, lines);
        }
        DetectionTrace::Conditional { condition, .. } => add_condition(condition, depth, lines),
        DetectionTrace::Other { kind, .. } => add(part.matched(), depth, kind, lines),
    }
}

fn add_item(item: &ItemTrace, depth: usize, lines: &mut Vec<String>) {
    let field = item.field.as_deref().unwrap_or("any value");
    let kind = serde_json::to_value(item.matcher).unwrap_or_default();
    let kind = match kind.as_str().unwrap_or_default() {
        "exact" => "is".to_owned(),
        "one_of" => "is one of".to_owned(),
        other => other.replace('_', " "),
    };
    let wanted = item.pattern.as_deref().unwrap_or_default();
    let actual = match &item.actual {
        Some(actual) => format!("the record has {actual}"),
        None => "the record has no value".to_owned(),
    };
    let text = format!("{field} {kind} {wanted}; {actual}");
    add(item.matched, depth, &text, lines);
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
