//! Secrets are redacted and nothing else is changed; uses that an operator forbids are refused.

use serde_json::{Value, json};

use crate::bench::{Bench, NOW, block_on, connection_of};
use crate::process::{feed, refused, run, soarhost};

/// With all kinds of characters that JSON and addresses escape.
const CANARY: &str = "ca+na/ry&<x>'ö€~2026.end";

fn escaped(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
    units.collect::<Vec<_>>().concat()
}

#[test]
fn secret_echoed_by_a_service_in_any_spelling_is_not_in_the_result() {
    let percent: String = url_encoded(CANARY);
    let slashes = CANARY.replace('/', "\\/").replace('+', "\\u002b");
    let nested = slashes.replace('\\', "\\\\");
    let record = format!(
        r#"{{"id":"a1-{slashes}","title":"{slashes}","description":"{}","category":"{percent}","{slashes}":"{nested}","severity":"high"}}"#,
        escaped(CANARY)
    );
    let answer = format!(
        r#"{{"faults":[{{"route":"graph.alerts","status":200,"body":{{"value":[{record}]}}}}]}}"#
    );
    let refusal = format!(
        r#"{{"faults":[{{"route":"graph.alerts","status":400,"headers":{{"request-id":"{percent}"}},"body":{{"error":{{"code":"BadRequest","message":"You sent {} and {percent}\u001b[31m.\u202e"}}}}}}]}}"#,
        escaped(CANARY)
    );
    for world in [answer, refusal] {
        let result = result_in(&world);
        assert!(result.contains("***"), "{result}");
        for part in ["na/ry", "na\\/ry", "%2Fry", "\\u002F", "€", "~2026"] {
            assert!(!result.contains(part), "{part}: {result}");
        }
        let read: Value = serde_json::from_str(&result).expect("JSON");
        assert!(
            !read["result"].to_string().contains("\\u001b[31m.\\u202e"),
            "{result}"
        );
        assert!(
            read["return_data"] == "Successful" || result.contains("***\\\\u001b[31m.\\\\u202e"),
            "{result}"
        );
    }
}

fn url_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The result of a run in this world.
fn result_in(world: &str) -> String {
    block_on(async {
        let bench = Bench::new(world, NOW).await;
        let mut connection = connection_of("purview_audit_alert_v2");
        connection["Client Secret"] = json!(CANARY);
        let request = json!({ "command": "Fetch Event", "connection": connection,
            "inputs": { "Top Recent Event Number": 1 } });
        let ran = bench.run(&request.to_string()).await;
        serde_json::to_string(&ran.result).expect("a result")
    })
}

fn request(secret: &str) -> Value {
    json!({ "command": "Fetch Event", "id": "of-2026-", "inputs": { "Top Recent Event Number": 1 },
        "connection": { "Tenant ID": "11111111-2222-3333-4444-555555555555",
            "Client ID": "66666666-7777-8888-9999-000000000000", "Client Secret": secret } })
}

