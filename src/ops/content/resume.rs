//! Where a listing begins: the windows to list, what is tried again, and what is too old.
//!
//! What a state holds, and how, is `point`'s part. A state of the listing holds at most 5,000 marks
//! and 500 carried blobs, which are 64 KB less a fifth.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::point::{Carried, Mark, Packed, Point, not_ours};
use super::{List, NAME};
use crate::microsoft::TimeWindow;
use crate::ops::resume::state::foreign;
use crate::ops::{Call, in_future, scope};
use crate::protocol::{Failure, State, Warning, state};
use crate::when::rfc3339;

/// How long the feed keeps content, less a little for clocks that differ.
pub(in crate::ops) const KEPT: TimeDelta = TimeDelta::minutes(7 * 24 * 60 - 5);

/// The longest window that the feed lists.
const DAY: TimeDelta = TimeDelta::hours(24);

/// Marks that a state of the listing holds at most.
const MAX_MARKS: usize = 5_000;

/// Blobs that a state of the listing carries at most.
const MAX_CARRIED: usize = 500;

/// Where to begin, and what is known already.
pub(in crate::ops) struct Plan {
    /// Everything before was dealt with by earlier runs, but for what is carried.
    pub(in crate::ops) from: DateTime<Utc>,
    /// What is listed, oldest first, each at most a day.
    pub(super) windows: Vec<TimeWindow>,
    /// Blobs of earlier runs that are tried once more.
    pub(super) carried: Vec<Carried>,
    /// Blobs that were dealt with by earlier runs.
    pub(super) delivered: HashSet<Mark>,
    /// Spans that the service does not keep any more.
    pub(super) too_old: Vec<TimeWindow>,
    /// Why they were not read in time: cause and advice.
    pub(in crate::ops) late: (&'static str, &'static str),
    /// What lies before was never asked for.
    pub(super) since: Option<DateTime<Utc>>,
    /// Are marks of blobs that are not listed again still needed?
    pub(in crate::ops) keeps_marks: bool,
    /// How many blobs the next state may carry.
    pub(super) room: usize,
    pub(super) warnings: Vec<Warning>,
    /// Does the next run go on where this one ends, whether anything is left or not?
    pub(super) rolls: bool,
    /// Was the end asked for, so that it is worth coming back until the service's clock is there?
    pub(super) has_end: bool,
}

/// A span is lost because nobody came in time.
pub(in crate::ops) const LATE: (&str, &str) = (
    "The state is older than 7 days.",
    "Run more often than every 7 days; what is lost stands in `coverage`.",
);

impl Plan {
    /// What is looked at first; where nothing is, the empty window at the end.
    pub(super) fn first(&self, now: DateTime<Utc>) -> TimeWindow {
        let carried = self.carried.first().map(|blob| second(blob.created));
        let end = self.windows.last().map_or(now, |window| window.end);
        let none = TimeWindow { start: end, end };
        carried.or(self.windows.first().copied()).unwrap_or(none)
    }

    /// Where the windows end.
    pub(super) fn end(&self) -> DateTime<Utc> {
        self.windows.last().map_or(self.from, |window| window.end)
    }
}

/// Where this run begins.
pub(super) fn plan(call: &Call<'_>, input: &List) -> Result<Plan, Failure> {
    let rolls = call.overlap.is_some() && input.start_time.is_none();
    let mut warnings = Vec::new();
    if let Some(state) = call.state {
        if state.state == state::VERSION && state.scope == scope(NAME, call.connection, input) {
            return resume(call, state, rolls);
        }
        warnings.push(foreign(call)?);
    }
    let window = input.window(call.now)?;
    warnings.extend(in_future(&window, call.now));
    Ok(Plan {
        from: window.start,
        windows: vec![window],
        carried: Vec::new(),
        delivered: HashSet::new(),
        too_old: Vec::new(),
        late: LATE,
        keeps_marks: false,
        since: None,
        room: MAX_CARRIED,
        warnings,
        rolls,
        has_end: input.end_time.is_some(),
    })
}

fn resume(call: &Call<'_>, state: &State, rolls: bool) -> Result<Plan, Failure> {
    let packed = Value::Object(state.resume.clone());
    let packed: Packed = serde_json::from_value(packed).map_err(|_| not_ours())?;
    let point = packed.open(MAX_CARRIED, call.now)?;
    let backwards = point.to.is_some_and(|to| point.from > to);
    if backwards || point.to.is_none() != rolls {
        return Err(not_ours());
    }
    // What was not there yet when its time was listed is found by looking back a little.
    let overlap = call.overlap.filter(|_| rolls).unwrap_or_default();
    Ok(go_on(call, point, overlap, MAX_CARRIED))
}

