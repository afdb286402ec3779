//! `operations`: the operations that a manifest can call, and the slots of a connection.
//!
//! Does not say which integrations use them.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::front::cli::ExitResult;
use crate::front::cli::args::OperationsArgs;
use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::manifest::Slot;
use crate::names::nearest;
use crate::ops::{self, Operation};
use crate::protocol::failure::{ErrorKind, Failure};

/// Prints all operations, or one.
pub(super) fn print(args: &OperationsArgs, out: &mut Out) -> ExitResult {
    let chosen: Vec<&Operation> = match &args.name {
        None => listed(args.all),
        Some(name) => vec![ops::find(name).ok_or_else(|| unknown(name))?],
    };
    if args.json {
        let operations: Vec<Value> = chosen.iter().map(|one| operation_json(one)).collect();
        let slots: Vec<Value> = Slot::ALL.iter().map(|slot| slot_json(*slot)).collect();
        let all = json!({ "operations": operations, "connection": slots });
        return print_json(&all, out);
    }
    for operation in &chosen {
        show(operation, out)?;
    }
    if args.name.is_none() {
        writeln!(out, "Connection slots (`to` of a connection parameter):")?;
        for slot in Slot::ALL {
            let secret = if slot.is_secret() { " (secret)" } else { "" };
            writeln!(out, "  {}{secret}\n      {}", slot.name(), slot.summary())?;
        }
    }
    Ok(0)
}

/// The operations. Those for tests come last, and only with `--all`.
fn listed(all: bool) -> Vec<&'static Operation> {
    let is_test = |operation: &&Operation| operation.name.starts_with("chaos.");
    let (tests, mut listed): (Vec<_>, Vec<_>) = ops::operations().iter().partition(is_test);
    listed.extend(tests.into_iter().filter(|_| all));
    listed
}

fn unknown(name: &str) -> Failure {
    let names = ops::operations().iter().map(|operation| operation.name);
    let hint = nearest(name, names).map_or_else(
        || "`soarhost operations` lists all.".to_owned(),
        |near| format!("Did you mean \"{near}\"?"),
    );
    let message = format!("There is no operation \"{name}\". {hint}");
    Failure::new(ErrorKind::UnknownName, message)
}

fn operation_json(operation: &Operation) -> Value {
    let permissions: Vec<Value> = operation
        .permissions
        .iter()
        .map(|(api, name)| json!({ "api": api, "name": name }))
        .collect();
    json!({
        "name": operation.name,
        "summary": operation.summary,
        "input_schema": Value::from((operation.input)()),
        "result": operation.result,
        "state": operation.state,
        "permissions": permissions,
    })
}

fn slot_json(slot: Slot) -> Value {
    json!({ "slot": slot.name(), "summary": slot.summary(), "secret": slot.is_secret() })
}

fn show(operation: &Operation, out: &mut Out) -> std::io::Result<()> {
    writeln!(out, "{}\n  {}", operation.name, operation.summary)?;
    let schema = Value::from((operation.input)());
    let none = Map::new();
    let inputs = schema["properties"].as_object().unwrap_or(&none);
    let all_required = schema["required"].as_array();
    for (name, input) in inputs {
        let is_required = all_required.is_some_and(|names| names.iter().any(|one| one == name));
        let required = if is_required { ", required" } else { "" };
        let kind = kind_of(&schema, input);
        let summary = input["description"].as_str().unwrap_or_default();
        writeln!(
            out,
            "    {name} ({kind}{required})\n        {}",
            summary.replace('\n', " ")
        )?;
    }
    writeln!(out, "  Result: {}", operation.result)?;
    let state = if operation.state { "yes" } else { "no" };
    writeln!(out, "  State: {state}")?;
    for (api, name) in operation.permissions {
        writeln!(out, "  Permission: {name} of {api}")?;
    }
    writeln!(out)
}

/// The type of an input in words.
fn kind_of(schema: &Value, input: &Value) -> String {
    if let Some(name) = input["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return kind_of(schema, &schema["$defs"][name]);
    }
    if let Some(several) = input["anyOf"].as_array().or(input["oneOf"].as_array()) {
        let constants: Vec<&str> = several
            .iter()
            .filter_map(|one| one["const"].as_str())
            .collect();
        if constants.len() == several.len() {
            return constants.join(" | ");
        }
        let mut kinds: Vec<String> = several.iter().map(|one| kind_of(schema, one)).collect();
        kinds.retain(|kind| kind != "null");
        if let [single, array] = kinds.as_slice()
            && array
                .trim_start_matches("array of ")
                .trim_matches(['(', ')'])
                == single
        {
            return format!("{single}, or an array of them");
        }
        return kinds.join(" or ");
    }
    if let Some(words) = input["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return words.join(" | ");
    }
    let name = match &input["type"] {
        Value::Array(names) => names.first().and_then(Value::as_str).unwrap_or("any"),
        other => other.as_str().unwrap_or("any"),
    };
    match (name, &input["items"]) {
        ("array", Value::Object(_)) => {
            let item = kind_of(schema, &input["items"]);
            if item.contains(" | ") {
                format!("array of ({item})")
            } else {
                format!("array of {item}")
            }
        }
        _ => name.to_owned(),
    }
}
