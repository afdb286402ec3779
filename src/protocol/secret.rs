//! Secrets: values that cannot be printed, and references to them.
//!
//! References are parsed here. Only `host::secrets` reads the variables and files that they name.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A secret value. It has no `Display` and no `Serialize`, and `Debug` prints `***`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Creates a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(SecretString::from(value.into()))
    }

    /// The value.
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
    /// `literal:TEXT`, or any other text: the value.
    Literal(Secret),
}

impl SecretRef {
    /// Parses the value of a secret parameter. Case and leading white space of the prefix are
    /// ignored: a misspelled reference must not be sent as a secret.
    pub fn parse(text: &str) -> Self {
        let word = text
            .split_once(':')
            .map(|(word, rest)| (word.trim_start().to_ascii_lowercase(), rest));
        match word.as_ref().map(|(word, rest)| (word.as_str(), *rest)) {
            Some(("env", name)) => SecretRef::Env(name.to_owned()),
            Some(("file", path)) => SecretRef::File(path.to_owned()),
            Some(("literal", value)) => SecretRef::Literal(Secret::new(value)),
            _ => SecretRef::Literal(Secret::new(text)),
        }
    }

    /// Was the value itself given?
    pub fn is_literal(&self) -> bool {
        matches!(self, SecretRef::Literal(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_form_hides_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2-hunter2")), "***");
        assert_eq!(
            format!("{:?}", SecretRef::parse("hunter2-hunter2")),
            "Literal(***)"
        );
    }

    #[test]
    fn prefix_distinguishes_references_from_values() {
        assert!(matches!(SecretRef::parse("env:SOAR_X"), SecretRef::Env(name) if name == "SOAR_X"));
        assert!(matches!(SecretRef::parse("file:a/b"), SecretRef::File(path) if path == "a/b"));
        assert!(matches!(SecretRef::parse("Env:SOAR_X"), SecretRef::Env(name) if name == "SOAR_X"));
        assert!(matches!(SecretRef::parse(" FILE:a/b"), SecretRef::File(path) if path == "a/b"));
        let value = |text| match SecretRef::parse(text) {
            SecretRef::Literal(secret) => secret.expose().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(value("literal:env:not-a-name"), "env:not-a-name");
        assert_eq!(value("LITERAL:File:x"), "File:x");
        assert_eq!(value("~8Q:abc"), "~8Q:abc");
    }
}
