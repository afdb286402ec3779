//! When work must stop: at the end of the allowed time, or after a signal.
//!
//! Decides only that work stops. Operations decide what is then delivered, and the command line
//! what a second signal does.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::protocol::{Detail, ErrorKind, Failure, Signal};

/// Stops every run of the process after a signal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<watch::Sender<Option<Raised>>>);

/// A signal, and when it came.
type Raised = (Signal, Instant);

impl Default for Cancel {
    fn default() -> Self {
        Cancel(Arc::new(watch::Sender::new(None)))
    }
}

impl Cancel {
    /// Stops the runs. Only the first signal counts; returns whether this is the first.
    pub fn raise(&self, signal: Signal) -> bool {
        self.0.send_if_modified(|raised| {
            let first = raised.is_none();
            *raised = raised.or(Some((signal, Instant::now())));
            first
        })
    }

    /// The signal, if one was raised.
    pub fn raised(&self) -> Option<Signal> {
        self.0.borrow().map(|(signal, _)| signal)
    }

    /// Waits until a signal is raised.
    pub async fn wait(&self) -> Signal {
        let mut receiver = self.0.subscribe();
        let raised = receiver.wait_for(Option::is_some).await;
        // The sender is held here, so waiting cannot fail.
        match raised.ok().and_then(|raised| *raised) {
            Some((signal, _)) => signal,
            None => std::future::pending().await,
        }
    }
}

/// When one run must stop.
#[derive(Clone, Debug)]
pub struct Deadline {
    limit: Duration,
    /// `None`: later than the clock can represent.
    ends: Option<Instant>,
    cancel: Cancel,
}

/// How long a stage may run after its limits: at least this long after its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grace {
    /// After the deadline.
    pub time: Duration,
    /// After a signal.
    pub signal: Duration,
}

/// A part of a run that computes and never waits: it asks whether it must stop.
#[derive(Clone, Debug)]
pub struct Stage {
    deadline: Deadline,
    name: &'static str,
    started: Instant,
    grace: Grace,
}

impl Stage {
    /// Fails if the stage must stop.
    pub fn check(&self) -> Result<(), Failure> {
        let (now, deadline, grace) = (Instant::now(), &self.deadline, self.grace);
        if let Some((signal, at)) = *deadline.cancel.0.borrow()
            && now >= at.max(self.started) + grace.signal
        {
            return Err(stopped(signal, self.name));
        }
        let late = self.started + grace.time;
        match deadline.ends {
            Some(ends) if now >= ends.max(late) => Err(deadline.timed_out(self.name)),
            _ => Ok(()),
        }
    }
}

impl Deadline {
    /// Stops after `limit` from now, or when a signal is raised.
    pub fn new(limit: Duration, cancel: &Cancel) -> Self {
        Deadline::since(std::time::Instant::now(), limit, cancel)
    }

    /// Stops when `limit` has passed since `started`, or when a signal is raised.
    pub fn since(started: std::time::Instant, limit: Duration, cancel: &Cancel) -> Self {
        Deadline {
            limit,
            ends: Instant::from_std(started).checked_add(limit),
            cancel: cancel.clone(),
        }
    }

    /// A stage that starts now. `name` completes "stopped …", such as "before the mapping was
    /// compiled".
    pub fn stage(&self, name: &'static str, grace: Grace) -> Stage {
        Stage {
            deadline: self.clone(),
            name,
            started: Instant::now(),
            grace,
        }
    }

    /// Fails if nothing new may start. `attempt` names what would start.
    pub fn check(&self, attempt: &str) -> Result<(), Failure> {
        if let Some(signal) = self.cancel.raised() {
            return Err(stopped(signal, &format!("before {attempt}")));
        }
        match self.ends {
            Some(ends) if Instant::now() >= ends => {
                Err(self.timed_out(&format!("before {attempt}")))
            }
            _ => Ok(()),
        }
    }

    /// Returns the work's outcome, or a `timeout` or `cancelled` failure as soon as it must stop.
    pub async fn race<T>(
        &self,
        attempt: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.check(attempt)?;
        let during = format!("during {attempt}");
        tokio::select! {
            biased;
            outcome = work => outcome,
            signal = self.cancel.wait() => Err(stopped(signal, &during)),
            () = self.expired() => Err(self.timed_out(&during)),
        }
    }

    /// True if a wait of this length ends before the deadline.
    pub fn allows(&self, wait: Duration) -> bool {
        self.ends.is_none_or(|ends| {
            Instant::now()
                .checked_add(wait)
                .is_some_and(|end| end < ends)
        })
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

fn stopped(signal: Signal, when: &str) -> Failure {
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
    fn work_ends_when_the_time_runs_out() {
        let deadline = Deadline::new(Duration::from_millis(20), &Cancel::default());
        let failure = run(deadline.race("GET /x", std::future::pending::<Result<(), Failure>>()))
            .expect_err("out of time");
        assert_eq!(failure.kind(), ErrorKind::Timeout);
        assert_eq!(
            failure.message(),
            "The 20 ms allowed ran out during GET /x."
        );
        let late = deadline.check("GET /y").expect_err("too late to begin");
        assert_eq!(late.message(), "The 20 ms allowed ran out before GET /y.");
    }

    #[test]
    fn stage_stops_after_its_grace() {
        let (now, grace) = (
            std::time::Instant::now(),
            Grace {
                time: Duration::MAX / 4,
                signal: Duration::ZERO,
            },
        );
        let cancel = Cancel::default();
        let late = Deadline::since(now, Duration::ZERO, &cancel);
        let failure = late.stage("before the end", Grace::default()).check();
        assert_eq!(
            failure.expect_err("late").message(),
            "The 0 ms allowed ran out before the end."
        );
        let stage = late.stage("before the end", grace);
        assert!(stage.check().is_ok());
        cancel.raise(Signal::Terminate);
        let failure = stage.check().expect_err("stopped");
        assert_eq!(failure.message(), "Stopped by SIGTERM before the end.");
        let endless = Deadline::since(now, Duration::MAX, &Cancel::default());
        assert!(
            endless
                .stage("before the end", Grace::default())
                .check()
                .is_ok()
        );
    }

    #[test]
    fn first_signal_is_named_in_the_failure() {
        let signal = Cancel::default();
        let deadline = Deadline::new(Duration::MAX, &signal);
        assert!(deadline.check("GET /x").is_ok());
        signal.raise(Signal::Terminate);
        signal.raise(Signal::Interrupt);
        let failure =
            run(deadline.race("GET /x", async { Ok(()) })).expect_err("nothing new begins");
        assert_eq!(failure.kind(), ErrorKind::Cancelled);
        assert_eq!(failure.message(), "Stopped by SIGTERM before GET /x.");
    }

    #[test]
    fn signal_during_the_work_ends_it() {
        let signal = Cancel::default();
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
