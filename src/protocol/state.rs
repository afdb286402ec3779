//! The resume point that travels in the envelope: versioned, capped, never secret.
//!
//! To a caller it is opaque. Inside it is bound to a scope (a fingerprint of connection and
//! inputs), so that a state never continues something else than it came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The largest state that is accepted or returned, in bytes of JSON.
pub const MAX_BYTES: usize = 64 * 1024;

/// The version written today.
pub const VERSION: u32 = 1;

/// A resume point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this layout.
    pub state: u32,
    /// Fingerprint of what it continues.
    pub scope: String,
    /// Where to go on; the operation's business.
    pub resume: Map<String, Value>,
}

impl State {
    /// A resume point for that scope.
    pub fn new(scope: impl Into<String>, resume: Map<String, Value>) -> Self {
        State {
            state: VERSION,
            scope: scope.into(),
            resume,
        }
    }
}
