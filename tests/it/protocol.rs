//! Invalid requests, unusual bytes, and the rules of stdout, with the binary.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::{feed, printed, refused, run, soarhost};

/// An invalid request, and its error: the kind, a part of the message, the place.
#[derive(Deserialize)]
struct Invalid {
    sent: String,
    kind: String,
    message: String,
    at: Option<String>,
}

/// Runs a request that must be refused.
fn assert_refused(sent: &[u8], (kind, message): (&str, &str), at: Option<&str>) {
    let shown = String::from_utf8_lossy(sent);
    let (code, result, _) = run(&[""; 0], sent);
    assert_eq!(code, 2, "{shown}");
    let error = &result["error"];
    assert_eq!(error["kind"], kind, "{shown}: {error}");
    let text = error["message"].as_str().expect("a message");
    assert!(text.contains(message), "{shown}: {text}");
    assert!(at.is_none_or(|at| error["at"] == at), "{shown}: {error}");
    assert_eq!(result["return_data"], "Failed");
}

#[test]
fn unknown_key_is_reported_with_the_other_faults() {
    let sent = br#"{"command":"Get Audit Log","Foo":1,"options":{"max_events":"all"},"inputs":{"Nope":1}}"#;
    let output = feed(soarhost(&["run", "--log-level", "off"]), sent);
    let result: Value = serde_json::from_slice(&output.stdout).expect("a result");
    let items = result["error"]["items"].as_array().expect("single faults");
    let places: Vec<&str> = items
        .iter()
        .filter_map(|item| item["at"].as_str())
        .collect();
    for place in ["/Foo", "/options/max_events", "/inputs/Nope"] {
        assert!(places.contains(&place), "{place}: {places:?}");
    }
}

#[test]
fn invalid_request_has_a_result_with_kind_message_and_place() {
    let cases = include_str!("invalid_requests.json");
    let cases: Vec<Invalid> = serde_json::from_str(cases).expect("cases");
    for case in cases {
        let error = (case.kind.as_str(), case.message.as_str());
        assert_refused(case.sent.as_bytes(), error, case.at.as_deref());
    }
}

#[test]
fn invalid_bytes_and_deep_nesting_are_refused() {
    let deep = |n: usize| {
        let (open, close) = ("[".repeat(n), "]".repeat(n));
        format!(r#"{{"command":"x","meta":{{"a":{open}1{close}}}}}"#)
    };
    let malformed = "malformed_request";
    for (sent, message) in [
        (b"{\0}\0".to_vec(), "UTF-16"),
        (b"\xFE\xFF\0{\0}".to_vec(), "UTF-16"),
        (
            b"{\"command\":\"\xff\"}".to_vec(),
            "must be UTF-8; byte 12 is invalid",
        ),
        (deep(126).into_bytes(), "deeper than 127"),
    ] {
        assert_refused(&sent, (malformed, message), None);
    }
    assert_refused(deep(125).as_bytes(), ("unknown_name", ""), None);
}

#[test]
fn request_beyond_the_size_limit_is_refused() {
    let mut big = br#"{"command":"x","meta":{"a":""#.to_vec();
    big.resize(16 * 1024 * 1024 + 10, b'x');
    refused(&["run"], &big, "request_too_large");
}

#[test]
fn id_and_meta_of_a_refused_request_are_in_the_result() {
    let request = json!({ "command": "nothing", "id": "abc-1", "meta": { "playbook": "p/1" } });
    let (_, result, _) = run(&["run"], request.to_string());
    assert_eq!(
        (&result["id"], &result["meta"]),
        (&json!("abc-1"), &json!({ "playbook": "p/1" }))
    );
    let unknown = json!({ "command": "x", "id": "abc-2", "meta": { "a": 1 }, "nope": 1 });
    let (_, result, _) = run(&["run"], unknown.to_string());
    assert_eq!(
        (&result["id"], &result["meta"]),
        (&json!("abc-2"), &json!({ "a": 1 }))
    );
    let (_, result, _) = run(&["run"], b"{");
    assert_eq!(result["id"], Value::Null);
}

#[test]
fn message_does_not_quote_the_request() {
    for sent in [
        r#"{"command":"x","options":"canary-secret"}"#,
        r#"{"command":"x","connection":canary-secret}"#,
        r#"{"command":"x","options":{"timeout_ms":"canary-secret"}}"#,
    ] {
        let text = printed(&feed(soarhost(&["run", "--log-level", "trace"]), sent));
        assert!(!text.contains("canary-secret"), "{sent}: {text}");
    }
}

#[test]
fn batch_has_a_result_for_each_line_in_order() {
    let lines = b"{\"command\":\"a\",\"id\":\"1\"}\r\n\n   \nnot json\n{\"command\":\"Fetch Event\",\"id\":\"5\"}\n{\"command\":\"b\",\"id\":\"6\"}";
    for jobs in ["1", "8"] {
        let output = feed(soarhost(&["run", "--batch", "--jobs", jobs]), lines);
        let results: Vec<Value> = String::from_utf8(output.stdout)
            .expect("UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let ids: Vec<&Value> = results.iter().map(|result| &result["id"]).collect();
        assert_eq!(ids, [&json!("1"), &Value::Null, &json!("5"), &json!("6")]);
        assert_eq!(results[1]["error"]["at"], "line 4");
        assert_eq!(output.status.code(), Some(2));
    }
    let empty = feed(soarhost(&["run", "--batch"]), b"\n\n");
    assert_eq!((empty.status.code(), empty.stdout.len()), (Some(0), 0));
}

#[test]
fn pretty_prints_the_same_result_indented() {
    let request = br#"{"command":"nothing","id":"1"}"#;
    let output = feed(soarhost(&["run", "--pretty"]), request);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text.starts_with("{\n  \"protocol\": 1,\n  \"id\": \"1\",\n"),
        "{text}"
    );
    let (_, plain, _) = run(&["run"], request);
    let mut pretty: Value = serde_json::from_str(&text).expect("JSON");
    pretty["metrics"] = plain["metrics"].clone();
    assert_eq!(pretty, plain);
    let both = feed(soarhost(&["run", "--pretty", "--batch"]), request);
    assert_eq!(both.status.code(), Some(2), "not with --batch");
}

#[test]
fn closed_pipe_ends_silently_and_full_disk_is_reported() {
    let mut child = soarhost(&["run"]).spawn().expect("it starts");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"{\"command\":\"x\"}").expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(141));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("stdout"), "silent about the pipe: {log}");

    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let mut command = soarhost(&["run"]);
    command.stdout(full);
    let output = feed(command, b"{\"command\":\"x\"}");
    assert_eq!(output.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdout could not be written"));
}

