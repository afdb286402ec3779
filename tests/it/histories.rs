//! Random histories of collecting against the simulator: all seven invariants after every run.
//!
//! The host's clock and the service's `Date` are hours off; blobs appear late, are listed twice, out
//! of order and in several pages, fail, expire or disappear; runs have limits and deadlines, are
//! cancelled, or are killed before the commit; states are passed on or stored under a name. Every
//! record is delivered once, or its absence is named. Some histories evaluate detection rules: the
//! alerts are those of one run over all records.
//!
//! `SOARHOST_SEEDS` sets the number of histories, `SOARHOST_FIRST_SEED` the first one. The algorithm
//! alone is tested over more histories in `src/ops/resume/progress/tests.rs`.

mod account;
mod alerts;
pub mod service;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use soarhost::host::Cancel;
use soarhost::protocol::Signal;

use crate::bench::{Bench, block_on, connection};
use account::{Account, Conditions, check_listings, keys};
use alerts::{Alerts, RULES};
use service::{Dice, MINUTE, Ms, Service, text};

const ROUTES: [&str; 2] = ["management.content", "management.blob"];

/// More than the machine has: a run that waits for its deadline needs no processor.
const THREADS: usize = 8;

/// How a run is interrupted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Interruption {
    None,
    /// A signal when that many requests were sent.
    Signal(usize),
    /// The process is killed when that many requests were sent, or before the commit.
    Kill(usize),
}

