//! The log of requests, for snapshots. It contains no secrets: secret form fields are redacted, and
//! of a token only the audience is logged.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::sim::login::tokens::Tokens;
use crate::sim::server::call::{Call, pairs};
use crate::sim::server::routes::Service;

const LOGGED_HEADERS: [&str; 9] = [
    "accept",
    "accept-encoding",
    "prefer",
    "client-request-id",
    "content-type",
    "webhook-authid",
    "webhook-validationcode",
    "metadata",
    "x-anchormailbox",
];

/// The header whose value is a secret. Only its presence is logged.
const SECRET_HEADER: &str = "x-identity-header";

/// Form fields and parameters whose values are redacted.
const REDACTED: [&str; 7] = [
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "refresh_token",
];

/// A logged request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// The service: `login`, `graph`, `management`, `exchange`, `metadata`, `hook`, or `unknown`.
    pub service: &'static str,
    /// The method.
    pub method: String,
    /// The path below the service.
    pub path: String,
    /// The query parameters, decoded and in order.
    pub query: Vec<(String, String)>,
    /// The headers `accept`, `accept-encoding`, `prefer`, `client-request-id`, `content-type`,
    /// `webhook-authid`, `webhook-validationcode`, `metadata` and `x-anchormailbox` if they were
    /// sent;
    /// `x-identity-header` as `***`; and always `authorization`: `none`, `Bearer <audience>` or
    /// `Bearer ?`.
    pub headers: Vec<(String, String)>,
    /// The body. Forms are decoded, as `name=value&…`, with `***` for secrets.
    pub body: Option<String>,
    /// The response status; 0 if the connection was dropped.
    pub status: u16,
}

impl LoggedRequest {
    /// The logged parts of a request.
    pub(crate) fn of(service: Option<Service>, call: &Call, tokens: &Tokens) -> Self {
        let logged = LOGGED_HEADERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), call.header(name)?.to_owned())));
        let secret = call.header(SECRET_HEADER);
        let secret = secret.map(|_| (SECRET_HEADER.to_owned(), "***".to_owned()));
        let authorization = tokens.describe(call.header("authorization"));
        Self {
            service: service.map_or("unknown", Service::name),
            method: call.method.clone(),
            path: call.path.clone(),
            query: redacted(call.query.clone()),
            headers: logged
                .chain(secret)
                .chain([("authorization".to_owned(), authorization)])
                .collect(),
            body: body(call),
            status: 0,
        }
    }
}

fn body(call: &Call) -> Option<String> {
    if call.body.is_empty() {
        return None;
    }
    let kind = call.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Some(call.body.clone());
    }
    let fields = redacted(pairs(&call.body));
    let written: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Some(written.join("&"))
}

fn redacted(mut fields: Vec<(String, String)>) -> Vec<(String, String)> {
    for (name, value) in &mut fields {
        if REDACTED.contains(&name.to_ascii_lowercase().as_str()) {
            "***".clone_into(value);
        }
    }
    fields
}

/// All requests in the order of their arrival.
#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<Vec<LoggedRequest>>,
}

impl Log {
    /// Adds a request; returns its index.
    pub(crate) fn add(&self, logged: LoggedRequest) -> usize {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(logged);
        entries.len() - 1
    }

    /// Sets the response status of a request.
    pub(crate) fn set_status(&self, place: usize, status: u16) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(place) {
            entry.status = status;
        }
    }

    /// A copy of all entries.
    pub(crate) fn entries(&self) -> Vec<LoggedRequest> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::context::Context;

    #[test]
    fn secrets_are_redacted() {
        let context = Context::sample("{}");
        let call = Call::get(Service::Login, "/t/oauth2/v2.0/token?code=c0de")
            .post("client_id=a&client_secret=s%26cret&refresh_token=r&scope=a%2Fb")
            .header_set("content-type", "application/x-www-form-urlencoded")
            .header_set("user-agent", "test");
        let logged = LoggedRequest::of(Some(Service::Login), &call, &context.tokens);
        let body = "client_id=a&client_secret=***&refresh_token=***&scope=a/b";
        assert_eq!(logged.body.as_deref(), Some(body));
        assert_eq!(logged.query, [("code".to_owned(), "***".to_owned())]);
        let names: Vec<&str> = logged
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["content-type", "authorization"]);
    }

    #[test]
    fn identity_header_is_logged_without_its_value() {
        let context = Context::sample("{}");
        let call = Call::get(Service::Metadata, "/msi/token?resource=r")
            .header_set("metadata", "true")
            .header_set("x-identity-header", "canary");
        let logged = LoggedRequest::of(Some(Service::Metadata), &call, &context.tokens);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted = [
            header("metadata", "true"),
            header("x-identity-header", "***"),
            header("authorization", "none"),
        ];
        assert_eq!(logged.headers, wanted);
    }
}
