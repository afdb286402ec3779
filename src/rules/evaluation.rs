//! One run: records in, alerts and the new state out.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use rsigma_eval::{CompiledCorrelation, Event, EventValue, GroupKey};
use rsigma_parser::{CorrelationType, Level};
use serde_json::Value;

use crate::protocol::Warning;
use crate::rules::burst::{Burst, Group, Hit, quiet_time, seconds};
use crate::rules::record::{Record, hash};
use crate::rules::record_id::RecordId;
use crate::rules::saved::{self, Groups, group_values};
use crate::rules::set::{Correlator, Detector};
use crate::rules::{Alert, Limits, MAX_RECORD_IDS, Outcome, RuleSet};
use crate::when;

/// The largest number of alerts about single records in a run.
const MAX_ALERTS: usize = 10_000;
/// The longest value in a message, in characters.
const MAX_VALUE: usize = 200;

/// A run over records.
#[derive(Debug)]
pub struct Evaluation<'a> {
    rules: &'a RuleSet,
    limits: Limits,
    now: i64,
    alerts: Vec<Alert>,
    /// The keys of `alerts`: a record that is repeated gives no second alert.
    keys: HashSet<String>,
    groups: Groups,
    /// The newest hit of earlier runs.
    before: i64,
    /// The newest hit.
    newest: i64,
    warnings: Vec<Warning>,
    counts: Counts,
}

/// Records and alerts that were not handled in full.
#[derive(Debug, Default)]
struct Counts {
    unreadable: u64,
    without_time: u64,
    late: u64,
    over_limit: u64,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        rules: &'a RuleSet,
        saved: Option<&Value>,
        now: DateTime<Utc>,
        limits: Limits,
    ) -> Self {
        let (groups, before, warning) = match saved {
            Some(saved) if !saved.is_null() => saved::read(saved, rules),
            _ => (Groups::new(), i64::MIN, None),
        };
        Evaluation {
            rules,
            limits,
            now: now.timestamp(),
            alerts: Vec::new(),
            keys: HashSet::new(),
            groups,
            before,
            newest: before,
            warnings: warning.into_iter().collect(),
            counts: Counts::default(),
        }
    }

    /// Evaluates the rules on a record: the text of a JSON object.
    pub fn record(&mut self, text: &str) {
        if !self.rules.selector.accepts(text) {
            return;
        }
        let Some(record) = Record::read(text, &self.rules.wanted) else {
            self.counts.unreadable += 1;
            return;
        };
        for n in self.rules.selector.rules(&record.operation) {
            let Some(detector) = self.rules.detectors.get(n) else {
                continue;
            };
            if detector.matches(&record) {
                if detector.header.alerts {
                    self.add_alert(detector, &record);
                }
                if !detector.counted_by.is_empty() {
                    self.count(detector, &record);
                }
            }
        }
    }

    fn add_alert(&mut self, detector: &Detector, record: &Record) {
        let key = format!("{}:{}", detector.header.id, record.id);
        if !self.keys.insert(key.clone()) {
            return;
        }
        if self.alerts.len() >= MAX_ALERTS {
            self.counts.over_limit += 1;
            return;
        }
        let rule = &detector.rule;
        let time = record.time().map_or_else(String::new, when::rfc3339);
        self.alerts.push(Alert {
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
        });
    }

    /// Adds the record to the groups of the correlations that count it.
    fn count(&mut self, detector: &Detector, record: &Record) {
        let Some(time) = record.time() else {
            self.counts.without_time += 1;
            return;
        };
        let time = time.timestamp();
        // A wrong clock must not make other records seem late.
        self.newest = self.newest.max(time.min(self.now));
        let names: Vec<&str> = detector
            .header
            .references
            .iter()
            .map(String::as_str)
            .collect();
        for (n, name) in &detector.counted_by {
            let Some(correlator) = self.rules.correlators.get(*n) else {
                continue;
            };
            let rule = &correlator.rule;
            let reach = seconds(rule.timespan_secs).max(quiet_time(rule));
            let horizon = self
                .before
                .saturating_sub(self.limits.lateness.saturating_add(reach));
            self.counts.late += u64::from(time < horizon);
            let key = GroupKey::extract(&record.event, &rule.group_by, &names);
            let Some(key) = group_values(key) else {
                continue;
            };
            let value = counted_value(&record.event, rule);
            if rule.correlation_type == CorrelationType::ValueCount && value.is_none() {
                continue;
            }
            let hit = Hit {
                time,
                rule: place_of(rule, name),
                id: RecordId::new(&record.id),
                value,
            };
            self.groups.entry((*n, key)).or_default().hits.push(hit);
        }
    }

    /// Evaluates the correlations, and returns what the run found.
    pub fn finish(mut self) -> Outcome {
        for n in 0..self.rules.correlators.len() {
            self.correlate(n);
        }
        let newest = self.newest;
        let groups = std::mem::take(&mut self.groups);
        let (state, warning) = saved::write(groups, newest, self.rules, self.limits);
        self.warnings.extend(warning);
        self.warnings.extend(self.counts.warnings());
        self.alerts.sort_by(|a, b| a.rank().cmp(&b.rank()));
        Outcome {
            alerts: self.alerts,
            state,
            warnings: self.warnings,
        }
    }

    fn correlate(&mut self, n: usize) {
        let Some(correlator) = self.rules.correlators.get(n) else {
            return;
        };
        let mut found: Vec<(Alert, i64, Vec<Option<String>>)> = Vec::new();
        let from = (n, Vec::new());
        let own = self
            .groups
            .range_mut(from..)
            .take_while(|((m, _), _)| *m == n);
        for ((_, by), group) in own {
            group.sort();
            for burst in group.new_bursts(&correlator.rule) {
                found.push((
                    alert(correlator, by, group, &burst),
                    burst.span.0,
                    by.clone(),
                ));
            }
        }
        for (alert, time, by) in found {
            self.count_alert(correlator, &alert, (time, &by));
            if correlator.header.alerts {
                self.alerts.push(alert);
            }
        }
    }

    /// Adds an alert to the groups of the correlations that count it.
    fn count_alert(
        &mut self,
        child: &Correlator,
        alert: &Alert,
        (time, by): (i64, &[Option<String>]),
    ) {
        for (n, name) in &child.counted_by {
            let Some(parent) = self.rules.correlators.get(*n) else {
                continue;
            };
            let pairs = GroupKey(by.to_vec()).to_pairs(&child.rule.group_by);
            let key = GroupKey::from_pairs(&pairs, &parent.rule.group_by);
            let Some(key) = group_values(key) else {
                continue;
            };
            let hit = Hit {
                time,
                rule: place_of(&parent.rule, name),
                id: RecordId::new(&alert.key),
                value: None,
            };
            self.groups.entry((*n, key)).or_default().hits.push(hit);
        }
    }
}

