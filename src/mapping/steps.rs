//! The steps that change a field's values: take, regex, values, type, format, default, in this order.
//!
//! Values are JSON texts: digits and escapes are not changed, unless a step needs the decoded text.
//! Null is not a value. The steps apply to each element of an array. Does not find the values.

use std::borrow::Cow;

use regex::Regex;
use serde_json::{Map, Value};

use super::definition::{Field, FieldType, Take};
use crate::json::scan;
use crate::json::whitespace::compact;
use crate::when;

/// The steps of one field, compiled.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    take: Take,
    regex: Option<Regex>,
    values: Map<String, Value>,
    kind: Option<FieldType>,
    format: Option<Format>,
    default: Option<String>,
    /// True if the field is an array, by its path and `take`.
    many: bool,
    /// True if a step changes single values.
    alters: bool,
}

/// The places of the value in a text or in JSON.
#[derive(Clone, Debug)]
enum Format {
    Text(String, String),
    /// The JSON text between the places of the value.
    Json(Vec<String>),
}

/// The result of a field's steps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// JSON text; `None` without a value.
    pub(crate) value: Option<String>,
    /// The number of values that could not be converted and were left out.
    pub(crate) dropped: usize,
}

impl Steps {
    /// Compiles the steps. `singular` is true if the path selects at most one value. Each fault has
    /// the key of the field's definition.
    pub(crate) fn compile(
        field: &Field,
        singular: bool,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut faults = Vec::new();
        let regex = field
            .regex
            .as_deref()
            .and_then(|pattern| match pattern_of(pattern) {
                Ok(regex) => Some(regex),
                Err(message) => {
                    faults.push(("regex", message));
                    None
                }
            });
        let format = field.format.as_ref().and_then(|format| {
            let read = format_of(format);
            if read.is_none() {
                let message = "A format must have `{}` exactly once, for the value; an object or \
                               array must have the text \"{}\", at most four times.";
                faults.push(("format", message.to_owned()));
            }
            read
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let take = field.take.unwrap_or_default();
        let values = field.values.clone().unwrap_or_default();
        let many = !singular && matches!(take, Take::All | Take::Unique);
        Ok(Steps {
            take,
            alters: regex.is_some()
                || format.is_some()
                || !values.is_empty()
                || field.kind.is_some(),
            regex,
            values,
            kind: field.kind,
            format,
            default: default_of(field, many),
            many,
        })
    }

    /// The value after each step that the field has.
    pub(crate) fn trace<'a>(
        &self,
        found: &(impl DoubleEndedIterator<Item = &'a str> + Clone),
    ) -> Vec<(&'static str, Option<String>)> {
        let mut partial = Steps {
            take: self.take,
            many: self.many,
            ..Steps::default()
        };
        let mut traced = Vec::new();
        let mut add = |name, partial: &mut Steps, alters: bool| {
            partial.alters |= alters;
            traced.push((name, partial.run(found.clone()).value));
        };
        let has_null = found.clone().any(|raw| raw == "null");
        if self.take != Take::All || (self.many && has_null) {
            add("take", &mut partial, false);
        }
        if self.regex.is_some() {
            partial.regex.clone_from(&self.regex);
            add("regex", &mut partial, true);
        }
        if !self.values.is_empty() {
            partial.values.clone_from(&self.values);
            add("values", &mut partial, true);
        }
        if self.kind.is_some() {
            partial.kind = self.kind;
            add("type", &mut partial, true);
        }
        if self.format.is_some() {
            partial.format.clone_from(&self.format);
            add("format", &mut partial, true);
        }
        if self.default.is_some() {
            partial.default.clone_from(&self.default);
            add("default", &mut partial, false);
        }
        traced
    }

    /// True if the field is an array, by its path and `take`.
    pub(crate) fn is_many(&self) -> bool {
        self.many
    }

    /// Runs the steps on the values of a path.
    pub(crate) fn run<'a>(
        &self,
        found: impl DoubleEndedIterator<Item = &'a str> + Clone,
    ) -> Outcome {
        let mut found = found.filter(|raw| *raw != "null");
        let mut dropped = 0;
        let value = if self.many {
            self.array(found, &mut dropped)
        } else {
            let taken = match self.take {
                Take::First => found.next().map(Cow::Borrowed),
                Take::Join => joined(found).map(Cow::Owned),
                // Of members with the same name, the last one counts.
                _ => found.next_back().map(Cow::Borrowed),
            };
            taken.and_then(|raw| self.alter(raw, &mut dropped).map(Cow::into_owned))
        };
        Outcome {
            value: value.or_else(|| self.default.clone()),
            dropped,
        }
    }

    fn array<'a>(
        &self,
        found: impl Iterator<Item = &'a str> + Clone,
        dropped: &mut usize,
    ) -> Option<String> {
        let bytes: usize = found.clone().map(|raw| raw.len() + 1).sum();
        if bytes == 0 {
            return None;
        }
        let mut seen = std::collections::HashSet::new();
        let mut out = String::with_capacity(bytes + 1);
        for raw in found {
            if self.take == Take::Unique && !seen.insert(raw) {
                continue;
            }
            if let Some(element) = self.alter(Cow::Borrowed(raw), dropped) {
                out.push(if out.is_empty() { '[' } else { ',' });
                out.push_str(&element);
            }
        }
        (!out.is_empty()).then(|| out + "]")
    }

