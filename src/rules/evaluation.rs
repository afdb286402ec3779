//! One run: records in, alerts and the new state out. Holds matched records of correlations in
//! memory until the end, because records come in any order. `burst` decides when a correlation
//! gives an alert.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rsigma_eval::{CompiledCorrelation, Event, GroupKey};
use rsigma_parser::CorrelationType;
use serde_json::Value;

use crate::protocol::Warning;
use crate::rules::burst::{Hit, quiet_time, seconds};
use crate::rules::message;
use crate::rules::record::Record;
use crate::rules::record_id::RecordId;
use crate::rules::saved::{self, Groups, group_values};
use crate::rules::set::{Correlator, Detector};
use crate::rules::{Alert, Limits, Outcome, RuleSet};

/// The largest number of alerts about single records in a run.
const MAX_ALERTS: usize = 10_000;

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
        let before = before.min(now.timestamp());
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
        self.alerts.push(message::of_record(detector, record, key));
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
                    message::of_burst(correlator, by, group, &burst),
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
