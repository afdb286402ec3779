//! How the user of a world answers a device code. The rules of the flow are in
//! `login/device_code.rs`.

use schemars::JsonSchema;
use serde::Deserialize;

/// How the user answers a device code, and the times of device codes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceSignIn {
    /// What the user does: `approve` (default), `decline` or `never`.
    pub decision: Decision,
    /// The number of token requests for a code before the user decides. Each is answered with
    /// `authorization_pending`. Default 1.
    pub after_polls: u64,
    /// The time before the user decides, in seconds after the code was issued. Default 0.
    pub after_seconds: u32,
    /// The number of token requests for a code that are answered with `slow_down`, before all
    /// others. Default 0.
    pub slow_down_polls: u64,
    /// The user who signs in. Default: the user of the authorization endpoint.
    pub user: Option<String>,
    /// The `expires_in` of device codes. Default 900. 0: expired when issued.
    pub lifetime_seconds: u32,
    /// The `interval` between token requests. 0 to 300, default 5.
    pub interval_seconds: u32,
}

/// What the user does with a device code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Signs in and consents.
    #[default]
    Approve,
    /// Declines (`authorization_declined`).
    Decline,
    /// Does nothing until the code expires.
    Never,
}

impl Default for DeviceSignIn {
    fn default() -> Self {
        Self {
            decision: Decision::Approve,
            after_polls: 1,
            after_seconds: 0,
            slow_down_polls: 0,
            user: None,
            lifetime_seconds: 900,
            interval_seconds: 5,
        }
    }
}
