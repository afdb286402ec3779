//! `poll`: runs a request until nothing is left to fetch, and delivers events or records to a sink.
//!
//! Each run delivers to the sink, waits until the sink has stored all lines, and then commits the
//! state. A crash in between repeats events but loses none. The host stores the state under a key
//! that only one poll at a time can use.

pub mod file;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::front::cli::progress::{Progress, usage};
use crate::front::counted;
use crate::host::{Cancel, Checked, Host, RunOutcome, StateLock};
use crate::json::document::{Member, elements, members};
use crate::protocol::{Coverage, Failure, ResultEnvelope};
use crate::when;

/// The shortest wait after a temporary failure.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a temporary failure, unless the service requests a longer one.
const MAX_WAIT: Duration = Duration::from_mins(5);

/// The destination of a poll's lines.
pub trait Sink: Write {
    /// Waits until all written lines are stored.
    fn acknowledge(&mut self) -> io::Result<()>;
}

/// The content of a poll's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Emit {
    /// Mapped events: {"key", "source", "fields"}
    Events,
    /// The service's records, as it sent them
    Records,
    /// Alerts of detection rules
    Alerts,
}

/// A checked request and the lock on its state.
#[derive(Debug)]
pub struct Poll<'a> {
    host: &'a Host,
    request: Vec<u8>,
    emit: Emit,
    cancel: Cancel,
    _lock: StateLock,
}

/// How to run a poll.
#[derive(Clone, Copy)]
pub struct PollOptions<'a> {
    /// Stop after this many runs.
    pub max_runs: Option<u64>,
    /// Measures the lag.
    pub clock: Clock,
    /// Shows the activity of the poll.
    pub progress: &'a Progress,
}

impl<'a> Poll<'a> {
    /// Checks the request and locks its state. Errors: the exit code of a logged failure.
    pub fn open(
        host: &'a Host,
        request: &[u8],
        emit: Option<Emit>,
        cancel: Cancel,
    ) -> Result<Self, u8> {
        let refuse = |failure| host.refuse(failure).exit_code();
        let (key, emit) = match host.check(request, &cancel) {
            Ok(checked) => (
                checked.state_key(),
                emit_of(&checked, emit).map_err(refuse)?,
            ),
            Err(refused) => return Err(refused.exit_code()),
        };
        let lock = host.lock_state(&key).map_err(refuse)?;
        Ok(Poll {
            host,
            request: with_options(request, &key, emit),
            emit,
            cancel,
            _lock: lock,
        })
    }

    /// Runs the request until nothing is left to fetch, a permanent failure or a signal; returns
    /// the exit code. Errors: the sink failed; the state of that run was not committed.
    pub async fn run(&self, sink: &mut dyn Sink, options: PollOptions<'_>) -> io::Result<u8> {
        let (mut runs, mut lost, mut waits) = (0, false, back_off());
        let (mut all, mut lag) = (0, String::new());
        loop {
            let before = format!("run {}, {all} delivered{lag}", runs + 1);
            let RunOutcome { result, state } = self.run_once(options.progress, &before).await;
            let delivered = self.deliver(&result, sink)?;
            state.commit();
            (runs, all) = (runs + 1, all + delivered);
            lag = lag_of(&result, options.clock);
            log(runs, delivered, &result, &lag);
            lost |= has_losses(&result);
            if let Some(signal) = self.cancel.raised() {
                return Ok(signal.exit_code());
            }
            let code = match result.exit_code() {
                0 if lost => 3,
                code => code,
            };
            let is_over = matches!(code, 0 | 3) && !result.more;
            if is_over || !matches!(code, 0 | 3 | 75) || options.max_runs == Some(runs) {
                return Ok(code);
            }
            if delivered > 0 || result.error.is_none() {
                waits = back_off();
            }
            if let Some(wait) = wait_before_next(&result, delivered, &mut waits) {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    signal = self.cancel.wait() => return Ok(signal.exit_code()),
                }
            }
        }
    }

    async fn run_once(&self, progress: &Progress, before: &str) -> RunOutcome {
        match self.host.check(&self.request, &self.cancel) {
            Ok(checked) => {
                let meter = checked.meter();
                let shown = || format!("{before}, {}", usage(meter.usage()));
                progress
                    .during(Box::pin(self.host.run(checked)), shown)
                    .await
            }
            Err(refused) => (*refused).into(),
        }
    }

    /// Writes one line per event or record, waits until they are stored, and returns their number.
    fn deliver(&self, result: &ResultEnvelope, sink: &mut dyn Sink) -> io::Result<usize> {
        let mut lines = 0;
        match self.emit {
            Emit::Events => {
                for event in result.events.iter().flatten() {
                    serde_json::to_writer(&mut *sink, event)?;
                    sink.write_all(b"\n")?;
                    lines += 1;
                }
            }
            Emit::Records | Emit::Alerts => {
                let raw = match self.emit {
                    Emit::Alerts => &result.context_data,
                    _ => &result.raw_data,
                };
                let raw = raw.as_ref().map_or("null", |raw| raw.text());
                for record in records(raw) {
                    sink.write_all(record.as_bytes())?;
                    sink.write_all(b"\n")?;
                    lines += 1;
                }
            }
        }
        if lines > 0 {
            sink.acknowledge()?;
        }
        Ok(lines)
    }
}

