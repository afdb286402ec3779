//! The integration that returns faults on request, with the binary: exit codes, the rules of stdout,
//! signals, and a reader that closes stdout.

use std::io::Read;
use std::process::Child;

use serde_json::{Value, json};
use soarhost::host::catalog::Catalog;
use soarhost::host::{Cancel, Host, Settings};
use soarhost::manifest::param::Choices;
use soarhost::protocol::{Redactor, Signal};

use crate::bench::block_on;
use crate::process::{feed, run, signal, soarhost, start};

/// Each kind of error, with its exit code and whether a retry can succeed.
const KINDS: [(&str, i32, bool); 19] = [
    ("malformed_request", 2, false),
    ("request_too_large", 2, false),
    ("unsupported_protocol", 2, false),
    ("unknown_name", 2, false),
    ("invalid_input", 2, false),
    ("invalid_manifest", 2, false),
    ("invalid_mapping", 2, false),
    ("secret_unavailable", 2, false),
    ("auth_failed", 1, false),
    ("forbidden", 1, false),
    ("rejected", 1, false),
    ("bad_response", 1, false),
    ("throttled", 75, true),
    ("unavailable", 75, true),
    ("network", 75, true),
    ("timeout", 75, true),
    ("busy", 75, true),
    ("cancelled", 143, true),
    ("internal", 70, false),
];

fn request(command: &str, inputs: &Value) -> String {
    json!({ "id": "1", "integration": "chaos", "command": command, "inputs": inputs }).to_string()
}

/// Runs a command and checks the rules of results: one line (checked by `run`), eighteen keys, an
/// error if and only if it was not successful, and exit 0 if and only if it was.
fn checked_run(command: &str, inputs: &Value) -> (i32, Value) {
    let (code, result, _) = run(&["run"], request(command, inputs));
    assert_eq!(result.as_object().map(serde_json::Map::len), Some(18));
    let successful = result["return_data"] == "Successful";
    assert_eq!(result["error"].is_null(), successful, "{result}");
    assert_eq!(code == 0, successful, "{result}");
    (code, result)
}

#[test]
fn every_kind_has_its_exit_code() {
    for (kind, exit, retryable) in KINDS {
        let (code, result) = checked_run("Fail", &json!({ "Kind": kind, "Retry After": 7 }));
        let error = &result["error"];
        assert_eq!((code, &error["kind"]), (exit, &json!(kind)));
        assert_eq!(error["retryable"], retryable, "{kind}");
        assert_eq!(error["retry_after_ms"], 7, "{kind}");
        assert_eq!(result["return_data"], "Failed", "{kind}");
        let sentence = format!(
            "Fail failed. Status Code: {}. Message: {}",
            error["status_code"].as_str().expect("a code"),
            error["message"].as_str().expect("a message")
        );
        assert_eq!(result["result"], sentence);
    }
    let interrupted = json!({ "Kind": "cancelled", "Message": "Stopped by SIGINT." });
    assert_eq!(checked_run("Fail", &interrupted).0, 130);
}

#[test]
fn every_kind_is_a_choice_of_the_command() {
    let catalog = Catalog::builtin().expect("the catalog");
    let target = catalog.find(Some("chaos"), "Fail").expect("the command");
    let kind = &target.command.inputs[0];
    let choices = kind.choices.as_ref().map(Choices::values);
    assert_eq!(choices.expect("choices"), KINDS.map(|(kind, _, _)| kind));
    let schema = Value::from((target.operation.input)());
    let known = &schema["$defs"]["ErrorKind"]["oneOf"];
    assert_eq!(known.as_array().map(Vec::len), Some(KINDS.len()));
}

#[test]
fn panic_has_a_result() {
    let (code, result) = checked_run("Fail", &json!({ "Kind": "internal", "Panic": true }));
    assert_eq!((code, &result["error"]["kind"]), (70, &json!("internal")));
    let lines = [
        request("Fail", &json!({ "Kind": "internal", "Panic": true })),
        request("Sleep", &json!({ "Duration": 1 })),
    ];
    let output = feed(soarhost(&["run", "--batch"]), lines.join("\n"));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 2, "the next line of the batch runs");
    assert_eq!(output.status.code(), Some(70));
}

#[test]
fn partial_success_exits_with_3_for_each_kind() {
    for kind in ["rejected", "throttled", "bad_response", "timeout"] {
        let (code, result) = checked_run("Partial", &json!({ "Kind": kind }));
        assert_eq!((code, &result["error"]["kind"]), (3, &json!(kind)));
        assert_eq!(result["events"].as_array().map(Vec::len), Some(10));
        assert_eq!(result["coverage"]["complete"], false);
        assert!(result["more"] == true && result["state"].is_object());
    }
    let (code, _) = checked_run("Partial", &json!({ "Kind": "cancelled" }));
    assert_eq!(code, 143);
}

