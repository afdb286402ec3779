//! The activity feed of the Office 365 Management APIs: subscriptions here, content in [`content`].
//!
//! The address always contains the tenant's GUID, which comes from the token if the tenant is a
//! domain name. Every request names a publisher, which has a separate quota. Does not decide when a
//! subscription is needed: `ops` does.

pub mod content;
pub mod error;
pub mod filter;
#[cfg(test)]
mod fuzz;
pub mod record;

use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::json::Document;
use crate::microsoft::{Connection, ContentType};
use crate::net::message::{append_path, with_query};
use crate::net::rate_limit::{Rate, RateLimit};
use crate::net::{Access, ApiRequest, ApiResponse, Auth, Body, Caller, TokenProvider};
use crate::protocol::{ErrorKind, Failure};

/// The parameter for the publisher, which every request has.
const PUBLISHER: &str = "PublisherIdentifier";

/// Requests per minute that the service documents as the baseline for a tenant.
const QUOTA: NonZeroU32 = NonZeroU32::MIN.saturating_add(1999);

/// Consecutive starts of subscriptions: two for each content type. The service refuses more.
const STARTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// The client of the feed for one run and one tenant.
#[derive(Clone, Copy)]
pub struct Feed<'a> {
    caller: &'a Caller,
    tokens: &'a dyn TokenProvider,
    connection: &'a Connection,
}

/// A subscription as the feed lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subscription {
    /// The content type, in the service's spelling.
    #[serde(rename = "contentType")]
    pub content_type: String,
    /// `enabled` or `disabled`; the service sometimes omits it.
    pub status: Option<String>,
}

impl Subscription {
    /// Returns whether this is an enabled subscription to the content type.
    pub fn is_enabled(&self, content_type: ContentType) -> bool {
        ContentType::parse(&self.content_type) == Some(content_type)
            && self.status.as_deref() != Some("disabled")
    }
}

/// The outcome of starting a subscription.
#[derive(Debug)]
pub enum Started {
    /// It was started, with this response.
    New(Document),
    /// It was enabled already, which the service reports as a failure.
    AlreadyEnabled(Failure),
}

impl<'a> Feed<'a> {
    /// The feed of the connection's tenant.
    pub fn new(
        caller: &'a Caller,
        tokens: &'a dyn TokenProvider,
        connection: &'a Connection,
    ) -> Self {
        Feed {
            caller,
            tokens,
            connection,
        }
    }

    /// The current subscriptions, and the response.
    pub async fn subscriptions(&self) -> Result<(Vec<Subscription>, Document), Failure> {
        let url = self.address("list", &[]).await?;
        listed(&self.send(self.get(url)).await?)
    }

    /// Starts the subscription to a content type, with a webhook if one is given. The service
    /// checks the webhook's address.
    pub async fn start(
        &self,
        content_type: ContentType,
        webhook: Option<&str>,
    ) -> Result<Started, Failure> {
        let named = [("contentType", content_type.name())];
        let url = self.address("start", &named).await?;
        self.sign_in().await?;
        let mut request = self.post(url).limited_by(self.start_rate_limit());
        if let Some(address) = webhook {
            let body = json!({ "webhook": { "address": address } });
            request = request.body(Body::Json(body.to_string()));
        }
        match self.send(request).await {
            Ok(response) => change_response(&response)
                .map(Started::New)
                .map_err(with_change_advice),
            Err(failure) if failure.vendor_code() == Some(error::ALREADY_ENABLED) => {
                Ok(Started::AlreadyEnabled(failure))
            }
            Err(failure) => Err(with_change_advice(failure)),
        }
    }

    /// Stops the subscription to a content type. The service responds without a body.
    pub async fn stop(&self, content_type: ContentType) -> Result<Document, Failure> {
        let named = [("contentType", content_type.name())];
        let url = self.address("stop", &named).await?;
        self.sign_in().await?;
        let sent = self.send(self.post(url)).await;
        change_response(&sent.map_err(with_change_advice)?).map_err(with_change_advice)
    }

    /// Signs in before a change, so that a failed sign-in is not mistaken for an unknown outcome.
    async fn sign_in(&self) -> Result<(), Failure> {
        let audience = &self.connection.cloud.audiences.management;
        let waiting = self.tokens.token(audience);
        let token = self.caller.deadline().race("the sign-in", waiting).await;
        token.map(drop)
    }

    async fn send(&self, request: ApiRequest) -> Result<ApiResponse, Failure> {
        self.caller.send(request, self.access()).await
    }

