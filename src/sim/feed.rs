//! The Management Activity API: subscriptions to content types.
//!
//! Checks go in this order: token, tenant of the address, permission, parameters. It deliberately
//! lists no content and serves no blobs, and takes a webhook at its word without calling it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sim::ids::is_guid;
use crate::sim::routes::Route;
use crate::sim::site::Site;
use crate::sim::tokens::{Claims, Resource, check};
use crate::sim::wire::{Answer, Call};
use crate::sim::world::{FeedState, Status, Subscription, Webhook};

/// The content types, in their only spelling.
pub(super) const CONTENT_TYPES: [&str; 5] = [
    "Audit.AzureActiveDirectory",
    "Audit.Exchange",
    "Audit.SharePoint",
    "Audit.General",
    "DLP.All",
];

/// The publisher of a caller who names none.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// The feed service.
pub(super) struct Feed {
    site: Arc<Site>,
    tenants: Mutex<HashMap<String, Vec<Subscription>>>,
}

/// A refused call: status, code, message.
struct Refused(u16, String, String);

fn refused(status: u16, code: &str, text: impl Into<String>) -> Refused {
    Refused(status, code.to_owned(), text.into())
}

/// The body of a start request.
#[derive(Deserialize)]
struct StartBody {
    #[serde(default)]
    webhook: Option<StartWebhook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartWebhook {
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    auth_id: Option<String>,
    #[serde(default)]
    expiration: Option<String>,
}

impl Feed {
    /// The service of a site.
    pub(super) fn new(site: Arc<Site>) -> Self {
        Self {
            site,
            tenants: Mutex::default(),
        }
    }

    /// Answers a call.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        let answer = self
            .serve(call)
            .unwrap_or_else(|Refused(status, code, message)| {
                let body = json!({"error": {"code": code, "message": message}});
                Answer::new(status, body.to_string())
            });
        answer
            .with("Cache-Control", "no-cache")
            .with("Pragma", "no-cache")
            .with("Content-Type", "application/json; charset=utf-8")
            .with("Expires", "-1")
            .with("Server", "Microsoft-IIS/10.0")
            .with("X-AspNet-Version", "4.0.30319")
            .with("X-Powered-By", "ASP.NET")
            .with("mise-correlation-id", self.site.id_of("correlation", call))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Refused> {
        let Ok(claims) = check(&self.site, call, Resource::Management) else {
            let body = json!({"Message": "Authorization has been denied for this request."});
            return Ok(Answer::new(401, body.to_string()).with("WWW-Authenticate", "Bearer"));
        };
        if let Some(answer) = misaddressed(call) {
            return Ok(answer);
        }
        self.tenant(call, &claims)?;
        permitted(&claims)?;
        let publisher = publisher(call)?;
        if call.route == Route::FeedList {
            return Ok(self.list(&claims));
        }
        let content = content_type(call)?;
        if call.route == Route::FeedStop {
            return self.stop(&claims, content);
        }
        self.audited(call, &claims, (content, publisher))?;
        self.start(&claims, content, self.webhook(call)?)
    }

    /// Whether the address names a tenant that the token is for and that the feed serves.
    fn tenant(&self, call: &Call, claims: &Claims) -> Result<(), Refused> {
        let name = call.segment(2);
        if !is_guid(&name) {
            let text = format!("The tenant ID passed in the URL ({name}) is not a valid GUID.");
            return Err(refused(400, "AF20013", text));
        }
        if !claims.tid.eq_ignore_ascii_case(&name) {
            let text = format!(
                "The tenant ID passed in the URL ({name}) does not match the tenant ID passed in \
                 the access token ({}).",
                claims.tid
            );
            return Err(refused(401, "AF20010", text));
        }
        let known = self.site.world.tenant(&name);
        match known.map_or(FeedState::Ready, |tenant| tenant.feed) {
            FeedState::Ready => Ok(()),
            FeedState::Missing => Err(refused(
                400,
                "AF20011",
                format!(
                    "Specified tenant ID ({name}) does not exist in the system or has been deleted."
                ),
            )),
            FeedState::Unlicensed => Err(refused(
                400,
                "AF20012",
                format!("Specified tenant ID ({name}) is incorrectly configured in the system."),
            )),
        }
    }

