//! Finds all differences between a document and the schema of its type.
//!
//! serde stops at the first fault. This module compares the document with the derived schema, so
//! the author sees all faults. It supports only the part of JSON Schema that `schemars` generates.
//!
//! A message quotes the value if a string, a number or a boolean was expected. Otherwise it names
//! only the type: the value could be a whole document with secrets.

use serde_json::{Map, Value};

use crate::names::{alike, suggestion};
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::pointer::{escape, name_of};

/// The maximum length of a quoted string, in characters.
const QUOTED: usize = 60;

/// The maximum length of a quoted string of the request's envelope: a longer one could be a secret
/// in the wrong place.
const QUOTED_OF_REQUEST: usize = 12;

/// A difference between a document and a schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// JSON Pointer from the root of the document.
    pub(super) pointer: String,
    /// Is a required member missing?
    pub(super) missing: bool,
    /// Is the name of the member unknown?
    pub(super) is_name: bool,
    /// What is allowed, and the value that was given.
    pub(super) message: String,
    /// The words that are allowed, if only words are.
    pub(super) choices: Vec<String>,
}

impl Difference {
    /// The difference as a fault of the document at `base`.
    pub(super) fn fault(self, base: &str, kind: ErrorKind) -> Failure {
        let at = format!("{base}{}", self.pointer);
        let fault = Failure::new(kind, self.message).at(at);
        if self.is_name {
            fault.about_name()
        } else {
            fault
        }
    }
}

/// The differences between a document and a schema. `base` is the JSON Pointer of the document in
/// the author's file; messages name places from the root of that file.
pub(super) fn differences(
    schema: &Value,
    document: &Value,
    base: &str,
    kind: ErrorKind,
) -> Vec<Difference> {
    let mut walk = Walk {
        root: schema,
        is_request: kind == ErrorKind::MalformedRequest,
        base,
        found: Vec::new(),
    };
    walk.value(schema, document, "");
    walk.found
}

/// A value as a message quotes it. A long string is not cut: half of a secret would not be redacted.
pub(crate) fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > QUOTED => {
            format!("a string of {} characters", text.chars().count())
        }
        Value::Array(_) | Value::Object(_) => type_name(value).to_owned(),
        scalar => scalar.to_string(),
    }
}

/// The type of a value as messages show it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// Is it a request, of which only short strings are quoted?
    is_request: bool,
    base: &'a str,
    found: Vec<Difference>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, schema: &'a Value, value: &Value, at: &str) {
        let branches = self.branches(schema);
        let fitting: Vec<&&Value> = branches
            .iter()
            .filter(|branch| has_type(branch, value))
            .collect();
        let Some(first) = fitting.first() else {
            return self.expected(&branches, value, at);
        };
        let choices: Vec<&str> = fitting.iter().flat_map(|branch| words(branch)).collect();
        if let (false, Some(text)) = (choices.is_empty(), value.as_str()) {
            let folds = fitting.iter().any(|branch| branch["x-folds"] == true);
            let same = |word: &&str| *word == text || folds && alike(word, text);
            let any_text = fitting.iter().any(|branch| words(branch).is_empty());
            if !any_text && !choices.iter().any(same) {
                self.choice(&choices, text, at);
            }
            return;
        }
        match value {
            Value::Object(object) => self.object(first, object, at),
            Value::Array(items) => {
                let of = &first["items"];
                let pairs = items.iter().enumerate().filter(|_| of.is_object());
                for (n, item) in pairs {
                    self.value(of, item, &format!("{at}/{n}"));
                }
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                let over = |name: &str| first[name].as_f64().is_some_and(|most| number > most);
                let under = |name: &str| first[name].as_f64().is_some_and(|least| number < least);
                if over("maximum") || under("minimum") {
                    self.expected(&branches, value, at);
                }
            }
            _ => {}
        }
    }

    /// The alternatives of a schema, references resolved; for a schema without alternatives,
    /// itself.
    fn branches(&self, schema: &'a Value) -> Vec<&'a Value> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap_or_default();
            return self.branches(&self.root["$defs"][name]);
        }
        let several = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
        match several {
            Some(several) => several.iter().flat_map(|one| self.branches(one)).collect(),
            None => vec![schema],
        }
    }

    fn object(&mut self, schema: &'a Value, object: &Map<String, Value>, at: &str) {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let required = schema["required"].as_array();
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                let wanted = wanted(&self.branches(&schema["properties"][name]));
                let place = self.name(&format!("{at}/{name}"));
                self.add(
                    at,
                    true,
                    format!("`{place}` is missing; it must be {wanted}."),
                );
            }
        }
        for (key, value) in object {
            let below = format!("{at}/{}", escape(key));
            match (
                schema["properties"].get(key),
                &schema["additionalProperties"],
            ) {
                (Some(property), _) => self.value(property, value, &below),
                (None, Value::Bool(false)) => {
                    let hint = suggestion(key, properties.keys().map(String::as_str));
                    self.add(&below, false, format!("Unknown key \"{key}\". {hint}"));
                    if let Some(last) = self.found.last_mut() {
                        last.is_name = true;
                    }
                }
                (None, other @ Value::Object(_)) => self.value(other, value, &below),
                (None, _) => {}
            }
        }
    }

    fn choice(&mut self, choices: &[&str], text: &str, at: &str) {
        let near = crate::names::nearest(text, choices.iter().copied());
        let hint = near.map_or(String::new(), |near| format!(" Did you mean \"{near}\"?"));
        let (name, given) = (self.name(at), self.given(&text.into()));
        let all = choices.join(", ");
        let message = format!("`{name}` must be one of {all}; got {given}.{hint}");
        self.add(at, false, message);
        self.allow(choices);
    }

    fn expected(&mut self, branches: &[&Value], value: &Value, at: &str) {
        let scalar = branches.iter().all(|branch| {
            let listed = types(branch);
            !listed.contains(&"object") && !listed.contains(&"array")
        });
        let secret = at.contains("secret") || at.contains("password");
        let given = match value {
            value if scalar && !secret => self.given(value),
            other => type_name(other).to_owned(),
        };
        let (name, wanted) = (self.name(at), wanted(branches));
        self.add(
            at,
            false,
            format!("`{name}` must be {wanted}; got {given}."),
        );
        let choices: Vec<&str> = branches.iter().flat_map(|branch| words(branch)).collect();
        self.allow(&choices);
    }

    fn given(&self, value: &Value) -> String {
        match value.as_str().map(|text| text.chars().count()) {
            Some(length) if self.is_request && length > QUOTED_OF_REQUEST => {
                format!("a string of {length} characters")
            }
            _ => quoted(value),
        }
    }

    fn name(&self, at: &str) -> String {
        name_of(&format!("{}{at}", self.base))
    }

    fn add(&mut self, at: &str, missing: bool, message: String) {
        self.found.push(Difference {
            pointer: at.to_owned(),
            missing,
            is_name: false,
            message,
            choices: Vec::new(),
        });
    }

    /// Adds the allowed words to the last difference.
    fn allow(&mut self, choices: &[&str]) {
        if let Some(last) = self.found.last_mut() {
            last.choices = choices.iter().map(ToString::to_string).collect();
        }
    }
}

