//! When the stages that never wait must stop: compiling, mapping, presenting.
//!
//! Requests to a service end with the deadline of `net`. These stages use the processor alone, so
//! they ask at intervals. An answer that came just before the deadline still has a moment to be
//! mapped: a timed-out fetch is a shorter fetch, and not one without events.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::host::Cancel;
use crate::net::deadline::stopped;
use crate::net::{Held, MemoryBudget};
use crate::protocol::{ErrorKind, Failure};

/// How long an answer may be mapped after the deadline.
const AFTER_DEADLINE: Duration = Duration::from_secs(2);

/// How long an answer may be mapped after a signal: the result is due two seconds after it.
const AFTER_SIGNAL: Duration = Duration::from_secs(1);

/// The limits of the stages of one request that use the processor alone.
#[derive(Debug)]
pub(super) struct Stop<'a> {
    stage: &'static str,
    allowed: Duration,
    /// `None`: further away than the clock reaches.
    ends: Option<Instant>,
    signal: Option<&'a Cancel>,
    signalled: Cell<Option<Instant>>,
    made: RefCell<Held>,
}

impl<'a> Stop<'a> {
    /// Of the stages before anything is sent: they end at the deadline.
    pub(super) fn before(started: Instant, allowed: Duration) -> Self {
        Stop {
            stage: "before the mapping was compiled",
            allowed,
            ends: started.checked_add(allowed),
            signal: None,
            signalled: Cell::new(None),
            made: RefCell::new(MemoryBudget::default().hold()),
        }
    }

    /// Of the stages after the answer came. The events that they make have a budget of their own, of
    /// the size of `memory`.
    pub(super) fn after(
        (started, allowed): (Instant, Duration),
        signal: &'a Cancel,
        memory: &MemoryBudget,
    ) -> Self {
        let late = Instant::now().checked_add(AFTER_DEADLINE);
        Stop {
            stage: "before all records were mapped",
            ends: started
                .checked_add(allowed)
                .map(|ends| late.map_or(ends, |late| ends.max(late))),
            signal: Some(signal),
            made: RefCell::new(memory.renewed().hold()),
            ..Stop::before(started, allowed)
        }
    }

    /// Fails if the work must stop; `made` is the bytes that it made since the last call.
    pub(super) fn check(&self, made: usize) -> Result<(), Failure> {
        let now = Instant::now();
        if let Some(signal) = self.signal.and_then(Cancel::raised) {
            let first = self.signalled.get().unwrap_or(now);
            self.signalled.set(Some(first));
            if now >= first + AFTER_SIGNAL {
                return Err(stopped(signal, self.stage));
            }
        }
        if self.ends.is_some_and(|ends| now >= ends) {
            let (limit, stage) = (self.allowed.as_millis(), self.stage);
            let message = format!("The {limit} ms allowed ran out {stage}.");
            return Err(Failure::new(ErrorKind::Timeout, message)
                .advice("Raise `options.timeout_ms`, or map fewer fields."));
        }
        let grown = self.made.borrow_mut().grow(made);
        grown.map_err(|full| {
            let message = "The mapping makes more data of the records than --max-memory allows.";
            full.reworded(message.to_owned())
                .advice("Map fewer fields, or set `options.max_events`.")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Signal;

    #[test]
    fn deadline_of_zero_ends_compiling_and_leaves_an_answer_a_moment() {
        let started = Instant::now();
        let failure = Stop::before(started, Duration::ZERO).check(0);
        assert_eq!(failure.expect_err("late").kind(), ErrorKind::Timeout);
        let (signal, memory) = (Cancel::default(), MemoryBudget::new(10));
        let stop = Stop::after((started, Duration::ZERO), &signal, &memory);
        assert!(stop.check(6).is_ok());
        signal.raise(Signal::Terminate);
        assert!(stop.check(4).is_ok(), "a result is still made of what came");
        let full = stop.check(1).expect_err("11 of 10 bytes");
        assert!(full.message().contains("--max-memory"), "{full}");
    }

    #[test]
    fn deadline_beyond_the_clock_never_ends() {
        let stop = Stop::before(Instant::now(), Duration::MAX);
        assert!(stop.check(0).is_ok());
        let (signal, memory) = (Cancel::default(), MemoryBudget::default());
        let stop = Stop::after((Instant::now(), Duration::MAX), &signal, &memory);
        assert!(stop.check(0).is_ok() && stop.ends.is_none());
    }
}
