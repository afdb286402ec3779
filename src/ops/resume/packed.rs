//! The checkpoints of the activity feed in a state.
//!
//! All content types share 64 KiB. The largest parts, in bytes of the state:
//!
//! | part | bytes each | entries, one type | entries, five types together |
//! |---|---|---|---|
//! | fingerprints | 16 | 2,000 | 2,000 |
//! | retry queue | 18 | 300 | 5 × 60 |
//! | records | 16 | 1,500 | 1,500 |
//! | times and names | | 300 | 1,500 |
//! | all | | 61,700 | 62,900 |
//!
//! The watermark of a state of the first version is in the time of the host's clock. It is lowered
//! by 24 hours; content that was delivered is recognized by its fingerprint.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checkpoint::{Checkpoint, Retry, RetryQueue};
use super::fingerprint::{Fingerprint, FingerprintSet, pack, second, time, unpack};
use super::records::SeenRecords;
use super::scope::{invalid_state, is_plausible, members, read};
use crate::microsoft::ContentType;
use crate::protocol::Failure;

/// Fingerprints of all content types together.
pub(in crate::ops) const FINGERPRINTS: usize = 2_000;

/// Blobs in all retry queues together.
pub(in crate::ops) const RETRIES: usize = 300;

/// The layout that this module writes.
const LAYOUT: u32 = 2;

/// The content of a state of the activity feed.
#[derive(Debug, Default)]
pub(in crate::ops) struct FeedState {
    /// The filter of the last run.
    pub(in crate::ops) filter: Option<Fingerprint>,
    pub(in crate::ops) records: SeenRecords,
    pub(in crate::ops) types: Vec<TypeState>,
}

/// Where a content type resumes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ops) struct TypeState {
    pub(in crate::ops) content_type: ContentType,
    pub(in crate::ops) checkpoint: Checkpoint,
    /// Whether the last run had no progress.
    pub(in crate::ops) stuck: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackedState {
    version: u32,
    filter: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    records: String,
    types: BTreeMap<String, PackedCheckpoint>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackedCheckpoint {
    watermark: DateTime<Utc>,
    floor: DateTime<Utc>,
    start: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<DateTime<Utc>>,
    newest: DateTime<Utc>,
    fingerprints: String,
    /// Second, fingerprint and attempts: thirteen bytes each, in Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    retry: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stuck: bool,
}

/// The checkpoint of a content type in a state of the first version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstVersion {
    from: DateTime<Utc>,
    #[serde(default)]
    to: Option<DateTime<Utc>>,
    #[serde(default)]
    since: Option<DateTime<Utc>>,
    done: String,
    #[serde(default)]
    failed: String,
    #[serde(default)]
    records: String,
    #[serde(default)]
    stuck: bool,
}

impl FeedState {
    /// Reads the members of a state. `now` is the service's time; `only` is the content type that a
    /// state of the first version belongs to if it does not name one.
    pub(in crate::ops) fn read(
        resume: &Map<String, Value>,
        only: Option<ContentType>,
        now: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        if resume.contains_key("version") {
            return read::<PackedState>(Value::Object(resume.clone()))?.open(now);
        }
        let mut state = FeedState::default();
        if let Some(content_type) = only {
            let first = read::<FirstVersion>(Value::Object(resume.clone()))?;
            state.add_first_version(content_type, first, now)?;
            return Ok(state);
        }
        for (name, packed) in resume {
            let content_type = ContentType::parse(name).ok_or_else(invalid_state)?;
            let first = read::<FirstVersion>(packed.clone())?;
            state.add_first_version(content_type, first, now)?;
        }
        Ok(state)
    }

    fn add_first_version(
        &mut self,
        content_type: ContentType,
        first: FirstVersion,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        self.records.add_first_version(&first.records)?;
        let stuck = first.stuck;
        let checkpoint = first.open(now)?;
        self.types.push(TypeState {
            content_type,
            checkpoint,
            stuck,
        });
        Ok(())
    }

