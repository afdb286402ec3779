//! The token endpoint (v2): the form post, and what its answers mean.
//!
//! Every AADSTS code that is documented stands in one table, with why and what to do. It does
//! not know which credential the form came from.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::identity::cache::Granted;
use crate::identity::{Account, claims};
use crate::net::message::{Text, below};
use crate::net::{ApiRequest, ApiResponse, Auth, Body, Caller, Reason, Token};
use crate::protocol::ErrorKind::{self, AuthFailed, Forbidden, Rejected, Throttled};
use crate::protocol::{Failure, Secret};

/// Asks for a token.
///
/// Errors: `auth_failed` for a refused account, `forbidden` for missing consent, `rejected` for a
/// request the endpoint does not understand, `throttled`, `unavailable`, `bad_response`, and those
/// of the call itself.
pub async fn ask(
    caller: &Caller,
    account: &Account,
    form: Vec<(&'static str, Text)>,
) -> Result<Granted, Failure> {
    let request = ApiRequest::post("login", address(account))
        .json()
        .repeatable()
        .body(Body::Form(form));
    let answered = caller.send(request, Auth::Open, classify).await;
    let response = answered.map_err(|failure| of_cloud(failure, account))?;
    granted(&response, None)
}

/// The token endpoint of that account's tenant.
pub fn address(account: &Account) -> Url {
    let tenant = account.tenant.as_str();
    below(&account.login, [tenant, "oauth2", "v2.0", "token"])
}

/// What is unknown may be known in another cloud, so the advice says which one was asked.
fn of_cloud(failure: Failure, account: &Account) -> Failure {
    let unknown = ["AADSTS500011", "AADSTS50001", "AADSTS90002", "AADSTS700016"];
    let code = failure.vendor_code().unwrap_or_default();
    if !unknown.contains(&code) {
        return failure;
    }
    let advice = failure.assistance().unwrap_or_default();
    let advice = format!(
        "{advice} The cloud of the request is \"{}\".",
        account.cloud
    );
    failure.advice(advice)
}

/// A grant on the wire; version 1 of the endpoint writes numbers as strings.
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    expires_on: Option<u64>,
    #[serde(default)]
    refresh_token: Option<String>,
}

impl Grant {
    /// Without a lifetime it is good for this one call. `now` is the time of day for an endpoint
    /// that may tell the end alone.
    fn lifetime(&self, now: Option<DateTime<Utc>>) -> Duration {
        let until_end = || {
            let now = u64::try_from(now?.timestamp()).ok()?;
            self.expires_on?.checked_sub(now)
        };
        let seconds = self.expires_in.or_else(until_end);
        Duration::from_secs(seconds.unwrap_or(0))
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u64),
        Text(String),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Number::Number(seconds)) => Ok(Some(seconds)),
        Some(Number::Text(text)) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| serde::de::Error::custom("a time is neither a number nor text of one")),
    }
}

/// The token in an answer.
pub(super) fn granted(
    response: &ApiResponse,
    now: Option<DateTime<Utc>>,
) -> Result<Granted, Failure> {
    let grant: Grant = response.object().ok_or_else(|| {
        let content = response.content();
        response.bad(&format!(
            "HTTP {} with {content}; expected JSON with access_token.",
            response.status
        ))
    })?;
    let claims = claims::read(&grant.access_token);
    let lifetime = grant.lifetime(now);
    let refresh = grant.refresh_token.filter(|token| !token.is_empty());
    Ok(Granted {
        token: Token {
            value: Secret::new(grant.access_token),
            roles: claims.permissions(),
            tenant: claims.tid,
        },
        lifetime,
        refresh: refresh.map(Secret::new),
    })
}

#[derive(Deserialize)]
struct Refusal {
    error: Named,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

/// The error: its name, or an object as other services of Microsoft's write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Name(String),
    Object { code: String, message: String },
}

