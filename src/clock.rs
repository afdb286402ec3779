//! The clock: the only reader of the time of day.
//!
//! `--now` fixes it, and cases run with it still. It measures no durations: how long a run took
//! is a matter of monotonic time and of `metrics` alone.

use chrono::{DateTime, Utc};

/// Where the host takes the time of day from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A still clock, from `--now`.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The time of day, UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that may ask"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Clock::System => Utc::now(),
            Clock::Fixed(at) => *at,
        }
    }
}
