//! The point up to which one content type was dealt with, and how a state writes it down.
//!
//! A state names no address. It holds how far the feed's own time was dealt with, marks of the blobs
//! that were taken around that moment, and what failed for a passing reason: when it became
//! available, its mark, and how often it was tried. So a caller cannot lead a token anywhere with
//! it, and it stays small however many blobs there are. Where a run begins is `resume`'s part.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::protocol::Failure;

/// What stands for a blob or a record in a state: the beginning of a digest.
pub(in crate::ops) type Mark = [u8; 8];

/// The mark of a blob of that name.
pub(super) fn mark(name: &str) -> Mark {
    mark_of(name.as_bytes())
}

/// The mark of what has that name in bytes.
pub(super) fn mark_of(name: &[u8]) -> Mark {
    let digest = digest::digest(&digest::SHA256, name);
    let mut mark = Mark::default();
    mark.copy_from_slice(&digest.as_ref()[..8]);
    mark
}

/// A blob that failed for a passing reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ops) struct Carried {
    /// When it became available.
    pub(super) created: DateTime<Utc>,
    pub(super) mark: Mark,
    /// In how many runs it failed.
    pub(super) tries: u8,
}

/// Where the reading of a content type goes on.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ops) struct Point {
    /// Everything before was dealt with, but for what is carried.
    pub(in crate::ops) from: DateTime<Utc>,
    /// Where the windows end; none where the next run goes on to its own now.
    pub(in crate::ops) to: Option<DateTime<Utc>>,
    /// What lies before was never asked for, so looking back ends there.
    pub(in crate::ops) since: Option<DateTime<Utc>>,
    /// Blobs that were dealt with, and when they became available as far as that is known.
    pub(in crate::ops) done: Vec<(DateTime<Utc>, Mark)>,
    /// Blobs to try again.
    pub(in crate::ops) carried: Vec<Carried>,
    /// Records that were delivered, the latest last.
    pub(in crate::ops) records: Vec<Mark>,
    /// Did the last run get nowhere?
    pub(in crate::ops) stuck: bool,
}

/// A point as a state holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::ops) struct Packed {
    from: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// Marks of eight bytes each, in Base64.
    done: String,
    /// Carried blobs: milliseconds, mark and tries, seventeen bytes each, in Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    failed: String,
    /// Marks of eight bytes each, in Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    records: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stuck: bool,
}

impl Point {
    /// A point where nothing was dealt with yet.
    pub(in crate::ops) fn at(from: DateTime<Utc>) -> Self {
        Point {
            from,
            to: None,
            since: None,
            done: Vec::new(),
            carried: Vec::new(),
            records: Vec::new(),
            stuck: false,
        }
    }

    /// Leaves out what looking back so far does not meet any more, and what stands twice.
    pub(in crate::ops) fn trim(&mut self, overlap: TimeDelta) {
        let back = self.from - overlap;
        self.since = self.since.filter(|since| *since > back);
        self.done.retain(|(at, _)| *at >= back);
        self.done.sort_unstable();
        self.done.dedup();
        // Of a record that was met twice the later meeting counts.
        let mut met = HashSet::new();
        self.records.reverse();
        self.records.retain(|mark| met.insert(*mark));
        self.records.reverse();
    }

    /// The point with at most so many marks of blobs and of records; of too many the oldest go, and
    /// what they stood for comes again if it is listed again.
    pub(in crate::ops) fn pack(mut self, (blobs, records): (usize, usize)) -> Packed {
        let done = self.done.split_off(self.done.len().saturating_sub(blobs));
        let done: Vec<u8> = done.into_iter().flat_map(|(_, mark)| mark).collect();
        let old = self.records.len().saturating_sub(records);
        let failed = self.carried.iter().flat_map(|blob| {
            let time = blob.created.timestamp_millis().to_be_bytes();
            time.into_iter().chain(blob.mark).chain([blob.tries])
        });
        Packed {
            from: self.from,
            to: self.to,
            since: self.since,
            done: URL_SAFE_NO_PAD.encode(done),
            failed: URL_SAFE_NO_PAD.encode(failed.collect::<Vec<u8>>()),
            records: URL_SAFE_NO_PAD.encode(self.records[old..].as_flattened()),
            stuck: self.stuck,
        }
    }
}

