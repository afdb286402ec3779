//! Sign-in with the simulator: consent of a user from the login URL to the refresh token, a
//! certificate whose signature the simulator verifies, managed identities, and insecure TLS.

use std::path::Path;

use serde_json::{Value, json};

use soarhost::clock::Clock;
use soarhost::host::{Cancel, Host, RetryPolicy, Settings};
use soarhost::protocol::{Redactor, ResultEnvelope};
use soarhost::sim::{Listen, Sim, World};
use soarhost::when;

use crate::bench::{CANARY, NOW, block_on};

/// Writes a catalog of one integration.
fn write_catalog(folder: &Path) {
    for below in ["manifests", "mappings"] {
        std::fs::create_dir(folder.join(below)).expect("a folder");
    }
    let flag = |id: &str| json!({ "id": id, "title": id, "type": "boolean", "summary": "One." });
    let command = |id: &str, operation: &str, fixed: Value| json!({ "id": id, "title": id, "kind": "test", "operation": operation, "summary": "One.", "fixed": fixed, "outputs": { "context": "$" } });
    let text = |id: &str, secret: bool| json!({ "id": id, "title": id, "type": "string", "secret": secret, "summary": "One." });
    let manifest = json!({
        "manifest": 1, "id": "lab", "title": "Lab", "version": "1.0.0", "summary": "One.",
        "connection": [
            text("tenant_id", false), text("client_id", false), text("client_secret", true),
            text("certificate", true), text("private_key", true), text("assertion_algorithm", false),
            text("redirect_uri", false), text("authorization_code", true),
            flag("managed_identity"), text("managed_identity_client_id", false),
            flag("trust_any_certificate") ],
        "commands": [
            command("test", "connection.test", json!({ "services": ["management"] })),
            command("url", "sign_in.url", json!({})),
            command("list", "feed.subscription.list", json!({})),
            command("reset", "sign_in.reset", json!({})) ]
    });
    std::fs::write(folder.join("manifests/lab.json"), manifest.to_string()).expect("a file");
}

/// The application's account.
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
const REDIRECT: &str = "https://localhost/back";

async fn send(host: &Host, command: &str, connection: &Value) -> ResultEnvelope {
    let request = json!({ "command": command, "connection": connection });
    let result = match host.check(request.to_string().as_bytes(), &Cancel::default()) {
        Err(refused) => *refused,
        Ok(checked) => Box::pin(host.run(checked)).await.result,
    };
    let text = serde_json::to_string(&result).expect("a result");
    assert!(!text.contains(CANARY), "a secret is in the result: {text}");
    result
}

async fn test_connection(host: &Host, insecure_tls: bool) -> ResultEnvelope {
    let connection = json!({ "tenant_id": TENANT, "client_id": CLIENT, "client_secret": CANARY,
        "trust_any_certificate": insecure_tls });
    send(host, "test", &connection).await
}

/// A simulator without TLS, and settings of a host that uses it.
async fn lab(world: &Value) -> (Sim, tempfile::TempDir, Settings) {
    let now = when::instant(NOW, &[]).expect("a time");
    let mut world = World::from_json(&world.to_string()).expect("a world");
    world.now = Some(now);
    let plain = Listen {
        tls: false,
        ..Listen::default()
    };
    let sim = Sim::start(world, plain).await.expect("it starts");
    let folder = tempfile::tempdir().expect("a folder");
    write_catalog(folder.path());
    let settings = Settings {
        endpoints: Some(sim.endpoints().to_string().into()),
        catalog: Some(folder.path().to_path_buf()),
        state: Some(folder.path().join("stored")),
        clock: Clock::Fixed(now),
        retry_policy: RetryPolicy::fast(),
        ..Settings::default()
    };
    (sim, folder, settings)
}

/// The address that a browser is redirected to.
async fn redirect_of(address: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, path) = address
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("plain http");
    let mut stream = tokio::net::TcpStream::connect(host)
        .await
        .expect("it listens");
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("text");
    let found = response.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("location")
            .then(|| value.to_owned())
    });
    found.unwrap_or_else(|| panic!("no redirect: {response}"))
}

fn source(result: &ResultEnvelope) -> &'static str {
    assert!(result.error.is_none(), "{:?}", result.error);
    result.metrics.token_source
}

