//! Finds secrets in a text and replaces them, in one pass.
//!
//! A secret can be written with escapes, so three decoders read the text in parallel. In a document,
//! the first resolves JSON escapes, the second also percent-encoding and the escapes of JSON inside
//! JSON, the third one more level of JSON. Decoding is slow, so it is done only around candidates:
//! places where a pattern occurs undecoded, and escapes whose character can be part of a pattern.
//! Candidates are found by searches that read many bytes at a time. Each decoder reads each byte once.

pub(crate) mod pattern;

use std::borrow::Cow;
use std::cell::Cell;

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{AhoCorasick, AhoCorasickKind, Anchored, BuildError, MatchKind};

use crate::json::escapes::{self, Decoded, Decoder};
use crate::json::rewrite::Rewrite;
use crate::json::scan;
pub(crate) use pattern::Pattern;

/// The text that replaces a secret.
pub const REDACTED: &str = "***";

/// The caller stopped the search. The text was not searched to its end and must not be output.
#[derive(Debug, PartialEq, Eq)]
pub struct Stopped;

/// `stop` is called each time this number of characters was decoded.
const STOP_INTERVAL: usize = 64 * 1024;

/// The kind of text to search.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// A compact JSON document. Secrets are replaced inside strings only.
    Json,
    /// Text for people.
    Message,
    /// A name, a key or a code.
    Name,
}

/// Searches for the patterns of all secrets.
pub(crate) struct SecretSearch {
    patterns: Vec<Pattern>,
    /// Finds undecoded patterns.
    quick: AhoCorasick,
    /// Follows decoded text byte by byte.
    automaton: NFA,
    longest: usize,
    /// The pairs of bytes that are adjacent in a pattern, and each last byte with any byte after it.
    pairs: Box<[bool]>,
    /// Does a pattern have a space, which an address can write as `+`?
    has_space: bool,
}

/// An occurrence of a pattern.
struct Match {
    start: usize,
    end: usize,
    pattern: usize,
}

impl SecretSearch {
    pub(crate) fn new(patterns: &[Pattern]) -> Result<Self, BuildError> {
        let texts = || patterns.iter().map(|pattern| pattern.text.as_bytes());
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
        Ok(SecretSearch {
            quick: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(texts())?,
            automaton: NFA::builder()
                .match_kind(MatchKind::Standard)
                .build(texts())?,
            longest: texts().map(<[u8]>::len).max().unwrap_or_default(),
            has_space: texts().any(|text| text.contains(&b' ')),
            pairs: pairs.into(),
            patterns: patterns.to_vec(),
        })
    }

    /// Returns the text with every secret replaced, or `None` if it has none. `stop` is called at
    /// intervals.
    pub(crate) fn redact(
        &self,
        text: &str,
        kind: TextKind,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<String>, Stopped> {
        let pass = Pass {
            search: self,
            text: text.as_bytes(),
            kind,
            stop,
            decoded: Cell::default(),
            decoders: match kind {
                TextKind::Json => [
                    escapes::json,
                    escapes::address_in_json,
                    escapes::address_in_nested_json,
                ],
                TextKind::Message | TextKind::Name => {
                    [escapes::plain, escapes::address, escapes::address_in_json]
                }
            },
        };
        let mut out = Rewrite::new(text);
        pass.run(&mut out)?;
        Ok(match out.finish() {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        })
    }
}

fn index(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// One search of one text.
struct Pass<'a> {
    search: &'a SecretSearch,
    text: &'a [u8],
    kind: TextKind,
    stop: &'a dyn Fn() -> bool,
    /// Characters decoded so far.
    decoded: Cell<usize>,
    decoders: [Decoder; 3],
}

impl Pass<'_> {
    fn run(&self, out: &mut Rewrite<'_>) -> Result<(), Stopped> {
        let mut undecoded = Undecoded::default();
        let mut next = self.next_candidate(0, &mut undecoded)?;
        if next.is_none() {
            return Ok(());
        }
        let mut matchers = self
            .decoders
            .map(|decode| Matcher::new(self.search, decode));
        let (mut from, mut found, mut strings) = (0, Vec::new(), Strings::default());
        while let Some(candidate) = next {
            let start = self.context_start(from, candidate);
            for matcher in &mut matchers {
                matcher.at = start;
            }
            from = candidate + 1;
            // A matcher can read past the others; they must follow, or they would miss a match
            // there.
            while let Some(behind) = matchers.iter_mut().find(|matcher| matcher.at < from) {
                behind.run(self, from, &mut found)?;
                from = from.max(behind.at);
            }
            found.sort_by_key(|one: &Match| (one.start, std::cmp::Reverse(one.end)));
            for one in found.drain(..) {
                if self.must_replace(&one, &mut strings) {
                    out.replace(one.start..one.end, REDACTED);
                }
            }
            next = self.next_candidate(from, &mut undecoded)?;
        }
        Ok(())
    }

    /// Counts a decoded character. Fails if the caller wants to stop.
    #[inline]
    fn count(&self) -> Result<(), Stopped> {
        let decoded = self.decoded.get() + 1;
        self.decoded.set(decoded);
        if decoded.is_multiple_of(STOP_INTERVAL) && (self.stop)() {
            return Err(Stopped);
        }
        Ok(())
    }

