//! Reading the content of one content type: windows and pages in sequence, blobs in parallel.
//!
//! [`read`] performs one run of the algorithm in [`progress`](crate::ops::resume::progress). New
//! content is downloaded first. A blob is requested once when it is listed. If that fails
//! temporarily, it is requested again, with the usual retries, after the other new blobs of its
//! window. Blobs of the retry queue are requested once. They use a quarter of the slots until all
//! new content is read.
//!
//! Time is the service's: the `Date` of the run's first answer. This is the answer to the sign-in.
//! If a stored token makes the sign-in unnecessary, the subscriptions are listed, which is the
//! cheapest request.
//!
//! `max_events` is checked before each download, so the result can exceed it by the records of
//! eight blobs and of the retry queue.

mod blobs;
mod outcome;
pub(super) mod record_filter;
mod retry_queue;

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join;
use tokio::sync::Semaphore;
use url::Url;

use crate::microsoft::coverage::{Counted, CoverageBuilder};
use crate::microsoft::feed::Feed;
use crate::microsoft::feed::content::BlobRecords;
use crate::microsoft::feed::filter::Filter;
use crate::microsoft::{ContentType, TimeWindow};
use crate::net::memory::is_memory;
use crate::net::retry::Repeat;
use crate::net::{Held, Links};
use crate::ops::resume::checkpoint::Checkpoint;
use crate::ops::resume::feed_state::{FINGERPRINTS, RETRIES};
use crate::ops::resume::progress::{Bounds, Progress};
use crate::ops::resume::records::{Seen, SeenRecords};
use crate::ops::resume::time::service_time;
use crate::ops::{Call, subscriptions};
use crate::protocol::{Failure, Warning};

pub(in crate::ops) use outcome::{Faults, ReadOutcome, ReadReport, reply};

/// Downloads at the same time.
const SLOTS: usize = 8;

/// Cause and advice for an expired span.
pub(in crate::ops) const EXPIRED: (&str, &str) = (
    "The state is older than 7 days.",
    "Run more often than every 7 days. `coverage` lists the lost content.",
);

/// The bounds of one checkpoint if this number of content types share a state.
pub(in crate::ops) fn bounds(call: &Call<'_>, types: usize) -> Bounds {
    Bounds {
        overlap: call.overlap.unwrap_or(TimeDelta::minutes(10)),
        fingerprints: FINGERPRINTS / types,
        retry: RETRIES / types,
    }
}

/// The content type to read, its checkpoint, and the limits.
pub(in crate::ops) struct ReadPlan {
    pub(in crate::ops) content_type: ContentType,
    pub(in crate::ops) checkpoint: Checkpoint,
    pub(in crate::ops) bounds: Bounds,
    /// The service's time.
    pub(in crate::ops) now: DateTime<Utc>,
    pub(in crate::ops) records: SeenRecords,
    /// Records that the run has delivered already; they count towards `max_events`.
    pub(in crate::ops) delivered: u64,
    /// Cause and advice for an expired span.
    pub(in crate::ops) expired: (&'static str, &'static str),
}

/// Why reading ended.
#[derive(Debug)]
pub(in crate::ops) enum ReadEnd {
    /// Everything was listed, and every download was started.
    Done,
    /// The limit of the caller is reached.
    Limited,
    /// The retry queue and the fingerprints are full.
    Full,
    /// The run must stop, or the service refuses.
    Broken(Failure),
}

/// Signs in. Returns the tenant's GUID if the connection or the token has it.
pub(in crate::ops) async fn sign_in(call: &Call<'_>) -> Result<String, Failure> {
    let audience = &call.connection.cloud.audiences.management;
    let waiting = call.tokens.token(audience);
    let token = call.http.deadline().race("the sign-in", waiting).await?;
    let given = call.connection.tenant_guid().map(str::to_owned);
    let named = given.or(token.tenant);
    Ok(named.unwrap_or_else(|| call.connection.tenant.clone()))
}

/// The service's time. Lists the subscriptions if no answer was received before.
pub(in crate::ops) async fn time(call: &Call<'_>) -> Result<DateTime<Utc>, Failure> {
    if call.http.service_date().is_none() && !call.http.transcript().is_dry_run() {
        subscriptions::current(call).await?;
    }
    Ok(service_time(call))
}

