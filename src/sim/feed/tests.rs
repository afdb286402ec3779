//! Tests of the feed without connections: each documented code with its status. Tests with
//! connections are in `webhook_tests.rs`.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Feed;
use crate::sim::context::Context;
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::Service;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";

struct Bench {
    context: Arc<Context>,
    feed: Feed,
    roles: &'static [&'static str],
}

impl Bench {
    fn new(world: &str) -> Self {
        let context = Context::sample(world);
        let feed = Feed::new(Arc::clone(&context), None);
        Self {
            context,
            feed,
            roles: &["ActivityFeed.Read"],
        }
    }

    /// With an enabled subscription to `Audit.Exchange` and a stopped one to `Audit.General`.
    fn subscribed(members: &str) -> Self {
        Self::new(&format!(
            r#"{{"subscriptions":[{{"content_type":"Audit.Exchange"}},{{"content_type":"DLP.All"}},
                {{"content_type":"Audit.General","status":"disabled"}}]{members}}}"#
        ))
    }

    fn call(&self, target: &str) -> Call {
        let token = self.context.tokens.issue(&json!({
            "aud": "https://manage.office.com", "appid": "a", "exp": i64::MAX,
            "tid": TENANT, "roles": self.roles,
        }));
        let call = Call::get(Service::Management, target);
        call.header_set("authorization", &format!("Bearer {token}"))
    }

    async fn get(&self, target: &str) -> Answer {
        self.feed.answer(&self.call(target)).await
    }

    /// GET request below the feed of a tenant.
    async fn feed(&self, rest: &str) -> Answer {
        let target = format!("/api/v1.0/{TENANT}/activity/feed/{rest}");
        self.get(&target).await
    }

    async fn post(&self, operation: &str, body: &str) -> (u16, Value) {
        let target = format!("/api/v1.0/{TENANT}/activity/feed/subscriptions/{operation}");
        let answer = self.feed.answer(&self.call(&target).post(body)).await;
        (answer.status, parsed(&answer))
    }

    async fn list(&self) -> Value {
        parsed(&self.feed("subscriptions/list").await)
    }

    /// Status and code of a refused GET.
    async fn refusal(&self, rest: &str) -> (u16, String) {
        code(&self.feed(rest).await)
    }

    /// Every page of a listing, and every link between them.
    async fn pages(&self, query: &str) -> (Vec<Value>, Vec<String>) {
        let base = format!("{}/management", self.context.base());
        let first = format!("/api/v1.0/{TENANT}/activity/feed/subscriptions/content?{query}");
        let (mut pages, mut links) = (vec![], vec![]);
        let mut next = Some(format!("{base}{first}"));
        while let Some(link) = next {
            let answer = self.get(link.strip_prefix(&base).unwrap()).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            next = header(&answer, "NextPageUri").map(str::to_owned);
            links.extend(next.clone());
            pages.push(parsed(&answer));
        }
        (pages, links)
    }
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_default()
}

fn code(answer: &Answer) -> (u16, String) {
    let code = parsed(answer)["error"]["code"].as_str().map(str::to_owned);
    (answer.status, code.unwrap_or_default())
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut headers = answer.headers.iter();
    let found = headers.find(|(known, _)| known == name)?;
    Some(&found.1)
}

fn entries(pages: &[Value]) -> Vec<&Value> {
    pages.iter().filter_map(Value::as_array).flatten().collect()
}

#[tokio::test]
async fn subscription_starts_stops_and_starts_again() {
    let bench = Bench::new("{}");
    assert_eq!(bench.list().await, json!([]));
    let start = "start?contentType=Audit.Exchange";
    let stop = "stop?contentType=Audit.Exchange";
    let enabled = json!({"contentType": "Audit.Exchange", "status": "enabled", "webhook": null});
    assert_eq!(bench.post(start, "").await, (200, enabled.clone()));
    assert_eq!(bench.list().await, json!([enabled]));
    let (status, again) = bench.post(start, "").await;
    assert_eq!((status, &again["error"]["code"]), (400, &json!("AF20024")));
    assert_eq!(bench.post(stop, "").await, (200, Value::Null));
    assert_eq!(bench.list().await[0]["status"], "disabled");
    assert_eq!(bench.post(stop, "").await.1["error"]["code"], "AF20022");
    assert_eq!(bench.post(start, "").await.0, 200);
}

