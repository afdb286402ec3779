//! Limits of counts and bytes in requests. Measures no time.

use serde_json::Value;

use crate::process::{feed, soarhost};

#[test]
fn memory_size_that_cannot_be_read_is_refused_at_its_flag() {
    let mut command = soarhost(&["run"]);
    command.env("SOARHOST_MAX_MEMORY", "512MB");
    let output = feed(command, br#"{"command":"Fetch Event"}"#);
    let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
    let error = &result["error"];
    assert_eq!(
        (&error["kind"], &error["at"]),
        (&"invalid_input".into(), &"--max-memory".into())
    );
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("\"512MB\""), "{message}");
}

/// A request of Fetch Event with this JSON text as the value of a key.
fn request(key: &str, value: &str) -> String {
    format!(r#"{{"command":"Fetch Event","{key}":{value}}}"#)
}

/// The error of a request that must be refused.
fn refused(request: &str) -> Value {
    let output = feed(soarhost(&["run"]), request.as_bytes());
    let result: Value = serde_json::from_slice(&output.stdout).expect("one result");
    assert_eq!(output.status.code(), Some(2), "{}", result["result"]);
    result["error"].clone()
}

/// The kind, the place and the message of an error.
fn summary(error: &Value) -> String {
    let texts = [&error["kind"], &error["at"], &error["message"]];
    texts.map(|text| text.as_str().unwrap_or("-")).join(" ")
}

fn fields(count: usize, rest: &str) -> String {
    let field = |n: usize| format!(r#"{{"field":"F{n}","path":".f{n}","custom":true{rest}}}"#);
    (0..count).map(field).collect::<Vec<_>>().join(",")
}

#[test]
fn mapping_with_too_many_parts_is_refused_with_count_and_limit() {
    let whole = |sources: &str| format!(r#"{{"mapping":1,"root":"$","sources":[{sources}]}}"#);
    let source = |fields: &str| format!(r#"{{"id":"d","fields":[{fields}]}}"#);
    for (mapping, expected) in [
        (whole(&source(&fields(501, ""))), "501 fields; at most 500"),
        (
            whole(&source(&fields(101, r#","regex":"(a)""#))),
            "101 patterns; at most 100",
        ),
        (
            whole(&vec![source(""); 51].join(",")),
            "51 sources; at most 50",
        ),
        (
            format!(r#"{{"patch":{{"add":[{}]}}}}"#, fields(501, "")),
            "501 changes; at most 500",
        ),
    ] {
        // The connection is missing too; the fault of the mapping is one of the items.
        let error = refused(&request("mapping", &mapping));
        let items = error["items"].as_array().expect("items");
        let errors: Vec<String> = items.iter().map(summary).collect();
        let is_expected = |error: &String| {
            error.starts_with("invalid_mapping /mapping") && error.contains(expected)
        };
        assert!(errors.iter().any(is_expected), "{expected} in {errors:?}");
    }
}

#[test]
fn part_of_the_request_beyond_its_size_limit_is_refused() {
    let numbers = |count: usize| format!("[{}1]", "1,".repeat(count));
    let mapping = format!(r#"{{"sources":[{{"fields":[{}]}}]}}"#, fields(20_000, ""));
    for (key, value, limit) in [
        ("mapping", mapping, 524_288),
        (
            "inputs",
            format!(r#"{{"a":{}}}"#, numbers(300_000)),
            524_288,
        ),
        (
            "connection",
            format!(r#"{{"a":{}}}"#, numbers(300_000)),
            262_144,
        ),
        ("state", format!(r#"{{"a":{}}}"#, numbers(40_000)), 65_536),
        (
            "options",
            format!(r#"{{"include":{}}}"#, numbers(40_000)),
            65_536,
        ),
    ] {
        let error = summary(&refused(&request(key, &value)));
        let expected = format!("has {} bytes; the maximum is {limit}", value.len());
        assert!(
            error.starts_with(&format!("invalid_input /{key}")),
            "{error}"
        );
        assert!(error.contains(&expected), "{expected} in {error}");
    }
}

#[test]
fn faults_beyond_the_limit_are_counted_and_not_listed() {
    let members = |count: usize| -> String {
        let members: Vec<_> = (0..count).map(|n| format!(r#""k{n}":0"#)).collect();
        members.join(",")
    };
    let some = refused(&request("inputs", &format!("{{{}}}", members(500))));
    let items = some["items"].as_array().expect("items");
    assert_eq!(items.len(), 101);
    let last = items[100]["message"].as_str().expect("a message");
    assert!(last.ends_with("more faults are not listed."), "{last}");
    let many = refused(&request("inputs", &format!("{{{}}}", members(2000))));
    assert!(summary(&many).contains("/inputs There are 2000 parameters; at most 1000"));
    let unknown = format!(r#"{{"command":"x",{}}}"#, members(5000));
    let unknown = refused(&unknown);
    assert!(unknown.to_string().len() < 64 * 1024);
    let items = unknown["items"].as_array().expect("items");
    assert_eq!(items.len(), 101);
}

/// `ulimit` limits the address space to the program and 15 times the size of the request.
#[test]
fn memory_of_a_request_is_a_small_multiple_of_its_size() {
    for part in [r#"{"":0},"#, "1,", r#"{"a":1},"#] {
        let value = format!(r#"{{"a":[{}0]}}"#, part.repeat((4 << 20) / part.len()));
        for key in ["meta", "inputs", "state", "elsewhere"] {
            let mut command = std::process::Command::new("sh");
            let limited = "ulimit -v 131072; exec \"$0\" run";
            command.args(["-c", limited, env!("CARGO_BIN_EXE_soarhost")]);
            command
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped());
            let request = format!(r#"{{"command":"nothing","{key}":{value}}}"#);
            let output = feed(command, request.as_bytes());
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            assert_eq!(output.status.code(), Some(2), "{key} of {part}");
            assert_eq!(text.contains(&value), key == "meta", "{key} of {part}");
        }
    }
}

#[test]
fn event_key_is_the_same_after_common_tools_rewrote_the_record() {
    let key = |record: &str| {
        let mapping = "purview_audit_alert_v2/fetch_event";
        let document = format!(r#"{{"value":[{record}]}}"#);
        let output = feed(soarhost(&["map", mapping]), document.as_bytes());
        let event: Value = serde_json::from_slice(&output.stdout).expect("one event");
        event["key"].as_str().expect("a key").to_owned()
    };
    let sent = r#"{"id":"a/1","title":"it's <b> & é 😀","score":1.0,"small":1e-7,"n":12,"x":[]}"#;
    let original = key(sent);
    for (tool, record) in [
        (
            "jq",
            "{\n  \"id\": \"a/1\",\n  \"title\": \"it's <b> & é 😀\",\n  \"score\": 1,\n  \"small\": 1e-07,\n  \"n\": 12,\n  \"x\": []\n}",
        ),
        (
            "json.dumps",
            r#"{"id": "a/1", "title": "it's <b> & \u00e9 \ud83d\ude00", "score": 1.0, "small": 1e-07, "n": 12, "x": []}"#,
        ),
        (
            "ConvertTo-Json",
            "{\r\n    \"id\":  \"a/1\",\r\n    \"title\":  \"it\\u0027s \\u003cb\\u003e \\u0026 é 😀\",\r\n    \"score\":  1.0,\r\n    \"small\":  1E-07,\r\n    \"n\":  12,\r\n    \"x\":  [\r\n\r\n          ]\r\n}",
        ),
        (
            "json_encode",
            r#"{"id":"a\/1","title":"it's <b> & \u00E9 \uD83D\uDE00","score":1.0,"small":1.0e-7,"n":12,"x":[]}"#,
        ),
    ] {
        assert_eq!(key(record), original, "{tool}");
    }
    for other in [
        sent.replace("12", "13"),
        sent.replace("é", "e"),
        sent.replace("12", "\"12\""),
    ] {
        assert_ne!(key(&other), original, "{other}");
    }
}
