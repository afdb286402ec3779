//! Microsoft Graph: the list of security alerts and single alerts, read-only, and audit-log queries.
//! A request for alerts is checked in this order: token, path, method, application role, query
//! options.

pub(super) mod alerts;
mod audit_query;
pub(super) mod filter;
mod query;

use std::cmp::Reverse;
use std::sync::{Arc, LazyLock};

use serde_json::json;

use crate::sim::context::Context;
use crate::sim::error_table::{ErrorEntry as Refused, ErrorTable};
use crate::sim::graph::alerts::{Alert, AlertStore};
use crate::sim::graph::audit_query::AuditQueryStore;
use crate::sim::graph::query::QueryOptions;
use crate::sim::login::tokens::{Claims, Refusal, Resource};
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::{Route, Service};
use crate::sim::world::alerts::ListOrder;

const ROLES: [&str; 2] = ["SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"];

const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

const DIAGNOSTIC: &str = r#"{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5","ScaleUnit":"004","RoleInstance":"AM1PEPF0000"}}"#;

pub(super) struct Graph {
    context: Arc<Context>,
    records: AlertStore,
    audit_queries: AuditQueryStore,
}

static ERRORS: LazyLock<ErrorTable> =
    LazyLock::new(|| ErrorTable::parse(include_str!("errors.json")));

fn refused(id: &str, arguments: &[&str]) -> Refused {
    ERRORS.entry(id, arguments)
}

impl Graph {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            audit_queries: AuditQueryStore::new(Arc::clone(&context)),
            context,
            records: AlertStore::default(),
        }
    }

    pub(super) fn answer(&self, call: &Call) -> Answer {
        let answer = self
            .serve(call)
            .unwrap_or_else(|refused| self.error(call, &refused));
        let own = self.context.id_of("request", call);
        let echoed = call.header("client-request-id").unwrap_or(&own).to_owned();
        answer
            .with("Cache-Control", "no-cache")
            .with("Strict-Transport-Security", "max-age=31536000")
            .with("request-id", &own)
            .with("client-request-id", echoed)
            .with("x-ms-ags-diagnostic", DIAGNOSTIC)
    }

    fn serve(&self, call: &Call) -> Result<Answer, Refused> {
        let claims = self
            .context
            .claims(call, Resource::Graph)
            .map_err(unauthorized)?;
        if call.route == Route::Unknown {
            return Err(refused("not_found", &[]));
        }
        if call
            .path
            .to_ascii_lowercase()
            .contains("/security/auditlog/")
        {
            return self.audit_queries.answer(call, &claims);
        }
        if call.method != "GET" {
            return Err(refused("method", &[]));
        }
        permitted(&claims)?;
        let options = QueryOptions::read(&call.query)?;
        let body = if call.route == Route::GraphAlert {
            let records = self.records.of(&self.context, &claims.tid);
            one(call, &options, &records)?
        } else {
            self.expired(&options)?;
            let records = self.records.at(&self.context, &claims.tid, call.number);
            self.page(call, &options, &records)
        };
        Ok(Answer::new(200, body).with("Content-Type", JSON))
    }

    /// Rejects links to next pages if the world says that they expire.
    fn expired(&self, options: &QueryOptions) -> Result<(), Refused> {
        let status = self.context.world.alerts.expired_links;
        match status.filter(|_| options.followed) {
            None => Ok(()),
            Some(status) => Err(refused(&format!("link_{status}"), &[])),
        }
    }

    fn page(&self, call: &Call, options: &QueryOptions, records: &[Alert]) -> String {
        let found = ordered(options, records, self.context.world.alerts.order);
        let size = options.page_size(self.context.world.page_size);
        let end = options.start.saturating_add(size).min(found.len());
        let page = found.get(options.start..end).unwrap_or_default();
        let mut head = vec![context(call, options, "")];
        if options.count {
            head.push(format!("\"@odata.count\":{}", found.len()));
        }
        // Pages of size 0 would never end.
        if end < found.len() && size > 0 {
            head.push(format!(
                "\"@odata.nextLink\":{}",
                json!(self.link(call, options, end))
            ));
        }
        let json: Vec<_> = page
            .iter()
            .map(|record| record.json(options.select.as_deref(), newer(call)))
            .collect();
        format!("{{{},\"value\":[{}]}}", head.join(","), json.join(","))
    }

    fn link(&self, call: &Call, options: &QueryOptions, end: usize) -> String {
        let service = self.context.address(Service::Graph);
        let paging = self.context.world.alerts.paging;
        format!("{service}{}?{}", call.path, options.next(end, paging))
    }

    fn error(&self, call: &Call, refused: &Refused) -> Answer {
        let own = self.context.id_of("request", call);
        let body = json!({"error": {
            "code": refused.code,
            "message": refused.text,
            "innerError": {
                "date": self.context.now().format("%Y-%m-%dT%H:%M:%S").to_string(),
                "request-id": own,
                "client-request-id": call.header("client-request-id").unwrap_or(&own),
            },
        }});
        let answer =
            Answer::new(refused.status, body.to_string()).with("Content-Type", "application/json");
        if refused.status != 401 {
            return answer;
        }
        answer.with(
            "WWW-Authenticate",
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", client_id=\"00000003-0000-0000-c000-000000000000\"",
        )
    }
}

