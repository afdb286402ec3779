//! The time range of a listing. Like the service, it accepts more formats than are documented.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};

use super::{Refused, refused};
use crate::sim::server::call::Call;

/// The maximum length of a range.
const MAX_LENGTH: TimeDelta = TimeDelta::hours(24);

/// The maximum age of its start.
const MAX_AGE: TimeDelta = TimeDelta::days(7);

/// A valid range: from the start to the end, not including the end.
pub(super) struct Window {
    /// Start and end.
    pub(super) bounds: (DateTime<Utc>, DateTime<Utc>),
    /// Start and end as in the request, or formatted if the request has none.
    pub(super) written: [String; 2],
}

impl Window {
    /// The range of a request; without times, the last 24 hours.
    pub(super) fn read(call: &Call, now: DateTime<Utc>) -> Result<Self, Refused> {
        let (start, end) = match (bound(call, "startTime")?, bound(call, "endTime")?) {
            (None, None) => return Ok(Self::last_day(now)),
            (Some(start), Some(end)) => (start, end),
            _ => return Err(refused("AF20030", &[])),
        };
        let bounds = (start.0, end.0);
        let span = bounds.1 - bounds.0;
        if span > MAX_LENGTH || span <= TimeDelta::zero() || bounds.0 < now - MAX_AGE {
            let (start, end) = (bounds.0.to_rfc3339(), bounds.1.to_rfc3339());
            return Err(refused("AF20055", &[&start, &end]));
        }
        let written = [start.1.to_owned(), end.1.to_owned()];
        Ok(Self { bounds, written })
    }

    fn last_day(now: DateTime<Utc>) -> Self {
        let bounds = (now - MAX_LENGTH, now);
        let write = |parse_time: DateTime<Utc>| {
            let text = parse_time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            text.trim_end_matches('Z').to_owned()
        };
        Self {
            bounds,
            written: [write(bounds.0), write(bounds.1)],
        }
    }
}

fn bound<'a>(call: &'a Call, name: &str) -> Result<Option<(DateTime<Utc>, &'a str)>, Refused> {
    let Some(text) = call.parameter(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let wrong = || refused("AF20002", &[name, "datetime"]);
    Ok(Some((parse_time(text).ok_or_else(wrong)?, text)))
}

/// Parses a time in a documented format (day; with minutes; with seconds), in UTC, or with a
/// fraction or a zone.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let day = text.get(..10)?;
    if !day
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-')
    {
        return None;
    }
    if text.len() == 10 {
        let day: NaiveDate = text.parse().ok()?;
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let zoned = DateTime::parse_from_rfc3339(text).map(|parse_time| parse_time.to_utc());
    let plain =
        |form| NaiveDateTime::parse_from_str(text, form).map(|parse_time| parse_time.and_utc());
    zoned
        .or_else(|_| plain("%Y-%m-%dT%H:%M:%S%.f"))
        .or_else(|_| plain("%Y-%m-%dT%H:%M"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::server::routes::Service;

    fn read(query: &str) -> Result<Window, (String, String)> {
        let now = "2026-01-14T12:00:00Z".parse().unwrap();
        let call = Call::get(Service::Management, &format!("/x?{query}"));
        Window::read(&call, now).map_err(|error| (error.code, error.text))
    }

    #[test]
    fn all_formats_of_times_are_parsed() {
        for (text, wanted) in [
            ("2026-01-14", "2026-01-14T00:00:00Z"),
            ("2026-01-14T09:31", "2026-01-14T09:31:00Z"),
            ("2026-01-14T09:31:12", "2026-01-14T09:31:12Z"),
            ("2026-01-14T09:31:12.5", "2026-01-14T09:31:12.500Z"),
            ("2026-01-14T09:31:12.345Z", "2026-01-14T09:31:12.345Z"),
            ("2026-01-14T11:31:12+02:00", "2026-01-14T09:31:12Z"),
        ] {
            assert_eq!(parse_time(text), wanted.parse().ok(), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-1-14",
            "14/01/2026",
            "2026-01-14 09:31:12",
            "2026-01-14T09:31:12 00:00",
            "2026-01-32",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn invalid_ranges_are_rejected() {
        let code = |query: &str| read(query).map(|_| ()).map_err(|error| error.0);
        let ok = Ok(());
        assert_eq!(
            code("starttime=2026-01-07T12:00&ENDTIME=2026-01-08T12:00"),
            ok
        );
        assert_eq!(
            code("startTime=2026-01-14T11:00&endTime=2026-01-15T11:00"),
            ok
        );
        for (query, wanted) in [
            ("startTime=2026-01-14", "AF20030"),
            ("endTime=2026-01-14&startTime=", "AF20030"),
            (
                "startTime=2026-01-13&endTime=2026-01-14T00:00:01",
                "AF20055",
            ),
            ("startTime=2026-01-14&endTime=2026-01-14", "AF20055"),
            ("startTime=2026-01-14&endTime=2026-01-13", "AF20055"),
            (
                "startTime=2026-01-07T11:59:59&endTime=2026-01-08",
                "AF20055",
            ),
            ("startTime=yesterday&endTime=2026-01-14", "AF20002"),
        ] {
            assert_eq!(code(query), Err(wanted.to_owned()), "{query}");
        }
        let text = read("startTime=2026-01-12&endTime=2026-01-14")
            .err()
            .unwrap()
            .1;
        let end = " StartTime:2026-01-12T00:00:00+00:00, EndTime:2026-01-14T00:00:00+00:00";
        assert!(text.ends_with(end), "{text}");
        let text = read("startTime=x&endTime=y").err().unwrap().1;
        assert_eq!(
            text,
            "Invalid parameter type: startTime. Expected type: datetime"
        );
    }

    #[test]
    fn range_without_times_is_the_last_day() {
        let written = read("").ok().unwrap().written;
        assert_eq!(written, ["2026-01-13T12:00:00", "2026-01-14T12:00:00"]);
    }
}
