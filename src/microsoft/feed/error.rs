//! The error responses of the feed: all documented codes, and undocumented bodies that were
//! observed.
//!
//! The code decides the kind of a failure, because codes do not have a fixed HTTP status. The
//! message is the service's own. Does not decide what a failure means for a run: `ops` does.

use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;

use crate::microsoft::search::AUDITING_OFF;
use crate::net::{ApiResponse, Reason};
use crate::protocol::ErrorKind::{self, Forbidden, Rejected, Throttled, Unavailable};
use crate::protocol::{CodeMeaning, Failure};

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

/// All documented codes, and those that were observed (AF20024, AF50005, AF50006, 429).
pub fn documented_codes() -> &'static [CodeMeaning] {
    static MEANINGS: OnceLock<Vec<CodeMeaning>> = OnceLock::new();
    // A test reads every code, so parsing never fails.
    let parse = || serde_json::from_str(include_str!("error_codes.json")).unwrap_or_default();
    MEANINGS.get_or_init(parse)
}

fn meaning(code: &str) -> Option<&'static CodeMeaning> {
    let mut meanings = documented_codes().iter();
    meanings.find(|one| one.codes.iter().any(|known| known == code))
}

/// What a failure reports about the requested content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It has expired.
    Expired,
    /// It does not exist.
    Missing,
    /// The service refuses all content: the subscription, the tenant or the parameters are wrong.
    AllRefused,
}

/// What a failed request reports about the content. `None` if nothing.
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

/// Reads an error response of the feed. It can have status 200.
pub(super) fn classify(response: &ApiResponse) -> Option<Failure> {
    let Some(Error { code, message }) = read(response) else {
        return unexplained(response);
    };
    if let Some(message) = auditing_off(&message) {
        return Some(
            response
                .refusal(Rejected, None, message)
                .rule(AUDITING_OFF)
                .cause("Auditing is not turned on in this tenant, so the feed does not know the tenant.")
                .advice("Turn on auditing (Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true). It takes up to 60 minutes."),
        );
    }
    let shown = match message.trim() {
        "" if code.is_empty() => format!("HTTP {} without a message.", response.status),
        "" => format!("HTTP {} ({code}) without a message.", response.status),
        text => text.to_owned(),
    };
    let wait = response.retry_after().or_else(|| cool_down(&shown));
    let Some(meaning) = meaning(&code) else {
        let kind = by_status(response.status);
        let code = Some(code.as_str()).filter(|code| !code.is_empty());
        let failure = response.refusal(kind, code, &shown).retry_after(wait);
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
    let failure = response.refusal(meaning.kind, Some(&code), &shown);
    let failure = failure.with_documented_code();
    let failure = failure.cause(&meaning.cause).advice(&meaning.advice);
    Some(match meaning.kind {
        Throttled => failure.retry_after(wait),
        _ => failure,
    })
}

/// Reads a refusal without the documented body. An empty body usually means that a permission is
/// missing. The response to an unreadable token is a single sentence.
fn unexplained(response: &ApiResponse) -> Option<Failure> {
    let kind = by_status(response.status);
    let content = response.content();
    let message = format!("HTTP {} with {content}.", response.status);
    let failure = || response.refusal(kind, None, &message);
    match response.status {
        401 if content.contains(UNREADABLE_TOKEN) => Some(failure()),
        401 | 403 if response.reason() == Reason::Missing => Some(
            failure()
                .cause("The service refused the request without a reason. The usual reason is a missing permission.")
                .advice(format!(
                    "Check that the application has {} of Office 365 Management APIs with admin consent, and that the connection has the tenant's cloud.",
                    permissions(response)
                )),
        ),
        _ => None,
    }
}

/// The service's sentence about a token for another service.
const UNREADABLE_TOKEN: &str = "Authorization has been denied for this request";

/// The permissions that the requested content type needs.
fn permissions(response: &ApiResponse) -> &'static str {
    let url = response.call.url.to_ascii_lowercase();
    if url.contains("dlp.all") || url.contains("dlp_all") {
        "ActivityFeed.Read and, for DLP.All, ActivityFeed.ReadDlp"
    } else {
        "ActivityFeed.Read"
    }
}

/// Parses the error of a body. The documented sample of AF429 has single quotes.
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

/// The readable sentence of an internal exception, if auditing is off. The service splits the
/// exception into code and message at arbitrary places.
fn auditing_off(message: &str) -> Option<&str> {
    const END: &str = " does not exist.";
    let to = message.find(END)? + END.len();
    let from = message[..to].rfind("Exception: Tenant ")? + "Exception: ".len();
    Some(&message[from..to])
}

/// The wait in a message such as "again after 8m 46s".
fn cool_down(message: &str) -> Option<Duration> {
    let (_, after) = message.split_once("again after ")?;
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
    use crate::net::retry::{Repeat, is_transient};
    use crate::protocol::failure::Codes;

    fn failure(status: u16, code: &str, message: &str) -> Failure {
        let body = serde_json::json!({"error": {"code": code, "message": message}});
        classify(&answer(status, &body.to_string(), &[])).expect("a failure")
    }

    /// One test for each code: whether it is retried, its kind, its code in the result, the
    /// message, and the advice.
    macro_rules! codes {
        ($($test:ident: $status:literal $code:literal $kind:ident $again:ident;)*) => {$(
            #[test]
            fn $test() {
                let failure = failure($status, $code, " Words. ");
                assert_eq!(failure.kind(), ErrorKind::$kind);
                assert_eq!(failure.message(), "Words.");
                assert_eq!(failure.vendor_code(), Some($code));
                assert!(failure.assistance().is_some());
                let again = is_transient(&failure, Repeat::Safe);
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
    fn cool_down_is_read_from_the_message() {
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
    fn disabled_auditing_is_explained() {
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
    fn error_with_single_quotes_or_status_200_is_read() {
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
    fn unknown_code_is_classified_by_its_status() {
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
