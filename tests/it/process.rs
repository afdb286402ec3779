//! The binary under test, as a platform starts it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The binary, with nothing of this machine's environment that could change what it does.
pub fn soarhost(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_soarhost"));
    command
        .args(args)
        .env_clear()
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts it, gives it the bytes, waits for its end.
pub fn feed(mut command: Command, stdin: &[u8]) -> Output {
    let mut child = command.spawn().expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let bytes = stdin.to_vec();
    let writer = std::thread::spawn(move || {
        // It may stop reading early, which is its right.
        let _ = pipe.write_all(&bytes);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    output
}

/// Carries out one request: exit code, result, stderr.
pub fn run(args: &[&str], stdin: &[u8]) -> (i32, Value, String) {
    let output = feed(soarhost(args), stdin);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "exactly one line: {text:?}");
    let result = serde_json::from_str(&text).expect("one JSON object");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), result, told)
}
