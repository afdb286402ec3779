//! Sign-in with a managed identity: a token from the machine's own endpoint, without a credential.
//!
//! A virtual machine has a metadata service. An application platform sets an address and a header
//! in the environment, which take precedence. A client id selects one of several identities.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::identity::account::Account;
use crate::identity::credential::ManagedIdentity;
use crate::identity::store::TokenGrant;
use crate::identity::token_endpoint;
use crate::net::message::{append_path, with_query};
use crate::net::retry::Repeat;
use crate::net::{Access, ApiRequest, ApiResponse, Audience, Auth, Caller};
use crate::protocol::{ErrorKind, Failure};

/// A request for a token.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) account: &'a Account,
    pub(super) identity: &'a ManagedIdentity,
    pub(super) audience: &'a Audience,
}

const ACCESS: Access<'static> = Access {
    auth: Auth::None,
    classify,
};

impl Request<'_> {
    /// Requests a token from the machine's endpoint.
    ///
    /// Errors: `auth_failed` for a machine without this identity or without an endpoint,
    /// `forbidden`, `throttled`, `unavailable`, `bad_response`, and those of [`Caller::send`].
    pub(super) async fn send(
        self,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Result<TokenGrant, Failure> {
        let sent = caller.send(self.api_request(), ACCESS).await;
        let response = sent.map_err(|failure| self.without_endpoint(failure))?;
        token_endpoint::granted(&response, Some(now))
    }

    fn api_request(self) -> ApiRequest {
        let platform = self.identity.platform.as_ref();
        let (address, version) = if let Some(platform) = platform {
            (platform.address.clone(), "2019-08-01")
        } else {
            let path = ["metadata", "identity", "oauth2", "token"];
            (append_path(&self.account.metadata, path), "2018-02-01")
        };
        let mut query = vec![
            ("api-version", version),
            ("resource", self.audience.0.as_str()),
        ];
        if let Some(client_id) = &self.identity.client_id {
            query.push(("client_id", client_id));
        }
        let mut request = ApiRequest::get("metadata", with_query(address, &query)).json();
        request.nearby = true;
        request.repeat = Repeat::AfterAnswer;
        match platform {
            Some(platform) => request.header("X-IDENTITY-HEADER", &platform.header),
            None => request.header("Metadata", "true"),
        }
    }

    /// If no endpoint answers, the machine has no managed identity.
    fn without_endpoint(self, failure: Failure) -> Failure {
        if failure.kind() != ErrorKind::Network {
            return failure;
        }
        let what = match self.identity.platform {
            Some(_) => "No identity endpoint answers at IDENTITY_ENDPOINT",
            None => "No metadata service answers on this machine",
        };
        let message = format!("{what}: {}", failure.message());
        Failure::new(ErrorKind::AuthFailed, message)
            .cause("Only virtual machines and application platforms of the cloud have managed identities.")
            .advice("Run the host on a machine that has one, or sign in with a client secret or a certificate.")
    }
}

/// An error response of the metadata service or of an application platform.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorResponse {
    error: String,
    error_description: String,
    message: String,
}

fn classify(response: &ApiResponse) -> Option<Failure> {
    if response.is_success() {
        return None;
    }
    let error: ErrorResponse = response.object().unwrap_or_default();
    let message = [&error.error_description, &error.message, &error.error]
        .into_iter()
        .map(|text| text.trim())
        .find(|text| !text.is_empty())
        .map_or_else(
            || format!("HTTP {} with {}.", response.status, response.content()),
            str::to_owned,
        );
    let (kind, cause, advice) = meaning(response.status, &error.error);
    let code = Some(error.error.as_str()).filter(|code| !code.is_empty());
    Some(
        response
            .refusal(kind, code, &message)
            .cause(cause)
            .advice(advice),
    )
}