    /// With auditing off the service answers a piece of its own log, cut at the wrong place.
    fn audited(&self, call: &Call, claims: &Claims, of: (&str, &str)) -> Result<(), Refused> {
        let (tid, app) = (&claims.tid, &claims.appid);
        if self
            .site
            .world
            .tenant(tid)
            .is_none_or(|tenant| tenant.audit_enabled)
        {
            return Ok(());
        }
        let id = self.site.id_of("correlation", call);
        let code = format!(
            "StartSubscription [CorrId={id}][TenantId={tid},ContentType={},ApplicationId={app},\
             PublisherId={}][AppId",
            of.0, of.1
        );
        let text = format!(
            "{app}] failed. Exception: Microsoft.Office.Compliance.Audit.DataServiceException: \
             Tenant {tid} does not exist.\r\n   at Microsoft.Office.Compliance.Audit.API.\
             StartController.<StartContentType>d__0.MoveNext()"
        );
        Err(Refused(400, code, text))
    }

    /// The webhook of a start request, if its body has one.
    fn webhook(&self, call: &Call) -> Result<Option<Webhook>, Refused> {
        if call.body.trim().is_empty() {
            return Ok(None);
        }
        let wrong = "Invalid parameter type: webhook. Expected type: object";
        let body: Result<Option<StartBody>, _> = serde_json::from_str(&call.body);
        let body = body.map_err(|_| refused(400, "AF20002", wrong))?;
        let Some(webhook) = body.and_then(|body| body.webhook) else {
            return Ok(None);
        };
        let missing = || refused(400, "AF20001", "Missing parameter: webhook.address.");
        let address = webhook
            .address
            .filter(|text| !text.is_empty())
            .ok_or_else(missing)?;
        if !address.to_ascii_lowercase().starts_with("https://") {
            return Err(refused(
                400,
                "AF20021",
                format!(
                    "The webhook endpoint ({address}) could not be validated. The address must begin \
                 with HTTPS."
                ),
            ));
        }
        let expiration = webhook.expiration.filter(|text| !text.is_empty());
        self.expires_later(expiration.as_deref())?;
        let auth_id = webhook.auth_id.unwrap_or_default();
        Ok(Some(Webhook {
            status: Status::Enabled,
            address,
            auth_id,
            expiration,
        }))
    }

    fn expires_later(&self, expiration: Option<&str>) -> Result<(), Refused> {
        let Some(text) = expiration else {
            return Ok(());
        };
        let wrong = "Invalid parameter type: webhook.expiration. Expected type: datetime";
        let end: Result<DateTime<Utc>, _> = text.parse();
        if end.map_err(|_| refused(400, "AF20002", wrong))? > self.site.now {
            return Ok(());
        }
        let text = format!("Expiration {text} provided is set to past date and time.");
        Err(refused(400, "AF20003", text))
    }

    fn list(&self, claims: &Claims) -> Answer {
        let entries: Value = self.change(claims, |list| list.iter().map(entry).collect());
        Answer::new(200, entries.to_string())
    }

    fn start(
        &self,
        claims: &Claims,
        content: &str,
        webhook: Option<Webhook>,
    ) -> Result<Answer, Refused> {
        let wanted = Subscription {
            content_type: content.to_owned(),
            status: Status::Enabled,
            webhook,
        };
        let body = entry(&wanted).to_string();
        self.change(claims, |list| {
            let Some(known) = list.iter_mut().find(|known| known.content_type == content) else {
                list.push(wanted);
                return Ok(());
            };
            if known.status == Status::Enabled && known.webhook == wanted.webhook {
                let text = "The subscription is already enabled. No property change.";
                return Err(refused(400, "AF20024", text));
            }
            *known = wanted;
            Ok(())
        })?;
        Ok(Answer::new(200, body))
    }

    fn stop(&self, claims: &Claims, content: &str) -> Result<Answer, Refused> {
        self.change(claims, |list| {
            let running = |known: &&mut Subscription| {
                known.content_type == content && known.status == Status::Enabled
            };
            let none = "No subscription found for the specified content type.";
            let known = list
                .iter_mut()
                .find(running)
                .ok_or_else(|| refused(400, "AF20022", none))?;
            known.status = Status::Disabled;
            known.webhook = None;
            Ok(Answer::new(200, String::new()))
        })
    }

