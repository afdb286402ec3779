//! The parts of two definitions that differ.
//!
//! Compares keys and values of the mapping file, so a key that is new in the format is compared too.
//! Maps nothing.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::mapping::{Definition, Source};

/// A part of the definition that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartChange {
    /// The source it belongs to, if this source has a condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The key in the mapping file; an entry of a lookup table is `values."entry"`.
    pub part: String,
    /// The old value; null without one.
    pub old: Option<Value>,
    /// The new value; null without one.
    pub new: Option<Value>,
}

/// The sources of both versions in pairs: by id, and the two last ones, which have no condition.
fn source_pairs<'d>(
    old: &'d Definition,
    new: &'d Definition,
) -> Vec<(Option<&'d Source>, Option<&'d Source>)> {
    let (Some((last_old, old)), Some((last_new, new))) =
        (old.sources.split_last(), new.sources.split_last())
    else {
        return Vec::new();
    };
    let by_id = |id: &str, all: &'d [Source]| all.iter().find(|source| source.id == id);
    let mut pairs: Vec<_> = new
        .iter()
        .map(|source| (by_id(&source.id, old), Some(source)))
        .collect();
    let removed = old.iter().filter(|source| by_id(&source.id, new).is_none());
    pairs.extend(removed.map(|source| (Some(source), None)));
    pairs.push((Some(last_old), Some(last_new)));
    pairs
}

/// The parts of a field's definition that differ, in each source that defines it.
pub(super) fn field_parts(name: &str, old: &Definition, new: &Definition) -> Vec<PartChange> {
    let mut parts = Vec::new();
    for (before, after) in source_pairs(old, new) {
        let members = |source: Option<&Source>, definition: &Definition| {
            let fields = source.into_iter().flat_map(|source| &source.fields);
            let mut found = fields.filter(|field| field.event_name(definition.vocabulary) == name);
            found.next().map(object).unwrap_or_default()
        };
        let ignored = ["field", "custom", "note"];
        let found = differing(&members(before, old), &members(after, new), &ignored);
        let source = after.or(before).filter(|source| source.when.is_some());
        parts.extend(found.into_iter().map(|part| PartChange {
            source: source.map(|source| source.id.clone()),
            ..part
        }));
    }
    parts
}

/// The parts of the definitions that differ and belong to no field.
pub(super) fn part_changes(before: &Definition, after: &Definition) -> Vec<PartChange> {
    let ignored = ["$schema", "mapping", "id", "title", "sources"];
    let mut parts = differing(&object(before), &object(after), &ignored);
    for (old, new) in source_pairs(before, after) {
        let Some(source) = new.or(old).map(|source| source.id.clone()) else {
            continue;
        };
        let of = |one: Option<&Source>, part| match part {
            "id" => old.and(new).and(one).map(|one| one.id.clone()),
            _ => one.and_then(|one| one.when.clone()),
        };
        for part in ["id", "when"] {
            let [old, new] = [old, new].map(|one| of(one, part).map(Value::from));
            parts.extend((old != new).then(|| PartChange {
                source: Some(source.clone()),
                part: part.to_owned(),
                old,
                new,
            }));
        }
    }
    parts.extend(other_order("order of sources", &ids(before), &ids(after)));
    parts
}

fn ids(definition: &Definition) -> Vec<&str> {
    let sources = definition.sources.iter();
    sources.map(|source| source.id.as_str()).collect()
}

/// A change if the names that both lists have are in another order.
pub(super) fn other_order(part: &str, old: &[&str], new: &[&str]) -> Option<PartChange> {
    let common = |list: &[&str], other: &[&str]| -> Vec<Value> {
        let names = list.iter().filter(|name| other.contains(name));
        names.map(|name| Value::from(*name)).collect()
    };
    let (old, new) = (common(old, new), common(new, old));
    (old != new).then(|| PartChange {
        source: None,
        part: part.to_owned(),
        old: Some(old.into()),
        new: Some(new.into()),
    })
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The members that differ; those of a lookup table one by one.
fn differing(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    ignored: &[&str],
) -> Vec<PartChange> {
    let added = new.keys().filter(|key| !old.contains_key(*key));
    let mut parts = Vec::new();
    for key in old
        .keys()
        .chain(added)
        .filter(|key| !ignored.contains(&key.as_str()))
    {
        let member =
            |of: &Map<String, Value>| of.get(key).filter(|value| !value.is_null()).cloned();
        let (old, new) = (member(old), member(new));
        if let (Some(Value::Object(_)), _) | (_, Some(Value::Object(_))) = (&old, &new) {
            let entries = |value: &Option<Value>| {
                value
                    .as_ref()
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default()
            };
            let inner = differing(&entries(&old), &entries(&new), &[]);
            parts.extend(inner.into_iter().map(|one| PartChange {
                part: format!("{key}.{}", Value::from(one.part)),
                ..one
            }));
        } else if old != new {
            parts.push(PartChange {
                source: None,
                part: key.clone(),
                old,
                new,
            });
        }
    }
    parts
}
