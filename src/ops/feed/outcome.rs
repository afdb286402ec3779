//! The outcome of reading one content type: records, coverage, the next checkpoint, and faults.
//!
//! All received records are delivered. A run fails only if nothing was delivered and at least one
//! failure is not an expiry.

use std::num::NonZeroU64;

use chrono::TimeDelta;

use super::{ContentReader, ReadEnd};
use crate::microsoft::coverage::{CoverageBuilder, GapCause};
use crate::microsoft::{ContentType, TimeWindow};
use crate::ops::resume::checkpoint::Checkpoint;
use crate::ops::resume::progress::RunOutcome;
use crate::ops::resume::records::SeenRecords;
use crate::ops::resume::time::clocks_differ;
use crate::ops::{Call, Reply, from_compact};
use crate::protocol::{Coverage, Detail, ErrorKind, Failure, Warning};
use crate::when::rfc3339;

/// A finished read. `close` limits its fingerprints and builds the report.
pub(in crate::ops) struct ReadOutcome<'a> {
    pub(super) reader: ContentReader<'a>,
    pub(super) end: ReadEnd,
}

/// What was read of one content type.
pub(in crate::ops) struct ReadReport {
    /// The records as an array that is not closed yet.
    pub(in crate::ops) text: String,
    pub(in crate::ops) coverage: Coverage,
    /// Whether more can be fetched now, if the run had progress.
    pub(in crate::ops) more: bool,
    pub(in crate::ops) has_progress: bool,
    /// Whether the same request, sent again, would fail for the same reason.
    pub(in crate::ops) is_permanent: bool,
    /// Blobs that were delivered.
    pub(in crate::ops) blobs: u64,
    /// Records that were repeated with other content.
    pub(in crate::ops) changed: u64,
    pub(in crate::ops) warnings: Vec<Warning>,
    pub(in crate::ops) faults: Faults,
}

impl ReadOutcome<'_> {
    pub(in crate::ops) fn content_type(&self) -> ContentType {
        self.reader.content_type
    }

    /// Records delivered in this run, those of other content types included.
    pub(in crate::ops) fn delivered(&self) -> u64 {
        self.reader.delivered_count()
    }

    /// The records that were seen, for the next content type of the run.
    pub(in crate::ops) fn take_records(&mut self) -> SeenRecords {
        std::mem::take(&mut self.reader.delivered.records)
    }

    /// The failure that ended reading early.
    pub(in crate::ops) fn broken(&self) -> Option<&Failure> {
        match &self.end {
            ReadEnd::Broken(failure) => Some(failure),
            _ => None,
        }
    }

    /// How many fingerprints the next checkpoint needs at most.
    pub(in crate::ops) fn fingerprints(&self) -> usize {
        self.reader.progress.fingerprints()
    }

    /// The next checkpoint, with at most this number of fingerprints, and the report.
    pub(in crate::ops) fn close(self, fingerprints: usize) -> (Checkpoint, ReadReport) {
        let ReadOutcome { mut reader, end } = self;
        let name = reader.content_type.name();
        let (until, bounds) = (reader.progress.until(), reader.progress.bounds());
        let first = reader.progress.windows().first().copied();
        let closed = reader.progress.close(fingerprints);
        let span = TimeWindow {
            start: closed.checkpoint.watermark.min(until),
            end: until,
        };
        if reader.coverage.is_empty() {
            let none = TimeWindow {
                start: until,
                end: until,
            };
            let window = first.unwrap_or(none);
            reader.coverage.push(CoverageBuilder::new(name, &window));
        }
        for name in &closed.dropped {
            let mut windows = reader.coverage.iter_mut();
            if !windows.any(|window| window.mark_lost(name)) {
                let lost = GapCause::Failed { is_retried: false };
                reader.lost.add_missing_blob(name, lost, None);
            }
        }
        let last = reader.coverage.last_mut();
        let window_end = last.map_or(WindowEnd::CONTINUES, |last| {
            close_window(last, &end, &closed, &span)
        });
        if let Some(skipped) = &closed.skipped {
            reader.faults.add_failure(too_dense(skipped));
        }
        if let Some(left) = closed.shortened {
            let warning = overlap_shortened(reader.content_type, left, bounds.overlap);
            reader.warnings.push(warning);
        }
        let mut coverage = Coverage {
            windows: Vec::new(),
            ..reader.lost.close()
        };
        for window in reader.coverage {
            coverage.add(window.close());
        }
        coverage.complete = coverage.gaps.is_empty();
        reader.faults.gaps = coverage.gaps.len();
        reader.faults.listed = coverage.windows.iter().map(|window| window.listed).sum();
        if let ReadEnd::Broken(failure) = end {
            reader.faults.broken = Some(failure);
        }
        let report = ReadReport {
            text: reader.delivered.text,
            coverage,
            more: closed.more && window_end.can_continue,
            has_progress: closed.has_progress,
            is_permanent: window_end.is_permanent,
            blobs: reader.delivered.blobs,
            changed: reader.delivered.changed,
            warnings: reader.warnings,
            faults: reader.faults,
        };
        (closed.checkpoint, report)
    }
}

