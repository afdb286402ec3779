//! Random histories of collecting against the simulator, checked from outside after every run.
//!
//! The host's clock is hours off; blobs appear late, are listed out of order and in several pages,
//! fail for a while, expire or are missing; runs have limits and deadlines, or are killed before the
//! commit; states are passed on or stored under a name. Every blob is delivered once, or its absence
//! is named. `SOARHOST_SEEDS` sets the number of histories. The algorithm alone is tested over many
//! more histories in `src/ops/resume/checkpoint/tests.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use soarhost::host::Cancel;

use crate::bench::{Bench, connection};
use crate::rolling::wait;

/// The generator `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n.max(1) as u64).expect("small")
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Minutes since the history began.
type Minutes = i64;

fn at(minutes: Minutes, ms: i64) -> String {
    let start: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().expect("a time");
    let time = start + TimeDelta::minutes(minutes) + TimeDelta::milliseconds(ms);
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn minutes(text: &str) -> f64 {
    let start: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().expect("a time");
    let time: DateTime<Utc> = text.parse().expect("a time");
    (time - start).as_seconds_f64() / 60.0
}

struct Blob {
    available: Minutes,
    ms: i64,
    visible: Minutes,
    /// It fails until then.
    fails_until: Minutes,
    missing: bool,
}

struct History {
    dice: Dice,
    blobs: Vec<Blob>,
    collect: bool,
    kept: bool,
    page: usize,
    disorder: usize,
    skews: &'static [Minutes],
    folder: tempfile::TempDir,
    state: Value,
    delivered: BTreeMap<usize, usize>,
    named: BTreeSet<usize>,
    spans: Vec<(f64, f64)>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let span = dice.pick(&[60, 3_000, 9_000]);
        let blobs = (0..dice.pick(&[5, 12, 30])).map(|_| {
            let available = dice.below(span);
            let late = if dice.chance(30) { dice.below(9) } else { 0 };
            let failing = if dice.chance(15) {
                dice.pick(&[30, 2_000])
            } else {
                0
            };
            let minutes = |n: usize| Minutes::try_from(n).expect("small");
            Blob {
                available: minutes(available),
                ms: minutes(dice.below(60_000)),
                visible: minutes(available + 1 + late),
                fails_until: minutes(available + failing),
                missing: dice.chance(4),
            }
        });
        let blobs = blobs.collect();
        History {
            blobs,
            collect: dice.chance(40),
            kept: dice.chance(30),
            page: dice.pick(&[1, 3, 50]),
            disorder: dice.pick(&[0, 0, 240]),
            skews: dice.pick(&[&[0], &[0, 120, 1_440], &[-120, 0, -1_440]]),
            folder: tempfile::tempdir().expect("a folder"),
            state: Value::Null,
            delivered: BTreeMap::new(),
            named: BTreeSet::new(),
            spans: Vec::new(),
            dice,
        }
    }

    fn world(&mut self, t: Minutes) -> Value {
        let blobs = self.blobs.iter().enumerate();
        let visible = blobs.filter(|(_, blob)| blob.visible <= t);
        let blobs: Vec<Value> = visible
            .map(|(n, blob)| {
                let id = format!("00000000-0000-4000-8000-{n:012}");
                let mut literal = json!({ "type": "Audit.Exchange", "created": at(blob.available, blob.ms),
                    "id": format!("blob{n}$x$y$na0001"), "missing": blob.missing,
                    "records": [{ "Id": id, "RecordType": 1, "CreationTime": "2026-01-14T09:12:03" }] });
                if blob.fails_until > t {
                    literal["status"] = json!(500);
                }
                literal
            })
            .collect();
        json!({ "now": at(t, 0), "http2": false, "subscriptions": [{ "content_type": "Audit.Exchange" }],
                "content_page_size": self.page, "content_disorder_seconds": self.disorder,
                "content": { "blobs": blobs } })
    }

    fn request(&self) -> Value {
        let mut connection = connection();
        let mut request = if self.collect {
            connection["self_deployed"] = json!(true);
            connection["first_fetch_delta"] = json!("1 day");
            connection["content_types_to_fetch"] = json!(["Audit.Exchange"]);
            json!({ "integration": "management_activity", "command": "fetch-incidents" })
        } else {
            json!({ "command": "Get Audit Log", "inputs": { "Content Type": "Audit.Exchange" } })
        };
        request["connection"] = connection;
        request["options"] = json!({ "include": ["raw_data"] });
        if self.kept {
            request["options"]["state_key"] = json!("history");
        } else {
            request["state"] = self.state.clone();
        }
        request
    }

    /// One run. `calm`: without a limit, a fault, a deadline or a kill.
    async fn run(&mut self, t: Minutes, calm: bool) -> Result<(Value, usize), String> {
        let skew = if calm { 0 } else { self.dice.pick(self.skews) };
        let mut world = self.world(t);
        let mut request = self.request();
        let (mut limited, mut killed) = (false, false);
        if !calm {
            if self.dice.chance(40) {
                request["options"]["max_events"] = json!(self.dice.pick(&[1, 2, 9]));
                limited = true;
            }
            if self.dice.chance(15) {
                let nth: Vec<usize> = (0..3).map(|_| 1 + self.dice.below(8)).collect();
                let route = self.dice.pick(&["management.content", "management.blob"]);
                world["faults"] = json!([{ "route": route, "nth": nth, "status": 503 }]);
                limited = true;
            }
            if self.dice.chance(5) {
                let route = self.dice.pick(&["management.content", "management.blob"]);
                world["faults"] =
                    json!([{ "route": route, "nth": 1 + self.dice.below(4), "delay_ms": 20_000 }]);
                request["options"]["timeout_ms"] = json!(self.dice.pick(&[200, 400]));
                limited = true;
            }
            killed = self.dice.chance(10);
        }
        let mut bench = Bench::impatient(&world.to_string(), &at(t + skew, 0)).await;
        if self.kept {
            bench.restart_keeping(self.folder.path());
        }
        let result = if killed && self.kept {
            let line = request.to_string();
            let checked = bench
                .host
                .check(line.as_bytes(), &Cancel::default())
                .expect("a good request");
            drop(bench.host.run(checked).await);
            return Ok((Value::Null, 0));
        } else {
            let ran = bench.run(&request.to_string()).await;
            serde_json::from_str::<Value>(&ran.text).expect("a result")
        };
        if killed {
            return Ok((result, 0));
        }
        if skew != 0 && result["return_data"] != "Failed" {
            let warnings = result["warnings"].as_array().expect("warnings");
            if !warnings
                .iter()
                .any(|warning| warning["code"] == "clocks_differ")
            {
                return Err("the clocks differ and no warning says so".to_owned());
            }
        }
        if !limited && !self.kept && self.dice.chance(20) {
            let again = bench.run(&request.to_string()).await;
            let again: Value = serde_json::from_str(&again.text).expect("a result");
            if keys(&again) != keys(&result) {
                return Err("7: two runs from one state differ".to_owned());
            }
        }
        let new = self.take(&result)?;
        self.check(&result, (t, limited), new)?;
        Ok((result, new))
    }

    /// Notes what a run delivered and named. Returns how much of it is new.
    fn take(&mut self, result: &Value) -> Result<usize, String> {
        let mut new = 0;
        for record in result["raw_data"].as_array().into_iter().flatten() {
            let id = record["Id"].as_str().expect("an id");
            let times = self
                .delivered
                .entry(id[24..].parse().expect("a number"))
                .or_default();
            *times += 1;
            new += 1;
            if *times > 1 {
                return Err(format!("7: delivered twice: {id}"));
            }
        }
        for gap in result["coverage"]["gaps"].as_array().into_iter().flatten() {
            if gap["lost"] != true {
                continue;
            }
            if let Some(id) = gap["id"].as_str() {
                let digits: String = id[4..].chars().take_while(char::is_ascii_digit).collect();
                new += usize::from(self.named.insert(digits.parse().expect("a number")));
            } else {
                let of = |name: &str| minutes(gap[name].as_str().expect("a span"));
                self.spans.push((of("from"), of("to")));
                new += 1;
            }
        }
        Ok(new)
    }

    fn knows(&self, n: usize) -> bool {
        let blob = &self.blobs[n];
        let available = minutes(&at(blob.available, blob.ms));
        self.delivered.contains_key(&n)
            || self.named.contains(&n)
            || self
                .spans
                .iter()
                .any(|(from, to)| *from <= available && available < *to)
    }

    fn check(
        &mut self,
        result: &Value,
        (t, limited): (Minutes, bool),
        new: usize,
    ) -> Result<(), String> {
        let before = std::mem::replace(&mut self.state, result["state"].clone());
        let is_failed = result["return_data"] == "Failed";
        if is_failed {
            self.state = before.clone();
        }
        if result["state"].to_string().len() > 64 * 1024 {
            return Err("5: the state is too large".to_owned());
        }
        if result["more"] == true && new == 0 && !self.kept {
            let of = |state: &Value| state["resume"]["types"]["Audit.Exchange"].clone();
            let (old, next) = (of(&before), of(&self.state));
            if old["watermark"] == next["watermark"] && old["retry"] == next["retry"] {
                return Err("2: more without progress".to_owned());
            }
        }
        let of_type = &result["state"]["resume"]["types"]["Audit.Exchange"];
        if result["coverage"]["complete"] == true && of_type["retry"].is_string() && !limited {
            return Err("6: complete with a retry queue".to_owned());
        }
        if limited || is_failed {
            return Ok(());
        }
        let due = |n: &usize| {
            let blob = &self.blobs[*n];
            blob.visible <= t && blob.fails_until <= t && blob.available >= 0
        };
        let fresh = (0..self.blobs.len()).filter(due).find(|n| !self.knows(*n));
        match fresh {
            // A blob of the retry queue that could be fetched again is no exception.
            Some(n) => Err(format!("3: blob {n} could be delivered and was not")),
            None => Ok(()),
        }
    }

    async fn play(mut self) -> Result<(), String> {
        let last = self
            .blobs
            .iter()
            .map(|blob| blob.visible.max(blob.fails_until))
            .max();
        let (mut t, mut quiet) = (1, 0);
        // The first run begins where every blob is ahead of it.
        self.run(0, true).await?;
        while quiet < 2 {
            let calm = t > last.unwrap_or_default();
            t += if calm {
                11
            } else {
                self.dice.pick(&[0, 1, 5, 60, 500, 2_000])
            };
            let (result, new) = self.run(t, calm).await?;
            let is_quiet = new == 0 && result["more"] != true;
            quiet = if calm && is_quiet { quiet + 1 } else { 0 };
        }
        match (0..self.blobs.len()).find(|n| !self.knows(*n)) {
            Some(n) => Err(format!("1: blob {n} is lost")),
            None => Ok(()),
        }
    }
}

fn keys(result: &Value) -> BTreeSet<String> {
    let events = result["events"].as_array().into_iter().flatten();
    events.map(|event| event["key"].to_string()).collect()
}

#[test]
fn random_histories_deliver_every_blob_once_or_name_its_absence() {
    let first: u64 = std::env::var("SOARHOST_FIRST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let given = std::env::var("SOARHOST_SEEDS").ok();
    let seeds: u64 = given.and_then(|text| text.parse().ok()).unwrap_or(12);
    let mut broken = String::new();
    for seed in first..first + seeds {
        if let Err(why) = wait(History::new(seed).play()) {
            let _ = writeln!(broken, "seed {seed}: {why}");
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}
