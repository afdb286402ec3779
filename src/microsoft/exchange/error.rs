//! Error responses of Exchange Online, and warnings of responses without an error.

use std::time::Duration;

use serde::Deserialize;

use crate::net::{ApiResponse, Reason};
use crate::protocol::{Detail, ErrorKind, Failure};

/// Texts of failures that pass, at any status.
const PASSING: [&str; 8] = [
    "cmdletproxynotavailablefailure",
    "serverbusyexception",
    "transientexception",
    "backendcommunicationexception",
    "server side error",
    "operation could not be completed",
    "timed out",
    "task was canceled",
];

/// Warnings of a search that failed without an error.
const FAILED: [&str; 2] = ["task was canceled", "failed to process request"];

/// The rule of an expired link to further rows.
const STALE_LINK: &str = "stale_link";

/// Whether a link to further rows of a page has expired.
pub fn is_stale_link(failure: &Failure) -> bool {
    failure.broken_rule() == Some(STALE_LINK)
}

#[derive(Deserialize)]
struct Warnings {
    #[serde(rename = "@adminapi.warnings", default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ServiceError,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceError {
    code: Option<String>,
    message: Option<String>,
    details: Vec<ServiceError>,
    innererror: Option<InnerError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InnerError {
    message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    internalexception: Option<Box<InnerError>>,
}

impl ServiceError {
    /// The message of the innermost error. The outermost is always "Invalid Operation".
    fn text(&self) -> Option<&str> {
        let inner = self.innererror.as_ref();
        let inner = inner.and_then(|inner| inner.internalexception.as_ref());
        let detail = self.details.first().and_then(|one| one.message.as_deref());
        // `|Type|message`
        let detail = detail.map(|text| text.rsplit_once('|').map_or(text, |(_, text)| text));
        let texts = [
            inner.and_then(|inner| inner.message.as_deref()),
            detail,
            self.message.as_deref(),
        ];
        texts
            .into_iter()
            .flatten()
            .map(str::trim)
            .find(|text| !text.is_empty())
    }

