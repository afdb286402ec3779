//! Audit-log queries: create, status, list, records, delete. A request is checked in this order:
//! version, permission, method, body, number of unfinished queries.
//!
//! How long a query takes and how it ends is said by the world.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{JSON, Refused, refused};
use crate::sim::context::Context;
use crate::sim::data::audit_log::{AuditFilter, AuditRecord, parse_time, record_type};
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::{Route, Service};
use crate::sim::world::audit_queries::{AuditQueries, DeleteQuery, Outcome};

/// The permissions to search one workload: the workload's name in the permission and in records.
const WORKLOADS: [(&str, &str); 6] = [
    ("Exchange", "Exchange"),
    ("OneDrive", "OneDrive"),
    ("SharePoint", "SharePoint"),
    ("Endpoint", "Endpoint"),
    ("CRM", "CRM"),
    ("Entra", "AzureActiveDirectory"),
];

/// The lists of a query, and the number of records of a page without `$top`, which is a guess.
const LISTS: [&str; 7] = [
    "recordTypeFilters",
    "serviceFilters",
    "operationFilters",
    "userPrincipalNameFilters",
    "ipAddressFilters",
    "objectIdFilters",
    "administrativeUnitIdFilters",
];
const DEFAULT_PAGE_SIZE: usize = 100;

/// A query.
struct AuditQuery {
    id: String,
    tenant: String,
    /// The members of the request.
    request: Map<String, Value>,
    filter: AuditFilter,
    created: DateTime<Utc>,
    /// The number of status requests.
    polls: u64,
}

impl AuditQuery {
    fn status(&self, world: &AuditQueries, now: DateTime<Utc>) -> &'static str {
        let running = self.polls.saturating_sub(world.not_started_polls);
        let lasts = (now - self.created).num_seconds() < i64::from(world.running_seconds);
        if self.polls < world.not_started_polls {
            "notStarted"
        } else if running < world.running_polls || lasts {
            "running"
        } else {
            match world.outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Failed => "failed",
                Outcome::Cancelled => "cancelled",
                Outcome::Never => "running",
            }
        }
    }

    fn is_unfinished(&self, world: &AuditQueries, now: DateTime<Utc>) -> bool {
        ["notStarted", "running"].contains(&self.status(world, now))
    }

    fn json(&self, status: &str) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("id".to_owned(), json!(self.id));
        members.extend(self.request.clone());
        members.insert("status".to_owned(), json!(status));
        members
    }
}

/// The queries of all tenants.
pub(super) struct AuditQueryStore {
    context: Arc<Context>,
    queries: Mutex<Vec<AuditQuery>>,
}

