//! Requests and responses as the services see them. A service is a function from a [`Call`] to an
//! [`Answer`], so tests need no HTTP server.

use axum::http::HeaderMap;
use url::form_urlencoded;

use crate::sim::server::routes::Route;

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) route: Route,
    /// Its number among the requests of the route, from 1.
    pub(crate) number: u64,
    /// Whether a fault makes its token expired.
    pub(crate) expired: bool,
    /// The method, in upper case.
    pub(crate) method: String,
    /// The path of the service; empty for sign-in at the root.
    pub(crate) prefix: String,
    /// The path below the service.
    pub(crate) path: String,
    /// The path below the service and the query, not decoded.
    pub(crate) target: String,
    /// The query parameters, decoded and in order.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first query parameter with this name, in any case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self
            .query
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// The decoded path segment with this index, from 0.
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

/// Names and values of a form or a query, decoded and in order.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The headers, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, before compression.
    pub(crate) body: String,
}

impl Answer {
    /// A response without headers.
    pub(crate) fn new(status: u16, body: String) -> Self {
        Self {
            status,
            headers: vec![],
            body,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

#[cfg(test)]
impl Call {
    /// A GET request to a path below a service.
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

    pub(crate) fn post(mut self, body: &str) -> Self {
        self.method = "POST".to_owned();
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn header_set(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }
}
