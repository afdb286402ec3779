//! The sign-in method of a connection, and the faults of its parameters.

use super::*;
use crate::manifest::bind::Request;
use crate::manifest::{CommandSpec, Param};
use crate::microsoft::connection::tests::{CLIENT, TENANT};
use chrono::DateTime;
use serde_json::{Map, json};

const THUMBPRINT: &str = "5AF4575D60186E2B01933E17614B16354AA7977F";

/// The slots of a connection in which every slot has a parameter "The NAME".
fn bound(values: &Value) -> Bound {
    let mut command =
        json!({ "id": "c", "title": "C", "kind": "read", "operation": "o", "summary": "S." });
    command["connection"] = Slot::ALL
        .iter()
        .map(|slot| {
            let kind = match values[slot.name()] {
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                _ => "string",
            };
            json!({ "id": slot.name(), "title": format!("The {}", slot.name()), "type": kind,
                    "secret": slot.is_secret() || values[slot.name()] == "hidden", "summary": "S." })
        })
        .collect();
    let params = command["connection"].take();
    let params: Vec<Param> = serde_json::from_value(params).expect("parameters");
    command
        .as_object_mut()
        .expect("an object")
        .remove("connection");
    let command: CommandSpec = serde_json::from_value(command).expect("a command");
    let nothing = Map::new();
    let values = values.as_object().expect("an object").iter();
    let values = values.map(|(slot, value)| (format!("The {slot}"), value.clone()));
    let request = Request {
        connection: &values.collect(),
        connection_at: "/connection",
        inputs: &nothing,
        now: DateTime::UNIX_EPOCH,
    };
    let (bound, faults) = command.bind(&params, request, |_| false);
    assert!(faults.is_empty(), "{faults:?}");
    bound
}

fn open(needs: Needs, values: &Value, state: bool) -> Result<Connection, Failure> {
    let mut whole = json!({ "tenant_id": TENANT, "client_id": CLIENT });
    for (slot, value) in values.as_object().expect("an object") {
        whole[slot] = value.clone();
    }
    let bound = bound(&whole);
    let settings = Settings {
        state: state.then(|| "state".into()),
        ..Settings::default()
    };
    connection(needs, &bound, &settings, &Redactor::default())
        .map(|(connection, _)| connection)
        .map_err(|faults| Failure::join(faults).expect("faults"))
}

fn kind(values: &Value) -> &'static str {
    let opened = open(Needs::Credential, values, true);
    opened.expect("a connection").credential.kind()
}

fn places(needs: Needs, values: &Value) -> Vec<String> {
    let failure = open(needs, values, true).expect_err("rejected");
    let faults = failure.split();
    let place = |fault: &Failure| {
        fault
            .place()
            .unwrap_or_default()
            .replace("/connection/The ", "")
    };
    faults.iter().map(place).collect()
}

#[test]
fn parameters_select_sign_in_method() {
    assert_eq!(kind(&json!({ "client_secret": "s" })), "client_secret");
    assert_eq!(
        kind(&json!({ "private_key": "k", "certificate_thumbprint": THUMBPRINT })),
        "certificate"
    );
    // If there are both, the certificate is used.
    assert_eq!(
        kind(&json!({ "client_secret": "s", "certificate": "pfx" })),
        "certificate"
    );
    let code = json!({ "client_secret": "s", "authorization_code": " c ", "redirect_uri": "https://r.test" });
    assert_eq!(kind(&code), "authorization_code");
    let identity = json!({ "managed_identity": true, "client_secret": "s" });
    assert_eq!(kind(&identity), "managed_identity");
    assert_eq!(
        kind(&json!({ "managed_identity": false, "client_secret": "s" })),
        "client_secret"
    );
}

#[test]
fn managed_identity_needs_no_tenant_and_no_client_id() {
    let values = json!({ "managed_identity": true, "tenant_id": "", "client_id": "" });
    let opened = open(Needs::Credential, &values, false).expect("a connection");
    assert_eq!((opened.tenant.as_str(), opened.tenant_guid()), ("", None));
    let values = json!({ "managed_identity": true, "managed_identity_client_id": CLIENT });
    let opened = open(Needs::Credential, &values, false).expect("a connection");
    assert_eq!(opened.client_id, CLIENT);
    let values = json!({ "managed_identity": true, "managed_identity_client_id": "x" });
    let failure = open(Needs::Credential, &values, false).expect_err("no GUID");
    assert_eq!(
        failure.place(),
        Some("/connection/The managed_identity_client_id")
    );
}

