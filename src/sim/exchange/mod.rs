//! Commands of Exchange Online: `Search-UnifiedAuditLog` at the admin endpoint of the PowerShell
//! module. It is not a documented API, so most of this follows what open-source clients report.
//!
//! A request is checked in this order: path, token and application permission (401), directory role
//! and command (403), method, routing hint, parameters.

mod search;
mod session;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::sim::context::Context;
use crate::sim::data::audit_log::AuditRecord;
use crate::sim::error_table::{ErrorEntry as Refused, ErrorTable};
use crate::sim::exchange::search::Search;
use crate::sim::exchange::session::{Page, Sessions};
use crate::sim::ids::is_guid;
use crate::sim::login::tokens::{Claims, Resource};
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::{Route, Service};
use crate::sim::world::exchange::ForbiddenBody;

/// The permissions of which one is needed: of an app, of a user.
const PERMISSIONS: [&str; 2] = ["Exchange.ManageAsApp", "Exchange.Manage"];

/// The only command.
const COMMAND: &str = "Search-UnifiedAuditLog";

/// The routing hint of an app, before its tenant.
const SYSTEM_MAILBOX: &str = "APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@";

/// The warning of a search that has failed without an error.
const WARNING: &str = "Failed to process request. Exception: A task was canceled.";

static ERRORS: LazyLock<ErrorTable> =
    LazyLock::new(|| ErrorTable::parse(include_str!("errors.json")));

/// The error with this id.
fn refused(id: &str, arguments: &[&str]) -> Refused {
    ERRORS.entry(id, arguments)
}

/// The Exchange service.
pub(super) struct Exchange {
    context: Arc<Context>,
    sessions: Mutex<Sessions>,
}

impl Exchange {
    /// The service.
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            sessions: Mutex::new(Sessions::new(&context.world.exchange)),
            context,
        }
    }

    /// Processes a request.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        let answer = self.serve(call).unwrap_or_else(|refused| error(&refused));
        answer
            .with("Cache-Control", "no-cache, no-store")
            .with("request-id", self.context.id_of("request", call))
    }

    fn serve(&self, call: &Call) -> Result<Answer, Refused> {
        if call.route == Route::Unknown {
            return Ok(Answer::new(404, String::new()));
        }
        let claims = self.context.claims(call, Resource::Exchange).ok();
        let Some(claims) = claims.filter(|claims| self.permits(call, claims)) else {
            let challenge = "Bearer client_id=\"00000002-0000-0ff1-ce00-000000000000\"";
            return Ok(Answer::new(401, String::new()).with("WWW-Authenticate", challenge));
        };
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let input = &body["CmdletInput"];
        let name = input["CmdletName"].as_str();
        let unknown = name.is_some_and(|name| !name.eq_ignore_ascii_case(COMMAND));
        if !self.context.world.exchange.directory_role || unknown {
            let body = match self.context.world.exchange.forbidden_body {
                ForbiddenBody::Nul => "\0".repeat(512),
                ForbiddenBody::Empty => String::new(),
            };
            return Ok(Answer::new(403, body));
        }
        if call.method != "POST" {
            return Ok(Answer::new(405, String::new()).with("Allow", "POST"));
        }
        self.check_anchor(call, &claims)?;
        let parameters = input["Parameters"].as_object().filter(|_| name.is_some());
        let parameters = parameters.ok_or_else(|| refused("body", &[]))?;
        let search = Search::read(parameters, self.context.now())?;
        self.search(call, &claims, &search)
    }

    /// Whether a token has a permission, and its tenant is the one of the path.
    fn permits(&self, call: &Call, claims: &Claims) -> bool {
        let name = call.segment(2);
        let tenant = match self.context.world.tenant(&name) {
            Some(known) => known.id.clone(),
            None if is_guid(&name) => name,
            // The GUID that sign-in gives to a domain that is not listed.
            None => {
                let lower = name.to_ascii_lowercase();
                self.context.ids.guid(&["tenant", &lower])
            }
        };
        let mut held = claims.permissions();
        held.any(|held| PERMISSIONS.contains(&held)) && tenant.eq_ignore_ascii_case(&claims.tid)
    }

    fn check_anchor(&self, call: &Call, claims: &Claims) -> Result<(), Refused> {
        let given = call.header("x-anchormailbox").unwrap_or_default();
        let valid = match given.strip_prefix(SYSTEM_MAILBOX) {
            Some(tenant) => tenant.eq_ignore_ascii_case(&claims.tid),
            None => given.trim_start_matches("UPN:").contains('@'),
        };
        if valid || !self.context.world.exchange.needs_anchor {
            return Ok(());
        }
        Err(refused("anchor", &[]))
    }

    fn search(&self, call: &Call, claims: &Claims, search: &Search) -> Result<Answer, Refused> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.context.now();
        let link = call.parameter("$skiptoken");
        let mut page = if let Some(link) = link {
            let expired = self.context.world.exchange.expired_links;
            let page = sessions.follow(link, now).filter(|_| !expired);
            page.ok_or_else(|| refused("link", &[]))?
        } else {
            let tenant = claims.tid.to_ascii_lowercase();
            let key = search.key(&tenant, call.number);
            let of = self.context.record_context(&tenant, false);
            let find = || self.context.audit_log.find(&of, now, &search.filter);
            let page = sessions.next(&key, search, find)?;
            if page.out_of_range {
                let early = search.a_day_before();
                let early = self.context.audit_log.find(&of, now, &early);
                page.with_one_of(early)
            } else {
                page
            }
        };
        page.next = page.split(page_size(call)).map(|next| {
            let base = self.context.address(Service::Exchange);
            format!(
                "{base}{}?$skiptoken={}",
                call.path,
                sessions.keep(next, now)
            )
        });
        Ok(self.page(call, search, &page))
    }

    /// The response with a page.
    fn page(&self, call: &Call, search: &Search, page: &Page) -> Answer {
        let selected: Option<Vec<&str>> = call.parameter("$select").map(|s| s.split(',').collect());
        let runspace = self.context.id_of("runspace", call);
        let rows = page.rows.iter().map(|(index, record)| {
            let mut row = json!({
                "RunspaceId": runspace,
                "RecordType": record.record_type_name(),
                "CreationDate": record.created.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                "UserIds": record.user,
                "Operations": record.operation,
                "AuditData": audit_data(record, search.formatted),
                "ResultIndex": index,
                "ResultCount": page.count,
                "Identity": record.id,
                "IsValid": true,
                "ObjectState": "Unchanged",
            });
            if let (Some(names), Value::Object(members)) = (&selected, &mut row) {
                members.retain(|name, _| names.contains(&name.as_str()));
            }
            row
        });
        let address = format!(
            "https://outlook.office365.com/adminapi/beta/{}",
            call.segment(2)
        );
        let warnings = page.warning.then_some(WARNING);
        let mut body = json!({
            "@odata.context":
                format!("{address}/$metadata#Collection(Exchange.GenericHashTable)"),
            "adminapi.warnings@odata.type": "#Collection(String)",
            "@adminapi.warnings": warnings.into_iter().collect::<Vec<_>>(),
            "value": rows.collect::<Vec<_>>(),
        });
        if let Some(next) = &page.next {
            body["@odata.nextLink"] = json!(next);
        }
        let kind = "application/json; odata.metadata=minimal; charset=utf-8";
        Answer::new(200, body.to_string()).with("Content-Type", kind)
    }
}

