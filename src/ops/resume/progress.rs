//! The resume algorithm: one run from one checkpoint of a content type to the next, without loss.
//!
//! A blob has a fingerprint and the time at which it became available. A run begins with
//! [`Progress::begin`], receives each listed blob and the outcome of each download, and ends with
//! [`Progress::close`], which returns the next checkpoint. The rules:
//!
//! 1. Time is the service's. No window starts at or after `now`.
//! 2. All content at or after the floor is listed again. Expired content is a gap.
//! 3. A blob in the fingerprints or in the retry queue is not downloaded again.
//! 4. A blob is handled if it was delivered, is named as a gap, or is in the retry queue.
//! 5. If the retry queue is full, a failing blob stays unhandled and the watermark stays at it.
//!    Later blobs are still delivered until the fingerprints are full.
//! 6. The watermark is the time of the first unhandled blob. Without one, it is the newest time
//!    that was listed, so a wrong clock of the service moves it by 24 hours at most.
//! 7. Fingerprints below the floor are dropped. If there are too many, the floor rises.
//! 8. A listing can be out of order by less than the overlap. If a limit ends it and the floor must
//!    rise, the listing continues by an overlap without downloads. New blobs below the watermark
//!    are added to the retry queue.
//!
//! Sends no request, and knows no content type and no record.

use std::collections::HashMap;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::checkpoint::{Checkpoint, Retry, RetryQueue};
use super::fingerprint::Fingerprint;
use crate::microsoft::TimeWindow;

/// How long the service stores content, less a margin for slow requests.
const RETENTION: TimeDelta = TimeDelta::minutes(7 * 24 * 60 - 5);

/// The longest window that the service lists, and the largest step of a watermark without content.
const DAY: TimeDelta = TimeDelta::hours(24);

/// The limits of a checkpoint, and how far the next run looks back.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Bounds {
    /// How late or how far out of order a blob can appear.
    pub(in crate::ops) overlap: TimeDelta,
    /// The number of fingerprints that a checkpoint can always hold.
    pub(in crate::ops) fingerprints: usize,
    /// Blobs in the retry queue at most.
    pub(in crate::ops) retry: usize,
}

/// A listed blob that is not handled yet.
#[derive(Clone, Debug)]
struct Unhandled {
    available: DateTime<Utc>,
    name: String,
}

/// One run over a checkpoint.
#[derive(Debug)]
pub(in crate::ops) struct Progress {
    checkpoint: Checkpoint,
    bounds: Bounds,
    now: DateTime<Utc>,
    /// The lower bound of the listing.
    low: DateTime<Utc>,
    /// Where the listing ends.
    until: DateTime<Utc>,
    unhandled: HashMap<Fingerprint, Unhandled>,
    /// The earliest time of a blob that failed while the retry queue was full.
    blocked_at: Option<DateTime<Utc>>,
    /// The earliest time on the last page.
    page_start: DateTime<Utc>,
    /// The latest time in the listing of the window.
    listed_to: DateTime<Utc>,
    /// Whether the listing is out of order, so that earlier content can follow.
    is_out_of_order: bool,
    /// If the listing ends early: the watermark that it must pass by an overlap.
    ahead_of: Option<DateTime<Utc>>,
    /// Whether the listing was cut short.
    is_cut: bool,
    /// Whether the run handled a blob, shortened the retry queue or raised the watermark.
    has_handled: bool,
}

/// The outcome of a run.
#[derive(Debug)]
pub(in crate::ops) struct RunOutcome {
    pub(in crate::ops) checkpoint: Checkpoint,
    /// Whether more can be fetched now, if the run had progress.
    pub(in crate::ops) more: bool,
    /// Whether the run handled a blob, shortened the retry queue or raised the watermark.
    pub(in crate::ops) has_progress: bool,
    /// Whether listed blobs are unhandled, or pages are unlisted.
    pub(in crate::ops) is_open: bool,
    /// The names of late blobs that did not fit into the retry queue: gaps.
    pub(in crate::ops) dropped: Vec<String>,
    /// A span with more blobs than fingerprints, which was not listed to its end: a gap.
    pub(in crate::ops) skipped: Option<TimeWindow>,
    /// The overlap that is left, if it was shortened.
    pub(in crate::ops) shortened: Option<TimeDelta>,
}

