//! Binding: what a playbook author wrote becomes the connection and the operation's input.
//!
//! Names fold; every fault is reported, not the first one. A parameter of the connection may be an
//! input of the operation (`input.NAME`), and an input of a command a slot of the connection
//! (`connection.NAME`), which counts before the connection's own unless it is left out or 0. In a
//! slot, 0 means: not given. Secret values pass through as the
//! references they may be: resolving them is the host's business.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::manifest::{CommandSpec, Param};
use crate::names::{alike, suggestion};
use crate::protocol::Failure;

/// What a command was called with.
#[derive(Debug, Default)]
pub struct Bound {
    /// Connection slots: not secret.
    pub connection: Map<String, Value>,
    /// Connection slots that are secret, as given: a reference or the value itself.
    pub secrets: Map<String, Value>,
    /// The operation's input.
    pub input: Map<String, Value>,
    /// Where each operation input and slot stands in the request, or would: its JSON Pointer.
    pub places: BTreeMap<String, String>,
    /// The inputs as the author wrote them, by id, for sentences.
    pub written: BTreeMap<String, String>,
}

/// One value that was given, with where.
struct Given<'a> {
    param: &'a Param,
    value: &'a Value,
    place: String,
}

/// What the request gave, before binding.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Connection parameters.
    pub connection: &'a Map<String, Value>,
    /// Where they stand: `/connection`, or a profile's place.
    pub connection_at: &'a str,
    /// Inputs.
    pub inputs: &'a Map<String, Value>,
    /// The time of day, for spans.
    pub now: DateTime<Utc>,
}

impl CommandSpec {
    /// Binds connection and inputs: what could be bound, and every fault. `accepts` tells whether
    /// the operation has an input of that name.
    pub fn bind(
        &self,
        connection: &[Param],
        request: Request<'_>,
        accepts: impl Fn(&str) -> bool,
    ) -> (Bound, Vec<Failure>) {
        let mut faults = Vec::new();
        let mut bound = Bound {
            input: self.fixed.clone(),
            ..Bound::default()
        };
        bound.foresee(connection, request.connection_at);
        bound.foresee(&self.inputs, "/inputs");
        let slots = read(
            connection,
            request.connection,
            request.connection_at,
            &mut faults,
        );
        // What is not for this command cannot fail it either.
        for given in slots
            .into_iter()
            .filter(|given| given.param.concerns(&self.id))
        {
            let Some(value) = coerced(&given, request.now, &mut faults) else {
                continue;
            };
            let target = given.param.target();
            match target.strip_prefix("input.") {
                Some(input) if accepts(input) => bound.take(input, value, &given),
                Some(_) => {}
                None => bound.take_slot(target, value, &given),
            }
        }
        for given in read(&self.inputs, request.inputs, "/inputs", &mut faults) {
            let Some(value) = coerced(&given, request.now, &mut faults) else {
                continue;
            };
            let id = given.param.id.clone();
            bound.written.insert(id, as_written(given.value));
            match given.param.target().strip_prefix("connection.") {
                Some(slot) => bound.take_slot(slot, value, &given),
                None => bound.take(given.param.target(), value, &given),
            }
        }
        (bound, faults)
    }
}

/// The faults of connection parameters that are stored for an integration.
pub fn connection_faults(
    parameters: &[Param],
    given: &Map<String, Value>,
    at: &str,
    now: DateTime<Utc>,
) -> Vec<Failure> {
    let mut faults = Vec::new();
    for given in read(parameters, given, at, &mut faults) {
        coerced(&given, now, &mut faults);
    }
    faults
}

impl Bound {
    /// Where parameters would stand, in their product's words.
    fn foresee(&mut self, params: &[Param], at: &str) {
        for param in params {
            let target = param.target();
            // Its place is the connection's until it is given.
            if target.starts_with("connection.") {
                continue;
            }
            let target = target.strip_prefix("input.").unwrap_or(target);
            self.places
                .insert(target.to_owned(), format!("{at}/{}", param.title));
        }
    }

    fn take(&mut self, input: &str, value: Value, given: &Given<'_>) {
        self.places.insert(input.to_owned(), given.place.clone());
        self.input.insert(input.to_owned(), value);
    }

    fn take_slot(&mut self, slot: &str, value: Value, given: &Given<'_>) {
        let value = match &given.param.default {
            Some(default) if is_zero(&value) => default.clone(),
            _ => value,
        };
        if is_zero(&value) {
            return;
        }
        self.places.insert(slot.to_owned(), given.place.clone());
        let into = if given.param.secret {
            &mut self.secrets
        } else {
            &mut self.connection
        };
        into.insert(slot.to_owned(), value);
    }
}

