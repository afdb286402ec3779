//! The checkpoint of the alerts, and its form in a state.
//!
//! All listed alerts before the watermark are handled: delivered, left out by *Top Recent N*, or
//! named as a gap. The fingerprints are those of handled alerts at or after the floor; alerts
//! before the floor are not listed again. A round is one pass over a span of time. If a limit or a
//! failure ends a run within a round, the state contains the round with its position, and the next
//! run resumes there. Links are not stored, because they expire.
//!
//! | member | bytes at most |
//! |---|---|
//! | `fingerprints` | 60,800 (3,800 of 12 bytes each, in Base64; 1,900 between rounds) |
//! | everything else | 700 |

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ops::resume::fingerprint::{Fingerprint, FingerprintSet, second, unpack};
use crate::ops::resume::scope::{invalid_state, is_plausible, members, read};
use crate::protocol::{Failure, State};

/// The number of fingerprints in a state between two rounds.
const CAPACITY: usize = 1_900;

/// The number of fingerprints in a state within a round: those of the last round and of this one.
const CAPACITY_IN_ROUND: usize = 2 * CAPACITY;

/// If the service's `Date` is wrong by less than this, no alert is lost.
const TRUSTED: TimeDelta = TimeDelta::hours(24);

/// One pass over a span of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Round {
    /// Start of the span, inclusive.
    pub(super) from: DateTime<Utc>,
    /// End of the span, exclusive. `None` until the service's time is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<DateTime<Utc>>,
    /// The start of the remaining span; its end if the span is listed newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<DateTime<Utc>>,
    /// The largest time listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) newest: Option<DateTime<Utc>>,
    /// The number of alerts that are still requested. With this limit, a round is listed newest
    /// first, otherwise oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<u64>,
    /// Fingerprints of this round's alerts before this time were dropped for lack of room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<DateTime<Utc>>,
}

impl Round {
    /// A round over that span.
    pub(super) fn new(from: DateTime<Utc>, to: Option<DateTime<Utc>>, left: Option<u64>) -> Self {
        Round {
            from,
            to,
            position: None,
            newest: None,
            left,
            floor: None,
        }
    }

    /// The remaining span. The end is `None` until the service's time is known.
    pub(super) fn rest(&self) -> (DateTime<Utc>, Option<DateTime<Utc>>) {
        match (self.position, self.left) {
            (None, _) => (self.from, self.to),
            (Some(position), None) => (position, self.to),
            (Some(position), Some(_)) => (self.from, Some(position)),
        }
    }

    fn is_plausible(&self, now: DateTime<Utc>) -> bool {
        let optional = [self.to, self.position, self.newest, self.floor];
        let mut times = optional.into_iter().flatten().chain([self.from]);
        self.to.is_some() && times.all(|time| is_plausible(time, now))
    }
}

/// Where the next run resumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoint {
    pub(super) watermark: DateTime<Utc>,
    pub(super) floor: DateTime<Utc>,
    pub(super) fingerprints: FingerprintSet,
    /// The round that the last run did not finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) round: Option<Round>,
    /// The fingerprint of the search condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<String>,
}

/// A state of the first version: a link to a page, or the time up to which everything was read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstVersion {
    link: Option<String>,
    #[serde(rename = "left")]
    _left: Option<u64>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    #[serde(default)]
    seen: String,
}

impl Checkpoint {
    /// The checkpoint of a first run, which starts at this time.
    pub(super) fn new(start: DateTime<Utc>) -> Self {
        Checkpoint {
            watermark: start,
            floor: start,
            fingerprints: FingerprintSet::default(),
            round: None,
            filter: None,
        }
    }

    /// Reads a state. `now` is the time that its times are compared with.
    pub(super) fn read(state: &State, now: DateTime<Utc>) -> Result<Self, Failure> {
        if state.resume.contains_key("seen") || state.resume.contains_key("from") {
            return Checkpoint::read_first_version(state, now);
        }
        let mut checkpoint: Checkpoint = read(Value::Object(state.resume.clone()))?;
        let round_fits = |round: &Round| round.is_plausible(now);
        let plausible = is_plausible(checkpoint.watermark, now)
            && is_plausible(checkpoint.floor, now)
            && checkpoint.fingerprints.is_plausible(now)
            && checkpoint.round.as_ref().is_none_or(round_fits);
        if !plausible {
            return Err(invalid_state());
        }
        checkpoint.floor = checkpoint.floor.min(checkpoint.watermark);
        Ok(checkpoint)
    }

