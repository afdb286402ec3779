//! A fault of a JSON text becomes a fault with a line, a caret and advice.
//!
//! `excerpt` finds the part to mark. Does not find faults.

use std::ops::Range;
use std::path::Path;

use crate::front::diagnostics::excerpt::{Excerpt, byte_at, key_or_character, marked};
use crate::front::diagnostics::kind::Kind;
use crate::front::diagnostics::{Fault, Place};
use crate::json::document::span_of;
use crate::protocol::failure::Failure;
use crate::protocol::{name_of, unreadable_at};

/// A JSON text of a known kind.
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) kind: Kind,
}

impl Source<'_> {
    /// A fault at a pointer into the text.
    pub(super) fn fault(&self, fault: &Failure, hidden: &[Range<usize>]) -> Fault {
        let place = fault.place().unwrap_or_default();
        let pointer = place.find('/').map_or("", |from| &place[from..]);
        let span = span_of(self.text, pointer);
        let is_missing = span.as_ref().is_some_and(|span| !span.exists);
        let range = span.map(|span| marked(self.text, span, fault.is_about_name()));
        let add = || is_missing.then(|| to_add(pointer)).flatten();
        let excerpt = range
            .as_ref()
            .map(|range| Excerpt::of(self.text, range, hidden));
        Fault {
            kind: Some(self.kind),
            place: range.and_then(|range| Place::of(self.text, &range)),
            pointer: pointer.to_owned(),
            advice: fault.assistance().map(str::to_owned).or_else(add),
            excerpt,
            ..Fault::of_file(self.file, "")
        }
        .saying(fault.message())
    }
}

/// The advice for a missing member.
fn to_add(pointer: &str) -> Option<String> {
    let (parent, _) = pointer.rsplit_once('/')?;
    let name = pointer[parent.len()..]
        .replace("~1", "/")
        .replace("~0", "~");
    Some(match name_of(parent).as_str() {
        "" => format!("Add \"{}\".", &name[1..]),
        parent => format!("Add \"{}\" to `{parent}`.", &name[1..]),
    })
}

/// The fault of a text that is not JSON. Its line is shown only if it cannot hold a secret.
pub(super) fn invalid_json(file: &str, text: &str, failure: &Failure) -> Fault {
    let kind = Kind::of_path(Path::new(file));
    let (_, reason) = failure.message().split_once(": ").unwrap_or_default();
    let message = match reason {
        "" => failure.message().to_owned(),
        reason => format!("Invalid JSON: {reason}"),
    };
    let range = unreadable_at(text).map(|at| key_or_character(text, byte_at(text, at)));
    let is_public = kind.is_some_and(|kind| !kind.can_hold_secrets());
    let hidden = "The line is not shown, because it could hold a secret.";
    Fault {
        kind,
        place: range.as_ref().and_then(|range| Place::of(text, range)),
        advice: (!is_public).then(|| hidden.to_owned()),
        excerpt: range
            .filter(|_| is_public)
            .map(|range| Excerpt::of(text, &range, &[])),
        ..Fault::of_file(file, "")
    }
    .saying(&message)
}
