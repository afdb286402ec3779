//! The audit records of a world as the searches of Exchange and Graph see them: those of the feed's
//! blobs, each `Id` once. A record is found as soon as its blob is available, and also after the
//! blob has expired or if the feed has lost it.
//!
//! Which records a request may see is decided by the services.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::sim::data::audit::{RecordContext, Records};
use crate::sim::data::content_store::{ContentStore, Source};

/// The names of record types with their numbers, where Microsoft's sources agree or Graph has one.
static RECORD_TYPES: LazyLock<Vec<(String, i64)>> = LazyLock::new(|| {
    let table = serde_json::from_str(include_str!("record_types.json"));
    let table: serde_json::Map<String, Value> = table.unwrap_or_default();
    let numbered = table.into_iter();
    numbered
        .filter_map(|(name, number)| Some((name, number.as_i64()?)))
        .collect()
});

/// The names of user types, by their numbers.
const USER_TYPES: [&str; 11] = [
    "Regular",
    "Reserved",
    "Admin",
    "DcAdmin",
    "System",
    "Application",
    "ServicePrincipal",
    "CustomPolicy",
    "SystemPolicy",
    "PartnerTechnician",
    "Guest",
];

/// All names of record types.
pub(crate) fn record_type_names() -> impl Iterator<Item = &'static str> {
    RECORD_TYPES.iter().map(|(name, _)| name.as_str())
}

/// The number of a record type, from its name in any case.
pub(crate) fn record_type(name: &str) -> Option<i64> {
    let named = |known: &&(String, i64)| known.0.eq_ignore_ascii_case(name);
    RECORD_TYPES.iter().find(named).map(|(_, number)| *number)
}

/// One audit record.
pub(crate) struct AuditRecord {
    /// The JSON, as in the feed.
    pub(crate) text: String,
    /// `Id`.
    pub(crate) id: String,
    /// `CreationTime`.
    pub(crate) created: DateTime<Utc>,
    /// `Operation`.
    pub(crate) operation: String,
    /// `UserId`.
    pub(crate) user: String,
    /// `Workload`.
    pub(crate) workload: String,
    /// `ObjectId`.
    pub(crate) object: String,
    /// The address of the client, from the member that the workload uses.
    pub(crate) ip: String,
    site: String,
    record_type: i64,
    user_type: i64,
}

impl AuditRecord {
    /// The record with this JSON; none if it has no id or no time.
    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text_of = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| match &value[name] {
            Value::String(text) => text.parse().unwrap_or(0),
            number => number.as_i64().unwrap_or(0),
        };
        let ip = ["ClientIP", "ClientIPAddress", "ActorIpAddress"].map(text_of);
        Some(Self {
            text: text.to_owned(),
            id: value["Id"].as_str()?.to_owned(),
            created: parse_time(value["CreationTime"].as_str()?)?,
            operation: text_of("Operation"),
            user: text_of("UserId"),
            workload: text_of("Workload"),
            object: text_of("ObjectId"),
            ip: ip.into_iter().find(|ip| !ip.is_empty()).unwrap_or_default(),
            site: text_of("Site"),
            record_type: number("RecordType"),
            user_type: number("UserType"),
        })
    }

    /// The name of the record type; its number if it has none.
    pub(crate) fn record_type_name(&self) -> String {
        let known = RECORD_TYPES.iter().find(|one| one.1 == self.record_type);
        known.map_or_else(|| self.record_type.to_string(), |(name, _)| name.clone())
    }

    /// The name of the user type.
    pub(crate) fn user_type_name(&self) -> &'static str {
        let known = usize::try_from(self.user_type).ok();
        known
            .and_then(|number| USER_TYPES.get(number).copied())
            .unwrap_or("UnknownFutureValue")
    }
}

/// What a search looks for. An empty list allows every value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuditFilter {
    /// The earliest time.
    pub(crate) start: DateTime<Utc>,
    /// The time before which records are found.
    pub(crate) end: DateTime<Utc>,
    /// Record types; `Some` and empty matches nothing.
    pub(crate) record_types: Option<Vec<i64>>,
    /// Operations.
    pub(crate) operations: Vec<String>,
    /// Users.
    pub(crate) users: Vec<String>,
    /// Addresses of clients.
    pub(crate) ips: Vec<String>,
    /// Objects; `*` stands for any text.
    pub(crate) objects: Vec<String>,
    /// Sites of `SharePoint`.
    pub(crate) sites: Vec<String>,
    /// Workloads.
    pub(crate) workloads: Vec<String>,
    /// Text that a record must contain: a phrase in quotation marks, or words.
    pub(crate) text: String,
}

impl AuditFilter {
    /// Whether a record is found.
    pub(crate) fn passes(&self, record: &AuditRecord) -> bool {
        let among = |list: &[String], value: &str| {
            list.is_empty() || list.iter().any(|one| matches(one, value))
        };
        let types = self.record_types.as_ref();
        (self.start..self.end).contains(&record.created)
            && types.is_none_or(|types| types.contains(&record.record_type))
            && among(&self.operations, &record.operation)
            && among(&self.users, &record.user)
            && among(&self.ips, &record.ip)
            && among(&self.objects, &record.object)
            && among(&self.sites, &record.site)
            && among(&self.workloads, &record.workload)
            && self.has_text(record)
    }

