//! The time of day. No other module reads it.
//!
//! `--now` and the test cases use a fixed time. Durations are measured with monotonic time, not
//! with this clock.

use chrono::{DateTime, Utc};

/// The source of the time of day.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The system clock.
    #[default]
    System,
    /// A fixed time, from `--now`.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The time of day, UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that reads the time of day"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Clock::System => Utc::now(),
            Clock::Fixed(at) => *at,
        }
    }
}
