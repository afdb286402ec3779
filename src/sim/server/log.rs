//! The list of requests that were made, fit for a snapshot.
//!
//! Secrets never enter it: fields of forms that carry one are struck out, of a token only its
//! audience is kept.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::sim::login::tokens::Tokens;
use crate::sim::server::call::{Call, pairs};
use crate::sim::server::routes::Service;

/// The headers that are kept.
const KEPT: [&str; 8] = [
    "accept",
    "accept-encoding",
    "prefer",
    "client-request-id",
    "content-type",
    "webhook-authid",
    "webhook-validationcode",
    "metadata",
];

/// The header that is a secret: that it was sent is kept, not what it says.
const SECRET: &str = "x-identity-header";

/// Form fields and parameters whose values are struck out.
const STRUCK: [&str; 7] = [
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "refresh_token",
];

/// A request as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// `login`, `graph`, `management`, `metadata`, `hook`; `unknown` for a path that belongs to none.
    pub service: &'static str,
    /// The method.
    pub method: String,
    /// The path below the service.
    pub path: String,
    /// The parameters, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Those of `accept`, `accept-encoding`, `prefer`, `client-request-id`, `content-type`,
    /// `webhook-authid`, `webhook-validationcode` and `metadata` that were sent,
    /// `x-identity-header` as `***`, and always `authorization`: `none`, `Bearer <audience>` or `Bearer ?`.
    pub headers: Vec<(String, String)>,
    /// The body; a form is written decoded, as `name=value&…`, with `***` for secrets.
    pub body: Option<String>,
    /// The status that was answered; 0 when the connection was dropped instead.
    pub status: u16,
}

impl Seen {
    /// What is kept of a call.
    pub(crate) fn of(service: Option<Service>, call: &Call, tokens: &Tokens) -> Self {
        let kept = KEPT
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), call.header(name)?.to_owned())));
        let secret = call.header(SECRET);
        let secret = secret.map(|_| (SECRET.to_owned(), "***".to_owned()));
        let authorization = tokens.describe(call.header("authorization"));
        Self {
            service: service.map_or("unknown", Service::name),
            method: call.method.clone(),
            path: call.path.clone(),
            query: struck(call.query.clone()),
            headers: kept
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
    let fields = struck(pairs(&call.body));
    let written: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Some(written.join("&"))
}

fn struck(mut fields: Vec<(String, String)>) -> Vec<(String, String)> {
    for (name, value) in &mut fields {
        if STRUCK.contains(&name.to_ascii_lowercase().as_str()) {
            "***".clone_into(value);
        }
    }
    fields
}

/// All requests in the order in which they arrived.
#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<Vec<Seen>>,
}

impl Log {
    /// Notes an arrival; gives its place.
    pub(crate) fn arrive(&self, seen: Seen) -> usize {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(seen);
        entries.len() - 1
    }

    /// Notes how the request at a place was answered.
    pub(crate) fn answer(&self, place: usize, status: u16) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(place) {
            entry.status = status;
        }
    }

    /// A copy of all entries.
    pub(crate) fn entries(&self) -> Vec<Seen> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::site::Site;

    #[test]
    fn secrets_are_struck_out() {
        let site = Site::sample("{}");
        let call = Call::get(Service::Login, "/t/oauth2/v2.0/token?code=c0de")
            .post("client_id=a&client_secret=s%26cret&refresh_token=r&scope=a%2Fb")
            .header_set("content-type", "application/x-www-form-urlencoded")
            .header_set("user-agent", "test");
        let seen = Seen::of(Some(Service::Login), &call, &site.tokens);
        let body = "client_id=a&client_secret=***&refresh_token=***&scope=a/b";
        assert_eq!(seen.body.as_deref(), Some(body));
        assert_eq!(seen.query, [("code".to_owned(), "***".to_owned())]);
        let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "authorization"]);
    }

    #[test]
    fn of_the_identity_header_only_its_presence_is_kept() {
        let site = Site::sample("{}");
        let call = Call::get(Service::Metadata, "/msi/token?resource=r")
            .header_set("metadata", "true")
            .header_set("x-identity-header", "canary");
        let seen = Seen::of(Some(Service::Metadata), &call, &site.tokens);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted = [
            header("metadata", "true"),
            header("x-identity-header", "***"),
            header("authorization", "none"),
        ];
        assert_eq!(seen.headers, wanted);
    }
}