fn unauthorized(refusal: Refusal) -> Refused {
    let id = match refusal {
        Refusal::Empty => "token_empty",
        Refusal::Malformed => "token_malformed",
        Refusal::Expired => "token_expired",
        Refusal::Audience => "token_audience",
    };
    refused(id, &[])
}

fn permitted(claims: &Claims) -> Result<(), Refused> {
    if claims.permissions().any(|held| ROLES.contains(&held)) {
        return Ok(());
    }
    let held = claims.permissions().collect::<Vec<_>>().join(",");
    Err(refused("permission", &[&held]))
}

/// A single alert, with the context before its members.
fn one(call: &Call, options: &QueryOptions, records: &[Alert]) -> Result<String, Refused> {
    let id = call.segment(3);
    let found = records.iter().find(|record| record.id() == id);
    let missing = || refused("alert_missing", &[&id]);
    let text = found
        .ok_or_else(missing)?
        .json(options.select.as_deref(), newer(call));
    let rest = text.trim_start().strip_prefix('{').unwrap_or(&text);
    let gap = if rest.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    Ok(format!(
        "{{{}{gap}{rest}",
        context(call, options, "/$entity")
    ))
}

/// The alerts that pass the filter, in the requested order; by default the newest first.
fn ordered<'a>(options: &QueryOptions, records: &'a [Alert], order: ListOrder) -> Vec<&'a Alert> {
    let passes = |record: &&Alert| {
        options
            .filter
            .as_ref()
            .is_none_or(|filter| filter.passes(record.fields()))
    };
    let mut found: Vec<&Alert> = records.iter().filter(passes).collect();
    if order == ListOrder::Shuffled {
        found.sort_by_key(|record| {
            ring::digest::digest(&ring::digest::SHA256, record.bytes())
                .as_ref()
                .to_vec()
        });
        return found;
    }
    if options.order_by.is_empty() || order == ListOrder::Ignored {
        found.sort_by_key(|record| Reverse(record.time("createdDateTime")));
        return found;
    }
    // Sorting is stable, so sorting by the last key first results in the order of all keys.
    for (name, down) in options.order_by.iter().rev() {
        if *down {
            found.sort_by_key(|record| Reverse(record.time(name)));
        } else {
            found.sort_by_key(|record| record.time(name));
        }
    }
    found
}

