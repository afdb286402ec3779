//! Markdown for people: a table or a sentence.
//!
//! Text from a service is escaped, so it cannot change the table or add markup.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use serde_json::Value;
use url::Url;

use crate::json::Document;
use crate::json::document::{elements, members};
use crate::manifest::outputs::Column;
use crate::manifest::template::fill;
use crate::output::context;
use crate::protocol::{Event, Failure};
use crate::when::instant;

/// The maximum number of rows. Further rows are counted.
pub(super) const ROWS: usize = 50;
/// The maximum number of characters of a cell.
const WIDTH: usize = 80;

/// The heading of a table.
pub(super) struct Heading<'a> {
    /// The command's title, which is shown with the number of rows.
    pub(super) usual: &'a str,
    /// The integration's heading, which is shown instead.
    pub(super) custom: Option<String>,
}

impl Heading<'_> {
    pub(super) fn over(&self, rows: usize) -> String {
        let results = if rows == 1 { "result" } else { "results" };
        match &self.custom {
            Some(custom) => format!("### {custom}"),
            None => format!("### {}: {rows} {results}", escaped(self.usual)),
        }
    }

    /// The text that replaces a table without rows.
    pub(super) fn none(&self) -> &'static str {
        match self.custom {
            Some(_) => "**No entries.**",
            None => "Nothing was found.",
        }
    }
}

/// A table of event fields.
pub(super) fn events_table(heading: &Heading<'_>, columns: &[Column], events: &[Event]) -> String {
    let cell = |event: &Event, column: &Column| event.fields.get(column.field()).and_then(shown);
    let rows = events.iter().take(ROWS);
    table(
        heading,
        columns,
        events.len(),
        rows.map(|e| columns.iter().map(|c| cell(e, c)).collect()),
    )
}

/// A table of the context's rows. A column names a member, or `member.member` of a nested object.
pub(super) fn rows_table(heading: &Heading<'_>, columns: &[Column], context: &Document) -> String {
    let rows = elements(context.text()).unwrap_or_else(|_| vec![context.text()]);
    let cells = |row: &str| {
        let cell = |column: &Column| inner(row, column.field()).and_then(|value| shown(&value));
        columns.iter().map(cell).collect()
    };
    table(
        heading,
        columns,
        rows.len(),
        rows.iter().take(ROWS).map(|row| cells(row)),
    )
}

/// The JSON text of a row's member. If no member has the name, its dots are followed.
fn inner(row: &str, name: &str) -> Option<String> {
    let members = members(row).ok()?;
    let member = |name: &str| members.iter().rev().find(|member| member.name() == name);
    match (member(name), name.split_once('.')) {
        (Some(member), _) => Some(member.value().to_owned()),
        (None, Some((first, rest))) => inner(member(first)?.value(), rest),
        (None, None) => None,
    }
}

/// Replaces `{input}` in a template by the input as the request spells it, and `{$.path}` by the
/// value at that path of the raw data.
pub(super) fn filled(
    template: &str,
    written: &BTreeMap<String, String>,
    raw: &Document,
) -> Result<String, Failure> {
    fill(template, |name| {
        match (name.starts_with('$'), written.get(name)) {
            (true, _) => from_raw(raw, name).map(Some),
            (false, value) => Ok(value.map(|value| escaped(value))),
        }
    })
}

fn from_raw(raw: &Document, path: &str) -> Result<String, Failure> {
    let (path, format) = match path.split_once('|') {
        Some((path, format)) => (path, Some(format)),
        None => (path, None),
    };
    let found = context::at_path(raw, path)?;
    let mut text = text_of(found.text()).unwrap_or_default();
    if let Some(format) = format
        && let Some(time) = instant(&text, &[])
    {
        text = time.format(format).to_string();
    }
    // A percent-encoded address cannot end a link, and an escape would become part of the address.
    let is_address = Url::parse(&text).is_ok_and(|url| url.as_str() == text)
        && !text.contains(['(', ')', '<', '>', '|', '`']);
    Ok(if is_address { text } else { escaped(&text) })
}

fn table(
    heading: &Heading<'_>,
    columns: &[Column],
    total: usize,
    rows: impl Iterator<Item = Vec<Option<String>>>,
) -> String {
    let above = heading.over(total);
    if total == 0 {
        return format!("{above}\n\n{}", heading.none());
    }
    let rows: Vec<Vec<Option<String>>> = rows.collect();
    // Columns without data are omitted.
    let used: Vec<usize> = (0..columns.len())
        .filter(|n| rows.iter().any(|row| row[*n].is_some()))
        .collect();
    if used.is_empty() {
        return format!("{above}\n\nNo column of this table has data.");
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(used.iter().map(|n| escaped(columns[*n].heading())));
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
    format!("{above}\n\n{}{rest}", table.trim_fmt())
}

/// A JSON value for people: strings without quotes, arrays joined by commas. `None` for an empty
/// value.
pub(super) fn shown(json: &str) -> Option<String> {
    let text = text_of(json)?;
    if text.chars().count() > WIDTH {
        return Some(text.chars().take(WIDTH - 1).chain(['…']).collect());
    }
    Some(text)
}

fn text_of(json: &str) -> Option<String> {
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
    Some(text).filter(|text| !text.is_empty())
}

/// Escapes text so that it cannot end a cell, a line or the table, and cannot become markup.
pub(super) fn escaped(text: &str) -> String {
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
    fn text_of_a_service_cannot_change_the_table() {
        let context = r#"[{"a":"x | y\n# no heading <b>","b":[1,"z",1],"c":null},{"a":"ä"}]"#;
        let context = Document::parse(context).expect("valid JSON");
        let columns = ["a", "b", "c", "d"].map(|name| Column::Named(name.to_owned()));
        let heading = Heading {
            usual: "A_b",
            custom: None,
        };
        let table = rows_table(&heading, &columns, &context);
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
    fn sentence_has_the_input_as_the_request_spells_it() {
        let written = [("content_type".to_owned(), "audit.general".to_owned())].into();
        let raw = Document::parse(
            r#"{"url":"https://a.test/b_c?d=*","text":"a_b","at":"2021-01-02T00:00:00Z"}"#,
        );
        let raw = raw.expect("valid JSON");
        let filled = |template| filled(template, &written, &raw).expect("a text");
        assert_eq!(filled("Started: {content_type}"), "Started: audit.general");
        assert_eq!(
            filled("{other} [link]({$.url}) {$.text}{$.none} {"),
            "{other} [link](https://a.test/b_c?d=*) a\\_b {"
        );
        assert_eq!(filled("{$.at|%m/%d/%Y %H:%M:%S}"), "01/02/2021 00:00:00");
    }
}
