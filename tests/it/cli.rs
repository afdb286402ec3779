//! The binary: help, sub-commands, signals, and the simulator as a server.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Child;

use serde_json::{Value, json};

use crate::bench::{CANARY, NOW, connection, files};
use crate::process::{feed, printed, refused, run, signal, soarhost, start, wait_for_log};

/// Stdout, stderr and the exit code of a sub-command.
fn shown(args: &[&str]) -> String {
    let output = feed(soarhost(args), "");
    let code = output.status.code().unwrap_or(-1);
    format!("{}\n── exit {code}\n", printed(&output).trim_end())
}

/// The stdout of a sub-command that must succeed.
fn stdout(args: &[&str]) -> String {
    let output = feed(soarhost(args), "");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn fetch_event(count: u32) -> Value {
    json!({ "command": "Fetch Event", "id": "same", "connection": connection(),
            "inputs": { "Top Recent Event Number": count } })
}

#[test]
fn help_and_errors_are_snapshots() {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/cli"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, args) in [
            ("help", &["--help"][..]),
            ("run_help", &["run", "--help"]),
            ("poll_help", &["poll", "--help"]),
            ("settings_help", &["help", "settings"]),
            ("list_help", &["list", "--help"]),
            ("list", &["list"]),
            (
                "describe",
                &["describe", "purview_audit_alert_v2.Fetch Event"],
            ),
            ("sample", &["sample", "fetch event"]),
            ("validate", &["validate"]),
            ("validate_faults", &["validate", "tests/it/faulty"]),
        ] {
            insta::assert_snapshot!(name, shown(args));
        }
        insta::assert_snapshot!(
            "unknown_names",
            [
                shown(&["sample", "fetch"]),
                shown(&["try", "test-module"]),
                shown(&["try", "42"]),
                shown(&["describe", "nothing"]),
                shown(&["schema", "nothing"]),
                shown(&["map", "nothing"]),
                shown(&["lst"]),
            ]
            .concat()
        );
        insta::assert_snapshot!(
            "rules_help",
            [
                shown(&["rules", "--help"]),
                shown(&["rules", "test", "--help"]),
                shown(&["rules", "explain", "--help"]),
            ]
            .concat()
        );
        let record = "tests/it/faulty/record.json";
        insta::assert_snapshot!(
            "rules",
            [
                shown(&["rules", "test"]),
                shown(&["rules", "test", "tests/it/faulty"]),
                shown(&["rules", "test", "tests/it/faulty", "--json"]),
                shown(&["rules", "test", "src"]),
                shown(&["rules", "explain", "inbox_rule_forwards", record]),
                shown(&["rules", "explain", "malware_in_file", record, "--json"]),
                shown(&["rules", "explain", "password_spray", record]),
                shown(&["rules", "explain", "malware_in_files", record]),
            ]
            .concat()
        );
        let world = "tests/it/faulty/world.json";
        let files = files(Path::new("tests/it/faulty_files"));
        let files = files.iter().map(|file| file.to_str().expect("UTF-8"));
        let args: Vec<&str> = ["validate", "--log-level", "off"]
            .into_iter()
            .chain(files)
            .collect();
        insta::assert_snapshot!("validate_files", shown(&args));
        insta::assert_snapshot!(
            "world_faults",
            [
                shown(&["validate", world]),
                shown(&["simulate", "--world", world]),
            ]
            .concat()
        );
    });
}

#[test]
fn fault_injection_is_listed_last_and_only_on_request() {
    assert!(!shown(&["list"]).contains("chaos"));
    assert!(!shown(&["describe"]).contains("chaos"));
    let all = shown(&["list", "--all"]);
    assert!(
        all.find("chaos@") > all.find("purview_audit_alert_v2@"),
        "{all}"
    );
    assert!(
        shown(&["describe", "chaos"]).contains("chaos@"),
        "it is named"
    );
    assert_eq!(shown(&["settings"]), shown(&["help", "settings"]));
}

