//! The command line: the table of sub-commands, and what each of them is given.
//!
//! stdout is data, stderr is talk. A sub-command only translates flags and prints; what is true is
//! decided by `host`, `manifest` and `mapping`.

mod args;
mod describe;
mod log;
mod map;
mod operations;
mod out;
mod parse;
mod poll;
mod reference;
mod run;
#[cfg(feature = "sim")]
mod sandbox;
mod schema;
mod settings;
mod signals;
#[cfg(feature = "sim")]
mod simulate;
mod validate;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::host::Host;
use crate::protocol::{Failure, Redactor};
pub use reference::page as reference_page;
pub use schema::SCHEMAS;

use args::{Cli, Command, RunArgs, SettingsArgs};
use out::Out;

/// The request or the files must be mended.
const MEND: u8 = 2;

/// Why a sub-command ended without success.
#[derive(Debug)]
pub(super) enum Stop {
    /// Said to a person on stderr; exit 2.
    Failure(Failure),
    /// Stdout could not be written.
    Stdout(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failure(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Stdout(error)
    }
}

/// What a sub-command returns: the exit code.
pub(super) type Ended = Result<u8, Stop>;

/// The binary.
pub fn main() -> ExitCode {
    #[cfg_attr(not(feature = "sim"), expect(unused_mut))]
    let mut cli = parse::read();
    let redactor = Redactor::default();
    // `try` tells a person all of it itself.
    #[cfg(feature = "sim")]
    if matches!(cli.command, Some(Command::Try(_))) {
        cli.settings.log_level.get_or_insert(args::LogLevel::Off);
    }
    log::start(
        cli.settings.log_level,
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
        Err(Stop::Stdout(error)) => out::unwritable(&error),
        Err(Stop::Failure(failure)) => tell(failure),
    }
}

/// THE TABLE of sub-commands.
fn dispatch(cli: Cli, redactor: &Redactor, out: &mut Out) -> Ended {
    let Cli {
        command,
        settings,
        run: flags,
    } = cli;
    let open = || settings::host(&settings, redactor.clone());
    match command {
        None => run::run(&RunArgs { file: None, flags }, &settings, redactor, out),
        Some(Command::Poll(args)) => poll::poll(&args, &settings, redactor, out),
        Some(Command::Run(args)) => run::run(&args.after(flags), &settings, redactor, out),
        #[cfg(feature = "sim")]
        Some(Command::Try(args)) => sandbox::show(&args, &settings, redactor, out),
        Some(Command::List(args)) => describe::list(&args, open().catalog()?, out),
        Some(Command::Describe(args)) => describe::describe(&args, open().catalog()?, out),
        Some(Command::Sample(args)) => describe::sample(&args, open().catalog()?, out),
        Some(Command::Operations(args)) => operations::print(&args, out),
        Some(Command::Schema(args)) => schema::print(&args, &open(), out),
        Some(Command::Validate(args)) => validate::validate(&args, &settings, out),
        Some(Command::Map(args)) => map::map(&args, open().catalog()?, out),
        Some(Command::Reference(args)) => reference::print(&args, open().catalog()?, out),
        #[cfg(feature = "sim")]
        Some(Command::Simulate(args)) => simulate::simulate(&args, &settings, out),
        Some(Command::Settings) => {
            out.write_all(parse::settings_help().as_bytes())?;
            Ok(0)
        }
    }
}

/// Prints a failure on stderr, with its place, its advice and its single faults.
fn tell(failure: Failure) -> ExitCode {
    let mut text = format!("error: {}\n", failure.message());
    let place = failure.place().map(|place| format!("  at: {place}\n"));
    let advice = failure
        .assistance()
        .map(|advice| format!("  advice: {advice}\n"));
    let faults = failure.split();
    if let [_] = faults.as_slice() {
        text.extend(place);
    } else {
        let told = |fault: &Failure| format!("  fault: {fault}\n");
        text.extend(faults.iter().map(told));
    }
    text.extend(advice);
    // Nothing can be done if stderr cannot be written either.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(MEND)
}

/// Three lines for a person who started the binary by hand, and at once.
fn greet() -> u8 {
    let lines = "soarhost reads one JSON request on stdin and writes one JSON result on stdout.\n\
                 Try it without an account and without a network: soarhost try \"Fetch Event\"\n\
                 All sub-commands and flags: soarhost --help\n";
    let _ = io::stderr().write_all(lines.as_bytes());
    MEND
}

#[expect(clippy::disallowed_methods, reason = "stdin is asked for here only")]
fn stdin() -> io::Stdin {
    io::stdin()
}

fn stdin_is_a_person() -> bool {
    stdin().is_terminal()
}

/// Opens a host or says why not.
fn host(settings: &SettingsArgs, redactor: &Redactor) -> Host {
    settings::host(settings, redactor.clone())
}
