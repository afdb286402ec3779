//! Which way to sign in a connection means, and everything that is refused before.

use super::*;
use crate::microsoft::connection::tests::{CLIENT, TENANT};
use serde_json::json;

const THUMBPRINT: &str = "5AF4575D60186E2B01933E17614B16354AA7977F";

/// As every slot had a parameter of that title.
fn bound(given: &Value) -> Bound {
    let mut bound = Bound::default();
    let slots = [
        "tenant_id",
        "client_id",
        "client_secret",
        "certificate",
        "certificate_password",
        "certificate_thumbprint",
        "private_key",
        "redirect_uri",
        "authorization_code",
        "managed_identity",
        "self_deployed",
        "base_url",
        "cloud",
    ];
    for slot in slots {
        bound
            .places
            .insert(slot.to_owned(), format!("/connection/The {slot}"));
    }
    for (slot, value) in given.as_object().expect("an object") {
        let secret = [
            "client_secret",
            "certificate",
            "certificate_password",
            "private_key",
            "authorization_code",
        ];
        match value.as_str().filter(|_| secret.contains(&slot.as_str())) {
            Some(text) => {
                bound.secrets.insert(slot.clone(), text.into());
            }
            None => {
                bound.connection.insert(slot.clone(), value.clone());
            }
        }
    }
    bound
}

fn open(needs: Needs, given: &Value, state: bool) -> Result<Connection, Failure> {
    let mut whole = json!({ "tenant_id": TENANT, "client_id": CLIENT });
    for (slot, value) in given.as_object().expect("an object") {
        whole[slot] = value.clone();
    }
    let bound = bound(&whole);
    let settings = Settings {
        state: state.then(|| "kept".into()),
        ..Settings::default()
    };
    connection(needs, &bound, &settings, &Redactor::default())
        .map(|(connection, _)| connection)
        .map_err(|faults| Failure::join(faults).expect("faults"))
}

fn kind(given: &Value) -> &'static str {
    let opened = open(Needs::Credential, given, true);
    opened.expect("a connection").credential.kind()
}

fn places(needs: Needs, given: &Value) -> Vec<String> {
    let failure = open(needs, given, true).expect_err("refused");
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
fn what_is_given_decides_how_to_sign_in() {
    assert_eq!(kind(&json!({ "client_secret": "s" })), "client_secret");
    assert_eq!(
        kind(&json!({ "private_key": "k", "certificate_thumbprint": THUMBPRINT })),
        "certificate"
    );
    // A certificate counts before a secret.
    assert_eq!(
        kind(&json!({ "client_secret": "s", "certificate": "pfx" })),
        "certificate"
    );
    let code = json!({ "client_secret": "s", "authorization_code": " c ", "redirect_uri": "https://r.test" });
    assert_eq!(kind(&code), "authorization_code");
    let machine = json!({ "managed_identity": true, "client_secret": "s", "self_deployed": false });
    assert_eq!(kind(&machine), "managed_identity");
    assert_eq!(
        kind(&json!({ "managed_identity": false, "client_secret": "s" })),
        "client_secret"
    );
    assert_eq!(
        kind(&json!({ "self_deployed": true, "client_secret": "s" })),
        "client_secret"
    );
}

#[test]
fn a_machine_needs_no_tenant_and_no_application() {
    let given = json!({ "managed_identity": true, "tenant_id": "", "client_id": "" });
    let opened = open(Needs::Credential, &given, false).expect("a connection");
    assert_eq!((opened.tenant.as_str(), opened.tenant_guid()), ("", None));
    let given = json!({ "managed_identity": true, "managed_identity_client_id": CLIENT });
    let opened = open(Needs::Credential, &given, false).expect("a connection");
    assert_eq!(opened.client_id, CLIENT);
    let given = json!({ "managed_identity": true, "managed_identity_client_id": "x" });
    let failure = open(Needs::Credential, &given, false).expect_err("no GUID");
    assert_eq!(
        failure.place(),
        Some("/connection/managed_identity_client_id")
    );
}

#[test]
fn halves_and_what_is_missing_are_refused_all_at_once() {
    let all = |given: &Value| places(Needs::Credential, given);
    assert_eq!(
        all(&json!({ "tenant_id": "", "client_id": "app", "self_deployed": false })),
        ["tenant_id", "self_deployed", "client_secret", "client_id"]
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
        "The connection has no credential. Set one of: The client_secret; The certificate; The private_key with The certificate_thumbprint; The managed_identity."
    );
}

#[test]
fn a_code_needs_a_place_to_keep_what_it_gives() {
    let code = json!({ "client_secret": "s", "authorization_code": "c", "redirect_uri": "https://r.test" });
    let failure = open(Needs::Credential, &code, false).expect_err("no folder");
    assert_eq!(failure.place(), Some("/connection/The authorization_code"));
    assert!(
        failure
            .assistance()
            .is_some_and(|words| words.contains("--state"))
    );
    // Neither making the URL nor a reset keeps anything.
    for needs in [Needs::LoginPage, Needs::Account] {
        assert!(open(needs, &code, false).is_ok());
    }
}

#[test]
fn a_login_url_needs_all_but_the_code_and_a_reset_nothing_but_the_account() {
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
    assert!(!wants(Needs::Account, "client_secret") && wants(Needs::Account, "client_id"));
    assert!(!wants(Needs::LoginPage, "authorization_code"));
}

#[test]
fn a_base_url_chooses_the_cloud_and_must_not_contradict_it() {
    let cloud = |cloud: Value, url: &str| {
        let given = json!({ "client_secret": "s", "cloud": cloud, "base_url": url });
        open(Needs::Credential, &given, false).map(|opened| opened.cloud.id)
    };
    let dod = "https://manage.protection.apps.mil/api/v1.0/";
    assert_eq!(cloud(Value::Null, dod).expect("a cloud"), "dod");
    assert_eq!(cloud(json!("dod"), dod).expect("a cloud"), "dod");
    assert_eq!(cloud(json!("gcc"), "").expect("a cloud"), "gcc");
    let failure = cloud(json!("gcc"), dod).expect_err("they disagree");
    assert_eq!(
        failure.to_string(),
        "/connection/The base_url: This is the address of the cloud \"dod\", and \"The cloud\" says \"gcc\"."
    );
    assert!(cloud(Value::Null, "https://evil.test").is_err());
}
