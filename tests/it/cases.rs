//! Every file of `tests/cases`: envelopes, a world, faults; the snapshot shows the requests that
//! the services saw and the result.
//!
//! `CASE=substring cargo test` narrows the loop. All failures are gathered before the test fails.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use soarhost::host::catalog::Catalog;
use soarhost::json::whitespace::indented;
use soarhost::mapping::Mapping;
use soarhost::sim::LoggedRequest;

use crate::bench::{Bench, NOW, Ran, connection_of, replays};

/// A case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What it shows, in one sentence.
    title: String,
    /// The time of day; default: that of the bench.
    #[serde(default)]
    now: Option<String>,
    /// The simulator's world; default: the default world.
    #[serde(default)]
    world: Option<Box<RawValue>>,
    /// The envelopes, in order. Without `connection` they get one that the default world accepts.
    runs: Vec<Value>,
    /// Each run gets the state that the run before returned.
    #[serde(default)]
    pass_state: bool,
    /// The host has a state folder, empty at first, and keeps tokens there; after each run the
    /// process ends, so that only the folder remembers.
    #[serde(default)]
    keeps: bool,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
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

async fn play(case: &Case, face: &str) -> String {
    let world = case.world.as_ref().map_or("{}", |world| world.get());
    let folder = case.keeps.then(|| tempfile::tempdir().expect("a folder"));
    let mut bench = Bench::new(world, case.now.as_deref().unwrap_or(NOW)).await;
    let mut page = format!("{}\n", case.title);
    let mut state = Value::Null;
    for (n, envelope) in case.runs.iter().enumerate() {
        let mut envelope = envelope.clone();
        envelope["id"] = json!(format!("run-{}", n + 1));
        if envelope.get("connection").is_none() {
            envelope["connection"] = connection_of(face);
        }
        if let Some(folder) = &folder {
            bench.restart_keeping(folder.path());
        }
        if case.pass_state && n > 0 {
            envelope["state"] = state.clone();
        }
        let ran = bench.run(&envelope.to_string()).await;
        replay(&ran, &envelope);
        state = serde_json::to_value(&ran.result.state).expect("a state serializes");
        show(&mut page, n + 1, &ran, &bench);
    }
    page
}

/// Law 3, where the request used the command's own mapping.
fn replay(ran: &Ran, envelope: &Value) {
    let catalog = Catalog::builtin().expect("the catalog");
    let (Some(integration), Some(command)) = (&ran.result.integration, &ran.result.command) else {
        return;
    };
    let target = catalog
        .find(Some(integration), command)
        .expect("what was run is there");
    if let (Some(name), None) = (&target.command.mapping, envelope.get("mapping")) {
        let definition = catalog.mapping(name).expect("the mapping");
        replays(
            &ran.result,
            &Mapping::compile(definition, "mapping").expect("it compiles"),
        );
    }
}

/// A request as the services saw it, and the status they answered.
fn asked(seen: &LoggedRequest, bench: &Bench) -> String {
    let query = seen.query.iter().map(|(k, v)| format!("    {k} = {v}\n"));
    let headers = seen
        .headers
        .iter()
        .filter(|(name, _)| name != "accept-encoding")
        .map(|(k, v)| format!("    {k}: {v}\n"));
    let body = seen
        .body
        .iter()
        .map(|body| format!("    {}\n", bench.still(body)));
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
    let _ = write!(page, "\n── run {number}: requests\n");
    let requests: Vec<String> = ran.seen.iter().map(|seen| asked(seen, bench)).collect();
    // Attempts that are alike stand once, with their number.
    for alike in requests.chunk_by(|a, b| a == b) {
        page.push_str(&alike[0]);
        if alike.len() > 1 {
            let _ = writeln!(page, "    … {} times", alike.len());
        }
    }
    let text = shown(&bench.still(&ran.text));
    let _ = write!(
        page,
        "\n── run {number}: result, exit {}\n{text}\n",
        ran.result.exit_code()
    );
}

/// The result indented, tokens unchanged; raw data on one line, as it was passed through; what may
/// differ between two runs left out.
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

#[test]
fn every_case_shows_what_its_snapshot_holds() {
    let wanted = std::env::var("CASE").unwrap_or_default();
    let mut failed = Vec::new();
    let mut played = 0;
    for path in files(&folder()) {
        let name = path
            .strip_prefix(folder())
            .expect("below the cases")
            .display()
            .to_string();
        if !name.contains(&wanted) {
            continue;
        }
        played += 1;
        let outcome = std::panic::catch_unwind(|| {
            let text = std::fs::read_to_string(&path).expect("a case file");
            let case: Case =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let face = name.split('/').next().expect("a folder");
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let page = runtime.expect("a runtime").block_on(play(&case, face));
            let stem = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            settings(&path).bind(|| insta::assert_snapshot!(stem, page));
        });
        if outcome.is_err() {
            failed.push(name);
        }
    }
    assert!(played > 0, "no case matches {wanted:?}");
    assert!(
        failed.is_empty(),
        "{} of {played} cases failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}