impl Refusal {
    fn name(&self) -> &str {
        match &self.error {
            Named::Name(name) | Named::Object { code: name, .. } => name,
        }
    }

    fn description(&self) -> &str {
        match &self.error {
            Named::Object { message, .. } if self.error_description.is_empty() => message,
            _ => &self.error_description,
        }
    }
}

/// What the endpoint's own error body means.
fn classify(response: &ApiResponse) -> Option<Failure> {
    if response.is_success() {
        return None;
    }
    let refusal: Refusal = response.object()?;
    let (number, words) = said(&refusal);
    let name = refusal.name();
    let code = number.map_or(name.to_owned(), |number| format!("AADSTS{number}"));
    let meaning = match response.status {
        429 => plain(Throttled),
        500.. => plain(ErrorKind::Unavailable),
        _ => number.and_then(meaning).unwrap_or_else(|| by_error(name)),
    };
    let nothing = format!("HTTP {} without a message.", response.status);
    let said = [words, &code, &nothing]
        .into_iter()
        .find(|text| !text.is_empty());
    let failure = response.refusal(meaning.kind, Some(&code), said.unwrap_or_default());
    let failure = match number {
        Some(_) => failure.with_documented_code(),
        None => failure,
    };
    Some(match meaning.why {
        Some((cause, advice)) => failure.cause(cause).advice(advice),
        None if words.is_empty() => Reason::Missing.explain(failure),
        None => failure,
    })
}

/// The number and the service's words, without the number before them and the ids behind them.
fn said(refusal: &Refusal) -> (Option<u64>, &str) {
    let description = refusal.description();
    let end = ["\r\n", "\n", " Trace ID:"]
        .into_iter()
        .filter_map(|mark| description.find(mark))
        .min();
    let words = description[..end.unwrap_or(description.len())].trim();
    let prefixed = words
        .strip_prefix("AADSTS")
        .and_then(|rest| rest.split_once(':'))
        .and_then(|(number, rest)| Some((number.parse().ok()?, rest.trim())));
    match prefixed {
        Some((number, rest)) => (Some(number), rest),
        None => (refusal.error_codes.first().copied(), words),
    }
}

/// What a code means.
#[derive(Clone, Copy)]
struct Meaning {
    kind: ErrorKind,
    /// Why, and what to do.
    why: Option<(&'static str, &'static str)>,
}

fn plain(kind: ErrorKind) -> Meaning {
    Meaning { kind, why: None }
}

