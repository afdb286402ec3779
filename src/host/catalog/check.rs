//! Checks of a manifest against the operations and the mappings.
//!
//! `manifest::lint` checks a manifest by itself, and `mapping::lint` a mapping.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::manifest::outputs::{Context, Readable};
use crate::manifest::param::Choices;
use crate::manifest::{CommandSpec, Manifest, Param, ParamType, Slot};
use crate::mapping::Extractor;
use crate::names::suggestion;
use crate::ops;
use crate::protocol::failure::{ErrorKind, Failure};

/// The faults of the references to operations and mappings.
pub(super) fn cross_check(
    manifest: &Manifest,
    mappings: &BTreeMap<&str, Vec<String>>,
) -> Vec<Failure> {
    let mut faults = Vec::new();
    let mut add = |at: String, why: String| {
        faults.push(Failure::new(ErrorKind::InvalidManifest, why).at(at));
    };
    for (n, param) in manifest.connection.iter().enumerate() {
        if let Some(why) = slot_fault(param, param.target()) {
            add(format!("/connection/{n}"), why);
        }
    }
    for (n, command) in manifest.commands.iter().enumerate() {
        let at = format!("/commands/{n}");
        match ops::find(&command.operation) {
            None => {
                let hint = suggestion(&command.operation, ops::operations().iter().map(|o| o.name));
                let why = format!("There is no operation \"{}\". {hint}", command.operation);
                add(format!("{at}/operation"), why);
            }
            Some(operation) => {
                for (place, why) in binding_faults(&manifest.connection, command, operation) {
                    add(format!("{at}{place}"), why);
                }
            }
        }
        for (place, why) in output_faults(command, mappings) {
            add(format!("{at}{place}"), why);
        }
    }
    faults
}

/// The fault of an unknown slot, or of a secret slot that is not declared secret.
fn slot_fault(param: &Param, slot: &str) -> Option<String> {
    if slot.starts_with("input.") {
        return None;
    }
    let Some(known) = Slot::named(slot) else {
        let hint = suggestion(slot, Slot::ALL.iter().map(|slot| slot.name()));
        return Some(format!("A connection has no slot \"{slot}\". {hint}"));
    };
    let is_public = known.is_secret() && !param.secret;
    is_public
        .then(|| format!("The slot \"{slot}\" holds a secret; declare it with \"secret\": true."))
}

/// The faults of parameters whose target is not an input of the operation, and of required inputs
/// that are not set.
fn binding_faults(
    connection: &[Param],
    command: &CommandSpec,
    operation: &ops::Operation,
) -> Vec<(String, String)> {
    let schema = Value::from((operation.input)());
    let known: Vec<&str> = schema["properties"]
        .as_object()
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let missing = |input: &str| {
        let hint = suggestion(input, known.iter().copied());
        format!(
            "The operation {} has no input \"{input}\". {hint}",
            operation.name
        )
    };
    let mut faults = Vec::new();
    let mut bound: Vec<&str> = Vec::new();
    for (n, param) in command.operation_inputs() {
        if let Some(slot) = param.target().strip_prefix("connection.") {
            faults.extend(slot_fault(param, slot).map(|why| (format!("/inputs/{n}"), why)));
            continue;
        }
        bound.push(param.target());
        if known.contains(&param.target()) {
            faults.extend(value_faults(param, operation, &format!("/inputs/{n}")));
        } else {
            faults.push((format!("/inputs/{n}"), missing(param.target())));
        }
    }
    for input in command.fixed.keys() {
        bound.push(input);
        if !known.contains(&input.as_str()) {
            faults.push((format!("/fixed/{input}"), missing(input)));
        }
    }
    let mut fixed = command.fixed.clone();
    fixed.retain(|input, _| known.contains(&input.as_str()));
    faults.extend(operation.member_faults(&fixed).into_iter().map(|fault| {
        (
            format!("/fixed{}", fault.place().unwrap_or_default()),
            fault.message().to_owned(),
        )
    }));
    bound.extend(
        connection
            .iter()
            .filter_map(|param| param.target().strip_prefix("input.")),
    );
    for required in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !bound.contains(&required) {
            let why = format!(
                "{} requires the input \"{required}\". Set it in `inputs` or `fixed`.",
                operation.name
            );
            faults.push(("/inputs".to_owned(), why));
        }
    }
    faults
}

/// The faults of choices and defaults that the operation's input does not allow.
fn value_faults(param: &Param, operation: &ops::Operation, at: &str) -> Vec<(String, String)> {
    let as_input = |value: &Value| match (&param.kind, value) {
        (ParamType::List(_), Value::Array(_)) => value.clone(),
        (ParamType::List(_), single) => Value::Array(vec![single.clone()]),
        _ => value.clone(),
    };
    let choices = param.choices.iter().flat_map(Choices::values);
    let choices = choices.map(|choice| ("choices", Value::from(choice)));
    let default = param.default.clone().map(|value| ("default", value));
    let mut faults = Vec::new();
    for (key, value) in choices.chain(default) {
        let given = Map::from_iter([(param.target().to_owned(), as_input(&value))]);
        let found = operation.member_faults(&given).into_iter();
        faults.extend(found.map(|fault| (format!("{at}/{key}"), fault.message().to_owned())));
    }
    faults
}

/// The faults of unknown mappings, invalid paths, and columns that are not fields of the mapping.
fn output_faults(
    command: &CommandSpec,
    mappings: &BTreeMap<&str, Vec<String>>,
) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let outputs = &command.outputs;
    let named = [
        ("/mapping", command.mapping.as_deref()),
        ("/outputs/context/mapping", outputs.context_mapping()),
    ];
    for (at, name) in named {
        if let Some(name) = name.filter(|name| !mappings.contains_key(name)) {
            let hint = suggestion(name, mappings.keys().copied());
            faults.push((
                at.to_owned(),
                format!("There is no mapping \"{name}\". {hint}"),
            ));
        }
    }
    let declared = outputs
        .key_fields
        .iter()
        .flat_map(|field| field.paths.iter());
    let context = match &outputs.context {
        Some(Context::Path(path)) => Some(path),
        _ => None,
    };
    for path in context.into_iter().chain(declared) {
        if let Err(failure) = Extractor::compile([("path", path.as_str())], "") {
            faults.push(("/outputs".to_owned(), failure.message().to_owned()));
        }
    }
    let columns = outputs.readable.iter().flat_map(Readable::fields);
    let mapping = command.mapping.as_deref().or(outputs.context_mapping());
    faults.extend(no_fields(columns, mapping, mappings));
    if let Some(Context::Rows(rows)) = &outputs.context {
        let merge = rows.merge.as_deref();
        let merge = merge.map(|field| ("/outputs/context/merge", field));
        faults.extend(no_fields(merge.into_iter(), Some(&rows.mapping), mappings));
    }
    faults
}

/// The faults of names that are not fields of the mapping.
fn no_fields<'a>(
    named: impl Iterator<Item = (&'a str, &'a str)>,
    mapping: Option<&str>,
    mappings: &BTreeMap<&str, Vec<String>>,
) -> Vec<(String, String)> {
    let Some(fields) = mapping.and_then(|name| mappings.get(name)) else {
        return Vec::new();
    };
    let unknown = named.filter(|(_, name)| !fields.iter().any(|field| field == name));
    let fault = |(at, name): (&str, &str)| {
        let hint = suggestion(name, fields.iter().map(String::as_str));
        let why = format!("The mapping has no field \"{name}\". {hint}");
        (at.to_owned(), why)
    };
    unknown.map(fault).collect()
}
