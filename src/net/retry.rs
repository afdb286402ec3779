//! Which failures are retried, and after which wait.
//!
//! Depends on the kind of a failure, not on the codes of a service. Does not wait or send:
//! [`Caller`](super::Caller) does.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use crate::net::memory::is_memory;
use crate::protocol::{Detail, ErrorKind, Failure};

/// When and how often requests are retried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The first wait after a failure of the network or the service. Doubled each time.
    pub first: Duration,
    /// The first wait after a throttled request without a requested wait. Doubled each time.
    pub throttled: Duration,
    /// The longest wait that the service did not request.
    pub longest: Duration,
    /// The maximum number of attempts.
    pub attempts: usize,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            first: Duration::from_millis(100),
            throttled: Duration::from_secs(1),
            longest: Duration::from_secs(10),
            attempts: 8,
        }
    }
}

impl RetryPolicy {
    /// The default number of attempts with short waits, for the simulator.
    pub fn fast() -> Self {
        RetryPolicy {
            first: Duration::from_millis(1),
            throttled: Duration::from_millis(1),
            longest: Duration::from_millis(2),
            ..RetryPolicy::default()
        }
    }
}

/// When a request can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Never: the operation itself sends it again.
    Never,
    /// After every transient failure, because it changes nothing.
    Safe,
    /// Only after a response: it changes nothing, but a missing endpoint stays missing.
    AfterAnswer,
    /// Only after a response that reports that nothing was changed, because it changes something.
    AfterRefusal,
}

/// Returns whether the same request can succeed later and can safely be sent again.
pub fn is_transient(failure: &Failure, repeat: Repeat) -> bool {
    let safe = repeat != Repeat::AfterRefusal;
    match failure.kind() {
        _ if repeat == Repeat::Never => false,
        ErrorKind::Network if repeat == Repeat::AfterAnswer => false,
        ErrorKind::Network if failure.detail() == Some(Detail::Permanent) => false,
        // A throttled request was not executed.
        ErrorKind::Throttled => true,
        // 408 and 5xx, an interrupted connection, an attempt that took too long.
        ErrorKind::Unavailable | ErrorKind::Network => safe,
        // A body that was truncated or damaged in transit, but not one that exceeds a limit.
        ErrorKind::BadResponse => {
            let status = failure.http_status();
            let whole = status.is_none_or(|status| (200..300).contains(&status));
            let unchanged = failure.detail() == Some(Detail::Permanent) || is_memory(failure);
            safe && whole && !unchanged
        }
        _ => false,
    }
}

/// The waits between the attempts of one request.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: RetryPolicy,
    usual: ExponentialBackoff,
    throttled: ExponentialBackoff,
}

impl Backoff {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        let schedule = |first: Duration| {
            ExponentialBuilder::default()
                .with_min_delay(first)
                .with_max_delay(policy.longest)
                .with_factor(2.0)
                .with_max_times(policy.attempts.saturating_sub(1))
                .build()
        };
        Backoff {
            policy,
            usual: schedule(policy.first),
            throttled: schedule(policy.throttled),
        }
    }

    /// The wait before the next attempt. `None` if there is none. A wait that the service requested
    /// is kept in full. Other waits are random, so that hosts that failed together do not retry
    /// together.
    pub(super) fn next(&mut self, failure: &Failure) -> Option<Duration> {
        // Both advance, because each attempt counts for both.
        let (usual, throttled) = (self.usual.next()?, self.throttled.next()?);
        let spread = |span: Duration| span.mul_f64(fastrand::f64());
        Some(match failure.wait() {
            Some(requested) => requested + spread(self.policy.first),
            None if failure.kind() == ErrorKind::Throttled => spread(throttled),
            None => spread(usual),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_is_retried_only_if_it_was_throttled() {
        use ErrorKind as K;
        for (kind, safe, write) in [
            (K::Throttled, true, true),
            (K::Unavailable, true, false),
            (K::Network, true, false),
            (K::BadResponse, true, false),
            (K::AuthFailed, false, false),
            (K::Forbidden, false, false),
            (K::Rejected, false, false),
            (K::Timeout, false, false),
            (K::Cancelled, false, false),
        ] {
            let failure = Failure::new(kind, "x");
            assert_eq!(is_transient(&failure, Repeat::Safe), safe, "{kind:?}");
            assert_eq!(
                is_transient(&failure, Repeat::AfterRefusal),
                write,
                "{kind:?}"
            );
        }
        let large = Failure::new(K::BadResponse, "x").with_detail(Detail::Permanent);
        assert!(!is_transient(&large, Repeat::Safe));
    }

    #[test]
    fn waits_grow_up_to_the_maximum_and_end() {
        let policy = RetryPolicy::default();
        let failure = Failure::new(ErrorKind::Unavailable, "x");
        let mut backoff = Backoff::new(policy);
        let mut bound = policy.first;
        for _ in 1..policy.attempts {
            let wait = backoff.next(&failure).expect("another attempt");
            assert!(wait <= bound, "{wait:?} after at most {bound:?}");
            bound = (bound * 2).min(policy.longest);
        }
        assert_eq!(backoff.next(&failure), None);
    }

    #[test]
    fn requested_wait_is_kept_in_full() {
        let requested = Duration::from_secs(7);
        let failure = Failure::new(ErrorKind::Throttled, "x").retry_after(Some(requested));
        let wait = Backoff::new(RetryPolicy::default())
            .next(&failure)
            .expect("a wait");
        assert!(wait >= requested && wait <= requested + RetryPolicy::default().first);
    }
}
