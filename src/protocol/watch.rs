//! When work that never waits must stop: compiling a mapping, mapping, presenting.
//!
//! Such work calls [`Watch::check`] at intervals. What it is stopped by (a deadline, a signal, a
//! budget of bytes) is decided by the caller, so the work itself knows no clock.

use std::fmt;

use crate::protocol::Failure;

/// Decides whether work goes on.
#[derive(Clone, Copy)]
pub struct Watch<'a>(Option<&'a dyn Fn(usize) -> Result<(), Failure>>);

impl<'a> Watch<'a> {
    /// Work that `stop` ends. It gets the bytes that were made since the last call.
    pub fn new(stop: &'a dyn Fn(usize) -> Result<(), Failure>) -> Self {
        Watch(Some(stop))
    }

    /// Work that nothing ends.
    pub fn unlimited() -> Self {
        Watch(None)
    }

    /// Fails if the work must stop. `made` is the bytes that were made since the last call.
    pub fn check(self, made: usize) -> Result<(), Failure> {
        self.0.map_or(Ok(()), |stop| stop(made))
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Watch"
        } else {
            "Watch(unlimited)"
        })
    }
}
