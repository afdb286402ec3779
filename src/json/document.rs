//! JSON documents as text, as a service sent them.
//!
//! Digits, escapes, member order and repeated members are preserved; only white space between
//! tokens is removed. No module builds a tree of a whole response: a tree takes ten times as long
//! as checking the text, and loses digits. Paths into documents belong to `mapping`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::error::ParseError;
use crate::json::scan;
use crate::json::whitespace::strip_whitespace;

/// A JSON document: valid, compact, not deeper than [`MAX_DEPTH`](crate::json::MAX_DEPTH). Cheap to
/// clone.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Document(Arc<Box<RawValue>>);

impl Document {
    /// Parses a document.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim_end_matches([' ', '\t', '\n', '\r']);
        let compact = match strip_whitespace(text)? {
            // `from_compact` checks the syntax.
            Cow::Borrowed(text) => text.to_owned(),
            // Without white space, invalid text can become valid.
            Cow::Owned(compact) => {
                let _: IgnoredAny = serde_json::from_str(text)?;
                compact
            }
        };
        Document::from_compact(compact)
    }

    /// Parses a document from text that has no white space between tokens and is not too deep,
    /// without copying it.
    pub fn from_compact(text: String) -> Result<Self, ParseError> {
        Ok(Document(Arc::new(RawValue::from_string(text)?)))
    }

    /// Parses a document from UTF-8, with or without a byte order mark.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ParseError(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
        Document::parse(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// Serializes a value.
    pub fn from_value(value: &impl Serialize) -> Result<Self, ParseError> {
        let raw = serde_json::value::to_raw_value(value)?;
        Ok(Document(Arc::new(raw)))
    }

    /// Replaces the elements of the array that is the object's member `name`, and removes the
    /// member `removed`. Of several members with that name, only the last one is replaced.
    pub fn with_elements<'a>(
        &self,
        name: &str,
        elements: impl IntoIterator<Item = &'a str>,
        removed: Option<&str>,
    ) -> Result<Self, ParseError> {
        let members = members(self.text())?;
        let last = members.iter().rposition(|member| member.name() == name);
        let mut elements = elements.into_iter();
        let mut out = String::from("{");
        for (n, member) in members.iter().enumerate() {
            if removed.is_some_and(|removed| member.name() == removed) {
                continue;
            }
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(member.token.get());
            out.push(':');
            if Some(n) != last {
                out.push_str(member.value());
                continue;
            }
            out.push('[');
            for element in elements.by_ref() {
                if !out.ends_with('[') {
                    out.push(',');
                }
                out.push_str(element);
            }
            out.push(']');
        }
        out.push('}');
        Document::from_compact(out)
    }

    /// Do both share the same text in memory?
    pub(crate) fn ptr_eq(&self, other: &Document) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The JSON text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Document::parse(raw.get()).map_err(D::Error::custom)
    }
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    token: &'a RawValue,
    value: &'a RawValue,
}

impl<'a> Member<'a> {
    /// The name, escapes resolved.
    pub fn name(&self) -> Cow<'a, str> {
        scan::unescape(self.token.get())
    }

    /// The JSON text of the name, with its quotes.
    pub fn token(&self) -> &'a str {
        self.token.get()
    }

    /// The JSON text of the value.
    pub fn value(&self) -> &'a str {
        self.value.get()
    }
}

/// The members of an object in document order, including repeated ones.
pub fn members(object: &str) -> Result<Vec<Member<'_>>, ParseError> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<Member<'de>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((token, value)) = map.next_entry()? {
                members.push(Member { token, value });
            }
            Ok(members)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(object);
    Ok(reader.deserialize_map(Members)?)
}

/// The JSON texts of an array's elements.
pub fn elements(array: &str) -> Result<Vec<&str>, ParseError> {
    let raw: Vec<&RawValue> = serde_json::from_str(array)?;
    Ok(raw.into_iter().map(RawValue::get).collect())
}

/// Where the value at a JSON Pointer is in a text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The name of the member, with its quotes. None for an element and for the whole text.
    pub name: Option<Range<usize>>,
    /// The value.
    pub value: Range<usize>,
    /// False if the value does not exist: then this is the innermost one on its path that does.
    pub exists: bool,
}

