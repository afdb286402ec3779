//! What the feed's error bodies mean: every documented code, and the odd bodies seen in the field.
//!
//! The service gives no HTTP status a code, so the code decides; words are the service's own. A
//! refused permission can come without a body.

use std::time::Duration;

use serde::Deserialize;

use crate::net::{ApiResponse, Reason};
use crate::protocol::ErrorKind::{self, Forbidden, Rejected, Throttled, Unavailable};
use crate::protocol::Failure;

/// The code for a subscription that is enabled already.
pub(super) const ALREADY_ENABLED: &str = "AF20024";

#[derive(Deserialize)]
struct ErrorBody {
    error: Error,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Error {
    code: String,
    message: String,
}

/// Codes, their kind, why, and what to do.
type Row = (
    &'static [&'static str],
    ErrorKind,
    &'static str,
    &'static str,
);

/// Every documented code, and those met in the field (AF20024, AF50005, AF50006, 429).
const CODES: &[Row] = &[
    (
        &["AF10001"],
        Forbidden,
        "The token was accepted but carries no permission for the activity feed.",
        "Grant ActivityFeed.Read (application) of Office 365 Management APIs and give admin consent.",
    ),
    (
        &["AF20001", "AF20002", "AF20003"],
        Rejected,
        "A parameter is missing, of the wrong type, or in the past.",
        "Correct the parameter that the message names.",
    ),
    (
        &["AF20010"],
        Rejected,
        "The token belongs to another tenant than the one asked for.",
        "Check that tenant and client of the connection belong together.",
    ),
    (
        &["AF20011"],
        Rejected,
        "The feed does not know this tenant.",
        "Check the tenant id and the cloud.",
    ),
    (
        &["AF20012"],
        Rejected,
        "The tenant is not set up for the feed; usually it has no Microsoft 365 licence.",
        "Assign a Microsoft 365 licence in the tenant.",
    ),
    (
        &["AF20013"],
        Rejected,
        "The tenant's id is not a GUID.",
        "Give the directory (tenant) id.",
    ),
    (
        &["AF20020"],
        Rejected,
        "The feed has no such content type.",
        "Use one of the five documented content types.",
    ),
    (
        &["AF20021"],
        Rejected,
        "The webhook did not pass the feed's check.",
        "Use a webhook with an https address that returns HTTP 200, or omit the webhook.",
    ),
    (
        &["AF20022"],
        Rejected,
        "There is no subscription to the content type, or it was stopped.",
        "Start the subscription.",
    ),
    (
        &["AF20023"],
        Rejected,
        "The subscription was stopped or disabled. If no one stopped it, auditing can be off in the tenant.",
        "Start the subscription to this content type; if it is disabled again, turn auditing on first.",
    ),
    (
        &["AF20024"],
        Rejected,
        "The subscription is enabled and nothing about it changes.",
        "No action is needed.",
    ),
    (
        &["AF20030", "AF20055"],
        Rejected,
        "The time range is not one the feed allows.",
        "Give both times at most 24 hours apart within the last 7 days, or neither.",
    ),
    (
        &["AF20031"],
        Rejected,
        "The link to the next page is not valid (any more).",
        "Run again without `state`.",
    ),
    (
        &["AF20050", "AF20052"],
        Rejected,
        "There is no such content.",
        "List the content again.",
    ),
    (
        &["AF20051"],
        Rejected,
        "The feed deleted the content because of its age.",
        "Collect more often than every 7 days.",
    ),
    (
        &["AF20053", "AF20054"],
        Rejected,
        "The feed did not understand the language asked for.",
        "Report it with the log; a proxy that alters headers would do this.",
    ),
    (
        &["AF429"],
        Throttled,
        "The tenant's quota of requests is used up.",
        "Send the same request again after a minute, and fewer of them at once.",
    ),
    (
        &["429"],
        Throttled,
        "Subscriptions may be started only some minutes apart.",
        "Start it again after the time that the message names.",
    ),
    (
        &["AF50000", "AF50005", "AF50006"],
        Unavailable,
        "The feed is temporarily unavailable.",
        "Send the same request again later.",
    ),
];

/// What a failure says about the content that was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The service does not keep it any more.
    Expired,
    /// The service does not have it.
    Missing,
    /// The service refuses all content: the subscription, the tenant or the parameters are wrong.
    AllRefused,
}

/// What a failed request for content says about it. `None` if it says nothing.
pub fn absence(failure: &Failure) -> Option<Absence> {
    match (failure.vendor_code(), failure.http_status()) {
        (Some("AF20051"), _) => Some(Absence::Expired),
        (Some("AF20050"), _) | (None, Some(404)) => Some(Absence::Missing),
        (Some("AF20052" | "AF20053" | "AF20054" | "AF20055"), _) => None,
        (Some(code), _) if failure.kind() == Rejected && code.starts_with("AF20") => {
            Some(Absence::AllRefused)
        }
        _ => None,
    }
}

