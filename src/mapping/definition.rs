//! The mapping file: its types, and strict parsing.
//!
//! Parsing checks the structure only. `compile` checks paths and patterns, `lint` everything that
//! runs but is a mistake.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::{ErrorKind, Failure, decode_object, strict_object};

/// The maximum number of fields of a mapping, in all sources together.
pub const MAX_FIELDS: usize = 500;

/// The maximum number of sources of a mapping; each inherits the fields of the last one.
pub const MAX_SOURCES: usize = 50;

/// A mapping file: how records become events or context rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Mapping")]
pub struct Definition {
    /// The address of this file's schema, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of the file format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub mapping: u64,
    /// The name of the mapping in the catalog: `integration/purpose`.
    #[serde(default)]
    pub id: String,
    /// The name for users.
    #[serde(default)]
    pub title: String,
    /// Where the names of fields come from.
    #[serde(default)]
    pub vocabulary: Vocabulary,
    /// With an own vocabulary: names with dots create nested objects. Fields named `list[label]` add
    /// to the array `list`; the label only distinguishes them.
    #[serde(default)]
    pub nest: bool,
    /// With `nest`: the name of an object with the members of the record that no field of its source
    /// holds completely: no path selects them, `take`, `regex` or the key `*` of `values` drops
    /// something, or they cannot be converted. An array is kept whole if one value in it is not held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<String>,
    /// The Main Event JSON Path, absolute. Each element of an array is a record; an object is one
    /// record.
    pub root: String,
    /// The relative path of the Unique Event Key. Default: the hash of the record's content.
    #[serde(default)]
    pub key: Option<String>,
    /// The event sources. A record belongs to the first one whose `when` is true; only the last has
    /// no `when`.
    pub sources: Vec<Source>,
}

/// Where the names of fields come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// From `mappings/fields.json`.
    #[default]
    Standard,
    /// The names in the mapping are used as they are.
    Own,
}

/// An event source: the condition for its records, and their fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MappingSource")]
pub struct Source {
    /// The `source` of its events.
    pub id: String,
    /// The name for users.
    #[serde(default)]
    pub title: String,
    /// An RFC 9535 filter expression such as `@.category == 'Malware'`. A source with a condition
    /// inherits the last source's fields; its own fields replace those of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The fields, in the order of the events.
    pub fields: Vec<Field>,
}

/// One field: the path of its value, and the steps that change the value. They run in the order
/// path, take, regex, values, type, format, default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MappingField")]
pub struct Field {
    /// The name of a standard field, or with `custom` any other name.
    pub field: String,
    /// True for a custom field. Its key is `__` and the name with underscores for spaces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub custom: bool,
    /// An RFC 9535 path: without `$` from the record (empty: the record), with `$` from the raw
    /// document. A field without `path` and `from` is a constant, its `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Instead of a path: the name of a field above. The steps start with its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Which of several values are used. Default: `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<Take>,
    /// A regular expression. The value becomes the first capture group, or the whole match. Without a
    /// match there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// A lookup table. The key `*` is for every text that is not in it; without this key, such a
    /// text stays unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Map<String, Value>>,
    /// The type of the value. A value that cannot be converted is left out, with a warning.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FieldType>,
    /// A text with one `{}`, which is replaced by the value. Or an object or array in which the
    /// value replaces each text `"{}"`, at most four.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Value>,
    /// The value if the steps give none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A note for the reference page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Which of several values are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// All of them, as an array.
    #[default]
    All,
    /// The first.
    First,
    /// The last.
    Last,
    /// All different values, as an array.
    Unique,
    /// One text: the values, separated by a comma and a space.
    Join,
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text; an object or array becomes its JSON text.
    Text,
    /// A whole number; its digits stay.
    Integer,
    /// A number; its digits stay.
    Number,
    /// True or false.
    Boolean,
    /// A time in RFC 3339, UTC with `Z`. The fraction stays. A time without a zone is UTC.
    Datetime,
    /// A time as the number of milliseconds since 1970. A time without a zone is UTC.
    EpochMs,
    /// A text with JSON becomes this JSON. Other values stay.
    Json,
}

