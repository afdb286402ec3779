//! Exchange Online: `Search-UnifiedAuditLog` at the endpoint of its PowerShell module.
//!
//! Has the request, its pages and the error responses. `ops` decides which searches are sent and how
//! they are repaired.

mod error;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::json::Document;
use crate::microsoft::search::{FoundRecord, SearchFilter};
use crate::microsoft::{Connection, TimeWindow};
use crate::net::message::append_path;
use crate::net::{Access, ApiRequest, Auth, Body, Caller, Links, TokenProvider};
use crate::protocol::Failure;
use crate::when::instant;

pub use error::is_stale_link;

/// The maximum number of rows of a page.
pub const PAGE: usize = 5_000;

/// The maximum number of rows of a session, sorted and unsorted.
pub const SORTED_ROWS: usize = 5_000;
/// The maximum number of unsorted rows of a session.
pub const UNSORTED_ROWS: usize = 50_000;

/// The mailbox that routes the requests of an application.
const SYSTEM_MAILBOX: &str = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}";

/// The client of Exchange Online for one run.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    caller: &'a Caller,
    tokens: &'a dyn TokenProvider,
    connection: &'a Connection,
}

/// A session: repeating its request returns page after page.
#[derive(Debug)]
pub struct Session<'a> {
    /// The filters.
    pub filter: &'a SearchFilter,
    /// The window.
    pub window: &'a TimeWindow,
    /// The session's id.
    pub id: String,
    /// Newest first, at most [`SORTED_ROWS`] in total. Otherwise in no order.
    pub sorted: bool,
    /// The rows of a page, at most [`PAGE`].
    pub page_size: usize,
}

/// A page of a session.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// The link to further rows of the page expired.
    pub truncated: bool,
}

/// A row of a page.
#[derive(Debug)]
pub struct Row {
    /// The number of the row in its session, from 1; -1 if the search timed out.
    pub index: i64,
    /// The number of all rows of the search. Some tenants return that of the page.
    pub count: i64,
    /// The record; none if it cannot be read.
    pub found: Option<FoundRecord>,
}

#[derive(Deserialize)]
struct Answer {
    value: Vec<Value>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

impl<'a> Exchange<'a> {
    /// Exchange Online of this connection.
    pub fn new(
        caller: &'a Caller,
        tokens: &'a dyn TokenProvider,
        connection: &'a Connection,
    ) -> Self {
        Exchange {
            caller,
            tokens,
            connection,
        }
    }

    /// The next page of a session. An empty page is the last one.
    pub async fn page(&self, session: &Session<'_>) -> Result<Page, Failure> {
        let audience = &self.connection.cloud.audiences.exchange;
        let token = self.tokens.token(audience);
        let deadline = self.caller.deadline();
        let token = deadline.race("the sign-in", token).await?;
        // The token names the directory of a person.
        let tenant = token.tenant.as_deref().unwrap_or(&self.connection.tenant);
        let path = ["adminapi", "beta", tenant, "InvokeCommand"];
        let mut url = append_path(&self.connection.cloud.exchange, path);
        let mut links = Links::new(&url);
        links.visited(&url);
        let mut page = Page::default();
        loop {
            let request = ApiRequest::post("exchange", url)
                .json()
                // A search changes nothing.
                .repeatable()
                .header("Prefer", format!("odata.maxpagesize={PAGE}"))
                .header("X-CmdletName", "Search-UnifiedAuditLog")
                .header("X-ResponseFormat", "json")
                .header("X-AnchorMailbox", self.anchor(tenant))
                .body(Body::Json(body(session)));
            let access = Access {
                auth: Auth::Bearer(self.tokens, audience),
                classify: error::classify,
            };
            let response = match self.caller.send(request, access).await {
                Err(failure) if is_stale_link(&failure) => {
                    page.truncated = true;
                    return Ok(page);
                }
                other => other?,
            };
            let answer: Answer = response
                .object()
                .ok_or_else(|| response.bad("the body has no rows."))?;
            for row in answer.value {
                page.rows.push(Row::read(&row));
            }
            match answer.next {
                Some(link) => url = links.follow(&link)?,
                None => return Ok(page),
            }
        }
    }

    /// The routing hint: the mailbox of the person, or one of the directory.
    fn anchor(&self, tenant: &str) -> String {
        match self.connection.user() {
            Some(user) => format!("UPN:{user}"),
            None => format!("APP:{SYSTEM_MAILBOX}@{tenant}"),
        }
    }
}

impl Row {
    /// Reads a row of a response. Members of another type than expected count as missing.
    fn read(row: &Value) -> Self {
        let text = |name: &str| row[name].as_str();
        let number = |name: &str| {
            let number = row[name].as_i64();
            number.or_else(|| text(name)?.trim().parse().ok())
        };
        let record = text("AuditData").and_then(|text| Document::parse(text).ok());
        let record = record.filter(|record| record.text().starts_with('{'));
        let found = record.map(|record| {
            let mut found = FoundRecord::new(record);
            if found.id.is_empty() {
                text("Identity")
                    .unwrap_or_default()
                    .clone_into(&mut found.id);
            }
            found.time = found.time.or_else(|| instant(text("CreationDate")?, &[]));
            found
        });
        Row {
            index: number("ResultIndex").unwrap_or_default(),
            count: number("ResultCount").unwrap_or_default(),
            found,
        }
    }
}

/// The command and its parameters.
fn body(session: &Session<'_>) -> String {
    let Session {
        filter,
        window,
        sorted,
        ..
    } = session;
    let time = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut parameters = Map::from_iter([
        ("StartDate".to_owned(), time(window.start).into()),
        ("EndDate".to_owned(), time(window.end).into()),
        ("SessionId".to_owned(), session.id.as_str().into()),
        ("ResultSize".to_owned(), session.page_size.into()),
    ]);
    let command = if *sorted {
        "ReturnNextPreviewPage"
    } else {
        "ReturnLargeSet"
    };
    let mut set = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
    set("SessionCommand", command.into());
    if let Some(text) = &filter.free_text {
        set("FreeText", text.as_str().into());
    }
    if let Some(names) = &filter.record_type {
        set("RecordType", names.exchange.as_str().into());
    }
    for (name, values) in [
        ("IPAddresses", &filter.ip_addresses),
        ("Operations", &filter.operations),
        ("UserIds", &filter.users),
    ] {
        if !values.is_empty() {
            set(name, values.clone().into());
        }
    }
    let command = json!({ "CmdletName": "Search-UnifiedAuditLog", "Parameters": parameters });
    json!({ "CmdletInput": command }).to_string()
}