struct History {
    dice: Dice,
    service: Service,
    account: Account,
    collect: bool,
    /// Detection rules are evaluated.
    alerts: Option<Alerts>,
    stored: bool,
    /// How far the host's clock can be off.
    skews: &'static [Ms],
    /// How far the service's `Date` can be off.
    dates: &'static [Ms],
    folder: tempfile::TempDir,
    state: Value,
    /// What happened, in case an invariant is broken: interruptions depend on the machine.
    log: String,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        History {
            service: Service::new(&mut dice),
            account: Account::default(),
            collect: dice.chance(40),
            alerts: dice.chance(40).then(Alerts::default),
            stored: dice.chance(30),
            skews: dice.pick(&[&[0], &[0, 90, 120, 1_440], &[-120, 0, -1_440, 600]]),
            dates: dice.pick(&[&[0], &[0], &[0, 0, 120, 1_200], &[0, 0, -180, 30]]),
            folder: tempfile::tempdir().expect("a folder"),
            state: Value::Null,
            log: String::new(),
            dice,
        }
    }

    fn request(&self) -> Value {
        let mut connection = connection();
        let mut request = if self.alerts.is_some() {
            json!({ "integration": "office365_audit", "command": "collect_and_alert",
                    "inputs": { "content_types": ["Audit.Exchange"], "rules": [RULES] } })
        } else if self.collect {
            connection["self_deployed"] = json!(true);
            connection["first_fetch_delta"] = json!("1 day");
            connection["content_types_to_fetch"] = json!(["Audit.Exchange"]);
            json!({ "integration": "management_activity", "command": "fetch-incidents" })
        } else {
            json!({ "command": "Get Audit Log", "inputs": { "Content Type": "Audit.Exchange" } })
        };
        request["connection"] = connection;
        request["options"] = json!({ "include": ["raw_data", "context_data"] });
        if self.stored {
            request["options"]["state_key"] = json!("history");
        } else {
            request["state"] = self.state.clone();
        }
        request
    }

    fn interruption(&mut self) -> Interruption {
        let requests = usize::try_from(self.dice.below(9)).expect("small");
        match self.dice.below(100) {
            0..5 => Interruption::Signal(requests),
            5..10 => Interruption::Kill(requests),
            10..15 => Interruption::Kill(usize::MAX),
            _ => Interruption::None,
        }
    }

    /// Adds faults to the world, or a deadline to the request. Returns whether it has.
    fn trouble(&mut self, world: &mut Value, request: &mut Value) -> bool {
        let dice = &mut self.dice;
        let route = dice.pick(&ROUTES);
        if dice.chance(15) {
            let mut fault = dice.pick(&[
                r#"{ "status": 503 }"#,
                r#"{ "status": 429, "headers": { "Retry-After": "1" } }"#,
                r#"{ "reset": true }"#,
                r#"{ "truncate": 9 }"#,
            ]);
            if route == ROUTES[0] && fault.contains("truncate") {
                fault = r#"{ "status": 500 }"#;
            }
            let nth: Vec<i64> = (0..3).map(|_| 1 + dice.below(8)).collect();
            let mut fault: Value = serde_json::from_str(fault).expect("JSON");
            fault["route"] = json!(route);
            fault["nth"] = json!(nth);
            world["faults"] = json!([fault]);
            return true;
        }
        if dice.chance(3) {
            let slow = json!({ "route": route, "nth": 1 + dice.below(4),
                               "delay_ms": 100 + dice.below(2_400) });
            world["faults"] = json!([slow]);
            request["options"]["timeout_ms"] = json!(200 + dice.below(1_801));
            return true;
        }
        false
    }

    /// One run. `calm`: nothing goes wrong. Returns the result and how much of it is new; null if
    /// the run was killed.
    async fn run(&mut self, t: Ms, calm: bool) -> Result<(Value, usize), String> {
        let (mut skew, mut date) = (0, t);
        if !calm {
            skew = self.dice.pick(self.skews) * MINUTE;
            date += self.dice.pick(self.dates) * MINUTE;
        }
        let mut world = self.service.world(t, date);
        let mut request = self.request();
        let (mut limited, mut troubled) = (false, false);
        let mut interruption = Interruption::None;
        let repeats = !self.stored && self.dice.chance(20);
        if repeats {
            request["options"]["include"] = json!(["raw_data", "context_data", "events"]);
        }
        if !calm {
            limited = self.dice.chance(40);
            if limited {
                request["options"]["max_events"] = json!(self.dice.pick(&[1, 2, 9]));
            }
            troubled = self.trouble(&mut world, &mut request);
            interruption = self.interruption();
        }
        let mut bench = Bench::plain(&world.to_string(), &text(t + skew)).await;
        if self.stored {
            bench.restart_with_state(self.folder.path());
        }
        let line = request.to_string();
        let ran = match interruption {
            Interruption::None => Some(bench.run(&line).await),
            Interruption::Signal(requests) => {
                let cancel = Cancel::default();
                let stop = async {
                    reached(&bench, requests).await;
                    cancel.raise(Signal::Terminate);
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    ran = bench.run_until(&line, &cancel) => Some(ran),
                    () = stop => None,
                }
            }
            Interruption::Kill(requests) => {
                let cancel = Cancel::default();
                let checked = bench.host.check(line.as_bytes(), &cancel);
                tokio::select! {
                    ran = bench.host.run(checked.expect("a good request")) => drop(ran),
                    () = reached(&bench, requests) => {}
                }
                None
            }
        };
        let (minute, faults) = (t / MINUTE, &world["faults"]);
        let (off, options) = ((date - t) / MINUTE, &request["options"]);
        let _ = writeln!(
            self.log,
            "  minute {minute}, host {skew} ms, Date {off} min, {faults}, {options}, {interruption:?}"
        );
        let Some(ran) = ran else {
            return Ok((Value::Null, 0));
        };
        let result: Value = serde_json::from_str(&ran.text).expect("a result");
        for part in ["return_data", "error", "coverage", "more", "state"] {
            let _ = writeln!(self.log, "    {part}: {}", result[part]);
        }
        check_listings(&self.state, date, &ran.seen)?;
        let unlimited = !limited && !troubled && interruption == Interruption::None;
        let failed = result["return_data"] == "Failed";
        let hours_off = (t + skew - date).abs() > 6 * MINUTE;
        if hours_off && !failed && !warns(&result, "clocks_differ") {
            return Err("4: the clocks differ and no warning says so".to_owned());
        }
        if unlimited && repeats {
            let again = bench.run(&line).await;
            let again: Value = serde_json::from_str(&again.text).expect("a result");
            if keys(&again) != keys(&result) {
                return Err("7: two runs from one state differ".to_owned());
            }
        }
        let before = self.state.clone();
        if !result["state"].is_null() {
            self.state = result["state"].clone();
        }
        if let Some(alerts) = &mut self.alerts {
            alerts.take(&result);
        }
        let new = self.account.take(&result)?;
        let conditions = Conditions {
            t,
            date,
            only_limited: !troubled && interruption == Interruption::None,
            unlimited,
        };
        let states = (&before, &self.state);
        self.account
            .check(states, (&result, new), (&self.service, conditions))?;
        Ok((result, new))
    }

    async fn play(mut self) -> Result<(), String> {
        let outcome = self.runs().await;
        outcome.map_err(|why| format!("{why}\n{}", self.log))
    }

    async fn runs(&mut self) -> Result<(), String> {
        let (mut t, mut quiet, mut runs) = (MINUTE, 0, 0);
        // The first run begins where every blob is ahead of it.
        self.run(0, true).await?;
        while quiet < 2 {
            let calm = t > self.service.settles();
            let step = match t {
                _ if calm => 11,
                _ if t < self.service.is_listed() => self.dice.pick(&[0, 1, 5, 60, 500, 2_000]),
                _ => self.dice.pick(&[1, 500, 2_000, 5_000]),
            };
            t += step * MINUTE;
            let (result, new) = self.run(t, calm).await?;
            let is_quiet = calm && new == 0 && result["more"] != true;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            runs += 1;
            if runs > 400 {
                return Err("2: it does not end".to_owned());
            }
        }
        let mut blobs = self.service.blobs.iter().enumerate();
        match blobs.find(|(n, blob)| !blob.is_withdrawn(t) && !self.account.knows(*n, blob)) {
            Some((n, _)) => Err(format!("1: blob {n} is lost")),
            None => self.alerts.as_ref().map_or(Ok(()), Alerts::check),
        }
    }
}

/// Returns when the simulator received that many requests.
pub async fn reached(bench: &Bench, requests: usize) {
    while bench.sim.requests().len() < requests {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn warns(result: &Value, code: &str) -> bool {
    let mut warnings = result["warnings"].as_array().into_iter().flatten();
    warnings.any(|warning| warning["code"] == code)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Plays every seed, several at the same time. `many` seeds by default.
pub fn every_seed<W>(many: u64, play: impl Fn(u64) -> W + Sync)
where
    W: Future<Output = Result<(), String>>,
{
    let first = number("SOARHOST_FIRST_SEED").unwrap_or(0);
    let end = first + number("SOARHOST_SEEDS").unwrap_or(many);
    let (next, broken) = (AtomicU64::new(first), Mutex::new(String::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if let Err(why) = block_on(play(seed)) {
                        let mut broken = broken.lock().expect("no panic");
                        let _ = writeln!(broken, "seed {seed}: {why}");
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().expect("no panic");
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn random_histories_keep_every_invariant() {
    every_seed(32, |seed| History::new(seed).play());
}
