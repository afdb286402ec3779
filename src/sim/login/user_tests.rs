//! Tests of user sign-in: authorization, codes and refresh tokens, without a server.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::Url;

use crate::sim::base64;
use crate::sim::context::Context;
use crate::sim::login::Login;
use crate::sim::login::assertion::tests::{PEM, good};
use crate::sim::login::signed_text::RefreshToken;
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::Call;
use crate::sim::server::routes::Service;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APP: &str = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";
const BACK: &str = "https%3A%2F%2Fsoar.test%2Fback%3Fa%3D1";
const SCOPE: &str = "https%3A%2F%2Fmanage.office.com%2F.default+offline_access";

struct Bench {
    context: Arc<Context>,
    login: Login,
    calls: u64,
}

impl Bench {
    fn new(members: &str) -> Self {
        let world = format!(
            r#"{{"apps":[{{"id":"{APP}","tenant":"{TENANT}","secrets":[{{"value":"good"}}]{members}}}]}}"#
        );
        Self::of(&world)
    }

    fn of(world: &str) -> Self {
        let context = Context::sample(world);
        Self {
            login: Login::new(Arc::clone(&context)),
            context,
            calls: 0,
        }
    }

    /// The status, and the redirect address or the page.
    fn browse(&mut self, tenant: &str, query: &str) -> (u16, String) {
        let target = format!("/{tenant}/oauth2/v2.0/authorize?{query}");
        let mut call = Call::get(Service::Login, &target);
        self.calls += 1;
        call.number = self.calls;
        let answer = self.login.answer(&call);
        let place = answer.headers.iter().find(|(name, _)| name == "Location");
        let text = place.map_or(answer.body.clone(), |(_, place)| place.clone());
        (answer.status, text)
    }

    fn code(&mut self) -> String {
        let challenge = base64::encode(digest(&SHA256, VERIFIER.as_bytes()).as_ref());
        let query = query(&format!(
            "&code_challenge={challenge}&code_challenge_method=S256&nonce=n"
        ));
        let (status, place) = self.browse(TENANT, &query);
        assert_eq!(status, 302, "{place}");
        parameter(&place, "code").unwrap()
    }

    fn ask(&mut self, tenant: &str, body: &str) -> Value {
        let path = format!("/{tenant}/oauth2/v2.0/token");
        let mut call = Call::get(Service::Login, &path).post(body);
        self.calls += 1;
        call.number = self.calls;
        serde_json::from_str(&self.login.answer(&call).body).unwrap()
    }

    fn number(&mut self, body: &str) -> u64 {
        let answer = self.ask(TENANT, body);
        answer["error_codes"][0]
            .as_u64()
            .unwrap_or_else(|| panic!("{answer}"))
    }

    fn claims(&self, answer: &Value) -> Claims {
        let token = answer["access_token"].as_str();
        let token = token.unwrap_or_else(|| panic!("{answer}"));
        self.context.tokens.read(token).unwrap()
    }
}

fn query(more: &str) -> String {
    format!(
        "client_id={APP}&response_type=code&redirect_uri={BACK}&scope={SCOPE}&state=s%26t{more}"
    )
}

