//! Maps JSON text of any size while it is read, one record after the other.
//!
//! The input is a sequence of values. A value is a document with the mapping's root, an array of
//! records, a saved result (its `raw_data` is the document), or a record; after the first record, all
//! values are records. Only one record is in memory. A faulty record does not affect the others; text
//! whose structure is broken ends the mapping. Members outside the root are skipped without parsing.
//!
//! `shape` finds the records, `whole` those of documents that must be in memory. `run` maps documents that are in memory.

mod shape;
mod whole;

use std::borrow::Cow;
use std::io::{self, Read};

use serde::de::IgnoredAny;

use super::Mapping;
use super::path::FieldPath;
use super::record::{DocumentValues, RecordMapper};
use super::run::not_mapped;
use super::syntax::{Query, Selector};
use crate::json::whitespace::strip_whitespace;
use crate::json::window::{MAX_VALUE, Place, Unreadable, Window};
use crate::protocol::{ErrorKind, Event, Failure, Warning, Watch};

/// A record of the input, mapped.
pub struct Streamed<'a> {
    /// The position of the record in the input, from 0.
    pub index: usize,
    /// The line where the record starts, from 1.
    pub line: usize,
    /// The event, or the reason why there is none, in one sentence.
    pub event: Result<Event, String>,
    /// The record as text without white space; empty if it is not valid.
    pub(crate) text: &'a str,
    pub(crate) document: &'a DocumentValues<'static>,
}

/// Why mapping stopped before the end of the input.
#[derive(Debug)]
pub enum Interruption {
    /// The receiver of the events failed.
    Receiver(io::Error),
    /// The input cannot be read further. Events before the place were delivered.
    Input(Failure),
}

impl From<io::Error> for Interruption {
    fn from(error: io::Error) -> Self {
        Interruption::Receiver(error)
    }
}

impl From<Failure> for Interruption {
    fn from(failure: Failure) -> Self {
        Interruption::Input(failure)
    }
}

/// Receives mapped records.
pub type Receiver<'a> = dyn FnMut(Streamed<'_>) -> io::Result<()> + 'a;

impl Mapping {
    /// Maps the records of an input and passes each to `receiver`. Returns the warnings, also if the
    /// mapping stopped early.
    ///
    /// # Errors
    /// An absolute path of the mapping cannot be evaluated before the root, so it is not possible to
    /// map the input while it is read.
    pub fn stream<'a>(
        &'a self,
        input: impl Read + 'a,
        receiver: &'a mut Receiver<'_>,
    ) -> (Vec<Warning>, Result<(), Interruption>) {
        let route = route(self.compiled.root.query());
        if let Some(route) = &route
            && let Some(fault) = self.unstreamable(route)
        {
            return (Vec::new(), Err(Interruption::Input(fault)));
        }
        let mut shape = shape::Shape::new(self, Window::new(input), receiver);
        let ended = shape.read(route.as_deref());
        (shape.warnings(), ended)
    }

    /// The fault of an absolute path that does not select one value before the root.
    fn unstreamable(&self, route: &[Selector]) -> Option<Failure> {
        let fields = self.compiled.sources.iter().flat_map(|one| &one.fields);
        let paths = fields.filter_map(|field| Some((field, field.path.as_ref()?)));
        let absolute = paths.filter(|(_, path)| path.absolute());
        let faults = absolute.filter_map(|(field, path)| {
            let reason = unreachable(path, route)?;
            let message = format!(
                "The absolute path \"{}\" cannot be evaluated while the input is read: {reason}.",
                path.text()
            );
            let fault = Failure::new(ErrorKind::InvalidMapping, message).at(&*field.at);
            Some(fault.advice("Use a relative path, or an absolute path of names and indexes that stands before the root."))
        });
        let mut faults: Vec<Failure> = faults.collect();
        // A source inherits the fields of the last one.
        faults.dedup_by(|one, other| one.place() == other.place());
        Failure::join(faults)
    }
}

