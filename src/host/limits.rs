//! The limits of compiling, mapping and presenting: time, signals and memory.
//!
//! These stages compute and never wait, so they check the limits at intervals.

use std::cell::RefCell;
use std::time::Duration;

use crate::net::deadline::Stage;
use crate::net::{Deadline, Grace, Held, MemoryBudget};
use crate::protocol::{ErrorKind, Failure};

/// An answer that arrives just before the deadline is still mapped, so that a fetch that times out
/// returns fewer events, not none. After a signal, the result is due in two seconds: one for
/// mapping, one for redaction.
const MAPPING: Grace = Grace {
    time: Duration::from_secs(2),
    signal: Duration::from_secs(1),
};

/// The limits of one stage.
#[derive(Debug)]
pub(super) struct StageLimits {
    stage: Stage,
    /// The memory of the produced data.
    output: RefCell<Held>,
}

impl StageLimits {
    /// The limits of compiling, before anything is sent.
    pub(super) fn of_compiling(deadline: &Deadline) -> Self {
        StageLimits {
            stage: deadline.stage("before the mapping was compiled", Grace::default()),
            output: RefCell::new(MemoryBudget::default().hold()),
        }
    }

    /// The limits of mapping and presenting. The events have a budget of the size of `memory`.
    pub(super) fn of_mapping(deadline: &Deadline, memory: &MemoryBudget) -> Self {
        StageLimits {
            stage: deadline.stage("before all records were mapped", MAPPING),
            output: RefCell::new(memory.renewed().hold()),
        }
    }

    /// Fails if the stage must stop. `grown` is the number of bytes produced since the last call.
    pub(super) fn check(&self, grown: usize) -> Result<(), Failure> {
        let in_time = self.stage.check();
        in_time.map_err(|failure| match failure.kind() {
            ErrorKind::Timeout => {
                failure.advice("Raise `options.timeout_ms`, or map fewer fields.")
            }
            _ => failure,
        })?;
        let within_budget = self.output.borrow_mut().grow(grown);
        within_budget.map_err(|full| {
            let message = "The mapped events need more memory than --max-memory allows.";
            full.reworded(message.to_owned())
                .advice("Map fewer fields, or set `options.max_events`.")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Cancel;
    use crate::protocol::Signal;

    #[test]
    fn deadline_stops_compiling_at_once_and_mapping_after_grace_period() {
        let (cancel, memory) = (Cancel::default(), MemoryBudget::new(10));
        let deadline = Deadline::new(Duration::ZERO, &cancel);
        let failure = StageLimits::of_compiling(&deadline).check(0);
        assert_eq!(failure.expect_err("late").kind(), ErrorKind::Timeout);
        let limits = StageLimits::of_mapping(&deadline, &memory);
        assert!(limits.check(6).is_ok());
        cancel.raise(Signal::Terminate);
        assert!(
            limits.check(4).is_ok(),
            "the received records are still mapped"
        );
        let full = limits.check(1).expect_err("11 of 10 bytes");
        assert!(full.message().contains("--max-memory"), "{full}");
    }
}
