//! `doctor`: tests a connection in stages, and prints the stage that fails with its remedy.
//!
//! The stages are the operation `connection.diagnose`. The first one, the settings, is the check of
//! the request. Only reads: no subscription is started or stopped, and no state is stored.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::front::cli::out::Out;
use crate::front::cli::progress::{Progress, usage};
use crate::front::cli::settings::{self, SettingsArgs};
use crate::front::cli::style::Style;
use crate::front::cli::{ExitResult, request, runtime, signals, stdin_is_a_terminal};
use crate::front::counted;
use crate::host::{Cancel, Host, RetryPolicy, Settings};
use crate::ops::diagnose::stage::{Stage, Status, after_settings};
use crate::protocol::failure::ErrorBlock;
use crate::protocol::{Failure, Redactor};

/// A request without an answer ends its stage after this time.
const LIMIT: Duration = Duration::from_secs(8);

/// The width of the text.
const WIDTH: usize = 100;

/// The column of the details.
const INDENT: usize = 26;

/// The end of the help page.
pub(super) const DOCTOR_HINT: &str = "\
Only reads: starts and stops no subscription, and stores no state. The name of a stored connection, or a
request of a test command, diagnoses all services of the integration; any other request, those of its
command. A stage that needs one that failed is skipped. Exit codes: 0 no stage failed, 1 a stage failed,
2 nothing could be diagnosed.

Operator settings, such as --profiles: `soarhost help settings`.";

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// A file with a request, or the name of a connection in --profiles [default: a request from stdin]
    #[arg(value_name = "REQUEST|PROFILE")]
    pub(super) target: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Use the built-in simulator: no account and no network needed
    #[cfg(feature = "sim")]
    #[arg(long)]
    pub(super) sandbox: bool,
}

/// The result of a diagnosis.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// The stages in their order.
    pub stages: Vec<Stage>,
    /// One sentence.
    pub verdict: String,
}

/// Diagnoses a connection and prints the stages.
pub(super) fn doctor(
    args: &DoctorArgs,
    settings: &SettingsArgs,
    redactor: &Redactor,
    out: &mut Out,
) -> ExitResult {
    #[cfg(feature = "sim")]
    if args.sandbox {
        let (_sandbox, host) = super::sandbox::demo(None, settings, redactor)?;
        return with_host(args, settings, &host, out);
    }
    let operator = Settings {
        // A refusal is the answer, and waiting does not change it.
        retry_policy: RetryPolicy {
            attempts: 1,
            ..RetryPolicy::default()
        },
        ..settings::settings(settings)?
    };
    let host = Host::open(operator, redactor.clone());
    with_host(args, settings, &host, out)
}

fn with_host(args: &DoctorArgs, settings: &SettingsArgs, host: &Host, out: &mut Out) -> ExitResult {
    let request = requested(args, host)?;
    let progress = Progress::start(settings, "Diagnosing");
    let diagnosed = runtime()?.block_on(async {
        let cancel = signals::handle();
        let diagnosed = diagnose(host, &request, &cancel, (LIMIT, &progress)).await;
        (diagnosed, cancel.raised())
    });
    let diagnosis = match diagnosed {
        (Err(_), Some(signal)) => return Ok(signal.exit_code()),
        (diagnosed, _) => diagnosed?,
    };
    if args.json {
        serde_json::to_writer(&mut *out, &diagnosis).map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    } else {
        let style = Style::of(out);
        out.write_all(diagnosis.styled(Some(style)).as_bytes())?;
    }
    Ok(diagnosis.exit_code())
}

/// The request to check: from the argument, or from stdin.
fn requested(args: &DoctorArgs, host: &Host) -> Result<Vec<u8>, Failure> {
    let is_file = |target: &&String| Path::new(target).is_file();
    match &args.target {
        Some(target) if is_file(&target) => return request::request(Some(Path::new(target))),
        Some(target) => {
            return host.request_of_profile(target).map_err(|failure| {
                failure.advice(
                    "Name a file with a request, or a connection in the file of --profiles.",
                )
            });
        }
        None => {}
    }
    let given = if stdin_is_a_terminal() {
        Vec::new()
    } else {
        request::request(None)?
    };
    if !given.trim_ascii().is_empty() {
        return Ok(given);
    }
    #[cfg(feature = "sim")]
    if args.sandbox {
        return host.sample_of_connection();
    }
    let message = "There is nothing to diagnose: no request and no stored connection is given.";
    Err(Failure::invalid_input("REQUEST|PROFILE", message)
        .advice("Name a file with a request, or a connection in the file of --profiles."))
}

/// Diagnoses the connection of a request, without showing progress. Each request to a service has
/// this limit.
pub async fn diagnosis(host: &Host, request: &[u8], limit: Duration) -> Result<Diagnosis, Failure> {
    let quiet = Progress::none();
    diagnose(host, request, &Cancel::default(), (limit, &quiet)).await
}

