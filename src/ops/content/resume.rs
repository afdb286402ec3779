//! Where a listing begins, and what its state says.
//!
//! A state names no address. It holds how far the feed's own time was dealt with, marks of the blobs
//! that were taken around that moment, and what failed for a passing reason: when it became
//! available, its mark, and how often it was tried. So a caller cannot lead a token anywhere with
//! it, and it stays small however many blobs there are: 5,000 marks and 500 carried blobs are 64 KB
//! less a fifth.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{List, NAME};
use crate::microsoft::TimeWindow;
use crate::ops::{Call, foreign, in_future, scope};
use crate::protocol::{Failure, State, Warning, state};
use crate::when::rfc3339;

/// How long the feed keeps content, less a little for clocks that differ.
const KEPT: TimeDelta = TimeDelta::minutes(7 * 24 * 60 - 5);

/// The longest window that the feed lists.
const DAY: TimeDelta = TimeDelta::hours(24);

/// Marks that a state holds at most; of too many the oldest go, and what they stood for comes again
/// if it is listed again.
const MAX_MARKS: usize = 5_000;

/// Blobs that a state carries at most.
pub(super) const MAX_CARRIED: usize = 500;

/// What stands for a blob in a state: the beginning of its name's digest.
pub(super) type Mark = [u8; 8];

/// The mark of a blob of that name.
pub(super) fn mark(name: &str) -> Mark {
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let mut mark = Mark::default();
    mark.copy_from_slice(&digest.as_ref()[..8]);
    mark
}

/// A blob that failed for a passing reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Carried {
    /// When it became available.
    pub(super) created: DateTime<Utc>,
    pub(super) mark: Mark,
    /// In how many runs it failed.
    pub(super) tries: u8,
}

/// Where to begin, and what is known already.
pub(super) struct Plan {
    /// Everything before was dealt with by earlier runs, but for what is carried.
    pub(super) from: DateTime<Utc>,
    /// What is listed, oldest first, each at most a day.
    pub(super) windows: Vec<TimeWindow>,
    /// Blobs of earlier runs that are tried once more.
    pub(super) carried: Vec<Carried>,
    /// Blobs that were dealt with by earlier runs.
    pub(super) delivered: HashSet<Mark>,
    /// Spans that the service does not keep any more.
    pub(super) too_old: Vec<TimeWindow>,
    pub(super) warnings: Vec<Warning>,
    /// Does the next run go on where this one ends, whether anything is left or not?
    pub(super) rolls: bool,
}

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

/// What a state of this operation says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    /// Everything before was dealt with, but for what is carried.
    from: DateTime<Utc>,
    /// Where to stop; absent where the next run goes on to its own now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<DateTime<Utc>>,
    /// Marks of eight bytes each, in Base64.
    done: String,
    /// Carried blobs: milliseconds, mark and tries, seventeen bytes each, in Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    failed: String,
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
        warnings,
        rolls,
    })
}

fn resume(call: &Call<'_>, state: &State, rolls: bool) -> Result<Plan, Failure> {
    let resume = Value::Object(state.resume.clone());
    let resume: Resume = serde_json::from_value(resume).map_err(|_| not_ours())?;
    let delivered = unpacked::<8>(&resume.done)?.into_iter().collect();
    let mut carried = unpacked::<17>(&resume.failed)?
        .into_iter()
        .map(carried)
        .collect::<Result<Vec<_>, _>>()?;
    // A clock that went back must not take the cursor with it.
    let now = call.now.trunc_subsecs(0).max(resume.from);
    let to = resume.to.unwrap_or(now);
    let times = carried.iter().map(|blob| &blob.created);
    let sane = times
        .chain([&resume.from, &to])
        .all(|time| ours(*time, call.now));
    let fits = carried.len() <= MAX_CARRIED && resume.to.is_none() == rolls;
    if !sane || !fits || resume.from > to {
        return Err(not_ours());
    }
    let kept_from = (call.now - KEPT).trunc_subsecs(0);
    // What was not there yet when its time was listed is found by looking back a little.
    let overlap = call.overlap.filter(|_| rolls).unwrap_or_default();
    let from = resume.from.max(kept_from).min(to);
    let mut too_old = Vec::new();
    if from > resume.from {
        too_old.push(TimeWindow {
            start: resume.from,
            end: from,
        });
    }
    carried.retain(|blob| {
        let keeps = blob.created >= kept_from;
        if !keeps {
            too_old.push(second(blob.created));
        }
        keeps
    });
    carried.sort_unstable();
    Ok(Plan {
        from,
        windows: days((from - overlap).max(kept_from), to),
        carried,
        delivered,
        too_old,
        warnings: Vec::new(),
        rolls,
    })
}

