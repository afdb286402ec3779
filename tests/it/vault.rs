//! Tokens and states that are stored in `--state` between runs. Each run is a process; all use one
//! simulator.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use soarhost::host::{Cancel, Host, Settings};
use soarhost::identity::sha256;
use soarhost::protocol::Redactor;
use soarhost::sim::{Listen, Sim, World};
use soarhost::when;

use crate::architecture::files;
use crate::bench::{self, NOW, block_on, connection};
use crate::process::{feed, run, signal, soarhost, start, wait_for_log};

/// Exit code, result, stderr.
type Ran = (i32, Value, String);

/// A simulator in this process, and a state folder that does not exist yet.
struct Lab {
    sim: Sim,
    folder: tempfile::TempDir,
}

impl Lab {
    async fn start(world: &Value) -> Self {
        let mut world = World::from_json(&world.to_string()).expect("a world");
        world.now = when::instant(NOW, &[]);
        let sim = Sim::start(world, Listen::default()).await;
        let sim = sim.expect("the simulator starts");
        let folder = tempfile::tempdir().expect("a folder");
        let endpoints = sim.endpoints().to_string();
        std::fs::write(folder.path().join("endpoints.json"), endpoints).expect("a file");
        Lab { sim, folder }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("stored/state")
    }

    /// The file of a state by its key.
    fn state_file(&self, name: &str) -> PathBuf {
        let file = format!("{}.json", sha256(name.as_bytes()));
        self.state().join("state").join(file)
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let endpoints = self.folder.path().join("endpoints.json");
        let state = self.state();
        let paths = [&endpoints, &state].map(|path| path.to_string_lossy().into_owned());
        let own = ["run", "--endpoints", &paths[0], "--state", &paths[1]];
        let now = if more.contains(&"--now") {
            &[][..]
        } else {
            &["--now", NOW]
        };
        let all = own.iter().chain(now).chain(more);
        all.map(|word| (*word).to_owned()).collect()
    }

    /// A process that uses the simulator and the state folder.
    fn command(&self, more: &[&str]) -> Command {
        soarhost(&self.args(more))
    }

    /// Runs one request in a process.
    async fn run(&self, request: &Value) -> Ran {
        self.run_with(&[], request).await
    }

    async fn run_with(&self, more: &[&str], request: &Value) -> Ran {
        let (args, request) = (self.args(more), request.to_string());
        blocking(move || run(&args, request)).await
    }

    /// The number of sign-ins so far.
    fn sign_ins(&self) -> usize {
        let seen = self.sim.requests();
        seen.iter()
            .filter(|seen| seen.service == "login" && seen.method == "POST")
            .count()
    }

    /// The number of requests for alerts so far.
    fn alert_requests(&self) -> usize {
        let seen = self.sim.requests();
        seen.iter().filter(|seen| seen.service == "graph").count()
    }

    /// A process that has requested alerts and waits for the response.
    async fn waiting(&self, request: &Value) -> Child {
        let before = self.alert_requests();
        let command = self.command(&["--log-level", "debug"]);
        let request = request.to_string();
        let child = blocking(move || {
            let mut child = start(command, request);
            wait_for_log(&mut child, "alerts_v2");
            child
        })
        .await;
        // It logs a request before it sends it, and only the first request is delayed.
        while self.alert_requests() == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        child
    }
}

/// Runs blocking work on another thread, because the simulator needs the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

fn test_connection() -> Value {
    json!({ "integration": "purview_audit_alert_v2", "command": "Test Connection", "id": "t",
        "connection": connection() })
}

/// Ten of twelve alerts, at most three in a run: four runs.
fn fetch(name: &str) -> Value {
    json!({ "command": "Fetch Event", "id": "f", "connection": connection(),
            "inputs": { "Top Recent Event Number": 10 },
            "options": { "include": ["events"], "max_events": 3, "state_key": name } })
}

fn paged() -> Value {
    json!({ "page_size": 2, "alerts": { "count": 12 },
            "subscriptions": [{ "content_type": "DLP.All" }] })
}

/// The source of the token in a run that must succeed.
fn source(ran: &Ran) -> &str {
    let (code, result, log) = ran;
    assert_eq!(*code, 0, "{} {log}", result["result"]);
    result["metrics"]["token_source"].as_str().expect("a word")
}

fn warnings(ran: &Ran) -> Vec<&str> {
    let warnings = ran.1["warnings"].as_array().expect("warnings");
    warnings
        .iter()
        .filter_map(|warning| warning["code"].as_str())
        .collect()
}

fn exit(ran: &Ran) -> (i32, &str) {
    (ran.0, ran.1["error"]["kind"].as_str().unwrap_or("none"))
}

