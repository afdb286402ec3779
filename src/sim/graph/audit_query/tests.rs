//! Creating, polling and reading Graph audit queries.

use super::*;
use crate::sim::graph::Graph;

const PATH: &str = "/v1.0/security/auditLog/queries";

struct Bench {
    context: Arc<Context>,
    graph: Graph,
    calls: u64,
    permission: &'static str,
}

impl Bench {
    fn new(options: &str) -> Self {
        let context = Context::sample(&format!(
            r#"{{"audit_queries":{options},"content":{{"generated":[
                {{"type":"Audit.Exchange","blobs":6}},{{"type":"DLP.All","blobs":6}}]}}}}"#
        ));
        Self {
            graph: Graph::new(Arc::clone(&context)),
            context,
            calls: 0,
            permission: "AuditLogsQuery.Read.All",
        }
    }

    fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let token = self.context.tokens.issue(&json!({
            "aud": "https://graph.microsoft.com", "appid": "a", "exp": i64::MAX,
            "roles": [self.permission], "tid": "11111111-2222-3333-4444-555555555555",
        }));
        self.calls += 1;
        let mut call = Call::get(Service::Graph, path).post(&body.to_string());
        method.clone_into(&mut call.method);
        call.number = self.calls;
        let call = call.header_set("authorization", &format!("Bearer {token}"));
        let answer = self.graph.answer(&call);
        let body = serde_json::from_str(&answer.body).unwrap_or_default();
        (answer.status, body)
    }

    fn create(&mut self, members: &Value) -> (u16, Value) {
        let mut body = json!({"displayName": "d", "filterStartDateTime": "2026-01-13T00:00:00Z",
            "filterEndDateTime": "2026-01-14T12:00:00"});
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.ask("POST", PATH, &body)
    }

    fn path(created: &Value) -> String {
        format!("{PATH}/{}", created["id"].as_str().unwrap())
    }

    fn statuses(&mut self, path: &str, count: usize) -> Vec<String> {
        let status = |body: Value| body["status"].as_str().unwrap().to_owned();
        let all = 0..count;
        all.map(|_| status(self.ask("GET", path, &Value::Null).1))
            .collect()
    }
}

#[test]
fn query_runs_succeeds_and_pages_its_records() {
    let mut bench = Bench::new("{}");
    let filters = json!({"recordTypeFilters": ["exchangeAdmin", "exchangeItem"]});
    let (status, created) = bench.create(&filters);
    assert_eq!((status, &created["status"]), (201, &json!("notStarted")));
    let path = Bench::path(&created);
    let (_, early) = bench.ask("GET", &format!("{path}/records"), &Value::Null);
    assert_eq!(early["value"], json!([]));
    assert_eq!(
        bench.statuses(&path, 3),
        ["notStarted", "running", "succeeded"]
    );
    let mut link = format!("{path}/records?$top=5&$count=true");
    let (mut ids, mut count) = (std::collections::BTreeSet::new(), None);
    loop {
        let (_, page) = bench.ask("GET", &link, &Value::Null);
        count = count.or_else(|| page["@odata.count"].as_u64());
        for record in page["value"].as_array().unwrap() {
            let kind = record["auditLogRecordType"].as_str().unwrap();
            assert!(["ExchangeAdmin", "ExchangeItem"].contains(&kind), "{kind}");
            assert_eq!(record["id"], record["auditData"]["Id"]);
            ids.insert(record["id"].to_string());
        }
        let Some(next) = page["@odata.nextLink"].as_str() else {
            break;
        };
        next.trim_start_matches("https://127.0.0.1:1/graph")
            .clone_into(&mut link);
    }
    assert_eq!(count, Some(ids.len() as u64));
    assert!(ids.len() > 5);
    assert_eq!(bench.ask("DELETE", &path, &Value::Null).0, 405);
    let (_, list) = bench.ask("GET", PATH, &Value::Null);
    assert_eq!(list["value"][0]["status"], "succeeded");
}

#[test]
fn world_says_how_queries_end() {
    for (options, wanted) in [
        (
            r#"{"outcome":"failed","not_started_polls":0}"#,
            ["running", "failed"],
        ),
        (
            r#"{"outcome":"cancelled","running_polls":0}"#,
            ["notStarted", "cancelled"],
        ),
        (
            r#"{"outcome":"never","not_started_polls":0}"#,
            ["running", "running"],
        ),
        (
            r#"{"running_seconds":9,"not_started_polls":0}"#,
            ["running", "running"],
        ),
    ] {
        let mut bench = Bench::new(options);
        let (_, created) = bench.create(&json!({}));
        assert_eq!(
            bench.statuses(&Bench::path(&created), 2),
            wanted,
            "{options}"
        );
    }
    for (delete, wanted) in [("forbidden", 403), ("allowed", 204)] {
        let mut bench = Bench::new(&format!(r#"{{"delete":"{delete}"}}"#));
        let (_, created) = bench.create(&json!({}));
        assert_eq!(
            bench.ask("DELETE", &Bench::path(&created), &Value::Null).0,
            wanted
        );
    }
}

#[test]
fn eleventh_unfinished_query_is_rejected() {
    let mut bench = Bench::new(r#"{"not_started_polls":0,"running_polls":0}"#);
    bench.permission = "AuditLogsQuery-Exchange.Read.All";
    let mut never = Bench::new(r#"{"outcome":"never"}"#);
    for _ in 0..11 {
        assert_eq!(bench.create(&json!({})).0, 201, "finished at once");
    }
    for _ in 0..10 {
        assert_eq!(never.create(&json!({})).0, 201);
    }
    let (status, body) = never.create(&json!({}));
    assert_eq!(
        (status, &body["error"]["code"]),
        (429, &json!("TooManyRequests"))
    );
}

#[test]
fn invalid_requests_are_rejected() {
    let mut bench = Bench::new(r#"{"beta_only":true}"#);
    assert_eq!(bench.create(&json!({})).0, 404);
    let mut bench = Bench::new("{}");
    for members in [
        json!({"recordTypeFilters": ["ExchangeAdmin"]}),
        json!({"filterEndDateTime": "noon"}),
        json!({"colour": 1}),
    ] {
        assert_eq!(bench.create(&members).0, 400, "{members}");
    }
    assert_eq!(
        bench.ask("GET", &format!("{PATH}/none"), &Value::Null).0,
        404
    );
    bench.permission = "SecurityAlert.Read.All";
    assert_eq!(bench.create(&json!({})).0, 403);
}
