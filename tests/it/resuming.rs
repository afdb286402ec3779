//! Runs that resume where the last one ended: random faults, a service that fails every fifth call,
//! and signals. Which records must be delivered is known from how the worlds are written.
//!
//! Scenarios without chance are case files.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use soarhost::host::Cancel;
use soarhost::protocol::Signal;

use crate::bench::{Bench, block_on, connection, connection_of, read};

const TYPES: [&str; 3] = ["Audit.Exchange", "Audit.General", "DLP.All"];
const NOW: &str = "2026-01-14T12:00:00Z";

/// A blob with the records of these numbers; its id starts with the first one.
fn blob(content_type: &str, created: &str, numbers: &[usize]) -> Value {
    let record = |number: &usize| json!({ "Id": format!("00000000-0000-4000-8000-{number:012}"), "RecordType": 1, "CreationTime": "2026-01-14T09:12:03" });
    json!({ "type": content_type, "created": created, "id": format!("blob{}$x$y$na0001", numbers[0]),
            "records": numbers.iter().map(record).collect::<Vec<_>>() })
}

fn world(blobs: &[Value]) -> Value {
    let types = TYPES.map(|name| json!({ "content_type": name }));
    json!({ "subscriptions": types, "http2": false, "content": { "blobs": blobs } })
}

/// `Get Audit Log` of one content type.
fn audit_log() -> Value {
    json!({ "command": "Get Audit Log", "inputs": { "Content Type": TYPES[0] },
            "connection": connection(), "options": { "include": ["raw_data"] } })
}

/// `fetch-incidents` of these content types, or of all.
fn incidents(first_fetch: &str, types: &[&str]) -> Value {
    let mut connection = connection_of("management_activity");
    connection["First fetch time range"] = json!(first_fetch);
    connection["Content types to fetch"] = json!(types);
    json!({ "command": "fetch-incidents", "connection": connection, "options": { "include": ["raw_data"] } })
}

/// The numbers of the delivered records.
fn numbers(result: &Value) -> Vec<usize> {
    let records = result["raw_data"].as_array().into_iter().flatten();
    let ids = records.map(|record| record["Id"].as_str().expect("an id"));
    ids.map(|id| id[24..].parse().expect("a number")).collect()
}

/// 24 blobs of one record each; `alike` of them become available in the same second. With several
/// content types, every fifth blob repeats the record of an earlier one.
fn blobs(alike: usize, types: &[&str]) -> Vec<Value> {
    let one = |n: usize| {
        let (turn, ms) = (n / alike, n % alike);
        let (hour, minute) = (turn / 4 + 2, turn % 4 * 15);
        let created = format!("2026-01-14T{hour:02}:{minute:02}:00.{ms:03}Z");
        let repeats = types.len() > 1 && n % 5 == 4;
        let records: &[usize] = if repeats { &[n, n - 4] } else { &[n] };
        blob(types[n % types.len()], &created, records)
    };
    (0..24).map(one).collect()
}

/// A fault of some calls of a route.
fn fault() -> impl Strategy<Value = Value> {
    let route = prop_oneof![
        Just("management.content"),
        Just("management.blob"),
        Just("login.token")
    ];
    let busy =
        json!({ "status": 503, "body": { "error": { "code": "AF50005", "message": "Busy." } } });
    let slower =
        json!({ "status": 403, "body": { "error": { "code": "AF429", "message": "Slower." } } });
    let what = prop_oneof![
        Just(json!({ "status": 500 })),
        Just(busy),
        Just(slower),
        Just(json!({ "status": 429 })),
        Just(json!({ "status": 200, "body": "<html>" })),
        Just(json!({ "reset": true })),
        Just(json!({ "truncate": 5 })),
        Just(json!({ "expire_token": true })),
    ];
    let calls = proptest::collection::btree_set(1..60_u64, 1..20);
    (route, what, calls).prop_filter_map("sign-in needs no token", |(route, mut fault, calls)| {
        (route != "login.token" || fault.get("expire_token").is_none()).then(|| {
            fault["route"] = json!(route);
            fault["nth"] = json!(calls);
            fault
        })
    })
}

#[test]
fn record_after_random_faults_is_delivered_once_or_named_as_lost() {
    let config = Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    };
    let scripts = proptest::collection::vec(fault(), 1..5);
    let limits = proptest::option::of(1..9_usize);
    // `None`: Get Audit Log. `Some(false)`: the content types of all subscriptions.
    let command = proptest::option::of(any::<bool>());
    let outcome = TestRunner::new(config).run(
        &(scripts, 1..7_usize, limits, 1..7_usize, command),
        |(faults, page, limit, alike, command)| {
            let (mut request, types) = match command {
                None => (audit_log(), &TYPES[..1]),
                Some(named) => (
                    incidents("1 day", if named { &TYPES } else { &[] }),
                    &TYPES[..],
                ),
            };
            request["options"]["max_events"] = json!(limit);
            let mut world = world(&blobs(alike, types));
            world["faults"] = json!(faults);
            world["content_page_size"] = json!(page);
            let (delivered, lost) = block_on(until_done(&world, request));
            prop_assert!(
                delivered.values().all(|times| *times == 1),
                "repeated: {:?}",
                delivered
            );
            let missing: Vec<usize> = (0..24)
                .filter(|n| !delivered.contains_key(n) && !lost.contains(n))
                .collect();
            prop_assert!(
                missing.is_empty(),
                "neither delivered nor lost: {:?}",
                missing
            );
            Ok(())
        },
    );
    outcome.expect("every record or its gap");
}

