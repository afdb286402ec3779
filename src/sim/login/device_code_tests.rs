//! Tests of device codes, without a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::sim::context::Context;
use crate::sim::login::Login;
use crate::sim::server::call::Call;
use crate::sim::server::routes::Service;
use crate::sim::{Clock, World};

const EXCHANGE_CLIENT: &str = "a0c73c16-a7e3-4564-9a95-2bdf47383716";
const SCOPE: &str = "offline_access+https%3A%2F%2Foutlook.office365.com%2F.default";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

struct Bench {
    context: Arc<Context>,
    login: Login,
    passed: Arc<AtomicI64>,
    calls: u64,
}

impl Bench {
    fn new(world: &str) -> Self {
        let passed = Arc::new(AtomicI64::new(0));
        let seconds = Arc::clone(&passed);
        let clock = Clock::running(move || TimeDelta::seconds(seconds.load(Ordering::Relaxed)));
        let begin = "2026-01-14T12:00:00Z".parse().unwrap();
        let world = World::from_json(world).unwrap();
        let context = Arc::new(Context::new(world, (begin, clock), "https://127.0.0.1:1"));
        Self {
            login: Login::new(Arc::clone(&context)),
            context,
            passed,
            calls: 0,
        }
    }

    fn ask(&mut self, path: &str, body: &str) -> Value {
        let mut call = Call::get(Service::Login, path).post(body);
        self.calls += 1;
        call.number = self.calls;
        serde_json::from_str(&self.login.answer(&call).body).unwrap()
    }

    fn start(&mut self) -> Value {
        let body = format!("client_id={EXCHANGE_CLIENT}&scope={SCOPE}");
        self.ask("/organizations/oauth2/v2.0/devicecode", &body)
    }

    fn poll(&mut self, code: &str) -> Value {
        let body = format!("grant_type={GRANT}&client_id={EXCHANGE_CLIENT}&device_code={code}");
        self.ask("/organizations/oauth2/v2.0/token", &body)
    }

    /// The errors of this many token requests for a new code.
    fn errors(&mut self, polls: usize) -> Vec<(String, u64)> {
        let start = self.start();
        let code = start["device_code"].as_str().unwrap().to_owned();
        (0..polls)
            .map(|_| {
                let answer = self.poll(&code);
                let error = answer["error"].as_str().unwrap_or("none").to_owned();
                (error, answer["error_codes"][0].as_u64().unwrap_or(0))
            })
            .collect()
    }
}

fn error(name: &str, number: u64) -> (String, u64) {
    (name.to_owned(), number)
}

#[test]
fn code_is_redeemed_once_after_the_user_has_approved() {
    let world = r#"{"device_sign_in":{"after_polls":2,"user":"ada@contoso.onmicrosoft.com"}}"#;
    let mut bench = Bench::new(world);
    let start = bench.start();
    assert_eq!(
        (&start["expires_in"], &start["interval"]),
        (&json!(900), &json!(5))
    );
    let user_code = start["user_code"].as_str().unwrap();
    assert!(user_code.len() == 9 && start["message"].as_str().unwrap().contains(user_code));
    let code = start["device_code"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(bench.poll(code)["error"], "authorization_pending");
    }
    let answer = bench.poll(code);
    let token = answer["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    let claims = bench.context.tokens.read(token).unwrap();
    assert_eq!(
        (claims.scp.as_str(), claims.appid.as_str()),
        ("Exchange.Manage", EXCHANGE_CLIENT)
    );
    assert_eq!(claims.upn, "ada@contoso.onmicrosoft.com");
    assert_eq!(bench.poll(code)["error_codes"][0], 54005);
    let refresh = answer["refresh_token"].as_str().unwrap();
    let body = format!(
        "grant_type=refresh_token&client_id={EXCHANGE_CLIENT}&refresh_token={refresh}&scope={SCOPE}"
    );
    let renewed = bench.ask("/organizations/oauth2/v2.0/token", &body);
    let token = renewed["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{renewed}"));
    assert_eq!(
        bench.context.tokens.read(token).unwrap().upn,
        "ada@contoso.onmicrosoft.com"
    );
    bench.passed.store(91 * 86_400, Ordering::Relaxed);
    let body = bench.ask("/organizations/oauth2/v2.0/token", &body);
    assert_eq!(body["error_codes"][0], 700_082);
}