/// The kind, the cause and the advice for an error.
fn meaning(status: u16, error: &str) -> (ErrorKind, &'static str, &'static str) {
    match (status, error) {
        (404 | 410, _) => (
            ErrorKind::Unavailable,
            "The metadata service is being updated.",
            "Send the same request again after a minute.",
        ),
        (429, _) => (
            ErrorKind::Throttled,
            "The machine's identity was requested too often in a short time.",
            "Send the same request again later, and store tokens with --state.",
        ),
        (500.., _) => (
            ErrorKind::Unavailable,
            "The metadata service is temporarily unavailable.",
            "Send the same request again later.",
        ),
        (_, "invalid_resource") => (
            ErrorKind::Rejected,
            "The requested service is not present in the tenant of this machine.",
            "Check the cloud, and that the tenant has a licence for the service.",
        ),
        (_, "bad_request_102") => (
            ErrorKind::Rejected,
            "The header that the metadata service requires was removed on the way.",
            "Check this machine for a proxy or a redirection of 169.254.169.254.",
        ),
        (400, _) => (
            ErrorKind::AuthFailed,
            "This machine has no managed identity, or none with this client ID.",
            "Assign a managed identity to the machine, or correct the client ID of the identity.",
        ),
        (_, "unknown_source") => (
            ErrorKind::AuthFailed,
            "The metadata service does not know this machine.",
            "Run the host on the machine itself, not in a separate network namespace.",
        ),
        (401 | 403, _) => (
            ErrorKind::AuthFailed,
            "The machine grants no token to this process: the identity is disabled, or IDENTITY_HEADER belongs to another application.",
            "Check that the machine has a managed identity. On an application platform, run the host in the environment that IDENTITY_ENDPOINT and IDENTITY_HEADER were set for.",
        ),
        _ => (
            ErrorKind::Rejected,
            "The machine's identity endpoint could not parse the request.",
            "Check whether a proxy alters requests. Otherwise report it with the log.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::credential::{Credential, IdentityEndpoint};
    use crate::net::message::tests::answer;
    use crate::net::retry::is_transient;
    use crate::protocol::Secret;
    use std::time::Duration;
    use url::Url;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("an address")
    }

    fn sent(client_id: Option<&str>, platform: Option<IdentityEndpoint>) -> (String, String) {
        let identity = ManagedIdentity {
            client_id: client_id.map(str::to_owned),
            platform,
        };
        let account = Account {
            cloud: "commercial".to_owned(),
            login: url("https://login.test"),
            metadata: url("http://169.254.169.254"),
            tenant: String::new(),
            client_id: String::new(),
            credential: Credential::ManagedIdentity(identity.clone()),
            resources: Vec::new(),
        };
        let audience = Audience("https://manage.office.com".to_owned());
        let request = Request {
            account: &account,
            identity: &identity,
            audience: &audience,
        }
        .api_request();
        assert!(request.nearby);
        let (name, value) = request.headers.last().expect("a header");
        (
            request.url.to_string(),
            format!("{name}: {}", value.shown()),
        )
    }

    #[test]
    fn metadata_service_receives_its_header() {
        let base = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanage.office.com";
        assert_eq!(
            sent(None, None),
            (base.to_owned(), "Metadata: true".to_owned())
        );
        assert_eq!(sent(Some("c"), None).0, format!("{base}&client_id=c"));
    }

    #[test]
    fn application_platform_takes_precedence() {
        let platform = IdentityEndpoint {
            address: url("http://127.0.0.1:1/msi/token"),
            header: Secret::new("canary-header"),
        };
        let (address, header) = sent(None, Some(platform));
        assert_eq!(
            address,
            "http://127.0.0.1:1/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanage.office.com"
        );
        assert_eq!(header, "X-IDENTITY-HEADER: ***");
    }

    #[test]
    fn documented_error_has_kind_and_advice() {
        use ErrorKind as K;
        for (status, error, kind, again) in [
            (400, "invalid_resource", K::Rejected, false),
            (400, "bad_request_102", K::Rejected, false),
            (400, "invalid_request", K::AuthFailed, false),
            (401, "unknown_source", K::AuthFailed, false),
            (401, "unauthorized_client", K::AuthFailed, false),
            (403, "access_denied", K::AuthFailed, false),
            (404, "", K::Unavailable, true),
            (410, "", K::Unavailable, true),
            (429, "", K::Throttled, true),
            (500, "unknown", K::Unavailable, true),
        ] {
            let body = format!(r#"{{"error":"{error}","error_description":"Words"}}"#);
            let failure = classify(&answer(status, &body, &[])).expect("a failure");
            assert_eq!(failure.kind(), kind, "{status} {error}");
            assert_eq!(
                is_transient(&failure, Repeat::AfterAnswer),
                again,
                "{status} {error}"
            );
            assert!(failure.assistance().is_some());
        }
        assert!(!is_transient(
            &Failure::new(K::Network, "x"),
            Repeat::AfterAnswer
        ));
        let page = classify(&answer(404, "<html></html>", &[])).expect("a failure");
        assert_eq!(page.message(), "HTTP 404 with an HTML page.");
    }

    #[test]
    fn end_without_a_lifetime_counts_from_now() {
        let now: DateTime<Utc> = "2026-01-14T12:00:00Z".parse().expect("a time");
        let body = format!(
            r#"{{"access_token":"a","expires_on":"{}","refresh_token":""}}"#,
            now.timestamp() + 3_599
        );
        let granted = token_endpoint::granted(&answer(200, &body, &[]), Some(now));
        let granted = granted.expect("a token");
        assert_eq!(granted.lifetime, Duration::from_secs(3_599));
        assert!(granted.refresh.is_none());
    }
}
