//! Situations in which collecting once lost records, withheld them or did not end.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bench::{Bench, block_on, connection, read};

fn blob(number: usize, created: &str) -> Value {
    json!({ "type": "Audit.Exchange", "created": created, "id": format!("blob{number}$x$y$na0001"),
            "records": [{ "Id": format!("00000000-0000-4000-8000-{number:012}"), "RecordType": 1,
                          "CreationTime": "2026-01-14T09:12:03" }] })
}

/// Blobs ten minutes apart, from that day on.
fn every_ten_minutes(day: usize, count: usize) -> Vec<Value> {
    let created = |n: usize| {
        let (hours, minutes) = (n / 6, n % 6 * 10);
        format!(
            "2026-01-{:02}T{:02}:{minutes:02}:30.250Z",
            day + hours / 24,
            hours % 24
        )
    };
    (0..count).map(|n| blob(n, &created(n))).collect()
}

fn world(now: &str, blobs: &[Value]) -> Value {
    json!({ "now": now, "subscriptions": [{ "content_type": "Audit.Exchange" }], "http2": false,
            "content": { "blobs": blobs } })
}

/// A request of that command with that state.
fn request(command: &str, state: &Value) -> Value {
    let mut connection = connection();
    let mut request = if command == "fetch-incidents" {
        connection["self_deployed"] = json!(true);
        connection["content_types_to_fetch"] = json!(["Audit.Exchange"]);
        json!({ "integration": "management_activity" })
    } else {
        json!({ "inputs": { "Content Type": "Audit.Exchange" } })
    };
    request["command"] = json!(command);
    request["connection"] = connection;
    request["options"] = json!({ "include": ["raw_data"] });
    request["state"] = state.clone();
    request
}

async fn run(world: &Value, clock: &str, request: &Value) -> (Value, Vec<String>) {
    let bench = Bench::new(&world.to_string(), clock).await;
    let ran = bench.run(&request.to_string()).await;
    let paths = ran.seen.iter().map(|seen| seen.path.clone()).collect();
    (read(&ran), paths)
}

fn numbers(result: &Value) -> BTreeSet<usize> {
    let records = result["raw_data"].as_array().into_iter().flatten();
    let ids = records.map(|record| record["Id"].as_str().expect("an id"));
    ids.map(|id| id[24..].parse().expect("a number")).collect()
}

fn has_warning(result: &Value, code: &str) -> bool {
    let warnings = result["warnings"].as_array().expect("warnings");
    warnings.iter().any(|warning| warning["code"] == code)
}

#[test]
fn clock_ahead_then_right_loses_nothing() {
    // A blob every ten minutes of the 23 and a half hours that follow.
    let later = every_ten_minutes(14, 141);
    for command in ["Get Audit Log", "fetch-incidents"] {
        for ahead in ["2026-01-15T00:00:10Z", "2026-01-14T02:00:10Z"] {
            block_on(async {
                let empty = world("2026-01-14T00:00:10Z", &[]);
                let (first, _) = run(&empty, ahead, &request(command, &Value::Null)).await;
                assert!(has_warning(&first, "clocks_differ"), "{first}");
                let (second, _) = run(&empty, ahead, &request(command, &first["state"])).await;
                let now = "2026-01-14T23:59:50Z";
                let next = request(command, &second["state"]);
                let (third, _) = run(&world(now, &later), now, &next).await;
                assert_eq!(numbers(&third).len(), 141, "{command} {ahead}");
                assert!(!has_warning(&third, "clocks_differ"));
            });
        }
    }
}

#[test]
fn clock_behind_after_a_week_away_does_not_request_what_is_too_old() {
    let blobs = every_ten_minutes(13, 20);
    for command in ["Get Audit Log", "fetch-incidents"] {
        block_on(async {
            let start = "2026-01-06T12:00:00Z";
            let (first, _) = run(&world(start, &[]), start, &request(command, &Value::Null)).await;
            // Its clock is 20 minutes behind that of the service.
            let now = world("2026-01-13T13:00:00Z", &blobs);
            let next = request(command, &first["state"]);
            let (second, _) = run(&now, "2026-01-13T12:40:00Z", &next).await;
            assert_eq!(numbers(&second).len(), 20, "{}", second["result"]);
            let gaps = second["coverage"]["gaps"].as_array().expect("gaps");
            assert_eq!(
                (gaps.len(), &gaps[0]["cause"]),
                (1, &json!("older_than_7_days"))
            );
        });
    }
}

#[test]
fn failing_blobs_do_not_delay_new_content() {
    let mut blobs: Vec<Value> = (0..40)
        .map(|n| {
            let mut failing = blob(n, &format!("2026-01-14T09:{n:02}:00Z"));
            failing["status"] = json!(500);
            failing
        })
        .collect();
    let new = |poll: usize| (0..20).map(move |n| 100 * poll + n);
    let mut state = Value::Null;
    block_on(async {
        for poll in 1..=4 {
            let created = |n: usize| format!("2026-01-14T1{poll}:{:02}:00Z", n % 100);
            blobs.extend(new(poll).map(|n| blob(n, &created(n))));
            let now = format!("2026-01-14T1{poll}:30:00Z");
            let (result, paths) = run(
                &world(&now, &blobs),
                &now,
                &request("Get Audit Log", &state),
            )
            .await;
            assert_eq!(numbers(&result), new(poll).collect(), "poll {poll}");
            assert_eq!(
                result["more"], false,
                "a failing blob is no reason to come back at once"
            );
            if poll > 1 {
                let attempts = paths.iter().filter(|path| path.contains("blob7$")).count();
                assert_eq!(attempts, 1, "one attempt a run");
            }
            state = result["state"].clone();
        }
    });
}

