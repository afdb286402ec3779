//! The binary under test, started as a platform starts it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The binary with these arguments and without environment variables.
pub fn soarhost(args: &[impl AsRef<OsStr>]) -> Command {
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

/// Starts a process and writes its whole stdin.
pub fn start(mut command: Command, stdin: impl AsRef<[u8]>) -> Child {
    let mut child = command.spawn().expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(stdin.as_ref()).expect("it reads");
    child
}

/// Runs a process to its end with this stdin.
pub fn feed(mut command: Command, stdin: impl AsRef<[u8]>) -> Output {
    let mut child = command.spawn().expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let bytes = stdin.as_ref().to_vec();
    let writer = std::thread::spawn(move || {
        // The process can end before it reads everything.
        let _ = pipe.write_all(&bytes);
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    output
}

/// Runs one request: exit code, result, stderr.
pub fn run(args: &[impl AsRef<OsStr>], stdin: impl AsRef<[u8]>) -> (i32, Value, String) {
    let output = feed(soarhost(args), stdin);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "exactly one line: {text:?}");
    let result = serde_json::from_str(&text).expect("one JSON object");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), result, log)
}

/// Runs one request that must be refused with exit code 2 and an error of this kind. Returns the
/// error.
pub fn refused(args: &[impl AsRef<OsStr>], stdin: impl AsRef<[u8]>, kind: &str) -> Value {
    let (code, mut result, _) = run(args, stdin);
    let found = result["error"]["kind"].as_str();
    assert_eq!((code, found), (2, Some(kind)), "{result}");
    result["error"].take()
}

/// Stdout and stderr of a process, one after the other.
pub fn printed(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a signal, by its name without `SIG`.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.expect("kill").success());
}

/// Reads the log of a process up to the first line that contains this text.
pub fn wait_for_log(child: &mut Child, text: &str) {
    let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        let bytes = log.read_line(&mut line).expect("a log");
        assert!(bytes > 0, "it ended without {text} in its log");
    }
}
