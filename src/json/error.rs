//! The error of an invalid JSON text, and the depth limit.
//!
//! An error never quotes the text, because it can contain secrets.

use std::fmt;

/// The maximum nesting of objects and arrays, in requests and in responses.
pub const MAX_DEPTH: usize = 127;

/// Why a text is not a valid document. Names the position and never quotes the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(pub String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

impl From<serde_json::Error> for ParseError {
    fn from(error: serde_json::Error) -> Self {
        ParseError(error.to_string())
    }
}