    /// The next position at which a pattern can occur.
    fn next_candidate(
        &self,
        from: usize,
        undecoded: &mut Undecoded,
    ) -> Result<Option<usize>, Stopped> {
        let whole = undecoded.next(self.search, self.text, from);
        let end = whole.unwrap_or(self.text.len());
        let mut at = from;
        while at < end {
            let rest = &self.text[at..end];
            let next = if self.search.has_space {
                memchr::memchr3(b'\\', b'%', b'+', rest)
            } else {
                memchr::memchr2(b'\\', b'%', rest)
            };
            let Some(next) = next else { break };
            at += next;
            if self
                .decoders
                .iter()
                .any(|decode| self.can_match(at, *decode))
            {
                return Ok(Some(at));
            }
            at = self.decoders[0](self.text, at).end;
            self.count()?;
        }
        Ok(whole)
    }

    /// Is there an escape whose character can be part of a pattern?
    fn can_match(&self, at: usize, decode: Decoder) -> bool {
        let character = decode(self.text, at);
        let is_escape = character.end != at + 1 || character.first() != self.text[at];
        if !is_escape {
            return false;
        }
        let next = match (character.bytes().get(1), self.text.get(character.end)) {
            (Some(second), _) => *second,
            (None, Some(_)) => decode(self.text, character.end).first(),
            (None, None) => 0,
        };
        self.search.pairs[index(character.first(), next)]
    }

    /// The first position at which a pattern that includes the candidate can start. Never inside an
    /// escape.
    fn context_start(&self, from: usize, candidate: usize) -> usize {
        let start = candidate.saturating_sub(self.search.longest).max(from);
        let backslashes = self.text[from..start].iter().rev();
        let run = backslashes.take_while(|byte| **byte == b'\\').count();
        (start + run % 2).min(candidate)
    }

    fn must_replace(&self, found: &Match, strings: &mut Strings) -> bool {
        let pattern = &self.search.patterns[found.pattern];
        if pattern.whole_word && !self.is_whole_word(found) {
            return false;
        }
        match self.kind {
            TextKind::Message => true,
            TextKind::Name => pattern.in_names,
            TextKind::Json => match strings.role_at(self.text, found.start) {
                Some(Role::Value) => true,
                Some(Role::Name) => pattern.in_names,
                None => false,
            },
        }
    }

    fn is_whole_word(&self, found: &Match) -> bool {
        let before = found.start.checked_sub(1).map(|at| self.text[at]);
        let is_escape = found.start >= 2 && self.text[found.start - 2] == b'\\';
        let after = self.text.get(found.end);
        let after = after.map(|_| self.decoders[0](self.text, found.end).first());
        let is_word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        (is_escape || !is_word(before)) && !is_word(after)
    }
}

/// Decodes the text in one way and finds patterns in the decoded text.
struct Matcher {
    decode: Decoder,
    at: usize,
    /// A ring of the positions at which the last decoded bytes are written.
    starts: Vec<usize>,
    bytes: usize,
}

impl Matcher {
    fn new(search: &SecretSearch, decode: Decoder) -> Self {
        Matcher {
            decode,
            at: 0,
            starts: vec![0; search.longest.next_power_of_two()],
            bytes: 0,
        }
    }

    /// Reads up to `until`, and further while a pattern can be incomplete.
    fn run(
        &mut self,
        pass: &Pass<'_>,
        until: usize,
        matches: &mut Vec<Match>,
    ) -> Result<(), Stopped> {
        let (automaton, text) = (&pass.search.automaton, pass.text);
        let root = automaton.start_state(Anchored::No).map_err(|_| Stopped)?;
        let (mut state, mask) = (root, self.starts.len() - 1);
        while self.at < text.len() && (self.at < until || state != root) {
            pass.count()?;
            if pass.kind == TextKind::Json && text[self.at] == b'"' {
                (state, self.at) = (root, self.at + 1);
                continue;
            }
            let character: Decoded = (self.decode)(text, self.at);
            for byte in character.bytes() {
                self.starts[self.bytes & mask] = self.at;
                self.bytes += 1;
                state = automaton.next_state(Anchored::No, state, *byte);
                if !automaton.is_match(state) {
                    continue;
                }
                for n in 0..automaton.match_len(state) {
                    let pattern = automaton.match_pattern(state, n);
                    let length = pass.search.patterns[pattern].text.len();
                    matches.push(Match {
                        start: self.starts[(self.bytes - length) & mask],
                        end: character.end,
                        pattern: pattern.as_usize(),
                    });
                }
            }
            self.at = character.end;
        }
        Ok(())
    }
}

/// Caches the next position at which a pattern occurs undecoded.
#[derive(Default)]
struct Undecoded {
    is_known: bool,
    next: Option<usize>,
}

impl Undecoded {
    fn next(&mut self, search: &SecretSearch, text: &[u8], from: usize) -> Option<usize> {
        if !self.is_known || self.next.is_some_and(|next| next < from) {
            let rest = text.get(from..).unwrap_or_default();
            let found = search.quick.find(rest);
            self.next = found.map(|found| from + found.start());
            self.is_known = true;
        }
        self.next
    }
}

/// Is a string a member's name or a value?
#[derive(Clone, Copy)]
enum Role {
    Name,
    Value,
}

/// Reads the strings of a compact document in order.
#[derive(Default)]
struct Strings {
    quote: usize,
    end: usize,
}

impl Strings {
    /// The role of the string at a position; `None` outside of strings. Positions must not
    /// decrease.
    fn role_at(&mut self, text: &[u8], position: usize) -> Option<Role> {
        while self.end <= position {
            self.quote = self.end + memchr::memchr(b'"', text.get(self.end..)?)?;
            self.end = scan::string_end(text, self.quote);
        }
        let inside = self.quote < position;
        inside.then(|| match text.get(self.end) {
            Some(b':') => Role::Name,
            _ => Role::Value,
        })
    }
}
