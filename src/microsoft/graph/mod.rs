//! Microsoft Graph: its requests and its error responses.
//!
//! [`alerts`] and [`audit_query`] have the queries. The innermost known code decides the kind of a failure, and the
//! status if there is none. The message is the service's own.

pub mod alert_filter;
pub mod alerts;
pub mod audit_query;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::microsoft::Cloud;
use crate::net::message::Method;
use crate::net::retry::Repeat;
use crate::net::{Access, ApiRequest, ApiResponse, Auth, Body, Caller, Reason, TokenProvider};
use crate::protocol::{ErrorKind, Failure};

/// The client of Graph for one run.
#[derive(Clone, Copy)]
pub struct Graph<'a> {
    caller: &'a Caller,
    tokens: &'a dyn TokenProvider,
    cloud: &'a Cloud,
}

impl<'a> Graph<'a> {
    /// Graph in this cloud.
    pub fn new(caller: &'a Caller, tokens: &'a dyn TokenProvider, cloud: &'a Cloud) -> Self {
        Graph {
            caller,
            tokens,
            cloud,
        }
    }

    /// Requests an address. Later members of an enumeration are returned by name, not as
    /// `unknownFutureValue`.
    pub async fn get(&self, url: Url) -> Result<ApiResponse, Failure> {
        let request = ApiRequest::get("graph", url)
            .json()
            .header("Prefer", "include-unknown-enum-members");
        self.send(request).await
    }

    /// Sends a body that creates something. A second creation does no harm.
    pub async fn post(&self, url: Url, body: Body) -> Result<ApiResponse, Failure> {
        let request = ApiRequest::post("graph", url).json().repeatable();
        self.send(request.body(body)).await
    }

    /// Deletes something, with one attempt.
    pub async fn delete(&self, url: Url) -> Result<ApiResponse, Failure> {
        let request = ApiRequest {
            method: Method::Delete,
            repeat: Repeat::Never,
            ..ApiRequest::get("graph", url)
        };
        self.send(request).await
    }

    /// The address of Graph.
    pub fn address(&self) -> &Url {
        &self.cloud.graph
    }

    async fn send(&self, request: ApiRequest) -> Result<ApiResponse, Failure> {
        let access = Access {
            auth: Auth::Bearer(self.tokens, &self.cloud.audiences.graph),
            classify,
        };
        self.caller.send(request, access).await
    }
}

/// The path of audit log queries.
const AUDIT_LOG: &str = "/security/auditLog/";

#[derive(Deserialize)]
struct ErrorBody {
    error: Error,
}

/// An error with its inner error, which has two spellings.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Error {
    code: Option<String>,
    message: Option<String>,
    #[serde(alias = "innererror", alias = "innerError")]
    inner: Option<Value>,
}

impl Error {
    /// This error and its inner errors, outermost first.
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

/// Reads an error response of Graph.
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
    let message = layers.iter().find_map(|layer| filled(&layer.message));
    let reason = message.is_some();
    let message = message.unwrap_or_else(|| {
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        format!("HTTP {}{code} without a message.", response.status)
    });
    let kind = codes
        .iter()
        .rev()
        .find_map(|code| by_code(code))
        .unwrap_or_else(|| match code {
            // A passing fault of the audit log behind Graph, at any status.
            Some("UnknownError") if !reason && response.call.url.contains(AUDIT_LOG) => {
                ErrorKind::Unavailable
            }
            _ => by_status(response.status),
        });
    let failure = response.refusal(kind, code, message.trim());
    Some(explained(response, failure, reason))
}

/// Reads a refusal of the token with an empty body.
fn without_body(response: &ApiResponse) -> Option<Failure> {
    let empty = response.reason() == Reason::Missing;
    let kind = by_status(response.status);
    let message = format!("HTTP {} with an empty body.", response.status);
    let failure = || explained(response, response.refusal(kind, None, &message), false);
    (empty && matches!(response.status, 401 | 403)).then(failure)
}

/// The kind of a code that is more specific than its status.
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

/// Adds cause and advice by the kind. `reason` is true if the message is the service's own.
fn explained(response: &ApiResponse, failure: Failure, reason: bool) -> Failure {
    match failure.kind() {
        ErrorKind::AuthFailed => failure
            .cause("Graph refused the token: it has expired, or is for another service.")
            .advice("Check that the login service and Graph belong to one cloud. Check this machine's clock."),
        ErrorKind::Forbidden => {
            let role = required_role(failure.message()).map(str::to_owned);
            // The message is about something else, such as a policy or a licence.
            if reason && role.is_none() && !is_about_permissions(failure.message()) {
                return Reason::Message.explain(failure);
            }
            let alerts = response.call.url.contains("/security/alerts_v2");
            let role = role.or_else(|| alerts.then(|| LEAST_ROLE.to_owned()));
            let role = role.as_deref().unwrap_or("the permission for this call");
            let cause = if reason {
                "The token has no role that allows this."
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
            .advice("Correct the query as the message says. Graph filters support only some properties and operators."),
        ErrorKind::Rejected => Reason::Missing.explain(failure),
        _ => failure,
    }
}

/// The least privileged role for reading alerts.
const LEAST_ROLE: &str = "SecurityAlert.Read.All";

/// Returns whether a message reports a missing role, scope or privilege, or only a refusal.
fn is_about_permissions(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let named = ["role", "scope", "scp", "permission", "privilege"];
    let bare = [
        "forbidden",
        "access denied",
        "access is denied",
        "unauthorized",
    ];
    named.iter().any(|name| message.contains(name)) || bare.contains(&message.trim_end_matches('.'))
}

/// The least privileged role that a message lists: the first one.
fn required_role(message: &str) -> Option<&str> {
    let (_, list) = message.split_once("API required roles: ")?;
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
    fn innermost_known_code_or_status_decides_the_kind() {
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
    fn inner_errors_are_read_in_both_spellings() {
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
    fn missing_message_is_reported() {
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
    fn missing_role_is_in_the_advice() {
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