/// The context has the address of the public cloud, so that bodies do not depend on the port.
fn context(call: &Call, options: &QueryOptions, entity: &str) -> String {
    let version = call.segment(0).to_ascii_lowercase();
    let chosen = options.select.as_ref();
    let chosen = chosen
        .map(|names| format!("({})", names.join(",")))
        .unwrap_or_default();
    let address = "https://graph.microsoft.com";
    format!(
        "\"@odata.context\":\"{address}/{version}/$metadata#security/alerts_v2{chosen}{entity}\""
    )
}

/// Whether the client accepts newer members of enumerations.
fn newer(call: &Call) -> bool {
    let wishes = call
        .headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok());
    wishes.flat_map(|value| value.split(',')).any(|wish| {
        wish.trim()
            .eq_ignore_ascii_case("include-unknown-enum-members")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn call(context: &Context, target: &str, roles: &[&str]) -> Call {
        let token = context.tokens.issue(&json!({
            "aud": "https://graph.microsoft.com", "appid": "a", "exp": i64::MAX, "roles": roles,
            "tid": "11111111-2222-3333-4444-555555555555",
        }));
        Call::get(Service::Graph, target).header_set("authorization", &format!("Bearer {token}"))
    }

    fn ask(world: &str, target: &str) -> (u16, Value) {
        let context = Context::sample(world);
        let answer = Graph::new(Arc::clone(&context)).answer(&call(&context, target, &ROLES));
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    const LIST: &str = "/v1.0/security/alerts_v2";

    fn walk(world: &str, query: &str) -> (usize, Vec<String>) {
        let mut target = format!("{LIST}?{query}");
        let (mut pages, mut ids) = (0, vec![]);
        loop {
            let (status, body) = ask(world, &target);
            assert_eq!(status, 200, "{body}");
            let page = body["value"].as_array().unwrap();
            ids.extend(
                page.iter()
                    .map(|alert| alert["id"].as_str().unwrap().to_owned()),
            );
            pages += 1;
            let Some(link) = body["@odata.nextLink"].as_str() else {
                return (pages, ids);
            };
            link.strip_prefix("https://127.0.0.1:1/graph")
                .unwrap()
                .clone_into(&mut target);
        }
    }

    #[test]
    fn pages_have_each_alert_once_in_order() {
        let world = r#"{"alerts":{"count":45},"page_size":10}"#;
        let (pages, ids) = walk(world, "$filter=severity%20ne%20null");
        assert_eq!((pages, ids.len()), (5, 45));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 45);
        let (pages, some) = walk(world, "$top=7&$skip=3");
        assert_eq!((pages, &some[..]), (6, &ids[3..]));
        let (_, up) = walk(world, "$orderby=createdDateTime%20asc");
        assert_eq!(up.into_iter().rev().collect::<Vec<_>>(), ids);
    }

    #[test]
    fn update_between_two_pages_moves_others_up() {
        let alert = |n: u32| json!({"id": format!("a{n}"), "lastUpdateDateTime": format!("2026-01-14T10:0{n}:00Z")});
        let world = json!({"page_size": 2, "alerts": {
            "literal": [alert(1), alert(2), alert(3), alert(4)], "paging": "skip",
            "updates": [{"after": 1, "alert": 0, "at": "2026-01-14T11:00:00Z"}]}});
        let (_, body) = ask(
            &world.to_string(),
            &format!("{LIST}?$orderby=lastUpdateDateTime"),
        );
        assert_eq!(body["value"][0]["id"], "a1");
        assert!(
            body["@odata.nextLink"]
                .as_str()
                .unwrap()
                .ends_with("&$skip=2")
        );
        let context = Context::sample(&world.to_string());
        let mut second = call(
            &context,
            &format!("{LIST}?$orderby=lastUpdateDateTime&$skip=2"),
            &ROLES,
        );
        second.number = 2;
        let answer = Graph::new(Arc::clone(&context)).answer(&second);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            body["value"][0]["id"], "a4",
            "a3 has moved to the first page"
        );
    }

    #[test]
    fn world_can_expire_links_and_ignore_order() {
        for status in [400, 404, 410] {
            let world = format!(r#"{{"alerts":{{"expired_links":{status}}}}}"#);
            assert_eq!(ask(&world, LIST).0, 200);
            assert_eq!(ask(&world, &format!("{LIST}?$skip=5")).0, status);
        }
        for order in ["ignored", "shuffled"] {
            let world = format!(r#"{{"alerts":{{"order":"{order}"}}}}"#);
            let (_, body) = ask(
                &world,
                &format!("{LIST}?$orderby=lastUpdateDateTime&$top=40"),
            );
            let times = body["value"].as_array().unwrap().iter();
            let times: Vec<_> = times
                .map(|alert| alert["lastUpdateDateTime"].as_str())
                .collect();
            assert!(times.len() == 40 && !times.is_sorted(), "{order}");
        }
    }

    #[test]
    fn newest_alert_is_first_and_count_includes_all() {
        let (_, body) = ask("{}", &format!("{LIST}?$count=true&$top=5"));
        assert_eq!(body["@odata.count"], 40);
        let created: Vec<_> = body["value"].as_array().unwrap().iter().collect();
        let times: Vec<_> = created
            .iter()
            .map(|alert| filter::parse_time(alert["createdDateTime"].as_str().unwrap()))
            .collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
        assert_eq!(times.len(), 5);
    }

    #[test]
    fn filter_and_select_are_applied() {
        let query = "$filter=serviceSource%20eq%20'dataLossPrevention'&$select=serviceSource,id";
        let (_, body) = ask("{}", &format!("{LIST}?{query}"));
        let found = body["value"].as_array().unwrap();
        assert_eq!(found.len(), 10);
        assert!(
            found
                .iter()
                .all(|alert| alert["serviceSource"] == "dataLossPrevention")
        );
        assert_eq!(found[0].as_object().unwrap().len(), 2);
    }

    #[test]
    fn single_alert_is_returned_or_missing() {
        let world = r#"{"alerts":{"literal":[{"id":"a b","x":1.50}]}}"#;
        let context = Context::sample(world);
        let answer = Graph::new(Arc::clone(&context)).answer(&call(
            &context,
            &format!("{LIST}/a%20b"),
            &ROLES,
        ));
        let wanted = r#"{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#security/alerts_v2/$entity","id":"a b","x":1.50}"#;
        assert_eq!(answer.body, wanted);
        let (status, body) = ask(world, &format!("{LIST}/c"));
        assert_eq!(
            (status, &body["error"]["code"]),
            (404, &json!("ResourceNotFound"))
        );
    }

    #[test]
    fn invalid_requests_are_rejected() {
        let context = Context::sample("{}");
        let graph = Graph::new(Arc::clone(&context));
        let without = graph.answer(&call(&context, LIST, &["User.Read.All"]));
        assert_eq!(without.status, 403);
        assert!(
            without.body.contains("application roles: User.Read.All.\""),
            "{}",
            without.body
        );
        let anonymous = graph.answer(&Call::get(Service::Graph, LIST));
        assert_eq!(anonymous.status, 401);
        assert!(
            anonymous
                .headers
                .iter()
                .any(|(name, _)| name == "WWW-Authenticate")
        );
        let mut late = call(&context, LIST, &ROLES);
        late.expired = true;
        assert!(
            graph
                .answer(&late)
                .body
                .contains("Access token has expired.")
        );
        let echo = call(&context, "/v1.0/security/nothing", &ROLES)
            .header_set("client-request-id", "mine");
        let unknown = graph.answer(&echo);
        assert_eq!(unknown.status, 404);
        assert!(
            unknown.body.contains(r#""client-request-id":"mine""#),
            "{}",
            unknown.body
        );
        assert_eq!(
            ask("{}", &format!("{LIST}?$filter=title%20eq%20'x'")).0,
            400
        );
    }
}