fn parameter(place: &str, name: &str) -> Option<String> {
    let url = Url::parse(place).unwrap();
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

fn redeem(code: &str, more: &str) -> String {
    format!(
        "grant_type=authorization_code&client_id={APP}&code={code}&redirect_uri={BACK}\
         &code_verifier={VERIFIER}{more}"
    )
}

fn refresh(token: &str) -> String {
    format!(
        "grant_type=refresh_token&client_id={APP}&client_secret=good&refresh_token={token}\
         &scope={SCOPE}"
    )
}

const SECRET: &str = "&client_secret=good";

#[test]
fn user_is_redirected_with_code_and_state() {
    let mut bench = Bench::new("");
    let (status, place) = bench.browse(TENANT, &query(""));
    assert_eq!(status, 302);
    assert!(
        place.starts_with("https://soar.test/back?a=1&code=1."),
        "{place}"
    );
    assert_eq!(parameter(&place, "state").as_deref(), Some("s&t"));
    assert!(parameter(&place, "session_state").is_some());
    let other = parameter(&bench.browse(TENANT, &query("")).1, "code");
    assert_ne!(parameter(&place, "code"), other, "no two are the same");
    let (_, place) = bench.browse("organizations", &query("&response_mode=fragment"));
    assert!(
        place.starts_with("https://soar.test/back?a=1#code=1."),
        "{place}"
    );
}

#[test]
fn error_without_a_redirect_address_is_a_page() {
    let mut bench =
        Bench::new(r#","redirect_uris":["https://soar.test/back?a=1","http://localhost/x"]"#);
    assert_eq!(bench.browse(TENANT, &query("")).0, 302);
    let local = query("").replace(BACK, "http%3A%2F%2Flocalhost%3A4711%2Fx");
    assert_eq!(
        bench.browse(TENANT, &local).0,
        302,
        "any port of the machine"
    );
    let cases = [
        (query("").replace("soar.test", "evil.test"), "AADSTS50011"),
        (query("").replace("a%3D1", "a%3D2"), "AADSTS50011"),
        (query("").replace(BACK, "javascript%3Ax"), "AADSTS50011"),
        (query("").replace("aaaaaaaa", "dddddddd"), "AADSTS700016"),
        (query("").replace("client_id", "x"), "AADSTS900144"),
        (query("").replace("redirect_uri", "x"), "AADSTS900144"),
        (query("").replace("response_type", "x"), "AADSTS900144"),
        (query("").replace("scope", "x"), "AADSTS900144"),
    ];
    for (query, requested) in cases {
        let (status, page) = bench.browse(TENANT, &query);
        assert_eq!(status, 400, "{page}");
        assert!(page.contains(requested), "{page}");
    }
}

#[test]
fn other_errors_are_returned_to_the_client() {
    let mut bench = Bench::new("");
    let cases = [
        (
            query("").replace("type=code", "type=token"),
            "unsupported_response_type",
        ),
        (query("&response_mode=form_post"), "invalid_request"),
        (
            query("&code_challenge=x&code_challenge_method=S256"),
            "invalid_request",
        ),
        (query("&code_challenge_method=S512"), "invalid_request"),
        (
            query("").replace("manage.office", "other"),
            "invalid_resource",
        ),
        (
            query("").replace("+offline", "+https%3A%2F%2Fgraph.microsoft.com%2Fx+offline"),
            "invalid_request",
        ),
    ];
    for (query, requested) in cases {
        let (status, place) = bench.browse(TENANT, &query);
        assert_eq!(
            (status, parameter(&place, "error").as_deref()),
            (302, Some(requested)),
            "{place}"
        );
        assert_eq!(parameter(&place, "state").as_deref(), Some("s&t"));
    }
    let mut no_consent = Bench::new(r#","consented":false"#);
    let (_, place) = no_consent.browse(TENANT, &query(""));
    assert_eq!(parameter(&place, "error").as_deref(), Some("access_denied"));
}

#[test]
fn code_has_delegated_permissions() {
    let mut bench = Bench::new("");
    let code = bench.code();
    let answer = bench.ask(TENANT, &redeem(&code, &format!("{SECRET}&scope=openid")));
    let claims = bench.claims(&answer);
    assert_eq!(claims.aud, "https://manage.office.com");
    assert_eq!(claims.scp, "ActivityFeed.Read ActivityFeed.ReadDlp");
    assert!(claims.roles.is_empty());
    assert!(answer["refresh_token"].is_string(), "{answer}");
    let scope = answer["scope"].as_str().unwrap();
    assert!(scope.starts_with("https://manage.office.com/ActivityFeed.Read "));
    let identity = answer["id_token"].as_str().unwrap();
    let payload = base64::decode(identity.split('.').nth(1).unwrap()).unwrap();
    let identity: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(identity["nonce"], "n");
    assert_eq!(
        identity["preferred_username"],
        "analyst@contoso.onmicrosoft.com"
    );
}

#[test]
fn code_is_accepted_once_for_one_client_and_address() {
    let mut bench = Bench::new("");
    let code = bench.code();
    let good = redeem(&code, SECRET);
    let elsewhere = good.replace("back", "elsewhere");
    assert_eq!(bench.number(&elsewhere), 50011);
    assert_eq!(bench.number(&good.replace(VERIFIER, "other")), 501_481);
    assert_eq!(bench.number(&good.replace("code_verifier", "x")), 501_481);
    assert_eq!(
        bench.number(&good.replace("secret=good", "secret=bad")),
        7_000_215
    );
    assert_eq!(bench.number(&redeem(&code, "")), 7_000_218);
    let mixed = format!("{good}&scope=https%3A%2F%2Fgraph.microsoft.com%2FA+{SCOPE}");
    assert_eq!(bench.number(&mixed), 28000);
    assert_eq!(
        bench.number(&redeem("made-up-code-of-many-letters", SECRET)),
        70000
    );
    assert_eq!(bench.number(&good.replace("redirect_uri", "x")), 900_144);
    // None of these attempts has used it.
    assert!(bench.ask(TENANT, &good)["access_token"].is_string());
    assert_eq!(bench.number(&good), 54005);
}

#[test]
fn listed_code_has_its_own_conditions() {
    let challenge = base64::encode(digest(&SHA256, VERIFIER.as_bytes()).as_ref());
    let back = "https://soar.test/back?a=1";
    let codes = format!(
        r#","codes":[{{"code":"c-1","redirect_uri":"{back}","code_challenge":"{challenge}"}},
            {{"code":"c-2","redirect_uri":"{back}","expired":true}},
            {{"code":"c-3","redirect_uri":"{back}","scope":"offline_access"}}]"#
    );
    let mut bench = Bench::new(&codes);
    assert_eq!(
        bench.number(&redeem("c-1", SECRET).replace(VERIFIER, "x")),
        501_481
    );
    let answer = bench.ask("organizations", &redeem("c-1", SECRET));
    assert!(answer["refresh_token"].is_string(), "{answer}");
    assert_eq!(bench.number(&redeem("c-1", SECRET)), 54005);
    assert_eq!(bench.number(&redeem("c-2", SECRET)), 70008);
    assert_eq!(bench.number(&redeem("c-3", SECRET)), 28003);
}

#[test]
fn default_world_accepts_any_code_once() {
    let mut bench = Bench::of("{}");
    let code = "0.AXoA-a_code.of-many~letters";
    let body = redeem(code, &format!("&client_secret=any&scope={SCOPE}"));
    let answer = bench.ask(TENANT, &body);
    assert_eq!(bench.claims(&answer).tid, TENANT);
    assert_eq!(bench.number(&body), 54005);
    let short = redeem("short", &format!("&client_secret=any&scope={SCOPE}"));
    assert_eq!(bench.number(&short), 70000);
}

#[test]
fn refresh_token_is_renewed_and_stays_valid() {
    let mut bench = Bench::new("");
    let code = bench.code();
    let first = bench.ask(TENANT, &redeem(&code, SECRET));
    let token = first["refresh_token"].as_str().unwrap();
    let second = bench.ask(TENANT, &refresh(token));
    assert_eq!(
        bench.claims(&second).scp,
        "ActivityFeed.Read ActivityFeed.ReadDlp"
    );
    let next = second["refresh_token"].as_str().unwrap();
    assert_ne!(next, token);
    for good in [token, next] {
        assert!(bench.ask(TENANT, &refresh(good))["access_token"].is_string());
    }
    assert_eq!(bench.number(&refresh("1.e30.AAAA")), 70000);
    let without = refresh(token).replace("offline_access", "");
    assert!(
        bench.ask(TENANT, &without)["refresh_token"].is_string(),
        "what was granted once stays"
    );
    let online = SCOPE.trim_end_matches("+offline_access");
    let code = bench.code();
    let body = redeem(&code, &format!("{SECRET}&scope={online}"));
    assert!(bench.ask(TENANT, &body)["refresh_token"].is_string());
}

#[test]
fn no_refresh_token_without_offline_access() {
    let mut bench = Bench::new("");
    let online = query("").replace("+offline_access", "");
    let (_, place) = bench.browse(TENANT, &online);
    let answer = bench.ask(TENANT, &redeem(&parameter(&place, "code").unwrap(), SECRET));
    assert!(answer["access_token"].is_string() && answer.get("refresh_token").is_none());
    assert!(answer.get("id_token").is_none());
}

#[test]
fn world_can_omit_refresh_tokens() {
    let mut bench = Bench::new(r#","refresh_tokens":"omit""#);
    let code = bench.code();
    let first = bench.ask(TENANT, &redeem(&code, SECRET));
    let token = first["refresh_token"].as_str().unwrap();
    let second = bench.ask(TENANT, &refresh(token));
    assert!(second["access_token"].is_string() && second.get("refresh_token").is_none());
}

#[test]
fn refresh_token_expires_after_90_days() {
    let mut bench = Bench::new("");
    let token = RefreshToken {
        app: APP.to_owned(),
        tenant: TENANT.to_owned(),
        scope: String::new(),
        at: bench.context.now().timestamp() - 90 * 86_400,
        number: 1,
        device: false,
    };
    let answer = bench.ask(TENANT, &refresh(&bench.login.refresh_tokens.sign(&token)));
    assert_eq!(answer["error_codes"], json!([700_082]));
    let text = answer["error_description"].as_str().unwrap();
    let requested = "issued on 2025-10-16T12:00:00.0000000Z and was inactive for 90.00:00:00.";
    assert!(text.contains(requested), "{text}");
}

#[test]
fn public_client_sends_no_proof_and_others_must() {
    let mut public = Bench::new(r#","public":true"#);
    let code = public.code();
    assert_eq!(public.number(&redeem(&code, SECRET)), 700_025);
    let answer = public.ask(TENANT, &redeem(&code, ""));
    assert!(answer["access_token"].is_string(), "{answer}");
    let pem = serde_json::to_string(PEM).unwrap();
    let mut signed = Bench::new(&format!(r#","certificates":[{pem}]"#));
    let code = signed.code();
    let endpoint = format!("https://127.0.0.1:1/login/{TENANT}/oauth2/v2.0/token");
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let proof = format!(
        "&client_assertion_type={kind}&client_assertion={}",
        good(APP, &endpoint)
    );
    let wrong = proof.replace("jwt-bearer", "saml2-bearer");
    assert_eq!(signed.number(&redeem(&code, &wrong)), 50012);
    let bare = proof.replace("client_assertion_type", "x");
    assert_eq!(signed.number(&redeem(&code, &bare)), 900_144);
    let answer = signed.ask(TENANT, &redeem(&code, &proof));
    let token = answer["access_token"].as_str().unwrap();
    let payload = base64::decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims["appidacr"], "2");
}

#[test]
fn consent_and_tenant_are_checked() {
    let mut bench = Bench::new(r#","scopes":{"management":["ServiceHealth.Read"]}"#);
    let code = bench.code();
    let other = redeem(&code, &format!("{SECRET}&scope=SecurityAlert.Read.All"));
    let answer = bench.ask(TENANT, &other);
    assert_eq!(answer["error_codes"], json!([65001]));
    assert_eq!(answer["suberror"], "consent_required");
    let unlent = "&scope=https%3A%2F%2Fmanage.office.com%2FActivityFeed.Read";
    assert_eq!(
        bench.number(&redeem(&code, &format!("{SECRET}{unlent}"))),
        65001
    );
    let answer = bench.ask(TENANT, &redeem(&code, SECRET));
    assert_eq!(bench.claims(&answer).scp, "ServiceHealth.Read");
    let elsewhere = bench.ask("consumers", &redeem(&code, SECRET));
    assert_eq!(elsewhere["error_codes"], json!([50194]));
}

#[test]
fn version_1_has_a_resource() {
    let bench = Bench::of("{}");
    let target = format!(
        "/common/oauth2/authorize?client_id={APP}&response_type=code&redirect_uri={BACK}\
         &resource=https%3A%2F%2Fmanage.office.com"
    );
    let answer = bench.login.answer(&Call::get(Service::Login, &target));
    assert_eq!(answer.status, 302, "{}", answer.body);
    let place = &answer
        .headers
        .iter()
        .find(|one| one.0 == "Location")
        .unwrap()
        .1;
    let body = redeem(&parameter(place, "code").unwrap(), "&client_secret=any");
    let call = Call::get(Service::Login, "/common/oauth2/token").post(&body);
    let answer: Value = serde_json::from_str(&bench.login.answer(&call).body).unwrap();
    assert_eq!(answer["resource"], "https://manage.office.com");
    assert_eq!(answer["expires_in"], "3599");
    assert!(answer["refresh_token"].is_string() && answer["id_token"].is_string());
}
