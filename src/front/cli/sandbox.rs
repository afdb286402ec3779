//! The simulator inside this process, for `run --sandbox`, `poll --sandbox` and `try`.
//!
//! The host gets an endpoints file, as from any operator.

use std::io::Write;

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::clock::Clock;
use crate::front::cli::args::{SettingsArgs, TryArgs};
use crate::front::cli::out::Out;
use crate::front::cli::{Ended, run, settings};
use crate::host::{Host, Settings};
use crate::json::whitespace::indented;
use crate::manifest::schema::sample_request;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{Redactor, Secret};
use crate::sim::{Alerts, Listen, Sim, World};
use crate::when;

/// What stands for a secret reference that is not set: the simulator takes any.
const ANY_SECRET: &str = "any-secret-will-do-in-the-sandbox";

/// Enough alerts for a page of results in any window of the week.
const MANY_ALERTS: usize = 200;

/// Makes the world that a sandbox shows at a time.
type MakeWorld = fn(DateTime<Utc>) -> anyhow::Result<World>;

/// The default world with enough alerts for any request of a playbook's author.
fn many_alerts(now: DateTime<Utc>) -> anyhow::Result<World> {
    let alerts = Alerts {
        count: Some(MANY_ALERTS),
        ..Alerts::default()
    };
    Ok(World {
        now: Some(now),
        alerts,
        ..World::preset("default")?
    })
}

/// A simulator on a thread of its own; it ends when this is dropped.
pub(super) struct Sandbox {
    endpoints: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sandbox {
    fn start(clock: Clock, world: MakeWorld) -> Result<Self, Failure> {
        let (started, starting) = std::sync::mpsc::channel();
        let (stop, stopping) = tokio::sync::oneshot::channel();
        let now = clock.now();
        let thread = std::thread::spawn(move || serve(world(now), &started, stopping));
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
    world: anyhow::Result<World>,
    started: &Started,
    stopping: tokio::sync::oneshot::Receiver<()>,
) {
    let Ok(runtime) = run::runtime() else { return };
    runtime.block_on(async {
        let sim = match world {
            Ok(world) => Sim::start(world, Listen::default()).await,
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
    open(args, redactor, many_alerts)
}

fn open(
    args: &SettingsArgs,
    redactor: &Redactor,
    world: MakeWorld,
) -> Result<(Sandbox, Host), Failure> {
    let mut settings: Settings = settings::settings(args)?;
    let sandbox = Sandbox::start(settings.clock, world)?;
    settings.endpoints = Some(sandbox.endpoints.clone().into());
    settings.direct = true;
    // Each sandbox is another simulator: its tokens are worth nothing to the next.
    settings.stores_tokens = false;
    settings.allowed.stand_in = Some(Secret::new(ANY_SECRET));
    Ok((sandbox, Host::open(settings, redactor.clone())))
}

/// `try`: runs the sample request; prints the readable result and the outcome, or both as JSON.
pub(super) fn show(
    args: &TryArgs,
    settings: &SettingsArgs,
    redactor: &Redactor,
    out: &mut Out,
) -> Ended {
    let (_sandbox, host) = open(settings, redactor, World::demo)?;
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

/// The text for a terminal: rows sorted by their first column of times, the latest first; times to
/// the minute; no Markdown escapes.
fn table(text: &str) -> String {
    let is_row = |line: &&str| line.starts_with("| ");
    let above = text.lines().take_while(|line| !is_row(line));
    let above: Vec<&str> = above.map(|line| line.trim_start_matches("### ")).collect();
    let mut rows = text.lines().filter(is_row).map(cells);
    let Some(headings) = rows.next() else {
        return above.join("\n");
    };
    let mut rows: Vec<Vec<String>> = rows.collect();
    let is_time = |cell: &String| when::instant(cell, &[]).is_some();
    let column = rows.first().and_then(|row| row.iter().position(is_time));
    if let Some(column) = column {
        rows.sort_by(|one, other| other.get(column).cmp(&one.get(column)));
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(headings);
    table.add_rows(rows);
    format!("{}\n{}", above.join("\n"), table.trim_fmt())
}

/// The cells of a row of a Markdown table.
fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut cell) = (Vec::new(), String::new());
    let mut characters = row.chars().skip(1);
    while let Some(character) = characters.next() {
        match character {
            '\\' => cell.extend(characters.next()),
            '|' => cells.push(short(std::mem::take(&mut cell).trim())),
            other => cell.push(other),
        }
    }
    cells
}

/// A time to the minute; any other text unchanged.
fn short(cell: &str) -> String {
    let time = when::instant(cell, &[]).filter(|_| cell.len() > 10);
    time.map_or_else(
        || cell.to_owned(),
        |time| time.format("%Y-%m-%d %H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_for_a_terminal_is_sorted_by_time_and_has_no_escapes() {
        let text = "### A\\_b: 2 results\n\n| Name | Time |\n|---|---|\n\
                    | x \\| y | 2026-01-14T09:30:59.5Z |\n| \\[z\\] | 2026-01-14T10:00:00Z |";
        assert_eq!(
            table(text),
            "A\\_b: 2 results\n\n\
             | Name  | Time             |\n\
             |-------|------------------|\n\
             | [z]   | 2026-01-14 10:00 |\n\
             | x | y | 2026-01-14 09:30 |"
        );
        assert_eq!(table("Started."), "Started.");
    }
}
