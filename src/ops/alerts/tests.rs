//! Fetching alerts from a scripted server: pages, limits, faults, and the subscription.

use std::time::Duration;

use serde_json::{Value, json};

use url::Url;

use super::*;
use crate::clock::Clock;
use crate::identity::{Credential, SignIn, SignInContext, TokenCache};
use crate::microsoft::connection::tests::{CLIENT, TENANT};
use crate::microsoft::{Cloud, Connection};
use crate::net::client::tests::{Server, caller, http, run};
use crate::net::{MemoryBudget, Transcript};
use crate::ops::find;
use crate::protocol::{ErrorKind, Redactor};
use crate::when;

const LOG_IN: &str =
    r#"{"token_type":"Bearer","expires_in":3599,"access_token":"canary.e30.token"}"#;

/// A server with six alerts on pages of three. The script replaces answers.
async fn service(script: fn(&str) -> Option<(u16, String)>) -> Server {
    Server::start(move |request| {
        let host = request.split("host: ").nth(1)?.split("\r\n").next()?;
        let (status, body) = script(request).unwrap_or_else(|| default_answer(request, host));
        Some(http(
            status,
            "Content-Type: application/json\r\n",
            body.replace("HOST", host),
        ))
    })
    .await
}

/// A sign-in, or the page of alerts 1 to 6 that the query selects. Alert 1 is the newest.
fn default_answer(request: &str, host: &str) -> (u16, String) {
    if request.starts_with("POST") {
        return (200, LOG_IN.to_owned());
    }
    let target = request.split(' ').nth(1).unwrap_or_default();
    let url = Url::parse(&format!("http://{host}{target}")).expect("an address");
    let option = |name: &str| {
        let found = url.query_pairs().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let time = |n: u32| format!("2026-09-20T00:00:0{}Z", 9 - n);
    let filter = option("$filter");
    let passes = |n: &u32| {
        filter
            .split(" and ")
            .all(|part| match part.split(' ').collect::<Vec<_>>()[..] {
                [_, "ge", bound] => time(*n).trim_end_matches('Z') >= bound.trim_end_matches('Z'),
                [_, "lt", bound] => time(*n).trim_end_matches('Z') < bound.trim_end_matches('Z'),
                _ => true,
            })
    };
    let mut found: Vec<u32> = (1..=6).filter(passes).collect();
    if option("$orderby").ends_with("asc") {
        found.reverse();
    }
    let size = option("$top").parse().unwrap_or(3).min(3);
    let records: Vec<Value> = found
        .iter()
        .take(size)
        .map(|n| json!({ "id": n.to_string(), "lastUpdateDateTime": time(*n) }))
        .collect();
    let mut page = json!({ "@odata.context": "c", "value": records });
    if found.len() > size {
        page["@odata.nextLink"] = json!(format!("http://{host}/v1.0/security/alerts_v2?$skip=9"));
    }
    (200, page.to_string())
}

fn connection(server: &Server) -> Connection {
    let url = server.url.as_str();
    let file = json!({"cloud": 1, "id": "lab", "login": url, "graph": url, "management": url, "exchange": url});
    let named = Cloud::named("commercial").expect("a cloud");
    let cloud = Cloud::from_operator(&file.to_string(), &named).expect("a file");
    let credential = Credential::client_secret("canary-secret");
    Connection::new(cloud.cloud, TENANT, CLIENT, credential)
}

struct Run<'a> {
    server: &'a Server,
    input: Value,
    state: Option<State>,
    max_events: Option<u64>,
    timeout: Duration,
    memory: MemoryBudget,
}

fn with(server: &Server, input: Value) -> Run<'_> {
    Run {
        server,
        input,
        state: None,
        max_events: None,
        timeout: Duration::from_secs(10),
        memory: MemoryBudget::default(),
    }
}

