//! `run --sandbox` and `try`: a run against a simulator inside this process.
//!
//! The host does not know: it is given an endpoints file like any operator's.

use std::io::Write;

use serde_json::json;

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
use crate::when;

/// What stands for a secret reference that is not set: the simulator takes any.
const ANY_SECRET: &str = "any-secret-will-do-in-the-sandbox";

/// Enough alerts for a page of results in any window of the week.
const MANY_ALERTS: usize = 200;
/// Fewer alerts in a day than the sample request fetches.
const FEW_ALERTS: usize = 40;

/// A simulator on a thread of its own; it ends when this is dropped.
pub(super) struct Sandbox {
    endpoints: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sandbox {
    fn start(clock: Clock, alerts: usize) -> Result<Self, Failure> {
        let (started, starting) = std::sync::mpsc::channel();
        let (stop, stopping) = tokio::sync::oneshot::channel();
        let now = clock.now();
        let thread = std::thread::spawn(move || serve((now, alerts), &started, stopping));
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
    (now, alerts): (chrono::DateTime<chrono::Utc>, usize),
    started: &Started,
    stopping: tokio::sync::oneshot::Receiver<()>,
) {
    let Ok(runtime) = run::runtime() else { return };
    runtime.block_on(async {
        let sim = match World::preset("default") {
            Ok(world) => {
                let alerts = Alerts {
                    count: Some(alerts),
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

/// A host that uses a simulator, which ends with the first of the two.
pub(super) fn host(args: &SettingsArgs, redactor: &Redactor) -> Result<(Sandbox, Host), Failure> {
    open(args, redactor, MANY_ALERTS)
}

fn open(
    args: &SettingsArgs,
    redactor: &Redactor,
    alerts: usize,
) -> Result<(Sandbox, Host), Failure> {
    let mut settings: Settings = settings::settings(args)?;
    let sandbox = Sandbox::start(settings.clock, alerts)?;
    settings.endpoints = Some(sandbox.endpoints.clone().into());
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

/// `try`: runs the sample request; prints the readable result and the outcome, or both as JSON.
pub(super) fn show(
    args: &TryArgs,
    settings: &SettingsArgs,
    redactor: &Redactor,
    out: &mut Out,
) -> Ended {
    let (_sandbox, host) = open(settings, redactor, FEW_ALERTS)?;
    let target = host.catalog()?.find_dotted(&args.command)?;
    let mut request = sample_request(target.manifest, target.command);
    // Without the raw data: the other sections show the same, and it is long.
    let made = match target.command.mapping {
        Some(_) => "events",
        None => "context_data",
    };
    request["options"] = json!({ "include": [made, "key_fields", "readable"] });
    // The sample names no state, so there is nothing to commit.
    let result = run::single(request.to_string().as_bytes(), &host)?.result;
    if args.json {
        let code = result.exit_code();
        let result = serde_json::to_string(&result).unwrap_or_default();
        let whole = format!("{{\"request\":{request},\"result\":{result}}}");
        writeln!(out, "{}", indented(&whole))?;
        return Ok(code);
    }
    if let Some(text) = &result.readable {
        writeln!(out, "{}\n", table(text))?;
    }
    let complete = match &result.coverage {
        Some(coverage) if coverage.complete => " Complete: nothing is missing.",
        Some(_) => " Incomplete: see `coverage` with --json.",
        None => "",
    };
    writeln!(out, "{}{complete} (Simulated data.)", result.result)?;
    for warning in &result.warnings {
        writeln!(out, "warning: {}", warning.message)?;
    }
    Ok(result.exit_code())
}

/// The text with the rows of its table sorted by their first column, the latest first, and times to
/// the minute.
fn table(text: &str) -> String {
    let fraction = |cell: &str| match when::instant(cell.trim(), &[]) {
        Some(time) if cell.trim().len() > 10 => {
            let short = time.format("%Y-%m-%d %H:%M").to_string();
            format!(" {short:<width$}", width = cell.chars().count() - 1)
        }
        _ => cell.to_owned(),
    };
    let is_row = |line: &&str| line.starts_with("| ");
    let mut rows: Vec<String> = text
        .lines()
        .filter(is_row)
        .skip(1)
        .map(|row| row.split('|').map(fraction).collect::<Vec<_>>().join("|"))
        .collect();
    if rows.iter().any(|row| row.starts_with("| 2")) {
        rows.sort_by(|one, other| other.cmp(one));
    }
    let head = text.lines().take_while(|line| !is_row(line));
    let headings = text.lines().skip_while(|line| !is_row(line)).take(2);
    let lines: Vec<String> = head
        .chain(headings)
        .map(str::to_owned)
        .chain(rows)
        .collect();
    lines.join("\n")
}
