//! Builds pieces of evidence from the tables of shapes and of texts.
//!
//! One generic builder for all 48 types; it deliberately has no function per type and decides
//! nothing about alerts.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::sim::data::evidence_types::{ENUMS, TYPES};
use crate::sim::data::random::Dice;
use crate::sim::data::texts::TEXTS;

/// How deep evidence may stand in evidence: pods know containers, which know their pod.
const DEEPEST: usize = 2;

/// Properties that a mapping looks for, so a generated alert always has them.
const NEVER_NULL: [&str; 13] = [
    "accountName",
    "algorithm",
    "fileName",
    "internetMessageId",
    "ipAddress",
    "name",
    "recipientEmailAddress",
    "senderIp",
    "sha256",
    "upn",
    "url",
    "userPrincipalName",
    "value",
];

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| entries(TYPES).map(shape).collect());
static MEMBERS: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    entries(ENUMS)
        .map(|(name, rest)| (name, rest.split([',', ';']).map(str::trim).collect()))
        .collect()
});
static NEWER: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    entries(ENUMS)
        .filter_map(|(name, rest)| Some((name, rest.split_once(';')?.1)))
        .map(|(name, rest)| (name, rest.split(',').map(str::trim).collect()))
        .collect()
});
static TEMPLATES: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    entries(TEXTS)
        .map(|(name, rest)| (name, rest.split(" | ").collect()))
        .collect()
});

struct Shape {
    name: &'static str,
    properties: Vec<(&'static str, &'static str)>,
}

/// The names of all evidence types, in the order of the metadata.
pub(crate) fn names() -> Vec<&'static str> {
    SHAPES
        .iter()
        .map(|shape| shape.name)
        .filter(|name| name.ends_with("Evidence"))
        .collect()
}

/// All members of an enumeration, newer ones last.
pub(crate) fn members(name: &str) -> &'static [&'static str] {
    MEMBERS.get(name).map_or(&[], Vec::as_slice)
}

/// The members of an enumeration that are newer than `unknownFutureValue`.
pub(crate) fn newer_members(name: &str) -> &'static [&'static str] {
    NEWER.get(name).map_or(&[], Vec::as_slice)
}

/// One piece of evidence of the named type, with the members that all evidence has first.
pub(crate) fn piece(name: &str, dice: &mut Dice) -> Value {
    build(name, dice, 0)
}

/// The `name = rest` entries of a table, continuation lines joined to the line above.
fn entries(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut starts: Vec<usize> = vec![];
    let mut at = 0;
    for line in table.split_inclusive('\n') {
        if line.starts_with(|first: char| !first.is_whitespace()) {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(table.len());
    let spans: Vec<(usize, usize)> = starts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    spans
        .into_iter()
        .filter_map(move |(from, to)| table[from..to].trim_end().split_once(" = "))
}

fn shape((name, rest): (&'static str, &'static str)) -> Shape {
    let property = |text: &'static str| {
        let (name, kind) = text.split_once(':').unwrap_or((text, "text"));
        (name.trim(), kind.trim())
    };
    Shape {
        name,
        properties: rest.split(',').map(property).collect(),
    }
}

fn build(name: &str, dice: &mut Dice, depth: usize) -> Value {
    let Some(shape) = SHAPES.iter().find(|shape| shape.name == name) else {
        return Value::Null;
    };
    let mut object = if name.ends_with("Evidence") {
        base(name, dice)
    } else {
        Map::new()
    };
    for (property, kind) in &shape.properties {
        let value = value((name, property), kind, dice, depth);
        object.insert((*property).to_owned(), value);
    }
    Value::Object(object)
}

/// The members that every piece of evidence has.
fn base(name: &str, dice: &mut Dice) -> Map<String, Value> {
    let role = dice.maybe(members("evidenceRole"));
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put(
        "@odata.type",
        format!("#microsoft.graph.security.{name}").into(),
    );
    put("createdDateTime", dice.moment_before().into());
    put("verdict", dice.pick(members("evidenceVerdict")).into());
    put(
        "remediationStatus",
        dice.pick(members("evidenceRemediationStatus")).into(),
    );
    put(
        "remediationStatusDetails",
        dice.maybe(&["Quarantined by policy"]).into(),
    );
    put("roles", role.into_iter().collect());
    put(
        "detailedRoles",
        dice.maybe(&["Primary user"]).into_iter().collect(),
    );
    put(
        "tags",
        dice.maybe(&["VIP", "Prüfung"]).into_iter().collect(),
    );
    object
}

fn value(place: (&str, &str), kind: &str, dice: &mut Dice, depth: usize) -> Value {
    if let Some(kind) = kind.strip_suffix("[]") {
        return list(place, kind, dice, depth);
    }
    match kind {
        "text" => text(place, dice),
        "i64" | "i32" => number(place.1, dice),
        "f64" => json!(f64::from(dice.below(180_000)) / 1000.0 - 90.0),
        "bool" => Value::Bool(dice.below(2) == 0),
        "datetime" => dice.moment_before().into(),
        "guid" => dice.guid().into(),
        "dictionary" => json!({ "app": text(place, dice), "größe": "groß" }),
        "alertEvidence" => nested("azureResourceEvidence", dice, depth),
        kind if MEMBERS.contains_key(kind) => enumerated(place, kind, dice),
        kind => nested(kind, dice, depth),
    }
}

fn list(place: (&str, &str), kind: &str, dice: &mut Dice, depth: usize) -> Value {
    if kind == "str" {
        return template(place).iter().map(|text| dice.fill(text)).collect();
    }
    let wanted = if depth >= DEEPEST { 0 } else { dice.below(3) };
    (0..wanted).map(|_| build(kind, dice, depth + 1)).collect()
}

fn nested(kind: &str, dice: &mut Dice, depth: usize) -> Value {
    if depth >= DEEPEST && kind.ends_with("Evidence") {
        return Value::Null;
    }
    build(kind, dice, depth + 1)
}

fn template((name, property): (&str, &str)) -> &'static [&'static str] {
    let own = format!("{name}.{property}");
    TEMPLATES
        .get(own.as_str())
        .or_else(|| TEMPLATES.get(property))
        .map_or(&["{hex8}"], Vec::as_slice)
}

