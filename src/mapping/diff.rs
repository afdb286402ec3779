//! The difference between two versions of a mapping: of their definitions, and of the events that
//! they make of the same samples.
//!
//! Fields are compared one by one, also those of nested events. Titles and notes are not compared,
//! because they change no event. Reads no files, and does not print.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::{Definition, Mapped, Mapping, Source};
use crate::json::Document;
use crate::protocol::{Event, Failure};

/// What differs between two versions of a mapping.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// The number of events that were compared.
    pub compared: usize,
    /// The number of events that differ.
    pub differing: usize,
    /// The fields that differ, in the order of the new version.
    #[serde(serialize_with = "by_name")]
    pub fields: Vec<FieldChange>,
    /// What differs in the events of the samples.
    pub events: Vec<EventChange>,
    /// Parts of the definition that differ and belong to no field.
    pub definition: Vec<PartChange>,
}

/// A field that differs.
#[derive(Debug, Serialize)]
pub struct FieldChange {
    /// Its key in events.
    #[serde(skip)]
    pub name: String,
    /// Whether one version does not have the field.
    pub change: Change,
    /// The number of events in which it differs. 0: no sample shows the change.
    pub events: usize,
    /// The parts of its definition that differ.
    pub definition: Vec<PartChange>,
}

/// Whether one version does not have the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the new version has it.
    Added,
    /// Only the old version has it.
    Removed,
    /// Both versions have it.
    Changed,
}

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

/// A difference in one event.
#[derive(Debug, Serialize)]
pub struct EventChange {
    /// The sample.
    pub sample: String,
    /// The event's key in the old version; in the new one if only this one has the event.
    pub key: String,
    /// What differs.
    pub part: EventPart,
    /// The field, if it is a field that differs.
    pub field: Option<Arc<str>>,
    /// The old value; null without one.
    pub old: Option<Box<RawValue>>,
    /// The new value; null without one.
    pub new: Option<Box<RawValue>>,
}

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventPart {
    /// The event: only one version makes it.
    Event,
    /// Its key.
    Key,
    /// Its source.
    Source,
    /// One of its fields.
    Field,
}

impl Difference {
    /// True if the versions make the same events and no part of their definitions differs that can
    /// change an event.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.events.is_empty() && self.definition.is_empty()
    }
}

/// Compares two versions of a mapping, sample by sample.
#[derive(Debug)]
pub struct Comparison {
    old: Mapping,
    new: Mapping,
    difference: Difference,
}

impl Comparison {
    /// Compares the definitions.
    pub fn new(old: &Definition, new: &Definition) -> Result<Self, Failure> {
        let (old, new) = (Mapping::flat(old, "OLD")?, Mapping::flat(new, "NEW")?);
        let (fields, definition) = (field_changes(&old, &new), part_changes(&old, &new));
        Ok(Comparison {
            old,
            new,
            difference: Difference {
                compared: 0,
                differing: 0,
                fields,
                events: Vec::new(),
                definition,
            },
        })
    }

    /// Maps a sample with both versions and compares the events.
    pub fn add(&mut self, sample: &str, raw: &Document) -> Result<(), Failure> {
        let map = |mapping: &Mapping, version: &str| {
            mapping.apply(raw).map_err(|failure| {
                let why = failure.message();
                failure.reworded(format!("{version} cannot map {sample}: {why}"))
            })
        };
        let (old, new) = (map(&self.old, "OLD")?, map(&self.new, "NEW")?);
        for (old, new) in self.pairs(&old, &new) {
            let changes = event_changes(sample, old, new);
            self.difference.compared += 1;
            self.difference.differing += usize::from(!changes.is_empty());
            for name in changes.iter().filter_map(|change| change.field.as_deref()) {
                let fields = &mut self.difference.fields;
                if let Some(field) = fields.iter_mut().find(|field| field.name == name) {
                    field.events += 1;
                }
            }
            self.difference.events.extend(changes);
        }
        Ok(())
    }

    /// What differs.
    pub fn finish(self) -> Difference {
        let mut difference = self.difference;
        difference.fields.retain(|field| {
            field.change != Change::Changed || field.events > 0 || !field.definition.is_empty()
        });
        difference
    }

