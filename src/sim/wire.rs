//! A call as the services see it, and their answer, apart from any server.
//!
//! It deliberately knows no axum types except the header map: services are functions from a call
//! to an answer, and tests call them so.

use axum::http::HeaderMap;
use url::form_urlencoded;

use crate::sim::routes::Route;

/// A request to one of the services.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Which kind of call it is.
    pub(super) route: Route,
    /// Its number among the calls of the route, from 1.
    pub(super) number: u64,
    /// Whether a fault wants the token judged expired.
    pub(super) expired: bool,
    /// The method, upper case.
    pub(super) method: String,
    /// The path of the service: empty for sign-in at the root.
    pub(super) prefix: String,
    /// The path below the service.
    pub(super) path: String,
    /// The path below the service with the query, as they came.
    pub(super) target: String,
    /// Decoded parameters, in order.
    pub(super) query: Vec<(String, String)>,
    /// All headers.
    pub(super) headers: HeaderMap,
    /// The body as text.
    pub(super) body: String,
}

impl Call {
    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first parameter of this name, whatever its case.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self
            .query
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// A decoded segment of the path, from 0.
    pub(super) fn segment(&self, at: usize) -> String {
        let raw = self
            .path
            .split('/')
            .nth(at + 1)
            .unwrap_or_default()
            .replace('+', "%2B");
        let mut decoded = form_urlencoded::parse(raw.as_bytes());
        decoded
            .next()
            .map(|(name, _)| name.into_owned())
            .unwrap_or_default()
    }
}

/// Names and values of a form or of a query, decoded, in order.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// Headers, in order.
    pub(super) headers: Vec<(String, String)>,
    /// Body, before any packing.
    pub(super) body: String,
}

impl Answer {
    /// An answer without headers.
    pub(super) fn new(status: u16, body: String) -> Self {
        Self {
            status,
            headers: vec![],
            body,
        }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

#[cfg(test)]
impl Call {
    /// A GET of a path below a service, for tests.
    pub(super) fn get(service: crate::sim::routes::Service, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            route: Route::of(service, path),
            number: 1,
            expired: false,
            prefix: format!("/{}", service.name()),
            method: "GET".to_owned(),
            path: path.to_owned(),
            target: target.to_owned(),
            query: pairs(query),
            headers: HeaderMap::new(),
            body: String::new(),
        }
    }

    /// The same call as a POST with this body.
    pub(super) fn post(mut self, body: &str) -> Self {
        self.method = "POST".to_owned();
        body.clone_into(&mut self.body);
        self
    }

    /// The same call with a header.
    pub(super) fn header_set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }
}
