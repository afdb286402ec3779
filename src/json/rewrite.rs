//! A text with parts replaced: copied only when the first part is replaced.
//!
//! Does not find the parts.

use std::borrow::Cow;
use std::ops::Range;

/// A text with parts replaced.
pub(crate) struct Rewrite<'a> {
    text: &'a str,
    /// What replaces `text[..done]`; `None` before the first replacement.
    out: Option<String>,
    done: usize,
}

impl<'a> Rewrite<'a> {
    /// Starts with the text unchanged.
    pub(crate) fn new(text: &'a str) -> Self {
        Rewrite {
            text,
            out: None,
            done: 0,
        }
    }

    /// Replaces a part. Parts are passed in order of their starts; parts that overlap are replaced
    /// together, by the first one's replacement.
    #[inline]
    pub(crate) fn replace(&mut self, part: Range<usize>, with: &str) {
        let out = self
            .out
            .get_or_insert_with(|| String::with_capacity(self.text.len()));
        if part.start >= self.done {
            out.push_str(self.text.get(self.done..part.start).unwrap_or_default());
            out.push_str(with);
        }
        self.done = self.done.max(part.end);
    }

    /// The text with all replacements.
    pub(crate) fn finish(self) -> Cow<'a, str> {
        let Some(mut out) = self.out else {
            return Cow::Borrowed(self.text);
        };
        out.push_str(self.text.get(self.done..).unwrap_or_default());
        Cow::Owned(out)
    }
}
