//! The errors of sign-in and their bodies. Numbers and texts are in `errors.json`.
//!
//! Which error a request gets is decided by the other files of `login`.

use std::sync::LazyLock;

use serde_json::json;

use crate::sim::context::Context;
use crate::sim::error_table::ErrorTable;
use crate::sim::server::call::{Answer, Call};

static TABLE: LazyLock<ErrorTable> =
    LazyLock::new(|| ErrorTable::parse(include_str!("errors.json")));

/// A refused sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The number after `AADSTS`.
    pub(super) number: u32,
    /// The error name of OAuth.
    pub(super) error: String,
    /// The text without number and trace.
    pub(super) text: String,
    pub(super) status: u16,
}

/// The error with this number.
pub(super) fn refused(number: u32, arguments: &[&str]) -> Refused {
    refused_as(&number.to_string(), arguments)
}

/// The error with this id in the table, where a number has several texts.
pub(super) fn refused_as(id: &str, arguments: &[&str]) -> Refused {
    let entry = TABLE.entry(id, arguments);
    Refused {
        number: entry.code.parse().unwrap_or_default(),
        error: entry.error,
        text: entry.text,
        status: entry.status,
    }
}

impl Refused {
    /// The error of the discovery endpoint, which has another name for a missing tenant.
    pub(super) fn at_discovery(mut self) -> Self {
        if self.number == 90002 {
            "invalid_tenant".clone_into(&mut self.error);
        }
        self
    }

    /// The text with its number and the trace ids.
    pub(super) fn description(&self, context: &Context, call: &Call) -> String {
        let (trace, correlation) = (context.id_of("request", call), correlation(context, call));
        format!(
            "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {}",
            self.number,
            self.text,
            stamp(context)
        )
    }

    /// The error page for a user.
    pub(super) fn page(&self, context: &Context, call: &Call) -> String {
        let text = self.description(context, call);
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        format!("<!DOCTYPE html><html><title>Sign in</title><body><p>{text}</p></body></html>")
    }

    /// The response. Its trace id is the `x-ms-request-id` header.
    pub(super) fn answer(&self, context: &Context, call: &Call) -> Answer {
        let mut body = json!({
            "error": self.error,
            "error_description": self.description(context, call),
            "error_codes": [self.number],
            "timestamp": stamp(context),
            "trace_id": context.id_of("request", call),
            "correlation_id": correlation(context, call),
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        });
        if self.number == 65001 {
            body["suberror"] = json!("consent_required");
        }
        Answer::new(self.status, body.to_string())
    }
}

fn stamp(context: &Context) -> String {
    context.now().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The correlation id: the caller's `client-request-id`, or a generated one.
fn correlation(context: &Context, call: &Call) -> String {
    let is_own = || context.id_of("correlation", call);
    call.header("client-request-id")
        .map_or_else(is_own, str::to_owned)
}
