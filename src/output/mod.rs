//! Presents a reply: events, key fields, context and readable text, in this order.
//!
//! The same raw data always gives the same result, so saved raw data can be mapped again. Uses no
//! clock and no network, and does not know where the data came from.

mod alerts;
mod assessment;
mod context;
mod key_fields;
mod readable;

use std::collections::BTreeMap;

use crate::json::Document;
use crate::manifest::outputs::Context;
use crate::manifest::{CommandKind, CommandSpec, Readable};
use crate::mapping::{Mapping, RecordFault};
use crate::protocol::envelope::{Options, Section};
use crate::protocol::failure::ErrorKind;
use crate::protocol::result::KeyFields;
use crate::protocol::{Event, Failure, Warning, Watch};
use crate::rules::Alert;

pub use alerts::evaluate;

/// How to present the reply of one command.
#[derive(Debug)]
pub struct Presentation<'a> {
    /// The command.
    pub command: &'a CommandSpec,
    /// The mapping of the events.
    pub mapping: Option<&'a Mapping>,
    /// The mapping of the context's rows.
    pub context: Option<&'a Mapping>,
    /// The alerts of detection rules, if the command evaluates rules.
    pub alerts: Option<&'a [Alert]>,
    /// What a command of kind `write` changed.
    pub changed: Option<&'a Document>,
    /// The inputs as the request spells them, for the readable text.
    pub written: &'a BTreeMap<String, String>,
    /// Stops the work early.
    pub watch: Watch<'a>,
}

impl Presentation<'_> {
    fn changes(&self) -> bool {
        self.command.kind == CommandKind::Write
    }
}

/// A presented reply.
#[derive(Debug, Default)]
pub struct Presented {
    /// Mapped events.
    pub events: Option<Vec<Event>>,
    /// The number of mapped events, also if they are not requested.
    pub made: usize,
    /// Indicators.
    pub key_fields: Option<KeyFields>,
    /// Data that playbooks address by path.
    pub context: Option<Document>,
    /// Markdown for people.
    pub readable: Option<String>,
    /// Problems that did not make the command fail.
    pub warnings: Vec<Warning>,
    /// Records that could not be mapped.
    pub incomplete: Option<Failure>,
}

/// Presents a document as the manifest declares and the options request.
pub fn present(
    raw: &Document,
    how: &Presentation<'_>,
    options: &Options,
) -> Result<Presented, Failure> {
    let mut shown = Presented::default();
    let outputs = &how.command.outputs;
    let needs_table = options.includes(Section::Readable)
        && outputs.readable.as_ref().is_some_and(Readable::needs_rows);
    if let Some(mapping) = how.mapping
        && (options.includes(Section::Events) || needs_table)
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
    // Without events, the table shows the context's rows.
    let mut rows = None;
    if options.includes(Section::ContextData) || (needs_table && how.mapping.is_none()) {
        rows = shown.take_context(raw, how)?;
    }
    if options.includes(Section::Readable)
        && let Some(readable) = &outputs.readable
    {
        let context = rows.as_ref().or(shown.context.as_ref());
        let rows = match (&shown.events, context) {
            (Some(events), _) => Some(Rows::Events(events)),
            (None, Some(context)) => Some(Rows::Context(context)),
            (None, None) => None,
        };
        let text = readable_text(readable, raw, rows, how)?;
        shown.readable = match (how.alerts.map(alerts::table), text) {
            (Some(alerts), Some(text)) => Some(format!("{alerts}\n\n{text}")),
            (alerts, text) => alerts.or(text),
        };
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
    /// Sets the context. Returns its rows if it is mapped.
    fn take_context(
        &mut self,
        raw: &Document,
        how: &Presentation<'_>,
    ) -> Result<Option<Document>, Failure> {
        if let (Some(rules), Some(alerts)) = (&how.command.outputs.rules, how.alerts) {
            self.context = Some(alerts::context(&rules.at, alerts)?);
            return Ok(None);
        }
        let (mapping, declared) = match (&how.command.outputs.context, how.context) {
            (Some(Context::Rows(declared)), Some(mapping)) => (mapping, declared),
            (Some(Context::Path(path)), _) => {
                self.context = Some(context::at_path(raw, path)?);
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
        if declared.whole_records {
            let rows = context::at_path(source, &mapping.definition().root)?;
            self.context = Some(context::nested_at(&declared.at, &rows)?);
            return Ok(Some(rows));
        }
        let (rows, mapped) = context::rows(source, mapping, how.watch)?;
        self.context = Some(context::nested_at(&declared.at, &rows)?);
        self.warnings.extend(mapped.warnings);
        let faults = unmapped(&mapped.faults);
        self.incomplete = self.incomplete.take().or(faults);
        Ok(Some(rows))
    }
}

/// The rows of a table.
enum Rows<'a> {
    Events(&'a [Event]),
    Context(&'a Document),
}

fn readable_text(
    readable: &Readable,
    raw: &Document,
    rows: Option<Rows<'_>>,
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
    let is_empty = match &rows {
        Some(Rows::Events(events)) => events.is_empty(),
        Some(Rows::Context(context)) => context.text() == "[]",
        None => false,
    };
    if let Some(empty) = readable.empty.as_ref().filter(|_| is_empty) {
        return fill(empty).map(Some);
    }
    let heading = readable::Heading {
        usual: &how.command.title,
        custom: readable.title.as_deref().map(fill).transpose()?,
    };
    let columns = &readable.table;
    Ok(rows.map(|rows| match (rows, &readable.assessment) {
        (Rows::Events(events), Some(declared)) => assessment::text(&heading, declared, events),
        (Rows::Events(events), None) => readable::events_table(&heading, columns, events),
        (Rows::Context(context), _) => readable::rows_table(&heading, columns, context),
    }))
}

/// The failure for records that could not be mapped. Other records are delivered.
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