#[test]
fn secret_of_one_line_is_not_redacted_in_other_lines_and_protocol_words() {
    let secrets = ["2026-", "Successful", "another-line's-secret", "Purview"];
    let mut lines: Vec<Value> = secrets.map(request).into();
    lines[3]["meta"] = json!({ "guess": "another-line's-secret", "own": "Purview" });
    let input: Vec<String> = lines.iter().map(Value::to_string).collect();
    let output = feed(
        soarhost(&["run", "--batch", "--sandbox"]),
        input.join("\n").as_bytes(),
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let results: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(results.len(), lines.len(), "{text}");
    for result in &results {
        assert_eq!(
            (&result["return_data"], &result["id"]),
            (&json!("Successful"), &json!("of-2026-")),
            "{text}"
        );
        for key in ["state", "coverage", "metrics", "integration", "command"] {
            assert!(!result[key].to_string().contains("***"), "{key}: {result}");
        }
        assert!(result["events"][0]["key"].is_string());
    }
    assert_eq!(
        results[3]["meta"],
        json!({ "guess": "another-line's-secret", "own": "***" })
    );
    let codes = |result: &Value| -> Vec<Value> {
        let warnings = result["warnings"].as_array().expect("an array");
        warnings
            .iter()
            .map(|warning| warning["code"].clone())
            .collect()
    };
    assert!(
        codes(&results[0]).contains(&json!("secret_short")),
        "{text}"
    );
    assert!(
        !codes(&results[1]).contains(&json!("secret_short")),
        "{text}"
    );
}

#[test]
fn forbidden_use_is_refused_at_its_place_with_the_flag() {
    let mut insecure = request("literal-secret");
    insecure["connection"]["Trust any certificate (not secure)"] = json!(true);
    let connection = json!({ "Token or Tenant ID": "11111111-2222-3333-4444-555555555555",
        "Application ID or Client ID": "66666666-7777-8888-9999-000000000000",
        "Use a self-deployed Azure application": true, "Key or Client Secret": "literal-secret",
        "Trust any certificate (not secure)": true });
    let xsoar = json!({ "integration": "management_activity", "command": "test-module", "connection": connection });
    let mut machine = xsoar.clone();
    machine["connection"]["Use Azure Managed Identities"] = json!(true);
    let mut mapping = request("literal-secret");
    mapping["mapping"] = json!({ "patch": { "remove": ["Recipient"] } });
    let mut start = xsoar.clone();
    start["command"] = json!("ms-management-activity-start-subscription");
    start["inputs"] = json!({ "content_type": "Audit.Exchange" });
    let mut rules = request("literal-secret");
    rules["integration"] = json!("office365_audit");
    rules["command"] = json!("collect_and_alert");
    rules["inputs"] = json!({ "rules": ["password_spray", "title: x\nlogsource:\n  product: m365\ndetection:\n  selection:\n    Operation: x\n  condition: selection\n"] });
    for (word, request, at) in [
        ("inline-rules", &rules, "/inputs/rules"),
        (
            "insecure-tls",
            &xsoar,
            "/connection/Trust any certificate (not secure)",
        ),
        (
            "managed-identity",
            &machine,
            "/connection/Use Azure Managed Identities",
        ),
        ("inline-mapping", &mapping, "/mapping"),
        ("inline-connection", &mapping, "/connection"),
        ("write", &start, "/command"),
    ] {
        let args = ["run", "--sandbox", "--allow-insecure-tls", "--forbid", word];
        let error = refused(&args, request.to_string(), "invalid_input");
        assert_eq!(error["at"], at, "{word}: {error}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&format!("(--forbid {word})")), "{message}");
    }
    let args = ["run", "--forbid", "write,wrote"];
    let error = refused(&args, r#"{"command":"x"}"#, "invalid_input");
    assert_eq!(error["at"], "--forbid", "{error}");
}

#[test]
fn operators_secret_with_insecure_tls_is_refused_unless_allowed() {
    let mut request = json!({ "integration": "management_activity", "command": "test-module", "connection": {
        "Token or Tenant ID": "11111111-2222-3333-4444-555555555555",
        "Application ID or Client ID": "66666666-7777-8888-9999-000000000000",
        "Use a self-deployed Azure application": true, "Key or Client Secret": "Env:SOAR_ANY",
        "Trust any certificate (not secure)": true } });
    let error = refused(&["run", "--sandbox"], request.to_string(), "invalid_input");
    assert_eq!(
        error["at"],
        "/connection/Trust any certificate (not secure)"
    );
    let advice = error["assistance"].as_str().expect("advice");
    assert!(advice.contains("--allow-insecure-tls"), "{advice}");
    let args = ["run", "--sandbox", "--allow-insecure-tls"];
    let (code, result, _) = run(&args, request.to_string());
    assert_eq!(
        (code, &result["return_data"]),
        (0, &json!("Successful")),
        "{result}"
    );
    request["connection"]["Key or Client Secret"] = json!("given-in-the-request");
    let (code, result, _) = run(&["run", "--sandbox"], request.to_string());
    assert_eq!(
        (code, &result["return_data"]),
        (0, &json!("Successful")),
        "{result}"
    );
}

#[test]
fn control_characters_of_a_request_are_escaped() {
    let request = json!({ "command": "x\u{1b}[31m\u{202e}y\u{9b}" });
    let (_, result, log) = run(&["run"], request.to_string());
    for text in [&log, result["result"].as_str().expect("a sentence")] {
        assert!(text.contains("[31m"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{text}");
    }
}

#[test]
fn invalid_value_that_ends_in_a_secret_shows_no_part_of_it() {
    let secret = "SuperSecretValue1234567890abcdef";
    for before in [0, 20, 45, 58, 100] {
        let request = json!({
            "command": "Fetch Event",
            "connection": {
                "Tenant ID": "11111111-2222-3333-4444-555555555555",
                "Client ID": "66666666-7777-8888-9999-000000000000",
                "Client Secret": secret,
            },
            "inputs": { "Top Recent Event Number": format!("{}{secret}", "x".repeat(before)) },
        });
        let output = feed(soarhost(&["run"]), request.to_string().as_bytes());
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).expect("UTF-8");
        assert!(!printed.contains(&secret[..4]), "{before}: {printed}");
    }
}
