//! The blobs of a world in the order in which they become available. Their records are generated at
//! download. Blobs that arrive while the clock runs are computed from their number and not stored.

use chrono::{DateTime, DurationRound as _, NaiveDateTime, TimeDelta, Utc};

use crate::sim::clock::Rate;
use crate::sim::ids::Ids;
use crate::sim::world::content::{Content, GeneratedContent, LiteralBlob};

/// A time in content ids: 17 digits, in milliseconds.
const ID_TIME: &str = "%Y%m%d%H%M%S%3f";

/// The lifetime of a blob.
const LIFETIME: TimeDelta = TimeDelta::days(7);

/// The first number of literal blobs; the last four digits of a generated id are a number.
const FIRST_LITERAL: usize = 5000;

#[derive(Debug, Clone)]
pub(crate) struct Blob {
    /// When it becomes available.
    pub(crate) created: DateTime<Utc>,
    pub(crate) expires: DateTime<Utc>,
    /// Its availability until it expires.
    availability: Availability,
    pub(crate) origin: Origin,
}

/// What a download returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    Available,
    /// AF20051.
    Expired,
    /// AF20050.
    Missing,
}

/// The origin of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A blob of an entry of generated content.
    Generated {
        /// The number of the entry, from 0.
        entry: usize,
        /// The number of the blob in its entry, from 0. Blobs that arrive later have the highest
        /// numbers.
        number: usize,
    },
    /// A literal blob, by its number from 0.
    Literal(usize),
}

pub(crate) struct ContentStore {
    content: Content,
    begin: DateTime<Utc>,
    /// The blobs at the start.
    blobs: Vec<Blob>,
}

impl Blob {
    pub(crate) fn availability_at(&self, now: DateTime<Utc>) -> Availability {
        match self.availability {
            Availability::Available if self.expires <= now => Availability::Expired,
            availability => availability,
        }
    }
}

impl ContentStore {
    /// The blobs of a world that starts at a time.
    pub(crate) fn new(content: Content, ids: &Ids, begin: DateTime<Utc>) -> Self {
        let mut blobs = vec![];
        for (at, entry) in content.generated.iter().enumerate() {
            let start = ids.digest(&["lost blobs", &at.to_string()]);
            let start = start
                .as_ref()
                .iter()
                .take(4)
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            blobs.extend(
                (0..entry.blobs).map(|number| generated(entry, (at, number), start, begin)),
            );
        }
        let literals = content.blobs.iter().enumerate();
        blobs.extend(literals.map(|(at, blob)| literal(blob, at, begin)));
        blobs.sort_by_key(|blob| blob.created);
        Self {
            content,
            begin: whole(begin),
            blobs,
        }
    }

    /// The blobs of a content type that become available from a time up to, not including, another.
    /// Each is repeated as often as it is listed.
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

    /// All blobs that become available in a time range, in order.
    pub(crate) fn all_between(
        &self,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
    ) -> impl Iterator<Item = Blob> {
        let at = |time: DateTime<Utc>| self.blobs.partition_point(|blob| blob.created < time);
        let (from, to) = (at(start), at(end).max(at(start)));
        let started = at(self.begin).clamp(from, to);
        let mut later = self.blobs[started..to].to_vec();
        later.extend(self.arrived(start, end));
        later.sort_by_key(|blob| blob.created);
        self.blobs[from..started].iter().cloned().chain(later)
    }

