//! The alerts of each tenant, as texts with the few fields by which they are found.
//!
//! Texts are kept, not parsed values: what a world gives literally must reach the wire byte for
//! byte. It deliberately knows no query options.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::sim::clock::Rate;
use crate::sim::data::alerts::{Generator, Setting};
use crate::sim::data::evidence::newer_members;
use crate::sim::graph::filter::{Fields, Literal, Property, moment};
use crate::sim::site::Site;

/// Members that occur in generated alerts and may hold a newer member of these enumerations.
const NEWER: [(&str, &str); 3] = [
    ("serviceSource", "serviceSource"),
    ("detectionSource", "detectionSource"),
    ("remediationStatus", "evidenceRemediationStatus"),
];

/// How many alerts a world has that says nothing about them.
const USUAL: usize = 40;

/// One alert.
#[derive(Clone)]
pub(crate) struct Record {
    text: Arc<str>,
    literal: bool,
    fields: Arc<HashMap<String, String>>,
}

impl Record {
    fn new(text: String, literal: bool) -> Self {
        let wanted = |name: &str| name == "id" || NAMES.contains(&name);
        let fields: HashMap<_, _> = members(&text)
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .filter_map(|(name, value)| Some((name, serde_json::from_str(value.get()).ok()?)))
            .collect();
        Self {
            text: text.into(),
            literal,
            fields: Arc::new(fields),
        }
    }

    /// The same alert with that time of its last update; unchanged where it has none.
    fn updated(&self, at: DateTime<Utc>) -> Self {
        let name = "lastUpdateDateTime";
        let found = members(&self.text);
        let Some((_, old)) = found.iter().rfind(|(known, _)| known == name) else {
            return self.clone();
        };
        let start = old.get().as_ptr() as usize - self.text.as_ptr() as usize;
        let mut text = self.text.to_string();
        let new = format!("\"{}\"", at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        text.replace_range(start..start + old.get().len(), &new);
        Self::new(text, self.literal)
    }

    /// Its text as it is.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Its id, empty when it has none.
    pub(crate) fn id(&self) -> &str {
        self.fields.get("id").map_or("", String::as_str)
    }

    /// One of its moments.
    pub(crate) fn moment(&self, name: &str) -> Option<DateTime<Utc>> {
        moment(self.fields.get(name)?)
    }

    /// What is sent of it: all or the chosen members, newer members of enumerations shown or not.
    pub(crate) fn sent(&self, select: Option<&[String]>, newer: bool) -> Cow<'_, str> {
        let whole = if newer || self.literal {
            Cow::Borrowed(&*self.text)
        } else {
            Cow::Owned(hidden(&self.text))
        };
        match select {
            None => whole,
            Some(names) => Cow::Owned(selected(&whole, names)),
        }
    }
}

/// The members by which alerts are filtered and ordered.
const NAMES: [&str; 8] = [
    "assignedTo",
    "classification",
    "createdDateTime",
    "determination",
    "lastUpdateDateTime",
    "serviceSource",
    "severity",
    "status",
];

impl Fields for Record {
    fn field(&self, property: Property) -> Option<Literal> {
        let text = self.fields.get(property.name())?;
        Some(match property {
            Property::Moment(_) => Literal::Moment(moment(text)?),
            Property::Text(_) | Property::Enum(_) => Literal::Text(text.clone()),
        })
    }
}

/// The text with every newer member of an enumeration written as `unknownFutureValue`.
///
/// A quotation mark inside a value is escaped, so what is looked for can only be a member.
fn hidden(text: &str) -> String {
    let mut text = text.to_owned();
    for (member, enumeration) in NEWER {
        for newer in newer_members(enumeration) {
            let shown = format!("\"{member}\":\"{newer}\"");
            text = text.replace(&shown, &format!("\"{member}\":\"unknownFutureValue\""));
        }
    }
    text
}

fn selected(text: &str, names: &[String]) -> String {
    let chosen: Vec<String> = members(text)
        .into_iter()
        .filter(|(name, _)| names.contains(name))
        .map(|(name, value)| format!("\"{name}\":{}", value.get()))
        .collect();
    format!("{{{}}}", chosen.join(","))
}

/// The members of an object in their order, repeated ones too; none when it is no object.
fn members(text: &str) -> Vec<(String, &RawValue)> {
    serde_json::from_str::<Members<'_>>(text)
        .map(|members| members.0)
        .unwrap_or_default()
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Reader)
    }
}

