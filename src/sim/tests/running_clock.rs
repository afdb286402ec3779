//! Tests with a clock that the test advances, and sign-in as client libraries do it. Services are
//! tested without connections in their own modules.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;
use serde_json::Value;

use super::{FORM, TENANT, body, list, raw, start};
use crate::sim::{Clock, Listen, Sim, World};

/// A simulator whose clock the test advances.
struct Driven {
    sim: Sim,
    seconds: Arc<AtomicI64>,
}

impl Driven {
    async fn start(world: &str) -> Self {
        let mut world = World::from_json(world).unwrap();
        world.now = Some("2026-01-14T12:00:00Z".parse().unwrap());
        let seconds = Arc::new(AtomicI64::new(0));
        let passed = Arc::clone(&seconds);
        let clock = Clock::running(move || TimeDelta::seconds(passed.load(Ordering::Relaxed)));
        let listen = Listen {
            tls: false,
            port: 0,
        };
        let sim = Sim::start_with_clock(world, listen, clock).await.unwrap();
        Self { sim, seconds }
    }

    fn advance_to(&self, seconds: i64) {
        self.seconds.store(seconds, Ordering::Relaxed);
    }

    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let request = format!(
            "GET /management/api/v1.0/{TENANT}/activity/feed/{path} HTTP/1.1\r\nHost: x\r\n\
             Connection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let answer = raw(&self.sim, &request).await;
        let status = answer[9..12].parse().unwrap();
        (status, serde_json::from_str(body(&answer)).unwrap())
    }
}

fn post(path: &str, form: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

async fn feed_token(sim: &Sim) -> String {
    let form = FORM.replace("graph.microsoft.com", "manage.office.com");
    let answer = raw(sim, &post(&format!("/{TENANT}/oauth2/v2.0/token"), &form)).await;
    let token: Value = serde_json::from_str(body(&answer)).unwrap();
    token["access_token"].as_str().unwrap().to_owned()
}

const WORLD: &str = r#"{"subscriptions":[{"content_type":"Audit.Exchange"}],
    "content":{"generated":[{"type":"Audit.Exchange","blobs":1,"per_hour":120}]},
    "alerts":{"count":1,"per_hour":60}}"#;

#[tokio::test]
async fn running_clock_brings_new_content_and_expires_tokens_and_content() {
    let driven = Driven::start(WORLD).await;
    let token = feed_token(&driven.sim).await;
    let listing = "subscriptions/content?contentType=Audit.Exchange";
    let mut counts = vec![];
    for seconds in [0, 30, 31, 75] {
        driven.advance_to(seconds);
        let (_, listed) = driven.get(listing, &token).await;
        counts.push(listed.as_array().unwrap().len());
    }
    assert_eq!(counts, [1, 1, 2, 3]);
    let (_, listed) = driven.get(listing, &token).await;
    let newest = &listed[2];
    assert_eq!(newest["contentCreated"], "2026-01-14T12:01:00.000Z");
    let id = newest["contentId"].as_str().unwrap();
    let blob = format!("audit/{id}");
    let (status, records) = driven.get(&blob, &token).await;
    assert_eq!((status, records.as_array().unwrap().len()), (200, 5));
    driven.advance_to(3_601);
    assert_eq!(
        driven.get(&blob, &token).await.0,
        401,
        "the token has expired"
    );
    driven.advance_to(7 * 86_400 + 60);
    let token = feed_token(&driven.sim).await;
    let (status, expired) = driven.get(&blob, &token).await;
    assert_eq!(
        (status, &expired["error"]["code"]),
        (400, &"AF20051".into())
    );
}

#[tokio::test]
async fn running_clock_brings_new_alerts_and_advances_the_date() {
    let driven = Driven::start(WORLD).await;
    let first = list(&driven.sim).await;
    assert!(
        first.contains("date: Wed, 14 Jan 2026 12:00:00 GMT"),
        "{first}"
    );
    driven.advance_to(125);
    let later = list(&driven.sim).await;
    assert!(
        later.contains("date: Wed, 14 Jan 2026 12:02:05 GMT"),
        "{later}"
    );
    let alerts = |answer: &str| {
        let page: Value = serde_json::from_str(body(answer)).unwrap();
        page["value"].as_array().unwrap().clone()
    };
    assert_eq!((alerts(&first).len(), alerts(&later).len()), (1, 3));
    let created = alerts(&later)[0]["createdDateTime"].to_string();
    assert!(created.starts_with("\"2026-01-14T12:02:00"), "{created}");
}

/// The requests that MSAL sends for an authority without a path.
#[tokio::test]
async fn sign_in_at_the_root_serves_client_libraries() {
    let sim = start("{}", false).await;
    let endpoints = sim.endpoints();
    let base = endpoints["login"].as_str().unwrap();
    let base = base.trim_end_matches("/login");
    let get = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(&sim, &request).await;
        let value: Value = serde_json::from_str(body(&answer)).unwrap();
        value
    };
    let instance = "/common/discovery/instance?api-version=1.1&authorization_endpoint=";
    let authority = format!("{base}/{TENANT}");
    let known = get(&format!("{instance}{authority}/oauth2/v2.0/authorize")).await;
    let discovery = known["tenant_discovery_endpoint"].as_str().unwrap();
    let portless = "http://127.0.0.1";
    let same = format!("{instance}{portless}/{TENANT}/oauth2/v2.0/authorize");
    assert_eq!(get(&same).await, known);
    let other = get(&format!(
        "{instance}https://login.test/t/oauth2/v2.0/authorize"
    ))
    .await;
    assert_eq!(other["error"], "invalid_instance");
    let below = format!("/login/{TENANT}/v2.0/.well-known/openid-configuration");
    for (address, root) in [
        (discovery.trim_start_matches(base), base.to_owned()),
        (below.as_str(), format!("{base}/login")),
    ] {
        let metadata = get(address).await;
        assert_eq!(metadata["issuer"], format!("{root}/{TENANT}/v2.0"));
        let endpoint = metadata["token_endpoint"].as_str().unwrap();
        assert_eq!(endpoint, format!("{root}/{TENANT}/oauth2/v2.0/token"));
        let path = endpoint.trim_start_matches(base);
        let answer = raw(&sim, &post(path, FORM)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
