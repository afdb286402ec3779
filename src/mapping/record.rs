//! Maps one record: selects its source, runs the source's paths and steps, and creates the event.
//!
//! Does not find the records: `run` finds them in a document, `stream` in text of any size.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use ring::digest;
use serde_json::value::RawValue;

use super::compile::{Compiled, Field, From, Source};
use super::plan::Found;
use super::steps::{Outcome, Steps, text_of};
use super::value::{Exhausted, Record};
use super::{nest, rest};
use crate::json::canonical::canonical;
use crate::json::tape::Tape;
use crate::protocol::event::Fields;
use crate::protocol::{Event, Failure, Warning, Watch};

/// A record fails if its values together are larger than this number of bytes plus sixteen times the
/// record's size.
const SPARE_BYTES: usize = 16 << 20;

/// If a record's values are larger than this number of bytes, the watch is checked for each field.
const LARGE: usize = 1 << 20;

/// The values of the absolute paths: of each path, the JSON texts in order.
pub(crate) type DocumentValues<'a> = Vec<Vec<Cow<'a, str>>>;

/// Maps records, and counts the values that could not be converted.
pub(crate) struct RecordMapper<'a> {
    compiled: &'a Compiled,
    watch: Watch<'a>,
    found: Found,
    /// Fields with values that could not be converted, with their number.
    dropped: Vec<(&'a Field, usize)>,
    /// The number of events that have each field, if it is counted.
    pub(crate) matched: Option<HashMap<Arc<str>, usize>>,
    /// Why the mapping stops early: the remaining records are skipped.
    pub(crate) stopped: Option<Failure>,
}

impl<'a> RecordMapper<'a> {
    pub(crate) fn new(compiled: &'a Compiled, watch: Watch<'a>) -> Self {
        RecordMapper {
            compiled,
            watch,
            found: Found::default(),
            dropped: Vec::new(),
            matched: None,
            stopped: None,
        }
    }

    /// Forgets the values that could not be converted.
    pub(crate) fn restart(&mut self) {
        self.dropped.clear();
    }

    /// Maps the record at `at`; returns the event and the end of the record.
    pub(crate) fn event(
        &mut self,
        text: &str,
        at: usize,
        document: &DocumentValues<'_>,
    ) -> Result<(Event, usize), String> {
        let source = source_of(self.compiled, text, at).map_err(exhausted_message)?;
        let end = source
            .plan
            .run(text, at, &mut self.found)
            .map_err(exhausted_message)?;
        let raw = text.get(at..end).unwrap_or("");
        let bare = !raw.starts_with(['{', '[']);
        if raw == "null" || (bare && !source.whole) {
            return Err(format!("it is {}, expected an object", kind_of(raw)));
        }
        if self.found.bytes() > SPARE_BYTES + 16 * raw.len() {
            return Err("its paths select nested values beyond the size limit".to_owned());
        }
        let event = Event {
            key: self.key(source, text, raw),
            source: Arc::clone(&source.id),
            fields: self.fields(source, (text, at), document),
        };
        Ok((event, end))
    }

    fn key(&self, source: &Source, text: &str, raw: &str) -> String {
        let values = source.key.map(|slot| self.found.values(slot, text));
        let key = values
            .and_then(|mut values| values.find(|raw| !matches!(*raw, "null" | "\"\"")))
            .map(|raw| text_of(raw).into_owned());
        key.unwrap_or_else(|| content_key(raw))
    }

