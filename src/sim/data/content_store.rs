//! All blobs of a world in the order in which they became available, each with its id and its
//! fate.
//!
//! A blob is a few numbers here: what stands in it is made when it is fetched. Blobs that arrive
//! while the clock runs are computed from their number, and not stored. Nothing in this file knows
//! tenants, subscriptions or answers.

use chrono::{DateTime, DurationRound as _, NaiveDateTime, TimeDelta, Utc};

use crate::sim::clock::Rate;
use crate::sim::ids::Ids;
use crate::sim::world::content::{Content, GeneratedContent, LiteralBlob};

/// A moment as ids write it: seventeen digits, down to the millisecond.
const STAMP: &str = "%Y%m%d%H%M%S%3f";

/// How long a blob can be had.
const LIFETIME: TimeDelta = TimeDelta::days(7);

/// From here on the four last digits of a made-up id count literal blobs.
const LITERAL: usize = 5000;

/// One blob.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    /// When it became available.
    pub(crate) created: DateTime<Utc>,
    /// Until when it can be had.
    pub(crate) expires: DateTime<Utc>,
    /// What fetching it brings, until it expires.
    fate: Fate,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

/// What fetching a blob brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its records.
    Whole,
    /// AF20051.
    Expired,
    /// AF20050.
    Missing,
}

/// Where a blob comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A blob of an entry of generated content.
    Generated {
        /// The number of the entry, from 0.
        entry: usize,
        /// The number of the blob in it, from 0; those that arrive later come after all others.
        number: usize,
    },
    /// A literal blob, by its number from 0.
    Literal(usize),
}

/// All blobs of a world.
pub(crate) struct Shelf {
    content: Content,
    begin: DateTime<Utc>,
    /// The blobs that the world has from the start.
    blobs: Vec<Blob>,
}

impl Blob {
    /// What fetching it brings at a moment.
    pub(crate) fn fate_at(&self, now: DateTime<Utc>) -> Fate {
        match self.fate {
            Fate::Whole if self.expires <= now => Fate::Expired,
            fate => fate,
        }
    }
}

impl Shelf {
    /// Lays out the content of a world that begins at a moment.
    pub(crate) fn new(content: Content, ids: &Ids, begin: DateTime<Utc>) -> Self {
        let mut blobs = vec![];
        for (at, entry) in content.generated.iter().enumerate() {
            let start = ids.digest(&["lost blobs", &at.to_string()]);
            let start = start
                .as_ref()
                .iter()
                .take(4)
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            blobs.extend((0..entry.blobs).map(|number| made(entry, (at, number), start, begin)));
        }
        let literal = content.blobs.iter().enumerate();
        blobs.extend(literal.map(|(at, blob)| written(blob, at, begin)));
        blobs.sort_by_key(|blob| blob.created);
        Self {
            content,
            begin: whole(begin),
            blobs,
        }
    }

    /// The blobs of a content type that became available from a moment up to, not including,
    /// another, each as often as it is listed.
    pub(crate) fn between<'a>(
        &'a self,
        content_type: &'a str,
        bounds: (DateTime<Utc>, DateTime<Utc>),
    ) -> impl Iterator<Item = Blob> {
        self.all_between(bounds)
            .filter(move |blob| self.content_type(blob) == content_type)
            .flat_map(|blob| {
                let times = self.listed(&blob);
                std::iter::repeat_n(blob, times)
            })
    }

    /// All blobs that became available in a span of time, in that order.
    fn all_between(
        &self,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
    ) -> impl Iterator<Item = Blob> {
        let at = |moment: DateTime<Utc>| self.blobs.partition_point(|blob| blob.created < moment);
        let (from, to) = (at(start), at(end).max(at(start)));
        let turn = at(self.begin).clamp(from, to);
        let mut later = self.blobs[turn..to].to_vec();
        later.extend(self.arrived(start, end));
        later.sort_by_key(|blob| blob.created);
        self.blobs[from..turn].iter().cloned().chain(later)
    }

    /// The blobs that arrived in a span of time.
    fn arrived(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> impl Iterator<Item = Blob> {
        let entries = self.content.generated.iter().enumerate();
        entries.flat_map(move |(at, entry)| {
            let rate = Rate::of(entry.per_hour);
            let [from, to] = [start, end].map(|bound| rate.arrived_before(bound - self.begin));
            (from..to).map(move |ordinal| {
                let number = entry.blobs + ordinal;
                let created = created(entry, number, self.begin);
                Blob {
                    created,
                    expires: created + LIFETIME,
                    fate: Fate::Whole,
                    origin: Origin::Generated { entry: at, number },
                }
            })
        })
    }

    /// The blob with an id, if it is available at a moment.
    pub(crate) fn find(&self, id: &str, now: DateTime<Utc>) -> Option<Blob> {
        let named = |blob: &LiteralBlob| blob.id.as_deref() == Some(id);
        if let Some(at) = self.content.blobs.iter().position(named) {
            return self
                .blobs
                .iter()
                .find(|blob| blob.origin == Origin::Literal(at))
                .cloned();
        }
        let digits = id.split('$').nth(1)?.get(..17)?;
        let created = NaiveDateTime::parse_from_str(digits, STAMP).ok()?.and_utc();
        self.all_between((created, created + TimeDelta::milliseconds(1)))
            .find(|blob| blob.created <= now && self.id(blob) == id)
    }

    /// The content type of a blob.
    pub(crate) fn content_type(&self, blob: &Blob) -> &str {
        match blob.origin {
            Origin::Generated { entry, .. } => &self.content.generated[entry].content_type,
            Origin::Literal(at) => &self.content.blobs[at].content_type,
        }
    }

    /// The id of a blob: a literal one, or `<t1>$<t2>$audit_exchange$Audit_Exchange$na0017`.
    pub(crate) fn id(&self, blob: &Blob) -> String {
        let number = match blob.origin {
            Origin::Generated { entry, .. } => entry,
            Origin::Literal(at) => match &self.content.blobs[at].id {
                Some(id) => return id.clone(),
                None => LITERAL + at,
            },
        };
        let name = self.content_type(blob).replace('.', "_");
        let begun = stamp(blob.created - TimeDelta::minutes(1));
        let ready = stamp(blob.created);
        let lower = name.to_ascii_lowercase();
        format!("{begun}{number:04}${ready}{number:04}${lower}${name}$na0017")
    }

    /// The generated entry that a blob belongs to, with the blob's number in it; or the literal.
    pub(crate) fn source(&self, blob: &Blob) -> Source<'_> {
        match blob.origin {
            Origin::Generated { entry, number } => Source::Generated {
                entry: &self.content.generated[entry],
                at: entry,
                number,
            },
            Origin::Literal(at) => Source::Literal(&self.content.blobs[at]),
        }
    }

    fn listed(&self, blob: &Blob) -> usize {
        match blob.origin {
            Origin::Generated { .. } => 1,
            Origin::Literal(at) => self.content.blobs[at].listed,
        }
    }
}