async fn diagnose(
    host: &Host,
    request: &[u8],
    cancel: &Cancel,
    (limit, progress): (Duration, &Progress),
) -> Result<Diagnosis, Failure> {
    let mut stages = Vec::new();
    match host.check_connection(request, cancel) {
        Err(refused) => {
            stages.extend(refused.error.as_ref().map(invalid));
            stages.extend(after_settings());
        }
        Ok(checked) => {
            stages.push(Stage::pass("settings", checked.summary()));
            let meter = checked.meter();
            let work = Box::pin(host.diagnose(checked, limit));
            stages.extend(progress.during(work, || usage(meter.usage())).await?);
        }
    }
    let verdict = verdict(&stages);
    Ok(Diagnosis { stages, verdict })
}

/// The first stage of an invalid request: all faults.
fn invalid(error: &ErrorBlock) -> Stage {
    let items = error.items.iter().map(|item| match &item.at {
        Some(at) => format!("{at}: {}", item.message),
        None => item.message.clone(),
    });
    let faults: Vec<String> = items.collect();
    if faults.is_empty() {
        return Stage::fail("settings", &error.message, &error.assistance);
    }
    Stage::fail("settings", faults.join("\n"), "Correct these values.")
}

/// Whether the connection works, with the remedy for the first stage that failed.
fn verdict(stages: &[Stage]) -> String {
    let with = |status| stages.iter().filter(move |stage| stage.status == status);
    if let Some(first) = with(Status::Fail).next() {
        let remedy = first.remedy.as_deref().unwrap_or_default();
        return format!(
            "The connection does not work: {} failed. {remedy}",
            first.title
        );
    }
    let warned: Vec<&str> = with(Status::Warn)
        .map(|stage| stage.title.as_str())
        .collect();
    match warned.len() as u64 {
        0 => "The connection works.".to_owned(),
        count => {
            let warnings = counted(count, "warning");
            format!(
                "The connection works, with {warnings}: {}.",
                warned.join(", ")
            )
        }
    }
}

impl Diagnosis {
    /// The exit code: 1 if a stage failed.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.stages.iter().any(|stage| stage.status == Status::Fail))
    }

    /// The stages and the verdict as text.
    pub fn text(&self) -> String {
        self.styled(None)
    }

    /// The same with colours. Stages that are skipped for the same reason are one paragraph.
    fn styled(&self, style: Option<Style>) -> String {
        let is_same = |one: &Stage, next: &Stage| {
            one.status == Status::Skipped
                && next.status == Status::Skipped
                && one.detail == next.detail
        };
        let mut text = String::new();
        for group in self.stages.chunk_by(is_same) {
            let [first, ..] = group else { continue };
            let status = word(first.status);
            let head = match group {
                [stage] => format!("{status:<9}{}", stage.title),
                _ => format!("{status:<9}{} stages", group.len()),
            };
            let titles: Vec<&str> = group.iter().map(|stage| stage.title.as_str()).collect();
            let detail = match titles.as_slice() {
                [_] => first.detail.clone(),
                titles => format!("{}: {}", titles.join(", "), first.detail),
            };
            let lines = paragraph(&head, &detail, INDENT);
            text.push_str(&coloured(&lines, first.status, style));
            if let Some(remedy) = &first.remedy {
                text.push_str(&paragraph("", &format!("Remedy: {remedy}"), INDENT));
            }
        }
        text.push('\n');
        text.push_str(&paragraph("", &self.verdict, 0));
        text
    }
}

/// The lines with the first word in the colour of the status.
fn coloured(lines: &str, status: Status, style: Option<Style>) -> String {
    let word = word(status);
    let shown = style.map(|style| match status {
        Status::Pass => style.added(word),
        Status::Fail => style.removed(word),
        Status::Warn => style.heading(word),
        Status::Skipped => word.to_owned(),
    });
    lines.replacen(word, shown.as_deref().unwrap_or(word), 1)
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Fail => "FAIL",
        Status::Warn => "warn",
        Status::Skipped => "skipped",
    }
}

/// The text in lines that begin at a column, with the head before the first line.
fn paragraph(head: &str, text: &str, column: usize) -> String {
    let mut lines = String::new();
    let mut line = format!("{head:<column$}");
    let mut end = |line: &mut String| {
        let _ = writeln!(lines, "{}", line.trim_end());
        *line = " ".repeat(column);
    };
    for part in text.lines() {
        for word in part.split_whitespace() {
            if line.chars().count() + word.chars().count() > WIDTH && line.len() > column {
                end(&mut line);
            }
            line.push_str(word);
            line.push(' ');
        }
        end(&mut line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraph_is_wrapped_at_words_and_keeps_its_lines() {
        let long = ["word"; 30].join(" ");
        let text = paragraph("pass Title", &format!("{long}\nnext"), INDENT);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[0].starts_with("pass Title                word word"),
            "{text}"
        );
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(lines[2], "                          next");
        let address = "x".repeat(120);
        assert_eq!(paragraph("", &address, 0), format!("{address}\n"));
    }
}
