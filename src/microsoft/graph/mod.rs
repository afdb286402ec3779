//! Microsoft Graph: one kind of call, one kind of error body.
//!
//! What is asked of it lives in [`alerts`]. The status decides the kind of a failure, with the
//! innermost known code where that says more; words are the service's own.

pub mod alert_filter;
pub mod alerts;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::microsoft::Cloud;
use crate::net::{ApiRequest, ApiResponse, Auth, Caller, Reason, TokenProvider};
use crate::protocol::{ErrorKind, Failure};

/// Graph, as one run asks it.
#[derive(Clone, Copy)]
pub struct Graph<'a> {
    caller: &'a Caller,
    tokens: &'a dyn TokenProvider,
    cloud: &'a Cloud,
}

impl<'a> Graph<'a> {
    /// Graph of that cloud.
    pub fn new(caller: &'a Caller, tokens: &'a dyn TokenProvider, cloud: &'a Cloud) -> Self {
        Graph {
            caller,
            tokens,
            cloud,
        }
    }

    /// Asks for an address of Graph. Enumeration members younger than the first set come by their
    /// names, not as `unknownFutureValue`.
    pub async fn get(&self, url: Url) -> Result<ApiResponse, Failure> {
        let request = ApiRequest::get("graph", url)
            .json()
            .header("Prefer", "include-unknown-enum-members");
        let auth = Auth::Bearer(self.tokens, &self.cloud.audiences.graph);
        self.caller.send(request, auth, classify).await
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Error,
}

/// An error and what is inside it; `innererror` is written in two ways.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Error {
    code: Option<String>,
    message: Option<String>,
    #[serde(alias = "innererror", alias = "innerError")]
    inner: Option<Value>,
}

impl Error {
    /// This error and those inside it, from the outermost on.
    fn layers(self) -> Vec<Error> {
        let mut layers = vec![self];
        while let Some(inner) = layers
            .last_mut()
            .and_then(|last| last.inner.take())
            .filter(Value::is_object)
            .and_then(|value| serde_json::from_value(value).ok())
        {
            layers.push(inner);
        }
        layers
    }
}

/// What Graph's own error body means.
fn classify(response: &ApiResponse) -> Option<Failure> {
    if response.is_success() {
        return None;
    }
    let Some(body) = response.object::<ErrorBody>() else {
        return without_body(response);
    };
    let layers = body.error.layers();
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let codes: Vec<String> = layers
        .iter()
        .filter_map(|layer| filled(&layer.code))
        .collect();
    let code = codes.first().map(String::as_str);
    let words = layers.iter().find_map(|layer| filled(&layer.message));
    let reason = words.is_some();
    let words = words.unwrap_or_else(|| {
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        format!("HTTP {}{code} without a message.", response.status)
    });
    let kind = codes
        .iter()
        .rev()
        .find_map(|code| by_code(code))
        .unwrap_or_else(|| by_status(response.status));
    let failure = response.refusal(kind, code, words.trim());
    Some(explained(response, failure, reason))
}

/// A refusal of the token without any body.
fn without_body(response: &ApiResponse) -> Option<Failure> {
    let empty = response.reason() == Reason::Missing;
    let kind = by_status(response.status);
    let words = format!("HTTP {} with an empty body.", response.status);
    let failure = || explained(response, response.refusal(kind, None, &words), false);
    (empty && matches!(response.status, 401 | 403)).then(failure)
}

/// Codes that say more than the status they come with.
fn by_code(code: &str) -> Option<ErrorKind> {
    match code {
        "TooManyRequests" | "activityLimitReached" | "quotaLimitReached" => {
            Some(ErrorKind::Throttled)
        }
        "serviceNotAvailable" | "generalException" | "InternalServerError" => {
            Some(ErrorKind::Unavailable)
        }
        "InvalidAuthenticationToken" | "unauthenticated" => Some(ErrorKind::AuthFailed),
        "Forbidden" | "Authorization_RequestDenied" | "accessDenied" => Some(ErrorKind::Forbidden),
        _ => None,
    }
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::AuthFailed,
        403 => ErrorKind::Forbidden,
        429 | 509 => ErrorKind::Throttled,
        408 | 500.. => ErrorKind::Unavailable,
        _ => ErrorKind::Rejected,
    }
}

