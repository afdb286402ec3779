//! Random searches of the audit log against the simulator, continued with `state` until nothing is
//! left.
//!
//! Sessions skip, repeat, restart, time out and end early; requests fail or are too slow; runs have
//! limits and deadlines or are killed; queries of Graph take long. Every record of the window is
//! delivered once, or its absence is named.
//!
//! `SOARHOST_SEEDS` sets the number of searches, `SOARHOST_FIRST_SEED` the first one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};
use soarhost::host::Cancel;

use crate::bench::{Bench, CANARY, read};
use crate::histories::service::{Dice, text};
use crate::histories::{every_seed, reached};

/// The window of all searches, and the time between its start and its end.
const WINDOW: [&str; 2] = ["2026-01-05T00:00:10Z", "2026-01-05T00:02:00Z"];
const SECONDS: std::ops::Range<i64> = 10..120;

struct Search {
    dice: Dice,
    world: Value,
    /// The ids of the records in the window.
    expected: BTreeSet<String>,
    is_graph: bool,
    /// Whether a query of Graph can succeed.
    ends: bool,
    size: usize,
    log: String,
}

impl Search {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let is_graph = dice.chance(30);
        let mut expected = BTreeSet::new();
        let few_seconds = dice.chance(30);
        let records: Vec<Value> = (0..dice.pick(&[0, 1, 9, 25, 60, 140]))
            .map(|n| {
                let second = if few_seconds {
                    dice.pick(&[9, 10, 40, 41, 119, 120])
                } else {
                    dice.below(130)
                };
                let id = format!("00000000-0000-4000-8000-{n:012}");
                if SECONDS.contains(&second) {
                    expected.insert(id.clone());
                }
                json!({ "Id": id, "CreationTime": &text(second * 1_000)[..19], "RecordType": 1,
                        "Operation": "Send", "UserId": "ada@contoso.com", "Workload": "Exchange" })
            })
            .collect();
        let mut search = Search {
            is_graph,
            ends: true,
            size: dice.pick(&[1, 3, 10, 40, 200, 100_000]),
            world: json!({ "now": text(86_400_000), "http2": false,
                           "content": { "blobs": [{ "type": "Audit.Exchange", "records": records }] } }),
            expected,
            log: String::new(),
            dice,
        };
        if is_graph {
            search.odd_graph();
        } else {
            search.odd_exchange();
        }
        search
    }

    fn odd_exchange(&mut self) {
        let dice = &mut self.dice;
        // Without the number of all rows, a short page is the last one.
        let is_total = dice.chance(70);
        let (session_rows, page_rows) = if is_total {
            (
                dice.pick(&[50_000, 20, 30, 70]),
                dice.pick(&[5_000, 7, 20, 50]),
            )
        } else {
            (50_000, 5_000)
        };
        let mut pages = Vec::new();
        for _ in 0..dice.pick(&[0, 1, 2, 4]) {
            let effect = dice.pick(&[
                "timed_out",
                "repeat",
                "skip",
                "restart",
                "empty",
                "out_of_range",
                "warning",
                "busy",
                "throttled",
            ]);
            // Two sessions in a row that hide everything cannot be noticed.
            let hides = ["empty", "skip"].contains(&effect);
            let first = if hides && pages.iter().any(|page: &Value| page["page"] == 1) {
                2
            } else {
                1
            };
            let page = first + dice.below(4);
            let times = if hides { 1 } else { dice.pick(&[1, 1, 2]) };
            pages.push(json!({ "page": page, "effect": effect, "times": times }));
        }
        self.world["exchange"] = json!({
            "result_count": if is_total { "total" } else { "page" },
            "session_rows": session_rows, "page_rows": page_rows, "odd_pages": pages });
        self.faults("exchange.command");
    }

    fn odd_graph(&mut self) {
        let dice = &mut self.dice;
        let outcome = dice.pick(&["succeeded", "succeeded", "succeeded", "failed", "cancelled"]);
        self.ends = outcome == "succeeded";
        self.world["audit_queries"] = json!({
            "not_started_polls": dice.below(3), "running_polls": dice.below(40),
            "page_size": dice.pick(&[1_000, 3, 20]), "outcome": outcome,
            "delete": dice.pick(&["unsupported", "forbidden", "allowed"]),
            "beta_only": dice.chance(20) });
        let route = dice.pick(&[
            "graph.audit_queries",
            "graph.audit_query",
            "graph.audit_records",
        ]);
        self.faults(route);
    }

    fn faults(&mut self, route: &str) {
        let dice = &mut self.dice;
        let mut faults = Vec::new();
        for _ in 0..dice.pick(&[0, 0, 1, 2]) {
            let fault = dice.pick(&[
                r#"{ "status": 503 }"#,
                r#"{ "status": 429, "headers": { "Retry-After": "1" } }"#,
                r#"{ "reset": true }"#,
                r#"{ "truncate": 9 }"#,
                r#"{ "delay_ms": 700 }"#,
            ]);
            let mut fault: Value = serde_json::from_str(fault).expect("JSON");
            fault["route"] = json!(route);
            let first = 1 + dice.below(12);
            fault["nth"] = json!([first, first + dice.below(2)]);
            faults.push(fault);
        }
        self.world["faults"] = json!(faults);
    }

    fn request(&mut self, state: &Value) -> Value {
        let connection = json!({
            "Exchange Online URL": "https://outlook.office365.com",
            "Organization": "11111111-2222-3333-4444-555555555555",
            "Application ID": "66666666-7777-8888-9999-000000000000",
            "Client Secret": CANARY,
            "Search With": if self.is_graph { "graph" } else { "exchange" } });
        let mut request = json!({
            "integration": "policy_compliance_audit_log", "command": "o365-auditlog-search",
            "connection": connection, "state": state, "options": { "include": ["raw_data"] },
            "inputs": { "start_date": WINDOW[0], "end_date": WINDOW[1], "result_size": self.size } });
        if self.dice.chance(30) {
            request["options"]["timeout_ms"] = json!(200 + self.dice.below(500));
        }
        request
    }

    async fn play(mut self) -> Result<(), String> {
        let outcome = self.runs().await;
        outcome.map_err(|why| format!("{why}\n  {}\n{}", self.world, self.log))
    }

    /// A run whose process is killed.
    async fn kill(&mut self, bench: &Bench, line: &str) {
        let requests = usize::try_from(self.dice.below(6)).expect("small");
        let requests = bench.sim.requests().len() + requests;
        let checked = bench.host.check(line.as_bytes(), &Cancel::default());
        tokio::select! {
            ran = bench.host.run(checked.expect("a good request")) => drop(ran),
            () = reached(bench, requests) => {}
        }
    }

    /// The ids of a result's records.
    fn ids(&mut self, request: &Value, result: &Value) -> Result<Vec<String>, String> {
        let _ = writeln!(self.log, "  {}", request["options"]);
        for part in ["return_data", "error", "coverage", "more", "state"] {
            let _ = writeln!(self.log, "    {part}: {}", result[part]);
        }
        // Access tokens begin like this.
        if result.to_string().contains("eyJ") {
            return Err("a token is in the result".to_owned());
        }
        let records = result["raw_data"]["records"].as_array();
        let ids = records.into_iter().flatten().map(|one| one["Id"].as_str());
        let ids: Vec<String> = ids.map(|id| id.expect("an id").to_owned()).collect();
        let _ = writeln!(self.log, "    {} records: {ids:?}", ids.len());
        if ids.len() > self.size {
            return Err("more records than wanted".to_owned());
        }
        Ok(ids)
    }

    async fn runs(&mut self) -> Result<(), String> {
        let bench = Bench::plain(&self.world.to_string(), &text(86_400_000)).await;
        let (mut state, mut found) = (Value::Null, BTreeSet::new());
        let (mut failures, mut names_missing) = (0, false);
        for _ in 0..400 {
            let request = self.request(&state);
            let line = request.to_string();
            if self.dice.chance(7) {
                self.kill(&bench, &line).await;
                continue;
            }
            let result = read(&bench.run_logged(&line).await);
            let ids = self.ids(&request, &result)?;
            let is_failed = result["return_data"] == "Failed";
            let is_new = !ids.is_empty() || state != result["state"] && !is_failed;
            for id in ids {
                if !self.expected.contains(&id) {
                    return Err(format!("{id} is outside of the window"));
                }
                if !found.insert(id.clone()) {
                    return Err(format!("{id} was delivered twice"));
                }
            }
            // A run that was killed has deleted the query at its end.
            if is_failed && self.is_graph && result["error"]["status_code"] == "404" {
                (state, found) = (Value::Null, BTreeSet::new());
                continue;
            }
            failures = if is_new { 0 } else { failures + 1 };
            if failures > 25 {
                let why = format!("no progress: {}", result["error"]);
                return if self.ends { Err(why) } else { Ok(()) };
            }
            if is_failed {
                continue;
            }
            let gaps = result["coverage"]["gaps"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            names_missing |= gaps.iter().any(|gap| gap["cause"] == "missing");
            state = result["state"].clone();
            if result["more"] != true {
                return match self.expected.len() - found.len() {
                    0 => Ok(()),
                    _ if names_missing => Ok(()),
                    lost => Err(format!("{lost} records are lost")),
                };
            }
        }
        Err("it does not end".to_owned())
    }
}

#[test]
fn random_searches_find_every_record_once() {
    every_seed(16, |seed| Search::new(seed).play());
}
