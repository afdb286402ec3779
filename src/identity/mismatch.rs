//! Why a service refused a token, where the token itself tells it: it is for another service, or
//! from another authority than the connection's.
//!
//! A token that fits explains nothing; the service's own reason stands then, or if it gives none,
//! what was asked for. What the token says is not verified, so it is reported and decides nothing.

use url::Url;

use crate::identity::{Account, claims};
use crate::net::{Audience, Token};
use crate::protocol::{ErrorKind, Failure};

/// A service as tokens name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its address.
    pub audience: Audience,
    /// The id of its application, which some tokens name instead.
    pub app_id: &'static str,
}

/// The failure, with what is wrong about the token.
pub(super) fn explain(
    account: &Account,
    wanted: &Audience,
    refused: &Token,
    failure: Failure,
) -> Failure {
    let claims = claims::read(refused.value.expose());
    let issued_for = claims.aud.filter(|named| !names(account, named, wanted));
    let issuer = claims
        .iss
        .filter(|issuer| is_foreign(issuer, &account.login));
    if issued_for.is_none() && issuer.is_none() {
        return unexplained(account, wanted, failure);
    }
    let service = issued_for.as_deref().unwrap_or(&wanted.0);
    let authority = issuer
        .map(|issuer| format!(" from {issuer}"))
        .unwrap_or_default();
    failure
        .cause(format!(
            "The token is for {service}{authority}; this connection's service is {} (cloud \"{}\").",
            wanted.0, account.cloud
        ))
        .advice("Set the cloud (or the base URL) that the tenant belongs to; of an operator's --endpoints file check login and audiences.")
}

/// A token that is what was asked for and is refused without a reason: what was asked for may be wrong.
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
        .advice("Check that the cloud (or the base URL) is the one of the tenant, and login and audiences of an operator's --endpoints file.")
}

/// Does the claim name the service that is wanted?
fn names(account: &Account, named: &str, wanted: &Audience) -> bool {
    let named = named.trim_end_matches('/');
    let is_it = |resource: &Resource| {
        resource.audience == *wanted && resource.app_id.eq_ignore_ascii_case(named)
    };
    named.eq_ignore_ascii_case(wanted.0.trim_end_matches('/'))
        || account.resources.iter().any(is_it)
}

/// Is it the login service of another cloud? Tokens of version 1 name an issuer that several clouds
/// share, which says nothing.
fn is_foreign(issuer: &str, login: &Url) -> bool {
    let issuer = Url::parse(issuer).ok();
    let host = issuer.as_ref().and_then(Url::host_str).unwrap_or_default();
    let own = login.host_str().unwrap_or_default();
    host.starts_with("login.") && own.starts_with("login.") && host != own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Credential;
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
            credential: Credential::ClientSecret(Secret::new("s")),
            resources: vec![Resource {
                audience: wanted.clone(),
                app_id: "c5393580-f805-4401-95e8-94b7a6ef2fc2",
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
    fn a_token_that_fits_tells_what_was_asked_for() {
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
    fn another_audience_or_authority_is_named() {
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
