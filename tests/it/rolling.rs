//! Runs that go on where the last one ended: what comes late, what was away long, what failed, and
//! a thousand blobs from a service that fails every fifth time. What must come is known from how the
//! worlds are written.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use soarhost::host::Cancel;

use crate::bench::{Bench, Ran, connection};

/// A blob of one record: its number and when it became available.
fn blob(number: usize, created: &str) -> Value {
    json!({ "type": "Audit.Exchange", "created": created,
            "id": format!("blob{number}$audit_exchange$Audit_Exchange$na0001"),
            "records": [{ "Id": format!("00000000-0000-4000-8000-{number:012}"), "RecordType": 1 }] })
}

fn world(blobs: &[Value]) -> Value {
    json!({ "subscriptions": [{ "content_type": "Audit.Exchange" }], "http2": false,
            "content": { "blobs": blobs } })
}

fn request(state: &Value) -> Value {
    json!({ "command": "Get Audit Log", "inputs": { "Content Type": "Audit.Exchange" },
            "connection": connection(), "options": { "include": ["raw_data"] }, "state": state })
}

pub fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// One run at that time of day: the whole result.
async fn at(now: &str, world: &Value, state: &Value) -> Value {
    let bench = Bench::new(&world.to_string(), now).await;
    read(&bench.run(&request(state).to_string()).await)
}

pub fn read(ran: &Ran) -> Value {
    serde_json::from_str(&ran.text).expect("a result")
}

/// The numbers of the records that came.
fn numbers(result: &Value) -> Vec<usize> {
    let records = result["raw_data"].as_array().into_iter().flatten();
    records
        .map(|record| {
            let id = record["Id"].as_str().expect("an id");
            id[24..].parse().expect("a number")
        })
        .collect()
}

#[test]
fn what_becomes_available_late_is_found_and_nothing_comes_twice() {
    wait(async {
        let first = [
            blob(1, "2026-01-14T10:00:00Z"),
            blob(2, "2026-01-14T11:58:00Z"),
        ];
        let result = at("2026-01-14T12:00:00Z", &world(&first), &Value::Null).await;
        assert_eq!(numbers(&result), [1, 2]);
        assert_eq!(result["more"], false);
        // Three became available later; one of them says that it was before the last run.
        let later = [
            blob(1, "2026-01-14T10:00:00Z"),
            blob(2, "2026-01-14T11:58:00Z"),
            blob(3, "2026-01-14T11:55:00Z"),
            blob(4, "2026-01-14T12:10:00Z"),
            blob(5, "2026-01-14T12:29:59Z"),
        ];
        let result = at("2026-01-14T12:30:00Z", &world(&later), &result["state"]).await;
        assert_eq!(numbers(&result), [3, 4, 5]);
        let window = &result["coverage"]["windows"][0];
        assert_eq!(
            window["from"], "2026-01-14T11:48:00Z",
            "ten minutes before the newest"
        );
        assert_eq!(
            (&window["listed"], &window["duplicate"]),
            (&json!(4), &json!(1))
        );
        let result = at("2026-01-14T12:31:00Z", &world(&later), &result["state"]).await;
        assert_eq!((numbers(&result), &result["more"]), (vec![], &json!(false)));
        assert!(!result["state"].is_null(), "also when nothing was found");
    });
}

#[test]
fn a_long_absence_is_caught_up_and_what_is_gone_is_a_gap() {
    wait(async {
        let blobs = [
            blob(1, "2026-01-04T12:00:00Z"),
            blob(2, "2026-01-05T00:00:00Z"),
            blob(3, "2026-01-09T12:00:00Z"),
            blob(4, "2026-01-11T12:00:00Z"),
            blob(5, "2026-01-14T11:00:00Z"),
        ];
        let result = at("2026-01-04T13:00:00Z", &world(&blobs), &Value::Null).await;
        assert_eq!(numbers(&result), [1]);
        let result = at("2026-01-14T12:00:00Z", &world(&blobs), &result["state"]).await;
        assert_eq!(numbers(&result), [3, 4, 5], "oldest first");
        assert_eq!(result["return_data"], "Partially Successful");
        let gap = &result["coverage"]["gaps"][0];
        assert_eq!(gap["cause"], "older_than_7_days");
        assert_eq!(
            gap["from"], "2026-01-04T11:50:00Z",
            "ten minutes before the newest"
        );
        assert_eq!(
            (&gap["to"], &gap["lost"]),
            (&json!("2026-01-07T12:05:00Z"), &json!(true))
        );
        let windows = result["coverage"]["windows"].as_array().expect("windows");
        assert_eq!(windows.len(), 7, "at most a day each");
        assert!(
            windows
                .windows(2)
                .all(|pair| pair[0]["to"] == pair[1]["from"])
        );
        let result = at("2026-01-14T12:00:00Z", &world(&blobs), &result["state"]).await;
        assert_eq!(
            (numbers(&result), &result["return_data"]),
            (vec![], &json!("Successful"))
        );
    });
}

