//! Tests of the feed over real connections: webhooks, and a client from sign-in to records.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::sim::tests::{TENANT, client, start};
use crate::sim::{LoggedRequest, Sim};

const APP: &str = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";

/// A client that is signed in to a simulator.
struct FeedClient {
    client: Client,
    token: String,
    management: String,
}

impl FeedClient {
    async fn of(sim: &Sim) -> Self {
        let endpoints = sim.endpoints();
        let text = |name: &str| endpoints[name].as_str().unwrap().to_owned();
        let client = client(text("ca").as_bytes());
        let form = format!(
            "grant_type=client_credentials&client_id={APP}&client_secret=s\
             &scope=https%3A%2F%2Fmanage.office.com%2F.default"
        );
        let call = client.post(format!("{}/{TENANT}/oauth2/v2.0/token", text("login")));
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        let answer = call.body(form).send().await.unwrap();
        let token: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        Self {
            client,
            token: token["access_token"].as_str().unwrap().to_owned(),
            management: text("management"),
        }
    }

    async fn ask(&self, method: Method, rest: &str, body: &str) -> reqwest::Response {
        let base = &self.management;
        let link = format!("{base}/api/v1.0/{TENANT}/activity/feed/{rest}");
        let call = self.client.request(method, link).bearer_auth(&self.token);
        call.body(body.to_owned()).send().await.unwrap()
    }

    async fn start(&self, content_type: &str, address: &str) -> (u16, Value) {
        let rest = format!("subscriptions/start?contentType={content_type}");
        let body = json!({"webhook": {"address": address, "authId": "feed-01"}}).to_string();
        let answer = self.ask(Method::POST, &rest, &body).await;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn get(&self, rest: &str) -> Value {
        let answer = self.ask(Method::GET, rest, "").await;
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

fn header<'a>(seen: &'a LoggedRequest, name: &str) -> &'a str {
    let mut headers = seen.headers.iter();
    let found = headers.find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}

fn body(seen: &LoggedRequest) -> Value {
    serde_json::from_str(seen.body.as_deref().unwrap()).unwrap()
}

#[tokio::test]
async fn webhook_is_validated_and_notified_before_the_response() {
    let sim = start("{}", true).await;
    let feed = FeedClient::of(&sim).await;
    let address = sim.webhook_receiver("feed");
    let (status, body_of_start) = feed.start("Audit.Exchange", &address).await;
    assert_eq!(status, 200);
    assert_eq!(body_of_start["webhook"]["address"], address.as_str());
    let seen = sim.requests();
    let places: Vec<(&str, &str, u16)> = seen
        .iter()
        .map(|one| {
            (
                one.service,
                one.path.rsplit('/').next().unwrap(),
                one.status,
            )
        })
        .collect();
    assert_eq!(
        places[1..],
        [
            ("management", "start", 200),
            ("hook", "feed", 200),
            ("hook", "feed", 200)
        ]
    );
    let code = header(&seen[2], "webhook-validationcode");
    assert_eq!(code.len(), 36);
    assert_eq!(body(&seen[2]), json!({"validationCode": code}));
    assert_eq!(header(&seen[2], "webhook-authid"), "feed-01");
    assert_eq!(
        header(&seen[2], "content-type"),
        "application/json; charset=utf-8"
    );
    assert_eq!(header(&seen[3], "content-type"), "application/json; utf-8");
    assert_eq!(header(&seen[3], "webhook-validationcode"), "");
    let notified = body(&seen[3]);
    let listed = feed
        .get("subscriptions/content?contentType=Audit.Exchange")
        .await;
    assert_eq!(notified.as_array().unwrap().len(), 6);
    for (notified, listed) in notified
        .as_array()
        .unwrap()
        .iter()
        .zip(listed.as_array().unwrap())
    {
        assert_eq!(
            (&notified["tenantId"], &notified["clientId"]),
            (&json!(TENANT), &json!(APP))
        );
        for (name, value) in listed.as_object().unwrap() {
            assert_eq!(&notified[name], value);
        }
    }
    let again = feed.start("Audit.Exchange", &address).await;
    assert_eq!(again.1["error"]["code"], "AF20024");
}

#[tokio::test]
async fn webhook_needs_status_200() {
    let world = r#"{"faults":[{"route":"hook.receive","nth":1,"status":204},
        {"route":"hook.receive","nth":2,"reset":true},
        {"route":"hook.receive","nth":4,"status":500}]}"#;
    let sim = start(world, true).await;
    let feed = FeedClient::of(&sim).await;
    let address = sim.webhook_receiver("feed");
    for _ in 0..2 {
        let (status, body) = feed.start("DLP.All", &address).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("AF20021")));
        let text = body["error"]["message"].as_str().unwrap();
        assert!(
            text.ends_with(" The endpoint did not return HTTP 200."),
            "{text}"
        );
    }
    assert_eq!(feed.get("subscriptions/list").await, json!([]));
    // The third call is the validation, the fourth a notification that fails and changes nothing.
    assert_eq!(feed.start("DLP.All", &address).await.0, 200);
    let listed = feed.get("subscriptions/list").await;
    assert_eq!(listed[0]["webhook"]["status"], "enabled");
}

