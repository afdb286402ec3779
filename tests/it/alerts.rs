//! Fetch Event over several runs with random alerts, pages, faults and clocks: every alert is delivered
//! once in every version that lasts, or the result names the gap.
//!
//! Scenarios without chance are case files.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::bench::{Bench, Ran, block_on, connection, read};
use crate::histories::service::Dice;

const NOW: &str = "2026-01-14T12:00:00Z";

fn alert(id: &str, updated: &str) -> Value {
    json!({ "id": id, "title": id, "createdDateTime": "2026-01-13T12:00:00Z", "lastUpdateDateTime": updated })
}

/// Alerts `a0`, `a1`, … one minute apart from 10:00.
fn many(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| alert(&format!("a{n}"), &format!("2026-01-14T10:{n:02}:00Z")))
        .collect()
}

fn world(alerts: &[Value], page_size: usize) -> Value {
    json!({ "page_size": page_size, "http2": false, "alerts": { "literal": alerts },
            "subscriptions": [{ "content_type": "DLP.All" }] })
}

fn request(state: &Value) -> Value {
    json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": 1000 },
            "connection": connection(), "options": { "include": ["raw_data"] }, "state": state })
}

/// One run. The world contains the service's time, `host` is the time of this machine.
async fn run_at(host: &str, world: &Value, request: &Value) -> Ran {
    let bench = Bench::with_two_attempts(&world.to_string(), host).await;
    bench.run(&request.to_string()).await
}

async fn run(world: &Value, state: &Value) -> Value {
    read(&run_at(NOW, world, &request(state)).await)
}

fn ids(result: &Value) -> Vec<String> {
    let records = result["raw_data"]["value"].as_array().into_iter().flatten();
    let titles = records.map(|record| record["title"].as_str().expect("a title"));
    titles.map(str::to_owned).collect()
}

fn numbered(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("a{n}")).collect()
}

fn codes(result: &Value) -> Vec<&str> {
    let warnings = result["warnings"].as_array().into_iter().flatten();
    warnings
        .filter_map(|warning| warning["code"].as_str())
        .collect()
}

#[test]
fn update_among_alerts_with_equal_times_hides_no_alert() {
    block_on(async {
        let alerts: Vec<Value> = (0..6)
            .map(|n| alert(&format!("a{n}"), "2026-01-14T11:00:00Z"))
            .collect();
        for after in 1..10 {
            let mut world = world(&alerts, 2);
            world["alerts"]["updates"] =
                json!([{ "after": after, "alert": 0, "at": "2026-01-14T12:00:01Z" }]);
            let result = run(&world, &Value::Null).await;
            let received = ids(&result);
            let missing = numbered(1..6)
                .into_iter()
                .filter(|id| !received.contains(id));
            assert_eq!(missing.count(), 0, "after {after} requests: {received:?}");
        }
    });
}

#[test]
fn next_link_larger_than_a_state_is_not_stored() {
    block_on(async {
        let mut world = world(&many(5), 2);
        let long = format!("$skiptoken={}", "x".repeat(65_000));
        world["faults"] =
            json!([{ "route": "graph.alerts", "replace": { "from": "$skiptoken=", "to": long } }]);
        let mut limited = request(&Value::Null);
        limited["options"]["max_events"] = json!(2);
        let first = read(&run_at(NOW, &world, &limited).await);
        assert_eq!(first["more"], true);
        let second = run(&world, &first["state"]).await;
        assert_eq!([ids(&first), ids(&second)].concat(), numbered((0..5).rev()));
        assert_eq!(second["return_data"], "Successful");
    });
}