impl Run<'_> {
    async fn reply(self) -> Reply {
        let connection = connection(self.server);
        let caller = caller(self.timeout, Transcript::default()).with_memory(self.memory);
        let means = SignInContext {
            cache: TokenCache::default(),
            redactor: Redactor::default(),
            clock: Clock::Fixed(now()),
        };
        let tokens = SignIn::new(&caller, connection.account(), means);
        let call = Call {
            connection: &connection,
            http: &caller,
            tokens: &tokens,
            now: now(),
            state: self.state.as_ref(),
            is_stored: false,
            overlap: None,
            max_events: self.max_events,
        };
        let operation = find(NAME).expect("the operation");
        operation.check(&self.input, now()).expect("a fine input");
        let reply = operation.run(&call, &self.input).await;
        reply.expect("a reply")
    }
}

fn now() -> DateTime<Utc> {
    when::instant("2026-09-20T01:00:00Z", &[]).expect("a time")
}

fn ids(reply: &Reply) -> Vec<u64> {
    let raw: Value = serde_json::from_str(reply.raw.text()).expect("JSON");
    let records = raw["value"].as_array().expect("records");
    let number = |record: &Value| record["id"].as_str()?.parse().ok();
    records.iter().filter_map(number).collect()
}

fn codes(reply: &Reply) -> Vec<&str> {
    reply.warnings.iter().map(|w| w.code.as_str()).collect()
}

#[test]
fn all_pages_are_joined() {
    run(async {
        let server = service(|_| None).await;
        let reply = with(&server, json!({})).reply().await;
        assert_eq!(ids(&reply), [1, 2, 3, 4, 5, 6]);
        assert!(!reply.raw.text().contains("nextLink"));
        assert!(!reply.more && reply.state.is_none() && reply.incomplete.is_none());
        let coverage = reply.coverage.expect("coverage");
        assert!(coverage.complete && coverage.windows[0].balances());
        assert_eq!(coverage.windows[0].pages, 3);
        let seen = server.seen();
        assert!(seen[0].starts_with(&format!("POST /{TENANT}/oauth2/v2.0/token ")));
        assert!(seen[0].contains("scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"));
        assert!(seen[1].contains("prefer: include-unknown-enum-members\r\n"));
        assert_eq!(seen.len(), 4);
    });
}

#[test]
fn top_is_exact_over_pages() {
    run(async {
        let server = service(|_| None).await;
        let reply = with(&server, json!({"top": 3})).reply().await;
        assert_eq!(ids(&reply), [1, 2, 3]);
        let window = &reply.coverage.expect("coverage").windows[0];
        assert!(window.limited && window.balances() && !reply.more);
        assert_eq!((window.records, window.kept), (3, 3));
        let reply = with(&server, json!({"top": 6})).reply().await;
        assert!(!reply.coverage.expect("coverage").windows[0].limited);
    });
}

#[test]
fn max_events_stops_between_pages_and_state_resumes_there() {
    run(async {
        let server = service(|_| None).await;
        let input = || json!({"top": 5, "filter": "severity eq 'high'"});
        let first = Run {
            max_events: Some(3),
            ..with(&server, input())
        };
        let reply = first.reply().await;
        assert_eq!(ids(&reply), [1, 2, 3]);
        assert!(reply.more && reply.coverage.expect("coverage").windows[0].limited);
        let state = reply.state.expect("a state");
        assert_eq!(state.resume["round"]["left"], 2);
        for (input, warnings) in [
            (input(), vec![]),
            (json!({"top": 5}), vec!["filter_changed"]),
        ] {
            let second = Run {
                state: Some(state.clone()),
                ..with(&server, input)
            };
            let reply = second.reply().await;
            assert_eq!((ids(&reply), reply.more), (vec![4, 5], false));
            assert_eq!(codes(&reply), warnings);
        }
        let other = Run {
            state: Some(state),
            ..with(&server, json!({"top": 5, "time_field": "createdDateTime"}))
        };
        assert_eq!(codes(&other.reply().await), ["state_ignored"]);
    });
}

