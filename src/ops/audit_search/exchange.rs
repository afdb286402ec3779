//! A search with Exchange Online, from the newest record to the oldest.
//!
//! A window with more rows than a session returns is split in time until its parts fit. A part
//! that fails is not delivered, and the next run reads it again: the rows of an unfinished session
//! are a random selection.

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::plan::{Position, Remaining, SearchOutcome, SearchPlan};
use super::session::{self, WindowEnd, WindowRows};
use crate::microsoft::TimeWindow;
use crate::microsoft::search::FoundRecord;
use crate::net::memory::is_memory;
use crate::ops::Call;
use crate::ops::resume::fingerprint::Fingerprint;
use crate::protocol::{ErrorKind, Failure, Warning};

/// The shortest window.
const SECOND: TimeDelta = TimeDelta::seconds(1);

/// How often parts with missing rows are split in one run.
const MOST_SPLITS: usize = 64;

/// The maximum number of fingerprints in a state: 44 KiB.
const MOST_SEEN: usize = 4_000;

/// Searches. `remaining` is where the last run ended.
pub(super) async fn find(
    call: &Call<'_>,
    plan: &SearchPlan,
    remaining: Remaining,
) -> SearchOutcome {
    let end = remaining.end.unwrap_or(plan.window.end);
    let start = plan.window.start.trunc_subsecs(0);
    let whole = TimeWindow {
        start,
        end: ceil(end).max(start + SECOND),
    };
    let mut search = Search {
        call,
        plan,
        outcome: SearchOutcome::new(call, &whole),
        remaining,
        parts: Vec::new(),
        splits: 0,
    };
    search.parts.push(whole);
    if let Some(seconds) = search.remaining.seconds.take() {
        search.shorten(TimeDelta::seconds(seconds));
    }
    while let Some(part) = search.parts.pop() {
        if search.part(part).await {
            break;
        }
    }
    search.outcome
}

struct Search<'a> {
    call: &'a Call<'a>,
    plan: &'a SearchPlan,
    outcome: SearchOutcome,
    remaining: Remaining,
    /// The parts of the window to read, the newest last.
    parts: Vec<TimeWindow>,
    /// How often a part was split.
    splits: usize,
}

