//! `alerts_v2`: the query, its pages and their links.
//!
//! The records of a page are slices of its body. `ops` decides how many pages are read, and what a
//! failed page means.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::json::Document;
use crate::json::ParseError;
use crate::json::document::{elements, members};
use crate::microsoft::graph::Graph;
use crate::net::ApiResponse;
use crate::net::message::{append_path, with_query};
use crate::protocol::Failure;
use crate::when::{instant, rfc3339};

/// The maximum number of records on a page.
pub const PAGE_SIZE: u64 = 1000;

/// The member with the link to the next page.
pub const NEXT_LINK: &str = "@odata.nextLink";

/// The member with the records.
pub const ITEMS: &str = "value";

/// The version of Graph, a segment of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The stable version.
    #[default]
    #[serde(rename = "v1.0")]
    V1,
    /// The preview version.
    #[serde(rename = "beta")]
    Beta,
}

impl ApiVersion {
    /// The segment of the path.
    pub fn segment(self) -> &'static str {
        match self {
            ApiVersion::V1 => "v1.0",
            ApiVersion::Beta => "beta",
        }
    }
}

/// The time property that a window applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TimeField {
    /// The last update. Updated alerts are returned again.
    #[default]
    LastUpdateDateTime,
    /// The creation. Every alert is returned once.
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

/// The sort order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// A query for alerts.
#[derive(Clone, Debug)]
pub struct Query {
    /// The version of Graph.
    pub version: ApiVersion,
    /// The time property to filter and sort by.
    pub time: TimeField,
    /// The start, inclusive.
    pub from: DateTime<Utc>,
    /// The end, exclusive.
    pub to: Option<DateTime<Utc>>,
    /// The sort order.
    pub order: Order,
    /// An additional condition.
    pub condition: Option<String>,
    /// Records per page, at most [`PAGE_SIZE`].
    pub page_size: u64,
}

impl Query {
    /// The address of the first page.
    pub fn url(&self, graph: &Url) -> Url {
        let direction = match self.order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        let order = format!("{} {direction}", self.time.name());
        let top = self.page_size.clamp(1, PAGE_SIZE).to_string();
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
        let lower = format!("{field} ge {}", seven_digits(self.from));
        let upper = self.to.map(|to| format!("{field} lt {}", seven_digits(to)));
        let condition = self.condition.as_ref().map(|text| format!("({text})"));
        let parts = [Some(lower), upper, condition].into_iter().flatten();
        parts.collect::<Vec<_>>().join(" and ")
    }
}

/// The precision of the service's times.
pub const TICK: TimeDelta = TimeDelta::nanoseconds(100);

/// The time, truncated to the precision of the service's times.
pub fn whole_ticks(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TICK).unwrap_or(time)
}

/// Formats a time with the precision of the service: up to seven digits of a second.
fn seven_digits(time: DateTime<Utc>) -> String {
    if time.timestamp_subsec_nanos().is_multiple_of(1_000_000) {
        return rfc3339(time);
    }
    let ticks = time.timestamp_subsec_nanos() / 100;
    let fraction = format!("{ticks:07}");
    let fraction = fraction.trim_end_matches('0');
    format!("{}.{fraction}Z", time.format("%Y-%m-%dT%H:%M:%S"))
}

fn collection(graph: &Url, version: ApiVersion) -> Url {
    append_path(graph, [version.segment(), "security", "alerts_v2"])
}

/// One page as received.
#[derive(Clone, Debug)]
pub struct Body {
    document: Document,
    answer: ApiResponse,
}

/// The parts of one page.
#[derive(Debug)]
pub struct Page<'a> {
    /// The records, as received.
    pub records: Vec<&'a str>,
    /// The link to the next page.
    pub next: Option<String>,
}

/// Requests one page. [`Body::open`] checks it.
pub async fn page(graph: &Graph<'_>, url: Url) -> Result<Body, Failure> {
    let mut answer = graph.get(url).await?;
    let document = answer.document()?;
    answer.body = Vec::new();
    Ok(Body { document, answer })
}

