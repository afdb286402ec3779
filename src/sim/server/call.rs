//! A call as the services see it, and their answer, apart from any server.
//!
//! It deliberately knows no axum types except the header map: services are functions from a call
//! to an answer, and tests call them so.

use axum::http::HeaderMap;
use url::form_urlencoded;

use crate::sim::server::routes::Route;

/// A request to one of the services.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Which kind of call it is.
    pub(crate) route: Route,
    /// Its number among the calls of the route, from 1.
    pub(crate) number: u64,
    /// Whether a fault wants the token judged expired.
    pub(crate) expired: bool,
    /// The method, upper case.
    pub(crate) method: String,
    /// The path of the service: empty for sign-in at the root.
    pub(crate) prefix: String,
    /// The path below the service.
    pub(crate) path: String,
    /// The path below the service with the query, as they came.
    pub(crate) target: String,
    /// Decoded parameters, in order.
    pub(crate) query: Vec<(String, String)>,
    /// All headers.
    pub(crate) headers: HeaderMap,
    /// The body as text.
    pub(crate) body: String,
}

impl Call {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first parameter of this name, whatever its case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self
            .query
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// A decoded segment of the path, from 0.
    pub(crate) fn segment(&self, at: usize) -> String {
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
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Headers, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// Body, before any packing.
    pub(crate) body: String,
}

impl Answer {
    /// An answer without headers.
    pub(crate) fn new(status: u16, body: String) -> Self {
        Self {
            status,
            headers: vec![],
            body,
        }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

#[cfg(test)]
impl Call {
    /// A GET of a path below a service, for tests.
    pub(crate) fn get(service: crate::sim::server::routes::Service, target: &str) -> Self {
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
    pub(crate) fn post(mut self, body: &str) -> Self {
        self.method = "POST".to_owned();
        body.clone_into(&mut self.body);
        self
    }

    /// The same call with a header.
    pub(crate) fn header_set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }
}
