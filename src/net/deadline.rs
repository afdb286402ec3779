//! When to stop: the time allowed and the first signal, asked in one place.
//!
//! It says only *that* a run must stop. What is then delivered is decided by the operation, and
//! the second signal is the front's business.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::protocol::{Detail, ErrorKind, Failure, Signal};

/// Tells every run of the process that it was told to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CancelSignal(Arc<watch::Sender<Option<Signal>>>);

impl Default for CancelSignal {
    fn default() -> Self {
        CancelSignal(Arc::new(watch::Sender::new(None)))
    }
}

impl CancelSignal {
    /// Stops the runs. Only the first signal counts; returns whether this is the first.
    pub fn raise(&self, signal: Signal) -> bool {
        self.0.send_if_modified(|raised| {
            let first = raised.is_none();
            *raised = raised.or(Some(signal));
            first
        })
    }

    /// The signal, if one was raised.
    pub fn raised(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Returns when it was raised.
    pub async fn wait(&self) {
        // The sender is held here, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

/// When one run must stop.
#[derive(Clone, Debug)]
pub struct Deadline {
    limit: Duration,
    /// `None`: further away than the clock reaches.
    ends: Option<Instant>,
    signal: watch::Receiver<Option<Signal>>,
}

impl Deadline {
    /// Stops after `limit` from now, or when the signal is raised.
    pub fn new(limit: Duration, signal: &CancelSignal) -> Self {
        Deadline::since(std::time::Instant::now(), limit, signal)
    }

    /// Stops when `limit` has passed since `started`, or when the signal is raised.
    pub fn since(started: std::time::Instant, limit: Duration, signal: &CancelSignal) -> Self {
        Deadline {
            limit,
            ends: Instant::from_std(started).checked_add(limit),
            signal: signal.0.subscribe(),
        }
    }

    /// May something new be begun? `attempt` says what.
    pub fn ask(&self, attempt: &str) -> Result<(), Failure> {
        if let Some(signal) = *self.signal.borrow() {
            return Err(stopped(signal, &format!("before {attempt}")));
        }
        match self.ends {
            Some(ends) if Instant::now() >= ends => {
                Err(self.timed_out(&format!("before {attempt}")))
            }
            _ => Ok(()),
        }
    }

    /// The work's own outcome, or at once a timeout or cancelled failure.
    pub async fn race<T>(
        &self,
        attempt: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.ask(attempt)?;
        let during = format!("during {attempt}");
        tokio::select! {
            biased;
            outcome = work => outcome,
            signal = self.raised() => Err(stopped(signal, &during)),
            () = self.expired() => Err(self.timed_out(&during)),
        }
    }

    /// Would so long a wait end in time?
    pub fn allows(&self, wait: Duration) -> bool {
        self.ends.is_none_or(|ends| {
            Instant::now()
                .checked_add(wait)
                .is_some_and(|end| end < ends)
        })
    }

    async fn raised(&self) -> Signal {
        let mut signal = self.signal.clone();
        let raised = match signal.wait_for(Option::is_some).await {
            Ok(raised) => *raised,
            Err(_) => None,
        };
        match raised {
            Some(raised) => raised,
            // The sender is gone: nobody can raise it any more.
            None => std::future::pending().await,
        }
    }

    async fn expired(&self) {
        match self.ends {
            Some(ends) => sleep_until(ends).await,
            None => std::future::pending().await,
        }
    }

    fn timed_out(&self, when: &str) -> Failure {
        let limit = self.limit.as_millis();
        Failure::new(
            ErrorKind::Timeout,
            format!("The {limit} ms allowed ran out {when}."),
        )
    }
}

/// The failure of a run that a signal stopped.
pub fn stopped(signal: Signal, when: &str) -> Failure {
    let message = format!("Stopped by {} {when}.", signal.name());
    Failure::new(ErrorKind::Cancelled, message).with_detail(Detail::Stopped(signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime")
            .block_on(work)
    }

    #[test]
    fn time_that_ran_out_ends_the_work_at_once() {
        let deadline = Deadline::new(Duration::from_millis(20), &CancelSignal::default());
        let failure = run(deadline.race("GET /x", std::future::pending::<Result<(), Failure>>()))
            .expect_err("out of time");
        assert_eq!(failure.kind(), ErrorKind::Timeout);
        assert_eq!(
            failure.message(),
            "The 20 ms allowed ran out during GET /x."
        );
        let late = deadline.ask("GET /y").expect_err("too late to begin");
        assert_eq!(late.message(), "The 20 ms allowed ran out before GET /y.");
    }

    #[test]
    fn the_first_signal_counts_and_is_named() {
        let signal = CancelSignal::default();
        let deadline = Deadline::new(Duration::MAX, &signal);
        assert!(deadline.ask("GET /x").is_ok());
        signal.raise(Signal::Terminate);
        signal.raise(Signal::Interrupt);
        let failure =
            run(deadline.race("GET /x", async { Ok(()) })).expect_err("nothing new begins");
        assert_eq!(failure.kind(), ErrorKind::Cancelled);
        assert_eq!(failure.message(), "Stopped by SIGTERM before GET /x.");
    }

    #[test]
    fn a_signal_during_the_work_ends_it() {
        let signal = CancelSignal::default();
        let deadline = Deadline::new(Duration::from_mins(1), &signal);
        let failure = run(async {
            let work = std::future::pending::<Result<(), Failure>>();
            let raise = async { signal.raise(Signal::Interrupt) };
            futures_util::future::join(deadline.race("GET /x", work), raise)
                .await
                .0
        });
        let failure = failure.expect_err("stopped");
        assert_eq!(failure.message(), "Stopped by SIGINT during GET /x.");
    }
}
