//! The parameters of `Search-UnifiedAuditLog`. Names and values of enumerations are read in any
//! case, lists also as a single value.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::sim::data::audit_log::{AuditFilter, record_type, record_type_names};
use crate::sim::exchange::{Refused, refused};

/// How long records are searchable.
const RETENTION: TimeDelta = TimeDelta::days(180);

/// The type of dates.
const DATE: &str = "Microsoft.Exchange.ExchangeSystem.ExDateTime";

/// Formats of dates with a time; dates alone are parsed separately.
const FORMATS: [&str; 5] = [
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
];

/// How a session returns its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionCommand {
    /// `ReturnLargeSet`: in no order.
    LargeSet,
    /// `ReturnNextPreviewPage`: the newest first.
    PreviewPage,
}

/// A search.
#[derive(Debug)]
pub(super) struct Search {
    /// What it looks for.
    pub(super) filter: AuditFilter,
    /// The most rows of a page.
    pub(super) size: usize,
    /// `SessionCommand`.
    pub(super) command: Option<SessionCommand>,
    /// `Formatted`.
    pub(super) formatted: bool,
    session: Option<String>,
}

impl Search {
    /// Reads the parameters of a request at a time.
    pub(super) fn read(given: &Map<String, Value>, now: DateTime<Utc>) -> Result<Self, Refused> {
        let mut search = Self {
            filter: AuditFilter::default(),
            size: 100,
            command: None,
            formatted: false,
            session: None,
        };
        let (mut start, mut end) = (None, None);
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            match name.to_ascii_lowercase().as_str() {
                "startdate" => start = Some(date(name, value)?),
                "enddate" => end = Some(date(name, value)?),
                _ => search.set(name, value)?,
            }
        }
        let missing = |name: &str| refused("missing_parameter", &[name]);
        let (start, end) = (
            start.ok_or_else(|| missing("StartDate"))?,
            end.ok_or_else(|| missing("EndDate"))?,
        );
        let oldest = now - RETENTION;
        if start < oldest {
            let oldest = oldest.format("%m/%d/%Y %H:%M:%S").to_string();
            return Err(refused("retention", &[&oldest]));
        }
        if start > end {
            return Err(refused("order", &[]));
        }
        (search.filter.start, search.filter.end) = (start, end);
        Ok(search)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), Refused> {
        let filter = &mut self.filter;
        match name.to_ascii_lowercase().as_str() {
            "recordtype" => filter.record_types = Some(record_types(&text(value))?),
            "operations" => filter.operations = texts(value),
            "userids" => filter.users = texts(value),
            "ipaddresses" => filter.ips = texts(value),
            "objectids" => filter.objects = texts(value),
            "siteids" => filter.sites = texts(value),
            "freetext" => filter.text = text(value),
            "resultsize" => self.size = size(&text(value))?,
            "sessionid" => self.session = Some(text(value)).filter(|id| !id.is_empty()),
            "sessioncommand" => self.command = Some(command(&text(value))?),
            "formatted" => self.formatted = text(value).eq_ignore_ascii_case("true"),
            // They change nothing here.
            "highcompleteness" | "legacyflow" | "longerretentionenabled" => {}
            _ => return Err(refused("unknown_parameter", &[name])),
        }
        Ok(())
    }

    /// The key of its session: the tenant, the session id and what is searched; or the number of the
    /// request. That another search starts a session of its own is a guess.
    pub(super) fn key(&self, tenant: &str, number: u64) -> String {
        match &self.session {
            Some(id) => format!("{tenant} {id} {:?}", self.filter),
            None => format!("{tenant} request {number}"),
        }
    }

    /// The same search a day before its start.
    pub(super) fn a_day_before(&self) -> AuditFilter {
        AuditFilter {
            start: self.filter.start - TimeDelta::days(1),
            end: self.filter.start,
            ..AuditFilter::default()
        }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

/// A record type. The start of a name is accepted and finds nothing, as clients report.
fn record_types(name: &str) -> Result<Vec<i64>, Refused> {
    let number = record_type(name).or_else(|| name.parse().ok());
    let begins = |known: &str| {
        let start = known.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    match number {
        Some(number) => Ok(vec![number]),
        None if !name.is_empty() && record_type_names().any(begins) => Ok(vec![]),
        None => {
            let names: Vec<&str> = record_type_names().collect();
            let kind = "Microsoft.Exchange.Management.AuditLogSearch.AuditRecordType";
            let arguments = ["RecordType", name, kind, &names.join(", ")];
            Err(refused("enumeration", &arguments))
        }
    }
}

fn command(name: &str) -> Result<SessionCommand, Refused> {
    match name.to_ascii_lowercase().as_str() {
        "returnlargeset" => Ok(SessionCommand::LargeSet),
        "returnnextpreviewpage" => Ok(SessionCommand::PreviewPage),
        _ => {
            let kind = "Microsoft.Exchange.Management.AuditLogSearch.UnifiedAuditSessionCommand";
            let names = "ReturnLargeSet, ReturnNextPreviewPage";
            Err(refused(
                "enumeration",
                &["SessionCommand", name, kind, names],
            ))
        }
    }
}

fn size(text: &str) -> Result<usize, Refused> {
    let number: Result<i64, _> = text.parse();
    let number =
        number.map_err(|_| refused("conversion", &["ResultSize", text, "System.Int32"]))?;
    let allowed = usize::try_from(number)
        .ok()
        .filter(|size| (1..=5000).contains(size));
    allowed.ok_or_else(|| refused("range", &[text]))
}

/// A date in one of the formats that clients use; in UTC if it has no zone.
fn date(name: &str, value: &Value) -> Result<DateTime<Utc>, Refused> {
    let given = text(value);
    let plain = given.trim().trim_end_matches(['Z', 'z']);
    let zoned = DateTime::parse_from_rfc3339(given.trim()).map(|time| time.to_utc());
    let timed = |form: &&str| NaiveDateTime::parse_from_str(plain, form).ok();
    let day = |form: &&str| NaiveDate::parse_from_str(plain, form).ok();
    let local = || {
        let day = ["%Y-%m-%d", "%m/%d/%Y"].iter().find_map(day);
        let midnight = day.map(|day| day.and_time(NaiveTime::MIN));
        FORMATS.iter().find_map(timed).or(midnight)
    };
    let found = zoned.ok().or_else(|| local().map(|time| time.and_utc()));
    found.ok_or_else(|| refused("conversion", &[name, &given, DATE]))
}
