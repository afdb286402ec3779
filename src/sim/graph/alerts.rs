//! The alerts of each tenant, as JSON texts with the properties by which they are filtered and
//! ordered. They are not parsed, because literal alerts must be returned byte for byte.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::sim::clock::Rate;
use crate::sim::context::Context;
use crate::sim::data::alerts::{Generator, Setting};
use crate::sim::data::evidence::newer_members;
use crate::sim::graph::filter::{PROPERTIES, parse_time};

/// Members of generated alerts that can have newer members of these enumerations.
const NEWER: [(&str, &str); 3] = [
    ("serviceSource", "serviceSource"),
    ("detectionSource", "detectionSource"),
    ("remediationStatus", "evidenceRemediationStatus"),
];

/// The default number of alerts.
const DEFAULT_COUNT: usize = 40;

#[derive(Clone)]
pub(crate) struct Alert {
    text: Arc<str>,
    literal: bool,
    fields: Arc<HashMap<String, String>>,
}

impl Alert {
    fn new(text: String, literal: bool) -> Self {
        let wanted =
            |name: &str| name == "id" || PROPERTIES.iter().any(|(known, _)| *known == name);
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

    /// The alert with another time of its last update; unchanged if it has none.
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

    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The id and the members by which alerts are filtered and ordered, if they are text.
    pub(crate) fn fields(&self) -> &HashMap<String, String> {
        &self.fields
    }

    /// The id; empty if it has none.
    pub(crate) fn id(&self) -> &str {
        self.fields.get("id").map_or("", String::as_str)
    }

    /// The value of a time property.
    pub(crate) fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        parse_time(self.fields.get(name)?)
    }

    /// The JSON of all or of the selected members, with or without newer members of enumerations.
    pub(crate) fn json(&self, select: Option<&[String]>, newer: bool) -> Cow<'_, str> {
        let whole = if newer || self.literal {
            Cow::Borrowed(&*self.text)
        } else {
            Cow::Owned(without_newer_members(&self.text))
        };
        match select {
            None => whole,
            Some(names) => Cow::Owned(selected(&whole, names)),
        }
    }
}

/// Replaces newer members of enumerations by `unknownFutureValue`. Quotation marks inside values
/// are escaped, so only whole members match.
fn without_newer_members(text: &str) -> String {
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

/// The members of an object in order, with repeated ones; none if it is not an object.
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

/// The alerts of all tenants, generated when they are first requested.
#[derive(Default)]
pub(crate) struct AlertStore {
    tenants: Mutex<HashMap<String, TenantAlerts>>,
}

/// The alerts of a tenant, and the generator of new ones.
struct TenantAlerts {
    records: Arc<Vec<Alert>>,
    generator: Generator,
    arrived: usize,
}

impl AlertStore {
    pub(crate) fn of(&self, context: &Context, tenant: &str) -> Arc<Vec<Alert>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.entry(tenant.to_owned());
        let known = known.or_insert_with(|| make(context, tenant));
        known.grow(context, tenant);
        Arc::clone(&known.records)
    }

    /// The alerts of a tenant at a listing request.
    pub(crate) fn at(&self, context: &Context, tenant: &str, request: u64) -> Arc<Vec<Alert>> {
        let records = self.of(context, tenant);
        let alerts = &context.world.alerts;
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

impl TenantAlerts {
    /// Adds the alerts that have arrived since the last request.
    fn grow(&mut self, context: &Context, tenant: &str) {
        if context.world.alerts.literal.is_some() {
            return;
        }
        let rate = Rate::of(context.world.alerts.per_hour);
        // Written times have an added fraction of a second.
        let passed = context.now() - context.begin - TimeDelta::seconds(1);
        for number in self.arrived..rate.arrived_before(passed) {
            let at = context.begin + rate.arrival(number);
            let text = self.generator.next(setting(context, tenant), Some(at));
            Arc::make_mut(&mut self.records).push(Alert::new(text, false));
            self.arrived = number + 1;
        }
    }
}

fn setting<'a>(context: &Context, tenant: &'a str) -> Setting<'a> {
    Setting {
        seed: context.world.seed,
        begin: context.begin,
        tenant,
    }
}

/// The alerts of a tenant at the start.
fn make(context: &Context, tenant: &str) -> TenantAlerts {
    let alerts = &context.world.alerts;
    let mut generator = Generator::new();
    let records = match &alerts.literal {
        Some(literal) => {
            let texts = literal.iter().map(|raw| raw.get().to_owned());
            texts.map(|text| Alert::new(text, true)).collect()
        }
        None => (0..alerts.count.unwrap_or(DEFAULT_COUNT))
            .map(|_| Alert::new(generator.next(setting(context, tenant), None), false))
            .collect(),
    };
    TenantAlerts {
        records: Arc::new(records),
        generator,
        arrived: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_members_are_hidden_by_default() {
        let text = r#"{"serviceSource":"microsoftSentinel","title":"\"serviceSource\":\"microsoftSentinel\"","evidence":[{"remediationStatus":"active"}]}"#;
        let record = Alert::new(text.to_owned(), false);
        assert_eq!(record.json(None, true), text);
        let json = record.json(None, false).into_owned();
        assert!(json.starts_with(r#"{"serviceSource":"unknownFutureValue","title":"\"ser"#));
        assert!(json.contains(r#"\":\"microsoftSentinel\""#), "{json}");
        assert!(
            json.ends_with(r#"[{"remediationStatus":"unknownFutureValue"}]}"#),
            "{json}"
        );
    }

    #[test]
    fn updated_alert_differs_in_its_time_only() {
        let text = r#"{"id":"a", "lastUpdateDateTime" : "2026-01-14T10:00:00Z","n":1.50}"#;
        let record = Alert::new(text.to_owned(), true);
        let later = record.updated("2026-01-14T11:00:00.5Z".parse().unwrap());
        let wanted = text.replace("10:00:00", "11:00:00.500");
        assert_eq!(later.json(None, true), wanted);
        assert_eq!(
            record
                .updated(record.time("lastUpdateDateTime").unwrap())
                .json(None, true),
            text
        );
    }

    #[test]
    fn literal_alert_is_unchanged_and_repeated_members_are_all_selected() {
        let text = r#"{ "id":"a", "severity":"low","severity" : "high", "n":1.0e2 }"#;
        let record = Alert::new(text.to_owned(), true);
        assert_eq!(record.json(None, false), text);
        let select = ["severity".to_owned()];
        let both = r#"{"severity":"low","severity":"high"}"#;
        assert_eq!(record.json(Some(&select), false), both);
        assert_eq!(record.fields["severity"], "high");
    }
}