/// A service with its alerts, and a client that polls it.
struct History {
    random: Dice,
    now: DateTime<Utc>,
    alerts: Vec<(String, DateTime<Utc>)>,
    page: usize,
    order: &'static str,
    top: u32,
    state: Value,
    delivered: BTreeMap<(String, String), usize>,
    named: bool,
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Dice(seed);
        let order = random.pick(&["requested", "requested", "ignored", "shuffled"]);
        let page = random.pick(&[1, 2, 3, 7, 50]);
        let mut history = History {
            now: NOW.parse().expect("a time"),
            alerts: Vec::new(),
            page,
            order,
            top: random.pick(&[1000, 1000, 1000, 5]),
            random,
            state: Value::Null,
            delivered: BTreeMap::new(),
            named: false,
        };
        for _ in 0..history.random.below(30) {
            let age = history.random.below(20 * 3600);
            history.add(age);
        }
        history
    }

    fn add(&mut self, age: i64) {
        let id = format!("a{}", self.alerts.len());
        let time = self.ago(age);
        self.alerts.push((id, time));
    }

    fn ago(&mut self, seconds: i64) -> DateTime<Utc> {
        let alike = self.random.chance(30);
        let time = self.now - TimeDelta::seconds(seconds);
        // Many alerts with the same time, as after a bulk update.
        if alike {
            self.now - TimeDelta::seconds(seconds / 300 * 300 + 1)
        } else {
            time + TimeDelta::microseconds(self.random.below(999)) - TimeDelta::seconds(1)
        }
    }

    /// Time passes; alerts appear, up to nine minutes late, and are updated.
    fn pass(&mut self) {
        let minutes = self.random.pick(&[1, 5, 30, 600]);
        // The first run looks back 24 hours only.
        let minutes = if self.state.is_null() { 1 } else { minutes };
        self.now += TimeDelta::minutes(minutes);
        for _ in 0..self.random.below(6) {
            let age = self.random.below(9 * 60);
            self.add(age);
        }
        for _ in 0..self.random.below(4) {
            if self.alerts.is_empty() {
                break;
            }
            let place = self.random.index(self.alerts.len());
            let age = self.random.below(50);
            self.alerts[place].1 = self.ago(age);
        }
    }

    fn world(&self) -> Value {
        let alerts: Vec<Value> = self
            .alerts
            .iter()
            .rev()
            .map(|(id, time)| alert(id, &text(*time)))
            .collect();
        let mut world = world(&alerts, self.page);
        world["now"] = json!(text(self.now));
        world["alerts"]["order"] = json!(self.order);
        world
    }

    /// One run with random faults, a wrong clock, a limit, or a result that is lost.
    async fn run_with_faults(&mut self) {
        let mut world = self.world();
        world["alerts"]["paging"] = json!(self.random.pick(&["skip", "skiptoken"]));
        if self.random.chance(20) {
            let nth: Vec<i64> = (0..4).map(|_| 1 + self.random.below(12)).collect();
            world["faults"] = json!([{ "route": "graph.alerts", "nth": nth, "status": 503 }]);
        }
        let count = self.alerts.len();
        let (mut updates, mut scripted) = (Vec::new(), Vec::new());
        if count > 0 && self.random.chance(50) {
            for n in 1..4 {
                let place = self.random.index(count);
                let time = self.now + TimeDelta::seconds(n);
                updates.push((count - 1 - place, time));
                scripted.push(json!({ "after": n, "alert": place, "at": text(time) }));
            }
        }
        world["alerts"]["updates"] = json!(scripted);
        let skew = self.random.pick(&[0, 0, 0, 120, -120, 1440, -600]);
        let limit = self.random.pick(&[0, 0, 1, 3, 10]);
        let killed = !self.state.is_null() && self.random.chance(15);
        self.run(&world, (skew, limit), killed).await;
        for (place, time) in updates {
            self.alerts[place].1 = time;
        }
        self.now += TimeDelta::seconds(10);
    }

    /// One run. Returns whether it delivered anything or has more.
    async fn run(&mut self, world: &Value, (skew, limit): (i64, u32), killed: bool) -> bool {
        let mut request = request(&self.state);
        request["inputs"]["Top Recent Event Number"] = json!(self.top);
        if limit > 0 {
            request["options"]["max_events"] = json!(limit);
        }
        let host = text(self.now + TimeDelta::minutes(skew));
        let result = read(&run_at(&host, world, &request).await);
        if killed {
            return true;
        }
        let moved = result["state"] != self.state;
        if result["return_data"] != "Failed" {
            self.state = result["state"].clone();
        }
        let gaps = result["coverage"]["gaps"].as_array();
        let mut gaps = gaps.into_iter().flatten();
        self.named |= gaps.any(|gap| gap["lost"] == true);
        self.named |= codes(&result).contains(&"left_out_by_limit");
        let records = result["raw_data"]["value"].as_array().into_iter().flatten();
        let mut received = 0;
        for record in records {
            let member = |name: &str| record[name].as_str().expect("a text").to_owned();
            let version = (member("id"), member("lastUpdateDateTime"));
            *self.delivered.entry(version).or_default() += 1;
            received += 1;
        }
        let more = result["more"] == true;
        assert!(!more || moved, "more without progress");
        received > 0 || more
    }

    async fn play(mut self) -> Result<(), String> {
        for _ in 0..8 {
            self.run_with_faults().await;
            self.pass();
        }
        let mut runs = 0;
        while self.run(&self.world(), (0, 0), false).await {
            runs += 1;
            if runs > 40 {
                return Err("endless".to_owned());
            }
        }
        if let Some((version, _)) = self.delivered.iter().find(|(_, times)| **times > 1) {
            return Err(format!("twice: {version:?}"));
        }
        let versions = self
            .alerts
            .iter()
            .map(|(id, time)| (id.clone(), text(*time)));
        let missing: Vec<_> = versions
            .filter(|known| !self.delivered.contains_key(known))
            .collect();
        if missing.is_empty() || self.named {
            return Ok(());
        }
        Err(format!("lost: {missing:?}"))
    }
}

#[test]
fn random_histories_deliver_every_version_that_lasts_once() {
    let seeds = std::env::var("ALERT_SEEDS").unwrap_or("12".to_owned());
    let (from, to) = seeds.split_once("..").unwrap_or(("0", &seeds));
    let seed = |text: &str| text.parse::<u64>().expect("ALERT_SEEDS is 300 or 100..200");
    let failed: Vec<String> = (seed(from)..seed(to))
        .filter_map(|seed| {
            let outcome = block_on(History::new(seed).play());
            outcome.err().map(|why| format!("seed {seed}: {why}"))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
