//! The HTTP client: one request, one answer read to its end. The only file that names reqwest.
//!
//! Redirects are never followed, the body is counted as it comes, and an address on this machine
//! is never asked through a proxy. Whether to sign in, when to stop and what an answer means is
//! decided around it, in [`net`](super).

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::redirect;
use url::Url;

use crate::net::auth::Token;
use crate::net::memory::{Held, MemoryBudget};
use crate::net::message::{
    ApiRequest, ApiResponse, Body, Method, Sink, SinkError, is_link_local, is_loopback,
};
use crate::net::retry::Pace;
use crate::net::throttle::Throttle;
use crate::net::tls::{self, Trust};
use crate::protocol::{Detail, ErrorKind, Failure};

/// The largest answer that is read, in bytes after decompression.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

/// How long a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection to something beside this machine may take.
const NEARBY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a service may be silent within an answer.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How the client reaches the world.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Whom to trust.
    pub trust: Trust,
    /// Which way out.
    pub proxy: Proxy,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a service may be silent within an answer.
    pub read_timeout: Duration,
    /// The largest answer, in bytes after decompression.
    pub max_body: usize,
    /// How patiently requests are repeated.
    pub pace: Pace,
    /// What it slows down by; shared by every client of a process.
    pub throttle: Throttle,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            trust: Trust::default(),
            proxy: Proxy::Environment,
            connect_timeout: CONNECT_TIMEOUT,
            read_timeout: READ_TIMEOUT,
            max_body: MAX_BODY,
            pace: Pace::default(),
            throttle: Throttle::default(),
        }
    }
}

/// Which way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// As `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say.
    Environment,
    /// Directly, whatever the environment says.
    Off,
}

/// Sends requests; one for all runs with the same settings, cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    outside: reqwest::Client,
    direct: reqwest::Client,
    /// For what is beside this machine; made when first needed, which is hardly ever.
    nearby: Arc<OnceLock<reqwest::Client>>,
    settings: Arc<HttpSettings>,
    max_body: usize,
    /// How patiently requests are repeated.
    pub(super) pace: Pace,
    /// What every run of the process slows down by.
    pub(super) throttle: Throttle,
}

impl HttpClient {
    /// A client with those settings; unreadable roots are `invalid_input` at their setting.
    pub fn new(settings: &HttpSettings) -> Result<Self, Failure> {
        let tls = tls::config(&settings.trust)?;
        let builder = || builder(settings, tls.clone());
        let direct = builder().no_proxy().build().map_err(not_built)?;
        let outside = match settings.proxy {
            Proxy::Environment => builder().build().map_err(not_built)?,
            Proxy::Off => direct.clone(),
        };
        Ok(HttpClient {
            outside,
            direct,
            nearby: Arc::default(),
            settings: Arc::new(settings.clone()),
            max_body: settings.max_body,
            pace: settings.pace,
            throttle: settings.throttle.clone(),
        })
    }