/// Reads the content of the plan.
pub(in crate::ops) async fn read<'a>(
    call: &'a Call<'a>,
    plan: ReadPlan,
    filter: &Filter,
) -> ReadOutcome<'a> {
    let downloads = Downloads::new(call, filter);
    let content_type = plan.content_type;
    let mut reader = ContentReader::new(call, plan);
    let stored = reader.stored_retries();
    let new = async {
        let end = reader.read_new(&downloads).await;
        downloads.open_all_slots_to_retries();
        end
    };
    let queue = retry_queue::Queue {
        downloads: &downloads,
        links: &call.connection.cloud.management,
        content_type,
    };
    let (end, retried) = join(new, queue.attempt(stored)).await;
    let end = reader.merge_retries(retried, end);
    ReadOutcome { reader, end }
}

/// Reads nothing: the run ended before this content type was read.
pub(in crate::ops) fn skip<'a>(
    call: &'a Call<'a>,
    plan: ReadPlan,
    end: ReadEnd,
) -> ReadOutcome<'a> {
    let mut reader = ContentReader::new(call, plan);
    reader.progress.cut();
    ReadOutcome { reader, end }
}

/// Downloads blobs and selects their records, a limited number at the same time.
struct Downloads<'a> {
    feed: Feed<'a>,
    filter: &'a Filter,
    slots: Semaphore,
    /// The slots that the retry queue can use.
    retry_slots: Semaphore,
}

impl<'a> Downloads<'a> {
    fn new(call: &Call<'a>, filter: &'a Filter) -> Self {
        Downloads {
            feed: Feed::new(call.http, call.tokens, call.connection),
            filter,
            slots: Semaphore::new(SLOTS),
            retry_slots: Semaphore::new(SLOTS / 4),
        }
    }

    /// Called when all new content was read.
    fn open_all_slots_to_retries(&self) {
        self.retry_slots.add_permits(SLOTS - SLOTS / 4);
    }

    async fn get(&self, url: Url, repeat: Repeat) -> Result<BlobRecords, Failure> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await;
        self.feed.blob(url, self.filter, repeat).await
    }
}

/// The delivered records.
struct Delivered {
    /// The records as an array that is not closed yet.
    text: String,
    records: SeenRecords,
    /// Records that were repeated with other content.
    changed: u64,
    blobs: u64,
    /// The memory of the records.
    held: Held,
    /// Records that the run has delivered before, for other content types.
    before: u64,
}

/// Reads one content type.
struct ContentReader<'a> {
    call: &'a Call<'a>,
    content_type: ContentType,
    now: DateTime<Utc>,
    progress: Progress,
    delivered: Delivered,
    /// One for each window that was listed.
    coverage: Vec<CoverageBuilder>,
    /// Gaps that belong to no window.
    lost: CoverageBuilder,
    faults: Faults,
    warnings: Vec<Warning>,
    links: Links,
    /// Addresses of blobs that were requested.
    addresses: HashSet<String>,
    /// The time of the last blob that was listed.
    last_listed: DateTime<Utc>,
    /// The number of refusals since the last successful download.
    refusals: usize,
}

impl<'a> ContentReader<'a> {
    fn new(call: &'a Call<'a>, plan: ReadPlan) -> Self {
        let (progress, lost_span) = Progress::begin(plan.checkpoint, plan.bounds, plan.now);
        let end = progress.until();
        let mut lost =
            CoverageBuilder::new(plan.content_type.name(), &TimeWindow { start: end, end });
        if let Some(span) = lost_span {
            lost.add_expired_span(&span);
        }
        let mut warnings = Vec::new();
        if progress.is_ahead() {
            let message = "The state is ahead of the service's time, so nothing was listed. Runs resume when the service's time reaches the state.";
            warnings.push(Warning::new("clocks_differ", message));
        }
        ContentReader {
            call,
            content_type: plan.content_type,
            now: plan.now,
            progress,
            delivered: Delivered {
                text: "[".to_owned(),
                records: plan.records,
                changed: 0,
                blobs: 0,
                held: call.http.memory().hold(),
                before: plan.delivered,
            },
            coverage: Vec::new(),
            lost,
            faults: Faults::new(plan.expired),
            warnings,
            links: Links::new(&call.connection.cloud.management),
            addresses: HashSet::new(),
            last_listed: end,
            refusals: 0,
        }
    }

