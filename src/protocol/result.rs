//! The result: eighteen keys, always all of them and in this order, and the exit code.
//!
//! `host` and `output` fill them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::Document;
use crate::protocol::envelope::Meta;
use crate::protocol::failure::{ErrorBlock, ErrorKind};
use crate::protocol::{Coverage, Event, Signal, State};

/// The result of one command.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ResultEnvelope {
    /// Major version of the protocol.
    pub protocol: u64,
    /// The request's id, or a generated one. Null only if the request was unreadable.
    pub id: Option<String>,
    /// `id@version` of the integration that was used.
    pub integration: Option<String>,
    /// Id of the command, also if the request has its display name or an alias.
    pub command: Option<String>,
    /// Did the command succeed?
    pub return_data: ReturnData,
    /// One sentence for people.
    pub result: String,
    /// Why the command failed. Null if and only if `return_data` is `Successful`.
    pub error: Option<ErrorBlock>,
    /// Mapped events. Null if the command has none or they were not requested; empty if none were
    /// found.
    pub events: Option<Vec<Event>>,
    /// Indicators by name, without duplicates.
    pub key_fields: Option<KeyFields>,
    /// Data that playbooks address by path, in the form that the integration documents.
    #[schemars(with = "Value")]
    pub context_data: Option<Document>,
    /// The service's response body. Records of further pages are added to the first page.
    #[schemars(with = "Value")]
    pub raw_data: Option<Document>,
    /// Markdown for people.
    pub readable: Option<String>,
    /// What was read, and what is missing.
    pub coverage: Option<Coverage>,
    /// Store it if it is not null, and send it with the next request.
    pub state: Option<State>,
    /// `true` if more can be fetched now: send the request again with this `state`.
    pub more: bool,
    /// Problems that did not make the command fail.
    pub warnings: Vec<Warning>,
    /// Values that can differ between two runs of the same request.
    pub metrics: Metrics,
    /// The request's `meta`, unchanged.
    #[schemars(with = "Map<String, Value>")]
    pub meta: Meta,
}

/// Did a command succeed?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ReturnData {
    /// Everything that was requested was delivered.
    Successful,
    /// A part was delivered; `error` says what is missing.
    #[serde(rename = "Partially Successful")]
    PartiallySuccessful,
    /// Nothing was delivered.
    Failed,
}

/// Indicators: the distinct values of each name.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct KeyFields(#[schemars(with = "BTreeMap<String, Vec<Value>>")] pub Document);

/// A problem that did not make the command fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Warning {
    /// A code that programs can compare.
    pub code: String,
    /// One or two sentences.
    pub message: String,
    /// The place, if it is known.
    pub at: Option<String>,
}

impl Warning {
    /// Creates a warning without a place.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Warning {
            code: code.to_owned(),
            message: message.into(),
            at: None,
        }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.at = Some(at.into());
        self
    }
}

/// Values that can differ between two runs of the same request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Metrics {
    /// Version of the host.
    pub host_version: &'static str,
    /// Time from the first byte read to the result, in milliseconds.
    pub duration_ms: u64,
    /// HTTP requests sent, including sign-ins.
    pub calls: u64,
    /// HTTP requests that were retries.
    pub retries: u64,
    /// Bytes received, after decompression.
    pub bytes_received: u64,
    /// Where the tokens came from: `none`, `memory`, `vault` (stored by an earlier run) or
    /// `sign_in`. If there were several, the one that is last in this list.
    pub token_source: &'static str,
    /// Records received.
    pub records: u64,
    /// Events created.
    pub events: u64,
}

impl ResultEnvelope {
    /// The exit code of a process that returns this result.
    pub fn exit_code(&self) -> u8 {
        let Some(error) = &self.error else { return 0 };
        match (error.kind, self.return_data) {
            (ErrorKind::Cancelled, _) => error.stopped_by.unwrap_or(Signal::Terminate).exit_code(),
            (_, ReturnData::PartiallySuccessful) => 3,
            (kind, _) => kind.exit_code(),
        }
    }
}

/// The more serious of two exit codes, for a batch.
pub fn more_serious(a: u8, b: u8) -> u8 {
    const ORDER: [u8; 8] = [143, 130, 70, 2, 1, 75, 3, 0];
    let rank = |code: u8| ORDER.iter().position(|known| *known == code).unwrap_or(0);
    if rank(a) <= rank(b) { a } else { b }
}
