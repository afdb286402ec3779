//! `map`: events as the input arrives, closed pipes, faulty records, and explanations.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::process::{feed, printed, soarhost};

const MAPPING: &str = "purview_audit_alert_v2/fetch_event";
const SAMPLE: &str =
    "tests/samples/purview_audit_alert_v2/fetch_event/mail_with_malicious_file.json";

fn shown(args: &[&str], input: &str) -> String {
    let output = feed(soarhost(args), input);
    let code = output.status.code().unwrap_or(-1);
    format!("{}\n── exit {code}\n", printed(&output).trim_end())
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/cli"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn explanation_shows_source_nodes_steps_and_the_nearest_member() {
    let mapping = "tests/it/explained_mapping.json";
    settings().bind(|| {
        insta::assert_snapshot!(
            "map_explain",
            [
                shown(&["map", "--help"], ""),
                shown(&["map", mapping, SAMPLE, "--explain"], ""),
                shown(&["map", MAPPING, SAMPLE, "--explain"], ""),
            ]
            .concat()
        );
    });
    let output = feed(
        soarhost(&["map", mapping, SAMPLE, "--explain", "--json"]),
        "",
    );
    let whole: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let fields = whole["events"][0]["fields"].as_object().expect("fields");
    let explained = whole["explain"].as_array().expect("explanations");
    for one in explained {
        let name = one["field"].as_str().expect("a name");
        let steps = one["steps"].as_array().expect("steps");
        let last = &steps.last().expect("a step")["value"];
        assert_eq!(fields.get(name).unwrap_or(&Value::Null), last, "{name}");
    }
    let of = |name: &str| {
        explained
            .iter()
            .find(|one| one["field"] == name)
            .expect("it")
    };
    assert_eq!(of("User Evidence")["near"], "accountName");
    assert_eq!(of("Recipient")["near"], "[*].recipientEmailAddress");
    assert_eq!(
        of("Sender IP")["nodes"][1],
        "$['evidence'][1]['@odata.type']"
    );
    let source = json!({ "source": "high", "when": "@.severity == 'high'", "holds": false });
    assert_eq!(
        whole["sources"],
        json!([{ "record": 0, "source": "rest", "conditions": [source] }])
    );
}

#[test]
fn records_in_lines_are_mapped_and_faulty_ones_are_reported() {
    let lines = "{\"id\":\"a1\"}\n{\"id\":\n\n5\n{\"id\":\"a2\"}\n";
    let truncated = "{\"value\":[{\"id\":\"a1\"},{\"id\":";
    settings().bind(|| {
        insta::assert_snapshot!(
            "map_faults",
            [
                shown(&["map", MAPPING], lines),
                shown(&["map", MAPPING, "--json"], lines),
                shown(&["map", MAPPING], truncated),
                shown(&["map", MAPPING, "--json"], truncated),
                shown(&["map", MAPPING], "{\"value\":[{\"id\":"),
                shown(&["map", MAPPING], "{\"valeu\":[{\"id\":1}]}"),
                shown(&["map", MAPPING], ""),
                shown(&["map", MAPPING], &"{\"id\":\n".repeat(30)),
            ]
            .concat()
        );
    });
}

#[test]
fn event_is_printed_before_the_next_record_arrives() {
    let mut child = soarhost(&["map", MAPPING]).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut events = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for id in ["a1", "a2", "a3"] {
        writeln!(input, "{{\"id\":\"{id}\",\"severity\":\"high\"}}").expect("a line");
        let event = events.next().expect("an event").expect("UTF-8");
        assert!(event.contains(id), "{event}");
    }
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn closed_pipe_ends_the_mapping_silently() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("records.ndjson");
    std::fs::write(
        &file,
        "{\"id\":\"a1\",\"severity\":\"high\"}\n".repeat(4_000),
    )
    .expect("a file");
    let path = file.to_str().expect("UTF-8");
    let mut command = soarhost(&["map", MAPPING, path]);
    let mut child = command.stdin(Stdio::null()).spawn().expect("it starts");
    let mut first = [0; 10];
    let mut events = child.stdout.take().expect("a pipe");
    events.read_exact(&mut first).expect("an event");
    drop(events);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(141), 0));
}

