//! `try`: runs the sample request of a command in the simulator, for a terminal.
//!
//! Needs no account, and never calls Microsoft.

use std::io::Write;

use comfy_table::{Table, presets};
use serde_json::json;

use crate::front::cli::args::TryArgs;
use crate::front::cli::out::Out;
use crate::front::cli::progress::Progress;
use crate::front::cli::settings::SettingsArgs;
use crate::front::cli::{ExitResult, run, sandbox};
use crate::host::Host;
use crate::host::catalog::Target;
use crate::json::whitespace::indented;
use crate::manifest::schema::sample_request;
use crate::protocol::{Failure, Redactor};
use crate::when;

/// Prints the readable result and the outcome, or the request and the result as JSON.
pub(super) fn run_sample(
    args: &TryArgs,
    settings: &SettingsArgs,
    redactor: &Redactor,
    out: &mut Out,
) -> ExitResult {
    let (_sandbox, host) = sandbox::demo(args.world.as_deref(), settings, redactor)?;
    let target = host.catalog()?.find_dotted(&args.command)?;
    let progress = Progress::start(settings, "Simulating");
    run_earlier_commands(&host, &target, &progress)?;
    let mut request = sample_request(target.manifest, target.command);
    let section = match target.command.mapping {
        Some(_) => "events",
        None => "context_data",
    };
    let mut sections = vec![section, "key_fields", "readable"];
    if args.json {
        sections.push("raw_data");
    }
    request["options"] = json!({ "include": sections });
    // The sample names no state, so there is nothing to commit.
    let result = run::single(request.to_string().as_bytes(), &host, &progress)?.result;
    if args.json {
        let code = result.exit_code();
        let result = serde_json::to_string(&result).unwrap_or_default();
        let whole = format!("{{\"request\":{request},\"result\":{result}}}");
        writeln!(out, "{}", indented(&whole))?;
        return Ok(code);
    }
    if let Some(text) = &result.readable {
        writeln!(out, "{}\n", table(text))?;
    }
    let complete = match &result.coverage {
        _ if result.more => " More data exists: --json shows the `state` to continue with.",
        Some(coverage) if coverage.complete => " Complete: nothing is missing.",
        Some(_) => " Incomplete: see `coverage` with --json.",
        None => "",
    };
    writeln!(out, "{}{complete} (Simulated data.)", result.result)?;
    for warning in &result.warnings {
        writeln!(out, "warning: {}", warning.message)?;
    }
    Ok(result.exit_code())
}

/// Runs the commands that come first: sign-in of a person, then subscriptions to all content types.
/// Their results are not shown: if one fails, the command fails, too.
fn run_earlier_commands(
    host: &Host,
    target: &Target<'_>,
    progress: &Progress,
) -> Result<(), Failure> {
    let steps = [
        "sign_in.device.start",
        "sign_in.device.complete",
        "feed.subscription.ensure",
    ];
    let steps = steps.into_iter();
    let before = steps.take_while(|step| *step != target.operation.name);
    let manifests = host.catalog()?.manifests()?;
    let own = manifests.iter().find(|one| one.id == target.manifest.id);
    for step in before {
        let commands = own.iter().flat_map(|manifest| &manifest.commands);
        for command in commands.filter(|command| command.operation == step) {
            let request = sample_request(target.manifest, command);
            // A sign-in that does not succeed is reported by the command itself.
            let _ = run::single(request.to_string().as_bytes(), host, progress);
        }
    }
    Ok(())
}

/// The Markdown text for a terminal: rows of a table that starts with times are sorted,
/// latest first; times to the minute; no escapes in tables.
fn table(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let blocks = lines.chunk_by(|one, next| one.starts_with('|') == next.starts_with('|'));
    let shown = blocks.map(|block| match block.first() {
        Some(line) if line.starts_with('|') => table_block(block),
        _ => {
            let lines = block.iter().map(|line| line.trim_start_matches("### "));
            lines.collect::<Vec<_>>().join("\n")
        }
    });
    shown.collect::<Vec<_>>().join("\n")
}

fn table_block(lines: &[&str]) -> String {
    let rows = lines.iter().filter(|line| line.starts_with("| "));
    let mut rows = rows.map(|line| cells(line));
    let headings = rows.next().unwrap_or_default();
    let mut rows: Vec<Vec<String>> = rows.collect();
    let is_time = |cell: &String| when::instant(cell, &[]).is_some();
    if rows
        .first()
        .and_then(|row| row.first())
        .is_some_and(is_time)
    {
        rows.sort_by(|one, other| other.first().cmp(&one.first()));
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(headings);
    table.add_rows(rows);
    table.trim_fmt()
}

/// The cells of a row of a Markdown table.
fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut cell) = (Vec::new(), String::new());
    let mut characters = row.chars().skip(1);
    while let Some(character) = characters.next() {
        match character {
            '\\' => cell.extend(characters.next()),
            '|' => cells.push(short(std::mem::take(&mut cell).trim())),
            other => cell.push(other),
        }
    }
    cells
}

/// A time to the minute; any other text unchanged.
fn short(cell: &str) -> String {
    let time = when::instant(cell, &[]).filter(|_| cell.len() > 10);
    time.map_or_else(
        || cell.to_owned(),
        |time| time.format("%Y-%m-%d %H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_that_starts_with_times_is_sorted_and_no_table_has_escapes() {
        let text = "### A\\_b: 2 results\n\n| Time | Name |\n|---|---|\n\
                    | 2026-01-14T09:30:59.5Z | x \\| y |\n| 2026-01-14T10:00:00Z | \\[z\\] |";
        assert_eq!(
            table(text),
            "A\\_b: 2 results\n\n\
             | Time             | Name  |\n\
             |------------------|-------|\n\
             | 2026-01-14 10:00 | [z]   |\n\
             | 2026-01-14 09:30 | x | y |"
        );
        let by_severity = "| Level | Last |\n|---|---|\n| high | 2026-01-14T09:30:00Z |\n| low | 2026-01-14T10:00:00Z |";
        let shown = table(by_severity);
        assert!(shown.find("high") < shown.find("low"), "{shown}");
        assert_eq!(table("Started."), "Started.");
    }
}
