//! Cross-checks: what of a manifest needs the operations and the mappings to be judged.
//!
//! Faults inside one manifest alone are `manifest::lint`'s, inside one mapping `mapping::lint`'s.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::{CommandSpec, Manifest, Param, Readable};
use crate::mapping::Extractor;
use crate::names::suggestion;
use crate::ops;
use crate::protocol::failure::{ErrorKind, Failure};

/// Names of the connection's slots; a connection parameter goes to one of them or to an input.
const SLOTS: [&str; 20] = [
    "tenant_id",
    "client_id",
    "client_secret",
    "certificate",
    "certificate_password",
    "certificate_thumbprint",
    "private_key",
    "assertion_algorithm",
    "redirect_uri",
    "authorization_code",
    "managed_identity",
    "managed_identity_client_id",
    "self_deployed",
    "cloud",
    "base_url",
    "publisher",
    "trust_any_certificate",
    "use_proxy",
    "call_timeout",
    "platform",
];

/// Slots that are secret: a parameter that is not declared so would be shown.
const SECRET_SLOTS: [&str; 5] = [
    "client_secret",
    "certificate",
    "certificate_password",
    "private_key",
    "authorization_code",
];

/// What needs more than the manifest itself: operations and mappings.
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

/// A slot that exists, and is secret where it has to be.
fn slot_fault(param: &Param, slot: &str) -> Option<String> {
    if slot.starts_with("input.") {
        return None;
    }
    if !SLOTS.contains(&slot) {
        let hint = suggestion(slot, SLOTS);
        return Some(format!("A connection has no slot \"{slot}\". {hint}"));
    }
    let shown = SECRET_SLOTS.contains(&slot) && !param.secret;
    shown.then(|| format!("The slot \"{slot}\" holds a secret; declare it with \"secret\": true."))
}

/// Every target is an input of the operation, and every required input is bound.
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
    for (n, param) in command.inputs.iter().enumerate() {
        if let Some(slot) = param.target().strip_prefix("connection.") {
            faults.extend(slot_fault(param, slot).map(|why| (format!("/inputs/{n}"), why)));
            continue;
        }
        bound.push(param.target());
        if !known.contains(&param.target()) {
            faults.push((format!("/inputs/{n}"), missing(param.target())));
        }
    }
    for input in command.fixed.keys() {
        bound.push(input);
        if !known.contains(&input.as_str()) {
            faults.push((format!("/fixed/{input}"), missing(input)));
        }
    }
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
                "Nothing gives \"{required}\", which {} requires.",
                operation.name
            );
            faults.push(("/inputs".to_owned(), why));
        }
    }
    faults
}

/// The mapping exists; paths parse; a table's columns are fields of the mapping.
fn output_faults(
    command: &CommandSpec,
    mappings: &BTreeMap<&str, Vec<String>>,
) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let fields = command
        .mapping
        .as_deref()
        .map(|name| (name, mappings.get(name)));
    if let Some((name, None)) = fields {
        let hint = suggestion(name, mappings.keys().copied());
        faults.push((
            "/mapping".to_owned(),
            format!("There is no mapping \"{name}\". {hint}"),
        ));
    }
    let outputs = &command.outputs;
    let declared = outputs
        .key_fields
        .iter()
        .flat_map(|field| field.paths.iter());
    for path in outputs.context.iter().chain(declared) {
        if let Err(failure) = Extractor::compile([("path", path.as_str())], "") {
            faults.push(("/outputs".to_owned(), failure.message().to_owned()));
        }
    }
    if let (Some(Readable::Table(columns)), Some((_, Some(fields)))) = (&outputs.readable, fields) {
        for column in columns.iter().filter(|column| !fields.contains(column)) {
            let hint = suggestion(column, fields.iter().map(String::as_str));
            let why = format!("The mapping has no field \"{column}\". {hint}");
            faults.push(("/outputs/readable/table".to_owned(), why));
        }
    }
    faults
}
