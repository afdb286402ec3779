//! The token endpoint (version 2): its request, its response and its error codes.
//!
//! `login_codes.json` has all documented AADSTS codes with cause and advice. Does not depend on the sign-in
//! method: each method builds its own form.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::identity::account::Account;
use crate::identity::claims;
use crate::identity::store::TokenGrant;
use crate::net::message::{Text, append_path};
use crate::net::{Access, ApiRequest, ApiResponse, Auth, Body, Caller, Reason, Token};
use crate::protocol::ErrorKind::{self, AuthFailed, Forbidden, Rejected, Throttled};
use crate::protocol::{CodeMeaning, Failure, Secret};

/// Requests a token.
///
/// Errors: `auth_failed` for a refused account, `forbidden` for missing consent, `rejected` for an
/// invalid request, `throttled`, `unavailable`, `bad_response`, and those of [`Caller::send`].
pub async fn request(
    caller: &Caller,
    account: &Account,
    form: Form,
) -> Result<TokenGrant, Failure> {
    let response = post(caller, account, (address(account), form)).await?;
    granted(&response, None)
}

/// The fields of a form.
pub(super) type Form = Vec<(&'static str, Text)>;

/// Sends a form to an endpoint of the login service.
pub(super) async fn post(
    caller: &Caller,
    account: &Account,
    (url, form): (Url, Form),
) -> Result<ApiResponse, Failure> {
    let request = ApiRequest::post("login", url)
        .json()
        .repeatable()
        .body(Body::Form(form));
    let access = Access {
        auth: Auth::None,
        classify,
    };
    let sent = caller.send(request, access).await;
    sent.map_err(|failure| with_cloud(failure, account))
}

/// The address of the token endpoint for the account's tenant.
pub fn address(account: &Account) -> Url {
    let tenant = account.tenant.as_str();
    append_path(&account.login, [tenant, "oauth2", "v2.0", "token"])
}

/// Adds the cloud to the advice if a tenant, application or service is unknown: it can exist in
/// another cloud.
fn with_cloud(failure: Failure, account: &Account) -> Failure {
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

/// A successful response. Version 1 of the endpoint writes numbers as strings.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    expires_on: Option<u64>,
    #[serde(default)]
    refresh_token: Option<String>,
}

impl TokenResponse {
    /// The token's lifetime, or zero if the response has none: the token is then used once. `now`
    /// is needed for an endpoint whose response can have an end without a lifetime.
    fn lifetime(&self, now: Option<DateTime<Utc>>) -> Duration {
        let until_end = || {
            let now = u64::try_from(now?.timestamp()).ok()?;
            self.expires_on?.checked_sub(now)
        };
        let seconds = self.expires_in.or_else(until_end);
        Duration::from_secs(seconds.unwrap_or(0))
    }
}

pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
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
            .map_err(|_| serde::de::Error::custom("expected a number of seconds")),
    }
}

/// Reads the token from a response.
pub(super) fn granted(
    response: &ApiResponse,
    now: Option<DateTime<Utc>>,
) -> Result<TokenGrant, Failure> {
    let body: TokenResponse = response.object().ok_or_else(|| {
        let content = response.content();
        response.bad(&format!(
            "HTTP {} with {content}; expected JSON with access_token.",
            response.status
        ))
    })?;
    let claims = claims::read(&body.access_token);
    let lifetime = body.lifetime(now);
    let refresh = body.refresh_token.filter(|token| !token.is_empty());
    Ok(TokenGrant {
        token: Token {
            value: Secret::new(body.access_token),
            roles: claims.permissions(),
            tenant: claims.tid,
        },
        lifetime,
        refresh: refresh.map(Secret::new),
    })
}

/// The errors of a sign-in with a device code (RFC 8628), which are also the broken rules of their
/// failures.
pub(super) const PENDING: &str = "authorization_pending";
pub(super) const SLOW_DOWN: &str = "slow_down";
pub(super) const DECLINED: &str = "authorization_declined";
pub(super) const EXPIRED: &str = "expired_token";
pub(super) const UNKNOWN_CODE: &str = "bad_verification_code";

fn rule(error: &str) -> Option<&'static str> {
    let rules = [PENDING, SLOW_DOWN, DECLINED, EXPIRED, UNKNOWN_CODE];
    match error {
        // The name in RFC 8628.
        "access_denied" => Some(DECLINED),
        _ => rules.into_iter().find(|rule| *rule == error),
    }
}

/// An error response.
#[derive(Deserialize)]
struct ErrorResponse {
    error: ErrorName,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

/// The name of the error, or an object as in other Microsoft services.
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorName {
    Name(String),
    Object { code: String, message: String },
}

impl ErrorResponse {
    fn name(&self) -> &str {
        match &self.error {
            ErrorName::Name(name) | ErrorName::Object { code: name, .. } => name,
        }
    }

