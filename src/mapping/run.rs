//! Applies a compiled mapping: finds the root, selects a source for each record, creates the event.
//!
//! One pass over the document, one record after the other. A fault in one record does not affect the
//! others.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use ring::digest;
use serde_json::value::RawValue;

use super::compile::{Compiled, Field, From, Source};
use super::extract::too_much;
use super::plan::Found;
use super::steps::{Outcome, Steps, text_of};
use super::syntax::{Query, Selector};
use super::value::{Exhausted, Record};
use super::{Mapped, RecordFault, nest, rest};
use crate::json::canonical::canonical;
use crate::json::document::members;
use crate::json::scan;
use crate::json::tape::Tape;
use crate::protocol::event::Fields;
use crate::protocol::{ErrorKind, Event, Failure, Warning, Watch};

/// A record fails if its values together are larger than this number of bytes plus sixteen times the
/// record's size.
const SPARE_BYTES: usize = 16 << 20;

/// If a record's values are larger than this number of bytes, the watch is checked for each field.
const LARGE: usize = 1 << 20;

/// Maps the text of a valid document.
pub(crate) fn apply(compiled: &Compiled, text: &str, watch: Watch<'_>) -> Result<Mapped, Failure> {
    let mut document = Found::default();
    if compiled.absolute {
        let run = compiled.document.run(text, 0, &mut document);
        run.map_err(|_| too_much())?;
    }
    let mut mapper = Mapper {
        compiled,
        text,
        document,
        found: Found::default(),
        mapped: Mapped::default(),
        dropped: Vec::new(),
        records: 0,
        roots: 0,
        wrong: None,
        watch,
        stopped: None,
    };
    mapper.find_roots()?;
    if let Some(stopped) = mapper.stopped {
        return Err(stopped);
    }
    if let Some(kind) = mapper.wrong {
        return Err(no_records(compiled.root.text(), kind));
    }
    if mapper.roots == 0 {
        return Err(root_absent(compiled.root.text(), text));
    }
    mapper.warn();
    Ok(mapper.mapped)
}

fn root_absent(root: &str, text: &str) -> Failure {
    let names: Vec<String> = members(text).map_or_else(
        |_| Vec::new(),
        |all| {
            all.iter()
                .take(12)
                .map(|one| format!("\"{}\"", one.name()))
                .collect()
        },
    );
    let there = match names.as_slice() {
        _ if !text.starts_with('{') => "it is not an object".to_owned(),
        [] => "it has no members".to_owned(),
        names => format!("its members are {}", names.join(", ")),
    };
    Failure::new(
        ErrorKind::BadResponse,
        format!("The response has no value at the root path \"{root}\": {there}."),
    )
    .cause("The response does not have the structure that the mapping expects.")
    .advice("Compare `raw_data` with the mapping's root; `mapping.root` replaces it.")
}

fn no_records(root: &str, kind: &str) -> Failure {
    Failure::new(
        ErrorKind::BadResponse,
        format!("The value at the root path \"{root}\" must be an array or object; the response has {kind}."),
    )
    .cause("The response does not have the structure that the mapping expects.")
    .advice("Compare `raw_data` with the mapping's root; `mapping.root` replaces it.")
}

