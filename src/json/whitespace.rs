//! White space between tokens: removed from received JSON, added for people.
//!
//! Tokens are never changed.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::json::error::{MAX_DEPTH, ParseError};
use crate::json::rewrite::Rewrite;
use crate::json::scan;

/// Checks the syntax and the depth of a text and removes the white space between tokens.
pub fn compact(text: &str) -> Result<Cow<'_, str>, ParseError> {
    let _: IgnoredAny = serde_json::from_str(text)?;
    strip_whitespace(text)
}

/// Removes the white space between tokens. Checks the depth, but not the syntax.
pub(crate) fn strip_whitespace(text: &str) -> Result<Cow<'_, str>, ParseError> {
    let bytes = text.as_bytes();
    let mut out = Rewrite::new(text);
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        let mut end = at + 1;
        match byte {
            b'"' => end = scan::string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ParseError(format!(
                        "deeper than {MAX_DEPTH} levels at byte {at}"
                    )));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b' ' | b'\t' | b'\n' | b'\r' => {
                end = scan::skip_whitespace(bytes, at);
                out.replace(at..end, "");
            }
            _ => {}
        }
        at = end;
    }
    Ok(out.finish())
}

/// Indents a valid, compact text for people. Tokens are unchanged.
pub fn indented(compact: &str) -> String {
    let bytes = compact.as_bytes();
    let mut out = Rewrite::new(compact);
    let (mut depth, mut at) = (0_usize, 0);
    let deepest = format!("\n{}", "  ".repeat(MAX_DEPTH));
    let line = |depth: usize| deepest.get(..=2 * depth).unwrap_or(&deepest);
    while let Some(byte) = bytes.get(at) {
        let mut end = at + 1;
        match byte {
            b'"' => end = scan::string_end(bytes, at),
            b'{' | b'[' if matches!(bytes.get(end), Some(b'}' | b']')) => end += 1,
            b'{' | b'[' => {
                depth += 1;
                out.replace(end..end, line(depth));
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                out.replace(at..at, line(depth));
            }
            b',' => out.replace(end..end, line(depth)),
            b':' => out.replace(end..end, " "),
            _ => {}
        }
        at = end;
    }
    out.finish().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_text_compacts_to_the_same_tokens() {
        let text = r#"{"a":[1.0,{"b":"x, {\" }"},[],{}],"c":null}"#;
        let shown = indented(text);
        let expected = r#"{
  "a": [
    1.0,
    {
      "b": "x, {\" }"
    },
    [],
    {}
  ],
  "c": null
}"#;
        assert_eq!(shown, expected);
        assert_eq!(compact(&shown).as_deref(), Ok(text));
    }
}