    /// Works on the subscriptions of a tenant, which begin as the world says.
    fn change<T>(&self, claims: &Claims, work: impl FnOnce(&mut Vec<Subscription>) -> T) -> T {
        let tid = claims.tid.to_ascii_lowercase();
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || self.site.world.subscriptions_of(&claims.tid);
        work(tenants.entry(tid).or_insert_with(begin))
    }
}

/// The answer to a path or a method that the service does not have.
fn misaddressed(call: &Call) -> Option<Answer> {
    let wanted = match call.route {
        Route::FeedList => "GET",
        Route::FeedStart | Route::FeedStop => "POST",
        _ => {
            let path = &call.path;
            let text = format!("No HTTP resource was found that matches the request URI '{path}'.");
            return Some(Answer::new(404, json!({ "Message": text }).to_string()));
        }
    };
    if call.method == wanted {
        return None;
    }
    let text = format!(
        "The requested resource does not support http method '{}'.",
        call.method
    );
    Some(Answer::new(405, json!({ "Message": text }).to_string()).with("Allow", wanted))
}

fn permitted(claims: &Claims) -> Result<(), Refused> {
    if claims.roles.iter().any(|role| role == "ActivityFeed.Read") {
        return Ok(());
    }
    let held = claims.roles.join(" ");
    let text = format!(
        "The permission set ({held}) sent in the request does not include the expected permission."
    );
    Err(refused(401, "AF10001", text))
}

fn publisher(call: &Call) -> Result<&str, Refused> {
    let Some(given) = call.parameter("PublisherIdentifier") else {
        return Ok(NOBODY);
    };
    if is_guid(given) {
        return Ok(given);
    }
    let text = "Invalid parameter type: PublisherIdentifier. Expected type: guid";
    Err(refused(400, "AF20002", text))
}

fn content_type(call: &Call) -> Result<&str, Refused> {
    let missing = || refused(400, "AF20001", "Missing parameter: contentType.");
    let given = call
        .parameter("contentType")
        .filter(|text| !text.is_empty());
    let given = given.ok_or_else(missing)?;
    if CONTENT_TYPES.contains(&given) {
        return Ok(given);
    }
    Err(refused(
        400,
        "AF20020",
        "The specified content type is not valid.",
    ))
}

/// A subscription as the service writes it.
fn entry(subscription: &Subscription) -> Value {
    json!({
        "contentType": subscription.content_type,
        "status": subscription.status,
        "webhook": subscription.webhook,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::routes::Service;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";

    struct Bench {
        site: Arc<Site>,
        feed: Feed,
        roles: &'static [&'static str],
    }

    impl Bench {
        fn new(world: &str) -> Self {
            let site = Site::sample(world);
            let feed = Feed::new(Arc::clone(&site));
            Self {
                site,
                feed,
                roles: &["ActivityFeed.Read"],
            }
        }

        fn call(&self, tenant: &str, operation: &str) -> Call {
            let token = self.site.tokens.issue(&json!({
                "aud": "https://manage.office.com", "appid": "a", "exp": i64::MAX,
                "tid": TENANT, "roles": self.roles,
            }));
            let path = format!("/api/v1.0/{tenant}/activity/feed/subscriptions/{operation}");
            let call = Call::get(Service::Management, &path);
            call.header_set("authorization", &format!("Bearer {token}"))
        }

        fn post(&self, operation: &str, body: &str) -> (u16, Value) {
            let answer = self.feed.answer(&self.call(TENANT, operation).post(body));
            (
                answer.status,
                serde_json::from_str(&answer.body).unwrap_or_default(),
            )
        }

        fn list(&self) -> Value {
            let answer = self.feed.answer(&self.call(TENANT, "list"));
            serde_json::from_str(&answer.body).unwrap()
        }
    }

    #[test]
    fn a_subscription_starts_stops_and_starts_again() {
        let bench = Bench::new("{}");
        assert_eq!(bench.list(), json!([]));
        let start = "start?contentType=Audit.Exchange";
        let stop = "stop?contentType=Audit.Exchange";
        let enabled =
            json!({"contentType": "Audit.Exchange", "status": "enabled", "webhook": null});
        assert_eq!(bench.post(start, ""), (200, enabled.clone()));
        assert_eq!(bench.list(), json!([enabled]));
        let (status, again) = bench.post(start, "");
        assert_eq!((status, &again["error"]["code"]), (400, &json!("AF20024")));
        assert_eq!(bench.post(stop, ""), (200, Value::Null));
        assert_eq!(bench.list()[0]["status"], "disabled");
        assert_eq!(bench.post(stop, "").1["error"]["code"], "AF20022");
        assert_eq!(bench.post(start, "").0, 200);
    }

    #[test]
    fn a_webhook_is_read_changed_and_removed() {
        let bench = Bench::new("{}");
        let start = "start?contentType=DLP.All";
        let hook =
            r#"{"webhook":{"address":"https://hooks.example.test/","authId":"f","expiration":""}}"#;
        let (_, body) = bench.post(start, hook);
        let wanted = json!({"status": "enabled", "address": "https://hooks.example.test/",
            "authId": "f", "expiration": null});
        assert_eq!(body["webhook"], wanted);
        assert_eq!(bench.post(start, hook).1["error"]["code"], "AF20024");
        assert_eq!(bench.post(start, "").1["webhook"], Value::Null);
        let cases = [
            (r#"{"webhook":{"authId":"f"}}"#, "AF20001"),
            (
                r#"{"webhook":{"address":"http://h.example.test"}}"#,
                "AF20021",
            ),
            (
                r#"{"webhook":{"address":"https://h","expiration":"2026-01-14T12:00:00Z"}}"#,
                "AF20003",
            ),
            (
                r#"{"webhook":{"address":"https://h","expiration":"soon"}}"#,
                "AF20002",
            ),
            (r#"{"webhook":"https://h"}"#, "AF20002"),
        ];
        for (body, code) in cases {
            assert_eq!(bench.post(start, body).1["error"]["code"], code, "{body}");
        }
    }

    #[test]
    fn parameters_are_checked() {
        let bench = Bench::new("{}");
        let code = |operation: &str| bench.post(operation, "").1["error"]["code"].clone();
        assert_eq!(code("start"), "AF20001");
        assert_eq!(code("start?contentType=Audit.Teams"), "AF20020");
        assert_eq!(
            code("start?contentType=DLP.All&PublisherIdentifier=x"),
            "AF20002"
        );
    }

    #[test]
    fn tenants_and_permissions_are_checked() {
        let code = |bench: &Bench, tenant: &str| {
            let answer = bench.feed.answer(&bench.call(tenant, "list"));
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            (
                answer.status,
                body["error"]["code"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            )
        };
        let mut bench = Bench::new("{}");
        assert_eq!(
            code(&bench, "contoso.onmicrosoft.com"),
            (400, "AF20013".to_owned())
        );
        let other = TENANT.replace('1', "2");
        assert_eq!(code(&bench, &other), (401, "AF20010".to_owned()));
        bench.roles = &[];
        assert_eq!(code(&bench, TENANT), (401, "AF10001".to_owned()));
        for (state, wanted) in [("missing", "AF20011"), ("unlicensed", "AF20012")] {
            let world = format!(r#"{{"tenants":[{{"id":"{TENANT}","feed":"{state}"}}]}}"#);
            assert_eq!(code(&Bench::new(&world), TENANT), (400, wanted.to_owned()));
        }
    }

    #[test]
    fn auditing_that_is_off_gives_the_odd_body() {
        let world = format!(r#"{{"tenants":[{{"id":"{TENANT}","audit_enabled":false}}]}}"#);
        let (status, body) = Bench::new(&world).post("start?contentType=DLP.All", "");
        assert_eq!(status, 400);
        let (code, text) = (
            &body["error"]["code"],
            body["error"]["message"].as_str().unwrap(),
        );
        assert!(code.as_str().unwrap().ends_with("][AppId"), "{code}");
        assert!(
            text.contains(&format!("Tenant {TENANT} does not exist.\r\n")),
            "{text}"
        );
    }

    #[test]
    fn without_a_token_or_an_address_there_is_nothing() {
        let bench = Bench::new("{}");
        let path = format!("/api/v1.0/{TENANT}/activity/feed/subscriptions/list");
        assert_eq!(
            bench
                .feed
                .answer(&Call::get(Service::Management, &path))
                .status,
            401
        );
        assert_eq!(bench.feed.answer(&bench.call(TENANT, "pause")).status, 404);
        assert_eq!(bench.feed.answer(&bench.call(TENANT, "start")).status, 405);
    }
}
