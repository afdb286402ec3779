//! What a reading comes to: the records, the account, where to go on, and why it is only a part.
//!
//! The rule: everything that came is delivered; the run fails only when nothing came for a cause
//! other than age. What several readings come to together is `collect`'s part.

use super::List;
use super::met::Met;
use super::point::Point;
use super::reading::{End, Reading};
use super::resume::{Plan, state};
use crate::net::retry::SAME_AGAIN;
use crate::ops::resume::time::clocks_differ;
use crate::ops::{Call, Reply};
use crate::protocol::{Coverage, Document, ErrorKind, Failure, Warning};
use crate::when::rfc3339;

/// In how many runs a blob may have failed that is worth coming back for at once.
const AT_ONCE: u8 = 3;

/// What a reading comes to.
pub(in crate::ops) struct Part {
    /// The kept records as an array that is not closed yet.
    pub(in crate::ops) text: String,
    pub(in crate::ops) account: Coverage,
    /// Where the next reading goes on.
    pub(in crate::ops) point: Point,
    /// Is there more to fetch now?
    pub(in crate::ops) more: bool,
    /// Is there something to go on with, though the reading is at its end?
    goes_on: bool,
    /// Blobs that came.
    pub(in crate::ops) came: u64,
    /// Records that came again with other content.
    pub(in crate::ops) changed: u64,
    pub(in crate::ops) warnings: Vec<Warning>,
    pub(in crate::ops) faults: Faults,
    /// The records that were met so far.
    pub(in crate::ops) met: Met,
}

/// What is missing, and why.
pub(in crate::ops) struct Faults {
    /// What ended the reading before its end.
    pub(in crate::ops) broken: Option<Failure>,
    /// Blobs that failed.
    pub(in crate::ops) failed: Vec<Failure>,
    /// The first answer that said expired or missing.
    aged: Option<Failure>,
    /// Why spans are lost: cause and advice.
    late: (&'static str, &'static str),
    gaps: usize,
    listed: u64,
}

impl Part {
    /// Did nothing come, for another cause than age?
    pub(in crate::ops) fn is_fruitless(&self) -> bool {
        self.came == 0 && (self.faults.broken.is_some() || !self.faults.failed.is_empty())
    }
}

/// Closes a reading.
pub(in crate::ops) fn settle(mut reading: Reading<'_>, end: End, mut plan: Plan) -> Part {
    let mut more = reading.carried.iter().any(|blob| blob.tries < AT_ONCE);
    plan.warnings.extend(clocks_differ(reading.call));
    if !matches!(end, End::Done) || reading.cursor < plan.from || plan.keeps_marks {
        // Not everything was listed again, so earlier marks may still be needed.
        let (unmet, at) = (std::mem::take(&mut reading.unmet), reading.cursor);
        reading
            .settled
            .extend(unmet.into_iter().map(|mark| (at, mark)));
    }
    let broken = match end {
        End::Done => {
            // What lies ahead of the service's clock is not there yet: nobody need come at once.
            more |= reading.back_to.is_some();
            None
        }
        End::Enough => {
            more = true;
            reading.ledger.limited();
            None
        }
        End::Broken(failure) => {
            more |= failure.kind().retryable();
            broken_off(&mut reading, &failure, &plan);
            Some(failure)
        }
    };
    let leads_on = broken.as_ref().is_some_and(|failure| !is_astray(failure));
    let account = reading.account.joined(reading.ledger.close());
    let to = (!plan.rolls).then(|| plan.end());
    let waits = plan.has_end && reading.cursor < plan.end();
    Part {
        text: reading.text,
        more,
        goes_on: plan.rolls || more || leads_on || !reading.carried.is_empty() || waits,
        came: reading.came,
        changed: reading.changed,
        warnings: plan.warnings,
        faults: Faults {
            broken,
            failed: reading.failed,
            aged: reading.aged,
            late: plan.late,
            gaps: account.gaps.len(),
            listed: account.windows.iter().map(|window| window.listed).sum(),
        },
        account,
        point: Point {
            to,
            since: plan.since,
            done: reading.settled,
            carried: reading.carried,
            ..Point::at(reading.cursor)
        },
        met: reading.met,
    }
}