/// Moves a checkpoint to the oldest content that the service still stores. Returns the span whose
/// content has expired.
pub(in crate::ops) fn skip_expired(
    checkpoint: &mut Checkpoint,
    now: DateTime<Utc>,
) -> Option<TimeWindow> {
    let stored_from = (now - RETENTION).trunc_subsecs(0);
    let low = checkpoint.floor.max(checkpoint.start).max(stored_from);
    let lost_until = checkpoint.end.map_or(low, |end| end.min(low));
    // Blobs between the floor and the watermark that appeared late were never listed.
    let lost = (checkpoint.floor < lost_until).then_some(TimeWindow {
        start: checkpoint.floor,
        end: lost_until,
    });
    checkpoint.watermark = checkpoint.watermark.max(lost_until);
    checkpoint.floor = checkpoint.floor.max(lost_until);
    lost
}

impl Progress {
    /// Begins a run at this time of the service. Also returns the span whose content has expired.
    pub(in crate::ops) fn begin(
        mut checkpoint: Checkpoint,
        bounds: Bounds,
        now: DateTime<Utc>,
    ) -> (Self, Option<TimeWindow>) {
        let until = checkpoint.end.map_or(now, |end| end.min(now));
        let lost = skip_expired(&mut checkpoint, now);
        let stored_from = (now - RETENTION).trunc_subsecs(0);
        let low = checkpoint.floor.max(checkpoint.start).max(stored_from);
        let has_handled = lost.is_some();
        let progress = Progress {
            page_start: checkpoint.watermark,
            listed_to: low,
            is_out_of_order: false,
            ahead_of: None,
            checkpoint,
            bounds,
            now,
            low,
            until,
            unhandled: HashMap::new(),
            blocked_at: None,
            is_cut: false,
            has_handled,
        };
        (progress, lost)
    }

    /// Whether the checkpoint is ahead of the service's time. Nothing is listed then.
    pub(in crate::ops) fn is_ahead(&self) -> bool {
        self.checkpoint.end.is_none() && self.checkpoint.watermark > self.now
    }

    /// Where the listing ends.
    pub(in crate::ops) fn until(&self) -> DateTime<Utc> {
        self.until
    }

    pub(in crate::ops) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// How many fingerprints the next checkpoint needs at most.
    pub(in crate::ops) fn fingerprints(&self) -> usize {
        let from = self.checkpoint.watermark - self.bounds.overlap;
        self.checkpoint.fingerprints.count_from(from)
    }

    /// The windows to list, oldest first, each at most a day.
    pub(in crate::ops) fn windows(&self) -> Vec<TimeWindow> {
        if self.is_ahead() {
            return Vec::new();
        }
        let starts = std::iter::successors(Some(self.low), |start| Some(*start + DAY));
        starts
            .take_while(|start| *start < self.until)
            .map(|start| TimeWindow {
                start,
                end: (start + DAY).min(self.until),
            })
            .collect()
    }

    /// Returns the retry queue, and the expired blobs, which are removed from it: gaps. Each run
    /// tries the whole queue.
    pub(in crate::ops) fn split_retries(&mut self) -> (RetryQueue, RetryQueue) {
        let stored_from = self.now - RETENTION;
        let queue = std::mem::take(&mut self.checkpoint.retry);
        let (stored, expired): (RetryQueue, RetryQueue) = queue
            .into_iter()
            .partition(|(_, retry)| retry.available >= stored_from);
        self.has_handled |= !expired.is_empty();
        self.checkpoint.retry.clone_from(&stored);
        (stored, expired)
    }

    /// Begins a window. Everything before it was listed, but a wrong `Date` must not move the
    /// watermark by more than a day.
    pub(in crate::ops) fn window(&mut self, window: &TimeWindow) {
        let safe = self.checkpoint.newest.max(self.now - DAY);
        self.page_start = window.start.min(safe);
        self.listed_to = window.start;
        self.is_out_of_order = false;
    }

    /// Begins a page, with the earliest time on it.
    pub(in crate::ops) fn page(&mut self, earliest: Option<DateTime<Utc>>) {
        if let Some(earliest) = earliest {
            self.page_start = earliest;
        }
    }

    /// Adds a listed blob. Returns whether it must be downloaded.
    pub(in crate::ops) fn list(
        &mut self,
        fingerprint: Fingerprint,
        available: DateTime<Utc>,
        name: &str,
    ) -> bool {
        let is_new = self.is_new(fingerprint, available);
        if is_new {
            let name = name.to_owned();
            self.unhandled
                .insert(fingerprint, Unhandled { available, name });
        }
        is_new
    }

