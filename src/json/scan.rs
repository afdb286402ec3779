//! Finds positions in JSON text: the end of a string, of a value, the next member.
//!
//! The text must be valid: it was checked when it was received, and nothing here checks it again.
//! On other text the results are meaningless, but no function panics.

use std::borrow::Cow;

/// The position of the first byte at or after `at` that is not white space.
#[inline]
pub(crate) fn skip_whitespace(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    // Outside strings, valid text has no other bytes below the space.
    while bytes.get(at).is_some_and(|byte| *byte <= b' ') {
        at += 1;
    }
    at
}

/// The position after the string that starts at `quote`.
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

/// The position after the string that starts at `quote`, and whether it has escapes.
#[inline]
pub(crate) fn string_end_and_escapes(bytes: &[u8], quote: usize) -> (usize, bool) {
    let at = quote_or_escape(bytes, quote + 1);
    if bytes.get(at) == Some(&b'"') {
        (at + 1, false)
    } else {
        (string_end(bytes, quote), true)
    }
}

/// The position of the first quote or backslash at or after `from`, or the length of the text.
///
/// Most strings are short: the first bytes are compared eight at a time, before a search that is
/// faster on long strings.
#[allow(
    clippy::inline_always,
    reason = "mapping is 5 % slower when this is a call"
)]
#[inline(always)]
fn quote_or_escape(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    for _ in 0..4 {
        let rest = bytes.get(at..).unwrap_or_default();
        let (Some((low, rest)), true) = (rest.split_first_chunk::<8>(), rest.len() >= 16) else {
            break;
        };
        let low = quotes_and_escapes(u64::from_le_bytes(*low));
        let high = rest
            .first_chunk::<8>()
            .map_or(0, |high| quotes_and_escapes(u64::from_le_bytes(*high)));
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

/// Sets the high bit of each byte of `word` that is a quote or a backslash. Only the lowest bit
/// that is set is reliable.
#[inline]
fn quotes_and_escapes(word: u64) -> u64 {
    bytes_equal_to(b'"', word) | bytes_equal_to(b'\\', word)
}

#[inline]
fn bytes_equal_to(byte: u8, word: u64) -> u64 {
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

/// The position of the next member or element: after white space and at most one comma. `None` if
/// the container ends.
#[inline]
pub(crate) fn next_item(bytes: &[u8], at: usize) -> Option<usize> {
    let at = skip_whitespace(bytes, at);
    match bytes.get(at)? {
        b',' => Some(skip_whitespace(bytes, at + 1)),
        b']' | b'}' => None,
        _ => Some(at),
    }
}

/// The position of a member's value. `at` is the position after the member's name.
#[inline]
pub(crate) fn member_value(bytes: &[u8], at: usize) -> usize {
    skip_whitespace(bytes, skip_whitespace(bytes, at) + 1)
}

/// The position after a container's closing bracket. `at` is the position after its last item.
#[inline]
pub(crate) fn skip_bracket(bytes: &[u8], at: usize) -> usize {
    (skip_whitespace(bytes, at) + 1).min(bytes.len())
}

/// The text of a string token, escapes resolved.
///
/// A string with a lone surrogate has no such text; its escapes are returned unresolved.
pub(crate) fn unescape(token: &str) -> Cow<'_, str> {
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
    fn value_end_skips_quotes_escapes_and_brackets_in_strings() {
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
    fn string_of_any_length_ends_at_its_quote() {
        for len in 0..200 {
            let plain = format!("\"{}\"  {}", "é".repeat(len), "x\"".repeat(20));
            assert_eq!(string_end(plain.as_bytes(), 0), 2 * len + 2);
            let found = string_end_and_escapes(plain.as_bytes(), 0);
            assert_eq!(found, (2 * len + 2, false));
            let escaped = format!("\"{}\\\"\\\\\" ", "x".repeat(len));
            assert_eq!(string_end(escaped.as_bytes(), 0), len + 6);
            let found = string_end_and_escapes(escaped.as_bytes(), 0);
            assert_eq!(found, (len + 6, true));
        }
    }

    #[test]
    fn invalid_text_does_not_panic() {
        for text in ["", "{", "\"", "\"\\", "[\"a", "{\"a\"", "]"] {
            let bytes = text.as_bytes();
            assert!(value_end(bytes, 0) <= bytes.len());
            assert_eq!(next_item(bytes, bytes.len()), None);
            assert!(skip_bracket(bytes, bytes.len()) <= bytes.len());
        }
    }

    #[test]
    fn unescape_of_a_lone_surrogate_returns_the_escape() {
        assert_eq!(unescape(r#""a\u0041""#), "aA");
        assert_eq!(unescape(r#""\ud83d""#), r"\ud83d");
    }
}
