//! For authors of catalogs: a custom manifest, and `validate` for files of every kind.

use std::path::Path;

use serde_json::{Value, json};

use crate::bench::connection;
use crate::process::{feed, run, soarhost};

/// A manifest whose friendly parameters are typed inputs of the operation.
fn manifest(fixed: &Value) -> Value {
    json!({
        "manifest": 1, "id": "own", "title": "Own", "version": "1.0.0", "summary": "Own alerts.",
        "connection": [
            { "id": "tenant_id", "title": "Tenant ID", "type": "string", "summary": "Tenant." },
            { "id": "client_id", "title": "Client ID", "type": "string", "summary": "Client." },
            { "id": "client_secret", "title": "Secret", "type": "string", "secret": true, "summary": "Secret." }],
        "commands": [{ "id": "alerts", "title": "Own Alerts", "kind": "read", "operation": "graph.alerts.fetch",
            "summary": "Alerts.", "fixed": fixed, "inputs": [
                { "id": "severity", "title": "Severity", "type": "list of choice",
                  "choices": ["High", "Medium"], "summary": "How serious." },
                { "id": "who", "title": "Analyst", "to": "assigned_to", "type": "string", "summary": "Who." },
                { "id": "filter", "title": "Filter", "type": "string", "summary": "More." }] }]
    })
}

fn write(file: &Path, value: &Value) -> String {
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, value.to_string()).expect("it is written");
    file.to_string_lossy().into_owned()
}

#[test]
fn manifests_parameter_for_a_typed_input_filters_with_its_value_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    write(
        &folder.path().join("manifests/own.json"),
        &manifest(&json!({})),
    );
    let catalog = folder.path().to_string_lossy().into_owned();
    let request = json!({ "command": "Own Alerts", "options": { "dry_run": true },
        "connection": { "Tenant ID": "11111111-2222-3333-4444-555555555555",
                        "Client ID": "66666666-7777-8888-9999-000000000000", "Secret": "not-a-real-secret" },
        "inputs": { "Severity": ["high", "Medium"], "Analyst": "o'brien' or severity eq 'low",
                    "Filter": "status eq 'new' or status eq 'resolved'" } });
    let args = ["run", "--sandbox", "--catalog", &catalog];
    let (code, result, _) = run(&args, request.to_string());
    assert_eq!(code, 0, "{result}");
    let sent = result["context_data"].to_string();
    let query: String = url::form_urlencoded::parse(sent.as_bytes())
        .map(|(name, value)| [&*name, "=", &*value].concat())
        .collect();
    let wanted = "(severity eq 'high' or severity eq 'medium') and \
                  assignedTo eq 'o''brien'' or severity eq ''low' and \
                  (status eq 'new' or status eq 'resolved')";
    assert!(query.contains(wanted), "{query}");
}

/// The faults that `validate` prints, as `pointer message`.
fn faults(args: &[&str]) -> Vec<String> {
    let output = feed(soarhost(&[&["validate", "--json"], args].concat()), b"");
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = listed["faults"].as_array().expect("faults").iter();
    let found: Vec<String> = found
        .map(|one| {
            assert!(one["line"].is_u64() && one["column"].is_u64(), "{one}");
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("pointer"), text("message"))
        })
        .collect();
    assert_eq!(
        output.status.code(),
        Some(if found.is_empty() { 0 } else { 2 })
    );
    found
}

