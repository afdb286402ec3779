//! An assessment of events for people: the first and the last time, and for each declared field a
//! table of its most frequent values with a bar.
//!
//! The manifest decides the fields. The tables have a limited number of rows; the last one counts
//! all other values.

use std::collections::HashMap;

use comfy_table::{CellAlignment, Table, presets};

use super::readable::{Heading, escaped, shown};
use crate::manifest::outputs::{Assessment, Column};
use crate::protocol::Event;

/// The number of values that a table shows.
const TOP: usize = 10;
/// The length of the longest bar.
const BAR: usize = 20;

/// The assessment of these events.
pub(super) fn text(heading: &Heading<'_>, declared: &Assessment, events: &[Event]) -> String {
    let mut text = heading.over(events.len());
    if events.is_empty() {
        return format!("{text}\n\n{}", heading.none());
    }
    let times = events.iter();
    let times = times.filter_map(|event| event.fields.get(&declared.time).and_then(shown));
    let (first, last) = times.fold((None, None), |(first, last), time| {
        let first = first.filter(|first| *first <= time);
        let last: Option<String> = last.filter(|last| *last >= time);
        (
            first.or_else(|| Some(time.clone())),
            last.or_else(|| Some(time.clone())),
        )
    });
    if let (Some(first), Some(last)) = (first, last) {
        let between = format!("\n\nFirst: {}. Last: {}.", escaped(&first), escaped(&last));
        text.push_str(&between);
    }
    for column in &declared.counts {
        let counts = counts(column, events);
        if !counts.is_empty() {
            text.push_str("\n\n");
            text.push_str(&table(column, &counts));
        }
    }
    text
}

/// The values of the field with their counts, the most frequent first.
fn counts<'a>(column: &Column, events: &'a [Event]) -> Vec<(&'a str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for event in events {
        if let Some(value) = event.fields.get(column.field()) {
            *counts.entry(value).or_default() += 1;
        }
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_unstable_by(|(one, of_one), (other, of_other)| {
        of_other.cmp(of_one).then(one.cmp(other))
    });
    counts
}

fn table(column: &Column, counts: &[(&str, usize)]) -> String {
    // A single further value is shown instead of being counted as others.
    let top = if counts.len() == TOP + 1 {
        TOP + 1
    } else {
        TOP.min(counts.len())
    };
    let (shown_values, others) = counts.split_at(top);
    let longest = counts.first().map_or(1, |(_, count)| *count);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([escaped(column.heading()), "Count".to_owned(), String::new()]);
    for (value, count) in shown_values {
        let value = shown(value).unwrap_or_default();
        table.add_row([escaped(&value), count.to_string(), bar(*count, longest)]);
    }
    if !others.is_empty() {
        let count = others.iter().map(|(_, count)| count).sum::<usize>();
        let name = format!("{} others", others.len());
        table.add_row([name, count.to_string(), String::new()]);
    }
    if let Some(count) = table.column_mut(1) {
        count.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A bar in proportion to the longest one, at least one block.
fn bar(count: usize, longest: usize) -> String {
    "█".repeat((count * BAR).div_ceil(longest.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_limit_are_counted_together() {
        let counts: Vec<(String, usize)> =
            (0..12).map(|n| (format!("\"v{n:02}\""), 12 - n)).collect();
        let counts: Vec<(&str, usize)> = counts.iter().map(|(v, n)| (v.as_str(), *n)).collect();
        let text = table(&Column::Named("User".to_owned()), &counts);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 + TOP + 1, "{text}");
        assert!(lines[2].contains(&"█".repeat(BAR)), "{text}");
        assert!(
            lines[12].contains("2 others") && lines[12].contains(" 3 "),
            "{text}"
        );
        assert!(table(&Column::Named("User".to_owned()), &counts[..11]).contains("v10"));
    }
}
