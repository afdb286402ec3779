//! The bench: a simulator, a host and a fixed clock. A request goes in; the result and the requests
//! that the simulator received come out.
//!
//! Checks the rules of the protocol on every result.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use soarhost::clock::Clock;
use soarhost::front::cli::trace_log;
use soarhost::host::{Cancel, Host, RetryPolicy, Settings};
use soarhost::json::Document;
use soarhost::mapping::Mapping;
use soarhost::protocol::{Redactor, ResultEnvelope};
use soarhost::sim::{Listen, LoggedRequest, Sim, World};
use soarhost::when;

/// The time of every case that sets no other one.
pub const NOW: &str = "2026-01-14T12:00:00Z";
/// The secret of every case that sets no other one. It must never be in a result.
pub const CANARY: &str = "canary~Q8.secret/value+of=the%bench";

/// The keys of a result, in order.
const KEYS: [&str; 18] = [
    "protocol",
    "id",
    "integration",
    "command",
    "return_data",
    "result",
    "error",
    "events",
    "key_fields",
    "context_data",
    "raw_data",
    "readable",
    "coverage",
    "state",
    "more",
    "warnings",
    "metrics",
    "meta",
];

thread_local! {
    /// The redacted log of a run.
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
}

/// One run: the requests that the services received, and the result.
pub struct Ran {
    pub seen: Vec<LoggedRequest>,
    pub result: ResultEnvelope,
    pub text: String,
}

/// The result as JSON.
pub fn read(ran: &Ran) -> Value {
    serde_json::from_str(&ran.text).expect("a result")
}

/// Runs a future to its end, on a new runtime.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(Box::pin(work))
}

/// A simulator and a host that uses it.
pub struct Bench {
    pub sim: Sim,
    pub host: Host,
    redactor: Redactor,
    settings: Settings,
    bases: Vec<(String, String)>,
}

impl Bench {
    pub async fn new(world: &str, now: &str) -> Self {
        Bench::with(world, now, (RetryPolicy::fast(), Listen::default())).await
    }

    /// A host that makes two attempts at most.
    pub async fn with_two_attempts(world: &str, now: &str) -> Self {
        Bench::with(world, now, (two_attempts(), Listen::default())).await
    }

    /// The same over HTTP without TLS, which starts faster.
    pub async fn plain(world: &str, now: &str) -> Self {
        let listen = Listen {
            tls: false,
            ..Listen::default()
        };
        Bench::with(world, now, (two_attempts(), listen)).await
    }

    async fn with(world: &str, now: &str, (retry_policy, listen): (RetryPolicy, Listen)) -> Self {
        let now = when::instant(now, &[]).expect("a time");
        let mut world = World::from_json(world).expect("a world");
        world.now = world.now.or(Some(now));
        let sim = Sim::start(world, listen)
            .await
            .expect("the simulator starts");
        let endpoints = sim.endpoints();
        let settings = Settings {
            endpoints: Some(endpoints.to_string().into()),
            clock: Clock::Fixed(now),
            direct: true,
            retry_policy,
            ..Settings::default()
        };
        let redactor = Redactor::default();
        let host = Host::open(settings.clone(), redactor.clone());
        let bases = ["login", "graph", "management", "exchange", "metadata"]
            .iter()
            .filter_map(|service| {
                let base = endpoints[service].as_str()?.to_owned();
                Some((base, format!("https://{service}.test")))
            })
            .collect();
        Bench {
            sim,
            host,
            redactor,
            settings,
            bases,
        }
    }

    /// Replaces the host by a new one with this state folder, as a new process would.
    pub fn restart_with_state(&mut self, folder: &Path) {
        self.settings.state = Some(folder.to_owned());
        self.redactor = Redactor::default();
        self.host = Host::open(self.settings.clone(), self.redactor.clone());
    }

    /// Replaces the host by one with changed endpoints of the services.
    pub fn change_endpoints(&mut self, change: impl FnOnce(&mut Value)) {
        let mut endpoints = self.sim.endpoints();
        change(&mut endpoints);
        self.settings.endpoints = Some(endpoints.to_string().into());
        self.host = Host::open(self.settings.clone(), self.redactor.clone());
    }

    /// Runs one request. `{hook}` in it is replaced by the address of the simulator's receiver of
    /// notifications.
    pub async fn run(&self, envelope: &str) -> Ran {
        self.run_until(envelope, &Cancel::default()).await
    }

    /// Runs one request and checks that the log at level trace contains no secret. The simulator
    /// and the connections run on the same thread, so the log has their events too.
    pub async fn run_logged(&self, envelope: &str) -> Ran {
        LOG.take();
        let log = trace_log(self.redactor.clone(), |line| {
            LOG.with_borrow_mut(|log| log.push_str(line));
            Ok(())
        });
        let guard = tracing::subscriber::set_default(log);
        let ran = self.run(envelope).await;
        drop(guard);
        let log = LOG.take();
        // The end of the run is logged at least.
        assert!(!log.is_empty(), "nothing was logged");
        for line in log.lines() {
            // Access tokens and assertions begin like this.
            let has_secret = ["canary", "Q8.secret", "eyJ"]
                .iter()
                .any(|part| line.contains(part));
            assert!(!has_secret, "a secret is in the log: {line}");
        }
        ran
    }

