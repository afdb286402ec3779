//! Binding of parameters: spellings, defaults, overrides and faults.

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
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    if faults.is_empty() {
        Ok(bound)
    } else {
        Err(faults)
    }
}

#[test]
fn name_is_found_in_any_spelling_and_text_is_converted_to_the_type() {
    let connection =
        json!({ "tenantId": "t", "CLIENT-SECRET": "env:SOAR_X", "api version": "BETA" });
    let inputs = json!({ "topnumber": "10", "Users": "a@x, b@x", "auto": "True" });
    let bound = bind(connection, inputs).expect("it binds");
    let expected = json!({ "time_field": "updated", "api_version": "beta", "top": 10,
                           "users": ["a@x", "b@x"], "auto": true });
    assert_eq!(Value::Object(bound.input.clone()), expected);
    assert_eq!(bound.value(Slot::TenantId), Some(&json!("t")));
    assert_eq!(bound.value(Slot::CallTimeout), Some(&json!(15)));
    assert_eq!(bound.value(Slot::ClientSecret), None);
    let secrets: Vec<_> = bound.secrets().collect();
    assert_eq!(secrets, [(Slot::ClientSecret, "env:SOAR_X")]);
    assert_eq!(bound.places["top"], "/inputs/topnumber");
    assert_eq!(bound.name(Slot::ClientSecret), "CLIENT-SECRET");
}

#[test]
fn blank_value_of_another_spelling_is_ignored() {
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
                assert_eq!(bound.secrets().next(), Some((Slot::ClientSecret, "s")));
            }
            let connection = json!({ "Tenant ID": "t", first: "s", second: &given });
            let faults = bind(connection, json!({})).expect_err("two are given");
            assert!(faults[0].contains("are the same parameter"), "{faults:?}");
        }
    }
}

#[test]
fn input_overrides_the_connection_unless_it_is_zero_or_blank() {
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
        let connection = json!({ "Tenant ID": "t", "Client Secret": "s", "Timeout": parameter });
        let bound = bind(connection, json!({ "Wait": argument })).expect("it binds");
        let timeout = bound.value(Slot::CallTimeout).and_then(Value::as_i64);
        assert_eq!(timeout, Some(used), "{argument} {parameter}");
        let from_input = bound.place(Slot::CallTimeout) == "/inputs/Wait";
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
            "/connection/Api Version: \"Api Version\" must be one of v1.0, beta; got \"v3\".",
            "/inputs/top_number: \"Top Number\" and \"top_number\" are the same parameter; give it once.",
            "/inputs/Top Number: \"Top Number\" must be a whole number; got \"ten\".",
            "/inputs/Users: \"Users\" must be a list; got an object.",
        ]
    );
}