    /// The members of the state.
    pub(in crate::ops) fn pack(self) -> Map<String, Value> {
        let types = self.types.into_iter();
        members(&PackedState {
            version: LAYOUT,
            filter: self
                .filter
                .map_or_else(String::new, |filter| pack(&filter.bytes())),
            records: self.records.pack(),
            types: types
                .map(|one| {
                    (
                        one.content_type.name().to_owned(),
                        PackedCheckpoint::of(&one),
                    )
                })
                .collect(),
        })
    }
}

impl PackedState {
    fn open(self, now: DateTime<Utc>) -> Result<FeedState, Failure> {
        let filter = unpack::<8>(&self.filter)?.first().copied();
        let types = self.types.into_iter().map(|(name, packed)| {
            let content_type = ContentType::parse(&name).ok_or_else(invalid_state)?;
            let stuck = packed.stuck;
            Ok(TypeState {
                content_type,
                checkpoint: packed.open(now)?,
                stuck,
            })
        });
        if self.version != LAYOUT {
            return Err(invalid_state());
        }
        Ok(FeedState {
            filter: filter.map(Fingerprint::from_bytes),
            records: SeenRecords::unpack(&self.records)?,
            types: types.collect::<Result<_, _>>()?,
        })
    }
}

impl PackedCheckpoint {
    fn of(resume: &TypeState) -> Self {
        let checkpoint = &resume.checkpoint;
        let retry = checkpoint.retry.iter().flat_map(|(fingerprint, retry)| {
            let second = second(retry.available).to_be_bytes();
            second
                .into_iter()
                .chain(fingerprint.bytes())
                .chain([retry.attempts])
        });
        PackedCheckpoint {
            watermark: checkpoint.watermark,
            floor: checkpoint.floor,
            start: checkpoint.start,
            end: checkpoint.end,
            newest: checkpoint.newest,
            fingerprints: checkpoint.fingerprints.pack(),
            retry: pack(&retry.collect::<Vec<u8>>()),
            stuck: resume.stuck,
        }
    }

    fn open(self, now: DateTime<Utc>) -> Result<Checkpoint, Failure> {
        let mut retry = RetryQueue::new();
        for [a, b, c, d, fingerprint @ .., attempts] in unpack::<13>(&self.retry)? {
            let second = u32::from_be_bytes([a, b, c, d]);
            let available = time(second).ok_or_else(invalid_state)?;
            let fingerprint = Fingerprint::from_bytes(fingerprint);
            retry.insert(
                fingerprint,
                Retry {
                    available,
                    attempts,
                },
            );
        }
        let checkpoint = Checkpoint {
            watermark: self.watermark,
            floor: self.floor,
            start: self.start,
            end: self.end,
            newest: self.newest,
            fingerprints: FingerprintSet::unpack(&self.fingerprints, now)?,
            retry,
        };
        checked(checkpoint, now)
    }
}

impl FirstVersion {
    fn open(self, now: DateTime<Utc>) -> Result<Checkpoint, Failure> {
        // Rejected first, because arithmetic with extreme times can overflow.
        if !is_plausible(self.from, now) {
            return Err(invalid_state());
        }
        let lowered = self.from.min(now) - TimeDelta::hours(24);
        let start = self.since.unwrap_or(lowered).min(self.from);
        let mut checkpoint = Checkpoint::first(lowered.max(start), self.to);
        for fingerprint in unpack::<8>(&self.done)? {
            let fingerprint = Fingerprint::from_bytes(fingerprint);
            checkpoint.fingerprints.insert(fingerprint, self.from);
        }
        for packed in unpack::<17>(&self.failed)? {
            let [t @ .., _, _, _, _, _, _, _, _, _] = packed;
            let [_, _, _, _, _, _, _, _, fingerprint @ .., attempts] = packed;
            let available = DateTime::from_timestamp_millis(i64::from_be_bytes(t));
            let retry = Retry {
                available: available.ok_or_else(invalid_state)?,
                attempts,
            };
            checkpoint
                .retry
                .insert(Fingerprint::from_bytes(fingerprint), retry);
        }
        checked(checkpoint, now)
    }
}