    /// The events of both versions that belong together: those of the same record if both versions
    /// find the same records, else those with the same key. If the key's path changed, the events
    /// without a partner are paired in their order.
    fn pairs<'m>(
        &self,
        old: &'m Mapped,
        new: &'m Mapped,
    ) -> Vec<(Option<&'m Event>, Option<&'m Event>)> {
        let (from, to) = (self.old.definition(), self.new.definition());
        if from.root == to.root {
            let (old, mut new) = (records(old), records(new));
            let mut pairs: Vec<_> = old
                .into_iter()
                .map(|(index, event)| (index, Some(event), new.remove(&index)))
                .collect();
            pairs.extend(
                new.into_iter()
                    .map(|(index, event)| (index, None, Some(event))),
            );
            pairs.sort_by_key(|(index, _, _)| *index);
            return pairs.into_iter().map(|(_, old, new)| (old, new)).collect();
        }
        let mut by_key: HashMap<&str, VecDeque<usize>> = HashMap::new();
        for (index, event) in new.events.iter().enumerate() {
            by_key.entry(&event.key).or_default().push_back(index);
        }
        let mut partner = |event: &Event| by_key.get_mut(event.key.as_str())?.pop_front();
        let partners: Vec<Option<usize>> = old.events.iter().map(&mut partner).collect();
        let taken: BTreeSet<usize> = partners.iter().flatten().copied().collect();
        let mut left = (0..new.events.len()).filter(|index| !taken.contains(index));
        let other_key = from.key != to.key;
        let mut pairs = Vec::new();
        for (event, found) in old.events.iter().zip(partners) {
            let found = found.or_else(|| if other_key { left.next() } else { None });
            pairs.push((Some(event), found.and_then(|index| new.events.get(index))));
        }
        pairs.extend(left.map(|index| (None, new.events.get(index))));
        pairs
    }
}

/// The events by the position of their record.
fn records(mapped: &Mapped) -> HashMap<usize, &Event> {
    let faults: BTreeSet<usize> = mapped.faults.iter().map(|fault| fault.index).collect();
    let indexes = (0..).filter(|index| !faults.contains(index));
    indexes.zip(&mapped.events).collect()
}

fn event_changes(sample: &str, old: Option<&Event>, new: Option<&Event>) -> Vec<EventChange> {
    let Some(key) = old.or(new).map(|event| &event.key) else {
        return Vec::new();
    };
    let change =
        |part, field: Option<&Arc<str>>, old: Option<&RawValue>, new: Option<&RawValue>| {
            (old.map(RawValue::get) != new.map(RawValue::get)).then(|| EventChange {
                sample: sample.to_owned(),
                key: key.clone(),
                part,
                field: field.cloned(),
                old: old.map(ToOwned::to_owned),
                new: new.map(ToOwned::to_owned),
            })
        };
    let text = |event: Option<&Event>, of: fn(&Event) -> &str| {
        event.and_then(|event| to_raw_value(of(event)).ok())
    };
    let (keys, sources) = (
        [old, new].map(|event| text(event, |event| &event.key)),
        [old, new].map(|event| text(event, |event| &event.source)),
    );
    let whole = |part, [old, new]: &[Option<Box<RawValue>>; 2]| {
        change(part, None, old.as_deref(), new.as_deref())
    };
    let (Some(old), Some(new)) = (old, new) else {
        return whole(EventPart::Event, &keys).into_iter().collect();
    };
    let mut changes = Vec::new();
    changes.extend(whole(EventPart::Key, &keys));
    changes.extend(whole(EventPart::Source, &sources));
    let value = |event: &'_ Event, name: &str| {
        let found = event.fields.0.iter().find(|(field, _)| **field == *name);
        found.map(|(_, value)| value.clone())
    };
    let only_old = old
        .fields
        .0
        .iter()
        .filter(|(name, _)| new.fields.get(name).is_none());
    for (name, _) in new.fields.0.iter().chain(only_old) {
        let (old, new) = (value(old, name), value(new, name));
        changes.extend(change(
            EventPart::Field,
            Some(name),
            old.as_deref(),
            new.as_deref(),
        ));
    }
    changes
}

