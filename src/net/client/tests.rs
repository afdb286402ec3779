//! The client with a server on loopback.
//!
//! The server uses no HTTP library, so tests see the bytes that the client sends.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::*;
use crate::net::{
    Access, Audience, Auth, Caller, Cancel, Deadline, Links, TokenProvider, Transcript,
};
use crate::protocol::Secret;

/// The bytes of the response to a request. `None`: the server never responds.
type Script = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// A server on loopback with scripted responses. Records every request.
pub(crate) struct Server {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start(
        script: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (recorded, script): (_, Arc<Script>) = (Arc::clone(&seen), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&recorded), Arc::clone(&script)));
            }
        });
        let url = Url::parse(&format!("http://127.0.0.1:{port}")).expect("an address");
        Server { url, seen }
    }

    /// Every request so far, head and body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").clone()
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).expect("an address")
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>, script: Arc<Script>) {
    let mut bytes = Vec::new();
    while !is_complete(&bytes) {
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let request = String::from_utf8_lossy(&bytes).into_owned();
    seen.lock().expect("not poisoned").push(request.clone());
    match script(&request) {
        Some(response) => stream.write_all(&response).await.expect("written"),
        None => std::future::pending().await,
    }
}

fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split_once("content-length: ").map_or(0, |(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a length")
    });
    body.len() >= length
}

