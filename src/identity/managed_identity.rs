//! The identity of a machine: a token from its own endpoint, with no credential at all.
//!
//! A virtual machine has a metadata service; an application platform gives an address and a header
//! in the environment, which then count. Which identity a machine has is decided where it was set
//! up, so nothing is chosen here but one of several by its client id.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::identity::cache::Granted;
use crate::identity::{Account, ManagedIdentity, token_endpoint};
use crate::net::message::{below, with_query};
use crate::net::retry::Repeat;
use crate::net::{ApiRequest, ApiResponse, Audience, Auth, Caller};
use crate::protocol::{ErrorKind, Failure};

/// Whose token is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) account: &'a Account,
    pub(super) identity: &'a ManagedIdentity,
    pub(super) audience: &'a Audience,
}

/// Asks the machine for a token.
///
/// Errors: `auth_failed` for a machine without that identity or without such an endpoint,
/// `forbidden`, `throttled`, `unavailable`, `bad_response`, and those of the call itself.
pub(super) async fn ask(
    caller: &Caller,
    asked: Asked<'_>,
    now: DateTime<Utc>,
) -> Result<Granted, Failure> {
    let answered = caller.send(request(asked), Auth::Open, classify).await;
    let response = answered.map_err(|failure| absent(asked, failure))?;
    token_endpoint::granted(&response, Some(now))
}

fn request(asked: Asked<'_>) -> ApiRequest {
    let Asked {
        account,
        identity,
        audience,
    } = asked;
    let (address, version) = if let Some(platform) = &identity.platform {
        (platform.address.clone(), "2019-08-01")
    } else {
        let path = ["metadata", "identity", "oauth2", "token"];
        (below(&account.metadata, path), "2018-02-01")
    };
    let mut query = vec![("api-version", version), ("resource", audience.0.as_str())];
    if let Some(client_id) = &identity.client_id {
        query.push(("client_id", client_id));
    }
    let mut request = ApiRequest::get("metadata", with_query(address, &query)).json();
    request.nearby = true;
    request.repeat = Repeat::AfterAnswer;
    match &identity.platform {
        Some(platform) => request.header("X-IDENTITY-HEADER", &platform.header),
        None => request.header("Metadata", "true"),
    }
}

/// Nobody answered: this is not such a machine.
fn absent(asked: Asked<'_>, failure: Failure) -> Failure {
    if failure.kind() != ErrorKind::Network {
        return failure;
    }
    let what = match asked.identity.platform {
        Some(_) => "There is no identity endpoint where IDENTITY_ENDPOINT says",
        None => "There is no metadata service on this machine",
    };
    let words = format!("{what}: {}", failure.message());
    Failure::new(ErrorKind::AuthFailed, words)
        .cause("Only virtual machines and application platforms of the cloud have managed identities.")
        .advice("Run the host on a machine that has one, or sign in with a client secret or a certificate instead.")
}

/// An error body of the metadata service, or of an application platform.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
    message: String,
}

fn classify(response: &ApiResponse) -> Option<Failure> {
    if response.is_success() {
        return None;
    }
    let refusal: Refusal = response.object().unwrap_or_default();
    let said = [&refusal.error_description, &refusal.message, &refusal.error];
    let words = said.into_iter().map(|words| words.trim());
    let words = words.clone().find(|words| !words.is_empty());
    let words = words.map_or_else(
        || format!("HTTP {} with {}.", response.status, response.content()),
        str::to_owned,
    );
    let (kind, cause, advice) = meaning(response.status, &refusal);
    let code = Some(refusal.error.as_str()).filter(|code| !code.is_empty());
    Some(
        response
            .refusal(kind, code, &words)
            .cause(cause)
            .advice(advice),
    )
}

