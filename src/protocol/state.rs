//! The state that a result returns and the next request sends back: versioned, limited in size,
//! without secrets.
//!
//! Opaque to callers. The scope is a fingerprint of connection and inputs: only the same command on
//! the same connection can resume from a state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The maximum size of a state, in bytes of JSON.
pub const MAX_BYTES: usize = 64 * 1024;

/// The version that this host writes.
pub const VERSION: u32 = 1;

/// Where the next run resumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this format.
    pub state: u32,
    /// Fingerprint of the connection and the inputs.
    pub scope: String,
    /// The operation's checkpoint.
    pub resume: Map<String, Value>,
    /// What detection rules remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Value>,
}

impl State {
    /// Creates a state of the current version.
    pub fn new(scope: impl Into<String>, resume: Map<String, Value>) -> Self {
        State {
            state: VERSION,
            scope: scope.into(),
            resume,
            rules: None,
        }
    }

    /// The size in bytes of JSON.
    pub fn size(&self) -> usize {
        serde_json::to_string(self).map_or(0, |text| text.len())
    }

    /// Removes and returns what rules remember if the state is too large with it.
    pub fn take_excess(&mut self) -> Option<Value> {
        if self.rules.is_none() || self.size() <= MAX_BYTES {
            return None;
        }
        self.rules.take()
    }
}
