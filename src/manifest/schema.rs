//! Documents generated from a manifest: the JSON Schema of a command's request, and a sample request.
//!
//! The schemas of all other requests, of results and of files are derived from types.

use serde_json::{Map, Value, json};

use crate::manifest::param::Choices;
use crate::manifest::{CommandSpec, Manifest, Param, ParamType};

/// The JSON Schema (2020-12) of a command's request: connection and inputs by title.
pub fn request_schema(manifest: &Manifest, command: &CommandSpec) -> Value {
    let has_required = |params: &[Param]| {
        let mut params = params.iter();
        params.any(|param| param.required && param.default.is_none())
    };
    let mut required = vec!["command"];
    if has_required(&manifest.connection) {
        required.push("connection");
    }
    if has_required(&command.inputs) {
        required.push("inputs");
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("{}: {}", manifest.title, command.title),
        "description": format!("{} Names are accepted in any spelling that folds alike; further keys as in the schema `request`.", command.summary),
        "type": "object",
        "properties": {
            "command": { "const": command.title },
            "connection": {
                "anyOf": [object_schema(&manifest.connection),
                          { "type": "string", "description": "The name of a stored connection." }]
            },
            "inputs": object_schema(&command.inputs),
        },
        "required": required,
    })
}

fn object_schema(params: &[Param]) -> Value {
    let properties: Map<String, Value> = params
        .iter()
        .map(|param| (param.title.clone(), param_schema(param)))
        .collect();
    let required: Vec<&str> = params
        .iter()
        .filter(|param| param.required && param.default.is_none())
        .map(|param| param.title.as_str())
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn param_schema(param: &Param) -> Value {
    let mut schema = type_schema(&param.kind, param.choices.as_ref());
    schema.insert("description".to_owned(), param.summary.clone().into());
    if let Some(default) = &param.default {
        schema.insert("default".to_owned(), default.clone());
    }
    if let Some(example) = &param.example {
        schema.insert("examples".to_owned(), json!([example]));
    }
    if param.secret {
        schema.insert("writeOnly".to_owned(), true.into());
    }
    Value::Object(schema)
}

fn type_schema(kind: &ParamType, choices: Option<&Choices>) -> Map<String, Value> {
    let written = match kind {
        ParamType::String | ParamType::Duration | ParamType::Datetime => {
            json!({ "type": "string" })
        }
        ParamType::Integer => json!({ "type": ["integer", "string"] }),
        ParamType::Number => json!({ "type": ["number", "string"] }),
        ParamType::Boolean => json!({ "type": ["boolean", "string"] }),
        ParamType::Choice => {
            json!({ "type": "string", "enum": choices.map(Choices::values).unwrap_or_default() })
        }
        ParamType::Json => json!({}),
        ParamType::List(element) => {
            json!({ "type": ["array", "string"], "items": type_schema(element, choices) })
        }
    };
    match written {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A valid request: required parameters and those with an example, with references for secrets.
pub fn sample_request(manifest: &Manifest, command: &CommandSpec) -> Value {
    json!({
        "integration": manifest.id,
        "command": command.title,
        "connection": sample(&manifest.connection, command, &manifest.id),
        "inputs": sample(&command.inputs, command, &manifest.id),
    })
}

fn sample(params: &[Param], command: &CommandSpec, integration: &str) -> Map<String, Value> {
    params
        .iter()
        .filter(|param| param.concerns(&command.id))
        .filter_map(|param| {
            sample_value(param, integration).map(|value| (param.title.clone(), value))
        })
        .collect()
}

fn sample_value(param: &Param, integration: &str) -> Option<Value> {
    if param.secret && param.example.is_none() {
        let name = format!("SOAR_{integration}_{}", param.id).to_ascii_uppercase();
        return param.required.then(|| format!("env:{name}").into());
    }
    let given = param.example.clone().or_else(|| param.default.clone());
    given.filter(|_| param.required || param.example.is_some())
}
