//! Explains why a service refused a token: the token is for another service, or from another login
//! service than the connection's.
//!
//! The claims are not verified, so they only explain a failure. They decide nothing.

use url::Url;

use crate::identity::account::{Account, Resource};
use crate::identity::claims;
use crate::net::{Audience, Token};
use crate::protocol::{ErrorKind, Failure};

/// The advice for a token that is not for the connection's service.
pub const ADVICE: &str = "Set the cloud (or the base URL) of the tenant. If there is an --endpoints file, check its login service and audiences.";

/// Adds to the failure what is wrong with the token.
pub(super) fn explain(
    account: &Account,
    wanted: &Audience,
    refused: &Token,
    failure: Failure,
) -> Failure {
    match mismatch(account, wanted, refused) {
        Some(cause) => failure.cause(cause).advice(ADVICE),
        None => unexplained(account, wanted, failure),
    }
}

/// What is wrong with a token for this service, if its claims show it.
pub fn mismatch(account: &Account, wanted: &Audience, token: &Token) -> Option<String> {
    let claims = claims::read(token.value.expose());
    let issued_for = claims
        .aud
        .filter(|named| !is_audience(account, named, wanted));
    let issuer = claims
        .iss
        .filter(|issuer| is_foreign(issuer, &account.login));
    if issued_for.is_none() && issuer.is_none() {
        return None;
    }
    let service = issued_for.as_deref().unwrap_or(&wanted.0);
    let authority = issuer
        .map(|issuer| format!(" from {issuer}"))
        .unwrap_or_default();
    Some(format!(
        "The token is for {service}{authority}; this connection's service is {} (cloud \"{}\").",
        wanted.0, account.cloud
    ))
}

/// Explains the refusal of a token that matches the connection: the connection can be wrong. A
/// reason of the service takes precedence.
fn unexplained(account: &Account, wanted: &Audience, failure: Failure) -> Failure {
    let explained = failure.vendor_code().is_some() || failure.assistance().is_some();
    if failure.kind() != ErrorKind::AuthFailed || explained {
        return failure;
    }
    failure
        .cause(format!(
            "The service refused a token for {} from {}, which the cloud \"{}\" uses.",
            wanted.0, account.login, account.cloud
        ))
        .advice("Check that the cloud (or the base URL) is that of the tenant. If there is an --endpoints file, check its login service and audiences.")
}

/// Returns whether the claim names the wanted service.
fn is_audience(account: &Account, named: &str, wanted: &Audience) -> bool {
    let named = named.trim_end_matches('/');
    let matches = |resource: &Resource| {
        resource.audience == *wanted && resource.application_id.eq_ignore_ascii_case(named)
    };
    named.eq_ignore_ascii_case(wanted.0.trim_end_matches('/'))
        || account.resources.iter().any(matches)
}

/// Returns whether the issuer is the login service of another cloud. Several clouds share the
/// issuer of version 1 tokens, so it is ignored.
fn is_foreign(issuer: &str, login: &Url) -> bool {
    let issuer = Url::parse(issuer).ok();
    let host = issuer.as_ref().and_then(Url::host_str).unwrap_or_default();
    let expected = login.host_str().unwrap_or_default();
    host.starts_with("login.") && expected.starts_with("login.") && host != expected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::credential::Credential;
    use crate::protocol::Secret;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const MANAGEMENT: &str = "https://manage.office.com";

    fn explained(claims: &str) -> String {
        let url = |text: &str| Url::parse(text).expect("an address");
        let wanted = Audience(MANAGEMENT.to_owned());
        let account = Account {
            cloud: "commercial".to_owned(),
            login: url("https://login.microsoftonline.com"),
            metadata: url("http://metadata.test"),
            tenant: "t".to_owned(),
            client_id: "c".to_owned(),
            credential: Credential::client_secret("s"),
            resources: vec![Resource {
                audience: wanted.clone(),
                application_id: "c5393580-f805-4401-95e8-94b7a6ef2fc2",
            }],
        };
        let token = Token {
            value: Secret::new(format!("a.{}.c", URL_SAFE_NO_PAD.encode(claims))),
            tenant: None,
            roles: Vec::new(),
        };
        let failure = Failure::new(ErrorKind::AuthFailed, "No.");
        let failure = explain(&account, &wanted, &token, failure);
        failure.close("", &std::collections::BTreeMap::new()).cause
    }

    #[test]
    fn matching_token_is_explained_by_the_connection() {
        let usual = explained("{}");
        assert!(
            usual.contains("a token for https://manage.office.com from"),
            "{usual}"
        );
        for claims in [
            r#"{"aud":"https://manage.office.com/","iss":"https://sts.windows.net/t/"}"#,
            r#"{"aud":"C5393580-f805-4401-95e8-94b7a6ef2fc2"}"#,
            r#"{"iss":"https://login.microsoftonline.com/t/v2.0"}"#,
        ] {
            assert_eq!(explained(claims), usual, "{claims}");
        }
    }

    #[test]
    fn other_audience_or_login_service_is_named() {
        assert_eq!(
            explained(
                r#"{"aud":"https://manage.office365.us","iss":"https://login.microsoftonline.us/t/v2.0"}"#
            ),
            "The token is for https://manage.office365.us from https://login.microsoftonline.us/t/v2.0; this connection's service is https://manage.office.com (cloud \"commercial\")."
        );
        assert!(
            explained(r#"{"aud":"00000003-0000-0000-c000-000000000000"}"#)
                .starts_with("The token is for 00000003")
        );
    }
}
