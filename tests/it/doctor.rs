//! `doctor`: what it says about each usual cause of "nothing arrives".
//!
//! Users of collectors of this feed report these causes most often, and most collectors say nothing
//! about them:
//!
//!  1. Auditing is turned off in the tenant.
//!  2. A permission was not granted, or has no consent.
//!  3. The permission for data loss prevention is missing, and only its records do not arrive.
//!  4. The subscription to a content type was never started.
//!  5. The subscription was disabled.
//!  6. The first subscription is new: content arrives 12 to 24 hours later.
//!  7. The tenant or the cloud is wrong.
//!  8. The client secret has expired.
//!  9. The token is for another service (wrong audience).
//! 10. The service refuses without a reason ("unknown error").
//!
//! Each of them, and some that are less frequent, is a world of the simulator and a snapshot of the
//! text.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use soarhost::front::cli::{Diagnosis, diagnosis};

use crate::bench::{Bench, CANARY, NOW, block_on, connection_of};
use crate::process::{feed, printed, soarhost};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: &str = "66666666-7777-8888-9999-000000000000";

/// The request of a command with a connection that the default world accepts.
#[expect(clippy::needless_pass_by_value, reason = "callers write `json!`")]
fn request(integration: &str, command: &str, inputs: Value) -> Value {
    json!({ "integration": integration, "command": command,
            "connection": connection_of(integration), "inputs": inputs })
}

fn test_connection() -> Value {
    request("purview_audit_alert_v2", "Test Connection", json!({}))
}

fn collect(inputs: Value) -> Value {
    request("office365_audit", "Collect", inputs)
}

/// A request with another value of one connection parameter.
fn with(mut request: Value, parameter: &str, value: Value) -> Value {
    request["connection"][parameter] = value;
    request
}

/// A world with this application, and subscriptions to all types.
#[expect(clippy::needless_pass_by_value, reason = "callers write `json!`")]
fn app(changes: Value) -> Value {
    let mut app = json!({ "id": CLIENT, "tenant": TENANT, "secrets": [{ "value": CANARY }] });
    for (name, value) in changes.as_object().expect("an object") {
        app[name] = value.clone();
    }
    json!({ "apps": [app], "subscriptions": subscriptions() })
}

fn subscriptions() -> Value {
    let types = [
        "Audit.AzureActiveDirectory",
        "Audit.Exchange",
        "Audit.SharePoint",
        "Audit.General",
        "DLP.All",
    ];
    types
        .iter()
        .map(|name| json!({ "content_type": name }))
        .collect()
}

async fn diagnose(bench: &Bench, request: &Value) -> Diagnosis {
    let limit = Duration::from_secs(5);
    let diagnosis = diagnosis(&bench.host, request.to_string().as_bytes(), limit).await;
    diagnosis.expect("a diagnosis")
}

/// The text with names that do not change, and the exit code.
fn shown(bench: &Bench, diagnosis: &Diagnosis) -> String {
    let text = format!("{}── exit {}\n", diagnosis.text(), diagnosis.exit_code());
    assert!(!text.contains(CANARY), "a secret is shown: {text}");
    bench.with_stable_names(&text)
}

fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/cli"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn assert_diagnosis(name: &str, world: &Value, request: &Value) {
    assert_changed(name, (world, request), |_| {});
}

/// The same with other endpoints.
fn assert_changed(name: &str, (world, request): (&Value, &Value), change: impl FnOnce(&mut Value)) {
    let text = block_on(async {
        let mut bench = Bench::with_two_attempts(&world.to_string(), NOW).await;
        bench.change_endpoints(change);
        let diagnosis = diagnose(&bench, request).await;
        for seen in bench.sim.requests() {
            let changes = ["/start", "/stop"]
                .iter()
                .any(|end| seen.path.ends_with(end));
            assert!(!changes, "{name}: {} {}", seen.method, seen.path);
        }
        shown(&bench, &diagnosis)
    });
    assert_snapshot(name, &text);
}

