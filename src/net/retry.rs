//! Which failures are tried again, and after how long.
//!
//! The services' own tables say what a code means (`classify`); what that means for a repeat is one
//! `match` here, over the kind that a failure has. Waiting and sending is [`Caller`](super::Caller)'s
//! part; nothing here knows the time.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use crate::net::memory::is_memory;
use crate::protocol::{Detail, ErrorKind, Failure};

/// How patiently requests are repeated.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The first wait after a fault of the network or the service; doubled each time.
    pub first: Duration,
    /// The first wait after a service asked to slow down without saying how long.
    pub throttled: Duration,
    /// The longest wait that is of our own choosing.
    pub longest: Duration,
    /// How often one request is sent at most.
    pub attempts: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            first: Duration::from_millis(100),
            throttled: Duration::from_secs(1),
            longest: Duration::from_secs(10),
            attempts: 8,
        }
    }
}

impl Pace {
    /// As many attempts without the waits: for services on this machine that are told to fail.
    pub fn hurried() -> Self {
        Pace {
            first: Duration::from_millis(1),
            throttled: Duration::from_millis(1),
            longest: Duration::from_millis(2),
            ..Pace::default()
        }
    }
}

/// May a request be sent again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is sent once; the caller decides when it is sent again.
    Never,
    /// It changes nothing: whatever happened, it may be sent again.
    Safe,
    /// It changes nothing, but where nobody answers nobody will: an answer allows a repeat.
    AfterAnswer,
    /// It changes something: only an answer that says that nothing was done allows a repeat.
    AfterRefusal,
}

/// Might the same request succeed after that failure, and is it safe to send it again?
pub fn is_passing(failure: &Failure, repeat: Repeat) -> bool {
    let safe = repeat != Repeat::AfterRefusal;
    match failure.kind() {
        _ if repeat == Repeat::Never => false,
        ErrorKind::Network if repeat == Repeat::AfterAnswer => false,
        ErrorKind::Network if failure.detail() == Some(Detail::Permanent) => false,
        // Slowed down means: not done.
        ErrorKind::Throttled => true,
        // 408 and 5xx, a connection that broke, an attempt that took too long.
        ErrorKind::Unavailable | ErrorKind::Network => safe,
        // A body that was cut or garbled on its way; not one that breaks a rule of ours.
        ErrorKind::BadResponse => {
            let status = failure.http_status();
            let whole = status.is_none_or(|status| (200..300).contains(&status));
            let unchanged = failure.detail() == Some(Detail::Permanent) || is_memory(failure);
            safe && whole && !unchanged
        }
        _ => false,
    }
}

/// The waits of one request, one after each attempt but the last.
#[derive(Debug)]
pub(super) struct Waits {
    pace: Pace,
    usual: ExponentialBackoff,
    throttled: ExponentialBackoff,
}

impl Waits {
    pub(super) fn new(pace: Pace) -> Self {
        let schedule = |first: Duration| {
            ExponentialBuilder::default()
                .with_min_delay(first)
                .with_max_delay(pace.longest)
                .with_factor(2.0)
                .with_max_times(pace.attempts.saturating_sub(1))
                .build()
        };
        Waits {
            pace,
            usual: schedule(pace.first),
            throttled: schedule(pace.throttled),
        }
    }

    /// How long to wait before the next attempt, if there is to be one. What the service asked for
    /// is waited for in full; what is of our own choosing is spread over the whole span, so that
    /// hosts which failed together do not come again together.
    pub(super) fn next(&mut self, failure: &Failure) -> Option<Duration> {
        // Both move on, so that the attempts are counted together.
        let (usual, throttled) = (self.usual.next()?, self.throttled.next()?);
        let spread = |span: Duration| span.mul_f64(fastrand::f64());
        Some(match failure.wait() {
            Some(asked) => asked + spread(self.pace.first),
            None if failure.kind() == ErrorKind::Throttled => spread(throttled),
            None => spread(usual),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_repeated_only_when_it_was_refused_for_now() {
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
            assert_eq!(is_passing(&failure, Repeat::Safe), safe, "{kind:?}");
            assert_eq!(
                is_passing(&failure, Repeat::AfterRefusal),
                write,
                "{kind:?}"
            );
        }
        let large = Failure::new(K::BadResponse, "x").with_detail(Detail::Permanent);
        assert!(!is_passing(&large, Repeat::Safe));
    }

    #[test]
    fn waits_grow_within_their_bounds_and_end() {
        let pace = Pace::default();
        let failure = Failure::new(ErrorKind::Unavailable, "x");
        let mut waits = Waits::new(pace);
        let mut bound = pace.first;
        for _ in 1..pace.attempts {
            let wait = waits.next(&failure).expect("another attempt");
            assert!(wait <= bound, "{wait:?} after at most {bound:?}");
            bound = (bound * 2).min(pace.longest);
        }
        assert_eq!(waits.next(&failure), None);
    }

    #[test]
    fn what_the_service_asked_for_is_waited_for_in_full() {
        let asked = Duration::from_secs(7);
        let failure = Failure::new(ErrorKind::Throttled, "x").retry_after(Some(asked));
        let wait = Waits::new(Pace::default()).next(&failure).expect("a wait");
        assert!(wait >= asked && wait <= asked + Pace::default().first);
    }
}
