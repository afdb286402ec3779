//! The blobs of a page: selects the new ones, downloads them, and records each outcome.
//!
//! Pages are requested in `feed`, and blobs of earlier runs in `retry_queue`.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use url::Url;

use super::{ContentReader, Downloads, ReadEnd, SLOTS};
use crate::microsoft::TimeWindow;
use crate::microsoft::coverage::GapCause;
use crate::microsoft::feed::content::{Blob, BlobRecords};
use crate::microsoft::feed::error::{Absence, absence};
use crate::net::memory::is_memory;
use crate::net::retry::{Repeat, is_transient};
use crate::ops::resume::fingerprint::Fingerprint;
use crate::protocol::{Detail, ErrorKind, Failure};

/// The maximum number of downloads that can run or be finished ahead of the first unfinished one.
const AHEAD: usize = 128;

/// Blobs to request again after all others of their window.
pub(super) type Deferred = Vec<(Blob, Url, Failure)>;

/// What to do with a listed blob.
pub(super) enum Task {
    Fetch(Blob, Url),
    Refuse(Blob, Failure),
    Skip,
}

/// The outcome of a task.
enum Outcome {
    Received(Blob, Url, Result<BlobRecords, Failure>),
    Refused(Blob, Failure),
    Skipped,
}

/// How to continue after a failed download.
pub(super) enum FailureClass {
    /// The run must stop, or the service refuses all content.
    Stop(Failure),
    /// The service does not have the blob, or it cannot be read.
    Lost(GapCause, Failure),
    /// It failed temporarily.
    Temporary(Failure),
    /// The memory of the run is used up.
    NoMemory(Failure),
}

/// Classifies the failed download of a blob, at this time of the service.
pub(super) fn classify(blob: &Blob, failure: Failure, now: DateTime<Utc>) -> FailureClass {
    use ErrorKind::{AuthFailed, Cancelled, Forbidden, Throttled, Timeout};
    let has_code = failure.vendor_code().is_some();
    match (failure.kind(), absence(&failure)) {
        _ if is_memory(&failure) => FailureClass::NoMemory(failure),
        (_, Some(Absence::Missing)) if !has_code && blob.is_expired(now) => {
            FailureClass::Lost(GapCause::Expired, failure)
        }
        (_, Some(Absence::Missing)) => FailureClass::Lost(GapCause::Missing, failure),
        (_, Some(Absence::Expired)) => FailureClass::Lost(GapCause::Expired, failure),
        (_, Some(Absence::AllRefused)) | (Cancelled | Timeout, _) => FailureClass::Stop(failure),
        // The request was not sent.
        (Throttled, _) if failure.http_status().is_none() => FailureClass::Stop(failure),
        (AuthFailed | Forbidden, _) => FailureClass::Temporary(failure),
        _ if is_transient(&failure, Repeat::Safe) => FailureClass::Temporary(failure),
        _ => FailureClass::Lost(GapCause::Failed { is_retried: false }, failure),
    }
}

/// The fingerprint of a blob: that of its id.
pub(super) fn fingerprint(blob: &Blob) -> Fingerprint {
    Fingerprint::of(blob.name())
}