/// Adds why and what to do, where the kind alone says enough. `reason`: the service gave one, which
/// is the message.
fn explained(response: &ApiResponse, failure: Failure, reason: bool) -> Failure {
    match failure.kind() {
        ErrorKind::AuthFailed => failure
            .cause("Graph did not accept the token: expired, or issued for another service.")
            .advice("Check that login and Graph belong to one cloud, and this machine's clock; then try again."),
        ErrorKind::Forbidden => {
            let role = required_role(failure.message()).map(str::to_owned);
            // A message about something else, such as a policy or a licence, is not about roles.
            if reason && role.is_none() && !is_about_permissions(failure.message()) {
                return Reason::Message.explain(failure);
            }
            let alerts = response.call.url.contains("/security/alerts_v2");
            let role = role.or_else(|| alerts.then(|| LEAST_ROLE.to_owned()));
            let role = role.as_deref().unwrap_or("the permission for this call");
            let cause = if reason {
                "The token was accepted but carries no role that allows this."
            } else {
                "Graph refused the request without a reason. The usual reason is a missing role."
            };
            failure
                .cause(cause)
                .advice(format!(
                    "Grant {role} (application) to the app registration and give admin consent."
                ))
        }
        ErrorKind::Rejected if reason => failure
            .cause("Graph does not support this query.")
            .advice("Correct what the message names; of a filter Graph supports only some properties and operators."),
        ErrorKind::Rejected => Reason::Missing.explain(failure),
        _ => failure,
    }
}

/// The least role for reading alerts.
const LEAST_ROLE: &str = "SecurityAlert.Read.All";

/// Does a refusal say that a role, a scope or a privilege is missing, or nothing in particular?
fn is_about_permissions(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    let named = ["role", "scope", "scp", "permission", "privilege"];
    let bare = [
        "forbidden",
        "access denied",
        "access is denied",
        "unauthorized",
    ];
    named.iter().any(|name| words.contains(name)) || bare.contains(&words.trim_end_matches('.'))
}

/// The least of the roles that a refusal lists: the first.
fn required_role(words: &str) -> Option<&str> {
    let (_, list) = words.split_once("API required roles: ")?;
    let role = list.split([',', ' ']).next()?.trim_end_matches('.');
    (!role.is_empty()).then_some(role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;
    use ErrorKind::{AuthFailed, Forbidden, Rejected, Throttled, Unavailable};

    fn failure(status: u16, body: &str) -> Failure {
        classify(&answer(status, body, &[])).expect("a failure")
    }

    #[test]
    fn status_and_innermost_known_code_decide_the_kind() {
        for (status, code, kind) in [
            (400, "BadRequest", Rejected),
            (400, "invalidRequest", Rejected),
            (401, "InvalidAuthenticationToken", AuthFailed),
            (401, "unauthenticated", AuthFailed),
            (402, "x", Rejected),
            (403, "Forbidden", Forbidden),
            (403, "Authorization_RequestDenied", Forbidden),
            (403, "accessDenied", Forbidden),
            (404, "ResourceNotFound", Rejected),
            (404, "itemNotFound", Rejected),
            (408, "x", Unavailable),
            (429, "TooManyRequests", Throttled),
            (403, "activityLimitReached", Throttled),
            (507, "quotaLimitReached", Throttled),
            (509, "x", Throttled),
            (500, "InternalServerError", Unavailable),
            (500, "generalException", Unavailable),
            (503, "serviceNotAvailable", Unavailable),
            (504, "UnknownError", Unavailable),
        ] {
            let body = format!(r#"{{"error":{{"code":"{code}","message":"Words."}}}}"#);
            let failure = failure(status, &body);
            assert_eq!(failure.kind(), kind, "{status} {code}");
            assert_eq!(failure.vendor_code(), Some(code));
            assert_eq!(failure.message(), "Words.");
        }
    }

    #[test]
    fn errors_nest_in_two_spellings() {
        for name in ["innerError", "innererror"] {
            let body = format!(
                r#"{{"error":{{"code":"UnknownError","message":"","{name}":
                    {{"date":"2026-01-14T08:26:35","code":"activityLimitReached","message":"Slow down.",
                      "innerError":{{"request-id":"r"}}}}}}}}"#
            );
            let failure = failure(400, &body);
            assert_eq!(failure.kind(), Throttled);
            assert_eq!(failure.vendor_code(), Some("UnknownError"));
            assert_eq!(failure.message(), "Slow down.");
        }
    }

    #[test]
    fn an_empty_message_is_said_to_be_one() {
        let failure = failure(404, r#"{"error":{"code":"UnknownError","message":""}}"#);
        assert_eq!(
            failure.message(),
            "HTTP 404 (UnknownError) without a message."
        );
        for body in ["", "<html></html>", "{}", "[]"] {
            assert!(classify(&answer(502, body, &[])).is_none(), "{body}");
        }
        assert!(classify(&answer(200, r#"{"error":{}}"#, &[])).is_none());
    }

    #[test]
    fn a_missing_role_is_named_in_the_advice() {
        for tail in [",SecurityIncident.Read.All, application roles: .", "", "."] {
            let words = format!(
                "Missing application roles. API required roles: SecurityAlert.Read.All{tail}"
            );
            let body = serde_json::json!({"error": {"code": "Forbidden", "message": words}});
            let failure = failure(403, &body.to_string());
            assert_eq!(
                failure.assistance(),
                Some(
                    "Grant SecurityAlert.Read.All (application) to the app registration and give admin consent."
                )
            );
        }
    }
}
