//! The difference between two versions of a mapping: of their definitions, and of the events that
//! they make of the same samples.
//!
//! Fields are compared one by one, also those of nested events. Titles and notes are not compared,
//! because they change no event. Reads no files, and does not print.

mod parts;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::{Definition, Mapped, Mapping};
use crate::json::Document;
use crate::protocol::{Event, Failure};

pub use parts::PartChange;
use parts::{field_parts, other_order, part_changes};

/// The differences between two versions of a mapping.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// The number of events that were compared.
    pub compared: usize,
    /// The number of events that differ.
    pub differing: usize,
    /// The fields that differ, in the order of the new version.
    #[serde(serialize_with = "by_name")]
    pub fields: Vec<FieldChange>,
    /// The differences in the events of the samples.
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

/// A difference in one event.
#[derive(Debug, Serialize)]
pub struct EventChange {
    /// The sample.
    pub sample: String,
    /// The event's key in the old version; in the new one if only this one has the event.
    pub key: String,
    /// The part that differs.
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

/// One version of a mapping.
#[derive(Debug)]
struct Version {
    definition: Definition,
    /// All fields side by side.
    flat: Mapping,
    /// The mapping itself, if its events have a `rest`.
    whole: Option<Mapping>,
}

impl Version {
    fn new(definition: &Definition, origin: &str) -> Result<Self, Failure> {
        let whole = || Mapping::compile(definition.clone(), origin);
        Ok(Version {
            flat: Mapping::flat(definition, origin)?,
            whole: definition.rest.as_ref().map(|_| whole()).transpose()?,
            definition: definition.clone(),
        })
    }

    /// The events of a sample: each field by itself, then the rest.
    fn apply(&self, raw: &Document) -> Result<Mapped, Failure> {
        let mut mapped = self.flat.apply(raw)?;
        if let (Some(whole), Some(rest)) = (&self.whole, &self.definition.rest) {
            for (event, whole) in mapped.events.iter_mut().zip(whole.apply(raw)?.events) {
                let rest = whole
                    .fields
                    .0
                    .into_iter()
                    .find(|(name, _)| **name == **rest);
                event.fields.0.extend(rest);
            }
        }
        Ok(mapped)
    }

    /// The names of the fields, and of the rest.
    fn fields(&self) -> Vec<&str> {
        let mut names = self.flat.fields();
        names.extend(self.definition.rest.as_deref());
        names
    }
}

/// Compares two versions of a mapping, sample by sample.
#[derive(Debug)]
pub struct Comparison {
    old: Version,
    new: Version,
    difference: Difference,
}

impl Comparison {
    /// Compares the definitions.
    pub fn new(old: &Definition, new: &Definition) -> Result<Self, Failure> {
        let (old, new) = (Version::new(old, "OLD")?, Version::new(new, "NEW")?);
        let fields = field_changes(&old, &new);
        let mut definition = part_changes(&old.definition, &new.definition);
        definition.extend(other_order("order of fields", &old.fields(), &new.fields()));
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
        let map = |version: &Version, name: &str| {
            version.apply(raw).map_err(|failure| {
                let why = failure.message();
                failure.reworded(format!("{name} cannot map {sample}: {why}"))
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

    /// Returns the differences.
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
        let (from, to) = (&self.old.definition, &self.new.definition);
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
fn field_changes(old: &Version, new: &Version) -> Vec<FieldChange> {
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
        definition: field_parts(name, &old.definition, &new.definition),
    });
    changed.collect()
}

fn by_name<S: Serializer>(fields: &[FieldChange], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|field| (&field.name, field)))
}

#[cfg(test)]
mod tests;