/// The `AuditData` of a row. Formatted: with names of record type and user type, which is a guess.
fn audit_data(record: &AuditRecord, formatted: bool) -> String {
    if !formatted {
        return record.text.clone();
    }
    let mut value: Value = serde_json::from_str(&record.text).unwrap_or_default();
    value["RecordType"] = json!(record.record_type_name());
    value["UserType"] = json!(record.user_type_name());
    value.to_string()
}

/// The most rows of a response: `odata.maxpagesize` of the header `Prefer`.
fn page_size(call: &Call) -> usize {
    let wishes = call.header("prefer").unwrap_or_default().split([',', ';']);
    let mut sizes = wishes.filter_map(|wish| wish.trim().strip_prefix("odata.maxpagesize="));
    let size = sizes.find_map(|size| size.parse().ok());
    size.filter(|size| *size > 0).unwrap_or(usize::MAX)
}

/// An error has one of two shapes: only that of an unknown parameter has `details`, and only the
/// others have warnings. Its own text is always the same.
fn error(refused: &Refused) -> Answer {
    let outer = "Invalid Operation";
    let mut error = json!({
        "code": refused.code,
        "message": outer,
        "innererror": {
            "message": outer,
            "type": "Microsoft.Exchange.Admin.OData.Core.ODataServiceException",
            "stacktrace": "",
            "internalexception":
                {"message": refused.text, "type": refused.error, "stacktrace": ""},
        },
    });
    if refused.error.ends_with("AmbiguousParameterSetException") {
        let message = format!("|{}|{}", refused.error, refused.text);
        error["details"] = json!([{"code": "Client", "target": "", "message": message}]);
    } else {
        error["adminapi.warnings@odata.type"] = json!("#Collection(String)");
        error["@adminapi.warnings"] = json!([]);
    }
    Answer::new(refused.status, json!({ "error": error }).to_string())
        .with("Content-Type", "application/json; charset=utf-8")
}
