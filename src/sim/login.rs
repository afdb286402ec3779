//! Sign-in: `OpenID` discovery and the token endpoints (v1 and v2) for apps with a client secret.
//!
//! The order of the checks: method, tenant, grant, app id, resource, app, secret, principals. It
//! deliberately knows no users and no certificates yet: an assertion is answered as one whose
//! certificate is not registered.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::sim::base64;
use crate::sim::ids::is_guid;
use crate::sim::login_errors::{Refused, refused};
use crate::sim::routes::{Route, Service};
use crate::sim::site::Site;
use crate::sim::tokens::Resource;
use crate::sim::wire::{Answer, Call, pairs};
use crate::sim::world::App;

/// The sign-in service.
pub(super) struct Login {
    site: Arc<Site>,
}

/// A form, and the credentials of HTTP Basic among its fields.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(call: &Call) -> Self {
        let mut fields = pairs(&call.body);
        fields.extend(basic(call).unwrap_or_default());
        Self(fields)
    }

    fn get(&self, name: &str) -> Option<&str> {
        let field = self
            .0
            .iter()
            .find(|(key, value)| key == name && !value.is_empty());
        field.map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| refused(900_144, &[name]))
    }
}

/// Id and secret of an `Authorization: Basic` header, each form-encoded inside.
fn basic(call: &Call) -> Option<Vec<(String, String)>> {
    let encoded = call.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(base64::decode(encoded.trim())?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some(pairs(&format!("client_id={id}&client_secret={secret}")))
}

/// A sign-in that passed every check.
struct Grant<'a> {
    tenant: String,
    app: &'a str,
    audience: &'a str,
    roles: Vec<String>,
}

impl Login {
    /// The service of a site.
    pub(super) fn new(site: Arc<Site>) -> Self {
        Self { site }
    }

