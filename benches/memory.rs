//! Memory of a listing: 1 GiB of audit records of which 1 % is wanted, and 128 MiB of which all is.
//!
//! `cargo bench --bench memory`. The simulator runs as a process of its own and makes its records
//! as they are asked for; the peak is what the kernel says of the host's process (`VmHWM`, Linux
//! alone). It judges nothing: the aims are 64 MiB for the first, and for the second the result
//! plus a bounded window, not a multiple of it.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::disallowed_macros
)]

mod simulator;

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const WANTED: &str = "wanted@contoso.onmicrosoft.com";

/// Blobs of 1 MiB in 512 records; of every hundred, one of the wanted user alone.
fn world(blobs: usize) -> Value {
    let record = |n: usize| {
        let head = json!({ "Id": format!("00000000-0000-4000-8000-{n:012}"), "UserId": WANTED,
                           "CreationTime": "2026-01-14T09:12:03", "RecordType": 1,
                           "Operation": "Set-Mailbox", "Workload": "Exchange" });
        let mut record = head;
        record["Parameters"] = json!([{ "Name": "Padding", "Value": "x".repeat(1800) }]);
        record
    };
    let wanted: Vec<Value> = (0..blobs / 100)
        .map(|blob| {
            let records: Vec<Value> = (0..512).map(|n| record(blob * 512 + n)).collect();
            json!({ "type": "Audit.Exchange", "records": records })
        })
        .collect();
    json!({ "subscriptions": [{ "content_type": "Audit.Exchange" }],
            "content": { "blobs": wanted, "generated": [
                { "type": "Audit.Exchange", "blobs": blobs - blobs / 100, "records": 512, "record_bytes": 2048 }] } })
}

/// Runs one listing: bytes of the result, its account, peak in KiB, time.
fn listing(folder: &Path, inputs: &Value) -> (u64, Value, u64, Duration) {
    let started = Instant::now();
    let all = [
        "events",
        "key_fields",
        "context_data",
        "raw_data",
        "readable",
    ];
    let mut child = simulator::get_audit_log(folder, inputs, &all);
    let mut stdout = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let mut result = Vec::new();
        stdout.read_to_end(&mut result).expect("a result");
        result
    });
    // The peak only grows, so the last look before the end is it but for milliseconds.
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("it runs").is_none() {
        peak = peak.max(high_water(&status).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = started.elapsed();
    let result = reader.join().expect("read");
    let account: Value = serde_json::from_slice(&result).expect("a result");
    (
        result.len() as u64,
        account["coverage"]["windows"][0].clone(),
        peak,
        took,
    )
}

fn high_water(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let user = json!({ "Content Type": "Audit.Exchange", "User Principal Names": [WANTED] });
    let all = json!({ "Content Type": "Audit.Exchange" });
    for (title, blobs, inputs) in [
        ("1 GiB, 1 % wanted", 1024, &user),
        ("128 MiB, all wanted", 128, &all),
    ] {
        let simulator = simulator::start(folder.path(), &world(blobs));
        let (bytes, account, peak, took) = listing(folder.path(), inputs);
        simulator::stop(simulator);
        let mib = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
        let (bytes, peak) = (mib(bytes / 1024), mib(peak));
        println!(
            "{title}: {} of {} records",
            account["kept"], account["records"]
        );
        println!(
            "  result {bytes:.1} MiB, peak {peak:.1} MiB ({:.2} of the result), {took:.1?}",
            peak / bytes
        );
    }
}