    /// The blobs that arrive in a time range.
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
                    availability: Availability::Available,
                    origin: Origin::Generated { entry: at, number },
                }
            })
        })
    }

    /// The blob with an id, if it is available.
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
        let created = NaiveDateTime::parse_from_str(digits, ID_TIME)
            .ok()?
            .and_utc();
        self.all_between((created, created + TimeDelta::milliseconds(1)))
            .find(|blob| blob.created <= now && self.id(blob) == id)
    }

    pub(crate) fn content_type(&self, blob: &Blob) -> &str {
        match blob.origin {
            Origin::Generated { entry, .. } => &self.content.generated[entry].content_type,
            Origin::Literal(at) => &self.content.blobs[at].content_type,
        }
    }

    /// The id of a blob: its literal id, or `<t1>$<t2>$audit_exchange$Audit_Exchange$na0017`.
    pub(crate) fn id(&self, blob: &Blob) -> String {
        let number = match blob.origin {
            Origin::Generated { entry, .. } => entry,
            Origin::Literal(at) => match &self.content.blobs[at].id {
                Some(id) => return id.clone(),
                None => FIRST_LITERAL + at,
            },
        };
        let name = self.content_type(blob).replace('.', "_");
        let begun = id_time(blob.created - TimeDelta::minutes(1));
        let ready = id_time(blob.created);
        let lower = name.to_ascii_lowercase();
        format!("{begun}{number:04}${ready}{number:04}${lower}${name}$na0017")
    }

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

/// The source of a blob.
pub(crate) enum Source<'a> {
    Generated {
        entry: &'a GeneratedContent,
        /// The number of the entry, from 0.
        at: usize,
        /// The number of the blob, from 0.
        number: usize,
    },
    Literal(&'a LiteralBlob),
}

/// When the blob with a number becomes available: `hours * (number + 1) / (blobs + 1)` after the
/// start of the entry's hours, which end at the start of the simulator. From number `blobs` on:
/// after the start, at the entry's rate.
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

fn generated(
    entry: &GeneratedContent,
    (at, number): (usize, usize),
    start: usize,
    begin: DateTime<Utc>,
) -> Blob {
    let created = created(entry, number, begin);
    Blob {
        created,
        expires: created + LIFETIME,
        availability: availability(entry, number, start),
        origin: Origin::Generated { entry: at, number },
    }
}

/// Expired and missing blobs are distributed evenly: the k-th of them has the number `(start + k *
/// blobs / lost) % blobs`. Expired ones come first.
fn availability(entry: &GeneratedContent, number: usize, start: usize) -> Availability {
    let (all, lost) = (entry.blobs, entry.expired + entry.missing);
    let distance = (number + all - start % all) % all;
    let k = (distance * lost).div_ceil(all);
    if k >= lost || k * all / lost != distance {
        Availability::Available
    } else if k < entry.expired {
        Availability::Expired
    } else {
        Availability::Missing
    }
}

fn literal(blob: &LiteralBlob, at: usize, begin: DateTime<Utc>) -> Blob {
    let created = blob.created.unwrap_or(begin - TimeDelta::hours(1));
    let expires = blob.expires.unwrap_or(created + LIFETIME);
    let availability = match (blob.expired, blob.missing) {
        (_, true) => Availability::Missing,
        (true, false) => Availability::Expired,
        (false, false) => Availability::Available,
    };
    Blob {
        created,
        expires,
        availability,
        origin: Origin::Literal(at),
    }
}

/// A time in whole milliseconds.
fn whole(time: DateTime<Utc>) -> DateTime<Utc> {
    let whole = time.duration_trunc(TimeDelta::milliseconds(1));
    whole.unwrap_or(time)
}

