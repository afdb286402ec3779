//! What is kept between runs: tokens and states below `--state`, by processes of their own against
//! one simulator.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use soarhost::host::{Cancel, Host, Settings};
use soarhost::identity::sha256;
use soarhost::protocol::Redactor;
use soarhost::sim::{Listen, Sim, World};
use soarhost::when;

use crate::bench::{CANARY, NOW, connection};
use crate::cli::signal;
use crate::process::{feed, run, soarhost};

/// Exit code, result, stderr.
type Ran = (i32, Value, String);

/// A simulator in this process, and a state folder that is not there yet.
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
        self.folder.path().join("kept/state")
    }

    /// The file of a state by its name.
    fn position(&self, name: &str) -> PathBuf {
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

    /// Runs one request in a process of its own, while the simulator serves.
    async fn run(&self, request: &Value) -> Ran {
        self.run_with(&[], request).await
    }

    async fn run_with(&self, more: &[&str], request: &Value) -> Ran {
        let (args, request) = (self.args(more), request.to_string());
        aside(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            run(&args, request.as_bytes())
        })
        .await
    }

    /// How often somebody signed in so far.
    fn sign_ins(&self) -> usize {
        let seen = self.sim.requests();
        seen.iter()
            .filter(|seen| seen.service == "login" && seen.method == "POST")
            .count()
    }

    /// How often alerts were asked for so far.
    fn asked(&self) -> usize {
        let seen = self.sim.requests();
        seen.iter().filter(|seen| seen.service == "graph").count()
    }

    /// A process that has asked for alerts and waits for the answer.
    async fn hanging(&self, request: &Value) -> Child {
        let before = self.asked();
        let (args, request) = (self.args(&["--log-level", "debug"]), request.to_string());
        let child = aside(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let mut child = soarhost(&args).spawn().expect("it starts");
            let mut stdin = child.stdin.take().expect("a pipe");
            stdin.write_all(request.as_bytes()).expect("it reads");
            drop(stdin);
            let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
            let mut line = String::new();
            while !line.contains("alerts_v2") {
                line.clear();
                assert!(log.read_line(&mut line).expect("a log") > 0, "it ended");
            }
            child
        })
        .await;
        // It says so before it asks; whoever asks first is the one that has to wait.
        while self.asked() == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        child
    }
}

/// Work that blocks, aside from the runtime that the simulator needs.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

fn serve<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

fn test_connection() -> Value {
    json!({ "command": "Test Connection", "id": "t", "connection": connection() })
}

/// Pages of two of twelve alerts, at least three at a time: four runs.
fn fetch(name: &str) -> Value {
    json!({ "command": "Fetch Event", "id": "f", "connection": connection(),
            "inputs": { "Top Recent Event Number": 10 },
            "options": { "include": ["events"], "max_events": 3, "state_key": name } })
}

