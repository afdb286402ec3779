//! JSON text of any size, read in pieces through a buffer that holds one value.
//!
//! Finds tokens and the ends of values, and counts lines. Does not parse values: a value that is
//! skipped is checked only for the end of its strings and brackets.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use crate::json::error::MAX_DEPTH;
use crate::json::extent::Extent;
use crate::json::scan;

/// The number of bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// The maximum size of a value that is held, in bytes. Unit tests use a smaller one.
pub(crate) const MAX_VALUE: usize = if cfg!(test) { 256 << 10 } else { 16 << 20 };

/// Why reading stops, or why a value cannot be held.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// The input cannot be read.
    Input(io::Error),
    /// The input ends inside a value.
    Ended,
    /// The value exceeds [`MAX_VALUE`]. It was skipped.
    TooLarge,
    /// The value is nested too deep. It was skipped.
    TooDeep,
}

/// A place in the input, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    /// In bytes.
    pub(crate) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The part of the input that is in memory. Positions are bytes from the start of the input.
pub(crate) struct Window<'r> {
    input: Box<dyn Read + 'r>,
    buffer: Vec<u8>,
    /// The position of the buffer's first byte, its line, and the position where that line starts.
    offset: usize,
    line: usize,
    line_start: usize,
    /// The next byte.
    at: usize,
    /// Bytes from here on stay in the buffer.
    kept: Option<usize>,
    is_complete: bool,
}

impl<'r> Window<'r> {
    pub(crate) fn new(input: impl Read + 'r) -> Self {
        Window {
            input: Box::new(input),
            buffer: Vec::new(),
            offset: 0,
            line: 1,
            line_start: 0,
            at: 0,
            kept: None,
            is_complete: false,
        }
    }

