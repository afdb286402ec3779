//! Tests of the redactor.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// All characters that JSON and addresses escape, and characters of two, three and four bytes.
const CANARY: &str = "ca+na/ry&<x>'\"y\\z%41 ö€😀.end";

fn redactor_of(secrets: &[&str]) -> Redactor {
    let redactor = Redactor::default();
    for secret in secrets {
        redactor.register(&Secret::new(*secret));
    }
    redactor
}

fn never() -> bool {
    false
}

fn document(redactor: &Redactor, text: &str) -> String {
    let document = Document::from_compact(text.to_owned()).expect("JSON");
    let redacted = redactor
        .redact_document(&document, &never)
        .expect("not stopped");
    redacted.text().to_owned()
}

fn escaped(text: &str, upper: bool) -> String {
    text.encode_utf16()
        .map(|unit| {
            if upper {
                format!("\\u{unit:04X}")
            } else {
                format!("\\u{unit:04x}")
            }
        })
        .collect()
}

fn percent(text: &str, blank: &str) -> String {
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    form.replace('+', blank)
}

/// The content of a JSON string, in every way a service could write it.
fn spellings(secret: &str) -> Vec<String> {
    let inside = |text: &str| {
        let quoted = serde_json::to_string(text).expect("a string");
        quoted[1..quoted.len() - 1].to_owned()
    };
    let plain = inside(secret);
    let ascii: String = plain
        .chars()
        .map(|letter| {
            if letter.is_ascii() {
                letter.to_string()
            } else {
                escaped(&letter.to_string(), false)
            }
        })
        .collect();
    let html: String = plain
        .chars()
        .map(|letter| match letter {
            '+' | '&' | '<' | '>' | '\'' => escaped(&letter.to_string(), true),
            letter => letter.to_string(),
        })
        .collect();
    let pair = format!("66666666-7777:{secret}");
    vec![
        plain.replace('/', "\\/"),
        inside(&plain.replace('/', "\\/")),
        inside(&html),
        inside(&escaped(secret, true)),
        escaped(secret, true),
        escaped(secret, false),
        percent(secret, "+"),
        percent(secret, "%20"),
        percent(secret, "+").to_lowercase(),
        STANDARD.encode(&pair),
        STANDARD.encode(format!("x{pair}")).replace('/', "\\/"),
        URL_SAFE.encode(format!("xy{pair}")),
        percent(&STANDARD.encode(&pair), "+"),
        plain,
        ascii,
        html,
    ]
}

#[test]
fn basic_authentication_is_redacted_in_every_percent_encoding() {
    for (secret, encoded) in [
        (
            "pass word*(1)!",
            [
                "pass+word*%281%29%21",
                "pass%20word%2A%281%29%21",
                "pass%20word*(1)!",
            ],
        ),
        (
            "8Q~tilde+plus",
            ["8Q%7Etilde%2Bplus", "8Q~tilde%2Bplus", "8Q~tilde%2Bplus"],
        ),
        (
            "ümlaut's key",
            [
                "%C3%BCmlaut%27s+key",
                "%C3%BCmlaut%27s%20key",
                "%C3%BCmlaut's%20key",
            ],
        ),
    ] {
        let redactor = redactor_of(&[secret]);
        let lower = encoded.map(|text| {
            let digits = ["%2B", "%7E", "%2A", "%C3%BC"];
            digits.iter().fold(text.to_owned(), |text, upper| {
                text.replace(upper, &upper.to_lowercase())
            })
        });
        for text in encoded.map(str::to_owned).into_iter().chain(lower) {
            for id in ["a", "ab", "abc"] {
                let header = STANDARD.encode(format!("{id}:{text}"));
                let redacted = redactor.redact_text(&format!("Basic {header}"));
                assert!(redacted.contains("***"), "{text}: {redacted}");
            }
        }
    }
}

