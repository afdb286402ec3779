//! Fingerprints: 64-bit hashes that identify a blob, a record or an alert in a state.
//!
//! A [`FingerprintSet`] is bounded: its oldest entries are dropped first. Times are stored in whole
//! seconds, so all entries of one second are dropped together.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::scope::{invalid_state, is_plausible};
use crate::protocol::Failure;

/// The first 64 bits of a SHA-256 digest. A state contains them in Base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::ops) struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The fingerprint of these bytes.
    pub(in crate::ops) fn of(bytes: impl AsRef<[u8]>) -> Self {
        let digest = digest::digest(&digest::SHA256, bytes.as_ref());
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_ref()[..8]);
        Fingerprint(first)
    }

    /// The eight bytes, as in a state.
    pub(in crate::ops) fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// The fingerprint of these bytes in a state.
    pub(in crate::ops) fn from_bytes(bytes: [u8; 8]) -> Self {
        Fingerprint(bytes)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        pack(fingerprint.0)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        match unpack::<8>(&text)?[..] {
            [bytes] => Ok(Fingerprint(bytes)),
            _ => Err(invalid_state()),
        }
    }
}

/// Fingerprints with the second in which each became available.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::ops) struct FingerprintSet(HashMap<Fingerprint, u32>);

impl FingerprintSet {
    pub(in crate::ops) fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.0.contains_key(&fingerprint)
    }

    pub(in crate::ops) fn insert(&mut self, fingerprint: Fingerprint, time: DateTime<Utc>) {
        self.0.insert(fingerprint, second(time));
    }

    pub(in crate::ops) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each fingerprint with its second, as a number and as a time.
    pub(in crate::ops) fn entries(
        &self,
    ) -> impl Iterator<Item = (Fingerprint, u32, DateTime<Utc>)> {
        let entries = self.0.iter();
        entries.map(|(fingerprint, second)| (*fingerprint, *second, time(*second)))
    }

    /// Adds the entries of another set.
    pub(in crate::ops) fn extend(&mut self, other: FingerprintSet) {
        self.0.extend(other.0);
    }

    /// The number of entries in the second of `time` or later.
    pub(in crate::ops) fn count_from(&self, time: DateTime<Utc>) -> usize {
        let from = second(time);
        self.0.values().filter(|second| **second >= from).count()
    }

    /// Drops the entries before the second of `time`.
    pub(in crate::ops) fn forget_before(&mut self, time: DateTime<Utc>) {
        let from = second(time);
        self.0.retain(|_, second| *second >= from);
    }

    /// Drops the oldest seconds until at most `capacity` entries are left. If entries were dropped,
    /// returns the first second whose entries are complete.
    pub(in crate::ops) fn shrink_to(&mut self, capacity: usize) -> Option<DateTime<Utc>> {
        let excess = self.0.len().checked_sub(capacity).filter(|n| *n > 0)?;
        let mut seconds: Vec<u32> = self.0.values().copied().collect();
        seconds.sort_unstable();
        let last_dropped = seconds[excess - 1];
        self.0.retain(|_, second| *second > last_dropped);
        Some(time(last_dropped.saturating_add(1)))
    }

    /// Whether a run can have written all times.
    pub(in crate::ops) fn is_plausible(&self, now: DateTime<Utc>) -> bool {
        self.0
            .values()
            .all(|second| is_plausible(time(*second), now))
    }
}

/// Twelve bytes an entry, oldest first.
impl From<FingerprintSet> for String {
    fn from(set: FingerprintSet) -> Self {
        let mut entries: Vec<_> = set.0.into_iter().collect();
        entries.sort_unstable_by_key(|(fingerprint, second)| (*second, *fingerprint));
        let bytes = |(fingerprint, second): (Fingerprint, u32)| {
            second.to_be_bytes().into_iter().chain(fingerprint.0)
        };
        pack(entries.into_iter().flat_map(bytes))
    }
}

impl TryFrom<String> for FingerprintSet {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        let entries = unpack::<12>(&text)?.into_iter();
        let entries = entries.map(|[a, b, c, d, fingerprint @ ..]| {
            (Fingerprint(fingerprint), u32::from_be_bytes([a, b, c, d]))
        });
        Ok(FingerprintSet(entries.collect()))
    }
}

/// The form of bytes in a state: Base64.
pub(in crate::ops) fn pack(bytes: impl IntoIterator<Item = u8>) -> String {
    URL_SAFE_NO_PAD.encode(bytes.into_iter().collect::<Vec<u8>>())
}

/// Packed entries of `N` bytes each.
pub(in crate::ops) fn unpack<const N: usize>(text: &str) -> Result<Vec<[u8; N]>, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid_state())?;
    match bytes.as_chunks() {
        (chunks, []) => Ok(chunks.to_vec()),
        _ => Err(invalid_state()),
    }
}

/// The form of a time in a state: whole seconds.
pub(in crate::ops) fn second(time: DateTime<Utc>) -> u32 {
    u32::try_from(time.timestamp().max(0)).unwrap_or(u32::MAX)
}

/// The time of a second in a state.
pub(in crate::ops) fn time(second: u32) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::from(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when::instant;

    fn at(text: &str) -> DateTime<Utc> {
        instant(text, &[]).expect("a time")
    }

    fn set(entries: usize, per_second: usize) -> FingerprintSet {
        let start = at("2026-01-14T12:00:00.7Z");
        let mut set = FingerprintSet::default();
        for n in 0..entries {
            let seconds = i64::try_from(n / per_second).expect("small");
            let time = start + TimeDelta::seconds(seconds);
            set.insert(Fingerprint::of(n.to_string()), time);
        }
        set
    }

    #[test]
    fn packed_set_reads_back_equal_and_has_twelve_bytes_an_entry() {
        let set = set(9, 2);
        let text = String::from(set.clone());
        assert_eq!(text.len(), 9 * 12 * 4 / 3);
        assert_eq!(FingerprintSet::try_from(text).expect("a set"), set);
    }

    #[test]
    fn set_over_capacity_drops_all_entries_of_oldest_seconds() {
        let mut set = set(9, 2);
        assert_eq!(set.shrink_to(9), None);
        assert_eq!(set.shrink_to(6), Some(at("2026-01-14T12:00:02Z")));
        assert_eq!(set.len(), 5);
        assert!(!set.contains(Fingerprint::of("3")) && set.contains(Fingerprint::of("4")));
        assert_eq!(set.count_from(at("2026-01-14T12:00:03.9Z")), 3);
        set.forget_before(at("2026-01-14T12:00:04.2Z"));
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn damaged_set_is_rejected() {
        let now = at("2026-01-14T12:00:00Z");
        for text in ["AAAA", "not base64!"] {
            assert!(FingerprintSet::try_from(text.to_owned()).is_err(), "{text}");
        }
        for bytes in [[0; 12], [255; 12]] {
            let set = FingerprintSet::try_from(pack(bytes)).expect("a set");
            assert!(!set.is_plausible(now), "{bytes:?}");
        }
    }
}
