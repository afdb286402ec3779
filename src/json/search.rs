//! Finds forms of secrets in one pass.
//!
//! A form can be written with escapes, so the text is read in three ways at once: escapes resolved,
//! percent-encoding and the escapes of JSON inside JSON resolved too, and one more level of those. That is slow, so it is
//! done only around places that could begin or hold a form: where a form stands as it is, and at
//! escapes that stand for a character of a form. Both are found by searches that read many bytes at
//! a time. No byte is read more than once by each of them.

pub(crate) mod form;
mod unit;

use std::cell::Cell;

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, BuildError, MatchKind};

use crate::json::scan;
pub(crate) use form::Form;
use unit::Unit;

/// What is written instead of a secret.
pub const STRUCK_OUT: &str = "***";

/// The search was stopped: nothing of the text may leave the process.
#[derive(Debug, PartialEq, Eq)]
pub struct Stopped;

/// So many units are read between two looks at whether to stop.
const STRETCH: usize = 64 * 1024;

/// What kind of text is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A compact JSON document: only strings are struck out of, and names of members only where a
    /// secret cannot be a name.
    Json,
    /// Words.
    Text,
    /// A name, a key or a code.
    Name,
}

/// The forms of all secrets, ready to be searched for.
pub(crate) struct Search {
    forms: Vec<Form>,
    /// Finds forms as they are.
    quick: AhoCorasick,
    /// Follows a text character by character.
    steps: NFA,
    longest: usize,
    /// Pairs of bytes that follow each other in a form; a byte that ends a form is paired with all.
    pairs: Box<[bool]>,
    /// Does a secret hold a blank, which an address may write as `+`?
    blank: bool,
}

/// A form that was found.
struct Found {
    start: usize,
    end: usize,
    form: usize,
}

impl Search {
    pub(crate) fn new(forms: &[Form]) -> Result<Self, BuildError> {
        let texts = || forms.iter().map(|form| form.text.as_bytes());
        let mut pairs = vec![false; 1 << 16];
        for text in texts() {
            for pair in text.windows(2) {
                pairs[index(pair[0], pair[1])] = true;
            }
            if let Some(last) = text.last() {
                let row = index(*last, 0);
                pairs[row..row + 256].fill(true);
            }
        }
        Ok(Search {
            quick: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(texts())?,
            steps: NFA::builder()
                .match_kind(MatchKind::Standard)
                .build(texts())?,
            longest: texts().map(<[u8]>::len).max().unwrap_or_default(),
            blank: texts().any(|text| text.contains(&b' ')),
            pairs: pairs.into(),
            forms: forms.to_vec(),
        })
    }

    /// The text with every form struck out, if there is one. `stop` is asked now and then.
    pub(crate) fn strike(
        &self,
        text: &str,
        kind: Kind,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<String>, Stopped> {
        let struck = match kind {
            Kind::Json => Pass {
                search: self,
                text: text.as_bytes(),
                kind,
                stop,
                units: Cell::default(),
                readers: (
                    unit::json,
                    unit::address_in_json,
                    unit::address_in_nested_json,
                ),
            }
            .run()?,
            Kind::Text | Kind::Name => Pass {
                search: self,
                text: text.as_bytes(),
                kind,
                stop,
                units: Cell::default(),
                readers: (unit::plain, unit::address, unit::address_in_json),
            }
            .run()?,
        };
        // Forms begin and end with whole characters, so what is left of the text is UTF-8.
        Ok(struck
            .map(|bytes| String::from_utf8(bytes).unwrap_or_else(|_| format!("\"{STRUCK_OUT}\""))))
    }
}

fn index(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// One search of one text.
struct Pass<'a, A, B, C> {
    search: &'a Search,
    text: &'a [u8],
    kind: Kind,
    stop: &'a dyn Fn() -> bool,
    /// Units that were read.
    units: Cell<usize>,
    readers: (A, B, C),
}

impl<A, B, C> Pass<'_, A, B, C> {
    /// Counts a unit, and now and then looks whether to stop.
    #[inline]
    fn tick(&self) -> Result<(), Stopped> {
        let units = self.units.get() + 1;
        self.units.set(units);
        if units.is_multiple_of(STRETCH) && (self.stop)() {
            return Err(Stopped);
        }
        Ok(())
    }
}