impl Definition {
    /// The keys of the fields in events, each once: those of the last source, then those that other
    /// sources add.
    pub fn field_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for field in self.sources.iter().rev().flat_map(|source| &source.fields) {
            let name = field.event_name(self.vocabulary);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Parses a mapping file. `origin` is its name in faults.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        let object = strict_object(text).map_err(|failure| {
            Failure::new(ErrorKind::InvalidMapping, failure.message()).at(origin)
        })?;
        Definition::from_object(&object, origin)
    }

    /// Parses a mapping inside another document. `origin` is the JSON Pointer of its place, or the
    /// name of a file.
    pub fn from_object(object: &Map<String, Value>, origin: &str) -> Result<Self, Failure> {
        count(object, origin)?;
        let read: Result<Definition, _> =
            decode_object(object, &place(origin, ""), ErrorKind::InvalidMapping);
        let unreadable = || refusal("The mapping cannot be read.", origin.to_owned());
        let definition = read.map_err(|faults| Failure::join(faults).unwrap_or_else(unreadable))?;
        match definition.mapping {
            1 => Ok(definition),
            other => {
                let message =
                    format!("`mapping` must be 1, the version of the format; got {other}.");
                Err(refusal(message, place(origin, "/mapping")))
            }
        }
    }
}

impl Field {
    /// The field's key in an event: a custom field of the standard vocabulary has the prefix `__`
    /// and underscores for spaces.
    pub(crate) fn event_name(&self, vocabulary: Vocabulary) -> String {
        if self.custom && vocabulary == Vocabulary::Standard {
            format!("__{}", self.field.replace(' ', "_"))
        } else {
            self.field.clone()
        }
    }
}

/// Checks the counts before parsing: parsing and compiling take time for each field.
fn count(object: &Map<String, Value>, origin: &str) -> Result<(), Failure> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).map_or(0, Vec::len);
    let sources = object.get("sources").and_then(Value::as_array);
    let each = || sources.into_iter().flatten();
    let fields: usize = each().map(|source| list(source.get("fields"))).sum();
    within(fields, MAX_FIELDS, "fields", &place(origin, "/sources"))?;
    within(
        each().count(),
        MAX_SOURCES,
        "sources",
        &place(origin, "/sources"),
    )
}

/// Fails if the mapping has more than `most` items. `what` is their name in the message.
pub(crate) fn within(count: usize, most: usize, what: &str, at: &str) -> Result<(), Failure> {
    if count <= most {
        return Ok(());
    }
    let message = format!("The mapping has {count} {what}; at most {most} are allowed.");
    Err(refusal(message, at.to_owned()))
}

/// A fault of a mapping at a place.
pub(crate) fn refusal(message: impl Into<String>, at: String) -> Failure {
    Failure::new(ErrorKind::InvalidMapping, message).at(at)
}

/// A JSON Pointer inside the mapping, as a place with its origin.
pub(crate) fn place(origin: &str, pointer: &str) -> String {
    if origin.is_empty() || origin.starts_with('/') {
        format!("{origin}{pointer}")
    } else {
        format!("{origin}:{pointer}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_at_its_place() {
        let text = r#"{"mapping":2,"root":"$","souces":1,"sources":[
            {"id":"a","fields":[{"field":"X","path":".x","regx":"y"},{"field":1,"path":".y"}]}]}"#;
        let failure = Definition::parse(text, "m.json").expect_err("four faults");
        let message = failure.message().to_owned();
        for part in [
            "4 faults",
            "Unknown key \"souces\". Did you mean \"sources\"?",
            "Unknown key \"regx\". Did you mean \"regex\"?",
            "`sources[0].fields[1].field` must be text; got 1.",
            "`mapping` must be 1; got 2.",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert_eq!(failure.kind(), ErrorKind::InvalidMapping);
        assert_eq!(failure.place(), Some("m.json:/souces"));
    }

    #[test]
    fn repeated_key_is_refused() {
        let failure = Definition::parse(r#"{"mapping":1,"mapping":1}"#, "m.json");
        let failure = failure.expect_err("a duplicate");
        assert!(failure.message().contains("\"mapping\" is repeated"));
        let failure = Definition::parse("[]", "m.json").expect_err("no object");
        assert_eq!(failure.message(), "Expected one JSON object; got an array.");
    }

    #[test]
    fn place_continues_a_pointer_or_names_a_file() {
        assert_eq!(place("/mapping", "/root"), "/mapping/root");
        assert_eq!(place("a.json", "/root"), "a.json:/root");
    }
}