/// The content of the lines: the requested one, or the default of the command.
///
/// Errors: the command does not make it, or makes alerts that would be lost.
fn emit_of(checked: &Checked<'_>, requested: Option<Emit>) -> Result<Emit, Failure> {
    let (makes_events, makes_alerts) = (checked.makes_events(), checked.makes_alerts());
    let (message, advice) = match requested {
        None if makes_alerts => return Ok(Emit::Alerts),
        None if makes_events => return Ok(Emit::Events),
        None => return Ok(Emit::Records),
        Some(Emit::Events) if !makes_events => (
            "`--emit events` needs a command that makes events.",
            "Use `--emit records`.",
        ),
        Some(Emit::Alerts) if !makes_alerts => (
            "`--emit alerts` needs a command that evaluates detection rules.",
            "Omit `--emit`.",
        ),
        Some(Emit::Events | Emit::Records) if makes_alerts => (
            "This command evaluates detection rules, and their alerts would be lost.",
            "Use `--emit alerts`, and a second poll for the records with a command without rules.",
        ),
        Some(emit) => return Ok(emit),
    };
    Err(Failure::invalid_input("--emit", message).advice(advice))
}

/// Adds to the request the key of the state, and selects the one section that is delivered.
fn with_options(request: &[u8], key: &str, emit: Emit) -> Vec<u8> {
    let text = request.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(request);
    // The host has already parsed it as an object.
    let mut request: Value = serde_json::from_slice(text).unwrap_or_default();
    let section = match emit {
        Emit::Events => "events",
        Emit::Records => "raw_data",
        Emit::Alerts => "context_data",
    };
    request["options"]["state_key"] = json!(key);
    request["options"]["include"] = json!([section]);
    request.to_string().into_bytes()
}

/// The records of raw data: the elements of an array, or of an object's first array, or the object.
fn records(raw: &str) -> Vec<&str> {
    let list = |text| elements(text).unwrap_or_default();
    match raw.as_bytes().first() {
        Some(b'[') => list(raw),
        Some(b'{') => {
            let members = members(raw).unwrap_or_default();
            let found = members.iter().map(Member::value);
            let found = found.into_iter().find(|value| value.starts_with('['));
            found.map_or_else(|| vec![raw], list)
        }
        _ => Vec::new(),
    }
}

fn back_off() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(MIN_WAIT)
        .with_max_delay(MAX_WAIT)
        .without_max_times()
        .with_jitter()
        .build()
}

/// The wait after a temporary failure: as long as the service requests, and longer after each
/// failure without deliveries.
fn wait_before_next(
    result: &ResultEnvelope,
    delivered: usize,
    waits: &mut ExponentialBackoff,
) -> Option<Duration> {
    let error = result.error.as_ref().filter(|error| error.retryable)?;
    let requested = error.retry_after_ms.map(Duration::from_millis);
    if delivered > 0 {
        return requested;
    }
    let wait = waits.next().unwrap_or(MAX_WAIT);
    Some(requested.map_or(wait, |requested| requested.max(wait)))
}

/// True if records are permanently missing.
fn has_losses(result: &ResultEnvelope) -> bool {
    let coverage = result.coverage.as_ref();
    coverage.is_some_and(|coverage| coverage.gaps.iter().any(|gap| gap.lost))
}

/// Logs one line per run.
fn log(run: u64, delivered: usize, result: &ResultEnvelope, lag: &str) {
    let metrics = &result.metrics;
    let coverage = result.coverage.as_ref();
    let gaps = coverage.map_or(0, |coverage| coverage.gaps.len());
    let gaps = counted(u64::try_from(gaps).unwrap_or(u64::MAX), "gap");
    let records = counted(metrics.records, "record");
    let bytes = counted(metrics.bytes_received, "byte");
    tracing::info!(
        target: "poll",
        "run {run}: {records} received, {delivered} delivered, {bytes}{lag}, {gaps}"
    );
}

/// The lag after a run as text; empty if it is not known.
fn lag_of(result: &ResultEnvelope, clock: Clock) -> String {
    let coverage = result.coverage.as_ref();
    let lag = coverage.and_then(|coverage| lag(coverage, clock));
    lag.map_or_else(String::new, |seconds| format!(", lag {seconds} s"))
}

/// The lag of the scope that is furthest behind, in seconds.
fn lag(coverage: &Coverage, clock: Clock) -> Option<i64> {
    let mut read_to = BTreeMap::new();
    for window in &coverage.windows {
        let to = when::instant(&window.to, &[])?;
        let latest = read_to.entry(&window.scope).or_insert(to);
        *latest = to.max(*latest);
    }
    let oldest = read_to.into_values().min()?;
    Some((clock.now() - oldest).num_seconds().max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_elements_of_first_array_unchanged() {
        assert_eq!(records(r#"[{"a":1.0},2]"#), [r#"{"a":1.0}"#, "2"]);
        let page = r#"{"@odata.context":"c","value":[{"id":1}],"other":[2]}"#;
        assert_eq!(records(page), [r#"{"id":1}"#]);
        assert_eq!(records(r#"{"id":1}"#), [r#"{"id":1}"#]);
        assert!(records("null").is_empty());
    }
}
