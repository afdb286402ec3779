//! `soarhost poll`: records are delivered before the state is committed; crashes, locks, exit codes.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::bench::{NOW, connection};
use crate::cli::Served;
use crate::process::{feed, signal, soarhost};

/// A simulator, and a folder with the request, the state and the file that is appended to.
struct Lab {
    served: Served,
    folder: tempfile::TempDir,
}

impl Lab {
    fn start(world: &Value, request: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("request.json");
        std::fs::write(file, request.to_string()).expect("a file");
        let served = Served::start(&world.to_string(), &[]);
        Lab { served, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `poll` to the sink in `more`, or to the file in this folder.
    fn command(&self, more: &[&str]) -> std::process::Command {
        let text = |path: &Path| path.display().to_string();
        let own = format!("file:{}", text(&self.path("out.ndjson")));
        let to = if more.contains(&"--to") {
            vec![]
        } else {
            vec!["--to", &own]
        };
        let request = text(&self.path("request.json"));
        let mut command = soarhost(&["poll", &request, "--now", NOW]);
        command.args(to).args(more);
        command.arg("--endpoints").arg(self.served.endpoints());
        command.arg("--state").arg(self.path("state"));
        command
    }

    fn poll(&self, more: &[&str]) -> Output {
        feed(self.command(more), "")
    }

    /// The keys of the delivered events; every line must be whole.
    fn keys(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("out.ndjson")).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        keys(&text)
    }
}

fn keys(text: &str) -> Vec<String> {
    let key = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("a whole line");
        event["key"].as_str().expect("a key").to_owned()
    };
    text.lines().map(key).collect()
}

fn distinct(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys.dedup();
    keys
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const ALERTS: usize = 24;

/// A world and a request of many small runs.
fn alerts() -> (Value, Value) {
    let world = json!({ "page_size": 2, "alerts": { "count": ALERTS },
                        "subscriptions": [{ "content_type": "DLP.All" }] });
    let request = json!({ "command": "Fetch Event", "connection": connection(),
                          "inputs": { "Top Recent Event Number": 100 },
                          "options": { "max_events": 4 } });
    (world, request)
}

/// The keys of the events that a poll delivers if it is not killed.
fn all_keys(world: &Value, request: &Value) -> Vec<String> {
    let lab = Lab::start(world, request);
    lab.poll(&[]);
    distinct(lab.keys())
}

#[test]
fn poll_runs_until_nothing_is_left_and_the_next_poll_delivers_nothing() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let first = lab.poll(&[]);
    assert_eq!(first.status.code(), Some(0), "{}", log(&first));
    assert!(first.stdout.is_empty());
    let delivered = lab.keys();
    assert!(delivered.len() > 8, "{delivered:?}");
    assert_eq!(distinct(delivered.clone()).len(), delivered.len());
    let runs: Vec<String> = log(&first).lines().map(str::to_owned).collect();
    assert!(runs.len() > 2 && runs.iter().all(|line| line.starts_with("info: run ")));
    assert!(
        runs[0].contains(" delivered, ") && runs[0].ends_with(" gaps"),
        "{}",
        runs[0]
    );
    let second = lab.poll(&[]);
    assert_eq!(second.status.code(), Some(0), "{}", log(&second));
    assert_eq!(lab.keys(), delivered);
}

#[test]
fn poll_to_stdout_writes_the_same_as_to_a_file() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let stdout = lab.poll(&["--to", "-", "--emit", "events"]).stdout;
    std::fs::remove_dir_all(lab.path("state")).expect("a state");
    lab.poll(&[]);
    let file = std::fs::read(lab.path("out.ndjson")).expect("a file");
    assert_eq!(stdout, file);
}

