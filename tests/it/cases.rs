//! Every file of `tests/cases`: a world and requests. The snapshot shows the calls that the services
//! received, and the results.
//!
//! `CASE=substring cargo test` runs only the cases whose path contains the text. All cases run
//! before the test fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use soarhost::host::catalog::Catalog;
use soarhost::json::whitespace::indented;
use soarhost::mapping::Mapping;
use soarhost::sim::LoggedRequest;

use crate::bench::{Bench, NOW, Ran, assert_events_match_raw_data, block_on, connection_of, files};

/// A case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case shows, in one sentence.
    title: String,
    /// The time of the first run; default: that of the bench.
    #[serde(default = "default_now")]
    now: String,
    /// The simulator's world; default: the default world.
    #[serde(default)]
    world: World,
    /// Members of each request that does not set them itself.
    #[serde(default)]
    request: Map<String, Value>,
    /// The runs, in order: a request, or a [`Run`] with changes. Requests without `connection` get
    /// one that the default world accepts.
    runs: Vec<Box<RawValue>>,
    /// If true, each request gets the state that the run before returned.
    #[serde(default)]
    pass_state: bool,
    /// If true, the host has a state folder, empty at first. Each run is a new process, which
    /// has only this folder from earlier runs.
    #[serde(default)]
    state_folder: bool,
}

/// A world's members as text: records keep their bytes.
type World = BTreeMap<String, Box<RawValue>>;

/// A run with changes of time and world, which also apply to the runs that follow.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    /// The new time.
    #[serde(default)]
    now: Option<String>,
    /// Members of the world that are replaced.
    #[serde(default)]
    world: World,
    /// Members of the request.
    #[serde(default)]
    request: Map<String, Value>,
}

impl Run {
    fn parse(text: &str) -> Self {
        let request: Map<String, Value> = serde_json::from_str(text).expect("an object");
        let has_changes = ["now", "world", "request"]
            .iter()
            .any(|name| request.contains_key(*name));
        if has_changes {
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
        } else {
            Run {
                request,
                ..Run::default()
            }
        }
    }
}

async fn bench_of(case: &Case) -> Bench {
    let world = serde_json::to_string(&case.world).expect("a world serializes");
    Bench::new(&world, &case.now).await
}

