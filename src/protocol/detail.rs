//! Details of a failure beyond its kind, for other modules, and the signals that stop a run.
//!
//! They do not appear in a result; the message says the same in words.

/// A detail of a failure beyond its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A dry run: the request was recorded instead of sent.
    DryRun,
    /// A signal stopped the run.
    Stopped(Signal),
    /// The same request would fail in the same way.
    Permanent,
    /// The memory budget of the run is used up.
    MemoryUsedUp,
    /// The service stated the reason of a refusal, and it is not a missing permission.
    StatedReason,
}

impl Detail {
    /// The signal that stopped the run, if one did.
    pub fn signal(self) -> Option<Signal> {
        match self {
            Detail::Stopped(signal) => Some(signal),
            _ => None,
        }
    }
}

/// A signal that stops a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`, Ctrl-C.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
}

impl Signal {
    /// The name as messages show it.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        }
    }

    /// The exit code of a process that the signal stopped.
    pub fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }
}
