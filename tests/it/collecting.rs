//! Collecting over several content types: whatever fails, the union over the runs is exact, and one
//! content type in trouble costs the others nothing. What must come is known from how the worlds are
//! written.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use soarhost::host::Cancel;

use crate::bench::{Bench, connection};
use crate::rolling::{fault, read, wait};

const TYPES: [&str; 3] = ["Audit.General", "Audit.Exchange", "DLP.All"];
const NOW: &str = "2026-01-14T12:00:00Z";

fn record(number: usize) -> Value {
    json!({ "Id": format!("00000000-0000-4000-8000-{number:012}"), "RecordType": 1,
            "CreationTime": "2026-01-14T09:12:03" })
}

/// A blob of that content type with those records; its id begins with the first one's number.
fn blob(content_type: &str, created: &str, numbers: &[usize]) -> Value {
    let records: Vec<Value> = numbers.iter().map(|number| record(*number)).collect();
    json!({ "type": content_type, "created": created, "records": records,
            "id": format!("blob{}$x$y$na0001", numbers[0]) })
}

fn world(blobs: &[Value]) -> Value {
    let types = TYPES.map(|name| json!({ "content_type": name }));
    json!({ "subscriptions": types, "http2": false, "content": { "blobs": blobs } })
}

fn request(first_fetch: &str, types: &[&str], state: &Value) -> Value {
    let mut connection = connection();
    connection["self_deployed"] = json!(true);
    connection["first_fetch_delta"] = json!(first_fetch);
    connection["content_types_to_fetch"] = json!(types);
    json!({ "integration": "management_activity", "command": "fetch-incidents", "connection": connection,
            "options": { "include": ["raw_data"] }, "state": state })
}

/// One run at that time of day: the whole result.
async fn at(now: &str, world: &Value, request: &Value) -> Value {
    let bench = Bench::new(&world.to_string(), now).await;
    read(&bench.run(&request.to_string()).await)
}

fn numbers(result: &Value) -> Vec<usize> {
    let records = result["raw_data"].as_array().into_iter().flatten();
    let ids = records.map(|record| record["Id"].as_str().expect("an id"));
    ids.map(|id| id[24..].parse().expect("a number")).collect()
}

/// Twenty-four blobs over three content types; every fifth has the record of an earlier one too.
fn many(alike: usize) -> Vec<Value> {
    let one = |n: usize| {
        let (turn, ms) = (n / alike, n % alike);
        let (hour, minute) = (turn / 4 + 2, turn % 4 * 15);
        let created = format!("2026-01-14T{hour:02}:{minute:02}:00.{ms:03}Z");
        let repeats: &[usize] = if n % 5 == 4 { &[n, n - 4] } else { &[n] };
        blob(TYPES[n % 3], &created, repeats)
    };
    (0..24).map(one).collect()
}

#[test]
fn whatever_fails_every_record_comes_once_or_its_gap_is_named() {
    let cases = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    let scripts = proptest::collection::vec(fault(), 1..5);
    let limits = proptest::option::of(1..9_usize);
    let outcome = TestRunner::new(cases).run(
        &(scripts, 1..4_usize, limits, 1..7_usize, any::<bool>()),
        |(faults, page, limit, alike, named)| {
            let mut world = world(&many(alike));
            world["faults"] = json!(faults);
            world["content_page_size"] = json!(page);
            let types: &[&str] = if named { &TYPES } else { &[] };
            let (came, lost) = wait(until_done(&world, (limit, types)));
            prop_assert!(came.values().all(|times| *times == 1), "twice: {:?}", came);
            let missing: Vec<usize> = (0..24)
                .filter(|n| !came.contains_key(n) && !lost.contains(n))
                .collect();
            prop_assert!(missing.is_empty(), "neither came nor lost: {:?}", missing);
            Ok(())
        },
    );
    outcome.expect("every record or its gap");
}

