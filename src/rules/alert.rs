//! An alert: the result of a rule, as it stands in `context_data.Alerts`. `message` writes its
//! sentence.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// The largest number of record ids in an alert.
pub const MAX_RECORD_IDS: usize = 100;

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Alert {
    /// A stable key: the same finding has the same key in every run.
    pub key: String,
    /// The rule's id, else its name or title.
    pub rule: String,
    /// The rule's title.
    pub title: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    pub level: String,
    /// The rule's tags, such as `attack.t1110.003`.
    pub tags: Vec<String>,
    /// The number of records.
    pub count: u64,
    /// The fields that the rule groups by, with their values; empty for a rule about one record.
    pub group: BTreeMap<String, String>,
    /// The time of the first record.
    pub first_time: String,
    /// The time of the last record.
    pub last_time: String,
    /// The ids of the records, the first 100 by time.
    pub record_ids: Vec<String>,
    /// One sentence with the values.
    pub message: String,
    /// Known harmless causes, from the rule.
    pub false_positives: Vec<String>,
}

impl Alert {
    /// Orders alerts for presentation: severe ones first, then by time.
    pub fn rank(&self) -> (usize, &str, &str) {
        const LEVELS: [&str; 4] = ["critical", "high", "medium", "low"];
        let level = LEVELS.iter().position(|level| *level == self.level);
        let level = level.unwrap_or(LEVELS.len());
        (level, &self.first_time, &self.key)
    }
}
