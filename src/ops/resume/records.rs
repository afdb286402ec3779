//! Record ids that were seen in this run and in earlier ones.
//!
//! A record without an id is always new. The state remembers the latest records, twelve bytes each:
//! the fingerprint of the id and the beginning of the content's digest.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize, Serializer};

use super::fingerprint::{Fingerprint, pack, unpack};
use crate::microsoft::feed::content::Row;
use crate::protocol::Failure;

/// Whether a record is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) enum Seen {
    New,
    /// The same id was seen before with the same content.
    Duplicate,
    /// The same id was seen before with other content.
    Changed,
}

/// Record ids of this run and of earlier ones.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::ops) struct SeenRecords {
    /// Ids of this run, with the digest of the content.
    run: HashMap<u128, u32>,
    /// Ids of earlier runs. A state of the first version has no digest of the content.
    earlier: HashMap<Fingerprint, Option<u32>>,
    /// The latest records, the oldest first.
    latest: VecDeque<(Fingerprint, u32)>,
}

/// The maximum number of records in a state.
pub(in crate::ops) const CAPACITY: usize = 1_500;

impl SeenRecords {
    /// Adds a record. Returns whether it is new.
    pub(in crate::ops) fn see(&mut self, row: &Row) -> Seen {
        let Some(id) = row.id else { return Seen::New };
        let fingerprint = Fingerprint::of(id.to_be_bytes());
        let before = match self.run.insert(id, row.content_hash) {
            Some(hash) => Some(Some(hash)),
            None => self.earlier.get(&fingerprint).copied(),
        };
        self.remember(fingerprint, row.content_hash);
        match before {
            None => Seen::New,
            Some(None) => Seen::Duplicate,
            Some(Some(hash)) if hash == row.content_hash => Seen::Duplicate,
            Some(Some(_)) => Seen::Changed,
        }
    }

    /// Whether the id of the record was seen before.
    pub(in crate::ops) fn has(&self, row: &Row) -> bool {
        row.id.is_some_and(|id| {
            let fingerprint = Fingerprint::of(id.to_be_bytes());
            self.run.contains_key(&id) || self.earlier.contains_key(&fingerprint)
        })
    }

    fn remember(&mut self, fingerprint: Fingerprint, content_hash: u32) {
        self.latest.push_back((fingerprint, content_hash));
        if self.latest.len() > 4 * CAPACITY {
            self.latest = self.compact();
        }
    }

    /// The latest records without earlier occurrences, and without the oldest ones beyond the
    /// capacity.
    fn compact(&self) -> VecDeque<(Fingerprint, u32)> {
        let mut latest = HashMap::new();
        for (fingerprint, content_hash) in self.latest.iter().rev() {
            let age = latest.len();
            latest.entry(*fingerprint).or_insert((age, *content_hash));
        }
        let mut records: Vec<_> = latest.into_iter().collect();
        records.sort_unstable_by_key(|(_, (age, _))| std::cmp::Reverse(*age));
        let excess = records.len().saturating_sub(CAPACITY);
        let records = records.into_iter().skip(excess);
        records
            .map(|(fingerprint, (_, content_hash))| (fingerprint, content_hash))
            .collect()
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    /// Adds the ids of a state of the first version.
    pub(in crate::ops) fn add_first_version(&mut self, text: &str) -> Result<(), Failure> {
        for fingerprint in unpack::<8>(text)? {
            self.earlier
                .insert(Fingerprint::from_bytes(fingerprint), None);
        }
        Ok(())
    }
}

/// Twelve bytes a record.
impl Serialize for SeenRecords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = |(fingerprint, content_hash): (Fingerprint, u32)| {
            let hash = content_hash.to_be_bytes();
            fingerprint.bytes().into_iter().chain(hash)
        };
        let bytes = self.compact().into_iter().flat_map(bytes);
        serializer.serialize_str(&pack(bytes))
    }
}

impl TryFrom<String> for SeenRecords {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        let mut seen = SeenRecords::default();
        for [fingerprint @ .., a, b, c, d] in unpack::<12>(&text)? {
            let fingerprint = Fingerprint::from_bytes(fingerprint);
            let content_hash = u32::from_be_bytes([a, b, c, d]);
            seen.earlier.insert(fingerprint, Some(content_hash));
            seen.latest.push_back((fingerprint, content_hash));
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn row(id: u128, print: u32) -> Row {
        Row {
            id: Some(id),
            content_hash: print,
            end: 0,
        }
    }

    fn next_run(seen: &SeenRecords) -> (Value, SeenRecords) {
        let packed = serde_json::to_value(seen).expect("text");
        let read = SeenRecords::deserialize(&packed);
        (packed, read.expect("records"))
    }

    #[test]
    fn record_of_earlier_run_is_duplicate_or_changed() {
        let mut first = SeenRecords::default();
        assert_eq!(first.see(&row(1, 7)), Seen::New);
        assert_eq!(first.see(&row(1, 7)), Seen::Duplicate);
        assert_eq!(first.see(&row(2, 7)), Seen::New);
        assert_eq!(
            first.see(&Row {
                id: None,
                ..row(2, 7)
            }),
            Seen::New
        );
        let (_, mut next) = next_run(&first);
        assert_eq!(next.see(&row(1, 7)), Seen::Duplicate);
        assert_eq!(next.see(&row(2, 8)), Seen::Changed);
        assert_eq!(next.see(&row(2, 8)), Seen::Duplicate);
        assert_eq!(next.see(&row(3, 7)), Seen::New);
    }

    #[test]
    fn latest_records_are_remembered() {
        let mut seen = SeenRecords::default();
        for id in 0..10_000 {
            seen.see(&row(id, 1));
        }
        seen.see(&row(9_000, 1));
        let (text, mut next) = next_run(&seen);
        assert_eq!(text.as_str().expect("text").len(), CAPACITY * 16);
        assert_eq!(next.see(&row(8_499, 1)), Seen::New);
        assert_eq!(next.see(&row(9_999, 1)), Seen::Duplicate);
        assert_eq!(next.see(&row(9_000, 1)), Seen::Duplicate);
    }
}
