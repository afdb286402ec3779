//! The activity feed of the Office 365 Management APIs: subscriptions here, content in [`content`].
//!
//! Its version is always v1.0 and its address always holds the tenant's GUID; for a tenant given
//! by name that GUID comes from the token. Every request names a publisher, so that it counts
//! against a quota of its own. What a subscription is needed for is `ops`' part.

pub mod content;
pub mod error;
pub mod filter;
#[cfg(test)]
mod fuzz;
mod record;

use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::json::Document;
use crate::microsoft::{Connection, ContentType};
use crate::net::message::{below, with_query};
use crate::net::throttle::{Lane, Rate};
use crate::net::{ApiRequest, ApiResponse, Auth, Body, Caller, TokenProvider};
use crate::protocol::{ErrorKind, Failure};

/// The parameter that names who asks; it goes on every request.
const PUBLISHER: &str = "PublisherIdentifier";

/// Requests a minute that the service documents as the baseline for a tenant.
const QUOTA: NonZeroU32 = NonZeroU32::MIN.saturating_add(1999);

/// Starts at once: two for each content type. More of them meet the service's cool-down.
const STARTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// The feed of one tenant, as one run asks it.
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
    /// `enabled` or `disabled`; the service leaves it out now and then.
    pub status: Option<String>,
}

impl Subscription {
    /// Is this an enabled subscription to that content type?
    pub fn is_enabled(&self, content_type: ContentType) -> bool {
        ContentType::parse(&self.content_type) == Some(content_type)
            && self.status.as_deref() != Some("disabled")
    }
}

/// How a start ended well.
#[derive(Debug)]
pub enum Started {
    /// It is started; the service's answer.
    Now(Document),
    /// It was enabled already, which the service calls a failure.
    Before(Failure),
}

impl<'a> Feed<'a> {
    /// The feed of that connection's tenant.
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

    /// The current subscriptions, and the body they stand in.
    pub async fn subscriptions(&self) -> Result<(Vec<Subscription>, Document), Failure> {
        let url = self.address("list", &[]).await?;
        listed(&self.send(self.get(url)).await?)
    }

    /// Starts the subscription to a content type, with a webhook if one is given, whose address is
    /// the service's to judge.
    pub async fn start(
        &self,
        content_type: ContentType,
        webhook: Option<&str>,
    ) -> Result<Started, Failure> {
        let named = [("contentType", content_type.name())];
        let url = self.address("start", &named).await?;
        self.signed_in().await?;
        let mut request = self.post(url).on(self.start_lane());
        if let Some(address) = webhook {
            let body = json!({ "webhook": { "address": address } });
            request = request.body(Body::Json(body.to_string()));
        }
        match self.send(request).await {
            Ok(response) => said(&response).map(Started::Now).map_err(unclear),
            Err(failure) if failure.vendor_code() == Some(error::ALREADY_ENABLED) => {
                Ok(Started::Before(failure))
            }
            Err(failure) => Err(unclear(failure)),
        }
    }

    /// Stops the subscription to a content type; the service answers nothing.
    pub async fn stop(&self, content_type: ContentType) -> Result<Document, Failure> {
        let named = [("contentType", content_type.name())];
        let url = self.address("stop", &named).await?;
        self.signed_in().await?;
        let sent = self.send(self.post(url)).await;
        said(&sent.map_err(unclear)?).map_err(unclear)
    }

    /// Until there is a token nothing was changed, so that a sign-in which fails is not unclear.
    async fn signed_in(&self) -> Result<(), Failure> {
        let audience = &self.connection.cloud.audiences.management;
        let waiting = self.tokens.token(audience);
        let token = self.caller.deadline().race("the sign-in", waiting).await;
        token.map(drop)
    }

    async fn send(&self, request: ApiRequest) -> Result<ApiResponse, Failure> {
        let auth = Auth::Bearer(self.tokens, &self.connection.cloud.audiences.management);
        self.caller.send(request, auth, error::classify).await
    }

    fn get(&self, url: Url) -> ApiRequest {
        ApiRequest::get("management", url).json().on(self.lane())
    }

    fn post(&self, url: Url) -> ApiRequest {
        ApiRequest::post("management", url)
            .header("Accept", "application/json")
            .on(self.lane())
    }

    /// The quota of this tenant and publisher; starts have a small one of their own.
    fn lane(&self) -> Lane {
        Lane {
            name: format!("feed {}", self.asker()),
            rate: Rate::PerMinute(QUOTA),
        }
    }

    fn start_lane(&self) -> Lane {
        Lane {
            name: format!("feed start {}", self.asker()),
            rate: Rate::Burst(STARTS),
        }
    }

    fn asker(&self) -> String {
        let publisher = self.connection.publisher.as_deref().unwrap_or_default();
        let (cloud, tenant) = (&self.connection.cloud.management, &self.connection.tenant);
        format!("{cloud} {} {publisher}", tenant.to_ascii_lowercase())
    }

    async fn address(&self, operation: &str, named: &[(&str, &str)]) -> Result<Url, Failure> {
        let tenant = self.tenant().await?;
        let feed = ["api", "v1.0", &tenant, "activity", "feed"];
        let url = below(&self.connection.cloud.management, feed);
        let url = below(&url, ["subscriptions", operation]);
        let publisher = self.publisher().await?;
        let publisher = (PUBLISHER, publisher.as_str());
        let pairs: Vec<_> = named.iter().copied().chain([publisher]).collect();
        Ok(with_query(url, &pairs))
    }

    /// Who is asking: the connection's publisher, else the tenant itself.
    async fn publisher(&self) -> Result<String, Failure> {
        match &self.connection.publisher {
            Some(publisher) => Ok(publisher.clone()),
            None => self.tenant().await,
        }
    }

    /// The tenant's GUID: as given, or as the token names it.
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
                "The token names no tenant (`tid`), and the feed's address needs its GUID.",
            )
            .advice("Give the tenant as its GUID, the directory (tenant) id.")
        })
    }
}

/// The subscriptions of a listing, and the body they stand in.
fn listed(response: &ApiResponse) -> Result<(Vec<Subscription>, Document), Failure> {
    let document = response.document()?;
    let listed = serde_json::from_str(document.text())
        .map_err(|_| response.bad("the body is not an array of subscriptions."))?;
    Ok((listed, document))
}

/// A change whose answer did not come may have been made.
fn unclear(failure: Failure) -> Failure {
    match failure.kind() {
        // Nobody who stops a subscription wants to be told to start it.
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

/// The answer to a change: what the service says, or null if it says nothing.
fn said(response: &ApiResponse) -> Result<Document, Failure> {
    if response.body.trim_ascii().is_empty() {
        return Document::parse("null").map_err(|error| response.unreadable(&error));
    }
    response.document()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_without_a_status_counts_as_enabled() {
        let listed = r#"[{"contentType":"Audit.Exchange","webhook":null},
            {"contentType":"DLP.All","status":"disabled","webhook":null}]"#;
        let listed: Vec<Subscription> = serde_json::from_str(listed).expect("subscriptions");
        assert!(listed[0].is_enabled(ContentType::Exchange));
        assert!(!listed[0].is_enabled(ContentType::Dlp));
        assert!(!listed[1].is_enabled(ContentType::Dlp));
    }
}
