//! The requests and bytes of a run so far. The command line shows them while the run works.
//!
//! Does not measure time, and has no limits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a token came from. A later variant is more expensive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenSource {
    /// No token was needed.
    #[default]
    None,
    /// From memory.
    Memory,
    /// Stored by an earlier run.
    Vault,
    /// From a sign-in of this run.
    SignIn,
}

impl TokenSource {
    /// The name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            TokenSource::None => "none",
            TokenSource::Memory => "memory",
            TokenSource::Vault => "vault",
            TokenSource::SignIn => "sign_in",
        }
    }
}

/// The requests and bytes of a run so far, and its current activity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The current activity; empty if the run does not report it.
    pub activity: &'static str,
    /// HTTP requests sent, sign-ins included.
    pub calls: u64,
    /// Of those, repeated.
    pub retries: u64,
    /// Bytes of bodies received, after decompression.
    pub bytes_received: u64,
    /// The most expensive source of a token.
    pub token_source: TokenSource,
}

/// Counts the requests of one run. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Usage>>);

impl Meter {
    /// The counts so far.
    pub fn usage(&self) -> Usage {
        *self.count()
    }

    /// Sets the current activity.
    pub fn begin(&self, activity: &'static str) {
        self.count().activity = activity;
    }

    pub(super) fn count(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
