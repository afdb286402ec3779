//! Fetching alerts from a scripted server: pages, limits, faults, the subscription beside it.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::identity::{Credential, Means, SignIn, TokenCache};
use crate::microsoft::connection::tests::{CLIENT, TENANT};
use crate::microsoft::{Cloud, Connection};
use crate::net::Transcript;
use crate::net::client::tests::{Server, caller, http, run};
use crate::net::transcript::is_rehearsal;
use crate::ops::{Limits, find};
use crate::protocol::{Redactor, Secret};
use crate::when;

const LOG_IN: &str =
    r#"{"token_type":"Bearer","expires_in":3599,"access_token":"canary.e30.token"}"#;

/// Pages of two alerts each; what is not scripted is a sign-in or page 1 of 3.
async fn service(script: fn(&str) -> Option<(u16, String)>) -> Server {
    Server::start(move |request| {
        let host = request.split("host: ").nth(1)?.split("\r\n").next()?;
        let (status, body) = script(request).unwrap_or_else(|| usual(request, host));
        Some(http(
            status,
            "Content-Type: application/json\r\n",
            body.replace("HOST", host),
        ))
    })
    .await
}

fn usual(request: &str, host: &str) -> (u16, String) {
    let page = |n: u32, next: &str| {
        let (a, b) = (n * 2 - 1, n * 2);
        let time = format!("\"lastUpdateDateTime\":\"2026-09-20T00:00:0{}Z\"", 9 - n);
        format!(r#"{{"@odata.context":"c","value":[{{"id":{a}}},{{"id":{b},{time}}}]{next}}}"#)
    };
    let link =
        |n| format!(r#","@odata.nextLink":"http://{host}/v1.0/security/alerts_v2?$skip={n}""#);
    let body = match request {
        r if r.starts_with("POST") => LOG_IN.to_owned(),
        r if r.contains("$skip=2") => page(2, &link(4)),
        r if r.contains("$skip=4") => page(3, ""),
        _ => page(1, &link(2)),
    };
    (200, body)
}

fn connection(server: &Server) -> Connection {
    let url = server.url.as_str();
    let file = json!({"cloud": 1, "id": "lab", "login": url, "graph": url, "management": url, "exchange": url});
    let named = Cloud::named("commercial").expect("a cloud");
    let cloud = Cloud::from_operator(&file.to_string(), &named).expect("a file");
    let credential = Credential::ClientSecret(Secret::new("canary-secret"));
    Connection::new(cloud.cloud, TENANT, CLIENT, credential).expect("a connection")
}

struct Run<'a> {
    server: &'a Server,
    input: Value,
    state: Option<State>,
    max_events: Option<u64>,
    timeout: Duration,
    transcript: Transcript,
}

fn with(server: &Server, input: Value) -> Run<'_> {
    Run {
        server,
        input,
        state: None,
        max_events: None,
        timeout: Duration::from_secs(10),
        transcript: Transcript::default(),
    }
}

impl Run<'_> {
    async fn go(self) -> (Result<Reply, Failure>, Vec<String>) {
        let connection = connection(self.server);
        let caller = caller(self.timeout, self.transcript);
        let means = Means {
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
            kept: false,
            overlap: None,
            limits: Limits {
                max_events: self.max_events,
            },
        };
        let operation = find(NAME).expect("the operation");
        operation.check(&self.input, now()).expect("a fine input");
        let outcome = operation.run(&call, &self.input).await;
        let requests = caller.transcript().requests();
        (
            outcome,
            requests
                .iter()
                .map(|r| format!("{} {} {}", r.service, r.method, r.url))
                .collect(),
        )
    }

    async fn reply(self) -> Reply {
        self.go().await.0.expect("a reply")
    }
}

fn now() -> DateTime<Utc> {
    when::instant("2026-09-20T01:00:00Z", &[]).expect("a time")
}

fn ids(reply: &Reply) -> Vec<u64> {
    let raw: Value = serde_json::from_str(reply.raw.text()).expect("JSON");
    let records = raw["value"].as_array().expect("records");
    records.iter().filter_map(|r| r["id"].as_u64()).collect()
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
        assert_eq!((window.records, window.kept), (4, 3));
        let reply = with(&server, json!({"top": 6})).reply().await;
        assert!(!reply.coverage.expect("coverage").windows[0].limited);
    });
}

