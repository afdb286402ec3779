//! The end of a value that is received in pieces.
//!
//! Only finds the end: brackets are counted, and their kinds, numbers and words are not checked. The
//! caller parses the value.

/// How far a value was read.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// Open objects and arrays.
    depth: usize,
    in_string: bool,
    /// Does the next byte belong to an escape?
    is_escaped: bool,
}

impl Extent {
    /// The position after the value, if it ends in this piece. The error is the position of a bracket
    /// that makes the value deeper than `deepest` levels; reading can continue after it.
    pub(crate) fn end(
        &mut self,
        piece: &[u8],
        from: usize,
        deepest: usize,
    ) -> Result<Option<usize>, usize> {
        let mut at = from;
        while let Some(byte) = piece.get(at) {
            if self.in_string {
                at = self.string(piece, at);
                if !self.in_string && self.depth == 0 {
                    return Ok(Some(at));
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    if self.depth > deepest {
                        return Err(at);
                    }
                }
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Ok(Some(at + 1));
                    }
                }
                // A number or a word ends before the next token.
                b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' if self.depth == 0 => {
                    return Ok(Some(at));
                }
                _ => {}
            }
            at += 1;
        }
        Ok(None)
    }

    /// True if the value is complete when no piece follows: a number or a word.
    pub(crate) fn ends_here(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    /// Reads to the end of the string or of the piece. Returns the next position.
    fn string(&mut self, piece: &[u8], from: usize) -> usize {
        let mut at = from;
        if std::mem::take(&mut self.is_escaped) {
            at += 1;
        }
        while let Some(found) = memchr::memchr2(b'"', b'\\', piece.get(at..).unwrap_or_default()) {
            at += found;
            if piece[at] == b'"' {
                self.in_string = false;
                return at + 1;
            }
            at += 2;
        }
        // If the last byte is a backslash, the next piece starts with the escaped byte.
        self.is_escaped = at > piece.len();
        piece.len()
    }
}