/// Where the value at a JSON Pointer is. If it does not exist, where the innermost value on its path
/// is that does.
pub fn span_of(text: &str, pointer: &str) -> Option<Span> {
    let range = |part: &str| {
        let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        Some(start..start + part.len())
    };
    let (mut name, mut here, mut exists) = (None, text.trim(), true);
    for step in pointer.split('/').skip(1) {
        let wanted = step.replace("~1", "/").replace("~0", "~");
        let next = if here.starts_with('[') {
            let found = elements(here).unwrap_or_default();
            let index: Option<usize> = wanted.parse().ok();
            index.and_then(|n| Some((None, *found.get(n)?)))
        } else {
            let found = members(here).unwrap_or_default();
            let member = found.iter().rev().find(|member| member.name() == wanted);
            member.map(|member| (Some(member.token.get()), member.value()))
        };
        if let Some((token, value)) = next {
            (name, here) = (token, value);
        } else {
            exists = false;
            break;
        }
    }
    Some(Span {
        name: name.and_then(range),
        value: range(here)?,
        exists,
    })
}

/// The line and the column of a byte, counted from 1. Columns are characters.
pub fn line_and_column(text: &str, byte: usize) -> Option<(usize, usize)> {
    let before = text.get(..byte)?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    Some((before.matches('\n').count() + 1, line.chars().count() + 1))
}

/// The line and the column, counted from 1, of the value at a JSON Pointer. If that value does not
/// exist, those of the innermost value on its path that does.
pub fn position_of(text: &str, pointer: &str) -> Option<(usize, usize)> {
    line_and_column(text, span_of(text, pointer)?.value.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::MAX_DEPTH;

    #[test]
    fn parse_preserves_tokens_and_removes_white_space() {
        let text = "{ \"a\" : [ 1.0e2 , 18446744073709551616 ],\n\t\"b\\u0041 \\\" \": \"\\ud83d x\", \"a\": 2 }";
        let document = Document::parse(text).expect("valid JSON");
        let compact = r#"{"a":[1.0e2,18446744073709551616],"b\u0041 \" ":"\ud83d x","a":2}"#;
        assert_eq!(document.text(), compact);
    }

    #[test]
    fn parse_of_invalid_or_too_deep_text_fails_with_the_position() {
        let nested = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Document::parse(&nested(MAX_DEPTH)).is_ok());
        let error = Document::parse(&nested(MAX_DEPTH + 1)).expect_err("too deep");
        assert_eq!(error.to_string(), "deeper than 127 levels at byte 127");
        assert!(Document::parse(&nested(200_000)).is_err());
        assert!(Document::parse("{\"a\":}").is_err());
        assert!(Document::parse("1 2").is_err());
        let error = Document::from_bytes(b"{\"\xff\":1}").expect_err("not UTF-8");
        assert_eq!(error.to_string(), "not UTF-8 at byte 2");
    }

    #[test]
    fn position_of_a_pointer_is_the_line_of_its_value() {
        let text = "{\n  \"a\": [\n    1,\n    {\n      \"b/c\": 2 } ] }\n";
        assert_eq!(position_of(text, "").map(|at| at.0), Some(1));
        assert_eq!(position_of(text, "/a/1/b~1c").map(|at| at.0), Some(5));
        assert_eq!(position_of(text, "/a/1/absent").map(|at| at.0), Some(4));
        assert_eq!(position_of("not json", "/a").map(|at| at.0), Some(1));
    }

    #[test]
    fn span_of_a_pointer_has_the_value_and_its_name() {
        let text = "{ \"é\": [1, {\"b\": \"x\"}] }";
        let span = span_of(text, "/é/1/b").expect("a span");
        assert_eq!(span.name.map(|at| &text[at]), Some("\"b\""));
        assert_eq!((&text[span.value], span.exists), ("\"x\"", true));
        let span = span_of(text, "/é/7").expect("a span");
        assert_eq!(
            (&text[span.value], span.exists),
            ("[1, {\"b\": \"x\"}]", false)
        );
    }

    #[test]
    fn with_elements_replaces_the_last_array_and_removes_the_link() {
        let page = r#"{"value":0,"count":2,"value":[{"id":9}],"nextLink":"https://x/2"}"#;
        let page = Document::parse(page).expect("valid JSON");
        let with = |elements: &[&str], removed| {
            let joined = page.with_elements("value", elements.iter().copied(), removed);
            joined.expect("valid JSON").text().to_owned()
        };
        assert_eq!(
            with(&[r#"{"id":1}"#, "2"], Some("nextLink")),
            r#"{"value":0,"count":2,"value":[{"id":1},2]}"#
        );
        assert_eq!(
            with(&[], None),
            r#"{"value":0,"count":2,"value":[],"nextLink":"https://x/2"}"#
        );
    }
}
