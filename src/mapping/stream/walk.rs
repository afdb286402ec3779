//! Follows the root's path through a document, holds the values of absolute paths on the way, and maps
//! the records at the root.
//!
//! Reads each byte once and holds one value at a time. `shape` decides where a document starts.

use std::borrow::Cow;

use super::shape::{Outcome, PendingPath, Shape};
use super::sink::{compacted, failure, unholdable};
use crate::json::tape::Tape;
use crate::json::window::Unreadable;
use crate::mapping::extract::too_much;
use crate::mapping::record::kind_of;
use crate::mapping::run::no_records;
use crate::mapping::syntax::{Query, Segment, Selector};
use crate::mapping::value::Record;

impl Shape<'_, '_> {
    /// Moves to the next item of a container. False after the last one.
    pub(super) fn next_item(&mut self, first: &mut bool, close: u8) -> Outcome<bool> {
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
    pub(super) fn name(&mut self) -> Outcome<String> {
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

    pub(super) fn skip(&mut self, level: usize) -> Outcome {
        self.window.skip(level).map_err(|why| self.broken(&why))
    }

    /// True if the root's step at this level selects the member.
    pub(super) fn wants(&self, level: usize, name: &str) -> bool {
        match self.route.get(level) {
            Some(Selector::Name(wanted)) => wanted == name,
            Some(Selector::Wildcard) => true,
            _ => false,
        }
    }

    /// Follows the root's path in the value at the next byte. `step` is the number of steps done, and of
    /// the containers around the value.
    pub(super) fn walk(&mut self, step: usize, pending: &[PendingPath]) -> Outcome {
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
                    self.member(step, &name, pending)?;
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
                        pending,
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

    pub(super) fn member(&mut self, step: usize, name: &str, pending: &[PendingPath]) -> Outcome {
        if step == 0 && self.names.len() < 12 {
            self.names.push(name.to_owned());
        }
        let inner = self.advanced(
            pending,
            |step| matches!(step, Selector::Name(only) if only == name),
        );
        self.item(self.wants(step, name), step, &inner)
    }

    /// Reads a member or element: on the way to the root, or to the value of an absolute path.
    pub(super) fn item(&mut self, chosen: bool, step: usize, pending: &[PendingPath]) -> Outcome {
        if !chosen {
            return self.capture(step + 1, pending);
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
        self.walk(step + 1, pending)
    }

    /// The absolute paths whose next step selects the item.
    pub(super) fn advanced(
        &self,
        pending: &[PendingPath],
        selects: impl Fn(&Selector) -> bool,
    ) -> Vec<PendingPath> {
        let next = |path: &PendingPath| {
            let query = &self.mapping.compiled.absolute[path.slot];
            let step = query.0.get(path.done)?.selectors.first()?;
            selects(step).then_some(PendingPath {
                slot: path.slot,
                done: path.done + 1,
            })
        };
        pending.iter().filter_map(next).collect()
    }

    /// Holds the values of absolute paths in the value at the next byte.
    pub(super) fn capture(&mut self, level: usize, pending: &[PendingPath]) -> Outcome {
        if pending.is_empty() {
            return self.skip(level);
        }
        if self.roots > 0 {
            let slots = pending.iter().map(|path| path.slot);
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
        for path in pending {
            let rest: &[Segment] = &self.mapping.compiled.absolute[path.slot].0[path.done..];
            let nodes = evaluator.nodes(&Query(rest.to_vec()), 0);
            let nodes = nodes.map_err(|_| too_much())?.into_iter();
            let values = nodes.map(|node| Cow::Owned(tape.raw(node).to_owned()));
            self.sink.document[path.slot].extend(values);
        }
        Ok(())
    }

    /// Maps the value at the root: the elements of an array, or one object.
    pub(super) fn root(&mut self, level: usize) -> Outcome {
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
    pub(super) fn spread(&mut self, level: usize) -> Outcome {
        let mut first = true;
        self.window.bump();
        while self.next_item(&mut first, b']')? {
            self.record(level + 1)?;
        }
        Ok(())
    }

    /// Maps the record at the next byte. `level` is the number of containers around it.
    pub(super) fn record(&mut self, level: usize) -> Outcome {
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
            Err(why) => match unholdable(&why) {
                Some(reason) => self.sink.fault(place, &reason)?,
                None => return Err(self.broken(&why)),
            },
        }
        Ok(())
    }
}