    /// Runs one request until it is cancelled.
    pub async fn run_until(&self, envelope: &str, cancel: &Cancel) -> Ran {
        let envelope = envelope.replace("{hook}", &self.sim.webhook_receiver("notify"));
        let before = self.sim.requests().len();
        let result = match self.host.check(envelope.as_bytes(), cancel) {
            Err(refused) => *refused,
            Ok(checked) => {
                let ran = self.host.run(checked).await;
                ran.state.commit();
                ran.result
            }
        };
        let text = serde_json::to_string(&result).expect("a result serializes");
        assert!(!text.contains(CANARY), "a secret is in the result: {text}");
        assert_protocol_rules(&result, &text);
        let mut seen = self.sim.requests().split_off(before);
        // Sign-ins, listings and blobs are requested concurrently, so their order is random.
        seen.sort_by_key(concurrent_group);
        Ran { seen, result, text }
    }

    /// Replaces what differs from run to run: addresses, ids, and messages of the network.
    pub fn with_stable_names(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (base, name) in &self.bases {
            text = text.replace(base.as_str(), name);
        }
        // Concurrent requests can swap ids, and any layer can be the first to report a broken
        // connection.
        let unstable = [
            (r"(https?)://127\.0\.0\.1:\d+", "$1://simulator.test"),
            (r#""request_id":"[^"]+""#, r#""request_id":"[an id]""#),
            (
                r#"(the response was complete): [^"]+\.""#,
                "$1: [message of the network].\"",
            ),
        ];
        unstable.iter().fold(text, |text, (pattern, name)| {
            let pattern = regex::Regex::new(pattern).expect("a pattern");
            pattern.replace_all(&text, *name).into_owned()
        })
    }
}

fn two_attempts() -> RetryPolicy {
    RetryPolicy {
        attempts: 2,
        ..RetryPolicy::fast()
    }
}

/// Requests with the same key are sent one after the other.
fn concurrent_group(seen: &LoggedRequest) -> (String, String, String) {
    let scope = match seen.service {
        "login" => seen.body.clone().unwrap_or_default(),
        _ => String::new(),
    };
    let blob = Some(&seen.path).filter(|path| path.contains("/activity/feed/audit/"));
    let blob = blob.cloned().unwrap_or_default();
    (seen.service.to_owned(), scope, blob)
}

/// Checks the rules that every result of the protocol follows.
fn assert_protocol_rules(result: &ResultEnvelope, text: &str) {
    let read: Map<String, Value> = serde_json::from_str(text).expect("one JSON object");
    let keys: Vec<&str> = read.keys().map(String::as_str).collect();
    assert_eq!(keys, KEYS, "the eighteen keys, in their order");
    assert!(!text.contains('\n'), "one line");
    let successful = read["return_data"] == json!("Successful");
    assert_eq!(
        successful,
        read["error"].is_null(),
        "error is null if and only if Successful"
    );
    assert_eq!(
        result.exit_code() == 0,
        successful,
        "exit 0 if and only if Successful"
    );
    if let Some(coverage) = &result.coverage {
        for window in &coverage.windows {
            assert!(window.balances(), "the counts do not add up: {window:?}");
        }
        assert_eq!(
            coverage.complete,
            coverage.gaps.is_empty(),
            "complete means no gap"
        );
        assert!(
            coverage.complete || !successful,
            "a run with gaps is never Successful"
        );
    }
    if read["more"] == json!(true) {
        assert!(
            !read["state"].is_null(),
            "`more` needs a state to resume from"
        );
    }
}

/// Checks that mapping the raw data again makes the same events.
pub fn assert_events_match_raw_data(result: &ResultEnvelope, mapping: &Mapping) {
    let (Some(raw), Some(events)) = (&result.raw_data, &result.events) else {
        return;
    };
    let again = mapping
        .apply(&Document::parse(raw.text()).expect("raw data is JSON"))
        .expect("it maps");
    let text = |events: &Vec<_>| serde_json::to_string(events).expect("events serialize");
    assert_eq!(text(&again.events), text(events), "events == map(raw_data)");
}

/// Parameters of a connection that the default world accepts.
pub fn connection() -> Value {
    json!({
        "Tenant ID": "11111111-2222-3333-4444-555555555555",
        "Client ID": "66666666-7777-8888-9999-000000000000",
        "Client Secret": CANARY,
    })
}

/// The same for this integration, which can have more required parameters.
pub fn connection_of(integration: &str) -> Value {
    let mut connection = connection();
    if integration == "management_activity" {
        connection["Use a self-deployed Azure application"] = json!(true);
    }
    connection
}

/// All files below a folder, sorted; none if it does not exist.
pub fn files(folder: &Path) -> Vec<PathBuf> {
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