#[test]
fn emitted_record_has_the_members_of_the_service() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let output = lab.poll(&["--to", "-", "--emit", "records"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let record: Value = serde_json::from_str(text.lines().next().expect("a record")).expect("JSON");
    assert!(
        record["id"].is_string() && record["evidence"].is_array(),
        "{record}"
    );
}

#[cfg(feature = "rules")]
#[test]
fn alerts_of_rules_are_emitted_and_not_dropped() {
    let types = [
        "Audit.AzureActiveDirectory",
        "Audit.Exchange",
        "Audit.SharePoint",
        "Audit.General",
        "DLP.All",
    ];
    let world = json!({ "subscriptions": types.map(|name| json!({ "content_type": name })),
        "content": { "story": { "day": "2026-01-14", "records": 20 } } });
    let mut request = alerts().1;
    request["integration"] = json!("office365_audit");
    request["command"] = json!("collect_and_alert");
    request["inputs"] = json!({});
    request["options"] = json!({});
    let lab = Lab::start(&world, &request);
    let refused = lab.poll(&["--to", "-", "--emit", "records"]);
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8(lab.poll(&["--to", "-"]).stdout).expect("UTF-8");
    let alert: Value = serde_json::from_str(text.lines().next().expect("an alert")).expect("JSON");
    assert!(
        alert["key"].is_string() && alert["rule"].is_string(),
        "{alert}"
    );
}

#[test]
fn poll_killed_between_runs_loses_no_event_and_leaves_whole_lines() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let all = all_keys(&world, &request);
    for lines in [1, 2, 3] {
        let mut command = lab.command(&[]);
        let mut child = command.spawn().expect("it starts");
        let mut runs = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        // Killed after a line of the log, which is written between two runs.
        for _ in 0..lines {
            let _ = runs.next();
        }
        signal(&child, "KILL");
        child.wait().expect("it ends");
    }
    let last = lab.poll(&[]);
    assert_eq!(last.status.code(), Some(0), "{}", log(&last));
    assert_eq!(distinct(lab.keys()), all);
}

#[test]
fn poll_killed_while_it_delivers_to_stdout_loses_no_event() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let mut child = lab.command(&["--to", "-"]).spawn().expect("it starts");
    let mut begun = [0; 100];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut begun).expect("it has begun");
    signal(&child, "KILL");
    child.wait().expect("it ends");
    let mut first = String::new();
    let _ = stdout.read_to_string(&mut first);
    let again = lab.poll(&["--to", "-"]);
    let again = String::from_utf8(again.stdout).expect("UTF-8");
    let begun = String::from_utf8_lossy(&begun).into_owned() + &first;
    let lines = begun
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_ok());
    let seen: Vec<String> = lines.flat_map(keys).chain(keys(&again)).collect();
    let all = all_keys(&world, &request);
    assert_eq!(distinct(seen), all);
}

#[test]
fn incomplete_last_line_is_removed_at_the_start() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let torn = "{\"key\":\"whole\"}\n{\"key\":\"tor";
    std::fs::write(lab.path("out.ndjson"), torn).expect("a file");
    let output = lab.poll(&["--max-runs", "1"]);
    assert!(
        log(&output).contains("incomplete last line of 11 bytes"),
        "{}",
        log(&output)
    );
    assert_eq!(lab.keys()[0], "whole");
    assert!(lab.keys().len() > 1);
}

#[test]
fn second_poll_on_the_same_state_is_busy_and_sigterm_ends_the_first_with_143() {
    let (mut world, request) = alerts();
    world["faults"] = json!([{ "route": "graph.alerts", "nth": 5, "delay_ms": 600_000 }]);
    let lab = Lab::start(&world, &request);
    let mut first = lab.command(&[]).spawn().expect("it starts");
    let mut lines = BufReader::new(first.stderr.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a log");
    let delivered = lab.keys();
    assert!(!delivered.is_empty(), "{line}");
    let other = format!("file:{}", lab.path("other.ndjson").display());
    let second = lab.poll(&["--to", &other]);
    assert_eq!(second.status.code(), Some(75), "{}", log(&second));
    assert!(
        log(&second).contains("Another poll uses the same state."),
        "{}",
        log(&second)
    );
    signal(&first, "TERM");
    assert_eq!(first.wait().expect("it ends").code(), Some(143));
    assert_eq!(distinct(lab.keys()).len(), lab.keys().len());
    assert!(lab.keys().starts_with(&delivered));
}

#[test]
fn full_disk_ends_with_74_and_the_state_stays() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let output = lab.poll(&["--to", "file:/dev/full"]);
    assert_eq!(output.status.code(), Some(74), "{}", log(&output));
    assert!(
        log(&output).contains("The state was not committed"),
        "{}",
        log(&output)
    );
    assert_eq!(lab.poll(&[]).status.code(), Some(0));
    assert!(lab.keys().len() > 8);
}