#[test]
fn concurrent_processes_sign_in_once_for_each_service() {
    block_on(async {
        // Long enough that no process finds a token.
        let slow = json!({ "faults": [{ "route": "login.token", "delay_ms": 300 }] });
        let lab = Lab::start(&slow).await;
        let request = test_connection();
        let all = (0..6).map(|_| lab.run(&request));
        let all = futures_util::future::join_all(all).await;
        for ran in &all {
            let from = source(ran);
            assert!(from == "vault" || from == "sign_in", "{from}");
            assert_eq!(warnings(ran), [""; 0]);
        }
        assert_eq!(lab.sign_ins(), 2);
    });
}

#[test]
fn damaged_token_file_is_reported_and_replaced() {
    block_on(async {
        let lab = Lab::start(&json!({})).await;
        lab.run(&test_connection()).await;
        let stored = files(&lab.state(), "json");
        assert_eq!(stored.len(), 2);
        let whole = std::fs::read_to_string(&stored[0]).expect("it reads");
        std::fs::write(&stored[0], &whole[..whole.len() / 2]).expect("a file");
        std::fs::copy(&stored[0], &stored[1]).expect("a copy");
        let ran = lab.run(&test_connection()).await;
        assert_eq!(source(&ran), "sign_in");
        assert_eq!(warnings(&ran), ["vault_ignored"; 2]);
        let name = stored[0].file_name().expect("a name").to_string_lossy();
        let message = ran.1["warnings"][0]["message"].as_str().expect("words");
        assert!(message.contains(&format!("tokens/{name}")), "{message}");
        let ran = lab.run(&test_connection()).await;
        assert_eq!((source(&ran), warnings(&ran)), ("vault", vec![]));
    });
}

#[test]
fn files_of_a_killed_process_do_not_affect_the_next_run() {
    block_on(async {
        let mut world = paged();
        world["faults"] = json!([{ "route": "graph.alerts", "nth": 1, "delay_ms": 600_000 }]);
        let lab = Lab::start(&world).await;
        let mut child = lab.waiting(&fetch("prod")).await;
        assert_eq!(exit(&lab.run(&fetch("prod")).await), (75, "busy"));
        signal(&child, "KILL");
        child.wait().expect("it ends");
        let stored = files(&lab.state(), "json");
        let locks = files(&lab.state(), "lock");
        assert_eq!(
            (stored.len(), locks.len()),
            (2, 3),
            "two tokens, and a state key in use"
        );
        for lock in &locks {
            std::fs::write(lock.with_extension("tmp"), "{\"vault\":1,\"sa").expect("a file");
        }
        std::fs::remove_file(&stored[0]).expect("it was there");
        let ran = lab.run(&fetch("prod")).await;
        assert_eq!((source(&ran), warnings(&ran)), ("sign_in", vec![]));
        assert!(lab.state_file("prod").is_file());
        assert!(!lab.state_file("prod").with_extension("tmp").exists());
        assert!(!stored[0].with_extension("tmp").exists());
    });
}

#[test]
fn second_process_on_a_state_key_is_busy() {
    block_on(async {
        let mut world = paged();
        world["faults"] = json!([{ "route": "graph.alerts", "nth": 1, "delay_ms": 600_000 }]);
        let lab = Lab::start(&world).await;
        let mut child = lab.waiting(&fetch("prod")).await;
        let busy = lab.run(&fetch("prod")).await;
        assert_eq!(exit(&busy), (75, "busy"));
        assert_eq!(busy.1["metrics"]["calls"], 0);
        assert_eq!(busy.1["error"]["status_code"], "409");
        assert_eq!(busy.1["error"]["at"], "/options/state_key");
        let words = busy.1["error"]["message"].as_str().expect("words");
        assert!(words.contains("\"prod\""), "{words}");
        // Another state key is free, and a dry run does not lock this one.
        assert_eq!(exit(&lab.run(&fetch("other")).await), (0, "none"));
        let mut dry_run = fetch("prod");
        dry_run["options"]["dry_run"] = json!(true);
        assert_eq!(exit(&lab.run(&dry_run).await), (0, "none"));
        signal(&child, "TERM");
        assert_eq!(child.wait().expect("it ends").code(), Some(143));
        assert_eq!(exit(&lab.run(&fetch("prod")).await), (0, "none"));
    });
}

