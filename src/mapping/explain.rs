//! Explains the event of a record: its source, and the origin of each field's value.
//!
//! The explanation of a field has the nodes that its path selects and the value after each step. If
//! the path selects nothing, it has the nearest member.
//!
//! Uses the general evaluator and the steps of the mapping itself. Does not create events.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::Mapping;
use super::compile::{Field, From};
use super::record::{DocumentValues, source_of};
use super::stream::Streamed;
use super::syntax::{Query, Selector, normalized_name};
use super::value::Record;
use crate::json::tape::Tape;
use crate::names;

/// Why a record has its event.
#[derive(Debug)]
pub struct RecordExplanation {
    /// The position of the record in the input, from 0.
    pub record: usize,
    /// The source that was chosen.
    pub source: Arc<str>,
    /// The conditions of the sources, in the order in which they were tried.
    pub conditions: Vec<Condition>,
    /// The fields of the source.
    pub fields: Vec<FieldExplanation>,
}

/// The condition of a source.
#[derive(Debug, Serialize)]
pub struct Condition {
    /// The source.
    pub source: Arc<str>,
    /// Its condition.
    pub when: String,
    /// True if the record meets it.
    pub holds: bool,
}

/// Why a field has its value.
#[derive(Debug, Serialize)]
pub struct FieldExplanation {
    /// The position of the record in the input, from 0.
    pub record: usize,
    /// The field's key in the event.
    pub field: Arc<str>,
    /// The path; `None` for a constant and for a value of another field.
    pub path: Option<String>,
    /// The field above whose value is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Arc<str>>,
    /// The normalized paths of the nodes that the path selects. `$` is the record, or for an absolute
    /// path the document.
    pub nodes: Vec<String>,
    /// The values after the path and after each step of the field.
    pub steps: Vec<StepValue>,
    /// The member that is most similar to the name in the path that no member has.
    pub near: Option<String>,
}

/// The value after a step.
#[derive(Debug, Serialize)]
pub struct StepValue {
    /// `path`, `from`, `take`, `regex`, `values`, `type`, `format` or `default`.
    pub step: &'static str,
    /// The value; null if there is none.
    pub value: Option<Box<RawValue>>,
}

impl FieldExplanation {
    /// The value in the event.
    pub fn value(&self) -> Option<&str> {
        Some(self.steps.last()?.value.as_ref()?.get())
    }
}

impl Mapping {
    /// Explains a record. `None` if the record is not valid, or its paths exceed the work limit.
    pub fn explain(&self, record: &Streamed<'_>) -> Option<RecordExplanation> {
        if record.text.is_empty() {
            return None;
        }
        let source = source_of(&self.compiled, record.text, 0).ok()?;
        let tape = Tape::of(record.text, 0);
        let record_nodes = Explainer {
            record: record.index,
            nodes: Record::new(&tape),
            document: record.document,
            places: places(&tape),
        };
        let mut fields: Vec<FieldExplanation> = Vec::new();
        for field in &source.fields {
            let explained = record_nodes.field(field, &fields)?;
            fields.push(explained);
        }
        Some(RecordExplanation {
            record: record.index,
            source: Arc::clone(&source.id),
            conditions: self.conditions(&source.id),
            fields,
        })
    }

    /// The conditions up to that of the chosen source.
    fn conditions(&self, chosen: &str) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for source in &self.definition.sources {
            let holds = source.id == chosen;
            conditions.extend(source.when.as_ref().map(|when| Condition {
                source: source.id.as_str().into(),
                when: when.clone(),
                holds,
            }));
            if holds {
                break;
            }
        }
        conditions
    }
}

struct Explainer<'t, 'a> {
    record: usize,
    nodes: Record<'t, 'a>,
    document: &'t DocumentValues<'static>,
    /// The parent of each node, and its index there.
    places: Vec<Option<(usize, usize)>>,
}

/// Found for all nodes at once: a path can select as many nodes as a wide record has.
fn places(tape: &Tape<'_>) -> Vec<Option<(usize, usize)>> {
    let mut places = vec![None; tape.len()];
    for parent in 0..tape.len() {
        for (index, child) in tape.children(parent).enumerate() {
            places[child] = Some((parent, index));
        }
    }
    places
}