/// What the feed's own error body means; an error in a 200 answer counts, too.
pub(super) fn classify(response: &ApiResponse) -> Option<Failure> {
    let Some(Error { code, message }) = read(response) else {
        return unexplained(response);
    };
    if let Some(words) = auditing_off(&message) {
        return Some(
            response
                .refusal(Rejected, None, words)
                .cause("Auditing is not turned on in this tenant, so the feed does not know it.")
                .advice("Turn on auditing (Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true); it takes up to 60 minutes."),
        );
    }
    let words = match message.trim() {
        "" if code.is_empty() => format!("HTTP {} without a message.", response.status),
        "" => format!("HTTP {} ({code}) without a message.", response.status),
        words => words.to_owned(),
    };
    let wait = response.retry_after().or_else(|| cool_down(&words));
    let Some(row) = CODES.iter().find(|row| row.0.contains(&code.as_str())) else {
        let kind = by_status(response.status);
        let code = Some(code.as_str()).filter(|code| !code.is_empty());
        let failure = response.refusal(kind, code, &words).retry_after(wait);
        let failure = match code {
            Some(code) if code.starts_with("AF") => failure.with_documented_code(),
            _ => failure,
        };
        let reason = match message.trim() {
            "" => Reason::Missing,
            _ => Reason::Message,
        };
        return Some(reason.explain(failure));
    };
    let failure = response.refusal(row.1, Some(&code), &words);
    let failure = failure.with_documented_code().cause(row.2).advice(row.3);
    Some(match row.1 {
        Throttled => failure.retry_after(wait),
        _ => failure,
    })
}

/// A refusal without the documented body. Without any body, the usual reason is a permission that the
/// content type needs. The service answers a token that it cannot read with a sentence alone.
fn unexplained(response: &ApiResponse) -> Option<Failure> {
    let kind = by_status(response.status);
    let content = response.content();
    let words = format!("HTTP {} with {content}.", response.status);
    let failure = || response.refusal(kind, None, &words);
    match response.status {
        401 if content.contains(UNREADABLE_TOKEN) => Some(failure()),
        401 | 403 if response.reason() == Reason::Missing => Some(
            failure()
                .cause("The service refused the request without a reason. The usual reason is a missing permission.")
                .advice(format!(
                    "Check that the application has {} of Office 365 Management APIs with admin consent, and that the cloud of the connection is the tenant's.",
                    permissions(response)
                )),
        ),
        _ => None,
    }
}

/// The service's sentence about a token that is not for it.
const UNREADABLE_TOKEN: &str = "Authorization has been denied for this request";

/// What an application must be allowed for the content type that the call is about.
fn permissions(response: &ApiResponse) -> &'static str {
    let url = response.call.url.to_ascii_lowercase();
    if url.contains("dlp.all") || url.contains("dlp_all") {
        "ActivityFeed.Read and, for DLP.All, ActivityFeed.ReadDlp"
    } else {
        "ActivityFeed.Read"
    }
}

/// The error in a body; the published sample of AF429 is written with single quotes.
fn read(response: &ApiResponse) -> Option<Error> {
    if let Some(body) = response.object::<ErrorBody>() {
        return Some(body.error);
    }
    if response.is_success() {
        return None;
    }
    let mut quoted = response.clone();
    for byte in &mut quoted.body {
        if *byte == b'\'' {
            *byte = b'"';
        }
    }
    quoted.object::<ErrorBody>().map(|body| body.error)
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::AuthFailed,
        403 => Forbidden,
        429 => Throttled,
        408 | 500.. => Unavailable,
        _ => Rejected,
    }
}

/// Where auditing is off, an internal exception comes, cut into code and message at odd places.
/// What remains readable is one sentence of it.
fn auditing_off(message: &str) -> Option<&str> {
    const END: &str = " does not exist.";
    let to = message.find(END)? + END.len();
    let from = message[..to].rfind("Exception: Tenant ")? + "Exception: ".len();
    Some(&message[from..to])
}

