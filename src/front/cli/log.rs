//! The log on stderr, redacted. It has no effect on results: what cannot be written is lost.

use std::fmt;
use std::io::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{self, DefaultFields, Format};
use tracing_subscriber::fmt::{
    FmtContext, FormatEvent, FormatFields, MakeWriter, SubscriberBuilder,
};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::front::cli::progress::hidden_while;
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
    let max = default.max(of_poll);
    let write = |line: &str| hidden_while(|| io::stderr().write_all(line.as_bytes()));
    let writer = Writer { redactor, write };
    // An error means that a log was started already.
    let _ = match format {
        LogFormat::Text => text(writer, max).with(targets).try_init(),
        LogFormat::Json => {
            let builder = builder(writer, max).json().flatten_event(true);
            builder.finish().with(targets).try_init()
        }
    };
}

/// The log as text at level trace, for tests. Each event is redacted and then written.
pub fn trace_log(redactor: Redactor, write: Write) -> impl Subscriber {
    text(Writer { redactor, write }, LevelFilter::TRACE)
}

fn text(writer: Writer, max: LevelFilter) -> impl Subscriber {
    builder(writer, max).event_format(Lines).finish()
}

fn builder(
    writer: Writer,
    max: LevelFilter,
) -> SubscriberBuilder<DefaultFields, Format, LevelFilter, Writer> {
    tracing_subscriber::fmt()
        .with_max_level(max)
        .with_ansi(false)
        .with_target(false)
        .with_writer(writer)
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
        mut writer: format::Writer<'_>,
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

/// Writes the redacted text of one event.
type Write = fn(&str) -> io::Result<()>;

#[derive(Clone, Debug)]
struct Writer {
    redactor: Redactor,
    write: Write,
}

/// The text of one event, redacted and written as a whole.
#[derive(Debug)]
struct Line {
    writer: Writer,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            writer: self.clone(),
            text: Vec::new(),
        }
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Writer { redactor, write } = &self.writer;
        let line = redactor.redact_log_line(&String::from_utf8_lossy(&self.text));
        self.text.clear();
        write(&line)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A log that cannot be written must not change the result.
        let _ = io::Write::flush(self);
    }
}