    /// Answers a call.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        let answer = match call.route {
            Route::LoginDiscovery => self.discovery(call),
            Route::LoginToken => self.token(call),
            _ => return Answer::new(404, String::new()).with("Cache-Control", "private"),
        };
        self.dressed(answer, call)
    }

    /// Adds the headers that every answer has.
    fn dressed(&self, answer: Answer, call: &Call) -> Answer {
        let cookie =
            "fpc=simulated; expires=Fri, 01-Jan-2100 00:00:00 GMT; path=/; secure; HttpOnly";
        answer
            .with("Cache-Control", "no-store, no-cache")
            .with("Pragma", "no-cache")
            .with("Content-Type", "application/json; charset=utf-8")
            .with("Expires", "-1")
            .with(
                "Strict-Transport-Security",
                "max-age=31536000; includeSubDomains",
            )
            .with("X-Content-Type-Options", "nosniff")
            .with("P3P", "CP=\"DSP CUR OTPi IND OTRi ONL FIN\"")
            .with("x-ms-request-id", self.site.id_of("request", call))
            .with("x-ms-ests-server", "2.1.0 - SIM ProdSlices")
            .with("Set-Cookie", cookie)
            .with(
                "Set-Cookie",
                "x-ms-gateway-slice=estsfd; path=/; secure; httponly",
            )
            .with(
                "Set-Cookie",
                "stsservicecookie=estsfd; path=/; secure; httponly",
            )
    }

    fn discovery(&self, call: &Call) -> Answer {
        let name = call.segment(0);
        let everyone = ["common", "organizations", "consumers"].contains(&name.as_str());
        let tenant = if everyone {
            Ok("{tenantid}".to_owned())
        } else {
            self.tenant(&name)
        };
        match tenant {
            Ok(tenant) => Answer::new(200, self.metadata(&name, &tenant).to_string()),
            Err(error) => error.at_discovery().answer(&self.site, call),
        }
    }

    fn metadata(&self, name: &str, tenant: &str) -> Value {
        let root = format!("{}/{name}", self.site.address(Service::Login));
        json!({
            "token_endpoint": format!("{root}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported":
                ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": format!("{root}/discovery/v2.0/keys"),
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": format!("{}/{tenant}/v2.0", self.site.address(Service::Login)),
            "authorization_endpoint": format!("{root}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{root}/oauth2/v2.0/devicecode"),
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "msgraph_host": "graph.microsoft.com",
        })
    }

    fn token(&self, call: &Call) -> Answer {
        let form = Form::read(call);
        match self.grant(call, &form) {
            Ok(grant) => Answer::new(200, self.tokens(call, &grant).to_string()),
            Err(error) => error.answer(&self.site, call),
        }
    }

    fn grant<'a>(&self, call: &Call, form: &'a Form) -> Result<Grant<'a>, Refused> {
        if call.method != "POST" {
            return Err(refused(900_561, &["POST", &call.method]));
        }
        let name = call.segment(0);
        if ["common", "organizations", "consumers"].contains(&name.as_str()) {
            return Err(refused(50194, &[form.need("client_id")?]));
        }
        let tenant = self.tenant(&name)?;
        match form.need("grant_type")? {
            "client_credentials" => {}
            other => return Err(refused(70003, &[other])),
        }
        let app = form.need("client_id")?;
        let audience = audience(call, form)?;
        let listed = self.app(app, &tenant)?;
        self.secret(app, listed, form)?;
        let resource = self.site.tokens.resource(audience);
        let resource = resource.ok_or_else(|| refused(500_011, &[audience, &tenant]))?;
        Ok(Grant {
            tenant,
            app,
            audience,
            roles: roles(listed, resource),
        })
    }

    /// The GUID of the tenant that a path names by GUID or domain.
    fn tenant(&self, name: &str) -> Result<String, Refused> {
        if !is_guid(name) && !is_domain(name) {
            return Err(refused(900_023, &[name]));
        }
        if let Some(tenant) = self.site.world.tenant(name) {
            return Ok(tenant.id.to_ascii_lowercase());
        }
        let lower = name.to_ascii_lowercase();
        match self.site.world.accepts_strangers() {
            true if is_guid(name) => Ok(lower),
            true => Ok(self.site.ids.guid(&["tenant", &lower])),
            false => Err(refused(90002, &[name])),
        }
    }

    /// The listed app, or nothing for a stranger who is welcome.
    fn app(&self, id: &str, tenant: &str) -> Result<Option<&App>, Refused> {
        let world = &self.site.world;
        let home = |app: &&App| app.tenant.eq_ignore_ascii_case(tenant);
        let named = |app: &&App| app.id.eq_ignore_ascii_case(id);
        let Some(app) = world.apps.iter().filter(home).find(named) else {
            let welcome = world.accepts_strangers() && is_guid(id);
            return if welcome {
                Ok(None)
            } else {
                Err(refused(700_016, &[id, tenant]))
            };
        };
        if app.disabled {
            return Err(refused(7_000_112, &[&app.id, &app.name]));
        }
        if !app.consented {
            return Err(refused(7_000_229, &[&app.id, tenant]));
        }
        Ok(Some(app))
    }

    fn secret(&self, id: &str, listed: Option<&App>, form: &Form) -> Result<(), Refused> {
        let Some(given) = form.get("client_secret") else {
            let number = if form.get("client_assertion").is_some() {
                700_027
            } else {
                7_000_218
            };
            return Err(refused(number, &[]));
        };
        let Some(app) = listed else { return Ok(()) };
        match app.secrets.iter().find(|secret| secret.value == given) {
            None => Err(refused(7_000_215, &[id])),
            Some(secret) if secret.expires.is_some_and(|end| end <= self.site.now) => {
                Err(refused(7_000_222, &[id]))
            }
            Some(_) => Ok(()),
        }
    }

    fn tokens(&self, call: &Call, grant: &Grant<'_>) -> Value {
        let now = self.site.now.timestamp();
        let lifetime = i64::from(self.site.world.token_lifetime_seconds);
        // A real token lives a second longer than the answer says.
        let lasting = lifetime > 0 && !call.expired;
        let exp = if lasting { now + lifetime + 1 } else { now };
        let token = self.site.tokens.issue(&self.claims(call, grant, exp));
        let second = call.path.to_ascii_lowercase().contains("/v2.0/");
        let strings = !second || self.site.world.numbers_as_strings;
        let number = |value: i64| {
            if strings {
                json!(value.to_string())
            } else {
                json!(value)
            }
        };
        let mut body = json!({
            "token_type": "Bearer",
            "expires_in": number(lifetime),
            "ext_expires_in": number(lifetime),
        });
        if !second {
            body["expires_on"] = number(exp);
            body["not_before"] = number(now - 300);
            body["resource"] = json!(grant.audience);
        }
        body["access_token"] = json!(token);
        body
    }

    fn claims(&self, call: &Call, grant: &Grant<'_>, exp: i64) -> Value {
        let begin = self.site.now.timestamp() - 300;
        let issuer = format!("https://sts.windows.net/{}/", grant.tenant);
        let principal = self.site.ids.guid(&["principal", &grant.tenant, grant.app]);
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("aud", grant.audience.into());
        put("iss", issuer.clone().into());
        put("iat", begin.into());
        put("nbf", begin.into());
        put("exp", exp.into());
        put("appid", grant.app.into());
        put("appidacr", "1".into());
        put("idp", issuer.into());
        put("oid", principal.clone().into());
        if !grant.roles.is_empty() {
            put("roles", grant.roles.clone().into());
        }
        put("sub", principal.into());
        put("tid", grant.tenant.clone().into());
        put("uti", self.site.id_of("token", call).into());
        put("ver", "1.0".into());
        Value::Object(claims)
    }
}

