//! The one writer to stdout, with the redactor in front of it.
//!
//! It returns errors instead of panicking: a closed pipe ends the process silently with 141, a
//! full disk with 74 and one line on stderr. Nothing else in the crate writes to stdout.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use crate::protocol::Redactor;

/// The reader went away.
const BROKEN_PIPE: u8 = 141;
/// Stdout, or a poll's file, could not be written.
pub(super) const UNWRITABLE: u8 = 74;

/// As much is looked at in one go, in bytes.
const PIECE: usize = 64 * 1024;

/// Stdout.
#[derive(Debug)]
pub(super) struct Out(BufWriter<Redacting>);

impl Out {
    /// Opens stdout, unbuffered below our own buffer.
    ///
    /// A stdout that was closed before the start counts as discarded: the standard library has
    /// replaced it by `/dev/null`, opened as Python's `subprocess.DEVNULL` and Node's `'ignore'` are.
    #[expect(clippy::disallowed_methods, reason = "the one writer to stdout")]
    pub(super) fn open(redactor: Redactor) -> io::Result<Self> {
        let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Out::over(to, redactor))
    }

    /// The same for another file.
    pub(super) fn over(to: File, redactor: Redactor) -> Self {
        let redacting = Redacting {
            to,
            redactor,
            held: Vec::new(),
        };
        Out(BufWriter::with_capacity(32 * 1024, redacting))
    }

    /// Writes what is buffered, to the last byte.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_mut().release()
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

/// Strikes secrets out of a stream of JSON; holds back a string that has not ended.
#[derive(Debug)]
struct Redacting {
    to: File,
    redactor: Redactor,
    held: Vec<u8>,
}

impl Redacting {
    fn pass(&mut self) -> io::Result<()> {
        let mut out = Vec::with_capacity(self.held.len());
        let done = self.redactor.strike_out_json(&self.held, &mut out);
        self.held.drain(..done);
        self.to.write_all(&out)
    }

    /// What is left is no JSON: text for a person that ended inside quotes.
    fn release(&mut self) -> io::Result<()> {
        let mut out = Vec::with_capacity(self.held.len());
        self.redactor.strike_out(&self.held, &mut out);
        self.held.clear();
        self.to.write_all(&out)?;
        self.to.flush()
    }
}

impl Write for Redacting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.is_empty() && self.redactor.is_idle() {
            return self.to.write(bytes);
        }
        // In pieces, because a result's records may be most of the memory already.
        let piece = &bytes[..bytes.len().min(PIECE)];
        self.held.extend_from_slice(piece);
        self.pass()?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
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
