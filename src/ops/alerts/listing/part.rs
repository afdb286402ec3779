//! The parts of a round: spans of time, and the alerts of a span that were received.
//!
//! Requests nothing.

use std::cmp::Reverse;
use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::microsoft::graph::alerts::{Identity, Order, TICK, whole_ticks};
use crate::ops::resume::fingerprint::Fingerprint;

/// An alert.
pub(super) type Row = (Identity, String);

/// A span of whole ticks. The end is `None` until the service's time is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: DateTime<Utc>,
    pub(super) to: Option<DateTime<Utc>>,
}

impl Span {
    /// The part of the span that is listed first, if it is split there.
    pub(super) fn first_part(self, order: Order, split: DateTime<Utc>) -> Span {
        match order {
            Order::Ascending => Span {
                to: Some(split),
                ..self
            },
            Order::Descending => Span {
                from: split,
                ..self
            },
        }
    }

    /// Whether this time is in a part that is listed later.
    pub(super) fn is_listed_later(self, order: Order, time: DateTime<Utc>) -> bool {
        match order {
            Order::Ascending => self.to.is_some_and(|to| time >= to),
            Order::Descending => time < self.from,
        }
    }
}

/// Whether the alerts are in this order.
pub(super) fn is_in_order(rows: &[Row], order: Order) -> bool {
    let times: Option<Vec<_>> = rows.iter().map(|(known, _)| known.time).collect();
    times.is_some_and(|times| match order {
        Order::Ascending => times.is_sorted(),
        Order::Descending => times.is_sorted_by_key(Reverse),
    })
}

/// Where to split a span that does not fit on a page. `None` if the times on the page cannot split
/// it.
pub(super) fn split(
    span: Span,
    order: Order,
    rows: &[Row],
    ordered: bool,
) -> Option<DateTime<Utc>> {
    let to = span.to?;
    let inside = |at: &DateTime<Utc>| span.from < *at && *at < to;
    let times = rows.iter().filter_map(|(known, _)| known.time);
    let mut times: Vec<_> = times.map(whole_ticks).collect();
    // If the page is in order, the first part is the page itself.
    let last = times.last().filter(|_| ordered);
    let last = last.map(|last| match order {
        Order::Ascending => *last + TICK,
        Order::Descending => *last,
    });
    if let Some(at) = last.filter(inside) {
        return Some(at);
    }
    let at_start = times.contains(&span.from);
    times.retain(inside);
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied();
    let second = at_start.then(|| span.from + TICK).filter(inside);
    middle.or(second)
}

/// Alerts that were received and are not handled yet.
#[derive(Default)]
pub(super) struct UnhandledAlerts {
    pub(super) known: HashSet<Fingerprint>,
    pub(super) new: Vec<Row>,
}

impl UnhandledAlerts {
    /// Removes alerts, which will be listed again.
    pub(super) fn remove(&mut self, is_removed: impl Fn(&Identity) -> bool) {
        let UnhandledAlerts { known, new } = self;
        new.retain(|(identity, record)| {
            let is_removed = is_removed(identity);
            if is_removed {
                known.remove(&fingerprint(identity, record));
            }
            !is_removed
        });
    }
}

pub(super) fn fingerprints(rows: &[Row]) -> HashSet<Fingerprint> {
    let rows = rows.iter();
    rows.map(|(known, record)| fingerprint(known, record))
        .collect()
}

/// The fingerprint of id and time, or of the content if the id is missing or not text.
pub(super) fn fingerprint(known: &Identity, record: &str) -> Fingerprint {
    match &known.name {
        Some(name) => Fingerprint::of(name),
        None => Fingerprint::of(record),
    }
}
