//! The checkpoint of one content type: where the next run resumes.
//!
//! [`progress`](super::progress) moves it. Contains no addresses and no secrets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::fingerprint::{Fingerprint, FingerprintSet, pack, second, time, unpack};
use super::scope::is_plausible;

/// A blob to fetch again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Retry {
    pub(in crate::ops) available: DateTime<Utc>,
    /// The number of failed downloads, at most 255; 0 for a blob that was queued before its first
    /// download. Kept for readers of a state: a blob is retried until it expires.
    pub(in crate::ops) attempts: u8,
}

/// Blobs to fetch again, by fingerprint.
pub(in crate::ops) type RetryQueue = BTreeMap<Fingerprint, Retry>;

/// Where one content type resumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ops) struct Checkpoint {
    /// All listed blobs before this time are handled.
    pub(in crate::ops) watermark: DateTime<Utc>,
    /// Content before this time is not listed again. Its fingerprints are dropped.
    pub(in crate::ops) floor: DateTime<Utc>,
    /// The start of the first run. Content before this time was never requested.
    pub(in crate::ops) start: DateTime<Utc>,
    /// The end of a fixed window. `None` if each run reads up to the present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) end: Option<DateTime<Utc>>,
    /// The latest time of all listed blobs.
    pub(in crate::ops) newest: DateTime<Utc>,
    /// The handled blobs at or after the floor.
    pub(in crate::ops) fingerprints: FingerprintSet,
    #[serde(default, skip_serializing_if = "RetryQueue::is_empty")]
    #[serde(serialize_with = "pack_retries", deserialize_with = "unpack_retries")]
    pub(in crate::ops) retry: RetryQueue,
    /// Whether the last run had no progress.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::ops) stuck: bool,
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
            stuck: false,
        }
    }

    /// Whether a run can have written this checkpoint.
    pub(super) fn is_plausible(&self, now: DateTime<Utc>) -> bool {
        let times = [self.watermark, self.floor, self.start, self.newest];
        let of_retries = self.retry.values().map(|retry| retry.available);
        let mut times = times.into_iter().chain(self.end).chain(of_retries);
        let is_ordered = self.start <= self.floor.max(self.watermark)
            && self.floor <= self.watermark
            && self.end.is_none_or(|end| self.start <= end);
        times.all(|time| is_plausible(time, now))
            && self.fingerprints.is_plausible(now)
            && is_ordered
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

/// Thirteen bytes a blob: second, fingerprint and attempts.
fn pack_retries<S: Serializer>(queue: &RetryQueue, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = queue.iter().flat_map(|(fingerprint, retry)| {
        let second = second(retry.available).to_be_bytes().into_iter();
        second.chain(fingerprint.bytes()).chain([retry.attempts])
    });
    serializer.serialize_str(&pack(bytes))
}

fn unpack_retries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RetryQueue, D::Error> {
    let text = String::deserialize(deserializer)?;
    let blobs = unpack::<13>(&text).map_err(de::Error::custom)?.into_iter();
    let blobs = blobs.map(|[a, b, c, d, fingerprint @ .., attempts]| {
        let available = time(u32::from_be_bytes([a, b, c, d]));
        let retry = Retry {
            available,
            attempts,
        };
        (Fingerprint::from_bytes(fingerprint), retry)
    });
    Ok(blobs.collect())
}