#[test]
fn stdout_discarded_or_closed_before_the_start_exits_as_the_result_says() {
    let shell = |redirection: &str| {
        let line = format!("\"$0\" list {redirection}");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_soarhost")]);
        command.status().expect("a shell").code()
    };
    for redirection in [
        ">&-",
        ">/dev/null",
        "1<>/dev/null",
        "</dev/null 1<>/dev/null",
    ] {
        assert_eq!(shell(redirection), Some(0), "{redirection}");
    }
    // As Python's subprocess.DEVNULL and Node's 'ignore' open it.
    let discard = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null");
    let mut command = soarhost(&["run"]);
    command.stdout(discard.expect("/dev/null"));
    let output = feed(command, b"{\"command\":\"x\"}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn failed_run_logs_a_command_that_reproduces_it() {
    let request = json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": "x" },
        "connection": { "Tenant ID": "t", "Client ID": "c", "Client Secret": "canary-secret" } });
    let (_, _, log) = run(&["run"], request.to_string());
    assert!(log.contains("| soarhost run"), "{log}");
    assert!(
        log.contains(r#""Client Secret":"***""#) && !log.contains("canary-secret"),
        "{log}"
    );
    let reference = request.to_string().replace("canary-secret", "env:SOAR_X");
    let (_, _, log) = run(&["run"], &reference);
    assert!(log.contains(r#""Client Secret":"env:SOAR_X""#), "{log}");
    let (_, _, silent) = run(&["run", "--log-level", "off"], reference.as_bytes());
    assert_eq!(silent, "");
}

#[test]
fn secret_reference_that_is_not_allowed_or_not_set_is_refused() {
    let request = |secret: &str| {
        json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": 1 },
            "connection": { "Tenant ID": "11111111-2222-3333-4444-555555555555",
                "Client ID": "66666666-7777-8888-9999-000000000000", "Client Secret": secret } })
        .to_string()
    };
    for (secret, expected) in [
        ("env:HOME", "\"env:HOME\" is not allowed"),
        (
            "env:SOAR_NOT_SET",
            "\"env:SOAR_NOT_SET\" names a variable that is not set",
        ),
        (
            "file:/etc/hostname",
            "\"file:/etc/hostname\" is not allowed",
        ),
    ] {
        let error = refused(&["run"], request(secret), "secret_unavailable");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(expected), "{message}");
        assert_eq!(error["at"], "/connection/Client Secret");
    }
}

