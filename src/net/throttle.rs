//! Slowing down: one lane per quota of a service, shared by everything in this process.
//!
//! A lane has a rate, if the service documents one, and a pause, if the service asked for one; both
//! hold for every request on it, however many runs there are. It says how long to wait and never
//! waits itself.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// The quota that a request counts against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// What tells it from others: service, tenant, publisher.
    pub name: String,
    /// How many requests it admits.
    pub rate: Rate,
}

/// How many requests a lane admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As many as come.
    Unlimited,
    /// So many a minute.
    PerMinute(NonZeroU32),
    /// So many at once, and one a minute after that.
    Burst(NonZeroU32),
}

impl Lane {
    /// A lane without a rate: it only pauses.
    pub fn unlimited(name: impl Into<String>) -> Self {
        Lane {
            name: name.into(),
            rate: Rate::Unlimited,
        }
    }
}

/// The lanes of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Throttle(Arc<Mutex<HashMap<String, Arc<State>>>>);

#[derive(Debug)]
struct State {
    rate: Option<DefaultDirectRateLimiter>,
    pause_ends: Mutex<Option<Instant>>,
}

/// Why a request has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The service asked for a pause.
    Pause(Duration),
    /// The lane's rate is used up.
    Rate(Duration),
}

impl Throttle {
    /// Takes a place on the lane: none to wait for, or how long to wait before asking again.
    pub(super) fn admit(&self, lane: &Lane) -> Result<(), Wait> {
        let state = self.state(lane);
        if let Some(left) = state.pause_left() {
            return Err(Wait::Pause(left));
        }
        let Some(rate) = &state.rate else {
            return Ok(());
        };
        rate.check()
            .map_err(|until| Wait::Rate(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Nothing goes out on the lane for so long.
    pub(super) fn pause(&self, lane: &Lane, wait: Duration) {
        let state = self.state(lane);
        let mut ends = lock(&state.pause_ends);
        let until = Instant::now().checked_add(wait);
        *ends = (*ends).max(until);
    }

    fn state(&self, lane: &Lane) -> Arc<State> {
        let mut lanes = lock(&self.0);
        if let Some(known) = lanes.get(&lane.name) {
            return Arc::clone(known);
        }
        let state = Arc::new(State {
            rate: quota(lane.rate).map(RateLimiter::direct),
            pause_ends: Mutex::new(None),
        });
        lanes.insert(lane.name.clone(), Arc::clone(&state));
        state
    }
}

impl State {
    fn pause_left(&self) -> Option<Duration> {
        let left = (*lock(&self.pause_ends))?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

fn quota(rate: Rate) -> Option<Quota> {
    match rate {
        Rate::Unlimited => None,
        Rate::PerMinute(requests) => Some(Quota::per_minute(requests)),
        Rate::Burst(requests) => Some(Quota::per_minute(NonZeroU32::MIN).allow_burst(requests)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

    #[test]
    fn a_pause_holds_for_its_lane_and_the_longer_one_counts() {
        let throttle = Throttle::default();
        let (a, b) = (Lane::unlimited("a"), Lane::unlimited("b"));
        assert_eq!(throttle.admit(&a), Ok(()));
        throttle.pause(&a, Duration::from_hours(1));
        throttle.pause(&a, Duration::from_secs(1));
        let Err(Wait::Pause(left)) = throttle.clone().admit(&a) else {
            panic!("the lane pauses")
        };
        assert!(left > Duration::from_mins(59));
        assert_eq!(throttle.admit(&b), Ok(()));
    }

    #[test]
    fn a_rate_is_shared_and_runs_out() {
        let throttle = Throttle::default();
        let lane = Lane {
            name: "start".to_owned(),
            rate: Rate::Burst(TWO),
        };
        assert_eq!(throttle.admit(&lane), Ok(()));
        assert_eq!(throttle.clone().admit(&lane), Ok(()));
        let Err(Wait::Rate(wait)) = throttle.admit(&lane) else {
            panic!("two are enough")
        };
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_mins(1));
    }
}
