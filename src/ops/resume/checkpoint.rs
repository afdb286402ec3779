//! The checkpoint of one content type: where the next run resumes.
//!
//! [`progress`](super::progress) moves it. [`packed`](super::packed) reads and writes it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::fingerprint::{Fingerprint, FingerprintSet};

/// A blob to fetch again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Retry {
    pub(in crate::ops) available: DateTime<Utc>,
    /// The number of runs in which it failed. There is no limit: it is retried until it expires.
    pub(in crate::ops) attempts: u8,
}

/// Blobs to fetch again, by fingerprint.
pub(in crate::ops) type RetryQueue = BTreeMap<Fingerprint, Retry>;

/// Where one content type resumes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ops) struct Checkpoint {
    /// All listed blobs before this time are settled.
    pub(in crate::ops) watermark: DateTime<Utc>,
    /// Content before this time is not listed again. Its fingerprints are dropped.
    pub(in crate::ops) floor: DateTime<Utc>,
    /// The start of the first run. Content before this time was never requested.
    pub(in crate::ops) start: DateTime<Utc>,
    /// The end of a fixed window. `None` if each run reads up to the present.
    pub(in crate::ops) end: Option<DateTime<Utc>>,
    /// The latest time of all listed blobs.
    pub(in crate::ops) newest: DateTime<Utc>,
    /// The settled blobs at or after the floor.
    pub(in crate::ops) fingerprints: FingerprintSet,
    pub(in crate::ops) retry: RetryQueue,
}

impl Checkpoint {
    /// A checkpoint before the first run.
    pub(in crate::ops) fn first(start: DateTime<Utc>, end: Option<DateTime<Utc>>) -> Self {
        Checkpoint {
            watermark: start,
            floor: start,
            start,
            end,
            newest: start,
            fingerprints: FingerprintSet::default(),
            retry: RetryQueue::new(),
        }
    }

    /// Raises all times to the start, which a state of the first version does not contain.
    pub(in crate::ops) fn not_before(&mut self, start: Option<DateTime<Utc>>) {
        if let Some(start) = start {
            self.start = self.start.max(start);
            self.watermark = self.watermark.max(start);
            self.floor = self.floor.max(start).min(self.watermark);
        }
    }

    /// Drops the oldest fingerprints until at most `capacity` are left.
    pub(in crate::ops) fn shrink(&mut self, capacity: usize) {
        if let Some(remembered_from) = self.fingerprints.shrink_to(capacity) {
            self.floor = self.floor.max(remembered_from).min(self.watermark);
        }
    }
}