/// Could that time stand in a state of ours? Clocks differ, but not by years.
fn ours(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (time - now).abs() < TimeDelta::days(3660)
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

/// What a run leaves to the next one.
pub(super) struct Left {
    /// Everything before was dealt with, but for what is carried.
    pub(super) from: DateTime<Utc>,
    /// Where the windows end; none where the next run goes on to its own now.
    pub(super) to: Option<DateTime<Utc>>,
    pub(super) done: Vec<(DateTime<Utc>, Mark)>,
    pub(super) carried: Vec<Carried>,
}

/// The state that says so.
pub(super) fn state(call: &Call<'_>, input: &List, left: Left) -> State {
    let members = members(left, call.overlap.unwrap_or_default());
    State::new(scope(NAME, call.connection, input), members)
}

fn members(left: Left, overlap: TimeDelta) -> Map<String, Value> {
    let since = left.from - overlap;
    let mut done = left.done;
    done.retain(|(at, _)| *at >= since);
    done.sort_unstable();
    done.dedup();
    let marks = done.split_off(done.len().saturating_sub(MAX_MARKS));
    let marks: Vec<u8> = marks.into_iter().flat_map(|(_, mark)| mark).collect();
    let failed = left.carried.iter().flat_map(|blob| {
        let time = blob.created.timestamp_millis().to_be_bytes();
        time.into_iter().chain(blob.mark).chain([blob.tries])
    });
    let resume = Resume {
        from: left.from,
        to: left.to,
        done: URL_SAFE_NO_PAD.encode(marks),
        failed: URL_SAFE_NO_PAD.encode(failed.collect::<Vec<u8>>()),
    };
    match serde_json::to_value(resume) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn unpacked<const N: usize>(text: &str) -> Result<Vec<[u8; N]>, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| not_ours())?;
    match bytes.as_chunks() {
        (chunks, []) => Ok(chunks.to_vec()),
        _ => Err(not_ours()),
    }
}

fn carried(packed: [u8; 17]) -> Result<Carried, Failure> {
    let (mut time, mut mark) = ([0; 8], Mark::default());
    time.copy_from_slice(&packed[..8]);
    mark.copy_from_slice(&packed[8..16]);
    let created = DateTime::from_timestamp_millis(i64::from_be_bytes(time)).ok_or_else(not_ours)?;
    Ok(Carried {
        created,
        mark,
        tries: packed[16],
    })
}

fn not_ours() -> Failure {
    let words = "The state is not one of ours: its members are not those that were written.";
    Failure::invalid_input("/state/resume", words)
        .advice("Send the state of the last result unchanged, or none.")
}

/// The span as a gap names it.
pub(super) fn named(window: &TimeWindow) -> (String, String) {
    (rfc3339(window.start), rfc3339(window.end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when::instant;

    fn at(text: &str) -> DateTime<Utc> {
        instant(text, &[]).expect("a time")
    }

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
    fn what_is_carried_survives_its_packing() {
        let blob = Carried {
            created: at("2026-01-14T09:31:12.345Z"),
            mark: mark("a$b"),
            tries: 3,
        };
        let time = blob.created.timestamp_millis().to_be_bytes();
        let packed: Vec<u8> = time
            .into_iter()
            .chain(blob.mark)
            .chain([blob.tries])
            .collect();
        let text = URL_SAFE_NO_PAD.encode(packed);
        let read = unpacked::<17>(&text).expect("whole")[0];
        assert_eq!(carried(read).expect("a time"), blob);
        assert!(unpacked::<17>("AAAA").is_err());
        assert!(unpacked::<8>("not base64!").is_err());
    }

    #[test]
    fn a_hundred_thousand_blobs_a_day_are_a_few_kilobytes_of_state() {
        let from = at("2026-01-14T12:00:00Z");
        let blob = |n: i64| {
            let created = from - TimeDelta::milliseconds(n * 864);
            (created, mark(&n.to_string()))
        };
        let left = Left {
            from,
            to: None,
            done: (0..100_000).map(blob).collect(),
            carried: Vec::new(),
        };
        let size = |left, overlap| Value::Object(members(left, overlap)).to_string().len();
        let minutes = TimeDelta::minutes;
        assert!(size(left, minutes(10)) < 8 * 1024);
        let done = (0..100_000).map(blob).collect();
        let left = Left {
            from,
            to: None,
            done,
            carried: Vec::new(),
        };
        // Too many marks for an overlap of a day: the latest stay, and the state keeps its limit.
        assert!(size(left, minutes(24 * 60)) < state::MAX_BYTES);
    }

    #[test]
    fn the_largest_state_stays_within_its_limit() {
        let marks = URL_SAFE_NO_PAD.encode(vec![255; MAX_MARKS * 8]).len();
        let carried = URL_SAFE_NO_PAD.encode(vec![255; MAX_CARRIED * 17]).len();
        assert!(
            marks + carried + 500 <= state::MAX_BYTES,
            "{}",
            marks + carried
        );
    }
}
