//! The service of a history: its blobs, and what its listings say at a time.
//!
//! Blobs appear late, are listed twice and out of order, disappear from listings for a while or for
//! good, fail, are missing, and hold records that stand in other blobs, too.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

/// Milliseconds since the history began.
pub type Ms = i64;

pub const MINUTE: Ms = 60_000;
pub const DAY: Ms = 1_440 * MINUTE;

/// How late a blob appears at most. The overlap is ten minutes.
const LATEST: i64 = 9;

/// The generator `SplitMix64`.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        i64::try_from((z ^ (z >> 31)) % n.max(1).unsigned_abs()).expect("small")
    }

    pub fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    pub fn index(&mut self, length: usize) -> usize {
        let length = i64::try_from(length).expect("small");
        usize::try_from(self.below(length)).expect("small")
    }
}

fn start() -> DateTime<Utc> {
    "2026-01-05T00:00:00Z".parse().expect("a time")
}

pub fn text(at: Ms) -> String {
    let time = start() + TimeDelta::milliseconds(at);
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub fn ms(text: &str) -> Ms {
    let time: DateTime<Utc> = text.parse().expect("a time");
    (time - start()).num_milliseconds()
}

/// A record's id and its content.
pub type Version = (usize, usize);

pub struct Blob {
    pub available: Ms,
    /// From when on listings name it.
    visible: Ms,
    /// From when to when no listing names it.
    hidden: (Ms, Ms),
    /// From when on no listing names it any more.
    withdrawn: Ms,
    fails_until: Ms,
    status: u16,
    pub missing: bool,
    /// How often a listing names it.
    listed: usize,
    /// The last one stands in no other blob.
    pub records: Vec<Version>,
}

impl Blob {
    fn new(dice: &mut Dice, span: Ms) -> Self {
        let available = dice.below(span);
        let late = if dice.chance(30) {
            dice.below(LATEST * MINUTE)
        } else {
            0
        };
        let hidden = (dice.chance(10)).then(|| {
            let from = available + dice.below(LATEST * MINUTE);
            (from, available + LATEST * MINUTE)
        });
        let withdrawn = if dice.chance(3) {
            available + dice.pick(&[5, 600, 3_000]) * MINUTE
        } else {
            Ms::MAX
        };
        let failing = if dice.chance(15) {
            dice.pick(&[30, 2_000, 12_000]) * MINUTE
        } else {
            0
        };
        Blob {
            available,
            visible: available + MINUTE + late,
            hidden: hidden.unwrap_or_default(),
            withdrawn,
            fails_until: available + failing,
            status: dice.pick(&[500, 503, 429]),
            missing: dice.chance(4),
            listed: 1 + usize::from(dice.chance(10)),
            records: Vec::new(),
        }
    }

    /// Whether listings can name it at that time.
    pub fn is_visible(&self, t: Ms) -> bool {
        let (from, to) = self.hidden;
        self.visible <= t && !(from <= t && t < to) && t < self.withdrawn
    }

    pub fn is_withdrawn(&self, t: Ms) -> bool {
        self.withdrawn <= t
    }

    /// Whether a download brings its records.
    pub fn is_whole(&self, t: Ms) -> bool {
        self.fails_until <= t && !self.missing
    }
}

pub fn name(n: usize) -> String {
    format!("blob{n}$x$y$na0001")
}

pub struct Service {
    pub blobs: Vec<Blob>,
    page: i64,
    disorder: i64,
}

impl Service {
    pub fn new(dice: &mut Dice) -> Self {
        let span = dice.pick(&[60, 3_000, 9_000]) * MINUTE;
        let mut blobs: Vec<Blob> = (0..dice.pick(&[5, 12, 30]))
            .map(|_| Blob::new(dice, span))
            .collect();
        for n in 0..blobs.len() {
            // The first record of a blob with two stands in another one, too: the same or changed.
            let source = usize::try_from(dice.below(i64::try_from(n).expect("small")));
            let source = source.expect("small");
            if n > 0 && dice.chance(15) && blobs[source].records.len() == 2 {
                let version = dice.pick(&[0, n]);
                let copy = (blobs[source].records[0].0, version);
                let is_copied = |blob: &Blob| blob.records.iter().any(|one| one.0 == copy.0);
                if blobs.iter().filter(|blob| is_copied(blob)).count() == 1 {
                    blobs[n].records.push(copy);
                    blobs[n].records.push((4 * n + 3, 0));
                    continue;
                }
            }
            let own = 1 + usize::from(dice.chance(40));
            blobs[n].records = (0..own).map(|k| (4 * n + k, 0)).collect();
        }
        Service {
            blobs,
            page: dice.pick(&[1, 3, 50]),
            disorder: dice.pick(&[0, 0, 240, 540]),
        }
    }

    /// From when on every blob is listed.
    pub fn is_listed(&self) -> Ms {
        let times = self
            .blobs
            .iter()
            .map(|blob| blob.visible.max(blob.hidden.1));
        times.max().unwrap_or_default()
    }

    /// From when on nothing changes.
    pub fn settles(&self) -> Ms {
        let times = self.blobs.iter().map(|blob| blob.fails_until);
        times.max().unwrap_or_default().max(self.is_listed())
    }

    /// The record. Its event happened up to 50 minutes before its first blob was available.
    fn record(&self, (id, version): &Version) -> Value {
        let minutes = i64::try_from(id * 7 % 50).expect("small");
        let time = text(self.blobs[id / 4].available - minutes * MINUTE);
        let operation = ["New-InboxRule", "FileDownloaded", "UserLoginFailed"][id * 5 / 4 % 3];
        json!({ "Id": format!("00000000-0000-4000-8000-{id:012}"), "RecordType": 1, "Version": version,
                "CreationTime": time.trim_end_matches('Z'), "Operation": operation,
                "Workload": "Exchange", "UserId": format!("user{id}"),
                "ClientIP": format!("192.0.2.{}", id % 2) })
    }

    /// The world at that time, if the service takes `date` for it.
    pub fn world(&self, t: Ms, date: Ms) -> Value {
        let blobs = self.blobs.iter().enumerate();
        let blobs: Vec<Value> = blobs
            .filter(|(_, blob)| blob.is_visible(t))
            .map(|(n, blob)| {
                let records: Vec<Value> = blob.records.iter().map(|one| self.record(one)).collect();
                let expires = blob.available + 7 * DAY + date - t;
                let mut literal = json!({ "type": "Audit.Exchange", "id": name(n),
                    "created": text(blob.available), "expires": text(expires),
                    "listed": blob.listed, "missing": blob.missing, "records": records });
                if blob.fails_until > t {
                    literal["status"] = json!(blob.status);
                }
                literal
            })
            .collect();
        json!({ "now": text(date), "http2": false, "content_page_size": self.page,
                "subscriptions": [{ "content_type": "Audit.Exchange" }],
                "content_disorder_seconds": self.disorder, "content": { "blobs": blobs } })
    }
}

/// What a record that was delivered says.
pub fn version(record: &Value) -> Version {
    let id = record["Id"].as_str().expect("an id");
    let version = record["Version"].as_u64().expect("a number");
    (
        id[24..].parse().expect("a number"),
        usize::try_from(version).expect("small"),
    )
}
