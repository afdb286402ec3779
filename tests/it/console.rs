//! Runs the console blocks of a Markdown page and compares what they print.
//!
//! In expected output a line `...` matches any number of lines, and `[..]` inside a line matches any
//! text. In a row of a table, a time matches any time, and the width of columns is not compared.
//! `cargo run --` and `soarhost` both mean the binary under test. A block after a line that ends
//! with "Save this as `PATH`:" is written to that file instead. The crate `trycmd` is not used: it
//! runs commands without a shell, and the pages show pipes and redirections.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::process::printed;

/// A step of a page.
enum Step {
    File {
        path: String,
        text: String,
    },
    Command {
        line: usize,
        command: String,
        output: Vec<String>,
    },
}

/// The path that the sentence before a block names.
fn saved_as(line: &str) -> Option<&str> {
    let (_, path) = line.trim_end().rsplit_once("Save this as `")?;
    path.strip_suffix("`:")
}

/// The steps of a page, in order.
fn steps(name: &str, text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut path: Option<&str> = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            path = saved_as(line).or(path.filter(|_| line.trim().is_empty()));
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line.get(indent..).unwrap_or_default())
            .take_while(|line| *line != "```")
            .collect();
        if let Some(path) = path.take() {
            let text = body.iter().flat_map(|line| [line, "\n"]).collect();
            let path = path.to_owned();
            steps.push(Step::File { path, text });
        } else if language == "console" {
            steps.extend(commands(name, number + 1, &body));
        }
    }
    steps
}

/// The commands of a block that begins in this line.
fn commands(name: &str, line: usize, body: &[&str]) -> Vec<Step> {
    let mut commands: Vec<Step> = Vec::new();
    for text in body {
        if let Some(command) = text.strip_prefix("$ ") {
            commands.push(Step::Command {
                line,
                command: command.to_owned(),
                output: Vec::new(),
            });
            continue;
        }
        let Some(Step::Command {
            command, output, ..
        }) = commands.last_mut()
        else {
            panic!("{name}:{line}: output without a command");
        };
        if command.ends_with('\\') {
            command.pop();
            command.push_str(text.trim_start());
        } else {
            output.push((*text).to_owned());
        }
    }
    commands
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

fn run(command: &str, folder: &Path) -> Output {
    let binary = env!("CARGO_BIN_EXE_soarhost");
    let command = command.replace("cargo run -- ", &format!("{binary} "));
    let path = format!(
        "{}:{}",
        PathBuf::from(binary).parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    Command::new("sh")
        .args(["-c", &command])
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .envs(["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_NAME"), "Ada")))
        .envs(["AUTHOR", "COMMITTER"].map(|role| (format!("GIT_{role}_EMAIL"), "ada@example.test")))
        .stdin(Stdio::null())
        .output()
        .expect("a shell")
}

/// Runs a page's steps in a folder. Calls `check` with the line of each command, the command, the
/// expected output, and the output.
fn follow(
    page: (&str, &str),
    folder: &Path,
    mut check: impl FnMut(usize, &str, &[String], &Output),
) {
    for step in steps(page.0, page.1) {
        match step {
            Step::File { path, text } => {
                let path = folder.join(path);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, text).expect("a file");
            }
            // `cargo test` would run this test again.
            Step::Command { command, .. } if command.starts_with("cargo test") => {}
            Step::Command {
                line,
                command,
                output,
            } => check(line, &command, &output, &run(&command, folder)),
        }
    }
}

/// Runs a page's steps in a folder. Returns a fault for each command whose output differs.
pub fn faults(name: &str, text: &str, folder: &Path) -> Vec<String> {
    let mut ran = 0;
    let mut faults = Vec::new();
    follow((name, text), folder, |line, command, expected, output| {
        ran += 1;
        let output = printed(output);
        let lines: Vec<&str> = output.trim_end().lines().collect();
        if !fits(expected, &lines) {
            faults.push(format!("{name}:{line}: $ {command}\nprinted:\n{output}"));
        }
    });
    if ran == 0 {
        faults.push(format!("{name} has no console block"));
    }
    faults
}

/// Runs a page's steps in a folder. Returns the exit code of each command.
pub fn exit_codes(name: &str, text: &str, folder: &Path) -> Vec<(String, Option<i32>)> {
    let mut codes = Vec::new();
    follow((name, text), folder, |_, command, _, output| {
        codes.push((command.to_owned(), output.status.code()));
    });
    codes
}

#[test]
fn file_is_saved_and_command_is_continued() {
    let page = "Save this as `a/b.txt`:\n\n```json\nx\n```\n\n```console\n$ cat \\\n    a/b.txt\nx\n```\n\
                1. In a list:\n   ```console\n   $ printf 'y\\n'\n   z\n   ```\n";
    let folder = tempfile::tempdir().expect("a folder");
    let found = faults("page", page, folder.path());
    assert_eq!(found, ["page:13: $ printf 'y\\n'\nprinted:\ny\n"]);
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
