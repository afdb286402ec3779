//! How a command's answer is presented: context, key fields, readable.
//!
//! Declarations only; `output` carries them out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a command's answer is presented.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// What playbooks address by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// Indicators, deduplicated, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_fields: Vec<KeyField>,
    /// What a person reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable: Option<Readable>,
}

/// What playbooks address by path: a part of the raw data, or rows that a mapping makes of it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Context {
    /// An absolute path into the raw data.
    Path(String),
    /// Rows of a product's own.
    Rows(ContextRows),
}

/// Rows of a product's own. A root that is one object gives one row, any other a list of them.
/// What is null or empty is left out of a row; 0 and false stay.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextRows {
    /// The mapping that makes them, by name. For a command that changes something it is applied to
    /// what was changed; if nothing was, there is no context.
    pub mapping: String,
    /// Where the rows are in the context: names with a dot between each, such as `Product.Thing`.
    pub at: String,
    /// The field that identifies a row. Requires `platform.merge_key`, the key by which the platform
    /// merges rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<String>,
}

impl Outputs {
    /// The mapping that makes the context's rows, if one does.
    pub fn context_mapping(&self) -> Option<&str> {
        match &self.context {
            Some(Context::Rows(rows)) => Some(&rows.mapping),
            _ => None,
        }
    }
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

/// What a person reads: a table or a text. `{input}` stands for the text the author gave,
/// `{$.path}` for what stands there in the raw data.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Readable {
    /// A table with these columns: names of event fields where the command makes events, else
    /// names of members of the context's rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub table: Vec<Column>,
    /// The table's heading in the product's words; default: the command's title and the number of
    /// rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The text of a command that had nothing to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<String>,
}

/// A column of a table.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Column {
    /// The field or member, under its own name.
    Named(String),
    /// The same under another heading.
    Headed(HeadedColumn),
}

/// A column under a heading of its own.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadedColumn {
    /// What stands above it.
    pub heading: String,
    /// The field or member.
    pub field: String,
}

impl Column {
    /// The field or member whose values it shows.
    pub fn field(&self) -> &str {
        match self {
            Column::Named(name) => name,
            Column::Headed(headed) => &headed.field,
        }
    }

    /// What stands above it.
    pub fn heading(&self) -> &str {
        match self {
            Column::Named(name) => name,
            Column::Headed(headed) => &headed.heading,
        }
    }
}
