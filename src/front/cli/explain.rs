//! Explanations of events as text for people, and as JSON.
//!
//! Does not create them: `mapping` does.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::json;

use crate::mapping::{FieldExplanation, RecordExplanation};

/// The maximum size of explanations as JSON, which follow the events, in bytes.
const MAX_HELD: usize = 16 << 20;

/// The maximum number of nodes that are listed as text.
const LISTED: usize = 3;

/// Values are shortened to this number of characters.
const SHOWN: usize = 60;

/// Collects explanations of records.
#[derive(Debug, Default)]
pub(super) struct Explainer {
    /// The explanations and the sources of the records, as elements of JSON arrays.
    explained: String,
    sources: String,
    /// The first record whose explanation was left out.
    left_out: Option<usize>,
    /// Of each field: its path, the number of records with a value, the nearest member.
    fields: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    field: Arc<str>,
    path: String,
    matched: u64,
    near: Option<String>,
}

impl Explainer {
    /// Holds an explanation as JSON.
    pub(super) fn hold(&mut self, explanation: &RecordExplanation) -> io::Result<()> {
        if self.explained.len() > MAX_HELD {
            self.left_out.get_or_insert(explanation.record);
            return Ok(());
        }
        for field in &explanation.fields {
            add(&mut self.explained, &serde_json::to_string(field)?);
        }
        let source = json!({ "record": explanation.record, "source": explanation.source, "conditions": explanation.conditions });
        add(&mut self.sources, &source.to_string());
        Ok(())
    }

    /// Writes the held explanations as members of an object.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Explainer {
            explained, sources, ..
        } = self;
        write!(out, ",\"explain\":[{explained}],\"sources\":[{sources}]")?;
        if let Some(record) = self.left_out {
            tracing::warn!(
                "The explanations from record {record} on are left out: they exceed {MAX_HELD} bytes."
            );
        }
        Ok(())
    }

    /// The explanation of a record as text.
    pub(super) fn text(&mut self, explanation: &RecordExplanation, follows: bool) -> String {
        let mut text = if follows { "\n" } else { "" }.to_owned();
        let _ = writeln!(
            text,
            "Record {}, source \"{}\"",
            explanation.record, explanation.source
        );
        for condition in &explanation.conditions {
            let holds = if condition.holds { "yes" } else { "no " };
            let _ = writeln!(text, "  {holds}  {}: {}", condition.source, condition.when);
        }
        let fields = &explanation.fields;
        let widest = |text: fn(&FieldExplanation) -> usize, most: usize| {
            fields.iter().map(text).max().unwrap_or_default().min(most)
        };
        let name = widest(|field| field.field.chars().count(), 30);
        let path = widest(|field| origin(field).chars().count(), 44);
        for field in fields {
            self.count(field);
            let origin = origin(field);
            let line = format!("  {:name$}  {origin:path$}  {}", field.field, values(field));
            text.push_str(line.trim_end());
            text.push('\n');
            if field.nodes.len() == 1 && says(field, &field.nodes[0]) {
                continue;
            }
            for node in field.nodes.iter().take(LISTED) {
                let _ = writeln!(text, "  {:name$}    {node}", "");
            }
            if field.nodes.len() > LISTED {
                let more = field.nodes.len() - LISTED;
                let _ = writeln!(text, "  {:name$}    and {more} more", "");
            }
        }
        text
    }

    fn count(&mut self, field: &FieldExplanation) {
        let Some(path) = &field.path else { return };
        let known = self
            .fields
            .iter_mut()
            .find(|seen| seen.field == field.field && seen.path == *path);
        let matched = u64::from(!field.nodes.is_empty());
        match known {
            Some(seen) => {
                seen.matched += matched;
                if seen.near.is_none() {
                    seen.near.clone_from(&field.near);
                }
            }
            None => self.fields.push(Seen {
                field: Arc::clone(&field.field),
                path: path.clone(),
                matched,
                near: field.near.clone(),
            }),
        }
    }

    /// The paths that matched nothing in any record.
    pub(super) fn never_matched(&self, records: u64) -> String {
        let never: Vec<&Seen> = self
            .fields
            .iter()
            .filter(|seen| seen.matched == 0)
            .collect();
        if never.is_empty() || records == 0 {
            return String::new();
        }
        let mut text = match records {
            1 => "\nNever matched:\n".to_owned(),
            _ => format!("\nNever matched in {records} records:\n"),
        };
        for seen in never {
            let _ = write!(text, "  {}: `{}` matched nothing", seen.field, seen.path);
            let _ = match &seen.near {
                Some(near) => writeln!(text, "; did you mean `{near}`?"),
                None => writeln!(text, "."),
            };
        }
        text
    }
}

fn add(list: &mut String, element: &str) {
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(element);
}

/// Where the field's value comes from.
fn origin(field: &FieldExplanation) -> String {
    match (&field.path, &field.from) {
        (Some(path), _) if path.is_empty() => "the record".to_owned(),
        (Some(path), _) => path.clone(),
        (None, Some(above)) => format!("from {above}"),
        (None, None) => "a constant".to_owned(),
    }
}

/// The value after the path, and after each step.
fn values(field: &FieldExplanation) -> String {
    let (mut text, mut before) = (String::new(), None);
    for one in &field.steps {
        let value = one.value.as_ref().map(|value| value.get());
        let is_first = text.is_empty();
        if !is_first || !matches!(one.step, "path" | "from") {
            let _ = write!(text, "{}→ {} ", if is_first { "" } else { " " }, one.step);
        }
        match value {
            _ if !is_first && value == before => text.push_str("unchanged"),
            Some(value) => text.push_str(&shortened(value)),
            None => text.push_str("nothing"),
        }
        before = value;
    }
    text
}

/// A value as JSON, shortened to fit into a line.
pub(super) fn shortened(value: &str) -> String {
    if value.chars().count() <= SHOWN {
        return value.to_owned();
    }
    let start: String = value.chars().take(SHOWN).collect();
    format!("{start}… ({} characters)", value.chars().count())
}

/// True if the path of the field says where the node is.
fn says(field: &FieldExplanation, node: &str) -> bool {
    let path = field.path.as_deref();
    path == Some(node) || path.is_some_and(str::is_empty) || path == plain(node).as_deref()
}

/// A normalized path as authors write it, if all its names are plain: `$['a']` is `.a`.
fn plain(node: &str) -> Option<String> {
    let rest = node.strip_prefix("$['")?.strip_suffix("']")?;
    let names: Vec<&str> = rest.split("']['").collect();
    let is_plain = |name: &&str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    names
        .iter()
        .all(is_plain)
        .then(|| format!(".{}", names.join(".")))
}