#[tokio::test]
async fn notification_has_100_blobs_at_most_and_is_not_sent_without_blobs() {
    let world = r#"{"content":{"generated":[{"type":"Audit.General","blobs":150}]}}"#;
    let sim = start(world, true).await;
    let feed = FeedClient::of(&sim).await;
    assert_eq!(
        feed.start("Audit.General", &sim.webhook_receiver("many"))
            .await
            .0,
        200
    );
    assert_eq!(
        body(sim.requests().last().unwrap())
            .as_array()
            .unwrap()
            .len(),
        100
    );
    assert_eq!(
        feed.start("DLP.All", &sim.webhook_receiver("none")).await.0,
        200
    );
    let seen = sim.requests();
    let hooked = seen.iter().filter(|one| one.path == "/none").count();
    assert_eq!(hooked, 1);
}

#[tokio::test]
async fn other_certificate_authority_is_not_trusted() {
    let (sim, other) = (start("{}", true).await, start("{}", true).await);
    let feed = FeedClient::of(&sim).await;
    let (status, _) = feed.start("DLP.All", &other.webhook_receiver("feed")).await;
    assert_eq!(status, 400);
    assert_eq!(other.requests(), []);
}

#[tokio::test]
async fn webhook_receiver_accepts_post_only() {
    let sim = start("{}", true).await;
    let feed = FeedClient::of(&sim).await;
    let answer = feed
        .client
        .get(sim.webhook_receiver("feed"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["allow"].as_bytes()
        ),
        (405, &b"POST"[..])
    );
    let answer = feed
        .client
        .post(sim.webhook_receiver("feed/more"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn client_reads_all_records_and_faults_apply() {
    let world = r#"{"subscriptions":[{"content_type":"Audit.SharePoint"}],"content_page_size":4,
        "content":{"generated":[{"type":"Audit.SharePoint","blobs":10,"records":3,
            "repeated_percent":10}]},
        "faults":[{"route":"management.content","nth":2,"status":403,
                "body":{"error":{"code":"AF429","message":"Too many requests."}}},
            {"route":"management.blob","nth":1,"truncate":10}]}"#;
    let sim = start(world, true).await;
    let feed = FeedClient::of(&sim).await;
    let base = &feed.management;
    let mut next = Some(format!(
        "{base}/api/v1.0/{TENANT}/activity/feed/subscriptions/content?contentType=Audit.SharePoint"
    ));
    let (mut uris, mut refused) = (vec![], 0);
    while let Some(link) = next {
        let answer = feed.client.get(&link).bearer_auth(&feed.token);
        let answer = answer.send().await.unwrap();
        if answer.status() == 403 {
            refused += 1;
            next = Some(link);
            continue;
        }
        let header = answer.headers().get("nextpageuri");
        next = header.map(|value| value.to_str().unwrap().to_owned());
        let page: Vec<Value> = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        uris.extend(
            page.iter()
                .map(|one| one["contentUri"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!((uris.len(), refused), (10, 1));
    let get = |uri: &str| feed.client.get(uri).bearer_auth(&feed.token).send();
    assert!(get(&uris[0]).await.unwrap().bytes().await.is_err());
    let mut ids = vec![];
    for uri in &uris {
        let text = get(uri).await.unwrap().text().await.unwrap();
        let records: Vec<Value> = serde_json::from_str(&text).unwrap();
        ids.extend(
            records
                .iter()
                .map(|one| one["Id"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(ids.len(), 30);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 27);
}