    fn description(&self) -> &str {
        match &self.error {
            ErrorName::Object { message, .. } if self.error_description.is_empty() => message,
            _ => &self.error_description,
        }
    }
}

/// Reads an error response of the token endpoint.
fn classify(response: &ApiResponse) -> Option<Failure> {
    if response.is_success() {
        return None;
    }
    let error: ErrorResponse = response.object()?;
    let (number, message) = number_and_message(&error);
    let name = error.name();
    let code = number.map_or(name.to_owned(), |number| format!("AADSTS{number}"));
    let documented = number.and_then(documented);
    let (kind, documented) = match (response.status, documented) {
        (429, _) => (Throttled, None),
        (500.., _) => (ErrorKind::Unavailable, None),
        (_, Some(row)) => (row.kind, Some(row)),
        (_, None) => (kind_of(name), None),
    };
    let no_message = format!("HTTP {} without a message.", response.status);
    let shown = [message, &code, &no_message]
        .into_iter()
        .find(|text| !text.is_empty());
    let failure = response.refusal(kind, Some(&code), shown.unwrap_or_default());
    let failure = match number {
        Some(_) => failure.with_documented_code(),
        None => failure,
    };
    let failure = match rule(name) {
        Some(rule) => failure.rule(rule),
        None => failure,
    };
    Some(match documented {
        Some(row) => failure.cause(row.cause).advice(row.advice),
        None if message.is_empty() => Reason::Missing.explain(failure),
        None => failure,
    })
}

/// The AADSTS number and the message, without the number before it and the ids after it.
fn number_and_message(error: &ErrorResponse) -> (Option<u64>, &str) {
    let description = error.description();
    let end = ["\r\n", "\n", " Trace ID:"]
        .into_iter()
        .filter_map(|mark| description.find(mark))
        .min();
    let message = description[..end.unwrap_or(description.len())].trim();
    let prefixed = message
        .strip_prefix("AADSTS")
        .and_then(|rest| rest.split_once(':'))
        .and_then(|(number, rest)| Some((number.parse().ok()?, rest.trim())));
    match prefixed {
        Some((number, rest)) => (Some(number), rest),
        None => (error.error_codes.first().copied(), message),
    }
}

/// Documented codes with one meaning.
#[derive(Deserialize)]
struct Row {
    numbers: Vec<u64>,
    kind: ErrorKind,
    cause: String,
    advice: String,
}

/// All documented codes. Codes of interactive sign-ins are included, because the endpoint can
/// return them for every grant.
const CODES: &str = include_str!("login_codes.json");

/// All documented codes of a refused sign-in.
pub fn documented_codes() -> Vec<CodeMeaning> {
    let rows: Vec<Row> = serde_json::from_str(CODES).unwrap_or_default();
    let meaning = |row: Row| CodeMeaning {
        codes: row.numbers.iter().map(|n| format!("AADSTS{n}")).collect(),
        kind: row.kind,
        cause: row.cause,
        advice: row.advice,
    };
    rows.into_iter().map(meaning).collect()
}

/// Finds a code in the table, which is parsed only for an error. A test checks that it is valid.
fn documented(number: u64) -> Option<Row> {
    let rows: Vec<Row> = serde_json::from_str(CODES).unwrap_or_default();
    rows.into_iter().find(|row| row.numbers.contains(&number))
}

/// The kind of an error without a known number, by its OAuth error name.
fn kind_of(error: &str) -> ErrorKind {
    match error {
        "invalid_client"
        | "unauthorized_client"
        | "invalid_grant"
        | DECLINED
        | EXPIRED
        | UNKNOWN_CODE => AuthFailed,
        "consent_required" | "interaction_required" | "access_denied" => Forbidden,
        "temporarily_unavailable" | "server_error" => ErrorKind::Unavailable,
        _ => Rejected,
    }
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
    fn documented_code_has_kind_cause_and_advice() {
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
    fn message_has_no_number_and_no_ids() {
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
    fn unknown_number_is_classified_by_error_name_and_status() {
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
    fn lifetime_is_a_number_or_a_string() {
        for body in [
            r#"{"token_type":"Bearer","expires_in":3599,"access_token":"a.e30.c"}"#,
            r#"{"token_type":"Bearer","expires_in":"3599","not_before":"1","access_token":"a.e30.c"}"#,
        ] {
            let granted = granted(&answer(200, body, &[]), None).expect("a token");
            assert_eq!(granted.lifetime, Duration::from_secs(3599));
        }
        for body in [
            "{}",
            "<html></html>",
            r#"{"access_token":"a","expires_in":"soon"}"#,
        ] {
            let failure = granted(&answer(200, body, &[]), None).expect_err("not a token");
            assert_eq!(failure.kind(), ErrorKind::BadResponse);
            assert!(!failure.message().contains("soon"));
        }
    }
}