impl<A, B, C> Pass<'_, A, B, C>
where
    A: Fn(&[u8], usize) -> Unit + Copy,
    B: Fn(&[u8], usize) -> Unit + Copy,
    C: Fn(&[u8], usize) -> Unit + Copy,
{
    fn run(&self) -> Result<Option<Vec<u8>>, Stopped> {
        let mut plain = Plain::default();
        let mut next = self.suspicious(0, &mut plain)?;
        if next.is_none() {
            return Ok(None);
        }
        let (mut out, mut strings) = (Output::default(), Strings::default());
        let mut streams = (
            Stream::new(self.search, self.readers.0),
            Stream::new(self.search, self.readers.1),
            Stream::new(self.search, self.readers.2),
        );
        let (mut from, mut found) = (0, Vec::new());
        while let Some(place) = next {
            let start = self.before(from, place);
            (streams.0.at, streams.1.at, streams.2.at) = (start, start, start);
            let mut until = place + 1;
            loop {
                streams.0.run(self, until, &mut found)?;
                until = until.max(streams.0.at);
                streams.1.run(self, until, &mut found)?;
                until = until.max(streams.1.at);
                streams.2.run(self, until, &mut found)?;
                if streams.2.at <= until {
                    break;
                }
                until = streams.2.at;
            }
            from = until;
            found.sort_by_key(|found: &Found| (found.start, std::cmp::Reverse(found.end)));
            for found in found.drain(..) {
                if self.may_strike(&found, &mut strings) {
                    out.strike(self.text, found.start, found.end);
                }
            }
            next = self.suspicious(from, &mut plain)?;
        }
        Ok(out.finish(self.text))
    }

    /// The next place at which a form can stand.
    fn suspicious(&self, from: usize, plain: &mut Plain) -> Result<Option<usize>, Stopped> {
        let whole = plain.next(self.search, self.text, from);
        let end = whole.unwrap_or(self.text.len());
        let mut at = from;
        while at < end {
            let rest = &self.text[at..end];
            let next = if self.search.blank {
                memchr::memchr3(b'\\', b'%', b'+', rest)
            } else {
                memchr::memchr2(b'\\', b'%', rest)
            };
            let Some(next) = next else { break };
            at += next;
            let first = self.readers.0(self.text, at);
            let (second, third) = (self.readers.1(self.text, at), self.readers.2(self.text, at));
            if self.fits(&first, at, self.readers.0)
                || self.fits(&second, at, self.readers.1)
                || self.fits(&third, at, self.readers.2)
            {
                return Ok(Some(at));
            }
            at = first.end;
            self.tick()?;
        }
        Ok(whole)
    }

    /// Can that unit, which is written as an escape, be a part of a form?
    fn fits(&self, unit: &Unit, at: usize, read: impl Fn(&[u8], usize) -> Unit) -> bool {
        let plain = unit.end == at + 1 && unit.first() == self.text[at];
        if plain {
            return false;
        }
        let next = match (unit.bytes().get(1), self.text.get(unit.end)) {
            (Some(second), _) => *second,
            (None, Some(_)) => read(self.text, unit.end).first(),
            (None, None) => 0,
        };
        self.search.pairs[index(unit.first(), next)]
    }

    /// Where a form that stands at `place` can begin, outside of any escape.
    fn before(&self, from: usize, place: usize) -> usize {
        let start = place.saturating_sub(self.search.longest).max(from);
        let backslashes = self.text[from..start].iter().rev();
        let run = backslashes.take_while(|byte| **byte == b'\\').count();
        (start + run % 2).min(place)
    }

    fn may_strike(&self, found: &Found, strings: &mut Strings) -> bool {
        let form = &self.search.forms[found.form];
        if form.alone && !self.stands_alone(found) {
            return false;
        }
        match self.kind {
            Kind::Text => true,
            Kind::Name => form.unlike_names,
            Kind::Json => match strings.holding(self.text, found.start) {
                Some(Held::Value) => true,
                Some(Held::Name) => form.unlike_names,
                None => false,
            },
        }
    }

    fn stands_alone(&self, found: &Found) -> bool {
        let before = found.start.checked_sub(1).map(|at| self.text[at]);
        let escaped = found.start >= 2 && self.text[found.start - 2] == b'\\';
        let after = self.text.get(found.end);
        let after = after.map(|_| self.readers.0(self.text, found.end).first());
        let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        (escaped || !word(before)) && !word(after)
    }
}

