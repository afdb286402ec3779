//! Handles requests: parses, counts and logs them, applies faults or calls the service, and writes
//! the response.
//!
//! The wire effects of faults are here; the services interpret requests.

pub(super) mod call;
pub(super) mod listener;
pub(super) mod log;
pub(super) mod routes;
pub(super) mod tls;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE, VARY};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::sync::Notify;

use crate::sim::context::Context;
use crate::sim::exchange::Exchange;
use crate::sim::faults::{Fault, FaultPlan};
use crate::sim::feed::Feed;
use crate::sim::feed::webhook_receiver;
use crate::sim::graph::Graph;
use crate::sim::login::Login;
use crate::sim::login::managed_identity::Identity;
use crate::sim::server::call::{Answer, Call, pairs};
use crate::sim::server::log::{Log, LoggedRequest};
use crate::sim::server::routes::{Route, Service};

/// The maximum size of a request body.
const MAX_BODY: usize = 1 << 20;

/// The delay before a truncated response drops its connection, so that the bytes before have
/// arrived.
const DELAY_BEFORE_TRUNCATION: Duration = Duration::from_millis(20);

/// The services, the faults and the log of one simulator.
pub(super) struct Server {
    context: Arc<Context>,
    login: Login,
    graph: Graph,
    feed: Feed,
    exchange: Exchange,
    identity: Identity,
    faults: FaultPlan,
    /// The logged requests.
    pub(super) log: Log,
}

/// How a request ends.
enum Outcome {
    Whole(Answer),
    /// Ends after this many bytes of the body.
    Truncated(Answer, usize),
    Reset,
}

impl Server {
    /// A server for a context, whose certificate authority is given as PEM.
    pub(super) fn new(context: Arc<Context>, authority: Option<&str>) -> Self {
        Self {
            login: Login::new(Arc::clone(&context)),
            graph: Graph::new(Arc::clone(&context)),
            feed: Feed::new(Arc::clone(&context), authority),
            exchange: Exchange::new(Arc::clone(&context)),
            identity: Identity::new(Arc::clone(&context)),
            faults: FaultPlan::new(context.world.faults.clone()),
            log: Log::default(),
            context,
        }
    }

    /// Processes a request to which these faults apply.
    async fn respond(&self, service: Option<Service>, call: &Call, faults: &[&Fault]) -> Outcome {
        let pause = faults.iter().filter_map(|fault| fault.delay_ms).sum();
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        if faults.iter().any(|fault| fault.reset) {
            return Outcome::Reset;
        }
        let by_fault = faults
            .iter()
            .find_map(|fault| Some(fault_answer(fault, fault.status?)));
        let mut answer = match by_fault {
            Some(answer) => answer,
            None => self.serve(service, call).await,
        };
        for replace in faults.iter().filter_map(|fault| fault.replace.as_ref()) {
            answer.body = answer.body.replace(&replace.from, &replace.to);
        }
        let truncated = faults.iter().find_map(|fault| fault.truncate);
        match truncated {
            Some(length) if length < answer.body.len() => Outcome::Truncated(answer, length),
            _ => Outcome::Whole(answer),
        }
    }

    async fn serve(&self, service: Option<Service>, call: &Call) -> Answer {
        match service {
            Some(Service::Login) => self.login.answer(call),
            Some(Service::Graph) => self.graph.answer(call),
            Some(Service::Management) => self.feed.answer(call).await,
            Some(Service::Exchange) => self.exchange.answer(call),
            Some(Service::Hook) => webhook_receiver::answer(call),
            Some(Service::Metadata) => self.identity.answer(call),
            None => Answer::new(404, String::new()),
        }
    }

