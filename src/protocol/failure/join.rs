//! Joins several failures into one that lists them, and changes the places and messages of all.
//!
//! Does not decide which failures belong together.

use std::collections::BTreeMap;

use super::{Failure, Inner, LARGEST, bounded};
use crate::protocol::kind::ErrorKind;
use crate::protocol::pointer::name_of;

/// The maximum number of faults that a failure lists. Further faults are counted.
pub const MAX_ITEMS: usize = 100;

/// The maximum length of the message and of the place of a listed fault, in bytes.
pub(super) const MAX_ITEM: usize = 1024;

impl Failure {
    /// Joins the faults that were found together into one failure with every fault in `items`. It
    /// has the kind of the first. A single fault stays as it is. Returns `None` without faults.
    pub fn join(faults: Vec<Failure>) -> Option<Self> {
        let mut faults: Vec<Failure> = faults.into_iter().flat_map(Failure::split).collect();
        if faults.len() <= 1 {
            return faults.pop().map(Failure::listed);
        }
        let first = &faults.first()?.0;
        let same_rule = faults.iter().all(|fault| fault.0.rule == first.rule);
        let same_message = faults.iter().all(|fault| fault.0.message == first.message);
        let message = if same_message {
            first.message.clone()
        } else {
            summary(faults.iter().map(Failure::message), faults.len())
        };
        let mut joined = Failure::new(first.kind, message);
        joined.0.rule = first.rule.filter(|_| same_rule);
        joined.0.at.clone_from(&first.at);
        Some(faults.into_iter().fold(joined, Failure::with_item))
    }

    /// Adds a fault. Faults beyond [`MAX_ITEMS`] are only counted.
    #[must_use]
    pub fn with_item(mut self, item: Failure) -> Self {
        if self.0.items.len() >= MAX_ITEMS {
            self.0.unlisted += 1;
            return self;
        }
        let Inner {
            kind,
            rule,
            is_code_documented,
            message,
            assistance,
            at,
            is_name,
            upstream,
            ..
        } = *item.0;
        let mut item = Failure::new(kind, bounded(message));
        item.0.at = at.filter(|at| at.len() <= LARGEST);
        (item.0.rule, item.0.is_code_documented) = (rule, is_code_documented);
        (item.0.assistance, item.0.is_name) = (assistance, is_name);
        item.0.upstream = upstream;
        self.0.items.push(item);
        self
    }

    /// The single faults of a joined failure, or the failure itself.
    pub fn split(self) -> Vec<Failure> {
        match self.0.items.len() {
            0 | 1 => vec![self],
            _ => self.0.items,
        }
    }

    /// Lists an invalid input as its own item, so that `items` always has every invalid input.
    fn listed(self) -> Self {
        let is_about_request = matches!(
            self.0.kind,
            ErrorKind::InvalidInput | ErrorKind::MalformedRequest
        );
        if self.0.items.is_empty() && self.0.at.is_some() && is_about_request {
            let item = self.clone();
            return self.with_item(item);
        }
        self
    }

    /// Replaces the places of inputs and connection slots by those in the request. `places` maps
    /// the name of an input or a slot to its place. Where a message names the place, it is replaced
    /// too.
    #[must_use]
    pub fn relocated(mut self, places: &BTreeMap<String, String>) -> Failure {
        self.relocate(places);
        for item in &mut self.0.items {
            item.relocate(places);
        }
        self
    }

    fn relocate(&mut self, places: &BTreeMap<String, String>) {
        let Some(old) = self.0.at.as_deref() else {
            return;
        };
        let path = old.strip_prefix("/inputs/");
        let path = path.or_else(|| old.strip_prefix("/connection/"));
        let Some((name, below)) =
            path.map(|path| path.split_at(path.find('/').unwrap_or(path.len())))
        else {
            return;
        };
        if let Some(place) = places.get(name) {
            let new = format!("{place}{below}");
            let (named, renamed) = (name_of(old), name_of(&new));
            let message = &mut self.0.message;
            *message = message.replace(&format!("`{named}`"), &format!("`{renamed}`"));
            self.0.at = Some(new);
        }
    }

    /// Replaces the message of each fault. `words` gets the place and the message.
    #[must_use]
    pub fn reworded_each(mut self, words: impl Fn(Option<&str>, &str) -> String) -> Failure {
        for item in &mut self.0.items {
            item.0.message = words(item.place(), item.message());
        }
        self.0.message = match self.0.items.as_slice() {
            [] | [_] => words(self.place(), self.message()),
            items => summary(items.iter().map(Failure::message), items.len()),
        };
        self
    }
}

/// The start of a message that joins several faults: `3 faults`. None for other messages.
pub(crate) fn fault_count(message: &str) -> Option<&str> {
    let (count, _) = message.split_once(" faults: ")?;
    let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| &message[..count.len() + " faults".len()])
}

/// The messages of several faults as one.
fn summary<'a>(messages: impl Iterator<Item = &'a str>, count: usize) -> String {
    let mut text = format!("{count} faults:");
    for message in messages.take(MAX_ITEMS) {
        if text.len() + message.len() > LARGEST {
            break;
        }
        text.push(' ');
        text.push_str(message);
    }
    text
}
