//! Generates alerts: each a complete `microsoft.graph.security.alert` with three to eight pieces
//! of evidence.
//!
//! Types of evidence go round robin, so that two dozen alerts show all 48. It deliberately knows
//! nothing of HTTP, and alerts that a world gives literally never pass through here.

use std::iter::Cycle;
use std::vec::IntoIter;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use crate::sim::data::evidence;
use crate::sim::data::random::Dice;
use crate::sim::data::texts::{LEAKS, SOURCES, STORIES};

/// When an alert came up and when it last changed.
struct Moments {
    created: DateTime<Utc>,
    updated: DateTime<Utc>,
}

/// Where alerts are made up for.
pub(crate) struct Setting<'a> {
    /// Seed of the world.
    pub(crate) seed: u64,
    /// The world's clock when it began.
    pub(crate) begin: DateTime<Utc>,
    /// The tenant whose alerts they are.
    pub(crate) tenant: &'a str,
}

/// Generates alerts as JSON texts, one after the other.
pub(crate) struct Generator {
    types: Cycle<IntoIter<&'static str>>,
    number: u64,
}

impl Generator {
    /// A generator that begins with the first alert.
    pub(crate) fn new() -> Self {
        Self {
            types: evidence::names().into_iter().cycle(),
            number: 0,
        }
    }

    /// The next alert, which came up at a moment, or at some time before the beginning.
    pub(crate) fn next(&mut self, setting: &Setting<'_>, arrived: Option<DateTime<Utc>>) -> String {
        let mut dice = Dice::new(setting.seed, self.number, setting.tenant);
        let earlier = moments(setting.begin, self.number, &mut dice);
        let moments = arrived.map_or(earlier, Moments::new);
        dice.set_moment(moments.created);
        let alert = alert(setting, (self.number, &moments), &mut dice, &mut self.types);
        self.number += 1;
        alert.to_string()
    }
}

impl Moments {
    /// Those of an alert that is new.
    fn new(arrived: DateTime<Utc>) -> Self {
        Self {
            created: arrived,
            updated: arrived,
        }
    }
}

fn alert(
    setting: &Setting<'_>,
    (number, moments): (u64, &Moments),
    dice: &mut Dice,
    wheel: &mut impl Iterator<Item = &'static str>,
) -> Value {
    // Every fourth alert is one of data loss prevention.
    let leak = number % 4 == 3;
    let mut object = Map::new();
    object.extend(identity(setting, number, dice));
    object.extend(judgement(dice));
    object.extend(story(leak, dice));
    object.extend(people(dice));
    object.extend(times(moments, &object, dice));
    object.extend(remarks(dice));
    object.insert("evidence".to_owned(), pieces(leak, dice, wheel));
    in_documented_order(object)
}

/// Most alerts changed within the last day, one in five within eight days; one in three is much
/// older than its last change.
fn moments(begin: DateTime<Utc>, number: u64, dice: &mut Dice) -> Moments {
    let span = if number % 5 == 4 { 8 * 86_400 } else { 86_400 };
    // One second at least: written fractions come on top.
    let updated = begin - TimeDelta::seconds(1 + i64::from(dice.below(span - 1)));
    let age = if number % 3 == 1 { 30 * 86_400 } else { 3_600 };
    let created = updated - TimeDelta::seconds(1 + i64::from(dice.below(age)));
    Moments { created, updated }
}

fn identity(setting: &Setting<'_>, number: u64, dice: &mut Dice) -> Map<String, Value> {
    let provider = format!("{}_1", dice.guid());
    let (id, incident) = (format!("da{provider}"), 4711 + number / 2);
    let portal = "https://security.microsoft.com";
    let tenant = setting.tenant;
    members(json!({
        "id": id,
        "tenantId": tenant,
        "providerAlertId": provider,
        "incidentId": incident.to_string(),
        "alertWebUrl": format!("{portal}/alerts/{id}?tid={tenant}"),
        "incidentWebUrl": format!("{portal}/incidents/{incident}?tid={tenant}"),
        "detectorId": dice.guid(),
    }))
}

fn judgement(dice: &mut Dice) -> Map<String, Value> {
    members(json!({
        "status": dice.pick(&evidence::members("alertStatus")[1..]),
        "severity": dice.pick(&evidence::members("alertSeverity")[1..]),
        "classification": dice.maybe(evidence::members("alertClassification")),
        "determination": dice.maybe(evidence::members("alertDetermination")),
        "investigationState": dice.maybe(evidence::members("investigationState")),
    }))
}

fn story(leak: bool, dice: &mut Dice) -> Map<String, Value> {
    let [title, category, technique, description] = if leak {
        dice.pick(&LEAKS)
    } else {
        dice.pick(&STORIES)
    };
    let [service, detection, product] = if leak {
        [
            "dataLossPrevention",
            "microsoftDataLossPrevention",
            "Microsoft Data Loss Prevention",
        ]
    } else {
        dice.pick(&SOURCES)
    };
    members(json!({
        "serviceSource": service,
        "detectionSource": detection,
        "productName": product,
        "alertPolicyId": leak.then(|| dice.guid()),
        "title": dice.fill(title),
        "description": description,
        "recommendedActions": "Review the evidence.\nClose the alert with a reason.",
        "category": category,
        "categories": [category],
        "mitreTechniques": [technique],
    }))
}

