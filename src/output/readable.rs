//! Markdown for a person: a table or a sentence.
//!
//! What a service sent is data: it cannot break out of its cell.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::protocol::document::{elements, members};
use crate::protocol::{Document, Event};

/// Rows that are shown; the rest is counted.
const ROWS: usize = 50;
/// Characters of a cell that are shown.
const WIDTH: usize = 80;

/// A table of event fields.
pub(super) fn events_table(title: &str, columns: &[String], events: &[Event]) -> String {
    let cell = |event: &Event, column: &String| event.fields.get(column).and_then(shown);
    let rows = events.iter().take(ROWS);
    table(
        title,
        columns,
        events.len(),
        rows.map(|e| columns.iter().map(|c| cell(e, c)).collect()),
    )
}

/// A table of the context's rows: members of its objects, or `member.member` of objects in them.
pub(super) fn rows_table(title: &str, columns: &[String], context: &Document) -> String {
    let rows = elements(context.text()).unwrap_or_else(|_| vec![context.text()]);
    let cells = |row: &str| {
        let cell = |column: &String| inner(row, column).and_then(|value| shown(&value));
        columns.iter().map(cell).collect()
    };
    table(
        title,
        columns,
        rows.len(),
        rows.iter().take(ROWS).map(|row| cells(row)),
    )
}

/// The text of a row's member of that name, or where the name's dots lead.
fn inner(row: &str, name: &str) -> Option<String> {
    let members = members(row).ok()?;
    let member = |name: &str| members.iter().rev().find(|member| member.name() == name);
    match (member(name), name.split_once('.')) {
        (Some(member), _) => Some(member.value().to_owned()),
        (None, Some((first, rest))) => inner(member(first)?.value(), rest),
        (None, None) => None,
    }
}

/// A sentence; `{input}` stands for the text the author gave.
pub(super) fn sentence(template: &str, written: &BTreeMap<String, String>) -> String {
    written
        .iter()
        .fold(template.to_owned(), |text, (input, value)| {
            text.replace(&format!("{{{input}}}"), &escaped(value))
        })
}

fn table(
    title: &str,
    columns: &[String],
    total: usize,
    rows: impl Iterator<Item = Vec<Option<String>>>,
) -> String {
    let heading = format!(
        "### {}: {total} {}",
        escaped(title),
        if total == 1 { "result" } else { "results" }
    );
    if total == 0 {
        return format!("{heading}\n\nNothing was found.");
    }
    let rows: Vec<Vec<Option<String>>> = rows.collect();
    // A column that no row fills tells a person nothing.
    let used: Vec<usize> = (0..columns.len())
        .filter(|n| rows.iter().any(|row| row[*n].is_some()))
        .collect();
    if used.is_empty() {
        return format!("{heading}\n\nNo column of this table has data.");
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(used.iter().map(|n| escaped(&columns[*n])));
    for row in &rows {
        table.add_row(
            used.iter()
                .map(|n| row[*n].as_deref().map(escaped).unwrap_or_default()),
        );
    }
    let rest = match total - rows.len() {
        0 => String::new(),
        more => format!("\n\n… and {more} more."),
    };
    format!("{heading}\n\n{}{rest}", table.trim_fmt())
}

/// A JSON value as a person reads it: text without quotes, lists joined by commas; none for
/// nothing.
fn shown(json: &str) -> Option<String> {
    let text = match serde_json::from_str(json) {
        Ok(Value::String(text)) => text,
        Ok(Value::Array(items)) => {
            let mut distinct: Vec<String> = Vec::new();
            for item in items {
                let item = item
                    .as_str()
                    .map_or_else(|| item.to_string(), str::to_owned);
                if !distinct.contains(&item) {
                    distinct.push(item);
                }
            }
            distinct.join(", ")
        }
        Ok(Value::Null) => String::new(),
        _ => json.to_owned(),
    };
    if text.chars().count() > WIDTH {
        return Some(text.chars().take(WIDTH - 1).chain(['…']).collect());
    }
    Some(text).filter(|text| !text.is_empty())
}

/// Text that cannot end a cell, a line or the table, and cannot become markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '|' | '\\' | '<' | '>' | '`' | '*' | '_' | '[' | ']' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_sent_cannot_break_out_of_its_cell() {
        let context = r#"[{"a":"x | y\n# no heading <b>","b":[1,"z",1],"c":null},{"a":"ä"}]"#;
        let context = Document::parse(context).expect("valid JSON");
        let columns = ["a", "b", "c", "d"].map(str::to_owned);
        let table = rows_table("A_b", &columns, &context);
        let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "### A\\_b: 2 results",
                "",
                "| a                         | b    |",
                "|---------------------------|------|",
                "| x \\| y # no heading \\<b\\> | 1, z |",
                "| ä                         |      |",
            ]
        );
    }

    #[test]
    fn a_sentence_repeats_what_the_author_wrote() {
        let written = [("content_type".to_owned(), "audit.general".to_owned())].into();
        assert_eq!(
            sentence("Started: {content_type}", &written),
            "Started: audit.general"
        );
    }
}
