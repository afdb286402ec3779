//! One parameter: its declaration, and how a value that an author wrote becomes one of its type.
//!
//! Which parameters a command has, and where their values go, is the business of `bind`.

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::{alike, suggestion};
use crate::when;

/// A connection parameter or an input.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Canonical id.
    pub id: String,
    /// The product's name for it.
    pub title: String,
    /// Further names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Where the value goes: a slot of the connection or an input of the operation; default: the
    /// id. `input.NAME` on a connection parameter: an input of every command that has it.
    /// `connection.NAME` on an input: that slot of the connection for this one command, unless the
    /// input is left out or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Of a connection parameter: the commands that it is for, by id; default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Its type, a word.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Where a platform sends an object: the member that holds the value. The value itself is
    /// accepted too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Must it be given?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Its value where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What a choice may be: the values, or the name of a list of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// Further formats of a datetime, as of `strftime`; `span` admits spans such as `3 days`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// A value as an author would write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
    /// Is it a secret? Then its value may be a reference, and is never shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// What it is, in one or two sentences.
    pub summary: String,
    /// What an author should know besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The values of a choice.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Choices {
    /// The name of a list that several faces share: `clouds`, `content_types`.
    Named(String),
    /// The values themselves.
    Listed(Vec<String>),
}

impl Choices {
    /// The values in their canonical spelling; none for a list that is not known.
    pub fn values(&self) -> Vec<&str> {
        match self {
            Choices::Listed(values) => values.iter().map(String::as_str).collect(),
            Choices::Named(name) if name == "clouds" => {
                vec!["commercial", "gcc", "gcc_high", "dod"]
            }
            Choices::Named(name) if name == "content_types" => vec![
                "Audit.AzureActiveDirectory",
                "Audit.Exchange",
                "Audit.SharePoint",
                "Audit.General",
                "DLP.All",
            ],
            Choices::Named(_) => Vec::new(),
        }
    }
}

/// A parameter's type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum ParamType {
    /// Text.
    String,
    /// A whole number; text of one is accepted.
    Integer,
    /// A number; text of one is accepted.
    Number,
    /// True or false; text of one is accepted.
    Boolean,
    /// A point in time.
    Datetime,
    /// A span such as `3 days`.
    Duration,
    /// One of the declared choices, in any spelling that folds alike.
    Choice,
    /// Any JSON, or JSON text.
    Json,
    /// A list: a JSON array, JSON text of one, or comma-separated text.
    List(Box<ParamType>),
}

const WORDS: [(&str, ParamType); 8] = [
    ("string", ParamType::String),
    ("integer", ParamType::Integer),
    ("number", ParamType::Number),
    ("boolean", ParamType::Boolean),
    ("datetime", ParamType::Datetime),
    ("duration", ParamType::Duration),
    ("choice", ParamType::Choice),
    ("json", ParamType::Json),
];

impl TryFrom<String> for ParamType {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        let (list, single) = match word.strip_prefix("list of ") {
            Some(element) => (true, element),
            None => (false, word.as_str()),
        };
        let known = WORDS
            .iter()
            .find(|(name, _)| *name == single)
            .map(|(_, kind)| kind.clone());
        match known {
            Some(kind) if list => Ok(ParamType::List(Box::new(kind))),
            Some(kind) => Ok(kind),
            None => {
                let hint = suggestion(single, WORDS.iter().map(|(name, _)| *name));
                Err(format!("\"{word}\" is not a type. {hint}"))
            }
        }
    }
}

impl From<ParamType> for String {
    fn from(kind: ParamType) -> String {
        match kind {
            ParamType::List(element) => format!("list of {}", String::from(*element)),
            single => WORDS
                .iter()
                .find(|(_, known)| *known == single)
                .map_or_else(String::new, |(name, _)| (*name).to_owned()),
        }
    }
}

impl JsonSchema for ParamType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ParamType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<String> = WORDS
            .iter()
            .flat_map(|(name, _)| [(*name).to_owned(), format!("list of {name}")])
            .collect();
        json_schema!({ "type": "string", "enum": words })
    }
}