#[tokio::test]
async fn invalid_webhook_is_rejected() {
    let bench = Bench::new("{}");
    let start = "start?contentType=DLP.All";
    let of = |address: &str| format!(r#"{{"webhook":{{"address":"{address}"}}}}"#);
    let cases = [
        (r#"{"webhook":{"authId":"f"}}"#.to_owned(), "AF20001", ""),
        (of(""), "AF20001", ""),
        (
            of(".j,l"),
            "AF20021",
            "The webhook endpoint (.j,l) could not be validated.",
        ),
        (
            of("http://localhost/"),
            "AF20021",
            "The webhook endpoint (http://localhost/) could not be validated. The address must \
             begin with HTTPS.",
        ),
        (
            of("https://hooks.example.test/"),
            "AF20021",
            "The webhook endpoint (https://hooks.example.test/) could not be validated. The \
             endpoint did not return HTTP 200.",
        ),
        (
            r#"{"webhook":{"address":"https://h","expiration":"2026-01-14T12:00:00Z"}}"#.to_owned(),
            "AF20003",
            "",
        ),
        (
            r#"{"webhook":{"address":"https://h","expiration":"soon"}}"#.to_owned(),
            "AF20002",
            "",
        ),
        (r#"{"webhook":"https://h"}"#.to_owned(), "AF20002", ""),
    ];
    for (body, code, text) in cases {
        let (status, answer) = bench.post(start, &body).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &json!(code)),
            "{body}"
        );
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(text.is_empty() || said == text, "{said}");
    }
    assert_eq!(bench.list().await, json!([]));
}

#[tokio::test]
async fn rejected_webhook_changes_nothing_and_none_removes_it() {
    let webhook = r#"{"address":"https://h.example.test/","authId":"f"}"#;
    let bench = Bench::new(&format!(
        r#"{{"subscriptions":[{{"content_type":"DLP.All","webhook":{webhook}}}]}}"#
    ));
    let start = "start?contentType=DLP.All";
    let same = format!(r#"{{"webhook":{webhook}}}"#);
    assert_eq!(bench.post(start, &same).await.1["error"]["code"], "AF20024");
    let other = r#"{"webhook":{"address":"https://h.example.test/","authId":"g"}}"#;
    assert_eq!(bench.post(start, other).await.1["error"]["code"], "AF20021");
    assert_eq!(bench.list().await[0]["webhook"]["authId"], "f");
    assert_eq!(bench.post(start, "").await.0, 200);
    assert_eq!(bench.list().await[0]["webhook"], Value::Null);
}

#[tokio::test]
async fn subscription_can_be_listed_without_a_status() {
    let bench = Bench::new(r#"{"subscriptions":[{"content_type":"DLP.All","status":null}]}"#);
    assert_eq!(
        bench.list().await,
        json!([{"contentType": "DLP.All", "webhook": null}])
    );
    let again = bench.post("start?contentType=DLP.All", "").await;
    assert_eq!(again.1["error"]["code"], "AF20024");
}

#[tokio::test]
async fn too_many_starts_are_rejected() {
    let bench = Bench::new(r#"{"starts_before_cooldown":2}"#);
    assert_eq!(bench.post("start?contentType=DLP.All", "").await.0, 200);
    assert_eq!(bench.post("start?contentType=DLP.All", "").await.0, 400);
    let (status, body) = bench.post("start?contentType=Audit.General", "").await;
    let wanted = json!({"error": {"code": "429", "message": "Too many frequent subscription start \
        requests. Please retry again after 8m 46s."}});
    assert_eq!((status, body), (403, wanted));
    assert_eq!(bench.post("stop?contentType=DLP.All", "").await.0, 200);
}

#[tokio::test]
async fn parameters_are_checked() {
    let bench = Bench::new("{}");
    for (operation, wanted) in [
        ("start", "AF20001"),
        ("start?contentType=Audit.Teams", "AF20020"),
        ("start?contentType=DLP.All&PublisherIdentifier=x", "AF20002"),
    ] {
        let (status, body) = bench.post(operation, "").await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!(wanted)));
    }
    let content = "subscriptions/content?contentType=audit.exchange";
    assert_eq!(bench.refusal(content).await, (400, "AF20020".to_owned()));
}

#[tokio::test]
async fn tenants_and_permissions_are_checked() {
    async fn refusal(bench: &Bench, tenant: &str) -> (u16, String) {
        let list = format!("/api/v1.0/{tenant}/activity/feed/subscriptions/list");
        let listed = code(&bench.get(&list).await);
        let blob = format!("/api/v1.0/{tenant}/activity/feed/audit/1$2");
        assert_eq!(listed, code(&bench.get(&blob).await));
        listed
    }
    let mut bench = Bench::new("{}");
    let refused = |status, code: &str| (status, code.to_owned());
    let named = refusal(&bench, "contoso.onmicrosoft.com").await;
    assert_eq!(named, refused(400, "AF20013"));
    let other = TENANT.replace('1', "2");
    assert_eq!(refusal(&bench, &other).await, refused(401, "AF20010"));
    bench.roles = &["ActivityFeed.ReadDlp"];
    assert_eq!(refusal(&bench, TENANT).await, refused(401, "AF10001"));
    for (state, wanted) in [("missing", "AF20011"), ("unlicensed", "AF20012")] {
        let world = format!(r#"{{"tenants":[{{"id":"{TENANT}","feed":"{state}"}}]}}"#);
        let answer = refusal(&Bench::new(&world), TENANT).await;
        assert_eq!(answer, refused(400, wanted));
    }
}

#[tokio::test]
async fn auditing_that_is_off_returns_a_log_line() {
    let world = format!(r#"{{"tenants":[{{"id":"{TENANT}","audit_enabled":false}}]}}"#);
    let bench = Bench::new(&world);
    let (status, body) = bench.post("start?contentType=DLP.All", "").await;
    assert_eq!(status, 400);
    let code = body["error"]["code"].as_str().unwrap();
    let text = body["error"]["message"].as_str().unwrap();
    assert!(code.ends_with("][AppId"), "{code}");
    let wanted = format!("Tenant {TENANT} does not exist.\r\n");
    assert!(text.contains(&wanted), "{text}");
}

#[tokio::test]
async fn missing_token_or_unknown_path_is_rejected() {
    let bench = Bench::new("{}");
    for rest in ["subscriptions/list", "subscriptions/content", "audit/1$2"] {
        let target = format!("/api/v1.0/{TENANT}/activity/feed/{rest}");
        let bare = Call::get(Service::Management, &target);
        assert_eq!(bench.feed.answer(&bare).await.status, 401);
    }
    assert_eq!(bench.feed("subscriptions/pause").await.status, 404);
    assert_eq!(bench.feed("subscriptions/start").await.status, 405);
    assert_eq!(bench.post("content?contentType=DLP.All", "").await.0, 405);
}

#[tokio::test]
async fn pages_are_complete_and_links_keep_the_times() {
    let content = r#","content_page_size":7,"content":{"generated":[
        {"type":"Audit.Exchange","blobs":30},{"type":"DLP.All","blobs":4}]}"#;
    let bench = Bench::subscribed(content);
    let publisher = format!("contentType=Audit.Exchange&PublisherIdentifier={TENANT}");
    let (pages, links) = bench.pages(&publisher).await;
    let sizes: Vec<usize> = pages
        .iter()
        .map(|page| page.as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [7, 7, 7, 7, 2]);
    let all = entries(&pages);
    let ids: HashSet<&str> = all
        .iter()
        .filter_map(|one| one["contentId"].as_str())
        .collect();
    assert_eq!(ids.len(), 30);
    assert!(all.is_sorted_by_key(|one| one["contentCreated"].as_str()));
    assert!(links[0].contains(
        "/api/v1/11111111-2222-3333-4444-555555555555/activity/feed/subscriptions/content?\
         contentType=Audit.Exchange&startTime=2026-01-13T12%3A00%3A00&\
         endTime=2026-01-14T12%3A00%3A00&nextPage=2026011312R000000007"
    ));
    assert!(links.iter().all(|link| !link.contains("Publisher")));
    let (one, _) = bench.pages("contentType=DLP.All").await;
    assert_eq!(entries(&one).len(), 4);
}

#[tokio::test]
async fn range_includes_its_start_and_not_its_end() {
    let blobs = ["10:00:00", "11:00:00", "11:59:59.999", "12:00:00"]
        .map(|time| format!(r#"{{"type":"Audit.Exchange","created":"2026-01-13T{time}Z"}}"#));
    let content = format!(r#","content":{{"blobs":[{}]}}"#, blobs.join(","));
    let bench = Bench::subscribed(&content);
    let query = "contentType=Audit.Exchange&starttime=2026-01-13T11:00&ENDTIME=2026-01-13T12:00Z";
    let (pages, _) = bench.pages(&query.replace("12:00Z", "12:00:00Z")).await;
    let created: Vec<&Value> = entries(&pages)
        .iter()
        .map(|one| &one["contentCreated"])
        .collect();
    assert_eq!(
        created,
        ["2026-01-13T11:00:00.000Z", "2026-01-13T11:59:59.999Z"]
    );
    let (pages, links) = bench.pages("contentType=Audit.Exchange").await;
    assert_eq!(entries(&pages).len(), 1, "the last day includes its start");
    assert_eq!(links, Vec::<String>::new());
}

#[tokio::test]
async fn literal_blobs_are_listed_as_written() {
    let content = r#","content":{"blobs":[{"type":"Audit.Exchange","id":"1$2$odd","listed":2,
        "created":"2026-01-14T09:31:12.345Z","expires":"2026-01-28T09:30:12.345Z",
        "uri":"{management}/elsewhere"}]}"#;
    let bench = Bench::subscribed(content);
    let (pages, _) = bench.pages("contentType=Audit.Exchange").await;
    let entry = r#"{"contentUri":"https://127.0.0.1:1/management/elsewhere","contentId":"1$2$odd","contentType":"Audit.Exchange","contentCreated":"2026-01-14T09:31:12.345Z","contentExpiration":"2026-01-28T09:30:12.345Z"}"#;
    assert_eq!(pages[0].to_string(), format!("[{entry},{entry}]"));
}

#[tokio::test]
async fn invalid_listing_is_rejected_with_its_code() {
    let bench = Bench::subscribed("");
    for (query, wanted) in [
        ("Audit.Exchange&startTime=2026-01-14", "AF20030"),
        (
            "Audit.Exchange&startTime=2026-01-14&endTime=2026-01-13",
            "AF20055",
        ),
        ("Audit.Exchange&startTime=now&endTime=2026-01-13", "AF20002"),
        ("Audit.SharePoint", "AF20022"),
        ("Audit.General", "AF20023"),
        ("Audit.Exchange&nextPage=2026011312R000000007", "AF20031"),
        ("Audit.Exchange&nextPage=", "AF20031"),
    ] {
        let rest = format!("subscriptions/content?contentType={query}");
        assert_eq!(
            bench.refusal(&rest).await,
            (400, wanted.to_owned()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn next_page_is_valid_for_its_listing_only() {
    let bench = Bench::subscribed(r#","content_page_size":5"#);
    let (_, links) = bench.pages("contentType=Audit.Exchange").await;
    let link = links[0].split("/management").nth(1).unwrap();
    for other in [
        link.replace("Audit.Exchange", "DLP.All"),
        link.replace("12%3A00", "11%3A00"),
    ] {
        assert_eq!(
            code(&bench.get(&other).await),
            (400, "AF20031".to_owned()),
            "{other}"
        );
    }
}

#[tokio::test]
async fn world_can_set_invalid_links() {
    let query = "contentType=Audit.Exchange&startTime=2026-01-14&endTime=2026-01-14T12:00";
    let rest = format!("subscriptions/content?{query}");
    for (text, wanted) in [
        (
            "https://feed.example.test/next",
            "https://feed.example.test/next".to_owned(),
        ),
        (
            "{management}/x",
            "https://127.0.0.1:1/management/x".to_owned(),
        ),
        (
            "{request}",
            format!("https://127.0.0.1:1/management/api/v1.0/{TENANT}/activity/feed/{rest}"),
        ),
    ] {
        let members = format!(r#","content_page_size":1,"next_page_uri":"{text}""#);
        let answer = Bench::subscribed(&members).feed(&rest).await;
        assert_eq!(header(&answer, "NextPageUri"), Some(wanted.as_str()));
    }
}

#[tokio::test]
async fn unavailable_blobs_are_rejected_with_their_codes() {
    let bench = Bench::subscribed(
        r#","content":{"generated":[
            {"type":"Audit.Exchange","blobs":20,"records":2,"expired":3,"missing":2}],
            "blobs":[{"type":"Audit.SharePoint","id":"s$"},{"type":"Audit.General","id":"g$"},
            {"type":"Audit.Exchange","id":"e$","created":"2026-01-06T00:00:00Z"}]}"#,
    );
    let (pages, _) = bench.pages("contentType=Audit.Exchange").await;
    let mut counts = [0; 3];
    for entry in entries(&pages) {
        let uri = entry["contentUri"].as_str().unwrap();
        let answer = bench.get(uri.split("/management").nth(1).unwrap()).await;
        let id = entry["contentId"].as_str().unwrap();
        let said = parsed(&answer)["error"]["message"].to_string();
        assert!(answer.status == 200 || said.contains(id), "{said}");
        let (status, code) = code(&answer);
        match (status, code.as_str()) {
            (200, "") => counts[0] += 1,
            (400, "AF20051") => counts[1] += 1,
            (404, "AF20050") => counts[2] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(counts, [15, 3, 2]);
    for (id, status, wanted) in [
        ("nonsense", 400, "AF20052"),
        ("1$2$audit_exchange$Audit_Exchange$na0017", 404, "AF20050"),
        ("s$", 400, "AF20022"),
        ("g$", 400, "AF20023"),
        ("e$", 400, "AF20051"),
    ] {
        let refusal = bench.refusal(&format!("audit/{id}")).await;
        assert_eq!(refusal, (status, wanted.to_owned()), "{id}");
    }
}

#[tokio::test]
async fn literal_blobs_are_returned_byte_for_byte() {
    let bench = Bench::subscribed(
        r#","content":{"blobs":[
            {"type":"Audit.Exchange","id":"a$","records":[{"Id":"b", "n":1.50e3,"n":"\u00e4"},{"Id":"a"}]},
            {"type":"Audit.Exchange","id":"b$","body":"[{\"Id\":"},
            {"type":"Audit.Exchange","id":"c$"}]}"#,
    );
    for (id, wanted) in [
        ("a$", r#"[{"Id":"b", "n":1.50e3,"n":"\u00e4"},{"Id":"a"}]"#),
        ("b$", r#"[{"Id":"#),
        ("c%24", "[]"),
    ] {
        let answer = bench
            .feed(&format!("audit/{id}?PublisherIdentifier={TENANT}"))
            .await;
        assert_eq!((answer.status, answer.body.as_str()), (200, wanted));
    }
}

#[tokio::test]
async fn matched_values_need_their_permission() {
    let mut bench = Bench::subscribed("");
    let (pages, _) = bench.pages("contentType=DLP.All").await;
    let all = entries(&pages);
    assert_eq!(all.len(), 6);
    let uri = all[0]["contentUri"].as_str().unwrap();
    let target = uri.split("/management").nth(1).unwrap().to_owned();
    let hidden = bench.get(&target).await.body;
    bench.roles = &["ActivityFeed.Read", "ActivityFeed.ReadDlp"];
    let shown = bench.get(&target).await.body;
    assert!(!hidden.contains("DetectedValues") && shown.contains("DetectedValues"));
    assert!(hidden.contains(r#""SensitiveInfoDetectionIsIncluded":false"#));
    assert!(shown.contains(r#""SensitiveInfoDetectionIsIncluded":true"#));
    let ids = |text: &str| -> Vec<Value> {
        let records: Vec<Value> = serde_json::from_str(text).unwrap();
        records
            .into_iter()
            .map(|record| record["Id"].clone())
            .collect()
    };
    assert_eq!(ids(&hidden), ids(&shown));
}

#[tokio::test]
async fn same_world_returns_the_same_bytes() {
    let (one, other) = (Bench::subscribed(""), Bench::subscribed(""));
    let (pages, _) = one.pages("contentType=Audit.Exchange").await;
    assert_eq!(pages, other.pages("contentType=Audit.Exchange").await.0);
    for entry in entries(&pages) {
        let rest = format!("audit/{}", entry["contentId"].as_str().unwrap());
        assert_eq!(one.feed(&rest).await.body, other.feed(&rest).await.body);
    }
}

#[tokio::test]
async fn large_world_is_generated_on_demand() {
    let bench = Bench::subscribed(
        r#","content":{"generated":[{"type":"Audit.Exchange","blobs":1000,"records":1,
            "hours":168,"record_bytes":1048576}]}"#,
    );
    let query = "contentType=Audit.Exchange&startTime=2026-01-07T12:00&endTime=2026-01-08T12:00";
    let (pages, _) = bench.pages(query).await;
    let last = entries(&pages).pop().unwrap()["contentUri"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = bench.get(last.split("/management").nth(1).unwrap()).await;
    assert_eq!(answer.body.len(), 1_048_576 + 2);
}