/// Follows a text in one way of reading.
struct Stream<R> {
    read: R,
    at: usize,
    /// Where the last bytes that were read began, by their number.
    starts: Vec<usize>,
    read_bytes: usize,
}

impl<R: Fn(&[u8], usize) -> Unit> Stream<R> {
    fn new(search: &Search, read: R) -> Self {
        Stream {
            read,
            at: 0,
            starts: vec![0; search.longest.next_power_of_two()],
            read_bytes: 0,
        }
    }

    /// Reads up to `until`, and on until no form can be under way.
    fn run<A, B, C>(
        &mut self,
        pass: &Pass<'_, A, B, C>,
        until: usize,
        found: &mut Vec<Found>,
    ) -> Result<(), Stopped> {
        let (steps, text) = (&pass.search.steps, pass.text);
        let Ok(root) = steps.start_state(Anchored::No) else {
            return Ok(());
        };
        let (mut state, mask) = (root, self.starts.len() - 1);
        while self.at < text.len() && (self.at < until || state != root) {
            pass.tick()?;
            if pass.kind == Kind::Json && text[self.at] == b'"' {
                (state, self.at) = (root, self.at + 1);
                continue;
            }
            let unit = (self.read)(text, self.at);
            for byte in unit.bytes() {
                self.starts[self.read_bytes & mask] = self.at;
                self.read_bytes += 1;
                state = steps.next_state(Anchored::No, state, *byte);
                if !steps.is_match(state) {
                    continue;
                }
                for n in 0..steps.match_len(state) {
                    let form = steps.match_pattern(state, n);
                    let length = pass.search.forms[form].text.len();
                    found.push(Found {
                        start: self.starts[(self.read_bytes - length) & mask],
                        end: unit.end,
                        form: form.as_usize(),
                    });
                }
            }
            self.at = unit.end;
        }
        Ok(())
    }
}

/// The next form that stands in the text as it is; looked for once.
#[derive(Default)]
struct Plain {
    /// The text was searched.
    known: bool,
    next: Option<usize>,
}

impl Plain {
    fn next(&mut self, search: &Search, text: &[u8], from: usize) -> Option<usize> {
        if !self.known || self.next.is_some_and(|next| next < from) {
            let rest = text.get(from..).unwrap_or_default();
            let found = search.quick.find(rest);
            self.next = found.map(|found| from + found.start());
            self.known = true;
        }
        self.next
    }
}

/// What a string is.
#[derive(Clone, Copy)]
enum Held {
    Name,
    Value,
}

/// The strings of a compact document, in order.
#[derive(Default)]
struct Strings {
    quote: usize,
    end: usize,
}

impl Strings {
    /// What the string is that holds the place; none outside of strings. Places only move forward.
    fn holding(&mut self, text: &[u8], place: usize) -> Option<Held> {
        while self.end <= place {
            self.quote = self.end + memchr::memchr(b'"', text.get(self.end..)?)?;
            self.end = scan::string_end(text, self.quote);
        }
        let inside = self.quote < place;
        inside.then(|| match text.get(self.end) {
            Some(b':') => Held::Name,
            _ => Held::Value,
        })
    }
}

/// The text so far, made when the first form is struck out.
#[derive(Default)]
struct Output {
    text: Option<Vec<u8>>,
    done: usize,
}

impl Output {
    fn strike(&mut self, text: &[u8], start: usize, end: usize) {
        let out = self
            .text
            .get_or_insert_with(|| Vec::with_capacity(text.len()));
        if start >= self.done {
            out.extend_from_slice(&text[self.done..start]);
            out.extend_from_slice(STRUCK_OUT.as_bytes());
        }
        self.done = self.done.max(end);
    }

    fn finish(self, text: &[u8]) -> Option<Vec<u8>> {
        let mut out = self.text?;
        out.extend_from_slice(&text[self.done..]);
        Some(out)
    }
}