    fn alter<'a>(&self, raw: Cow<'a, str>, dropped: &mut usize) -> Option<Cow<'a, str>> {
        if !self.alters {
            return Some(raw);
        }
        let mut raw = raw;
        if let Some(regex) = &self.regex {
            raw = Cow::Owned(quoted(&captured(regex, &text_of(&raw))?));
        }
        if let Some(known) = self.looked_up(&raw) {
            raw = Cow::Owned(known);
        }
        if let Some(kind) = self.kind {
            let Some(converted) = convert(kind, &raw) else {
                *dropped += 1;
                return None;
            };
            raw = Cow::Owned(converted);
        }
        match &self.format {
            None => {}
            Some(Format::Text(before, after)) => {
                raw = Cow::Owned(quoted(&format!("{before}{}{after}", text_of(&raw))));
            }
            Some(Format::Json(parts)) => raw = Cow::Owned(parts.join(&*raw)),
        }
        Some(raw)
    }

    /// Of each value that a path found: does the field hold all of it? Values that are not taken, that
    /// cannot be converted, or of which a step keeps only a part, are not held.
    pub(crate) fn holds<'a>(
        &self,
        found: impl DoubleEndedIterator<Item = &'a str> + Clone,
    ) -> Vec<bool> {
        let values = || found.clone().filter(|raw| *raw != "null");
        if !self.many && self.take == Take::Join {
            let is_held = joined(values()).is_some_and(|all| self.holds_all_of(&all));
            return found.map(|_| is_held).collect();
        }
        let taken = match self.take {
            _ if self.many => None,
            Take::First => values().next(),
            _ => values().next_back(),
        };
        // The same text at another place is the same slice only there.
        let is_taken = |raw: &str| taken.is_none_or(|taken| std::ptr::eq(taken, raw));
        found
            .map(|raw| is_taken(raw) && self.holds_all_of(raw))
            .collect()
    }

    fn holds_all_of(&self, raw: &str) -> bool {
        if !self.alters {
            return true;
        }
        let text = text_of(raw);
        let is_whole = |regex| captured(regex, &text).is_some_and(|part| part == *text);
        let is_known = !self.values.contains_key(OTHERS) || self.values.contains_key(&*text);
        self.regex.as_ref().is_none_or(is_whole)
            && is_known
            && self.alter(Cow::Borrowed(raw), &mut 0).is_some()
    }

    fn looked_up(&self, raw: &str) -> Option<String> {
        if self.values.is_empty() {
            return None;
        }
        let known = self.values.get(&*text_of(raw));
        known
            .or_else(|| self.values.get(OTHERS))
            .map(Value::to_string)
    }
}