/// All fields of both versions, with the parts of their definitions that differ.
fn field_changes(old: &Mapping, new: &Mapping) -> Vec<FieldChange> {
    let (before, after) = (old.fields(), new.fields());
    let removed = before.iter().filter(|name| !after.contains(*name));
    let names = after.iter().chain(removed);
    let changed = names.map(|name| FieldChange {
        name: (*name).to_owned(),
        change: match (before.contains(name), after.contains(name)) {
            (false, _) => Change::Added,
            (_, false) => Change::Removed,
            _ => Change::Changed,
        },
        events: 0,
        definition: field_parts(name, old.definition(), new.definition()),
    });
    changed.collect()
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
fn field_parts(name: &str, old: &Definition, new: &Definition) -> Vec<PartChange> {
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
fn part_changes(old: &Mapping, new: &Mapping) -> Vec<PartChange> {
    let (before, after) = (old.definition(), new.definition());
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
    let ids = |one: &Definition| -> Vec<String> {
        one.sources.iter().map(|source| source.id.clone()).collect()
    };
    parts.extend(other_order("order of sources", &ids(before), &ids(after)));
    let names =
        |one: &Mapping| -> Vec<String> { one.fields().into_iter().map(str::to_owned).collect() };
    parts.extend(other_order("order of fields", &names(old), &names(new)));
    parts
}

/// A change if the names that both lists have stand in another order.
fn other_order(part: &str, old: &[String], new: &[String]) -> Option<PartChange> {
    let common = |list: &[String], other: &[String]| -> Vec<String> {
        let names = list.iter().filter(|name| other.contains(name));
        names.cloned().collect()
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

fn by_name<S: Serializer>(fields: &[FieldChange], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|field| (&field.name, field)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(root: &str, key: &str, sources: &str) -> Definition {
        let text = format!(
            r#"{{"mapping":1,"vocabulary":"own","root":"{root}","key":"{key}","sources":[{sources}]}}"#
        );
        Definition::parse(&text, "m").expect("a mapping")
    }

    fn compare(old: &Definition, new: &Definition, sample: &str) -> Difference {
        let mut comparison = Comparison::new(old, new).expect("both compile");
        let raw = Document::parse(sample).expect("JSON");
        comparison.add("s", &raw).expect("it maps");
        comparison.finish()
    }

    /// `part key: old → new` of each difference in an event.
    fn rows(difference: &Difference) -> Vec<String> {
        let text = |value: &Option<Box<RawValue>>| {
            value.as_ref().map_or("-".to_owned(), ToString::to_string)
        };
        let row = |one: &EventChange| {
            format!(
                "{:?} {}: {} → {}",
                one.part,
                one.key,
                text(&one.old),
                text(&one.new)
            )
        };
        difference.events.iter().map(row).collect()
    }

    const X: &str = r#"{"id":"default","fields":[{"field":"x","path":".x"}]}"#;
    const Y: &str = r#"{"id":"default","fields":[{"field":"x","path":".y"}]}"#;

    #[test]
    fn events_of_the_same_record_are_compared_also_if_the_key_changed() {
        let (old, new) = (definition("$", ".a", X), definition("$", ".b", Y));
        let sample = r#"[{"a":1,"b":2,"x":"u","y":"v"},{"a":2,"b":1,"x":"w","y":"w"},null]"#;
        let found = compare(&old, &new, sample);
        let expected = [
            "Key 1: \"1\" → \"2\"",
            "Field 1: \"u\" → \"v\"",
            "Key 2: \"2\" → \"1\"",
        ];
        assert_eq!(rows(&found), expected);
        assert_eq!((found.compared, found.differing), (2, 2));
        assert_eq!(found.fields[0].events, 1);
    }

    #[test]
    fn events_of_different_records_are_paired_by_key() {
        let (old, new) = (definition("$.p", ".a", X), definition("$.q", ".a", X));
        let sample = r#"{"p":[{"a":1,"x":1},{"a":2,"x":2},{"a":2,"x":3}],
                         "q":[{"a":3,"x":1},{"a":2,"x":2},{"a":2,"x":4}]}"#;
        let found = compare(&old, &new, sample);
        let expected = ["Event 1: \"1\" → -", "Field 2: 3 → 4", "Event 3: - → \"3\""];
        assert_eq!(rows(&found), expected);
        assert_eq!(found.definition[0].part, "root");
    }

    #[test]
    fn events_are_paired_in_their_order_if_root_and_key_changed() {
        let (old, new) = (definition("$.p", ".a", X), definition("$.p[*]", ".b", X));
        let sample = r#"{"p":[{"a":1,"b":5,"x":1},{"a":2,"b":6,"x":2}]}"#;
        let expected = ["Key 1: \"1\" → \"5\"", "Key 2: \"2\" → \"6\""];
        assert_eq!(rows(&compare(&old, &new, sample)), expected);
    }

    #[test]
    fn change_that_no_event_shows_is_reported_and_a_note_is_not() {
        let table = |entries: &str| {
            format!(
                r#"{{"id":"default","fields":[{{"field":"x","path":".x","values":{{{entries}}}}}]}}"#
            )
        };
        let old = definition("$", ".a", &table(r#""u":1,"v":2"#));
        let new = definition("$", ".a", &table(r#""v":3,"u":1"#));
        let found = compare(&old, &new, r#"[{"a":1,"x":"u"}]"#);
        let part = PartChange {
            source: None,
            part: "values.\"v\"".to_owned(),
            old: Some(2.into()),
            new: Some(3.into()),
        };
        assert_eq!(found.fields[0].definition, [part]);
        assert_eq!((found.fields[0].events, found.differing), (0, 0));
        assert!(!found.is_empty());

        let noted = X
            .replace(r#"".x""#, r#"".x","note":"n""#)
            .replace("{\"id\"", "{\"title\":\"t\",\"id\"");
        let (old, new) = (definition("$", ".a", X), definition("$", ".a", &noted));
        assert!(compare(&old, &new, r#"[{"a":1,"x":"u"}]"#).is_empty());
    }

    #[test]
    fn source_that_is_added_renamed_or_moved_is_reported() {
        let one = r#"{"id":"one","when":"@.one","fields":[{"field":"x","path":".z"}]},"#;
        let two = r#"{"id":"two","when":"@.two","fields":[]},"#;
        let last = X.replace("default", "rest");
        let old = definition("$", ".a", &format!("{one}{two}{X}"));
        let new = definition("$", ".a", &format!("{two}{one}{last}"));
        let found = compare(&old, &new, r#"[{"a":1,"one":1,"two":1,"x":1,"z":2}]"#);
        let parts: Vec<&str> = found
            .definition
            .iter()
            .map(|one| one.part.as_str())
            .collect();
        assert_eq!(parts, ["id", "order of sources"]);
        assert_eq!(
            rows(&found),
            ["Source 1: \"one\" → \"two\"", "Field 1: 2 → 1"]
        );

        let (old, new) = (
            definition("$", ".a", X),
            definition("$", ".a", &format!("{one}{X}")),
        );
        let found = compare(&old, &new, "[]");
        assert_eq!(found.definition[0].part, "when");
        assert_eq!(found.fields[0].definition[0].source.as_deref(), Some("one"));
    }

    #[test]
    fn numbers_keep_their_digits_and_fields_of_nested_events_are_compared_one_by_one() {
        let nested = |path: &str| {
            let text = format!(
                r#"{{"mapping":1,"vocabulary":"own","nest":true,"root":"$","sources":[{{"id":"default",
                "fields":[{{"field":"a.b","path":".x"}},{{"field":"a.c","path":"{path}"}}]}}]}}"#
            );
            Definition::parse(&text, "m").expect("a mapping")
        };
        let found = compare(
            &nested(".y"),
            &nested(".z"),
            r#"[{"x":1,"y":18446744073709551616,"z":1.0}]"#,
        );
        let json = serde_json::to_string(&found).expect("it serializes");
        assert!(
            json.contains(r#""field":"a.c","old":18446744073709551616,"new":1.0"#),
            "{json}"
        );
        assert!(
            json.contains(r#""fields":{"a.c":{"change":"changed","events":1,"#),
            "{json}"
        );
    }
}
