//! Samples of rules: records that a rule must find, and records that it must not find.
//!
//! A file holds the samples of one rule:
//!
//! ```json
//! { "rule": "mass_download",
//!   "positive": [{ "name": "120 downloads", "alerts": 1, "records": [
//!     { "repeat": 120, "every": 20, "record": { "Id": "…", "Operation": "FileDownloaded" } }] }],
//!   "negative": [{ "name": "one download", "records": [{ "Id": "…", "Operation": "FileDownloaded" }] }] }
//! ```
//!
//! `rule` is the name of the rule's file without `.yml`. `alerts` is the number of alerts that the rule
//! must give: by default one for positive samples, and none for negative ones. `repeat` makes
//! copies of a record, `every` seconds apart, each with an id of its own; `{number}` in its texts becomes
//! the number of the copy.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;

use crate::protocol::{ErrorKind, Failure};
use crate::when;

/// The maximum number of copies of a record: all are in memory.
const MAX_COPIES: u32 = 100_000;

/// The samples of a rule.
#[derive(Debug)]
pub struct Samples {
    /// The name of the rule's file without extension.
    pub rule: String,
    /// All samples, positive ones first.
    pub samples: Vec<Sample>,
}

/// Records, and the number of alerts that the rule must give for them.
#[derive(Debug)]
pub struct Sample {
    /// What the sample shows.
    pub name: String,
    /// The number of alerts.
    pub alerts: usize,
    /// The records as JSON texts.
    pub records: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: String,
    positive: Vec<Written>,
    negative: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    alerts: Option<usize>,
    records: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeated {
    repeat: u32,
    every: i64,
    record: Value,
}

impl Samples {
    /// Reads a file.
    pub fn parse(text: &str, name: &str) -> Result<Self, Failure> {
        let file: File = serde_json::from_str(text).map_err(|error| {
            let message = format!("The file is not a sample of a rule: {error}.");
            Failure::new(ErrorKind::InvalidInput, message)
                .at(name)
                .advice("Write \"rule\", \"positive\" and \"negative\"; each sample has \"name\" and \"records\".")
        })?;
        let of = |written: Vec<Written>, alerts: usize| {
            let samples = written.into_iter().map(move |one| Sample {
                alerts: one.alerts.unwrap_or(alerts),
                records: one.records.iter().flat_map(copies).collect(),
                name: one.name,
            });
            samples.collect::<Vec<_>>()
        };
        let written = file.positive.iter().chain(&file.negative);
        if let Some(repeat) = written
            .flat_map(|one| &one.records)
            .filter_map(|record| Repeated::deserialize(record).ok())
            .map(|repeated| repeated.repeat)
            .find(|repeat| *repeat > MAX_COPIES)
        {
            let message = format!("`repeat` must be at most {MAX_COPIES}; got {repeat}.");
            return Err(Failure::new(ErrorKind::InvalidInput, message).at(name));
        }
        let mut samples = of(file.positive, 1);
        samples.extend(of(file.negative, 0));
        Ok(Samples {
            rule: file.rule,
            samples,
        })
    }
}

/// A record, or its copies.
fn copies(record: &Value) -> Vec<String> {
    let Ok(repeated) = Repeated::deserialize(record) else {
        return vec![record.to_string()];
    };
    let numbers = 0..repeated.repeat;
    numbers.map(|n| copy(&repeated, n)).collect()
}

fn copy(repeated: &Repeated, n: u32) -> String {
    let text = repeated
        .record
        .to_string()
        .replace("{number}", &n.to_string());
    let Ok(mut record) = serde_json::from_str::<Value>(&text) else {
        return text;
    };
    if let Some(id) = record["Id"].as_str() {
        record["Id"] = format!("{id}-{n}").into();
    }
    let time = record["CreationTime"].as_str();
    let time = time.and_then(|time| when::instant(time, &[]));
    let later = TimeDelta::try_seconds(repeated.every.saturating_mul(n.into()));
    let later = later.and_then(|later| time?.checked_add_signed(later));
    if let Some(time) = later {
        record["CreationTime"] = time.format("%Y-%m-%dT%H:%M:%S").to_string().into();
    }
    record.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_limited_and_their_time_does_not_overflow() {
        let file = |repeat: u64, every: i64| {
            format!(
                r#"{{"rule":"x","positive":[],"negative":[{{"name":"n","records":[{{"repeat":{repeat},
                "every":{every},"record":{{"CreationTime":"2026-01-01T00:00:00"}}}}]}}]}}"#
            )
        };
        let refused = Samples::parse(&file(1_000_000_000, 1), "x.json").expect_err("too many");
        assert!(
            refused
                .message()
                .contains("`repeat` must be at most 100000")
        );
        let samples = Samples::parse(&file(2, 9_000_000_000_000_000), "x.json").expect("samples");
        assert!(samples.samples[0].records[1].contains("2026-01-01T00:00:00"));
    }
}
