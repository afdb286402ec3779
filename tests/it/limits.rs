//! What a request or a service can cost: counts, bytes and kinds, never seconds.

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
