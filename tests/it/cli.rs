//! The binary itself: help, sub-commands, signals, and the simulator as a server.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::bench::{CANARY, NOW, connection};
use crate::process::{feed, run, soarhost};

fn said(args: &[&str]) -> String {
    let output = feed(soarhost(args), b"");
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().unwrap_or(-1);
    format!(
        "{}\n── exit {code}\n",
        String::from_utf8_lossy(&text).trim_end()
    )
}

#[test]
fn help_and_errors_are_snapshots() {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/cli"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!("help", said(&["--help"]));
        insta::assert_snapshot!("run_help", said(&["run", "--help"]));
        insta::assert_snapshot!("poll_help", said(&["poll", "--help"]));
        insta::assert_snapshot!("settings_help", said(&["help", "settings"]));
        insta::assert_snapshot!("list_help", said(&["list", "--help"]));
        insta::assert_snapshot!("list", said(&["list"]));
        insta::assert_snapshot!(
            "describe",
            said(&["describe", "purview_audit_alert_v2.Fetch Event"])
        );
        insta::assert_snapshot!("sample", said(&["sample", "fetch event"]));
        insta::assert_snapshot!(
            "unknown_names",
            [
                said(&["sample", "fetch"]),
                said(&["describe", "nothing"]),
                said(&["schema", "nothing"]),
                said(&["map", "nothing"]),
                said(&["lst"]),
            ]
            .concat()
        );
        insta::assert_snapshot!("validate", said(&["validate"]));
        insta::assert_snapshot!("validate_faults", said(&["validate", "tests/it/faulty"]));
        let world = "tests/it/faulty/world.json";
        insta::assert_snapshot!(
            "world_faults",
            [
                said(&["validate", world]),
                said(&["simulate", "--world", world]),
            ]
            .concat()
        );
    });
}

#[test]
fn fault_injection_is_listed_last_and_only_on_request() {
    assert!(!said(&["list"]).contains("chaos"));
    assert!(!said(&["describe"]).contains("chaos"));
    let all = said(&["list", "--all"]);
    assert!(
        all.find("chaos@") > all.find("purview_audit_alert_v2@"),
        "{all}"
    );
    assert!(
        said(&["describe", "chaos"]).contains("chaos@"),
        "it is named"
    );
    assert_eq!(said(&["settings"]), said(&["help", "settings"]));
}

#[test]
fn failure_is_logged_with_cause_advice_places_and_the_operators_flags() {
    let request = json!({ "command": "Fetch Event", "connection": connection(),
        "inputs": { "Top Recent Event Number": 1, "Start Time": "2026-09-17", "End Time": "2026-09-19" } });
    let args = ["run", "--sandbox", "--now", NOW];
    let (_, result, told) = run(&args, request.to_string().as_bytes());
    let lines: Vec<&str> = told.lines().collect();
    let message = result["error"]["message"].as_str().expect("a message");
    assert!(lines[0].starts_with("error: Fetch Event failed.") && lines[0].ends_with(message));
    assert_eq!(
        lines[1],
        "  cause: The window is 48 hours long. The maximum is 24 hours."
    );
    assert!(lines[2].starts_with("  advice: Set both times"), "{told}");
    assert_eq!(lines[3], "  at: /inputs/End Time");
    let flags = format!(" | soarhost run --sandbox --now {NOW}");
    assert!(lines[4].ends_with(&flags), "{told}");

    let faulty = json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": "x" } });
    let (_, result, told) = run(&["run"], faulty.to_string().as_bytes());
    for item in result["error"]["items"].as_array().expect("items") {
        let (at, message) = (item["at"].as_str(), item["message"].as_str());
        let line = format!(
            "\n  fault: {}: {}\n",
            at.expect("a place"),
            message.expect("words")
        );
        assert!(told.contains(&line), "{line} in {told}");
    }
    let (_, _, told) = run(
        &["run", "--log-format", "json"],
        faulty.to_string().as_bytes(),
    );
    let line: Value = serde_json::from_str(&told).expect("one JSON line");
    assert_eq!(
        (&line["level"], line["advice"].is_string()),
        (&json!("ERROR"), true)
    );
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
    let request = json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": 1 },
                          "connection": connection() });
    let stored = json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": 1 },
                         "connection": "prod" });
    for (flag, file, request, line) in [
        ("--endpoints", &endpoints, &request, ":3"),
        ("--profiles", &profiles, &stored, ":4"),
        ("--ca-file", &roots, &request, ""),
    ] {
        let (code, result, _) = run(&["run", flag, file], request.to_string().as_bytes());
        let message = result["error"]["message"].as_str().expect("a message");
        let expected = format!("The file of {flag} is invalid: {file}{line}: ");
        assert!(message.contains(&expected), "{expected} in {message}");
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
        let output = feed(soarhost(&["schema", name]), b"");
        let kept = std::fs::read_to_string(format!(
            "{}/snapshots/schema/{name}.snap.json",
            env!("CARGO_MANIFEST_DIR")
        ));
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(printed, kept.expect("a snapshot"), "{name}");
    }
}

