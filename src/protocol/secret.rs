//! Secrets: values that cannot be printed, references to them, and the redactor.
//!
//! References are parsed here and resolved in `host`, the only place that may read what they
//! name.

use std::fmt;
use std::sync::{Arc, RwLock};

use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

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
const SHORTEST: usize = 6;

/// What is written instead of a secret.
pub const STRUCK_OUT: &str = "***";

/// Strikes registered secrets out of everything that leaves the process.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Vec<String>>>);

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
        let url: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
        let percent = url.replace('+', "%20");
        let forms = [plain, json.trim_matches('"'), &url, &percent];
        let Ok(mut known) = self.0.write() else {
            return;
        };
        for form in forms {
            if !known.iter().any(|held| held == form) {
                known.push(form.to_owned());
            }
        }
        // The longest first, so that a form that contains another is struck out whole.
        known.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// The length of the longest form, in bytes: how much a stream must hold back.
    pub fn longest(&self) -> usize {
        self.0
            .read()
            .ok()
            .and_then(|known| known.first().map(String::len))
            .unwrap_or(0)
    }

    /// The text with every registered form struck out.
    pub fn redact(&self, text: &str) -> String {
        let bytes = self.redact_bytes(text.as_bytes());
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// The bytes with every registered form struck out.
    pub fn redact_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(known) = self.0.read() else {
            return Vec::new();
        };
        known
            .iter()
            .fold(bytes.to_vec(), |bytes, form| strike(bytes, form.as_bytes()))
    }
}

fn strike(bytes: Vec<u8>, form: &[u8]) -> Vec<u8> {
    let finder = memmem::Finder::new(form);
    if finder.find(&bytes).is_none() {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for found in finder.find_iter(&bytes) {
        out.extend_from_slice(&bytes[from..found]);
        out.extend_from_slice(STRUCK_OUT.as_bytes());
        from = found + form.len();
    }
    out.extend_from_slice(&bytes[from..]);
    out
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
}