impl Search<'_> {
    /// Splits the newest part after this length from its end.
    fn shorten(&mut self, length: TimeDelta) {
        if let Some(part) = self.parts.pop() {
            let middle = (part.end - length.max(SECOND)).max(part.start);
            if middle > part.start {
                self.parts.push(TimeWindow {
                    start: part.start,
                    end: middle,
                });
            }
            self.parts.push(TimeWindow {
                start: middle,
                end: part.end,
            });
        }
    }

    /// Reads a part of the window. Returns true if the run ends here.
    async fn part(&mut self, part: TimeWindow) -> bool {
        let left = self.left();
        // One more shows whether there are more.
        let wanted = left.map(|left| left + self.remaining.seen.len() + 1);
        let filter = &self.plan.filter;
        let (mut rows, mut end) = session::read(self.call, filter, &part, wanted).await;
        if matches!(end, WindowEnd::Enough) && !rows.in_order {
            // The newest rows are not known without all of them.
            (rows, end) = session::read(self.call, filter, &part, None).await;
        }
        match end {
            WindowEnd::TooLarge if part.end - part.start > SECOND => {
                self.split(part, &rows);
                false
            }
            WindowEnd::Failed(failure) => {
                self.count_pages(&rows);
                self.interrupt(&part, failure);
                true
            }
            WindowEnd::TooLarge => {
                let what = "the window of one second has more rows than a session returns";
                rows.missing = rows.missing.max(1);
                self.deliver(&part, rows, Some(what))
            }
            WindowEnd::Complete if rows.missing > 0 && self.may_split(&part) => {
                self.split(part, &rows);
                false
            }
            WindowEnd::Complete | WindowEnd::Enough => self.deliver(&part, rows, None),
        }
    }

    /// Whether a part with missing rows is split: shorter windows have fewer of them.
    fn may_split(&self, part: &TimeWindow) -> bool {
        part.end - part.start > SECOND && self.splits < MOST_SPLITS
    }

    fn split(&mut self, part: TimeWindow, rows: &WindowRows) {
        self.count_pages(rows);
        self.splits += 1;
        let length = (part.end - part.start) / 2;
        self.parts.push(part);
        self.shorten(TimeDelta::seconds(length.num_seconds()));
    }

    /// The number of records that may still be delivered.
    fn left(&self) -> Option<usize> {
        let limit = self.plan.limit?;
        Some(limit.saturating_sub(self.outcome.records.len()))
    }

    fn count_pages(&mut self, rows: &WindowRows) {
        for _ in 0..rows.pages {
            self.outcome.coverage.add_listing_page();
        }
    }

    /// Delivers the records of a part. Returns true if the run ends here.
    fn deliver(&mut self, part: &TimeWindow, rows: WindowRows, why: Option<&str>) -> bool {
        self.count_pages(&rows);
        let (received, mut repeated) = (rows.received, rows.repeated);
        let missing = rows.missing + rows.unreadable.len();
        let unreadable = "their AuditData is no JSON object";
        let why = why.or((rows.missing == 0).then_some(unreadable));
        self.outcome.held.absorb(rows.held);
        let mut found: Vec<FoundRecord> = rows.found.into_values().collect();
        found.sort_by(|one, other| (other.time, &one.id).cmp(&(one.time, &other.id)));
        let before = found.len();
        let seen: HashSet<&String> = self.remaining.seen.iter().collect();
        found.retain(|found| seen.is_empty() || !seen.contains(&fingerprint(found)));
        repeated += before - found.len();
        let left = self.left().unwrap_or(usize::MAX);
        let is_cut = found.len() > left;
        found.truncate(left);
        let coverage = &mut self.outcome.coverage;
        coverage.add_page_records(received, found.len(), repeated);
        if missing > 0 {
            coverage.add_missing_records(part, missing);
            self.outcome
                .failure
                .get_or_insert_with(|| lost(missing, why));
        }
        if is_cut {
            self.outcome.coverage.set_limited();
            self.remember(part, &found);
        } else {
            self.remaining = Remaining {
                end: Some(part.start),
                ..Remaining::default()
            };
        }
        self.outcome.records.extend(found);
        let delivered = self.outcome.records.len();
        let most = self.call.max_events;
        let is_full = most.is_some_and(|most| delivered as u64 >= most)
            || self.left() == Some(0)
            || self.call.http.memory().is_exhausted();
        if !is_cut && is_full && !self.parts.is_empty() {
            self.outcome.coverage.set_limited();
        }
        let continues = is_cut || is_full && !self.parts.is_empty();
        if continues {
            self.outcome.position = Some(Position::Exchange(self.remaining.clone()));
        }
        continues
    }

    /// Remembers the last second of which a part was delivered.
    fn remember(&mut self, part: &TimeWindow, found: &[FoundRecord]) {
        let Some(last) = found.last() else {
            self.remaining.end = Some(part.end);
            return;
        };
        // A record without a time is sorted to the end of its part.
        let second = last.time.map_or(part.start, |time| time.trunc_subsecs(0));
        let end = second + SECOND;
        let is_kept = |found: &&FoundRecord| found.time.is_none_or(|time| time < end);
        let mut seen: Vec<String> = found.iter().filter(is_kept).map(fingerprint).collect();
        if self.remaining.end == Some(end) {
            seen.extend(std::mem::take(&mut self.remaining.seen));
        }
        if seen.len() > MOST_SEEN {
            seen.truncate(MOST_SEEN);
            let message = "One second has more records than a state can remember. The next run can return some of them again.";
            self.outcome
                .warnings
                .push(Warning::new("records_repeat", message));
        }
        self.remaining = Remaining {
            end: Some(end),
            seen,
            seconds: None,
        };
    }

    /// Ends the run at a part that could not be read.
    fn interrupt(&mut self, part: &TimeWindow, failure: Failure) {
        self.remaining.end.get_or_insert(part.end);
        if (failure.kind() == ErrorKind::Timeout || is_memory(&failure))
            && self.outcome.records.is_empty()
        {
            let half = (part.end - part.start).num_seconds() / 2;
            self.remaining.seconds = Some(half.max(1));
        }
        let rest = TimeWindow {
            start: self.plan.window.start,
            end: part.end,
        };
        let coverage = &mut self.outcome.coverage;
        coverage.add_interrupted_span(&rest, failure.vendor_code(), false);
        self.outcome.failure = Some(failure);
        self.outcome.position = Some(Position::Exchange(self.remaining.clone()));
    }
}

fn fingerprint(found: &FoundRecord) -> String {
    let bytes = Fingerprint::of(found.key()).bytes();
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// The next whole second.
fn ceil(time: DateTime<Utc>) -> DateTime<Utc> {
    let floor = time.trunc_subsecs(0);
    if floor < time { floor + SECOND } else { floor }
}

fn lost(rows: usize, why: Option<&str>) -> Failure {
    let rows = match rows {
        1 => "at least one row".to_owned(),
        rows => format!("{rows} rows"),
    };
    let why = why.unwrap_or("sessions of the search skipped them again and again");
    let message = format!("Exchange Online did not return {rows} that it reported: {why}.");
    Failure::new(ErrorKind::BadResponse, message)
        .advice("Send the request again with a shorter window, which `coverage.gaps` names.")
}
