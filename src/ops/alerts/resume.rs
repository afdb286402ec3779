//! What a state of the alerts says, and which alerts earlier runs delivered.
//!
//! An alert is known by its id together with its time, because one that was updated is delivered
//! again. Only those that the next window looks back to are remembered.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::microsoft::graph::alerts::text_of;
use crate::protocol::{Failure, State};
use crate::when;

/// Marks that a state holds at most; with them and a link it stays below its 64 KiB.
const MAX_MARKS: usize = 4_000;

/// What a state says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    /// The page to go on at; none where a window was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
    /// How many are still wanted, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<u64>,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    /// Marks of eight bytes each, in Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) seen: String,
}

impl Resume {
    pub(super) fn read(state: &State, now: DateTime<Utc>) -> Result<Self, Failure> {
        let resume: Resume = serde_json::from_value(Value::Object(state.resume.clone()))
            .map_err(|_| not_ours("its members are not those that were written"))?;
        // Clocks differ, but not by years.
        let sane = |time: DateTime<Utc>| (time - now).abs() < TimeDelta::days(3660);
        if sane(resume.from) && sane(resume.to) {
            return Ok(resume);
        }
        Err(not_ours("its times are none that were written"))
    }

    pub(super) fn members(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        }
    }

    /// The alerts that it names.
    pub(super) fn seen(&self) -> Result<Seen, Failure> {
        let wrong = || not_ours("its marks are damaged");
        let marks = URL_SAFE_NO_PAD.decode(&self.seen).map_err(|_| wrong())?;
        let (marks, rest) = marks.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(wrong());
        }
        // When they were is not known any more; they stay as long as their window.
        Ok(Seen(marks.iter().map(|mark| (*mark, None)).collect()))
    }
}

pub(super) fn not_ours(why: &str) -> Failure {
    Failure::invalid_input(
        "/state/resume",
        format!("The state is not one of ours: {why}."),
    )
    .advice("Send the state of the last result unchanged, or none.")
}

/// Alerts that were delivered: their marks, and when they were, if this run saw it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(HashMap<[u8; 8], Option<DateTime<Utc>>>);

impl Seen {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Was that alert delivered? Notes when it was, so that it is remembered as long as needed.
    pub(super) fn has(&mut self, record: &str, field: &str) -> bool {
        let (mark, time) = marked(record, field);
        self.0.get_mut(&mark).is_some_and(|known| {
            *known = known.or(time);
            true
        })
    }

    pub(super) fn add(&mut self, record: &str, field: &str) {
        let (mark, time) = marked(record, field);
        self.0.insert(mark, time);
    }

    /// The marks of alerts since that moment; of too many the latest. Those that this run did not
    /// meet again are dropped only where it has read `all`.
    pub(super) fn packed(&self, since: DateTime<Utc>, all: bool) -> String {
        let known = self.0.iter().filter_map(|(mark, time)| match time {
            Some(time) => Some((*time, *mark)),
            None => (!all).then_some((since, *mark)),
        });
        let mut known: Vec<_> = known.filter(|(time, _)| *time >= since).collect();
        known.sort_unstable();
        let latest = known.split_off(known.len().saturating_sub(MAX_MARKS));
        let marks: Vec<u8> = latest.into_iter().flat_map(|(_, mark)| mark).collect();
        URL_SAFE_NO_PAD.encode(marks)
    }
}

fn marked(record: &str, field: &str) -> ([u8; 8], Option<DateTime<Utc>>) {
    let id = text_of(record, "id").unwrap_or_default();
    let time = text_of(record, field).unwrap_or_default();
    let digest = digest::digest(&digest::SHA256, format!("{id} {time}").as_bytes());
    let mut mark = [0; 8];
    mark.copy_from_slice(&digest.as_ref()[..8]);
    (mark, when::instant(&time, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: &str = "lastUpdateDateTime";

    fn record(id: &str, time: &str) -> String {
        format!(r#"{{"id":"{id}","{FIELD}":"{time}"}}"#)
    }

    #[test]
    fn an_alert_that_was_updated_is_another_one() {
        let mut seen = Seen::default();
        seen.add(&record("a", "2026-01-14T10:00:00Z"), FIELD);
        assert!(seen.has(&record("a", "2026-01-14T10:00:00Z"), FIELD));
        assert!(!seen.has(&record("a", "2026-01-14T11:00:00Z"), FIELD));
        assert!(!seen.has(&record("b", "2026-01-14T10:00:00Z"), FIELD));
    }

    #[test]
    fn what_lies_before_the_next_window_is_forgotten() {
        let mut seen = Seen::default();
        let (early, late) = ("2026-01-14T10:00:00Z", "2026-01-14T11:00:00Z");
        seen.add(&record("a", early), FIELD);
        seen.add(&record("b", late), FIELD);
        let since = when::instant("2026-01-14T10:30:00Z", &[]).expect("a time");
        let resume = Resume {
            link: None,
            left: None,
            from: since,
            to: since,
            seen: seen.packed(since, true),
        };
        let state = State::new("s", resume.members());
        let mut again = Resume::read(&state, since)
            .and_then(|resume| resume.seen())
            .expect("ours");
        assert!(!again.has(&record("a", early), FIELD));
        assert!(again.has(&record("b", late), FIELD));
        // It was met again, so its time is known and it can be written once more.
        assert!(!again.packed(since, true).is_empty());
        // One that was not met may be needed as long as not everything was read.
        let again = Resume::read(&state, since)
            .and_then(|resume| resume.seen())
            .expect("ours");
        assert!(again.packed(since, true).is_empty() && !again.packed(since, false).is_empty());
    }
}
