//! Finds the records in an input: in a document, in an array, in a result, or line by line.
//!
//! The first bytes of a value decide its shape. An object is held until its shape is known: the root's
//! first name makes it a document, `raw_data` a result, its end a record.

use std::borrow::Cow;
use std::io;

use super::{Interruption, Receiver, Sink, compacted, failure, mapper, unfit};
use crate::json::tape::Tape;
use crate::json::window::{MAX_VALUE, Place, Unreadable, Window};
use crate::mapping::Mapping;
use crate::mapping::extract::too_much;
use crate::mapping::record::kind_of;
use crate::mapping::run::{no_records, root_absent};
use crate::mapping::syntax::{Query, Segment, Selector};
use crate::mapping::value::Record;
use crate::protocol::Warning;

pub(super) type Outcome<T = ()> = Result<T, Interruption>;

/// An absolute path on the way to its value: its slot, and the number of steps done.
#[derive(Clone, Copy)]
struct Tail {
    slot: usize,
    done: usize,
}

/// The members of a result that an object has.
#[derive(Clone, Copy, Default)]
struct Seen {
    protocol: bool,
    return_data: bool,
    raw_data: bool,
}

pub(super) struct Shape<'a, 'r> {
    pub(super) mapping: &'a Mapping,
    pub(super) window: Window<'r>,
    pub(super) sink: Sink<'a>,
    /// The root as steps to children.
    route: Vec<Selector>,
    /// The first names of the current document, for messages.
    names: Vec<String>,
    /// The values at the root in the current document.
    roots: usize,
    /// The absolute paths with values after the root, which came too late.
    late: Vec<usize>,
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

