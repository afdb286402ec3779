//! The HTTP client: sends one request and reads its response. Only this module uses reqwest.
//!
//! Never follows redirects, limits the size of the body, and calls addresses on this machine
//! without a proxy. Does not sign in, retry or classify: [`Caller`](super::Caller) does.

mod interruption;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect;

use crate::net::auth::Token;
use crate::net::client::interruption::{interrupted, root_message};
use crate::net::memory::{Held, MemoryBudget};
use crate::net::message::{
    ApiRequest, ApiResponse, Body, Method, Sink, SinkError, is_link_local, is_loopback,
};
use crate::net::rate_limit::RateLimiter;
use crate::net::retry::RetryPolicy;
use crate::net::tls::{self, Trust};
use crate::protocol::{Detail, ErrorKind, Failure};

/// The maximum size of a response, in bytes after decompression.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

/// The maximum time for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum time for a connection to a service on this machine or its link.
const NEARBY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The maximum time without data from the service.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of a client.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The trusted certificates.
    pub trust: Trust,
    /// The proxy.
    pub proxy: Proxy,
    /// The maximum time for a connection.
    pub connect_timeout: Duration,
    /// The maximum time without data from the service.
    pub read_timeout: Duration,
    /// The maximum size of a response, in bytes after decompression.
    pub max_body: usize,
    /// When and how often requests are retried.
    pub retry_policy: RetryPolicy,
    /// The rate limits, shared by all clients of the process.
    pub rate_limiter: RateLimiter,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            trust: Trust::default(),
            proxy: Proxy::Environment,
            connect_timeout: CONNECT_TIMEOUT,
            read_timeout: READ_TIMEOUT,
            max_body: MAX_BODY,
            retry_policy: RetryPolicy::default(),
            rate_limiter: RateLimiter::default(),
        }
    }
}

/// The proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// As set by `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    Environment,
    /// None: the environment is ignored.
    Off,
}

/// One request as it is sent.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// The request.
    pub request: &'a ApiRequest,
    /// The run's id, sent as `client-request-id`.
    pub id: &'a str,
    /// The bearer token.
    pub token: Option<&'a Token>,
    /// The memory budget for the response.
    pub memory: &'a MemoryBudget,
}

/// Sends requests. One client serves all runs with the same settings. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    proxied: reqwest::Client,
    direct: reqwest::Client,
    /// For services on this machine or its link. Built when first needed, which is rare.
    nearby: Arc<OnceLock<reqwest::Client>>,
    pub(super) settings: Arc<HttpSettings>,
}

impl HttpClient {
    /// A client with these settings. Errors: `invalid_input` at the setting of unreadable trust
    /// roots.
    pub fn new(settings: &HttpSettings) -> Result<Self, Failure> {
        let tls = tls::config(&settings.trust)?;
        let builder = || builder(settings, tls.clone());
        let direct = builder().no_proxy().build().map_err(not_built)?;
        let proxied = match settings.proxy {
            Proxy::Environment => builder().build().map_err(not_built)?,
            Proxy::Off => direct.clone(),
        };
        Ok(HttpClient {
            proxied,
            direct,
            nearby: Arc::default(),
            settings: Arc::new(settings.clone()),
        })
    }

    /// The client for the request. Only requests that leave this machine use a proxy.
    fn client_for(&self, request: &ApiRequest) -> Result<&reqwest::Client, Failure> {
        if !request.nearby {
            let is_local = is_loopback(&request.url);
            return Ok(if is_local {
                &self.direct
            } else {
                &self.proxied
            });
        }
        if let Some(client) = self.nearby.get() {
            return Ok(client);
        }
        let tls = tls::config(&self.settings.trust)?;
        let client = builder(&self.settings, tls)
            .connect_timeout(NEARBY_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(not_built)?;
        Ok(self.nearby.get_or_init(|| client))
    }

    /// Sends the request and reads the whole response, for every status.
    ///
    /// Errors: `network` if the response is missing or incomplete, `bad_response` for a body that
    /// is too large or cannot be decompressed, `invalid_input` if a secret would be sent over plain
    /// http.
    pub async fn send(&self, exchange: Exchange<'_>) -> Result<ApiResponse, Failure> {
        let mut body = Collected::new(exchange.memory);
        let mut response = self.receive(exchange, &mut body).await?;
        body.move_to(&mut response);
        Ok(response)
    }

    /// Like [`HttpClient::send`], but streams the array of a successful response to the sink. Every
    /// other body, such as an error with status 200, is the body of the response.
    pub async fn stream(
        &self,
        exchange: Exchange<'_>,
        sink: &mut dyn Sink,
    ) -> Result<ApiResponse, Failure> {
        let mut body = Streamed {
            sink,
            collected: Collected::new(exchange.memory),
            is_array: None,
        };
        body.sink.restart();
        let mut response = self.receive(exchange, &mut body).await?;
        if body.is_array == Some(true) {
            body.sink.end().map_err(|stop| failed(&response, stop))?;
        }
        body.collected.move_to(&mut response);
        Ok(response)
    }

    async fn receive(
        &self,
        exchange: Exchange<'_>,
        body: &mut dyn Receive,
    ) -> Result<ApiResponse, Failure> {
        let Exchange { request, id, .. } = exchange;
        refuse_plain_http(request, exchange.token.is_some())?;
        let broken = |error: reqwest::Error| {
            let has_proxy = self.proxy_for(&request.url).is_some();
            interrupted(&request.url, &error, self.settings.read_timeout, has_proxy)
                .upstream(request.upstream(id))
                .caused_by(error.without_url())
        };
        let call = self.prepare(exchange)?;
        let mut answer = call.send().await.map_err(broken)?;
        let mut response = head(request, id, &answer);
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            response.received += chunk.len();
            if response.received > self.settings.max_body {
                let limit = self.settings.max_body;
                let message = format!("the response is larger than {limit} bytes.");
                return Err(response.bad(&message).with_detail(Detail::Permanent));
            }
            body.receive(response.status, &chunk)
                .map_err(|stop| failed(&response, stop))?;
        }
        Ok(response)
    }

