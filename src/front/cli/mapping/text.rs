//! A difference between two versions of a mapping, as text for a terminal.
//!
//! Long lists are cut, with the number of rows that are left out. `--json` has all of them.

use std::fmt::Write as _;

use crate::front::cli::style::Style;
use crate::front::counted;
use crate::mapping::diff::{Change, Difference, EventChange, EventPart, FieldChange, PartChange};
use crate::protocol::redact::escape_control_characters;

/// The maximum number of events that are shown for a field.
const ROWS: usize = 5;
/// The maximum number of characters of a value.
const WIDTH: usize = 60;

/// The result of a comparison, for printing.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) title: String,
    pub(super) samples: usize,
    pub(super) difference: Difference,
}

/// The differences by field, then those that belong to no field.
pub(super) fn page(compared: &Compared, style: Style) -> String {
    let difference = &compared.difference;
    let mut page = format!("{}\n", verdict(compared));
    let rows = |part: EventPart, field: Option<&str>| -> Vec<&EventChange> {
        let is_meant = |one: &&EventChange| one.part == part && one.field.as_deref() == field;
        difference.events.iter().filter(is_meant).collect()
    };
    for field in &difference.fields {
        heading(&mut page, &field.name, &what(field), style);
        parts(&mut page, &field.definition, style);
        events(&mut page, rows(EventPart::Field, Some(&field.name)), style);
    }
    if !difference.definition.is_empty() {
        heading(&mut page, "Mapping", "changed", style);
        parts(&mut page, &difference.definition, style);
    }
    for (part, title) in [
        (EventPart::Key, "Event keys"),
        (EventPart::Source, "Event sources"),
        (EventPart::Event, "Events"),
    ] {
        let rows = rows(part, None);
        if rows.is_empty() {
            continue;
        }
        let what = match part {
            EventPart::Event => format!("{} of one version only", number(rows.len())),
            _ => format!("changed in {}", number(rows.len())),
        };
        heading(&mut page, title, &what, style);
        events(&mut page, rows, style);
    }
    page
}

/// How many events differ.
pub(super) fn verdict(compared: &Compared) -> String {
    let (difference, count) = (&compared.difference, |n| {
        u64::try_from(n).unwrap_or(u64::MAX)
    });
    let samples = counted(count(compared.samples), "sample");
    let events = counted(count(difference.compared), "event");
    match difference.differing {
        0 if difference.is_empty() => {
            format!("The versions are the same: {events} in {samples} compared.")
        }
        0 => format!(
            "The definitions differ, but no event of the samples does: {events} in {samples} compared."
        ),
        1 => format!("1 of {events} in {samples} differs."),
        n => format!("{n} of {events} in {samples} differ."),
    }
}

/// The kind of change of a field, and the number of events.
pub(super) fn what(field: &FieldChange) -> String {
    let change = match field.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    };
    match field.events {
        0 => format!("{change}; no sample shows it"),
        n => format!("{change} in {}", number(n)),
    }
}

fn number(events: usize) -> String {
    counted(u64::try_from(events).unwrap_or(u64::MAX), "event")
}

fn heading(page: &mut String, name: &str, what: &str, style: Style) {
    let name = style.heading(&escape_control_characters(name));
    let _ = writeln!(page, "\n{name}: {what}");
}

fn parts(page: &mut String, parts: &[PartChange], style: Style) {
    for part in parts {
        let [old, new] =
            [&part.old, &part.new].map(|value| value.as_ref().map(ToString::to_string));
        let name = escape_control_characters(&part_name(part));
        let change = change(old.as_deref(), new.as_deref(), style);
        let _ = writeln!(page, "  {name}: {change}");
    }
}

/// The name of a part, with its source.
pub(super) fn part_name(part: &PartChange) -> String {
    match &part.source {
        Some(source) => format!("source \"{source}\", {}", part.part),
        None => part.part.clone(),
    }
}

fn events(page: &mut String, rows: Vec<&EventChange>, style: Style) {
    let rest = rows.len().saturating_sub(ROWS);
    for row in rows.into_iter().take(ROWS) {
        let place = match row.part {
            EventPart::Key | EventPart::Event => row.sample.clone(),
            _ => format!("{} {}", row.sample, short(&row.key)),
        };
        let place = escape_control_characters(&place);
        let [old, new] = [&row.old, &row.new].map(|value| value.as_ref().map(|raw| raw.get()));
        let _ = writeln!(page, "    {place}: {}", change(old, new, style));
    }
    if rest > 0 {
        let _ = writeln!(page, "    … and {rest} more (--json lists all)");
    }
}

fn change(old: Option<&str>, new: Option<&str>, style: Style) -> String {
    let shown = |value: Option<&str>| value.map_or("none".to_owned(), short);
    let (old, new) = (style.removed(&shown(old)), style.added(&shown(new)));
    format!("{old} → {new}")
}

/// A text that fits into a line. Its middle is left out, because both ends can differ; of a hash,
/// the end.
pub(super) fn short(text: &str) -> String {
    let text = escape_control_characters(text).replace(['\n', '\t'], " ");
    let bare = text.trim_matches('"');
    if let Some(digits) = bare
        .strip_prefix("sha256:")
        .filter(|digits| digits.len() == 64)
    {
        let quote = if bare.len() < text.len() { "\"" } else { "" };
        let first = digits.get(..8).unwrap_or_default();
        return format!("{quote}sha256:{first}…{quote}");
    }
    let count = text.chars().count();
    if count <= WIDTH {
        return text;
    }
    let head: String = text.chars().take(WIDTH - 20).collect();
    let tail: String = text.chars().skip(count - 19).collect();
    format!("{head}…{tail}")
}