impl Counts {
    fn warnings(&self) -> Vec<Warning> {
        let all = [
            (
                self.unreadable,
                "rules_record_unreadable",
                "records are not JSON objects. No rule was evaluated on them.",
            ),
            (
                self.without_time,
                "rules_record_without_time",
                "records have no CreationTime that can be read. Correlations do not count them.",
            ),
            (
                self.late,
                "rules_record_late",
                "records arrived more than 24 hours late. Correlations could not count them with records of earlier runs.",
            ),
            (
                self.over_limit,
                "rules_alert_limit",
                "alerts about single records were not listed, because a run lists 10,000. Make the rules narrower.",
            ),
        ];
        let all = all.into_iter().filter(|(count, _, _)| *count > 0);
        all.map(|(count, code, text)| Warning::new(code, format!("{count} {text}")))
            .collect()
    }
}

/// The place of a rule in a correlation's list.
fn place_of(rule: &CompiledCorrelation, name: &str) -> u16 {
    let place = rule.rule_refs.iter().position(|known| known == name);
    place
        .and_then(|place| u16::try_from(place).ok())
        .unwrap_or(u16::MAX)
}

fn level(level: Option<Level>) -> String {
    level.unwrap_or(Level::Medium).as_str().to_owned()
}

/// The value that `value_count` counts: one value, or those of several fields.
fn counted_value(event: &impl Event, rule: &CompiledCorrelation) -> Option<Box<str>> {
    let fields = rule.condition.field.as_ref()?;
    let values = fields.iter().map(|field| {
        let value = event.get_field(field)?;
        Some(value.as_str()?.into_owned()).filter(|text| !text.is_empty())
    });
    let values: Option<Vec<String>> = values.collect();
    Some(values?.join("\u{1f}").into())
}

/// The alert of a burst.
fn alert(correlator: &Correlator, by: &[Option<String>], group: &Group, burst: &Burst) -> Alert {
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