#[test]
fn each_refusal_has_its_own_error() {
    let pending = error("authorization_pending", 70016);
    let mut never = Bench::new(r#"{"device_sign_in":{"decision":"never"}}"#);
    assert_eq!(
        never.errors(3),
        [pending.clone(), pending.clone(), pending.clone()]
    );
    let mut declining = Bench::new(
        r#"{"device_sign_in":{"decision":"decline","slow_down_polls":1,"after_polls":1}}"#,
    );
    let declined = error("authorization_declined", 70017);
    let wanted = [
        error("slow_down", 70016),
        pending,
        declined.clone(),
        declined,
    ];
    assert_eq!(declining.errors(4), wanted);
    let mut late = Bench::new(r#"{"device_sign_in":{"lifetime_seconds":0}}"#);
    assert_eq!(late.errors(1), [error("expired_token", 70019)]);
    assert_eq!(late.poll("1.e30.AAAA")["error"], "bad_verification_code");
    let body = format!("grant_type={GRANT}&client_id={EXCHANGE_CLIENT}");
    let missing = late.ask("/common/oauth2/v2.0/token", &body);
    assert!(
        missing["error_description"]
            .as_str()
            .unwrap()
            .contains("parameter: 'code'.")
    );
}

#[test]
fn time_decides_and_expires_codes() {
    let mut bench = Bench::new(r#"{"device_sign_in":{"after_polls":0,"after_seconds":60}}"#);
    let start = bench.start();
    let code = start["device_code"].as_str().unwrap();
    assert_eq!(bench.poll(code)["error"], "authorization_pending");
    bench.passed.store(900, Ordering::Relaxed);
    assert_eq!(bench.poll(code)["error"], "expired_token");
    bench.passed.store(60, Ordering::Relaxed);
    assert!(bench.poll(code)["access_token"].is_string());
}

#[test]
fn only_public_clients_need_no_proof() {
    let tenant = "11111111-2222-3333-4444-555555555555";
    let app = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";
    let world = format!(
        r#"{{"apps":[{{"id":"{app}","tenant":"{tenant}"}}],
        "device_sign_in":{{"after_polls":0}}}}"#
    );
    for (world, wanted) in [
        (world.as_str(), json!(7_000_218)),
        (r#"{"device_sign_in":{"after_polls":0}}"#, Value::Null),
    ] {
        let mut bench = Bench::new(world);
        let start = bench.ask(
            &format!("/{tenant}/oauth2/devicecode"),
            &format!("client_id={app}&resource=https%3A%2F%2Fgraph.microsoft.com"),
        );
        assert_eq!(start["expires_in"], "900");
        assert!(start["verification_url"].is_string());
        let code = start["device_code"].as_str().unwrap();
        let body = format!("grant_type=device_code&client_id={app}&code={code}");
        let answer = bench.ask(&format!("/{tenant}/oauth2/token"), &body);
        assert_eq!(answer["error_codes"][0], wanted, "{answer}");
        if let Some(refresh) = answer["refresh_token"].as_str() {
            let body = format!("grant_type=refresh_token&client_id={app}&refresh_token={refresh}");
            let renewed = bench.ask(&format!("/{tenant}/oauth2/token"), &body);
            assert!(renewed["access_token"].is_string(), "{renewed}");
        }
    }
    // The built-in client exists even if other clients must be listed.
    let mut bench = Bench::new(&world);
    assert!(bench.start()["device_code"].is_string());
}
