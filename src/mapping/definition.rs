//! The mapping file: its types, and reading them strictly.
//!
//! Reading is cheap: no path is looked at and no pattern compiled. What the words mean together is
//! checked when a definition is compiled, what is merely unwise by `lint`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::{ErrorKind, Failure, decode_object, strict_object};

/// The most fields a mapping may have, sources together.
pub const MAX_FIELDS: usize = 500;

/// The most sources a mapping may have; each inherits the fields of the last one.
pub const MAX_SOURCES: usize = 50;

/// A mapping file: how records become events or context rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Mapping")]
pub struct Definition {
    /// The schema that an editor checks this file with.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of the file format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub mapping: u64,
    /// The name of the mapping in the catalog: `integration/purpose`.
    #[serde(default)]
    pub id: String,
    /// What a person calls it.
    #[serde(default)]
    pub title: String,
    /// Where the names of fields come from.
    #[serde(default)]
    pub vocabulary: Vocabulary,
    /// With an own vocabulary: dots in names make objects.
    #[serde(default)]
    pub nest: bool,
    /// Main Event JSON Path, absolute. An array is spread, an object is one record.
    pub root: String,
    /// Relative path of the Unique Event Key; null or absent: the hash of the record's content.
    #[serde(default)]
    pub key: Option<String>,
    /// Event sources, tried in order; exactly the last has no `when`.
    pub sources: Vec<Source>,
}

/// Where the names of fields come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// From `mappings/fields.json`.
    #[default]
    Standard,
    /// They stand as given.
    Own,
}

/// An event source: which records it is for, and their fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MappingSource")]
pub struct Source {
    /// The name that events carry as their source.
    pub id: String,
    /// What a person calls it.
    #[serde(default)]
    pub title: String,
    /// An RFC 9535 filter expression such as `@.category == 'Malware'`. A source that has one
    /// inherits the last source's fields and replaces those of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The fields, in the order in which events carry them.
    pub fields: Vec<Field>,
}

/// One field: where its value is found and what is done to it. The steps run in the order path,
/// take, regex, values, type, format, default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MappingField")]
pub struct Field {
    /// A standard field, or with `custom` a name of the author's.
    pub field: String,
    /// The field is the author's: its system name is `__` and the name with underscores for spaces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub custom: bool,
    /// An RFC 9535 path without its `$` from the record (empty: the record itself), or with `$` from
    /// the raw document.
    pub path: String,
    /// Which of several values; `all` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<Take>,
    /// A pattern: the first capture group, else the whole match. No match is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// A look-up table; a text that is not in it passes unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Map<String, Value>>,
    /// What the value becomes; what will not convert is left out, with a warning.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FieldType>,
    /// A text with one `{}` for the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The value when nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Shown in the generated reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Which of several values.
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
    /// All that differ, as an array.
    Unique,
    /// One text, the values separated by a comma and a space.
    Join,
}

/// What a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text; an object or array becomes its JSON text.
    Text,
    /// A number without fraction, digits kept.
    Integer,
    /// A number, digits kept.
    Number,
    /// True or false.
    Boolean,
    /// RFC 3339 in UTC with `Z`, fraction as received; without a zone it is UTC.
    Datetime,
    /// A text that holds JSON becomes that JSON; anything else stays.
    Json,
}

impl Definition {
    /// The names that fields have in events, each once, in order: of the last source, then what
    /// other sources add.
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

    /// Reads a mapping file. `origin` names it in faults.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        let object = strict_object(text).map_err(|failure| {
            Failure::new(ErrorKind::InvalidMapping, failure.message()).at(origin)
        })?;
        Definition::from_object(&object, origin)
    }

    /// Reads a mapping that stands inside another document. An `origin` that is a JSON Pointer is
    /// where it stands; any other names a file.
    pub fn from_object(object: &Map<String, Value>, origin: &str) -> Result<Self, Failure> {
        count(object, origin)?;
        let read: Result<Definition, _> =
            decode_object(object, &place(origin, ""), ErrorKind::InvalidMapping);
        let unreadable = || refusal("The mapping cannot be read.", origin.to_owned());
        let definition = read.map_err(|faults| Failure::join(faults).unwrap_or_else(unreadable))?;
        match definition.mapping {
            1 => Ok(definition),
            other => {
                let said = format!("`mapping` must be 1, the version of the format; got {other}.");
                Err(refusal(said, place(origin, "/mapping")))
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

/// Counts before anything is read: reading and compiling take time for each field.
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

/// Refuses a mapping that has more than `most` of something.
pub(crate) fn within(count: usize, most: usize, what: &str, at: &str) -> Result<(), Failure> {
    if count <= most {
        return Ok(());
    }
    let said = format!("The mapping has {count} {what}; at most {most} are allowed.");
    Err(refusal(said, at.to_owned()))
}

/// A fault of a mapping at a place.
pub(crate) fn refusal(message: impl Into<String>, at: String) -> Failure {
    Failure::new(ErrorKind::InvalidMapping, message).at(at)
}

/// A JSON Pointer inside the mapping as a place that a reader can find.
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
    fn every_fault_is_told_with_its_place() {
        let text = r#"{"mapping":2,"root":"$","souces":1,"sources":[
            {"id":"a","fields":[{"field":"X","path":".x","regx":"y"},{"field":1,"path":".y"}]}]}"#;
        let failure = Definition::parse(text, "m.json").expect_err("four faults");
        let told = failure.message().to_owned();
        for part in [
            "4 faults",
            "Unknown key \"souces\". Did you mean \"sources\"?",
            "Unknown key \"regx\". Did you mean \"regex\"?",
            "`sources[0].fields[1].field` must be text; got 1.",
            "`mapping` must be 1; got 2.",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert_eq!(failure.kind(), ErrorKind::InvalidMapping);
        assert_eq!(failure.place(), Some("m.json:/souces"));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let failure = Definition::parse(r#"{"mapping":1,"mapping":1}"#, "m.json");
        let failure = failure.expect_err("a duplicate");
        assert!(failure.message().contains("\"mapping\" is repeated"));
        let failure = Definition::parse("[]", "m.json").expect_err("no object");
        assert_eq!(failure.message(), "Expected one JSON object; got an array.");
    }

    #[test]
    fn a_pointer_is_continued_and_a_file_is_named() {
        assert_eq!(place("/mapping", "/root"), "/mapping/root");
        assert_eq!(place("a.json", "/root"), "a.json:/root");
    }
}
