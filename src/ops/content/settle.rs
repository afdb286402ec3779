//! What a reading comes to: the document, the account, the state, and why it is only a part.
//!
//! The rule: everything that came is delivered; the run fails only when nothing came for a cause
//! other than age.

use chrono::TimeDelta;

use super::reading::{End, Reading};
use super::resume::{Left, Plan, state};
use crate::net::retry::SAME_AGAIN;
use crate::ops::Reply;
use crate::protocol::{Document, ErrorKind, Failure, Warning};
use crate::when::rfc3339;

/// In how many runs a blob may have failed that is worth coming back for at once.
const AT_ONCE: u8 = 3;

/// Closes a reading.
pub(super) fn settle(mut reading: Reading<'_>, end: End, mut plan: Plan) -> Result<Reply, Failure> {
    let mut more = reading.carried.iter().any(|blob| blob.tries < AT_ONCE);
    plan.warnings.extend(clocks_differ(reading.skew));
    if !matches!(end, End::Done) || reading.cursor < plan.from {
        // Not everything was listed again, so earlier marks may still be needed.
        let (unmet, at) = (std::mem::take(&mut reading.unmet), reading.cursor);
        reading
            .settled
            .extend(unmet.into_iter().map(|mark| (at, mark)));
    }
    let broken = match end {
        End::Done => {
            more |= reading.cursor < plan.end();
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
    let account = std::mem::take(&mut reading.account);
    let account = account.joined(reading.ledger.clone().close());
    let is_partial = broken.is_some() || !reading.failed.is_empty();
    let leads_on = broken.as_ref().is_some_and(|failure| !is_astray(failure));
    let listed = account.windows.iter().map(|window| window.listed).sum();
    let fault = fault(&mut reading, broken, (account.gaps.len(), listed));
    let fault = match fault {
        Some(fault) if is_partial && reading.came == 0 => return Err(fault),
        fault => fault,
    };
    plan.warnings.extend(changed(reading.changed));
    // Moved, not copied: the records may be most of the memory.
    let mut text = std::mem::take(&mut reading.text);
    text.push(']');
    let raw = Document::from_compact(text).map_err(|error| {
        Failure::new(ErrorKind::Internal, "The records could not be joined.").caused_by(error)
    })?;
    let state = (plan.rolls || more || leads_on || !reading.carried.is_empty()).then(|| {
        let left = Left {
            from: reading.cursor,
            to: (!plan.rolls).then(|| plan.end()),
            done: std::mem::take(&mut reading.settled),
            carried: std::mem::take(&mut reading.carried),
        };
        state(reading.call, reading.input, left)
    });
    Ok(Reply {
        raw,
        changed: None,
        more,
        state,
        records: account.windows.iter().map(|window| window.records).sum(),
        coverage: Some(account),
        warnings: plan.warnings,
        incomplete: fault,
    })
}

fn changed(records: u64) -> Option<Warning> {
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

/// A clock that is off is told: it decides which windows are asked for.
fn clocks_differ(skew: Option<TimeDelta>) -> Option<Warning> {
    let skew = skew.filter(|skew| skew.abs() > TimeDelta::minutes(5))?;
    let (minutes, which) = (
        skew.num_minutes().abs(),
        if skew > TimeDelta::zero() {
            "ahead of"
        } else {
            "behind"
        },
    );
    let words = format!("The clock of this machine is {minutes} minutes {which} the service's.");
    Some(Warning::new("clocks_differ", words))
}

/// The one failure that a person reads first, with every failed blob as an item.
fn fault(
    reading: &mut Reading<'_>,
    broken: Option<Failure>,
    (gaps, listed): (usize, u64),
) -> Option<Failure> {
    let failed = std::mem::take(&mut reading.failed);
    let first = match (broken, failed.first()) {
        (Some(broken), _) => broken,
        (None, Some(first)) => several(first, failed.len(), listed),
        (None, None) => return aged(reading.aged.take(), gaps, listed),
    };
    Some(failed.into_iter().fold(first, Failure::with_item))
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
fn aged(first: Option<Failure>, gaps: usize, listed: u64) -> Option<Failure> {
    if gaps == 0 {
        return None;
    }
    let Some(first) = first else {
        let words = "A part of the window is older than the service keeps its content.";
        return Some(
            Failure::new(ErrorKind::Rejected, words)
                .cause("The state is older than 7 days.")
                .advice("Run more often than every 7 days; what is lost stands in `coverage`."),
        );
    };
    let words = first.message();
    let what = format!(
        "{gaps} of {listed} content blobs are expired or missing at the service; the first: {words}"
    );
    Some(
        first
            .reworded(what)
            .advice("What is lost stands in `coverage`. Collect more often than every 7 days."),
    )
}
