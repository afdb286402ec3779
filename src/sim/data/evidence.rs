//! Generates evidence of alerts from `evidence.json`: the types and enumerations of Graph's metadata,
//! and text templates for their properties.
//!
//! One function builds all 48 types. Which evidence an alert has is decided in `alerts.rs`.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::sim::data::alert_values::AlertValues;
use crate::sim::data::random::Random;

/// How deep evidence is nested in evidence: a pod has containers, and each of them has its pod.
const DEEPEST: usize = 2;

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::parse(include_str!("evidence.json")));

/// The tables of `evidence.json`.
#[derive(Default, Deserialize)]
struct Tables {
    /// The properties of each type with their kinds, in the order of Graph's metadata. Types whose
    /// name ends in `Evidence` are elements of `evidence`; the others are used inside them.
    types: Map<String, Value>,
    enumerations: HashMap<String, Enumeration>,
    /// Properties that mappings read.
    never_null: Vec<String>,
    /// Text templates by property, or by `type.property` where a type needs its own.
    texts: HashMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Enumeration {
    /// All members; those in `newer` come last.
    members: Vec<String>,
    /// The members that are newer than `unknownFutureValue`.
    newer: Vec<String>,
}

impl Tables {
    /// Parses the tables; a test checks that they are complete.
    fn parse(json: &str) -> Self {
        let mut tables: Self = serde_json::from_str(json).unwrap_or_default();
        for enumeration in tables.enumerations.values_mut() {
            enumeration.members.extend_from_slice(&enumeration.newer);
        }
        tables
    }
}

/// The names of all evidence types, in the order of the metadata.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    let names = TABLES.types.keys().map(String::as_str);
    names.filter(|name| name.ends_with("Evidence"))
}

/// All members of an enumeration, newer ones last.
pub(crate) fn members(name: &str) -> &'static [String] {
    let found = TABLES.enumerations.get(name);
    found.map_or(&[], |enumeration| &enumeration.members)
}

/// The members of an enumeration that are newer than `unknownFutureValue`.
pub(crate) fn newer_members(name: &str) -> &'static [String] {
    let found = TABLES.enumerations.get(name);
    found.map_or(&[], |enumeration| &enumeration.newer)
}

/// Evidence of the named type; the members that all evidence has come first.
pub(crate) fn generate(name: &str, values: &mut AlertValues<'_>) -> Value {
    build(name, values, 0)
}

fn build(name: &str, values: &mut AlertValues<'_>, depth: usize) -> Value {
    let Some(properties) = TABLES.types.get(name).and_then(Value::as_object) else {
        return Value::Null;
    };
    let mut object = if name.ends_with("Evidence") {
        base(name, values)
    } else {
        Map::new()
    };
    for (property, kind) in properties {
        let kind = kind.as_str().unwrap_or_default();
        let value = value((name, property), kind, values, depth);
        object.insert(property.clone(), value);
    }
    Value::Object(object)
}