#[test]
fn file_of_each_kind_is_recognized_and_every_fault_has_a_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |name: &str, value: &Value, wanted: &[&str]| {
        let file = write(&folder.path().join(name), value);
        let found = faults(&[&file]);
        for part in wanted {
            assert!(
                found.iter().any(|one| one.contains(part)),
                "{part} in {found:#?}"
            );
        }
        assert!(!wanted.is_empty() || found.is_empty(), "{found:#?}");
    };
    check("own.json", &manifest(&json!({})), &[]);
    let fixed = json!({ "time_field": "updated", "status": "closed", "top": 0,
                        "service_source": "x {severity}", "tpo": 1 });
    check(
        "fixed.json",
        &manifest(&fixed),
        &[
            "/commands/0/fixed/time_field `time_field` must be one of",
            "/commands/0/fixed/status `status` must be one of unknown, new, inProgress, resolved; got \"closed\"",
            "/commands/0/fixed/top `top` must be a whole number, 1 or more; got 0.",
            "/commands/0/fixed/service_source `{severity}` is not filled in here",
            "/commands/0/fixed/tpo The operation graph.alerts.fetch has no input \"tpo\"",
        ],
    );
    let mut several = manifest(&json!({ "tpo": 1 }));
    several["commands"][0]["kind"] = json!("fetch");
    several["commands"][0]["mapping"] = json!("fetch_evnt");
    check(
        "several.json",
        &several,
        &[
            "/commands/0/kind `commands[0].kind` must be one of ingest, read, write, test",
            "/commands/0/fixed/tpo The operation",
            "/commands/0/mapping There is no mapping",
        ],
    );
    let patch = json!({ "rot": "$", "remove": ["Severty"], "add": [
        { "field": "Severity", "path": ".x" },
        { "field": "Rule", "custom": true, "path": ".a[", "tke": "all" }] });
    check(
        "patch.json",
        &json!({ "command": "Fetch Event", "mapping": { "patch": patch },
                 "inputs": { "Top Recent Event Number": 1 }, "connection": connection() }),
        &[
            "/mapping/patch/rot Unknown key",
            "/mapping/patch/add/1/tke Unknown key",
            "/mapping/patch/remove/0 There is no field \"Severty\"",
            "/mapping/patch/add/0/field The field \"Severity\" is in the mapping already",
            "/mapping/patch/add/1/path The path \".a[\"",
        ],
    );
    let request = json!({ "command": "Fetch Event", "options": { "max_events": "all" },
                          "inputs": { "Top": 1 }, "connection": { "Cloud": "gc" } });
    check(
        "request.json",
        &request,
        &[
            "/options/max_events `options.max_events` must be a whole number, 1 or more; got \"all\".",
            "/connection/Cloud \"Cloud\" must be one of",
            "/connection/Tenant ID \"Tenant ID\" is required.",
            "/inputs/Top There is no parameter \"Top\".",
        ],
    );
    let request = json!({ "command": "test-module", "options": { "state_key": "a b" },
        "integration": "management_activity", "connection": {
            "auth_id": "66666666-7777-8888-9999-000000000000", "enc_key": "not-a-real-secret",
            "refresh_token": "11111111-2222-3333-4444-555555555555",
            "redirect_uri": "https://soar.example/oauth", "auth_code": "not-a-real-code",
            "self_deployed": true } });
    check(
        "code.json",
        &request,
        &["/options/state_key `options.state_key` must be 1 to 128 visible"],
    );
    let mut valid = request;
    valid["options"] = json!({ "state_key": "a" });
    check("valid_code.json", &valid, &[]);
    let profiles = json!({ "profiles": 1, "connections": { "prod": {
        "integration": "purview_audit_alert_v2", "params": { "Tenant": "x", "Cloud": 5 } } } });
    check(
        "profiles.json",
        &profiles,
        &[
            "/connections/prod/params/Tenant There is no parameter \"Tenant\".",
            "/connections/prod/params/Client ID \"Client ID\" is required.",
            "/connections/prod/params/Cloud \"Cloud\" must be one of commercial, gcc, gcc_high, dod; got 5.",
        ],
    );
    let cloud = json!({ "cloud": 1, "id": 5, "login": "https://l.test", "graf": "https://g.test",
                        "management": "https://m.test", "exchange": "https://e.test" });
    check(
        "endpoints.json",
        &cloud,
        &[
            "/graf Unknown key \"graf\"",
            "/id `id` must be text; got 5.",
        ],
    );
    let world = json!({ "world": 1, "sed": 2, "page_size": "ten", "faults": [{ "rout": "x" }],
                        "content": { "generated": [{ "type": "Audit.General" }] } });
    check(
        "world.json",
        &world,
        &[
            "/sed Unknown key \"sed\".",
            "/page_size `page_size` must be a whole number, 1 or more; got \"ten\".",
            "/faults/0/rout Unknown key \"rout\".",
            "/content/generated/0 `content.generated[0].blobs` is missing; it must be",
        ],
    );
    let world = json!({ "page_size": 2, "faults": [{ "route": "graph.alerts", "status": "x" }] });
    check("world_without_version.json", &world, &["/faults/0/status"]);
    check(
        "other.json",
        &json!({ "title": "x" }),
        &["The type of this file is unknown"],
    );
}

#[test]
fn schemas_are_written_to_the_addresses_in_catalog_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().to_string_lossy().into_owned();
    let output = feed(soarhost(&["schema", "--write", &copy]), b"");
    assert!(output.status.success());
    for kind in [
        "manifest",
        "mapping",
        "fields",
        "request",
        "profiles",
        "world",
        "endpoints",
    ] {
        let file = folder
            .path()
            .join(format!("snapshots/schema/{kind}.snap.json"));
        let text = std::fs::read_to_string(&file).expect(kind);
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{kind}");
    }
}

#[test]
fn listed_operation_has_inputs_result_state_and_permissions() {
    let output = feed(soarhost(&["operations", "--json"]), b"");
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for operation in listed["operations"].as_array().expect("operations") {
        for key in ["name", "summary", "result"] {
            assert!(
                operation[key].as_str().is_some_and(|text| !text.is_empty()),
                "{operation}"
            );
        }
        assert_eq!(operation["input_schema"]["type"], "object");
        assert!(operation["state"].is_boolean() && operation["permissions"].is_array());
    }
    let slots = listed["connection"].as_array().expect("slots");
    let secret = |name: &str| {
        slots
            .iter()
            .find(|slot| slot["slot"] == name)
            .map(|slot| &slot["secret"])
    };
    assert_eq!(secret("client_secret"), Some(&json!(true)));
    assert_eq!(secret("tenant_id"), Some(&json!(false)));
}
