//! Tests of the token endpoints and of discovery, without a server.

use serde_json::{Value, json};

use crate::sim::base64;
use crate::sim::context::Context;
use crate::sim::login::Login;
use crate::sim::server::call::Call;
use crate::sim::server::routes::Service;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APP: &str = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";
const WORLD: &str = r#"{"apps":[{"id":"aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
    "tenant":"11111111-2222-3333-4444-555555555555",
    "secrets":[{"value":"good"},{"value":"old","expires":"2026-01-14T12:00:00Z"}],
    "roles":{"graph":["SecurityAlert.Read.All"]}},
    {"id":"cccccccc-0000-1111-2222-bbbbbbbbbbbb","disabled":true,
    "tenant":"11111111-2222-3333-4444-555555555555"}]}"#;

fn ask(world: &str, path: &str, body: &str) -> (u16, Value) {
    let login = Login::new(Context::sample(world));
    let answer = login.answer(&Call::get(Service::Login, path).post(body));
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

fn form(secret: &str, scope: &str) -> String {
    format!("grant_type=client_credentials&client_id={APP}&client_secret={secret}&scope={scope}")
}

const GRAPH: &str = "https%3A%2F%2Fgraph.microsoft.com%2F.default";

#[test]
fn token_has_the_documented_claims() {
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let (status, body) = ask(WORLD, &path, &form("good", GRAPH));
    assert_eq!((status, &body["expires_in"]), (200, &json!(3599)));
    let token = body["access_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&base64::decode(payload).unwrap()).unwrap();
    assert_eq!(claims["aud"], "https://graph.microsoft.com");
    assert_eq!(claims["tid"], TENANT);
    assert_eq!(claims["roles"], json!(["SecurityAlert.Read.All"]));
    let span = claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap();
    assert_eq!(span, 3900);
    assert_eq!(body, ask(WORLD, &path, &form("good", GRAPH)).1);
}

#[test]
fn app_without_roles_gets_a_token_without_them() {
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let scope = "https%3A%2F%2Fmanage.office.com%2F.default";
    let (_, body) = ask(WORLD, &path, &form("good", scope));
    let context = Context::sample(WORLD);
    let token = body["access_token"].as_str().unwrap();
    assert!(context.tokens.read(token).unwrap().roles.is_empty());
}

#[test]
fn version_1_writes_numbers_as_strings() {
    let body = form("good", "").replace("&scope=", "&resource=https://manage.office.com");
    let (status, body) = ask(WORLD, "/contoso.onmicrosoft.com/oauth2/token", &body);
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["expires_in"], "3599");
    assert_eq!(body["resource"], "https://manage.office.com");
}

#[test]
fn each_error_has_its_number_and_status() {
    let good = form("good", GRAPH);
    let without = |field: &str| {
        let kept: Vec<&str> = good
            .split('&')
            .filter(|pair| !pair.starts_with(field))
            .collect();
        kept.join("&")
    };
    let cases = [
        ("no tenant!", good.clone(), 900_023, 400),
        (
            "22222222-2222-3333-4444-555555555555",
            good.clone(),
            90002,
            400,
        ),
        ("common", good.clone(), 50194, 400),
        (TENANT, without("grant_type"), 900_144, 400),
        (
            TENANT,
            good.replace("client_credentials", "password"),
            70003,
            400,
        ),
        (TENANT, without("client_id"), 900_144, 400),
        (TENANT, without("scope"), 900_144, 400),
        (TENANT, format!("{good}&resource=x"), 901_002, 400),
        (
            TENANT,
            form("good", "a%2F.default+b%2F.default"),
            70011,
            400,
        ),
        (
            TENANT,
            form("good", "https%3A%2F%2Fgraph.microsoft.com"),
            1_002_012,
            400,
        ),
        (TENANT, good.replace("aaaaaaaa", "dddddddd"), 700_016, 400),
        (TENANT, good.replace("aaaaaaaa", "cccccccc"), 7_000_112, 400),
        (TENANT, without("client_secret"), 7_000_218, 401),
        (TENANT, form("bad", GRAPH), 7_000_215, 401),
        (TENANT, form("old", GRAPH), 7_000_222, 401),
        (
            TENANT,
            form("good", "https%3A%2F%2Fother.test%2F.default"),
            500_011,
            400,
        ),
    ];
    for (tenant, body, number, requested) in cases {
        let path = format!("/{}/oauth2/v2.0/token", tenant.replace(' ', "%20"));
        let (status, answer) = ask(WORLD, &path, &body);
        assert_eq!(answer["error_codes"], json!([number]), "{answer}");
        assert_eq!(status, requested, "{answer}");
    }
}

#[test]
fn error_body_is_the_documented_one() {
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let (_, body) = ask(WORLD, &path, &form("bad", GRAPH));
    let text = body["error_description"].as_str().unwrap();
    assert!(
        text.starts_with("AADSTS7000215: Invalid client secret provided."),
        "{text}"
    );
    let end = " Timestamp: 2026-01-14 12:00:00Z";
    assert!(
        text.ends_with(end) && text.contains("'. Trace ID: "),
        "{text}"
    );
    assert_eq!(
        body["error_uri"],
        "https://login.microsoftonline.com/error?code=7000215"
    );
}

#[test]
fn basic_credentials_are_form_fields() {
    let body = format!("grant_type=client_credentials&scope={GRAPH}");
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let header = format!(
        "Basic {}",
        base64::encode(format!("{APP}:go%6Fd").as_bytes())
    );
    let call = Call::get(Service::Login, &path).post(&body);
    let answer =
        Login::new(Context::sample(WORLD)).answer(&call.header_set("authorization", &header));
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn default_world_accepts_any_credentials() {
    let path = "/22222222-2222-3333-4444-555555555555/oauth2/v2.0/token";
    assert_eq!(ask("{}", path, &form("anything", GRAPH)).0, 200);
    let nameless = form("anything", GRAPH).replace(APP, "my-app");
    assert_eq!(
        ask("{}", path, &nameless).1["error_codes"],
        json!([700_016])
    );
}

#[test]
fn discovery_lists_the_endpoints_of_this_server() {
    let path = "/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration";
    let (status, body) = ask("{}", path, "");
    assert_eq!(status, 200);
    let endpoint = "https://127.0.0.1:1/login/contoso.onmicrosoft.com/oauth2/v2.0/token";
    assert_eq!(body["token_endpoint"], endpoint);
    let missing = path.replace("contoso", "fabrikam");
    assert_eq!(ask(WORLD, &missing, "").1["error"], "invalid_tenant");
}
