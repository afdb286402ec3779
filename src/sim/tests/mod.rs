//! Tests of the simulator over real connections: TLS, HTTP/2, and faults on plain HTTP. Services
//! are tested without connections in their own modules.

mod running_clock;

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::sim::{Listen, Sim, World};

pub(super) const TENANT: &str = "11111111-2222-3333-4444-555555555555";

const FORM: &str = "grant_type=client_credentials&client_id=aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb\
    &client_secret=s3cret&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default";

pub(super) async fn start(world: &str, tls: bool) -> Sim {
    let mut world = World::from_json(world).unwrap();
    world.now = Some("2026-01-14T12:00:00Z".parse().unwrap());
    Sim::start(world, Listen { tls, port: 0 }).await.unwrap()
}

/// The whole response to a request on its own connection.
async fn raw(sim: &Sim, request: &str) -> String {
    let endpoints = sim.endpoints();
    let address = endpoints["login"].as_str().unwrap();
    let address = address
        .trim_start_matches("http://")
        .trim_end_matches("/login");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![];
    // A dropped connection may show as an end or as a reset.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn post() -> String {
    format!(
        "POST /login/{TENANT}/oauth2/v2.0/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{FORM}",
        FORM.len()
    )
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

async fn list(sim: &Sim) -> String {
    let token: Value = serde_json::from_str(body(&raw(sim, &post()).await)).unwrap();
    let token = token["access_token"].as_str().unwrap();
    let request = format!(
        "GET /graph/v1.0/security/alerts_v2?$top=3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    raw(sim, &request).await
}

#[tokio::test]
async fn http_client_signs_in_and_reads_two_pages() {
    let sim = start(r#"{"alerts":{"count":15},"page_size":10}"#, true).await;
    let endpoints = sim.endpoints();
    let ca = endpoints["ca"].as_str().unwrap().as_bytes();
    let client = client(ca);
    let login = format!(
        "{}/{TENANT}/oauth2/v2.0/token",
        endpoints["login"].as_str().unwrap()
    );
    let request = client.post(login).body(FORM);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let token: Value =
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
    let token = token["access_token"].as_str().unwrap();
    let graph = endpoints["graph"].as_str().unwrap();
    let mut next = Some(format!("{graph}/v1.0/security/alerts_v2"));
    let mut sizes = vec![];
    while let Some(link) = next {
        let answer = client.get(link).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert_eq!(answer.headers()["date"], "Wed, 14 Jan 2026 12:00:00 GMT");
        let page: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        sizes.push(page["value"].as_array().unwrap().len());
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(sizes, [10, 5]);
    let seen = sim.requests();
    assert_eq!(seen.len(), 3);
    assert_eq!((seen[1].service, seen[1].status), ("graph", 200));
    let written = serde_json::to_string(&seen).unwrap();
    assert!(
        written.contains("Bearer https://graph.microsoft.com"),
        "{written}"
    );
    assert!(
        !written.contains("s3cret") && !written.contains("eyJ"),
        "{written}"
    );
    sim.stop().await;
    assert!(client.get(graph).send().await.is_err());
}

pub(super) fn client(ca: &[u8]) -> reqwest::Client {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca).unwrap())
        .unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .build()
        .unwrap()
}

#[tokio::test]
async fn two_simulators_of_a_world_return_the_same_bytes() {
    let (one, other) = (start("{}", false).await, start("{}", false).await);
    let port = |sim: &Sim| sim.endpoints()["login"].as_str().unwrap()[17..].replace("/login", "");
    let first = list(&one).await.replace(&port(&one), "PORT");
    assert_eq!(first, list(&other).await.replace(&port(&other), "PORT"));
    assert_eq!(one.requests(), other.requests());
}

#[tokio::test]
async fn status_fault_applies_to_nth_request() {
    let fault = r#"{"route":"login.token","nth":1,"status":429,"body":{"error":"slow"},
        "headers":{"Retry-After":"2"}}"#;
    let sim = start(&format!(r#"{{"faults":[{fault}]}}"#), false).await;
    let first = raw(&sim, &post()).await;
    assert!(
        first.starts_with("HTTP/1.1 429 ") && first.contains("retry-after: 2\r\n"),
        "{first}"
    );
    assert!(first.contains("content-type: application/json") && body(&first).contains("slow"));
    assert!(raw(&sim, &post()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn truncated_body_has_the_whole_length() {
    let sim = start(
        r#"{"faults":[{"route":"graph.alerts","truncate":40}]}"#,
        false,
    )
    .await;
    let answer = list(&sim).await;
    let promised = answer
        .split("content-length: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    assert!(promised.parse::<usize>().unwrap() > 1000, "{answer}");
    assert_eq!(body(&answer).len(), 40);
}

#[tokio::test]
async fn faults_apply_to_http_2() {
    let world = r#"{"faults":[{"route":"login.discovery","nth":1,"reset":true},
        {"route":"login.discovery","nth":2,"truncate":30}]}"#;
    let sim = start(world, true).await;
    let endpoints = sim.endpoints();
    let client = client(endpoints["ca"].as_str().unwrap().as_bytes());
    let login = endpoints["login"].as_str().unwrap();
    let link = format!("{login}/{TENANT}/v2.0/.well-known/openid-configuration");
    assert!(client.get(&link).send().await.is_err());
    let cut = client.get(&link).send().await.unwrap();
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());
    let whole = client.get(&link).send().await.unwrap();
    assert!(whole.text().await.unwrap().contains("token_endpoint"));
}

#[tokio::test]
async fn json_is_compressed_if_the_client_accepts_it() {
    let sim = start("{}", false).await;
    let get = |accepted: &str| {
        format!(
            "GET /graph/v1.0/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Accept-Encoding: {accepted}\r\n\r\n"
        )
    };
    let plain = raw(&sim, &get("gzip;q=0, br")).await;
    assert!(!plain.contains("content-encoding") && plain.contains("vary: Accept-Encoding"));
    assert!(plain.contains("Access token is empty."), "{plain}");
    let packed = raw(&sim, &get("br, gzip")).await;
    assert!(packed.contains("content-encoding: gzip"), "{packed}");
}

#[tokio::test]
async fn reset_sends_no_response() {
    let sim = start(
        r#"{"faults":[{"route":"login.token","times":1,"reset":true}]}"#,
        false,
    )
    .await;
    assert_eq!(raw(&sim, &post()).await, "");
    assert_eq!(sim.requests()[0].status, 0);
    assert!(raw(&sim, &post()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn delay_replacement_and_expired_token_are_applied() {
    let sim = start(
        r#"{"faults":[{"route":"login.token","nth":1,"delay_ms":60},
            {"route":"graph.alerts","nth":1,"replace":{"from":"@odata.nextLink","to":"more"}},
            {"route":"graph.alerts","nth":2,"expire_token":true}]}"#,
        false,
    )
    .await;
    let begin = Instant::now();
    let first = list(&sim).await;
    assert!(begin.elapsed() >= Duration::from_millis(60));
    assert!(
        first.contains("\"more\":") && !first.contains("nextLink"),
        "{first}"
    );
    let second = list(&sim).await;
    assert!(second.contains("Access token has expired."), "{second}");
    assert!(list(&sim).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn silent_peer_does_not_block_others() {
    let sim = start("{}", true).await;
    let endpoints = sim.endpoints();
    let graph = endpoints["graph"].as_str().unwrap();
    let address = graph
        .trim_start_matches("https://")
        .trim_end_matches("/graph");
    let _silent = TcpStream::connect(address).await.unwrap();
    let client = client(endpoints["ca"].as_str().unwrap().as_bytes());
    let answer = client
        .get(graph)
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn port_in_use_and_missing_time_are_reported() {
    let sim = start("{}", false).await;
    let endpoints = sim.endpoints();
    let address = endpoints["login"].as_str().unwrap().replace("/login", "");
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let mut world = World::default();
    let error = |result: anyhow::Result<Sim>| format!("{:#}", result.err().unwrap());
    let listen = Listen { tls: false, port };
    assert!(error(Sim::start(world.clone(), listen).await).contains("`now`"));
    world.now = Some("2026-01-14T12:00:00Z".parse().unwrap());
    assert!(error(Sim::start(world, listen).await).contains("cannot listen"));
}