#[test]
fn large_result_is_complete() {
    let bytes = 8 * 1024 * 1024;
    let output = feed(
        soarhost(&["run"]),
        request("Huge", &json!({ "Bytes": bytes })),
    );
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.matches('\n').count(), 1);
    let (_, rest) = text.split_once("\"raw_data\":").expect("the key");
    let (raw, _) = rest.split_once(",\"readable\":").expect("the next key");
    assert_eq!(raw.len(), bytes);
    let records: Vec<Value> = serde_json::from_str(raw).expect("an array");
    let result: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(result["metrics"]["records"], records.len());
}

fn started(request: &str) -> Child {
    start(soarhost(&["run", "--log-level", "off"]), request)
}

#[test]
fn stdout_closed_while_writing_ends_the_run_silently() {
    let mut child = started(&request("Huge", &json!({ "Bytes": 8 * 1024 * 1024 })));
    let mut beginning = [0; 1000];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut beginning).expect("it has begun");
    drop(stdout);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(141));
    assert!(output.stderr.is_empty(), "{:?}", output.stderr);
}

/// Waits until the process handles signals.
fn wait_for_signal_handlers(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    let catches = |line: &str| {
        let caught = line.strip_prefix("SigCgt:").map(str::trim)?;
        u64::from_str_radix(caught, 16).ok()
    };
    // SIGINT is 2 and SIGTERM is 15: bits 1 and 14.
    let both = 1 << 1 | 1 << 14;
    loop {
        let text = std::fs::read_to_string(&status).expect("a process");
        if text.lines().find_map(catches).expect("a line") & both == both {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn signal_ends_a_sleep_with_a_result() {
    for (name, exit) in [("TERM", 143), ("INT", 130)] {
        let child = started(&request("Sleep", &json!({ "Duration": 600_000 })));
        wait_for_signal_handlers(&child);
        signal(&child, name);
        let output = child.wait_with_output().expect("it ends");
        let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
        assert_eq!(result["error"]["kind"], "cancelled");
        assert_eq!(output.status.code(), Some(exit));
    }
}

#[test]
fn signal_during_the_check_of_a_large_request_returns_a_result() {
    let mut request: Value =
        serde_json::from_str(&request("Sleep", &json!({ "Duration": 600_000 })))
            .expect("a request");
    request["meta"] = json!({ "filler": "x".repeat(4 * 1024 * 1024) });
    let child = started(&request.to_string());
    // For a large request, the handlers are installed before the check.
    wait_for_signal_handlers(&child);
    signal(&child, "TERM");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(143));
    let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
    assert_eq!(result["error"]["kind"], "cancelled");
}

#[test]
fn signal_during_the_check_returns_a_result() {
    let host = Host::open(Settings::default(), Redactor::default());
    let cancel = Cancel::default();
    cancel.raise(Signal::Terminate);
    let line = request("Sleep", &json!({ "Duration": 600_000 }));
    let checked = host
        .check(line.as_bytes(), &cancel)
        .expect("a valid request");
    let result = block_on(host.run(checked)).result;
    assert_eq!(result.exit_code(), 143);
    let mut line: Value = serde_json::from_str(&request("Slow Page", &json!({}))).expect("JSON");
    line["mapping"] = json!("chaos/record");
    let refused = host.check(line.to_string().as_bytes(), &cancel);
    let error = refused.expect_err("it is stopped").error.expect("an error");
    assert_eq!(
        error.message,
        "Stopped by SIGTERM before the mapping was compiled."
    );
}

#[test]
fn signal_between_pages_returns_the_received_records_and_a_state() {
    let host = Host::open(Settings::default(), Redactor::default());
    let cancel = Cancel::default();
    let inputs = json!({ "Pages": 2, "Records": 3, "Pause": 600_000 });
    let line = request("Slow Page", &inputs);
    let checked = host
        .check(line.as_bytes(), &cancel)
        .expect("a valid request");
    // The first page is delivered when the run waits for the first time.
    let stop = async { cancel.raise(Signal::Terminate) };
    let (ran, _) = block_on(futures_util::future::join(host.run(checked), stop));
    let result = serde_json::to_value(&ran.result).expect("JSON");
    assert_eq!(ran.result.exit_code(), 143);
    assert_eq!(result["return_data"], "Partially Successful");
    assert_eq!(result["events"].as_array().map(Vec::len), Some(3));
    assert!(result["more"] == true && result["state"].is_object());
}

#[test]
fn second_signal_ends_a_run_whose_reader_waits() {
    // Only the beginning is read, so most of the result cannot be written.
    let mut child = started(&request("Huge", &json!({ "Bytes": 8 * 1024 * 1024 })));
    let mut beginning = [0; 1];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut beginning).expect("it has begun");
    let began = std::time::Instant::now();
    while child.try_wait().expect("a process").is_none() {
        assert!(began.elapsed().as_secs() < 10, "it hangs");
        signal(&child, "TERM");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(child.wait().expect("it ended").code(), Some(143));
}
