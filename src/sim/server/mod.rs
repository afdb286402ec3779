//! The way of a request: read it, count it, log it, let faults strike or a service answer, write
//! the answer.
//!
//! It deliberately knows what no service is about. What a fault does to the wire is done here.

pub(super) mod call;
pub(super) mod listener;
pub(super) mod log;
pub(super) mod routes;
pub(super) mod tls;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE, VARY};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;

use crate::sim::faults::{Fault, FaultBook};
use crate::sim::feed::Feed;
use crate::sim::feed::webhook_receiver;
use crate::sim::graph::Graph;
use crate::sim::login::Login;
use crate::sim::login::managed_identity::Identity;
use crate::sim::server::call::{Answer, Call, pairs};
use crate::sim::server::listener::Line;
use crate::sim::server::log::{Log, Seen};
use crate::sim::server::routes::{Route, Service};
use crate::sim::site::Site;

/// The largest body that is read.
const LARGEST: usize = 1 << 20;

/// How long a cut body waits before the cut, so that what was promised to arrive has arrived.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// The services, the faults and the log of one simulator.
pub(super) struct Server {
    site: Arc<Site>,
    login: Login,
    graph: Graph,
    feed: Feed,
    identity: Identity,
    faults: FaultBook,
    /// Requests as they came.
    pub(super) log: Log,
}

/// How an exchange ends.
enum Ending {
    /// With the whole answer.
    Whole(Answer),
    /// With so many bytes of the body.
    Cut(Answer, usize),
    /// With nothing.
    Reset,
}

impl Server {
    /// The server of a site, whose certificate is from an authority given as PEM.
    pub(super) fn new(site: Arc<Site>, authority: Option<&str>) -> Self {
        Self {
            login: Login::new(Arc::clone(&site)),
            graph: Graph::new(Arc::clone(&site)),
            feed: Feed::new(Arc::clone(&site), authority),
            identity: Identity::new(Arc::clone(&site)),
            faults: FaultBook::new(site.world.faults.clone()),
            log: Log::default(),
            site,
        }
    }

    /// Answers a call that is struck by these faults.
    async fn respond(&self, service: Option<Service>, call: &Call, faults: &[&Fault]) -> Ending {
        let pause = faults.iter().filter_map(|fault| fault.delay_ms).sum();
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        if faults.iter().any(|fault| fault.reset) {
            return Ending::Reset;
        }
        let struck = faults
            .iter()
            .find_map(|fault| Some(given(fault, fault.status?)));
        let mut answer = match struck {
            Some(answer) => answer,
            None => self.serve(service, call).await,
        };
        for replace in faults.iter().filter_map(|fault| fault.replace.as_ref()) {
            answer.body = answer.body.replace(&replace.from, &replace.to);
        }
        let cut = faults.iter().find_map(|fault| fault.truncate);
        match cut {
            Some(length) if length < answer.body.len() => Ending::Cut(answer, length),
            _ => Ending::Whole(answer),
        }
    }

    async fn serve(&self, service: Option<Service>, call: &Call) -> Answer {
        match service {
            Some(Service::Login) => self.login.answer(call),
            Some(Service::Graph) => self.graph.answer(call),
            Some(Service::Management) => self.feed.answer(call).await,
            Some(Service::Hook) => webhook_receiver::answer(call),
            Some(Service::Metadata) => self.identity.answer(call),
            None => Answer::new(404, String::new()),
        }
    }

    /// The answer as the server writes it, dated by the world's clock.
    fn write(&self, answer: &Answer, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &answer.headers {
            let name = HeaderName::try_from(name.as_str());
            // A fault may ask for a header that HTTP cannot carry; it is left out.
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
                response.headers_mut().append(name, value);
            }
        }
        // Without one the server would write the system's date.
        let date = self
            .site
            .now()
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        if let Ok(date) = HeaderValue::try_from(date) {
            response.headers_mut().entry(DATE).or_insert(date);
        }
        response
    }

    fn whole(&self, answer: &Answer, packing: Packing) -> Response {
        let packed = match packing {
            Packing::Gzip if !answer.body.is_empty() => gzip(answer.body.as_bytes()).ok(),
            _ => None,
        };
        let encoded = packed.is_some();
        let bytes = packed.unwrap_or_else(|| answer.body.clone().into_bytes());
        let mut response = self.write(answer, Body::from(bytes));
        if encoded {
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if packing != Packing::Never {
            response
                .headers_mut()
                .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        response
    }

    /// Promises the whole body, sends its beginning and fails.
    fn cut(&self, answer: &Answer, length: usize) -> Response {
        let begin = Bytes::copy_from_slice(&answer.body.as_bytes()[..length]);
        let failing = async {
            tokio::time::sleep(BEFORE_CUT).await;
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

/// Whether an answer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// The service does not pack.
    Never,
    /// The caller does not unpack.
    Plain,
    /// Both do.
    Gzip,
}

impl Packing {
    fn of(service: Option<Service>, call: &Call) -> Self {
        match service {
            None | Some(Service::Login | Service::Hook | Service::Metadata) => Self::Never,
            Some(_) if takes_gzip(call.header("accept-encoding").unwrap_or_default()) => Self::Gzip,
            Some(_) => Self::Plain,
        }
    }
}

fn takes_gzip(accepted: &str) -> bool {
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

/// The answer that a fault gives instead of the service.
fn given(fault: &Fault, status: u16) -> Answer {
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

/// Takes any request; the router has no other route.
pub(super) async fn handle(
    State(server): State<Arc<Server>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (service, mut call) = read(request).await;
    let (number, faults) = server.faults.next(call.route);
    call.number = number;
    call.expired = faults.iter().any(|fault| fault.expire_token);
    let place = server
        .log
        .arrive(Seen::of(service, &call, &server.site.tokens));
    let ending = server.respond(service, &call, &faults).await;
    match ending {
        Ending::Whole(answer) => {
            server.log.answer(place, answer.status);
            server.whole(&answer, Packing::of(service, &call))
        }
        Ending::Cut(answer, length) => {
            server.log.answer(place, answer.status);
            server.cut(&answer, length)
        }
        Ending::Reset => {
            line.cut();
            Response::new(Body::empty())
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
    // A body that cannot be read is as good as none: the service will miss something in it.
    let bytes = to_bytes(body, LARGEST).await.unwrap_or_default();
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