fn text(place: (&str, &str), dice: &mut Dice) -> Value {
    if dice.below(8) == 0 && !NEVER_NULL.contains(&place.1) {
        return Value::Null;
    }
    let chosen = dice.pick(template(place));
    dice.fill(chosen).into()
}

fn enumerated(place: (&str, &str), kind: &str, dice: &mut Dice) -> Value {
    if TEMPLATES.contains_key(format!("{}.{}", place.0, place.1).as_str()) {
        return text(place, dice);
    }
    dice.pick(members(kind)).into()
}

fn number(property: &str, dice: &mut Dice) -> Value {
    match property {
        // Above 2^53: a client that reads numbers as doubles changes them.
        "appId" | "instanceId" | "saasAppId" | "projectNumber" => {
            json!(9_007_199_254_740_993_u64 + u64::from(dice.below(1_000_000)) * 2)
        }
        "attachmentsCount" | "urlCount" => json!(dice.below(4)),
        name if name.ends_with("ort") => json!(1 + dice.below(65_535)),
        _ => json!(dice.below(100_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_48_types_and_every_kind_is_known() {
        assert_eq!(names().len(), 48);
        let basic = [
            "text",
            "i64",
            "i32",
            "f64",
            "bool",
            "datetime",
            "guid",
            "str",
            "dictionary",
        ];
        for shape in SHAPES.iter() {
            for (property, kind) in &shape.properties {
                let kind = kind.trim_end_matches("[]");
                let known = basic.contains(&kind)
                    || kind == "alertEvidence"
                    || MEMBERS.contains_key(kind)
                    || SHAPES.iter().any(|shape| shape.name == kind);
                assert!(known, "{}.{property}: {kind}", shape.name);
            }
        }
    }

    #[test]
    fn every_text_has_a_template() {
        for shape in SHAPES.iter() {
            for (property, kind) in &shape.properties {
                if matches!(*kind, "text" | "str[]" | "dictionary") {
                    assert_ne!(template((shape.name, property)), ["{hex8}"], "{property}");
                }
            }
        }
    }

    #[test]
    fn newer_members_are_told_apart() {
        assert!(members("evidenceRemediationStatus").contains(&"active"));
        assert!(newer_members("evidenceRemediationStatus").contains(&"active"));
        assert!(!newer_members("evidenceRemediationStatus").contains(&"none"));
        assert!(newer_members("alertSeverity").is_empty());
    }
}
