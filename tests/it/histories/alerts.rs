//! The alerts of a history: each one that a single run over all delivered records gives is given, no
//! record gives the same alert twice, and no alert names a record that was not delivered.
//!
//! Alerts of correlations are compared by the records that they name, because a run that knows fewer
//! records of a burst names fewer. Records that arrive too late are exempt: the result warns of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use soarhost::rules::{RuleSet, RuleText};

use super::warns;

pub const RULES: &str = "\
title: One record
id: one
logsource: { product: m365 }
detection: { selection: { Operation: New-InboxRule }, condition: selection }
---
title: Download
id: download
logsource: { product: m365 }
detection: { selection: { Operation: FileDownloaded }, condition: selection }
---
title: Failure
id: failure
logsource: { product: m365 }
detection: { selection: { Operation: UserLoginFailed }, condition: selection }
---
title: Many downloads
id: downloads
correlation:
  { type: event_count, rules: [download], group-by: [ClientIP], timespan: 6h, condition: { gte: 2 } }
---
title: Many users
id: failures
correlation:
  type: value_count
  rules: [failure]
  group-by: [ClientIP]
  timespan: 6h
  condition: { field: UserId, gte: 2 }
";

#[derive(Default)]
pub struct Alerts {
    records: Vec<Value>,
    given: Vec<Value>,
    /// A result said that correlations can miss records.
    is_exempt: bool,
}

/// The rule and group, and the records, of an alert.
fn parts(alert: &Value) -> (String, BTreeSet<&str>) {
    let ids = alert["record_ids"].as_array().into_iter().flatten();
    let ids = ids.filter_map(Value::as_str).collect();
    (format!("{} {}", alert["rule"], alert["group"]), ids)
}

impl Alerts {
    pub fn take(&mut self, result: &Value) {
        let all = |part: &Value| part.as_array().cloned().unwrap_or_default();
        self.records.extend(all(&result["raw_data"]));
        self.given.extend(all(&result["context_data"]["Alerts"]));
        let exempt = ["rules_record_late", "rules_state_full"];
        self.is_exempt |= exempt.iter().any(|code| warns(result, code));
    }

    pub fn check(&self) -> Result<(), String> {
        let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
        for id in self.records.iter().filter_map(|one| one["Id"].as_str()) {
            *versions.entry(id).or_default() += 1;
        }
        let mut given: BTreeMap<String, Vec<BTreeSet<&str>>> = BTreeMap::new();
        let mut named: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for alert in &self.given {
            let (group, ids) = parts(alert);
            for id in &ids {
                let times = named.entry((group.clone(), id)).or_default();
                *times += 1;
                let delivered = versions.get(id).copied().unwrap_or_default();
                if *times > delivered && (delivered == 0 || !self.is_exempt) {
                    return Err(format!(
                        "alerts: {id} in {times}, delivered {delivered}: {alert}"
                    ));
                }
            }
            given.entry(group).or_default().push(ids);
        }
        for alert in &self.expected() {
            let (group, ids) = parts(alert);
            let mut known = given.get(&group).into_iter().flatten();
            let is_exempt = self.is_exempt && alert["rule"] != "one";
            if !is_exempt && !known.any(|known| !known.is_disjoint(&ids)) {
                return Err(format!("alerts: not given: {alert}"));
            }
        }
        Ok(())
    }

    fn expected(&self) -> Vec<Value> {
        let texts = [RuleText::inline("/rules", RULES)];
        let rules = RuleSet::compile(&texts).expect("good rules");
        let now = "2026-03-01T00:00:00Z".parse().expect("a time");
        let mut run = rules.start(None, now);
        for record in &self.records {
            run.record(&record.to_string());
        }
        let alerts = run.finish().alerts.into_iter();
        let alerts = alerts.map(|alert| serde_json::to_value(alert).expect("JSON"));
        alerts.collect()
    }
}