#[test]
fn a_blob_that_failed_is_carried_until_it_comes() {
    wait(async {
        let blobs: Vec<Value> = (0..4)
            .map(|n| blob(n, &format!("2026-01-14T1{n}:30:00.5Z")))
            .collect();
        let mut failing = world(&blobs);
        // Each blob is requested once; the one that failed is requested eight times more.
        failing["faults"] = json!([{ "route": "management.blob", "nth": 2, "status": 500 },
            { "route": "management.blob", "nth": [5, 6, 7, 8, 9, 10, 11, 12], "status": 503 }]);
        let first = at("2026-01-14T14:00:00Z", &failing, &Value::Null).await;
        assert_eq!(first["return_data"], "Partially Successful");
        assert_eq!(first["more"], false, "it is no reason to come back at once");
        assert_eq!(numbers(&first).len(), 3);
        let gaps = first["coverage"]["gaps"].as_array().expect("gaps");
        assert_eq!((gaps.len(), &gaps[0]["lost"]), (1, &json!(false)));
        let second = at("2026-01-14T14:30:00Z", &world(&blobs), &first["state"]).await;
        let all: BTreeSet<usize> = numbers(&first)
            .into_iter()
            .chain(numbers(&second))
            .collect();
        assert_eq!(
            (numbers(&second).len(), all.len()),
            (1, 4),
            "exactly the missing one"
        );
        assert_eq!(second["return_data"], "Successful");
        assert_eq!(second["more"], false);
    });
}

#[test]
fn alerts_come_once_and_again_when_they_were_updated() {
    wait(async {
        let alert = |id: &str, updated: &str| json!({ "id": id, "createdDateTime": "2026-01-14T10:00:00Z", "lastUpdateDateTime": updated });
        let fetch = |state: &Value| {
            json!({ "command": "Fetch Event", "inputs": { "Top Recent Event Number": 100 },
                    "connection": connection(), "options": { "include": ["raw_data"] }, "state": state })
        };
        let ids = |result: &Value| -> Vec<String> {
            let value = result["raw_data"]["value"].as_array().expect("alerts");
            value
                .iter()
                .map(|alert| alert["id"].as_str().expect("an id").to_owned())
                .collect()
        };
        let run = async |now: &str, alerts: Value, state: &Value| {
            let world = json!({ "alerts": { "literal": alerts } });
            let bench = Bench::new(&world.to_string(), now).await;
            read(&bench.run(&fetch(state).to_string()).await)
        };
        let first = json!([
            alert("a", "2026-01-14T11:00:00Z"),
            alert("b", "2026-01-14T11:58:00Z")
        ]);
        let result = run("2026-01-14T12:00:00Z", first, &Value::Null).await;
        assert_eq!(ids(&result), ["b", "a"]);
        // "a" was updated, "b" stands in the overlap, "c" came late.
        let later = json!([
            alert("a", "2026-01-14T12:10:00Z"),
            alert("b", "2026-01-14T11:58:00Z"),
            alert("c", "2026-01-14T11:59:00Z")
        ]);
        let result = run("2026-01-14T12:30:00Z", later.clone(), &result["state"]).await;
        assert_eq!(ids(&result), ["a", "c"]);
        assert_eq!(result["coverage"]["windows"][0]["repeated"], 1);
        let result = run("2026-01-14T12:31:00Z", later, &result["state"]).await;
        assert!(ids(&result).is_empty());
    });
}

/// What happens to some of the calls of a route.
pub fn fault() -> impl Strategy<Value = Value> {
    let route = prop_oneof![
        Just("management.content"),
        Just("management.blob"),
        Just("login.token")
    ];
    let what = prop_oneof![
        Just(json!({ "status": 500 })),
        Just(
            json!({ "status": 503, "body": { "error": { "code": "AF50005", "message": "Busy." } } })
        ),
        Just(
            json!({ "status": 403, "body": { "error": { "code": "AF429", "message": "Slower." } } })
        ),
        Just(json!({ "status": 429 })),
        Just(json!({ "status": 200, "body": "<html>" })),
        Just(json!({ "reset": true })),
        Just(json!({ "truncate": 5 })),
        Just(json!({ "expire_token": true })),
    ];
    let calls = proptest::collection::btree_set(1..60_u64, 1..20);
    (route, what, calls).prop_filter_map("sign-in needs no token", |(route, what, calls)| {
        let mut fault = what;
        (route != "login.token" || fault.get("expire_token").is_none()).then(|| {
            fault["route"] = json!(route);
            fault["nth"] = json!(calls);
            fault
        })
    })
}

