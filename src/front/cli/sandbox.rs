//! `run --sandbox` and `try`: a run against a simulator inside this process.
//!
//! The host does not know: it is given an endpoints file like any operator's.

use std::io::Write;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::front::cli::args::{RunArgs, SettingsArgs, TryArgs};
use crate::front::cli::out::Out;
use crate::front::cli::{Ended, run, settings};
use crate::host::{Host, Settings};
use crate::manifest::schema::sample_request;
use crate::protocol::document::indented;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{Redactor, Secret};
use crate::sim::{Alerts, Listen, Sim, World};

/// What stands for a secret reference that is not set: the simulator takes any.
const ANY_SECRET: &str = "any-secret-will-do-in-the-sandbox";

/// A simulator on a thread of its own; it ends when this is dropped.
struct Sandbox {
    endpoints: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sandbox {
    fn start(clock: Clock) -> Result<Self, Failure> {
        let (started, starting) = std::sync::mpsc::channel();
        let (stop, stopping) = tokio::sync::oneshot::channel();
        let now = clock.now();
        let thread = std::thread::spawn(move || serve(now, &started, stopping));
        let endpoints = starting
            .recv()
            .map_err(|_| failed("it ended before it listened"))
            .and_then(|started| started.map_err(|error| failed(&format!("{error:#}"))))?;
        Ok(Sandbox {
            endpoints,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only if the simulator has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn failed(why: &str) -> Failure {
    Failure::new(
        ErrorKind::Internal,
        format!("The simulator could not be started: {why}."),
    )
}

type Started = std::sync::mpsc::Sender<anyhow::Result<String>>;

fn serve(
    now: chrono::DateTime<chrono::Utc>,
    started: &Started,
    stopping: tokio::sync::oneshot::Receiver<()>,
) {
    let Ok(runtime) = run::runtime() else { return };
    runtime.block_on(async {
        let sim = match World::preset("default") {
            Ok(world) => {
                // Enough for a page of results in any window of the week.
                let alerts = Alerts {
                    count: Some(200),
                    ..Alerts::default()
                };
                let world = World {
                    now: Some(now),
                    alerts,
                    ..world
                };
                Sim::start(world, Listen::default()).await
            }
            Err(error) => Err(error),
        };
        match sim {
            Err(error) => drop(started.send(Err(error))),
            Ok(sim) => {
                if started.send(Ok(sim.endpoints().to_string())).is_ok() {
                    // An error means that the other side is gone, which means the same.
                    let _ = stopping.await;
                }
                sim.stop().await;
            }
        }
    });
}

fn host(args: &SettingsArgs, redactor: &Redactor) -> Result<(Sandbox, Host), Failure> {
    let mut settings: Settings = settings::settings(args)?;
    let sandbox = Sandbox::start(settings.clock)?;
    settings.endpoints = Some(sandbox.endpoints.clone());
    settings.direct = true;
    // Each sandbox is another simulator: its tokens are worth nothing to the next.
    settings.keeps_tokens = false;
    settings.allowed.stand_in = Some(Secret::new(ANY_SECRET));
    Ok((sandbox, Host::open(settings, redactor.clone())))
}

/// `run --sandbox`.
pub(super) fn run(
    args: &RunArgs,
    settings: &SettingsArgs,
    redactor: &Redactor,
    out: &mut Out,
) -> Ended {
    let (_sandbox, host) = host(settings, redactor)?;
    run::with_host(args, &host, out)
}

/// `try`: the sample request and its result, both shown to a person.
pub(super) fn show(
    args: &TryArgs,
    settings: &SettingsArgs,
    redactor: &Redactor,
    out: &mut Out,
) -> Ended {
    let (_sandbox, host) = host(settings, redactor)?;
    let target = host.catalog()?.find_dotted(&args.command)?;
    let mut request = sample_request(target.manifest, target.command);
    // The raw data of a sample is long, and is what the rest was made from.
    let made = match target.command.mapping {
        Some(_) => "events",
        None => "context_data",
    };
    request["options"] = json!({ "include": [made, "key_fields", "readable"] });
    writeln!(out, "Request:\n{}\n", indented(&request.to_string()))?;
    // The sample names no state, so there is nothing to keep.
    let result = run::single(request.to_string().as_bytes(), &host)?.result;
    let mut shown = serde_json::to_value(&result).unwrap_or_default();
    let readable = shown["readable"].take();
    let whole = serde_json::to_string(&result).unwrap_or_default();
    writeln!(out, "Result:\n{}", indented(&whole))?;
    if let Value::String(text) = readable {
        writeln!(out, "\n{text}")?;
    }
    writeln!(out, "\n{} (simulator, invented data)", result.result)?;
    for warning in &result.warnings {
        writeln!(out, "Warning: {}", warning.message)?;
    }
    Ok(result.exit_code())
}