#[test]
fn suggestions_are_lines_for_a_mapping_file() {
    let suggest = ["mapping", "suggest", SAMPLE, "--mapping", MAPPING];
    let folder = tempfile::tempdir().expect("a folder");
    let odd = folder.path().join("odd.json");
    std::fs::write(&odd, "[1").expect("a file");
    settings().bind(|| {
        insta::assert_snapshot!(
            "mapping_suggest",
            [
                shown(&["mapping", "suggest", "--help"], ""),
                shown(&suggest, ""),
                shown(&[&suggest[..], &["--json"]].concat(), ""),
                shown(&["mapping", "suggest", "tests/it/faulty/record.json"], ""),
                shown(&["mapping", "suggest", odd.to_str().expect("UTF-8")], ""),
            ]
            .concat()
        );
    });
}

#[test]
fn output_of_try_is_raw_data_for_every_root_and_for_samples() {
    let tried = feed(soarhost(&["try", "Fetch Event", "--json"]), "").stdout;
    let tried = String::from_utf8(tried).expect("UTF-8");
    let result: Value = serde_json::from_str(&tried).expect("JSON");
    let alerts = result["result"]["raw_data"]["value"]
        .as_array()
        .expect("alerts")
        .len();
    let text = shown(&["map", "purview_audit_alert_v2/fetch_event"], &tried);
    assert_eq!(text.matches("{\"key\":").count(), alerts, "{text}");
    let text = shown(&["map", "--as", "ocsf"], &tried);
    assert_eq!(
        text.matches("Detection Finding: ").count(),
        alerts,
        "{text}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, text).expect("a file");
        file.to_str().expect("UTF-8").to_owned()
    };
    let saved = write("samples/a/tried.json", &tried);
    let mapping = |field: &str| {
        json!({ "mapping": 1, "id": "a", "root": "$..value", "sources": [
            { "id": "default", "fields": [{ "field": field, "path": ".title" }] }] })
    };
    let own = write("mappings/a.json", &mapping("Alert Name").to_string());
    let text = shown(&["map", &own, &saved], "");
    assert_eq!(text.matches("\"Alert Name\":").count(), alerts, "{text}");
    let arguments = [
        "mapping",
        "test",
        "--update",
        folder.path().to_str().expect("UTF-8"),
    ];
    let mut command = soarhost(&arguments);
    command.env_remove("CI");
    let output = feed(command, "");
    assert!(
        printed(&output).ends_with("1 sample passed, 0 failed.\n"),
        "{}",
        printed(&output)
    );

    // The mapping is checked as `validate` checks it.
    write("mappings/a.json", &mapping("Alert Nam").to_string());
    let mut command = soarhost(&arguments);
    command.env_remove("CI");
    let output = feed(command, "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).contains("Did you mean \"Alert Name\"?"),
        "{}",
        printed(&output)
    );
}

#[test]
fn missing_mapping_and_mapping_of_the_current_folder_are_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = String::new();
    std::fs::create_dir(folder.path().join("mappings")).expect("a folder");
    std::fs::write(folder.path().join("mappings/own.json"), "{}").expect("a file");
    std::fs::write(folder.path().join("answer.json"), r#"{"value":[]}"#).expect("a file");
    for args in [
        ["map", "own", "answer.json"].as_slice(),
        &["map", "answer.json"],
    ] {
        let mut command = soarhost(args);
        command.current_dir(folder.path());
        let output = feed(command, "");
        assert_eq!(output.status.code(), Some(2));
        text.push_str(&printed(&output));
    }
    settings().bind(|| insta::assert_snapshot!("map_mapping_is_missing", text));
}
