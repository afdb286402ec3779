//! How a command's result is presented: context, key fields, readable text.
//!
//! Declarations only; `output` applies them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a command's result is presented.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// The data that playbooks read by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// Indicators without duplicates, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_fields: Vec<KeyField>,
    /// The text for users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readable: Option<Readable>,
    /// Evaluates detection rules on the records: the array of the raw data. The readable text shows
    /// their alerts first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
}

/// The data that playbooks read by path: a part of the raw data, or rows that a mapping creates.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Context {
    /// An absolute path into the raw data.
    Path(String),
    /// Rows in the product's form.
    Rows(ContextRows),
}

/// Rows in the product's form. If the mapping's root is one object, the context is one row, else a
/// list of rows. Null and empty values are left out; 0 and false are kept.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextRows {
    /// The mapping that creates the rows, by name. For a command that changes data, it is applied to
    /// the changed data; without a change there is no context.
    pub mapping: String,
    /// If true, the rows are the records at the mapping's root with all members, unchanged. The
    /// mapping's fields only describe them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole_records: bool,
    /// Where the rows are in the context: names with a dot between each, such as `Product.Thing`.
    pub at: String,
    /// The field that identifies a row. Requires `platform.merge_key`, the key by which the platform
    /// merges rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<String>,
}

/// Detection rules of a command. An input with the target `rules` selects them: names of rules of the
/// catalog, or texts. Default: all rules of the catalog.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Where the alerts are in the context: names with a dot between each.
    pub at: String,
}

impl Outputs {
    /// The target of the input that selects rules.
    pub const RULES: &str = "rules";

    /// The mapping that creates the context's rows, if there is one.
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
    /// The name in `key_fields`.
    pub name: String,
    /// Absolute paths into the raw data; the values of all paths are listed.
    pub paths: Vec<String>,
    /// What the field contains.
    pub summary: String,
}

/// The text for users: a table, an assessment of the events, or a text. `{input}` is replaced by the
/// value of that input, and `{$.path}` by the value at that path of the raw data.
/// `{$.path|%m/%d/%Y}` formats a time as `strftime` does.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Readable {
    /// A table with these columns: names of event fields if the command creates events, else names
    /// of members of the context's rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub table: Vec<Column>,
    /// An assessment of the events: how many have each value of a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Assessment>,
    /// The heading of the table or the assessment. Default: the command's title and the number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text that replaces a table without rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<String>,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The text of a command that changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<String>,
}

/// An assessment of the events: the first and the last time, and a table for each field.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assessment {
    /// The event field with the time.
    pub time: String,
    /// The event fields whose values are counted, in this order.
    pub counts: Vec<Column>,
}

impl Readable {
    /// Whether the text shows the rows of events or of the context.
    pub fn needs_rows(&self) -> bool {
        !self.table.is_empty() || self.assessment.is_some()
    }

    /// The event fields that the text shows, each with its JSON Pointer from the command.
    pub fn fields(&self) -> impl Iterator<Item = (String, &str)> {
        let assessment = self.assessment.iter();
        let assessed = assessment.flat_map(|one| {
            let at = "/outputs/readable/assessment";
            let time = (format!("{at}/time"), one.time.as_str());
            std::iter::once(time).chain(columns(format!("{at}/counts"), &one.counts))
        });
        columns("/outputs/readable/table".to_owned(), &self.table).chain(assessed)
    }
}

/// The fields of columns, with their places.
fn columns(at: String, columns: &[Column]) -> impl Iterator<Item = (String, &str)> {
    let numbered = columns.iter().enumerate();
    numbered.map(move |(n, column)| {
        let member = match column {
            Column::Named(_) => "",
            Column::Headed(_) => "/field",
        };
        (format!("{at}/{n}{member}"), column.field())
    })
}

/// A column of a table.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Column {
    /// The field or member, with its own name as heading.
    Named(String),
    /// The field or member with another heading.
    Headed(HeadedColumn),
}

/// A column with another heading.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadedColumn {
    /// The heading.
    pub heading: String,
    /// The field or member.
    pub field: String,
}

impl Column {
    /// The field or member of the column.
    pub fn field(&self) -> &str {
        match self {
            Column::Named(name) => name,
            Column::Headed(headed) => &headed.field,
        }
    }

    /// The heading of the column.
    pub fn heading(&self) -> &str {
        match self {
            Column::Named(name) => name,
            Column::Headed(headed) => &headed.heading,
        }
    }
}
