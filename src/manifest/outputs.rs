//! How a command's answer is presented: context, key fields, readable.
//!
//! Declarations only; `output` carries them out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a command's answer is presented.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// What playbooks address by path: an absolute path into the raw data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Indicators, deduplicated, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_fields: Vec<KeyField>,
    /// What a person reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable: Option<Readable>,
}

/// One indicator.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyField {
    /// Its name in `key_fields`.
    pub name: String,
    /// Absolute paths into the raw data; all their values count.
    pub paths: Vec<String>,
    /// What it holds.
    pub summary: String,
}

/// What a person reads.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Readable {
    /// A table with these columns: names of event fields where the command makes events, else
    /// names of members of the context's rows.
    Table(Vec<String>),
    /// A sentence; `{input}` stands for the text the author gave.
    Text(String),
}