/// Matches what was given against what is declared; fills in defaults; in declared order.
fn read<'a>(
    params: &'a [Param],
    given: &'a Map<String, Value>,
    at: &str,
    faults: &mut Vec<Failure>,
) -> Vec<Given<'a>> {
    let mut found: BTreeMap<&str, (&str, &Value)> = BTreeMap::new();
    for (key, value) in given {
        let place = format!("{at}/{}", crate::protocol::escape(key));
        let param = params
            .iter()
            .find(|param| param.names().any(|name| alike(name, key)));
        match param {
            None => faults.push(unknown(params, key, place)),
            Some(param) => {
                let value = param.unwrapped(value);
                // A form sends every spelling that it has a field for, most of them blank.
                let other = found.get(param.id.as_str());
                if other.is_some() && absent(value) {
                    continue;
                }
                let other = other
                    .filter(|(_, value)| !absent(value))
                    .map(|(key, _)| *key);
                if let Some(other) = other {
                    let why =
                        format!("\"{other}\" and \"{key}\" are the same parameter; give it once.");
                    faults.push(Failure::invalid_input(place, why));
                } else {
                    found.insert(&param.id, (key, value));
                }
            }
        }
    }
    params
        .iter()
        .filter_map(|param| pick(param, &found, at, faults))
        .collect()
}

fn pick<'a>(
    param: &'a Param,
    found: &BTreeMap<&str, (&str, &'a Value)>,
    at: &str,
    faults: &mut Vec<Failure>,
) -> Option<Given<'a>> {
    let given = found
        .get(param.id.as_str())
        .filter(|(_, value)| !absent(value));
    match (given, &param.default) {
        (Some((key, value)), _) => {
            let place = format!("{at}/{}", crate::protocol::escape(key));
            Some(Given {
                param,
                value,
                place,
            })
        }
        (None, Some(default)) => Some(Given {
            param,
            value: default,
            place: format!("{at}/{}", param.title),
        }),
        (None, None) if param.required => {
            let message = format!("\"{}\" is required.", param.title);
            faults.push(Failure::invalid_input(
                format!("{at}/{}", param.title),
                message,
            ));
            None
        }
        (None, None) => None,
    }
}

/// Forms send 0 for a number that was left blank.
fn is_zero(value: &Value) -> bool {
    value.as_i64() == Some(0)
}

