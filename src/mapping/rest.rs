//! The parts of a record that no field holds.
//!
//! Objects are divided: a member whose value a field holds is left out, other members stay as they are.
//! Arrays are not divided, because their elements belong together. Does not know paths: the positions
//! of the values are given.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::scan;

/// The name of a member as JSON text, and its value.
pub(super) type Member<'a> = (&'a str, Cow<'a, str>);

/// Positions in order, without those inside another one.
pub(super) fn outermost(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut end = 0;
    spans.retain(|span| {
        let outer = span.start >= end && !span.is_empty();
        end = end.max(span.end);
        outer
    });
    spans
}

/// The members of the object at `at` that are not selected. `selected` are positions in order, none
/// inside another one. Null is no value.
pub(super) fn members<'a>(text: &'a str, at: usize, selected: &[Range<usize>]) -> Vec<Member<'a>> {
    let bytes = text.as_bytes();
    let (mut members, mut next) = (Vec::new(), at + 1);
    if bytes.get(at) != Some(&b'{') {
        return members;
    }
    while let Some(item) = scan::next_item(bytes, next) {
        let end = scan::string_end(bytes, item);
        let value = scan::member_value(bytes, end);
        next = scan::value_end(bytes, value);
        let name = text.get(item..end).unwrap_or("");
        members.extend(rest(text, value..next, selected).map(|json| (name, json)));
    }
    members
}

/// The part of a value that is not selected.
fn rest<'a>(text: &'a str, value: Range<usize>, selected: &[Range<usize>]) -> Option<Cow<'a, str>> {
    let from = selected.partition_point(|span| span.end <= value.start);
    let to = selected.partition_point(|span| span.start < value.end);
    let raw = text.get(value.clone()).unwrap_or("");
    let inside = selected.get(from..to).unwrap_or_default();
    let Some(first) = inside.first() else {
        return (raw != "null").then_some(Cow::Borrowed(raw));
    };
    if first.start <= value.start && first.end >= value.end {
        return None;
    }
    if raw.starts_with('{') {
        let members = members(text, value.start, inside);
        let members = members.iter().map(|(name, json)| format!("{name}:{json}"));
        let members: Vec<String> = members.collect();
        return (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")).into());
    }
    elements(text, value.start)
        .any(|element| rest(text, element, inside).is_some())
        .then_some(Cow::Borrowed(raw))
}

fn elements(text: &str, array: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let (bytes, mut next) = (text.as_bytes(), array + 1);
    std::iter::from_fn(move || {
        let item = scan::next_item(bytes, next)?;
        next = scan::value_end(bytes, item);
        Some(item..next)
    })
}