#[test]
fn failure_is_logged_with_cause_advice_places_and_the_operators_flags() {
    let mut request = fetch_event(1);
    request["inputs"]["Start Time"] = json!("2026-09-17");
    request["inputs"]["End Time"] = json!("2026-09-19");
    let args = ["run", "--sandbox", "--now", NOW];
    let (_, result, log) = run(&args, request.to_string());
    let lines: Vec<&str> = log.lines().collect();
    let message = result["error"]["message"].as_str().expect("a message");
    assert!(lines[0].starts_with("error: Fetch Event failed.") && lines[0].ends_with(message));
    assert_eq!(
        lines[1],
        "  cause: The window is 48 hours long. The maximum is 24 hours."
    );
    assert!(lines[2].starts_with("  advice: Set both times"), "{log}");
    assert_eq!(lines[3], "  at: /inputs/End Time");
    let flags = format!(" | soarhost run --sandbox --now {NOW}");
    assert!(lines[4].ends_with(&flags), "{log}");

    let faulty = json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": "x" } });
    let (_, result, log) = run(&["run"], faulty.to_string());
    for item in result["error"]["items"].as_array().expect("items") {
        let (at, message) = (item["at"].as_str(), item["message"].as_str());
        let (at, message) = (at.expect("a place"), message.expect("a message"));
        let line = format!("\n  fault: {at}: {message}\n");
        assert!(log.contains(&line), "{line} in {log}");
    }
    let (_, _, log) = run(&["run", "--log-format", "json"], faulty.to_string());
    let line: Value = serde_json::from_str(&log).expect("one JSON line");
    assert_eq!(
        (&line["level"], line["advice"].is_string()),
        (&json!("ERROR"), true)
    );
}

/// On a terminal, a run of this length has a progress line.
#[test]
fn stderr_that_is_not_a_terminal_has_no_progress_line() {
    let request = json!({ "integration": "chaos", "command": "Sleep",
                          "inputs": { "duration_ms": 700 } });
    let (code, _, log) = run(&["run"], request.to_string());
    assert_eq!((code, log.as_str()), (0, ""));
}

#[test]
fn fault_of_an_operators_file_names_the_file_and_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let profiles = file(
        "profiles.json",
        r#"{"profiles":1,
"connections":{"prod":
{"integration":"purview_audit_alert_v2","params":{"Tenant ID":"t",
"Tenant":"t"}}}}"#,
    );
    let endpoints = file(
        "endpoints.json",
        "{\"cloud\":1,\n\"id\":\"x\",\n\"grph\":1}",
    );
    let roots = file("roots.pem", "nothing");
    let request = fetch_event(1);
    let mut stored = fetch_event(1);
    stored["connection"] = json!("prod");
    for (flag, file, request, line) in [
        ("--endpoints", &endpoints, &request, ":3"),
        ("--profiles", &profiles, &stored, ":4"),
        ("--ca-file", &roots, &request, ""),
    ] {
        let (code, result, _) = run(&["run", flag, file], request.to_string());
        let message = result["error"]["message"].as_str().expect("a message");
        let expected = format!("{file}{line}: ");
        assert!(message.contains(&expected), "{expected} in {message}");
        let at = result["error"]["at"].as_str().expect("a place");
        assert!(at.starts_with(flag), "{flag} in {at}");
        assert_eq!(code, 2, "{message}");
    }
}

#[test]
fn every_schema_is_printed_as_its_snapshot() {
    for name in [
        "request",
        "result",
        "manifest",
        "mapping",
        "patch",
        "endpoints",
        "profiles",
        "world",
    ] {
        let snapshot = std::fs::read_to_string(format!(
            "{}/snapshots/schema/{name}.snap.json",
            env!("CARGO_MANIFEST_DIR")
        ));
        let schema = stdout(&["schema", name]);
        assert_eq!(schema, snapshot.expect("a snapshot"), "{name}");
    }
}

#[test]
fn try_shows_a_request_and_events_of_all_twenty_fields() {
    let text = stdout(&["try", "Fetch Event", "--now", NOW, "--json"]);
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(shown["request"]["command"], "Fetch Event");
    assert_eq!(shown["result"]["warnings"], json!([]));
    let events = shown["result"]["events"].as_array().expect("events");
    let mut fields: Vec<&String> = events
        .iter()
        .flat_map(|event| event["fields"].as_object().expect("fields").keys())
        .collect();
    fields.sort();
    fields.dedup();
    assert_eq!(fields.len(), 20, "{fields:?}");
    let text = stdout(&["try", "Fetch Event", "--now", NOW]);
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| 2"))
        .collect();
    assert_eq!(rows.len(), events.len(), "{text}");
    assert!(rows.is_sorted_by(|one, next| one >= next), "{text}");
    assert!(
        text.contains("Fetch Event succeeded: ") && text.contains(" Complete: "),
        "{text}"
    );
    for spelling in [
        "fetch_event",
        "fetchEvent",
        "purview_audit_alert_v2.FETCH EVENT",
    ] {
        stdout(&["try", spelling]);
    }
}

