//! Finds the records in an input: in a document, in an array, in a result, or line by line.
//!
//! The first bytes of a value decide its shape. An object is held until its shape is known: the root's
//! first name makes it a document, `raw_data` a result, its end a record.

use std::io;

use super::sink::{Interruption, Receiver, Sink, Summary, compacted, failure, mapper, unholdable};
use crate::json::window::{Place, Unreadable, Window};
use crate::mapping::Mapping;
use crate::mapping::record::RecordMapper;
use crate::mapping::run::root_absent;
use crate::mapping::syntax::Selector;
use crate::protocol::{Warning, Watch};

pub(super) type Outcome<T = ()> = Result<T, Interruption>;

/// Why the start of a record cannot be mapped.
const INCOMPLETE: &str = "it is not complete JSON";

/// An absolute path on the way to its value: its slot, and the number of steps done.
#[derive(Clone, Copy)]
pub(super) struct PendingPath {
    pub(super) slot: usize,
    pub(super) done: usize,
}

/// The members of a result that were read in an object.
#[derive(Clone, Copy, Default)]
struct ResultMembers {
    protocol: bool,
    return_data: bool,
    raw_data: bool,
}

pub(super) struct Shape<'a, 'r> {
    pub(super) mapping: &'a Mapping,
    pub(super) window: Window<'r>,
    pub(super) sink: Sink<'a>,
    /// The root as steps to children.
    pub(super) route: Vec<Selector>,
    /// The first names of the current document, for messages.
    pub(super) names: Vec<String>,
    /// The values at the root in the current document.
    pub(super) roots: usize,
    /// The absolute paths with values after the root, which came too late.
    pub(super) late: Vec<usize>,
    /// True if records were mapped without a document.
    is_bare: bool,
    /// True if the structure of the input is broken.
    is_broken: bool,
}

impl<'a, 'r> Shape<'a, 'r> {
    pub(super) fn new(
        mapping: &'a Mapping,
        window: Window<'r>,
        receiver: &'a mut Receiver<'a>,
    ) -> Self {
        let sink = Sink {
            mapper: mapper(mapping),
            receiver,
            document: vec![Vec::new(); mapping.compiled.absolute.len()],
            records: 0,
        };
        Shape {
            mapping,
            window,
            sink,
            route: Vec::new(),
            names: Vec::new(),
            roots: 0,
            late: Vec::new(),
            is_bare: false,
            is_broken: false,
        }
    }

    pub(super) fn summary(mut self) -> Summary {
        Summary {
            warnings: self.warnings(),
            matched: self.sink.mapper.matched.take().unwrap_or_default(),
        }
    }

    fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.sink.mapper.warnings();
        if self.is_bare && !self.mapping.compiled.absolute.is_empty() {
            let message =
                "The input has records without a document, so absolute paths have no value.";
            warnings.push(Warning::new("no_document", message));
        }
        for slot in &self.late {
            let path = self.mapping.compiled.absolute[*slot]
                .normalized()
                .unwrap_or_default();
            let message = format!(
                "The path \"{path}\" stands after the root in the input. The events before it were \
                 delivered without its value."
            );
            warnings.push(Warning::new("value_after_root", message));
        }
        warnings
    }

    /// Reads the input to its end.
    pub(super) fn read(&mut self, route: Option<&[Selector]>) -> Outcome {
        self.encoding()?;
        let whole = route.is_none();
        self.route = route.unwrap_or_default().to_vec();
        let in_array = matches!(
            self.route.first(),
            None | Some(Selector::Index(_) | Selector::Wildcard)
        );
        while let Some(first) = self.peek()? {
            for values in &mut self.sink.document {
                values.clear();
            }
            self.names.clear();
            self.roots = 0;
            match first {
                b'{' | b'[' if whole => self.whole()?,
                b'{' => {
                    let start = self.window.place(self.window.position());
                    if self.object()? {
                        return self.records(start.line);
                    }
                }
                b'[' if in_array => {
                    self.walk(0, &self.pending())?;
                    self.require_root(None)?;
                }
                b'[' => {
                    self.is_bare = true;
                    self.spread(0)?;
                }
                _ => {
                    let start = self.window.position();
                    let place = self.window.place(start);
                    if self.next_line(start)? {
                        self.sink.fault(place, "it is not a JSON object")?;
                        return self.lines();
                    }
                    let message = "The input has no records: expected an object or an array.";
                    return Err(failure(message, place).into());
                }
            }
        }
        Ok(())
    }

    /// Skips a byte order mark; refuses UTF-16.
    fn encoding(&mut self) -> Outcome {
        let first = match self.window.first_bytes(3) {
            Ok(first) => first.to_vec(),
            Err(why) => return Err(self.broken(&why)),
        };
        match first.as_slice() {
            [0xef, 0xbb, 0xbf] => (0..3).for_each(|_| self.window.bump()),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                let message = "The input is UTF-16. Convert it to UTF-8.";
                return Err(failure(message, self.window.place(0)).into());
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn peek(&mut self) -> Outcome<Option<u8>> {
        self.window.peek().map_err(|why| self.broken(&why))
    }

    pub(super) fn pending(&self) -> Vec<PendingPath> {
        let slots = 0..self.mapping.compiled.absolute.len();
        slots.map(|slot| PendingPath { slot, done: 0 }).collect()
    }

    /// Why the input cannot be read further.
    pub(super) fn broken(&mut self, why: &Unreadable) -> Interruption {
        self.is_broken = true;
        let place = self.window.place(self.window.position());
        let message = match why {
            Unreadable::Input(error) => format!("The input cannot be read: {error}."),
            Unreadable::Ended => format!("The input is incomplete: it ends at {place}."),
            Unreadable::TooLarge | Unreadable::TooDeep => {
                format!(
                    "A value at {place} cannot be read: {}.",
                    unholdable(why).unwrap_or_default()
                )
            }
        };
        failure(message, place).into()
    }

    /// The failure of a byte that is not allowed here.
    pub(super) fn unexpected<T>(&mut self, expected: &str) -> Outcome<T> {
        let end = self.peek()?.is_none();
        self.is_broken = true;
        let place = self.window.place(self.window.position());
        let message = if end {
            format!("The input is incomplete: it ends at {place}. Expected {expected}.")
        } else {
            format!("The input is not JSON at {place}: expected {expected}.")
        };
        Err(failure(message, place).into())
    }

    /// Reads an object that starts the input or follows a document. True if it is a record.
    fn object(&mut self) -> Outcome<bool> {
        let start = self.window.position();
        let place = self.window.place(start);
        self.window.keep(start);
        let decided = self.read_object(start, place);
        let is_held = self.window.is_keeping();
        self.window.release();
        let broken = match decided {
            Err(Interruption::Input(failure)) if self.is_broken && self.roots == 0 => failure,
            other => return other,
        };
        // A record that is cut off does not affect the next lines.
        if is_held && self.next_line(start)? {
            self.is_bare = true;
            self.sink.fault(place, INCOMPLETE)?;
            self.lines()?;
            return Ok(true);
        }
        Err(broken.into())
    }

    fn read_object(&mut self, start: usize, place: Place) -> Outcome<bool> {
        let (mut seen, pending, mut first) = (ResultMembers::default(), self.pending(), true);
        let mut after_request = false;
        self.window.bump();
        while self.next_item(&mut first, b'}')? {
            let name = self.name()?;
            match name.as_str() {
                "request" if self.names.is_empty() => after_request = true,
                "result"
                    if after_request && !self.wants(0, "result") && self.peek()? == Some(b'{') =>
                {
                    // What `try --json` prints.
                    self.window.release();
                    self.object_as_result()?;
                    return self.skip_members().map(|()| false);
                }
                "protocol" => seen.protocol = true,
                "return_data" => seen.return_data = true,
                "raw_data" if self.is_result(seen)? => {
                    self.window.release();
                    self.raw_data()?;
                    return self.skip_members().map(|()| false);
                }
                "raw_data" => seen.raw_data = true,
                _ => {}
            }
            if seen.protocol && seen.return_data {
                self.skip(1)?;
                continue;
            }
            if self.wants(0, &name) {
                self.window.release();
            }
            self.member(0, &name, &pending)?;
        }
        if self.roots > 0 {
            return Ok(false);
        }
        if !self.window.is_keeping() {
            return self.too_large(place);
        }
        let end = self.window.position();
        let raw = self.window.bytes(start..end).to_vec();
        self.finish_object(place, &raw, seen)
    }

    /// True if the member `raw_data` that comes next is that of a result: if the members before it show
    /// it, or if the object is too large for a record.
    fn is_result(&mut self, seen: ResultMembers) -> Outcome<bool> {
        if seen.protocol && seen.return_data {
            return Ok(true);
        }
        if self.roots > 0 || self.wants(0, "raw_data") {
            return Ok(false);
        }
        if !self.window.is_keeping() {
            return Ok(true);
        }
        match self.window.is_holdable() {
            Ok(is_holdable) => Ok(!is_holdable),
            Err(why) => Err(self.broken(&why)),
        }
    }

    fn skip_members(&mut self) -> Outcome {
        let mut first = false;
        while self.next_item(&mut first, b'}')? {
            self.name()?;
            self.skip(1)?;
        }
        Ok(())
    }

    /// An object without the root that is too large for a record.
    fn too_large(&mut self, place: Place) -> Outcome<bool> {
        if !self.route.is_empty() {
            return self.require_root(Some(())).map(|()| false);
        }
        let why = unholdable(&Unreadable::TooLarge).unwrap_or_default();
        self.sink.fault(place, &why)?;
        Ok(true)
    }

    /// An object without the root: a record, or a result whose `raw_data` came first.
    fn finish_object(&mut self, place: Place, raw: &[u8], seen: ResultMembers) -> Outcome<bool> {
        if seen.raw_data && seen.protocol && seen.return_data {
            let rest =
                std::mem::replace(&mut self.window, Window::new(io::Cursor::new(raw.to_vec())));
            let read = self.object_as_result();
            self.window = rest;
            return read.map(|()| false);
        }
        if !self.route.is_empty() && self.matches_no_field(raw) && self.peek()?.is_none() {
            return self.require_root(Some(())).map(|()| false);
        }
        self.is_bare = true;
        self.clear_document();
        self.sink.record(place, raw)?;
        Ok(true)
    }

    fn clear_document(&mut self) {
        for values in &mut self.sink.document {
            values.clear();
        }
    }

    /// True if no field finds a value in the object: then it is not a record, but a document without
    /// the root.
    fn matches_no_field(&self, raw: &[u8]) -> bool {
        let Ok(text) = compacted(raw, Place { line: 1, column: 1 }) else {
            return false;
        };
        let mut mapper = RecordMapper::new(&self.mapping.compiled, Watch::unlimited());
        let event = mapper.event(&text, 0, &self.sink.document);
        event.is_ok_and(|(event, _)| event.fields.0.is_empty())
    }

    /// Reads a result in which `raw_data` is before the other members.
    fn object_as_result(&mut self) -> Outcome {
        let mut first = true;
        self.peek()?;
        self.window.bump();
        while self.next_item(&mut first, b'}')? {
            if self.name()? == "raw_data" {
                self.raw_data()?;
            } else {
                self.skip(1)?;
            }
        }
        Ok(())
    }

    /// Reads the document of a result.
    fn raw_data(&mut self) -> Outcome {
        if self.peek()? == Some(b'n') {
            let place = self.window.place(self.window.position());
            let missing = failure("The result has no `raw_data`.", place);
            let advice = "Send the request with `raw_data` in `options.include`.";
            return Err(missing.advice(advice).into());
        }
        self.names.clear();
        self.clear_document();
        let is_object = self.peek()? == Some(b'{');
        self.walk(0, &self.pending())?;
        self.require_root(is_object.then_some(()))
    }

    fn require_root(&self, object: Option<()>) -> Outcome {
        if self.roots > 0 {
            return Ok(());
        }
        let names = object.map(|()| self.names.as_slice());
        Err(root_absent(&self.mapping.compiled.root, names).into())
    }

    /// Maps the values after the first record, which started in that line: one in each line, or several
    /// in a line or over many lines.
    fn records(&mut self, first_line: usize) -> Outcome {
        let end = self.window.place(self.window.position()).line;
        while self.peek()?.is_some() {
            let start = self.window.position();
            let place = self.window.place(start);
            if first_line == end && place.line > end {
                return self.lines();
            }
            self.window.keep(start);
            let value = self.window.value(0);
            self.window.release();
            if self.window.position() == start {
                // A comma or a bracket between the records.
                self.window.bump();
                self.sink.fault(place, "it is not a JSON object")?;
                continue;
            }
            match value {
                Ok(range) => drop(self.sink.record(place, self.window.bytes(range))?),
                Err(why @ Unreadable::Input(_)) => return Err(self.broken(&why)),
                Err(why) => {
                    let reason = unholdable(&why).unwrap_or(INCOMPLETE.to_owned());
                    self.sink.fault(place, &reason)?;
                    if matches!(why, Unreadable::Ended) && self.next_line(start)? {
                        return self.lines();
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves to the next line after `start` that starts with an object. The input from `start` on must
    /// be in memory.
    fn next_line(&mut self, start: usize) -> Outcome<bool> {
        let found = self.window.line_starting_with(b'{', start);
        let found = found.map_err(|why| self.broken(&why))?;
        if let Some(line) = found {
            self.window.rewind(line);
        }
        Ok(found.is_some())
    }

    /// Maps one record in each line.
    fn lines(&mut self) -> Outcome {
        loop {
            let place = self.window.place(self.window.position());
            match self.window.line() {
                Ok(None) => return Ok(()),
                Ok(Some(line)) => {
                    let line = self.window.bytes(line).trim_ascii();
                    if !line.is_empty() {
                        self.sink.record(place, line)?;
                    }
                }
                Err(why) => match unholdable(&why) {
                    Some(reason) => self.sink.fault(place, &reason)?,
                    None => return Err(self.broken(&why)),
                },
            }
        }
    }
}