/// A complete response.
pub(crate) fn http(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

pub(crate) fn caller(timeout: Duration, transcript: Transcript) -> Caller {
    let settings = HttpSettings {
        max_body: 2000,
        retry_policy: RetryPolicy::fast(),
        ..HttpSettings::default()
    };
    let client = HttpClient::new(&settings).expect("a client");
    let deadline = Deadline::new(timeout, &Cancel::default());
    Caller::new(client, deadline, "run-1", transcript)
}

/// Access to a service without documented error codes.
fn plain(auth: Auth<'_>) -> Access<'_> {
    Access {
        auth,
        classify: |_| None,
    }
}

/// Always returns the same token.
struct OneToken;

impl TokenProvider for OneToken {
    fn token<'a>(&'a self, _: &'a Audience) -> BoxFuture<'a, Result<Token, Failure>> {
        Box::pin(async {
            Ok(Token {
                value: Secret::new("canary-token"),
                tenant: None,
                roles: Vec::new(),
            })
        })
    }

    fn forget(&self, _: &Audience, _: &Token) {}
}

async fn get_within(url: Url, timeout: u64) -> Result<ApiResponse, Failure> {
    let caller = caller(Duration::from_millis(timeout), Transcript::default());
    let audience = Audience("a".to_owned());
    let access = plain(Auth::Bearer(&OneToken, &audience));
    caller.send(ApiRequest::get("graph", url), access).await
}

async fn get(url: Url) -> Result<ApiResponse, Failure> {
    get_within(url, 10_000).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

const GZIP: &str = "Content-Encoding: gzip\r\nContent-Type: application/json\r\n";

#[test]
fn call_has_its_headers_and_gzip_is_decompressed() {
    run(async {
        let server = Server::start(|_| Some(http(200, GZIP, gzip(b"{\"value\":[]}")))).await;
        let response = get(server.at("/x?a=1")).await.expect("a response");
        assert_eq!(response.body, b"{\"value\":[]}");
        let seen = server.seen().concat().to_ascii_lowercase();
        for part in [
            "get /x?a=1 http/1.1\r\n",
            "\r\nclient-request-id: run-1\r\n",
            "\r\nauthorization: bearer canary-token\r\n",
            "\r\naccept-encoding: gzip\r\n",
            concat!(
                "\r\nuser-agent: soarhost/",
                env!("CARGO_PKG_VERSION"),
                "\r\n"
            ),
        ] {
            assert!(seen.contains(part), "{part:?} in {seen}");
        }
    });
}

#[test]
fn post_without_a_body_has_content_length_zero() {
    run(async {
        let server = Server::start(|_| Some(http(200, "", ""))).await;
        let caller = caller(Duration::from_secs(10), Transcript::default());
        let request = ApiRequest::post("management", server.at("/start"));
        caller
            .send(request, plain(Auth::None))
            .await
            .expect("a response");
        let seen = server.seen().concat().to_ascii_lowercase();
        assert_eq!(seen.matches("content-length: 0\r\n").count(), 1, "{seen}");
        assert_eq!(caller.usage().calls, 1);
    });
}

#[test]
fn redirect_is_not_followed() {
    run(async {
        let server = Server::start(|_| Some(http(302, "Location: /elsewhere\r\n", ""))).await;
        let failure = get(server.at("/x")).await.expect_err("a redirect");
        assert_eq!(failure.kind(), ErrorKind::BadResponse);
        assert!(failure.message().contains("a redirect to /elsewhere"));
        assert_eq!(server.seen().len(), 1);
    });
}

#[test]
fn truncated_body_is_a_network_failure() {
    run(async {
        let whole = gzip(&b"0123456789".repeat(50));
        for (headers, body) in [("", b"{\"value\":[{\"id\"".to_vec()), (GZIP, whole)] {
            let server = Server::start(move |_| {
                let response = http(200, headers, &body);
                Some(response[..response.len() - 5].to_vec())
            })
            .await;
            let failure = get(server.at("/x")).await.expect_err("truncated");
            assert_eq!(failure.kind(), ErrorKind::Network, "{failure}");
            assert!(failure.message().contains("broke before the response"));
        }
    });
}

#[test]
fn damaged_body_is_a_bad_response() {
    run(async {
        let server = Server::start(|_| Some(http(200, GZIP, "this is not gzip"))).await;
        let failure = get(server.at("/x")).await.expect_err("damaged");
        assert_eq!(failure.kind(), ErrorKind::BadResponse, "{failure}");
        assert!(failure.message().contains("could not be decompressed"));
    });
}

#[test]
fn size_limit_applies_to_the_decompressed_body() {
    run(async {
        let server = Server::start(|_| Some(http(200, GZIP, gzip(&[b' '; 2001])))).await;
        let failure = get(server.at("/x")).await.expect_err("too large");
        assert_eq!(failure.kind(), ErrorKind::BadResponse);
        assert!(failure.message().contains("larger than 2000 bytes"));
        let server = Server::start(|_| Some(http(200, GZIP, gzip(&[b' '; 2000])))).await;
        assert!(get(server.at("/x")).await.is_ok());
    });
}

#[test]
fn deadline_ends_a_call_at_once() {
    run(async {
        let server = Server::start(|_| None).await;
        let failure = get_within(server.at("/x"), 50).await.expect_err("too slow");
        assert_eq!(failure.kind(), ErrorKind::Timeout);
        let words = format!("The 50 ms allowed ran out during GET {}.", server.at("/x"));
        assert_eq!(failure.message(), words);
    });
}

#[test]
fn link_to_another_server_is_refused_before_a_token_is_sent() {
    run(async {
        let home = Server::start(|_| Some(http(200, "", "{}"))).await;
        let foreign = Server::start(|_| Some(http(200, "", "{}"))).await;
        let mut links = Links::new(&home.url);
        let link = foreign.at("/next").to_string();
        let failure = links.follow(&link).expect_err("another port");
        assert!(
            failure
                .message()
                .contains(foreign.url.as_str().trim_end_matches('/'))
        );
        assert!(foreign.seen().is_empty());
    });
}

#[test]
fn secret_is_not_sent_over_plain_http() {
    run(async {
        let url = Url::parse("http://192.0.2.1/x").expect("an address");
        let failure = get(url).await.expect_err("refused");
        assert_eq!(failure.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            failure.message(),
            "GET http://192.0.2.1/x was not sent: a secret would be sent over plain http."
        );
    });
}

#[test]
fn failed_connection_is_reported_with_its_stage_and_cause() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(b"this is not TLS").await.expect("written");
            }
        });
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            listener.local_addr().expect("an address").port()
        };
        for (url, words) in [
            (
                format!("http://127.0.0.1:{closed}/"),
                "no connection: Connection refused",
            ),
            (
                format!("https://127.0.0.1:{port}/"),
                "the TLS handshake failed: received corrupt message",
            ),
            (
                "https://name.invalid/".to_owned(),
                "the name could not be resolved: ",
            ),
        ] {
            let url = Url::parse(&url).expect("an address");
            let failure = get(url).await.expect_err(words);
            assert_eq!(failure.kind(), ErrorKind::Network);
            assert!(failure.message().contains(words), "{failure}");
            assert!(failure.assistance().is_some());
        }
    });
}

#[test]
fn dry_run_sends_nothing() {
    run(async {
        let server = Server::start(|_| Some(http(200, "", "{}"))).await;
        let caller = caller(Duration::from_secs(10), Transcript::dry_run());
        let audience = Audience("a".to_owned());
        let access = plain(Auth::Bearer(&OneToken, &audience));
        let request = ApiRequest::get("graph", server.at("/x"));
        let stop = caller.send(request, access).await;
        let stop = stop.expect_err("nothing is sent");
        assert!(crate::net::transcript::is_dry_run(&stop));
        assert_eq!(caller.transcript().requests().len(), 1);
        assert!(server.seen().is_empty());
        assert_eq!(caller.usage().calls, 0);
    });
}

