//! Tests of audit searches, without a server.

use std::collections::BTreeSet;

use super::*;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const PATH: &str = "/adminapi/beta/contoso.onmicrosoft.com/InvokeCommand";

struct Bench {
    context: Arc<Context>,
    exchange: Exchange,
    calls: u64,
}

impl Bench {
    /// 60 records of Exchange within the last 48 hours, and these members.
    fn new(members: &str) -> Self {
        let context = Context::sample(&format!(
            r#"{{"content":{{"generated":[{{"type":"Audit.Exchange","blobs":12,"hours":48}}]}}
                {members}}}"#
        ));
        Self {
            exchange: Exchange::new(Arc::clone(&context)),
            context,
            calls: 0,
        }
    }

    fn call(&mut self, path: &str, parameters: &Value) -> Call {
        let body = json!({"CmdletInput": {"CmdletName": COMMAND, "Parameters": parameters}});
        let token = self.context.tokens.issue(&json!({
            "aud": "https://outlook.office365.com", "appid": "a", "exp": i64::MAX,
            "roles": ["Exchange.ManageAsApp"], "tid": TENANT,
        }));
        self.calls += 1;
        let mut call = Call::get(Service::Exchange, path)
            .post(&body.to_string())
            .header_set("authorization", &format!("Bearer {token}"));
        call.number = self.calls;
        call
    }

    fn ask(&mut self, parameters: &Value) -> (u16, Value) {
        let call = self.call(PATH, parameters);
        let answer = self.exchange.answer(&call);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    /// The exception and the text of an error.
    fn error(&mut self, parameters: &Value) -> (String, String) {
        let (status, body) = self.ask(parameters);
        assert_eq!(
            (status, &body["error"]["message"]),
            (400, &json!("Invalid Operation"))
        );
        let inner = &body["error"]["innererror"]["internalexception"];
        let text = |name: &str| inner[name].as_str().unwrap().to_owned();
        let kind = text("type").rsplit('.').next().unwrap().to_owned();
        (kind, text("message"))
    }

    /// The `ResultIndex` of each row of some pages of a session.
    fn pages(&mut self, count: usize, command: &str, size: u32) -> Vec<Vec<i64>> {
        let parameters = session(command, size);
        let page = |(status, body): (u16, Value)| {
            assert_eq!(status, 200, "{body}");
            indexes(&body)
        };
        (0..count).map(|_| page(self.ask(&parameters))).collect()
    }
}

fn indexes(body: &Value) -> Vec<i64> {
    let rows = body["value"].as_array().unwrap().iter();
    rows.map(|row| row["ResultIndex"].as_i64().unwrap())
        .collect()
}

fn all() -> Value {
    json!({"StartDate": "2026-01-11", "EndDate": "2026-01-14T12:00:00Z", "ResultSize": 5000})
}

fn with(name: &str, value: Value) -> Value {
    let mut parameters = all();
    parameters[name] = value;
    parameters
}

fn session(command: &str, size: u32) -> Value {
    let mut parameters = with("SessionId", json!("s"));
    parameters["SessionCommand"] = json!(command);
    parameters["ResultSize"] = json!(size.to_string());
    parameters
}

fn range(from: i64, to: i64) -> Vec<i64> {
    (from..=to).collect()
}

#[test]
fn search_finds_the_records_of_the_feed() {
    let mut bench = Bench::new("");
    let (_, body) = bench.ask(&all());
    let rows = body["value"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["ResultCount"]), (60, &json!(60)));
    assert_eq!(body["@adminapi.warnings"], json!([]));
    let of = bench.context.record_context(TENANT, false);
    let store = &bench.context.blobs;
    let blob = store
        .between(
            "Audit.Exchange",
            (
                bench.context.begin - chrono::TimeDelta::days(1),
                bench.context.begin,
            ),
        )
        .next();
    let crate::sim::data::content_store::Source::Generated { entry, at, number } =
        store.source(blob.as_ref().unwrap())
    else {
        panic!("not generated");
    };
    let feed = crate::sim::data::audit::Records::new(&of, entry, at).blob(number);
    let feed: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(&feed).unwrap();
    for record in feed {
        let found = rows
            .iter()
            .find(|row| row["AuditData"] == record.get())
            .unwrap();
        let data: Value = serde_json::from_str(record.get()).unwrap();
        assert_eq!(
            (&found["Identity"], &found["UserIds"], &found["Operations"]),
            (&data["Id"], &data["UserId"], &data["Operation"])
        );
    }
    assert!(rows[0]["CreationDate"].as_str() > rows[59]["CreationDate"].as_str());
    let operation = &rows[7]["Operations"];
    let (_, some) = bench.ask(&with("Operations", json!([operation])));
    assert!(
        some["value"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["Operations"] == *operation)
    );
    let (_, formatted) = bench.ask(&with("formatted", json!(true)));
    assert!(
        formatted
            .to_string()
            .contains(r#"\"RecordType\":\"Exchange"#)
    );
    let (_, none) = bench.ask(&with("RecordType", json!("ComplianceDLPExchange")));
    assert_eq!(none["value"], json!([]));
    let mut call = bench.call(PATH, &all());
    call.query
        .push(("$select".to_owned(), "Identity,AuditData".to_owned()));
    let selected: Value = serde_json::from_str(&bench.exchange.answer(&call).body).unwrap();
    assert_eq!(selected["value"][0].as_object().unwrap().len(), 2);
}