/// The wait in words: "after 8m 46s".
fn cool_down(words: &str) -> Option<Duration> {
    let (_, after) = words.split_once("again after ")?;
    let mut parts = after.trim_end_matches('.').split_whitespace();
    let seconds = parts.try_fold(0, |sum: u64, part| {
        let number = |unit: char| part.strip_suffix(unit)?.parse::<u64>().ok();
        let seconds = number('m').and_then(|m| m.checked_mul(60)).or(number('s'));
        seconds.and_then(|seconds| sum.checked_add(seconds))
    })?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;
    use crate::net::retry::{Repeat, is_passing};
    use crate::protocol::failure::Codes;

    fn failure(status: u16, code: &str, message: &str) -> Failure {
        let body = serde_json::json!({"error": {"code": code, "message": message}});
        classify(&answer(status, &body.to_string(), &[])).expect("a failure")
    }

    /// One test a code: whether it is tried again, its kind, its code in the result, the service's words, cause and advice.
    macro_rules! codes {
        ($($test:ident: $status:literal $code:literal $kind:ident $again:ident;)*) => {$(
            #[test]
            fn $test() {
                let failure = failure($status, $code, " Words. ");
                assert_eq!(failure.kind(), ErrorKind::$kind);
                assert_eq!(failure.message(), "Words.");
                assert_eq!(failure.vendor_code(), Some($code));
                assert!(failure.assistance().is_some());
                let again = is_passing(&failure, Repeat::Safe);
                assert_eq!(again, stringify!($again) == "again");
                let code = failure.close("", &Codes::new()).status_code;
                assert_eq!(code, $code);
            }
        )*};
    }

    codes! {
        af10001: 401 "AF10001" Forbidden once;
        af20001: 400 "AF20001" Rejected once;
        af20002: 400 "AF20002" Rejected once;
        af20003: 400 "AF20003" Rejected once;
        af20010: 401 "AF20010" Rejected once;
        af20011: 400 "AF20011" Rejected once;
        af20012: 400 "AF20012" Rejected once;
        af20013: 400 "AF20013" Rejected once;
        af20020: 400 "AF20020" Rejected once;
        af20021: 400 "AF20021" Rejected once;
        af20022: 404 "AF20022" Rejected once;
        af20023: 400 "AF20023" Rejected once;
        af20024: 400 "AF20024" Rejected once;
        af20030: 400 "AF20030" Rejected once;
        af20031: 400 "AF20031" Rejected once;
        af20050: 404 "AF20050" Rejected once;
        af20051: 400 "AF20051" Rejected once;
        af20052: 400 "AF20052" Rejected once;
        af20053: 400 "AF20053" Rejected once;
        af20054: 400 "AF20054" Rejected once;
        af20055: 400 "AF20055" Rejected once;
        af429: 403 "AF429" Throttled again;
        af50000: 500 "AF50000" Unavailable again;
        af50005: 503 "AF50005" Unavailable again;
        af50006: 400 "AF50006" Unavailable again;
        cool_down_code: 403 "429" Throttled again;
    }

    #[test]
    fn the_cool_down_is_read_from_the_words() {
        let words =
            "Too many frequent subscription start requests. Please retry again after 8m 46s.";
        let failure = failure(403, "429", words);
        let block = failure.close("", &Codes::new());
        assert_eq!(block.retry_after_ms, Some(526_000));
        assert_eq!(
            cool_down("Please retry again after 15m."),
            Some(Duration::from_mins(15))
        );
        assert_eq!(cool_down("Please retry again after a while."), None);
        assert_eq!(cool_down("Words."), None);
    }

    #[test]
    fn auditing_that_is_off_is_recognised_and_explained() {
        let failure = failure(
            400,
            "StartSubscription [CorrId=7d1f][TenantId=1111,ContentType=DLP.All][AppId",
            "aaaa] failed. Exception: Microsoft.Office.Compliance.Audit.DataServiceException: Tenant 1111-22 does not exist.\r\n   at X",
        );
        assert_eq!(failure.message(), "Tenant 1111-22 does not exist.");
        assert_eq!(failure.vendor_code(), None);
        let block = failure.close("", &Codes::new());
        assert_eq!(block.status_code, "400");
        assert!(block.cause.starts_with("Auditing is not turned on"));
    }

    #[test]
    fn single_quotes_and_errors_in_a_200_are_read() {
        let body = "{'error':{'code':'AF429','message':'Too many requests. Method=GetBlob, PublisherId=0'}}";
        let failure = classify(&answer(403, body, &[("Retry-After", "7")])).expect("a failure");
        assert_eq!(failure.kind(), Throttled);
        assert_eq!(failure.close("", &Codes::new()).retry_after_ms, Some(7000));
        let body = r#"{"error":{"code":"AF50000","message":"x"}}"#;
        assert!(classify(&answer(200, body, &[])).is_some());
        for body in ["[]", "", "[{}]", r#"[{"code":"AF50000"}]"#] {
            assert!(classify(&answer(200, body, &[])).is_none(), "{body}");
        }
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        for (status, kind) in [
            (400, Rejected),
            (401, ErrorKind::AuthFailed),
            (403, Forbidden),
            (429, Throttled),
            (503, Unavailable),
        ] {
            assert_eq!(failure(status, "AF99999", "x").kind(), kind);
        }
        assert_eq!(
            failure(400, "AF99999", "").message(),
            "HTTP 400 (AF99999) without a message."
        );
        assert!(classify(&answer(502, "<html></html>", &[])).is_none());
    }
}