    /// The next byte that is not white space, without reading it.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, Unreadable> {
        loop {
            let rest = &self.buffer[self.at - self.offset..];
            let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            self.at += rest.iter().take_while(blank).count();
            if let Some(byte) = self.buffer.get(self.at - self.offset) {
                return Ok(Some(*byte));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Skips the byte that was peeked at.
    pub(crate) fn bump(&mut self) {
        self.at += 1;
    }

    /// The first bytes of the input, at most `count`.
    pub(crate) fn first_bytes(&mut self, count: usize) -> Result<&[u8], Unreadable> {
        while self.buffer.len() < count && self.fill()? {}
        Ok(&self.buffer[..count.min(self.buffer.len())])
    }

    /// The position of the next byte.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Continues at an earlier position that is still in the buffer.
    pub(crate) fn rewind(&mut self, position: usize) {
        self.at = position.max(self.offset);
    }

    /// Holds the bytes from `position` on, until [`Window::release`].
    pub(crate) fn keep(&mut self, position: usize) {
        self.kept = Some(position);
    }

    pub(crate) fn release(&mut self) {
        self.kept = None;
    }

    /// False also if more than [`MAX_VALUE`] bytes would have to be held.
    pub(crate) fn is_keeping(&self) -> bool {
        self.kept.is_some()
    }

    /// True if the value at the next byte can be held, with the bytes that are kept. Does not move.
    pub(crate) fn is_holdable(&mut self) -> Result<bool, Unreadable> {
        let (start, kept) = (self.at, self.kept);
        self.kept = Some(kept.unwrap_or(start));
        let mut extent = Extent::default();
        let is_holdable = loop {
            let end = extent.end(&self.buffer, self.at - self.offset, usize::MAX);
            let end = end.ok().flatten();
            self.at = self.offset + end.unwrap_or(self.buffer.len());
            if self.kept.is_some_and(|kept| self.at - kept > MAX_VALUE) {
                break false;
            }
            if end.is_some() {
                break true;
            }
            if !self.fill()? {
                break true;
            }
        };
        (self.at, self.kept) = (start, kept);
        Ok(is_holdable)
    }

    /// The bytes in a range of positions. They are valid until the next read.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        let index = |position: usize| (position - self.offset).min(self.buffer.len());
        if range.start < self.offset {
            return &[];
        }
        &self.buffer[index(range.start)..index(range.end.max(range.start))]
    }

    /// The line and column of a position in the buffer.
    pub(crate) fn place(&self, position: usize) -> Place {
        let before = self.bytes(self.offset..position);
        let lines = memchr::memchr_iter(b'\n', before);
        let (mut line, mut start) = (self.line, self.line_start);
        for newline in lines {
            line += 1;
            start = self.offset + newline + 1;
        }
        let column = position.saturating_sub(start) + 1;
        Place { line, column }
    }

    /// Reads the value at the next byte; it stays in the buffer until the next read. `around` is the
    /// number of objects and arrays around it.
    pub(crate) fn value(&mut self, around: usize) -> Result<Range<usize>, Unreadable> {
        let start = self.at;
        let outer = self.kept;
        self.kept = Some(outer.unwrap_or(start));
        let read = self.extent(start, around);
        // A value that is too large ends the keeping.
        if self.kept.is_some() {
            self.kept = outer;
        }
        read.map(|()| start..self.at)
    }

    /// Skips the value at the next byte.
    pub(crate) fn skip(&mut self, around: usize) -> Result<(), Unreadable> {
        match self.extent(self.at, around) {
            Err(Unreadable::TooLarge) => Ok(()),
            other => other,
        }
    }

    /// Reads to the end of the value. It is too large if it is held and larger than [`MAX_VALUE`].
    fn extent(&mut self, start: usize, around: usize) -> Result<(), Unreadable> {
        let mut extent = Extent::default();
        let mut deepest = MAX_DEPTH.saturating_sub(around);
        let mut failure = None;
        loop {
            let end = extent.end(&self.buffer, self.at - self.offset, deepest);
            self.at = match end {
                Ok(end) => self.offset + end.unwrap_or(self.buffer.len()),
                Err(bracket) => {
                    (deepest, failure) = (usize::MAX, Some(Unreadable::TooDeep));
                    self.offset + bracket + 1
                }
            };
            if self.kept.is_some_and(|kept| self.at - kept > MAX_VALUE) {
                self.kept = None;
                failure = Some(Unreadable::TooLarge);
            }
            match end {
                Ok(Some(_)) => break,
                Ok(None) => {}
                Err(_) => continue,
            }
            if !self.fill()? {
                // Inside an object or array, the number or word could continue.
                let is_scalar = extent.ends_here() && self.at > start;
                if !is_scalar || around > 0 {
                    return Err(Unreadable::Ended);
                }
                break;
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Reads the string at the next byte. `None` if there is no string.
    pub(crate) fn string(&mut self) -> Result<Option<String>, Unreadable> {
        if self.peek()? != Some(b'"') {
            return Ok(None);
        }
        let range = self.value(0)?;
        let text = std::str::from_utf8(self.bytes(range)).ok();
        Ok(text.map(|text| scan::unescape(text).into_owned()))
    }

    /// Reads a line without its end; it stays in the buffer until the next read. `None` at the end
    /// of the input.
    pub(crate) fn line(&mut self) -> Result<Option<Range<usize>>, Unreadable> {
        let start = self.at;
        self.kept = Some(start);
        let end = loop {
            let rest = &self.buffer[self.at - self.offset..];
            if let Some(newline) = memchr::memchr(b'\n', rest) {
                self.at += newline + 1;
                break self.at - 1;
            }
            self.at += rest.len();
            if self.at - start > MAX_VALUE {
                self.kept = None;
            }
            if !self.fill()? {
                break self.at;
            }
        };
        self.kept = None;
        match end - start {
            _ if start == self.at => Ok(None),
            len if len > MAX_VALUE => Err(Unreadable::TooLarge),
            _ => Ok(Some(start..end)),
        }
    }

    /// The position of the first line after `start` that starts with `byte`, if it is not further than
    /// [`MAX_VALUE`] bytes away. The bytes from `start` on must be in the buffer.
    pub(crate) fn line_starting_with(
        &mut self,
        byte: u8,
        start: usize,
    ) -> Result<Option<usize>, Unreadable> {
        let mut from = start;
        loop {
            let end = self.offset + self.buffer.len();
            let rest = self.bytes(from..end);
            let mut newlines = memchr::memchr_iter(b'\n', rest);
            let found = newlines.find(|newline| rest.get(newline + 1) == Some(&byte));
            if let Some(newline) = found {
                let line = from + newline + 1;
                return Ok((line - start <= MAX_VALUE).then_some(line));
            }
            // The byte after the last newline is not known yet.
            from = from.max(end.saturating_sub(1));
            self.kept = Some(start);
            let has_more = end - start <= MAX_VALUE && self.fill()?;
            self.kept = None;
            if !has_more {
                return Ok(None);
            }
        }
    }

    /// Reads the next piece, and drops the bytes that are no longer needed. False at the end of the
    /// input.
    fn fill(&mut self) -> Result<bool, Unreadable> {
        if self.is_complete {
            return Ok(false);
        }
        let needed = self.kept.map_or(self.at, |kept| kept.min(self.at)) - self.offset;
        let place = self.place(self.offset + needed);
        (self.line, self.offset) = (place.line, self.offset + needed);
        self.line_start = self.offset + 1 - place.column;
        self.buffer.drain(..needed);
        let len = self.buffer.len();
        self.buffer.resize(len + PIECE, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[len..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(Unreadable::Input),
            }
        };
        let count = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(len + count);
        self.is_complete = count == 0;
        read.map(|count| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_does_not_depend_on_the_size_of_the_input() {
        let element = "{\"a\":\"x,]\\\"\"},\n".repeat(40);
        let text = format!("[{}1]", element.repeat(8 << 10));
        let mut window = Window::new(text.as_bytes());
        assert_eq!(window.peek().ok().flatten(), Some(b'['));
        window.bump();
        let mut values = 0;
        while window.peek().ok().flatten() != Some(b']') {
            let range = window.value(1).expect("a value");
            assert!(matches!(window.bytes(range), b"{\"a\":\"x,]\\\"\"}" | b"1"));
            if window.peek().ok().flatten() == Some(b',') {
                window.bump();
            }
            values += 1;
            assert!(window.buffer.capacity() < 4 * PIECE);
        }
        assert_eq!(values, 40 * (8 << 10) + 1);
        let end = window.place(window.position());
        assert_eq!((end.line, end.column), (values, 2));
    }

    #[test]
    fn skipped_value_is_not_held() {
        let text = format!("[\"{}\", 2]", "é".repeat(MAX_VALUE));
        let mut window = Window::new(text.as_bytes());
        let _ = window.peek();
        window.bump();
        assert!(window.skip(1).is_ok());
        assert!(window.buffer.capacity() < 4 * PIECE);
        assert_eq!(window.peek().ok().flatten(), Some(b','));
        let large = window.place(window.position());
        assert_eq!((large.line, large.column), (1, 2 * MAX_VALUE + 4));
    }
}
