//! Splits a JSON array that is received in pieces into its elements.
//!
//! Only the incomplete element is buffered, so memory is bounded by the largest element. Checks the
//! syntax between elements; the caller parses the elements.

use crate::json::error::MAX_DEPTH;
use crate::json::extent::Extent;

/// The maximum size of an element, in bytes.
const MAX_ELEMENT: usize = 16 * 1024 * 1024;

/// The kinds of bytes that can be next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    /// The opening bracket.
    #[default]
    Array,
    /// The next byte of a byte order mark of which so many bytes were read.
    ByteOrderMark(usize),
    /// The first element or the end of the array.
    FirstOrEnd,
    /// An element: a comma was read.
    Element,
    /// Part of an element.
    Inside,
    /// A comma or the end of the array.
    CommaOrEnd,
    /// White space: the array is complete.
    Nothing,
}

/// Splits an array while it is received.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    expected: Expected,
    /// The incomplete element.
    buffer: Vec<u8>,
    extent: Extent,
    /// Bytes read before this piece.
    offset: usize,
    is_too_large: bool,
}

impl Splitter {
    /// Reads the next piece and passes each complete element to `each`.
    ///
    /// Errors name the position and never quote the text.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        each: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut at = 0;
        while at < piece.len() {
            at = match self.expected {
                Expected::Inside => self.inside(piece, at, each)?,
                _ => self.between(piece[at], at)?,
            };
        }
        self.offset += piece.len();
        Ok(())
    }

    /// The size of the incomplete element, in bytes.
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Fails if the array is incomplete.
    pub(crate) fn finish(&self) -> Result<(), String> {
        match self.expected {
            Expected::Nothing => Ok(()),
            _ => Err(format!(
                "the array is incomplete: the data ends at byte {}",
                self.offset
            )),
        }
    }

    /// Did an element exceed the maximum size?
    pub(crate) fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    /// Reads a byte between elements. Returns the next position.
    fn between(&mut self, byte: u8, at: usize) -> Result<usize, String> {
        use Expected::{Array, ByteOrderMark, CommaOrEnd, Element, FirstOrEnd, Inside, Nothing};
        self.expected = match (self.expected, byte) {
            (Array, 0xef) if self.offset + at == 0 => ByteOrderMark(1),
            (ByteOrderMark(1), 0xbb) => ByteOrderMark(2),
            (ByteOrderMark(2), 0xbf) => Array,
            (Array | FirstOrEnd | Element | CommaOrEnd | Nothing, b' ' | b'\t' | b'\n' | b'\r') => {
                self.expected
            }
            (Array, b'[') => FirstOrEnd,
            (FirstOrEnd | CommaOrEnd, b']') => Nothing,
            (CommaOrEnd, b',') => Element,
            (FirstOrEnd | Element, b',' | b']' | b'}' | b':')
            | (Array | ByteOrderMark(_) | CommaOrEnd | Nothing, _) => {
                let position = self.offset + at;
                return Err(format!(
                    "not an array of records: unexpected character at byte {position}"
                ));
            }
            // `inside` reads this byte again, as the first of the element.
            (FirstOrEnd | Element, _) => {
                self.expected = Inside;
                return Ok(at);
            }
            (Inside, _) => Inside,
        };
        Ok(at + 1)
    }

    /// Reads to the end of the element or of the piece. Returns the next position.
    fn inside(
        &mut self,
        piece: &[u8],
        from: usize,
        each: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<usize, String> {
        // The array around the elements is a level too.
        let end = self.extent.end(piece, from, MAX_DEPTH - 1).map_err(|at| {
            let position = self.offset + at;
            format!("deeper than {MAX_DEPTH} levels at byte {position}")
        })?;
        let Some(end) = end else {
            self.buffer(&piece[from..])?;
            return Ok(piece.len());
        };
        self.expected = Expected::CommaOrEnd;
        let buffered;
        let element = if self.buffer.is_empty() {
            &piece[from..end]
        } else {
            self.buffer(&piece[from..end])?;
            buffered = std::mem::take(&mut self.buffer);
            &buffered
        };
        let text = std::str::from_utf8(element)
            .map_err(|_| format!("a record is not UTF-8, near byte {}", self.offset))?;
        each(text)?;
        Ok(end)
    }

    fn buffer(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.buffer.len() + bytes.len() > MAX_ELEMENT {
            self.is_too_large = true;
            return Err(format!("a record is larger than {MAX_ELEMENT} bytes"));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Result<Vec<String>, String> {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        for piece in pieces {
            splitter.push(piece, &mut |element| {
                found.push(element.to_owned());
                Ok(())
            })?;
        }
        splitter.finish().map(|()| found)
    }

    #[test]
    fn elements_are_unchanged_wherever_the_array_is_cut() {
        let text = "\u{feff} [ {\"a\":\"]},\\\"[\\\\\"} ,[1, 2],\"x,]\\\\\",12,null , {} ]\r\n";
        let expected = [
            "{\"a\":\"]},\\\"[\\\\\"}",
            "[1, 2]",
            "\"x,]\\\\\"",
            "12",
            "null",
            "{}",
        ];
        let bytes = text.as_bytes();
        for cut in 0..bytes.len() {
            let found = split(&[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(found.expect("an array"), expected, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(split(&single).expect("an array"), expected);
        assert!(split(&[b"[]"]).expect("an array").is_empty());
    }

    #[test]
    fn text_that_is_not_an_array_fails() {
        for text in ["", "[", "[1", "[1,", "[{\"a\":1}", "[\"x"] {
            let error = split(&[text.as_bytes()]).expect_err(text);
            assert!(
                error.starts_with("the array is incomplete"),
                "{text}: {error}"
            );
        }
        for text in [
            "{}", "x", "[,]", "[1,]", "[1 2]", "[]]", "[1}", "[:1]", "[] x",
        ] {
            let error = split(&[text.as_bytes()]).expect_err(text);
            assert!(
                error.starts_with("not an array of records"),
                "{text}: {error}"
            );
        }
        let deep = format!("[{}", "[".repeat(MAX_DEPTH));
        assert!(split(&[deep.as_bytes()]).is_err());
        assert!(split(&[b"[\"\xff\"]"]).is_err());
        for mark in [&b"\xef[]"[..], b"\xef\xbb []", b" \xef\xbb\xbf[]"] {
            assert!(split(&[mark]).is_err(), "an incomplete byte order mark");
        }
    }

    proptest! {
        #[test]
        fn splitter_and_parser_find_the_same_elements(
            values in proptest::collection::vec("\\PC{0,12}", 0..6),
            cuts in proptest::collection::vec(1..9_usize, 1..40),
        ) {
            let text = serde_json::to_string_pretty(&values).expect("JSON");
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let found = split(&pieces).expect("an array");
            let read: Vec<String> = found.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
            prop_assert_eq!(read, values);
        }
    }
}