#[test]
fn whatever_fails_every_record_comes_once_or_its_gap_is_named() {
    let cases = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    let scripts = proptest::collection::vec(fault(), 1..5);
    let mut runner = TestRunner::new(cases);
    let limits = proptest::option::of(1..9_usize);
    let outcome = runner.run(
        &(scripts, 2..7_usize, limits, 1..7_usize),
        |(faults, page, limit, alike)| {
            // Some became available in the same second.
            let blobs: Vec<Value> = (0..24)
                .map(|n| {
                    let (turn, ms) = (n / alike, n % alike);
                    blob(
                        n,
                        &format!(
                            "2026-01-14T{:02}:{:02}:00.{ms:03}Z",
                            turn / 4 + 2,
                            turn % 4 * 15
                        ),
                    )
                })
                .collect();
            let mut world = world(&blobs);
            world["faults"] = json!(faults);
            world["content_page_size"] = json!(page);
            let (came, lost) = wait(until_done(&world, limit));
            prop_assert!(came.values().all(|times| *times == 1), "twice: {:?}", came);
            let lost: BTreeSet<usize> = lost
                .difference(&came.keys().copied().collect())
                .copied()
                .collect();
            prop_assert_eq!(
                came.len() + lost.len(),
                24,
                "came {:?}, lost {:?}",
                came,
                lost
            );
            Ok(())
        },
    );
    outcome.expect("every record or its gap");
}

