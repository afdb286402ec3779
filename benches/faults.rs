//! What faults cost: a thousand blobs from a service that never fails, and from one of which every
//! fifth answer is an error, a cut or a broken connection.
//!
//! `cargo bench --bench faults`. Both run several times in turn; the ratio of their medians is what
//! counts. The simulator answers each blob after some milliseconds, as a service would, so that the
//! comparison is not one of waits with nothing. It judges nothing; the aim is 3.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::disallowed_macros
)]

mod simulator;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const ROUNDS: usize = 5;

/// A thousand blobs of five records; each blob takes twenty milliseconds.
fn world(faulty: bool) -> Value {
    let mut script = vec![json!({ "route": "management.blob", "delay_ms": 20 })];
    if faulty {
        let fifth = |offset: usize| -> Vec<usize> {
            (1..400)
                .filter(|n| n % 4 == offset)
                .map(|n| n * 5)
                .collect()
        };
        let all: Vec<usize> = (1..20).map(|n| n * 5).collect();
        script.extend([
            json!({ "route": "management.content", "nth": all, "status": 503 }),
            json!({ "route": "management.blob", "nth": fifth(0), "status": 500 }),
            json!({ "route": "management.blob", "nth": fifth(1), "reset": true }),
            json!({ "route": "management.blob", "nth": fifth(2), "truncate": 40 }),
            json!({ "route": "management.blob", "nth": fifth(3), "status": 503 }),
        ]);
    }
    json!({ "subscriptions": [{ "content_type": "Audit.Exchange" }], "http2": false, "faults": script,
            "content": { "generated": [{ "type": "Audit.Exchange", "blobs": 1000, "records": 5 }] } })
}

/// One run against a simulator of its own: how long, how many records, how many repeats.
fn run(folder: &Path, faulty: bool) -> (Duration, u64, u64) {
    let simulator = simulator::start(folder, &world(faulty));
    let started = Instant::now();
    let inputs = json!({ "Content Type": "Audit.Exchange" });
    let child = simulator::get_audit_log(folder, &inputs, &[]);
    let output = child.wait_with_output().expect("it ends");
    let took = started.elapsed();
    simulator::stop(simulator);
    let result: Value = serde_json::from_slice(&output.stdout).expect("a result");
    assert_eq!(result["coverage"]["complete"], true, "{}", result["result"]);
    let count = |name: &str| result["metrics"][name].as_u64().expect("a number");
    (took, count("records"), count("retries"))
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut clean, mut faulty) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (took, records, _) = run(folder.path(), false);
        clean.push(took);
        let (took, same, retries) = run(folder.path(), true);
        faulty.push(took);
        assert_eq!(records, same, "every record came");
        println!("{records} records; with faults {retries} repeats");
    }
    let (clean, faulty) = (median(clean), median(faulty));
    println!(
        "faultless {clean:.2} s, every fifth answer faulty {faulty:.2} s, ratio {:.2}",
        faulty / clean
    );
}