/// How the last window ended.
struct WindowEnd {
    /// Whether the same request, sent again, would fail there for the same reason.
    is_permanent: bool,
    /// Whether a run can continue there now.
    can_continue: bool,
}

impl WindowEnd {
    const CONTINUES: Self = WindowEnd {
        is_permanent: false,
        can_continue: true,
    };
}

/// Adds the gaps that follow from an early end to the last window.
fn close_window(
    last: &mut CoverageBuilder,
    end: &ReadEnd,
    closed: &RunOutcome,
    span: &TimeWindow,
) -> WindowEnd {
    if let Some(skipped) = &closed.skipped {
        last.add_interrupted_span(skipped, None, true);
    }
    match end {
        ReadEnd::Done | ReadEnd::Full => WindowEnd::CONTINUES,
        ReadEnd::Limited => {
            last.set_limited();
            WindowEnd::CONTINUES
        }
        ReadEnd::Broken(failure) => {
            let is_permanent = closed.checkpoint.end.is_some()
                && failure.kind() == ErrorKind::BadResponse
                && failure.detail() == Some(Detail::Permanent);
            if closed.is_open && span.start < span.end {
                last.add_interrupted_span(span, failure.vendor_code(), is_permanent);
            } else if closed.is_open {
                last.add_interruption(failure.vendor_code(), is_permanent);
            }
            WindowEnd {
                is_permanent,
                can_continue: failure.kind().retryable(),
            }
        }
    }
}

impl ReadReport {
    /// Whether nothing was delivered and at least one failure is not an expiry.
    pub(in crate::ops) fn has_failed(&self) -> bool {
        self.blobs == 0 && (self.faults.broken.is_some() || !self.faults.failed.is_empty())
    }

    /// Whether a later run can fetch more. `has_end_time`: the request sets the end of the window,
    /// which stays open until no more content can appear in it.
    pub(in crate::ops) fn continues(&self, checkpoint: &Checkpoint, has_end_time: bool) -> bool {
        let Some(end) = checkpoint.end else {
            return true;
        };
        let is_unfinished = has_end_time && checkpoint.watermark < end;
        (self.more && self.has_progress)
            || !checkpoint.retry.is_empty()
            || (!self.is_permanent && (is_unfinished || self.faults.broken.is_some()))
    }
}

/// The faults found while reading.
#[derive(Default)]
pub(in crate::ops) struct Faults {
    /// The failure that ended reading early.
    pub(in crate::ops) broken: Option<Failure>,
    /// Blobs that failed.
    pub(in crate::ops) failed: Vec<Failure>,
    /// The first answer with the code of expired or missing content.
    absent: Option<Failure>,
    /// Cause and advice for expired spans.
    expired: (&'static str, &'static str),
    gaps: usize,
    listed: u64,
}

impl Faults {
    /// No faults. The cause and the advice are for expired spans.
    pub(in crate::ops) fn new(expired: (&'static str, &'static str)) -> Self {
        Faults {
            expired,
            ..Faults::default()
        }
    }

    /// Adds a blob that was not delivered.
    pub(super) fn add_blob(&mut self, name: &str, why: GapCause, failure: Failure) {
        match why {
            GapCause::Expired | GapCause::Missing => {
                self.absent.get_or_insert(failure);
            }
            GapCause::Failed { .. } => self.failed.push(failure.at(name)),
        }
    }

    pub(super) fn add_failure(&mut self, failure: Failure) {
        self.failed.push(failure);
    }

    /// Adds a blob of the retry queue that the service no longer lists.
    pub(super) fn add_unlisted(&mut self) {
        self.absent.get_or_insert_with(|| {
            let message = "Content that failed before is not listed any more.";
            Failure::new(ErrorKind::Rejected, message)
        });
    }

