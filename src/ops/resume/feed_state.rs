//! A state of the activity feed: the checkpoints of the content types, and the records.
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

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checkpoint::{Checkpoint, Retry};
use super::fingerprint::{Fingerprint, unpack};
use super::records::SeenRecords;
use super::scope::{self, invalid_state, is_plausible, members, read};
use crate::microsoft::ContentType;
use crate::ops::audit_search::Position;
use crate::protocol::Failure;

/// Fingerprints of all content types together.
pub(in crate::ops) const FINGERPRINTS: usize = 2_000;

/// Blobs in all retry queues together.
pub(in crate::ops) const RETRIES: usize = 300;

/// Missing spans of a state.
pub(in crate::ops) const SPANS: usize = 16;

/// The layout that this module writes.
const LAYOUT: u32 = 2;

/// The content of a state of the activity feed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ops) struct FeedState {
    /// The filter of the last run.
    pub(in crate::ops) filter: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "SeenRecords::is_empty")]
    pub(in crate::ops) records: SeenRecords,
    pub(in crate::ops) types: BTreeMap<ContentType, Checkpoint>,
    /// What had expired before it was read, and was not back-filled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::ops) missing: Vec<MissingSpan>,
}

/// A span whose content had expired before it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ops) struct MissingSpan {
    pub(in crate::ops) types: BTreeSet<ContentType>,
    pub(in crate::ops) start: DateTime<Utc>,
    pub(in crate::ops) end: DateTime<Utc>,
    /// Where the search that back-fills it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) search: Option<Position>,
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
        let mut resume = resume.clone();
        let version = resume.remove("version");
        let resume = Value::Object(resume);
        let state = match (version, only) {
            (Some(version), _) if version == LAYOUT => read(resume)?,
            (Some(_), _) => return Err(invalid_state()),
            (None, Some(content_type)) => {
                FeedState::of_first_version([(content_type, read(resume)?)].into(), now)?
            }
            (None, None) => FeedState::of_first_version(read(resume)?, now)?,
        };
        let is_plausible =
            |one: &Checkpoint| one.is_plausible(now) && one.retry.len() <= 2 * RETRIES;
        let are_plausible = state.types.values().all(is_plausible)
            && state.missing.len() <= SPANS
            && state.missing.iter().all(|span| {
                scope::is_plausible(span.start, now) && scope::is_plausible(span.end, now)
            });
        are_plausible.then_some(state).ok_or_else(invalid_state)
    }

    fn of_first_version(
        types: BTreeMap<ContentType, FirstVersion>,
        now: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        let mut state = FeedState::default();
        for (content_type, first) in types {
            state.records.add_first_version(&first.records)?;
            state.types.insert(content_type, first.checkpoint(now)?);
        }
        Ok(state)
    }

    /// The members of the state.
    pub(in crate::ops) fn pack(&self) -> Map<String, Value> {
        let version = ("version".to_owned(), LAYOUT.into());
        std::iter::once(version).chain(members(self)).collect()
    }
}

impl FirstVersion {
    fn checkpoint(self, now: DateTime<Utc>) -> Result<Checkpoint, Failure> {
        // Rejected first, because arithmetic with extreme times can overflow.
        if !is_plausible(self.from, now) {
            return Err(invalid_state());
        }
        let lowered = self.from.min(now) - TimeDelta::hours(24);
        let start = self.since.unwrap_or(lowered).min(self.from);
        let mut checkpoint = Checkpoint::first(lowered.max(start), self.to);
        checkpoint.stuck = self.stuck;
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
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::resume::fingerprint::pack;
    use crate::protocol::{State, state};
    use crate::when::instant;

    fn at(text: &str) -> DateTime<Utc> {
        instant(text, &[]).expect("a time")
    }

    fn full(fingerprints: usize, retries: usize) -> Checkpoint {
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
        checkpoint.stuck = true;
        checkpoint
    }

    #[test]
    fn largest_state_stays_within_its_limit() {
        let sizes = [1, 5].map(|types| {
            let each = |kind| (kind, full(FINGERPRINTS / types, RETRIES / types));
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
                missing: vec![
                    MissingSpan {
                        types: ContentType::ALL.into(),
                        start: at("2026-01-01T12:00:00Z"),
                        end: at("2026-01-02T12:00:00Z"),
                        search: None,
                    };
                    SPANS
                ],
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
        let types: BTreeMap<_, _> = [(ContentType::Exchange, full(5, 3))].into();
        let state = FeedState {
            filter: Some(Fingerprint::of("x")),
            types: types.clone(),
            ..FeedState::default()
        };
        let read = FeedState::read(&state.pack(), None, now).expect("a state");
        assert_eq!(read.types, types);
        assert_eq!(read.filter, Some(Fingerprint::of("x")));
    }

    #[test]
    fn state_of_first_version_is_lowered_by_a_day() {
        let now = at("2026-01-14T12:00:00Z");
        let done = pack(Fingerprint::of("a").bytes());
        let text = format!(r#"{{"from":"2026-01-15T11:00:00Z","done":"{done}"}}"#);
        let members = serde_json::from_str(&text).expect("JSON");
        let read = FeedState::read(&members, Some(ContentType::Dlp), now).expect("a state");
        let checkpoint = &read.types[&ContentType::Dlp];
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