fn kind_of(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

struct Mapper<'a> {
    compiled: &'a Compiled,
    text: &'a str,
    document: Found,
    found: Found,
    mapped: Mapped,
    /// Fields with values that could not be converted, with their number.
    dropped: Vec<(&'a Field, usize)>,
    records: usize,
    roots: usize,
    wrong: Option<&'static str>,
    watch: Watch<'a>,
    /// Why the mapping stops early: the remaining records are skipped.
    stopped: Option<Failure>,
}

impl<'a> Mapper<'a> {
    fn find_roots(&mut self) -> Result<(), Failure> {
        let (compiled, text) = (self.compiled, self.text);
        let query = compiled.root.query();
        if query.singular() && query.common() {
            let path: Vec<&Selector> = query.0.iter().flat_map(|step| &step.selectors).collect();
            self.descend(scan::skip_whitespace(text.as_bytes(), 0), &path);
            return Ok(());
        }
        let tape = Tape::of(text, 0);
        let evaluator = Record::new(&tape);
        let roots = evaluator.nodes(query, 0).map_err(|_| too_much())?;
        for root in roots {
            self.root(tape.start(root));
        }
        // `$.value[*]` of an empty page has no record. The value before the first `*` must exist.
        let fixed = query
            .0
            .iter()
            .take_while(|step| step.singular())
            .cloned()
            .collect();
        let fixed = evaluator.nodes(&Query(fixed), 0);
        self.roots += usize::from(fixed.is_ok_and(|nodes| !nodes.is_empty()));
        Ok(())
    }

    /// Follows names and indexes to the root in the pass that maps; returns the end of the value. Of
    /// members with the same name, the last one counts.
    fn descend(&mut self, at: usize, path: &[&Selector]) -> usize {
        let bytes = self.text.as_bytes();
        let Some((first, rest)) = path.split_first() else {
            self.restart();
            return self.root(at);
        };
        let named = match (bytes.get(at), first) {
            (Some(b'{'), Selector::Name(_)) => true,
            (Some(b'['), Selector::Index(_)) => false,
            _ => return scan::value_end(bytes, at),
        };
        let (mut next, mut index) = (at + 1, 0);
        while let Some(item) = scan::next_item(bytes, next) {
            let (wanted, value) = if named {
                let end = scan::string_end(bytes, item);
                let name = scan::unescape(self.text.get(item..end).unwrap_or(""));
                let wanted = matches!(first, Selector::Name(wanted) if *wanted == name);
                (wanted, scan::member_value(bytes, end))
            } else {
                index += 1;
                (
                    matches!(first, Selector::Index(wanted) if *wanted == index - 1),
                    item,
                )
            };
            next = if wanted {
                self.descend(value, rest)
            } else {
                scan::value_end(bytes, value)
            };
        }
        scan::skip_bracket(bytes, next)
    }

    fn restart(&mut self) {
        self.mapped = Mapped::default();
        self.dropped.clear();
        self.records = 0;
        self.wrong = None;
    }

    /// Maps the value at the root: the elements of an array, or one object.
    fn root(&mut self, at: usize) -> usize {
        self.roots += 1;
        let bytes = self.text.as_bytes();
        match bytes.get(at) {
            Some(b'{') => self.record(at),
            Some(b'[') => {
                let mut next = at + 1;
                while let Some(item) = scan::next_item(bytes, next) {
                    next = self.record(item);
                }
                scan::skip_bracket(bytes, next)
            }
            _ => {
                let end = scan::value_end(bytes, at);
                self.wrong = Some(kind_of(self.text.get(at..end).unwrap_or("")));
                end
            }
        }
    }

    fn record(&mut self, at: usize) -> usize {
        if self.stopped.is_some() {
            return scan::value_end(self.text.as_bytes(), at);
        }
        let index = self.records;
        self.records += 1;
        match self.event(at) {
            Ok((event, end)) => {
                self.stopped = self.watch.check(size(&event)).err();
                self.mapped.events.push(event);
                end
            }
            Err(why) => {
                let message = format!("Record {index} was not mapped: {why}.");
                self.stopped = self.watch.check(message.len()).err();
                self.mapped.faults.push(RecordFault { index, message });
                scan::value_end(self.text.as_bytes(), at)
            }
        }
    }

    fn event(&mut self, at: usize) -> Result<(Event, usize), String> {
        let source = self.source(at).map_err(exhausted_message)?;
        let end = source
            .plan
            .run(self.text, at, &mut self.found)
            .map_err(exhausted_message)?;
        let raw = self.text.get(at..end).unwrap_or("");
        let bare = !raw.starts_with(['{', '[']);
        if raw == "null" || (bare && !source.whole) {
            return Err(format!("it is {}, expected an object", kind_of(raw)));
        }
        if self.found.bytes() > SPARE_BYTES + 16 * raw.len() {
            return Err("its paths select nested values beyond the size limit".to_owned());
        }
        let event = Event {
            key: self.key(source, raw),
            source: Arc::clone(&source.id),
            fields: self.fields(source, at),
        };
        Ok((event, end))
    }

    /// The first source whose condition is true.
    fn source(&self, at: usize) -> Result<&'a Source, Exhausted> {
        let (last, special) = self.compiled.sources.split_last().ok_or(Exhausted)?;
        if special.is_empty() {
            return Ok(last);
        }
        let tape = Tape::of(self.text, at);
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

    fn key(&self, source: &Source, raw: &str) -> String {
        let values = source.key.map(|slot| self.found.values(slot, self.text));
        let key = values
            .and_then(|mut values| values.find(|raw| !matches!(*raw, "null" | "\"\"")))
            .map(|raw| text_of(raw).into_owned());
        key.unwrap_or_else(|| content_key(raw))
    }

    fn fields(&mut self, source: &'a Source, at: usize) -> Fields {
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
                From::Record(slot) => field.steps.run(self.found.values(*slot, self.text)),
                From::Document(slot) => field.steps.run(self.document.values(*slot, self.text)),
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
        if self.compiled.nest {
            let rest = self.compiled.rest.as_deref().map(|name| {
                let selected = self.found.spans(source.key.unwrap_or(usize::MAX), at);
                (name, rest::members(self.text, at, &selected))
            });
            let rest = rest
                .as_ref()
                .map(|(name, members)| (*name, members.as_slice()));
            fields = nest::nested(&fields, rest);
        }
        Fields(fields)
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

    fn warn(&mut self) {
        for (field, count) in &self.dropped {
            let (values, left) = match count {
                1 => ("value", "was"),
                _ => ("values", "were"),
            };
            let message = format!(
                "{count} {values} of the field \"{}\" could not be converted and {left} left out.",
                field.name
            );
            let warning = Warning::new("not_converted", message).at(&*field.at);
            self.mapped.warnings.push(warning);
        }
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

/// The memory of an event in bytes: its texts, and their containers.
fn size(event: &Event) -> usize {
    let values = event
        .fields
        .0
        .iter()
        .map(|(_, value)| value.get().len() + 32);
    size_of::<Event>() + event.key.len() + values.sum::<usize>()
}

fn exhausted_message(_: Exhausted) -> String {
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
