//! Alerts with their sentences. Values are shortened, not escaped: `output` does that for Markdown.

use std::collections::{BTreeMap, HashSet};

use chrono::DateTime;
use rsigma_eval::{Event, EventValue, GroupKey};
use rsigma_parser::Level;

use crate::rules::burst::{Burst, Group, Hit};
use crate::rules::record::{Record, hash};
use crate::rules::set::{Correlator, Detector};
use crate::rules::{Alert, MAX_RECORD_IDS};
use crate::when;

/// The longest value in a message, in characters.
const MAX_VALUE: usize = 200;

/// The alert of a rule about one record.
pub(super) fn of_record(detector: &Detector, record: &Record, key: String) -> Alert {
    let rule = &detector.rule;
    let time = record.time().map_or_else(String::new, when::rfc3339);
    Alert {
        key,
        rule: detector.header.id.clone(),
        title: rule.title.clone(),
        level: level(rule.level),
        tags: rule.tags.clone(),
        count: 1,
        group: BTreeMap::new(),
        first_time: time.clone(),
        last_time: time,
        record_ids: vec![record.id.clone()],
        message: sentence(detector, record),
        false_positives: rule.falsepositives.clone(),
    }
}

/// The alert of a burst.
pub(super) fn of_burst(
    correlator: &Correlator,
    by: &[Option<String>],
    group: &Group,
    burst: &Burst,
) -> Alert {
    let rule = &correlator.rule;
    let hits = group.hits.get(burst.first..=burst.last).unwrap_or_default();
    let pairs = GroupKey(by.to_vec()).to_pairs(&rule.group_by);
    let time = |hit: Option<&Hit>| {
        let time = hit.and_then(|hit| DateTime::from_timestamp(hit.time, 0));
        time.map_or_else(String::new, when::rfc3339)
    };
    let (first_time, last_time) = (time(hits.first()), time(hits.last()));
    let mut seen = HashSet::new();
    let ids = hits
        .iter()
        .filter(|hit| seen.insert(&hit.id))
        .map(|hit| hit.id.to_string());
    let ids: Vec<String> = ids.collect();
    let distinct: HashSet<&str> = hits.iter().filter_map(|hit| hit.value.as_deref()).collect();
    let values = rule
        .condition
        .field
        .as_ref()
        .filter(|_| !distinct.is_empty());
    let values =
        values.map(|fields| format!(" with {} values of {}", distinct.len(), fields.join(", ")));
    let of: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let of = match of.as_slice() {
        [] => String::new(),
        of => format!(" for {}", short(&of.join(", "))),
    };
    let first_id = ids.first().map_or("", String::as_str);
    Alert {
        key: format!("{}:{}:{first_id}", correlator.header.id, hash(&by_text(by))),
        rule: correlator.header.id.clone(),
        title: rule.title.clone(),
        level: level(rule.level),
        tags: rule.tags.clone(),
        count: ids.len() as u64,
        group: pairs.into_iter().collect(),
        message: format!(
            "{}: {} records{}{of} between {first_time} and {last_time}.",
            rule.title,
            ids.len(),
            values.unwrap_or_default()
        ),
        first_time,
        last_time,
        record_ids: ids.into_iter().take(MAX_RECORD_IDS).collect(),
        false_positives: rule.falsepositives.clone(),
    }
}

fn by_text(by: &[Option<String>]) -> String {
    let values: Vec<&str> = by
        .iter()
        .map(|value| value.as_deref().unwrap_or_default())
        .collect();
    values.join("\u{1f}")
}

/// The sentence of an alert about one record.
fn sentence(detector: &Detector, record: &Record) -> String {
    let value = |name: &str| record.event.get_field(name).as_ref().and_then(shown);
    let part = |before: &str, name: &str| value(name).map(|text| format!(" {before} {text}"));
    let user = value("UserId").unwrap_or_else(|| "an unknown user".to_owned());
    let parts = [("on", "ObjectId"), ("from", "ClientIP")];
    let parts: String = parts
        .into_iter()
        .filter_map(|(before, name)| part(before, name))
        .collect();
    let known = ["UserId", "ObjectId", "ClientIP", "Operation"];
    let fields = detector
        .header
        .fields
        .iter()
        .filter(|name| !known.contains(&name.as_str()));
    let fields: Vec<String> = fields
        .filter_map(|name| Some(format!("{name}: {}", value(name)?)))
        .collect();
    let fields = match fields.as_slice() {
        [] => String::new(),
        fields => format!(" {}.", fields.join("; ")),
    };
    let title = &detector.rule.title;
    format!("{title}: {user}, {}{parts}.{fields}", record.operation)
}

/// A value for a message.
fn shown(value: &EventValue<'_>) -> Option<String> {
    let text = match value {
        EventValue::Null => return None,
        EventValue::Array(_) | EventValue::Map(_) => value.to_json().to_string(),
        other => other.as_str()?.into_owned(),
    };
    (!text.is_empty()).then(|| short(&text))
}

/// A text without line breaks, cut if it is long.
fn short(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn level(level: Option<Level>) -> String {
    level.unwrap_or(Level::Medium).as_str().to_owned()
}