/// Runs with the state of the last one until nothing more is to be had: how often every record came,
/// and which blobs are named as lost.
async fn until_done(
    world: &Value,
    (limit, types): (Option<usize>, &[&str]),
) -> (BTreeMap<usize, usize>, BTreeSet<usize>) {
    let bench = Bench::impatient(&world.to_string(), NOW).await;
    let (mut came, mut lost, mut state) = (BTreeMap::new(), BTreeSet::new(), Value::Null);
    let named = |gap: &Value| -> usize {
        let id = gap["id"].as_str().expect("a blob");
        let digits: String = id[4..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    for _ in 0..200 {
        let mut next = request("1 day", types, &state);
        next["options"]["max_events"] = json!(limit);
        let result = read(&bench.run(&next.to_string()).await);
        for number in numbers(&result) {
            *came.entry(number).or_insert(0) += 1;
        }
        let gaps = result["coverage"]["gaps"].as_array();
        let gaps = gaps.into_iter().flatten();
        lost.extend(gaps.clone().filter(|gap| gap["lost"] == true).map(named));
        if !result["state"].is_null() {
            state = result["state"].clone();
        }
        let again =
            result["return_data"] == "Failed" || gaps.clone().any(|gap| gap["id"].is_null());
        if result["more"] == false && !again {
            lost.extend(gaps.map(named));
            return (came, lost);
        }
    }
    panic!("it does not end")
}

#[test]
fn a_content_type_in_trouble_costs_the_others_nothing_and_loses_nothing() {
    wait(async {
        let blobs = [
            blob(TYPES[0], "2026-01-14T10:00:00Z", &[0]),
            blob(TYPES[1], "2026-01-14T10:00:00Z", &[1]),
            blob(TYPES[2], "2026-01-14T10:00:00Z", &[2]),
        ];
        let mut failing = world(&blobs);
        failing["faults"] = json!([{ "route": "management.content", "nth": (1..9).collect::<Vec<_>>(), "status": 503 }]);
        let first = at(NOW, &failing, &request("6 hours", &TYPES, &Value::Null)).await;
        assert_eq!(
            (numbers(&first), &first["more"]),
            (vec![1, 2], &json!(true))
        );
        assert_eq!(first["return_data"], "Partially Successful");
        assert_eq!(first["error"]["items"][0]["at"], TYPES[0]);
        let gap = &first["coverage"]["gaps"][0];
        assert_eq!(
            (&gap["scope"], &gap["lost"]),
            (&json!(TYPES[0]), &json!(false))
        );
        // It got nowhere, so it is asked last and cannot use up the others' time.
        let later = "2026-01-14T12:01:00Z";
        let bench = Bench::new(&world(&blobs).to_string(), later).await;
        let ran = bench
            .run(&request("6 hours", &TYPES, &first["state"]).to_string())
            .await;
        let asked: Vec<&str> = ran
            .seen
            .iter()
            .filter(|seen| seen.path.ends_with("/content"))
            .filter_map(|seen| {
                let named = seen.query.iter().find(|(name, _)| *name == "contentType");
                named.map(|(_, value)| value.as_str())
            })
            .collect();
        assert_eq!(asked, [TYPES[1], TYPES[2], TYPES[0]]);
        let second = read(&ran);
        assert_eq!(
            (numbers(&second), &second["more"]),
            (vec![0], &json!(false))
        );
        // What failed for all is a failure, and the position stays.
        let mut failing = world(&blobs);
        failing["faults"] = json!([{ "route": "management.content", "status": 503 }]);
        let third = at(
            later,
            &failing,
            &request("6 hours", &TYPES, &second["state"]),
        )
        .await;
        assert_eq!(third["return_data"], "Failed");
        assert_eq!(third["error"]["items"].as_array().map(Vec::len), Some(3));
        assert_eq!(third["state"], second["state"]);
    });
}

#[test]
fn a_content_type_that_is_away_for_a_while_goes_on_where_it_stood() {
    wait(async {
        let blobs = [
            blob(TYPES[0], "2026-01-14T11:55:00Z", &[0]),
            blob(TYPES[1], "2026-01-15T10:00:00Z", &[1]),
            blob(TYPES[0], "2026-01-15T11:59:00Z", &[2]),
            blob(TYPES[1], "2026-01-16T11:00:00Z", &[3]),
        ];
        let run = async |now: &str, types: &[&str], state: &Value| {
            let result = at(now, &world(&blobs), &request("10 minutes", types, state)).await;
            assert_eq!(result["return_data"], "Successful", "{}", result["result"]);
            result
        };
        let first = run(NOW, &TYPES[..2], &Value::Null).await;
        assert_eq!(numbers(&first), [0]);
        let second = run("2026-01-15T12:00:00Z", &TYPES[..1], &first["state"]).await;
        assert_eq!(numbers(&second), [2]);
        let third = run("2026-01-16T12:00:00Z", &TYPES, &second["state"]).await;
        assert_eq!(numbers(&third), [1, 3], "what came meanwhile is there");
        let fourth = run("2026-01-20T12:00:00Z", &TYPES[..1], &third["state"]).await;
        let fifth = run("2026-01-24T12:00:00Z", &TYPES[..1], &fourth["state"]).await;
        // Longer away than the service keeps content: what it still has comes, the rest is told.
        let blobs = [blob(TYPES[1], "2026-01-20T11:00:00Z", &[4])];
        let request = request("10 minutes", &TYPES[..2], &fifth["state"]);
        let sixth = at("2026-01-24T12:00:00Z", &world(&blobs), &request).await;
        assert_eq!(sixth["return_data"], "Partially Successful");
        assert_eq!(numbers(&sixth), [4]);
        let gap = &sixth["coverage"]["gaps"][0];
        assert_eq!(gap["cause"], "older_than_7_days");
        assert_eq!(gap["from"], "2026-01-16T10:50:00Z");
    });
}

#[test]
fn a_clock_that_goes_back_brings_nothing_twice_and_loses_nothing() {
    wait(async {
        let blobs: Vec<Value> = (0..6)
            .map(|n| blob(TYPES[0], &format!("2026-01-14T{:02}:59:00Z", n + 6), &[n]))
            .collect();
        let run = async |now: &str, blobs: &[Value], state: &Value| {
            at(now, &world(blobs), &request("6 hours", &TYPES, state)).await
        };
        let first = run(NOW, &blobs[..5], &Value::Null).await;
        assert_eq!(numbers(&first), [0, 1, 2, 3, 4]);
        let second = run("2026-01-14T09:00:00Z", &blobs[..5], &first["state"]).await;
        assert_eq!(numbers(&second), [0_usize; 0]);
        assert_eq!(
            second["coverage"]["windows"][0]["to"],
            "2026-01-14T09:00:00Z"
        );
        let third = run("2026-01-14T12:01:00Z", &blobs, &second["state"]).await;
        assert_eq!(numbers(&third), [5]);
    });
}

#[test]
fn looking_back_ends_where_the_first_fetch_began() {
    wait(async {
        let blobs = [
            blob(TYPES[0], "2026-01-14T11:57:00Z", &[0]),
            blob(TYPES[0], "2026-01-14T11:59:00Z", &[1]),
        ];
        let run = async |now: &str, state: &Value| {
            at(now, &world(&blobs), &request("2 minutes", &TYPES, state)).await
        };
        let first = run(NOW, &Value::Null).await;
        assert_eq!(numbers(&first), [1]);
        let second = run("2026-01-14T12:01:00Z", &first["state"]).await;
        assert_eq!(numbers(&second), [0_usize; 0]);
        let from = |result: &Value| result["coverage"]["windows"][0]["from"].clone();
        assert_eq!(from(&second), "2026-01-14T11:58:00Z");
        let third = run("2026-01-14T12:30:00Z", &second["state"]).await;
        assert_eq!(from(&third), "2026-01-14T11:58:00Z");
        let fourth = run("2026-01-14T12:31:00Z", &third["state"]).await;
        assert_eq!(from(&fourth), "2026-01-14T11:58:00Z");
    });
}

#[test]
fn a_run_that_is_stopped_on_its_way_goes_on_there() {
    let blobs: Vec<Value> = (0..3)
        .map(|n| blob(TYPES[0], &format!("2026-01-{}T18:00:00Z", n + 11), &[n]))
        .collect();
    let mut slow = world(&blobs);
    // The listing of the third day.
    slow["faults"] = json!([{ "route": "management.content", "nth": 3, "delay_ms": 600_000 }]);
    wait(async {
        let bench = Bench::new(&slow.to_string(), NOW).await;
        let cancel = Cancel::default();
        let line = request("3 days", &TYPES[..1], &Value::Null).to_string();
        let checked = bench
            .host
            .check(line.as_bytes(), &cancel)
            .expect("a good request");
        let stop = async {
            let listings = || {
                let seen = bench.sim.requests();
                seen.iter()
                    .filter(|seen| seen.path.ends_with("/content"))
                    .count()
            };
            while listings() < 3 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            cancel.raise(soarhost::protocol::Signal::Terminate);
        };
        let (ran, ()) = futures_util::future::join(bench.host.run(checked), stop).await;
        assert_eq!(ran.result.exit_code(), 143);
        let first = serde_json::to_value(&ran.result).expect("a result");
        assert_eq!(numbers(&first), [0, 1]);
        let next = request("3 days", &TYPES[..1], &first["state"]).to_string();
        let second = read(&bench.run(&next).await);
        assert_eq!(numbers(&second), [2]);
        let window = &second["coverage"]["windows"][0];
        assert_eq!(window["from"], "2026-01-13T11:50:00Z", "ten minutes back");
    });
}