impl AuditQueryStore {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            queries: Mutex::default(),
        }
    }

    pub(super) fn answer(&self, call: &Call, claims: &Claims) -> Result<Answer, Refused> {
        let world = &self.context.world.audit_queries;
        if world.beta_only && call.segment(0).eq_ignore_ascii_case("v1.0") {
            return Err(refused("not_found", &[]));
        }
        let workloads = workloads(claims)?;
        match (call.route, call.method.as_str()) {
            (Route::GraphAuditQueries, "POST") => self.create(call, claims, workloads),
            (Route::GraphAuditQueries, "GET") => Ok(self.list(call, claims)),
            (Route::GraphAuditQuery, "GET") => self.status(call, claims),
            (Route::GraphAuditQuery, "DELETE") => self.delete(call, claims),
            (Route::GraphAuditRecords, "GET") => self.records(call, claims),
            _ => Err(refused("method", &[])),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AuditQuery>> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(
        &self,
        call: &Call,
        claims: &Claims,
        workloads: Vec<String>,
    ) -> Result<Answer, Refused> {
        let known = self.context.world.tenant(&claims.tid);
        if known.is_some_and(|tenant| !tenant.audit_enabled) {
            return Err(refused("auditing_disabled", &[]));
        }
        let (request, filter) = read(&call.body)?;
        let (world, now) = (&self.context.world.audit_queries, self.context.now());
        let mut queries = self.lock();
        let own = queries.iter().filter(|query| query.tenant == claims.tid);
        if own.filter(|query| query.is_unfinished(world, now)).count() >= world.concurrent {
            return Err(refused("too_many_queries", &[]));
        }
        let narrowed = if filter.workloads.is_empty() {
            workloads
        } else {
            filter.workloads
        };
        let query = AuditQuery {
            id: self.context.id_of("audit query", call),
            tenant: claims.tid.clone(),
            request,
            filter: AuditFilter {
                workloads: narrowed,
                ..filter
            },
            created: now,
            polls: 0,
        };
        let body = entity(call, "/$entity", query.json("notStarted"));
        queries.push(query);
        Ok(Answer::new(201, body).with("Content-Type", JSON))
    }

    fn list(&self, call: &Call, claims: &Claims) -> Answer {
        let (world, now) = (&self.context.world.audit_queries, self.context.now());
        let queries = self.lock();
        let own = queries.iter().filter(|query| query.tenant == claims.tid);
        let all: Vec<_> = own
            .map(|query| query.json(query.status(world, now)))
            .collect();
        let mut members = Map::new();
        members.insert("value".to_owned(), json!(all));
        Answer::new(200, entity(call, "", members)).with("Content-Type", JSON)
    }

    fn status(&self, call: &Call, claims: &Claims) -> Result<Answer, Refused> {
        let (world, now) = (&self.context.world.audit_queries, self.context.now());
        let mut queries = self.lock();
        let at = place(&queries, call, claims)?;
        let status = queries[at].status(world, now);
        queries[at].polls += 1;
        let body = entity(call, "/$entity", queries[at].json(status));
        Ok(Answer::new(200, body).with("Content-Type", JSON))
    }

    fn delete(&self, call: &Call, claims: &Claims) -> Result<Answer, Refused> {
        let mut queries = self.lock();
        let at = place(&queries, call, claims)?;
        match self.context.world.audit_queries.delete {
            DeleteQuery::Unsupported => Err(refused("method", &[])),
            DeleteQuery::Forbidden => Err(refused("delete_forbidden", &[])),
            DeleteQuery::Allowed => {
                queries.remove(at);
                Ok(Answer::new(204, String::new()))
            }
        }
    }

    /// A page of records; none until the query has succeeded.
    fn records(&self, call: &Call, claims: &Claims) -> Result<Answer, Refused> {
        let (world, now) = (&self.context.world.audit_queries, self.context.now());
        let queries = self.lock();
        let query = &queries[place(&queries, call, claims)?];
        let number = |name: &str| match call.parameter(name).map(str::parse) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(refused("link_400", &[])),
        };
        let start: usize = number("$skiptoken")?.unwrap_or(0);
        let size = number("$top")?.unwrap_or(DEFAULT_PAGE_SIZE);
        let size = size.clamp(1, world.page_size);
        let tenant = claims.tid.to_ascii_lowercase();
        let of = self.context.record_context(&tenant, false);
        let mut found = self
            .context
            .audit_log
            .find(&of, query.created, &query.filter);
        if query.status(world, now) != "succeeded" {
            found.clear();
        }
        found.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        let mut members = Map::new();
        if call.parameter("$count") == Some("true") {
            members.insert("@odata.count".to_owned(), json!(found.len()));
        }
        let end = start.saturating_add(size);
        if end < found.len() {
            let base = self.context.address(Service::Graph);
            let link = format!("{base}{}?$top={size}&$skiptoken={end}", call.path);
            members.insert("@odata.nextLink".to_owned(), json!(link));
        }
        let page = found.iter().skip(start).take(size);
        let page: Vec<Value> = page.map(|found| record(found)).collect();
        members.insert("value".to_owned(), json!(page));
        let body = entity(call, &format!("('{}')/records", query.id), members);
        Ok(Answer::new(200, body).with("Content-Type", JSON))
    }
}

/// The workloads that a token may search; empty for all.
fn workloads(claims: &Claims) -> Result<Vec<String>, Refused> {
    let held: Vec<&str> = claims.permissions().collect();
    if held.contains(&"AuditLogsQuery.Read.All") {
        return Ok(vec![]);
    }
    let own = WORKLOADS.into_iter().filter(|(name, _)| {
        let permission = format!("AuditLogsQuery-{name}.Read.All");
        held.contains(&permission.as_str())
    });
    let own: Vec<String> = own.map(|(_, workload)| workload.to_owned()).collect();
    if own.is_empty() {
        return Err(refused("audit_permission", &[&held.join(",")]));
    }
    Ok(own)
}

