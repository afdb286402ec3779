//! `alerts_v2`: the query, its pages, its links.
//!
//! A page stays bytes: its records are slices of the body. How many pages are read, and what
//! happens when one fails, is decided in `ops`.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::microsoft::TimeWindow;
use crate::microsoft::graph::Graph;
use crate::net::ApiResponse;
use crate::net::links::{bare, same_origin};
use crate::net::message::{below, with_query};
use crate::protocol::document::{Unreadable, elements, members};
use crate::protocol::{Document, Failure};
use crate::when::rfc3339;

/// The most records Graph gives on a page.
pub const PAGE_SIZE: u64 = 1000;

/// The member that leads to the next page.
pub const NEXT_LINK: &str = "@odata.nextLink";

/// The member that holds the records.
pub const ITEMS: &str = "value";

/// Graph's version, a segment of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The stable version.
    #[default]
    #[serde(rename = "v1.0")]
    V1,
    /// The preview.
    #[serde(rename = "beta")]
    Beta,
}

impl ApiVersion {
    fn segment(self) -> &'static str {
        match self {
            ApiVersion::V1 => "v1.0",
            ApiVersion::Beta => "beta",
        }
    }
}

/// The time of an alert that a window is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TimeField {
    /// When it was last changed: updated alerts come again.
    #[default]
    LastUpdateDateTime,
    /// When it was created: every alert comes once.
    CreatedDateTime,
}

impl TimeField {
    /// The property's name.
    pub fn name(self) -> &'static str {
        match self {
            TimeField::LastUpdateDateTime => "lastUpdateDateTime",
            TimeField::CreatedDateTime => "createdDateTime",
        }
    }
}

/// Which alerts.
#[derive(Clone, Debug)]
pub struct Query {
    /// Graph's version.
    pub version: ApiVersion,
    /// The time the window is about.
    pub time: TimeField,
    /// Start inclusive, end exclusive.
    pub window: TimeWindow,
    /// A further condition, as the author wrote it.
    pub condition: Option<String>,
    /// Records a page, at most [`PAGE_SIZE`].
    pub page_size: u64,
}

impl Query {
    /// The address of the first page; the most recent alerts come first.
    pub fn url(&self, graph: &Url) -> Url {
        let order = format!("{} desc", self.time.name());
        let top = self.page_size.min(PAGE_SIZE).to_string();
        with_query(
            collection(graph, self.version),
            &[
                ("$filter", &self.filter()),
                ("$orderby", &order),
                ("$top", &top),
            ],
        )
    }

    fn filter(&self) -> String {
        let field = self.time.name();
        let (start, end) = (rfc3339(self.window.start), rfc3339(self.window.end));
        let window = format!("{field} ge {start} and {field} lt {end}");
        match &self.condition {
            Some(condition) => format!("{window} and ({condition})"),
            None => window,
        }
    }
}

/// Does that link, which a caller brought along, lead to the alerts of that Graph and nowhere
/// else?
pub fn leads_to_alerts(link: &Url, graph: &Url, version: ApiVersion) -> bool {
    let alerts = collection(graph, version);
    same_origin(link, graph) && bare(link) && link.path().eq_ignore_ascii_case(alerts.path())
}

fn collection(graph: &Url, version: ApiVersion) -> Url {
    below(graph, [version.segment(), "security", "alerts_v2"])
}

/// One page as it was received.
#[derive(Clone, Debug)]
pub struct Body {
    document: Document,
    answer: ApiResponse,
}

/// One page, taken apart.
#[derive(Debug)]
pub struct Page<'a> {
    /// The records, as received.
    pub records: Vec<&'a str>,
    /// The link to the next page.
    pub next: Option<Cow<'a, str>>,
}

/// Reads one page; [`Body::open`] says whether it is one.
pub async fn page(graph: &Graph<'_>, url: Url) -> Result<Body, Failure> {
    let mut answer = graph.get(url).await?;
    let document = answer.document()?;
    answer.body = Vec::new();
    Ok(Body { document, answer })
}

impl Body {
    /// The service's clock.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        self.answer.date()
    }

    /// The page as a document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The page taken apart; `bad_response` if it does not have the documented members. Of a
    /// member that stands twice the last one counts.
    pub fn open(&self) -> Result<Page<'_>, Failure> {
        let unreadable = |error: Unreadable| {
            let words = format!("the body could not be taken apart: {error}.");
            self.answer.bad(&words)
        };
        if !self.document.text().starts_with('{') {
            return Err(self.answer.bad("the body is not an object."));
        }
        let (mut records, mut next): (_, Option<String>) = (None, None);
        for member in members(self.document.text()).map_err(unreadable)? {
            match &*member.name() {
                ITEMS => records = Some(member.value()),
                // A link that cannot be read must not look like the end.
                NEXT_LINK => {
                    next = serde_json::from_str(member.value())
                        .map_err(|_| self.answer.bad(&format!("\"{NEXT_LINK}\" is not a link.")))?;
                }
                _ => {}
            }
        }
        let array = records
            .filter(|value| value.starts_with('['))
            .ok_or_else(|| {
                self.answer
                    .bad(&format!("the body has no array \"{ITEMS}\"."))
            })?;
        Ok(Page {
            records: elements(array).map_err(unreadable)?,
            next: next.map(Into::into),
        })
    }
}