/// What an answer means: its kind, why, and what to do.
fn meaning(status: u16, refusal: &Refusal) -> (ErrorKind, &'static str, &'static str) {
    match (status, refusal.error.as_str()) {
        (404 | 410, _) => (
            ErrorKind::Unavailable,
            "The metadata service is being updated.",
            "Send the same request again after a minute.",
        ),
        (429, _) => (
            ErrorKind::Throttled,
            "The machine's identity was requested too often in a short time.",
            "Send the same request again later, and keep tokens with --state.",
        ),
        (500.., _) => (
            ErrorKind::Unavailable,
            "The metadata service is temporarily unavailable.",
            "Send the same request again later.",
        ),
        (_, "invalid_resource") => (
            ErrorKind::Rejected,
            "The service asked for is not present in the tenant of this machine.",
            "Check the cloud, and that the tenant has a licence for the service.",
        ),
        (_, "bad_request_102") => (
            ErrorKind::Rejected,
            "The header that the metadata service wants was lost on the way.",
            "Look for a proxy or a redirection of 169.254.169.254 on this machine.",
        ),
        (400, _) => (
            ErrorKind::AuthFailed,
            "This machine has no managed identity, or not the one of that client id.",
            "Assign a managed identity to the machine, or correct the identity's client id.",
        ),
        (_, "unknown_source") => (
            ErrorKind::AuthFailed,
            "The metadata service does not know this machine.",
            "Run the host on the machine itself, not in a network of its own.",
        ),
        (401 | 403, _) => (
            ErrorKind::AuthFailed,
            "The machine gives no token to this process: the identity is disabled, or IDENTITY_HEADER is not that of this application.",
            "Check that this is a machine of the cloud with an identity; on an application platform, that the host runs in the environment that IDENTITY_ENDPOINT and IDENTITY_HEADER were given to.",
        ),
        _ => (
            ErrorKind::Rejected,
            "The machine's identity endpoint did not understand the request.",
            "Report it with the log; a proxy that alters requests would do this too.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Credential, IdentityEndpoint};
    use crate::net::message::tests::answer;
    use crate::net::retry::is_passing;
    use crate::protocol::Secret;
    use std::time::Duration;
    use url::Url;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("an address")
    }

    fn asked(client_id: Option<&str>, platform: Option<IdentityEndpoint>) -> (String, String) {
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
        let request = request(Asked {
            account: &account,
            identity: &identity,
            audience: &audience,
        });
        assert!(request.nearby);
        let (name, value) = request.headers.last().expect("a header");
        (
            request.url.to_string(),
            format!("{name}: {}", value.shown()),
        )
    }

    #[test]
    fn the_metadata_service_is_asked_with_its_header() {
        let base = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanage.office.com";
        assert_eq!(
            asked(None, None),
            (base.to_owned(), "Metadata: true".to_owned())
        );
        assert_eq!(asked(Some("c"), None).0, format!("{base}&client_id=c"));
    }

    #[test]
    fn an_application_platform_counts_where_there_is_one() {
        let platform = IdentityEndpoint {
            address: url("http://127.0.0.1:1/msi/token"),
            header: Secret::new("canary-header"),
        };
        let (address, header) = asked(None, Some(platform));
        assert_eq!(
            address,
            "http://127.0.0.1:1/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanage.office.com"
        );
        assert_eq!(header, "X-IDENTITY-HEADER: ***");
    }

    #[test]
    fn every_documented_answer_has_a_kind_and_advice() {
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
                is_passing(&failure, Repeat::AfterAnswer),
                again,
                "{status} {error}"
            );
            assert!(failure.assistance().is_some());
        }
        assert!(!is_passing(
            &Failure::new(K::Network, "x"),
            Repeat::AfterAnswer
        ));
        let page = classify(&answer(404, "<html></html>", &[])).expect("a failure");
        assert_eq!(page.message(), "HTTP 404 with an HTML page.");
    }

    #[test]
    fn an_end_without_a_lifetime_is_counted_from_now() {
        let now: DateTime<Utc> = "2026-01-14T12:00:00Z".parse().expect("a time");
        let body = format!(
            r#"{{"access_token":"a","expires_on":"{}","refresh_token":""}}"#,
            now.timestamp() + 3_599
        );
        let granted = token_endpoint::granted(&answer(200, &body, &[]), Some(now));
        let granted = granted.expect("a grant");
        assert_eq!(granted.lifetime, Duration::from_secs(3_599));
        assert!(granted.refresh.is_none());
    }
}
