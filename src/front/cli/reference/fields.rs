//! The tables of a mapping: one for each source, with the path of each field and its conversions.
//!
//! Long lookup tables are below the table of their source.

use serde_json::{Map, Value};

use super::{cell, line};
use crate::mapping::{Definition, Field, Source, Take};

/// Lookup tables with more entries are below the table.
const SHORT_LOOKUP: usize = 6;

/// The head of a table, and of one without conversions.
const HEAD: &str = "\n| Field | Path | Conversion |\n|---|---|---|";
const SHORT_HEAD: &str = "\n| Field | Path |\n|---|---|";

/// Writes a table for each source.
pub(super) fn tables(page: &mut String, mapping: &Definition) {
    for source in &mapping.sources {
        line(page, &format!("\n{}:", heading(source, mapping)));
        let converts = source
            .fields
            .iter()
            .any(|field| !conversion(field).is_empty());
        line(page, if converts { HEAD } else { SHORT_HEAD });
        for field in &source.fields {
            let name = field.event_name(mapping.vocabulary);
            let (path, conversion) = (origin(field), conversion(field));
            let conversion = if converts {
                format!(" {conversion} |")
            } else {
                String::new()
            };
            line(page, &format!("| {name} | {path} |{conversion}"));
        }
        for field in &source.fields {
            if let Some(values) = field.values.as_ref().filter(|values| is_long(values)) {
                let list: Vec<String> = values.iter().map(entry).collect();
                line(
                    page,
                    &format!("\nValues of {}: {}.", field.field, list.join(", ")),
                );
            }
        }
    }
    if mapping.sources.len() > 1 {
        line(
            page,
            "\nThe first source whose condition is true gets the record. It inherits the fields of the last source.",
        );
    }
}

/// The source's title with its condition.
fn heading(source: &Source, mapping: &Definition) -> String {
    let title = match source.title.as_str() {
        "" => source.id.as_str(),
        title => title,
    };
    match &source.when {
        Some(when) => format!("{title} (`{}`), if `{when}`", source.id),
        None if mapping.sources.len() > 1 => {
            format!("{title} (`{}`), all other records", source.id)
        }
        None => title.to_owned(),
    }
}

/// The path of a field, or the name of the field above that it uses.
pub(super) fn origin(field: &Field) -> String {
    match (&field.path, &field.from) {
        (Some(path), _) if path.is_empty() => "the record".to_owned(),
        (Some(path), _) => cell(&format!("`{path}`")),
        (None, Some(from)) => format!("the field {from}"),
        (None, None) => "constant".to_owned(),
    }
}

/// The steps after the path, in their order, and the note.
pub(super) fn conversion(field: &Field) -> String {
    let mut steps: Vec<String> = Vec::new();
    steps.extend(match field.take {
        None | Some(Take::All) => None,
        Some(Take::First) => Some("the first value".to_owned()),
        Some(Take::Last) => Some("the last value".to_owned()),
        Some(Take::Unique) => Some("each value once".to_owned()),
        Some(Take::Join) => Some("joined by commas".to_owned()),
    });
    steps.extend(
        field
            .regex
            .as_ref()
            .map(|regex| format!("what matches `{regex}`")),
    );
    steps.extend(field.values.as_ref().map(|values| {
        if is_long(values) {
            "looked up, see below".to_owned()
        } else {
            let entries: Vec<String> = values.iter().map(entry).collect();
            entries.join(", ")
        }
    }));
    let kind = field.kind.and_then(|kind| serde_json::to_value(kind).ok());
    let kind = kind.as_ref().and_then(Value::as_str);
    steps.extend(kind.map(|kind| format!("as {kind}")));
    steps.extend(
        field
            .format
            .as_ref()
            .map(|format| format!("in `{}`", plain(format))),
    );
    steps.extend(
        field
            .default
            .as_ref()
            .map(|default| format!("else `{}`", plain(default))),
    );
    let mut text = steps.join("; ");
    if let Some(note) = &field.note {
        text = [text.as_str(), note].join(if text.is_empty() { "" } else { ". " });
    }
    cell(&text)
}

fn is_long(values: &Map<String, Value>) -> bool {
    values.len() > SHORT_LOOKUP
}

fn entry((from, to): (&String, &Value)) -> String {
    match from.as_str() {
        "*" => format!("others → `{}`", plain(to)),
        from => format!("`{from}` → `{}`", plain(to)),
    }
}

/// A text without quotation marks, or JSON.
pub(super) fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