    pub(super) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.sink.mapper.warnings();
        if self.is_bare && !self.mapping.compiled.absolute.is_empty() {
            let message =
                "The input has records without a document, so absolute paths have no value.";
            warnings.push(Warning::new("no_document", message));
        }
        for slot in &self.late {
            let path = written(&self.mapping.compiled.absolute[*slot]);
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
                    self.walk(0, &self.tails())?;
                    self.require_root(None)?;
                }
                b'[' => {
                    self.is_bare = true;
                    self.spread(0)?;
                }
                _ => {
                    let start = self.window.position();
                    let place = self.window.place(start);
                    if self.next_line(start) {
                        self.sink.fault(place, "it is not a JSON object")?;
                        return self.lines();
                    }
                    let message = "The input is not JSON: expected an object or an array.";
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

    fn peek(&mut self) -> Outcome<Option<u8>> {
        self.window.peek().map_err(|why| self.broken(&why))
    }

    fn tails(&self) -> Vec<Tail> {
        let slots = 0..self.mapping.compiled.absolute.len();
        slots.map(|slot| Tail { slot, done: 0 }).collect()
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
                    unfit(why).unwrap_or_default()
                )
            }
        };
        failure(message, place).into()
    }

    /// The failure of a byte that is not allowed here.
    fn unexpected<T>(&mut self, expected: &str) -> Outcome<T> {
        let end = self.peek()?.is_none();
        self.is_broken = true;
        let place = self.window.place(self.window.position());
        let message = match end {
            true => format!("The input is incomplete: it ends at {place}. Expected {expected}."),
            false => format!("The input is not JSON at {place}: expected {expected}."),
        };
        Err(failure(message, place).into())
    }

    /// Moves to the next item of a container. False after the last one.
    fn next_item(&mut self, first: &mut bool, close: u8) -> Outcome<bool> {
        let is_first = std::mem::take(first);
        match self.peek()? {
            Some(byte) if byte == close => {
                self.window.bump();
                return Ok(false);
            }
            Some(b',') if !is_first => self.window.bump(),
            Some(_) if is_first => {}
            _ if is_first => return self.unexpected("a value"),
            _ => return self.unexpected("a comma or the end of the array or object"),
        }
        match self.peek()? {
            Some(b',' | b']' | b'}' | b':') | None => self.unexpected("a value"),
            Some(_) => Ok(true),
        }
    }

    /// Reads the name of a member and moves to its value.
    fn name(&mut self) -> Outcome<String> {
        let name = self.window.string().map_err(|why| self.broken(&why))?;
        let Some(name) = name else {
            return self.unexpected("the name of a member");
        };
        if self.peek()? != Some(b':') {
            return self.unexpected("a colon");
        }
        self.window.bump();
        match self.peek()? {
            Some(b',' | b']' | b'}' | b':') | None => self.unexpected("a value"),
            Some(_) => Ok(name),
        }
    }

    fn skip(&mut self, level: usize) -> Outcome {
        self.window.skip(level).map_err(|why| self.broken(&why))
    }

    /// Reads an object that starts the input or follows a document. True if it is a record.
    fn object(&mut self) -> Outcome<bool> {
        let start = self.window.position();
        let place = self.window.place(start);
        self.window.keep(start);
        let decided = self.decide(start, place);
        self.window.release();
        let broken = match decided {
            Err(Interruption::Input(failure)) if self.is_broken && self.roots == 0 => failure,
            other => return other,
        };
        // A record that is cut off does not affect the next lines.
        if self.next_line(start) {
            self.is_bare = true;
            self.sink
                .fault(place, broken.message().trim_end_matches('.'))?;
            self.lines()?;
            return Ok(true);
        }
        Err(broken.into())
    }

    fn decide(&mut self, start: usize, place: Place) -> Outcome<bool> {
        let (mut seen, tails, mut first) = (Seen::default(), self.tails(), true);
        self.window.bump();
        while self.next_item(&mut first, b'}')? {
            let name = self.name()?;
            match name.as_str() {
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
            self.member(0, &name, &tails)?;
        }
        if self.roots > 0 {
            return Ok(false);
        }
        if !self.window.is_keeping() {
            return self.too_large(place);
        }
        let end = self.window.position();
        let raw = self.window.bytes(start..end).to_vec();
        self.undecided(place, &raw, seen)
    }

    /// True if the member `raw_data` that comes next is that of a result: if the members before it show
    /// it, or if the object is too large for a record.
    fn is_result(&mut self, seen: Seen) -> Outcome<bool> {
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
        let why = unfit(&Unreadable::TooLarge).unwrap_or_default();
        self.sink.fault(place, &why)?;
        Ok(true)
    }

    /// An object without the root: a record, or a result whose `raw_data` came first.
    fn undecided(&mut self, place: Place, raw: &[u8], seen: Seen) -> Outcome<bool> {
        if seen.raw_data && seen.protocol && seen.return_data {
            let rest =
                std::mem::replace(&mut self.window, Window::new(io::Cursor::new(raw.to_vec())));
            let read = self.object_as_result();
            self.window = rest;
            return read.map(|()| false);
        }
        if !self.route.is_empty() && self.is_foreign(raw) && self.peek()?.is_none() {
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
    fn is_foreign(&mut self, raw: &[u8]) -> bool {
        let Ok(text) = compacted(raw, Place { line: 1, column: 1 }) else {
            return false;
        };
        let event = self.sink.mapper.event(&text, 0, &self.sink.document);
        self.sink.mapper.restart();
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
        self.walk(0, &self.tails())?;
        self.require_root(is_object.then_some(()))
    }

    fn require_root(&self, object: Option<()>) -> Outcome {
        if self.roots > 0 {
            return Ok(());
        }
        let names = object.map(|()| self.names.as_slice());
        Err(root_absent(&self.mapping.compiled.root, names).into())
    }

    /// True if the root's step at this level selects the member.
    fn wants(&self, level: usize, name: &str) -> bool {
        match self.route.get(level) {
            Some(Selector::Name(wanted)) => wanted == name,
            Some(Selector::Wildcard) => true,
            _ => false,
        }
    }

    /// Follows the root's path in the value at the next byte. `step` is the number of steps done, and of
    /// the containers around the value.
    fn walk(&mut self, step: usize, tails: &[Tail]) -> Outcome {
        if step == self.route.len() {
            return self.root(step);
        }
        let wanted = self.route[step].clone();
        match (self.peek()?, wanted) {
            (Some(b'{'), wanted @ (Selector::Name(_) | Selector::Wildcard)) => {
                let mut first = true;
                self.roots += usize::from(matches!(wanted, Selector::Wildcard));
                self.window.bump();
                while self.next_item(&mut first, b'}')? {
                    let name = self.name()?;
                    self.member(step, &name, tails)?;
                }
                Ok(())
            }
            (Some(b'['), wanted @ (Selector::Index(_) | Selector::Wildcard)) => {
                let (mut first, mut index) = (true, 0);
                // `$.value[*]` of an empty page has no record.
                self.roots += usize::from(matches!(wanted, Selector::Wildcard));
                self.window.bump();
                while self.next_item(&mut first, b']')? {
                    let chosen = matches!(wanted, Selector::Wildcard)
                        || matches!(wanted, Selector::Index(only) if only == index);
                    let inner = self.advanced(
                        tails,
                        |step| matches!(step, Selector::Index(only) if *only == index),
                    );
                    self.item(chosen, step, &inner)?;
                    index += 1;
                }
                Ok(())
            }
            _ => self.skip(step),
        }
    }

    fn member(&mut self, step: usize, name: &str, tails: &[Tail]) -> Outcome {
        if step == 0 && self.names.len() < 12 {
            self.names.push(name.to_owned());
        }
        let inner = self.advanced(
            tails,
            |step| matches!(step, Selector::Name(only) if only == name),
        );
        self.item(self.wants(step, name), step, &inner)
    }

    /// Reads a member or element: on the way to the root, or to the value of an absolute path.
    fn item(&mut self, chosen: bool, step: usize, tails: &[Tail]) -> Outcome {
        if !chosen {
            return self.capture(step + 1, tails);
        }
        let singular = !self
            .route
            .iter()
            .any(|step| matches!(step, Selector::Wildcard));
        if singular && self.roots > 0 {
            let place = self.window.place(self.window.position());
            let message = format!(
                "The root \"{}\" is repeated at {place}. The records of the first one were mapped; a \
                 run uses the last one.",
                self.mapping.compiled.root.text()
            );
            return Err(failure(message, place).into());
        }
        self.walk(step + 1, tails)
    }

    /// The absolute paths whose next step selects the item.
    fn advanced(&self, tails: &[Tail], selects: impl Fn(&Selector) -> bool) -> Vec<Tail> {
        let next = |tail: &Tail| {
            let query = &self.mapping.compiled.absolute[tail.slot];
            let step = query.0.get(tail.done)?.selectors.first()?;
            selects(step).then_some(Tail {
                slot: tail.slot,
                done: tail.done + 1,
            })
        };
        tails.iter().filter_map(next).collect()
    }

    /// Holds the values of absolute paths in the value at the next byte.
    fn capture(&mut self, level: usize, tails: &[Tail]) -> Outcome {
        if tails.is_empty() {
            return self.skip(level);
        }
        if self.roots > 0 {
            let slots = tails.iter().map(|tail| tail.slot);
            self.late.extend(slots);
            self.late.sort_unstable();
            self.late.dedup();
            return self.skip(level);
        }
        let place = self.window.place(self.window.position());
        let range = self.window.value(level);
        let range = range.map_err(|why| self.broken(&why))?;
        let text = compacted(self.window.bytes(range), place)
            .map_err(|why| failure(format!("A value before the root is invalid: {why}."), place))?;
        let tape = Tape::of(&text, 0);
        let evaluator = Record::new(&tape);
        for tail in tails {
            let rest: &[Segment] = &self.mapping.compiled.absolute[tail.slot].0[tail.done..];
            let nodes = evaluator.nodes(&Query(rest.to_vec()), 0);
            let nodes = nodes.map_err(|_| too_much())?.into_iter();
            let values = nodes.map(|node| Cow::Owned(tape.raw(node).to_owned()));
            self.sink.document[tail.slot].extend(values);
        }
        Ok(())
    }

    /// Maps the value at the root: the elements of an array, or one object.
    fn root(&mut self, level: usize) -> Outcome {
        self.roots += 1;
        match self.peek()? {
            Some(b'{') => self.record(level),
            Some(b'[') => self.spread(level),
            _ => {
                let range = self.window.value(level).map_err(|why| self.broken(&why))?;
                let kind = kind_of(std::str::from_utf8(self.window.bytes(range)).unwrap_or("?"));
                Err(no_records(self.mapping.compiled.root.text(), kind).into())
            }
        }
    }

    /// Maps the elements of an array.
    fn spread(&mut self, level: usize) -> Outcome {
        let mut first = true;
        self.window.bump();
        while self.next_item(&mut first, b']')? {
            self.record(level + 1)?;
        }
        Ok(())
    }

    /// Maps the record at the next byte. `level` is the number of containers around it.
    fn record(&mut self, level: usize) -> Outcome {
        let place = self.window.place(self.window.position());
        match self.window.value(level) {
            Ok(range) => self
                .sink
                .record(place, self.window.bytes(range))
                .map(drop)?,
            Err(Unreadable::Ended) => {
                let (index, end) = (self.sink.records, self.window.position());
                let message = format!(
                    "The input is incomplete: it ends inside record {index}, which starts at {place}."
                );
                return Err(failure(message, self.window.place(end)).into());
            }
            Err(why) => match unfit(&why) {
                Some(reason) => self.sink.fault(place, &reason)?,
                None => return Err(self.broken(&why)),
            },
        }
        Ok(())
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
            match value {
                Ok(range) => drop(self.sink.record(place, self.window.bytes(range))?),
                Err(why @ Unreadable::Input(_)) => return Err(self.broken(&why)),
                Err(why) => {
                    let reason = unfit(&why).unwrap_or("it is incomplete".to_owned());
                    self.sink.fault(place, &reason)?;
                    if matches!(why, Unreadable::Ended) && self.next_line(start) {
                        return self.lines();
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves to the next line after `start` if it starts with an object. The lines must be in memory.
    fn next_line(&mut self, start: usize) -> bool {
        let ahead = self.window.bytes(start..start.saturating_add(MAX_VALUE));
        let mut ends = memchr::memchr_iter(b'\n', ahead);
        let next = ends.find(|end| ahead.get(end + 1) == Some(&b'{'));
        if let Some(end) = next {
            self.window.rewind(start + end + 1);
        }
        next.is_some()
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
                Err(why) => match unfit(&why) {
                    Some(reason) => self.sink.fault(place, &reason)?,
                    None => return Err(self.broken(&why)),
                },
            }
        }
    }
}

/// A singular query as text.
fn written(query: &Query) -> String {
    let mut text = "$".to_owned();
    for selector in query.0.iter().flat_map(|segment| &segment.selectors) {
        match selector {
            Selector::Name(name) => text.push_str(&format!("['{name}']")),
            Selector::Index(index) => text.push_str(&format!("[{index}]")),
            _ => {}
        }
    }
    text
}
