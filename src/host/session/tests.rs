//! Complete runs of each sign-in method against a scripted server: requests, stored tokens,
//! warnings.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::host::{Cancel, Host, RetryPolicy, Settings};
use crate::identity::IdentityEndpoint;
use crate::microsoft::connection::tests::{CLIENT, TENANT};
use crate::net::client::tests::{Server, http, run};
use crate::protocol::{Redactor, ResultEnvelope, Secret};

const CERT: &str = include_str!("../../identity/certificate/fixtures/cert.pem");
const KEY: &str = include_str!("../../identity/certificate/fixtures/key.pem");

/// A token whose `tid` is the tenant, as `a.{"tid":…}.c`, with a number in its signature.
fn token(n: usize) -> String {
    use base64::Engine as _;
    let claims = json!({ "tid": TENANT, "roles": ["A"], "scp": "B C" }).to_string();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
    format!("canary.{claims}.{n}")
}

/// A login service: each answer has the next token. The answer to a code also has a refresh token.
async fn login() -> Server {
    let requests = AtomicUsize::new(0);
    Server::start(move |request| {
        let n = requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut grant = json!({ "expires_in": 3599, "access_token": token(n) });
        if request.contains("grant_type=authorization_code") {
            grant["refresh_token"] = json!("canary-refresh-token");
        }
        if request.contains("X-IDENTITY-HEADER") || request.contains("x-identity-header") {
            grant = json!({ "access_token": token(n), "expires_on": "1768395599" });
        }
        Some(http(
            200,
            "Content-Type: application/json\r\n",
            grant.to_string(),
        ))
    })
    .await
}

fn manifest() -> Value {
    let param = |id: &str, kind: &str, secret: bool| json!({ "id": id, "title": id.replace('_', " "), "type": kind, "secret": secret, "summary": "One." });
    let texts = [
        "tenant_id",
        "client_id",
        "certificate_thumbprint",
        "redirect_uri",
    ];
    let secrets = [
        "client_secret",
        "certificate",
        "private_key",
        "authorization_code",
    ];
    let flags = ["managed_identity", "trust_any_certificate", "use_proxy"];
    let connection: Vec<Value> = texts
        .iter()
        .map(|id| param(id, "string", false))
        .chain(secrets.iter().map(|id| param(id, "string", true)))
        .chain(flags.iter().map(|id| param(id, "boolean", false)))
        .collect();
    let command = |id: &str, operation: &str, fixed: Value| json!({ "id": id, "title": id, "kind": "test", "operation": operation, "summary": "One.", "fixed": fixed, "outputs": { "context": "$" } });
    json!({ "manifest": 1, "id": "lab", "title": "Lab", "version": "1.0.0", "summary": "One.",
        "connection": connection,
        "commands": [
            command("test", "connection.test", json!({ "services": ["management"] })),
            command("url", "sign_in.url", json!({})),
            command("reset", "sign_in.reset", json!({})) ] })
}

/// A folder with the catalog, and the state folder below it.
struct Lab {
    folder: tempfile::TempDir,
    endpoints: String,
}

impl Lab {
    fn new(url: &url::Url) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for below in ["manifests", "mappings"] {
            std::fs::create_dir(folder.path().join(below)).expect("a folder");
        }
        let file = std::fs::File::create(folder.path().join("manifests/lab.json"));
        serde_json::to_writer(file.expect("a file"), &manifest()).expect("written");
        let url = url.as_str();
        let endpoints = json!({ "cloud": 1, "id": "lab", "login": url, "graph": url,
            "management": url, "exchange": url, "metadata": url });
        Lab {
            folder,
            endpoints: endpoints.to_string(),
        }
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn settings(&self) -> Settings {
        Settings {
            endpoints: Some(self.endpoints.clone().into()),
            catalog: Some(self.folder.path().to_path_buf()),
            state: Some(self.state()),
            clock: Clock::Fixed("2026-01-14T12:00:00Z".parse().expect("a time")),
            retry_policy: RetryPolicy::fast(),
            ..Settings::default()
        }
    }

    /// Runs a command with a new host.
    async fn run(&self, command: &str, connection: &Value) -> ResultEnvelope {
        run_on(
            &Host::open(self.settings(), Redactor::default()),
            command,
            connection,
        )
        .await
    }

    fn tokens(&self) -> usize {
        let found = std::fs::read_dir(self.state().join("tokens"));
        let found = found.into_iter().flatten().filter_map(Result::ok);
        found
            .filter(|entry| {
                Path::new(&entry.file_name())
                    .extension()
                    .is_some_and(|own| own == "json")
            })
            .count()
    }
}

async fn run_on(host: &Host, command: &str, connection: &Value) -> ResultEnvelope {
    let request = json!({ "command": command, "connection": connection }).to_string();
    let result = match host.check(request.as_bytes(), &Cancel::default()) {
        Err(refused) => *refused,
        Ok(checked) => Box::pin(host.run(checked)).await.result,
    };
    let text = serde_json::to_string(&result).expect("a result");
    assert!(
        !text.contains("canary"),
        "a secret is in the result: {text}"
    );
    result
}

