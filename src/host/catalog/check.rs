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
use crate::protocol::escape;
use crate::protocol::failure::{ErrorKind, Failure};

/// The faults of the references to operations and mappings.
pub(super) fn cross_check(
    manifest: &Manifest,
    mappings: &BTreeMap<&str, Vec<String>>,
) -> Vec<Failure> {
    let mut faults = Vec::new();
    for (n, param) in manifest.connection.iter().enumerate() {
        let at = format!("/connection/{n}/{}", target_member(param));
        faults.extend(slot_fault(param, param.target()).map(|why| fault(at, why)));
    }
    for (n, command) in manifest.commands.iter().enumerate() {
        let mut found = match ops::find(&command.operation) {
            None => {
                let hint = suggestion(&command.operation, ops::operations().iter().map(|o| o.name));
                let why = format!("There is no operation \"{}\". {hint}", command.operation);
                vec![fault("/operation", why)]
            }
            Some(operation) => binding_faults(&manifest.connection, command, operation),
        };
        found.extend(output_faults(command, mappings));
        faults.extend(found.into_iter().map(|fault| {
            let place = fault.place().unwrap_or_default();
            let at = format!("/commands/{n}{place}");
            fault.at(at)
        }));
    }
    faults
}

fn fault(at: impl Into<String>, why: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::InvalidManifest, why).at(at)
}

/// The member that holds the target of a parameter.
fn target_member(param: &Param) -> &'static str {
    if param.to.is_some() { "to" } else { "id" }
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
) -> Vec<Failure> {
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
            let at = format!("/inputs/{n}/{}", target_member(param));
            faults.extend(slot_fault(param, slot).map(|why| fault(at, why)));
            continue;
        }
        bound.push(param.target());
        if known.contains(&param.target()) {
            faults.extend(value_faults(param, operation, &format!("/inputs/{n}")));
        } else {
            let at = format!("/inputs/{n}/{}", target_member(param));
            faults.push(fault(at, missing(param.target())));
        }
    }
    for input in command.fixed.keys() {
        bound.push(input);
        if !known.contains(&input.as_str()) {
            let at = format!("/fixed/{}", escape(input));
            faults.push(fault(at, missing(input)).about_name());
        }
    }
    let mut fixed = command.fixed.clone();
    fixed.retain(|input, _| known.contains(&input.as_str()));
    faults.extend(operation.member_faults(&fixed).into_iter().map(|found| {
        let at = format!("/fixed{}", found.place().unwrap_or_default());
        fault(at, found.message())
    }));
    let of_connection = connection.iter().map(Param::target);
    bound.extend(of_connection.filter_map(|target| target.strip_prefix("input.")));
    let required = schema["required"].as_array().into_iter().flatten();
    let unset = required.filter_map(Value::as_str);
    faults.extend(unset.filter(|name| !bound.contains(name)).map(|name| {
        let why = format!(
            "{} requires the input \"{name}\". Set it in `inputs` or `fixed`.",
            operation.name
        );
        fault("/operation", why)
    }));
    faults
}

/// The faults of choices and defaults that the operation's input does not allow.
fn value_faults(param: &Param, operation: &ops::Operation, at: &str) -> Vec<Failure> {
    let as_input = |value: &Value| match (&param.kind, value) {
        (ParamType::List(_), Value::Array(_)) => value.clone(),
        (ParamType::List(_), single) => Value::Array(vec![single.clone()]),
        _ => value.clone(),
    };
    let choices = param.choices.iter().flat_map(Choices::values).enumerate();
    let choices = choices.map(|(k, choice)| (format!("choices/{k}"), Value::from(choice)));
    let default = param.default.clone();
    let default = default.map(|value| ("default".to_owned(), value));
    let mut faults = Vec::new();
    for (key, value) in choices.chain(default) {
        let given = Map::from_iter([(param.target().to_owned(), as_input(&value))]);
        let found = operation.member_faults(&given).into_iter();
        faults.extend(found.map(|found| fault(format!("{at}/{key}"), found.message())));
    }
    faults
}

/// The faults of unknown mappings, invalid paths, and columns that are not fields of the mapping.
fn output_faults(command: &CommandSpec, mappings: &BTreeMap<&str, Vec<String>>) -> Vec<Failure> {
    let mut faults = Vec::new();
    let outputs = &command.outputs;
    let named = [
        ("/mapping", command.mapping.as_deref()),
        ("/outputs/context/mapping", outputs.context_mapping()),
    ];
    for (at, name) in named {
        if let Some(name) = name.filter(|name| !mappings.contains_key(name)) {
            let hint = suggestion(name, mappings.keys().copied());
            faults.push(fault(at, format!("There is no mapping \"{name}\". {hint}")));
        }
    }
    let declared = outputs
        .key_fields
        .iter()
        .enumerate()
        .flat_map(|(n, field)| {
            let paths = field.paths.iter().enumerate();
            paths.map(move |(k, path)| (format!("/outputs/key_fields/{n}/paths/{k}"), path))
        });
    let context = match &outputs.context {
        Some(Context::Path(path)) => Some(("/outputs/context".to_owned(), path)),
        _ => None,
    };
    for (at, path) in context.into_iter().chain(declared) {
        if let Err(failure) = Extractor::compile([("path", path.as_str())], "") {
            faults.push(fault(at, failure.message()));
        }
    }
    let columns = outputs.readable.iter().flat_map(Readable::fields);
    let mapping = command.mapping.as_deref().or(outputs.context_mapping());
    faults.extend(no_fields(columns, mapping, mappings));
    if let Some(Context::Rows(rows)) = &outputs.context {
        let merge = rows.merge.as_deref();
        let merge = merge.map(|field| ("/outputs/context/merge".to_owned(), field));
        faults.extend(no_fields(merge.into_iter(), Some(&rows.mapping), mappings));
    }
    faults
}

/// The faults of names that are not fields of the mapping.
fn no_fields<'a>(
    named: impl Iterator<Item = (String, &'a str)>,
    mapping: Option<&str>,
    mappings: &BTreeMap<&str, Vec<String>>,
) -> Vec<Failure> {
    let Some(fields) = mapping.and_then(|name| mappings.get(name)) else {
        return Vec::new();
    };
    // Faults of the mapping are reported at its file.
    if fields.is_empty() {
        return Vec::new();
    }
    let unknown = named.filter(|(_, name)| !fields.iter().any(|field| field == name));
    let no_field = |(at, name): (String, &str)| {
        let hint = suggestion(name, fields.iter().map(String::as_str));
        fault(at, format!("The mapping has no field \"{name}\". {hint}"))
    };
    unknown.map(no_field).collect()
}
