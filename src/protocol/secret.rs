//! Secrets: values that cannot be printed, references to them, and the redactor.
//!
//! References are parsed here and resolved in `host`, the only place that may read what they
//! name.

use std::fmt;
use std::sync::{Arc, RwLock};

use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

use crate::protocol::scan;

/// A secret value. It has no `Display` and no `Serialize`, and `Debug` prints `***`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a value into keeping.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(SecretString::from(value.into()))
    }

    /// The value, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a secret parameter was given.
#[derive(Clone, Debug)]
pub enum SecretRef {
    /// `env:NAME`
    Env(String),
    /// `file:PATH`
    File(String),
    /// `literal:TEXT`, or any other text: the value itself.
    Literal(Secret),
}

impl SecretRef {
    /// Reads the value of a secret parameter.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some(("env", name)) => SecretRef::Env(name.to_owned()),
            Some(("file", path)) => SecretRef::File(path.to_owned()),
            Some(("literal", value)) => SecretRef::Literal(Secret::new(value)),
            _ => SecretRef::Literal(Secret::new(text)),
        }
    }
}

/// The shortest value that is searched for: anything shorter would strike out ordinary words.
const SHORTEST: usize = 4;

/// What is written instead of a secret.
pub const STRUCK_OUT: &str = "***";

/// Strikes registered secrets out of everything that leaves the process.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Vec<Form>>>);

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

impl Redactor {
    /// Registers a value in the forms in which it could leave: as it is, inside JSON, in a URL.
    pub fn register(&self, secret: &Secret) {
        let plain = secret.expose();
        if plain.len() < SHORTEST {
            return;
        }
        let json = serde_json::to_string(plain).unwrap_or_default();
        let inside = json.get(1..json.len() - 1).unwrap_or_default();
        let Ok(mut known) = self.0.write() else {
            return;
        };
        let mut add = |text: &str, in_json: bool| {
            if !known
                .iter()
                .any(|held| held.text == text && held.in_json == in_json)
            {
                known.push(Form {
                    text: text.to_owned(),
                    in_json,
                });
            }
        };
        // Only what can stand inside a JSON string may be struck out of JSON.
        add(plain, plain == inside);
        add(inside, true);
        add(&ascii(plain), true);
        for form in in_urls(plain) {
            add(&form, true);
        }
        // The longest first, so that a form that contains another is struck out whole.
        known.sort_by_key(|form| std::cmp::Reverse(form.text.len()));
    }

    /// Is nothing registered?
    pub fn is_idle(&self) -> bool {
        self.0.read().is_ok_and(|known| known.is_empty())
    }