    fn is_new(&mut self, fingerprint: Fingerprint, available: DateTime<Utc>) -> bool {
        let is_earlier = available < self.listed_to;
        self.listed_to = self.listed_to.max(available);
        let checkpoint = &mut self.checkpoint;
        checkpoint.newest = checkpoint.newest.max(available);
        if checkpoint.fingerprints.contains(fingerprint) {
            // A state of the first version does not contain the time.
            checkpoint.fingerprints.insert(fingerprint, available);
            return false;
        }
        if checkpoint.retry.contains_key(&fingerprint) || self.unhandled.contains_key(&fingerprint)
        {
            return false;
        }
        self.is_out_of_order |= is_earlier;
        true
    }

    /// Called when a limit ends the downloads. If the floor must rise, returns true: the listing
    /// must then continue until [`Progress::has_looked_ahead`].
    pub(in crate::ops) fn look_ahead(&mut self) -> bool {
        let before = self.checkpoint.watermark;
        let unhandled = self.unhandled.values().map(|blob| blob.available);
        let (late, later): (Vec<_>, Vec<_>) = unhandled.partition(|time| *time < before);
        let first = later.into_iter().min().unwrap_or(self.page_start);
        let watermark = first.max(before);
        let from = watermark - self.bounds.overlap;
        // Late blobs will be in the retry queue and need fingerprints.
        let needed = self.checkpoint.fingerprints.count_from(from) + late.len();
        let must_rise = needed > self.bounds.fingerprints;
        self.ahead_of = must_rise.then_some(watermark);
        must_rise
    }

    /// Adds a blob of a page that was listed to look ahead.
    pub(in crate::ops) fn list_ahead(
        &mut self,
        fingerprint: Fingerprint,
        available: DateTime<Utc>,
        name: &str,
    ) {
        if self.is_new(fingerprint, available)
            && self.ahead_of.is_some_and(|watermark| available < watermark)
            && !self.enqueue(fingerprint, available, 0)
        {
            let name = name.to_owned();
            self.unhandled
                .insert(fingerprint, Unhandled { available, name });
        }
    }

    /// Whether all content before the watermark was listed. `is_last`: the window has no more
    /// pages.
    pub(in crate::ops) fn has_looked_ahead(&mut self, is_last: bool) -> bool {
        let far_enough = |watermark| self.listed_to >= watermark + self.bounds.overlap;
        let is_ahead = is_last || self.ahead_of.is_none_or(far_enough);
        self.is_out_of_order &= !is_ahead;
        is_ahead
    }

    /// Whether another download can start: blobs that are delivered above a blocked blob must be
    /// remembered until that blob is handled.
    pub(in crate::ops) fn has_capacity(&self, reserved: usize) -> bool {
        self.blocked_at.is_none_or(|at| {
            self.checkpoint.fingerprints.count_from(at) + reserved < self.bounds.fingerprints
        })
    }

    /// Marks a blob as handled: it was delivered, is a gap, or is in the retry queue.
    pub(in crate::ops) fn set_handled(&mut self, fingerprint: Fingerprint) {
        if let Some(blob) = self.unhandled.remove(&fingerprint) {
            self.checkpoint
                .fingerprints
                .insert(fingerprint, blob.available);
            self.has_handled = true;
        }
    }

    /// Adds a blob that failed temporarily to the retry queue. If it is full, the blob stays
    /// unhandled.
    pub(in crate::ops) fn queue_failed(&mut self, fingerprint: Fingerprint) {
        let Some(available) = self.unhandled.get(&fingerprint).map(|blob| blob.available) else {
            return;
        };
        if self.enqueue(fingerprint, available, 1) {
            self.set_handled(fingerprint);
        } else {
            self.blocked_at = Some(self.blocked_at.map_or(available, |at| at.min(available)));
        }
    }

    /// Adds a blob to the retry queue, unless it is full.
    fn enqueue(
        &mut self,
        fingerprint: Fingerprint,
        available: DateTime<Utc>,
        attempts: u8,
    ) -> bool {
        let checkpoint = &mut self.checkpoint;
        let has_capacity = checkpoint.retry.len() < self.bounds.retry;
        if has_capacity {
            let retry = Retry {
                available,
                attempts,
            };
            checkpoint.retry.insert(fingerprint, retry);
            checkpoint.fingerprints.insert(fingerprint, available);
        }
        has_capacity
    }

    /// Removes a blob from the retry queue: it was delivered or is a gap.
    pub(in crate::ops) fn remove_retry(&mut self, fingerprint: Fingerprint) {
        self.has_handled |= self.checkpoint.retry.remove(&fingerprint).is_some();
    }