fn default_now() -> String {
    NOW.to_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

async fn play(mut case: Case, folder_name: &str) -> String {
    let folder = case
        .state_folder
        .then(|| tempfile::tempdir().expect("a folder"));
    let mut bench = bench_of(&case).await;
    let mut page = format!("{}\n", case.title);
    let mut state = Value::Null;
    for (n, run) in (1..).zip(std::mem::take(&mut case.runs)) {
        let run = Run::parse(run.get());
        let _ = write!(page, "\n── run {n}");
        if run.now.is_some() || !run.world.is_empty() {
            case.now = run.now.unwrap_or(case.now);
            case.world.extend(run.world);
            bench = bench_of(&case).await;
            let _ = write!(page, " at {}", case.now);
        }
        let mut request = case.request.clone();
        request.extend(run.request);
        request.insert("id".to_owned(), json!(format!("run-{n}")));
        let connection = request.entry("connection");
        connection.or_insert_with(|| connection_of(folder_name));
        // Some integrations have commands of the same name.
        let integration = request.entry("integration");
        integration.or_insert_with(|| json!(folder_name));
        if let Some(folder) = &folder {
            bench.restart_with_state(folder.path());
        }
        if case.pass_state && n > 1 {
            request.insert("state".to_owned(), state);
        }
        let request = Value::from(request);
        let ran = bench.run_logged(&request.to_string()).await;
        replay(&ran, &request);
        state = serde_json::to_value(&ran.result.state).expect("a state serializes");
        show(&mut page, n, &ran, &bench);
    }
    page
}

/// The events are mapped again from the raw data, if the request used the command's own mapping.
fn replay(ran: &Ran, request: &Value) {
    let catalog = Catalog::builtin().expect("the catalog");
    let (Some(integration), Some(command)) = (&ran.result.integration, &ran.result.command) else {
        return;
    };
    let target = catalog
        .find(Some(integration), command)
        .expect("the command of the run");
    if let (Some(name), None) = (&target.command.mapping, request.get("mapping")) {
        let definition = catalog.mapping(name).expect("the mapping");
        assert_events_match_raw_data(
            &ran.result,
            &Mapping::compile(definition, "mapping").expect("it compiles"),
        );
    }
}

/// A call that a service received, with the status of its response.
fn received(seen: &LoggedRequest, bench: &Bench) -> String {
    let query = seen.query.iter().map(|(k, v)| format!("    {k} = {v}\n"));
    let headers = seen
        .headers
        .iter()
        .filter(|(name, _)| name != "accept-encoding")
        .map(|(k, v)| format!("    {k}: {v}\n"));
    let body = seen
        .body
        .iter()
        .map(|body| format!("    {}\n", bench.with_stable_names(body)));
    let LoggedRequest {
        service,
        method,
        path,
        status,
        ..
    } = seen;
    let rest: String = query.chain(headers).chain(body).collect();
    format!("{service} {method} {path} → {status}\n{rest}")
}

fn show(page: &mut String, number: usize, ran: &Ran, bench: &Bench) {
    page.push_str(": requests\n");
    let requests: Vec<String> = ran.seen.iter().map(|seen| received(seen, bench)).collect();
    // Equal attempts are shown once, with their number.
    for alike in requests.chunk_by(|a, b| a == b) {
        page.push_str(&alike[0]);
        if alike.len() > 1 {
            let _ = writeln!(page, "    … {} times", alike.len());
        }
    }
    let text = shown(&bench.with_stable_names(&ran.text));
    let _ = write!(
        page,
        "\n── run {number}: result, exit {}\n{text}\n",
        ran.result.exit_code()
    );
}

/// The result, indented; raw data on one line, unchanged. Members that differ between two runs of
/// the same case are left out.
fn shown(text: &str) -> String {
    let moving = regex::Regex::new(r#""(host_version|duration_ms|bytes_received)":[^,]+,"#);
    let text = moving
        .expect("a pattern")
        .replace_all(text, "")
        .into_owned();
    let (start, end) = (",\"raw_data\":", ",\"readable\":");
    let Some((before, rest)) = text.split_once(start) else {
        return indented(&text);
    };
    let Some((raw, after)) = rest.split_once(end) else {
        return indented(&text);
    };
    let around = indented(&format!("{before}{start}null{end}{after}"));
    around.replacen("\"raw_data\": null", &format!("\"raw_data\": {raw}"), 1)
}

fn settings(path: &Path) -> insta::Settings {
    let below = path.strip_prefix(folder()).expect("below the cases");
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/cases");
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(snapshots.join(below.parent().expect("a folder")));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_input_file(
        path.strip_prefix(env!("CARGO_MANIFEST_DIR"))
            .expect("below the root"),
    );
    settings.set_omit_expression(true);
    settings
}

/// Cases that run at the same time. Many wait for a time limit of theirs.
const WORKERS: usize = 4;

#[test]
fn every_case_gives_the_calls_and_results_of_its_snapshot() {
    let wanted = std::env::var("CASE").unwrap_or_default();
    let name = |path: &Path| {
        let below = path.strip_prefix(folder()).expect("below the cases");
        below.display().to_string()
    };
    let mut cases = files(&folder());
    cases.retain(|path| name(path).contains(&wanted));
    assert!(!cases.is_empty(), "no case matches {wanted:?}");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(path) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = name(path);
                    if std::panic::catch_unwind(|| check(path, &name)).is_err() {
                        failed.lock().expect("a list").push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("a list");
    assert!(
        failed.is_empty(),
        "{} of {} cases failed:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n")
    );
}

fn check(path: &Path, name: &str) {
    let text = std::fs::read_to_string(path).expect("a case file");
    let case: Case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let integration = name.split('/').next().expect("a folder");
    let page = block_on(play(case, integration));
    let stem = path.file_stem().expect("a name").to_string_lossy();
    settings(path).bind(|| insta::assert_snapshot!(stem.as_ref(), page));
}
