//! The Management Activity API: subscriptions, content listings, blobs.
//!
//! A request is checked in this order: token, tenant of the path, permission, parameters. Content
//! that becomes available while a subscription is stopped is not lost. A webhook is notified once,
//! when it is added.

mod blobs;
mod content;
mod subscriptions;
#[cfg(test)]
mod tests;
mod webhook;
pub(super) mod webhook_receiver;
mod webhook_sender;
#[cfg(test)]
mod webhook_tests;
mod window;

use std::sync::{Arc, LazyLock};

use serde_json::json;

use crate::sim::context::Context;
use crate::sim::data::content_store::ContentStore;
use crate::sim::error_table::{ErrorEntry as Refused, ErrorTable};
use crate::sim::ids::is_guid;
use crate::sim::login::tokens::{Claims, Resource};
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::Route;
use crate::sim::world::FeedState;
use crate::sim::world::content::CONTENT_TYPES;

use subscriptions::SubscriptionStore;
use webhook_sender::WebhookSender;

/// The publisher of a request that has none.
const NO_PUBLISHER: &str = "00000000-0000-0000-0000-000000000000";

pub(super) struct Feed {
    context: Arc<Context>,
    store: Arc<ContentStore>,
    subscriptions: SubscriptionStore,
    webhook_sender: WebhookSender,
}

static ERRORS: LazyLock<ErrorTable> =
    LazyLock::new(|| ErrorTable::parse(include_str!("errors.json")));

fn refused(code: &str, arguments: &[&str]) -> Refused {
    ERRORS.entry(code, arguments)
}

impl Feed {
    /// The service. Its webhook sender trusts the certificate authority that is given as PEM.
    pub(super) fn new(context: Arc<Context>, authority: Option<&str>) -> Self {
        Self {
            store: Arc::clone(&context.blobs),
            subscriptions: SubscriptionStore::default(),
            webhook_sender: WebhookSender::new(authority),
            context,
        }
    }

    pub(super) async fn answer(&self, call: &Call) -> Answer {
        let answer = self.serve(call).await;
        let answer = answer.unwrap_or_else(|refused| {
            let body = json!({"error": {"code": refused.code, "message": refused.text}});
            Answer::new(refused.status, body.to_string())
        });
        answer
            .with("Cache-Control", "no-cache")
            .with("Pragma", "no-cache")
            .with("Content-Type", "application/json; charset=utf-8")
            .with("Expires", "-1")
            .with("Server", "Microsoft-IIS/10.0")
            .with("X-AspNet-Version", "4.0.30319")
            .with("X-Powered-By", "ASP.NET")
            .with(
                "mise-correlation-id",
                self.context.id_of("correlation", call),
            )
    }

    async fn serve(&self, call: &Call) -> Result<Answer, Refused> {
        let Ok(claims) = self.context.claims(call, Resource::Management) else {
            let body = json!({"Message": "Authorization has been denied for this request."});
            return Ok(Answer::new(401, body.to_string()).with("WWW-Authenticate", "Bearer"));
        };
        if let Some(answer) = check_address(call) {
            return Ok(answer);
        }
        self.tenant(call, &claims)?;
        permitted(&claims)?;
        let publisher = publisher(call)?;
        match call.route {
            Route::FeedList => return Ok(self.list(&claims)),
            Route::FeedBlob => return self.blob(call, &claims),
            _ => {}
        }
        let content_type = content_type(call)?;
        match call.route {
            Route::FeedStop => self.stop(&claims, content_type),
            Route::FeedContent => self.content(call, &claims, content_type),
            _ => {
                self.check_auditing(call, &claims, (content_type, publisher))?;
                self.start(call, &claims, content_type).await
            }
        }
    }

    /// Checks that the path names the tenant of the token and that the feed serves it.
    fn tenant(&self, call: &Call, claims: &Claims) -> Result<(), Refused> {
        let name = call.segment(2);
        if !is_guid(&name) {
            return Err(refused("AF20013", &[&name]));
        }
        if !claims.tid.eq_ignore_ascii_case(&name) {
            return Err(refused("AF20010", &[&name, &claims.tid]));
        }
        let known = self.context.world.tenant(&name);
        match known.map_or(FeedState::Ready, |tenant| tenant.feed) {
            FeedState::Ready => Ok(()),
            FeedState::Missing => Err(refused("AF20011", &[&name])),
            FeedState::Unlicensed => Err(refused("AF20012", &[&name])),
        }
    }

    /// If auditing is off, the service returns a part of its own log as code and message.
    fn check_auditing(
        &self,
        call: &Call,
        claims: &Claims,
        of: (&str, &str),
    ) -> Result<(), Refused> {
        let (tid, app) = (&claims.tid, &claims.appid);
        if self
            .context
            .world
            .tenant(tid)
            .is_none_or(|tenant| tenant.audit_enabled)
        {
            return Ok(());
        }
        let id = self.context.id_of("correlation", call);
        let (content_type, publisher) = of;
        let arguments = [id.as_str(), tid, content_type, app, publisher];
        Err(refused("audit_disabled", &arguments))
    }
}

/// The response to an unknown path or method.
fn check_address(call: &Call) -> Option<Answer> {
    let wanted = match call.route {
        Route::FeedList | Route::FeedContent | Route::FeedBlob => "GET",
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
    if claims.permissions().any(|held| held == "ActivityFeed.Read") {
        return Ok(());
    }
    let held = claims.permissions().collect::<Vec<_>>().join(" ");
    Err(refused("AF10001", &[&held]))
}

fn publisher(call: &Call) -> Result<&str, Refused> {
    let Some(given) = call.parameter("PublisherIdentifier") else {
        return Ok(NO_PUBLISHER);
    };
    if is_guid(given) {
        return Ok(given);
    }
    Err(refused("AF20002", &["PublisherIdentifier", "guid"]))
}

fn content_type(call: &Call) -> Result<&str, Refused> {
    let given = call
        .parameter("contentType")
        .filter(|text| !text.is_empty());
    let given = given.ok_or_else(|| refused("AF20001", &["contentType"]))?;
    if CONTENT_TYPES.contains(&given) {
        return Ok(given);
    }
    Err(refused("AF20020", &[]))
}
