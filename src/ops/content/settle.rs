//! What a reading comes to: the document, the account, the state, and why it is only a part.
//!
//! The rule: everything that came is delivered; the run fails only when nothing came for a cause
//! other than age.

use super::reading::{End, Reading};
use super::resume::state;
use crate::ops::Reply;
use crate::protocol::{Document, ErrorKind, Failure, Warning};
use crate::when::rfc3339;

/// Closes a reading.
pub(super) fn settle(
    mut reading: Reading<'_>,
    end: End,
    mut warnings: Vec<Warning>,
) -> Result<Reply, Failure> {
    let broken = match end {
        End::Done => None,
        End::Enough => {
            reading.ledger.limited();
            None
        }
        End::Broken(failure) => {
            broken_off(&mut reading, &failure);
            Some(failure)
        }
    };
    let is_partial = broken.is_some() || !reading.failed.is_empty();
    let fault = fault(&mut reading, broken);
    let fault = match fault {
        Some(fault) if is_partial && reading.ledger.fetched_so_far() == 0 => return Err(fault),
        fault => fault,
    };
    warnings.extend(changed(reading.changed));
    let state = reading.back_to.map(|from| {
        let done = reading.settled.iter().map(|blob| (blob.created, blob.mark));
        let span = (from, reading.window.end);
        state(reading.call, reading.input, span, done.collect())
    });
    // Moved, not copied: the records may be most of the memory.
    let mut text = std::mem::take(&mut reading.text);
    text.push(']');
    let raw = Document::from_compact(text).map_err(|error| {
        Failure::new(ErrorKind::Internal, "The records could not be joined.").caused_by(error)
    })?;
    Ok(Reply {
        raw,
        more: state.is_some(),
        state,
        records: reading.ledger.records(),
        coverage: Some(reading.ledger.close()),
        warnings,
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

/// The rest of the window is a gap; a passing fault can be gone back to.
fn broken_off(reading: &mut Reading<'_>, failure: &Failure) {
    let again = failure.kind().retryable();
    if again {
        reading.come_back(reading.reached);
    }
    let from = match reading.back_to {
        Some(back_to) if again => back_to,
        _ => reading.reached,
    };
    let code = failure.vendor_code();
    reading.ledger.broken_off(rfc3339(from), code, !again);
}

/// The one failure that a person reads first, with every failed blob as an item.
fn fault(reading: &mut Reading<'_>, broken: Option<Failure>) -> Option<Failure> {
    let failed = std::mem::take(&mut reading.failed);
    let listed = reading.ledger.listed();
    let first = match (broken, failed.first()) {
        (Some(broken), _) => broken,
        (None, Some(first)) => several(first, failed.len(), listed),
        (None, None) => return aged(reading),
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
fn aged(reading: &mut Reading<'_>) -> Option<Failure> {
    let gaps = reading.ledger.gaps().len();
    if gaps == 0 {
        return None;
    }
    let listed = reading.ledger.listed();
    let Some(first) = reading.aged.take() else {
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
