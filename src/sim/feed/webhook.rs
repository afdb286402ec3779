//! Webhooks: parameters of a start request, validation and notification. A webhook that rejects its
//! notification is not disabled, because the service does not document after how many failures it
//! is.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::content::Entry;
use super::webhook_sender::Message;
use super::{Feed, Refused, refused};
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::Call;
use crate::sim::world::{Status, Webhook};

/// The maximum number of blobs of a notification.
const MAX_NOTIFIED: usize = 100;

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
    /// The webhook of a start request, if it has one.
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
        check_webhook_address(&address)?;
        let expiration = webhook.expiration.filter(|text| !text.is_empty());
        self.check_expiration(expiration.as_deref())?;
        let auth_id = webhook.auth_id.unwrap_or_default();
        Ok(Some(Webhook {
            status: Status::Enabled,
            address,
            auth_id,
            expiration,
        }))
    }

    fn check_expiration(&self, expiration: Option<&str>) -> Result<(), Refused> {
        let Some(text) = expiration else {
            return Ok(());
        };
        let wrong = || refused("AF20002", &["webhook.expiration", "datetime"]);
        let end: Result<DateTime<Utc>, _> = text.parse();
        if end.map_err(|_| wrong())? > self.context.now() {
            return Ok(());
        }
        Err(refused("AF20003", &[text]))
    }

    /// Validates a webhook: it must answer 200.
    pub(super) async fn validate(&self, call: &Call, webhook: &Webhook) -> Result<(), Refused> {
        let code = self.context.id_of("validation code", call);
        let message = Message {
            kind: "application/json; charset=utf-8",
            auth_id: &webhook.auth_id,
            validation_code: Some(&code),
            body: json!({ "validationCode": code }).to_string(),
        };
        if self.webhook_sender.post(&webhook.address, message).await == Some(200) {
            return Ok(());
        }
        let why = " The endpoint did not return HTTP 200.";
        Err(invalid(&webhook.address, why))
    }

    /// Notifies a webhook of the blobs of the last 24 hours, oldest first. Its answer is ignored.
    pub(super) async fn notify(&self, claims: &Claims, content_type: &str, webhook: &Webhook) {
        let day = (self.context.now() - TimeDelta::days(1), self.context.now());
        let blobs = self.store.between(content_type, day).take(MAX_NOTIFIED);
        let notified: Vec<Value> = blobs
            .map(|blob| notification(claims, &self.entry(claims, &blob)))
            .collect();
        if notified.is_empty() {
            return;
        }
        let message = Message {
            // The value in the documentation, which is not a valid content type.
            kind: "application/json; utf-8",
            auth_id: &webhook.auth_id,
            validation_code: None,
            body: Value::from(notified).to_string(),
        };
        self.webhook_sender.post(&webhook.address, message).await;
    }
}

fn check_webhook_address(address: &str) -> Result<(), Refused> {
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
