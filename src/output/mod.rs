//! Presenting a reply: events, key fields, context, readable, in this order.
//!
//! Pure: the same raw data always gives the same result, which is why saved raw data can be mapped
//! again. It knows no clock, no network, and not where the data came from.

mod key_fields;
mod readable;

use std::collections::BTreeMap;

use crate::manifest::{CommandSpec, Readable};
use crate::mapping::{Extractor, FieldPath, Mapping, RecordFault};
use crate::protocol::envelope::{Options, Section};
use crate::protocol::failure::ErrorKind;
use crate::protocol::result::KeyFields;
use crate::protocol::{Document, Event, Failure, Warning};

/// How one command's answer is shown.
#[derive(Debug)]
pub struct Presentation<'a> {
    /// The command.
    pub command: &'a CommandSpec,
    /// The mapping that makes events.
    pub mapping: Option<&'a Mapping>,
    /// The inputs as the author wrote them, for sentences.
    pub written: &'a BTreeMap<String, String>,
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
    let tabulated = options.includes(Section::Readable) && outputs.readable.is_some();
    if let Some(mapping) = how.mapping
        && (options.includes(Section::Events) || tabulated)
    {
        let mapped = mapping.apply(raw)?;
        shown.made = mapped.events.len();
        shown.incomplete = unmapped(&mapped.faults);
        shown.warnings = mapped.warnings;
        shown.events = Some(mapped.events);
    }
    if options.includes(Section::KeyFields) && !outputs.key_fields.is_empty() {
        shown.key_fields = Some(key_fields::extract(raw, &outputs.key_fields)?);
    }
    // A table without events is made of the context's rows.
    if options.includes(Section::ContextData) || (tabulated && how.mapping.is_none()) {
        shown.context = context(raw, outputs.context.as_deref())?;
    }
    if options.includes(Section::Readable) {
        shown.readable = readable(&shown, how);
    }
    if !options.includes(Section::ContextData) {
        shown.context = None;
    }
    if !options.includes(Section::Events) {
        shown.events = None;
    }
    Ok(shown)
}

fn readable(shown: &Presented, how: &Presentation<'_>) -> Option<String> {
    match (how.command.outputs.readable.as_ref()?, &shown.events) {
        (Readable::Text(template), _) => Some(readable::sentence(template, how.written)),
        (Readable::Table(columns), Some(events)) => {
            Some(readable::events_table(&how.command.title, columns, events))
        }
        (Readable::Table(columns), None) => {
            let rows = shown.context.as_ref()?;
            Some(readable::rows_table(&how.command.title, columns, rows))
        }
    }
}

/// The value at an absolute path; of several, an array.
fn context(raw: &Document, path: Option<&str>) -> Result<Option<Document>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let extractor = Extractor::compile([("context", path)], "outputs")?;
    let found = extractor.run(raw)?;
    let values = found
        .first()
        .map(|found| found.values.as_slice())
        .unwrap_or_default();
    let singular = FieldPath::parse(path).is_ok_and(|path| path.singular());
    let text = match values {
        // The document itself, however large it is, need not be copied.
        [whole] if singular && whole.len() == raw.text().len() => return Ok(Some(raw.clone())),
        [.., last] if singular => (*last).to_owned(),
        several => format!("[{}]", several.join(",")),
    };
    Document::parse(&text).map(Some).map_err(|error| {
        Failure::new(
            ErrorKind::Internal,
            format!("The context at {path} is not JSON: {error}."),
        )
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
