//! The simulator's time of day.
//!
//! It stands still, or it runs as the starter's stopwatch does. It deliberately reads no clock of
//! the machine: tests advance it without waiting.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

/// Returns how much time has passed since the simulator was started.
type Stopwatch = Arc<dyn Fn() -> TimeDelta + Send + Sync>;

/// Whether the simulator's time of day moves.
#[derive(Clone, Default)]
pub enum Clock {
    /// It stays at [`World::now`](crate::sim::World::now), so nothing new arrives.
    #[default]
    Still,
    /// It begins at [`World::now`](crate::sim::World::now) and moves by what this returns: the time
    /// since the start. New content arrives, tokens and content expire.
    Running(Stopwatch),
}

impl Clock {
    /// A running clock.
    pub fn running(since_start: impl Fn() -> TimeDelta + Send + Sync + 'static) -> Self {
        Self::Running(Arc::new(since_start))
    }

    /// The time of day of a simulator that began at a moment.
    pub(super) fn time(&self, begin: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Still => begin,
            Self::Running(since_start) => begin + since_start(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Still => "Still",
            Self::Running(_) => "Running",
        })
    }
}

/// How many new blobs of an entry, and how many new alerts, an hour brings if a world does not say.
const USUAL_RATE: u32 = 60;

/// A rate at which new content arrives while the clock runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate(i64);

impl Rate {
    /// The rate that a world gives as a number per hour.
    pub(super) fn of(per_hour: Option<u32>) -> Self {
        Self(per_hour.unwrap_or(USUAL_RATE).into())
    }

    /// How long after the start the arrival with a number, from 0, takes place.
    pub(super) fn arrival(self, number: usize) -> TimeDelta {
        let ordinal = i64::try_from(number).unwrap_or(i64::MAX).saturating_add(1);
        TimeDelta::milliseconds(ordinal.saturating_mul(3_600_000) / self.0.max(1))
    }

    /// How many arrivals take place until so much time after the start, not including its end.
    pub(super) fn arrived_before(self, passed: TimeDelta) -> usize {
        let passed = passed.num_milliseconds().max(0);
        // Rounded up and one less: the count of all whose time, rounded down, is earlier.
        let last = passed.saturating_mul(self.0) - 1;
        usize::try_from(last / 3_600_000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_counted_as_their_times_say() {
        for per_hour in [1, 7, 60, 3_601, 36_000] {
            let rate = Rate::of(Some(per_hour));
            for number in [0, 1, 2, 59, 1_000] {
                let at = rate.arrival(number);
                assert_eq!(rate.arrived_before(at), number, "{per_hour}");
                let after = at + TimeDelta::milliseconds(1);
                assert_eq!(rate.arrived_before(after), number + 1, "{per_hour}");
            }
        }
        let never = Rate::of(Some(0));
        assert_eq!(never.arrived_before(TimeDelta::days(9)), 0);
    }
}