fn paged() -> Value {
    json!({ "page_size": 2, "alerts": { "count": 12 },
            "subscriptions": [{ "content_type": "DLP.All" }] })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn ending(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = files(folder);
    found.retain(|file| file.extension().is_some_and(|own| own == extension));
    found
}

fn source(ran: &Ran) -> &str {
    let (code, result, told) = ran;
    assert_eq!(*code, 0, "{} {told}", result["result"]);
    result["metrics"]["token_source"].as_str().expect("a word")
}

fn warnings(ran: &Ran) -> Vec<&str> {
    let told = ran.1["warnings"].as_array().expect("warnings");
    told.iter()
        .filter_map(|warning| warning["code"].as_str())
        .collect()
}

fn kind(ran: &Ran) -> (i32, &str) {
    (ran.0, ran.1["error"]["kind"].as_str().unwrap_or("none"))
}

#[test]
fn a_second_test_connection_sends_no_sign_in() {
    serve(async {
        let lab = Lab::start(&json!({})).await;
        let mut first = lab.run(&test_connection()).await;
        assert_eq!(source(&first), "sign_in");
        assert_eq!(lab.sign_ins(), 2, "one for each service");
        let mut second = lab.run(&test_connection()).await;
        assert_eq!(source(&second), "vault");
        assert_eq!(second.1["metrics"]["calls"], 0);
        assert_eq!(lab.sign_ins(), 2);
        for ran in [&mut first, &mut second] {
            ran.1["metrics"] = Value::Null;
        }
        assert_eq!(first.1, second.1, "they differ under metrics alone");
        // Nearly an hour later the tokens are renewed early.
        let later = ["--now", "2026-01-14T12:56:00Z"];
        let third = lab.run_with(&later, &test_connection()).await;
        assert_eq!(source(&third), "sign_in");
        assert_eq!(lab.sign_ins(), 4);
    });
}

#[test]
fn processes_side_by_side_sign_in_once_for_each_service() {
    serve(async {
        // Long enough that all of them find no token.
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
fn a_changed_secret_signs_in_anew() {
    serve(async {
        let lab = Lab::start(&json!({})).await;
        assert_eq!(source(&lab.run(&test_connection()).await), "sign_in");
        let mut changed = test_connection();
        changed["connection"]["Client Secret"] = json!("another~secret");
        let ran = lab.run(&changed).await;
        assert_eq!((source(&ran), warnings(&ran)), ("sign_in", vec![]));
        assert_eq!(lab.sign_ins(), 4);
        // While both are valid, neither gets into the other's way.
        assert_eq!(source(&lab.run(&test_connection()).await), "vault");
        assert_eq!(source(&lab.run(&changed).await), "vault");
    });
}

#[test]
fn a_damaged_file_is_told_and_replaced() {
    serve(async {
        let lab = Lab::start(&json!({})).await;
        lab.run(&test_connection()).await;
        let kept = ending(&lab.state(), "json");
        assert_eq!(kept.len(), 2);
        let whole = std::fs::read_to_string(&kept[0]).expect("it reads");
        std::fs::write(&kept[0], &whole[..whole.len() / 2]).expect("a file");
        std::fs::copy(&kept[0], &kept[1]).expect("a copy");
        let ran = lab.run(&test_connection()).await;
        assert_eq!(source(&ran), "sign_in");
        assert_eq!(warnings(&ran), ["vault_ignored"; 2]);
        let name = kept[0].file_name().expect("a name").to_string_lossy();
        let told = ran.1["warnings"][0]["message"].as_str().expect("words");
        assert!(told.contains(&format!("tokens/{name}")), "{told}");
        let ran = lab.run(&test_connection()).await;
        assert_eq!((source(&ran), warnings(&ran)), ("vault", vec![]));
    });
}

#[test]
fn a_refused_token_is_not_met_twice() {
    serve(async {
        let world =
            json!({ "faults": [{ "route": "graph.alerts", "nth": 2, "expire_token": true }] });
        let lab = Lab::start(&world).await;
        let request = json!({ "command": "Fetch Event", "connection": connection(),
                              "inputs": { "Top Recent Event Number": 2 } });
        assert_eq!(source(&lab.run(&request).await), "sign_in");
        let before = lab.sign_ins();
        // Whether this run signs in again itself or leaves that to the next one:
        lab.run(&request).await;
        assert_eq!(lab.run(&request).await.0, 0);
        assert_eq!(lab.sign_ins(), before + 1);
        assert_eq!(source(&lab.run(&request).await), "vault");
    });
}

#[test]
fn what_killed_processes_left_does_no_harm() {
    serve(async {
        let mut world = paged();
        world["faults"] = json!([{ "route": "graph.alerts", "nth": 1, "delay_ms": 600_000 }]);
        let lab = Lab::start(&world).await;
        let mut child = lab.hanging(&fetch("prod")).await;
        assert_eq!(kind(&lab.run(&fetch("prod")).await), (75, "busy"));
        signal(&child, "KILL");
        child.wait().expect("it ends");
        let kept = ending(&lab.state(), "json");
        let locks = ending(&lab.state(), "lock");
        assert_eq!(
            (kept.len(), locks.len()),
            (2, 3),
            "two tokens, and a name that is held"
        );
        for lock in &locks {
            std::fs::write(lock.with_extension("tmp"), "{\"vault\":1,\"sa").expect("a file");
        }
        std::fs::remove_file(&kept[0]).expect("it was there");
        let ran = lab.run(&fetch("prod")).await;
        assert_eq!((source(&ran), warnings(&ran)), ("sign_in", vec![]));
        assert!(lab.position("prod").is_file());
        assert!(!lab.position("prod").with_extension("tmp").exists());
        assert!(!kept[0].with_extension("tmp").exists());
    });
}

#[test]
fn of_two_processes_on_one_state_key_one_works() {
    serve(async {
        let mut world = paged();
        world["faults"] = json!([{ "route": "graph.alerts", "nth": 1, "delay_ms": 600_000 }]);
        let lab = Lab::start(&world).await;
        let mut child = lab.hanging(&fetch("prod")).await;
        let busy = lab.run(&fetch("prod")).await;
        assert_eq!(kind(&busy), (75, "busy"));
        assert_eq!(busy.1["metrics"]["calls"], 0);
        assert_eq!(busy.1["error"]["status_code"], "409");
        assert_eq!(busy.1["error"]["at"], "/options/state_key");
        let words = busy.1["error"]["message"].as_str().expect("words");
        assert!(words.contains("\"prod\""), "{words}");
        // Another name is free, and so is this one for a look.
        assert_eq!(kind(&lab.run(&fetch("other")).await), (0, "none"));
        let mut rehearsed = fetch("prod");
        rehearsed["options"]["dry_run"] = json!(true);
        assert_eq!(kind(&lab.run(&rehearsed).await), (0, "none"));
        signal(&child, "TERM");
        assert_eq!(child.wait().expect("it ends").code(), Some(143));
        assert_eq!(kind(&lab.run(&fetch("prod")).await), (0, "none"));
    });
}

#[test]
fn a_name_is_held_within_one_process_too() {
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
        .expect_err("it is held");
    assert_eq!(second.exit_code(), 75);
    drop(first);
    assert!(host.check(line.as_bytes(), &Cancel::default()).is_ok());
}

#[test]
fn a_kept_state_is_gone_on_from() {
    serve(async {
        let lab = Lab::start(&paged()).await;
        let mut keys = Vec::new();
        let mut last = Value::Null;
        for turn in 0..4 {
            let ran = lab.run(&fetch("prod/alerts")).await;
            assert_eq!((kind(&ran), warnings(&ran)), ((0, "none"), vec![]));
            let events = ran.1["events"].as_array().expect("events");
            keys.extend(events.iter().map(|event| event["key"].clone()));
            assert_eq!(ran.1["more"], json!(turn < 3), "turn {turn}");
            last = ran.1["state"].clone();
            let text = std::fs::read_to_string(lab.position("prod/alerts")).expect("it reads");
            let kept: Value = serde_json::from_str(&text).expect("JSON");
            let command = "purview_audit_alert_v2.fetch_event";
            let expected = json!({ "state_key": "prod/alerts", "command": command, "state": last });
            assert_eq!(kept, expected);
        }
        let delivered = keys.len();
        keys.sort_by_key(Value::to_string);
        keys.dedup();
        assert_eq!((delivered, keys.len()), (10, 10), "each once");
        // It is through, so the next run looks for what is new: nothing, but for what the limit of
        // ten left out.
        let ran = lab.run(&fetch("prod/alerts")).await;
        assert_eq!(ran.1["events"].as_array().map(Vec::len), Some(0));
        let mut both = fetch("prod/alerts");
        both["state"] = last;
        let refused = lab.run(&both).await;
        assert_eq!(kind(&refused), (2, "invalid_input"));
        assert_eq!(refused.1["error"]["at"], "/options/state_key");
    });
}

#[test]
fn a_run_that_fails_leaves_the_kept_state_and_tells_it() {
    serve(async {
        let mut world = paged();
        world["faults"] =
            json!([{ "route": "graph.alerts", "nth": [3, 4, 5, 6, 7, 8], "status": 400 }]);
        let lab = Lab::start(&world).await;
        let first = lab.run(&fetch("prod")).await;
        let kept = std::fs::read(lab.position("prod")).expect("it reads");
        let failed = lab.run(&fetch("prod")).await;
        assert_eq!(failed.1["return_data"], "Failed");
        assert_eq!(failed.1["state"], first.1["state"]);
        assert_eq!(std::fs::read(lab.position("prod")).expect("it reads"), kept);
        let mut other = test_connection();
        other["options"] = json!({ "state_key": "prod" });
        let refused = lab.run(&other).await;
        assert_eq!(
            kind(&refused),
            (2, "invalid_input"),
            "it is another command's"
        );
    });
}

#[test]
fn a_batch_goes_on_line_by_line() {
    serve(async {
        let lab = Lab::start(&paged()).await;
        let line = fetch("prod").to_string();
        let input = [line.as_str(); 4].join("\n");
        let args = lab.args(&["--batch"]);
        let output = aside(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            feed(soarhost(&args), input.as_bytes())
        })
        .await;
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
fn a_state_moves_only_when_the_result_was_written_out() {
    serve(async {
        let lab = Lab::start(&paged()).await;
        let (args, request) = (lab.args(&[]), fetch("prod").to_string());
        let code = aside(move || {
            let mut child = soarhost(&args.iter().map(String::as_str).collect::<Vec<_>>())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts");
            drop(child.stdout.take());
            let mut stdin = child.stdin.take().expect("a pipe");
            stdin.write_all(request.as_bytes()).expect("it reads");
            drop(stdin);
            child.wait().expect("it ends").code()
        })
        .await;
        assert_eq!(code, Some(141));
        assert!(!lab.position("prod").exists());
        // And when that cannot be kept, the exit code says what the result says.
        let in_the_way = lab.position("prod").with_extension("tmp");
        std::fs::create_dir(&in_the_way).expect("a folder");
        let (code, result, told) = lab.run(&fetch("prod")).await;
        assert_eq!((code, &result["error"]), (0, &Value::Null));
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("delivers these events again"), "{told}");
    });
}

#[test]
fn a_damaged_state_is_refused_with_its_file() {
    serve(async {
        let lab = Lab::start(&paged()).await;
        lab.run(&fetch("prod")).await;
        let file = lab.position("prod");
        let whole = std::fs::read_to_string(&file).expect("it reads");
        let other = whole.replace("\"prod\"", "\"dev\"");
        let edited = regex::Regex::new(r#""resume": \{[^}]*\}"#).expect("a pattern");
        let edited = edited.replace(&whole, r#""resume": {"x":1}"#);
        for text in [&whole[..whole.len() / 2], &other, &edited] {
            std::fs::write(&file, text).expect("a file");
            let ran = lab.run(&fetch("prod")).await;
            assert_eq!(kind(&ran), (2, "invalid_input"), "{text}");
            assert_eq!(ran.1["error"]["at"], "/options/state_key");
            let words = ran.1["error"]["message"].as_str().expect("words");
            assert!(words.contains(&*file.to_string_lossy()), "{words}");
            assert_eq!(std::fs::read_to_string(&file).expect("it reads"), text);
        }
        std::fs::remove_file(&file).expect("it was there");
        assert_eq!(kind(&lab.run(&fetch("prod")).await), (0, "none"));
    });
}

#[test]
fn no_secret_and_no_token_lies_in_the_folder_or_is_told() {
    serve(async {
        let lab = Lab::start(&paged()).await;
        let mut told = String::new();
        for request in [
            test_connection(),
            fetch("prod"),
            fetch("prod"),
            test_connection(),
        ] {
            let (_, result, log) = lab.run_with(&["--log-level", "trace"], &request).await;
            told.push_str(&result.to_string());
            told.push_str(&log);
        }
        for file in files(&lab.state()) {
            told.push_str(&std::fs::read_to_string(file).expect("text"));
        }
        assert!(told.contains("\"vault\":2") && told.contains("\"state_key\""));
        for secret in [CANARY, "eyJ0eXAi", &CANARY.replace('/', "%2F")] {
            assert!(!told.contains(secret), "{secret}: {told}");
        }
    });
}

#[test]
fn nothing_is_touched_by_what_is_refused_rehearsed_or_for_show() {
    serve(async {
        let lab = Lab::start(&json!({})).await;
        let refused = json!({ "command": "Test Connection" });
        assert_eq!(lab.run(&refused).await.0, 2);
        let mut rehearsed = test_connection();
        rehearsed["options"] = json!({ "dry_run": true });
        assert_eq!(lab.run(&rehearsed).await.0, 0);
        let state = lab.state();
        assert!(!state.exists());
        let mut command = soarhost(&["try", "Test Connection"]);
        command.env("SOARHOST_STATE_DIR", &state);
        assert_eq!(feed(command, b"").status.code(), Some(0));
        assert!(!state.exists(), "the sandbox keeps no tokens");
        lab.run(&test_connection()).await;
        let listed = lab.run(&rehearsed).await;
        let requests = listed.1["context_data"].as_array().map(Vec::len);
        assert_eq!(
            requests,
            Some(2),
            "the sign-ins are told although they are not needed"
        );
    });
}

#[test]
fn the_sandbox_keeps_states_and_no_tokens() {
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
    let ran = run(&args, request.to_string().as_bytes());
    assert_eq!((kind(&ran), &ran.1["more"]), ((0, "none"), &json!(true)));
    assert_eq!(ending(&dir, "json").len(), 1);
    assert!(!dir.join("tokens").exists());
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_at_its_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("a file");
    let path = file.to_string_lossy().into_owned();
    for request in [test_connection(), fetch("prod")] {
        let ran = run(&["run", "--state", &path], request.to_string().as_bytes());
        assert_eq!(kind(&ran), (2, "invalid_input"));
        assert_eq!(ran.1["error"]["at"], "--state");
    }
    let mut odd = fetch("a name with spaces");
    let ran = run(&["run", "--state", &path], odd.to_string().as_bytes());
    assert_eq!(ran.1["error"]["at"], "/options/state_key");
    odd["options"]["state_key"] = json!("prod");
    let ran = run(&["run"], odd.to_string().as_bytes());
    assert_eq!(
        ran.1["error"]["at"], "/options/state_key",
        "no folder at all"
    );
}

/// The numbers of the records in a result that was printed to its end; nothing of one that was not.
fn printed(stdout: &[u8]) -> Option<(Vec<usize>, bool)> {
    let line = stdout.strip_suffix(b"\n")?;
    let result: Value = serde_json::from_slice(line).expect("what ends in a line break is whole");
    let records = result["raw_data"].as_array().into_iter().flatten();
    let numbers = records.map(|record| {
        let id = record["Id"].as_str().expect("an id");
        id[24..].parse().expect("a number")
    });
    Some((numbers.collect(), result["more"] == true))
}

#[test]
fn a_hundred_kills_lose_nothing_and_damage_nothing() {
    const BLOBS: usize = 400;
    serve(async {
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
        let mut came = std::collections::BTreeSet::new();
        let mut random = 7_u64;
        for turn in 0.. {
            // Any moment of a run's life; after a hundred of them runs are left alone.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let moment = (turn < 100).then(|| Duration::from_micros(random >> 33 & 0xffff));
            let (args, text) = (lab.args(&[]), request.to_string());
            let output = aside(move || {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                let mut child = soarhost(&args).spawn().expect("it starts");
                let mut stdin = child.stdin.take().expect("a pipe");
                // It may be killed before it reads.
                let _ = stdin.write_all(text.as_bytes());
                drop(stdin);
                if let Some(moment) = moment {
                    std::thread::sleep(moment);
                    child.kill().expect("it is there");
                }
                child.wait_with_output().expect("it ends")
            })
            .await;
            let ended = printed(&output.stdout);
            came.extend(
                ended
                    .iter()
                    .flat_map(|(numbers, _)| numbers.iter().copied()),
            );
            if let Ok(text) = std::fs::read_to_string(lab.position("killed")) {
                let kept: Value = serde_json::from_str(&text).expect("no file is damaged");
                assert_eq!(kept["state_key"], "killed");
            }
            if moment.is_none() {
                let (_, more) = ended.expect("it was left alone");
                assert!(turn < 400, "it does not end");
                if !more {
                    break;
                }
            }
        }
        assert_eq!(came, (0..BLOBS).collect(), "the union is exact");
        for file in files(&lab.state()) {
            let half = file.extension().is_some_and(|name| name == "tmp");
            assert!(
                !half || !file.starts_with(lab.state().join("state")),
                "{}",
                file.display()
            );
        }
    });
}

#[test]
fn secrets_of_every_form_are_found_nowhere() {
    const FORMS: [&str; 3] = ["literal", "env", "file"];
    serve(async {
        let lab = Lab::start(&paged()).await;
        let secrets = lab.folder.path().join("secrets");
        std::fs::create_dir(&secrets).expect("a folder");
        std::fs::write(secrets.join("client"), "canary-of-the-file~7\n").expect("a file");
        for form in FORMS {
            let (given, canary) = match form {
                "literal" => ("literal:canary-of-the-text~7", "canary-of-the-text~7"),
                "env" => ("env:SOAR_TEST_CANARY", "canary-of-the-variable~7"),
                _ => ("file:client", "canary-of-the-file~7"),
            };
            for command in ["Test Connection", "Get Audit Log", "Fetch Event"] {
                let mut request = fetch("canary");
                request["command"] = json!(command);
                request["inputs"] = match command {
                    "Get Audit Log" => json!({ "Content Type": "Audit.Exchange" }),
                    "Fetch Event" => request["inputs"].clone(),
                    _ => json!({}),
                };
                request["options"] = json!({ "state_key": command });
                request["connection"]["Client Secret"] = json!(given);
                let folder = secrets.to_string_lossy().into_owned();
                let args = lab.args(&["--log-level", "trace", "--secrets-dir", &folder]);
                let text = request.to_string();
                let output = aside(move || {
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    let mut host = soarhost(&args);
                    host.env("SOAR_TEST_CANARY", "canary-of-the-variable~7");
                    feed(host, text.as_bytes())
                })
                .await;
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said);
                assert!(said.contains("\"protocol\":1"), "{said}");
                assert!(!said.contains(canary), "{form}, {command}: {said}");
            }
            for file in files(&lab.state()) {
                let bytes = std::fs::read(&file).expect("it reads");
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains("canary-of-"), "{}", file.display());
            }
        }
    });
}