    /// The watermark of the first version could be ahead of the service's time, so it is lowered.
    /// Delivered alerts are recognized by their fingerprints. The link is not followed, because it
    /// can have expired.
    fn read_first_version(state: &State, now: DateTime<Utc>) -> Result<Self, Failure> {
        let old: FirstVersion = read(Value::Object(state.resume.clone()))?;
        if !is_plausible(old.from, now) || !is_plausible(old.to, now) {
            return Err(invalid_state());
        }
        let reached = if old.link.is_some() { old.from } else { old.to };
        let mut checkpoint = Checkpoint::new(reached.min(now) - TRUSTED);
        for bytes in unpack::<8>(&old.seen)? {
            // The time was not stored. It is corrected when the alert is listed again.
            let fingerprint = Fingerprint::from_bytes(bytes);
            checkpoint.fingerprints.insert(fingerprint, old.to);
        }
        Ok(checkpoint)
    }

    /// The state that holds this checkpoint.
    pub(super) fn state(&self, scope: String) -> State {
        State::new(scope, members(self))
    }

    /// Ends a round: the watermark rises to the newest alert listed, and at least to 24 hours
    /// before the round began. Returns how much overlap is left if there are too many fingerprints.
    pub(super) fn finish(&mut self, round: &Round, overlap: TimeDelta) -> Option<TimeDelta> {
        let began = round.to.unwrap_or(round.from);
        let reached = round
            .newest
            .map_or(self.watermark, |newest| newest.min(began));
        self.watermark = self.watermark.max(reached).max(began - TRUSTED);
        self.raise_floor(self.watermark - overlap);
        let shortened = self.fingerprints.shrink_to(CAPACITY).into_iter();
        let lowest = shortened.chain(round.floor).max()?;
        if lowest <= self.floor {
            return None;
        }
        // If one second has more alerts than the state can hold, they must not be delivered again
        // in every run.
        self.watermark = self.watermark.max(lowest.min(began));
        self.raise_floor(lowest);
        Some((self.watermark - self.floor).max(TimeDelta::zero()))
    }

    /// Stores an unfinished round, with the fingerprints that its remaining span or the next round
    /// needs.
    pub(super) fn suspend(&mut self, mut round: Round, overlap: Option<TimeDelta>) {
        let (start, end) = round.rest();
        let (start, end) = (second(start), round.position.and(end).map(second));
        let next = match (round.left, round.newest, round.to) {
            // Oldest first: the watermark will not be before the position.
            (None, ..) => round.position.unwrap_or(round.from),
            (Some(_), Some(newest), Some(to)) => newest.min(to),
            (Some(_), ..) => round.from,
        };
        let recent = overlap.map(|overlap| second(next - overlap));
        let mut of_rest = FingerprintSet::default();
        let mut of_next = FingerprintSet::default();
        for (fingerprint, at, time) in self.fingerprints.entries() {
            if at >= start && end.is_none_or(|end| at <= end) {
                of_rest.insert(fingerprint, time);
            } else if recent.is_some_and(|recent| at >= recent) {
                of_next.insert(fingerprint, time);
            }
        }
        of_rest.shrink_to(CAPACITY_IN_ROUND);
        let dropped = of_next.shrink_to(CAPACITY_IN_ROUND - of_rest.len());
        round.floor = round.floor.max(dropped);
        of_rest.extend(of_next);
        self.fingerprints = of_rest;
        self.round = Some(round);
    }