/// The alerts of every tenant, made when first asked for.
#[derive(Default)]
pub(crate) struct Records {
    tenants: Mutex<HashMap<String, Known>>,
}

/// The alerts of a tenant so far, and what makes more of them.
struct Known {
    records: Arc<Vec<Record>>,
    generator: Generator,
    arrived: usize,
}

impl Records {
    /// The alerts of a tenant.
    pub(crate) fn of(&self, site: &Site, tenant: &str) -> Arc<Vec<Record>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.entry(tenant.to_owned());
        let known = known.or_insert_with(|| make(site, tenant));
        known.grow(site, tenant);
        Arc::clone(&known.records)
    }

    /// The alerts of a tenant as they are at that request for the list.
    pub(crate) fn at(&self, site: &Site, tenant: &str, request: u64) -> Arc<Vec<Record>> {
        let records = self.of(site, tenant);
        let alerts = &site.world.alerts;
        if alerts.updates.iter().all(|update| update.after >= request) {
            return records;
        }
        let current = records.iter().enumerate().map(|(place, record)| {
            let at = alerts.updated(place, request);
            at.map_or_else(|| record.clone(), |at| record.updated(at))
        });
        Arc::new(current.collect())
    }
}

impl Known {
    /// Adds the alerts that have come up since the last call.
    fn grow(&mut self, site: &Site, tenant: &str) {
        if site.world.alerts.literal.is_some() {
            return;
        }
        let rate = Rate::of(site.world.alerts.per_hour);
        // Written times have a fraction of a second more.
        let passed = site.now() - site.begin - TimeDelta::seconds(1);
        for number in self.arrived..rate.arrived_before(passed) {
            let at = site.begin + rate.arrival(number);
            let text = self.generator.next(setting(site, tenant), Some(at));
            Arc::make_mut(&mut self.records).push(Record::new(text, false));
            self.arrived = number + 1;
        }
    }
}

fn setting<'a>(site: &Site, tenant: &'a str) -> Setting<'a> {
    Setting {
        seed: site.world.seed,
        begin: site.begin,
        tenant,
    }
}

/// The alerts with which a tenant begins.
fn make(site: &Site, tenant: &str) -> Known {
    let alerts = &site.world.alerts;
    let mut generator = Generator::new();
    let records = match &alerts.literal {
        Some(literal) => {
            let texts = literal.iter().map(|raw| raw.get().to_owned());
            texts.map(|text| Record::new(text, true)).collect()
        }
        None => (0..alerts.count.unwrap_or(USUAL))
            .map(|_| Record::new(generator.next(setting(site, tenant), None), false))
            .collect(),
    };
    Known {
        records: Arc::new(records),
        generator,
        arrived: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_members_are_hidden_unless_asked_for() {
        let text = r#"{"serviceSource":"microsoftSentinel","title":"\"serviceSource\":\"microsoftSentinel\"","evidence":[{"remediationStatus":"active"}]}"#;
        let record = Record::new(text.to_owned(), false);
        assert_eq!(record.sent(None, true), text);
        let sent = record.sent(None, false).into_owned();
        assert!(sent.starts_with(r#"{"serviceSource":"unknownFutureValue","title":"\"ser"#));
        assert!(sent.contains(r#"\":\"microsoftSentinel\""#), "{sent}");
        assert!(
            sent.ends_with(r#"[{"remediationStatus":"unknownFutureValue"}]}"#),
            "{sent}"
        );
    }

    #[test]
    fn updated_alert_differs_in_its_time_alone() {
        let text = r#"{"id":"a", "lastUpdateDateTime" : "2026-01-14T10:00:00Z","n":1.50}"#;
        let record = Record::new(text.to_owned(), true);
        let later = record.updated("2026-01-14T11:00:00.5Z".parse().unwrap());
        let wanted = text.replace("10:00:00", "11:00:00.500");
        assert_eq!(later.sent(None, true), wanted);
        assert_eq!(
            record
                .updated(record.moment("lastUpdateDateTime").unwrap())
                .sent(None, true),
            text
        );
    }

    #[test]
    fn literal_alerts_pass_untouched_and_repeated_members_are_selected_twice() {
        let text = r#"{ "id":"a", "severity":"low","severity" : "high", "n":1.0e2 }"#;
        let record = Record::new(text.to_owned(), true);
        assert_eq!(record.sent(None, false), text);
        let select = ["severity".to_owned()];
        let both = r#"{"severity":"low","severity":"high"}"#;
        assert_eq!(record.sent(Some(&select), false), both);
        assert_eq!(record.fields["severity"], "high");
    }
}
