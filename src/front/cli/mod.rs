//! The command line: the table of subcommands.
//!
//! Data goes to stdout, messages go to stderr. A subcommand only translates flags and prints:
//! `host`, `manifest` and `mapping` do the work.

mod args;
mod completions;
mod describe;
mod doctor;
mod explain;
mod fmt;
mod guide;
mod init;
mod log;
mod map;
mod mapping;
mod operations;
mod out;
mod parse;
mod poll;
pub(in crate::front) mod progress;
mod reference;
mod request;
#[cfg(feature = "rules")]
mod rules;
mod run;
#[cfg(feature = "sim")]
mod sandbox;
mod schema;
mod settings;
mod signals;
#[cfg(feature = "sim")]
mod simulate;
mod standard;
mod style;
#[cfg(feature = "sim")]
mod try_command;
mod validate;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::protocol::failure::{fault_count, shown_place};
use crate::protocol::{ErrorKind, Failure, Redactor};
pub use doctor::{Diagnosis, diagnosis};
pub use fmt::canonical;
pub use guide::{GUIDES, Guide};
pub use log::trace_log;
pub use reference::page as reference_page;
pub use schema::SCHEMAS;
#[cfg(feature = "sim")]
pub(in crate::front) use simulate::{is_world_member, world_faults};
pub use standard::Standard;

use args::{Cli, Command, RunArgs};
use out::Out;
use settings::host;

/// Without the simulator, there are no worlds.
#[cfg(not(feature = "sim"))]
pub(in crate::front) fn is_world_member(_: &str) -> bool {
    false
}

/// The fault of every world file: it cannot be checked.
#[cfg(not(feature = "sim"))]
pub(in crate::front) fn world_faults(_: &str) -> Vec<Failure> {
    let message = "This build has no simulator, so it cannot check world files.";
    vec![Failure::invalid_input("", message)]
}

/// The exit code for invalid arguments, requests and files.
const INVALID: u8 = 2;

/// The error of a subcommand.
#[derive(Debug)]
pub(super) enum CliError {
    /// Printed on stderr; exit 2.
    Failure(Failure),
    /// Stdout could not be written.
    Stdout(io::Error),
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        CliError::Failure(failure)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        CliError::Stdout(error)
    }
}

/// The exit code of a subcommand.
pub(super) type ExitResult = Result<u8, CliError>;

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    let cli = parse::read();
    let redactor = Redactor::default();
    let quiet = is_quiet(cli.command.as_ref()).then_some(settings::LogLevel::Off);
    log::start(
        cli.settings.log_level.or(quiet),
        cli.settings.log_format,
        redactor.clone(),
    );
    let mut out = match Out::open() {
        Ok(out) => out,
        Err(error) => return out::unwritable(&error),
    };
    let ended = dispatch(cli, &redactor, &mut out).and_then(|code| {
        out.finish()?;
        Ok(code)
    });
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(CliError::Stdout(error)) => out::unwritable(&error),
        Err(CliError::Failure(failure)) => print_failure(failure),
    }
}

/// True for commands that print failures and warnings themselves.
fn is_quiet(command: Option<&Command>) -> bool {
    match command {
        Some(Command::Doctor(_)) => true,
        #[cfg(feature = "sim")]
        Some(Command::Try(_)) => true,
        _ => false,
    }
}

/// THE TABLE of subcommands.
fn dispatch(cli: Cli, redactor: &Redactor, out: &mut Out) -> ExitResult {
    let Cli {
        command,
        settings,
        run: flags,
    } = cli;
    let open = || host(&settings, redactor);
    match command {
        None => run::run(&RunArgs { file: None, flags }, &settings, redactor, out),
        Some(Command::Poll(args)) => poll::poll(&args, &settings, redactor, out),
        Some(Command::Run(args)) => run::run(&args.after(flags), &settings, redactor, out),
        #[cfg(feature = "sim")]
        Some(Command::Try(args)) => try_command::run_sample(&args, &settings, redactor, out),
        Some(Command::List(args)) => describe::list(&args, open().catalog()?, out),
        Some(Command::Describe(args)) => describe::describe(&args, open().catalog()?, out),
        Some(Command::Sample(args)) => describe::sample(&args, open().catalog()?, out),
        Some(Command::Operations(args)) => operations::print(&args, out),
        Some(Command::Doctor(args)) => doctor::doctor(&args, &settings, redactor, out),
        Some(Command::Schema(args)) => schema::print(&args, &open(), out),
        Some(Command::Init(args)) => init::init(&args, out),
        Some(Command::Validate(args)) => validate::validate(&args, &settings, out),
        Some(Command::Fmt(args)) => fmt::fmt(&args, &settings, out),
        Some(Command::Map(args)) => map::map(&args, &settings, open().catalog()?, out),
        Some(Command::Mapping(command)) => {
            mapping::mapping(&command, &settings, open().catalog()?, out)
        }
        #[cfg(feature = "rules")]
        Some(Command::Rules(command)) => rules::rules(&command, open().catalog()?, out),
        Some(Command::Reference(args)) => {
            reference::print(&args, &settings, open().catalog()?, out)
        }
        #[cfg(feature = "sim")]
        Some(Command::Simulate(args)) => simulate::simulate(&args, &settings, out),
        Some(Command::Guide(args)) => guide::print(&args, out),
        Some(Command::Completions(args)) => {
            completions::print(&args, parse::command_line(), open().catalog()?, out)
        }
        Some(Command::Man(args)) => completions::man(&args, parse::command_line(), out),
        Some(Command::Settings) => {
            out.write_all(parse::settings_help().as_bytes())?;
            Ok(0)
        }
    }
}

/// Prints a failure on stderr, with its place, advice and single faults.
fn print_failure(failure: Failure) -> ExitCode {
    let message = failure.message();
    let message =
        fault_count(message).map_or_else(|| message.to_owned(), |count| format!("{count}."));
    let mut text = format!("error: {message}\n");
    let place = shown_place(failure.place()).map(|place| format!("  at: {place}\n"));
    let advice = failure
        .assistance()
        .map(|advice| format!("  advice: {advice}\n"));
    let faults = failure.split();
    if let [_] = faults.as_slice() {
        text.extend(place);
    } else {
        text.extend(faults.iter().map(|fault| format!("  fault: {fault}\n")));
    }
    text.extend(advice);
    // Nothing can be done if stderr cannot be written either.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(INVALID)
}

/// Prints how to start, for a user who started the program without a request.
fn print_hint() -> u8 {
    let lines = "soarhost reads one JSON request on stdin and writes one JSON result on stdout.\n\
                 Try it without an account and without a network: soarhost try \"Fetch Event\"\n\
                 All subcommands and flags: soarhost --help\n";
    let _ = io::stderr().write_all(lines.as_bytes());
    INVALID
}

#[expect(clippy::disallowed_methods, reason = "the only access to stdin")]
fn stdin() -> io::Stdin {
    io::stdin()
}

fn stdin_is_a_terminal() -> bool {
    stdin().is_terminal()
}

/// A runtime on the current thread: a command mostly waits.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            let message = format!("The runtime could not be started: {error}.");
            Failure::new(ErrorKind::Internal, message)
        })
}
