//! Reads a document in spite of its faults, so that later checks report their faults at once too.
//!
//! A repaired document is only checked, and never run.

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::pointer::unescape;
use crate::protocol::shape::differences;
use crate::protocol::strict::pointer_in;

/// Reads an object without its unknown and invalid members. If one of them is required, returns one
/// `T` for each word that it allows; none if it allows anything else or is missing.
///
/// A fault that all of them have does not depend on the invalid members.
pub(crate) fn repaired<T: DeserializeOwned + JsonSchema>(object: &Map<String, Value>) -> Vec<T> {
    let document = Value::Object(object.clone());
    let schema = Value::from(schema_for!(T));
    let found = differences(&schema, &document, "", ErrorKind::InvalidInput);
    let read = |n: Option<usize>| {
        let mut document = document.clone();
        for one in found.iter().filter(|one| !one.missing) {
            let word = n.and_then(|n| one.choices.iter().cycle().nth(n));
            replace(&mut document, &one.pointer, word);
        }
        serde_json::from_value(document).ok()
    };
    if let Some(read) = read(None) {
        return vec![read];
    }
    let choices = found.iter().map(|one| one.choices.len()).max();
    let choices = 0..choices.unwrap_or_default();
    choices.filter_map(|n| read(Some(n))).collect()
}

/// Removes a member, or replaces it or an element with a word.
fn replace(document: &mut Value, pointer: &str, word: Option<&String>) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    match (document.pointer_mut(parent), word) {
        (Some(Value::Object(members)), None) => {
            members.remove(&unescape(last));
        }
        (Some(parent), Some(word)) => {
            if let Some(value) = parent.pointer_mut(&format!("/{last}")) {
                *value = word.as_str().into();
            }
        }
        _ => {}
    }
}

/// The faults that all lists have, except those at, above or below the place of a known fault.
pub(crate) fn further_faults(known: &[Failure], lists: &[Vec<Failure>]) -> Vec<Failure> {
    let Some((first, others)) = lists.split_first() else {
        return Vec::new();
    };
    let within = |inner: &str, outer: &str| {
        let below = inner.strip_prefix(outer);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    };
    let is_near = |fault: &Failure, other: &Failure| {
        let [one, other] = [fault, other].map(|one| pointer_in(one.place().unwrap_or_default()));
        within(one, other) || within(other, one)
    };
    let same = |one: &Failure, other: &Failure| {
        one.place() == other.place() && one.message() == other.message()
    };
    first
        .iter()
        .filter(|fault| !known.iter().any(|known| is_near(fault, known)))
        .filter(|fault| {
            let has = |list: &Vec<Failure>| list.iter().any(|other| same(fault, other));
            others.iter().all(has)
        })
        .cloned()
        .collect()
}