    fn raise_floor(&mut self, to: DateTime<Utc>) {
        self.floor = self.floor.max(to.trunc_subsecs(0)).min(self.watermark);
        self.fingerprints.forget_before(self.floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::state;
    use crate::when::instant;

    fn at(text: &str) -> DateTime<Utc> {
        instant(text, &[]).expect("a time")
    }

    fn many(start: DateTime<Utc>, count: usize, per_second: usize) -> FingerprintSet {
        let mut set = FingerprintSet::default();
        for n in 0..count {
            let seconds = i64::try_from(n / per_second).expect("small");
            set.insert(
                Fingerprint::of(n.to_string()),
                start + TimeDelta::seconds(seconds),
            );
        }
        set
    }

    fn full() -> (Checkpoint, Round) {
        let start = at("2026-01-14T12:00:00Z");
        let mut checkpoint = Checkpoint::new(start);
        checkpoint.fingerprints = many(start, 9_000, 3);
        checkpoint.filter = Some("f".repeat(64));
        let mut round = Round::new(start, Some(start + TimeDelta::hours(2)), Some(u64::MAX));
        round.position = Some(at("2026-01-14T12:10:00.1234567Z"));
        round.newest = round.to;
        (checkpoint, round)
    }

    #[test]
    fn largest_state_stays_within_its_limit() {
        let (mut checkpoint, round) = full();
        checkpoint.suspend(round, Some(TimeDelta::hours(2)));
        let state = checkpoint.state("f".repeat(64));
        let bytes = serde_json::to_string(&state).expect("JSON").len();
        assert!(bytes < state::MAX_BYTES, "{bytes}");
        assert!(bytes > state::MAX_BYTES * 9 / 10, "room is wasted: {bytes}");
        let read = Checkpoint::read(&state, at("2026-01-14T14:00:00Z"));
        assert_eq!(read.expect("a checkpoint"), checkpoint);
    }

    #[test]
    fn watermark_rises_to_newest_alert_and_never_falls() {
        let start = at("2026-01-14T12:00:00Z");
        let overlap = TimeDelta::minutes(10);
        let mut checkpoint = Checkpoint::new(start);
        let mut round = Round::new(start, Some(at("2026-01-14T13:00:00Z")), None);
        round.newest = Some(at("2026-01-14T12:30:00.5Z"));
        assert_eq!(checkpoint.finish(&round, overlap), None);
        assert_eq!(checkpoint.watermark, at("2026-01-14T12:30:00.5Z"));
        assert_eq!(checkpoint.floor, at("2026-01-14T12:20:00Z"));
        // Nothing listed, and a time of the service that is behind.
        let round = Round::new(checkpoint.floor, Some(at("2026-01-14T11:00:00Z")), None);
        checkpoint.finish(&round, overlap);
        assert_eq!(checkpoint.watermark, at("2026-01-14T12:30:00.5Z"));
        // Nothing listed for two days.
        let round = Round::new(checkpoint.floor, Some(at("2026-01-16T13:00:00Z")), None);
        checkpoint.finish(&round, overlap);
        assert_eq!(checkpoint.watermark, at("2026-01-15T13:00:00Z"));
    }

    #[test]
    fn too_many_fingerprints_shorten_the_overlap() {
        let (mut checkpoint, mut round) = full();
        round.newest = Some(at("2026-01-14T12:49:59Z"));
        let left = checkpoint.finish(&round, TimeDelta::minutes(60));
        let left = left.expect("a shorter overlap");
        assert!(left < TimeDelta::minutes(11), "{left}");
        assert!(checkpoint.fingerprints.len() <= CAPACITY);
        // One second with more alerts than there is room for.
        let start = at("2026-01-14T12:00:00Z");
        let mut checkpoint = Checkpoint::new(start);
        checkpoint.fingerprints = many(start, 5_000, 5_000);
        let mut round = Round::new(start, Some(at("2026-01-14T13:00:00Z")), None);
        round.newest = Some(start);
        assert_eq!(
            checkpoint.finish(&round, TimeDelta::minutes(10)),
            Some(TimeDelta::zero())
        );
        assert_eq!(checkpoint.floor, at("2026-01-14T12:00:01Z"));
    }

    #[test]
    fn state_of_the_first_version_is_read_with_a_lower_watermark() {
        let now = at("2026-01-14T12:00:00Z");
        let read = |resume: Value| {
            let Value::Object(resume) = resume else {
                panic!("an object")
            };
            Checkpoint::read(&State::new("s", resume), now)
        };
        let seen = crate::ops::resume::fingerprint::pack(Fingerprint::of("a t").bytes());
        let ended = serde_json::json!({ "from": "2026-01-14T10:00:00Z", "to": "2026-01-14T11:00:00Z", "seen": seen });
        let checkpoint = read(ended).expect("a checkpoint");
        assert_eq!(checkpoint.watermark, at("2026-01-13T11:00:00Z"));
        assert!(checkpoint.fingerprints.contains(Fingerprint::of("a t")));
        let linked = serde_json::json!({ "link": "https://evil.test/", "left": 3, "from": "2026-01-14T10:00:00Z",
            "to": "2026-01-15T11:00:00Z" });
        let checkpoint = read(linked).expect("a checkpoint");
        assert_eq!(checkpoint.watermark, at("2026-01-13T10:00:00Z"));
        assert!(
            read(
                serde_json::json!({ "from": "1996-01-14T10:00:00Z", "to": "2026-01-14T10:00:00Z" })
            )
            .is_err()
        );
    }
}