    fn fields(
        &mut self,
        source: &'a Source,
        (text, at): (&str, usize),
        document: &DocumentValues<'_>,
    ) -> Fields {
        let mut fields: Vec<(Arc<str>, Box<RawValue>)> = Vec::with_capacity(source.fields.len());
        let large = self.found.bytes() > LARGE;
        let mut room = SPARE_BYTES;
        for field in &source.fields {
            // Large records can be slow: check the watch for each field.
            if large && self.stopped.is_none() {
                self.stopped = self.watch.check(0).err();
            }
            if self.stopped.is_some() {
                break;
            }
            let outcome = match &field.from {
                From::Record(slot) => field.steps.run(self.found.values(*slot, text)),
                From::Document(slot) => {
                    let values = document.get(*slot).map_or(&[][..], Vec::as_slice);
                    field.steps.run(values.iter().map(|value| &**value))
                }
                From::Event(name) => {
                    let above = fields.iter().find(|(known, _)| known == name);
                    from_above(&field.steps, above.map(|(_, value)| value.get()), &mut room)
                }
                From::Constant => field.steps.run(std::iter::empty()),
            };
            if outcome.dropped > 0 {
                self.drop_values(field, outcome.dropped);
            }
            let value = outcome.value.map(RawValue::from_string);
            if let Some(Ok(value)) = value {
                fields.push((Arc::clone(&field.name), value));
            }
        }
        if let Some(matched) = &mut self.matched {
            for (name, _) in &fields {
                *matched.entry(Arc::clone(name)).or_default() += 1;
            }
        }
        if self.compiled.nest {
            let rest = self.compiled.rest.as_deref().map(|name| {
                let held = self.held(source, (text, at));
                (name, rest::members(text, at, &held))
            });
            let rest = rest
                .as_ref()
                .map(|(name, members)| (*name, members.as_slice()));
            fields = nest::nested(&fields, rest);
        }
        Fields(fields)
    }

    /// The positions of the values that a field holds.
    fn held(&self, source: &Source, (text, at): (&str, usize)) -> Vec<Range<usize>> {
        let mut held = Vec::new();
        for field in &source.fields {
            if let From::Record(slot) = &field.from {
                let is_held = field.steps.holds(self.found.values(*slot, text));
                let positions = self.found.positions(*slot, at).zip(is_held);
                held.extend(positions.filter_map(|(span, is_held)| is_held.then_some(span)));
            }
        }
        rest::outermost(held)
    }

    fn drop_values(&mut self, field: &'a Field, count: usize) {
        match self
            .dropped
            .iter_mut()
            .find(|(known, _)| known.at == field.at)
        {
            Some((_, total)) => *total += count,
            None => self.dropped.push((field, count)),
        }
    }

    /// The values that could not be converted: one warning for each field.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let warnings = self.dropped.iter().map(|(field, count)| {
            let (values, left) = match count {
                1 => ("value", "was"),
                _ => ("values", "were"),
            };
            let message = format!(
                "{count} {values} of the field \"{}\" could not be converted and {left} left out.",
                field.name
            );
            Warning::new("not_converted", message).at(&*field.at)
        });
        warnings.collect()
    }
}

/// Runs the steps on the value of a field above. Values beyond `room` bytes are left out: formats
/// could enlarge a value again and again.
fn from_above(steps: &Steps, above: Option<&str>, room: &mut usize) -> Outcome {
    let value = above.filter(|value| value.len() <= *room);
    *room -= value.map_or(0, str::len);
    let mut outcome = steps.run(value.into_iter());
    outcome.dropped += usize::from(value.is_none() && above.is_some());
    outcome
}

/// The first source whose condition is true for the record at `at`.
pub(crate) fn source_of<'c>(
    compiled: &'c Compiled,
    text: &str,
    at: usize,
) -> Result<&'c Source, Exhausted> {
    let (last, special) = compiled.sources.split_last().ok_or(Exhausted)?;
    if special.is_empty() {
        return Ok(last);
    }
    let tape = Tape::of(text, at);
    let evaluator = Record::new(&tape);
    for source in special {
        if let Some(when) = &source.when
            && evaluator.matches(when, 0)?
        {
            return Ok(source);
        }
    }
    Ok(last)
}

pub(crate) fn kind_of(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

pub(crate) fn exhausted_message(_: Exhausted) -> String {
    "its paths exceed the work limit".to_owned()
}

/// The hash of a record's canonical form.
fn content_key(raw: &str) -> String {
    let hash = digest::digest(&digest::SHA256, canonical(raw).as_bytes());
    let mut key = String::with_capacity(71);
    key.push_str("sha256:");
    HEXLOWER.encode_append(hash.as_ref(), &mut key);
    key
}