    /// Lists the windows and downloads what is new.
    async fn read_new(&mut self, downloads: &Downloads<'_>) -> ReadEnd {
        for window in self.progress.windows() {
            self.coverage
                .push(CoverageBuilder::new(self.content_type.name(), &window));
            self.progress.window(&window);
            self.last_listed = window.start;
            let mut deferred = blobs::Deferred::new();
            let end = self.read_pages(&window, &mut deferred, downloads).await;
            let end = end.unwrap_or_else(|failure| {
                if is_memory(&failure) {
                    ReadEnd::Limited
                } else {
                    ReadEnd::Broken(failure)
                }
            });
            let is_listed = matches!(end, ReadEnd::Done);
            if matches!(end, ReadEnd::Limited | ReadEnd::Broken(_)) {
                self.progress.cut();
            }
            let end = self.download_deferred(deferred, end, downloads).await;
            if !matches!(end, ReadEnd::Done) {
                // The later windows were not listed.
                if is_listed && window.end < self.progress.until() && !matches!(end, ReadEnd::Full)
                {
                    self.progress.cut();
                }
                return end;
            }
        }
        ReadEnd::Done
    }

    /// Reads page after page. Errors: a page could not be fetched, or its link is not allowed.
    async fn read_pages(
        &mut self,
        window: &TimeWindow,
        deferred: &mut blobs::Deferred,
        downloads: &Downloads<'_>,
    ) -> Result<ReadEnd, Failure> {
        let feed = &downloads.feed;
        let first = feed.content_url(self.content_type, window).await?;
        self.links.visited(&first);
        let mut page = feed.content(first).await?;
        loop {
            self.window_coverage().add_listing_page();
            let tasks = self.list(page.blobs, window);
            let end = match self.download(tasks, deferred, downloads).await {
                ReadEnd::Done if page.next.is_some() && self.is_limited() => ReadEnd::Limited,
                end => end,
            };
            if matches!(end, ReadEnd::Limited | ReadEnd::Full) {
                // A failure only ends the look-ahead. The downloaded records are delivered.
                let _ = self.look_ahead(feed, page.next, window).await;
                return Ok(end);
            }
            let (ReadEnd::Done, Some(link)) = (&end, page.next) else {
                return Ok(end);
            };
            page = feed.content(self.links.follow(&link)?).await?;
        }
    }

    /// Lists pages without downloads, if the listing ends here and the state cannot remember the
    /// whole overlap: content that is out of order must be found now.
    async fn look_ahead(
        &mut self,
        feed: &Feed<'_>,
        mut next: Option<String>,
        window: &TimeWindow,
    ) -> Result<(), Failure> {
        if !self.progress.look_ahead() {
            return Ok(());
        }
        while !self.progress.has_looked_ahead(next.is_none())
            && let Some(link) = next.take()
        {
            let page = feed.content(self.links.follow(&link)?).await?;
            self.window_coverage().add_listing_page();
            for blob in page.blobs {
                let available = self.available(&blob, window);
                let fingerprint = blobs::fingerprint(&blob);
                self.progress
                    .list_ahead(fingerprint, available, blob.name());
            }
            next = page.next;
        }
        Ok(())
    }

    /// The coverage of the window that is being read.
    fn window_coverage(&mut self) -> &mut CoverageBuilder {
        self.coverage.last_mut().unwrap_or(&mut self.lost)
    }

    /// Records delivered in this run, those of other content types included.
    fn delivered_count(&self) -> u64 {
        let here: u64 = self.coverage.iter().map(CoverageBuilder::kept).sum();
        self.delivered.before + here
    }

    /// Whether the limit of the caller is reached.
    fn is_limited(&self) -> bool {
        let max = self.call.max_events;
        max.is_some_and(|max| self.delivered_count() >= max)
    }
}

impl Delivered {
    /// Adds the new records of a blob.
    fn add(&mut self, blob: BlobRecords) -> Counted {
        let mut counted = Counted {
            records: blob.records,
            ..Counted::default()
        };
        for (row, text) in blob.rows() {
            match self.records.see(row) {
                Seen::Duplicate => {
                    counted.repeated += 1;
                    continue;
                }
                Seen::Changed => self.changed += 1,
                Seen::New => {}
            }
            counted.kept += 1;
            if self.text.len() > 1 {
                self.text.push(',');
            }
            self.text.push_str(text);
        }
        self.blobs += 1;
        self.held.absorb(blob.into_held());
        counted
    }
}
