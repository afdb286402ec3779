//! Times as playbook authors write them, and as they go on the wire.
//!
//! Accepted: RFC 3339, `YYYY-MM-DD[ T]HH:MM[:SS[.fraction]]` and `YYYY-MM-DD`, both UTC; where a
//! parameter declares it, spans back from now such as `3 days`, and further formats. A leap second
//! (`23:59:60`) is the first second of the next minute. This module
//! knows no rule about ranges; those belong to the services.

use chrono::{
    DateTime, Days, Months, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Timelike, Utc,
};

const ZONELESS: [&str; 4] = [
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
];

/// Reads a point in time; without a zone it is UTC. `formats` are further ones, as of `strftime`.
pub fn instant(text: &str, formats: &[String]) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return rolled_over(time.with_timezone(&Utc));
    }
    let extra = formats.iter().map(String::as_str);
    ZONELESS
        .into_iter()
        .chain(extra.clone())
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| {
            std::iter::once("%Y-%m-%d")
                .chain(extra)
                .find_map(|format| NaiveDate::parse_from_str(text, format).ok())
                .and_then(|day| day.and_hms_opt(0, 0, 0))
        })
        .and_then(|naive| rolled_over(naive.and_utc()))
}

/// A leap second has more than a second's nanoseconds; services know none.
fn rolled_over(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match time.nanosecond().checked_sub(1_000_000_000) {
        None => Some(time),
        Some(rest) => time
            .with_nanosecond(rest)?
            .checked_add_signed(TimeDelta::seconds(1)),
    }
}

/// Reads a span back from `now`, such as `3 days` or `1 month`, as the point in time it reaches.
pub fn ago(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (number, unit) = text.trim().split_once(char::is_whitespace)?;
    let count: u32 = number.parse().ok()?;
    match unit.trim().to_ascii_lowercase().trim_end_matches('s') {
        "minute" => now.checked_sub_signed(TimeDelta::minutes(i64::from(count))),
        "hour" => now.checked_sub_signed(TimeDelta::hours(i64::from(count))),
        "day" => now.checked_sub_days(Days::new(u64::from(count))),
        "week" => now.checked_sub_days(Days::new(u64::from(count) * 7)),
        "month" => now.checked_sub_months(Months::new(count)),
        "year" => now.checked_sub_months(Months::new(count.checked_mul(12)?)),
        _ => None,
    }
}

/// A point in time for the wire: RFC 3339, UTC, `Z`, as many digits of a second as are needed.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The text of a datetime normalised to RFC 3339, UTC and `Z`, with the fraction as received.
///
/// Fractions of any length survive, which no fixed-width type could promise.
pub fn normalise(text: &str) -> Option<String> {
    let text = text.trim();
    let time = instant(text, &[])?;
    let fraction: String = match text.split_once('.') {
        Some((_, rest)) => rest.chars().take_while(char::is_ascii_digit).collect(),
        None => String::new(),
    };
    let seconds = time.format("%Y-%m-%dT%H:%M:%S");
    Some(if fraction.is_empty() {
        format!("{seconds}Z")
    } else {
        format!("{seconds}.{fraction}Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        instant(text, &[]).map(rfc3339)
    }

    #[test]
    fn every_documented_spelling_is_read_as_utc() {
        let midnight = Some("2022-03-15T00:00:00Z".to_owned());
        assert_eq!(shown("2022-03-15 00:00"), midnight);
        assert_eq!(shown("2022-03-15T00:00"), midnight);
        assert_eq!(shown("2022-03-15 00:00:00"), midnight);
        assert_eq!(shown("2022-03-15"), midnight);
        assert_eq!(shown("2022-03-15T02:00:00+02:00"), midnight);
        assert_eq!(shown("2022-03-15T00:00:00.000Z"), midnight);
        assert_eq!(shown("15.3.2022"), None);
        assert_eq!(shown("2022-02-30"), None);
    }

    #[test]
    fn leap_second_rolls_over() {
        let midnight = Some("2023-01-01T00:00:00Z".to_owned());
        assert_eq!(shown("2022-12-31T23:59:60Z"), midnight);
        assert_eq!(shown("2022-12-31 23:59:60"), midnight);
        assert_eq!(shown("2023-01-01T01:59:60+02:00"), midnight);
        assert_eq!(shown("2022-12-31T23:59:61Z"), None);
        assert_eq!(
            normalise("2022-12-31T23:59:60.250Z").as_deref(),
            Some("2023-01-01T00:00:00.250Z")
        );
    }

    #[test]
    fn a_face_may_declare_further_formats() {
        let formats = vec!["%m/%d/%y".to_owned()];
        assert_eq!(
            instant("03/15/22", &formats).map(rfc3339),
            shown("2022-03-15")
        );
    }

    #[test]
    fn spans_reach_back_from_now() {
        let now = instant("2026-03-31T10:00:00Z", &[]).expect("a valid time");
        let back = |span| ago(span, now).map(rfc3339);
        assert_eq!(back("3 days"), Some("2026-03-28T10:00:00Z".into()));
        assert_eq!(back("1 hour"), Some("2026-03-31T09:00:00Z".into()));
        assert_eq!(back("1 month"), Some("2026-02-28T10:00:00Z".into()));
        assert_eq!(back("2 Years"), Some("2024-03-31T10:00:00Z".into()));
        assert_eq!(back("soon"), None);
        assert_eq!(back("4294967295 years"), None);
    }

    #[test]
    fn normalising_keeps_the_fraction_as_received() {
        let same = |text| normalise(text).as_deref().map(str::to_owned);
        assert_eq!(
            same("2026-01-14T09:12:03.6066667Z").as_deref(),
            Some("2026-01-14T09:12:03.6066667Z")
        );
        assert_eq!(
            same("2026-01-14T09:12:03").as_deref(),
            Some("2026-01-14T09:12:03Z")
        );
        assert_eq!(
            same("2026-01-14T11:12:03.10+02:00").as_deref(),
            Some("2026-01-14T09:12:03.10Z")
        );
        assert_eq!(same("yesterday"), None);
    }
}