#[test]
fn each_of_the_ten_usual_causes_is_named() {
    let search = json!({
        "integration": "policy_compliance_audit_log", "command": "o365-auditlog-search",
        "connection": { "organization": TENANT, "app_id": CLIENT, "client_secret": CANARY,
                        "Search With": "Graph" },
    });
    let dlp = json!({ "Content Type": "DLP.All" });
    let dlp = request("purview_audit_alert_v2", "Get Audit Log", dlp);
    let types = json!({ "Content Types": ["Audit.Exchange", "Audit.General"] });
    let only = |types: Value| json!({ "subscriptions": types });
    for (name, world, request) in [
        (
            "doctor_01_auditing_off",
            json!({ "tenants": [{ "id": TENANT, "audit_enabled": false }] }),
            search,
        ),
        (
            "doctor_02_permission_missing",
            app(json!({ "roles": { "graph": ["SecurityAlert.Read.All"] } })),
            test_connection(),
        ),
        (
            "doctor_03_dlp_permission_missing",
            app(json!({ "roles": { "management": ["ActivityFeed.Read"] } })),
            dlp,
        ),
        (
            "doctor_04_subscription_missing",
            only(json!([{ "content_type": "Audit.Exchange" }])),
            collect(types.clone()),
        ),
        (
            "doctor_05_subscription_disabled",
            only(
                json!([{ "content_type": "Audit.Exchange", "status": "disabled" },
                        { "content_type": "Audit.General", "status": "disabled" }]),
            ),
            collect(types),
        ),
        (
            "doctor_06_new_subscription",
            json!({ "subscriptions": subscriptions(), "content": {} }),
            collect(json!({})),
        ),
        (
            "doctor_07_wrong_tenant_or_cloud",
            app(json!({})),
            with(
                test_connection(),
                "Tenant ID",
                json!("99999999-2222-3333-4444-555555555555"),
            ),
        ),
        (
            "doctor_08_expired_secret",
            app(json!({ "secrets": [{ "value": CANARY, "expires": "2026-01-01T00:00:00Z" }] })),
            test_connection(),
        ),
        (
            "doctor_10_unknown_error",
            json!({ "subscriptions": subscriptions(),
                    "faults": [{ "route": "management.subscriptions.list", "status": 401 }] }),
            test_connection(),
        ),
    ] {
        assert_diagnosis(name, &world, &request);
    }
    let world = app(json!({}));
    assert_changed(
        "doctor_09_wrong_audience",
        (&world, &test_connection()),
        |endpoints| {
            endpoints["audiences"] = json!({ "management": "https://graph.microsoft.com" });
        },
    );
}

#[test]
fn less_frequent_causes_are_named() {
    let world = json!({ "subscriptions": subscriptions() });
    for (name, world, request) in [
        ("doctor_works", world.clone(), test_connection()),
        (
            "doctor_search_of_exchange",
            world.clone(),
            json!({ "integration": "policy_compliance_audit_log", "command": "test-module",
                    "connection": { "organization": TENANT, "app_id": CLIENT,
                                    "client_secret": CANARY } }),
        ),
        // The command of this request calls no service, so the integration is tested instead.
        (
            "doctor_managed_identity",
            world.clone(),
            json!({ "integration": "management_activity",
                    "command": "ms-management-activity-auth-reset",
                    "connection": { "use_managed_identities": true } }),
        ),
        (
            "doctor_clock_wrong",
            json!({ "now": "2026-01-14T12:50:00Z", "subscriptions": subscriptions() }),
            test_connection(),
        ),
        (
            "doctor_filter_finds_nothing",
            world.clone(),
            collect(json!({ "Users": ["nobody@contoso.onmicrosoft.com"] })),
        ),
        (
            "doctor_any_certificate_trusted",
            world.clone(),
            with(collect(json!({})), "Trust any certificate", json!(true)),
        ),
        (
            "doctor_settings_invalid",
            world,
            with(
                with(test_connection(), "Client ID", json!("my app")),
                "Tenant",
                json!("x"),
            ),
        ),
    ] {
        assert_diagnosis(name, &world, &request);
    }
    let world = json!({ "subscriptions": subscriptions() });
    let request = test_connection();
    assert_changed(
        "doctor_certificate_not_trusted",
        (&world, &request),
        |endpoints| {
            endpoints["ca"].take();
        },
    );
    // Nothing listens on the port for discarded data.
    assert_changed("doctor_no_connection", (&world, &request), |endpoints| {
        endpoints["management"] = json!("https://127.0.0.1:9");
    });
}

