//! Talk on stderr, through the redactor. It never decides anything.

use std::io::{self, Write};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::front::cli::args::{LogFormat, LogLevel};
use crate::protocol::Redactor;

/// Starts the log. A second call in one process changes nothing.
pub(super) fn start(level: LogLevel, format: LogFormat, redactor: Redactor) {
    let level = match level {
        LogLevel::Off => return,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .with_writer(Stderr(redactor));
    // An error means that a log was started already.
    let _ = match format {
        LogFormat::Text => builder.without_time().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

#[derive(Clone, Debug)]
struct Stderr(Redactor);

/// One event's line: collected, then struck out and written whole.
#[derive(Debug)]
struct Line {
    redactor: Redactor,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            redactor: self.0.clone(),
            text: Vec::new(),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut out = Vec::with_capacity(self.text.len());
        self.redactor.strike_out(&self.text, &mut out);
        self.text.clear();
        io::stderr().write_all(&out)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A log that cannot be written must not change what the host does.
        let _ = self.flush();
    }
}