    fn has_text(&self, record: &AuditRecord) -> bool {
        if self.text.trim().is_empty() {
            return true;
        }
        let (text, wanted) = (record.text.to_lowercase(), self.text.to_lowercase());
        let phrase = wanted.trim().strip_prefix('"');
        match phrase.and_then(|phrase| phrase.strip_suffix('"')) {
            Some(phrase) => text.contains(phrase),
            None => wanted.split_whitespace().all(|word| text.contains(word)),
        }
    }
}

/// Whether a value is equal to a pattern in any case; `*` stands for any text.
fn matches(pattern: &str, value: &str) -> bool {
    let (pattern, value) = (pattern.to_lowercase(), value.to_lowercase());
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == value;
    };
    let Some(mut left) = value.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.ends_with(end)
}

/// A time of a record: in UTC, with or without a zone.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f");
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    zoned.or_else(|_| plain().map(|time| time.and_utc())).ok()
}

/// The records of all tenants, parsed when a tenant is first searched.
pub(crate) struct AuditLog {
    store: Arc<ContentStore>,
    tenants: Mutex<HashMap<String, TenantLog>>,
}

#[derive(Default)]
struct TenantLog {
    until: DateTime<Utc>,
    ids: HashSet<String>,
    records: Vec<Arc<AuditRecord>>,
}

impl AuditLog {
    /// The records of the blobs of a store.
    pub(crate) fn new(store: Arc<ContentStore>) -> Self {
        Self {
            store,
            tenants: Mutex::default(),
        }
    }

    /// The records of a tenant that pass a filter at a time, in no particular order.
    pub(crate) fn find(
        &self,
        of: &RecordContext<'_>,
        now: DateTime<Utc>,
        filter: &AuditFilter,
    ) -> Vec<Arc<AuditRecord>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.entry(of.tenant.to_owned()).or_default();
        let until = now + TimeDelta::milliseconds(1);
        for blob in self.store.all_between((known.until, until)) {
            for text in texts(&self.store.source(&blob), of) {
                let parsed = AuditRecord::parse(text.get());
                known.records.extend(
                    parsed
                        .filter(|record| known.ids.insert(record.id.clone()))
                        .map(Arc::new),
                );
            }
        }
        known.until = known.until.max(until);
        let found = known.records.iter().filter(|record| filter.passes(record));
        found.cloned().collect()
    }
}

/// The records of a blob.
fn texts(source: &Source<'_>, of: &RecordContext<'_>) -> Vec<Box<RawValue>> {
    match source {
        Source::Literal(literal) => literal.records.clone(),
        Source::Generated { entry, at, number } => {
            let body = Records::new(of, entry, *at).blob(*number);
            serde_json::from_str(&body).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::context::Context;

    #[test]
    fn records_are_those_of_the_blobs_once_each() {
        let context = Context::sample(
            r#"{"content":{"generated":[{"type":"Audit.Exchange","blobs":4,"repeated_percent":20,
                "missing":1,"hours":300}],
                "blobs":[{"type":"DLP.All","records":[{"Id":"a","CreationTime":"2026-01-14T10:00:00Z",
                    "RecordType":"6","ClientIPAddress":"::1","ObjectId":"https://a.test/b"},1,{"Id":"b"}]}]}}"#,
        );
        let now = context.now();
        let all = AuditFilter {
            end: now,
            ..AuditFilter::default()
        };
        let tenant = "11111111-2222-3333-4444-555555555555";
        let find = |filter: &AuditFilter| {
            let of = context.record_context(tenant, false);
            context.audit_log.find(&of, now, filter).len()
        };
        assert_eq!((find(&all), find(&all)), (17, 17));
        for (pattern, wanted) in [("https://A.test/*", 1), ("*test*b", 1), ("*c", 0), ("a", 0)] {
            let objects = vec![pattern.to_owned()];
            let filter = AuditFilter {
                objects,
                ..all.clone()
            };
            assert_eq!(find(&filter), wanted, "{pattern}");
        }
        for (text, wanted) in [
            ("a.test 2026", 1),
            ("\"a.test 2026\"", 0),
            ("\"a.test/b\"", 1),
        ] {
            let filter = AuditFilter {
                text: text.to_owned(),
                ..all.clone()
            };
            assert_eq!(find(&filter), wanted, "{text}");
        }
        let filter = AuditFilter {
            record_types: Some(vec![record_type("sharepointFileOperation").unwrap()]),
            ips: vec!["::1".to_owned()],
            ..all
        };
        assert_eq!(find(&filter), 1);
    }

    #[test]
    fn names_of_record_types_are_unique() {
        let names: HashSet<&str> = record_type_names().collect();
        assert_eq!(names.len(), RECORD_TYPES.len());
        assert_eq!(record_type("exchangeadmin"), Some(1));
    }
}
