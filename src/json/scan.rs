//! Reading positions in JSON text that is already known to be valid: where a string, a value ends.
//!
//! Every document was checked once when it was read; nothing here checks again, which is what makes
//! it fast. On other text the answers are meaningless but nothing panics. It builds no values.

use std::borrow::Cow;

/// The position of the first byte at or after `at` that is not white space.
#[inline]
pub(crate) fn past_blank(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    // Outside of strings, valid text has no other byte as low as these.
    while bytes.get(at).is_some_and(|byte| *byte <= b' ') {
        at += 1;
    }
    at
}

/// The position after the string that opens at `quote`.
#[inline]
pub(crate) fn string_end(bytes: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    loop {
        at = quote_or_escape(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(_) => at += 2,
            None => return bytes.len(),
        }
    }
}

/// The position after the member name that opens at `quote`, and whether it has escapes.
#[inline]
pub(crate) fn name_end(bytes: &[u8], quote: usize) -> (usize, bool) {
    let at = quote_or_escape(bytes, quote + 1);
    if bytes.get(at) == Some(&b'"') {
        (at + 1, false)
    } else {
        (string_end(bytes, quote), true)
    }
}

/// The position of the first quote or backslash from `from` on, or the end.
///
/// Most strings are short, so sixteen bytes are looked at together before a search that is faster on
/// long ones is called.
#[allow(
    clippy::inline_always,
    reason = "mapping is 5 % slower when this is called"
)]
#[inline(always)]
fn quote_or_escape(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    for _ in 0..4 {
        let rest = bytes.get(at..).unwrap_or_default();
        let (Some((low, rest)), true) = (rest.split_first_chunk::<8>(), rest.len() >= 16) else {
            break;
        };
        let low = marks(u64::from_le_bytes(*low));
        let high = rest
            .first_chunk::<8>()
            .map_or(0, |high| marks(u64::from_le_bytes(*high)));
        if low != 0 {
            return at + (low.trailing_zeros() / 8) as usize;
        }
        if high != 0 {
            return at + 8 + (high.trailing_zeros() / 8) as usize;
        }
        at += 16;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
}

/// The high bit of each byte of `word` that is a quote or a backslash; right for the lowest one,
/// which is all that is asked.
#[inline]
fn marks(word: u64) -> u64 {
    holds(word, b'"') | holds(word, b'\\')
}

#[inline]
fn holds(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let differs = word ^ (ONES * u64::from(byte));
    differs.wrapping_sub(ONES) & !differs & (ONES << 7)
}

/// The position after the value that starts at `start`.
#[inline]
pub(crate) fn value_end(bytes: &[u8], start: usize) -> usize {
    match bytes.get(start) {
        Some(b'"') => string_end(bytes, start),
        Some(b'{' | b'[') => container_end(bytes, start),
        _ => scalar_end(bytes, start),
    }
}

fn scalar_end(bytes: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| *byte <= b' ' || matches!(byte, b',' | b']' | b'}');
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(ends).unwrap_or(rest.len())
}

fn container_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The position of the next member or element: past blanks and at most one comma. `None` at the
/// closing bracket.
#[inline]
pub(crate) fn next_item(bytes: &[u8], at: usize) -> Option<usize> {
    let at = past_blank(bytes, at);
    match bytes.get(at)? {
        b',' => Some(past_blank(bytes, at + 1)),
        b']' | b'}' => None,
        _ => Some(at),
    }
}

/// The position of the value of a member whose name ends at `at`: past the colon.
#[inline]
pub(crate) fn member_value(bytes: &[u8], at: usize) -> usize {
    past_blank(bytes, past_blank(bytes, at) + 1)
}

/// The position after the bracket that closes a container whose last item ends at `at`.
#[inline]
pub(crate) fn past_bracket(bytes: &[u8], at: usize) -> usize {
    (past_blank(bytes, at) + 1).min(bytes.len())
}

/// What a quoted token says, escapes resolved.
///
/// A lone surrogate has no text; its escaped form still names it unmistakably.
pub(crate) fn unquoted(token: &str) -> Cow<'_, str> {
    let bare = token.get(1..token.len().saturating_sub(1)).unwrap_or("");
    if bare.contains('\\') {
        serde_json::from_str(token).map_or(Cow::Borrowed(bare), Cow::Owned)
    } else {
        Cow::Borrowed(bare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_past_quotes_escapes_and_brackets_in_text() {
        for (text, end) in [
            (r#""a\"]" ,"#, 6),
            (r#"{"a]":["}",{}]},1"#, 15),
            ("-1.5e3]", 6),
            ("true", 4),
        ] {
            assert_eq!(value_end(text.as_bytes(), 0), end, "{text}");
        }
    }

    #[test]
    fn strings_of_every_length_end_at_their_quote() {
        for len in 0..200 {
            let plain = format!("\"{}\"  {}", "é".repeat(len), "x\"".repeat(20));
            assert_eq!(string_end(plain.as_bytes(), 0), 2 * len + 2);
            assert_eq!(name_end(plain.as_bytes(), 0), (2 * len + 2, false));
            let escaped = format!("\"{}\\\"\\\\\" ", "x".repeat(len));
            assert_eq!(string_end(escaped.as_bytes(), 0), len + 6);
            assert_eq!(name_end(escaped.as_bytes(), 0), (len + 6, true));
        }
    }

    #[test]
    fn text_that_is_not_json_does_not_panic() {
        for text in ["", "{", "\"", "\"\\", "[\"a", "{\"a\"", "]"] {
            let bytes = text.as_bytes();
            assert!(value_end(bytes, 0) <= bytes.len());
            assert_eq!(next_item(bytes, bytes.len()), None);
            assert!(past_bracket(bytes, bytes.len()) <= bytes.len());
        }
    }

    #[test]
    fn a_lone_surrogate_keeps_its_escaped_form() {
        assert_eq!(unquoted(r#""a\u0041""#), "aA");
        assert_eq!(unquoted(r#""\ud83d""#), r"\ud83d");
    }
}