/// The plan to go on at that point.
pub(in crate::ops) fn go_on(
    call: &Call<'_>,
    point: Point,
    overlap: TimeDelta,
    room: usize,
) -> Plan {
    // A clock that went back must not take the cursor with it.
    let to = point.to;
    let to = to.unwrap_or(call.now.trunc_subsecs(0).max(point.from));
    let kept_from = (call.now - KEPT).trunc_subsecs(0);
    let from = point.from.max(kept_from).min(to);
    let mut too_old = Vec::new();
    if from > point.from {
        too_old.push(TimeWindow {
            start: point.from,
            end: from,
        });
    }
    let mut carried = point.carried;
    carried.retain(|blob| {
        let keeps = blob.created >= kept_from;
        if !keeps {
            too_old.push(second(blob.created));
        }
        keeps
    });
    carried.sort_unstable();
    let back = (from - overlap).max(kept_from);
    Plan {
        from,
        windows: days(point.since.map_or(back, |since| back.max(since)), to),
        carried,
        delivered: point.done.into_iter().map(|(_, mark)| mark).collect(),
        too_old,
        late: LATE,
        keeps_marks: false,
        since: point.since,
        room,
        warnings: Vec::new(),
        rolls: point.to.is_none(),
        has_end: point.to.is_some(),
    }
}

/// The second that a moment lies in: the shortest window that surely lists it.
pub(super) fn second(moment: DateTime<Utc>) -> TimeWindow {
    let start = moment.trunc_subsecs(0);
    TimeWindow {
        start,
        end: start + TimeDelta::seconds(1),
    }
}

/// The span in pieces of a day, oldest first.
fn days(from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<TimeWindow> {
    let starts = std::iter::successors(Some(from), |start| Some(*start + DAY));
    starts
        .take_while(|start| *start < to)
        .map(|start| TimeWindow {
            start,
            end: (start + DAY).min(to),
        })
        .collect()
}

/// The state that says where the listing goes on.
pub(super) fn state(call: &Call<'_>, input: &List, left: Point) -> State {
    let members = members(left, call.overlap.unwrap_or_default());
    State::new(scope(NAME, call.connection, input), members)
}

fn members(mut left: Point, overlap: TimeDelta) -> Map<String, Value> {
    left.trim(overlap);
    match serde_json::to_value(left.pack((MAX_MARKS, 0))) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The span as a gap names it.
pub(super) fn named(window: &TimeWindow) -> (String, String) {
    (rfc3339(window.start), rfc3339(window.end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::content::point::mark;
    use crate::ops::content::point::tests::{at, full};

    #[test]
    fn a_long_absence_is_caught_up_day_by_day() {
        let windows = days(at("2026-01-10T06:00"), at("2026-01-12T12:00"));
        let spans: Vec<_> = windows.iter().map(named).collect();
        assert_eq!(spans.len(), 3);
        assert_eq!(spans[0].0, "2026-01-10T06:00:00Z");
        assert_eq!(spans[0].1, spans[1].0);
        assert_eq!(
            spans[2],
            (
                "2026-01-12T06:00:00Z".to_owned(),
                "2026-01-12T12:00:00Z".to_owned()
            )
        );
        assert!(days(at("2026-01-10"), at("2026-01-10")).is_empty());
    }

    #[test]
    fn a_hundred_thousand_blobs_a_day_are_a_few_kilobytes_of_state() {
        let from = at("2026-01-14T12:00:00Z");
        let blob = |n: i64| {
            let created = from - TimeDelta::milliseconds(n * 864);
            (created, mark(&n.to_string()))
        };
        let mut left = Point::at(from);
        left.done = (0..100_000).map(blob).collect();
        let size = |left, overlap| Value::Object(members(left, overlap)).to_string().len();
        let minutes = TimeDelta::minutes;
        assert!(size(left.clone(), minutes(10)) < 8 * 1024);
        // Too many marks for an overlap of a day: the latest stay, and the state keeps its limit.
        assert!(size(left, minutes(24 * 60)) < state::MAX_BYTES);
    }

    #[test]
    fn the_largest_state_stays_within_its_limit() {
        let from = at("2026-01-14T12:00:00Z");
        let left = full(from, MAX_MARKS + 1, MAX_CARRIED);
        let state = State::new("f".repeat(64), members(left, TimeDelta::zero()));
        let bytes = serde_json::to_string(&state).expect("JSON").len();
        assert!(bytes <= state::MAX_BYTES, "{bytes}");
    }
}
