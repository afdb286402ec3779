//! The retry queue: blobs that earlier runs listed and did not deliver, each requested once.
//!
//! A state contains no addresses, so a blob is found by listing the second in which it became
//! available. The results are merged after the new content was read.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use url::Url;

use super::blobs::{FailureClass, classify, fingerprint};
use super::{ContentReader, Downloads, ReadEnd, SLOTS};
use crate::microsoft::coverage::{CoverageBuilder, GapCause};
use crate::microsoft::feed::content::{Blob, BlobRecords};
use crate::microsoft::{ContentType, TimeWindow};
use crate::net::Links;
use crate::net::retry::Repeat;
use crate::ops::resume::checkpoint::RetryQueue;
use crate::ops::resume::fingerprint::Fingerprint;
use crate::protocol::{ErrorKind, Failure};

/// Fetches the blobs of the retry queue.
pub(super) struct Queue<'a> {
    pub(super) downloads: &'a Downloads<'a>,
    /// The service that links must lead to.
    pub(super) links: &'a Url,
    pub(super) content_type: ContentType,
}

/// The blobs of one second.
pub(super) struct RetriedSecond {
    window: TimeWindow,
    coverage: CoverageBuilder,
    /// Blobs that no page has listed yet.
    not_found: Vec<Fingerprint>,
    received: Vec<(Blob, Result<BlobRecords, Failure>)>,
    /// Why the listing failed.
    failure: Option<Failure>,
}

impl Queue<'_> {
    pub(super) async fn attempt(&self, queue: RetryQueue) -> Vec<RetriedSecond> {
        let mut blobs: Vec<(DateTime<Utc>, Fingerprint)> = queue
            .into_iter()
            .map(|(fingerprint, retry)| (retry.available.trunc_subsecs(0), fingerprint))
            .collect();
        blobs.sort_unstable();
        let seconds = blobs.chunk_by(|a, b| a.0 == b.0);
        let seconds: Vec<RetriedSecond> = seconds.map(|blobs| self.plan_second(blobs)).collect();
        let attempts = stream::iter(seconds).map(|second| self.read(second));
        attempts.buffered(SLOTS).collect().await
    }

    fn plan_second(&self, blobs: &[(DateTime<Utc>, Fingerprint)]) -> RetriedSecond {
        let window = second_of(blobs[0].0);
        RetriedSecond {
            window,
            coverage: CoverageBuilder::new(self.content_type.name(), &window),
            not_found: blobs.iter().map(|(_, fingerprint)| *fingerprint).collect(),
            received: Vec::new(),
            failure: None,
        }
    }

    async fn read(&self, mut second: RetriedSecond) -> RetriedSecond {
        // The semaphore is never closed.
        let _slot = self.downloads.retry_slots.acquire().await;
        if let Err(failure) = self.read_pages(&mut second).await {
            second.failure = Some(failure);
        }
        second
    }

    async fn read_pages(&self, second: &mut RetriedSecond) -> Result<(), Failure> {
        let feed = &self.downloads.feed;
        let mut links = Links::new(self.links);
        let first = feed.content_url(self.content_type, &second.window).await?;
        links.visited(&first);
        let mut page = feed.content(first).await?;
        loop {
            second.coverage.add_listing_page();
            for blob in page.blobs {
                let fingerprint = fingerprint(&blob);
                let place = second
                    .not_found
                    .iter()
                    .position(|other| *other == fingerprint);
                let address = blob.content_uri.as_deref().map(|link| links.check(link));
                let (Some(place), Some(address)) = (place, address) else {
                    second.coverage.add_duplicate();
                    continue;
                };
                second.not_found.remove(place);
                let received = match address {
                    Ok(url) => self.downloads.get(url, Repeat::Never).await,
                    Err(refused) => Err(refused),
                };
                second.received.push((blob, received));
            }
            let Some(link) = page.next.filter(|_| !second.not_found.is_empty()) else {
                return Ok(());
            };
            page = feed.content(links.follow(&link)?).await?;
        }
    }
}

