//! A request and an answer, as plain values.
//!
//! Both know how to describe themselves in a failure. Neither is sent or judged here: sending is
//! [`client`](super::client)'s work, judging is the services'; what no service explains is read in
//! [`refusal`](super::refusal).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::json::Document;
use crate::json::REDACTED;
use crate::json::document::ParseError;
use crate::net::memory::Held;
use crate::net::retry::Repeat;
use crate::net::throttle::Lane;
use crate::protocol::failure::Upstream;
use crate::protocol::{ErrorKind, Failure, Secret};
use crate::when;

/// The longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 7);

/// The HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes something, or signs in.
    Post,
}

impl Method {
    /// The method as it stands in the request line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// A piece of text that goes out, and whether it may be shown.
#[derive(Clone, Debug)]
pub enum Text {
    /// May be shown.
    Plain(String),
    /// Is shown as `***`.
    Hidden(Secret),
}

impl Text {
    /// The text itself, for the wire.
    pub fn expose(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Hidden(secret) => secret.expose(),
        }
    }

    /// The text as a person may see it.
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

/// What a request carries.
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

/// A request before it is sent; the bearer token is added at the last moment.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// The service asked, for people: `login`, `graph`, `management`, ….
    pub service: &'static str,
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// Headers beside those that every call has.
    pub headers: Vec<(&'static str, Text)>,
    /// What it carries.
    pub body: Body,
    /// May it be sent again?
    pub repeat: Repeat,
    /// The quota that it counts against.
    pub lane: Lane,
    /// Is a successful answer JSON? One that is not is then a fault of this attempt.
    pub expects_json: bool,
    /// Is it for something on this machine or beside it? Then it goes there directly and is given up
    /// soon if nobody is there.
    pub nearby: bool,
}

impl ApiRequest {
    /// A `GET` of that address; it may be sent again.
    pub fn get(service: &'static str, url: Url) -> Self {
        ApiRequest {
            service,
            method: Method::Get,
            lane: Lane::unlimited(format!("{service} {}", url.origin().ascii_serialization())),
            url,
            headers: Vec::new(),
            body: Body::Empty,
            repeat: Repeat::Safe,
            expects_json: false,
            nearby: false,
        }
    }

    /// A `POST` to that address, with nothing in it yet; it changes something.
    pub fn post(service: &'static str, url: Url) -> Self {
        ApiRequest {
            method: Method::Post,
            repeat: Repeat::AfterRefusal,
            ..ApiRequest::get(service, url)
        }
    }

    /// It may be sent again, whatever its method.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Safe;
        self
    }

