//! A difference between two versions of a mapping, as Markdown for a pull request.
//!
//! Values are in code spans, where a platform follows no link, notifies no user and renders no
//! markup. The page stays below the size that platforms accept for a comment.

use std::fmt::Write as _;

use super::text::{Compared, part_name, short, verdict, what};
use crate::mapping::diff::{EventChange, EventPart, PartChange};

/// The maximum number of rows of a table.
const ROWS: usize = 100;

/// A heading, a table of fields, and a folded table of events.
pub(super) fn page(compared: &Compared) -> String {
    let difference = &compared.difference;
    let mut page = format!(
        "#### Mapping {}\n\n{}\n",
        code(&compared.title),
        verdict(compared)
    );
    let fields = difference
        .fields
        .iter()
        .map(|field| [code(&field.name), what(field), parts(&field.definition)]);
    let definition = Some(&difference.definition).filter(|parts| !parts.is_empty());
    let definition =
        definition.map(|found| ["*(mapping)*".to_owned(), "changed".to_owned(), parts(found)]);
    table(
        &mut page,
        ["Field", "Change", "Definition"],
        fields.chain(definition),
    );
    if !difference.events.is_empty() {
        page.push_str("\n<details><summary>Events</summary>\n");
        let events = difference.events.iter().map(|one| {
            let [old, new] = [&one.old, &one.new].map(|value| value.as_ref().map(|raw| raw.get()));
            [
                code(&one.sample),
                code(&one.key),
                changed(one),
                value(old),
                value(new),
            ]
        });
        table(
            &mut page,
            ["Sample", "Event", "Field", "Old", "New"],
            events,
        );
        page.push_str("\n</details>\n");
    }
    page
}

fn table<const N: usize>(
    page: &mut String,
    names: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = writeln!(page, "\n| {} |\n|{}", names.join(" | "), "---|".repeat(N));
    for row in rows.by_ref().take(ROWS) {
        let _ = writeln!(page, "| {} |", row.join(" | "));
    }
    let rest = rows.count();
    if rest > 0 {
        let _ = writeln!(
            page,
            "\n… and {rest} more: `mapping diff --json` lists all."
        );
    }
}

fn changed(change: &EventChange) -> String {
    match (change.part, &change.field) {
        (EventPart::Field, Some(name)) => code(name),
        (EventPart::Key, _) => "*(key)*".to_owned(),
        (EventPart::Source, _) => "*(source)*".to_owned(),
        _ => "*(event)*".to_owned(),
    }
}

fn parts(parts: &[PartChange]) -> String {
    let one = |part: &PartChange| {
        let [old, new] = [&part.old, &part.new].map(|one| one.as_ref().map(ToString::to_string));
        let (old, new) = (value(old.as_deref()), value(new.as_deref()));
        format!("{}: {old} → {new}", code(&part_name(part)))
    };
    let shown: Vec<String> = parts.iter().take(5).map(one).collect();
    match parts.len().saturating_sub(shown.len()) {
        0 => shown.join("<br>"),
        rest => format!("{}<br>… and {rest} more", shown.join("<br>")),
    }
}

fn value(json: Option<&str>) -> String {
    json.map_or("*none*".to_owned(), code)
}

/// A code span in a cell of a table. A backslash before a pipe would end the cell, so it is doubled.
fn code(text: &str) -> String {
    let text = short(text);
    let mut shown = String::with_capacity(text.len() + 8);
    let (mut backslashes, mut run, mut longest) = (0, 0, 0);
    for letter in text.chars() {
        if letter == '|' {
            shown.push_str(if backslashes % 2 == 1 { "\\\\" } else { "\\" });
        }
        backslashes = if letter == '\\' { backslashes + 1 } else { 0 };
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
        shown.push(letter);
    }
    let fence = "`".repeat(longest + 1);
    if shown.starts_with('`') || shown.ends_with('`') || shown.is_empty() {
        format!("{fence} {shown} {fence}")
    } else {
        format!("{fence}{shown}{fence}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_sample_cannot_leave_its_cell() {
        for (text, shown) in [
            ("a", "`a`"),
            ("a|b", "`a\\|b`"),
            ("a\\|b", "`a\\\\\\|b`"),
            ("a\\\\|b", "`a\\\\\\|b`"),
            ("a\nb\u{9b}31m", "`a b\\u009b31m`"),
            ("a``b", "```a``b```"),
            ("`", "`` ` ``"),
            ("@org/team <b>", "`@org/team <b>`"),
            ("", "`  `"),
        ] {
            assert_eq!(code(text), shown, "{text:?}");
        }
        let long = format!("{}end", "x".repeat(200));
        assert!(code(&long).ends_with("xend`") && code(&long).chars().count() == 62);
        assert_eq!(
            code(&format!("sha256:{}", "0a".repeat(32))),
            "`sha256:0a0a0a0a…`"
        );
    }

    #[test]
    fn long_table_is_cut_with_the_number_of_missing_rows() {
        let mut page = String::new();
        table(&mut page, ["A"], (0..ROWS + 7).map(|n| [n.to_string()]));
        assert_eq!(page.matches("\n| ").count(), ROWS + 1);
        assert!(
            page.ends_with("\n\n… and 7 more: `mapping diff --json` lists all.\n"),
            "{page}"
        );
    }
}
