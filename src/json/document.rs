//! JSON documents as bytes: what a service sent, its tokens unchanged.
//!
//! Digits, escapes, member order and repeated members survive; only white space between tokens
//! goes. No tree of a whole answer is built here or after: a tree costs ten times the parse and
//! loses digits. This module knows nothing of paths; those belong to `mapping`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::scan;

/// The deepest nesting that is accepted, in requests and in answers.
pub const MAX_DEPTH: usize = 127;

/// A JSON document: valid, compact, not deeper than [`MAX_DEPTH`]. Cheap to clone.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Document(Arc<Box<RawValue>>);

impl Document {
    /// Reads a document; white space between tokens is dropped, all else stays as received.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim_end_matches([' ', '\t', '\n', '\r']);
        let compact = match squeezed(text)? {
            // Making the raw value checks the syntax; no need to do it twice.
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(compact) => {
                let _: IgnoredAny = serde_json::from_str(text)?;
                compact
            }
        };
        let raw = RawValue::from_string(compact)?;
        Ok(Document(Arc::new(raw)))
    }

    /// A document from text that has no white space between tokens and is not too deep; it is
    /// checked to be JSON and not copied.
    pub fn from_compact(text: String) -> Result<Self, Unreadable> {
        Ok(Document(Arc::new(RawValue::from_string(text)?)))
    }

    /// Reads a document from bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Unreadable(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
        Document::parse(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// A document from a value of ours.
    pub fn of(value: &impl Serialize) -> Result<Self, Unreadable> {
        serde_json::value::to_raw_value(value)
            .map(|raw| Document(Arc::new(raw)))
            .map_err(Unreadable::from)
    }

    /// Is it the same text in memory?
    pub(crate) fn is_same(&self, other: &Document) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The JSON text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

/// Why a text is not a document. It names places and never quotes the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Unreadable(error.to_string())
    }
}

/// One member of an object: its name as a token, and its value, both as received.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    token: &'a RawValue,
    value: &'a RawValue,
}

impl<'a> Member<'a> {
    /// The name, escapes resolved.
    pub fn name(&self) -> Cow<'a, str> {
        scan::unquoted(self.token.get())
    }

    /// The value's text.
    pub fn value(&self) -> &'a str {
        self.value.get()
    }
}

/// The members of an object in document order, repeated ones included.
pub fn members(object: &str) -> Result<Vec<Member<'_>>, Unreadable> {
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

/// The elements of an array, as received.
pub fn elements(array: &str) -> Result<Vec<&str>, Unreadable> {
    let raw: Vec<&RawValue> = serde_json::from_str(array)?;
    Ok(raw.into_iter().map(RawValue::get).collect())
}

/// Line and column, counted from 1, at which the value at a JSON Pointer stands; where the pointer
/// leads nowhere, those of the last value on its way.
pub fn position_of(text: &str, pointer: &str) -> Option<(usize, usize)> {
    let mut here = text.trim();
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let next = if here.starts_with('[') {
            let index: Option<usize> = name.parse().ok();
            elements(here)
                .ok()
                .and_then(|found| index.and_then(|n| found.get(n).copied()))
        } else {
            members(here).ok().and_then(|found| {
                found
                    .iter()
                    .rev()
                    .find(|member| member.name() == name)
                    .map(Member::value)
            })
        };
        match next {
            Some(value) => here = value,
            None => break,
        }
    }
    let offset = (here.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let before = text.get(..offset)?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    Some((before.matches('\n').count() + 1, line.chars().count() + 1))
}

/// The text without white space between tokens; checks syntax and depth on the way.
pub fn compact(text: &str) -> Result<Cow<'_, str>, Unreadable> {
    let _: IgnoredAny = serde_json::from_str(text)?;
    squeezed(text)
}

/// The text without white space outside of strings, whether it is JSON or not; checks depth.
pub(crate) fn squeezed(text: &str) -> Result<Cow<'_, str>, Unreadable> {
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    let (mut depth, mut from, mut at) = (0_usize, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = scan::string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Unreadable(format!(
                        "deeper than {MAX_DEPTH} levels at byte {at}"
                    )));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b' ' | b'\t' | b'\n' | b'\r' => {
                let end = scan::past_blank(bytes, at);
                out.get_or_insert_with(|| String::with_capacity(text.len()))
                    .push_str(&text[from..at]);
                (from, at) = (end, end);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(&text[from..]);
            Cow::Owned(out)
        }
    })
}