/// Codes, their kind, why, and what to do.
type Row = (&'static [u64], ErrorKind, &'static str, &'static str);

/// Every documented code. Those of sign-ins with a person are here too: the endpoint may answer
/// them to any grant.
const CODES: &[Row] = &[
    (
        &[7_000_215],
        AuthFailed,
        "The client secret is wrong. A frequent reason is the secret's ID instead of its value.",
        "Give the value of a current client secret of this app registration.",
    ),
    (
        &[7_000_222],
        AuthFailed,
        "The client secret has expired.",
        "Create a new client secret for the app registration and give its value.",
    ),
    (
        &[7_000_218],
        AuthFailed,
        "The app is confidential and no credential reached the login service.",
        "Give a client secret or a certificate of this app registration.",
    ),
    (
        &[7_000_112],
        AuthFailed,
        "The application is disabled in this tenant.",
        "Enable sign-in under Enterprise applications, Properties.",
    ),
    (
        &[7_000_229],
        AuthFailed,
        "The application has no service principal in this tenant.",
        "Give admin consent once in this tenant; that creates it.",
    ),
    (
        &[700_016],
        AuthFailed,
        "Client id and tenant do not belong together, or the app was never installed there.",
        "Check client id, tenant and cloud, and give admin consent in that tenant.",
    ),
    (
        &[700_025],
        AuthFailed,
        "The app registration is a public client, which may not use a secret.",
        "Use a registration with a web platform or none, and public client flows off.",
    ),
    (
        &[700_027, 50_012, 50_013, 5_002_738],
        AuthFailed,
        "The signed assertion was refused: the certificate is not the app's, or is not RSA.",
        "Upload the certificate to the app registration, and sign with its RSA key.",
    ),
    (
        &[90_002],
        AuthFailed,
        "There is no such tenant in this cloud, or it has no active subscription.",
        "Check the tenant id and the cloud.",
    ),
    (
        &[900_023],
        AuthFailed,
        "The tenant is neither a GUID nor a domain of a tenant.",
        "Give the directory (tenant) id from the app registration's overview.",
    ),
    (
        &[50_194],
        AuthFailed,
        "The app registration is for one tenant only.",
        "Give that tenant's own id.",
    ),
    (
        &[50_034, 50_126],
        AuthFailed,
        "The user or the password is wrong.",
        "Check the account and the tenant.",
    ),
    (
        &[
            54_005, 70_000, 70_008, 700_082, 700_084, 50_173, 70_018, 70_019, 70_020,
        ],
        AuthFailed,
        "The authorization code or refresh token was already used, has expired, or is for another application.",
        "Sign in again.",
    ),
    (
        &[501_481],
        AuthFailed,
        "The login URL that the code came by was made with another secret, certificate, client, tenant or redirect URI.",
        "Generate a login URL with this connection, sign in with it, and give the new code.",
    ),
    (
        &[50_011],
        AuthFailed,
        "The redirect URI is not the one that the code was got with, or is not registered.",
        "Give the redirect URI exactly as it is registered for the application, and sign in again.",
    ),
    (
        &[65_001],
        Forbidden,
        "Nobody has consented to the application's permissions.",
        "Give admin consent for the app's permissions in this tenant.",
    ),
    (
        &[50_076, 50_079],
        Forbidden,
        "The tenant asks for a second factor, which this sign-in cannot give.",
        "Sign in interactively once, or use an application credential.",
    ),
    (
        &[53_003],
        Forbidden,
        "A Conditional Access policy blocks this sign-in.",
        "Exempt the application, or let it run from an allowed network.",
    ),
    (
        &[500_011, 50_001],
        Forbidden,
        "The service asked for is not present in this tenant.",
        "Check the cloud, and that the tenant has a licence for the service.",
    ),
    (
        &[650_051, 650_052, 650_057, 700_005],
        Forbidden,
        "The tenant is not set up for this application or service.",
        "Check the app's API permissions and the tenant's licences, and give admin consent.",
    ),
    (
        &[70_011, 1_002_012],
        Rejected,
        "The audience asked for does not exist in this cloud.",
        "Check the cloud, and the audiences of an operator's --endpoints file.",
    ),
    (
        &[
            900_144, 900_561, 901_002, 90_014, 9_001_023, 9_002_313, 70_003,
        ],
        Rejected,
        "The login service did not understand the request.",
        "Report it with the log; a proxy that alters requests would do this too.",
    ),
    (
        &[50_196],
        Throttled,
        "The same sign-in was requested too often in a short time.",
        "Wait some minutes; run fewer processes at once with this account.",
    ),
];

fn meaning(number: u64) -> Option<Meaning> {
    let row = CODES.iter().find(|row| row.0.contains(&number))?;
    Some(Meaning {
        kind: row.1,
        why: Some((row.2, row.3)),
    })
}

/// What Microsoft tells clients to branch on where the number is not known.
fn by_error(error: &str) -> Meaning {
    plain(match error {
        "invalid_client" | "unauthorized_client" | "invalid_grant" => AuthFailed,
        "consent_required" | "interaction_required" | "access_denied" => Forbidden,
        "temporarily_unavailable" | "server_error" => ErrorKind::Unavailable,
        _ => Rejected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;
    use crate::protocol::failure::Codes;
    use ErrorKind::Unavailable;

    fn refused(status: u16, error: &str, description: &str) -> Failure {
        let body = serde_json::json!({"error": error, "error_description": description});
        classify(&answer(status, &body.to_string(), &[])).expect("a failure")
    }

    #[test]
    fn every_documented_code_has_a_kind_a_cause_and_advice() {
        for (numbers, kind) in [
            (
                &[
                    7_000_215, 7_000_222, 7_000_218, 7_000_112, 7_000_229, 700_016, 700_025,
                    700_027, 50_012, 50_013, 5_002_738, 90_002, 900_023, 50_194, 50_034, 50_126,
                    54_005, 70_000, 70_008, 700_082, 700_084, 50_173, 70_018, 70_019, 70_020,
                    501_481, 50_011,
                ][..],
                AuthFailed,
            ),
            (
                &[
                    65_001, 50_076, 50_079, 53_003, 500_011, 50_001, 650_051, 650_052, 650_057,
                    700_005,
                ],
                Forbidden,
            ),
            (
                &[
                    70_011, 1_002_012, 900_144, 900_561, 901_002, 90_014, 9_001_023, 9_002_313,
                    70_003,
                ],
                Rejected,
            ),
            (&[50_196], Throttled),
        ] {
            for number in numbers {
                let failure = refused(400, "x", &format!("AADSTS{number}: Words."));
                let code = format!("AADSTS{number}");
                assert_eq!(failure.kind(), kind, "{code}");
                assert_eq!(failure.vendor_code(), Some(code.as_str()));
                assert!(failure.assistance().is_some(), "{code}");
                assert_eq!(failure.close("", &Codes::new()).status_code, code);
            }
        }
    }

    #[test]
    fn the_words_lose_the_number_and_the_ids() {
        let app = "Application with identifier 'a' was not found in the directory 't'.";
        for tail in [
            " Trace ID: 9c6d Correlation ID: 5b1e Timestamp: 2026-01-14 09:12:03Z",
            "\r\nTrace ID: 9c6d\r\nCorrelation ID: 5b1e",
            "",
        ] {
            let failure = refused(
                400,
                "unauthorized_client",
                &format!("AADSTS700016: {app}{tail}"),
            );
            assert_eq!(failure.message(), app);
        }
        assert_eq!(refused(400, "invalid_grant", "").message(), "invalid_grant");
    }

    #[test]
    fn without_a_known_number_the_error_and_the_status_decide() {
        assert_eq!(
            refused(401, "invalid_client", "AADSTS1: x").kind(),
            AuthFailed
        );
        assert_eq!(refused(400, "consent_required", "x").kind(), Forbidden);
        assert_eq!(refused(400, "invalid_scope", "x").kind(), Rejected);
        assert_eq!(
            refused(400, "temporarily_unavailable", "x").kind(),
            Unavailable
        );
        assert_eq!(refused(429, "invalid_client", "x").kind(), Throttled);
        assert_eq!(
            refused(503, "invalid_client", "AADSTS7000215: x").kind(),
            Unavailable
        );
        assert!(classify(&answer(502, "<html></html>", &[])).is_none());
        assert!(classify(&answer(200, "{}", &[])).is_none());
    }

    #[test]
    fn lifetimes_come_as_numbers_or_as_strings() {
        for body in [
            r#"{"token_type":"Bearer","expires_in":3599,"access_token":"a.e30.c"}"#,
            r#"{"token_type":"Bearer","expires_in":"3599","not_before":"1","access_token":"a.e30.c"}"#,
        ] {
            let granted = granted(&answer(200, body, &[]), None).expect("a grant");
            assert_eq!(granted.lifetime, Duration::from_secs(3599));
        }
        for body in [
            "{}",
            "<html></html>",
            r#"{"access_token":"a","expires_in":"soon"}"#,
        ] {
            let failure = granted(&answer(200, body, &[]), None).expect_err("not a grant");
            assert_eq!(failure.kind(), ErrorKind::BadResponse);
            assert!(!failure.message().contains("soon"));
        }
    }
}
