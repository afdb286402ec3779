//! The activity feed of the Office 365 Management APIs: listing and starting subscriptions.
//!
//! Its version is always v1.0 and its address always holds the tenant's GUID; for a tenant given
//! by name that GUID comes from the token. What a subscription is needed for is `ops`' part.

mod error;

use serde::Deserialize;
use url::Url;

use crate::microsoft::{Connection, ContentType};
use crate::net::message::{below, with_query};
use crate::net::{ApiRequest, ApiResponse, Auth, Caller, TokenProvider};
use crate::protocol::{ErrorKind, Failure};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It is started.
    Now,
    /// It was enabled already.
    Before,
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

    /// The current subscriptions.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, Failure> {
        let url = self.address("list", None).await?;
        let response = self.send(ApiRequest::get("management", url)).await?;
        let document = response.document()?;
        serde_json::from_str(document.text())
            .map_err(|_| response.bad("the body is not an array of subscriptions."))
    }

    /// Starts the subscription to a content type; "already enabled" is a way of having started.
    pub async fn start(&self, content_type: ContentType) -> Result<Started, Failure> {
        let url = self.address("start", Some(content_type)).await?;
        let started = self.send(ApiRequest::post("management", url)).await;
        match started {
            Ok(_) => Ok(Started::Now),
            Err(failure) if failure.vendor_code() == Some(error::ALREADY_ENABLED) => {
                Ok(Started::Before)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn send(&self, request: ApiRequest) -> Result<ApiResponse, Failure> {
        let auth = Auth::Bearer(self.tokens, &self.connection.cloud.audiences.management);
        let request = request.header("Accept", "application/json");
        self.caller.send(request, auth, error::classify).await
    }

    async fn address(
        &self,
        operation: &str,
        content_type: Option<ContentType>,
    ) -> Result<Url, Failure> {
        let tenant = self.tenant().await?;
        let feed = ["api", "v1.0", &tenant, "activity", "feed"];
        let url = below(&self.connection.cloud.management, feed);
        let url = below(&url, ["subscriptions", operation]);
        let kind = content_type.map(|kind| ("contentType", kind.name()));
        let publisher = ("PublisherIdentifier", tenant.as_str());
        let pairs: Vec<_> = kind.into_iter().chain([publisher]).collect();
        Ok(with_query(url, &pairs))
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
