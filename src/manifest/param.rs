//! One parameter: its declaration, and the conversion of a request's value to the declared type.
//!
//! `bind` matches parameters with the members of a request.

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
    /// The parameter's id: lower case letters, digits, underscores and hyphens.
    pub id: String,
    /// The parameter's name in the product.
    pub title: String,
    /// Other accepted names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The target of the value: a slot of the connection or an input of the operation. Default: the
    /// id. A connection parameter with `input.NAME` sets this input of each command that has it. An
    /// input with `connection.NAME` overrides this slot of the connection for the command, unless the
    /// input is omitted or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Of a connection parameter: the ids of the commands that use it. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// The type.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// The member with the value, if a platform sends an object. The value alone is also accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The id of another parameter: if its value is an object, `member` of that object is the value
    /// of this parameter, unless a request sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// True if a request must set the parameter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// True for a secret: its value can be a reference and is never shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// The allowed values of a choice, or the name of a shared list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// Other accepted formats of a datetime, as for `strftime`; `span` accepts spans such as `3 days`,
    /// which the operation receives as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// The value if the request does not set the parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// An example value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
    /// Of a connection parameter: a value that the product accepts and this host does not support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<Unsupported>,
    /// What the parameter sets, in one or two sentences.
    pub summary: String,
    /// A note for authors of requests.
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
    /// The name of a shared list: `clouds` or `content_types`.
    Named(String),
    /// The values.
    Listed(Vec<String>),
}

impl Choices {
    /// The values as they are written; none for an unknown list.
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
    /// A whole number, or text of one.
    Integer,
    /// A number, or text of one.
    Number,
    /// True or false, or text of one.
    Boolean,
    /// A time.
    Datetime,
    /// A span such as `3 days`.
    Duration,
    /// One of the declared choices. Case, spaces, hyphens and underscores are ignored.
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
    /// All names of the parameter: id, title, aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [self.id.as_str(), self.title.as_str()]
            .into_iter()
            .chain(self.aliases.iter().map(String::as_str))
    }

    /// The value, or the value inside a platform's object.
    pub fn unwrapped<'a>(&self, value: &'a Value) -> &'a Value {
        match (value, &self.member) {
            (Value::Object(object), Some(member)) => object.get(member).unwrap_or(&Value::Null),
            _ => value,
        }
    }

    /// The parameter's part of the value of another parameter.
    pub fn part<'a>(&self, other: &Param, value: &'a Value) -> Option<&'a Value> {
        let is_part = self.part_of.as_ref() == Some(&other.id);
        value.get(self.member.as_deref().filter(|_| is_part)?)
    }

    /// True if the command uses the parameter.
    pub fn concerns(&self, command: &str) -> bool {
        self.commands.is_empty() || self.commands.iter().any(|id| id == command)
    }

    /// The target of the value.
    pub fn target(&self) -> &str {
        self.to.as_deref().unwrap_or(&self.id)
    }

    /// Converts a value to the parameter's type. The error text follows the parameter's name: what the
    /// value must be and what was given.
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
        let text = value.as_str().unwrap_or_default();
        if span && when::ago(text, now).is_some() {
            return Ok(Value::from(text.trim()));
        }
        let read = when::instant(text, &self.formats);
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

/// What a value must be, with a hint about the given value.
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
