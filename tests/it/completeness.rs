//! A thousand blobs on twelve pages, some expired or missing, with repeated records: the union is
//! exact, and the counts of the coverage add up. The expected records are computed from the world, not
//! from counts of the client or the simulator.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bench::{Bench, NOW, block_on, connection};

const BLOBS: usize = 1000;
const RECORDS: usize = 5;
const EXPIRED: [usize; 3] = [17, 480, 999];
const MISSING: [usize; 2] = [0, 733];

/// The n-th record. Every twentieth record repeats one of an earlier blob.
fn record(n: usize) -> Value {
    let n = if n % 20 == 19 { n - 10 } else { n };
    json!({ "Id": format!("00000000-0000-4000-8000-{n:012}"), "CreationTime": "2026-01-14T09:12:03",
            "RecordType": 1, "Operation": "Set-Mailbox", "UserId": "ada@contoso.onmicrosoft.com" })
}

fn world() -> Value {
    let blobs: Vec<Value> = (0..BLOBS)
        .map(|n| {
            let (minute, second) = (n / 60, n % 60);
            let records: Vec<Value> = (n * RECORDS..(n + 1) * RECORDS).map(record).collect();
            json!({ "type": "Audit.Exchange", "created": format!("2026-01-14T10:{minute:02}:{second:02}.000Z"),
                    "records": records, "expired": EXPIRED.contains(&n), "missing": MISSING.contains(&n) })
        })
        .collect();
    json!({ "subscriptions": [{ "content_type": "Audit.Exchange" }],
            "content": { "blobs": blobs }, "content_page_size": 84 })
}

fn id(record: &Value) -> String {
    record["Id"].as_str().expect("an id").to_owned()
}

#[test]
fn union_of_a_thousand_blobs_is_exact_and_gaps_are_named() {
    let ran = block_on(async {
        let bench = Bench::new(&world().to_string(), NOW).await;
        let request = json!({ "command": "Get Audit Log", "inputs": { "Content Type": "Audit.Exchange" },
                              "connection": connection() });
        bench.run(&request.to_string()).await
    });
    let result: Value = serde_json::from_str(&ran.text).expect("a result");

    let is_available = |n: &usize| !EXPIRED.contains(n) && !MISSING.contains(n);
    let served = (0..BLOBS)
        .filter(is_available)
        .flat_map(|n| n * RECORDS..(n + 1) * RECORDS);
    let served: Vec<String> = served.map(|n| id(&record(n))).collect();
    let expected: BTreeSet<&String> = served.iter().collect();
    let received: Vec<String> = result["raw_data"]
        .as_array()
        .expect("records")
        .iter()
        .map(id)
        .collect();
    assert_eq!(
        received.iter().collect::<BTreeSet<_>>(),
        expected,
        "the union is exact"
    );
    assert_eq!(received.len(), expected.len(), "every record once");

    assert_eq!(result["return_data"], "Partially Successful");
    let window = &result["coverage"]["windows"][0];
    let count = |name: &str| usize::try_from(window[name].as_u64().expect(name)).expect(name);
    assert_eq!((count("pages"), count("listed")), (12, BLOBS));
    assert_eq!((count("expired"), count("failed")), (3, 2));
    assert_eq!(count("fetched"), BLOBS - 5);
    assert_eq!(count("records"), served.len());
    assert_eq!(count("kept"), expected.len());
    assert_eq!(count("repeated"), served.len() - expected.len());
    assert!(
        count("repeated") * 100 > served.len() * 4,
        "about 5 % are repeats"
    );

    let gaps = result["coverage"]["gaps"].as_array().expect("gaps");
    let of = |cause: &str| gaps.iter().filter(|gap| gap["cause"] == cause).count();
    assert_eq!((gaps.len(), of("expired"), of("missing")), (5, 3, 2));
    let listed = ran
        .seen
        .iter()
        .filter(|seen| seen.path.ends_with("/content"));
    assert_eq!(listed.count(), 12, "the simulator served twelve pages");
}