/// Forms send empty text for a field that was left blank.
fn absent(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn unknown(params: &[Param], key: &str, place: String) -> Failure {
    let hint = suggestion(key, params.iter().map(|param| param.title.as_str()));
    Failure::invalid_input(place, format!("There is no parameter \"{key}\". {hint}"))
}

fn coerced(given: &Given<'_>, now: DateTime<Utc>, faults: &mut Vec<Failure>) -> Option<Value> {
    match given.param.coerce(given.value, now) {
        Ok(value) => Some(value),
        Err(why) => {
            let message = format!("\"{}\" {why}", given.param.title);
            faults.push(Failure::invalid_input(given.place.clone(), message));
            None
        }
    }
}

fn as_written(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use serde_json::json;

    fn manifest() -> Manifest {
        let text = json!({
            "manifest": 1, "id": "sample", "title": "Sample", "version": "1.0.0", "summary": "A sample.",
            "connection": [
                { "id": "tenant_id", "title": "Tenant ID", "type": "string", "required": true, "summary": "The tenant." },
                { "id": "client_secret", "title": "Client Secret", "type": "string", "aliases": ["secret"], "member": "password", "required": true, "secret": true, "summary": "The secret." },
                { "id": "timeout", "title": "Timeout", "to": "call_timeout", "type": "integer", "default": 15, "summary": "Seconds." },
                { "id": "api_version", "title": "API Version", "to": "input.api_version", "type": "choice",
                  "choices": ["v1.0", "beta"], "default": "v1.0", "summary": "The version." } ],
            "commands": [ { "id": "fetch", "title": "Fetch", "kind": "ingest", "operation": "x", "summary": "Fetches.",
                "fixed": { "time_field": "updated" },
                "inputs": [
                  { "id": "top", "title": "Top Number", "to": "top", "type": "integer", "summary": "How many." },
                  { "id": "users", "title": "Users", "type": "list of string", "summary": "Whose." },
                  { "id": "wait", "title": "Wait", "to": "connection.call_timeout", "type": "integer", "summary": "Seconds." },
                  { "id": "auto", "title": "Auto", "type": "boolean", "default": false, "summary": "Whether." } ] } ]
        });
        Manifest::parse(&text.to_string(), "sample.json").expect("a valid manifest")
    }

    fn bind(connection: Value, inputs: Value) -> Result<Bound, Vec<String>> {
        let manifest = manifest();
        let (Value::Object(connection), Value::Object(inputs)) = (connection, inputs) else {
            panic!("two objects are wanted");
        };
        let request = Request {
            connection: &connection,
            connection_at: "/connection",
            inputs: &inputs,
            now: DateTime::UNIX_EPOCH,
        };
        let accepts = |input: &str| input == "api_version";
        let (bound, faults) = manifest.commands[0].bind(&manifest.connection, request, accepts);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        if told.is_empty() {
            Ok(bound)
        } else {
            Err(told)
        }
    }

    #[test]
    fn names_fold_and_text_becomes_the_declared_type() {
        let connection =
            json!({ "tenantId": "t", "CLIENT-SECRET": "env:SOAR_X", "api version": "BETA" });
        let inputs = json!({ "topnumber": "10", "Users": "a@x, b@x", "auto": "True" });
        let bound = bind(connection, inputs).expect("it binds");
        let expected = json!({ "time_field": "updated", "api_version": "beta", "top": 10,
                               "users": ["a@x", "b@x"], "auto": true });
        assert_eq!(Value::Object(bound.input), expected);
        let slots = json!({ "tenant_id": "t", "call_timeout": 15 });
        assert_eq!(Value::Object(bound.connection), slots);
        assert_eq!(
            Value::Object(bound.secrets),
            json!({ "client_secret": "env:SOAR_X" })
        );
        assert_eq!(bound.places["top"], "/inputs/topnumber");
    }

    #[test]
    fn blank_spelling_beside_given_one_does_not_count() {
        let blank = [
            json!(null),
            json!(""),
            json!(" "),
            json!({ "identifier": "x" }),
        ];
        for blank in blank
            .iter()
            .chain([&json!({ "identifier": "x", "password": "" })])
        {
            for (first, second) in [
                ("Client Secret", "client_secret"),
                ("client_secret", "secret"),
            ] {
                let given = json!({ "password": "s" });
                for (one, other) in [(blank, &given), (&given, blank)] {
                    let connection = json!({ "Tenant ID": "t", first: one, second: other });
                    let bound = bind(connection, json!({})).expect("one spelling is given");
                    assert_eq!(bound.secrets["client_secret"], "s");
                }
                let connection = json!({ "Tenant ID": "t", first: "s", second: &given });
                let faults = bind(connection, json!({})).expect_err("two are given");
                assert!(faults[0].contains("are the same parameter"), "{faults:?}");
            }
        }
    }

    #[test]
    fn an_input_counts_before_the_connections_slot_unless_it_is_zero_or_blank() {
        for (argument, parameter, used) in [
            (json!(0), json!(0), 15),
            (json!(null), json!(null), 15),
            (json!(1), json!(null), 1),
            (json!(1), json!(0), 1),
            (json!(null), json!(2), 2),
            (json!(""), json!("2"), 2),
            (json!(0), json!(2), 2),
            (json!("0"), json!(2), 2),
            (json!(3), json!(0), 3),
            (json!(3), json!(4), 3),
        ] {
            let connection =
                json!({ "Tenant ID": "t", "Client Secret": "s", "Timeout": parameter });
            let bound = bind(connection, json!({ "Wait": argument })).expect("it binds");
            assert_eq!(
                bound.connection["call_timeout"], used,
                "{argument} {parameter}"
            );
            let from_input = bound.places["call_timeout"] == "/inputs/Wait";
            assert_eq!(from_input, argument.as_i64().is_some_and(|given| given > 0));
            assert!(bound.input.get("connection.call_timeout").is_none());
        }
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let connection = json!({ "Tenant ID": " ", "Api Version": "v3", "Tenent": 1 });
        let inputs = json!({ "Top Number": "ten", "top_number": 1, "Users": {} });
        let faults = bind(connection, inputs).expect_err("faults");
        assert_eq!(
            faults,
            [
                "/connection/Tenent: There is no parameter \"Tenent\". Did you mean \"Tenant ID\"?",
                "/connection/Tenant ID: \"Tenant ID\" is required.",
                "/connection/Client Secret: \"Client Secret\" is required.",
                "/connection/Api Version: \"API Version\" must be one of v1.0, beta; got \"v3\".",
                "/inputs/top_number: \"Top Number\" and \"top_number\" are the same parameter; give it once.",
                "/inputs/Top Number: \"Top Number\" must be a whole number; got \"ten\".",
                "/inputs/Users: \"Users\" must be a list; got an object.",
            ]
        );
    }
}
