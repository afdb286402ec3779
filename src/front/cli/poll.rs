//! `poll`: the sinks, and the default state folder.
//!
//! The loop is in `front::poll`.

use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use crate::front::cli::args::{PollArgs, Target};
use crate::front::cli::out::{Out, UNWRITABLE};
use crate::front::cli::progress::Progress;
use crate::front::cli::request::request;
use crate::front::cli::settings::{self, SettingsArgs, text_variable};
use crate::front::cli::{ExitResult, host, runtime, signals};
use crate::front::poll::{self, Poll, PollOptions, Sink};
use crate::host::Host;
use crate::protocol::{Failure, Redactor};

/// Stdout: data is stored when it is written.
impl Sink for Out {
    fn acknowledge(&mut self) -> io::Result<()> {
        self.finish()
    }
}

/// A file: data is stored when it is on the disk.
struct FileSink {
    out: Out,
    file: File,
}

impl Write for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Sink for FileSink {
    fn acknowledge(&mut self) -> io::Result<()> {
        self.out.finish()?;
        if self.file.metadata()?.is_file() {
            self.file.sync_all()?;
        }
        Ok(())
    }
}

/// Runs the request until nothing is left to fetch.
pub(super) fn poll(
    args: &PollArgs,
    operator: &SettingsArgs,
    redactor: &Redactor,
    out: &mut Out,
) -> ExitResult {
    let mut operator = operator.clone();
    // The same request under `run` would advance the state of this poll.
    operator.flags = None;
    if operator.state.is_none() {
        operator.state = Some(state_folder()?);
    }
    #[cfg(feature = "sim")]
    if args.sandbox {
        let (_sandbox, host) = super::sandbox::host(&operator, redactor)?;
        return with_host(args, &operator, &host, out);
    }
    let host = ManuallyDrop::new(host(&operator, redactor));
    with_host(args, &operator, &host, out)
}

fn with_host(args: &PollArgs, operator: &SettingsArgs, host: &Host, out: &mut Out) -> ExitResult {
    let refuse = |failure| host.refuse(failure).exit_code();
    let cancel = signals::handle();
    let opened = request(Some(&args.file))
        .map_err(refuse)
        .and_then(|request| Poll::open(host, &request, args.emit, cancel));
    let poll = match opened {
        Ok(poll) => poll,
        Err(code) => return Ok(code),
    };
    let clock = settings::clock(operator.now.as_deref())?;
    let options = |progress| PollOptions {
        max_runs: args.max_runs,
        clock,
        progress,
    };
    let Target::File(path) = &args.to else {
        if out.is_discarded() {
            let failure = Failure::invalid_input("--to", "Stdout is closed or is /dev/null.")
                .cause("The poll would commit its state, and the lines would be lost.")
                .advice("Redirect stdout to a file or a program. To discard the lines, use `--to file:/dev/null`.");
            return Ok(refuse(failure));
        }
        let progress = Progress::beside(out, operator, "Polling");
        return Ok(runtime()?.block_on(poll.run(out, options(&progress)))?);
    };
    let opened = poll::file::open(path).and_then(FileSink::new);
    let mut sink = match opened {
        Ok(sink) => sink,
        Err(failure) => return Ok(refuse(failure)),
    };
    let progress = Progress::start(operator, "Polling");
    let ended = runtime()?.block_on(poll.run(&mut sink, options(&progress)));
    ended.or_else(|error| {
        let path = path.display();
        tracing::error!(
            advice = "Free disk space or correct --to, then start the poll again.",
            "{path} could not be written: {error}. The state was not committed: the next poll \
             delivers these lines again."
        );
        Ok(UNWRITABLE)
    })
}

impl FileSink {
    fn new(file: File) -> Result<Self, Failure> {
        let unusable = |error| Failure::invalid_input("--to", format!("Cannot write: {error}."));
        let writer = file.try_clone().map_err(unusable)?;
        let out = Out::over(writer);
        Ok(FileSink { out, file })
    }
}

/// The state folder without `--state`.
fn state_folder() -> Result<PathBuf, Failure> {
    // A service manager can set several folders, separated by colons.
    let managed = text_variable("STATE_DIRECTORY");
    let managed = managed.and_then(|all| all.split(':').next().map(PathBuf::from));
    let below = |name: &str, path: &str| Some(PathBuf::from(text_variable(name)?).join(path));
    managed
        .or_else(|| below("XDG_STATE_HOME", "soarhost"))
        .or_else(|| below("HOME", ".local/state/soarhost"))
        .ok_or_else(|| {
            Failure::invalid_input("--state", "No state folder: HOME is not set.")
                .advice("Set a folder with --state.")
        })
}