impl Param {
    /// Every name it answers to: id, title, aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [self.id.as_str(), self.title.as_str()]
            .into_iter()
            .chain(self.aliases.iter().map(String::as_str))
    }

    /// The value, where it was wrapped in an object.
    pub fn unwrapped<'a>(&self, value: &'a Value) -> &'a Value {
        match (value, &self.member) {
            (Value::Object(object), Some(member)) => object.get(member).unwrap_or(&Value::Null),
            _ => value,
        }
    }

    /// Is it for that command?
    pub fn concerns(&self, command: &str) -> bool {
        self.commands.is_empty() || self.commands.iter().any(|id| id == command)
    }

    /// Where its value goes.
    pub fn target(&self) -> &str {
        self.to.as_deref().unwrap_or(&self.id)
    }

    /// Turns a value as written into one of its type; the error says what was expected.
    pub fn coerce(&self, value: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        self.coerce_as(&self.kind, value, now)
    }

    fn coerce_as(
        &self,
        kind: &ParamType,
        value: &Value,
        now: DateTime<Utc>,
    ) -> Result<Value, String> {
        match kind {
            ParamType::String => text(value),
            ParamType::Integer => integer(value),
            ParamType::Number => number(value),
            ParamType::Boolean => boolean(value),
            ParamType::Datetime => self.datetime(value, now),
            ParamType::Duration => duration(value, now),
            ParamType::Choice => self.choice(value),
            ParamType::Json => json(value),
            ParamType::List(element) => list(value)?
                .iter()
                .map(|item| self.coerce_as(element, item, now))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array),
        }
    }

    fn datetime(&self, value: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        let span = self.formats.iter().any(|format| format == "span");
        let read = value.as_str().and_then(|text| {
            when::instant(text, &self.formats)
                .or_else(|| if span { when::ago(text, now) } else { None })
        });
        read.map(|time| Value::String(when::rfc3339(time)))
            .ok_or_else(|| {
                "expected a time such as 2022-03-15 00:00 (UTC) or 2022-03-15T00:00:00Z".to_owned()
            })
    }

    fn choice(&self, value: &Value) -> Result<Value, String> {
        let choices = self
            .choices
            .as_ref()
            .map(Choices::values)
            .unwrap_or_default();
        let given = value.as_str().ok_or("expected text")?;
        choices
            .iter()
            .find(|known| alike(known, given))
            .map(|known| Value::String((*known).to_owned()))
            .ok_or_else(|| {
                format!(
                    "not one of the choices. {}",
                    suggestion(given, choices.clone())
                )
            })
    }
}

fn text(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Number(number) => Ok(Value::String(number.to_string())),
        Value::Bool(truth) => Ok(Value::String(truth.to_string())),
        _ => Err("expected text".to_owned()),
    }
}

fn integer(value: &Value) -> Result<Value, String> {
    let read = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    read.map(Value::from)
        .ok_or_else(|| "expected a whole number".to_owned())
}

fn number(value: &Value) -> Result<Value, String> {
    let read = match value {
        Value::Number(_) => return Ok(value.clone()),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    read.filter(|number| number.is_finite())
        .map(Value::from)
        .ok_or_else(|| "expected a number".to_owned())
}

fn boolean(value: &Value) -> Result<Value, String> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        _ => Err("expected true or false".to_owned()),
    }
}

fn duration(value: &Value, now: DateTime<Utc>) -> Result<Value, String> {
    value
        .as_str()
        .filter(|text| when::ago(text, now).is_some())
        .map(|text| Value::String(text.trim().to_owned()))
        .ok_or_else(|| "expected a span such as \"3 days\" or \"12 hours\"".to_owned())
}

fn json(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => serde_json::from_str(text).map_err(|error| {
            format!(
                "expected JSON; line {}, column {}",
                error.line(),
                error.column()
            )
        }),
        other => Ok(other.clone()),
    }
}

/// A JSON array, JSON text of one, or comma-separated text.
fn list(value: &Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items.clone()),
        Value::String(text) if text.trim_start().starts_with('[') => serde_json::from_str(text)
            .map_err(|error| {
                format!(
                    "expected a list; its JSON breaks at column {}",
                    error.column()
                )
            }),
        Value::String(text) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| Value::String(item.to_owned()))
            .collect()),
        Value::Number(_) | Value::Bool(_) => Ok(vec![value.clone()]),
        _ => Err("expected a list".to_owned()),
    }
}