#[test]
fn try_says_whether_more_data_exists() {
    let text = stdout(&["try", "o365-auditlog-search", "--now", NOW]);
    assert!(text.contains("More data exists"), "{text}");
    assert!(!text.contains("nothing is missing"), "{text}");
}

#[test]
fn try_uses_the_built_in_world_that_is_named() {
    let start = ["try", "Get Audit Log", "--now", NOW];
    let text = stdout(&[&start[..], &["--world", "attack_story"]].concat());
    assert!(text.contains("203.0.113.20"), "{text}");
    let output = soarhost(&["try", "Get Audit Log", "--world", "none"]).output();
    let error = String::from_utf8(output.expect("an end").stderr).expect("UTF-8");
    let wanted = "there are default, attack_story, quiet_day";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn raw_data_mapped_offline_has_the_same_events() {
    let output = feed(
        soarhost(&["run", "--sandbox", "--now", NOW]),
        fetch_event(40).to_string(),
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let cut = |from: &str, to: &str| {
        let start = text.find(from).expect("the key") + from.len();
        let end = text[start..].find(to).expect("the next key");
        text[start..start + end].to_owned()
    };
    let events = cut("\"events\":[", "],\"key_fields\":");
    let raw = cut("\"raw_data\":", ",\"readable\":");
    let mapped = feed(
        soarhost(&["map", "purview_audit_alert_v2/fetch_event"]),
        raw,
    );
    assert_eq!(mapped.status.code(), Some(0));
    let lines = String::from_utf8(mapped.stdout).expect("UTF-8");
    assert_eq!(lines.lines().collect::<Vec<_>>().join(","), events);
    assert!(lines.lines().count() > 20);
    let of_result = feed(
        soarhost(&["map", "purview_audit_alert_v2/fetch_event"]),
        text.as_bytes(),
    );
    assert_eq!(String::from_utf8(of_result.stdout).expect("UTF-8"), lines);
    let without = r#"{"protocol":1,"return_data":"Failed","raw_data":null}"#;
    let refused = feed(
        soarhost(&["map", "purview_audit_alert_v2/fetch_event"]),
        without.as_bytes(),
    );
    let log = String::from_utf8(refused.stderr).expect("UTF-8");
    assert!(log.contains("The result has no `raw_data`"), "{log}");
}

#[test]
fn printed_sample_runs_in_the_sandbox() {
    let sample = stdout(&["sample", "Fetch Event"]);
    let (code, result, _) = run(&["run", "--sandbox"], sample);
    assert_eq!(
        (code, &result["return_data"]),
        (0, &json!("Successful")),
        "{}",
        result["result"]
    );
}

#[test]
fn repeated_run_differs_only_in_metrics() {
    let once = || {
        let args = ["run", "--sandbox", "--now", NOW];
        let (_, mut result, _) = run(&args, fetch_event(20).to_string());
        result["metrics"] = Value::Null;
        // The sandbox has another port each time.
        let text = result.to_string();
        let port = regex::Regex::new(r"127\.0\.0\.1:\d+").expect("a pattern");
        port.replace_all(&text, "HOST").into_owned()
    };
    assert_eq!(once(), once());
}

/// A simulator in another process, which is killed on drop.
pub struct Served {
    child: Child,
    endpoints: tempfile::NamedTempFile,
}

impl Served {
    pub fn start(world: &str, more: &[&str]) -> Self {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(world.as_bytes()).expect("a world");
        let path = file.path().to_string_lossy().into_owned();
        let args = [&["simulate", "--world", &path, "--now", NOW], more].concat();
        let mut child = soarhost(&args).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut printed = String::new();
        while !printed.ends_with("\n}\n") {
            printed.push_str(&lines.next().expect("it prints a file").expect("UTF-8"));
            printed.push('\n');
        }
        let mut endpoints = tempfile::NamedTempFile::new().expect("a file");
        endpoints.write_all(printed.as_bytes()).expect("endpoints");
        Served { child, endpoints }
    }

    /// The endpoints file.
    pub fn endpoints(&self) -> &Path {
        self.endpoints.path()
    }

    /// The arguments of a run that uses this simulator.
    fn args(&self, more: &[&str]) -> Vec<String> {
        let path = self.endpoints.path().to_string_lossy();
        let args = [&["run", "--now", NOW, "--endpoints", &path], more].concat();
        args.into_iter().map(str::to_owned).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn endpoints_file_that_simulate_prints_works_in_run() {
    for more in [vec![], vec!["--plain"]] {
        let served = Served::start("{}", &more);
        let (code, result, log) = run(&served.args(&[]), fetch_event(2).to_string());
        assert_eq!(code, 0, "{log}");
        assert_eq!(result["events"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn first_signal_ends_the_run_with_a_result_and_its_exit_code() {
    let world = r#"{"faults":[{"route":"graph.alerts","delay_ms":600000}]}"#;
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let served = Served::start(world, &[]);
        let command = soarhost(&served.args(&["--log-level", "debug"]));
        let mut child = start(command, fetch_event(2).to_string());
        wait_for_log(&mut child, "alerts_v2");
        signal(&child, name);
        let output = child.wait_with_output().expect("it ends");
        let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
        assert_eq!(result["error"]["kind"], "cancelled", "{result}");
        assert_eq!(output.status.code(), Some(code));
        let message = result["error"]["message"].as_str().expect("a message");
        assert!(message.contains(&format!("SIG{name}")), "{message}");
    }
}

#[test]
fn secret_of_every_reference_form_is_not_in_output_or_the_state_folder() {
    // The service answers two runs with an error, and the other two with plain text.
    let world = r#"{"faults":[{"route":"graph.alerts","nth":[1,2],"status":400,"body":{"error":{"code":"BadRequest","message":"You sent CANARY."}}},
        {"route":"graph.alerts","nth":[3,4],"status":400,"body":"You sent CANARY."}]}"#;
    let world = world.replace("CANARY", CANARY);
    let served = Served::start(&world, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), format!("{CANARY}\n")).expect("a file");
    let dir = folder.path().to_string_lossy().into_owned();
    let state = folder.path().join("state");
    let store = state.to_string_lossy().into_owned();
    for secret in [
        CANARY.to_owned(),
        format!("literal:{CANARY}"),
        "env:SOAR_CANARY".into(),
        "file:secret".into(),
    ] {
        for dry_run in [false, true] {
            let mut request = fetch_event(2);
            request["connection"]["Client Secret"] = json!(secret);
            request["options"] = json!({ "dry_run": dry_run, "state_key": "canary" });
            let args = [
                "--log-level",
                "trace",
                "--secrets-dir",
                &dir,
                "--state",
                &store,
            ];
            let mut command = soarhost(&served.args(&args));
            command.env("SOAR_CANARY", CANARY);
            let mut text = printed(&feed(command, request.to_string()));
            for file in files(&state) {
                text.push_str(&std::fs::read_to_string(file).expect("text"));
            }
            let encoded: String = url::form_urlencoded::byte_serialize(CANARY.as_bytes()).collect();
            assert!(
                !text.contains(CANARY) && !text.contains(&encoded),
                "{secret}: {text}"
            );
            assert!(!text.contains("eyJ0eXAi"), "a token: {text}");
            if !dry_run {
                assert!(
                    text.contains("You sent ***."),
                    "the service's message with the secret redacted: {text}"
                );
            }
        }
    }
}

/// Neither the secrets of a sign-in method nor tokens are in output or in token files.
#[test]
fn secret_of_every_sign_in_method_is_not_in_output_or_token_files() {
    let key = include_str!("../../src/identity/certificate/fixtures/key.pem");
    let cert = include_str!("../../src/identity/certificate/fixtures/cert.pem");
    let line = key.lines().nth(3).expect("a line of the key");
    let code = "0.AXoA-canary-of-a-code-that-is-long-enough";
    let header = "canary-of-an-identity-header";
    let served = Served::start(
        &json!({ "identity_header": header }).to_string(),
        &["--plain"],
    );
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").display().to_string();
    let endpoints = std::fs::read_to_string(served.endpoints.path()).expect("endpoints");
    let endpoints: Value = serde_json::from_str(&endpoints).expect("JSON");
    let platform = format!(
        "{}/msi/token",
        endpoints["metadata"].as_str().expect("an address")
    );
    let ids = json!({ "tenant_id": "11111111-2222-3333-4444-555555555555",
        "client_id": "66666666-7777-8888-9999-000000000000", "self_deployed": true });
    let with = |more: Value| {
        let mut whole = ids.clone();
        let members = more.as_object().expect("an object").clone();
        whole.as_object_mut().expect("an object").extend(members);
        whole
    };
    for (connection, platform) in [
        (with(json!({ "enc_key": CANARY })), None),
        (with(json!({ "certificate": format!("{cert}{key}") })), None),
        (
            with(
                json!({ "enc_key": { "password": CANARY }, "auth_code": code, "redirect_uri": "https://r.test" }),
            ),
            None,
        ),
        (json!({ "use_managed_identities": true }), Some(&platform)),
    ] {
        for dry_run in [true, false, false] {
            let request = json!({ "integration": "management_activity", "command": "test-module", "connection": connection,
                "options": { "dry_run": dry_run } });
            let args = served.args(&["--log-level", "trace", "--state", &state]);
            let mut command = soarhost(&args);
            if let Some(platform) = platform {
                command
                    .env("IDENTITY_ENDPOINT", platform)
                    .env("IDENTITY_HEADER", header);
            }
            let output = feed(command, request.to_string());
            assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
            let mut written = [output.stdout, output.stderr].concat();
            for file in files(&folder.path().join("state/tokens")) {
                written.extend(std::fs::read(file).expect("a file"));
            }
            let text = String::from_utf8_lossy(&written);
            for secret in [CANARY, line, code, header, "eyJ0eXAi"] {
                assert!(!text.contains(secret), "{connection}: {text}");
            }
        }
    }
}

#[test]
fn device_code_and_its_tokens_are_not_in_output_or_token_files() {
    let secrets = ["device", "access", "refresh"].map(|name| format!("{CANARY}-{name}"));
    let [device, access, refresh] = &secrets;
    let code = json!({ "device_code": device, "user_code": "ABCD12345", "expires_in": 900,
        "interval": 0, "verification_uri": "https://microsoft.com/devicelogin" });
    let tokens = json!({ "access_token": access, "refresh_token": refresh, "expires_in": 3599 });
    let world = json!({ "faults": [
        { "route": "login.device_code", "status": 200, "body": code },
        { "route": "login.token", "nth": 1, "status": 400, "body": { "error": "authorization_pending",
            "error_description": format!("{device} is pending.") } },
        { "route": "login.token", "nth": [2, 3, 4, 5, 6], "status": 200, "body": tokens } ] });
    let served = Served::start(&world.to_string(), &["--plain"]);
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").display().to_string();
    let connection = json!({ "Email": "ada@contoso.onmicrosoft.com" });
    for command in ["start", "complete", "test", "complete"] {
        let request =
            json!({ "command": format!("o365-auditlog-auth-{command}"), "connection": connection });
        let args = served.args(&["--log-level", "trace", "--state", &state]);
        let output = feed(soarhost(&args), request.to_string());
        let mut written = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&written).into_owned();
        assert_ne!(output.status.code(), Some(2), "{text}");
        for entry in std::fs::read_dir(folder.path().join("state/tokens")).expect("a folder") {
            let path = entry.expect("an entry").path();
            let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().expect("a file"));
            assert_eq!(mode & 0o777, 0o600, "{path:?}");
            written.extend(std::fs::read(path).expect("a file"));
        }
        let text = String::from_utf8_lossy(&written);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{command}: {text}");
        }
        assert!(!text.contains(CANARY), "{command}: {text}");
    }
}

#[test]
fn try_of_every_command_succeeds() {
    let listed: Value = serde_json::from_str(&stdout(&["list", "--json"])).expect("JSON");
    let integrations = listed["integrations"].as_array().expect("integrations");
    let mut tried = 0;
    for integration in integrations.iter().filter(|one| one["id"] != "chaos") {
        for command in integration["commands"].as_array().expect("commands") {
            let name = [&integration["id"], &command["id"]].map(|id| id.as_str().expect("an id"));
            let text = stdout(&["try", &name.join("."), "--now", NOW]);
            assert!(text.contains("(Simulated data.)"), "{text}");
            tried += 1;
        }
    }
    assert!(tried > integrations.len(), "{tried} commands");
}

#[test]
fn time_zone_of_the_machine_does_not_change_the_result() {
    let request = json!({ "command": "ms-management-activity-list-content", "id": "same",
        "connection": { "tenant_id": "11111111-2222-3333-4444-555555555555",
            "client_id": "66666666-7777-8888-9999-000000000000", "enc_key": CANARY, "self_deployed": true },
        "inputs": { "content_type": "Audit.Exchange", "start_time": "2026-01-14T02:00:00",
            "end_time": "2026-01-14T03:00:00" },
        "options": { "dry_run": true } });
    let result_in = |zone: &str| {
        let mut command = soarhost(&["run", "--now", NOW]);
        command.env("TZ", zone);
        let output = feed(command, request.to_string());
        let mut result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        result["metrics"] = Value::Null;
        result
    };
    let (here, there) = (result_in("UTC"), result_in("XXX-9"));
    assert!(
        here.to_string()
            .contains("startTime=2026-01-14T02%3A00%3A00"),
        "{here}"
    );
    assert_eq!(here, there);
}

#[test]
fn catalog_folder_replaces_the_built_in_catalog() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [
        "manifests/purview_audit_alert_v2.json",
        "mappings/purview_audit_alert_v2/fetch_event.json",
    ] {
        let to = folder.path().join(path);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        let text = std::fs::read_to_string(root.join(path)).expect("a file");
        std::fs::write(to, text.replace("\"Fetch Event\"", "\"Get Alerts\"")).expect("a file");
    }
    let dir = folder.path().to_string_lossy().into_owned();
    assert!(stdout(&["list", "--catalog", &dir]).contains("Get Alerts"));
    let mapping = folder
        .path()
        .join("mappings/purview_audit_alert_v2/fetch_event.json");
    let broken = std::fs::read_to_string(&mapping)
        .expect("a file")
        .replace("\"Document ID\"", "\"Document Id\"");
    std::fs::write(&mapping, broken).expect("a file");
    let args = ["run", "--catalog", &dir];
    let error = refused(&args, r#"{"command":"Get Alerts"}"#, "invalid_mapping");
    assert!(error.to_string().contains("Document Id"), "{error}");
}

#[test]
fn connection_name_selects_the_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("profiles.json");
    let profiles = json!({ "profiles": 1, "connections": { "Prod EU": {
        "integration": "purview_audit_alert_v2", "params": connection() } } });
    std::fs::write(&file, profiles.to_string()).expect("a file");
    let path = file.to_string_lossy().into_owned();
    let mut request = fetch_event(1);
    request["connection"] = json!("prod-eu");
    let args = ["run", "--sandbox", "--profiles", &path];
    let (code, result, log) = run(&args, request.to_string());
    assert_eq!(code, 0, "{} {log}", result["result"]);
    request["connection"] = json!("prod-us");
    let args = ["run", "--profiles", &path];
    let error = refused(&args, request.to_string(), "unknown_name");
    assert!(error["message"].to_string().contains("Prod EU"), "{error}");
}

