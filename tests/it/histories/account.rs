//! What the runs of a history delivered and named, and the seven invariants.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use soarhost::sim::LoggedRequest;

use super::service::{Blob, DAY, MINUTE, Ms, Service, Version, ms, name, version};

/// How long the feed keeps content, less the margin of the host.
const RETENTION: Ms = 7 * DAY - 5 * MINUTE;

type Fingerprint = [u8; 8];

/// What a state says about the one content type.
pub struct Checkpoint {
    pub watermark: Ms,
    floor: Ms,
    fingerprints: BTreeSet<Fingerprint>,
    /// The second of each blob.
    retry: BTreeMap<Fingerprint, Ms>,
}

impl Checkpoint {
    /// None before the first run.
    pub fn read(state: &Value) -> Option<Self> {
        let of = &state["resume"]["types"]["Audit.Exchange"];
        let time = |name: &str| of[name].as_str().map(ms);
        let entries = |name: &str, size| {
            let text = of[name].as_str().unwrap_or_default();
            let bytes = URL_SAFE_NO_PAD.decode(text).expect("Base64");
            let entries = bytes.chunks_exact(size).map(|entry| {
                let second = u32::from_be_bytes(entry[..4].try_into().expect("four bytes"));
                let second = chrono::DateTime::from_timestamp(i64::from(second), 0);
                let second = ms(&second.expect("a time").to_rfc3339());
                let known: Fingerprint = entry[4..12].try_into().expect("eight bytes");
                (known, second)
            });
            entries.collect::<BTreeMap<_, _>>()
        };
        Some(Checkpoint {
            watermark: time("watermark")?,
            floor: time("floor")?,
            fingerprints: entries("fingerprints", 12).into_keys().collect(),
            retry: entries("retry", 13),
        })
    }
}

fn fingerprint(n: usize) -> Fingerprint {
    let digest = ring::digest::digest(&ring::digest::SHA256, name(n).as_bytes());
    digest.as_ref()[..8].try_into().expect("eight bytes")
}

/// The circumstances of a run.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    pub t: Ms,
    /// The service's `Date`.
    pub date: Ms,
    /// Nothing but the number of events limits it.
    pub only_limited: bool,
    /// Nothing limits it.
    pub unlimited: bool,
}

#[derive(Default)]
pub struct Account {
    delivered: BTreeMap<Version, usize>,
    named: BTreeSet<usize>,
    spans: Vec<(Ms, Ms)>,
}

impl Account {
    /// Notes what a run delivered and named. Returns how much of it is new.
    pub fn take(&mut self, result: &Value) -> Result<usize, String> {
        let mut new = 0;
        for record in result["raw_data"].as_array().into_iter().flatten() {
            let version = version(record);
            let times = self.delivered.entry(version).or_default();
            *times += 1;
            new += 1;
            if *times > 1 {
                return Err(format!("7: record {version:?} is delivered twice"));
            }
        }
        for gap in result["coverage"]["gaps"].as_array().into_iter().flatten() {
            if gap["lost"] != true {
                continue;
            }
            if let Some(id) = gap["id"].as_str() {
                let digits: String = id[4..].chars().take_while(char::is_ascii_digit).collect();
                new += usize::from(self.named.insert(digits.parse().expect("a number")));
            } else {
                let of = |name: &str| ms(gap[name].as_str().expect("a span"));
                self.spans.push((of("from"), of("to")));
                new += 1;
            }
        }
        Ok(new)
    }

    /// Whether a blob was delivered, or its absence is named.
    pub fn knows(&self, n: usize, blob: &Blob) -> bool {
        let marker = blob.records.last().expect("a record");
        let mut spans = self.spans.iter();
        self.delivered.contains_key(marker)
            || self.named.contains(&n)
            || spans.any(|(from, to)| (*from..*to).contains(&blob.available))
    }

