//! The records and blobs of a story, from the people and templates of `story.json`.
//!
//! The values of a template are between `%`: `id`, `time`, `tenant`, `domain`, those of a person
//! (`user`, `local`, `ip`, `oid`, `puid`), `count` (the number of the record in its step), and
//! random ones: `title` and `n` (the same in a whole record), `guid`, `digits`, `one|two`.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sim::data::audit::RecordContext;
use crate::sim::data::random::Random;
use crate::sim::world::content::{CONTENT_TYPES, LiteralBlob};
use crate::sim::world::story::{Attack, Story};

/// The least records of a blob.
const BLOB_RECORDS: usize = 20;

/// The most blobs of a content type.
const MOST_BLOBS: usize = 900;

#[derive(Deserialize)]
struct Data {
    people: Vec<Person>,
    titles: Vec<String>,
    normal: Vec<Normal>,
    attacks: Vec<Step>,
}

#[derive(Deserialize)]
struct Person {
    name: String,
    ip: String,
    id: String,
    puid: String,
}

/// A template of normal traffic between two hours of the day.
#[derive(Deserialize)]
struct Normal {
    weight: u64,
    #[serde(rename = "type")]
    content_type: String,
    from: i64,
    to: i64,
    record: Box<RawValue>,
}

/// A step of an attack.
#[derive(Deserialize)]
struct Step {
    attack: Attack,
    minute: i64,
    count: usize,
    every_seconds: i64,
    /// Whose account is used; without it, each account in turn.
    person: Option<String>,
    #[serde(rename = "type")]
    content_type: String,
    record: Box<RawValue>,
}

/// A record that is not written yet.
struct Event<'a> {
    content_type: &'a str,
    time: DateTime<Utc>,
    person: &'a Person,
    count: usize,
    template: &'a str,
    random: Random,
}

/// The blobs of a story.
pub(crate) fn blobs(story: &Story, of: &RecordContext<'_>) -> Vec<LiteralBlob> {
    // A test parses the file.
    let Ok(data) = serde_json::from_str::<Data>(include_str!("story.json")) else {
        return vec![];
    };
    let day = story
        .day
        .unwrap_or((of.begin - TimeDelta::days(1)).date_naive());
    let midnight = day.and_time(NaiveTime::MIN).and_utc();
    let mut seed = [0; 32];
    seed.copy_from_slice(of.ids.digest(&["story", &day.to_string()]).as_ref());
    let normal = (0..story.records).filter_map(|at| normal(&data, midnight, seed, at));
    let mut events: Vec<Event<'_>> = normal.collect();
    for (number, step) in data.attacks.iter().enumerate() {
        if story.attacks.contains(&step.attack) {
            let stream = |at: usize| Random::of_hash(seed, !((number * 1000 + at) as u64));
            events.extend((0..step.count).filter_map(|at| {
                attack(&data, step, at).map(|(time, person)| Event {
                    content_type: &step.content_type,
                    time: midnight + time,
                    person,
                    count: at + 1,
                    template: step.record.get(),
                    random: stream(at),
                })
            }));
        }
    }
    events.sort_by_key(|event| event.time);
    let mut all = vec![];
    for content_type in CONTENT_TYPES {
        let (own, rest) = events
            .into_iter()
            .partition(|one| one.content_type == content_type);
        events = rest;
        all.extend(blobs_of(content_type, own, &data, of));
    }
    all
}

fn normal(data: &Data, midnight: DateTime<Utc>, seed: [u8; 32], at: usize) -> Option<Event<'_>> {
    let mut random = Random::of_hash(seed, at as u64);
    let all = data.normal.iter().map(|one| one.weight).sum();
    let mut left = random.below(all);
    let chosen = data
        .normal
        .iter()
        .find(|one| match left.checked_sub(one.weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })?;
    let span = (chosen.to - chosen.from) * 3600;
    let seconds = random.below(span.unsigned_abs()).cast_signed();
    Some(Event {
        content_type: &chosen.content_type,
        time: midnight + TimeDelta::hours(chosen.from) + TimeDelta::seconds(seconds),
        person: random.pick(&data.people),
        count: at,
        template: chosen.record.get(),
        random,
    })
}

/// Time after midnight and account of a record of an attack.
fn attack<'a>(data: &'a Data, step: &Step, at: usize) -> Option<(TimeDelta, &'a Person)> {
    let person = match &step.person {
        Some(name) => data.people.iter().find(|person| person.name == *name),
        None => data.people.get(at % data.people.len()),
    };
    let seconds = step.minute * 60 + step.every_seconds * i64::try_from(at).unwrap_or(0);
    Some((TimeDelta::seconds(seconds), person?))
}

