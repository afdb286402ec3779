//! The errors that the services return: `errors.json` of each service.
//!
//! Each text is marked with its source, because the service can word texts that are a guess
//! differently. Which error a request gets is decided by the services.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorTable {
    /// The page on which Microsoft documents the codes.
    #[serde(rename = "documentation")]
    _documentation: String,
    errors: Vec<ErrorEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorEntry {
    /// Its key in the table if the code is not unique.
    #[serde(default)]
    id: String,
    /// The code as the service sends it.
    pub(crate) code: String,
    pub(crate) status: u16,
    /// The error name of OAuth, for sign-in; the type of the exception, for Exchange.
    #[serde(default)]
    pub(crate) error: String,
    #[serde(rename = "source")]
    _source: Source,
    /// The text, with `{0}`, `{1}`, … for its arguments.
    pub(crate) text: String,
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The documentation has the code and, up to contractions, the text.
    Documented,
    /// The documentation has the code; the text is a guess.
    CodeDocumented,
    /// The documentation has neither; a client's source has the response of a real tenant.
    Captured,
    /// Neither is known.
    Guess,
}

impl ErrorTable {
    /// Parses a table; a test parses each of them.
    pub(crate) fn parse(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// The error with an id, or with a code that is unique, its arguments filled in. A key that is
    /// not in the table is an error of the simulator: 500.
    pub(crate) fn entry(&self, key: &str, arguments: &[&str]) -> ErrorEntry {
        let id = |entry: &ErrorEntry| match entry.id.as_str() {
            "" => entry.code == key,
            id => id == key,
        };
        let found = self.errors.iter().find(|entry| id(entry));
        let mut entry = found.cloned().unwrap_or_else(|| ErrorEntry {
            id: String::new(),
            code: key.to_owned(),
            status: 500,
            error: String::new(),
            _source: Source::Guess,
            text: String::new(),
        });
        for (number, argument) in arguments.iter().enumerate() {
            let place = format!("{{{number}}}");
            entry.code = entry.code.replace(&place, argument);
            entry.text = entry.text.replace(&place, argument);
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_valid() {
        for json in [
            include_str!("exchange/errors.json"),
            include_str!("feed/errors.json"),
            include_str!("graph/errors.json"),
            include_str!("login/errors.json"),
            include_str!("login/managed_identity_errors.json"),
        ] {
            let table: ErrorTable = serde_json::from_str(json).unwrap();
            for entry in &table.errors {
                assert!((400..500).contains(&entry.status), "{entry:?}");
            }
        }
    }

    #[test]
    fn arguments_are_filled_in() {
        let json = r#"{"documentation": "", "errors": [{"id": "a", "code": "x", "status": 400,
            "source": "guess", "text": "{1} {0} {1}"}]}"#;
        let entry = ErrorTable::parse(json).entry("a", &["b", "c"]);
        assert_eq!((entry.code.as_str(), entry.text.as_str()), ("x", "c b c"));
        assert_eq!(ErrorTable::parse(json).entry("x", &[]).status, 500);
    }
}
