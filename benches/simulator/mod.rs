//! The simulator as a process of its own, for benchmarks that measure the host's process.
//!
//! It starts and finds it; worlds and what is measured are the benchmarks' part.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

const HOST: &str = env!("CARGO_BIN_EXE_soarhost");

/// Starts it with that world; its endpoints file is in the folder when this returns.
pub(crate) fn start(folder: &Path, world: &Value) -> Child {
    let file = folder.join("world.json");
    std::fs::write(&file, world.to_string()).expect("a world file");
    let mut child = Command::new(HOST)
        .args(["simulate", "--world"])
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    let mut lines = BufReader::new(child.stdout.as_mut().expect("a pipe"));
    let mut endpoints = String::new();
    // It prints one indented object and then serves.
    while !endpoints.ends_with("}\n") {
        assert!(lines.read_line(&mut endpoints).expect("a line") > 0);
    }
    std::fs::write(folder.join("endpoints.json"), endpoints).expect("an endpoints file");
    child
}

/// Starts the host with Get Audit Log, whose request is written already.
pub(crate) fn get_audit_log(folder: &Path, inputs: &Value, include: &[&str]) -> Child {
    let request = json!({ "command": "Get Audit Log", "inputs": inputs,
        "options": { "include": include, "timeout_ms": 600_000 },
        "connection": { "Tenant ID": "11111111-2222-3333-4444-555555555555",
                        "Client ID": "66666666-7777-8888-9999-000000000000", "Client Secret": "any-secret" } });
    let mut child = Command::new(HOST)
        .args(["run", "--log-level", "off", "--endpoints"])
        .arg(folder.join("endpoints.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the host starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(request.to_string().as_bytes())
        .expect("it reads");
    child
}

/// Stops it.
pub(crate) fn stop(mut simulator: Child) {
    simulator.kill().expect("it stops");
    simulator.wait().expect("it stopped");
}