/// Rejects a checkpoint that was not written by a run.
fn checked(checkpoint: Checkpoint, now: DateTime<Utc>) -> Result<Checkpoint, Failure> {
    let of_retries = checkpoint.retry.values().map(|retry| retry.available);
    let times = [
        checkpoint.watermark,
        checkpoint.floor,
        checkpoint.start,
        checkpoint.newest,
    ];
    let are_plausible = times
        .into_iter()
        .chain(checkpoint.end)
        .chain(of_retries)
        .all(|time| is_plausible(time, now));
    let is_ordered = checkpoint.start <= checkpoint.floor.max(checkpoint.watermark)
        && checkpoint.floor <= checkpoint.watermark
        && checkpoint.end.is_none_or(|end| checkpoint.start <= end);
    if are_plausible && is_ordered && checkpoint.retry.len() <= 2 * RETRIES {
        return Ok(checkpoint);
    }
    Err(invalid_state())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{State, state};
    use crate::when::instant;

    fn at(text: &str) -> DateTime<Utc> {
        instant(text, &[]).expect("a time")
    }

    fn full(content_type: ContentType, fingerprints: usize, retries: usize) -> TypeState {
        let from = at("2026-01-14T12:00:00.123456789Z");
        let mut checkpoint = Checkpoint::first(from, Some(from));
        for n in 0..fingerprints {
            checkpoint
                .fingerprints
                .insert(Fingerprint::of(format!("blob{n}")), from);
        }
        for n in 0..retries {
            let retry = Retry {
                available: at("2026-01-14T11:00:00Z"),
                attempts: 255,
            };
            checkpoint
                .retry
                .insert(Fingerprint::of(format!("lost{n}")), retry);
        }
        TypeState {
            content_type,
            checkpoint,
            stuck: true,
        }
    }

    #[test]
    fn largest_state_stays_within_its_limit() {
        let sizes = [1, 5].map(|types| {
            let each = |fingerprint| full(fingerprint, FINGERPRINTS / types, RETRIES / types);
            let mut records = SeenRecords::default();
            for id in 0..5_000 {
                let row = crate::microsoft::feed::content::Row {
                    id: Some(id),
                    content_hash: 7,
                    end: 0,
                };
                records.see(&row);
            }
            let state = FeedState {
                filter: Some(Fingerprint::of("")),
                records,
                types: ContentType::ALL.into_iter().take(types).map(each).collect(),
            };
            let state = State::new("f".repeat(64), state.pack());
            serde_json::to_string(&state).expect("JSON").len()
        });
        assert!(
            sizes.iter().all(|bytes| *bytes <= state::MAX_BYTES),
            "{sizes:?}"
        );
        assert!(
            sizes[1] > state::MAX_BYTES * 9 / 10,
            "room is wasted: {sizes:?}"
        );
    }

    #[test]
    fn state_reads_back_equal() {
        let now = at("2026-01-14T12:00:00Z");
        let resume = full(ContentType::Exchange, 5, 3);
        let state = FeedState {
            filter: Some(Fingerprint::of("x")),
            types: vec![resume.clone()],
            ..FeedState::default()
        };
        let read = FeedState::read(&state.pack(), None, now).expect("a state");
        assert_eq!(read.types, [resume]);
        assert_eq!(read.filter, Some(Fingerprint::of("x")));
    }

    #[test]
    fn state_of_first_version_is_lowered_by_a_day() {
        let now = at("2026-01-14T12:00:00Z");
        let done = pack(&Fingerprint::of("a").bytes());
        let text = format!(r#"{{"from":"2026-01-15T11:00:00Z","done":"{done}"}}"#);
        let members = serde_json::from_str(&text).expect("JSON");
        let read = FeedState::read(&members, Some(ContentType::Dlp), now).expect("a state");
        let checkpoint = &read.types[0].checkpoint;
        assert_eq!(checkpoint.watermark, at("2026-01-13T12:00:00Z"));
        assert!(checkpoint.fingerprints.contains(Fingerprint::of("a")));
        for damaged in [
            r#"{"from":"2026-01-14T11:00:00Z","done":"AAAA"}"#,
            r#"{"from":"1996-01-14T11:00:00Z","done":""}"#,
            r#"{"version":3,"filter":"","types":{}}"#,
            r#"{"version":2,"filter":"A","types":{}}"#,
        ] {
            let members = serde_json::from_str(damaged).expect("JSON");
            let read = FeedState::read(&members, Some(ContentType::Dlp), now);
            assert!(read.is_err(), "{damaged}");
        }
    }
}