/// The root as steps to children. `None`: finding the root needs the whole document.
fn route(root: &Query) -> Option<Vec<Selector>> {
    let is_child = root.common() && root.0.iter().all(|segment| !segment.deep);
    let steps = root.0.iter().flat_map(|segment| segment.selectors.clone());
    is_child.then(|| steps.collect())
}

/// Why the values of an absolute path cannot be known when the first record is mapped.
fn unreachable(path: &FieldPath, route: &[Selector]) -> Option<&'static str> {
    if !path.singular() {
        return Some("it can select many values");
    }
    let steps = path.query().0.iter().flat_map(|segment| &segment.selectors);
    for (step, of_root) in steps.zip(route) {
        match (step, of_root) {
            (Selector::Index(index), _) if *index < 0 => return Some("it counts from the end"),
            (Selector::Name(name), Selector::Name(other)) if name != other => return None,
            (Selector::Index(index), Selector::Index(other)) if index < other => return None,
            (Selector::Index(index), Selector::Index(other)) if index > other => {
                return Some("it stands after the root");
            }
            _ => {}
        }
    }
    if path.query().0.len() > route.len() {
        return Some("it is inside the root");
    }
    Some("it contains the root")
}

/// Maps records and passes them on.
struct Sink<'a> {
    mapper: RecordMapper<'a>,
    receiver: &'a mut Receiver<'a>,
    /// The values of the absolute paths of the current document.
    document: DocumentValues<'static>,
    /// The number of records.
    records: usize,
}

impl Sink<'_> {
    /// Maps one record. Returns false if it is not valid JSON.
    fn record(&mut self, place: Place, raw: &[u8]) -> io::Result<bool> {
        match compacted(raw, place) {
            Ok(text) => {
                let event = self.mapper.event(&text, 0, &self.document);
                let event = event.map(|(event, _)| event);
                self.deliver(place, event, &text)?;
                Ok(true)
            }
            Err(why) => {
                self.fault(place, &why)?;
                Ok(false)
            }
        }
    }

    fn fault(&mut self, place: Place, why: &str) -> io::Result<()> {
        self.deliver(place, Err(why.to_owned()), "")
    }

    fn deliver(
        &mut self,
        place: Place,
        event: Result<Event, String>,
        text: &str,
    ) -> io::Result<()> {
        let index = self.records;
        self.records += 1;
        (self.receiver)(Streamed {
            index,
            line: place.line,
            event: event.map_err(|why| not_mapped(index, &why)),
            text,
            document: &self.document,
        })
    }
}

/// The text of a value without white space between tokens, or why it is not valid JSON.
fn compacted(raw: &[u8], place: Place) -> Result<Cow<'_, str>, String> {
    let at = |line: usize, column: usize| {
        let first = if line == 1 { place.column - 1 } else { 0 };
        Place {
            line: place.line + line - 1,
            column: first + column,
        }
    };
    let text = std::str::from_utf8(raw).map_err(|error| {
        let before = &raw[..error.valid_up_to()];
        let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        format!("it is not UTF-8 at {}", at(line, before.len() - start + 1))
    })?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or_default();
        format!(
            "it is not JSON: {reason} at {}",
            at(error.line(), error.column())
        )
    })?;
    strip_whitespace(text).map_err(|error| error.to_string())
}

/// The failure of an input.
fn failure(message: impl Into<String>, place: Place) -> Failure {
    Failure::new(ErrorKind::BadResponse, message).at(place.to_string())
}

/// Why a value cannot be held. `None`: the input ends or cannot be read.
fn unfit(why: &Unreadable) -> Option<String> {
    match why {
        Unreadable::TooLarge => Some(format!("it is larger than {MAX_VALUE} bytes")),
        Unreadable::TooDeep => Some("it is nested deeper than 127 levels".to_owned()),
        Unreadable::Ended | Unreadable::Input(_) => None,
    }
}

/// A mapper without limits: an author's own file is mapped to its end.
fn mapper(mapping: &Mapping) -> RecordMapper<'_> {
    RecordMapper::new(&mapping.compiled, Watch::unlimited())
}

#[cfg(test)]
mod tests;