#[test]
fn max_events_stops_between_pages_and_the_state_goes_on() {
    run(async {
        let server = service(|_| None).await;
        let input = || json!({"top": 5, "filter": "severity eq 'high'"});
        let first = Run {
            max_events: Some(3),
            ..with(&server, input())
        };
        let reply = first.reply().await;
        assert_eq!(ids(&reply), [1, 2, 3, 4]);
        assert!(reply.more && reply.coverage.expect("coverage").windows[0].limited);
        let state = reply.state.expect("a state");
        assert_eq!(state.resume["left"], 1);
        let second = Run {
            state: Some(state.clone()),
            ..with(&server, input())
        };
        let reply = second.reply().await;
        assert_eq!((ids(&reply), reply.more), (vec![5], false));
        let other = Run {
            state: Some(state),
            ..with(&server, json!({"top": 5}))
        };
        let reply = other.reply().await;
        assert_eq!(codes(&reply), ["state_ignored"]);
        assert_eq!(ids(&reply), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_state_that_leads_elsewhere_is_refused() {
    run(async {
        let server = service(|_| None).await;
        let limited = Run {
            max_events: Some(1),
            ..with(&server, json!({}))
        };
        let mut state = limited.reply().await.state.expect("a state");
        for link in ["https://evil.test/v1.0/security/alerts_v2", "/v1.0/users"] {
            let link = server.url.join(link).expect("an address").to_string();
            state.resume.insert("link".to_owned(), link.into());
            let sent = server.seen().len();
            let again = Run {
                state: Some(state.clone()),
                ..with(&server, json!({}))
            };
            let failure = again.go().await.0.expect_err("refused");
            assert_eq!(failure.kind(), ErrorKind::InvalidInput);
            assert_eq!(failure.place(), Some("/state/resume"));
            assert_eq!(server.seen().len(), sent);
        }
    });
}

#[test]
fn a_fault_on_a_later_page_delivers_what_came() {
    run(async {
        let server = service(|r| {
            let busy = r#"{"error":{"code":"serviceNotAvailable","message":"Busy."}}"#;
            r.contains("$skip=4").then(|| (503, busy.to_owned()))
        })
        .await;
        let reply = with(&server, json!({})).reply().await;
        assert_eq!(ids(&reply), [1, 2, 3, 4]);
        let failure = reply.incomplete.expect("a failure");
        assert_eq!(failure.kind(), ErrorKind::Unavailable);
        let gap = &reply.coverage.expect("coverage").gaps[0];
        assert_eq!((gap.cause.as_str(), gap.lost), ("interrupted", false));
        assert_eq!(gap.to.as_deref(), Some("2026-09-20T00:00:07Z"));
        assert_eq!(gap.code.as_deref(), Some("serviceNotAvailable"));
        let link = reply.state.expect("a state").resume["link"].clone();
        assert!(reply.more && link.as_str().is_some_and(|l| l.ends_with("?$skip=4")));
    });
}

#[test]
fn a_link_to_another_host_ends_the_run_without_a_state() {
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
        assert!(!reply.more && reply.state.is_none());
        assert!(reply.coverage.expect("coverage").gaps[0].lost);
    });
}

#[test]
fn the_first_page_decides_whether_the_run_fails() {
    run(async {
        let server = service(|r| {
            let filter = r#"{"error":{"code":"BadRequest","message":"Invalid filter."}}"#;
            r.starts_with("GET").then(|| (400, filter.to_owned()))
        })
        .await;
        let failure = with(&server, json!({})).go().await.0.expect_err("refused");
        assert_eq!(failure.kind(), ErrorKind::Rejected);
        assert_eq!(failure.message(), "Invalid filter.");
    });
}

#[test]
fn an_empty_page_with_a_link_is_read_past() {
    run(async {
        let server = service(|r| {
            let page =
                r#"{"value":[],"@odata.nextLink":"http://HOST/v1.0/security/alerts_v2?$skip=4"}"#;
            (r.starts_with("GET") && !r.contains("$skip")).then(|| (200, page.to_owned()))
        })
        .await;
        let reply = with(&server, json!({})).reply().await;
        assert_eq!(ids(&reply), [5, 6]);
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
fn an_enabled_subscription_is_left_alone() {
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
fn a_missing_subscription_is_started_or_warned_about() {
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
        let words = &reply.warnings[0].message;
        assert!(words.contains("AF10001: The permission set () is not enough."));
        assert!(words.contains("grant ActivityFeed.Read"));
        assert_eq!(ids(&reply).len(), 6);
    });
}

const ALREADY: &str = r#"{"error":{"code":"AF20024","message":"The subscription is already enabled. No property change."}}"#;
const REFUSED: &str =
    r#"{"error":{"code":"AF10001","message":"The permission set () is not enough."}}"#;

#[test]
fn a_subscription_that_cannot_be_found_out_never_fails_the_run() {
    run(async {
        let server = service(|r| {
            let html = "<html><title>Bad Gateway</title></html>";
            r.contains("/subscriptions/list")
                .then(|| (502, html.to_owned()))
        })
        .await;
        let reply = with(&server, json!({"ensure_subscription": "DLP.All"}))
            .reply()
            .await;
        assert_eq!(codes(&reply), ["subscription_unknown"]);
        assert!(
            reply.warnings[0]
                .message
                .contains("HTTP 502 with an HTML page")
        );
        assert_eq!(ids(&reply).len(), 6);
    });
}

#[test]
fn a_dry_run_lists_both_lanes_up_to_their_first_answer() {
    run(async {
        let server = service(|_| None).await;
        let rehearsal = Run {
            transcript: Transcript::dry_run(),
            ..with(&server, json!({"ensure_subscription": "DLP.All"}))
        };
        let (outcome, requests) = rehearsal.go().await;
        assert!(is_rehearsal(&outcome.expect_err("nothing is sent")));
        let starts: Vec<_> = requests
            .iter()
            .map(|r| {
                r.split('?')
                    .next()
                    .unwrap_or_default()
                    .replace(server.url.as_str(), "/")
            })
            .collect();
        let log_in = format!("login POST /{TENANT}/oauth2/v2.0/token");
        let list = format!("management GET /api/v1.0/{TENANT}/activity/feed/subscriptions/list");
        assert_eq!(
            starts,
            [
                log_in.as_str(),
                "graph GET /v1.0/security/alerts_v2",
                log_in.as_str(),
                list.as_str()
            ]
        );
        assert!(server.seen().is_empty());
    });
}

#[test]
fn time_that_runs_out_delivers_the_pages_that_came() {
    run(async {
        let server = Server::start(|request| {
            let host = request.split("host: ").nth(1)?.split("\r\n").next()?;
            let (status, body) = usual(request, host);
            (!request.contains("$skip=4")).then(|| http(status, "", body))
        })
        .await;
        let short = Run {
            timeout: Duration::from_millis(500),
            ..with(&server, json!({}))
        };
        let reply = short.reply().await;
        assert_eq!(ids(&reply), [1, 2, 3, 4]);
        let failure = reply.incomplete.expect("a failure");
        assert_eq!(failure.kind(), ErrorKind::Timeout);
        assert!(reply.more && reply.state.is_some());
    });
}

#[test]
fn a_refused_sign_in_fails_the_run_with_the_login_services_code() {
    run(async {
        let server = service(|r| {
            let refused = json!({
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid client secret provided. Trace ID: 1",
            });
            r.starts_with("POST").then(|| (401, refused.to_string()))
        })
        .await;
        let input = json!({"ensure_subscription": "DLP.All"});
        let failure = with(&server, input).go().await.0.expect_err("refused");
        assert_eq!(failure.kind(), ErrorKind::AuthFailed);
        assert_eq!(failure.vendor_code(), Some("AADSTS7000215"));
        assert_eq!(failure.message(), "Invalid client secret provided.");
        assert!(server.seen().iter().all(|r| r.starts_with("POST /")));
    });
}

fn refused(input: &Value) -> Vec<String> {
    let operation = find(NAME).expect("the operation");
    let failure = operation.check(input, now()).expect_err("refused");
    let block = failure.close("", &crate::protocol::failure::Codes::new());
    block.items.into_iter().filter_map(|item| item.at).collect()
}

#[test]
fn inputs_are_refused_at_their_place_all_at_once() {
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