    /// The HTTP response, with the simulator's time as its date.
    fn write(&self, answer: &Answer, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &answer.headers {
            let name = HeaderName::try_from(name.as_str());
            // A fault can have a header that HTTP does not allow; it is left out.
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
                response.headers_mut().append(name, value);
            }
        }
        // Otherwise the server adds the date of the machine.
        let date = self
            .context
            .now()
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        if let Ok(date) = HeaderValue::try_from(date) {
            response.headers_mut().entry(DATE).or_insert(date);
        }
        response
    }

    fn whole(&self, answer: &Answer, encoding: Encoding) -> Response {
        let compressed = match encoding {
            Encoding::Gzip if !answer.body.is_empty() => gzip(answer.body.as_bytes()).ok(),
            _ => None,
        };
        let encoded = compressed.is_some();
        let bytes = compressed.unwrap_or_else(|| answer.body.clone().into_bytes());
        let mut response = self.write(answer, Body::from(bytes));
        if encoded {
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if encoding != Encoding::Unsupported {
            response
                .headers_mut()
                .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        response
    }

    /// Sends the length of the whole body and the start of the body, then fails.
    fn truncated(&self, answer: &Answer, length: usize) -> Response {
        let begin = Bytes::copy_from_slice(&answer.body.as_bytes()[..length]);
        let failing = async {
            tokio::time::sleep(DELAY_BEFORE_TRUNCATION).await;
            Err(io::Error::from(io::ErrorKind::ConnectionReset))
        };
        let chunks = stream::once(async { Ok(begin) });
        let body = stream::StreamExt::chain(chunks, stream::once(failing));
        let mut response = self.write(answer, Body::from_stream(body));
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, answer.body.len().into());
        response
    }
}

/// Whether a response is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// The service does not compress.
    Unsupported,
    /// The client does not accept gzip.
    Plain,
    /// Compressed with gzip.
    Gzip,
}

impl Encoding {
    fn of(service: Option<Service>, call: &Call) -> Self {
        match service {
            None | Some(Service::Login | Service::Hook | Service::Metadata) => Self::Unsupported,
            Some(_) if accepts_gzip(call.header("accept-encoding").unwrap_or_default()) => {
                Self::Gzip
            }
            Some(_) => Self::Plain,
        }
    }
}

fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = ["q=0", "q=0.0", "q=0.00", "q=0.000"].contains(&weight.trim());
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn fault_answer(fault: &Fault, status: u16) -> Answer {
    let (body, kind) = fault.content();
    let mut answer = Answer::new(status, body);
    let own = fault
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    answer.headers.extend(own);
    let typed = fault
        .headers
        .keys()
        .any(|name| name.eq_ignore_ascii_case("content-type"));
    if typed || answer.body.is_empty() {
        answer
    } else {
        answer.with("Content-Type", kind)
    }
}

/// Handles a request. Notifies the connection if it must be dropped.
pub(super) async fn handle(
    State((server, connection)): State<(Arc<Server>, Arc<Notify>)>,
    request: Request,
) -> Response {
    let (service, mut call) = read(request).await;
    let (number, faults) = server.faults.next(call.route);
    call.number = number;
    call.expired = faults.iter().any(|fault| fault.expire_token);
    let place = server
        .log
        .add(LoggedRequest::of(service, &call, &server.context.tokens));
    let outcome = server.respond(service, &call, &faults).await;
    match outcome {
        Outcome::Whole(answer) => {
            server.log.set_status(place, answer.status);
            server.whole(&answer, Encoding::of(service, &call))
        }
        Outcome::Truncated(answer, length) => {
            server.log.set_status(place, answer.status);
            server.truncated(&answer, length)
        }
        Outcome::Reset => {
            connection.notify_one();
            std::future::pending().await
        }
    }
}

async fn read(request: Request) -> (Option<Service>, Call) {
    let (parts, body) = request.into_parts();
    let whole = parts.uri.path();
    let target = parts
        .uri
        .path_and_query()
        .map_or(whole, |target| target.as_str());
    let found = Service::of(whole);
    let path = found.map_or(whole, |(_, path)| path).to_owned();
    let route = found.map_or(Route::Unknown, |(service, path)| Route::of(service, path));
    // An unreadable body counts as empty: the service then reports what is missing.
    let bytes = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let call = Call {
        route,
        number: 0,
        expired: false,
        prefix: whole[..whole.len() - path.len()].to_owned(),
        method: parts.method.as_str().to_owned(),
        target: target
            .get(whole.len() - path.len()..)
            .unwrap_or_default()
            .to_owned(),
        path,
        query: pairs(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    (found.map(|(service, _)| service), call)
}