    /// It counts against that quota.
    #[must_use]
    pub fn on(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// A successful answer is JSON.
    #[must_use]
    pub fn json(self) -> Self {
        let expects_json = true;
        ApiRequest {
            expects_json,
            ..self.header("Accept", "application/json")
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Text>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Carries that body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// `GET https://host/path`: what was attempted, for messages. Without the query, which may be
    /// long.
    pub fn attempt(&self) -> String {
        let mut bare = self.url.clone();
        bare.set_query(None);
        format!("{} {bare}", self.method.name())
    }

    /// Does it carry a secret of its own, beside a bearer token?
    pub fn carries_secret(&self) -> bool {
        let hidden = |text: &Text| matches!(text, Text::Hidden(_));
        let in_form = match &self.body {
            Body::Form(fields) => fields.iter().any(|(_, text)| hidden(text)),
            Body::Empty | Body::Json(_) => false,
        };
        in_form || self.headers.iter().any(|(_, text)| hidden(text))
    }

    /// The call as a failure names it, before an answer came.
    pub fn upstream(&self, client_request_id: &str) -> Upstream {
        Upstream {
            method: self.method.name().to_owned(),
            url: self.url.to_string(),
            client_request_id: Some(client_request_id.to_owned()),
            ..Upstream::default()
        }
    }
}

/// An address below a base address; every segment is percent-encoded as needed.
pub fn below<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The address with that query; names stand as given, values are percent-encoded (a space is
/// `%20`, never `+`).
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

/// Does the address stay on this machine?
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Does the address stay on the machine's own link, as a cloud's services for a machine do?
pub fn is_link_local(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(ip)) if ip.is_link_local())
}

/// Takes the array of an answer as it comes, so that it never lies in memory whole.
///
/// An attempt that fails is followed by another one from the beginning, so a sink can be emptied.
pub trait Sink: Send {
    /// A new attempt: what was taken so far does not count.
    fn restart(&mut self);

    /// The body has ended. Errors as in [`take`](Sink::take).
    fn end(&mut self) -> Result<(), SinkError>;

    /// The next bytes of the body, however it was cut on the way. After an error nothing further is
    /// read.
    fn take(&mut self, bytes: &[u8]) -> Result<(), SinkError>;
}

/// Why a [`Sink`] takes no more.
#[derive(Debug)]
pub enum SinkError {
    /// What is wrong with the body, in words.
    Body(String),
    /// What is wrong with the body, in words; it would be wrong every time.
    Permanent(String),
    /// The run has no room for it.
    Memory(Failure),
}

impl From<String> for SinkError {
    fn from(words: String) -> Self {
        SinkError::Body(words)
    }
}

impl From<Failure> for SinkError {
    fn from(failure: Failure) -> Self {
        SinkError::Memory(failure)
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct ApiResponse {
    /// The service that was asked, as in the request.
    pub service: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Headers as received; one that stands twice is here twice.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed; empty when a [`Sink`] took it.
    pub body: Vec<u8>,
    /// Bytes of the body, after decompression.
    pub received: usize,
    /// The call, as the request described it.
    pub call: Upstream,
    /// The body as a document, once it was read as one.
    pub(super) read: Option<Document>,
    /// The memory that the body takes up.
    pub(super) held: Option<Arc<Held>>,
}

impl ApiResponse {
    /// A 2xx status?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of that name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// How long the service asks us to wait: seconds, or a date against the answer's own `Date`
    /// (without one a date cannot be told from, as clocks differ).
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        // A number that no clock could count is as long as any.
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
        }
        let wait = http_date(text)? - self.date()?;
        Some(wait.to_std().unwrap_or_default().min(LONGEST_WAIT))
    }

    /// The service's clock.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        http_date(self.header("date")?)
    }

    /// The call with everything the answer says about it.
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

    /// A failure that the service itself explains: its code, its words.
    pub fn refusal(&self, kind: ErrorKind, code: Option<&str>, words: &str) -> Failure {
        Failure::new(kind, words)
            .upstream(self.upstream(code))
            .retry_after(self.retry_after())
    }

    /// A failure because the answer is not what the service documents.
    pub fn bad(&self, what: &str) -> Failure {
        let words = format!("{}: {what}", self.attempt());
        self.refusal(ErrorKind::BadResponse, None, &words)
    }

    /// The body as a document.
    pub fn document(&self) -> Result<Document, Failure> {
        if let Some(read) = &self.read {
            return Ok(read.clone());
        }
        Document::from_bytes(&self.body).map_err(|error| self.unreadable(&error))
    }

    /// The failure for a body that could not be read, with the place.
    pub fn unreadable(&self, error: &ParseError) -> Failure {
        let (status, kind) = (self.status, self.content());
        self.bad(&format!(
            "HTTP {status} with {kind}; expected JSON: {error}."
        ))
        .caused_by(error.clone())
    }

    /// A small body that is an object, as a typed value; nothing if it is not one. (An array is
    /// ruled out here because a derived type would read it, member by member.)
    pub fn object<T: DeserializeOwned>(&self) -> Option<T> {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        text.starts_with('{')
            .then(|| serde_json::from_str(text).ok())?
    }

    /// `GET https://host/path`, for messages.
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

    /// An answer as tests of the services' tables need it.
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
    fn the_wait_is_read_as_seconds_or_as_a_date() {
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
    fn the_answers_ids_and_clock_are_kept() {
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
    fn addresses_are_built_by_segment_and_by_value() {
        let base = Url::parse("https://h.test:8/root/").expect("an address");
        let url = below(&base, ["v1.0", "a b"]);
        let url = with_query(url, &[("$filter", "a ge 1 and b eq 'x+y'"), ("$top", "5")]);
        assert_eq!(
            url.as_str(),
            "https://h.test:8/root/v1.0/a%20b?$filter=a%20ge%201%20and%20b%20eq%20%27x%2By%27&$top=5"
        );
    }
}
