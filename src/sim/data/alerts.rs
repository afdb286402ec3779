//! Generates alerts: each a complete `microsoft.graph.security.alert` with three to eight pieces of
//! evidence.
//!
//! The types of evidence are used one after the other, so that two dozen alerts have all 48. Titles and product
//! names are in `alerts.json`. Alerts that a world file contains are not generated here.

use std::iter::Cycle;
use std::sync::LazyLock;
use std::vec::IntoIter;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::sim::data::alert_values::AlertValues;
use crate::sim::data::evidence;
use crate::sim::data::random::Random;

static TABLES: LazyLock<Tables> =
    LazyLock::new(|| serde_json::from_str(include_str!("alerts.json")).unwrap_or_default());

/// The tables of `alerts.json`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    /// The properties of an alert, in the order of the service.
    properties: Vec<String>,
    /// Title, category, MITRE technique and description.
    stories: Vec<[String; 4]>,
    /// The same of alerts about data loss prevention.
    data_loss_stories: Vec<[String; 4]>,
    /// `serviceSource`, `detectionSource` and product name of the other alerts.
    sources: Vec<[String; 3]>,
    /// Account name and display name of the accounts that alerts are about.
    accounts: Vec<[String; 2]>,
}

/// The properties of an alert, in the order of the service.
pub(crate) fn properties() -> &'static [String] {
    &TABLES.properties
}

/// What alerts are generated for.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) seed: u64,
    /// The time at which the simulator was started.
    pub(crate) begin: DateTime<Utc>,
    /// The tenant of the alerts.
    pub(crate) tenant: &'a str,
}

/// Generates alerts as JSON texts, one after the other.
pub(crate) struct Generator {
    types: Cycle<IntoIter<&'static str>>,
    number: u64,
}

/// When an alert was created and last updated.
struct Times {
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
}

impl Generator {
    /// A generator that begins with the first alert.
    pub(crate) fn new() -> Self {
        let names: Vec<&str> = evidence::names().collect();
        Self {
            types: names.into_iter().cycle(),
            number: 0,
        }
    }

    /// The next alert, created at the given time or else before the start.
    pub(crate) fn next(&mut self, setting: Setting<'_>, created: Option<DateTime<Utc>>) -> String {
        let mut random = Random::of_world(setting.seed, self.number);
        let account = random.pick(&TABLES.accounts);
        let earlier = earlier(setting.begin, self.number, &mut random);
        let times = created.map_or(earlier, |created| Times {
            created,
            updated: created,
        });
        let mut values = AlertValues {
            random,
            account,
            tenant: setting.tenant,
            created: times.created,
        };
        let alert = self.alert(&times, &mut values);
        self.number += 1;
        alert.to_string()
    }

    fn alert(&mut self, times: &Times, values: &mut AlertValues<'_>) -> Value {
        // Every fourth alert is about data loss prevention.
        let data_loss = self.number % 4 == 3;
        let mut alert = Map::new();
        let mut add = |part: Value| {
            if let Value::Object(part) = part {
                alert.extend(part);
            }
        };
        add(identity(self.number, values));
        let status = values.random.pick(&evidence::members("alertStatus")[1..]);
        add(json!({ "status": status }));
        add(assessment(values));
        add(story(data_loss, values));
        add(names(values));
        add(activity(times, status == "resolved", values));
        add(comments(values));
        add(json!({ "evidence": self.evidence(data_loss, values) }));
        let ordered = properties().iter();
        let ordered = ordered.filter_map(|name| alert.shift_remove_entry(name));
        Value::Object(ordered.collect())
    }

    fn evidence(&mut self, data_loss: bool, values: &mut AlertValues<'_>) -> Value {
        let fixed: &[&str] = if data_loss {
            &["userEvidence", "fileEvidence", "analyzedMessageEvidence"]
        } else {
            &[]
        };
        let count = 3 + values.random.index(6) - fixed.len();
        let names = fixed.iter().copied().chain(self.types.by_ref().take(count));
        names.map(|name| evidence::generate(name, values)).collect()
    }
}

/// Times before the start. Most alerts were updated within the last day, one in five within eight
/// days; one in three was created long before.
fn earlier(begin: DateTime<Utc>, number: u64, random: &mut Random) -> Times {
    // One second at least: times are written with an added fraction.
    let mut before = |time: DateTime<Utc>, limit: u64| {
        time - TimeDelta::seconds(1 + random.below(limit).cast_signed())
    };
    let days = if number % 5 == 4 { 8 } else { 1 };
    let updated = before(begin, days * 86_400 - 1);
    let age = if number % 3 == 1 { 30 * 86_400 } else { 3_600 };
    Times {
        created: before(updated, age),
        updated,
    }
}

fn identity(number: u64, values: &mut AlertValues<'_>) -> Value {
    let provider = format!("{}_1", values.random.guid());
    let (id, incident) = (format!("da{provider}"), 4711 + number / 2);
    let portal = "https://security.microsoft.com";
    let tenant = values.tenant;
    json!({
        "id": id,
        "tenantId": tenant,
        "providerAlertId": provider,
        "incidentId": incident.to_string(),
        "alertWebUrl": format!("{portal}/alerts/{id}?tid={tenant}"),
        "incidentWebUrl": format!("{portal}/incidents/{incident}?tid={tenant}"),
        "detectorId": values.random.guid(),
    })
}

fn assessment(values: &mut AlertValues<'_>) -> Value {
    let random = &mut values.random;
    json!({
        "severity": random.pick(&evidence::members("alertSeverity")[1..]),
        "classification": random.maybe(evidence::members("alertClassification")),
        "determination": random.maybe(evidence::members("alertDetermination")),
        "investigationState": random.maybe(evidence::members("investigationState")),
    })
}

