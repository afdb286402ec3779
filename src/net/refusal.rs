//! Error responses of an unknown format: quotes their text, and adds cause and advice.
//!
//! Proxies, firewalls and gateways respond in any format. Readable text is quoted, 1 kB at most.
//! Does not remove secrets: the host does, in every result.

use serde_json::Value;

use crate::net::message::ApiResponse;
use crate::protocol::{Detail, ErrorKind, Failure};

/// The maximum length of a quote, in bytes.
const LONGEST_QUOTE: usize = 1000;

/// The maximum length of the title of an HTML page, in bytes.
const LONGEST_TITLE: usize = 100;

/// The maximum size of a body that is searched for a message.
const LARGEST: usize = 64 * 1024;

/// The members that can contain a message, in order of preference.
const MESSAGES: [&str; 9] = [
    "message",
    "Message",
    "error_description",
    "detail",
    "title",
    "error",
    "innererror",
    "innerError",
    "errors",
];

/// The readable content of a body.
enum Content {
    Empty,
    /// An HTML page, and its title.
    Page(Option<String>),
    Text(String),
    /// Binary data, or text that cannot be quoted.
    Unquotable,
}

/// The form in which a response gives the reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No reason.
    Missing,
    /// The service's own message, with an unknown code.
    Message,
    /// Text that does not have the format of the service's errors.
    Text,
    /// A body that cannot be quoted.
    Unquotable,
}

impl Reason {
    /// Adds cause and advice to a refusal that has none.
    pub fn explain(self, failure: Failure) -> Failure {
        use ErrorKind::{AuthFailed, Forbidden, Rejected};
        let foreign = "The response does not have the format of this service's errors. A proxy or gateway probably sent it.";
        let (cause, advice) = match (failure.kind(), self) {
            (AuthFailed | Forbidden, Self::Message) => (
                "The service refused the request with an unknown error.",
                "Follow the service's message.",
            ),
            (AuthFailed | Forbidden | Rejected, Self::Missing) => (
                "The service refused the request without a reason.",
                "Check the connection, the inputs and the permissions of the application. A proxy on the way can also have refused the request.",
            ),
            (AuthFailed | Forbidden | Rejected, Self::Text) => {
                (foreign, "Follow the text that the message quotes.")
            }
            (AuthFailed | Forbidden | Rejected, Self::Unquotable) => (
                foreign,
                "Allow the request in the proxy or gateway that responds for this address.",
            ),
            _ => return failure,
        };
        let failure = failure.cause(cause).advice(advice);
        match self {
            Self::Missing => failure,
            _ => failure.with_detail(Detail::StatedReason),
        }
    }
}

impl ApiResponse {
    /// Describes the body: `an HTML page titled "502 Bad Gateway"`, `the text "Blocked."`, ….
    pub fn content(&self) -> String {
        match self.readable() {
            Content::Empty => "an empty body".to_owned(),
            Content::Page(Some(title)) => format!("an HTML page titled \"{title}\""),
            Content::Page(None) => "an HTML page".to_owned(),
            Content::Text(text) => format!("the text \"{text}\""),
            Content::Unquotable => format!("a body of {} bytes", self.body.len()),
        }
    }

    /// The form of the reason, for a body that does not have the service's own format.
    pub fn reason(&self) -> Reason {
        match self.readable() {
            Content::Empty => Reason::Missing,
            Content::Text(_) => Reason::Text,
            Content::Page(_) | Content::Unquotable => Reason::Unquotable,
        }
    }

    fn readable(&self) -> Content {
        let Ok(text) = std::str::from_utf8(&self.body) else {
            return Content::Unquotable;
        };
        let text = text.trim_start_matches('\u{feff}').trim();
        let start: String = text.chars().take(5).collect();
        if text.is_empty() {
            return Content::Empty;
        }
        if start.starts_with("<!") || start.eq_ignore_ascii_case("<html") {
            return Content::Page(title(text));
        }
        let json = (text.len() <= LARGEST)
            .then(|| serde_json::from_str::<Value>(text).ok())
            .flatten();
        let found = json.as_ref().and_then(message);
        let found = found.and_then(|text| quote(text, LONGEST_QUOTE));
        // A successful response contains data, such as tokens, and is not quoted as a whole.
        let whole = || quote(text, LONGEST_QUOTE).filter(|_| !self.is_success());
        found
            .or_else(whole)
            .map_or(Content::Unquotable, Content::Text)
    }
}

/// The message of a JSON body of any shape.
fn message(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
        Value::Array(list) => list.iter().find_map(message_inside),
        other => message_inside(other),
    }
}

fn message_inside(value: &Value) -> Option<&str> {
    let members = value.as_object()?;
    let mut found = MESSAGES.into_iter().filter_map(|name| members.get(name));
    found.find_map(message)
}

