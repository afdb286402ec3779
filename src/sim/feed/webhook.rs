//! Webhooks: what a start request says of one, its validation, and the notification that follows.
//!
//! A webhook that refuses its notification is deliberately not disabled: how often it must fail
//! for that is not published.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::content::Entry;
use super::webhook_sender::Letter;
use super::{Feed, Refused, refused};
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::Call;
use crate::sim::world::{Status, Webhook};

/// How many blobs the notification tells at most.
const BATCH: usize = 100;

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
    /// The webhook of a start request, if its body has one.
    pub(super) fn webhook(&self, call: &Call) -> Result<Option<Webhook>, Refused> {
        if call.body.trim().is_empty() {
            return Ok(None);
        }
        let body: Result<Option<StartBody>, _> = serde_json::from_str(&call.body);
        let body = body.map_err(|_| refused("AF20002", &["webhook", "object"]))?;
        let Some(webhook) = body.and_then(|body| body.webhook) else {
            return Ok(None);
        };
        let address = webhook.address.filter(|text| !text.is_empty());
        let address = address.ok_or_else(|| refused("AF20001", &["webhook.address"]))?;
        addressed(&address)?;
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
        let wrong = || refused("AF20002", &["webhook.expiration", "datetime"]);
        let end: Result<DateTime<Utc>, _> = text.parse();
        if end.map_err(|_| wrong())? > self.site.now() {
            return Ok(());
        }
        Err(refused("AF20003", &[text]))
    }

    /// Asks a webhook whether it is one: only the answer 200 is.
    pub(super) async fn validate(&self, call: &Call, webhook: &Webhook) -> Result<(), Refused> {
        let code = self.site.id_of("validation code", call);
        let letter = Letter {
            kind: "application/json; charset=utf-8",
            auth_id: &webhook.auth_id,
            validation_code: Some(&code),
            body: json!({ "validationCode": code }).to_string(),
        };
        if self.messenger.post(&webhook.address, letter).await == Some(200) {
            return Ok(());
        }
        let why = " The endpoint did not return HTTP 200.";
        Err(invalid(&webhook.address, why))
    }

    /// Tells a webhook of the blobs of the last day, the oldest first. How it takes that changes
    /// nothing.
    pub(super) async fn notify(&self, claims: &Claims, content_type: &str, webhook: &Webhook) {
        let day = (self.site.now() - TimeDelta::days(1), self.site.now());
        let blobs = self.shelf.between(content_type, day).take(BATCH);
        let told: Vec<Value> = blobs
            .map(|blob| notification(claims, &self.entry(claims, &blob)))
            .collect();
        if told.is_empty() {
            return;
        }
        let letter = Letter {
            // As documented, slip included.
            kind: "application/json; utf-8",
            auth_id: &webhook.auth_id,
            validation_code: None,
            body: Value::from(told).to_string(),
        };
        self.messenger.post(&webhook.address, letter).await;
    }
}

fn addressed(address: &str) -> Result<(), Refused> {
    let url = Url::parse(address).map_err(|_| invalid(address, ""))?;
    if url.scheme() == "https" {
        return Ok(());
    }
    Err(invalid(address, " The address must begin with HTTPS."))
}

fn invalid(address: &str, why: &str) -> Refused {
    refused("AF20021", &[address, why])
}

fn notification(claims: &Claims, entry: &Entry<'_>) -> Value {
    json!({
        "tenantId": claims.tid,
        "clientId": claims.appid,
        "contentType": entry.kind,
        "contentId": entry.id,
        "contentUri": entry.uri,
        "contentCreated": entry.created,
        "contentExpiration": entry.expires,
    })
}
