//! For authors of catalogs: a custom manifest, written schemas, and listed operations. Snapshots of
//! `validate` are in `cli`.

use serde_json::{Value, json};

use crate::process::{feed, run, soarhost};

#[test]
fn manifests_parameter_for_a_typed_input_filters_with_its_value_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifests = folder.path().join("manifests");
    std::fs::create_dir(&manifests).expect("a folder");
    let own = include_str!("faulty_files/manifest_valid.json");
    std::fs::write(manifests.join("own.json"), own).expect("a file");
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

#[test]
fn reference_page_that_differs_or_is_missing_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let run_in = |args: &[&str]| {
        let mut command = soarhost(args);
        command.current_dir(&folder);
        let output = feed(command, b"");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code(), text)
    };
    let pages = folder.path().join("snapshots/reference");
    std::fs::create_dir_all(&pages).expect("a folder");
    let (_, page) = run_in(&["reference", "office365_audit"]);
    let file = pages.join("office365_audit.snap.md");
    std::fs::write(&file, &page).expect("a file");
    let check = ["reference", "office365_audit", "--check"];
    assert_eq!(run_in(&check), (Some(0), String::new()));
    std::fs::write(&file, page + "\n").expect("a file");
    let path = "snapshots/reference/office365_audit.snap.md";
    let advice = format!("Write it: soarhost reference office365_audit > {path}\n");
    assert_eq!(
        run_in(&check),
        (Some(1), format!("{path} differs. {advice}"))
    );
    let (code, missing) = run_in(&["reference", "--check"]);
    assert_eq!(code, Some(1));
    assert!(
        missing.contains("snapshots/reference/ocsf.snap.md is missing."),
        "{missing}"
    );
}

#[test]
fn own_catalog_has_the_standard_vocabularies() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = folder.path().join("own").display().to_string();
    let output = feed(soarhost(&["init", &catalog]), b"");
    assert!(output.status.success());
    let record = r#"{"CreationTime":"2026-09-20T01:00:00","Id":"1","Operation":"SendAs","Workload":"Exchange"}"#;
    let output = feed(
        soarhost(&["map", "--as", "ocsf", "--catalog", &catalog]),
        record,
    );
    let event: Value = serde_json::from_slice(&output.stdout).expect("an event");
    assert_eq!(event["class_name"], "Email Activity", "{event}");
    let output = feed(soarhost(&["reference", "--catalog", &catalog]), b"");
    let page = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(page.starts_with("# ") && !page.contains("OCSF"), "{page}");
}