/// The text on one line, without control characters. It is cut between two words, because half a
/// secret would not be removed from the result.
fn quote(text: &str, longest: usize) -> Option<String> {
    let hidden =
        |c: &char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.contains('\0') {
        return None;
    }
    let mut quote = String::new();
    for word in text.split_whitespace() {
        if quote.len() + word.len() >= longest {
            if !quote.is_empty() {
                quote.push_str(" …");
            }
            break;
        }
        if !quote.is_empty() {
            quote.push(' ');
        }
        quote.extend(word.chars().filter(|c| !hidden(c)));
    }
    (!quote.is_empty()).then_some(quote)
}

/// The title of an HTML page, on one line.
fn title(html: &str) -> Option<String> {
    let lower: String = html.chars().take(LARGEST).collect::<String>();
    let lower = lower.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let from = open + lower[open..].find('>')? + 1;
    let to = from + lower[from..].find("</title")?;
    quote(html.get(from..to)?, LONGEST_TITLE)
}

/// The failure of a response that no service explains, by its status.
pub(super) fn failure_by_status(response: &ApiResponse) -> Option<Failure> {
    let status = response.status;
    let kind = match status {
        200..=299 => return None,
        401 => ErrorKind::AuthFailed,
        403 => ErrorKind::Forbidden,
        429 => ErrorKind::Throttled,
        408 | 500.. => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Rejected,
        _ => ErrorKind::BadResponse,
    };
    let message = match response.header("location") {
        Some(to) if (300..400).contains(&status) => {
            format!("HTTP {status}, a redirect to {to}, which is not followed.")
        }
        _ => format!("HTTP {status} with {}.", response.content()),
    };
    let failure = response.refusal(kind, None, &message);
    Some(response.reason().explain(failure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;

    fn judged(status: u16, body: &str, headers: &[(&str, &str)]) -> (ErrorKind, String) {
        let failure = failure_by_status(&answer(status, body, headers)).expect("a failure");
        (failure.kind(), failure.message().to_owned())
    }

    #[test]
    fn status_without_explanation_has_a_kind() {
        use ErrorKind as K;
        for (status, kind) in [
            (400, K::Rejected),
            (401, K::AuthFailed),
            (403, K::Forbidden),
            (404, K::Rejected),
            (408, K::Unavailable),
            (429, K::Throttled),
            (500, K::Unavailable),
            (503, K::Unavailable),
            (304, K::BadResponse),
        ] {
            assert_eq!(judged(status, "", &[]).0, kind, "{status}");
        }
        assert!(failure_by_status(&answer(204, "", &[])).is_none());
    }

    #[test]
    fn redirect_is_named() {
        let elsewhere = ("Location", "https://evil.test/");
        assert_eq!(
            judged(302, "", &[elsewhere]).1,
            "HTTP 302, a redirect to https://evil.test/, which is not followed."
        );
    }

    #[test]
    fn body_of_any_shape_is_quoted_if_a_person_can_read_it() {
        let words = "w ".repeat(600);
        let cut = format!("the text \"{}w …\"", "w ".repeat(499));
        let denied = "the text \"Access denied.\"";
        for (body, wanted) in [
            ("Access\n denied.", denied),
            ("\u{feff}Access denied.\r\n", denied),
            (
                "\u{1b}[31mAccess\u{202e} denied.\u{7}",
                "the text \"[31mAccess denied.\"",
            ),
            (r#""Access denied.""#, denied),
            (r#"{"Message":"Access denied."}"#, denied),
            (r#"{"error":"Access denied."}"#, denied),
            (
                r#"{"code":7,"innerError":{"innererror":{"message":"Access denied."}}}"#,
                denied,
            ),
            (r#"[{"id":1},{"message":"Access denied."}]"#, denied),
            (r#"{"message":7}"#, "the text \"{\"message\":7}\""),
            ("[1, 2]", "the text \"[1, 2]\""),
            (words.as_str(), cut.as_str()),
            ("w".repeat(1200).as_str(), "a body of 1200 bytes"),
            ("MZ\0\u{1}", "a body of 4 bytes"),
            ("<html></html>", "an HTML page"),
            (
                "<!DOCTYPE html>\n<html><head><TITLE>502\n  Bad Gateway</TITLE></head></html>",
                "an HTML page titled \"502 Bad Gateway\"",
            ),
            ("", "an empty body"),
            (" \n", "an empty body"),
        ] {
            assert_eq!(answer(403, body, &[]).content(), wanted, "{body}");
        }
        let mut binary = answer(403, "", &[]);
        binary.body = vec![0x1f, 0x8b, 0xff];
        assert_eq!(binary.content(), "a body of 3 bytes");
        let token = r#"{"refresh_token":"x"}"#;
        assert_eq!(answer(200, token, &[]).content(), "a body of 21 bytes");
    }
}