    fn prepare(&self, exchange: Exchange<'_>) -> Result<reqwest::RequestBuilder, Failure> {
        let request = exchange.request;
        let client = self.client_for(request)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut call = client
            .request(method, request.url.clone())
            .header("client-request-id", exchange.id);
        for (name, value) in &request.headers {
            call = call.header(*name, value.expose());
        }
        if let Some(token) = exchange.token {
            call = call.bearer_auth(token.value.expose());
        }
        Ok(with_body(call, request))
    }
}

fn builder(settings: &HttpSettings, tls: rustls::ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("soarhost/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
}

/// The failure of a response whose body was not read completely.
fn failed(response: &ApiResponse, stop: SinkError) -> Failure {
    match stop {
        SinkError::Body(what) => response.bad(&what),
        SinkError::Permanent(what) => response.bad(&what).with_detail(Detail::Permanent),
        SinkError::Memory(failure) => failure.upstream(response.upstream(None)),
    }
}

/// Processes a body while it is received.
trait Receive: Send {
    fn receive(&mut self, status: u16, bytes: &[u8]) -> Result<(), SinkError>;
}

/// Stores the body. Its memory is counted until the response is dropped.
struct Collected {
    body: Vec<u8>,
    held: Held,
}

impl Collected {
    fn new(memory: &MemoryBudget) -> Self {
        Collected {
            body: Vec::new(),
            held: memory.hold(),
        }
    }

    fn move_to(self, response: &mut ApiResponse) {
        response.body = self.body;
        response.held = Some(Arc::new(self.held));
    }
}

impl Receive for Collected {
    fn receive(&mut self, _: u16, bytes: &[u8]) -> Result<(), SinkError> {
        self.held.grow(bytes.len())?;
        self.body.extend_from_slice(bytes);
        Ok(())
    }
}

/// Passes the array of a successful response to the sink, and stores every other body.
struct Streamed<'a> {
    sink: &'a mut dyn Sink,
    collected: Collected,
    /// Unknown before the first byte that is not white space.
    is_array: Option<bool>,
}

impl Receive for Streamed<'_> {
    fn receive(&mut self, status: u16, bytes: &[u8]) -> Result<(), SinkError> {
        if self.is_array == Some(true) {
            return self.sink.take(bytes);
        }
        self.collected.receive(status, bytes)?;
        if self.is_array.is_none() {
            let body = &self.collected.body;
            let text = body.strip_prefix(b"\xef\xbb\xbf");
            let text = text.unwrap_or(body).trim_ascii_start();
            self.is_array = text
                .first()
                .map(|first| *first == b'[' && (200..300).contains(&status));
        }
        match self.is_array {
            Some(true) => {
                self.collected.held.clear();
                self.sink.take(&std::mem::take(&mut self.collected.body))
            }
            _ => Ok(()),
        }
    }
}

fn with_body(call: reqwest::RequestBuilder, request: &ApiRequest) -> reqwest::RequestBuilder {
    match &request.body {
        Body::Empty if request.method != Method::Post => call,
        Body::Empty => call.header("Content-Length", "0"),
        Body::Json(text) => call
            .header("Content-Type", "application/json")
            .body(text.clone()),
        Body::Form(fields) => {
            let fields = fields.iter().map(|(name, value)| (name, value.expose()));
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            call.header("Content-Type", "application/x-www-form-urlencoded")
                .body(form)
        }
    }
}

fn head(request: &ApiRequest, id: &str, answer: &reqwest::Response) -> ApiResponse {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    ApiResponse {
        service: request.service,
        status: answer.status().as_u16(),
        headers: answer
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect(),
        body: Vec::new(),
        received: 0,
        call: request.upstream(id),
        read: None,
        held: None,
    }
}

/// Refuses to send a secret over plain http, except to this machine. The identity header of an
/// application platform can also go to its link-local endpoint. A bearer token cannot.
fn refuse_plain_http(request: &ApiRequest, bearer: bool) -> Result<(), Failure> {
    let secret = bearer || request.carries_secret();
    let on_link = !bearer && request.nearby && is_link_local(&request.url);
    if !secret || request.url.scheme() == "https" || is_loopback(&request.url) || on_link {
        return Ok(());
    }
    let message = format!(
        "{} was not sent: a secret would be sent over plain http.",
        request.attempt()
    );
    Err(Failure::invalid_input("--endpoints", message)
        .advice("Set an https address. Plain http is allowed for loopback addresses only."))
}

fn not_built(error: reqwest::Error) -> Failure {
    let why = root_message(&error);
    Failure::new(
        ErrorKind::Internal,
        format!("The HTTP client could not be built: {why}."),
    )
    .caused_by(error)
}

#[cfg(test)]
pub(crate) mod tests;