#[test]
fn requested_pause_applies_to_all_calls_to_the_service() {
    run(async {
        let slow = |_: &str| Some(http(429, "Retry-After: 60\r\n", ""));
        let server = Server::start(slow).await;
        let first = caller(Duration::from_secs(5), Transcript::default());
        let request = |path| ApiRequest::get("graph", server.at(path));
        let stop = first.send(request("/1"), plain(Auth::None)).await;
        let stop = stop.expect_err("the wait would outlast the deadline");
        assert_eq!(stop.kind(), ErrorKind::Throttled);
        assert_eq!(stop.wait(), Some(Duration::from_mins(1)));
        // Another run of the same process, another address, the same service.
        let deadline = Deadline::new(Duration::from_secs(5), &Cancel::default());
        let other = Caller::new(
            first.client.clone(),
            deadline,
            "run-2",
            Transcript::default(),
        );
        let stop = other.send(request("/2"), plain(Auth::None)).await;
        let stop = stop.expect_err("the service requested a pause");
        assert_eq!(stop.kind(), ErrorKind::Throttled);
        assert!(stop.message().contains("was not sent"), "{stop}");
        assert!(
            stop.wait()
                .is_some_and(|wait| wait > Duration::from_secs(50))
        );
        assert_eq!(server.seen().len(), 1, "nothing was sent during the pause");
        assert_eq!(other.usage().calls, 0);
    });
}

#[test]
fn request_without_a_response_is_retried() {
    run(async {
        let requests = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::start(move |_| {
            let before = requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (before > 0).then(|| http(200, "", "{}"))
        })
        .await;
        let settings = HttpSettings {
            read_timeout: Duration::from_millis(50),
            retry_policy: RetryPolicy::fast(),
            ..HttpSettings::default()
        };
        let client = HttpClient::new(&settings).expect("a client");
        let deadline = Deadline::new(Duration::from_secs(30), &Cancel::default());
        let caller = Caller::new(client, deadline, "run-1", Transcript::default());
        let request = ApiRequest::get("graph", server.at("/x"));
        let response = caller.send(request, plain(Auth::None)).await;
        assert_eq!(response.expect("the second attempt").body, b"{}");
        assert_eq!((caller.usage().calls, caller.usage().retries), (2, 1));
        let change = ApiRequest::post("graph", server.at("/x"));
        assert!(caller.send(change, plain(Auth::None)).await.is_ok());
    });
}

#[test]
fn no_concurrent_request_begins_during_a_pause() {
    run(async {
        let pause: Arc<Mutex<Option<std::time::Instant>>> = Arc::default();
        let during = Arc::new(Mutex::new((0, 0)));
        let (pause_began, counted) = (Arc::clone(&pause), Arc::clone(&during));
        let server = Server::start(move |_| {
            let mut pause_began = pause_began.lock().expect("not poisoned");
            let mut counted = counted.lock().expect("not poisoned");
            counted.0 += 1;
            if counted.0 == 20 {
                *pause_began = Some(std::time::Instant::now());
                return Some(http(429, "Retry-After: 1\r\n", ""));
            }
            let within = pause_began.is_some_and(|at| at.elapsed() < Duration::from_secs(1));
            counted.1 += usize::from(within);
            Some(http(200, "", "{}"))
        })
        .await;
        let caller = caller(Duration::from_mins(1), Transcript::default());
        let request = || ApiRequest::get("graph", server.at("/x"));
        let calls = (0..100).map(|_| caller.send(request(), plain(Auth::None)));
        let mut responses =
            futures_util::StreamExt::buffer_unordered(futures_util::stream::iter(calls), 8);
        while let Some(response) = futures_util::StreamExt::next(&mut responses).await {
            response.expect("a response");
        }
        let (all, within) = *during.lock().expect("not poisoned");
        assert_eq!(all, 101, "each once, and the throttled one again");
        // Requests that were sent before the pause began can arrive during it.
        assert!(within <= 14, "{within} of 81 began during the pause");
    });
}

#[test]
fn body_beyond_the_memory_budget_is_refused_and_not_retried() {
    run(async {
        let server = Server::start(|_| Some(http(200, "", "x".repeat(1500)))).await;
        let memory = MemoryBudget::new(2000);
        let caller = caller(Duration::from_secs(5), Transcript::default());
        let caller = caller.with_memory(memory.clone());
        let get = || caller.send(ApiRequest::get("graph", server.at("/x")), plain(Auth::None));
        let first = get().await.expect("1,500 of 2,000 bytes");
        assert_eq!(memory.used(), 1500);
        let refused = get().await.expect_err("3,000 of 2,000 bytes");
        assert!(crate::net::memory::is_memory(&refused) && memory.is_exhausted());
        assert_eq!(server.seen().len(), 2, "a repeat would not fit either");
        drop(first);
        assert_eq!(memory.used(), 0);
        memory.retry();
        assert!(get().await.is_ok());
    });
}