#[test]
fn listing_without_top_starts_with_oldest_and_resumes() {
    run(async {
        let server = service(|_| None).await;
        let (mut state, mut received) = (None, Vec::new());
        for left in [true, true, false] {
            let next = Run {
                max_events: Some(2),
                state,
                ..with(&server, json!({}))
            };
            let reply = next.reply().await;
            received.push(ids(&reply));
            assert_eq!(reply.more, left, "{received:?}");
            state = reply.state;
        }
        assert_eq!(received, [[5, 6], [3, 4], [1, 2]]);
    });
}

#[test]
fn exhausted_memory_ends_run_with_state() {
    run(async {
        let server = service(|_| None).await;
        let (mut state, mut received, mut limited) = (None, Vec::new(), 0);
        loop {
            let next = Run {
                memory: MemoryBudget::new(340),
                state,
                ..with(&server, json!({}))
            };
            let reply = next.reply().await;
            assert!(!ids(&reply).is_empty() && reply.incomplete.is_none());
            received.splice(0..0, ids(&reply));
            if !reply.more {
                break;
            }
            assert_eq!(codes(&reply), ["memory_limit"]);
            let coverage = reply.coverage.expect("coverage");
            assert!(coverage.windows[0].limited && coverage.complete);
            (state, limited) = (reply.state, limited + 1);
        }
        assert_eq!(received, [1, 2, 3, 4, 5, 6]);
        assert!(limited > 0);
    });
}

#[test]
fn link_in_state_of_first_version_is_not_followed() {
    run(async {
        let server = service(|_| None).await;
        let resume = json!({ "link": "https://evil.test/v1.0/security/alerts_v2", "left": 1,
            "from": "2026-09-19T01:00:00Z", "to": "2026-09-20T01:00:00Z" });
        let Value::Object(resume) = resume else {
            panic!("an object")
        };
        let scope = scope(NAME, &connection(&server), &Fetch::default());
        let old = Run {
            state: Some(State::new(scope, resume)),
            ..with(&server, json!({}))
        };
        let reply = old.reply().await;
        assert_eq!(ids(&reply), [1, 2, 3, 4, 5, 6]);
        assert!(codes(&reply).is_empty());
    });
}

#[test]
fn link_to_another_host_is_not_followed_and_not_stored() {
    run(async {
        let server = service(|r| {
            let page = r#"{"value":[{"id":1}],"@odata.nextLink":"https://evil.test/next"}"#;
            r.starts_with("GET").then(|| (200, page.to_owned()))
        })
        .await;
        let reply = with(&server, json!({})).reply().await;
        let failure = reply.incomplete.expect("a failure");
        assert_eq!(failure.kind(), ErrorKind::BadResponse);
        assert!(failure.message().contains("https://evil.test"));
        let state = reply.state.expect("a state").resume;
        assert!(!Value::from(state).to_string().contains("evil"));
        assert!(!reply.coverage.expect("coverage").gaps[0].lost);
    });
}

#[test]
fn link_of_empty_page_is_followed() {
    run(async {
        let server = service(|r| {
            let page =
                r#"{"value":[],"@odata.nextLink":"http://HOST/v1.0/security/alerts_v2?$skip=4"}"#;
            let last = r#"{"value":[{"id":"6","lastUpdateDateTime":"2026-09-20T00:00:03Z"}]}"#;
            let page = if r.contains("$skip=4") { last } else { page };
            r.starts_with("GET").then(|| (200, page.to_owned()))
        })
        .await;
        let reply = with(&server, json!({})).reply().await;
        assert_eq!(ids(&reply), [6]);
    });
}

const WITH_DLP: &str = r#"[{"contentType":"DLP.All","status":"enabled","webhook":null}]"#;

fn listed(request: &str, list: &str, start: (u16, &str)) -> Option<(u16, String)> {
    match request {
        r if r.contains("/subscriptions/list") => Some((200, list.to_owned())),
        r if r.contains("/subscriptions/start") => Some((start.0, start.1.to_owned())),
        _ => None,
    }
}