#[test]
fn invalid_operator_setting_refuses_every_request_at_its_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("endpoints.json");
    std::fs::write(&file, "{\"cloud\":1,\"id\":\"lab\",\"logon\":\"x\"}").expect("a file");
    let path = file.to_string_lossy().into_owned();
    let request = br#"{"command":"Fetch Event","id":"7","inputs":{"Top Recent Event Number":1},
        "connection":{"Tenant ID":"11111111-2222-3333-4444-555555555555",
                      "Client ID":"66666666-7777-8888-9999-000000000000","Client Secret":"any secret"}}"#;
    for (args, at) in [
        (vec!["run", "--endpoints", &path], "--endpoints"),
        (vec!["run", "--endpoints", "/not/there"], "--endpoints"),
        (vec!["run", "--profiles", &path], "--profiles"),
        (vec!["run", "--ca-file", "/not/there"], "--ca-file"),
        (vec!["run", "--catalog", "/not/there"], "--catalog"),
        (vec!["run", "--now", "soon"], "--now"),
    ] {
        let (code, result, _) = run(&args, request);
        assert_eq!(
            (code, &result["error"]["kind"]),
            (2, &json!("invalid_input")),
            "{args:?}"
        );
        let place = result["error"]["at"].as_str().unwrap_or_default();
        assert!(place.starts_with(at), "{args:?}: {result}");
        assert_eq!(result["id"], "7", "the id of the request");
    }
}

#[test]
fn meta_is_returned_unchanged() {
    let meta = r#"{"n":12345678901234567890123,"t":1.50e3,"e":1e-999,"s":"\u00e4"}"#;
    for request in [
        format!(r#"{{"command":"nothing","meta":{meta}}}"#),
        format!(r#"{{"command":7,"meta":{meta}}}"#),
    ] {
        let output = feed(soarhost(&["run"]), request.as_bytes());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.ends_with(&format!("\"meta\":{meta}}}\n")), "{text}");
    }
}

#[test]
fn result_is_valid_json_for_a_secret_of_any_shape() {
    let secrets = [
        "secretab\"",
        "x\"x\"x\"",
        "123456",
        "\":null",
        "null,\"",
        "return_data",
        "\"id\":\"",
    ];
    for secret in secrets {
        let request = json!({ "command": "Fetch Event", "meta": { "m": secret, "n": 91_234_567 },
            "inputs": { "Top Recent Event Number": "ten" },
            "connection": { "Tenant ID": "t", "Client ID": "c", "Client Secret": secret } });
        let (code, result, log) = run(&["run"], request.to_string());
        assert_eq!(
            (code, &result["meta"]),
            (2, &json!({ "m": "***", "n": 91_234_567 })),
            "{secret}"
        );
        assert_eq!(result.as_object().map(serde_json::Map::len), Some(18));
        assert!(!log.contains(&format!(":{}", json!(secret))), "{log}");
    }
}

#[test]
fn secret_in_the_wrong_place_is_not_in_output() {
    let request = json!({ "command": "Fetch Event",
        "inputs": { "Client Secret": "pasted-canary-secret" }, "options": { "timeout_ms": 1 } });
    for request in [
        request.to_string(),
        r#"{"command":"x","options":{"include":["pasted-canary-secret"]}}"#.to_owned(),
    ] {
        let text = printed(&feed(soarhost(&["run"]), request));
        assert!(!text.contains("pasted-canary"), "{text}");
    }
}

#[test]
fn unreadable_file_has_a_result() {
    for args in [
        vec!["run", "/not/there"],
        vec!["run", "/tmp"],
        vec!["run", "--batch", "/not/there"],
    ] {
        refused(&args, b"", "malformed_request");
    }
    let mut command = soarhost(&["run", "--batch"]);
    let folder = std::fs::File::open("/tmp").expect("a folder");
    let output = command.stdin(folder).output().expect("it runs");
    let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
    assert_eq!(
        (output.status.code(), &result["return_data"]),
        (Some(2), &json!("Failed"))
    );
}

#[test]
fn empty_or_invalid_variable_is_ignored() {
    let mut command = soarhost(&["run"]);
    for name in [
        "SOARHOST_ENDPOINTS",
        "SOARHOST_PROFILES",
        "SOARHOST_CATALOG",
        "SSL_CERT_FILE",
    ] {
        command.env(name, "");
    }
    command.env("SOARHOST_LOG", "garbage");
    let output = feed(command, b"{\"command\":\"nothing\"}");
    let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
    assert_eq!(result["error"]["kind"], "unknown_name");
}

#[test]
fn flag_overrides_its_variable_on_either_side_of_the_sub_command() {
    for args in [
        &["--endpoints", "/flag", "run"][..],
        &["run", "--endpoints", "/flag"],
        &["--endpoints", "/flag"],
    ] {
        let mut command = soarhost(args);
        command.env("SOARHOST_ENDPOINTS", "/variable");
        let output = feed(command, br#"{"command":"Fetch Event"}"#);
        let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
        let message = result["error"]["message"].as_str().expect("a message");
        assert!(message.contains("/flag"), "{args:?}: {message}");
    }
}
