//! The result: eighteen keys, always all of them, always in this order.
//!
//! This module holds their shape and the exit code that follows from them; what they say is
//! decided by `host` and `output`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::Document;
use crate::protocol::envelope::Meta;
use crate::protocol::failure::{ErrorBlock, ErrorKind};
use crate::protocol::{Coverage, Event, Signal, State};

/// One command's answer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ResultEnvelope {
    /// Major version of the protocol.
    pub protocol: u64,
    /// The request's id, or the generated one; null only when the input was unreadable.
    pub id: Option<String>,
    /// Full `id@version` of the integration used.
    pub integration: Option<String>,
    /// Canonical id of the command, whatever spelling was sent.
    pub command: Option<String>,
    /// How it went.
    pub return_data: ReturnData,
    /// One plain sentence for a person.
    pub result: String,
    /// What went wrong; null if and only if Successful.
    pub error: Option<ErrorBlock>,
    /// Mapped events; null: this command makes none, or not asked for; empty: none found.
    pub events: Option<Vec<Event>>,
    /// Indicators by name, deduplicated.
    pub key_fields: Option<KeyFields>,
    /// What playbooks address by path, in the product's documented shape.
    #[schemars(with = "Value")]
    pub context_data: Option<Document>,
    /// The service's body; pages are joined at the items path into the first body.
    #[schemars(with = "Value")]
    pub raw_data: Option<Document>,
    /// Markdown for a person.
    pub readable: Option<String>,
    /// Is the run complete?
    pub coverage: Option<Coverage>,
    /// Store it if it is not null, and send it next time.
    pub state: Option<State>,
    /// There is more to fetch now: call again with this `state`.
    pub more: bool,
    /// What a person should know although it did not fail.
    pub warnings: Vec<Warning>,
    /// Everything that may differ between two runs.
    pub metrics: Metrics,
    /// The request's free-form place.
    #[schemars(with = "Map<String, Value>")]
    pub meta: Meta,
}

/// How a command went, in the words of its playbooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ReturnData {
    /// Everything that was asked for.
    Successful,
    /// Something, and `error` says what is missing.
    #[serde(rename = "Partially Successful")]
    PartiallySuccessful,
    /// Nothing.
    Failed,
}

/// Indicators: each name with its distinct values as JSON.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct KeyFields(#[schemars(with = "BTreeMap<String, Vec<Value>>")] pub Document);

/// What a person should know although nothing failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Warning {
    /// What a program may branch on.
    pub code: String,
    /// One or two sentences.
    pub message: String,
    /// The place, if it has one.
    pub at: Option<String>,
}

impl Warning {
    /// A warning without a place.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Warning {
            code: code.to_owned(),
            message: message.into(),
            at: None,
        }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.at = Some(at.into());
        self
    }
}

/// Everything that may differ between two runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Metrics {
    /// Version of the host.
    pub host_version: &'static str,
    /// Wall time from the first byte read to the result, in milliseconds.
    pub duration_ms: u64,
    /// HTTP requests sent, sign-ins included.
    pub calls: u64,
    /// Of those, repeated.
    pub retries: u64,
    /// Bytes received, after decompression.
    pub bytes_received: u64,
    /// Where the tokens came from: `none`, `memory`, `vault` (kept by an earlier run), `sign_in`;
    /// of several the dearest, which is the later in this list.
    pub token_source: &'static str,
    /// Records received.
    pub records: u64,
    /// Events made.
    pub events: u64,
}

impl ResultEnvelope {
    /// The exit code, a function of the result.
    pub fn exit_code(&self) -> u8 {
        let Some(error) = &self.error else { return 0 };
        match (error.kind, self.return_data) {
            (ErrorKind::Cancelled, _) => error.stopped_by.unwrap_or(Signal::Terminate).exit_code(),
            (_, ReturnData::PartiallySuccessful) => 3,
            (ErrorKind::Internal, _) => 70,
            (kind, _) if kind.retryable() => 75,
            (kind, _) if before_sending(kind) => 2,
            _ => 1,
        }
    }
}

/// Kinds that are decided before anything is sent.
fn before_sending(kind: ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(
        kind,
        K::MalformedRequest
            | K::RequestTooLarge
            | K::UnsupportedProtocol
            | K::UnknownName
            | K::InvalidInput
            | K::InvalidManifest
            | K::InvalidMapping
            | K::SecretUnavailable
    )
}

/// The more serious of two exit codes, for a batch.
pub fn more_serious(a: u8, b: u8) -> u8 {
    const ORDER: [u8; 8] = [143, 130, 70, 2, 1, 75, 3, 0];
    let rank = |code: u8| ORDER.iter().position(|known| *known == code).unwrap_or(0);
    if rank(a) <= rank(b) { a } else { b }
}