    /// The name of the exception, or the code.
    fn name(&self) -> Option<&str> {
        let inner = self.innererror.as_ref();
        let kind = inner.and_then(|inner| inner.internalexception.as_ref()?.kind.as_deref());
        let kind = kind.map(|kind| kind.rsplit_once('.').map_or(kind, |(_, name)| name));
        kind.or(self.code.as_deref())
    }
}

/// Reads the failure that a response reports.
pub(super) fn classify(response: &ApiResponse) -> Option<Failure> {
    if response.is_success() {
        let warnings = response.object::<Warnings>()?.warnings;
        let has = |warning: &String| {
            let warning = warning.to_lowercase();
            FAILED.iter().any(|text| warning.contains(text))
        };
        let warning = warnings.iter().find(|warning| has(warning))?;
        let failure = response.refusal(ErrorKind::Unavailable, None, warning);
        return Some(
            failure.cause("The search failed at the service, which reports it only as a warning."),
        );
    }
    let body = response.object::<ErrorBody>();
    let text = body.as_ref().and_then(|body| body.error.text());
    let name = body.as_ref().and_then(|body| body.error.name());
    let whole = String::from_utf8_lossy(&response.body).to_lowercase();
    let passes = PASSING.iter().any(|text| whole.contains(text));
    let kind = match response.status {
        429 => ErrorKind::Throttled,
        401 => ErrorKind::AuthFailed,
        403 => ErrorKind::Forbidden,
        408 | 500.. => ErrorKind::Unavailable,
        _ if passes => ErrorKind::Unavailable,
        _ if body.is_none() => return None,
        _ => ErrorKind::Rejected,
    };
    let without = format!("HTTP {} without a message.", response.status);
    let failure = response.refusal(kind, name, text.unwrap_or(&without));
    Some(match kind {
        ErrorKind::Throttled if failure.wait().is_none() => failure.retry_after(text.and_then(wait)),
        ErrorKind::AuthFailed => failure
            .cause("Exchange Online refused the token. The usual reason is that the application has no permission Exchange.ManageAsApp.")
            .advice("Grant Exchange.ManageAsApp (application) of Office 365 Exchange Online and give admin consent. A person needs an Exchange role with audit logs."),
        ErrorKind::Forbidden => failure
            .cause("The application or the person has no role that may search the audit log.")
            .advice("Assign a directory role such as Security Reader or Compliance Administrator, or a role group with View-Only Audit Logs.")
            .with_detail(Detail::StatedReason),
        ErrorKind::Rejected => rejected(failure),
        _ => failure,
    })
}

fn rejected(failure: Failure) -> Failure {
    let text = failure.message().to_lowercase();
    if text.contains("invalid pagination request") {
        return failure.rule(STALE_LINK);
    }
    if text.contains("startdate should be after") {
        return failure
            .cause("The window begins before the time for which the service keeps records.")
            .advice(
                "Use a later start. Records are kept for 180 days, with some licences longer.",
            );
    }
    Reason::Message
        .explain(failure)
        .cause("Exchange Online does not accept this search.")
        .advice("Correct the inputs as the message says.")
}

/// The wait of a message that ends with "… 30 seconds".
fn wait(text: &str) -> Option<Duration> {
    let mut words = text.trim_end_matches('.').rsplit(' ');
    let is_unit = words.next()?.starts_with("second");
    let number = words.next()?.parse().ok()?;
    is_unit.then(|| Duration::from_secs(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;

    fn failure(status: u16, body: &str) -> Failure {
        classify(&answer(status, body, &[])).expect("a failure")
    }

    fn rejected(exception: &str, message: &str) -> String {
        serde_json::json!({ "error": { "code": "BadRequest", "message": "Invalid Operation",
            "innererror": { "message": "Invalid Operation", "internalexception": {
                "message": message, "type": format!("Microsoft.Exchange.{exception}") } } } })
        .to_string()
    }

    #[test]
    fn message_is_that_of_the_innermost_error() {
        let failure = failure(
            400,
            &rejected("ParameterTransformationException", "Bad value."),
        );
        assert_eq!(failure.kind(), ErrorKind::Rejected);
        assert_eq!(failure.message(), "Bad value.");
        assert_eq!(
            failure.vendor_code(),
            Some("ParameterTransformationException")
        );
        let details = r#"{"error":{"code":"BadRequest","message":"Invalid Operation",
            "details":[{"message":"|A.B|Parameter Foo."}]}}"#;
        assert_eq!(self::failure(400, details).message(), "Parameter Foo.");
    }

    #[test]
    fn passing_failure_is_unavailable_at_any_status() {
        let busy = failure(400, &rejected("ServerBusyException", "Try later."));
        assert_eq!(busy.kind(), ErrorKind::Unavailable);
        for warning in ["A task was canceled.", "Failed to process request X"] {
            let body = serde_json::json!({ "@adminapi.warnings": [warning], "value": [] });
            assert_eq!(
                failure(200, &body.to_string()).kind(),
                ErrorKind::Unavailable
            );
        }
        let fine = r#"{"@adminapi.warnings":["Slow."],"value":[]}"#;
        assert!(classify(&answer(200, fine, &[])).is_none());
    }

    #[test]
    fn missing_permission_and_missing_role_have_their_own_advice() {
        let token = failure(401, "");
        assert_eq!(token.kind(), ErrorKind::AuthFailed);
        assert!(
            token
                .assistance()
                .is_some_and(|text| text.contains("ManageAsApp"))
        );
        let role = failure(403, "\0\0\0\0");
        assert_eq!(role.kind(), ErrorKind::Forbidden);
        assert!(
            role.assistance()
                .is_some_and(|text| text.contains("Audit Logs"))
        );
    }

    #[test]
    fn wait_is_read_from_the_message() {
        let busy = rejected("X", "You are over the budget. Please wait for 17 seconds");
        assert_eq!(failure(429, &busy).wait(), Some(Duration::from_secs(17)));
        let stale = rejected(
            "X",
            "Expired or Invalid pagination request. Default Expiry time is 00:30:00",
        );
        assert!(is_stale_link(&failure(400, &stale)));
    }
}
