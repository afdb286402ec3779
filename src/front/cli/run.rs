//! `run`: reads one request or a batch, runs it, and writes the results.
//!
//! A rejected request starts no runtime and no client.

use std::io::{self, BufRead, Write};
use std::mem::ManuallyDrop;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::front::cli::args::RunArgs;
use crate::front::cli::out::Out;
use crate::front::cli::progress::{self, Progress};
use crate::front::cli::request::{input, request, unreadable};
use crate::front::cli::settings::SettingsArgs;
use crate::front::cli::{
    CliError, ExitResult, host, print_hint, runtime, signals, stdin_is_a_terminal,
};
use crate::host::{Cancel, Host, RunOutcome};
use crate::json::whitespace::indented;
use crate::protocol::Redactor;
use crate::protocol::envelope::MAX_BYTES;
use crate::protocol::failure::ErrorKind;
use crate::protocol::result::{ResultEnvelope, more_serious};

/// Runs the requests of the file or of stdin.
pub(super) fn run(
    args: &RunArgs,
    settings: &SettingsArgs,
    redactor: &Redactor,
    out: &mut Out,
) -> ExitResult {
    if args.file.is_none() && stdin_is_a_terminal() {
        return Ok(print_hint());
    }
    #[cfg(feature = "sim")]
    if args.flags.sandbox {
        let (_sandbox, host) = super::sandbox::host(settings, redactor)?;
        return with_host(args, &host, settings, out);
    }
    // The process ends after the run, so freeing the host would only take time.
    let host = ManuallyDrop::new(host(settings, redactor));
    with_host(args, &host, settings, out)
}

fn with_host(args: &RunArgs, host: &Host, settings: &SettingsArgs, out: &mut Out) -> ExitResult {
    let (file, flags) = (args.file.as_deref(), args.flags);
    if flags.batch {
        return match input(file) {
            Ok(input) => {
                let progress = Progress::beside(out, settings, "Running");
                batch(input, flags.jobs, (host, &progress), out)
            }
            Err(failure) => deliver(host.refuse(failure).into(), false, out),
        };
    }
    let ran = match request(file) {
        Ok(request) => single(&request, host, &Progress::start(settings, "Running"))?,
        Err(failure) => host.refuse(failure).into(),
    };
    deliver(ran, flags.pretty, out)
}

/// A line of a batch, or the error of the input.
type Line = io::Result<Vec<u8>>;

/// How long a stopped batch waits for lines that were already read.
const GRACE: Duration = Duration::from_millis(100);

/// The size of a request, in bytes, above which signals are handled during its check. Starting to
/// handle signals takes about 0.1 ms, which is longer than the check of a smaller request.
const LARGE: usize = 64 * 1024;

/// Runs one request. A runtime starts only after all checks.
pub(super) fn single(
    request: &[u8],
    host: &Host,
    progress: &Progress,
) -> Result<RunOutcome, CliError> {
    let cancel = Cancel::default();
    let is_large = request.len() > LARGE;
    if is_large {
        signals::handle_with(&cancel);
    }
    match host.check(request, &cancel) {
        Err(refused) => Ok((*refused).into()),
        Ok(checked) => {
            if !is_large {
                signals::handle_with(&cancel);
            }
            let runtime = runtime()?;
            let meter = checked.meter();
            let shown = || progress::usage(meter.usage());
            Ok(runtime.block_on(progress.during(host.run(checked), shown)))
        }
    }
}

/// Writes a result, and then commits its state.
fn deliver(ran: RunOutcome, pretty: bool, out: &mut Out) -> ExitResult {
    write(&ran.result, pretty, out)?;
    ran.state.commit();
    Ok(ran.result.exit_code())
}

fn write(result: &ResultEnvelope, pretty: bool, out: &mut Out) -> Result<(), CliError> {
    let written = if pretty {
        serde_json::to_string(result)
            .map(|text| indented(&text))
            .map_err(io::Error::from)
            .and_then(|text| out.write_all(text.as_bytes()))
    } else {
        serde_json::to_writer(&mut *out, result).map_err(io::Error::from)
    };
    written?;
    out.write_all(b"\n")?;
    out.finish()?;
    Ok(())
}

/// Runs one request per line. Writes one result per line in the order of the input, and flushes
/// each.
fn batch(
    input: Box<dyn BufRead + Send>,
    jobs: u16,
    (host, progress): (&Host, &Progress),
    out: &mut Out,
) -> ExitResult {
    runtime()?.block_on(async {
        let cancel = signals::handle();
        let (sender, receiver) = mpsc::channel(usize::from(jobs));
        // Reading blocks, so it has its own thread. The thread ends with the input or the process.
        std::thread::spawn(move || lines(input, &sender));
        let results = futures_util::stream::unfold(receiver, |mut receiver| {
            let cancel = cancel.clone();
            async move {
                let line = tokio::select! {
                    biased;
                    line = receiver.recv() => line,
                    // Requests that were already read have a result, too.
                    _ = cancel.wait() => tokio::time::timeout(GRACE, receiver.recv()).await.ok()?,
                };
                line.map(|line| (line, receiver))
            }
        })
        .map(|(number, line)| line_result(number, line, host, &cancel))
        .buffered(usize::from(jobs));
        let mut results = std::pin::pin!(results);
        let (mut code, mut done) = (0, 0);
        while let Some(ran) = results.next().await {
            code = more_serious(code, deliver(ran, false, out)?);
            done += 1;
            progress.set(done, "results");
        }
        if let Some(signal) = cancel.raised() {
            code = more_serious(code, signal.exit_code());
        }
        Ok(code)
    })
}

async fn line_result(number: u64, line: Line, host: &Host, cancel: &Cancel) -> RunOutcome {
    let checked = match line {
        Ok(line) => host.check(&line, cancel),
        Err(error) => Err(Box::new(host.refuse(unreadable(None, &error)))),
    };
    match checked {
        Ok(checked) => host.run(checked).await,
        Err(mut refused) => {
            if let Some(error) = &mut refused.error
                && matches!(
                    error.kind,
                    ErrorKind::MalformedRequest
                        | ErrorKind::RequestTooLarge
                        | ErrorKind::UnsupportedProtocol
                )
            {
                error.at = Some(format!("line {number}"));
            }
            (*refused).into()
        }
    }
}

/// Sends every line with its number. Blank lines are counted and skipped. A line that is too long
/// is truncated just above the limit.
fn lines(mut input: Box<dyn BufRead + Send>, sender: &mpsc::Sender<(u64, Line)>) {
    let mut number = 0;
    loop {
        let mut line = Vec::new();
        number += 1;
        match read_line(&mut *input, &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                // The receiver is dropped only when the process ends.
                let _ = sender.blocking_send((number, Err(error)));
                return;
            }
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        if line.ends_with(b"\r") {
            line.pop();
        }
        let blank = line.iter().all(u8::is_ascii_whitespace);
        if !blank && sender.blocking_send((number, Ok(line))).is_err() {
            return;
        }
    }
}

/// Reads to the end of the line and drops the bytes above the limit.
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let mut seen = 0;
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() {
            return Ok(seen);
        }
        let (taken, ended) = match memchr::memchr(b'\n', piece) {
            Some(at) => (at + 1, true),
            None => (piece.len(), false),
        };
        let capacity = (MAX_BYTES + 2).saturating_sub(line.len());
        line.extend_from_slice(&piece[..taken.min(capacity)]);
        input.consume(taken);
        seen += taken;
        if ended {
            return Ok(seen);
        }
    }
}
