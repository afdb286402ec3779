//! Time windows of the feed: both ends or neither, at most a day, not older than seven days.
//!
//! Checks the service's rule before a request is sent, with the service's message. Does not round
//! times.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::protocol::Failure;
use crate::when::rfc3339;

/// The service's own message.
const RULE: &str = "Start time and end time must both be specified (or both omitted) and must be \
less than or equal to 24 hours apart, with the start time prior to end time and start time no more \
than 7 days in the past.";

/// The rule for a window that is listed day by day.
const RULE_OF_DAYS: &str = "Start time and end time must both be specified (or both omitted), with \
the start time prior to end time and start time no more than 7 days in the past.";

const MAX_LENGTH: TimeDelta = TimeDelta::hours(24);
const MAX_AGE: TimeDelta = TimeDelta::days(7);
/// This machine's clock can be behind the one that the caller read the start time from.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// A time window. It includes its start and excludes its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// The start, inclusive.
    pub start: DateTime<Utc>,
    /// The end, exclusive.
    pub end: DateTime<Utc>,
}

impl TimeWindow {
    /// The window between both times, or the 24 hours before `now` without them.
    ///
    /// Errors: `invalid_input` with the rule `time_range`, at the input that breaks it.
    pub fn new(
        start: Option<DateTime<Utc>>,
        end: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        match (start, end) {
            (None, None) => Ok(TimeWindow::last_day(now)),
            (Some(start), Some(end)) => {
                let window = TimeWindow { start, end };
                match window.breach(now, MAX_LENGTH) {
                    Some((input, cause)) => Err(broken(input, cause)),
                    None => Ok(window),
                }
            }
            (Some(start), None) => {
                let cause = format!("Only the start time is given: {}.", rfc3339(start));
                Err(broken("end_time", cause))
            }
            (None, Some(end)) => {
                let cause = format!("Only the end time is given: {}.", rfc3339(end));
                Err(broken("start_time", cause))
            }
        }
    }

    /// The window between both times, which is listed day by day. `None` without times.
    ///
    /// Errors: `invalid_input` with the rule `time_range`, at the input that breaks it.
    pub fn of_days(
        start: Option<DateTime<Utc>>,
        end: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, Failure> {
        let (Some(start), Some(end)) = (start, end) else {
            // The rule for times that are missing is the same.
            let window =
                (start.is_some() || end.is_some()).then(|| TimeWindow::new(start, end, now));
            return window.transpose();
        };
        let window = TimeWindow { start, end };
        match window.breach(now, TimeDelta::MAX) {
            Some((input, cause)) => Err(broken(input, cause)
                .reworded(RULE_OF_DAYS.to_owned())
                .at(format!("/inputs/{input}"))
                .advice("Set both times within the last 7 days, or neither.")),
            None => Ok(Some(window)),
        }
    }

    /// The 24 hours before `now`, to the millisecond.
    fn last_day(now: DateTime<Utc>) -> Self {
        let end = now.trunc_subsecs(3);
        TimeWindow {
            start: end - TimeDelta::hours(24),
            end,
        }
    }

    /// The input that breaks the rule, and how.
    fn breach(&self, now: DateTime<Utc>, longest: TimeDelta) -> Option<(&'static str, String)> {
        let (start, end, length) = (
            rfc3339(self.start),
            rfc3339(self.end),
            self.end - self.start,
        );
        if length <= TimeDelta::zero() {
            let cause = format!("The start time {start} is not before the end time {end}.");
            return Some(("start_time", cause));
        }
        if length > longest {
            let (long, most) = (in_words(length), in_words(longest));
            let cause = format!("The window is {long} long. The maximum is {most}.");
            return Some(("end_time", cause));
        }
        let age = now - self.start;
        let fault = if age > MAX_AGE {
            "more than 7 days ago"
        } else if age < -CLOCK_TOLERANCE {
            "in the future"
        } else {
            return None;
        };
        let now = rfc3339(now);
        let cause = format!("The start time {start} is {fault}. It is now {now}.");
        Some(("start_time", cause))
    }
}

/// A duration in hours, minutes and seconds.
fn in_words(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds();
    let parts = [
        (seconds / 3600, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let words: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
        .collect();
    words.join(" ")
}

fn broken(input: &str, cause: String) -> Failure {
    Failure::invalid_input(format!("/inputs/{input}"), RULE)
        .rule("time_range")
        .cause(cause)
        .advice("Set both times at most 24 hours apart within the last 7 days, or neither. Send several requests for a longer window.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when;

    fn at(text: &str) -> Option<DateTime<Utc>> {
        when::instant(text, &[])
    }

    fn window(start: &str, end: &str) -> Result<TimeWindow, Failure> {
        let now = at("2026-09-20T01:00:00Z").expect("a time");
        TimeWindow::new(at(start), at(end), now)
    }

    #[test]
    fn window_without_times_is_the_last_day() {
        let both = window("2026-09-20 00:00", "2026-09-20 01:00").expect("a window");
        assert_eq!(rfc3339(both.start), "2026-09-20T00:00:00Z");
        let now = at("2026-09-20T01:00:00.123456789Z").expect("a time");
        let day = TimeWindow::new(None, None, now).expect("a window");
        assert_eq!(rfc3339(day.start), "2026-09-19T01:00:00.123Z");
        assert_eq!(rfc3339(day.end), "2026-09-20T01:00:00.123Z");
    }

    #[test]
    fn window_at_the_limits_is_allowed() {
        assert!(window("2026-09-13T01:00:00Z", "2026-09-14T01:00:00Z").is_ok());
        assert!(window("2026-09-20T00:00:00Z", "2026-09-21T00:00:00Z").is_ok());
    }

    #[test]
    fn refused_window_has_the_services_message_and_names_the_rule_it_breaks() {
        for (start, end, at, cause) in [
            (
                "2026-09-20",
                "",
                "/inputs/end_time",
                "Only the start time is given: 2026-09-20T00:00:00Z.",
            ),
            (
                "",
                "2026-09-20",
                "/inputs/start_time",
                "Only the end time is given: 2026-09-20T00:00:00Z.",
            ),
            (
                "2026-09-20",
                "2026-09-20",
                "/inputs/start_time",
                "The start time 2026-09-20T00:00:00Z is not before the end time 2026-09-20T00:00:00Z.",
            ),
            (
                "2026-09-18",
                "2026-09-19 00:01",
                "/inputs/end_time",
                "The window is 24 hours 1 minute long. The maximum is 24 hours.",
            ),
            (
                "2026-09-13 00:59:59",
                "2026-09-13 02:00",
                "/inputs/start_time",
                "The start time 2026-09-13T00:59:59Z is more than 7 days ago. It is now 2026-09-20T01:00:00Z.",
            ),
            (
                "2026-09-20 01:06",
                "2026-09-20 02:00",
                "/inputs/start_time",
                "The start time 2026-09-20T01:06:00Z is in the future. It is now 2026-09-20T01:00:00Z.",
            ),
        ] {
            let failure = window(start, end).expect_err(cause);
            assert_eq!(failure.broken_rule(), Some("time_range"));
            assert_eq!(failure.place(), Some(at));
            let block = failure.close("", &crate::protocol::failure::Codes::new());
            assert_eq!(block.message, RULE);
            assert_eq!(block.cause, cause);
        }
    }
}
