//! Stops work that never waits: compiling a mapping, mapping, presenting.
//!
//! The work calls [`Watch::check`] at intervals. The caller decides what stops it (a deadline, a
//! signal, a memory budget), so the work itself uses no clock.

use std::fmt;

use crate::protocol::Failure;

/// Checks whether work must stop.
#[derive(Clone, Copy)]
pub struct Watch<'a>(Option<&'a dyn Fn(usize) -> Result<(), Failure>>);

impl<'a> Watch<'a> {
    /// Stops when `stop` fails. `stop` gets the number of bytes produced since its last call.
    pub fn new(stop: &'a dyn Fn(usize) -> Result<(), Failure>) -> Self {
        Watch(Some(stop))
    }

    /// Never stops.
    pub fn unlimited() -> Self {
        Watch(None)
    }

    /// Fails if the work must stop. `made` is the number of bytes produced since the last call.
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