fn account(more: &Value) -> Value {
    let mut connection = json!({ "tenant id": TENANT, "client id": CLIENT });
    for (key, value) in more.as_object().expect("an object") {
        connection[key] = value.clone();
    }
    connection
}

fn code_connection(secret: &str, code: &str) -> Value {
    account(
        &json!({ "client secret": secret, "redirect uri": "https://localhost/r", "authorization code": code }),
    )
}

fn token_source(result: &ResultEnvelope) -> &'static str {
    assert!(result.error.is_none(), "{:?}", result.error);
    result.metrics.token_source
}

fn context(result: &ResultEnvelope) -> Value {
    let document = result.context_data.as_ref().expect("a context");
    serde_json::from_str(document.text()).expect("JSON")
}

#[test]
fn authorization_code_is_redeemed_once_and_then_refreshed() {
    run(async {
        let server = login().await;
        let lab = Lab::new(&server.url);
        let connection = code_connection("canary-secret", "canary-code");
        let first = lab.run("test", &connection).await;
        assert_eq!(token_source(&first), "sign_in");
        assert_eq!(context(&first)[0]["roles"], json!(["A", "B", "C"]));
        assert_eq!(token_source(&lab.run("test", &connection).await), "vault");
        // An hour later the token is refreshed. The answer has no refresh token, so the old one is
        // used.
        for (hours, calls) in [(1, 2), (2, 3)] {
            let later = chrono::TimeDelta::hours(hours);
            let settings = lab.settings();
            let clock = Clock::Fixed(settings.clock.now() + later);
            let settings = Settings { clock, ..settings };
            let host = Host::open(settings, Redactor::default());
            assert_eq!(
                token_source(&run_on(&host, "test", &connection).await),
                "sign_in"
            );
            assert_eq!(server.seen().len(), calls);
        }
        let seen = server.seen();
        assert!(seen[0].contains("code=canary-code") && seen[0].contains("code_verifier="));
        for renewed in &seen[1..] {
            assert!(renewed.contains("grant_type=refresh_token"), "{renewed}");
            assert!(renewed.contains("refresh_token=canary-refresh-token"));
        }
        // Another secret or another code causes a new sign-in.
        for other in [
            code_connection("canary-other", "canary-code"),
            code_connection("canary-secret", "canary-new"),
        ] {
            assert_eq!(token_source(&lab.run("test", &other).await), "sign_in");
        }
        assert_eq!(lab.tokens(), 3);
    });
}

#[test]
fn reset_deletes_all_tokens_of_account_and_sends_nothing() {
    run(async {
        let server = login().await;
        let lab = Lab::new(&server.url);
        for code in ["canary-one", "canary-two"] {
            lab.run("test", &code_connection("canary-secret", code))
                .await;
        }
        let other = "77777777-7777-8888-9999-000000000000";
        let other_account =
            json!({ "tenant id": TENANT, "client id": other, "client secret": "canary-x" });
        lab.run("test", &other_account).await;
        // A reset needs neither the code nor the secret nor the network.
        let offline =
            json!({ "tenant id": TENANT, "client id": CLIENT, "client secret": "env:SOAR_GONE" });
        let before = server.seen().len();
        let reset = lab.run("reset", &offline).await;
        assert_eq!(context(&reset), json!({ "removed": 2 }));
        assert_eq!((reset.metrics.calls, server.seen().len()), (0, before));
        assert_eq!(lab.tokens(), 1);
        assert_eq!(
            context(&lab.run("reset", &offline).await),
            json!({ "removed": 0 })
        );
        // Without a state folder, tokens are only in memory.
        let settings = Settings {
            state: None,
            ..lab.settings()
        };
        let host = Host::open(settings, Redactor::default());
        assert_eq!(
            token_source(&run_on(&host, "test", &other_account).await),
            "sign_in"
        );
        assert_eq!(
            token_source(&run_on(&host, "test", &other_account).await),
            "memory"
        );
        let reset = run_on(&host, "reset", &other_account).await;
        assert_eq!(context(&reset), json!({ "removed": 1 }));
        assert_eq!(
            token_source(&run_on(&host, "test", &other_account).await),
            "sign_in"
        );
    });
}