    /// The client for that request: through a proxy only what leaves this machine.
    fn way(&self, request: &ApiRequest) -> Result<&reqwest::Client, Failure> {
        if !request.nearby {
            let near = is_loopback(&request.url);
            return Ok(if near { &self.direct } else { &self.outside });
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

    /// Sends the request and reads the answer to its end, whatever its status.
    ///
    /// Errors: `network` when nothing or only a part came back, `bad_response` for a body that is
    /// too large or wrongly compressed, `invalid_input` when a secret would go over plain http.
    pub async fn exchange(
        &self,
        request: &ApiRequest,
        (id, token): (&str, Option<&Token>),
        memory: &MemoryBudget,
    ) -> Result<ApiResponse, Failure> {
        let mut body = Collected::new(memory);
        let mut response = self.drain((request, id, token), &mut body).await?;
        body.hand_over(&mut response);
        Ok(response)
    }

    /// The same, but the array of a successful answer goes to the sink as it comes. Any other body,
    /// as an error that is told with a 200, is the answer's body as usual.
    pub async fn stream(
        &self,
        request: &ApiRequest,
        (id, token): (&str, Option<&Token>),
        (sink, memory): (&mut dyn Sink, &MemoryBudget),
    ) -> Result<ApiResponse, Failure> {
        let mut body = Forked {
            sink,
            collected: Collected::new(memory),
            is_array: None,
        };
        body.sink.restart();
        let mut response = self.drain((request, id, token), &mut body).await?;
        if body.is_array == Some(true) {
            body.sink.end().map_err(|stop| failed(&response, stop))?;
        }
        body.collected.hand_over(&mut response);
        Ok(response)
    }

    async fn drain(
        &self,
        (request, id, token): (&ApiRequest, &str, Option<&Token>),
        body: &mut dyn Receive,
    ) -> Result<ApiResponse, Failure> {
        refuse_plain(request, token.is_some())?;
        let broken = |error: reqwest::Error| {
            self.broken(&request.url, &error)
                .upstream(request.upstream(id))
                .caused_by(error.without_url())
        };
        let call = self.prepare(request, id, token)?;
        let mut answer = call.send().await.map_err(broken)?;
        let mut response = head(request, id, &answer);
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            response.received += chunk.len();
            if response.received > self.max_body {
                let limit = self.max_body;
                let words = format!("the answer is larger than {limit} bytes.");
                return Err(response.bad(&words).with_detail(Detail::Permanent));
            }
            body.receive(response.status, &chunk)
                .map_err(|stop| failed(&response, stop))?;
        }
        Ok(response)
    }

    fn prepare(
        &self,
        request: &ApiRequest,
        id: &str,
        token: Option<&Token>,
    ) -> Result<reqwest::RequestBuilder, Failure> {
        let client = self.way(request)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let mut call = client
            .request(method, request.url.clone())
            .header("client-request-id", id);
        for (name, value) in &request.headers {
            call = call.header(*name, value.expose());
        }
        if let Some(token) = token {
            call = call.bearer_auth(token.value.expose());
        }
        Ok(carry(call, request))
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

/// The failure of an answer whose body was not received to its end.
fn failed(response: &ApiResponse, stop: SinkError) -> Failure {
    match stop {
        SinkError::Body(what) => response.bad(&what),
        SinkError::Permanent(what) => response.bad(&what).with_detail(Detail::Permanent),
        SinkError::Memory(failure) => failure.upstream(response.upstream(None)),
    }
}

/// What becomes of a body as it comes.
trait Receive: Send {
    fn receive(&mut self, status: u16, bytes: &[u8]) -> Result<(), SinkError>;
}

/// It is stored, and counted as long as the answer exists.
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

    fn hand_over(self, response: &mut ApiResponse) {
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

/// A successful answer's array is passed on, anything else is kept.
struct Forked<'a> {
    sink: &'a mut dyn Sink,
    collected: Collected,
    /// Not known before the first byte that says something.
    is_array: Option<bool>,
}

impl Receive for Forked<'_> {
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

fn carry(call: reqwest::RequestBuilder, request: &ApiRequest) -> reqwest::RequestBuilder {
    match &request.body {
        Body::Empty if request.method == Method::Get => call,
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

/// Over plain http a secret goes nowhere but to this machine; what an application platform gave us
/// for its own endpoint goes there, too, which answers on a link-local address. A bearer token never
/// does.
fn refuse_plain(request: &ApiRequest, bearer: bool) -> Result<(), Failure> {
    let secret = bearer || request.carries_secret();
    let beside = !bearer && request.nearby && is_link_local(&request.url);
    if !secret || request.url.scheme() == "https" || is_loopback(&request.url) || beside {
        return Ok(());
    }
    let message = format!(
        "{} was not sent: a secret would go over plain http.",
        request.attempt()
    );
    Err(Failure::invalid_input("--endpoints", message)
        .advice("Give an https address; plain http is for loopback addresses alone."))
}

fn not_built(error: reqwest::Error) -> Failure {
    let why = root_words(&error);
    Failure::new(
        ErrorKind::Internal,
        format!("The HTTP client could not be set up: {why}."),
    )
    .caused_by(error)
}

impl HttpClient {
    /// What a broken exchange means. The root of the error is kept word for word.
    fn broken(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let host = url.origin().ascii_serialization();
        let why = root_words(error);
        // The resolver ends its words with the query as a programmer writes it.
        let why = why.split(" for Query").next().unwrap_or_default();
        let stage = Stage::of(error);
        let (what, cause, advice) = stage.words();
        let what = match stage {
            Stage::Silence => format!("{what} ({} s)", self.settings.read_timeout.as_secs()),
            _ => what.to_owned(),
        };
        let failure = Failure::new(stage.kind(), format!("{host}: {what}: {why}."));
        // Whom to trust does not change from one moment to the next.
        let failure = match stage {
            Stage::Tls if why.contains("certificate") => failure.with_detail(Detail::Permanent),
            _ => failure,
        };
        failure.cause(cause).advice(advice)
    }
}

/// Where an exchange broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Name,
    Tls,
    Proxy,
    SlowConnect,
    Connect,
    Compression,
    Silence,
    Exchange,
}

impl Stage {
    fn of(error: &reqwest::Error) -> Self {
        let chain = chain(error);
        let says = |words: &[&str]| {
            chain
                .iter()
                .any(|text| words.iter().any(|word| text.contains(word)))
        };
        match () {
            () if says(&["dns error"]) => Stage::Name,
            () if says(&["tunnel", "proxy"]) => Stage::Proxy,
            () if error.is_timeout() && error.is_connect() => Stage::SlowConnect,
            () if error.is_timeout() => Stage::Silence,
            () if is_tls(error) => Stage::Tls,
            () if error.is_connect() => Stage::Connect,
            () if says(&["gzip", "deflate", "corrupt"]) => Stage::Compression,
            () => Stage::Exchange,
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Stage::Compression => ErrorKind::BadResponse,
            _ => ErrorKind::Network,
        }
    }

    /// What failed, why it usually does, and what to do.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Stage::Name => (
                "the name could not be resolved",
                "Name resolution failed on this machine.",
                "Check DNS of this machine; where only a proxy resolves names, set HTTPS_PROXY.",
            ),
            Stage::Tls => (
                "the TLS handshake failed",
                "The two sides did not agree on TLS, or the certificate is not trusted.",
                "If a proxy inspects TLS, give its root with --ca-file or use --system-roots.",
            ),
            Stage::Proxy => (
                "the proxy did not let the connection through",
                "HTTPS_PROXY names a proxy that refused or failed.",
                "Check HTTPS_PROXY and NO_PROXY, and that the proxy allows this host.",
            ),
            Stage::SlowConnect => (
                "no connection within the time for connecting",
                "Nothing answered at that address, as behind a firewall that drops packets.",
                "Check firewall and proxy of this machine.",
            ),
            Stage::Connect => (
                "no connection",
                "The connection was refused or could not be routed.",
                "Check firewall and proxy of this machine.",
            ),
            Stage::Compression => (
                "the answer could not be decompressed",
                "The compressed body is damaged.",
                "Try again; if it stays, look for a proxy that alters answers.",
            ),
            Stage::Silence => (
                "no answer within the time for one",
                "The service took the request and then said nothing for too long.",
                "Send the same request again, or give a call more time.",
            ),
            Stage::Exchange => (
                "the connection broke before the response was complete",
                "The connection was closed.",
                "Send the same request again.",
            ),
        }
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let outermost: &(dyn Error + 'static) = error;
    std::iter::successors(Some(outermost), |&error| error.source())
}

/// The words below the outermost error, which names the address and so could say anything.
fn chain(error: &reqwest::Error) -> Vec<String> {
    causes(error)
        .skip(1)
        .map(|error| error.to_string().to_ascii_lowercase())
        .collect()
}

/// rustls' error lies inside I/O errors, one in another, which hide it from `source`.
fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let outermost = cause.downcast_ref::<io::Error>();
        cause.is::<rustls::Error>()
            || std::iter::successors(outermost, |error| error.get_ref()?.downcast_ref())
                .filter_map(io::Error::get_ref)
                .any(<dyn Error + Send + Sync>::is::<rustls::Error>)
    })
}

/// The innermost error's own words.
fn root_words(error: &reqwest::Error) -> String {
    let root = causes(error).last().map(ToString::to_string);
    root.unwrap_or_default().trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(crate) mod tests;