/// The maximum number of places of the value in a format of JSON.
const MAX_PLACES: usize = 4;

/// The key of a lookup table for every text that is not in it.
const OTHERS: &str = "*";

/// Compiles a format. `None`: the place of the value is missing, or there are too many.
fn format_of(format: &Value) -> Option<Format> {
    match format {
        Value::String(text) => {
            let (before, after) = text.split_once("{}")?;
            let only = !after.contains("{}");
            only.then(|| Format::Text(before.to_owned(), after.to_owned()))
        }
        Value::Object(_) | Value::Array(_) => {
            let parts: Vec<String> = format
                .to_string()
                .split("\"{}\"")
                .map(str::to_owned)
                .collect();
            (2..=1 + MAX_PLACES)
                .contains(&parts.len())
                .then_some(Format::Json(parts))
        }
        _ => None,
    }
}

/// Compiles a pattern. The error is one line.
fn pattern_of(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(256 << 10)
        .build()
        .map_err(|error| {
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or("").trim();
            let reason = reason.trim_start_matches("error: ");
            format!(
                "The pattern is not a regular expression: {reason}. Escape special characters with a backslash."
            )
        })
}

/// The default as JSON text. The default of an array is an array: a field never changes its shape.
fn default_of(field: &Field, many: bool) -> Option<String> {
    match field.default.as_ref()? {
        Value::Null => None,
        Value::Array(array) => Some(Value::Array(array.clone()).to_string()),
        value if many => Some(format!("[{value}]")),
        value => Some(value.to_string()),
    }
}

fn joined<'a>(found: impl Iterator<Item = &'a str>) -> Option<String> {
    let texts: Vec<_> = found.map(text_of).collect();
    (!texts.is_empty()).then(|| quoted(&texts.join(", ")))
}

fn captured(regex: &Regex, text: &str) -> Option<String> {
    let captures = regex.captures(text)?;
    let group = captures.iter().skip(1).flatten().next();
    group
        .or_else(|| captures.get(0))
        .map(|part| part.as_str().to_owned())
}

/// The characters of a JSON string; of other values, the JSON text.
pub(crate) fn text_of(raw: &str) -> Cow<'_, str> {
    if raw.starts_with('"') {
        scan::unescape(raw)
    } else {
        Cow::Borrowed(raw)
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn convert(kind: FieldType, raw: &str) -> Option<String> {
    let text = || text_of(raw);
    match kind {
        FieldType::Text if raw.starts_with('"') => Some(raw.to_owned()),
        FieldType::Text => Some(quoted(raw)),
        FieldType::Integer => integer(text().trim()),
        FieldType::Number => number(text().trim()),
        FieldType::Boolean => ["true", "false"]
            .into_iter()
            .find(|word| text().trim().eq_ignore_ascii_case(word))
            .map(str::to_owned),
        FieldType::Datetime if raw.starts_with('"') => {
            when::normalise(&text()).map(|time| quoted(&time))
        }
        FieldType::EpochMs if raw.starts_with('"') => {
            when::instant(&text(), &[]).map(|time| time.timestamp_millis().to_string())
        }
        FieldType::Datetime | FieldType::EpochMs => None,
        FieldType::Json if raw.starts_with('"') => compact(&text()).ok().map(Cow::into_owned),
        FieldType::Json => Some(raw.to_owned()),
    }
}

/// The digits as received, without leading zeros and a fraction of zeros.
fn integer(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !plain(digits) || !plain(fraction) || fraction.bytes().any(|b| b != b'0') {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        digits => Some(format!("{sign}{digits}")),
    }
}

fn number(text: &str) -> Option<String> {
    let numeric = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    (numeric && compact(text).is_ok()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
