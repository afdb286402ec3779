//! The only writer to stdout. The host has removed the secrets from results.
//!
//! Returns errors instead of panicking: a closed pipe ends the process silently with 141, a full
//! disk with 74 and one line on stderr.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

/// The exit code if the reader closed stdout.
const BROKEN_PIPE: u8 = 141;
/// The exit code if stdout, or a poll's file, cannot be written.
pub(super) const UNWRITABLE: u8 = 74;

/// Stdout.
#[derive(Debug)]
pub(super) struct Out(BufWriter<File>);

impl Out {
    /// Opens stdout.
    ///
    /// A stdout that was closed before the start counts as discarded: the standard library replaces
    /// it with `/dev/null`, as Python's `subprocess.DEVNULL` and Node's `'ignore'` do.
    #[expect(clippy::disallowed_methods, reason = "the one writer to stdout")]
    pub(super) fn open() -> io::Result<Self> {
        let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Out::over(to))
    }

    /// Opens another file for writing.
    pub(super) fn over(to: File) -> Self {
        Out(BufWriter::with_capacity(32 * 1024, to))
    }

    /// True if stdout is the null device, also if it was closed before the start.
    pub(super) fn is_discarded(&self) -> bool {
        let device = |file: std::fs::Metadata| file.rdev();
        let null = std::fs::metadata("/dev/null").map(device);
        let stdout = self.0.get_ref().metadata().map(device);
        matches!((stdout, null), (Ok(stdout), Ok(null)) if stdout == null)
    }

    /// True if a person reads stdout.
    pub(super) fn is_terminal(&self) -> bool {
        self.0.get_ref().is_terminal()
    }

    /// Writes all buffered bytes.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.finish()
    }
}

/// The exit code for a stdout that could not be written.
pub(super) fn unwritable(error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::from(BROKEN_PIPE);
    }
    // Nothing can be done if stderr cannot be written either.
    let _ = writeln!(
        io::stderr(),
        "soarhost: stdout could not be written: {error}"
    );
    ExitCode::from(UNWRITABLE)
}
