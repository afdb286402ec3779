//! Fingerprints: 64-bit hashes that identify a blob, a record or an alert in a state.
//!
//! A [`FingerprintSet`] is bounded: its oldest entries are dropped first. Times are stored in whole
//! seconds, so all entries of one second are dropped together.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::digest;

use super::scope::{invalid_state, is_plausible};
use crate::protocol::Failure;

/// The first 64 bits of a SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::ops) struct Fingerprint(pub(super) [u8; 8]);

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

/// Fingerprints with the second in which each became available.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
        entries.filter_map(|(fingerprint, second)| Some((*fingerprint, *second, time(*second)?)))
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
        time(last_dropped.saturating_add(1))
    }

    /// The set in Base64, twelve bytes an entry, oldest first.
    pub(in crate::ops) fn pack(&self) -> String {
        let mut entries: Vec<(u32, Fingerprint)> = self
            .0
            .iter()
            .map(|(fingerprint, second)| (*second, *fingerprint))
            .collect();
        entries.sort_unstable();
        let bytes = entries.into_iter().flat_map(|(second, fingerprint)| {
            second.to_be_bytes().into_iter().chain(fingerprint.0)
        });
        pack(&bytes.collect::<Vec<u8>>())
    }

    /// Reads a packed set. `now` is the time that its times are compared with.
    pub(in crate::ops) fn unpack(text: &str, now: DateTime<Utc>) -> Result<Self, Failure> {
        let entries = unpack::<12>(text)?.into_iter().map(|entry| {
            let [a, b, c, d, fingerprint @ ..] = entry;
            let second = u32::from_be_bytes([a, b, c, d]);
            match time(second) {
                Some(moment) if is_plausible(moment, now) => Ok((Fingerprint(fingerprint), second)),
                _ => Err(invalid_state()),
            }
        });
        entries.collect::<Result<_, _>>().map(FingerprintSet)
    }
}

/// The form of bytes in a state.
pub(in crate::ops) fn pack(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
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
pub(in crate::ops) fn time(second: u32) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(i64::from(second), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when::instant;
    use chrono::TimeDelta;

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
        let text = set.pack();
        assert_eq!(text.len(), 9 * 12 * 4 / 3);
        let read = FingerprintSet::unpack(&text, at("2026-01-14T12:00:00Z"));
        assert_eq!(read.expect("a set"), set);
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
        for text in ["AAAA", "not base64!", &pack(&[0; 12]), &pack(&[255; 12])] {
            assert!(FingerprintSet::unpack(text, now).is_err(), "{text}");
        }
    }
}