    fn access(&self) -> Access<'_> {
        Access {
            auth: Auth::Bearer(self.tokens, &self.connection.cloud.audiences.management),
            classify: error::classify,
        }
    }

    fn get(&self, url: Url) -> ApiRequest {
        ApiRequest::get("management", url)
            .json()
            .limited_by(self.rate_limit())
    }

    fn post(&self, url: Url) -> ApiRequest {
        ApiRequest::post("management", url)
            .header("Accept", "application/json")
            .limited_by(self.rate_limit())
    }

    /// The rate limit of this tenant and publisher. Starts have a separate one.
    fn rate_limit(&self) -> RateLimit {
        RateLimit {
            name: format!("feed {}", self.client_key()),
            rate: Rate::PerMinute(QUOTA),
        }
    }

    fn start_rate_limit(&self) -> RateLimit {
        RateLimit {
            name: format!("feed start {}", self.client_key()),
            rate: Rate::Burst(STARTS),
        }
    }

    fn client_key(&self) -> String {
        let publisher = self.connection.publisher.as_deref().unwrap_or_default();
        let (cloud, tenant) = (&self.connection.cloud.management, &self.connection.tenant);
        format!("{cloud} {} {publisher}", tenant.to_ascii_lowercase())
    }

    async fn address(&self, operation: &str, named: &[(&str, &str)]) -> Result<Url, Failure> {
        let tenant = self.tenant().await?;
        let feed = ["api", "v1.0", &tenant, "activity", "feed"];
        let url = append_path(&self.connection.cloud.management, feed);
        let url = append_path(&url, ["subscriptions", operation]);
        let publisher = self.publisher().await?;
        let publisher = (PUBLISHER, publisher.as_str());
        let pairs: Vec<_> = named.iter().copied().chain([publisher]).collect();
        Ok(with_query(url, &pairs))
    }

    /// The connection's publisher, or the tenant if there is none.
    async fn publisher(&self) -> Result<String, Failure> {
        match &self.connection.publisher {
            Some(publisher) => Ok(publisher.clone()),
            None => self.tenant().await,
        }
    }

    /// The tenant's GUID, from the connection or from the token.
    async fn tenant(&self) -> Result<String, Failure> {
        if let Some(guid) = self.connection.tenant_guid() {
            return Ok(guid.to_owned());
        }
        let audience = &self.connection.cloud.audiences.management;
        let waiting = self.tokens.token(audience);
        let token = self.caller.deadline().race("the sign-in", waiting).await?;
        token.tenant.ok_or_else(|| {
            Failure::new(
                ErrorKind::BadResponse,
                "The token has no tenant (`tid`), and the feed's address needs the tenant's GUID.",
            )
            .advice("Set the tenant's GUID, the directory (tenant) ID.")
        })
    }
}

/// Reads a list of subscriptions.
fn listed(response: &ApiResponse) -> Result<(Vec<Subscription>, Document), Failure> {
    let document = response.document()?;
    let listed = serde_json::from_str(document.text())
        .map_err(|_| response.bad("the body is not an array of subscriptions."))?;
    Ok((listed, document))
}

/// Adds advice to the failure of a change: without a response, it can have taken effect.
fn with_change_advice(failure: Failure) -> Failure {
    match failure.kind() {
        // The documented advice, to start the subscription, makes no sense after it was stopped.
        _ if failure.vendor_code() == Some("AF20022") => {
            failure.advice("No action is needed.")
        }
        ErrorKind::Network
        | ErrorKind::Timeout
        | ErrorKind::Unavailable
        | ErrorKind::BadResponse => failure
            .advice("The change can have taken effect. List the subscriptions before you send the request again."),
        _ => failure,
    }
}

/// The response to a change; null if it has no body.
fn change_response(response: &ApiResponse) -> Result<Document, Failure> {
    if response.body.trim_ascii().is_empty() {
        return Document::parse("null").map_err(|error| response.unreadable(&error));
    }
    response.document()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscription_without_status_is_enabled() {
        let listed = r#"[{"contentType":"Audit.Exchange","webhook":null},
            {"contentType":"DLP.All","status":"disabled","webhook":null}]"#;
        let listed: Vec<Subscription> = serde_json::from_str(listed).expect("subscriptions");
        assert!(listed[0].is_enabled(ContentType::Exchange));
        assert!(!listed[0].is_enabled(ContentType::Dlp));
        assert!(!listed[1].is_enabled(ContentType::Dlp));
    }
}
