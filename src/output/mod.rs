//! Presenting a reply: events, key fields, context, readable, in this order.
//!
//! Pure: the same raw data always gives the same result, which is why saved raw data can be mapped
//! again. It knows no clock, no network, and not where the data came from.

mod context;
mod key_fields;
mod readable;

use std::collections::BTreeMap;

use crate::json::Document;
use crate::manifest::outputs::{Context, ContextRows};
use crate::manifest::{CommandKind, CommandSpec, Readable};
use crate::mapping::{Mapping, RecordFault};
use crate::protocol::envelope::{Options, Section};
use crate::protocol::failure::ErrorKind;
use crate::protocol::result::KeyFields;
use crate::protocol::{Event, Failure, Warning, Watch};

/// How one command's answer is shown.
#[derive(Debug)]
pub struct Presentation<'a> {
    /// The command.
    pub command: &'a CommandSpec,
    /// The mapping that makes events.
    pub mapping: Option<&'a Mapping>,
    /// The mapping that makes the context's rows.
    pub context: Option<&'a Mapping>,
    /// What a command that changes something has changed.
    pub changed: Option<&'a Document>,
    /// The inputs as the author wrote them, for sentences.
    pub written: &'a BTreeMap<String, String>,
    /// What ends the work early.
    pub watch: Watch<'a>,
}

impl Presentation<'_> {
    fn changes(&self) -> bool {
        self.command.kind == CommandKind::Write
    }
}

/// What is shown.
#[derive(Debug, Default)]
pub struct Presented {
    /// Mapped events.
    pub events: Option<Vec<Event>>,
    /// How many events were made, whether they are shown or not.
    pub made: usize,
    /// Indicators.
    pub key_fields: Option<KeyFields>,
    /// What playbooks address by path.
    pub context: Option<Document>,
    /// Markdown.
    pub readable: Option<String>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// Records that could not be mapped.
    pub incomplete: Option<Failure>,
}

/// Presents a document as the command declares and the options ask.
pub fn present(
    raw: &Document,
    how: &Presentation<'_>,
    options: &Options,
) -> Result<Presented, Failure> {
    let mut shown = Presented::default();
    let outputs = &how.command.outputs;
    let has_table = |readable: &Readable| !readable.table.is_empty();
    let tabulated =
        options.includes(Section::Readable) && outputs.readable.as_ref().is_some_and(has_table);
    if let Some(mapping) = how.mapping
        && (options.includes(Section::Events) || tabulated)
    {
        let mapped = mapping.apply_within(raw, how.watch)?;
        shown.made = mapped.events.len();
        shown.incomplete = unmapped(&mapped.faults);
        shown.warnings = mapped.warnings;
        shown.events = Some(mapped.events);
    }
    if options.includes(Section::KeyFields) && !outputs.key_fields.is_empty() {
        shown.key_fields = Some(key_fields::extract(raw, &outputs.key_fields)?);
    }
    // A table without events is made of the context's rows.
    let mut rows = None;
    if options.includes(Section::ContextData) || (tabulated && how.mapping.is_none()) {
        rows = shown.take_context(raw, how)?;
    }
    if options.includes(Section::Readable)
        && let Some(readable) = &outputs.readable
    {
        let rows = rows.as_ref().or(shown.context.as_ref());
        shown.readable = told(readable, raw, (shown.events.as_deref(), rows), how)?;
    }
    if !options.includes(Section::ContextData) {
        shown.context = None;
    }
    if !options.includes(Section::Events) {
        shown.events = None;
    }
    Ok(shown)
}

impl Presented {
    /// Fills in the context; gives its rows where a mapping makes them.
    fn take_context(
        &mut self,
        raw: &Document,
        how: &Presentation<'_>,
    ) -> Result<Option<Document>, Failure> {
        let (mapping, rows) = match (&how.command.outputs.context, how.context) {
            (Some(Context::Rows(rows)), Some(mapping)) => (mapping, rows),
            (Some(Context::Path(path)), _) => {
                self.context = context::at_path(raw, path)?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        let source = if how.changes() {
            how.changed
        } else {
            Some(raw)
        };
        let Some(source) = source else {
            return Ok(None);
        };
        self.take_rows(source, (mapping, how.watch), rows).map(Some)
    }

    fn take_rows(
        &mut self,
        source: &Document,
        mapping: (&Mapping, Watch<'_>),
        declared: &ContextRows,
    ) -> Result<Document, Failure> {
        let (rows, mapped) = context::rows(source, mapping)?;
        self.context = Some(context::standing_at(&declared.at, &rows)?);
        self.warnings.extend(mapped.warnings);
        let faults = unmapped(&mapped.faults);
        self.incomplete = self.incomplete.take().or(faults);
        Ok(rows)
    }
}

fn told(
    readable: &Readable,
    raw: &Document,
    (events, rows): (Option<&[Event]>, Option<&Document>),
    how: &Presentation<'_>,
) -> Result<Option<String>, Failure> {
    let fill = |template: &str| readable::filled(template, how.written, raw);
    let text = match (&readable.unchanged, &readable.text) {
        (Some(unchanged), _) if how.changes() && how.changed.is_none() => Some(unchanged),
        (_, text) => text.as_ref(),
    };
    if let Some(text) = text {
        return fill(text).map(Some);
    }
    let heading = readable::Heading {
        usual: &how.command.title,
        own: readable.title.as_deref().map(fill).transpose()?,
    };
    let columns = &readable.table;
    Ok(match (events, rows) {
        (Some(events), _) => Some(readable::events_table(&heading, columns, events)),
        (None, Some(rows)) => Some(readable::rows_table(&heading, columns, rows)),
        (None, None) => None,
    })
}

/// Records that could not be mapped are reported, the rest is delivered.
fn unmapped(faults: &[RecordFault]) -> Option<Failure> {
    let first = faults.first()?;
    let message = match faults.len() {
        1 => format!(
            "Record {} could not be mapped: {}",
            first.index, first.message
        ),
        n => format!(
            "{n} records could not be mapped; the first: {}",
            first.message
        ),
    };
    let whole = Failure::new(ErrorKind::BadResponse, message)
        .cause("The service sent records that are not what a mapping can read.")
        .advice("The records are in `raw_data`; the others were mapped and delivered.");
    Some(faults.iter().fold(whole, |whole, fault| {
        let item = Failure::new(ErrorKind::BadResponse, fault.message.clone());
        whole.with_item(item.at(format!("raw_data, record {}", fault.index)))
    }))
}