/// Describes what the alternatives allow.
fn wanted(branches: &[&Value]) -> String {
    let choices: Vec<&str> = branches.iter().flat_map(|branch| words(branch)).collect();
    if !choices.is_empty() {
        return format!("one of {}", choices.join(", "));
    }
    let mut all: Vec<String> = Vec::new();
    for branch in branches {
        for name in types(branch).into_iter().filter(|name| *name != "null") {
            let words = in_words(name, branch);
            if !all.contains(&words) {
                all.push(words);
            }
        }
    }
    match all.len() {
        0 => "any JSON".to_owned(),
        1 => all.concat(),
        _ => {
            // A comma would separate a limit from its number.
            let bracketed = |words: &String| match words.split_once(", ") {
                Some((kind, limit)) => format!("{kind} ({limit})"),
                None => words.clone(),
            };
            all.iter().map(bracketed).collect::<Vec<_>>().join(" or ")
        }
    }
}

/// The strings that a schema allows, if it lists them.
fn words(schema: &Value) -> Vec<&str> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let single = schema.get("const").into_iter();
    listed.chain(single).filter_map(Value::as_str).collect()
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    let listed = types(schema);
    let named = |name: &&str| match *name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    listed.is_empty() || listed.iter().any(named)
}

fn in_words(name: &str, schema: &Value) -> String {
    let kind = match name {
        "boolean" => return "true or false".to_owned(),
        "string" => return "text".to_owned(),
        "array" => return "an array".to_owned(),
        "object" => return "an object".to_owned(),
        "integer" => "a whole number",
        _ => "a number",
    };
    match (&schema["minimum"], &schema["maximum"]) {
        (Value::Number(least), Value::Number(most)) if least == most => least.to_string(),
        (Value::Number(least), Value::Number(most)) => format!("{kind} from {least} to {most}"),
        (Value::Number(least), _) => format!("{kind}, {least} or more"),
        (_, Value::Number(most)) => format!("{kind}, {most} at most"),
        _ => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(schema: &Value, document: &Value) -> Vec<String> {
        differences(schema, document, "/options", ErrorKind::InvalidMapping)
            .into_iter()
            .map(|one| format!("{} {}", one.pointer, one.message))
            .collect()
    }

    #[test]
    fn message_has_the_name_the_value_and_what_is_allowed() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["id", "kind"],
            "properties": {
                "id": { "type": "string" },
                "kind": { "$ref": "#/$defs/Kind" },
                "times": { "type": ["integer", "null"], "minimum": 1 },
                "port": { "type": "integer", "minimum": 0, "maximum": 65535 },
                "on": { "type": "boolean" },
                "list": { "type": "array", "items": { "$ref": "#/$defs/Kind" } },
                "either": { "anyOf": [{ "type": "string" }, { "type": "object" }] },
                "any": {}
            },
            "$defs": { "Kind": { "oneOf": [{ "type": "string", "const": "high" },
                                            { "type": "string", "const": "low" }] } }
        });
        let document = json!({ "kind": "hihg", "times": 0, "port": 65536, "on": "yes",
            "list": ["low", 3], "either": 5, "any": [], "prot": 1 });
        assert_eq!(
            messages(&schema, &document),
            [
                " `options.id` is missing; it must be text.",
                "/kind `options.kind` must be one of high, low; got \"hihg\". Did you mean \"high\"?",
                "/times `options.times` must be a whole number, 1 or more; got 0.",
                "/port `options.port` must be a whole number from 0 to 65535; got 65536.",
                "/on `options.on` must be true or false; got \"yes\".",
                "/list/1 `options.list[1]` must be one of high, low; got 3.",
                "/either `options.either` must be text or an object; got a number.",
                "/prot Unknown key \"prot\". Did you mean \"port\"?",
            ]
        );
        assert!(messages(&schema, &json!({ "id": "x", "kind": "low", "times": null })).is_empty());
    }

    #[test]
    fn secrets_and_documents_are_not_quoted() {
        let schema = json!({ "type": "object", "properties": {
            "client_secret": { "type": "integer" }, "inputs": { "type": "object" } } });
        let document = json!({ "client_secret": "hidden", "inputs": "{\"password\":\"hidden\"}" });
        for line in messages(&schema, &document) {
            assert!(line.ends_with("got a string."), "{line}");
        }
    }
}