impl ContentReader<'_> {
    /// The blobs of the retry queue. Expired blobs become gaps.
    pub(super) fn stored_retries(&mut self) -> RetryQueue {
        let (stored, expired) = self.progress.split_retries();
        for retry in expired.values() {
            self.lost.add_expired_span(&second_of(retry.available));
        }
        stored
    }

    /// Merges the outcome of the retry queue into that of the run. Returns why reading ended.
    pub(super) fn merge_retries(
        &mut self,
        retried: Vec<RetriedSecond>,
        mut end: ReadEnd,
    ) -> ReadEnd {
        let mut coverage = Vec::new();
        for mut second in retried {
            let mut stopped = None;
            for (blob, received) in std::mem::take(&mut second.received) {
                stopped = self.merge_blob(&mut second, &blob, received).or(stopped);
            }
            stopped = self.report_not_found(&mut second).or(stopped);
            if let (Some(failure), false) = (stopped, matches!(end, ReadEnd::Broken(_))) {
                end = ReadEnd::Broken(failure);
            }
            coverage.push(second.coverage);
        }
        coverage.append(&mut self.coverage);
        self.coverage = coverage;
        end
    }

    /// Merges the outcome of a listed blob. Returns the failure if the run must stop.
    fn merge_blob(
        &mut self,
        second: &mut RetriedSecond,
        blob: &Blob,
        received: Result<BlobRecords, Failure>,
    ) -> Option<Failure> {
        let fingerprint = fingerprint(blob);
        let failure = match received {
            Ok(records) => {
                second
                    .coverage
                    .add_fetched_blob(self.delivered.add(records));
                self.progress.remove_retry(fingerprint);
                return None;
            }
            Err(failure) => failure,
        };
        let code = failure.vendor_code().map(str::to_owned);
        let (why, failure, stopped) = match classify(blob, failure, self.now) {
            FailureClass::Lost(why, failure) => {
                self.progress.remove_retry(fingerprint);
                (why, failure, None)
            }
            FailureClass::NoMemory(failure) => {
                (GapCause::Failed { is_retried: true }, failure, None)
            }
            FailureClass::Temporary(failure) => {
                self.progress.count_failed_attempt(fingerprint);
                (GapCause::Failed { is_retried: true }, failure, None)
            }
            FailureClass::Stop(failure) => {
                let why = GapCause::Failed { is_retried: true };
                (why, failure.clone(), Some(failure))
            }
        };
        second
            .coverage
            .add_missing_blob(blob.name(), why, code.as_deref());
        if stopped.is_none() {
            self.faults.add_blob(blob.name(), why, failure);
        }
        stopped
    }

    /// Reports the blobs that were not found. Returns the failure if the run must stop.
    fn report_not_found(&mut self, second: &mut RetriedSecond) -> Option<Failure> {
        if second.not_found.is_empty() {
            let failure = second.failure.take();
            return failure.and_then(|failure| self.add_listing_failure(failure));
        }
        let Some(failure) = second.failure.take() else {
            for fingerprint in &second.not_found {
                self.progress.count_failed_attempt(*fingerprint);
            }
            second.coverage.add_unlisted_span(&second.window);
            self.faults.add_unlisted();
            return None;
        };
        second
            .coverage
            .add_interrupted_span(&second.window, failure.vendor_code(), false);
        self.add_listing_failure(failure)
    }

    /// Adds the failure of a listing. Returns it instead if the run must stop.
    fn add_listing_failure(&mut self, failure: Failure) -> Option<Failure> {
        if matches!(failure.kind(), ErrorKind::Cancelled | ErrorKind::Timeout) {
            return Some(failure);
        }
        self.faults.add_failure(failure);
        None
    }
}

/// The second that contains this time: the shortest window that the service lists.
fn second_of(time: DateTime<Utc>) -> TimeWindow {
    let start = time.trunc_subsecs(0);
    TimeWindow {
        start,
        end: start + TimeDelta::seconds(1),
    }
}
