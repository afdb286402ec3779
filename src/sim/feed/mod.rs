//! The Management Activity API: subscriptions, lists of content, blobs.
//!
//! Checks go in this order: token, tenant of the address, permission, parameters. The parts are in
//! `feed/`: [`subscriptions`] and their [`webhook`]s, which [`webhook_sender`] calls; [`content`] with
//! its [`window`] of time; [`blobs`]. Content that became available while a
//! subscription was stopped is deliberately not lost, and a webhook is notified once, at its start.

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

use std::sync::Arc;

use serde_json::json;

use crate::sim::data::content_store::Shelf;
use crate::sim::ids::is_guid;
use crate::sim::login::tokens::{Claims, Resource, check};
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::Route;
use crate::sim::site::Site;
use crate::sim::world::FeedState;
use crate::sim::world::content::{CONTENT_TYPES, Content};

use subscriptions::Subscribed;
use webhook_sender::Messenger;

/// The publisher of a caller who names none.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// The feed service.
pub(super) struct Feed {
    site: Arc<Site>,
    shelf: Shelf,
    subscribed: Subscribed,
    messenger: Messenger,
}

/// A refused call: status, code, message.
struct Refused(u16, String, String);

fn refused(status: u16, code: &str, text: impl Into<String>) -> Refused {
    Refused(status, code.to_owned(), text.into())
}

impl Feed {
    /// The service of a site, whose webhooks trust an authority given as PEM, or nobody.
    pub(super) fn new(site: Arc<Site>, authority: Option<&str>) -> Self {
        let content = site.world.content.clone();
        let content = content.unwrap_or_else(Content::usual);
        Self {
            shelf: Shelf::new(content, &site.ids, site.begin),
            subscribed: Subscribed::default(),
            messenger: Messenger::new(authority),
            site,
        }
    }

    /// Answers a call.
    pub(super) async fn answer(&self, call: &Call) -> Answer {
        let answer = self.serve(call).await;
        let answer = answer.unwrap_or_else(|Refused(status, code, message)| {
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

    async fn serve(&self, call: &Call) -> Result<Answer, Refused> {
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
                self.audited(call, &claims, (content_type, publisher))?;
                self.start(call, &claims, content_type).await
            }
        }
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
}

/// The answer to a path or a method that the service does not have.
fn misaddressed(call: &Call) -> Option<Answer> {
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