    /// The text with every registered form struck out.
    pub fn redact(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        self.strike_out(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Writes `bytes` to `out` with every registered form struck out.
    pub fn strike_out(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let Ok(known) = self.0.read() else { return };
        strike(&known.iter().collect::<Vec<_>>(), bytes, out);
    }

    /// The same for JSON: only inside strings, so that what was JSON stays JSON. Tells how many
    /// bytes were dealt with: a string that has not ended is left for the next call.
    pub fn strike_out_json(&self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let Ok(known) = self.0.read() else {
            return bytes.len();
        };
        // Almost always none occurs at all, which is seen faster in one go than string by string.
        let occurs =
            |form: &&Form| form.in_json && memmem::find(bytes, form.text.as_bytes()).is_some();
        let forms: Vec<&Form> = known.iter().filter(occurs).collect();
        let mut from = 0;
        while let Some(quote) = memchr::memchr(b'"', &bytes[from..]).map(|at| from + at) {
            let end = scan::string_end(bytes, quote);
            let closed = end > quote + 1 && bytes.get(end - 1) == Some(&b'"') && end <= bytes.len();
            out.extend_from_slice(&bytes[from..quote]);
            // What comes next tells a name from a value.
            if !closed || end == bytes.len() || ends_escaped(&bytes[quote..end]) {
                return quote;
            }
            let content = &bytes[quote + 1..end - 1];
            out.push(b'"');
            // A word of the protocol that somebody took for a secret is still that word.
            let is_name = bytes.get(end) == Some(&b':');
            if forms.is_empty()
                || is_name && forms.iter().any(|form| form.text.as_bytes() == content)
            {
                out.extend_from_slice(content);
            } else {
                strike(&forms, content, out);
            }
            out.push(b'"');
            from = end;
        }
        out.extend_from_slice(&bytes[from..]);
        bytes.len()
    }
}

/// One form of a secret.
struct Form {
    text: String,
    /// Can it stand inside a JSON string as it is?
    in_json: bool,
}

/// Does the last quote of this piece belong to the string, so that the string goes on?
fn ends_escaped(string: &[u8]) -> bool {
    let body = &string[1..string.len() - 1];
    body.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// With every non-ASCII letter as its `\u` escape, as some services write JSON.
fn ascii(plain: &str) -> String {
    let json = serde_json::to_string(plain).unwrap_or_default();
    let inside = json
        .get(1..json.len().saturating_sub(1))
        .unwrap_or_default();
    let mut out = String::new();
    for letter in inside.chars() {
        if letter.is_ascii() {
            out.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            out.push_str(&format_unit(*unit));
        }
    }
    out
}

fn format_unit(unit: u16) -> String {
    format!("\\u{unit:04x}")
}

/// The spellings of a value in addresses and forms: which signs are kept differs, and so does the
/// case of the digits.
fn in_urls(plain: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    let percent = form.replace('+', "%20");
    let component = percent.replace("%7E", "~").replace('*', "%2A");
    let path = component
        .replace("%2F", "/")
        .replace("%3A", ":")
        .replace("%40", "@");
    let upper = [form, percent, component, path];
    let lower = upper.clone().map(|text| lower_digits(&text));
    upper.into_iter().chain(lower).collect()
}

fn lower_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits = 0;
    for letter in text.chars() {
        if letter == '%' {
            digits = 3;
        }
        out.push(if digits > 0 {
            letter.to_ascii_lowercase()
        } else {
            letter
        });
        digits = i32::max(digits - 1, 0);
    }
    out
}

fn strike(forms: &[&Form], bytes: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for (start, length) in found(forms, bytes) {
        if start >= from && !after_backslash(bytes, start) {
            out.extend_from_slice(&bytes[from..start]);
            out.extend_from_slice(STRUCK_OUT.as_bytes());
            from = start + length;
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Would a cut here part an escape from its backslash?
fn after_backslash(bytes: &[u8], start: usize) -> bool {
    bytes[..start]
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count()
        % 2
        == 1
}

/// Where forms stand: by start, the longest first.
fn found(forms: &[&Form], bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = forms
        .iter()
        .flat_map(|form| {
            let text = form.text.as_bytes();
            memmem::find_iter(bytes, text).map(|start| (start, text.len()))
        })
        .collect();
    places.sort_by_key(|(start, length)| (*start, std::cmp::Reverse(*length)));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cannot_be_read_from_its_debug_form() {
        assert_eq!(format!("{:?}", Secret::new("hunter2-hunter2")), "***");
        assert_eq!(
            format!("{:?}", SecretRef::parse("hunter2-hunter2")),
            "Literal(***)"
        );
    }

    #[test]
    fn references_are_told_from_values() {
        assert!(matches!(SecretRef::parse("env:SOAR_X"), SecretRef::Env(name) if name == "SOAR_X"));
        assert!(matches!(SecretRef::parse("file:a/b"), SecretRef::File(path) if path == "a/b"));
        let value = |text| match SecretRef::parse(text) {
            SecretRef::Literal(secret) => secret.expose().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(value("literal:env:not-a-name"), "env:not-a-name");
        assert_eq!(value("~8Q:abc"), "~8Q:abc");
    }

    #[test]
    fn every_form_is_struck_out() {
        let redactor = Redactor::default();
        redactor.register(&Secret::new("ca\"na ry~+1"));
        let text = r#"ca"na ry~+1 | ca\"na ry~+1 | ca%22na+ry%7E%2B1 | ca%22na%20ry%7E%2B1"#;
        assert_eq!(redactor.redact(text), "*** | *** | *** | ***");
        assert_eq!(redactor.redact("nothing here"), "nothing here");
    }

    #[test]
    fn json_stays_json_wherever_it_is_cut() {
        let redactor = Redactor::default();
        for secret in [
            "canary-canary",
            "secretab\"",
            "x\"x\"x\"",
            "version",
            "123456",
            "\":null",
            "nab\\",
        ] {
            redactor.register(&Secret::new(secret));
        }
        let text = serde_json::json!({ "version": "version", "n": 91_234_567, "error": null,
            "a": "see canary-canary", "b": "secretab\"", "c": ["x\"x\"x\"", "\nab\\ nab\\"] });
        let text = text.to_string();
        let expected = r#"{"version":"***","n":91234567,"error":null,"a":"see ***","b":"***","c":["***","\nab\\ ***"]}"#;
        for cut in 0..=text.len() {
            let mut out = Vec::new();
            let done = redactor.strike_out_json(&text.as_bytes()[..cut], &mut out);
            redactor.strike_out_json(&text.as_bytes()[done..], &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "cut at {cut}");
        }
    }

    #[test]
    fn spellings_in_addresses_are_known() {
        let redactor = Redactor::default();
        redactor.register(&Secret::new("~8Q/1+2=\u{f6}"));
        for text in [
            "~8Q/1+2=\u{f6}",
            "~8Q%2F1%2B2%3D%C3%B6",
            "~8q%2f1%2b2%3d%c3%b6",
            "~8Q%2f1%2b2%3d%c3%b6",
            "~8Q/1%2B2%3D%C3%B6",
            "~8Q/1+2=\\u00f6",
        ] {
            let told = redactor.redact(text);
            assert!(told == "***" || text.contains("8q"), "{text}: {told}");
        }
    }
}
