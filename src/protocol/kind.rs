//! The kinds of failures, and the number, retry, usual cause and usual advice of each.
//!
//! A failure can replace cause and advice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of a failure. A new kind requires a new protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request is empty, not UTF-8 or not JSON, or has an unknown or repeated key.
    MalformedRequest,
    /// The request exceeds the size limit.
    RequestTooLarge,
    /// The host does not support the protocol version.
    UnsupportedProtocol,
    /// The integration, command, profile or mapping does not exist.
    UnknownName,
    /// An input, the connection, the state or an option is invalid.
    InvalidInput,
    /// A manifest file is invalid; `at` names the place.
    InvalidManifest,
    /// A mapping is invalid; `at` names the place.
    InvalidMapping,
    /// A secret reference is unset, empty, unreadable or not allowed.
    SecretUnavailable,
    /// The credentials were refused.
    AuthFailed,
    /// A permission is missing.
    Forbidden,
    /// The service refused the request for another reason.
    Rejected,
    /// The response is not JSON, is too large, has nothing at the root path, or links to another
    /// host.
    BadResponse,
    /// The service limits the rate of requests.
    Throttled,
    /// The service is temporarily unavailable.
    Unavailable,
    /// Name resolution, the connection or TLS failed; no response was received.
    Network,
    /// The time-out expired before anything could be delivered.
    Timeout,
    /// Another run holds the state key.
    Busy,
    /// SIGINT or SIGTERM stopped the run; the message names the signal.
    Cancelled,
    /// The host has a bug.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [ErrorKind; 19] = [
        Self::MalformedRequest,
        Self::RequestTooLarge,
        Self::UnsupportedProtocol,
        Self::UnknownName,
        Self::InvalidInput,
        Self::InvalidManifest,
        Self::InvalidMapping,
        Self::SecretUnavailable,
        Self::AuthFailed,
        Self::Forbidden,
        Self::Rejected,
        Self::BadResponse,
        Self::Throttled,
        Self::Unavailable,
        Self::Network,
        Self::Timeout,
        Self::Busy,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The status code of the kind, for failures without an HTTP status.
    pub fn number(self) -> u16 {
        match self {
            Self::MalformedRequest | Self::UnsupportedProtocol | Self::Rejected => 400,
            Self::AuthFailed => 401,
            Self::Forbidden => 403,
            Self::UnknownName => 404,
            Self::Busy => 409,
            Self::RequestTooLarge => 413,
            Self::InvalidInput | Self::InvalidManifest | Self::InvalidMapping => 422,
            Self::SecretUnavailable => 424,
            Self::Throttled => 429,
            Self::Cancelled => 499,
            Self::Internal => 500,
            Self::BadResponse => 502,
            Self::Unavailable | Self::Network => 503,
            Self::Timeout => 504,
        }
    }

    /// Can the identical request succeed later?
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::Throttled
                | Self::Unavailable
                | Self::Network
                | Self::Timeout
                | Self::Busy
                | Self::Cancelled
        )
    }

    /// The exit code of a run that fails with this kind. A cancelled run ends with the signal's code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 70,
            kind if kind.retryable() => 75,
            Self::MalformedRequest
            | Self::RequestTooLarge
            | Self::UnsupportedProtocol
            | Self::UnknownName
            | Self::InvalidInput
            | Self::InvalidManifest
            | Self::InvalidMapping
            | Self::SecretUnavailable => 2,
            _ => 1,
        }
    }

    /// The name of the kind in a result.
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::RequestTooLarge => "request_too_large",
            Self::UnsupportedProtocol => "unsupported_protocol",
            Self::UnknownName => "unknown_name",
            Self::InvalidInput => "invalid_input",
            Self::InvalidManifest => "invalid_manifest",
            Self::InvalidMapping => "invalid_mapping",
            Self::SecretUnavailable => "secret_unavailable",
            Self::AuthFailed => "auth_failed",
            Self::Forbidden => "forbidden",
            Self::Rejected => "rejected",
            Self::BadResponse => "bad_response",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// The usual cause and advice, for failures without their own.
    #[expect(clippy::too_many_lines, reason = "a table with one row for each kind")]
    pub fn usual(self) -> (&'static str, &'static str) {
        match self {
            Self::MalformedRequest => (
                "The request does not have the documented form.",
                "Correct the values at the given places. `soarhost sample` prints a valid request.",
            ),
            Self::RequestTooLarge => (
                "The request is larger than the host's limit.",
                "Send less than 16 MiB, or several requests.",
            ),
            Self::UnsupportedProtocol => (
                "The caller uses another version of the protocol.",
                "Send one of the numbers that the message lists.",
            ),
            Self::UnknownName => (
                "The name is not in the catalog or the profiles.",
                "Correct the name. `soarhost list` shows the valid names.",
            ),
            Self::InvalidInput => (
                "The request failed the checks before it was sent.",
                "Correct the values listed in `items`. Nothing was sent.",
            ),
            Self::InvalidManifest => (
                "A manifest file of the catalog is invalid.",
                "Correct the file at the given place. `soarhost validate` lists every fault.",
            ),
            Self::InvalidMapping => (
                "The mapping is invalid.",
                "Correct it at the given place. `soarhost validate` lists every fault.",
            ),
            Self::SecretUnavailable => (
                "A secret reference could not be resolved.",
                "Set the variable or file of the reference, and allow it with --allow-env or --secrets-dir.",
            ),
            Self::AuthFailed => (
                "The sign-in was refused.",
                "Check tenant, client and credential of the connection.",
            ),
            Self::Forbidden => (
                "The signed-in application does not have permission.",
                "Grant the permission and give admin consent.",
            ),
            Self::Rejected => (
                "The service refused the request.",
                "Correct the request as the service's message says.",
            ),
            Self::BadResponse => (
                "The response does not have the documented form.",
                "Send the same request again. If the failure persists, check for a proxy or gateway that responds instead of the service.",
            ),
            Self::Throttled => (
                "The service limits the rate of requests.",
                "Send the same request after `retry_after_ms`.",
            ),
            Self::Unavailable => (
                "The service is temporarily unavailable.",
                "Send the same request again later.",
            ),
            Self::Network => (
                "The service could not be reached.",
                "Check name resolution, firewall, proxy and trust roots of this machine.",
            ),
            Self::Timeout => (
                "The time-out expired before a response arrived.",
                "Send the same request again, or raise `options.timeout_ms`.",
            ),
            Self::Busy => (
                "Another process uses the same state or file.",
                "Send the same request after that process has ended.",
            ),
            Self::Cancelled => ("A signal stopped the host.", "Send the same request again."),
            Self::Internal => (
                "The host has a bug.",
                "Report it with the request and the log.",
            ),
        }
    }
}

/// Codes of a service that have the same meaning.
#[derive(Debug, Deserialize)]
pub struct CodeMeaning {
    /// The codes, as in `status_code`.
    pub codes: Vec<String>,
    /// The kind of the failure.
    pub kind: ErrorKind,
    /// The cause.
    pub cause: String,
    /// The advice.
    pub advice: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_every_kind_is_its_serialized_form() {
        for kind in ErrorKind::ALL {
            let written = serde_json::to_value(kind).expect("a kind serializes");
            assert_eq!(written, kind.name());
        }
    }
}
