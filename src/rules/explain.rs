//! Why a rule matches a record or not.

use rsigma_eval::{RuleExplanation, explain_rule};

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