#[test]
fn try_shows_a_request_and_events_of_all_twenty_fields() {
    let output = feed(
        soarhost(&["try", "Fetch Event", "--now", NOW, "--json"]),
        b"",
    );
    assert_eq!(output.status.code(), Some(0));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
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
    let output = feed(soarhost(&["try", "Fetch Event", "--now", NOW]), b"");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
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
        assert_eq!(
            feed(soarhost(&["try", spelling]), b"").status.code(),
            Some(0),
            "{spelling}"
        );
    }
}

#[test]
fn raw_data_mapped_again_offline_gives_the_same_events_byte_for_byte() {
    let request = json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": 40 },
                          "connection": connection() });
    let output = feed(
        soarhost(&["run", "--sandbox", "--now", NOW]),
        request.to_string().as_bytes(),
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
        raw.as_bytes(),
    );
    assert_eq!(mapped.status.code(), Some(0));
    let lines = String::from_utf8(mapped.stdout).expect("UTF-8");
    assert_eq!(lines.lines().collect::<Vec<_>>().join(","), events);
    assert!(lines.lines().count() > 20);
}

#[test]
fn a_sample_runs_in_the_sandbox_as_it_is_printed() {
    let sample = feed(soarhost(&["sample", "Fetch Event"]), b"").stdout;
    let (code, result, _) = run(&["run", "--sandbox"], &sample);
    assert_eq!(
        (code, &result["return_data"]),
        (0, &json!("Successful")),
        "{}",
        result["result"]
    );
}

#[test]
fn two_runs_differ_only_under_metrics() {
    let request = json!({ "command": "Fetch Event", "id": "same", "connection": connection(),
                          "inputs": { "Top Recent Event Number": 20 } });
    let once = || {
        let (_, mut result, _) = run(
            &["run", "--sandbox", "--now", NOW],
            request.to_string().as_bytes(),
        );
        result["metrics"] = Value::Null;
        // The sandbox has another port each time.
        let text = result.to_string();
        let port = regex::Regex::new(r"127\.0\.0\.1:\d+").expect("a pattern");
        port.replace_all(&text, "HOST").into_owned()
    };
    assert_eq!(once(), once());
}

/// A simulator as a process of its own; it is told to stop when this goes.
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

    fn args(&self) -> Vec<String> {
        let path = self.endpoints.path().to_string_lossy().into_owned();
        ["run", "--now", NOW, "--endpoints", &path]
            .map(str::to_owned)
            .to_vec()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, by its name without `SIG`.
pub fn signal(child: &Child, name: &str) {
    let told = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(told.expect("kill").success());
}

#[test]
fn what_simulate_prints_is_enough_to_run_against_it() {
    let request = json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": 2 },
                          "connection": connection() });
    for more in [vec![], vec!["--plain"]] {
        let served = Served::start("{}", &more);
        let args = served.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, result, told) = run(&args, request.to_string().as_bytes());
        assert_eq!(code, 0, "{told}");
        assert_eq!(result["events"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn the_first_signal_ends_with_a_result_and_its_own_exit_code() {
    let world = r#"{"faults":[{"route":"graph.alerts","delay_ms":600000}]}"#;
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let served = Served::start(world, &[]);
        let args = served.args();
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        args.extend(["--log-level", "debug"]);
        let request = json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": 2 },
                              "connection": connection() });
        let mut child = soarhost(&args).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(request.to_string().as_bytes())
            .expect("it reads");
        drop(stdin);
        // Once it says that it asks for alerts, the answer will not come for ten minutes.
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("alerts_v2") {
            line.clear();
            assert!(
                log.read_line(&mut line).expect("a log") > 0,
                "it ended early"
            );
        }
        signal(&child, name);
        let mut text = String::new();
        child
            .stdout
            .take()
            .expect("a pipe")
            .read_to_string(&mut text)
            .expect("UTF-8");
        let result: Value = serde_json::from_str(&text).expect("one result");
        assert_eq!(result["error"]["kind"], "cancelled", "{text}");
        assert_eq!(child.wait().expect("it ends").code(), Some(code));
        let message = result["error"]["message"].as_str().expect("a message");
        assert!(message.contains(&format!("SIG{name}")), "{message}");
    }
}

