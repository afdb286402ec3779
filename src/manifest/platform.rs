//! What the product's platform expects of results: the sentence of a failed command, and the key of
//! context rows.
//!
//! The values are data of the manifest: the host has no rule for one platform.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::outputs::ContextRows;
use crate::manifest::template::fill;
use crate::protocol::failure::ErrorBlock;

/// The sentence of a failed command, unless the manifest sets another one.
const FAILURE: &str = "{failure_indicator} Status Code: {status_code}. Message: {message}";

/// What the product's platform expects of results.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// The `result` of a failed command. Placeholders: `{failure_indicator}`, `{status_code}` and
    /// `{message}`.
    #[serde(default = "default_failure")]
    pub failure: String,
    /// The key by which the platform merges context rows with the rows that it already has.
    /// Placeholders: `{at}` for the path of the rows, `{merge}` for the field that identifies a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_key: Option<String>,
}

impl Default for Platform {
    fn default() -> Self {
        Platform {
            failure: default_failure(),
            merge_key: None,
        }
    }
}

fn default_failure() -> String {
    FAILURE.to_owned()
}

impl Platform {
    /// The placeholders of `failure`.
    pub(super) const FAILURE_NAMES: [&'static str; 3] =
        ["failure_indicator", "status_code", "message"];
    /// The placeholders of `merge_key`.
    pub(super) const MERGE_KEY_NAMES: [&'static str; 2] = ["at", "merge"];

    /// The sentence of a failed command.
    pub fn failure_sentence(&self, error: &ErrorBlock) -> String {
        filled(&self.failure, |name| match name {
            "failure_indicator" => Some(&error.failure_indicator),
            "status_code" => Some(&error.status_code),
            "message" => Some(&error.message),
            _ => None,
        })
    }

    /// The key by which the platform merges these rows.
    pub fn merge_key(&self, rows: &ContextRows) -> String {
        let (Some(key), Some(merge)) = (&self.merge_key, &rows.merge) else {
            return rows.at.clone();
        };
        filled(key, |name| match name {
            "at" => Some(&rows.at),
            "merge" => Some(merge),
            _ => None,
        })
    }
}

fn filled<'a>(text: &str, value: impl Fn(&str) -> Option<&'a String>) -> String {
    let filled: Result<String, Infallible> = fill(text, |name| Ok(value(name).cloned()));
    let Ok(text) = filled;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_values_are_not_searched_for_placeholders() {
        let platform = Platform {
            merge_key: Some("{at}(val.{merge})".to_owned()),
            ..Platform::default()
        };
        let mut rows = ContextRows {
            whole_records: false,
            mapping: "a/b".to_owned(),
            at: "{merge}.B".to_owned(),
            merge: None,
        };
        assert_eq!(platform.merge_key(&rows), "{merge}.B");
        rows.merge = Some("ID".to_owned());
        assert_eq!(platform.merge_key(&rows), "{merge}.B(val.ID)");
    }
}