/// The resource that a form asks a token for: by `scope` in v2, by `resource` in v1.
fn audience<'a>(call: &Call, form: &'a Form) -> Result<&'a str, Refused> {
    if !call.path.to_ascii_lowercase().contains("/v2.0/") {
        return form.need("resource");
    }
    if form.get("resource").is_some() {
        return Err(refused(901_002, &[]));
    }
    let scope = form.need("scope")?;
    if scope.split_whitespace().count() > 1 {
        return Err(refused(70011, &[scope]));
    }
    let resource = scope.trim().strip_suffix("/.default");
    resource
        .filter(|name| !name.is_empty())
        .ok_or_else(|| refused(1_002_012, &[scope]))
}

fn roles(listed: Option<&App>, resource: Resource) -> Vec<String> {
    match listed.and_then(|app| app.roles.as_ref()) {
        Some(granted) => granted.get(resource.name()).cloned().unwrap_or_default(),
        None => resource
            .all_roles()
            .iter()
            .map(|role| (*role).to_owned())
            .collect(),
    }
}

fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    name.contains('.') && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    const APP: &str = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";
    const WORLD: &str = r#"{"apps":[{"id":"aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
        "tenant":"11111111-2222-3333-4444-555555555555",
        "secrets":[{"value":"good"},{"value":"old","expires":"2026-01-14T12:00:00Z"}],
        "roles":{"graph":["SecurityAlert.Read.All"]}},
        {"id":"cccccccc-0000-1111-2222-bbbbbbbbbbbb","disabled":true,
        "tenant":"11111111-2222-3333-4444-555555555555"}]}"#;

    fn ask(world: &str, path: &str, body: &str) -> (u16, Value) {
        let login = Login::new(Site::sample(world));
        let answer = login.answer(&Call::get(Service::Login, path).post(body));
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    fn form(secret: &str, scope: &str) -> String {
        format!(
            "grant_type=client_credentials&client_id={APP}&client_secret={secret}&scope={scope}"
        )
    }

    const GRAPH: &str = "https%3A%2F%2Fgraph.microsoft.com%2F.default";

    #[test]
    fn a_token_has_the_documented_claims() {
        let path = format!("/{TENANT}/oauth2/v2.0/token");
        let (status, body) = ask(WORLD, &path, &form("good", GRAPH));
        assert_eq!((status, &body["expires_in"]), (200, &json!(3599)));
        let token = body["access_token"].as_str().unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&base64::decode(payload).unwrap()).unwrap();
        assert_eq!(claims["aud"], "https://graph.microsoft.com");
        assert_eq!(claims["tid"], TENANT);
        assert_eq!(claims["roles"], json!(["SecurityAlert.Read.All"]));
        let span = claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap();
        assert_eq!(span, 3900);
        assert_eq!(body, ask(WORLD, &path, &form("good", GRAPH)).1);
    }

    #[test]
    fn an_app_without_roles_gets_a_token_without_them() {
        let path = format!("/{TENANT}/oauth2/v2.0/token");
        let scope = "https%3A%2F%2Fmanage.office.com%2F.default";
        let (_, body) = ask(WORLD, &path, &form("good", scope));
        let site = Site::sample(WORLD);
        let token = body["access_token"].as_str().unwrap();
        assert!(site.tokens.read(token).unwrap().roles.is_empty());
    }

    #[test]
    fn version_one_writes_numbers_as_strings() {
        let body = form("good", "").replace("&scope=", "&resource=https://manage.office.com");
        let (status, body) = ask(WORLD, "/contoso.onmicrosoft.com/oauth2/token", &body);
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["expires_in"], "3599");
        assert_eq!(body["resource"], "https://manage.office.com");
    }

    #[test]
    fn each_fault_has_its_number_and_status() {
        let good = form("good", GRAPH);
        let without = |field: &str| {
            let kept: Vec<&str> = good
                .split('&')
                .filter(|pair| !pair.starts_with(field))
                .collect();
            kept.join("&")
        };
        let cases = [
            ("no tenant!", good.clone(), 900_023, 400),
            (
                "22222222-2222-3333-4444-555555555555",
                good.clone(),
                90002,
                400,
            ),
            ("common", good.clone(), 50194, 400),
            (TENANT, without("grant_type"), 900_144, 400),
            (
                TENANT,
                good.replace("client_credentials", "password"),
                70003,
                400,
            ),
            (TENANT, without("client_id"), 900_144, 400),
            (TENANT, without("scope"), 900_144, 400),
            (TENANT, format!("{good}&resource=x"), 901_002, 400),
            (
                TENANT,
                form("good", "a%2F.default+b%2F.default"),
                70011,
                400,
            ),
            (
                TENANT,
                form("good", "https%3A%2F%2Fgraph.microsoft.com"),
                1_002_012,
                400,
            ),
            (TENANT, good.replace("aaaaaaaa", "dddddddd"), 700_016, 400),
            (TENANT, good.replace("aaaaaaaa", "cccccccc"), 7_000_112, 400),
            (TENANT, without("client_secret"), 7_000_218, 401),
            (TENANT, form("bad", GRAPH), 7_000_215, 401),
            (TENANT, form("old", GRAPH), 7_000_222, 401),
            (
                TENANT,
                form("good", "https%3A%2F%2Fother.test%2F.default"),
                500_011,
                400,
            ),
        ];
        for (tenant, body, number, wanted) in cases {
            let path = format!("/{}/oauth2/v2.0/token", tenant.replace(' ', "%20"));
            let (status, answer) = ask(WORLD, &path, &body);
            assert_eq!(answer["error_codes"], json!([number]), "{answer}");
            assert_eq!(status, wanted, "{answer}");
        }
    }

    #[test]
    fn the_error_body_is_the_documented_one() {
        let world = WORLD.replacen('{', r#"{"error_separator":"crlf","#, 1);
        let path = format!("/{TENANT}/oauth2/v2.0/token");
        let (_, body) = ask(&world, &path, &form("bad", GRAPH));
        let text = body["error_description"].as_str().unwrap();
        assert!(
            text.starts_with("AADSTS7000215: Invalid client secret provided."),
            "{text}"
        );
        let end = "\r\nTimestamp: 2026-01-14 12:00:00Z";
        assert!(
            text.ends_with(end) && text.contains("'.\r\nTrace ID: "),
            "{text}"
        );
        assert_eq!(
            body["error_uri"],
            "https://login.microsoftonline.com/error?code=7000215"
        );
    }

    #[test]
    fn basic_credentials_count_as_form_fields() {
        let body = format!("grant_type=client_credentials&scope={GRAPH}");
        let path = format!("/{TENANT}/oauth2/v2.0/token");
        let header = format!(
            "Basic {}",
            base64::encode(format!("{APP}:go%6Fd").as_bytes())
        );
        let call = Call::get(Service::Login, &path).post(&body);
        let answer =
            Login::new(Site::sample(WORLD)).answer(&call.header_set("authorization", &header));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    #[test]
    fn strangers_are_welcome_in_the_default_world() {
        let path = "/22222222-2222-3333-4444-555555555555/oauth2/v2.0/token";
        assert_eq!(ask("{}", path, &form("anything", GRAPH)).0, 200);
        let nameless = form("anything", GRAPH).replace(APP, "my-app");
        assert_eq!(
            ask("{}", path, &nameless).1["error_codes"],
            json!([700_016])
        );
    }

    #[test]
    fn discovery_names_the_endpoints_of_this_server() {
        let path = "/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration";
        let (status, body) = ask("{}", path, "");
        assert_eq!(status, 200);
        let endpoint = "https://127.0.0.1:1/login/contoso.onmicrosoft.com/oauth2/v2.0/token";
        assert_eq!(body["token_endpoint"], endpoint);
        let missing = path.replace("contoso", "fabrikam");
        assert_eq!(ask(WORLD, &missing, "").1["error"], "invalid_tenant");
    }
}
