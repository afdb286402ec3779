//! The canonical form of JSON text. Its hash does not change when a tool rewrites the JSON.
//!
//! Tools that read and write JSON change white space, escapes and the format of numbers. The
//! canonical form has exactly one way to write each of them:
//!
//! * no white space outside strings;
//! * in strings only the escapes that JSON requires, in their short form where there is one; a lone
//!   surrogate stays `\udxxx`, in lower case;
//! * an integer as written; any other finite number as ECMAScript prints its double (RFC 8785,
//!   section 3.2.2.3); a number that is not finite as a double as written;
//! * members in the order received, repeated ones included. Nothing is sorted.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::rewrite::Rewrite;
use crate::json::{escapes, scan};

/// The canonical form of valid JSON text. Text that already is canonical is not copied.
pub fn canonical(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = Rewrite::new(text);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let mut end = at + 1;
        match byte {
            b'"' => {
                let has_escapes;
                (end, has_escapes) = scan::string_end_and_escapes(bytes, at);
                if has_escapes {
                    string(&mut out, text, at..end);
                }
            }
            b'-' | b'0'..=b'9' => {
                end = scan::value_end(bytes, at);
                if let Some(number) = number(text.get(at..end).unwrap_or_default()) {
                    out.replace(at..end, &number);
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' => {
                end = scan::skip_whitespace(bytes, at);
                out.replace(at..end, "");
            }
            _ => {}
        }
        at = end;
    }
    out.finish()
}

/// The canonical form of a number; `None` if it already is canonical.
fn number(written: &str) -> Option<String> {
    if !written.contains(['.', 'e', 'E']) {
        return None;
    }
    let value: f64 = written.parse().ok()?;
    let mut buffer = ryu_js::Buffer::new();
    let text = value.is_finite().then(|| buffer.format_finite(value))?;
    (text != written).then(|| text.to_owned())
}

/// Replaces the escapes of a string that are not canonical.
fn string(out: &mut Rewrite<'_>, text: &str, string: Range<usize>) {
    let bytes = &text.as_bytes()[..string.end];
    let mut at = string.start;
    while let Some(next) = memchr::memchr(b'\\', bytes.get(at..).unwrap_or_default()) {
        let start = at + next;
        let character = escapes::json(bytes, start);
        at = character.end;
        let written = text.get(start..at).unwrap_or_default();
        let form = escape(character.bytes(), written);
        if form != written {
            out.replace(start..at, &form);
        }
    }
}