/// Runs a request with a proxy in the environment that refuses it. The result must report that.
fn assert_refused_by_the_proxy(request: &Value) {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", proxy.local_addr().expect("an address"));
    let received = std::thread::spawn(move || {
        let (stream, _) = proxy.accept().expect("a connection");
        let mut line = String::new();
        BufReader::new(&stream)
            .read_line(&mut line)
            .expect("a request");
        (&stream)
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            .expect("an answer");
        line
    });
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let lab = json!({ "cloud": 1, "id": "lab", "login": "https://login.lab.test",
        "graph": "https://graph.lab.test", "management": "https://manage.lab.test",
        "exchange": "https://exchange.lab.test" });
    file.write_all(lab.to_string().as_bytes())
        .expect("endpoints");
    let path = file.path().to_string_lossy().into_owned();
    let mut command = soarhost(&["run", "--endpoints", &path]);
    command.env("HTTPS_PROXY", &address);
    let output = feed(command, request.to_string());
    let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
    let received = received.join().expect("the proxy");
    assert_eq!(received, "CONNECT login.lab.test:443 HTTP/1.1\r\n");
    assert_eq!(result["error"]["kind"], "network", "{result}");
}

#[test]
fn proxy_of_the_environment_is_used_and_its_refusal_reported() {
    assert_refused_by_the_proxy(&fetch_event(2));
}

#[test]
fn connection_parameter_enables_the_proxy_of_the_environment() {
    let mut connection = connection();
    connection["self_deployed"] = json!(true);
    connection["Use system proxy settings"] = json!(true);
    assert_refused_by_the_proxy(
        &json!({ "integration": "management_activity", "command": "test-module", "connection": connection }),
    );
}