    /// Counts a failed attempt of a blob of the retry queue.
    pub(in crate::ops) fn count_failed_attempt(&mut self, fingerprint: Fingerprint) {
        if let Some(retry) = self.checkpoint.retry.get_mut(&fingerprint) {
            retry.attempts = retry.attempts.saturating_add(1);
        }
    }

    /// Called when a limit, the deadline, a signal or a failure ends the listing early.
    pub(in crate::ops) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// The next checkpoint, with at most this number of fingerprints.
    pub(in crate::ops) fn close(mut self, fingerprints: usize) -> RunOutcome {
        let before = self.checkpoint.watermark;
        let dropped = self.queue_late_blobs();
        self.checkpoint.watermark = self.next_watermark();
        let is_blocked = self.blocked_at.is_some() && !self.is_cut;
        let has_progress = self.has_handled || self.checkpoint.watermark > before;
        let is_open = self.is_cut || !self.unhandled.is_empty();
        let (shortened, skipped) = self.raise_floor(fingerprints);
        RunOutcome {
            checkpoint: self.checkpoint,
            more: is_open && !is_blocked,
            has_progress,
            is_open,
            dropped,
            skipped,
            shortened,
        }
    }

    /// Adds late, unhandled blobs to the retry queue, so that they do not lower the watermark.
    /// Returns the names of those that do not fit.
    fn queue_late_blobs(&mut self) -> Vec<String> {
        let watermark = self.checkpoint.watermark;
        let late = self
            .unhandled
            .extract_if(|_, blob| blob.available < watermark);
        let mut late: Vec<(Fingerprint, Unhandled)> = late.collect();
        late.sort_unstable_by_key(|(fingerprint, blob)| (blob.available, *fingerprint));
        let mut dropped = Vec::new();
        for (fingerprint, Unhandled { available, name }) in late {
            if !self.enqueue(fingerprint, available, 0) {
                self.checkpoint.fingerprints.insert(fingerprint, available);
                self.has_handled = true;
                dropped.push(name);
            }
        }
        dropped
    }

    fn next_watermark(&self) -> DateTime<Utc> {
        let Checkpoint {
            watermark,
            newest,
            end,
            ..
        } = self.checkpoint;
        if let Some(first) = self.first_unhandled() {
            return first;
        }
        // `queue_late_blobs` has removed a late blob from `unhandled`, so also check `blocked_at`.
        if self.is_cut || self.blocked_at.is_some() {
            return watermark.max(self.page_start);
        }
        match end {
            Some(end) if self.now >= end + self.bounds.overlap => end.max(watermark),
            _ => watermark
                .max(newest.min(self.until))
                .max((self.now - DAY).min(self.until)),
        }
    }

    fn first_unhandled(&self) -> Option<DateTime<Utc>> {
        self.unhandled.values().map(|blob| blob.available).min()
    }

    /// Raises the floor and drops the fingerprints below it. If that shortens the overlap, returns
    /// the remaining overlap and the span that is skipped.
    fn raise_floor(&mut self, capacity: usize) -> (Option<TimeDelta>, Option<TimeWindow>) {
        let is_read = self.unhandled.is_empty() && !self.is_cut && self.blocked_at.is_none();
        let earliest = self.listed_to - self.bounds.overlap;
        let checkpoint = &mut self.checkpoint;
        // Later content can be on pages that were not listed, or was listed only to look ahead.
        let unlisted_from = if self.is_out_of_order {
            checkpoint.floor.max(earliest)
        } else {
            self.ahead_of.unwrap_or(checkpoint.watermark)
        };
        let unlisted_from = unlisted_from.min(checkpoint.watermark);
        let looking_back = (checkpoint.watermark - self.bounds.overlap)
            .trunc_subsecs(0)
            .max(checkpoint.start);
        checkpoint.floor = checkpoint.floor.max(looking_back).min(checkpoint.watermark);
        checkpoint.fingerprints.forget_before(checkpoint.floor);
        let mut skipped = None;
        if let Some(remembered_from) = checkpoint.fingerprints.shrink_to(capacity) {
            checkpoint.floor = checkpoint.floor.max(remembered_from);
            checkpoint.watermark = checkpoint.watermark.max(remembered_from);
            skipped = (!is_read && unlisted_from < remembered_from).then_some(TimeWindow {
                start: unlisted_from,
                end: remembered_from,
            });
        }
        let left = checkpoint.watermark - checkpoint.floor;
        let is_short = checkpoint.floor > looking_back && left < self.bounds.overlap;
        (is_short.then_some(left), skipped)
    }
}

#[cfg(test)]
mod tests;