/// The text indented for a person, tokens unchanged. The text must be valid and compact.
pub fn indented(compact: &str) -> String {
    let bytes = compact.as_bytes();
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut from, mut at) = (0_usize, 0, 0);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while at < bytes.len() {
        let byte = bytes[at];
        let empty = matches!(bytes.get(at + 1), Some(b'}' | b']'));
        match byte {
            b'"' => {
                at = scan::string_end(bytes, at);
                continue;
            }
            b'{' | b'[' if empty => at += 1,
            b'{' | b'[' | b',' => {
                depth += usize::from(byte != b',');
                out.push_str(&compact[from..=at]);
                from = at + 1;
                line(&mut out, depth);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                out.push_str(&compact[from..at]);
                from = at;
                line(&mut out, depth);
            }
            b':' => {
                out.push_str(&compact[from..=at]);
                out.push(' ');
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(&compact[from..]);
    out
}

/// Pages of one listing joined into the first page's body.
#[derive(Debug)]
pub struct Pages {
    first: String,
    items: Option<String>,
    followed: Option<String>,
    records: Vec<String>,
}

impl Pages {
    /// Starts with the first body. `items` names the member that holds the records; `None` means
    /// that the body itself is the array.
    pub fn new(first: &Document, items: Option<&str>) -> Self {
        Pages {
            first: first.text().to_owned(),
            items: items.map(str::to_owned),
            followed: None,
            records: Vec::new(),
        }
    }

    /// Adds records, in order.
    pub fn extend<'a>(&mut self, records: impl IntoIterator<Item = &'a str>) {
        self.records.extend(records.into_iter().map(str::to_owned));
    }

    /// A link member that was followed: left in, it would lead a reader to the same page twice.
    pub fn followed(&mut self, link: &str) {
        self.followed = Some(link.to_owned());
    }

    /// The records so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// No record so far?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// One document: the first body with all records in place of its own.
    pub fn join(self) -> Result<Document, Unreadable> {
        let array = format!("[{}]", self.records.join(","));
        let Some(items) = &self.items else {
            return Document::parse(&array);
        };
        let mut out = String::with_capacity(self.first.len() + array.len());
        let members = members(&self.first)?;
        let last = members
            .iter()
            .rposition(|member| member.name() == items.as_str());
        for (n, member) in members.iter().enumerate() {
            let name = member.name();
            if self.followed.as_deref() == Some(&*name) {
                continue;
            }
            out.push(if out.is_empty() { '{' } else { ',' });
            out.push_str(member.token.get());
            out.push(':');
            // Of a member that stands twice the last one counts; the others stay as received.
            out.push_str(if Some(n) == last {
                &array
            } else {
                member.value()
            });
        }
        out.push_str(if out.is_empty() { "{}" } else { "}" });
        Document::parse(&out)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Document::parse(raw.get()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_pass_through_and_white_space_goes() {
        let text = "{ \"a\" : [ 1.0e2 , 18446744073709551616 ],\n\t\"b\\u0041 \\\" \": \"\\ud83d x\", \"a\": 2 }";
        let document = Document::parse(text).expect("valid JSON");
        let compact = r#"{"a":[1.0e2,18446744073709551616],"b\u0041 \" ":"\ud83d x","a":2}"#;
        assert_eq!(document.text(), compact);
    }

    #[test]
    fn indenting_changes_white_space_only() {
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

    #[test]
    fn what_is_not_json_or_too_deep_is_refused_with_the_place() {
        let nested = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Document::parse(&nested(MAX_DEPTH)).is_ok());
        let error = Document::parse(&nested(MAX_DEPTH + 1)).expect_err("too deep");
        assert_eq!(error.to_string(), "deeper than 127 levels at byte 127");
        assert!(Document::parse(&nested(200_000)).is_err());
        assert!(Document::parse("{\"a\":}").is_err());
        let error = Document::from_bytes(b"{\"\xff\":1}").expect_err("not UTF-8");
        assert_eq!(error.to_string(), "not UTF-8 at byte 2");
    }

    #[test]
    fn a_pointer_leads_to_its_line() {
        let text = "{\n  \"a\": [\n    1,\n    {\n      \"b/c\": 2 } ] }\n";
        assert_eq!(position_of(text, "").map(|at| at.0), Some(1));
        assert_eq!(position_of(text, "/a/1/b~1c").map(|at| at.0), Some(5));
        assert_eq!(position_of(text, "/a/1/absent").map(|at| at.0), Some(4));
        assert_eq!(position_of("not json", "/a").map(|at| at.0), Some(1));
    }

    #[test]
    fn pages_are_joined_into_the_first_body() {
        let first = r#"{"@odata.context":"c","value":[{"id":1}],"@odata.nextLink":"https://x/2"}"#;
        let first = Document::parse(first).expect("valid JSON");
        let mut pages = Pages::new(&first, Some("value"));
        pages.extend([r#"{"id":1}"#]);
        pages.extend([r#"{"id":2}"#, r#"{"id":3}"#]);
        pages.followed("@odata.nextLink");
        let joined = pages.join().expect("valid JSON");
        assert_eq!(
            joined.text(),
            r#"{"@odata.context":"c","value":[{"id":1},{"id":2},{"id":3}]}"#
        );
    }
}
