//! Each console block of the README is run, and its output is compared.
//!
//! In expected output a line `...` matches any number of lines, and `[..]` inside a line matches any
//! text. In a row of a table, a time matches any time, and the width of columns is not compared.
//! `cargo run --` and `soarhost` both mean the binary under test. The crate `trycmd` is not used: it
//! runs commands without a shell, and the README shows pipes and redirections.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use soarhost::host::catalog::Catalog;

struct Block {
    line: usize,
    commands: Vec<(String, Vec<String>)>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```console" => {
                open = Some(Block {
                    line: number + 1,
                    commands: Vec::new(),
                });
            }
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some(block) => match (line.strip_prefix("$ "), block.commands.last_mut()) {
                (Some(command), _) => block.commands.push((command.to_owned(), Vec::new())),
                (None, Some((command, output))) => {
                    if command.ends_with('\\') {
                        command.pop();
                        command.push_str(line.trim_start());
                    } else {
                        output.push(line.to_owned());
                    }
                }
                (None, None) => panic!("README.md:{}: output without a command", number + 1),
            },
        }
    }
    blocks
}

/// A row of a table without its times and the width of its columns; any other line unchanged.
fn comparable(line: &str) -> String {
    if !line.starts_with('|') {
        return line.trim_end().to_owned();
    }
    let cells = line.split('|').map(|cell| {
        let cell = cell.trim();
        let rule = !cell.is_empty() && cell.bytes().all(|byte| byte == b'-');
        let is_time = chrono::NaiveDateTime::parse_from_str(cell, "%Y-%m-%d %H:%M").is_ok();
        match (rule, is_time) {
            (true, _) => "-",
            (_, true) => "(time)",
            _ => cell,
        }
    });
    cells.collect::<Vec<&str>>().join("|")
}

fn line_fits(expected: &str, output: &str) -> bool {
    let (expected, output) = (comparable(expected), comparable(output));
    let mut rest = output.as_str();
    let parts: Vec<&str> = expected.split("[..]").collect();
    let last = parts.len() - 1;
    for (n, part) in parts.iter().enumerate() {
        let found = match n {
            0 => rest.starts_with(part).then_some(0),
            n if n == last => rest
                .len()
                .checked_sub(part.len())
                .filter(|at| rest[*at..] == **part),
            _ => rest.find(part),
        };
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

fn fits(expected: &[String], output: &[&str]) -> bool {
    match expected.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first.trim() == "..." => {
            (0..=output.len()).any(|skipped| fits(rest, &output[skipped..]))
        }
        Some((first, rest)) => output
            .split_first()
            .is_some_and(|(line, more)| line_fits(first, line) && fits(rest, more)),
    }
}

fn run(command: &str, folder: &Path) -> String {
    let binary = env!("CARGO_BIN_EXE_soarhost");
    let command = command.replace("cargo run -- ", &format!("{binary} "));
    let path = format!(
        "{}:{}",
        PathBuf::from(binary).parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("sh")
        .args(["-c", &command])
        .current_dir(folder)
        .env("PATH", path)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .env_remove("SSL_CERT_FILE")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn every_console_block_does_what_it_says() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
        .expect("a README");
    // Commands may write files: they run in a folder that only links to the repository.
    let folder = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the repository") {
        let path = entry.expect("an entry").path();
        let link = folder.path().join(path.file_name().expect("a name"));
        std::os::unix::fs::symlink(path, link).expect("a link");
    }
    let mut ran = 0;
    let mut faults = Vec::new();
    for block in blocks(&text) {
        for (command, expected) in block.commands {
            // `cargo test` would run this test again.
            if command.starts_with("cargo test") {
                continue;
            }
            ran += 1;
            let output = run(&command, folder.path());
            let lines: Vec<&str> = output.trim_end().lines().collect();
            if !fits(&expected, &lines) {
                faults.push(format!(
                    "README.md:{}: $ {command}\nsaid:\n{output}",
                    block.line
                ));
            }
        }
    }
    assert!(ran > 0, "the README has no console block");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn table_of_integrations_lists_all_manifests_and_commands() {
    let readme = include_str!("../../README.md").lines();
    let mut rows: Vec<Vec<&str>> = readme
        .filter(|line| line.starts_with("| `") && line.contains("](snapshots/reference/"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let catalog = Catalog::builtin().expect("the catalog");
    let mut missing = Vec::new();
    for manifest in catalog.manifests().expect("manifests") {
        // For tests of platforms: the README describes it in its own section.
        if manifest.id == "chaos" {
            continue;
        }
        let (id, title) = (format!("`{}`: ", manifest.id), &manifest.title);
        let page = format!("[page](snapshots/reference/{}.snap.md)", manifest.id);
        let titles: BTreeSet<&str> = manifest
            .commands
            .iter()
            .map(|one| one.title.as_str())
            .collect();
        let is_own = |row: &Vec<&str>| {
            let listed = row[2]
                .split([',', ';'])
                .map(|name| full_name(name.trim(), &titles));
            let listed: Option<BTreeSet<&str>> = listed.collect();
            row[1].starts_with(&id)
                && row[1].contains(title)
                && row[3] == page
                && listed.as_ref() == Some(&titles)
        };
        match rows.iter().position(is_own) {
            Some(row) => drop(rows.remove(row)),
            None => missing.push(format!("| {id}{title} | {titles:?} | {page} |")),
        }
    }
    assert!(
        missing.is_empty() && rows.is_empty(),
        "missing: {missing:?}\nwrong: {rows:?}"
    );
}

/// The command with this title. `-list` is the end of one.
fn full_name<'a>(name: &str, titles: &BTreeSet<&'a str>) -> Option<&'a str> {
    let is_meant =
        |title: &&&str| **title == name || name.starts_with('-') && title.ends_with(name);
    let mut meant = titles.iter().filter(is_meant);
    let found = meant.next().copied();
    found.filter(|_| meant.next().is_none())
}

#[test]
fn output_that_differs_is_found() {
    let expected = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fits(&expected("a\n...\nz"), &["a", "b", "c", "z"]));
    assert!(fits(&expected("a [..] b"), &["a 17 b"]));
    assert!(!fits(&expected("a [..] b"), &["a 17 c"]));
    assert!(!fits(&expected("a\n...\nz"), &["a", "b"]));
    assert!(!fits(&expected("a"), &["a", "b"]));
    let row = expected("| 2026-11-21 09:41 | high | ada |");
    assert!(fits(&row, &["| 2027-01-02 23:59 | high   | ada |"]));
    assert!(!fits(&row, &["| 2027-01-02 23:59 | low    | ada |"]));
    assert!(!fits(&row, &["| yesterday        | high   | ada |"]));
    assert!(!fits(&row, &["| 2027-01-02 23:59 | high   | ada | 1 |"]));
}
