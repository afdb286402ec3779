//! Maps the records of a stream and passes them to a receiver.
//!
//! A record that is not valid is passed on with the reason. Does not find records.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use serde::de::IgnoredAny;

use crate::json::whitespace::strip_whitespace;
use crate::json::window::{MAX_VALUE, Place, Unreadable};
use crate::mapping::Mapping;
use crate::mapping::record::{DocumentValues, RecordMapper};
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

/// The counts and warnings of all records together.
#[derive(Debug, Default)]
pub struct Summary {
    /// Values that were left out of events, and absolute paths without a value.
    pub warnings: Vec<Warning>,
    /// The number of events that have each field, before names are nested.
    pub matched: HashMap<Arc<str>, usize>,
}

/// Receives mapped records.
pub type Receiver<'a> = dyn FnMut(Streamed<'_>) -> io::Result<()> + 'a;

/// Maps records and passes them on.
pub(super) struct Sink<'a> {
    pub(super) mapper: RecordMapper<'a>,
    pub(super) receiver: &'a mut Receiver<'a>,
    /// The values of the absolute paths of the current document.
    pub(super) document: DocumentValues<'static>,
    /// The number of records.
    pub(super) records: usize,
}

impl Sink<'_> {
    /// Maps one record. Returns false if it is not valid JSON.
    pub(super) fn record(&mut self, place: Place, raw: &[u8]) -> io::Result<bool> {
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

    pub(super) fn fault(&mut self, place: Place, why: &str) -> io::Result<()> {
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
            event: event.map_err(|why| {
                let line = place.line;
                format!("Record {index} (line {line}) was not mapped: {why}.")
            }),
            text,
            document: &self.document,
        })
    }
}

/// The text of a value without white space between tokens, or why it is not valid JSON.
pub(super) fn compacted(raw: &[u8], place: Place) -> Result<Cow<'_, str>, String> {
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
        let reason = reason.replace("EOF while parsing", "it ends inside");
        let at = at(error.line(), error.column());
        format!("it is not JSON at {at}: {reason}")
    })?;
    strip_whitespace(text).map_err(|error| error.to_string())
}

/// The failure of an input.
pub(super) fn failure(message: impl Into<String>, place: Place) -> Failure {
    Failure::new(ErrorKind::BadResponse, message).at(place.to_string())
}

/// Why a value cannot be held. `None`: the input ends or cannot be read.
pub(super) fn unholdable(why: &Unreadable) -> Option<String> {
    match why {
        Unreadable::TooLarge => Some(format!("it is larger than {MAX_VALUE} bytes")),
        Unreadable::TooDeep => Some("it is nested deeper than 127 levels".to_owned()),
        Unreadable::Ended | Unreadable::Input(_) => None,
    }
}

/// A mapper without limits: an author's own file is mapped to its end.
pub(super) fn mapper(mapping: &Mapping) -> RecordMapper<'_> {
    let mut mapper = RecordMapper::new(&mapping.compiled, Watch::unlimited());
    mapper.matched = Some(HashMap::new());
    mapper
}