/// The text of a record's member, if it is text.
pub fn text_of(record: &str, member: &str) -> Option<String> {
    let found = members(record).ok()?;
    let value = found.iter().rfind(|known| known.name() == member)?;
    serde_json::from_str(value.value()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;
    use crate::protocol::ErrorKind;
    use crate::when;

    fn query() -> Query {
        let at = |text| when::instant(text, &[]).expect("a time");
        Query {
            version: ApiVersion::V1,
            time: TimeField::LastUpdateDateTime,
            window: TimeWindow {
                start: at("2026-09-20 00:00"),
                end: at("2026-09-20 01:00"),
            },
            condition: None,
            page_size: 5000,
        }
    }

    fn graph() -> Url {
        Url::parse("https://graph.microsoft.com").expect("an address")
    }

    fn sent(query: &Query) -> Vec<(String, String)> {
        query.url(&graph()).query_pairs().into_owned().collect()
    }

    #[test]
    fn the_window_is_half_open_and_the_newest_come_first() {
        let url = query().url(&graph());
        assert_eq!(url.path(), "/v1.0/security/alerts_v2");
        let pairs = [
            (
                "$filter",
                "lastUpdateDateTime ge 2026-09-20T00:00:00Z and lastUpdateDateTime lt 2026-09-20T01:00:00Z",
            ),
            ("$orderby", "lastUpdateDateTime desc"),
            ("$top", "1000"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(sent(&query()), pairs);
    }

    #[test]
    fn a_condition_is_added_in_parentheses() {
        let query = Query {
            version: ApiVersion::Beta,
            time: TimeField::CreatedDateTime,
            condition: Some("severity eq 'high' or status eq 'new'".to_owned()),
            page_size: 10,
            ..query()
        };
        assert_eq!(query.url(&graph()).path(), "/beta/security/alerts_v2");
        assert!(
            sent(&query)[0]
                .1
                .ends_with(" and (severity eq 'high' or status eq 'new')")
        );
        assert_eq!(sent(&query)[1].1, "createdDateTime desc");
        assert_eq!(sent(&query)[2].1, "10");
    }

    #[test]
    fn a_link_brought_along_leads_to_the_alerts_alone() {
        let leads = |link| {
            let link = Url::parse(link).expect("an address");
            leads_to_alerts(&link, &graph(), ApiVersion::V1)
        };
        assert!(leads(
            "https://graph.microsoft.com/v1.0/Security/alerts_v2?$skip=5"
        ));
        assert!(!leads("https://graph.microsoft.com/v1.0/users"));
        assert!(!leads(
            "https://graph.microsoft.com/beta/security/alerts_v2"
        ));
        assert!(!leads("https://evil.test/v1.0/security/alerts_v2"));
    }

    fn body(text: &str) -> Result<Body, Failure> {
        let answer = answer(200, text, &[]);
        let document = answer.document()?;
        Ok(Body { document, answer })
    }

    #[test]
    fn a_page_is_taken_apart_as_bytes() {
        let text =
            r#"{"value":[{"id":1},{"n":18446744073709551616}],"@odata.nextLink":"https:\/\/g\/2"}"#;
        let body = body(text).expect("JSON");
        let page = body.open().expect("a page");
        assert_eq!(
            page.records,
            [r#"{"id":1}"#, r#"{"n":18446744073709551616}"#]
        );
        assert_eq!(page.next.as_deref(), Some("https://g/2"));
        assert_eq!(text_of(r#"{"a":"x","b":1}"#, "a").as_deref(), Some("x"));
        assert_eq!(text_of(r#"{"a":"x","b":1}"#, "b"), None);
    }

    #[test]
    fn a_body_without_records_is_a_bad_response() {
        for text in [
            r#"{"value":{}}"#,
            r#"{"items":[]}"#,
            "[]",
            "7",
            "{\"value\":",
            "",
        ] {
            let failure = body(text)
                .and_then(|body| body.open().map(|_| ()))
                .expect_err(text);
            assert_eq!(failure.kind(), ErrorKind::BadResponse, "{text}");
            assert!(
                failure
                    .message()
                    .starts_with("GET https://graph.test/v1.0/x: ")
            );
        }
        let none = body(r#"{"value":[],"@odata.nextLink":null}"#).expect("JSON");
        let page = none.open().expect("a page");
        assert!(page.records.is_empty() && page.next.is_none());
    }
}