#[test]
fn incomplete_connection_reports_all_faults() {
    let all = |values: &Value| places(Needs::Credential, values);
    assert_eq!(
        all(&json!({ "tenant_id": "", "client_id": "app" })),
        ["tenant_id", "client_id", "client_secret"]
    );
    assert_eq!(
        all(&json!({ "certificate_thumbprint": THUMBPRINT })),
        ["certificate_thumbprint"]
    );
    assert_eq!(all(&json!({ "private_key": "k" })), ["private_key"]);
    assert_eq!(
        all(&json!({ "private_key": "k", "certificate_thumbprint": "zz" })),
        ["certificate_thumbprint"]
    );
    assert_eq!(
        all(&json!({ "authorization_code": "code=c&session_state=1" })),
        ["authorization_code", "redirect_uri", "client_secret"]
    );
    let failure = open(Needs::Credential, &json!({}), true).expect_err("nothing");
    assert_eq!(
        failure.message(),
        "The connection has no credential. Set one of: The client_secret; The certificate; The private_key with The certificate_thumbprint; The user_name; The managed_identity."
    );
}

#[test]
fn invalid_value_of_a_secret_parameter_is_not_shown() {
    let values = json!({ "client_secret": "s", "client_id": "hidden", "tenant_id": "shown" });
    let failure = open(Needs::Credential, &values, true).expect_err("invalid");
    let faults = failure.split();
    assert!(faults[0].message().ends_with("; got \"shown\"."));
    assert_eq!(
        faults[1].message(),
        "\"The client_id\" must be a GUID: the application (client) ID, not the object ID or the name; got a secret value that is not shown."
    );
}

#[test]
fn authorization_code_without_state_folder_is_rejected() {
    let code = json!({ "client_secret": "s", "authorization_code": "c", "redirect_uri": "https://r.test" });
    let failure = open(Needs::Credential, &code, false).expect_err("no folder");
    assert_eq!(failure.place(), Some("/connection/The authorization_code"));
    assert!(
        failure
            .assistance()
            .is_some_and(|words| words.contains("--state"))
    );
    // A login URL and a reset store no token.
    for needs in [Needs::LoginPage, Needs::Account] {
        assert!(open(needs, &code, false).is_ok());
    }
}

#[test]
fn login_url_needs_no_code_and_reset_needs_only_the_account() {
    let page = open(
        Needs::LoginPage,
        &json!({ "client_secret": "s", "redirect_uri": "https://r.test" }),
        false,
    );
    let page = page.expect("a connection");
    assert!(matches!(page.credential, Credential::AuthorizationCode(_)));
    assert_eq!(
        places(
            Needs::LoginPage,
            &json!({ "tenant_id": "", "client_id": "" })
        ),
        ["tenant_id", "client_id", "redirect_uri", "client_secret"]
    );
    assert_eq!(
        places(Needs::LoginPage, &json!({ "managed_identity": true })),
        ["managed_identity"]
    );
    assert!(open(Needs::Account, &json!({}), false).is_ok());
    assert_eq!(
        places(Needs::Account, &json!({ "tenant_id": "" })),
        ["tenant_id"]
    );
    assert!(!uses(Needs::Account, Slot::ClientSecret) && uses(Needs::Account, Slot::ClientId));
    assert!(!uses(Needs::LoginPage, Slot::AuthorizationCode));
}

#[test]
fn base_url_selects_cloud_and_must_match_cloud_name() {
    let cloud = |cloud: Value, url: &str| {
        let values = json!({ "client_secret": "s", "cloud": cloud, "base_url": url });
        open(Needs::Credential, &values, false).map(|opened| opened.cloud.id)
    };
    let dod = "https://manage.protection.apps.mil/api/v1.0/";
    assert_eq!(cloud(Value::Null, dod).expect("a cloud"), "dod");
    assert_eq!(cloud(json!("dod"), dod).expect("a cloud"), "dod");
    assert_eq!(cloud(json!("gcc"), "").expect("a cloud"), "gcc");
    let failure = cloud(json!("gcc"), dod).expect_err("different clouds");
    assert_eq!(
        failure.to_string(),
        "/connection/The base_url: \"The base_url\" is the address of the cloud dod, but \"The cloud\" is gcc."
    );
    assert!(cloud(Value::Null, "https://evil.test").is_err());
}
