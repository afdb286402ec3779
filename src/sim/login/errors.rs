//! The errors of sign-in and their bodies. Numbers and texts are in `errors.json`.
//!
//! Which error a request gets is decided by the other files of `login`.

use std::sync::LazyLock;

use serde_json::json;

use crate::sim::error_table::ErrorTable;
use crate::sim::server::call::{Answer, Call};
use crate::sim::site::Site;
use crate::sim::world::Separator;

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
    /// The HTTP status.
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
    /// The same error at the discovery endpoint, which calls a missing tenant by another name.
    pub(super) fn at_discovery(mut self) -> Self {
        if self.number == 90002 {
            "invalid_tenant".clone_into(&mut self.error);
        }
        self
    }

    /// The text with its number before it and the traces behind it.
    pub(super) fn description(&self, site: &Site, call: &Call) -> String {
        let gap = match site.world.error_separator {
            Separator::Space => " ",
            Separator::Crlf => "\r\n",
        };
        let (trace, correlation) = (site.id_of("request", call), correlation(site, call));
        format!(
            "AADSTS{}: {}{gap}Trace ID: {trace}{gap}Correlation ID: {correlation}{gap}Timestamp: {}",
            self.number,
            self.text,
            stamp(site)
        )
    }

    /// The page that tells it to a person.
    pub(super) fn page(&self, site: &Site, call: &Call) -> String {
        let text = self.description(site, call);
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        format!("<!DOCTYPE html><html><title>Sign in</title><body><p>{text}</p></body></html>")
    }

    /// The answer that tells it. Its trace id is the `x-ms-request-id` of the headers.
    pub(super) fn answer(&self, site: &Site, call: &Call) -> Answer {
        let mut body = json!({
            "error": self.error,
            "error_description": self.description(site, call),
            "error_codes": [self.number],
            "timestamp": stamp(site),
            "trace_id": site.id_of("request", call),
            "correlation_id": correlation(site, call),
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        });
        if self.number == 65001 {
            body["suberror"] = json!("consent_required");
        }
        Answer::new(self.status, body.to_string())
    }
}

fn stamp(site: &Site) -> String {
    site.now().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// What the service calls the exchange: the caller's `client-request-id`, or one of its own.
fn correlation(site: &Site, call: &Call) -> String {
    let own = || site.id_of("correlation", call);
    call.header("client-request-id")
        .map_or_else(own, str::to_owned)
}
