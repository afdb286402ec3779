//! Whole-process start-up: a refused request and `list`, against an empty Rust program.
//!
//! Run it as the delivery build: `cargo bench --bench startup --features fast-start`. The programs
//! run in turn, so that a change of the machine's speed affects all of them. Prints medians, and
//! the median of the ratios of each round. Has no limit that fails.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::disallowed_macros
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;

fn empty_program(folder: &Path) -> PathBuf {
    let source = folder.join("empty.rs");
    let binary = folder.join("empty");
    std::fs::write(&source, "fn main() {}\n").expect("a source file");
    let built = Command::new("rustc")
        .args([
            "-C",
            "opt-level=3",
            "-C",
            "strip=symbols",
            "--edition",
            "2024",
            "-o",
        ])
        .args([&binary, &source])
        .status()
        .expect("rustc");
    assert!(built.success());
    binary
}

fn timed(program: &Path, args: &[&str], stdin: &[u8]) -> Duration {
    let started = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    // The empty program does not read.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin);
    child.wait().expect("it ends");
    started.elapsed()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    if !cfg!(feature = "fast-start") {
        println!("Without --features fast-start: not the delivery build.");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let empty = empty_program(folder.path());
    let host = PathBuf::from(env!("CARGO_BIN_EXE_soarhost"));
    let refused: &[u8] = br#"{"command":"Fetch Event","connection":{"Tenant ID":"11111111-2222-3333-4444-555555555555","Client ID":"66666666-7777-8888-9999-000000000000","Client Secret":"a secret value"},"inputs":{"Start Time":"2020-01-01 00:00","End Time":"2020-01-09 00:00","Top Recent Event Number":10}}"#;
    let programs: [(&str, &Path, &[&str], &[u8]); 3] = [
        ("empty Rust program", &empty, &[], b""),
        ("refused request", &host, &["run"], refused),
        ("list", &host, &["list"], b""),
    ];
    for (_, program, args, stdin) in programs {
        timed(program, args, stdin);
    }
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for (n, (_, program, args, stdin)) in programs.iter().enumerate() {
            times[n].push(timed(program, args, stdin).as_secs_f64() * 1000.0);
        }
    }
    for (n, (name, ..)) in programs.iter().enumerate() {
        let ratios = times[n]
            .iter()
            .zip(&times[0])
            .map(|(own, empty)| own / empty)
            .collect();
        let own = median(times[n].clone());
        println!(
            "{name:<20} median {own:6.2} ms   {:5.2} x empty",
            median(ratios)
        );
    }
}
