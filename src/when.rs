//! Parses times as playbook authors write them, and formats them for results and services.
//!
//! Accepts RFC 3339, and `YYYY-MM-DD[ T]HH:MM[:SS[.fraction]]` and `YYYY-MM-DD` as UTC. If a
//! parameter declares it, also time spans before now such as `3 days`, and further formats. A leap
//! second (`23:59:60`) becomes the first second of the next minute. The services check time ranges.

use chrono::{
    DateTime, Days, Months, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Timelike, Utc,
};

const ZONELESS: [&str; 4] = [
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
];

/// Parses a point in time, UTC if it has no time zone. `formats` are further formats of `strftime`.
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

/// Moves a leap second, which chrono stores as 10⁹ or more nanoseconds, to the next minute.
fn rolled_over(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match time.nanosecond().checked_sub(1_000_000_000) {
        None => Some(time),
        Some(rest) => time
            .with_nanosecond(rest)?
            .checked_add_signed(TimeDelta::seconds(1)),
    }
}

/// The point in time that a span such as `3 days` or `1 month` is before `now`.
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

/// Formats a point in time as RFC 3339 in UTC with `Z`, with a fraction only if it has one.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Formats a time as RFC 3339 in UTC with `Z`, with all digits of its fraction.
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
    fn every_documented_format_is_parsed_as_utc() {
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
    fn leap_second_becomes_the_next_minute() {
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
    fn further_formats_are_parsed() {
        let formats = vec!["%m/%d/%y".to_owned()];
        assert_eq!(
            instant("03/15/22", &formats).map(rfc3339),
            shown("2022-03-15")
        );
    }

    #[test]
    fn span_is_subtracted_from_now() {
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
    fn normalise_does_not_change_the_fraction() {
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