fn place(queries: &[AuditQuery], call: &Call, claims: &Claims) -> Result<usize, Refused> {
    let id = call.segment(4);
    let own = |query: &AuditQuery| query.id == id && query.tenant == claims.tid;
    let found = queries.iter().position(own);
    found.ok_or_else(|| refused("alert_missing", &[&id]))
}

/// The members of a request, and what it looks for.
fn read(body: &str) -> Result<(Map<String, Value>, AuditFilter), Refused> {
    let request: Option<Map<String, Value>> = serde_json::from_str(body).ok();
    let mut request = request.ok_or_else(|| refused("query_body", &[]))?;
    request.retain(|name, _| name != "@odata.type");
    let mut filter = AuditFilter::default();
    for (name, value) in &request {
        match name.as_str() {
            "filterStartDateTime" => filter.start = time(name, value)?,
            "filterEndDateTime" => filter.end = time(name, value)?,
            "keywordFilter" => value
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut filter.text),
            "serviceFilter" => filter.workloads.extend(value.as_str().map(str::to_owned)),
            "displayName" => {}
            _ if LISTS.contains(&name.as_str()) => set_list(&mut filter, name, value)?,
            _ => return Err(refused("query_member", &[name])),
        }
    }
    for name in ["filterStartDateTime", "filterEndDateTime"] {
        time(name, &request.get(name).cloned().unwrap_or_default())?;
    }
    Ok((request, filter))
}

fn set_list(filter: &mut AuditFilter, name: &str, value: &Value) -> Result<(), Refused> {
    let texts = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<String> = texts
        .iter()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect();
    match name {
        "recordTypeFilters" if !texts.is_empty() => {
            let types = texts.iter().map(|name| request_record_type(name));
            filter.record_types = Some(types.collect::<Result<_, _>>()?);
        }
        "serviceFilters" => filter.workloads.extend(texts),
        "operationFilters" => filter.operations = texts,
        "userPrincipalNameFilters" => filter.users = texts,
        "ipAddressFilters" => filter.ips = texts,
        "objectIdFilters" => filter.objects = texts,
        // Records have no administrative units, so nothing is found; an empty list allows all.
        "administrativeUnitIdFilters" if !texts.is_empty() => filter.record_types = Some(vec![]),
        _ => {}
    }
    Ok(())
}

/// A record type of a request, whose names begin with a lower-case letter.
fn request_record_type(name: &str) -> Result<i64, Refused> {
    let camel = name.starts_with(|first: char| first.is_ascii_lowercase());
    let number = record_type(name).filter(|_| camel);
    number.ok_or_else(|| refused("query_record_type", &[name]))
}

/// A time, in UTC if it has no zone.
fn time(name: &str, value: &Value) -> Result<DateTime<Utc>, Refused> {
    let found = value.as_str().and_then(parse_time);
    found.ok_or_else(|| refused("query_time", &[name]))
}

fn record(found: &AuditRecord) -> Value {
    let data: Map<String, Value> = serde_json::from_str(&found.text).unwrap_or_default();
    let mut audit_data = Map::new();
    let kind = "#microsoft.graph.security.defaultAuditData";
    audit_data.insert("@odata.type".to_owned(), json!(kind));
    audit_data.extend(data);
    json!({
        "id": found.id,
        "createdDateTime": found.created.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "auditLogRecordType": found.record_type_name(),
        "operation": found.operation,
        "organizationId": audit_data.get("OrganizationId"),
        "userType": found.user_type_name(),
        "userId": found.user,
        "service": found.workload,
        "objectId": found.object,
        "userPrincipalName": found.user,
        "clientIp": found.ip,
        "administrativeUnits": [""],
        "auditData": audit_data,
    })
}

/// A body with the context before its members.
fn entity(call: &Call, below: &str, members: Map<String, Value>) -> String {
    let version = call.segment(0).to_ascii_lowercase();
    let address = "https://graph.microsoft.com";
    let context = format!("{address}/{version}/$metadata#security/auditLog/queries{below}");
    let mut body = Map::new();
    body.insert("@odata.context".to_owned(), json!(context));
    body.extend(members);
    Value::Object(body).to_string()
}

#[cfg(test)]
mod tests;