/// The reply of a listing. Errors: nothing came, for another cause than age.
pub(super) fn reply(call: &Call<'_>, input: &List, part: Part) -> Result<Reply, Failure> {
    let is_fruitless = part.is_fruitless();
    let fault = match part.faults.told() {
        Some(fault) if is_fruitless => return Err(fault),
        fault => fault,
    };
    let mut warnings = part.warnings;
    warnings.extend(changed(part.changed));
    let state = part.goes_on.then(|| state(call, input, part.point));
    let account = part.account;
    Ok(Reply {
        raw: document(part.text)?,
        changed: None,
        more: part.more,
        state,
        records: account.windows.iter().map(|window| window.records).sum(),
        coverage: Some(account),
        warnings,
        incomplete: fault,
    })
}

/// An array of records that is not closed yet as a document.
pub(in crate::ops) fn document(mut text: String) -> Result<Document, Failure> {
    text.push(']');
    Document::from_compact(text).map_err(|error| {
        Failure::new(ErrorKind::Internal, "The records could not be joined.").caused_by(error)
    })
}

/// Says that records came again with other content.
pub(in crate::ops) fn changed(records: u64) -> Option<Warning> {
    let what = match records {
        0 => return None,
        1 => "1 record".to_owned(),
        n => format!("{n} records"),
    };
    let words =
        format!("{what} came again under the same id but with other content; the first is here.");
    Some(Warning::new("repeated_with_changes", words))
}

/// What was not read is a gap, from where the state goes on. It is lost only where the listing
/// itself leads astray and no state goes on there.
fn broken_off(reading: &mut Reading<'_>, failure: &Failure, plan: &Plan) {
    let window = reading.window;
    let (from, to) = match (reading.cursor, plan.end()) {
        (from, to) if from < to => (from, to),
        _ => (window.start, window.end),
    };
    let code = failure.vendor_code();
    let lost = is_astray(failure) && !plan.rolls;
    let span = (rfc3339(from), rfc3339(to));
    reading.ledger.broken_off(span, code, lost);
}

fn is_astray(failure: &Failure) -> bool {
    failure.kind() == ErrorKind::BadResponse && failure.broken_rule() == Some(SAME_AGAIN)
}

impl Faults {
    /// None of any kind.
    pub(in crate::ops) fn none() -> Self {
        Faults {
            broken: None,
            failed: Vec::new(),
            aged: None,
            late: ("", ""),
            gaps: 0,
            listed: 0,
        }
    }

    /// Adds those of another reading but for what ended it.
    pub(in crate::ops) fn add(&mut self, other: Faults) {
        if self.gaps == 0 {
            self.late = other.late;
        }
        self.failed.extend(other.failed);
        self.aged = self.aged.take().or(other.aged);
        self.gaps += other.gaps;
        self.listed += other.listed;
    }

    /// The one failure that a person reads first, with every failed blob as an item.
    pub(in crate::ops) fn told(self) -> Option<Failure> {
        let first = match (self.broken, self.failed.first()) {
            (Some(broken), _) => broken,
            (None, Some(first)) => several(first, self.failed.len(), self.listed),
            (None, None) => return aged(self.aged, (self.gaps, self.listed), self.late),
        };
        Some(self.failed.into_iter().fold(first, Failure::with_item))
    }
}

fn several(first: &Failure, failed: usize, listed: u64) -> Failure {
    let words = first.message();
    let what = match failed {
        1 => format!("1 of {listed} content blobs could not be read: {words}"),
        n => format!("{n} of {listed} content blobs could not be read; the first: {words}"),
    };
    first.reworded(what)
}

/// Nothing failed; what is missing is too old.
fn aged(
    first: Option<Failure>,
    (gaps, listed): (usize, u64),
    (cause, advice): (&str, &str),
) -> Option<Failure> {
    if gaps == 0 {
        return None;
    }
    let Some(first) = first else {
        let words = "A part of the window is older than the service keeps its content.";
        return Some(
            Failure::new(ErrorKind::Rejected, words)
                .cause(cause)
                .advice(advice),
        );
    };
    let words = first.message();
    // Those that are carried and not listed any more are counted too.
    let listed = listed.max(u64::try_from(gaps).unwrap_or(u64::MAX));
    let what = format!(
        "{gaps} of {listed} content blobs are expired or missing at the service; the first: {words}"
    );
    Some(
        first
            .reworded(what)
            .advice("What is lost stands in `coverage`. Collect more often than every 7 days."),
    )
}