/// Runs with the state of the last one until nothing more is to be had: how often every record came,
/// and which are named as lost.
async fn until_done(
    world: &Value,
    limit: Option<usize>,
) -> (BTreeMap<usize, usize>, BTreeSet<usize>) {
    let bench = Bench::impatient(&world.to_string(), "2026-01-14T12:00:00Z").await;
    let (mut came, mut lost, mut state) = (BTreeMap::new(), BTreeSet::new(), Value::Null);
    let named = |gap: &Value| -> usize {
        let id = gap["id"].as_str().expect("a blob");
        let digits: String = id[4..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    for _ in 0..100 {
        let mut next = request(&state);
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
        // A listing that was refused for good ends a run, not the next one on schedule.
        let again =
            result["return_data"] == "Failed" || gaps.clone().any(|gap| gap["id"].is_null());
        if result["more"] == false && !again {
            // What failed in too many runs is not worth coming back for at once, but is told.
            lost.extend(gaps.map(named));
            return (came, lost);
        }
    }
    panic!("it does not end")
}

#[test]
fn a_service_that_fails_every_fifth_time_keeps_nothing_back() {
    let blobs: Vec<Value> = (0..1000)
        .map(|n| blob(n, &format!("2026-01-14T10:{:02}:{:02}Z", n / 60, n % 60)))
        .collect();
    let mut world = world(&blobs);
    let fifth: Vec<usize> = (1..400).map(|n| n * 5).collect();
    let some = |offset: usize| -> Vec<usize> {
        fifth
            .iter()
            .copied()
            .filter(|n| n / 5 % 4 == offset)
            .collect()
    };
    world["content_page_size"] = json!(84);
    world["faults"] = json!([
        { "route": "management.content", "nth": fifth, "status": 503 },
        { "route": "management.blob", "nth": some(0), "status": 500 },
        { "route": "management.blob", "nth": some(1), "reset": true },
        { "route": "management.blob", "nth": some(2), "truncate": 20 },
        { "route": "management.blob", "nth": some(3), "status": 403,
          "body": { "error": { "code": "AF429", "message": "Too many requests." } } },
    ]);
    let result = wait(at("2026-01-14T12:00:00Z", &world, &Value::Null));
    assert_eq!(result["return_data"], "Successful", "{}", result["result"]);
    let mut came = numbers(&result);
    came.sort_unstable();
    assert_eq!(came, (0..1000).collect::<Vec<_>>());
    assert!(result["metrics"]["calls"].as_u64() > Some(1200));
}

#[test]
fn a_mark_that_was_not_met_again_is_not_forgotten() {
    let blobs: Vec<Value> = (0..24)
        .map(|n| {
            blob(
                n,
                &format!("2026-01-14T{:02}:{:02}:00Z", n / 4 + 2, n % 4 * 15),
            )
        })
        .collect();
    let mut world = world(&blobs);
    // Found by the property above: a run that gets no further than its carried blobs.
    world["content_page_size"] = json!(5);
    world["faults"] = json!([
        { "route": "management.content", "nth": [4, 5, 8, 9], "status": 500 },
        { "route": "management.blob", "nth": [1, 2, 3, 6, 14, 19], "reset": true },
    ]);
    let (came, _) = wait(until_done(&world, None));
    assert_eq!(came.len(), 24);
    assert!(came.values().all(|times| *times == 1), "{came:?}");
}

#[test]
fn a_run_that_is_told_to_stop_delivers_what_is_finished_and_goes_on() {
    let blobs: Vec<Value> = (0..12)
        .map(|n| blob(n, &format!("2026-01-14T10:{n:02}:00Z")))
        .collect();
    let mut world = world(&blobs);
    world["faults"] = json!([{ "route": "management.blob", "nth": 3, "delay_ms": 600_000 }]);
    wait(async {
        let bench = Bench::new(&world.to_string(), "2026-01-14T12:00:00Z").await;
        let cancel = Cancel::default();
        let asked = || {
            let seen = bench.sim.requests();
            seen.iter()
                .filter(|seen| seen.path.contains("/audit/"))
                .count()
        };
        let line = request(&Value::Null).to_string();
        let checked = bench
            .host
            .check(line.as_bytes(), &cancel)
            .expect("a good request");
        let stop = async {
            while asked() < 12 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            cancel.raise(soarhost::protocol::Signal::Terminate);
        };
        let run = bench.host.run(checked);
        let (ran, ()) = futures_util::future::join(run, stop).await;
        assert_eq!(ran.result.exit_code(), 143);
        let result = serde_json::to_value(&ran.result).expect("a result");
        assert_eq!(result["return_data"], "Partially Successful");
        assert_eq!(
            (&result["error"]["kind"], &result["more"]),
            (&json!("cancelled"), &json!(true))
        );
        let gap = &result["coverage"]["gaps"][0];
        assert_eq!(
            (&gap["cause"], &gap["lost"]),
            (&json!("interrupted"), &json!(false))
        );
        let first = numbers(&result);
        assert!(first.len() < 12, "one of them never came");
        let next = read(&bench.run(&request(&result["state"]).to_string()).await);
        let mut all = [first, numbers(&next)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..12).collect::<Vec<_>>(), "each once");
        assert_eq!(
            (&next["return_data"], &next["more"]),
            (&json!("Successful"), &json!(false))
        );
    });
}

/// The attempts of a blob in the first run when it is one of `all`: one, and eight when all others
/// were requested.
fn first_fails(all: usize) -> Vec<usize> {
    std::iter::once(1).chain(all + 1..all + 9).collect()
}

#[test]
fn looking_for_a_carried_blob_says_nothing_about_others_of_its_second() {
    wait(async {
        let blobs: Vec<Value> = (0..12)
            .map(|n| blob(n, &format!("2026-01-14T10:00:00.{n:03}Z")))
            .collect();
        let now = "2026-01-14T12:00:00Z";
        let limited = async |world: &Value, state: &Value| {
            let mut request = request(state);
            request["options"]["max_events"] = json!(1);
            let bench = Bench::new(&world.to_string(), now).await;
            read(&bench.run(&request.to_string()).await)
        };
        let mut failing = world(&blobs);
        failing["faults"] =
            json!([{ "route": "management.blob", "nth": first_fails(8), "status": 503 }]);
        let first = limited(&failing, &Value::Null).await;
        assert_eq!(first["return_data"], "Partially Successful");
        // It is found again, and then the listing of the window fails.
        let mut failing = world(&blobs);
        let window: Vec<usize> = (2..10).collect();
        failing["faults"] =
            json!([{ "route": "management.content", "nth": window, "status": 503 }]);
        let second = at(now, &failing, &first["state"]).await;
        let third = at(now, &world(&blobs), &second["state"]).await;
        let mut came = [numbers(&first), numbers(&second), numbers(&third)].concat();
        came.sort_unstable();
        assert_eq!(came, (0..12).collect::<Vec<_>>());
    });
}

#[test]
fn a_limit_reached_among_carried_blobs_is_an_end_and_no_circle() {
    wait(async {
        let blobs = [
            blob(0, "2026-01-14T10:00:00.000Z"),
            blob(1, "2026-01-14T10:00:00.001Z"),
        ];
        let mut failing = world(&blobs);
        failing["content_page_size"] = json!(1);
        failing["faults"] = json!([{ "route": "management.blob", "nth": (1..9).collect::<Vec<_>>(), "status": 503 }]);
        let bench = Bench::new(&failing.to_string(), "2026-01-14T12:00:00Z").await;
        let (mut came, mut state) = (Vec::new(), Value::Null);
        for turn in 0.. {
            assert!(turn < 6, "it goes in circles: {came:?}");
            let mut request = request(&state);
            request["options"]["max_events"] = json!(1);
            let result = read(&bench.run(&request.to_string()).await);
            came.extend(numbers(&result));
            state = result["state"].clone();
            if result["more"] == false {
                break;
            }
        }
        came.sort_unstable();
        assert_eq!(came, [0, 1]);
    });
}

#[test]
fn a_carried_blob_that_is_not_listed_any_more_is_told_and_stays() {
    wait(async {
        let now = "2026-01-14T12:00:00Z";
        let blobs = [blob(0, "2026-01-14T10:00:00Z")];
        let mut failing = world(&[blobs[0].clone(), blob(1, "2026-01-14T11:00:00Z")]);
        failing["faults"] =
            json!([{ "route": "management.blob", "nth": first_fails(2), "status": 503 }]);
        let first = at(now, &failing, &Value::Null).await;
        let missing = 1 - numbers(&first)[0];
        let gone: Vec<Value> = [
            blob(0, "2026-01-14T10:00:00Z"),
            blob(1, "2026-01-14T11:00:00Z"),
        ]
        .into_iter()
        .enumerate()
        .filter(|(n, _)| *n != missing)
        .map(|(_, blob)| blob)
        .collect();
        let second = at(now, &world(&gone), &first["state"]).await;
        assert_eq!(
            second["return_data"], "Partially Successful",
            "{}",
            second["result"]
        );
        assert_eq!(second["coverage"]["gaps"][0]["cause"], "missing");
        // Listed again, it comes.
        failing["faults"] = json!([]);
        let third = at(now, &failing, &second["state"]).await;
        assert_eq!(numbers(&third), [missing]);
        assert_eq!(third["return_data"], "Successful");
    });
}

#[test]
fn a_clock_that_is_off_loses_nothing() {
    wait(async {
        let run = async |services: &str, ours: &str, blobs: &[Value], state: &Value| {
            let mut world = world(blobs);
            world["now"] = json!(services);
            at(ours, &world, state).await
        };
        let first = [blob(1, "2026-01-14T11:30:00Z")];
        let later = [first[0].clone(), blob(2, "2026-01-14T12:02:00Z")];
        // An hour ahead.
        let result = run(
            "2026-01-14T12:00:00Z",
            "2026-01-14T13:00:00Z",
            &first,
            &Value::Null,
        )
        .await;
        assert_eq!(numbers(&result), [1]);
        assert_eq!(result["warnings"][0]["code"], "clocks_differ");
        let result = run(
            "2026-01-14T12:05:00Z",
            "2026-01-14T13:05:00Z",
            &later,
            &result["state"],
        )
        .await;
        assert_eq!(numbers(&result), [2]);
        // And back again.
        let result = run(
            "2026-01-14T12:06:00Z",
            "2026-01-14T10:00:00Z",
            &later,
            &result["state"],
        )
        .await;
        assert!(numbers(&result).is_empty());
        let result = run(
            "2026-01-14T12:07:00Z",
            "2026-01-14T12:07:00Z",
            &later,
            &result["state"],
        )
        .await;
        assert!(numbers(&result).is_empty());
    });
}

#[test]
fn a_page_out_of_order_does_not_move_the_cursor_past_what_was_not_read() {
    wait(async {
        let now = "2026-01-14T12:00:00Z";
        let blobs: Vec<Value> = (0..6)
            .map(|n| blob(n, &format!("2026-01-14T10:0{n}:00Z")))
            .collect();
        for to in ["10:50:00.000Z", "23:50:00.000Z"] {
            let mut odd = world(&blobs);
            odd["content_page_size"] = json!(2);
            odd["faults"] = json!([
                { "route": "management.content", "replace": { "from": "10:01:00.000Z\"", "to": format!("{to}\"") } },
                { "route": "management.content", "nth": (2..10).collect::<Vec<_>>(), "status": 503 },
            ]);
            let first = at(now, &odd, &Value::Null).await;
            assert_eq!(first["return_data"], "Partially Successful");
            let second = at(now, &world(&blobs), &first["state"]).await;
            let all: BTreeSet<usize> = numbers(&first)
                .into_iter()
                .chain(numbers(&second))
                .collect();
            assert_eq!(all.len(), 6, "{to}");
        }
    });
}