/// What a world says of a blob.
pub(crate) enum Source<'a> {
    /// It is one of many.
    Generated {
        /// The entry.
        entry: &'a GeneratedContent,
        /// The number of the entry, from 0.
        at: usize,
        /// The number of the blob, from 0.
        number: usize,
    },
    /// It is written out.
    Literal(&'a LiteralBlob),
}

/// When the blob with a number becomes available: `hours * (number + 1) / (blobs + 1)` after the
/// beginning of the entry's hours, which end at the start; from number `blobs` on, after the start,
/// at the entry's rate.
pub(crate) fn created(
    entry: &GeneratedContent,
    number: usize,
    begin: DateTime<Utc>,
) -> DateTime<Utc> {
    let begin = whole(begin);
    if let Some(ordinal) = number.checked_sub(entry.blobs) {
        return begin + Rate::of(entry.per_hour).arrival(ordinal);
    }
    let span = i64::from(entry.hours) * 3_600_000;
    let part = i64::try_from(number + 1).unwrap_or(i64::MAX);
    let parts = i64::try_from(entry.blobs + 1).unwrap_or(i64::MAX);
    begin - TimeDelta::milliseconds(span) + TimeDelta::milliseconds(span * part / parts)
}

fn made(
    entry: &GeneratedContent,
    (at, number): (usize, usize),
    start: usize,
    begin: DateTime<Utc>,
) -> Blob {
    let created = created(entry, number, begin);
    Blob {
        created,
        expires: created + LIFETIME,
        fate: fate(entry, number, start),
        origin: Origin::Generated { entry: at, number },
    }
}

/// The lost blobs lie evenly from a start that follows from the seed: the k-th of them is number
/// `(start + k * blobs / lost) % blobs`; expired ones come first, then missing ones.
fn fate(entry: &GeneratedContent, number: usize, start: usize) -> Fate {
    let (all, lost) = (entry.blobs, entry.expired + entry.missing);
    let distance = (number + all - start % all) % all;
    let k = (distance * lost).div_ceil(all);
    if k >= lost || k * all / lost != distance {
        Fate::Whole
    } else if k < entry.expired {
        Fate::Expired
    } else {
        Fate::Missing
    }
}

fn written(blob: &LiteralBlob, at: usize, begin: DateTime<Utc>) -> Blob {
    let created = blob.created.unwrap_or(begin - TimeDelta::hours(1));
    let expires = blob.expires.unwrap_or(created + LIFETIME);
    let fate = match (blob.expired, blob.missing) {
        (_, true) => Fate::Missing,
        (true, false) => Fate::Expired,
        (false, false) => Fate::Whole,
    };
    Blob {
        created,
        expires,
        fate,
        origin: Origin::Literal(at),
    }
}

/// A moment in whole milliseconds, as ids write it.
fn whole(moment: DateTime<Utc>) -> DateTime<Utc> {
    let whole = moment.duration_trunc(TimeDelta::milliseconds(1));
    whole.unwrap_or(moment)
}