#[test]
fn discarded_stdout_is_refused_and_commits_nothing() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let mut command = lab.command(&["--to", "-"]);
    let output = command.stdout(std::process::Stdio::null()).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{}", log(&output));
    assert!(log(&output).contains("file:/dev/null"), "{}", log(&output));
    assert_eq!(lab.poll(&[]).status.code(), Some(0));
    assert!(lab.keys().len() > 8, "the state was not committed");
    let discarded = lab.poll(&["--to", "file:/dev/null"]);
    assert_eq!(discarded.status.code(), Some(0), "{}", log(&discarded));
}

#[test]
fn temporary_failure_is_retried_until_it_passes() {
    let (mut world, mut request) = alerts();
    world["faults"] = json!([{ "route": "graph.alerts", "times": 1, "delay_ms": 5_000 }]);
    request["options"] = json!({ "timeout_ms": 700 });
    let lab = Lab::start(&world, &request);
    let once = lab.poll(&["--max-runs", "1"]);
    assert_eq!(once.status.code(), Some(75), "{}", log(&once));
    assert!(lab.keys().is_empty());
    let lab = Lab::start(&world, &request);
    let output = lab.poll(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", log(&output));
    assert!(lab.keys().len() > 8);
}

#[test]
fn exit_code_distinguishes_gaps_refusals_and_faults_of_the_request() {
    let (world, request) = alerts();
    let body = json!({ "error": { "code": "Forbidden", "message": "Missing application roles." } });
    let forbidden = json!({ "faults": [{ "route": "graph.alerts", "status": 403, "body": body }] });
    let lab = Lab::start(&forbidden, &request);
    assert_eq!(lab.poll(&[]).status.code(), Some(1), "no permission");

    let mut faulty = request.clone();
    faulty["inputs"] = json!({ "Top Recent Event Number": "x" });
    let lab = Lab::start(&world, &faulty);
    assert_eq!(lab.poll(&[]).status.code(), Some(2), "a faulty input");
    let absent = feed(
        soarhost(&["poll", "absent.json", "--to", "-", "--state", "/tmp"]),
        b"",
    );
    assert_eq!(absent.status.code(), Some(2), "no request");
    let nowhere = feed(soarhost(&["poll", "absent.json", "--to", "nowhere"]), b"");
    assert_eq!(nowhere.status.code(), Some(2), "no such sink");
    assert!(
        log(&nowhere).contains("`-` or `file:PATH`"),
        "{}",
        log(&nowhere)
    );

    let gaps = json!({ "subscriptions": [{ "content_type": "Audit.Exchange" }], "faults": [{ "route": "management.blob", "nth": 1, "status": 404, "body": "" }] });
    let audit = json!({ "command": "Get Audit Log", "connection": connection(),
                        "inputs": { "Content Type": "Audit.Exchange" } });
    let lab = Lab::start(&gaps, &audit);
    let output = lab.poll(&["--to", "-"]);
    assert_eq!(output.status.code(), Some(3), "{}", log(&output));
    assert!(!output.stdout.is_empty());
    let events = lab.poll(&["--emit", "events"]);
    assert_eq!(events.status.code(), Some(2), "the command makes no events");
}

#[test]
fn default_state_folder_is_the_service_managers_or_the_users() {
    let (world, request) = alerts();
    let lab = Lab::start(&world, &request);
    let file = lab.path("request.json").display().to_string();
    for (variable, folder, below) in [
        ("STATE_DIRECTORY", "managed", "managed/state"),
        ("XDG_STATE_HOME", "xdg", "xdg/soarhost/state"),
        ("HOME", "home", "home/.local/state/soarhost/state"),
    ] {
        let mut command = soarhost(&["poll", &file, "--to", "-", "--now", NOW]);
        command.arg("--endpoints").arg(lab.served.endpoints());
        command.env(variable, lab.path(folder));
        let output = feed(command, b"");
        assert_eq!(output.status.code(), Some(0), "{}", log(&output));
        assert!(lab.path(below).is_dir(), "{variable}");
    }
}