#[test]
fn session_returns_all_rows_once_and_then_an_empty_page() {
    for command in ["ReturnLargeSet", "ReturnNextPreviewPage"] {
        let mut bench = Bench::new("");
        let mut ids = BTreeSet::new();
        let mut sizes = vec![];
        for _ in 0..5 {
            let (_, body) = bench.ask(&session(command, 25));
            let rows = body["value"].as_array().unwrap();
            sizes.push(rows.len());
            ids.extend(rows.iter().map(|row| row["Identity"].to_string()));
        }
        assert_eq!((sizes, ids.len()), (vec![25, 25, 10, 0, 0], 60));
    }
    let mut bench = Bench::new(r#","exchange":{"session_rows":30,"result_count":"page"}"#);
    let pages = bench.pages(3, "ReturnLargeSet", 20);
    assert_eq!(pages, [range(1, 20), range(21, 30), vec![]]);
}

#[test]
fn odd_pages_differ_as_the_world_says() {
    let cases = [
        ("repeat", [range(1, 10), range(1, 10), range(11, 20)]),
        ("skip", [range(1, 10), range(21, 30), range(31, 40)]),
        ("restart", [range(1, 10), range(1, 10), range(11, 20)]),
        ("empty", [range(1, 10), vec![], range(11, 20)]),
        ("warning", [range(1, 10), vec![], range(11, 20)]),
        ("timed_out", [range(1, 10), vec![-1; 10], range(21, 30)]),
    ];
    for (effect, wanted) in cases {
        let odd = format!(r#","exchange":{{"odd_pages":[{{"page":2,"effect":"{effect}"}}]}}"#);
        let mut bench = Bench::new(&odd);
        assert_eq!(bench.pages(3, "ReturnLargeSet", 10), wanted, "{effect}");
    }
    let odd = r#","exchange":{"odd_pages":[{"page":1,"effect":"out_of_range"}]}"#;
    let (_, body) = Bench::new(odd).ask(&with("StartDate", json!("2026-01-13T12:00:00")));
    let rows = body["value"].as_array().unwrap();
    let dates = rows.iter().map(|row| row["CreationDate"].as_str().unwrap());
    assert_eq!(
        dates.filter(|date| *date < "2026-01-13T12:00:00Z").count(),
        1
    );
    for (effect, status) in [("busy", 400), ("throttled", 429)] {
        let odd = format!(r#","exchange":{{"odd_pages":[{{"page":1,"effect":"{effect}"}}]}}"#);
        let mut bench = Bench::new(&odd);
        assert_eq!(bench.ask(&all()).0, status);
        assert_eq!(bench.ask(&all()).0, 200);
    }
}

#[test]
fn permissions_are_checked() {
    let mut bench = Bench::new(r#","exchange":{"directory_role":false}"#);
    let call = bench.call(PATH, &all());
    let answer = bench.exchange.answer(&call);
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (403, "\0".repeat(512).as_str())
    );
    let mut bench = Bench::new(r#","exchange":{"forbidden_body":"empty"}"#);
    let mut other = bench.call(PATH, &all());
    other.body = other.body.replace(COMMAND, "Get-Mailbox");
    let answer = bench.exchange.answer(&other);
    assert_eq!((answer.status, answer.body.len()), (403, 0));
    let role = bench.context.tokens.issue(&json!({
        "aud": "https://outlook.office365.com", "appid": "a", "exp": i64::MAX, "tid": TENANT,
    }));
    let without = bench
        .call(PATH, &all())
        .header_set("authorization", &format!("Bearer {role}"));
    assert_eq!(bench.exchange.answer(&without).status, 401);
    let guid = bench.context.ids.guid(&["tenant", "fabrikam.test"]);
    let other = bench.context.tokens.issue(&json!({
        "aud": "https://outlook.office365.com", "appid": "a", "exp": i64::MAX, "tid": guid,
        "scp": "Exchange.Manage",
    }));
    let unlisted = bench.call("/adminapi/beta/Fabrikam.test/InvokeCommand", &all());
    let unlisted = unlisted.header_set("authorization", &format!("Bearer {other}"));
    assert_eq!(bench.exchange.answer(&unlisted).status, 200);
    let elsewhere = bench.call("/adminapi/v1.0/other.test/InvokeCommand", &all());
    assert_eq!(bench.exchange.answer(&elsewhere).status, 401);
    let mut bench = Bench::new(r#","exchange":{"needs_anchor":true}"#);
    let call = bench.call(PATH, &all());
    let answer = bench.exchange.answer(&call);
    assert!(answer.status == 400 && answer.body.contains("ErrorIncorrectRoutingHint"));
    let anchor = format!("APP:SystemMailbox{{bb558c35-97f1-4cb9-8ff7-d53741dc928c}}@{TENANT}");
    let call = bench
        .call(PATH, &all())
        .header_set("x-anchormailbox", &anchor);
    assert_eq!(bench.exchange.answer(&call).status, 200);
}

#[test]
fn invalid_parameters_are_rejected_in_the_shapes_of_the_service() {
    let mut bench = Bench::new("");
    let (status, body) = bench.ask(&with("Foo", json!(1)));
    let detail = body["error"]["details"][0]["message"].as_str().unwrap();
    assert!(status == 400 && detail.ends_with("Invalid cmdlet parameters specified. Foo"));
    let (kind, text) = bench.error(&with("RecordType", json!("Nope")));
    assert_eq!(kind, "ParameterTransformationException");
    assert!(text.contains("ExchangeAdmin, ExchangeItem"), "{text}");
    let (_, body) = bench.ask(&with("RecordType", json!("Nope")));
    assert_eq!(body["error"]["@adminapi.warnings"], json!([]));
    let (status, body) = bench.ask(&with("RecordType", json!("ExchangeAd")));
    assert_eq!((status, &body["value"]), (200, &json!([])));
    for (name, value, wanted) in [
        ("ResultSize", json!(5001), "between 1 and 5000"),
        ("ResultSize", json!("many"), "System.Int32"),
        (
            "SessionCommand",
            json!("All"),
            "ReturnLargeSet, ReturnNextPreviewPage",
        ),
        ("StartDate", json!("yesterday"), "ExDateTime"),
        (
            "StartDate",
            json!("2025-07-01"),
            "startDate should be after 07/18/2025 12:00:00",
        ),
        (
            "StartDate",
            json!("2026-01-15"),
            "startDate should be before endDate",
        ),
        (
            "EndDate",
            Value::Null,
            "missing mandatory parameters: EndDate",
        ),
    ] {
        let (_, text) = bench.error(&with(name, value));
        assert!(text.contains(wanted), "{text}");
    }
    for start in [
        "2026-01-12T00:00:00Z",
        "2026-01-12 14:30:00z",
        "1/12/2026",
        "2026-01-12T02:00:00+02:00",
    ] {
        assert_eq!(
            bench.ask(&with("StartDate", json!(start))).0,
            200,
            "{start}"
        );
    }
    assert_eq!(bench.error(&Value::Null).0, "ODataServiceException");
}

#[test]
fn link_to_the_next_page_is_followed_once() {
    for (expired, wanted) in [(false, 200), (true, 400)] {
        let mut bench = Bench::new(&format!(r#","exchange":{{"expired_links":{expired}}}"#));
        let call = bench
            .call(PATH, &all())
            .header_set("prefer", "odata.maxpagesize=50");
        let body: Value = serde_json::from_str(&bench.exchange.answer(&call).body).unwrap();
        assert_eq!(indexes(&body), range(1, 50));
        let link = body["@odata.nextLink"].as_str().unwrap();
        let link = link.strip_prefix("https://127.0.0.1:1/exchange").unwrap();
        let next = bench.call(link, &all());
        let answer = bench.exchange.answer(&next);
        assert_eq!(answer.status, wanted);
        if !expired {
            assert_eq!(
                indexes(&serde_json::from_str(&answer.body).unwrap()),
                range(51, 60)
            );
        }
        let again = bench.exchange.answer(&next);
        assert!(again.status == 400 && again.body.contains("pagination request"));
    }
}
