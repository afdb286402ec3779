//! A request and a response, as plain values that describe themselves in failures.
//!
//! [`client`](super::client) sends requests. The services' clients read error responses, and
//! [`refusal`](super::refusal) reads those of an unknown format.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::json::Document;
use crate::json::ParseError;
use crate::json::REDACTED;
use crate::net::memory::Held;
use crate::net::rate_limit::RateLimit;
use crate::net::retry::Repeat;
use crate::protocol::failure::Upstream;
use crate::protocol::{ErrorKind, Failure, Secret};
use crate::when;

/// The longest wait that is accepted from a service.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 7);

/// The HTTP methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes something, or signs in.
    Post,
    /// Deletes something.
    Delete,
}

impl Method {
    /// The method as in the request line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

/// Text that is sent, and whether it can be shown.
#[derive(Clone, Debug)]
pub enum Text {
    /// Can be shown.
    Plain(String),
    /// Shown as `***`.
    Hidden(Secret),
}

impl Text {
    /// The text as it is sent.
    pub fn expose(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Hidden(secret) => secret.expose(),
        }
    }

    /// The text without secrets.
    pub fn shown(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Hidden(_) => REDACTED,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::Plain(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text::Plain(text)
    }
}

impl From<&Secret> for Text {
    fn from(secret: &Secret) -> Self {
        Text::Hidden(secret.clone())
    }
}

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(&'static str, Text)>),
    /// `application/json`, as text.
    Json(String),
}

/// A request before it is sent, without the bearer token.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// The name of the service: `login`, `graph`, `management`, ….
    pub service: &'static str,
    /// The method.
    pub method: Method,
    /// The address with its query.
    pub url: Url,
    /// Headers, in addition to those of every request.
    pub headers: Vec<(&'static str, Text)>,
    /// The body.
    pub body: Body,
    /// When it can be sent again.
    pub repeat: Repeat,
    /// The rate limit that it counts against.
    pub rate_limit: RateLimit,
    /// True if a successful response must be JSON. Otherwise the attempt has failed.
    pub expects_json: bool,
    /// True for a service on this machine or its link: no proxy, and a short time-out for the
    /// connection.
    pub nearby: bool,
}

impl ApiRequest {
    /// A `GET` request, which can be sent again.
    pub fn get(service: &'static str, url: Url) -> Self {
        ApiRequest {
            service,
            method: Method::Get,
            rate_limit: RateLimit::unlimited(format!(
                "{service} {}",
                url.origin().ascii_serialization()
            )),
            url,
            headers: Vec::new(),
            body: Body::Empty,
            repeat: Repeat::Safe,
            expects_json: false,
            nearby: false,
        }
    }

    /// A `POST` request without a body, which changes something.
    pub fn post(service: &'static str, url: Url) -> Self {
        ApiRequest {
            method: Method::Post,
            repeat: Repeat::AfterRefusal,
            ..ApiRequest::get(service, url)
        }
    }

    /// The request, which can be sent again although its method is `POST`.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Safe;
        self
    }

    /// The request with this rate limit.
    #[must_use]
    pub fn limited_by(mut self, rate_limit: RateLimit) -> Self {
        self.rate_limit = rate_limit;
        self
    }

    /// The request, whose successful response must be JSON.
    #[must_use]
    pub fn json(self) -> Self {
        let expects_json = true;
        ApiRequest {
            expects_json,
            ..self.header("Accept", "application/json")
        }
    }

    /// The request with this header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Text>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The request with this body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// The request in messages: `GET https://host/path`, without the query, which can be long.
    pub fn attempt(&self) -> String {
        let mut bare = self.url.clone();
        bare.set_query(None);
        format!("{} {bare}", self.method.name())
    }

    /// Returns whether it contains a secret, apart from the bearer token.
    pub fn carries_secret(&self) -> bool {
        let hidden = |text: &Text| matches!(text, Text::Hidden(_));
        let in_form = match &self.body {
            Body::Form(fields) => fields.iter().any(|(_, text)| hidden(text)),
            Body::Empty | Body::Json(_) => false,
        };
        in_form || self.headers.iter().any(|(_, text)| hidden(text))
    }

    /// The request in a failure, before a response was received.
    pub fn upstream(&self, client_request_id: &str) -> Upstream {
        Upstream {
            method: self.method.name().to_owned(),
            url: self.url.to_string(),
            client_request_id: Some(client_request_id.to_owned()),
            ..Upstream::default()
        }
    }
}

/// Appends percent-encoded segments to the path of an address.
pub fn append_path<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The address with this query. Values are percent-encoded (a space is `%20`, never `+`), names are
/// not.
pub fn with_query(mut url: Url, pairs: &[(&str, &str)]) -> Url {
    let encoded = |value: &str| -> String {
        let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        form.replace('+', "%20")
    };
    let query: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    url.set_query(Some(&query.join("&")));
    url
}

/// Returns whether the address is on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Returns whether the address is link-local, as a cloud's services for a machine are.
pub fn is_link_local(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(ip)) if ip.is_link_local())
}

/// Receives the array of a response in parts, so that it is never completely in memory.
pub trait Sink: Send {
    /// Discards all data, because the request is sent again.
    fn restart(&mut self);

    /// The body is complete. Errors as in [`take`](Sink::take).
    fn end(&mut self) -> Result<(), SinkError>;

    /// Receives the next bytes of the body, split anywhere. After an error, nothing more is read.
    fn take(&mut self, bytes: &[u8]) -> Result<(), SinkError>;
}

/// Why a [`Sink`] stops.
#[derive(Debug)]
pub enum SinkError {
    /// The body is invalid; the message says why.
    Body(String),
    /// The body is invalid, and would be in every response; the message says why.
    Permanent(String),
    /// The memory budget is used up.
    Memory(Failure),
}