#[test]
fn fixed_window_stays_resumable_when_its_start_is_older_than_seven_days() {
    let blobs = every_ten_minutes(7, 30);
    let mut fixed = request("Get Audit Log", &Value::Null);
    fixed["inputs"]["Start Time"] = json!("2026-01-07T00:00:00Z");
    fixed["inputs"]["End Time"] = json!("2026-01-07T12:00:00Z");
    fixed["options"]["max_events"] = json!(1);
    block_on(async {
        let now = "2026-01-13T23:00:00Z";
        let (first, _) = run(&world(now, &blobs), now, &fixed).await;
        assert_eq!(first["more"], true);
        let received = numbers(&first);
        // Three hours of the window are gone.
        fixed["state"] = first["state"].clone();
        fixed["options"] = json!({ "include": ["raw_data"] });
        let now = "2026-01-14T02:55:00Z";
        let (second, _) = run(&world(now, &blobs), now, &fixed).await;
        let all: BTreeSet<usize> = received.union(&numbers(&second)).copied().collect();
        let gap = &second["coverage"]["gaps"][0];
        assert_eq!(
            (&gap["cause"], &gap["lost"]),
            (&json!("older_than_7_days"), &json!(true))
        );
        assert_eq!(gap["to"], "2026-01-07T03:00:00Z");
        let due = received.iter().copied().chain(18..30);
        assert_eq!(
            all,
            due.collect(),
            "the records received and those that are still listed"
        );
        assert!(second["state"].is_null(), "nothing is left");
        // Without its state the window is refused.
        fixed["state"] = Value::Null;
        let (third, paths) = run(&world(now, &blobs), now, &fixed).await;
        assert_eq!(
            (&third["error"]["kind"], paths.len()),
            (&json!("invalid_input"), 0)
        );
    });
}

#[test]
fn continuation_lists_from_its_place_and_not_from_the_start() {
    // 41 pages of two blobs, two minutes apart, out of order by up to four minutes.
    let created = |n: usize| format!("2026-01-13T{:02}:{:02}:30.250Z", 10 + n / 30, n % 30 * 2);
    let blobs: Vec<Value> = (0..82).map(|n| blob(n, &created(n))).collect();
    let now = "2026-01-14T00:00:00Z";
    let mut world = world(now, &blobs);
    world["content_page_size"] = json!(2);
    world["content_disorder_seconds"] = json!(240);
    block_on(async {
        let (mut state, mut received, mut listings, mut runs) =
            (Value::Null, BTreeSet::new(), 0, 0);
        loop {
            let mut next = request("Get Audit Log", &state);
            next["options"]["max_events"] = json!(2);
            let (result, paths) = run(&world, now, &next).await;
            received.extend(numbers(&result));
            let content = paths.iter().filter(|path| path.ends_with("/content"));
            listings += content.count();
            runs += 1;
            state = result["state"].clone();
            if result["more"] == false {
                break;
            }
        }
        assert_eq!(received.len(), 82);
        // Each run lists the overlap, which is five blobs, and what is new.
        let most = 41 + 6 * runs;
        assert!(
            runs >= 20 && listings <= most,
            "{listings} listings in {runs} runs"
        );
    });
}

#[test]
fn record_that_is_too_large_is_requested_once_and_named_as_a_gap() {
    block_on(async {
        let mut large = blob(1, "2026-01-14T10:00:00.000Z");
        large["records"][0]["Text"] = json!("x".repeat(17 << 20));
        let now = "2026-01-14T12:00:00Z";
        let world = world(now, &[large, blob(2, "2026-01-14T10:10:00.000Z")]);
        let (result, paths) = run(&world, now, &request("Get Audit Log", &Value::Null)).await;
        assert_eq!(numbers(&result), [2].into());
        let gap = &result["coverage"]["gaps"][0];
        assert_eq!(
            (&gap["id"], &gap["lost"]),
            (&json!("blob1$x$y$na0001"), &json!(true))
        );
        let requests = paths.iter().filter(|path| path.contains("blob1"));
        assert_eq!(requests.count(), 1, "{paths:?}");
    });
}

#[test]
fn dense_listing_out_of_order_loses_nothing_with_few_fingerprints() {
    // fetch-incidents remembers 2,000 of these 3,600 blobs.
    let created = |n: usize| {
        let ms = n * 83;
        let (minutes, seconds) = (ms / 60_000, ms / 1000 % 60);
        format!("2026-01-14T11:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
    };
    let blobs: Vec<Value> = (0..3_600).map(|n| blob(n, &created(n))).collect();
    let now = "2026-01-14T11:20:00Z";
    let mut world = world(now, &blobs);
    world["content_page_size"] = json!(200);
    world["content_disorder_seconds"] = json!(300);
    block_on(async {
        let (mut state, mut received, mut lost) = (Value::Null, BTreeSet::new(), Vec::new());
        for _ in 0..40 {
            let mut next = request("fetch-incidents", &state);
            next["connection"]["first_fetch_delta"] = json!("1 hour");
            next["options"]["max_events"] = json!(500);
            let (result, _) = run(&world, now, &next).await;
            received.extend(numbers(&result));
            lost.extend(
                result["coverage"]["gaps"]
                    .as_array()
                    .cloned()
                    .expect("gaps"),
            );
            state = result["state"].clone();
            if result["more"] == false {
                break;
            }
        }
        assert_eq!(lost, Vec::<Value>::new());
        assert_eq!(received.len(), 3_600);
    });
}