#[test]
fn secret_is_redacted_in_every_encoding() {
    let redactor = redactor_of(&[CANARY]);
    for spelling in spellings(CANARY) {
        // Lower case only the digits of the escapes, not the address.
        let spelling = if spelling.contains("%2b") {
            percent(CANARY, "+")
                .replace("%2B", "%2b")
                .replace("%C3", "%c3")
        } else {
            spelling
        };
        for (before, after) in [
            ("", ""),
            ("see ", " now"),
            ("\\\\\\\\", "\\n"),
            ("%41", "\\u0041"),
        ] {
            let text = format!(r#"{{"a":"{before}{spelling}{after}","n":[1,"b"]}}"#);
            let redacted = document(&redactor, &text);
            let value: serde_json::Value = serde_json::from_str(&redacted).expect("still JSON");
            assert!(redacted.contains("***"), "{text}\n{redacted}");
            assert_eq!(value["n"], serde_json::json!([1, "b"]));
            for part in ["ry&", "\\u0072\\u0079", "y%26", "ry\\u0026"] {
                assert!(!redacted.contains(part), "{text}\n{redacted}");
            }
        }
    }
}

/// `rawJSON` is a record as text, and a table escapes backslashes: each adds one level of escapes.
#[test]
fn secret_in_json_inside_json_inside_json_is_redacted() {
    let inside = |text: &str| {
        let quoted = serde_json::to_string(text).expect("a string");
        quoted[1..quoted.len() - 1].to_owned()
    };
    for secret in [
        CANARY,
        "p\"q\\rs~tuv12",
        "Abc😀d+/ZZ",
        "p\u{e4}ss-w\u{f6}rd-12",
    ] {
        let redactor = redactor_of(&[secret]);
        let written = [
            inside(secret),
            escaped(secret, false),
            escaped(secret, true),
        ];
        for once in written {
            for (before, after) in [("", ""), ("see ", " now")] {
                let twice = inside(&inside(&once));
                let text = format!(r#"{{"a":"{before}{twice}{after}","n":["b"]}}"#);
                let expected = format!(r#"{{"a":"{before}***{after}","n":["b"]}}"#);
                assert_eq!(document(&redactor, &text), expected, "{text}");
            }
        }
    }
}

#[test]
fn only_strings_of_a_document_are_changed() {
    let redactor = redactor_of(&[
        "canary-1234!",
        "12345678",
        "x\"x\"x\"x",
        "true",
        "nabcdefg",
        ":[null",
    ]);
    let text = r#"{"n":912345678,"m":12345678,"s":"12345678","t":true,"u":[true,"true"],"v":"canary-1234!","w":"\nabcdefg","x":"\\nabcdefg","y":"x\"x\"x\"x","z":[null]}"#;
    let expected = r#"{"n":912345678,"m":12345678,"s":"***","t":true,"u":[true,"***"],"v":"***","w":"\nabcdefg","x":"\\***","y":"***","z":[null]}"#;
    assert_eq!(document(&redactor, text), expected);
}

#[test]
fn secret_that_could_be_a_name_is_not_redacted_in_names_and_keys() {
    let redactor = redactor_of(&["Successful", "2026-11", "can+ary/name"]);
    let text =
        r#"{"Successful":"Successful","can+ary/name":1,"can\u002bary\/name":"at 2026-11-20"}"#;
    let expected = r#"{"Successful":"***","***":1,"***":"at ***-20"}"#;
    assert_eq!(document(&redactor, text), expected);
    assert_eq!(redactor.redact_name("2026-11-20$a"), "2026-11-20$a");
    assert_eq!(redactor.redact_name("id-can+ary/name"), "id-***");
    assert_eq!(
        redactor.redact_text("Successful: can%2Bary%2fname"),
        "***: ***"
    );
}

#[test]
fn short_secret_is_redacted_only_as_a_whole_word() {
    let redactor = redactor_of(&["2026-", "abc", "pass"]);
    let text = r#"["2026-11-20","2026-","abc","a pass","passage","bypass","\npass\u0020x"]"#;
    let expected = r#"["2026-11-20","***","abc","a ***","passage","bypass","\n***\u0020x"]"#;
    assert_eq!(document(&redactor, text), expected);
    assert!(is_short(&Secret::new("2026-")) && !is_short(&Secret::new("2026-1")));
}

#[test]
fn overlapping_secrets_are_redacted_together() {
    let redactor = redactor_of(&["abcdefgh", "defghijk", "fghi++", "abcdefghijkl"]);
    assert_eq!(redactor.redact_text("xabcdefghijkx"), "x***x");
    assert_eq!(redactor.redact_text("xabcdefghijklx fghi++"), "x***x ***");
    assert_eq!(redactor.redact_text("nothing of it"), "nothing of it");
}

#[test]
fn request_does_not_redact_the_secrets_of_another() {
    let all = redactor_of(&["of-the-operator"]);
    let (one, other) = (all.for_request(), all.for_request());
    one.register(&Secret::new("secret-of-one"));
    other.register(&Secret::new("secret-of-other"));
    let text = "of-the-operator secret-of-one secret-of-other";
    assert_eq!(one.redact_text(text), "*** *** secret-of-other");
    assert_eq!(other.redact_text(text), "*** secret-of-one ***");
    assert_eq!(all.redact_log_line(text), "*** *** ***");
    drop(one);
    assert_eq!(all.redact_log_line(text), "*** secret-of-one ***");
}

#[test]
fn search_stops_when_the_caller_asks() {
    let redactor = redactor_of(&[CANARY]);
    let text = format!("\"{}\"", escaped(&"can".repeat(200_000), false));
    let document = Document::from_compact(text).expect("JSON");
    assert!(redactor.redact_document(&document, &|| true).is_err());
    assert!(redactor.redact_document(&document, &never).is_ok());
}

#[test]
fn control_characters_are_escaped() {
    let text = "a\u{1b}[31mb\u{202e}c\u{2069}\r\nd\te\u{85}\r";
    let shown = "a\\u001b[31mb\\u202ec\\u2069\nd\te\\u0085\\u000d";
    assert_eq!(escape_control_characters(text), shown);
    assert_eq!(escape_control_characters("plain"), "plain");
}