impl Explainer<'_, '_> {
    fn field(&self, field: &Field, above: &[FieldExplanation]) -> Option<FieldExplanation> {
        let mut explained = FieldExplanation {
            record: self.record,
            field: Arc::clone(&field.name),
            path: field.path.as_ref().map(|path| path.text().to_owned()),
            from: None,
            nodes: Vec::new(),
            steps: Vec::new(),
            near: None,
        };
        let query = field.path.as_ref().map(|path| path.query());
        match (&field.from, query) {
            (From::Record(_), Some(query)) => {
                let tape = self.nodes.tape;
                let nodes = self.nodes.nodes(query, 0).ok()?;
                explained.nodes = nodes.iter().map(|node| self.path_of(*node)).collect();
                if nodes.is_empty() {
                    explained.near = self.near(query);
                }
                let found: Vec<&str> = nodes.iter().map(|node| tape.raw(*node)).collect();
                explained.steps = steps("path", field, &found);
            }
            (From::Document(slot), Some(query)) => {
                let values = self.document.get(*slot).map_or(&[][..], Vec::as_slice);
                let found: Vec<&str> = values.iter().map(|value| &**value).collect();
                explained.nodes = found.iter().filter_map(|_| query.normalized()).collect();
                explained.steps = steps("path", field, &found);
            }
            (From::Event(name), _) => {
                let value = above.iter().rev().find(|known| known.field == *name);
                let found: Vec<&str> = value
                    .and_then(FieldExplanation::value)
                    .into_iter()
                    .collect();
                explained.from = Some(Arc::clone(name));
                explained.steps = steps("from", field, &found);
            }
            _ => explained.steps = traced(field, &[]),
        }
        Some(explained)
    }

    /// The normalized path of a node (RFC 9535, 2.7).
    fn path_of(&self, node: usize) -> String {
        let tape = self.nodes.tape;
        let (mut parts, mut at) = (Vec::new(), node);
        while let Some((parent, index)) = self.places[at] {
            parts.push(if tape.is_object(parent) {
                normalized_name(&tape.name(at))
            } else {
                format!("[{index}]")
            });
            at = parent;
        }
        parts.push("$".to_owned());
        parts.reverse();
        parts.concat()
    }

    /// The member that is most similar to the first name of the path that selects nothing.
    fn near(&self, query: &Query) -> Option<String> {
        let prefix = |len: usize| self.nodes.nodes(&Query(query.0[..len].to_vec()), 0).ok();
        let found = |len: usize| Some((len, prefix(len).filter(|nodes| !nodes.is_empty())?));
        let (len, nodes) = (0..query.0.len()).rev().find_map(found)?;
        let segment = query.0.get(len)?;
        let [Selector::Name(wanted)] = segment.selectors.as_slice() else {
            return None;
        };
        let tape = self.nodes.tape;
        let (mut members, mut of_elements) = (BTreeSet::new(), BTreeSet::new());
        for node in nodes {
            let inside = if segment.deep {
                tape.subtree(node)
            } else {
                node..node + 1
            };
            for parent in inside {
                if tape.is_object(parent) {
                    members.extend(tape.children(parent).map(|child| tape.name(child)));
                } else if tape.is_array(parent) {
                    let elements = tape.children(parent).filter(|one| tape.is_object(*one));
                    let names = elements.flat_map(|one| tape.children(one));
                    of_elements.extend(names.map(|child| tape.name(child)));
                }
            }
        }
        // A record without an optional member has others that are slightly similar.
        let similar = |names: &BTreeSet<Cow<'_, str>>| {
            let near = names::nearest(wanted, names.iter().map(|name| &**name))?;
            let likeness = strsim::normalized_damerau_levenshtein(wanted, near);
            (likeness > 0.6).then(|| near.to_owned())
        };
        // A path to an array needs `[*]` to select members of its elements.
        similar(&members).or_else(|| Some(format!("[*].{}", similar(&of_elements)?)))
    }
}

/// The values of the path or of the field above, and after each step.
fn steps(first: &'static str, field: &Field, found: &[&str]) -> Vec<StepValue> {
    let value = match found {
        [] => None,
        [.., last]
            if !field.steps.is_many() && field.path.as_ref().is_none_or(|path| path.singular()) =>
        {
            Some((*last).to_owned())
        }
        found => Some(format!("[{}]", found.join(","))),
    };
    let mut steps = vec![step(first, value)];
    steps.extend(traced(field, found));
    steps
}

fn traced(field: &Field, found: &[&str]) -> Vec<StepValue> {
    let traced = field.steps.trace(&found.iter().copied());
    traced
        .into_iter()
        .map(|(name, value)| step(name, value))
        .collect()
}

fn step(step: &'static str, value: Option<String>) -> StepValue {
    let value = value.and_then(|value| RawValue::from_string(value).ok());
    StepValue { step, value }
}