#[test]
fn second_request_on_a_state_key_in_one_process_is_busy() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        state: Some(folder.path().to_path_buf()),
        ..Settings::default()
    };
    let host = Host::open(settings, Redactor::default());
    let line = fetch("prod").to_string();
    let first = host
        .check(line.as_bytes(), &Cancel::default())
        .expect("it is free");
    let second = host
        .check(line.as_bytes(), &Cancel::default())
        .expect_err("it is in use");
    assert_eq!(second.exit_code(), 75);
    drop(first);
    assert!(host.check(line.as_bytes(), &Cancel::default()).is_ok());
}

#[test]
fn each_line_of_a_batch_resumes_after_the_line_before() {
    block_on(async {
        let lab = Lab::start(&paged()).await;
        let line = fetch("prod").to_string();
        let input = [line.as_str(); 4].join("\n");
        let command = lab.command(&["--batch"]);
        let output = blocking(move || feed(command, input)).await;
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let counts: Vec<usize> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .map(|result| result["events"].as_array().map_or(0, Vec::len))
            .collect();
        assert_eq!(counts, [3, 3, 3, 1], "{text}");
    });
}

#[test]
fn state_is_committed_only_after_the_result_was_written() {
    block_on(async {
        let lab = Lab::start(&paged()).await;
        let mut command = lab.command(&[]);
        command.stderr(Stdio::null());
        let code = blocking(move || {
            let mut child = command.spawn().expect("it starts");
            drop(child.stdout.take());
            let mut stdin = child.stdin.take().expect("a pipe");
            write!(stdin, "{}", fetch("prod")).expect("it reads");
            drop(stdin);
            child.wait().expect("it ends").code()
        })
        .await;
        assert_eq!(code, Some(141));
        assert!(!lab.state_file("prod").exists());
        // If the state cannot be stored, the exit code is still the one of the result.
        let obstacle = lab.state_file("prod").with_extension("tmp");
        std::fs::create_dir(&obstacle).expect("a folder");
        let (code, result, log) = lab.run(&fetch("prod")).await;
        assert_eq!((code, &result["error"]), (0, &Value::Null));
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("delivers these events again"), "{log}");
    });
}

#[test]
fn damaged_state_is_refused_with_its_file() {
    block_on(async {
        let lab = Lab::start(&paged()).await;
        lab.run(&fetch("prod")).await;
        let file = lab.state_file("prod");
        let whole = std::fs::read_to_string(&file).expect("it reads");
        let other = whole.replace("\"prod\"", "\"dev\"");
        let edited = regex::Regex::new(r#""resume": \{[^}]*\}"#).expect("a pattern");
        let edited = edited.replace(&whole, r#""resume": {"x":1}"#);
        for text in [&whole[..whole.len() / 2], &other, &edited] {
            std::fs::write(&file, text).expect("a file");
            let ran = lab.run(&fetch("prod")).await;
            assert_eq!(exit(&ran), (2, "invalid_input"), "{text}");
            assert_eq!(ran.1["error"]["at"], "/options/state_key");
            let words = ran.1["error"]["message"].as_str().expect("words");
            assert!(words.contains(&*file.to_string_lossy()), "{words}");
            assert_eq!(std::fs::read_to_string(&file).expect("it reads"), text);
        }
        std::fs::remove_file(&file).expect("it was there");
        assert_eq!(exit(&lab.run(&fetch("prod")).await), (0, "none"));
    });
}

#[test]
fn refusal_dry_run_and_sandbox_create_no_state_folder() {
    block_on(async {
        let lab = Lab::start(&json!({})).await;
        let refused =
            json!({ "integration": "purview_audit_alert_v2", "command": "Test Connection" });
        assert_eq!(lab.run(&refused).await.0, 2);
        let mut dry_run = test_connection();
        dry_run["options"] = json!({ "dry_run": true });
        assert_eq!(lab.run(&dry_run).await.0, 0);
        let state = lab.state();
        assert!(!state.exists());
        let mut command = soarhost(&["try", "purview_audit_alert_v2.Test Connection"]);
        command.env("SOARHOST_STATE_DIR", &state);
        assert_eq!(feed(command, "").status.code(), Some(0));
        assert!(!state.exists(), "the sandbox stores no tokens");
        let mut command = soarhost(&["run", "--sandbox"]);
        command.env("SOARHOST_STATE_DIR", &state);
        let start = json!({ "command": "o365-auditlog-auth-start",
            "connection": { "Email (Password for basic authentication only)": "ada@contoso.onmicrosoft.com" } });
        let output = feed(command, start.to_string());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(
            text.contains("The sandbox does not store tokens."),
            "{text}"
        );
        lab.run(&test_connection()).await;
        let listed = lab.run(&dry_run).await;
        let requests = listed.1["context_data"].as_array().map(Vec::len);
        assert_eq!(
            requests,
            Some(2),
            "the sign-ins are listed although tokens are stored"
        );
    });
}

#[test]
fn sandbox_stores_states_and_no_tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("state");
    let args = [
        "run",
        "--sandbox",
        "--now",
        NOW,
        "--state",
        &dir.to_string_lossy(),
    ];
    let mut request = fetch("demo");
    request["inputs"]["Top Recent Event Number"] = json!(150);
    let ran = run(&args, request.to_string());
    assert_eq!((exit(&ran), &ran.1["more"]), ((0, "none"), &json!(true)));
    assert_eq!(files(&dir, "json").len(), 1);
    assert!(!dir.join("tokens").exists());
}

#[test]
fn unusable_state_folder_is_refused_at_its_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("a file");
    let path = file.to_string_lossy().into_owned();
    for request in [test_connection(), fetch("prod")] {
        let ran = run(&["run", "--state", &path], request.to_string());
        assert_eq!(exit(&ran), (2, "invalid_input"));
        assert_eq!(ran.1["error"]["at"], "--state");
    }
    let mut odd = fetch("a name with spaces");
    let ran = run(&["run", "--state", &path], odd.to_string());
    assert_eq!(ran.1["error"]["at"], "/options/state_key");
    odd["options"]["state_key"] = json!("prod");
    let ran = run(&["run"], odd.to_string());
    assert_eq!(
        ran.1["error"]["at"], "/options/state_key",
        "no folder at all"
    );
}

