//! The alerts of detection rules: evaluated on all records, then part of the context and of the
//! readable text.
//!
//! `events` stays what the mapping makes of the raw data. Does not decide which rules are evaluated,
//! and does not store what they remember.

use comfy_table::{Table, presets};

use super::context::nested_at;
use super::readable::{ROWS, escaped};
use crate::json::Document;
use crate::json::document::elements;
use crate::protocol::{ErrorKind, Failure, Watch};
use crate::rules::{Alert, Evaluation, Outcome};

/// The number of records between two checks whether the work must stop.
const INTERVAL: usize = 256;

/// Evaluates rules on the records: the elements of the document.
pub fn evaluate(
    raw: &Document,
    mut run: Evaluation<'_>,
    watch: Watch<'_>,
) -> Result<Outcome, Failure> {
    let records = elements(raw.text()).map_err(|error| {
        let message = format!("The records are not an array: {error}.");
        Failure::new(ErrorKind::Internal, message)
    })?;
    for (n, record) in records.into_iter().enumerate() {
        if n % INTERVAL == 0 {
            watch.check(0)?;
        }
        run.record(record);
    }
    Ok(run.finish())
}

/// The context: the alerts at this place.
pub(super) fn context(at: &str, alerts: &[Alert]) -> Result<Document, Failure> {
    let rows = Document::from_value(&alerts).map_err(|error| {
        let message = "The alerts could not be written as JSON.";
        Failure::new(ErrorKind::Internal, message).caused_by(error)
    })?;
    nested_at(at, &rows)
}

/// A table of the alerts, severe ones first.
pub(super) fn table(alerts: &[Alert]) -> String {
    let heading = format!("### Alerts: {}", alerts.len());
    if alerts.is_empty() {
        return format!("{heading}\n\nNo rule matched.");
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["Level", "Alert", "Records", "Last", "What happened"]);
    for alert in alerts.iter().take(ROWS) {
        let count = alert.count.to_string();
        let cells = [
            &alert.level,
            &alert.title,
            &count,
            &alert.last_time,
            &alert.message,
        ];
        table.add_row(cells.map(|cell| escaped(cell)));
    }
    let rest = match alerts.len().saturating_sub(ROWS) {
        0 => String::new(),
        more => format!("\n\n… and {more} more."),
    };
    format!("{heading}\n\n{}{rest}", table.trim_fmt())
}