impl Body {
    /// The page as a document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Splits the page into its parts. If a member is repeated, the last one counts. Errors:
    /// `bad_response` if a documented member is missing.
    pub fn open(&self) -> Result<Page<'_>, Failure> {
        let unreadable = |error: ParseError| {
            let message = format!("the body cannot be parsed: {error}.");
            self.answer.bad(&message)
        };
        if !self.document.text().starts_with('{') {
            return Err(self.answer.bad("the body is not an object."));
        }
        let (mut records, mut next): (_, Option<String>) = (None, None);
        for member in members(self.document.text()).map_err(unreadable)? {
            match &*member.name() {
                ITEMS => records = Some(member.value()),
                // An invalid link must not count as the last page.
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
            next,
        })
    }
}

/// The properties that identify an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The time that the listing is sorted by. `None` if it is missing or invalid.
    pub time: Option<DateTime<Utc>>,
    /// The id and the time as received. `None` if the id is missing or not text: then only the
    /// content identifies the alert.
    pub name: Option<String>,
}

/// Reads the properties that identify an alert. If a member is repeated, the last one counts.
pub fn identity(record: &str, field: TimeField) -> Identity {
    let found = members(record).unwrap_or_default();
    let text = |name: &str| -> Option<String> {
        let value = found.iter().rfind(|known| known.name() == name)?;
        serde_json::from_str(value.value()).ok()
    };
    let time = text(field.name());
    let id = text("id").filter(|id| !id.is_empty());
    Identity {
        name: id.map(|id| format!("{id} {}", time.as_deref().unwrap_or_default())),
        time: time.and_then(|time| instant(&time, &[])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;
    use crate::protocol::ErrorKind;

    fn query() -> Query {
        let at = |text| instant(text, &[]).expect("a time");
        Query {
            version: ApiVersion::V1,
            time: TimeField::LastUpdateDateTime,
            from: at("2026-09-20 00:00"),
            to: Some(at("2026-09-20 01:00")),
            order: Order::Descending,
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
    fn window_is_half_open_and_newest_alerts_are_first() {
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
    fn condition_is_added_in_parentheses() {
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
    fn position_is_written_with_seven_digits_at_most() {
        let at = |text| instant(text, &[]).expect("a time");
        let query = Query {
            from: at("2026-01-14T09:20:00.116666789Z"),
            to: Some(at("2026-01-14T09:20:01.48Z")),
            order: Order::Ascending,
            ..query()
        };
        let sent = sent(&query);
        assert_eq!(
            sent[0].1,
            "lastUpdateDateTime ge 2026-01-14T09:20:00.1166667Z and lastUpdateDateTime lt 2026-01-14T09:20:01.480Z"
        );
        assert_eq!(sent[1].1, "lastUpdateDateTime asc");
    }

    #[test]
    fn identity_without_text_id_has_no_name() {
        let of = |record| identity(record, TimeField::LastUpdateDateTime);
        let time = "2026-01-14T09:20:00Z";
        let text = format!(r#"{{"id":"a","lastUpdateDateTime":"{time}"}}"#);
        let known = of(&text);
        assert_eq!(known.name, Some(format!("a {time}")));
        assert_eq!(known.time, instant(time, &[]));
        for record in [r#"{"id":1}"#, r#"{"id":null}"#, r#"{"id":""}"#, "{}", "[]"] {
            let unknown = of(record);
            assert_eq!((unknown.name, unknown.time), (None, None), "{record}");
        }
    }

    fn body(text: &str) -> Result<Body, Failure> {
        let answer = answer(200, text, &[]);
        let document = answer.document()?;
        Ok(Body { document, answer })
    }

    #[test]
    fn page_records_are_unchanged() {
        let text =
            r#"{"value":[{"id":1},{"n":18446744073709551616}],"@odata.nextLink":"https:\/\/g\/2"}"#;
        let body = body(text).expect("JSON");
        let page = body.open().expect("a page");
        assert_eq!(
            page.records,
            [r#"{"id":1}"#, r#"{"n":18446744073709551616}"#]
        );
        assert_eq!(page.next.as_deref(), Some("https://g/2"));
    }

    #[test]
    fn body_without_records_is_a_bad_response() {
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