#[test]
fn no_secret_is_found_in_anything_that_is_written() {
    // An error of the service for two runs, a plain text for the other two.
    let world = r#"{"faults":[{"route":"graph.alerts","nth":[1,2],"status":400,"body":{"error":{"code":"BadRequest","message":"You sent CANARY."}}},
        {"route":"graph.alerts","nth":[3,4],"status":400,"body":"You sent CANARY."}]}"#;
    let world = world.replace("CANARY", CANARY);
    let served = Served::start(&world, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), format!("{CANARY}\n")).expect("a file");
    let dir = folder.path().to_string_lossy().into_owned();
    for secret in [
        CANARY.to_owned(),
        format!("literal:{CANARY}"),
        "env:SOAR_CANARY".into(),
        "file:secret".into(),
    ] {
        let mut parameters = connection();
        parameters["Client Secret"] = json!(secret);
        for dry_run in [false, true] {
            let request = json!({ "command": "Fetch Event", "connection": parameters,
                "inputs": { "Top Recent Event Number": 2 }, "options": { "dry_run": dry_run } });
            let args = served.args();
            let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
            args.extend(["--log-level", "trace", "--secrets-dir", &dir]);
            let mut command = soarhost(&args);
            command.env("SOAR_CANARY", CANARY);
            let output = feed(command, request.to_string().as_bytes());
            let all = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&all);
            let encoded: String = url_encoded(CANARY);
            assert!(
                !text.contains(CANARY) && !text.contains(&encoded),
                "{secret}: {text}"
            );
            assert!(!text.contains("eyJ0eXAi"), "no token either: {text}");
            if !dry_run {
                assert!(
                    text.contains("You sent ***."),
                    "the service's words, the secret struck out: {text}"
                );
            }
        }
    }
}

/// Each way to sign in with what it has of secrets: none of them is written anywhere, nor is a token
/// or what renews it; what the state folder keeps is sealed.
#[test]
fn no_secret_of_any_way_to_sign_in_is_written() {
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
            let request = json!({ "command": "test-module", "connection": connection,
                "options": { "dry_run": dry_run } });
            let args = served.args();
            let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
            args.extend(["--log-level", "trace", "--state", &state]);
            let mut command = soarhost(&args);
            if let Some(platform) = platform {
                command
                    .env("IDENTITY_ENDPOINT", platform)
                    .env("IDENTITY_HEADER", header);
            }
            let output = feed(command, request.to_string().as_bytes());
            let mut written = [output.stdout, output.stderr].concat();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{}",
                String::from_utf8_lossy(&written)
            );
            for entry in std::fs::read_dir(folder.path().join("state/tokens"))
                .into_iter()
                .flatten()
            {
                written.extend(std::fs::read(entry.expect("an entry").path()).expect("a file"));
            }
            let text = String::from_utf8_lossy(&written);
            for secret in [CANARY, line, code, header, "eyJ0eXAi"] {
                assert!(!text.contains(secret), "{connection}: {text}");
            }
        }
    }
}

#[test]
fn every_command_of_a_product_can_be_tried() {
    let listed = feed(soarhost(&["list", "--json"]), b"").stdout;
    let listed: Value = serde_json::from_slice(&listed).expect("JSON");
    let faces = listed["integrations"].as_array().expect("integrations");
    let mut tried = 0;
    for face in faces.iter().filter(|face| face["id"] != "chaos") {
        for command in face["commands"].as_array().expect("commands") {
            let name = [&face["id"], &command["id"]].map(|id| id.as_str().expect("an id"));
            let output = feed(soarhost(&["try", &name.join("."), "--now", NOW]), b"");
            let told = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{name:?}: {told}");
            assert!(told.contains("(Simulated data.)"), "{told}");
            tried += 1;
        }
    }
    assert_eq!(tried, 14, "six commands and eight");
}