fn story(data_loss: bool, values: &mut AlertValues<'_>) -> Value {
    let stories = if data_loss {
        &TABLES.data_loss_stories
    } else {
        &TABLES.stories
    };
    let [title, category, technique, description] = values.random.pick(stories);
    let [service, detection, product] = if data_loss {
        [
            "dataLossPrevention",
            "microsoftDataLossPrevention",
            "Microsoft Data Loss Prevention",
        ]
    } else {
        values
            .random
            .pick(&TABLES.sources)
            .each_ref()
            .map(String::as_str)
    };
    json!({
        "serviceSource": service,
        "detectionSource": detection,
        "productName": product,
        "alertPolicyId": data_loss.then(|| values.random.guid()),
        "title": values.text(title),
        "description": description,
        "recommendedActions": "Review the evidence.\nClose the alert with a reason.",
        "category": category,
        "categories": [category],
        "mitreTechniques": [technique],
    })
}

fn names(values: &mut AlertValues<'_>) -> Value {
    let owners = ["soc@contoso.onmicrosoft.com", "Automation", "{upn}"];
    let owner = values.random.maybe(&owners);
    json!({
        "assignedTo": owner.map(|text| values.text(text)),
        "actorDisplayName": values.random.maybe(&["EXAMPLE-STORM-1"]),
        "threatDisplayName": values.random.maybe(&["Trojan:Win32/Example"]),
        "threatFamilyName": values.random.maybe(&["Example"]),
        "systemTags":
            values.random.maybe(&["Critical asset", "重要"]).into_iter().collect::<Vec<_>>(),
    })
}

fn activity(times: &Times, resolved: bool, values: &mut AlertValues<'_>) -> Value {
    let first = times.created - TimeDelta::seconds(600);
    json!({
        "createdDateTime": values.time(times.created),
        "lastUpdateDateTime": values.time(times.updated),
        "resolvedDateTime": resolved.then(|| values.time(times.updated)),
        "firstActivityDateTime": first.to_rfc3339_opts(SecondsFormat::Secs, true),
        "lastActivityDateTime": values.time(times.created - TimeDelta::seconds(60)),
    })
}

fn comments(values: &mut AlertValues<'_>) -> Value {
    let comments = ["Seen by the night shift – Ä", "確認済み \"ok\""];
    let comment = values.random.maybe(&comments).map(|comment| {
        json!({
            "comment": comment,
            "createdByDisplayName": "SOC",
            "createdDateTime": values.earlier_time(),
        })
    });
    let host = values.random.maybe(&["web-01"]);
    json!({
        "comments": comment.into_iter().collect::<Vec<_>>(),
        "additionalData": host.map_or_else(|| json!({}), |name| json!({ "Host Name": name })),
        "customDetails": {},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn sample(count: usize) -> Vec<String> {
        let begin = "2026-01-14T12:00:00Z".parse().unwrap();
        let tenant = "11111111-2222-3333-4444-555555555555";
        let setting = Setting {
            seed: 1,
            begin,
            tenant,
        };
        let mut generator = Generator::new();
        let texts = (0..count).map(|_| generator.next(setting, None));
        texts.collect()
    }

    #[test]
    fn alerts_depend_on_the_seed_only() {
        let alerts = sample(40);
        assert_eq!(alerts, sample(40));
        assert_eq!(alerts[..10], sample(10));
    }

    #[test]
    fn forty_alerts_have_every_type_of_evidence() {
        let mut seen = BTreeSet::new();
        for text in sample(40) {
            let alert: Value = serde_json::from_str(&text).unwrap();
            let evidence = alert["evidence"].as_array().unwrap();
            assert!((3..=8).contains(&evidence.len()), "{}", evidence.len());
            for piece in evidence {
                let name = piece["@odata.type"].as_str().unwrap();
                seen.insert(
                    name.trim_start_matches("#microsoft.graph.security.")
                        .to_owned(),
                );
            }
        }
        assert_eq!(seen.len(), 48);
    }

    #[test]
    fn alert_has_all_properties_in_order() {
        for text in sample(8) {
            let alert: Value = serde_json::from_str(&text).unwrap();
            let names: Vec<&str> = alert
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(names, properties());
            assert_eq!(alert["tenantId"], "11111111-2222-3333-4444-555555555555");
        }
    }

    #[test]
    fn alerts_have_values_that_are_hard_to_process() {
        let all = sample(40).concat();
        for hard in [
            "Ä",
            "日本",
            "\\\"",
            "\\\\",
            "900719925",
            "dataLossPrevention",
            "null",
        ] {
            assert!(all.contains(hard), "{hard} does not occur");
        }
        let placeholder = all.contains("{guid}") || all.contains("{hex");
        assert!(!placeholder, "a placeholder was not replaced");
    }

    #[test]
    fn times_are_in_the_past_and_most_within_a_day() {
        let now: DateTime<Utc> = "2026-01-14T12:00:00Z".parse().unwrap();
        let mut recent = 0;
        for text in sample(40) {
            let alert: Value = serde_json::from_str(&text).unwrap();
            let at =
                |name: &str| -> DateTime<Utc> { alert[name].as_str().unwrap().parse().unwrap() };
            let (created, updated) = (at("createdDateTime"), at("lastUpdateDateTime"));
            assert!(created <= updated && updated <= now, "{created} {updated}");
            recent += usize::from(now - updated <= TimeDelta::days(1));
        }
        assert!((30..40).contains(&recent), "{recent}");
    }
}