impl Packed {
    /// The point that was packed; it may carry so many blobs.
    pub(in crate::ops) fn open(self, room: usize, now: DateTime<Utc>) -> Result<Point, Failure> {
        let done = unpacked::<8>(&self.done)?;
        let carried = unpacked::<17>(&self.failed)?.into_iter().map(carried);
        let point = Point {
            from: self.from,
            to: self.to,
            since: self.since,
            done: done.into_iter().map(|mark| (self.from, mark)).collect(),
            carried: carried.collect::<Result<Vec<_>, _>>()?,
            records: unpacked::<8>(&self.records)?,
            stuck: self.stuck,
        };
        let times = point.carried.iter().map(|blob| &blob.created);
        let sane = times
            .chain([&point.from])
            .chain(&point.to)
            .chain(&point.since)
            .all(|time| ours(*time, now));
        if sane && point.carried.len() <= room {
            return Ok(point);
        }
        Err(not_ours())
    }
}

/// Could that time stand in a state of ours? Clocks differ, but not by years.
fn ours(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (time - now).abs() < TimeDelta::days(3660)
}

fn unpacked<const N: usize>(text: &str) -> Result<Vec<[u8; N]>, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| not_ours())?;
    match bytes.as_chunks() {
        (chunks, []) => Ok(chunks.to_vec()),
        _ => Err(not_ours()),
    }
}

fn carried(packed: [u8; 17]) -> Result<Carried, Failure> {
    let (mut time, mut mark) = ([0; 8], Mark::default());
    time.copy_from_slice(&packed[..8]);
    mark.copy_from_slice(&packed[8..16]);
    let created = DateTime::from_timestamp_millis(i64::from_be_bytes(time)).ok_or_else(not_ours)?;
    Ok(Carried {
        created,
        mark,
        tries: packed[16],
    })
}

/// A state that no run of ours wrote.
pub(in crate::ops) fn not_ours() -> Failure {
    let words = "The state is not one of ours: its members are not those that were written.";
    Failure::invalid_input("/state/resume", words)
        .advice("Send the state of the last result unchanged, or none.")
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;
    use crate::when::instant;

    pub(in crate::ops) fn at(text: &str) -> DateTime<Utc> {
        instant(text, &[]).expect("a time")
    }

    /// A point that holds so many of everything.
    pub(in crate::ops) fn full(from: DateTime<Utc>, many: usize, room: usize) -> Point {
        let marks =
            |what: &str| -> Vec<Mark> { (0..many).map(|n| mark(&format!("{what}{n}"))).collect() };
        let carried = |mark| Carried {
            created: from,
            mark,
            tries: 255,
        };
        Point {
            to: Some(from),
            since: Some(from),
            done: marks("blob").into_iter().map(|mark| (from, mark)).collect(),
            carried: marks("lost").into_iter().take(room).map(carried).collect(),
            records: marks("record"),
            stuck: true,
            ..Point::at(from)
        }
    }

    #[test]
    fn a_point_survives_its_packing() {
        let from = at("2026-01-14T09:31:12Z");
        let point = full(from, 5, 3);
        let text = serde_json::to_string(&point.clone().pack((5, 5))).expect("JSON");
        let read: Packed = serde_json::from_str(&text).expect("a point");
        assert_eq!(read.open(3, from).expect("ours"), point);
    }

    #[test]
    fn what_no_run_wrote_is_refused() {
        let now = at("2026-01-14T12:00:00Z");
        let open = |text: &str| {
            let read: Packed = serde_json::from_str(text).expect("the shape");
            read.open(1, now).is_ok()
        };
        let from = r#""from":"2026-01-14T11:00:00Z""#;
        assert!(open(&format!(r#"{{{from},"done":""}}"#)));
        assert!(!open(&format!(r#"{{{from},"done":"AAAA"}}"#)));
        assert!(!open(&format!(r#"{{{from},"done":"not base64!"}}"#)));
        assert!(!open(&format!(r#"{{{from},"done":"","records":"AA"}}"#)));
        assert!(!open(r#"{"from":"1996-01-14T11:00:00Z","done":""}"#));
        let two = serde_json::to_string(&full(now, 2, 2).pack((0, 0))).expect("JSON");
        assert!(!open(&two), "more is carried than there is room for");
    }

    #[test]
    fn of_too_many_the_latest_stay() {
        let from = at("2026-01-14T12:00:00Z");
        let mut point = Point::at(from);
        let minutes = |n: i64| from - TimeDelta::minutes(n);
        point.since = Some(minutes(20));
        point.done = (0..9).map(|n| (minutes(n), mark(&n.to_string()))).collect();
        point.records = ["a", "b", "a", "c"].map(mark).to_vec();
        point.trim(TimeDelta::minutes(5));
        assert_eq!((point.done.len(), point.since), (6, None));
        assert_eq!(point.records, ["b", "a", "c"].map(mark));
        let kept = point.pack((2, 2)).open(0, from).expect("ours");
        let done: Vec<Mark> = kept.done.into_iter().map(|(_, mark)| mark).collect();
        assert_eq!(done, ["1", "0"].map(mark));
        assert_eq!(kept.records, ["a", "c"].map(mark));
    }
}