/// The numbers of the records in a result and whether there is more; none if the result is incomplete.
fn delivered(stdout: &[u8]) -> Option<(Vec<usize>, bool)> {
    let line = stdout.strip_suffix(b"\n")?;
    let result: Value =
        serde_json::from_slice(line).expect("a result with a line break is complete");
    let records = result["raw_data"].as_array().into_iter().flatten();
    let numbers = records.map(|record| {
        let id = record["Id"].as_str().expect("an id");
        id[24..].parse().expect("a number")
    });
    Some((numbers.collect(), result["more"] == true))
}

#[test]
fn hundred_kills_lose_no_record_and_damage_no_file() {
    const BLOBS: usize = 400;
    block_on(async {
        let blobs: Vec<Value> = (0..BLOBS)
            .map(|n| {
                json!({ "type": "Audit.Exchange", "created": format!("2026-01-14T10:{:02}:{:02}Z", n / 60, n % 60),
                        "records": [{ "Id": format!("00000000-0000-4000-8000-{n:012}") }] })
            })
            .collect();
        let world = json!({ "subscriptions": [{ "content_type": "Audit.Exchange" }],
                            "content": { "blobs": blobs }, "content_page_size": 50 });
        let lab = Lab::start(&world).await;
        let request = json!({ "command": "Get Audit Log", "inputs": { "Content Type": "Audit.Exchange" },
            "connection": connection(),
            "options": { "include": ["raw_data"], "max_events": 2, "state_key": "killed" } });
        let mut received = std::collections::BTreeSet::new();
        let mut random = 7_u64;
        for number in 0.. {
            // The first hundred runs are killed at a random time, the following ones are not.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let moment = (number < 100).then(|| Duration::from_micros(random >> 33 & 0xffff));
            let (mut command, text) = (lab.command(&[]), request.to_string());
            let output = blocking(move || {
                let mut child = command.spawn().expect("it starts");
                let mut stdin = child.stdin.take().expect("a pipe");
                // It can be killed before it reads.
                let _ = stdin.write_all(text.as_bytes());
                drop(stdin);
                if let Some(moment) = moment {
                    std::thread::sleep(moment);
                    child.kill().expect("a process");
                }
                child.wait_with_output().expect("it ends")
            })
            .await;
            let ended = delivered(&output.stdout);
            received.extend(
                ended
                    .iter()
                    .flat_map(|(numbers, _)| numbers.iter().copied()),
            );
            if let Ok(text) = std::fs::read_to_string(lab.state_file("killed")) {
                let stored: Value = serde_json::from_str(&text).expect("no file is damaged");
                assert_eq!(stored["state_key"], "killed");
            }
            if moment.is_none() {
                let (_, more) = ended.expect("it was not killed");
                assert!(number < 400, "it does not end");
                if !more {
                    break;
                }
            }
        }
        assert_eq!(received, (0..BLOBS).collect(), "the union is exact");
        for file in bench::files(&lab.state()) {
            let incomplete = file.extension().is_some_and(|name| name == "tmp");
            assert!(
                !incomplete || !file.starts_with(lab.state().join("state")),
                "{}",
                file.display()
            );
        }
    });
}
