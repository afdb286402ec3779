//! A JSON array that comes in pieces, split into its elements.
//!
//! Only the element that is not complete yet is kept, so memory is bounded by the largest record
//! and not by the answer. It finds where elements end and checks what stands between them; whether
//! an element itself is JSON is checked by whoever reads it.

use crate::json::document::MAX_DEPTH;

/// The largest element, in bytes.
const MAX_ELEMENT: usize = 16 * 1024 * 1024;

/// Where in the array the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the opening bracket.
    Before,
    /// After so many bytes of a byte order mark.
    Mark(usize),
    /// After the opening bracket: an element or the end.
    First,
    /// After a comma: an element.
    Next,
    /// Inside an element.
    Inside,
    /// After an element: a comma or the end.
    Behind,
    /// After the closing bracket.
    After,
}

/// Splits an array as it comes.
#[derive(Debug)]
pub(crate) struct Splitter {
    place: Place,
    /// The bytes of the element that is not complete yet.
    held: Vec<u8>,
    /// Open objects and arrays inside the element.
    depth: usize,
    quoted: bool,
    escaped: bool,
    /// Bytes seen before the piece at hand.
    offset: usize,
    /// Was an element larger than allowed?
    is_too_large: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Splitter {
            place: Place::Before,
            held: Vec::new(),
            depth: 0,
            quoted: false,
            escaped: false,
            offset: 0,
            is_too_large: false,
        }
    }
}

impl Splitter {
    /// The next piece; `each` gets every element that is complete with it, as received.
    ///
    /// Errors are words with the place; they never quote the text.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        each: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut at = 0;
        while at < piece.len() {
            at = match self.place {
                Place::Inside => self.inside(piece, at, each)?,
                _ => self.between(piece[at], at)?,
            };
        }
        self.offset += piece.len();
        Ok(())
    }

    /// Bytes of the element that is not complete yet.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// There is no more; fails if the array is not complete.
    pub(crate) fn finish(&self) -> Result<(), String> {
        match self.place {
            Place::After => Ok(()),
            _ => Err(format!("the array ends early, at byte {}", self.offset)),
        }
    }

    /// A byte outside of elements; gives the position to go on at.
    fn between(&mut self, byte: u8, at: usize) -> Result<usize, String> {
        use Place::{After, Before, Behind, First, Inside, Mark, Next};
        self.place = match (self.place, byte) {
            (Before, 0xef) if self.offset + at == 0 => Mark(1),
            (Mark(1), 0xbb) => Mark(2),
            (Mark(2), 0xbf) => Before,
            (Before | First | Next | Behind | After, b' ' | b'\t' | b'\n' | b'\r') => self.place,
            (Before, b'[') => First,
            (First | Behind, b']') => After,
            (Behind, b',') => Next,
            (First | Next, b',' | b']' | b'}' | b':') | (Before | Mark(_) | Behind | After, _) => {
                let place = self.offset + at;
                return Err(format!("no array of records: unexpected at byte {place}"));
            }
            // The same byte is looked at again, as the element's first.
            (First | Next, _) => {
                self.place = Inside;
                return Ok(at);
            }
            (Inside, _) => Inside,
        };
        Ok(at + 1)
    }

    /// Reads on inside an element, to its end or to that of the piece.
    fn inside(
        &mut self,
        piece: &[u8],
        from: usize,
        each: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<usize, String> {
        let Some(end) = self.end(piece, from)? else {
            self.keep(&piece[from..])?;
            return Ok(piece.len());
        };
        self.place = Place::Behind;
        if self.held.is_empty() {
            self.give(&piece[from..end], each)?;
        } else {
            self.keep(&piece[from..end])?;
            let held = std::mem::take(&mut self.held);
            self.give(&held, each)?;
        }
        Ok(end)
    }

    /// Where the element ends in this piece, if it does.
    fn end(&mut self, piece: &[u8], from: usize) -> Result<Option<usize>, String> {
        let mut at = from;
        while let Some(byte) = piece.get(at) {
            if self.quoted {
                at = self.string(piece, at);
                if !self.quoted && self.depth == 0 {
                    return Ok(Some(at));
                }
                continue;
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    // The array around the records is a level too.
                    if self.depth >= MAX_DEPTH {
                        let place = self.offset + at;
                        return Err(format!("deeper than {MAX_DEPTH} levels at byte {place}"));
                    }
                }
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok(Some(at + 1));
                    }
                }
                // A number or a word ends where something else begins.
                b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' if self.depth == 0 => {
                    return Ok(Some(at));
                }
                _ => {}
            }
            at += 1;
        }
        Ok(None)
    }

    /// The position after what this piece has of the string.
    fn string(&mut self, piece: &[u8], from: usize) -> usize {
        let mut at = from;
        if std::mem::take(&mut self.escaped) {
            at += 1;
        }
        while let Some(found) = memchr::memchr2(b'"', b'\\', piece.get(at..).unwrap_or_default()) {
            at += found;
            if piece[at] == b'"' {
                self.quoted = false;
                return at + 1;
            }
            at += 2;
        }
        // A backslash was the last byte: what it escapes comes with the next piece.
        self.escaped = at > piece.len();
        piece.len()
    }

    /// Was an element larger than allowed? It would be so every time.
    pub(crate) fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.held.len() + bytes.len() > MAX_ELEMENT {
            self.is_too_large = true;
            return Err(format!("a record is larger than {MAX_ELEMENT} bytes"));
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    fn give(
        &self,
        element: &[u8],
        each: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let text = std::str::from_utf8(element);
        each(text.map_err(|_| format!("a record is not UTF-8, near byte {}", self.offset))?)
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
    fn elements_come_as_received_wherever_the_pieces_are_cut() {
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
    fn what_is_no_array_is_refused() {
        for text in ["", "[", "[1", "[1,", "[{\"a\":1}", "[\"x"] {
            let words = split(&[text.as_bytes()]).expect_err(text);
            assert!(words.starts_with("the array ends early"), "{text}: {words}");
        }
        for text in [
            "{}", "x", "[,]", "[1,]", "[1 2]", "[]]", "[1}", "[:1]", "[] x",
        ] {
            let words = split(&[text.as_bytes()]).expect_err(text);
            assert!(words.starts_with("no array of records"), "{text}: {words}");
        }
        let deep = format!("[{}", "[".repeat(MAX_DEPTH));
        assert!(split(&[deep.as_bytes()]).is_err());
        assert!(split(&[b"[\"\xff\"]"]).is_err());
        for mark in [&b"\xef[]"[..], b"\xef\xbb []", b" \xef\xbb\xbf[]"] {
            assert!(split(&[mark]).is_err(), "half a byte order mark is none");
        }
    }

    proptest! {
        #[test]
        fn any_array_is_split_like_a_parser_would(
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