#[test]
fn time_zone_of_the_machine_changes_nothing() {
    let request = json!({ "command": "ms-management-activity-list-content", "id": "same",
        "connection": { "tenant_id": "11111111-2222-3333-4444-555555555555",
            "client_id": "66666666-7777-8888-9999-000000000000", "enc_key": CANARY, "self_deployed": true },
        "inputs": { "content_type": "Audit.Exchange", "start_time": "2026-01-14T02:00:00",
            "end_time": "2026-01-14T03:00:00" },
        "options": { "dry_run": true } });
    let asked = |zone: &str| {
        let mut command = soarhost(&["run", "--now", NOW]);
        command.env("TZ", zone);
        let output = feed(command, request.to_string().as_bytes());
        let mut result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        result["metrics"] = Value::Null;
        result
    };
    let (here, there) = (asked("UTC"), asked("XXX-9"));
    assert!(
        here.to_string()
            .contains("startTime=2026-01-14T02%3A00%3A00"),
        "{here}"
    );
    assert_eq!(here, there);
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                (b as char).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[test]
fn a_catalog_folder_replaces_what_is_compiled_in() {
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
    let output = feed(soarhost(&["list", "--catalog", &dir]), b"");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Get Alerts"));
    let mapping = folder
        .path()
        .join("mappings/purview_audit_alert_v2/fetch_event.json");
    let broken = std::fs::read_to_string(&mapping)
        .expect("a file")
        .replace("\"Document ID\"", "\"Document Id\"");
    std::fs::write(&mapping, broken).expect("a file");
    let (code, result, _) = run(&["run", "--catalog", &dir], b"{\"command\":\"Get Alerts\"}");
    assert_eq!(
        (code, &result["error"]["kind"]),
        (2, &json!("invalid_mapping"))
    );
    let message = result["error"]["message"].as_str().expect("a message");
    assert!(message.contains("Document Id"), "{message}");
}

#[test]
fn a_profile_carries_the_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("profiles.json");
    let profiles = json!({ "profiles": 1, "connections": { "Prod EU": {
        "integration": "purview_audit_alert_v2", "params": connection() } } });
    std::fs::write(&file, profiles.to_string()).expect("a file");
    let path = file.to_string_lossy().into_owned();
    let request = json!({ "command": "Fetch Event", "connection": "prod-eu", "inputs": { "Top Recent Event Number": 1 } });
    let (code, result, told) = run(
        &["run", "--sandbox", "--profiles", &path],
        request.to_string().as_bytes(),
    );
    assert_eq!(code, 0, "{} {told}", result["result"]);
    let wrong = request.to_string().replace("prod-eu", "prod-us");
    let (code, result, _) = run(&["run", "--profiles", &path], wrong.as_bytes());
    assert_eq!(
        (code, &result["error"]["kind"]),
        (2, &json!("unknown_name"))
    );
    assert!(
        result["error"]["message"]
            .as_str()
            .is_some_and(|said| said.contains("\"Prod EU\""))
    );
}

/// What a proxy of the environment, which refuses, was asked for, and the result.
fn through_a_proxy(request: &Value) -> (String, Value) {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", proxy.local_addr().expect("an address"));
    let asked = std::thread::spawn(move || {
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
    let output = feed(command, request.to_string().as_bytes());
    let result = serde_json::from_slice(&output.stdout).expect("one result");
    (asked.join().expect("the proxy"), result)
}

fn refused_by_the_proxy(request: &Value) {
    let (asked, result) = through_a_proxy(request);
    assert_eq!(asked, "CONNECT login.lab.test:443 HTTP/1.1\r\n");
    assert_eq!(result["error"]["kind"], "network", "{result}");
}

#[test]
fn the_environments_proxy_is_asked_and_what_it_says_is_told() {
    refused_by_the_proxy(
        &json!({ "command": "Fetch Event", "connection": connection(),
        "inputs": { "Top Recent Event Number": 2 } }),
    );
}

#[test]
fn a_connection_can_switch_the_environments_proxy_on() {
    let mut switched_on = connection();
    switched_on["self_deployed"] = json!(true);
    switched_on["Use system proxy settings"] = json!(true);
    refused_by_the_proxy(&json!({ "command": "test-module", "connection": switched_on }));
}