impl ContentReader<'_> {
    /// Adds the blobs of a page to the progress. Returns a task for each.
    pub(super) fn list(&mut self, blobs: Vec<Blob>, window: &TimeWindow) -> Vec<Task> {
        let times: Vec<_> = blobs
            .iter()
            .map(|blob| self.available(blob, window))
            .collect();
        self.progress.page(times.iter().min().copied());
        let with_times = blobs.into_iter().zip(times);
        with_times
            .map(|(blob, time)| self.task(blob, time))
            .collect()
    }

    /// The time at which a blob became available. A time outside of the window is replaced by the
    /// time of the previous blob, because listings are ascending.
    pub(super) fn available(&mut self, blob: &Blob, window: &TimeWindow) -> DateTime<Utc> {
        let is_inside = |time: &DateTime<Utc>| window.start <= *time && *time < window.end;
        let time = blob.created().filter(is_inside).unwrap_or(self.last_listed);
        self.last_listed = time;
        time
    }

    fn task(&mut self, blob: Blob, time: DateTime<Utc>) -> Task {
        if !self.progress.list(fingerprint(&blob), time, blob.name()) {
            return Task::Skip;
        }
        let address = match &blob.content_uri {
            Some(address) => self.links.check(address),
            None => Err(unusable("The listing gives no address for this content.")),
        };
        match address {
            Err(refused) => Task::Refuse(blob, refused),
            Ok(url) if !self.addresses.insert(url.to_string()) => {
                let message = "The listing gives the same address for different content. It was requested once.";
                Task::Refuse(blob, unusable(message))
            }
            Ok(url) => Task::Fetch(blob, url),
        }
    }

    /// Downloads the new blobs of a page, each with one request. Blobs that failed temporarily are
    /// added to `deferred`. A download that was started is always finished.
    pub(super) async fn download(
        &mut self,
        tasks: Vec<Task>,
        deferred: &mut Deferred,
        downloads: &Downloads<'_>,
    ) -> ReadEnd {
        let all = tasks.len();
        let stop = AtomicBool::new(false);
        let tasks = tasks
            .into_iter()
            .take_while(|_| !stop.load(Ordering::Relaxed));
        let ahead = self.ahead();
        let mut outcomes = stream::iter(tasks)
            .map(|task| execute(downloads, task, Repeat::Never))
            .buffered(ahead);
        let (mut end, mut taken) = (ReadEnd::Done, 0);
        while let Some(outcome) = outcomes.next().await {
            taken += 1;
            match self.record(outcome, Some(deferred)) {
                // A failure is reported before a limit.
                Some(failure) if !matches!(end, ReadEnd::Broken(_)) => {
                    end = ReadEnd::Broken(failure);
                }
                _ => {}
            }
            end = self.limit_or(end, ahead);
            stop.store(!matches!(end, ReadEnd::Done), Ordering::Relaxed);
        }
        // All blobs of the page were started when the limit was reached.
        let is_exhausted = self.call.http.memory().is_exhausted();
        if taken == all && !is_exhausted && !matches!(end, ReadEnd::Broken(_)) {
            return ReadEnd::Done;
        }
        end
    }

    /// Downloads the deferred blobs again, with the usual retries. If reading has ended, adds them
    /// to the retry queue.
    pub(super) async fn download_deferred(
        &mut self,
        mut deferred: Deferred,
        mut end: ReadEnd,
        downloads: &Downloads<'_>,
    ) -> ReadEnd {
        if self.call.http.memory().is_exhausted() {
            deferred = self.download_one_alone(deferred, downloads).await;
        }
        let ahead = self.ahead();
        let stop = AtomicBool::new(!matches!(end, ReadEnd::Done));
        let mut deferred = deferred.into_iter();
        let mut outcomes = stream::iter(std::iter::from_fn(|| {
            let is_over = stop.load(Ordering::Relaxed);
            (!is_over).then(|| deferred.next()).flatten()
        }))
        .map(|(blob, url, _)| execute(downloads, Task::Fetch(blob, url), Repeat::Safe))
        .buffered(ahead);
        while let Some(outcome) = outcomes.next().await {
            match self.record(outcome, None) {
                Some(failure) if !matches!(end, ReadEnd::Broken(_)) => {
                    end = ReadEnd::Broken(failure);
                }
                _ => {}
            }
            end = self.limit_or(end, ahead);
            stop.store(!matches!(end, ReadEnd::Done), Ordering::Relaxed);
        }
        drop(outcomes);
        for (blob, _, failure) in deferred.filter(|(_, _, failure)| !is_memory(failure)) {
            self.queue_for_next_run(&blob, failure);
        }
        end
    }

    /// If parallel downloads used up the memory and nothing was delivered, downloads the first blob
    /// alone. If it alone needs too much memory, it is lost.
    async fn download_one_alone(
        &mut self,
        mut deferred: Deferred,
        downloads: &Downloads<'_>,
    ) -> Deferred {
        let first = deferred
            .iter()
            .position(|(_, _, failure)| is_memory(failure));
        let Some(first) = first.filter(|_| self.delivered.blobs == 0) else {
            return deferred;
        };
        let (blob, url, _) = deferred.remove(first);
        self.call.http.memory().retry();
        let outcome = execute(downloads, Task::Fetch(blob, url), Repeat::Never).await;
        match outcome {
            Outcome::Received(blob, _, Err(failure)) if is_memory(&failure) => {
                self.report_lost(&blob, GapCause::Failed { is_retried: false }, failure);
            }
            outcome => {
                self.record(outcome, Some(&mut deferred));
            }
        }
        deferred
    }

    /// How many downloads can be ahead of the first unfinished one. With a limit, only as many as
    /// run at the same time.
    fn ahead(&self) -> usize {
        match self.call.max_events {
            Some(_) => SLOTS,
            None => AHEAD,
        }
    }

    /// The limit that was reached; without one, `end`. `reserved`: downloads that still need room.
    fn limit_or(&self, end: ReadEnd, reserved: usize) -> ReadEnd {
        match end {
            ReadEnd::Done if self.is_limited() || self.call.http.memory().is_exhausted() => {
                ReadEnd::Limited
            }
            ReadEnd::Done if !self.progress.has_capacity(reserved) => ReadEnd::Full,
            end => end,
        }
    }

    /// Records the outcome of a blob. Returns the failure if reading must stop.
    fn record(&mut self, outcome: Outcome, deferred: Option<&mut Deferred>) -> Option<Failure> {
        let (blob, url, failure) = match outcome {
            Outcome::Skipped => {
                self.window_coverage().add_duplicate();
                return None;
            }
            Outcome::Received(blob, _, Ok(records)) => {
                let counted = self.delivered.add(records);
                self.window_coverage().add_fetched_blob(counted);
                self.refusals = 0;
                self.progress.set_handled(fingerprint(&blob));
                return None;
            }
            Outcome::Refused(blob, failure) => (blob, None, failure),
            Outcome::Received(blob, url, Err(failure)) => (blob, Some(url), failure),
        };
        match classify(&blob, failure, self.now) {
            FailureClass::Stop(failure) => Some(failure),
            FailureClass::Lost(why, failure) => {
                self.report_lost(&blob, why, failure);
                None
            }
            FailureClass::Temporary(failure) => {
                self.defer_or_queue(blob, url.zip(deferred), failure)
            }
            FailureClass::NoMemory(failure) => {
                // The blob stays unhandled, so the next run requests it again.
                if let Some((url, deferred)) = url.zip(deferred) {
                    deferred.push((blob, url, failure));
                }
                None
            }
        }
    }

    fn report_lost(&mut self, blob: &Blob, why: GapCause, failure: Failure) {
        let code = failure.vendor_code().map(str::to_owned);
        self.window_coverage()
            .add_missing_blob(blob.name(), why, code.as_deref());
        self.progress.set_handled(fingerprint(blob));
        self.faults.add_blob(blob.name(), why, failure);
    }

    /// Records a temporary failure. Returns it if reading must stop: the service refuses one blob
    /// after the other, or demands a pause beyond the deadline.
    fn defer_or_queue(
        &mut self,
        blob: Blob,
        again: Option<(Url, &mut Deferred)>,
        failure: Failure,
    ) -> Option<Failure> {
        let is_refusal = matches!(failure.kind(), ErrorKind::AuthFailed | ErrorKind::Forbidden);
        if is_refusal {
            self.refusals += 1;
            if self.refusals > SLOTS {
                return Some(failure);
            }
        } else if !self.has_time_for(&failure) {
            return Some(failure);
        } else if let Some((url, deferred)) = again {
            deferred.push((blob, url, failure));
            return None;
        }
        self.queue_for_next_run(&blob, failure);
        None
    }

    /// Whether the pause that the service demands ends before the deadline.
    fn has_time_for(&self, failure: &Failure) -> bool {
        let pause = failure
            .wait()
            .filter(|_| failure.kind() == ErrorKind::Throttled);
        pause.is_none_or(|pause| self.call.http.deadline().allows(pause))
    }

    /// Adds a blob that failed temporarily to the retry queue.
    fn queue_for_next_run(&mut self, blob: &Blob, failure: Failure) {
        let why = GapCause::Failed { is_retried: true };
        let code = failure.vendor_code().map(str::to_owned);
        self.window_coverage()
            .add_missing_blob(blob.name(), why, code.as_deref());
        self.progress.queue_failed(fingerprint(blob));
        self.faults.add_blob(blob.name(), why, failure);
    }
}

/// A fault of the listing that a later request would repeat.
fn unusable(message: &str) -> Failure {
    Failure::new(ErrorKind::BadResponse, message).with_detail(Detail::Permanent)
}

async fn execute(downloads: &Downloads<'_>, task: Task, repeat: Repeat) -> Outcome {
    match task {
        Task::Skip => Outcome::Skipped,
        Task::Refuse(blob, failure) => Outcome::Refused(blob, failure),
        Task::Fetch(blob, url) => {
            let records = downloads.get(url.clone(), repeat).await;
            Outcome::Received(blob, url, records)
        }
    }
}
