//! Audit log queries of Graph: a query is created, runs at the service, and its records are read
//! page by page.
//!
//! `ops` decides how long a query is awaited and how many records are read.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::json::Document;
use crate::json::document::{Member, members};
use crate::microsoft::TimeWindow;
use crate::microsoft::graph::Graph;
use crate::microsoft::graph::alerts::{ApiVersion, Body as PageBody};
use crate::microsoft::search::{AUDITING_OFF, FoundRecord, SearchFilter};
use crate::net::message::{append_path, with_query};
use crate::net::{ApiResponse, Body};
use crate::protocol::{Detail, ErrorKind, Failure};
use crate::when::rfc3339;

/// The maximum number of records of a page.
pub const PAGE: usize = 999;

/// The least privileged permission for all workloads.
pub const PERMISSION: &str = "AuditLogsQuery.Read.All";

/// A query at the service.
#[derive(Debug, Deserialize)]
pub struct Query {
    /// Its id.
    pub id: String,
    /// Its status.
    #[serde(default)]
    pub status: Option<String>,
}

/// Where a query stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryStatus {
    /// Not started, running, or a status that this version does not know.
    Running,
    /// Its records can be read.
    Succeeded,
    /// It failed at the service.
    Failed,
    /// It was cancelled at the service.
    Cancelled,
}

impl Query {
    /// Its status.
    pub fn status(&self) -> QueryStatus {
        match self.status.as_deref() {
            Some("succeeded") => QueryStatus::Succeeded,
            Some("failed") => QueryStatus::Failed,
            Some("cancelled") => QueryStatus::Cancelled,
            _ => QueryStatus::Running,
        }
    }
}

/// A page of records.
#[derive(Debug)]
pub struct RecordsPage {
    /// The records.
    pub records: Vec<FoundRecord>,
    /// The link to the next page.
    pub next: Option<String>,
    /// The number of all records, if the service reports it.
    pub count: Option<usize>,
}

fn queries(graph: &Url, version: ApiVersion) -> Url {
    let path = [version.segment(), "security", "auditLog", "queries"];
    append_path(graph, path)
}

/// The address of a query's first page.
pub fn records_url(graph: &Url, version: ApiVersion, id: &str, page_size: usize) -> Url {
    let url = append_path(&queries(graph, version), [id, "records"]);
    let top = page_size.clamp(1, PAGE).to_string();
    with_query(url, &[("$top", &top), ("$count", "true")])
}

/// Creates a query.
pub async fn create(
    graph: &Graph<'_>,
    version: ApiVersion,
    window: &TimeWindow,
    filter: &SearchFilter,
) -> Result<Query, Failure> {
    let body = Body::Json(definition(window, filter).to_string());
    let url = queries(graph.address(), version);
    let answer = graph.post(url, body).await.map_err(explained)?;
    query(&answer)
}

/// The query with its present status.
pub async fn status(graph: &Graph<'_>, version: ApiVersion, id: &str) -> Result<Query, Failure> {
    let url = append_path(&queries(graph.address(), version), [id]);
    let answer = graph.get(url).await.map_err(explained)?;
    query(&answer)
}

/// Deletes a query whose records were read. Microsoft documents no deletion, so a refusal is not a
/// failure.
pub async fn delete(graph: &Graph<'_>, version: ApiVersion, id: &str) {
    let url = append_path(&queries(graph.address(), version), [id]);
    if let Err(failure) = graph.delete(url).await {
        tracing::debug!(why = %failure, "the query was not deleted");
    }
}

fn query(answer: &ApiResponse) -> Result<Query, Failure> {
    let query: Option<Query> = answer.object();
    let query = query.filter(|query| !query.id.is_empty());
    query.ok_or_else(|| answer.bad("the body is not a query with an id."))
}

/// The records of a page.
pub fn records(page: &PageBody) -> Result<RecordsPage, Failure> {
    let parts = page.open()?;
    let count = members(page.document().text()).unwrap_or_default();
    let count = count.iter().find(|member| member.name() == "@odata.count");
    Ok(RecordsPage {
        records: parts
            .records
            .iter()
            .filter_map(|record| found(record))
            .collect(),
        next: parts.next,
        count: count.and_then(|count| serde_json::from_str(count.value()).ok()),
    })
}

/// The audit record in `auditData`, without Graph's annotations. A record without it is itself the
/// audit record.
fn found(record: &str) -> Option<FoundRecord> {
    let own = members(record).unwrap_or_default();
    let data = own.iter().rfind(|member| member.name() == "auditData");
    let data = data.map(Member::value);
    let data = data.filter(|data| data.starts_with('{')).unwrap_or(record);
    let mut text = String::with_capacity(data.len());
    for member in members(data).unwrap_or_default() {
        if member.name().to_ascii_lowercase().ends_with("@odata.type") {
            continue;
        }
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push_str(&Value::from(&*member.name()).to_string());
        text.push(':');
        text.push_str(member.value());
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    // Parts of a valid document are valid.
    let document = Document::from_compact(text)
        .or_else(|_| Document::parse(record))
        .ok()?;
    let mut found = FoundRecord::new(document);
    if found.id.is_empty() {
        let id = own.iter().rfind(|member| member.name() == "id");
        let id = id.and_then(|id| serde_json::from_str(id.value()).ok());
        found.id = id.unwrap_or_default();
    }
    Some(found)
}

/// The definition of a query.
fn definition(window: &TimeWindow, filter: &SearchFilter) -> Value {
    let time = |time: DateTime<Utc>| rfc3339(time);
    let mut whole = json!({
        "@odata.type": "#microsoft.graph.security.auditLogQuery",
        "displayName": "soarhost",
        "filterStartDateTime": time(window.start),
        "filterEndDateTime": time(window.end),
    });
    if let Some(names) = &filter.record_type {
        whole["recordTypeFilters"] = json!([names.graph]);
    }
    if let Some(text) = &filter.free_text {
        whole["keywordFilter"] = json!(text);
    }
    for (name, values) in [
        ("ipAddressFilters", &filter.ip_addresses),
        ("operationFilters", &filter.operations),
        ("userPrincipalNameFilters", &filter.users),
    ] {
        if !values.is_empty() {
            whole[name] = json!(values);
        }
    }
    whole
}

/// Adds cause and advice that are special to audit log queries.
fn explained(failure: Failure) -> Failure {
    if failure.message().contains("AuditingDisabledTenant") {
        return failure
            .rule(AUDITING_OFF)
            .cause("Auditing is turned off in this directory, so there are no records.")
            .advice("Turn on auditing for the directory. Only later events are recorded.");
    }
    match failure.kind() {
        ErrorKind::Forbidden if failure.detail() != Some(Detail::StatedReason) => failure
            .advice(format!("Grant {PERMISSION} (application) of Microsoft Graph and give admin consent.")),
        ErrorKind::Rejected | ErrorKind::Unavailable if failure.http_status() == Some(404) => failure
            .cause("The service does not know the query, or does not have queries in this version or cloud.")
            .advice("Search with Exchange Online. If the request had a `state`, the service can have deleted the query: search again without it."),
        _ => failure,
    }
}
