//! Audit records as events: reads the members that rules name, and adds computed fields.
//!
//! Names and values in lists such as `Parameters` become fields: `Parameters.ForwardTo`, and
//! `ForwardTo` if the record has no such member. A list with old and new values gives
//! `ModifiedProperties.Role.NewValue`, `.OldValue`, and the new value as `Role`.

use std::collections::HashSet;
use std::fmt;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use ring::digest;
use rsigma_eval::JsonEvent;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::rules::fields::{Fields, NAME, RESULT};
use crate::when;

/// Members that the evaluation itself reads.
const OWN: [&str; 7] = [
    "Id",
    "CreationTime",
    "Operation",
    "Workload",
    "UserId",
    "ObjectId",
    "ClientIP",
];

/// The fields that a set of rules reads.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// A rule searches all values, or all fields must be shown.
    everything: bool,
    /// The names as rules write them.
    names: HashSet<String>,
    /// The top-level members that must be read for them.
    members: HashSet<String>,
}

impl Wanted {
    /// Every field.
    pub(super) fn everything() -> Self {
        Wanted {
            everything: true,
            ..Wanted::default()
        }
    }

    /// The fields with these names, and the members that the evaluation reads.
    pub(super) fn of(names: impl IntoIterator<Item = String>, everything: bool) -> Self {
        let table = Fields::get();
        let names: HashSet<String> = names.into_iter().collect();
        let mut members: HashSet<String> = OWN.map(str::to_owned).into();
        for name in &names {
            let root = name.split(['.', '[']).next().unwrap_or(name);
            members.extend([root.to_owned(), name.clone()]);
            if let Some(target) = table.aliases.get(name) {
                members.insert(target.clone());
            }
        }
        members.extend(table.lists.iter().cloned());
        members.extend(["Name".to_owned(), "ResultStatus".to_owned()]);
        Wanted {
            everything,
            names,
            members,
        }
    }

    fn includes(&self, name: &str) -> bool {
        self.everything || self.names.contains(name)
    }
}

/// An audit record with the fields that rules can read.
#[derive(Debug)]
pub(super) struct Record {
    /// The fields.
    pub(super) event: JsonEvent<'static>,
    /// The record's id, or a hash of its text if it has none.
    pub(super) id: String,
    /// The operation.
    pub(super) operation: String,
    /// The workload.
    pub(super) workload: String,
    /// The event's time, as the record has it.
    time: String,
}

impl Record {
    /// Reads a record. `None` if it is not a JSON object.
    pub(super) fn read(text: &str, wanted: &Wanted) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let mut members = Members(wanted).deserialize(&mut json).ok()?;
        json.end().ok()?;
        let member = |name: &str| {
            let value = members.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let [id, time, operation, workload] =
            ["Id", "CreationTime", "Operation", "Workload"].map(member);
        let id = if id.is_empty() { hash(text) } else { id };
        add_listed(&mut members, wanted);
        add_computed(&mut members, wanted);
        Some(Record {
            event: JsonEvent::owned(Value::Object(members)),
            id,
            operation,
            workload,
            time,
        })
    }

    /// The event's time. `None` if the record has none that can be read.
    pub(super) fn time(&self) -> Option<DateTime<Utc>> {
        when::instant(&self.time, &[])
    }
}

/// A hash of a text, as hexadecimal digits.
pub(super) fn hash(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    HEXLOWER.encode(&hash.as_ref()[..16])
}

/// Reads the wanted members of an object and skips the others.
struct Members<'a>(&'a Wanted);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            match name {
                Some(name) => _ = members.insert(name, map.next_value()?),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(members)
    }
}

/// Reads the name of a member: `None` if the member is not wanted.
struct Name<'a>(&'a Wanted);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let is_wanted = self.0.everything || self.0.members.contains(name);
        Ok(is_wanted.then(|| name.to_owned()))
    }
}

/// Adds the names and values of lists as fields.
fn add_listed(members: &mut Map<String, Value>, wanted: &Wanted) {
    let mut added: Vec<(String, Value)> = Vec::new();
    for list in &Fields::get().lists {
        let Some(Value::Array(entries)) = members.get(list) else {
            continue;
        };
        for entry in entries {
            let Some(name) = entry.get("Name").and_then(Value::as_str) else {
                continue;
            };
            for (part, suffix) in [
                ("Value", ""),
                ("NewValue", ".NewValue"),
                ("OldValue", ".OldValue"),
            ] {
                let Some(value) = entry.get(part) else {
                    continue;
                };
                let full = format!("{list}.{name}{suffix}");
                if wanted.includes(&full) {
                    added.push((full, value.clone()));
                }
                if part != "OldValue" && wanted.includes(name) && !members.contains_key(name) {
                    added.push((name.to_owned(), value.clone()));
                }
            }
        }
    }
    for (name, value) in added {
        match members.get_mut(&name) {
            None => _ = members.insert(name, value),
            // A name that occurs twice has several values; one that matches is enough.
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
}

/// Adds the fields that rules know by another name.
fn add_computed(members: &mut Map<String, Value>, wanted: &Wanted) {
    let table = Fields::get();
    for (alias, target) in &table.aliases {
        if !wanted.includes(alias) || members.contains_key(alias) {
            continue;
        }
        let value = match target.as_str() {
            NAME => alert_name(members, table).or_else(|| members.get("Operation").cloned()),
            RESULT => result(members, table),
            target => members.get(target).cloned(),
        };
        if let Some(value) = value {
            members.insert(alias.clone(), value);
        }
    }
}

fn is_alert(members: &Map<String, Value>, table: &Fields) -> bool {
    let operation = members.get("Operation").and_then(Value::as_str);
    operation.is_some_and(|operation| {
        table
            .alert_operations
            .iter()
            .any(|known| known == operation)
    })
}

fn alert_name(members: &Map<String, Value>, table: &Fields) -> Option<Value> {
    is_alert(members, table)
        .then(|| members.get("Name").cloned())
        .flatten()
}

/// An alert has no result: it was raised, so it counts as a success.
fn result(members: &Map<String, Value>, table: &Fields) -> Option<Value> {
    match members.get("ResultStatus").and_then(Value::as_str) {
        Some("") | None => is_alert(members, table).then(|| Value::from("success")),
        Some(status) => Some(Value::from(table.result(status))),
    }
}