impl From<String> for SinkError {
    fn from(message: String) -> Self {
        SinkError::Body(message)
    }
}

impl From<Failure> for SinkError {
    fn from(failure: Failure) -> Self {
        SinkError::Memory(failure)
    }
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct ApiResponse {
    /// The name of the service, as in the request.
    pub service: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Headers as received, including repeated ones.
    pub headers: Vec<(String, String)>,
    /// The decompressed body; empty if a [`Sink`] received it.
    pub body: Vec<u8>,
    /// The size of the decompressed body, in bytes.
    pub received: usize,
    /// The request, as failures describe it.
    pub call: Upstream,
    /// The body as a document, if it was parsed.
    pub(super) read: Option<Document>,
    /// The memory of the body.
    pub(super) held: Option<Arc<Held>>,
}

impl ApiResponse {
    /// Returns whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header with this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// How long to wait, as the service requests it: seconds, or a date relative to the response's
    /// `Date`. `None` for a date without `Date`, because clocks differ.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        // A number beyond 64 bits counts as the longest wait.
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
        }
        let wait = http_date(text)? - self.date()?;
        Some(wait.to_std().unwrap_or_default().min(LONGEST_WAIT))
    }

    /// The service's time.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        http_date(self.header("date")?)
    }

    /// The request and its response in a failure.
    pub fn upstream(&self, code: Option<&str>) -> Upstream {
        let ids = ["request-id", "x-ms-request-id", "mise-correlation-id"];
        let date = self.header("date");
        Upstream {
            http_status: Some(self.status),
            code: code.map(str::to_owned),
            request_id: ids
                .into_iter()
                .find_map(|name| self.header(name))
                .map(str::to_owned),
            date: date.map(|text| http_date(text).map_or(text.to_owned(), when::rfc3339)),
            ..self.call.clone()
        }
    }

    /// A failure with the service's own code and message.
    pub fn refusal(&self, kind: ErrorKind, code: Option<&str>, message: &str) -> Failure {
        Failure::new(kind, message)
            .upstream(self.upstream(code))
            .retry_after(self.retry_after())
    }

    /// A failure of a response that is not as documented.
    pub fn bad(&self, what: &str) -> Failure {
        let message = format!("{}: {what}", self.attempt());
        self.refusal(ErrorKind::BadResponse, None, &message)
    }

    /// The body as a document.
    pub fn document(&self) -> Result<Document, Failure> {
        if let Some(read) = &self.read {
            return Ok(read.clone());
        }
        Document::from_bytes(&self.body).map_err(|error| self.unreadable(&error))
    }

    /// The failure of a body that could not be parsed.
    pub fn unreadable(&self, error: &ParseError) -> Failure {
        let (status, kind) = (self.status, self.content());
        self.bad(&format!(
            "HTTP {status} with {kind}; expected JSON: {error}."
        ))
        .caused_by(error.clone())
    }

    /// A small body as a typed value. `None` if it is not an object: a derived type would also
    /// accept an array.
    pub fn object<T: DeserializeOwned>(&self) -> Option<T> {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        text.starts_with('{')
            .then(|| serde_json::from_str(text).ok())?
    }

    /// The request in messages: `GET https://host/path`.
    fn attempt(&self) -> String {
        let bare = self.call.url.split('?').next().unwrap_or_default();
        format!("{} {bare}", self.call.method)
    }
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim())
        .ok()
        .map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A response for tests.
    pub(crate) fn answer(status: u16, body: &str, headers: &[(&str, &str)]) -> ApiResponse {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        ApiResponse {
            service: "graph",
            status,
            headers: headers.iter().map(owned).collect(),
            body: body.as_bytes().to_vec(),
            received: body.len(),
            call: Upstream {
                method: "GET".to_owned(),
                url: "https://graph.test/v1.0/x?a=1".to_owned(),
                ..Upstream::default()
            },
            read: None,
            held: None,
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |headers: &[(&str, &str)]| answer(429, "", headers).retry_after();
        assert_eq!(
            wait(&[("Retry-After", "17")]),
            Some(Duration::from_secs(17))
        );
        let date = ("Date", "Sat, 21 Nov 2026 07:28:00 GMT");
        let at = ("retry-after", "Sat, 21 Nov 2026 07:28:30 GMT");
        assert_eq!(wait(&[date, at]), Some(Duration::from_secs(30)));
        let past = ("retry-after", "Sat, 21 Nov 2026 07:27:30 GMT");
        assert_eq!(wait(&[date, past]), Some(Duration::ZERO));
        assert_eq!(wait(&[at]), None);
        assert_eq!(wait(&[("Retry-After", "soon")]), None);
    }

    #[test]
    fn upstream_has_the_ids_and_the_time_of_the_response() {
        let headers = [
            ("X-MS-Request-Id", "r-1"),
            ("Date", "Sun, 20 Sep 2026 01:00:03 GMT"),
        ];
        let upstream = answer(403, "", &headers).upstream(Some("Forbidden"));
        assert_eq!(upstream.request_id.as_deref(), Some("r-1"));
        assert_eq!(upstream.date.as_deref(), Some("2026-09-20T01:00:03Z"));
        assert_eq!(upstream.http_status, Some(403));
    }

    #[test]
    fn path_segments_and_query_values_are_encoded() {
        let base = Url::parse("https://h.test:8/root/").expect("an address");
        let url = append_path(&base, ["v1.0", "a b"]);
        let url = with_query(url, &[("$filter", "a ge 1 and b eq 'x+y'"), ("$top", "5")]);
        assert_eq!(
            url.as_str(),
            "https://h.test:8/root/v1.0/a%20b?$filter=a%20ge%201%20and%20b%20eq%20%27x%2By%27&$top=5"
        );
    }
}