/// The blobs of a content type. They become available 5 to 35 minutes after their last record, and
/// every second one is in reverse order.
fn blobs_of(
    content_type: &str,
    mut events: Vec<Event<'_>>,
    data: &Data,
    of: &RecordContext<'_>,
) -> Vec<LiteralBlob> {
    let size = BLOB_RECORDS.max(events.len() / MOST_BLOBS + 1);
    let chunks = events.chunks_mut(size).enumerate();
    let blob = |(at, events): (usize, &mut [Event<'_>])| {
        let last = events.last().map_or(of.begin, |event| event.time);
        let texts = events.iter_mut().map(|event| event.text(data, of));
        let mut texts: Vec<String> = texts.collect();
        if at % 2 == 1 {
            texts.reverse();
        }
        // Drawn after the texts, so that they do not depend on the division into blobs.
        let lag = events
            .first_mut()
            .map_or(0, |event| event.random.below(1800).cast_signed());
        let texts = texts.into_iter();
        LiteralBlob {
            content_type: content_type.to_owned(),
            created: Some(last + TimeDelta::seconds(300 + lag)),
            records: texts
                .filter_map(|text| RawValue::from_string(text).ok())
                .collect(),
            id: None,
            expires: None,
            expired: false,
            missing: false,
            uri: None,
            body: None,
            status: None,
            listed: 1,
        }
    };
    chunks.map(blob).collect()
}

impl Event<'_> {
    /// The record as JSON.
    fn text(&mut self, data: &Data, of: &RecordContext<'_>) -> String {
        let random = &mut self.random;
        let id = random.guid();
        let title = random.pick(&data.titles);
        let number = (10 + random.below(90)).to_string();
        let time = self.time.format("%Y-%m-%dT%H:%M:%S").to_string();
        let mut text = String::with_capacity(self.template.len() + 200);
        for (at, part) in self.template.split('%').enumerate() {
            if at % 2 == 0 {
                text.push_str(part);
                continue;
            }
            match part {
                "id" => text.push_str(&id),
                "time" => text.push_str(&time),
                "tenant" => text.push_str(of.tenant),
                "domain" => text.push_str(of.domain),
                "user" => text.extend([self.person.name.as_str(), "@", of.domain]),
                "local" => text.push_str(&self.person.name),
                "ip" => text.push_str(&self.person.ip),
                "oid" => text.push_str(&self.person.id),
                "puid" => text.push_str(&self.person.puid),
                "count" => text.push_str(&self.count.to_string()),
                "title" => text.push_str(title),
                "n" => text.push_str(&number),
                "guid" => text.push_str(&random.guid()),
                "digits" => text.push_str(random.guid().get(24..).unwrap_or_default()),
                choice => {
                    let choices: Vec<&str> = choice.split('|').collect();
                    text.push_str(random.text(&choices));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::sim::context::Context;

    fn texts(story: &str) -> BTreeMap<String, Vec<String>> {
        let world = format!(r#"{{"content":{{"story":{story}}}}}"#);
        let context = Context::sample(&world);
        let story = context.world.content.clone().unwrap().story.unwrap();
        let of = context.record_context("11111111-2222-3333-4444-555555555555", false);
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for blob in blobs(&story, &of) {
            let texts = blob.records.iter().map(|text| text.get().to_owned());
            all.entry(blob.content_type).or_default().extend(texts);
        }
        all
    }

    #[test]
    fn day_has_normal_traffic_and_five_attacks() {
        let (with, without) = (texts("{}"), texts(r#"{"attacks":[]}"#));
        assert_eq!(with, texts("{}"));
        assert_eq!(with.keys().len(), 5);
        let all: Vec<&String> = with.values().flatten().collect();
        let normal: std::collections::HashSet<&String> = without.values().flatten().collect();
        assert_eq!((all.len(), normal.len()), (4226, 4000));
        let attacks: Vec<Value> = all
            .iter()
            .filter(|text| !normal.contains(*text))
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        assert_eq!(attacks.len(), 226);
        let count = |operation: &str| {
            let is_of = |record: &&Value| record["Operation"] == operation;
            attacks.iter().filter(is_of).count()
        };
        let wanted = [
            ("UserLoginFailed", 36),
            ("UserLoggedIn", 3),
            ("New-InboxRule", 2),
            ("Consent to application.", 1),
            ("FileDownloaded", 180),
        ];
        for (operation, wanted) in wanted {
            assert_eq!(count(operation), wanted, "{operation}");
        }
        let names = "CreationTime Id Operation OrganizationId RecordType UserType UserKey Workload \
                     UserId";
        for text in &all {
            let record: Value = serde_json::from_str(text).unwrap();
            for name in names.split_whitespace() {
                assert!(!record[name].is_null(), "{name}: {text}");
            }
            assert!(!text.contains('%'), "{text}");
            assert!(
                record["CreationTime"]
                    .as_str()
                    .unwrap()
                    .starts_with("2026-01-13T")
            );
        }
        let one = texts(r#"{"attacks":["takeover"],"records":10,"day":"2026-01-02"}"#);
        assert_eq!(one.values().flatten().count(), 14);
    }

    #[test]
    fn feed_and_search_have_the_records() {
        let context = Context::sample(r#"{"content":{"story":{"records":100}}}"#);
        let of = context.record_context("11111111-2222-3333-4444-555555555555", false);
        let filter = crate::sim::data::audit_log::AuditFilter {
            end: context.now(),
            ..Default::default()
        };
        let found = context.audit_log.find(&of, context.now(), &filter);
        assert_eq!(found.len(), 326);
        let week = (context.begin - TimeDelta::days(7), context.begin);
        let listed = CONTENT_TYPES
            .iter()
            .map(|name| context.blobs.between(name, week).count());
        assert!(listed.sum::<usize>() >= 14);
    }
}
