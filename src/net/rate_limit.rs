//! Rate limits of the services, shared by all runs of the process.
//!
//! A rate limit has a rate, if the service documents one, and a pause, if the service requested
//! one. Returns how long to wait and never waits itself.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};

/// A quota of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Its unique name: service, tenant, publisher.
    pub name: String,
    /// The rate.
    pub rate: Rate,
}

/// The number of requests that a rate limit admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Any number.
    Unlimited,
    /// This number for each minute.
    PerMinute(NonZeroU32),
    /// A burst of this size, then one request per minute.
    Burst(NonZeroU32),
}

impl RateLimit {
    /// A rate limit without a rate. It only pauses.
    pub fn unlimited(name: impl Into<String>) -> Self {
        RateLimit {
            name: name.into(),
            rate: Rate::Unlimited,
        }
    }
}

/// The rate limits of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RateLimiter(Arc<Mutex<HashMap<String, Arc<State>>>>);

#[derive(Debug)]
struct State {
    rate: Option<DefaultDirectRateLimiter>,
    pause_ends: Mutex<Option<Instant>>,
}

/// Why a request must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The service requested a pause.
    Pause(Duration),
    /// The rate is used up.
    Rate(Duration),
}

impl RateLimiter {
    /// Admits a request, or returns how long to wait.
    pub(super) fn admit(&self, limit: &RateLimit) -> Result<(), Wait> {
        let state = self.state(limit);
        if let Some(left) = state.pause_left() {
            return Err(Wait::Pause(left));
        }
        let Some(rate) = &state.rate else {
            return Ok(());
        };
        rate.check()
            .map_err(|until| Wait::Rate(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Admits no request for this time.
    pub(super) fn pause(&self, limit: &RateLimit, wait: Duration) {
        let state = self.state(limit);
        let mut ends = lock(&state.pause_ends);
        let until = Instant::now().checked_add(wait);
        *ends = (*ends).max(until);
    }

    fn state(&self, limit: &RateLimit) -> Arc<State> {
        let mut states = lock(&self.0);
        if let Some(known) = states.get(&limit.name) {
            return Arc::clone(known);
        }
        let state = Arc::new(State {
            rate: quota(limit.rate).map(DefaultDirectRateLimiter::direct),
            pause_ends: Mutex::new(None),
        });
        states.insert(limit.name.clone(), Arc::clone(&state));
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
    fn longest_pause_applies_to_its_own_rate_limit() {
        let rate_limiter = RateLimiter::default();
        let (a, b) = (RateLimit::unlimited("a"), RateLimit::unlimited("b"));
        assert_eq!(rate_limiter.admit(&a), Ok(()));
        rate_limiter.pause(&a, Duration::from_hours(1));
        rate_limiter.pause(&a, Duration::from_secs(1));
        let Err(Wait::Pause(left)) = rate_limiter.clone().admit(&a) else {
            panic!("a pause")
        };
        assert!(left > Duration::from_mins(59));
        assert_eq!(rate_limiter.admit(&b), Ok(()));
    }

    #[test]
    fn rate_is_shared_by_clones() {
        let rate_limiter = RateLimiter::default();
        let limit = RateLimit {
            name: "start".to_owned(),
            rate: Rate::Burst(TWO),
        };
        assert_eq!(rate_limiter.admit(&limit), Ok(()));
        assert_eq!(rate_limiter.clone().admit(&limit), Ok(()));
        let Err(Wait::Rate(wait)) = rate_limiter.admit(&limit) else {
            panic!("two are enough")
        };
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_mins(1));
    }
}