/// The members that every piece of evidence has.
fn base(name: &str, values: &mut AlertValues<'_>) -> Map<String, Value> {
    let role = values.random.maybe(members("evidenceRole"));
    let base = json!({
        "@odata.type": format!("#microsoft.graph.security.{name}"),
        "createdDateTime": values.earlier_time(),
        "verdict": values.random.pick(members("evidenceVerdict")),
        "remediationStatus": values.random.pick(members("evidenceRemediationStatus")),
        "remediationStatusDetails": values.random.maybe(&["Quarantined by policy"]),
        "roles": role.into_iter().collect::<Vec<_>>(),
        "detailedRoles": values.random.maybe(&["Primary user"]).into_iter().collect::<Vec<_>>(),
        "tags": values.random.maybe(&["VIP", "Prüfung"]).into_iter().collect::<Vec<_>>(),
    });
    match base {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn value(place: (&str, &str), kind: &str, values: &mut AlertValues<'_>, depth: usize) -> Value {
    if let Some(kind) = kind.strip_suffix("[]") {
        return list(place, kind, values, depth);
    }
    match kind {
        "text" => text(place, values),
        "i64" | "i32" => number(place.1, &mut values.random),
        "f64" => {
            let thousandths = u32::try_from(values.random.below(180_000)).unwrap_or(0);
            json!(f64::from(thousandths) / 1000.0 - 90.0)
        }
        "bool" => Value::Bool(values.random.below(2) == 0),
        "datetime" => values.earlier_time().into(),
        "guid" => values.random.guid().into(),
        "dictionary" => json!({ "app": text(place, values), "größe": "groß" }),
        "alertEvidence" => nested("azureResourceEvidence", values, depth),
        kind if TABLES.enumerations.contains_key(kind) => enumerated(place, kind, values),
        kind => nested(kind, values, depth),
    }
}

fn list(place: (&str, &str), kind: &str, values: &mut AlertValues<'_>, depth: usize) -> Value {
    if kind == "str" {
        return templates(place)
            .iter()
            .map(|text| values.text(text))
            .collect();
    }
    let wanted = if depth >= DEEPEST {
        0
    } else {
        values.random.below(3)
    };
    (0..wanted)
        .map(|_| build(kind, values, depth + 1))
        .collect()
}

fn nested(kind: &str, values: &mut AlertValues<'_>, depth: usize) -> Value {
    if depth >= DEEPEST && kind.ends_with("Evidence") {
        return Value::Null;
    }
    build(kind, values, depth + 1)
}

fn templates((name, property): (&str, &str)) -> &'static [String] {
    let texts = &TABLES.texts;
    let own = texts.get(&format!("{name}.{property}"));
    own.or_else(|| texts.get(property))
        .map_or(&[], Vec::as_slice)
}

fn text(place: (&str, &str), values: &mut AlertValues<'_>) -> Value {
    if values.random.below(8) == 0 && !TABLES.never_null.iter().any(|name| name == place.1) {
        return Value::Null;
    }
    let template = values.random.pick(templates(place));
    values.text(template).into()
}

fn enumerated(place: (&str, &str), kind: &str, values: &mut AlertValues<'_>) -> Value {
    if TABLES
        .texts
        .contains_key(format!("{}.{}", place.0, place.1).as_str())
    {
        return text(place, values);
    }
    values.random.pick(members(kind)).as_str().into()
}

fn number(property: &str, random: &mut Random) -> Value {
    match property {
        // Above 2^53: a client that reads numbers as doubles changes them.
        "appId" | "instanceId" | "saasAppId" | "projectNumber" => {
            json!(9_007_199_254_740_993_u64 + random.below(1_000_000) * 2)
        }
        "attachmentsCount" | "urlCount" => json!(random.below(4)),
        name if name.ends_with("ort") => json!(1 + random.below(65_535)),
        _ => json!(random.below(100_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_48_types_and_each_property_has_a_known_kind_and_a_text() {
        assert_eq!(names().count(), 48);
        let basic = "text i64 i32 f64 bool datetime guid str dictionary alertEvidence";
        for (name, properties) in &TABLES.types {
            for (property, kind) in properties.as_object().unwrap() {
                let kind = kind.as_str().unwrap();
                let single = kind.trim_end_matches("[]");
                let known = basic.split(' ').any(|known| known == single)
                    || TABLES.enumerations.contains_key(single)
                    || TABLES.types.contains_key(single);
                assert!(known, "{name}.{property}: {kind}");
                let text = matches!(kind, "text" | "str[]" | "dictionary");
                assert!(
                    !text || !templates((name, property)).is_empty(),
                    "{property}"
                );
            }
        }
    }

    #[test]
    fn newer_members_are_distinguished() {
        let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
        assert!(has(members("evidenceRemediationStatus"), "active"));
        assert!(has(newer_members("evidenceRemediationStatus"), "active"));
        assert!(!has(newer_members("evidenceRemediationStatus"), "none"));
        assert!(newer_members("alertSeverity").is_empty());
    }
}