fn people(dice: &mut Dice) -> Map<String, Value> {
    let owner = dice.maybe(&["soc@contoso.onmicrosoft.com", "Automation", "{upn}"]);
    members(json!({
        "assignedTo": owner.map(|text| dice.fill(text)),
        "actorDisplayName": dice.maybe(&["EXAMPLE-STORM-1"]),
        "threatDisplayName": dice.maybe(&["Trojan:Win32/Example"]),
        "threatFamilyName": dice.maybe(&["Example"]),
        "systemTags": dice.maybe(&["Critical asset", "重要"]).into_iter().collect::<Vec<_>>(),
    }))
}

fn times(moments: &Moments, so_far: &Map<String, Value>, dice: &mut Dice) -> Map<String, Value> {
    let before = moments.created - TimeDelta::seconds(600);
    let resolved = so_far
        .get("status")
        .is_some_and(|status| status == "resolved");
    members(json!({
        "createdDateTime": dice.write(moments.created),
        "lastUpdateDateTime": dice.write(moments.updated),
        "resolvedDateTime": resolved.then(|| dice.write(moments.updated)),
        "firstActivityDateTime": before.to_rfc3339_opts(SecondsFormat::Secs, true),
        "lastActivityDateTime": dice.write(moments.created - TimeDelta::seconds(60)),
    }))
}

fn remarks(dice: &mut Dice) -> Map<String, Value> {
    let comment = dice
        .maybe(&["Seen by the night shift – Ä", "確認済み \"ok\""])
        .map(|comment| {
            json!({
                "comment": comment,
                "createdByDisplayName": "SOC",
                "createdDateTime": dice.moment_before(),
            })
        });
    let details = dice.maybe(&["web-01"]);
    members(json!({
        "comments": comment.into_iter().collect::<Vec<_>>(),
        "additionalData": details.map_or_else(|| json!({}), |name| json!({ "Host Name": name })),
        "customDetails": {},
    }))
}

fn pieces(leak: bool, dice: &mut Dice, wheel: &mut impl Iterator<Item = &'static str>) -> Value {
    let fixed: &[&str] = if leak {
        &["userEvidence", "fileEvidence", "analyzedMessageEvidence"]
    } else {
        &[]
    };
    let wanted = 3 + dice.below(6) as usize - fixed.len();
    let names: Vec<&str> = fixed.iter().copied().chain(wheel.take(wanted)).collect();
    names
        .into_iter()
        .map(|name| evidence::piece(name, dice))
        .collect()
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The order in which the service writes an alert's properties.
pub(crate) const PROPERTIES: [&str; 36] = [
    "id",
    "tenantId",
    "providerAlertId",
    "incidentId",
    "status",
    "severity",
    "classification",
    "determination",
    "serviceSource",
    "detectionSource",
    "productName",
    "detectorId",
    "alertPolicyId",
    "title",
    "description",
    "recommendedActions",
    "category",
    "categories",
    "assignedTo",
    "alertWebUrl",
    "incidentWebUrl",
    "actorDisplayName",
    "threatDisplayName",
    "threatFamilyName",
    "mitreTechniques",
    "investigationState",
    "systemTags",
    "createdDateTime",
    "lastUpdateDateTime",
    "resolvedDateTime",
    "firstActivityDateTime",
    "lastActivityDateTime",
    "comments",
    "additionalData",
    "customDetails",
    "evidence",
];

fn in_documented_order(mut object: Map<String, Value>) -> Value {
    let ordered = PROPERTIES
        .iter()
        .filter_map(|name| object.shift_remove_entry(*name));
    Value::Object(ordered.collect())
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
        let texts = (0..count).map(|_| generator.next(&setting, None));
        texts.collect()
    }

    #[test]
    fn the_same_world_makes_the_same_alerts() {
        let alerts = sample(40);
        assert_eq!(alerts, sample(40));
        assert_eq!(alerts[..10], sample(10));
    }

    #[test]
    fn forty_alerts_show_every_type_of_evidence() {
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
    fn an_alert_has_all_properties_in_order() {
        for text in sample(8) {
            let alert: Value = serde_json::from_str(&text).unwrap();
            let names: Vec<&str> = alert
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(names, PROPERTIES);
            assert_eq!(alert["tenantId"], "11111111-2222-3333-4444-555555555555");
        }
    }

    #[test]
    fn the_hard_values_occur() {
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
        let foreign = all.contains("{guid}") || all.contains("{hex");
        assert!(!foreign, "a filler was left standing");
    }

    #[test]
    fn nothing_lies_in_the_future_and_most_changed_within_a_day() {
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