#[test]
fn enabled_subscription_is_not_started_again() {
    run(async {
        let server = service(|r| listed(r, WITH_DLP, (500, ""))).await;
        let input = json!({"ensure_subscription": "dlp.all", "start_subscription": true});
        let reply = with(&server, input).reply().await;
        assert!(reply.warnings.is_empty());
        let list = format!(
            "GET /api/v1.0/{TENANT}/activity/feed/subscriptions/list?PublisherIdentifier={TENANT} "
        );
        assert!(server.seen().iter().any(|r| r.starts_with(&list)));
    });
}

#[test]
fn missing_subscription_is_started_or_causes_warning() {
    run(async {
        let input = |start| json!({"ensure_subscription": "DLP.All", "start_subscription": start});
        let server = service(|r| listed(r, "[]", (200, "{}"))).await;
        let reply = with(&server, input(true)).reply().await;
        assert_eq!(codes(&reply), ["subscription_started"]);
        let reply = with(&server, input(false)).reply().await;
        assert_eq!(codes(&reply), ["subscription_not_enabled"]);
        let server = service(|r| listed(r, "[]", (400, ALREADY))).await;
        assert!(with(&server, input(true)).reply().await.warnings.is_empty());
        let server = service(|r| listed(r, "[]", (401, REFUSED))).await;
        let reply = with(&server, input(true)).reply().await;
        assert_eq!(codes(&reply), ["subscription_not_started"]);
        let message = &reply.warnings[0].message;
        assert!(message.contains("AF10001: The permission set () is not enough."));
        assert!(message.contains("grant ActivityFeed.Read"));
        assert_eq!(ids(&reply).len(), 6);
    });
}

const ALREADY: &str = r#"{"error":{"code":"AF20024","message":"The subscription is already enabled. No property change."}}"#;
const REFUSED: &str =
    r#"{"error":{"code":"AF10001","message":"The permission set () is not enough."}}"#;

#[test]
fn deadline_during_listing_delivers_received_pages() {
    run(async {
        let server = Server::start(|request| {
            let host = request.split("host: ").nth(1)?.split("\r\n").next()?;
            let (status, body) = default_answer(request, host);
            (!request.contains("ge%202026-09-20T00%3A00%3A05.0000001Z"))
                .then(|| http(status, "", body))
        })
        .await;
        let short = Run {
            timeout: Duration::from_millis(500),
            ..with(&server, json!({}))
        };
        let reply = short.reply().await;
        assert_eq!(ids(&reply), [4, 5, 6]);
        let failure = reply.incomplete.expect("a failure");
        assert_eq!(failure.kind(), ErrorKind::Timeout);
        assert!(reply.more && reply.state.is_some());
    });
}

fn refused(input: &Value) -> Vec<String> {
    let operation = find(NAME).expect("the operation");
    let failure = operation.check(input, now()).expect_err("refused");
    let block = failure.close("", &crate::protocol::failure::Codes::new());
    block.items.into_iter().filter_map(|item| item.at).collect()
}

#[test]
fn invalid_inputs_are_all_reported_at_their_place() {
    assert_eq!(refused(&json!({"top": 0})), ["/inputs/top"]);
    assert_eq!(refused(&json!({"topp": 1})), ["/inputs/topp"]);
    assert_eq!(
        refused(&json!({"ensure_subscription": "DLP"})),
        ["/inputs/ensure_subscription"]
    );
    assert_eq!(
        refused(&json!({"start_time": "2026-09-20"})),
        ["/inputs/end_time"]
    );
    assert_eq!(
        refused(&json!({"start_time": "soon"})),
        ["/inputs/start_time"]
    );
    for filter in ["a eq 'b') or (c eq 'd'", "a eq 'b", "(a"] {
        let input = json!({"filter": filter, "end_time": "2026-09-20"});
        assert_eq!(refused(&input), ["/inputs/start_time", "/inputs/filter"]);
    }
    assert!(balanced("title eq 'it''s ) fine' and (a or b)"));
}