    fn unknown<'a>(
        &'a self,
        service: &'a Service,
        t: Ms,
    ) -> impl Iterator<Item = (usize, &'a Blob)> {
        let blobs = service.blobs.iter().enumerate();
        blobs.filter(move |(n, blob)| blob.is_visible(t) && !self.knows(*n, blob))
    }

    /// Checks the result of a run that began with `before` and delivered or named so much.
    pub fn check(
        &self,
        (before, after): (&Value, &Value),
        (result, new): (&Value, usize),
        (service, conditions): (&Service, Conditions),
    ) -> Result<(), String> {
        let Conditions { t, date, .. } = conditions;
        let old = Checkpoint::read(before);
        let Some(next) = Checkpoint::read(after) else {
            return Ok(());
        };
        for (n, blob) in self.unknown(service, t) {
            let known = fingerprint(n);
            let is_due = blob.available >= next.floor && !next.fingerprints.contains(&known);
            if !is_due && !next.retry.contains_key(&known) {
                return Err(format!("1: blob {n} will never be listed"));
            }
        }
        for blob in &service.blobs {
            let marker = blob.records.last().expect("a record");
            let is_partial = |one| !self.delivered.contains_key(one);
            if self.delivered.contains_key(marker) && blob.records.iter().any(is_partial) {
                return Err(format!("1: a part of {:?} is lost", blob.records));
            }
        }
        if let Some(old) = &old {
            let has_moved = next.watermark > old.watermark || next.retry != old.retry;
            if result["more"] == true && new == 0 && !has_moved && after == before {
                return Err("2: more without progress".to_owned());
            }
            if next.watermark < old.watermark {
                return Err("4: the watermark moved back".to_owned());
            }
        }
        if after.to_string().len() > 64 * 1024 {
            return Err("5: the state is too large".to_owned());
        }
        // A checkpoint ahead of the service's time lists nothing.
        let is_ahead = old.is_some_and(|old| old.watermark > date);
        let due = |(_, blob): &(usize, &Blob)| blob.available < date && !is_ahead;
        let mut downloadable = self
            .unknown(service, t)
            .filter(due)
            .filter(|(_, blob)| blob.is_whole(t) && blob.available >= date - RETENTION);
        if (conditions.unlimited || (conditions.only_limited && new == 0))
            && let Some((n, _)) = downloadable.next()
        {
            return Err(format!("3: blob {n} could be delivered and was not"));
        }
        let mut windows = result["coverage"]["windows"]
            .as_array()
            .into_iter()
            .flatten();
        let is_limited = windows.any(|window| window["limited"] == true);
        // A limit of the caller is no gap.
        if result["coverage"]["complete"] == true && !is_limited {
            if !next.retry.is_empty() {
                return Err("6: complete with a retry queue".to_owned());
            }
            if let Some((n, _)) = self.unknown(service, t).find(due) {
                return Err(format!("6: complete without blob {n}"));
            }
        }
        Ok(())
    }
}

/// Invariant 5: lists from the floor on, and one second for each blob of the retry queue.
pub fn check_listings(before: &Value, date: Ms, seen: &[LoggedRequest]) -> Result<(), String> {
    let Some(checkpoint) = Checkpoint::read(before) else {
        return Ok(());
    };
    let low = checkpoint.floor.max(date - RETENTION) / 1_000 * 1_000;
    let seconds: BTreeSet<Ms> = checkpoint.retry.into_values().collect();
    let mut days = BTreeSet::new();
    for seen in seen.iter().filter(|seen| seen.path.ends_with("/content")) {
        let of = |name: &str| seen.query.iter().find(|(known, _)| known == name);
        let (Some((_, from)), Some((_, to))) = (of("startTime"), of("endTime")) else {
            return Err("5: a listing without bounds".to_owned());
        };
        let utc = |text: &str| ms(&format!("{}Z", text.trim_end_matches('Z')));
        let (from, to) = (utc(from), utc(to));
        let is_retry = seconds.contains(&from) && to == from + 1_000;
        if from < low && !is_retry {
            return Err(format!("5: lists from {from}, which is before {low}"));
        }
        if !is_retry {
            days.insert(from);
        }
    }
    let most = (date - low).max(0) / DAY + 1;
    if i64::try_from(days.len()).expect("small") > most {
        return Err(format!("5: lists {} windows", days.len()));
    }
    Ok(())
}

/// The keys of the events.
pub fn keys(result: &Value) -> BTreeSet<String> {
    let events = result["events"].as_array().into_iter().flatten();
    events.map(|event| event["key"].to_string()).collect()
}
