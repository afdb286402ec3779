//! The simulator's clock. It stands still or runs. It never reads the clock of the machine, so that
//! tests can advance it without waiting.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

/// Returns the time since the start of the simulator.
type Elapsed = Arc<dyn Fn() -> TimeDelta + Send + Sync>;

/// Whether time passes in the simulator.
#[derive(Clone, Default)]
pub enum Clock {
    /// Time stands still at [`World::now`](crate::sim::World::now); nothing new arrives.
    #[default]
    Still,
    /// Time starts at [`World::now`](crate::sim::World::now) and passes as this function says. New
    /// content arrives; tokens and content expire.
    Running(Elapsed),
}

impl Clock {
    /// A running clock.
    pub fn running(since_start: impl Fn() -> TimeDelta + Send + Sync + 'static) -> Self {
        Self::Running(Arc::new(since_start))
    }

    /// The time of a simulator that started at `begin`.
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

/// The default number of new blobs of an entry, and of new alerts, in an hour.
const DEFAULT_RATE: u32 = 60;

/// A rate at which new content arrives while time passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate(i64);

impl Rate {
    /// The rate of a world file.
    pub(super) fn of(per_hour: Option<u32>) -> Self {
        Self(per_hour.unwrap_or(DEFAULT_RATE).into())
    }

    /// The time from the start to the arrival with a number, counted from 0.
    pub(super) fn arrival(self, number: usize) -> TimeDelta {
        let ordinal = i64::try_from(number).unwrap_or(i64::MAX).saturating_add(1);
        TimeDelta::milliseconds(ordinal.saturating_mul(3_600_000) / self.0.max(1))
    }

    /// The number of arrivals before a time after the start.
    pub(super) fn arrived_before(self, passed: TimeDelta) -> usize {
        let passed = passed.num_milliseconds().max(0);
        // The number of all arrivals whose time, rounded down, is earlier.
        let last = passed.saturating_mul(self.0) - 1;
        usize::try_from(last / 3_600_000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_counted_at_their_times() {
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
