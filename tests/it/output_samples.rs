//! The samples of the reference pages are what the simulator answers to the sample requests.
//!
//! Compared with `src/front/cli/reference/samples.json`, which is compiled in.
//! `INSTA_UPDATE=always` writes it.

use std::path::Path;

use serde_json::{Map, Value, json};

use soarhost::host::catalog::Catalog;
use soarhost::json::whitespace::indented;
use soarhost::manifest::schema::sample_request;
use soarhost::manifest::{CommandSpec, Manifest};

use crate::bench::{Bench, NOW, block_on, connection_of, read};

/// A person who signs in does it at once. Audit.AzureActiveDirectory has no subscription yet.
const WORLD: &str = r#"{ "device_sign_in": { "interval_seconds": 0 }, "page_size": 5, "subscriptions": [
    { "content_type": "Audit.Exchange" }, { "content_type": "Audit.SharePoint" },
    { "content_type": "Audit.General" }, { "content_type": "DLP.All" }] }"#;

/// The application of the connection does not exist.
const OTHER_APP: &str = r#"{ "apps": [{ "id": "99999999-7777-8888-9999-000000000000",
    "tenant": "11111111-2222-3333-4444-555555555555" }] }"#;

/// Keeps the first element of lists, and the beginning of long texts.
fn shortened(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().take(1).map(shortened).collect(),
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            let kept = kept.map(|(name, value)| (name.clone(), shortened(value)));
            Value::Object(kept.collect())
        }
        Value::String(text) if text.chars().count() > 100 => {
            let beginning: String = text.chars().take(80).collect();
            json!(format!("{beginning}…"))
        }
        other => other.clone(),
    }
}

/// The request of a sample. A person signs in to the audit log.
fn request(manifest: &Manifest, command: &CommandSpec) -> Value {
    let mut request = sample_request(manifest, command);
    request["id"] = json!("sample");
    let starts = manifest.commands.iter().map(|one| one.operation.as_str());
    if !starts.clone().any(|name| name == "sign_in.device.start") {
        let mut connection = connection_of(&manifest.id);
        if command.operation == "sign_in.url" {
            connection["Application redirect URI"] = json!("https://soar.example/oauth");
        }
        if command.operation == "feed.content.collect" && manifest.id == "management_activity" {
            connection["First fetch time range"] = json!("1 day");
        }
        request["connection"] = connection;
    }
    request
}

fn members(result: &Value, names: &[&str]) -> Value {
    let members = names.iter().filter(|name| !result[**name].is_null());
    let members = members.map(|name| match &result[*name] {
        text @ Value::String(_) => ((*name).to_owned(), text.clone()),
        value => ((*name).to_owned(), shortened(value)),
    });
    Value::Object(members.collect())
}

/// The samples of an integration's commands, run in their order.
async fn samples(manifest: &Manifest, all: &mut Map<String, Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::plain(WORLD, NOW).await;
    bench.restart_with_state(folder.path());
    let mut refusing = Bench::plain(OTHER_APP, NOW).await;
    refusing.restart_with_state(other.path());
    let stops = |command: &&CommandSpec| command.operation == "feed.subscription.stop";
    let (last, mut commands): (Vec<_>, Vec<_>) = manifest.commands.iter().partition(stops);
    commands.extend(last);
    for command in &commands {
        let request = request(manifest, command).to_string();
        let ran = bench.run(&request).await;
        let ran: Value = serde_json::from_str(&bench.with_stable_names(&ran.text)).expect("JSON");
        assert_eq!(ran["error"], Value::Null, "{request}");
        let names = [
            "return_data",
            "result",
            "events",
            "key_fields",
            "context_data",
        ];
        let mut sample = json!({ "result": members(&ran, &names) });
        if let Some(text) = ran["readable"].as_str() {
            let lines: Vec<&str> = text.lines().take(5).collect();
            sample["readable"] = json!(lines.join("\n"));
        }
        all.insert(format!("{}.{}", manifest.id, command.id), sample);
    }
    for command in &commands {
        let (request, bench) = failing(request(manifest, command), command, (&bench, &refusing));
        let failed = read(&bench.run(&request.to_string()).await);
        if !failed["error"].is_null() {
            let names = [
                "failure_indicator",
                "status_code",
                "message",
                "kind",
                "retryable",
                "cause",
                "assistance",
            ];
            let mut shown = members(&failed, &["return_data", "result"]);
            shown["error"] = members(&failed["error"], &names);
            all[&format!("{}.{}", manifest.id, command.id)]["failure"] = shown;
        }
    }
}

/// A request that fails, and the bench for it: the documented failure of the command, or an unknown
/// application.
fn failing<'a>(
    mut request: Value,
    command: &CommandSpec,
    (bench, refusing): (&'a Bench, &'a Bench),
) -> (Value, &'a Bench) {
    match command.operation.as_str() {
        "graph.alerts.fetch" => {
            request["inputs"]["Start Time"] = json!("2026-01-11 00:00");
            request["inputs"]["End Time"] = json!("2026-01-14 00:00");
            (request, bench)
        }
        // The subscription was stopped.
        "feed.content.list" => (request, bench),
        "feed.subscription.start" if command.inputs.len() > 1 => {
            request["inputs"]["Webhook Address"] = json!("https://soar.invalid/hook");
            (request, bench)
        }
        _ => (request, refusing),
    }
}

#[test]
fn samples_of_the_reference_are_results_of_the_simulator() {
    let catalog = Catalog::builtin().expect("the catalog");
    let mut all = Map::new();
    for manifest in catalog.manifests().expect("manifests") {
        // Its results are those that the request wants.
        if manifest.id != "chaos" {
            block_on(samples(manifest, &mut all));
        }
    }
    let text = format!("{}\n", indented(&Value::Object(all).to_string()));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/front/cli/reference/samples.json");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&file, &text).expect("a file");
    }
    let found = std::fs::read_to_string(&file).expect("the samples");
    assert_eq!(
        found, text,
        "write it with INSTA_UPDATE=always, then again for the pages"
    );
}