fn stamp(moment: DateTime<Utc>) -> String {
    moment.format(STAMP).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn shelf(text: &str) -> (Shelf, DateTime<Utc>) {
        let now = "2026-01-14T12:00:00.000700Z".parse().unwrap();
        let content: Content = serde_json::from_str(text).unwrap();
        (Shelf::new(content, &Ids::new(1), now), now)
    }

    fn day(shelf: &Shelf, now: DateTime<Utc>) -> Vec<Blob> {
        let start = now - TimeDelta::days(1);
        shelf.between("Audit.Exchange", (start, now)).collect()
    }

    #[test]
    fn generated_blobs_lie_inside_their_hours_and_are_found_by_their_ids() {
        let (shelf, now) = shelf(
            r#"{"generated":[{"type":"Audit.Exchange","blobs":1000},
                {"type":"Audit.Exchange","blobs":1000},{"type":"DLP.All","blobs":7}]}"#,
        );
        let blobs = day(&shelf, now);
        assert_eq!(blobs.len(), 2000);
        let ids: HashSet<String> = blobs.iter().map(|blob| shelf.id(blob)).collect();
        assert_eq!(ids.len(), 2000);
        for blob in &blobs {
            assert_eq!(
                shelf.find(&shelf.id(blob), now).unwrap().origin,
                blob.origin
            );
        }
        let last = now - TimeDelta::milliseconds(1);
        let most = blobs.iter().all(|blob| blob.created < last);
        assert!(most && blobs.is_sorted_by_key(|blob| blob.created));
        assert!(shelf.find("20260114$20260114", now).is_none() && shelf.find("", now).is_none());
    }

    #[test]
    fn an_id_has_the_modern_shape() {
        let (shelf, now) =
            shelf(r#"{"blobs":[{"type":"Audit.Exchange","created":"2026-01-14T09:31:12.345Z"}]}"#);
        assert_eq!(
            shelf.id(&day(&shelf, now)[0]),
            "202601140930123455000$202601140931123455000$audit_exchange$Audit_Exchange$na0017"
        );
    }

    #[test]
    fn so_many_are_lost_as_the_entry_says() {
        for (blobs, expired, missing) in [(1000, 3, 2), (5, 5, 0), (7, 2, 5), (1, 0, 1), (9, 0, 0)]
        {
            let (shelf, now) = shelf(&format!(
                r#"{{"generated":[{{"type":"Audit.Exchange","blobs":{blobs},
                    "expired":{expired},"missing":{missing}}}]}}"#
            ));
            let all = day(&shelf, now);
            let count = |fate| all.iter().filter(|blob| blob.fate == fate).count();
            assert_eq!(
                (count(Fate::Expired), count(Fate::Missing)),
                (expired, missing)
            );
        }
    }

    #[test]
    fn literal_blobs_follow_their_own_words() {
        let (shelf, now) = shelf(
            r#"{"blobs":[{"type":"Audit.Exchange","listed":2,"id":"odd"},
                {"type":"Audit.Exchange","listed":0,"expires":"2026-01-14T11:00:00Z"},
                {"type":"Audit.Exchange","missing":true}]}"#,
        );
        let blobs = day(&shelf, now);
        let fates: Vec<Fate> = blobs.iter().map(|blob| blob.fate_at(now)).collect();
        assert_eq!(fates, [Fate::Whole, Fate::Whole, Fate::Missing]);
        let found = shelf.find("odd", now).unwrap();
        assert_eq!(found.created, now - TimeDelta::hours(1));
        assert_eq!(found.expires, found.created + LIFETIME);
    }

    #[test]
    fn blobs_arrive_after_the_start_and_expire_seven_days_later() {
        let (shelf, begin) = shelf(
            r#"{"generated":[{"type":"Audit.Exchange","blobs":2,"expired":1,"per_hour":120},
                    {"type":"Audit.Exchange","blobs":0,"per_hour":60},
                    {"type":"Audit.Exchange","blobs":1,"per_hour":0}],
                "blobs":[{"type":"Audit.Exchange","created":"2026-01-14T12:00:45Z"}]}"#,
        );
        let begin = whole(begin);
        let minute = begin + TimeDelta::seconds(60);
        let listed = |to| shelf.between("Audit.Exchange", (begin, to));
        let passed: Vec<i64> = listed(minute + TimeDelta::milliseconds(1))
            .map(|blob| (blob.created - begin).num_seconds())
            .collect();
        assert_eq!(passed, [30, 45, 60, 60]);
        let last = listed(minute).next().unwrap();
        let id = shelf.id(&last);
        assert!(shelf.find(&id, begin).is_none(), "it is not available yet");
        assert_eq!(shelf.find(&id, minute).unwrap().origin, last.origin);
        assert_eq!(last.fate_at(minute), Fate::Whole);
        assert_eq!(last.fate_at(minute + LIFETIME), Fate::Expired);
    }
}