#[test]
fn authorization_code_is_redeemed_and_its_token_refreshed() {
    block_on(async {
        let world = json!({ "token_lifetime_seconds": 3599, "apps": [{ "id": CLIENT, "tenant": TENANT,
            "secrets": [{ "value": CANARY }], "redirect_uris": [REDIRECT], "refresh_tokens": "omit" }] });
        let (sim, _folder, settings) = lab(&world).await;
        let mut connection = json!({ "tenant_id": TENANT, "client_id": CLIENT, "client_secret": CANARY,
            "redirect_uri": REDIRECT });
        let host = || Host::open(settings.clone(), Redactor::default());
        let made = send(&host(), "url", &connection).await;
        assert_eq!(sim.requests().len(), 0, "it needs no request");
        let context: Value =
            serde_json::from_str(made.context_data.expect("a context").text()).expect("JSON");
        let back = redirect_of(context["login_url"].as_str().expect("a URL")).await;
        let code = back
            .split("code=")
            .nth(1)
            .and_then(|rest| rest.split('&').next());
        connection["authorization_code"] =
            json!(code.unwrap_or_else(|| panic!("no code in {back}")));
        assert_eq!(source(&send(&host(), "list", &connection).await), "sign_in");
        assert_eq!(source(&send(&host(), "list", &connection).await), "vault");
        let later = chrono::TimeDelta::minutes(58);
        let settings = Settings {
            clock: Clock::Fixed(settings.clock.now() + later),
            ..settings.clone()
        };
        for _ in 0..2 {
            let host = Host::open(settings.clone(), Redactor::default());
            send(&host, "list", &connection).await;
        }
        let logins: Vec<String> = sim
            .requests()
            .iter()
            .filter(|seen| seen.service == "login" && seen.method == "POST")
            .filter_map(|seen| seen.body.clone())
            .collect();
        assert!(
            logins[0].contains("grant_type=authorization_code"),
            "{logins:?}"
        );
        assert!(logins[1].contains("grant_type=refresh_token"), "{logins:?}");
        assert_eq!(logins.len(), 2, "the refreshed token is stored");
    });
}

#[test]
fn certificate_signs_in_with_both_algorithms_if_it_is_registered() {
    block_on(async {
        let cert = include_str!("../../src/identity/certificate/fixtures/cert.pem");
        let other = include_str!("../../src/identity/certificate/fixtures/other.pem");
        let key = include_str!("../../src/identity/certificate/fixtures/key.pem");
        for (registered, good) in [(cert, true), (other, false)] {
            let world = json!({ "apps": [{ "id": CLIENT, "tenant": TENANT, "certificates": [registered] }] });
            let (_sim, _folder, settings) = lab(&world).await;
            let settings = Settings {
                state: None,
                ..settings
            };
            for algorithm in ["RS256", "PS256"] {
                let connection = json!({ "tenant_id": TENANT, "client_id": CLIENT, "certificate": cert,
                    "private_key": key, "assertion_algorithm": algorithm });
                let host = Host::open(settings.clone(), Redactor::default());
                let ran = send(&host, "list", &connection).await;
                let code = ran.error.as_ref().map(|error| error.status_code.as_str());
                assert_eq!(code, (!good).then_some("AADSTS700027"), "{algorithm}");
            }
        }
    });
}

#[test]
fn managed_identity_is_the_default_or_the_named_one() {
    block_on(async {
        let (sim, _folder, settings) = lab(&json!({})).await;
        for named in [None, Some(CLIENT)] {
            let connection =
                json!({ "managed_identity": true, "managed_identity_client_id": named });
            let host = Host::open(settings.clone(), Redactor::default());
            let before = sim.requests().len();
            assert_eq!(source(&send(&host, "list", &connection).await), "sign_in");
            let seen = sim.requests().split_off(before);
            let query = serde_json::to_string(&seen[0].query).expect("JSON");
            assert!(query.contains("manage.office.com"), "{query}");
            assert_eq!(query.contains(CLIENT), named.is_some(), "{query}");
            // The feed's address contains the tenant of the token.
            assert!(seen[1].path.contains(TENANT), "{}", seen[1].path);
        }
    });
}

#[test]
fn any_certificate_is_trusted_only_on_request_and_with_a_warning() {
    block_on(async {
        let now = when::instant(NOW, &[]).expect("a time");
        let mut world = World::from_json("{}").expect("a world");
        world.now = Some(now);
        let sim = Sim::start(world, Listen::default())
            .await
            .expect("it starts");
        let folder = tempfile::tempdir().expect("a folder");
        write_catalog(folder.path());
        // Without the certificate authority of the simulator.
        let mut endpoints: Value =
            serde_json::from_str(&sim.endpoints().to_string()).expect("JSON");
        let authority = endpoints.as_object_mut().expect("an object").remove("ca");
        assert!(authority.is_some_and(|ca| ca.is_string()));
        let settings = Settings {
            endpoints: Some(endpoints.to_string().into()),
            catalog: Some(folder.path().to_path_buf()),
            clock: Clock::Fixed(now),
            retry_policy: RetryPolicy {
                attempts: 1,
                ..RetryPolicy::fast()
            },
            ..Settings::default()
        };
        // One host: each TLS setting has its own client.
        let host = Host::open(settings, Redactor::default());
        let refused = test_connection(&host, false).await;
        let error = refused.error.expect("not trusted");
        assert!(
            error.message.contains("TLS handshake failed"),
            "{}",
            error.message
        );
        assert!(refused.warnings.is_empty());
        let trusted = test_connection(&host, true).await;
        assert!(trusted.error.is_none(), "{:?}", trusted.error);
        let codes: Vec<&str> = trusted
            .warnings
            .iter()
            .map(|warning| warning.code.as_str())
            .collect();
        assert_eq!(codes, ["any_certificate_trusted"]);
    });
}