#[test]
fn service_that_does_not_answer_ends_its_stage_at_the_limit() {
    let world = json!({ "subscriptions": subscriptions(),
                        "faults": [{ "route": "graph.alerts", "delay_ms": 60_000 }] });
    let stage = block_on(async {
        let bench = Bench::with_two_attempts(&world.to_string(), NOW).await;
        let request = test_connection().to_string();
        let limit = Duration::from_millis(300);
        let diagnosis = diagnosis(&bench.host, request.as_bytes(), limit).await;
        let stages = diagnosis.expect("a diagnosis").stages;
        stages
            .into_iter()
            .find(|stage| stage.id == "alerts")
            .expect("a stage")
    });
    assert!(
        stage.detail.starts_with("No answer within 0.3 seconds."),
        "{stage:?}"
    );
}

#[test]
fn sandbox_stored_connection_and_proxy_are_diagnosed_by_the_binary() {
    let ports = regex::Regex::new(r"127\.0\.0\.1:\d+").expect("a pattern");
    let output = feed(soarhost(&["doctor", "--sandbox"]), "");
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_snapshot(
        "doctor_sandbox",
        &ports.replace_all(&text, "127.0.0.1:PORT"),
    );

    let folder = tempfile::tempdir().expect("a folder");
    let profiles = folder.path().join("profiles.json");
    let stored = json!({ "profiles": 1, "connections": { "prod": {
        "integration": "purview_audit_alert_v2", "params": test_connection()["connection"] } } });
    std::fs::write(&profiles, stored.to_string()).expect("a file");
    let profiles = profiles.to_str().expect("UTF-8");
    let mut command = soarhost(&["doctor", "prod", "--json", "--profiles", profiles]);
    command.env(
        "HTTPS_PROXY",
        "http://someone:canary-of-a-proxy@127.0.0.1:9",
    );
    let output = feed(command, "");
    let text = printed(&output);
    assert!(
        !text.contains("canary") && !text.contains("someone"),
        "{text}"
    );
    let diagnosis: Value = serde_json::from_str(&text).expect("JSON");
    let stage = |id: &str| {
        let mut stages = diagnosis["stages"].as_array().expect("stages").iter();
        stages.find(|stage| stage["id"] == id).expect("a stage")
    };
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(stage("dns")["detail"], "The proxy resolves the names.");
    assert_eq!(stage("sign_in")["status"], "skipped", "{text}");
    assert_snapshot(
        "doctor_proxy_down",
        &serde_json::to_string_pretty(&diagnosis).expect("JSON"),
    );
}

#[test]
fn name_of_a_proxy_that_cannot_be_resolved_is_a_fault_of_the_proxy() {
    let mut command = soarhost(&["doctor"]);
    // A label of more than 63 bytes is refused before a name server is asked.
    let proxy = format!("http://{}:8080", "a".repeat(64));
    command.env("HTTPS_PROXY", proxy);
    let output = feed(command, test_connection().to_string());
    assert_eq!(output.status.code(), Some(1));
    assert_snapshot("doctor_proxy_without_address", &printed(&output));
}

#[test]
fn nothing_to_diagnose_is_refused() {
    let output = feed(soarhost(&["doctor"]), "");
    assert_eq!(output.status.code(), Some(2));
    let output = [
        printed(&output),
        printed(&feed(soarhost(&["doctor", "prod"]), "")),
    ]
    .concat();
    assert_snapshot("doctor_nothing", &output);
}