/// The canonical form of a character that was written as an escape.
fn escape<'a>(character: &'a [u8], written: &'a str) -> Cow<'a, str> {
    match character {
        b"\"" => r#"\""#.into(),
        b"\\" => r"\\".into(),
        b"\x08" => r"\b".into(),
        b"\x0c" => r"\f".into(),
        b"\n" => r"\n".into(),
        b"\r" => r"\r".into(),
        b"\t" => r"\t".into(),
        [0..b' '] => written.to_ascii_lowercase().into(),
        // A lone surrogate is no character and is decoded as U+FFFD.
        b"\xef\xbf\xbd" if !written.eq_ignore_ascii_case(r"\ufffd") => {
            written.to_ascii_lowercase().into()
        }
        character => String::from_utf8_lossy(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    #[test]
    fn every_spelling_of_a_value_has_the_same_form() {
        for (written, form) in [
            (
                "{ \"b\" : [ 1 , 2 ] ,\n\t\"a\":{ } }",
                r#"{"b":[1,2],"a":{}}"#,
            ),
            (r#""\u0027\u003c\u003E\u0026\u002b\/""#, r#""'<>&+/""#),
            (r#""\u00e9\u4E2D\ud83d\uDE00""#, "\"é中😀\""),
            (
                r#""\u0022\u005c\u0008\u000C\u000a\u000D\u0009""#,
                r#""\"\\\b\f\n\r\t""#,
            ),
            (r#""\u001F\u0000\u007f""#, "\"\\u001f\\u0000\u{7f}\""),
            (r#""\uD83D x \uDE00\uD83D""#, r#""\ud83d x \ude00\ud83d""#),
            (r#""\uD83D\u0041""#, r#""\ud83dA""#),
            (r#""\\u0041""#, r#""\\u0041""#),
            ("[1.0,1.50,1e2,1E+2,-0.0,0.1e1]", "[1,1.5,100,100,0,1]"),
            ("[1e21,1.0E-7,123456789.125]", "[1e+21,1e-7,123456789.125]"),
            (
                "[18446744073709551616,-0,007]",
                "[18446744073709551616,-0,007]",
            ),
            ("[1e400,-1E400,1e-400]", "[1e400,-1E400,0]"),
            ("[true, false ,null]", "[true,false,null]"),
        ] {
            assert_eq!(canonical(written), form, "{written}");
        }
    }

    #[test]
    fn canonical_text_is_not_copied_and_order_matters() {
        let text = r#"{"b":"é \n \" \u001f","a":[1,1.5,{}],"a":null}"#;
        assert!(matches!(canonical(text), Cow::Borrowed(same) if same == text));
        assert_ne!(canonical(r#"{"a":1,"b":2}"#), canonical(r#"{"b":2,"a":1}"#));
        assert_ne!(canonical(r#"{"a":"1"}"#), canonical(r#"{"a":1}"#));
    }

    #[test]
    fn invalid_text_does_not_panic() {
        for text in [
            "\"",
            "\"\\",
            "\"\\u",
            "\"\\u12é\"",
            "\"\\ud83d\\",
            "-",
            "1e",
            "[\"\\u00",
        ] {
            let _ = canonical(text);
        }
    }

    /// A random value.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_filter_map("finite", |number| {
                serde_json::Number::from_f64(number).map(Into::into)
            }),
            "(\\PC|[\\x00-\\x1f\"\\\\/'<>&é😀]){0,8}".prop_map(Into::into),
        ];
        scalar.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::vec(("\\PC{0,4}", inner), 0..4).prop_map(|members| {
                    members
                        .into_iter()
                        .collect::<serde_json::Map<_, _>>()
                        .into()
                }),
            ]
        })
    }

    /// Writes a value as a tool might; each choice uses the next number of `dice`.
    fn write(value: &serde_json::Value, dice: &mut dyn Iterator<Item = u8>, out: &mut String) {
        let blank = |dice: &mut dyn Iterator<Item = u8>| {
            ["", "", " ", "\n  ", "\t"][usize::from(dice.next().unwrap_or(0)) % 5]
        };
        out.push_str(blank(dice));
        match value {
            serde_json::Value::String(text) => spell(text, dice, out),
            serde_json::Value::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    write(item, dice, out);
                }
                out.push(']');
            }
            serde_json::Value::Object(members) => {
                out.push('{');
                for (n, (name, member)) in members.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    out.push_str(blank(dice));
                    spell(name, dice, out);
                    out.push_str(blank(dice));
                    out.push(':');
                    write(member, dice, out);
                }
                out.push('}');
            }
            serde_json::Value::Number(number) if number.is_f64() => {
                let number = number.as_f64().expect("a double");
                let text = match dice.next().unwrap_or(0) % 3 {
                    0 => format!("{number:?}"),
                    1 => format!("{number:e}").replace('e', "E"),
                    _ => format!("{number:.17e}"),
                };
                out.push_str(&text);
            }
            other => out.push_str(&other.to_string()),
        }
        out.push_str(blank(dice));
    }

    fn spell(text: &str, dice: &mut dyn Iterator<Item = u8>, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            let mut units = [0; 2];
            let required = character < ' ' || matches!(character, '"' | '\\');
            match dice.next().unwrap_or(0) % 4 {
                0 | 1 if !required => out.push(character),
                2 if character == '/' => out.push_str("\\/"),
                2 if character == '\n' => out.push_str("\\n"),
                2 if matches!(character, '"' | '\\') => out.extend(['\\', character]),
                3 => {
                    for unit in character.encode_utf16(&mut units) {
                        write!(out, "\\u{unit:04X}").expect("a text");
                    }
                }
                _ => {
                    for unit in character.encode_utf16(&mut units) {
                        write!(out, "\\u{unit:04x}").expect("a text");
                    }
                }
            }
        }
        out.push('"');
    }

    /// Are two values equal? An integer and a double are if they are the same number.
    fn same(one: &serde_json::Value, other: &serde_json::Value) -> bool {
        use serde_json::Value::{Array, Number, Object};
        match (one, other) {
            (Number(a), Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
            (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (Object(a), Object(b)) => {
                let pairs = || a.iter().zip(b);
                a.len() == b.len() && pairs().all(|((m, a), (n, b))| m == n && same(a, b))
            }
            (a, b) => a == b,
        }
    }

    proptest! {
        #[test]
        fn form_is_the_same_for_equal_values_only(
            (one, other) in (value(), value()),
            dice in proptest::collection::vec(any::<u8>(), 1..200),
        ) {
            let spelled = |value, skip| {
                let mut out = String::new();
                write(value, &mut dice.iter().copied().cycle().skip(skip), &mut out);
                out
            };
            let (first, second) = (spelled(&one, 0), spelled(&one, 1));
            let form = canonical(&first).into_owned();
            prop_assert_eq!(&form, &canonical(&second));
            prop_assert_eq!(&form, &canonical(&form));
            prop_assert!(matches!(canonical(&form), Cow::Borrowed(_)), "already canonical");
            let different = canonical(&spelled(&other, 0)) != form;
            prop_assert_eq!(different, !same(&one, &other));
        }
    }
}