/// Runs until nothing is left: how often each record was delivered, and which are named as lost.
async fn until_done(
    world: &Value,
    mut request: Value,
) -> (BTreeMap<usize, usize>, BTreeSet<usize>) {
    let bench = Bench::with_two_attempts(&world.to_string(), NOW).await;
    let (mut delivered, mut lost) = (BTreeMap::new(), BTreeSet::new());
    let number = |gap: &Value| -> usize {
        let id = gap["id"].as_str().expect("a blob");
        let digits: String = id[4..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    for _ in 0..200 {
        let result = read(&bench.run(&request.to_string()).await);
        for number in numbers(&result) {
            *delivered.entry(number).or_insert(0) += 1;
        }
        let gaps = result["coverage"]["gaps"].as_array();
        let gaps = gaps.into_iter().flatten();
        lost.extend(gaps.clone().filter(|gap| gap["lost"] == true).map(number));
        if !result["state"].is_null() {
            request["state"] = result["state"].clone();
        }
        // After a failed listing, `more` can be false although the next run delivers more.
        let failed =
            result["return_data"] == "Failed" || gaps.clone().any(|gap| gap["id"].is_null());
        if result["more"] == false && !failed {
            // Blobs that failed in too many runs are named, but are no reason for another run.
            lost.extend(gaps.map(number));
            return (delivered, lost);
        }
    }
    panic!("the runs do not end")
}

#[test]
fn fingerprint_that_is_not_seen_again_is_kept() {
    let mut world = world(&blobs(1, &TYPES[..1]));
    // Found by the random faults: a run that only reads its retry queue.
    world["content_page_size"] = json!(5);
    world["faults"] = json!([
        { "route": "management.content", "nth": [4, 5, 8, 9], "status": 500 },
        { "route": "management.blob", "nth": [1, 2, 3, 6, 14, 19], "reset": true },
    ]);
    let (delivered, _) = block_on(until_done(&world, audit_log()));
    assert_eq!(delivered.into_values().collect::<Vec<_>>(), [1; 24]);
}

#[test]
fn service_that_fails_every_fifth_call_loses_nothing() {
    let blobs: Vec<Value> = (0..1000)
        .map(|n| {
            blob(
                TYPES[0],
                &format!("2026-01-14T10:{:02}:{:02}Z", n / 60, n % 60),
                &[n],
            )
        })
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
    let result = block_on(async {
        let bench = Bench::new(&world.to_string(), NOW).await;
        read(&bench.run(&audit_log().to_string()).await)
    });
    assert_eq!(result["return_data"], "Successful", "{}", result["result"]);
    let mut delivered = numbers(&result);
    delivered.sort_unstable();
    assert_eq!(delivered, (0..1000).collect::<Vec<_>>());
    assert!(result["metrics"]["calls"].as_u64() > Some(1200));
}

/// The results of a run that gets SIGTERM when that many calls were sent to addresses with `part`,
/// and of the run after it.
async fn stopped(world: &Value, mut request: Value, part: &str, calls: usize) -> (Value, Value) {
    let bench = Bench::new(&world.to_string(), NOW).await;
    let cancel = Cancel::default();
    let line = request.to_string();
    let checked = bench
        .host
        .check(line.as_bytes(), &cancel)
        .expect("a valid request");
    let sent = || {
        bench
            .sim
            .requests()
            .iter()
            .filter(|seen| seen.path.contains(part))
            .count()
    };
    let stop = async {
        while sent() < calls {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        cancel.raise(Signal::Terminate);
    };
    let (ran, ()) = futures_util::future::join(bench.host.run(checked), stop).await;
    assert_eq!(ran.result.exit_code(), 143);
    let first = serde_json::to_value(&ran.result).expect("a result");
    request["state"] = first["state"].clone();
    (first, read(&bench.run(&request.to_string()).await))
}

#[test]
fn signal_between_downloads_delivers_finished_blobs_and_resumes() {
    let blobs: Vec<Value> = (0..12)
        .map(|n| blob(TYPES[0], &format!("2026-01-14T10:{n:02}:00Z"), &[n]))
        .collect();
    let mut world = world(&blobs);
    world["faults"] = json!([{ "route": "management.blob", "nth": 3, "delay_ms": 600_000 }]);
    let (first, next) = block_on(stopped(&world, audit_log(), "/audit/", 12));
    assert_eq!(first["return_data"], "Partially Successful");
    assert_eq!(
        (&first["error"]["kind"], &first["more"]),
        (&json!("cancelled"), &json!(true))
    );
    let gap = &first["coverage"]["gaps"][0];
    assert_eq!(
        (&gap["cause"], &gap["lost"]),
        (&json!("interrupted"), &json!(false))
    );
    assert!(numbers(&first).len() < 12, "one of them has no response");
    let mut all = [numbers(&first), numbers(&next)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..12).collect::<Vec<_>>(), "each once");
    assert_eq!(
        (&next["return_data"], &next["more"]),
        (&json!("Successful"), &json!(false))
    );
}

#[test]
fn signal_during_the_listing_of_the_third_day_resumes_there() {
    let blobs: Vec<Value> = (0..3)
        .map(|n| blob(TYPES[0], &format!("2026-01-{}T18:00:00Z", n + 11), &[n]))
        .collect();
    let mut world = world(&blobs);
    world["faults"] = json!([{ "route": "management.content", "nth": 3, "delay_ms": 600_000 }]);
    let request = incidents("3 days", &TYPES[..1]);
    let (first, next) = block_on(stopped(&world, request, "/content", 3));
    assert_eq!((numbers(&first), numbers(&next)), (vec![0, 1], vec![2]));
    let from = &next["coverage"]["windows"][0]["from"];
    assert_eq!(
        from, "2026-01-13T11:50:00Z",
        "ten minutes before the third day"
    );
}
