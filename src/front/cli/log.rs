//! The log on stderr, redacted. It has no effect on results.

use std::fmt;
use std::io::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::front::cli::settings::{LogFormat, LogLevel};
use crate::protocol::Redactor;

/// Starts the log. Without a level, it has errors, warnings and one line for each run of `poll`. A
/// second call in one process has no effect.
pub(super) fn start(level: Option<LogLevel>, format: LogFormat, redactor: Redactor) {
    let default = match level.unwrap_or_default() {
        LogLevel::Off => return,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let of_poll = level.map_or(LevelFilter::INFO, |_| default);
    // Libraries log each HTTP/2 frame at debug.
    let of_libraries = match default {
        LevelFilter::TRACE => default,
        other => other.min(LevelFilter::WARN),
    };
    let targets = Targets::new()
        .with_default(of_libraries)
        .with_target(env!("CARGO_CRATE_NAME"), default)
        .with_target("poll", of_poll);
    let builder = tracing_subscriber::fmt()
        .with_max_level(default.max(of_poll))
        .with_ansi(false)
        .with_target(false)
        .with_writer(Stderr(redactor));
    // An error means that a log was started already.
    let _ = match format {
        LogFormat::Text => builder
            .event_format(Lines)
            .finish()
            .with(targets)
            .try_init(),
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true);
            builder.finish().with(targets).try_init()
        }
    };
}

/// Plain text: `level: message`, then one line per field.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        write!(writer, "{level}: {}{}", fields.message, fields.others)?;
        writeln!(writer)
    }
}

/// The fields of an event as text.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Fields {
    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        for line in value.lines() {
            self.others.extend(["\n  ", field.name(), ": ", line]);
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[derive(Clone, Debug)]
struct Stderr(Redactor);

/// The text of one event, redacted and written as a whole.
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
        let line = self
            .redactor
            .redact_log_line(&String::from_utf8_lossy(&self.text));
        self.text.clear();
        io::stderr().write_all(line.as_bytes())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A log that cannot be written must not change the result.
        let _ = self.flush();
    }
}