fn id_time(time: DateTime<Utc>) -> String {
    time.format(ID_TIME).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn store(text: &str) -> (ContentStore, DateTime<Utc>) {
        let now = "2026-01-14T12:00:00.000700Z".parse().unwrap();
        let content: Content = serde_json::from_str(text).unwrap();
        (ContentStore::new(content, &Ids::new(1), now), now)
    }

    fn day(store: &ContentStore, now: DateTime<Utc>) -> Vec<Blob> {
        let start = now - TimeDelta::days(1);
        store.between("Audit.Exchange", (start, now)).collect()
    }

    #[test]
    fn generated_blobs_are_within_their_hours_and_found_by_id() {
        let (store, now) = store(
            r#"{"generated":[{"type":"Audit.Exchange","blobs":1000},
                {"type":"Audit.Exchange","blobs":1000},{"type":"DLP.All","blobs":7}]}"#,
        );
        let blobs = day(&store, now);
        assert_eq!(blobs.len(), 2000);
        let ids: HashSet<String> = blobs.iter().map(|blob| store.id(blob)).collect();
        assert_eq!(ids.len(), 2000);
        for blob in &blobs {
            assert_eq!(
                store.find(&store.id(blob), now).unwrap().origin,
                blob.origin
            );
        }
        let last = now - TimeDelta::milliseconds(1);
        let most = blobs.iter().all(|blob| blob.created < last);
        assert!(most && blobs.is_sorted_by_key(|blob| blob.created));
        assert!(store.find("20260114$20260114", now).is_none() && store.find("", now).is_none());
    }

    #[test]
    fn id_has_the_current_format() {
        let (store, now) =
            store(r#"{"blobs":[{"type":"Audit.Exchange","created":"2026-01-14T09:31:12.345Z"}]}"#);
        assert_eq!(
            store.id(&day(&store, now)[0]),
            "202601140930123455000$202601140931123455000$audit_exchange$Audit_Exchange$na0017"
        );
    }

    #[test]
    fn expired_and_missing_blobs_are_as_many_as_configured() {
        for (blobs, expired, missing) in [(1000, 3, 2), (5, 5, 0), (7, 2, 5), (1, 0, 1), (9, 0, 0)]
        {
            let (store, now) = store(&format!(
                r#"{{"generated":[{{"type":"Audit.Exchange","blobs":{blobs},
                    "expired":{expired},"missing":{missing}}}]}}"#
            ));
            let all = day(&store, now);
            let count = |availability| {
                all.iter()
                    .filter(|blob| blob.availability == availability)
                    .count()
            };
            assert_eq!(
                (count(Availability::Expired), count(Availability::Missing)),
                (expired, missing)
            );
        }
    }

    #[test]
    fn literal_blob_has_its_own_times_and_id() {
        let (store, now) = store(
            r#"{"blobs":[{"type":"Audit.Exchange","listed":2,"id":"odd"},
                {"type":"Audit.Exchange","listed":0,"expires":"2026-01-14T11:00:00Z"},
                {"type":"Audit.Exchange","missing":true}]}"#,
        );
        let blobs = day(&store, now);
        let fates: Vec<Availability> = blobs.iter().map(|blob| blob.availability_at(now)).collect();
        assert_eq!(
            fates,
            [
                Availability::Available,
                Availability::Available,
                Availability::Missing
            ]
        );
        let found = store.find("odd", now).unwrap();
        assert_eq!(found.created, now - TimeDelta::hours(1));
        assert_eq!(found.expires, found.created + LIFETIME);
    }

    #[test]
    fn blobs_arrive_after_the_start_and_expire_seven_days_later() {
        let (store, begin) = store(
            r#"{"generated":[{"type":"Audit.Exchange","blobs":2,"expired":1,"per_hour":120},
                    {"type":"Audit.Exchange","blobs":0,"per_hour":60},
                    {"type":"Audit.Exchange","blobs":1,"per_hour":0}],
                "blobs":[{"type":"Audit.Exchange","created":"2026-01-14T12:00:45Z"}]}"#,
        );
        let begin = whole(begin);
        let minute = begin + TimeDelta::seconds(60);
        let listed = |to| store.between("Audit.Exchange", (begin, to));
        let passed: Vec<i64> = listed(minute + TimeDelta::milliseconds(1))
            .map(|blob| (blob.created - begin).num_seconds())
            .collect();
        assert_eq!(passed, [30, 45, 60, 60]);
        let last = listed(minute).next().unwrap();
        let id = store.id(&last);
        assert!(store.find(&id, begin).is_none(), "it is not available yet");
        assert_eq!(store.find(&id, minute).unwrap().origin, last.origin);
        assert_eq!(last.availability_at(minute), Availability::Available);
        assert_eq!(
            last.availability_at(minute + LIFETIME),
            Availability::Expired
        );
    }
}