    /// Adds the faults of another content type, without the failure that ended its reading.
    pub(in crate::ops) fn add(&mut self, other: Faults) {
        if self.gaps == 0 {
            self.expired = other.expired;
        }
        self.failed.extend(other.failed);
        self.absent = self.absent.take().or(other.absent);
        self.gaps += other.gaps;
        self.listed += other.listed;
    }

    /// The failure to report, with every failed blob as an item.
    pub(in crate::ops) fn report(self) -> Option<Failure> {
        let first = match (self.broken, self.failed.first()) {
            (Some(broken), _) => broken,
            (None, Some(first)) => several(first, self.failed.len(), self.listed),
            (None, None) => return absent(self.absent, (self.gaps, self.listed), self.expired),
        };
        Some(self.failed.into_iter().fold(first, Failure::with_item))
    }
}

fn overlap_shortened(content_type: ContentType, left: TimeDelta, overlap: TimeDelta) -> Warning {
    let (left, overlap) = (left.num_seconds(), overlap.num_seconds());
    let message = format!(
        "{content_type}: more content became available than a state can remember. The next run looks back {left} seconds instead of {overlap}; content that appears later than that is not found."
    );
    Warning::new("overlap_shortened", message)
}

/// The failure if more content became available than a state can remember, and its listing was not
/// read to the end.
fn too_dense(skipped: &TimeWindow) -> Failure {
    let (from, to) = (rfc3339(skipped.start), rfc3339(skipped.end));
    let message = format!(
        "More content became available from {from} to {to} than a state can remember; a part of it may not have been fetched."
    );
    Failure::new(ErrorKind::BadResponse, message)
        .cause("The run ended before the listing of this time did, and the next run cannot list it again without repeating events.")
        .advice("Request this window again without `max_events` and with a longer `timeout_ms`.")
}

fn several(first: &Failure, failed: usize, listed: u64) -> Failure {
    let message = first.message();
    let what = match failed {
        1 => format!("1 of {listed} content blobs could not be read: {message}"),
        n => format!("{n} of {listed} content blobs could not be read; the first: {message}"),
    };
    first.reworded(what)
}

/// The failure if content is missing only because it is expired or not found.
fn absent(
    first: Option<Failure>,
    (gaps, listed): (usize, u64),
    (cause, advice): (&str, &str),
) -> Option<Failure> {
    if gaps == 0 {
        return None;
    }
    let Some(first) = first else {
        let message = "A part of the window is older than the content that the service stores.";
        return Some(
            Failure::new(ErrorKind::Rejected, message)
                .cause(cause)
                .advice(advice),
        );
    };
    let message = first.message();
    // Gaps include blobs of the retry queue that the service no longer lists.
    let listed = listed.max(u64::try_from(gaps).unwrap_or(u64::MAX));
    let what = format!(
        "{gaps} of {listed} content blobs are expired or missing at the service; the first: {message}"
    );
    Some(
        first
            .reworded(what)
            .advice("`coverage` lists the lost content. Collect more often than every 7 days."),
    )
}

/// One reply with the results of all content types, in this order. `warnings` come first.
pub(in crate::ops) fn reply(
    call: &Call<'_>,
    mut warnings: Vec<Warning>,
    reports: Vec<ReadReport>,
) -> Result<Reply, Failure> {
    warnings.extend(clocks_differ(call));
    let mut coverage = Coverage {
        complete: true,
        ..Coverage::default()
    };
    let mut text = "[".to_owned();
    let (mut changed, mut more, mut has_progress) = (0, false, false);
    for report in reports {
        if text.len() == 1 {
            // Moved, not copied: the records can be most of the memory.
            text = report.text;
        } else if report.text.len() > 1 {
            text.push(',');
            text.push_str(&report.text[1..]);
        }
        coverage.add(report.coverage);
        changed += report.changed;
        more |= report.more;
        has_progress |= report.has_progress;
        warnings.extend(report.warnings);
    }
    text.push(']');
    warnings.extend(changed_records(changed));
    let memory = call.http.memory();
    warnings.extend(memory.is_exhausted().then(|| memory.warning()));
    Ok(Reply {
        records: coverage.windows.iter().map(|window| window.records).sum(),
        coverage: Some(coverage),
        warnings,
        more: more && has_progress,
        ..Reply::of(from_compact(text)?)
    })
}

/// The warning about records that were repeated with other content.
fn changed_records(records: u64) -> Option<Warning> {
    let what = match NonZeroU64::new(records)?.get() {
        1 => "1 record was".to_owned(),
        n => format!("{n} records were"),
    };
    let message =
        format!("{what} repeated with the same ID but other content; both versions are delivered.");
    Some(Warning::new("repeated_with_changes", message))
}
