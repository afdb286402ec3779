//! One parameter: its declaration, and how a value that an author wrote becomes one of its type.
//!
//! Which parameters a command has, and where their values go, is the business of `bind`.

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::{alike, nearest, suggestion};
use crate::protocol::{quoted, type_name};
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
    /// Of a connection parameter: a value that the product accepts and this host does not support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<Unsupported>,
    /// What it is, in one or two sentences.
    pub summary: String,
    /// What an author should know besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A value that is not supported. A command that signs in with the credential of an application
/// fails if the parameter has this value.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsupported {
    /// The value.
    pub value: Value,
    /// What the parameter must be instead, and why. The message is: "PARAMETER must be ALLOWED; got
    /// VALUE."
    pub allowed: String,
    /// What to do, as an imperative sentence.
    pub advice: String,
}

/// The values of a choice.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Choices {
    /// The name of a list that several integrations share: `clouds` or `content_types`.
    Named(String),
    /// The values themselves.
    Listed(Vec<String>),
}

impl Choices {
    /// The values in their canonical spelling; none for an unknown list.
    pub fn values(&self) -> Vec<&str> {
        match self {
            Choices::Listed(values) => values.iter().map(String::as_str).collect(),
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

    /// Turns a value as written into one of its type. The error says what it must be and what was
    /// given, after the name of the parameter.
    pub fn coerce(&self, value: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        let ParamType::List(element) = &self.kind else {
            return self
                .coerce_as(&self.kind, value, now)
                .map_err(|wanted| self.refusal(&wanted, value));
        };
        let items = list(value).map_err(|wanted| self.refusal(&wanted, value))?;
        let numbered = items.iter().enumerate().map(|(n, item)| {
            self.coerce_as(element, item, now).map_err(|wanted| {
                let refusal = self.refusal(&wanted, item);
                format!("has an invalid element {}: it {refusal}", n + 1)
            })
        });
        numbered.collect::<Result<_, _>>().map(Value::Array)
    }

    fn refusal(&self, wanted: &Wanted, value: &Value) -> String {
        let given = match value {
            _ if self.secret => type_name(value).to_owned(),
            other => quoted(other),
        };
        let Wanted { what, hint } = wanted;
        let space = if hint.is_empty() { "" } else { " " };
        format!("must be {what}; got {given}.{space}{hint}")
    }

    fn coerce_as(
        &self,
        kind: &ParamType,
        value: &Value,
        now: DateTime<Utc>,
    ) -> Result<Value, Wanted> {
        match kind {
            ParamType::String => text(value),
            ParamType::Integer => integer(value),
            ParamType::Number => number(value),
            ParamType::Boolean => boolean(value),
            ParamType::Datetime => self.datetime(value, now),
            ParamType::Duration => duration(value, now),
            ParamType::Choice => self.choice(value),
            ParamType::Json => json(value),
            ParamType::List(_) => Err(Wanted::of("a list of simple values")),
        }
    }

    fn datetime(&self, value: &Value, now: DateTime<Utc>) -> Result<Value, Wanted> {
        let span = self.formats.iter().any(|format| format == "span");
        let read = value.as_str().and_then(|text| {
            when::instant(text, &self.formats)
                .or_else(|| if span { when::ago(text, now) } else { None })
        });
        let or_span = if span {
            " or a span such as \"3 days\""
        } else {
            ""
        };
        let what =
            format!("a time such as 2022-03-15T00:00:00Z or 2022-03-15 00:00 (UTC){or_span}");
        read.map(|time| Value::String(when::rfc3339(time)))
            .ok_or(Wanted {
                what,
                hint: String::new(),
            })
    }

    fn choice(&self, value: &Value) -> Result<Value, Wanted> {
        let choices = self.choices.as_ref();
        let choices = choices.map(Choices::values).unwrap_or_default();
        let given = value.as_str();
        let known = choices
            .iter()
            .find(|known| given.is_some_and(|given| alike(known, given)));
        known.map(|known| Value::from(*known)).ok_or_else(|| {
            let near = given.and_then(|given| nearest(given, choices.iter().copied()));
            Wanted {
                what: format!("one of {}", choices.join(", ")),
                hint: near.map_or(String::new(), |near| format!("Did you mean \"{near}\"?")),
            }
        })
    }
}

/// What a value must be, and a hint for the one that was given.
struct Wanted {
    what: String,
    hint: String,
}

impl Wanted {
    fn of(what: &str) -> Self {
        let (what, hint) = (what.to_owned(), String::new());
        Wanted { what, hint }
    }
}

fn text(value: &Value) -> Result<Value, Wanted> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Number(number) => Ok(Value::String(number.to_string())),
        Value::Bool(truth) => Ok(Value::String(truth.to_string())),
        _ => Err(Wanted::of("text")),
    }
}

fn integer(value: &Value) -> Result<Value, Wanted> {
    let read = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    read.map(Value::from)
        .ok_or_else(|| Wanted::of("a whole number"))
}

fn number(value: &Value) -> Result<Value, Wanted> {
    let read = match value {
        Value::Number(_) => return Ok(value.clone()),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    read.filter(|number| number.is_finite())
        .map(Value::from)
        .ok_or_else(|| Wanted::of("a number"))
}

fn boolean(value: &Value) -> Result<Value, Wanted> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        _ => Err(Wanted::of("true or false")),
    }
}

fn duration(value: &Value, now: DateTime<Utc>) -> Result<Value, Wanted> {
    value
        .as_str()
        .filter(|text| when::ago(text, now).is_some())
        .map(|text| Value::String(text.trim().to_owned()))
        .ok_or_else(|| Wanted::of("a span such as \"3 days\" or \"12 hours\""))
}

fn json(value: &Value) -> Result<Value, Wanted> {
    match value {
        Value::String(text) => serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Wanted {
                what: "JSON or JSON text".to_owned(),
                hint: format!("The text breaks at line {line}, column {column}."),
            }
        }),
        other => Ok(other.clone()),
    }
}

/// A JSON array, JSON text of one, or comma-separated text.
fn list(value: &Value) -> Result<Vec<Value>, Wanted> {
    match value {
        Value::Array(items) => Ok(items.clone()),
        Value::String(text) if text.trim_start().starts_with('[') => serde_json::from_str(text)
            .map_err(|error| Wanted {
                what: "a list".to_owned(),
                hint: format!("The JSON text breaks at column {}.", error.column()),
            }),
        Value::String(text) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| Value::String(item.to_owned()))
            .collect()),
        Value::Number(_) | Value::Bool(_) => Ok(vec![value.clone()]),
        _ => Err(Wanted::of("a list")),
    }
}