#[test]
fn managed_identity_token_is_stored_with_generated_or_operator_key() {
    run(async {
        let server = login().await;
        let lab = Lab::new(&server.url);
        let identity = json!({ "managed identity": true });
        let ran = lab.run("test", &identity).await;
        assert_eq!(token_source(&ran), "sign_in");
        assert_eq!(context(&ran)[0]["tenant"], TENANT);
        let seen = server.seen().remove(0).to_ascii_lowercase();
        assert!(seen.starts_with("get /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3a%2f%2fmanage.office.com http"), "{seen}");
        assert!(seen.contains("metadata: true\r\n") && !seen.contains("authorization"));
        assert_eq!(token_source(&lab.run("test", &identity).await), "vault");
        let key = std::fs::read_to_string(lab.state().join("vault.key")).expect("a key");
        assert_eq!(key.len(), 44);
        // On an application platform, its endpoint is used; the answer has only the expiry time.
        let platform = IdentityEndpoint {
            address: server.at("/msi/token"),
            header: Secret::new("canary-header"),
        };
        let settings = Settings {
            identity_endpoint: Some(platform),
            vault_key: Some(Secret::new("canary-vault-key")),
            state: Some(lab.folder.path().join("other")),
            ..lab.settings()
        };
        let host = || Host::open(settings.clone(), Redactor::default());
        assert_eq!(
            token_source(&run_on(&host(), "test", &identity).await),
            "sign_in"
        );
        assert_eq!(
            token_source(&run_on(&host(), "test", &identity).await),
            "vault"
        );
        assert!(!lab.folder.path().join("other/vault.key").exists());
        let seen = server.seen().pop().expect("a request");
        assert!(seen.contains("x-identity-header: canary-header"), "{seen}");
    });
}

#[test]
fn managed_identity_without_endpoint_fails_without_retry() {
    run(async {
        let unreachable = url::Url::parse("http://127.0.0.1:1").expect("an address");
        let ran = Lab::new(&unreachable)
            .run("test", &json!({ "managed identity": true }))
            .await;
        let error = ran.error.expect("rejected");
        assert!(
            error
                .message
                .starts_with("No metadata service answers on this machine")
        );
        assert!(!error.retryable);
        assert_eq!(ran.metrics.retries, 0);
    });
}

#[test]
fn certificate_sends_assertion_and_invalid_key_is_reported_at_its_parameter() {
    run(async {
        let server = login().await;
        let lab = Lab::new(&server.url);
        let pem = account(&json!({ "certificate": CERT, "private key": KEY }));
        assert_eq!(token_source(&lab.run("test", &pem).await), "sign_in");
        let seen = server.seen().remove(0);
        assert!(seen.contains("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=ey"), "{seen}");
        assert!(!seen.contains("client_secret"));
        let bad = account(&json!({ "certificate": CERT, "private key": "canary" }));
        let error = lab.run("test", &bad).await.error.expect("rejected");
        assert_eq!(error.at.as_deref(), Some("/connection/private key"));
        assert_eq!(server.seen().len(), 1, "nothing was sent");
    });
}

#[test]
fn login_url_needs_no_code_and_sends_nothing() {
    run(async {
        let unreachable = url::Url::parse("http://127.0.0.1:1").expect("an address");
        let lab = Lab::new(&unreachable);
        let connection = account(
            &json!({ "client secret": "canary-secret", "redirect uri": "https://localhost/r" }),
        );
        let ran = lab.run("url", &connection).await;
        let url = context(&ran)["login_url"]
            .as_str()
            .expect("a URL")
            .to_owned();
        let start = format!(
            "http://127.0.0.1:1/{TENANT}/oauth2/v2.0/authorize?response_type=code&client_id={CLIENT}&redirect_uri=https%3A%2F%2Flocalhost%2Fr&scope=offline_access%20https%3A%2F%2Fmanage.office.com%2F.default&"
        );
        assert!(url.starts_with(&start), "{url}");
        let error = lab.run("url", &json!({})).await.error.expect("rejected");
        let places: Vec<_> = error
            .items
            .iter()
            .filter_map(|item| item.at.as_deref())
            .collect();
        assert_eq!(
            places,
            [
                "/connection/tenant id",
                "/connection/client id",
                "/connection/redirect uri",
                "/connection/client secret"
            ]
        );
    });
}

#[test]
fn insecure_tls_causes_warning_on_success_and_failure() {
    run(async {
        let server = login().await;
        let lab = Lab::new(&server.url);
        let connection = account(
            &json!({ "client secret": "canary-s", "trust any certificate": "true", "use proxy": false }),
        );
        let codes = |ran: &ResultEnvelope| -> Vec<String> {
            ran.warnings
                .iter()
                .map(|warning| warning.code.clone())
                .collect()
        };
        assert_eq!(
            codes(&lab.run("test", &connection).await),
            ["any_certificate_trusted"]
        );
        let unreachable = Lab::new(&url::Url::parse("http://127.0.0.1:1").expect("an address"));
        let failed = unreachable.run("test", &connection).await;
        assert!(failed.error.is_some());
        assert_eq!(codes(&failed), ["any_certificate_trusted"]);
    });
}

#[test]
fn invalid_code_and_missing_state_folder_are_rejected_before_sending() {
    run(async {
        let server = login().await;
        let lab = Lab::new(&server.url);
        let pasted = code_connection("canary-secret", "canary-code&session_state=1");
        let error = lab.run("test", &pasted).await.error.expect("rejected");
        assert_eq!(error.at.as_deref(), Some("/connection/authorization code"));
        let settings = Settings {
            state: None,
            ..lab.settings()
        };
        let host = Host::open(settings, Redactor::default());
        let error = run_on(
            &host,
            "test",
            &code_connection("canary-secret", "canary-code"),
        )
        .await
        .error;
        assert!(error.expect("rejected").assistance.contains("--state"));
        assert!(server.seen().is_empty());
    });
}
