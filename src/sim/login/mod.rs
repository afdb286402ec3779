//! Sign-in: instance and `OpenID` discovery, the authorization endpoint, device codes and the token
//! endpoints (v1 and v2).
//!
//! A request for client credentials is checked in this order: method, tenant, grant type, client
//! id, resource, app, secret or certificate, service principal. Passwords are not supported.

mod assertion;
mod authorize;
mod client;
mod codes;
mod device_code;
#[cfg(test)]
mod device_code_tests;
mod errors;
mod form;
mod grant;
pub(super) mod managed_identity;
mod scope;
mod signed_text;
#[cfg(test)]
mod tests;
pub(super) mod tokens;
mod user;
#[cfg(test)]
mod user_tests;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::context::Context;
use crate::sim::ids::is_guid;
use crate::sim::login::errors::{Refused, refused};
use crate::sim::login::grant::{Grant, Rights};
use crate::sim::login::tokens::Resource;
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::Route;
use crate::sim::world::apps::App;

use client::Client;
use codes::Codes;
use device_code::DeviceCodes;
use form::Form;
use signed_text::Signer;

/// Paths that name no single tenant.
const SHARED_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

pub(super) struct Login {
    context: Arc<Context>,
    codes: Codes,
    device_codes: DeviceCodes,
    refresh_tokens: Signer,
}

impl Login {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            codes: Codes::new(&context),
            device_codes: DeviceCodes::new(&context),
            refresh_tokens: Signer::new(&context.ids, "refresh token"),
            context,
        }
    }

    pub(super) fn answer(&self, call: &Call) -> Answer {
        let json = |answer: Answer| answer.with("Content-Type", "application/json; charset=utf-8");
        let answer = match call.route {
            Route::LoginInstance => json(self.instance(call)),
            Route::LoginDiscovery => json(self.discovery(call)),
            Route::LoginAuthorize => self.authorize(call),
            Route::LoginDeviceCode => json(self.device_code(call)),
            Route::LoginToken => json(self.token(call)),
            _ => return Answer::new(404, String::new()).with("Cache-Control", "private"),
        };
        self.with_common_headers(answer, call)
    }

    /// Adds the headers of all responses.
    fn with_common_headers(&self, answer: Answer, call: &Call) -> Answer {
        let cookie =
            "fpc=simulated; expires=Fri, 01-Jan-2100 00:00:00 GMT; path=/; secure; HttpOnly";
        answer
            .with("Cache-Control", "no-store, no-cache")
            .with("Pragma", "no-cache")
            .with("Expires", "-1")
            .with(
                "Strict-Transport-Security",
                "max-age=31536000; includeSubDomains",
            )
            .with("X-Content-Type-Options", "nosniff")
            .with("P3P", "CP=\"DSP CUR OTPi IND OTRi ONL FIN\"")
            .with("x-ms-request-id", self.context.id_of("request", call))
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
        let tenant = if SHARED_TENANTS.contains(&name.as_str()) {
            Ok("{tenantid}".to_owned())
        } else {
            self.tenant(&name)
        };
        match tenant {
            Ok(tenant) => {
                let root = format!("{}{}", self.context.base(), call.prefix);
                Answer::new(200, metadata(&root, &name, &tenant).to_string())
            }
            Err(error) => error.at_discovery().answer(&self.context, call),
        }
    }

    /// Instance discovery: the only known login host is the simulator.
    fn instance(&self, call: &Call) -> Answer {
        let base = self.context.base();
        let (_, host) = base.split_once("://").unwrap_or_default();
        let requested_scope = call.parameter("authorization_endpoint").unwrap_or_default();
        // MSAL removes the port.
        let portless = base.trim_end_matches(|c: char| c.is_ascii_digit());
        let known = requested_scope
            .strip_prefix(base)
            .or_else(|| requested_scope.strip_prefix(portless.trim_end_matches(':')))
            .and_then(|path| path.strip_suffix("/oauth2/v2.0/authorize"))
            .filter(|path| path.starts_with('/'));
        let Some(path) = known else {
            return refused(50049, &[])
                .at_discovery()
                .answer(&self.context, call);
        };
        let discovery = "v2.0/.well-known/openid-configuration";
        let body = json!({
            "tenant_discovery_endpoint": format!("{}{path}/{discovery}", self.context.base()),
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        });
        Answer::new(200, body.to_string())
    }

    fn token(&self, call: &Call) -> Answer {
        let form = Form::read(call);
        match self.token_body(call, &form) {
            Ok(body) => Answer::new(200, body.to_string()),
            Err(error) => error.answer(&self.context, call),
        }
    }

    fn token_body(&self, call: &Call, form: &Form) -> Result<Value, Refused> {
        if call.method != "POST" {
            return Err(refused(900_561, &["POST", &call.method]));
        }
        match form.get("grant_type") {
            Some("authorization_code") => {
                let approval = self.by_code(call, form)?;
                Ok(self.user_token_body(call, form, &approval))
            }
            Some("refresh_token") => {
                let approval = self.by_refresh(call, form)?;
                Ok(self.user_token_body(call, form, &approval))
            }
            Some(_) if form.is_device_grant() => {
                let approval = self.by_device_code(call, form)?;
                Ok(self.user_token_body(call, form, &approval))
            }
            _ => Ok(self.tokens(call, &self.client_credentials(call, form)?)),
        }
    }

    fn client_credentials(&self, call: &Call, form: &Form) -> Result<Grant, Refused> {
        let name = call.segment(0);
        if SHARED_TENANTS.contains(&name.as_str()) {
            return Err(refused(50194, &[form.need("client_id")?]));
        }
        let tenant = self.tenant(&name)?;
        match form.need("grant_type")? {
            "client_credentials" => {}
            other => return Err(refused(70003, &[other])),
        }
        let id = form.need("client_id")?;
        let audience = audience(call, form)?;
        let client = Client::find(&self.context.world, id, &tenant)?;
        if !client.consented() {
            return Err(refused(7_000_229, &[id, &tenant]));
        }
        let proof = self.proof(call, form, &client)?;
        let resource = self.context.tokens.resource(audience);
        let resource = resource.ok_or_else(|| refused(500_011, &[audience, &tenant]))?;
        Ok(Grant {
            tenant,
            app: id.to_owned(),
            audience: audience.to_owned(),
            proof,
            rights: Rights::Roles(roles(client.app, resource)),
        })
    }

    /// The GUID of the tenant with a GUID or domain.
    fn tenant(&self, name: &str) -> Result<String, Refused> {
        if !is_guid(name) && !is_domain(name) {
            return Err(refused(900_023, &[name]));
        }
        if let Some(tenant) = self.context.world.tenant(name) {
            return Ok(tenant.id.to_ascii_lowercase());
        }
        let lower = name.to_ascii_lowercase();
        match self.context.world.accepts_unlisted() {
            true if is_guid(name) => Ok(lower),
            true => Ok(self.context.ids.guid(&["tenant", &lower])),
            false => Err(refused(90002, &[name])),
        }
    }

    fn tokens(&self, call: &Call, grant: &Grant) -> Value {
        let issued = grant.issue(&self.context, call);
        let second = is_version_2(call);
        let strings = !second || self.context.world.numbers_as_strings;
        let number = |value: i64| {
            if strings {
                json!(value.to_string())
            } else {
                json!(value)
            }
        };
        let mut body = json!({
            "token_type": "Bearer",
            "expires_in": number(issued.lifetime),
            "ext_expires_in": number(issued.lifetime),
        });
        if !second {
            body["expires_on"] = number(issued.exp);
            body["not_before"] = number(self.context.now().timestamp() - 300);
            body["resource"] = json!(grant.audience);
        }
        body["access_token"] = json!(issued.token);
        body
    }
}

/// The `OpenID` metadata of a tenant, below the address of sign-in.
fn metadata(address: &str, name: &str, tenant: &str) -> Value {
    let root = format!("{address}/{name}");
    json!({
        "token_endpoint": format!("{root}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{root}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{address}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{root}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{root}/oauth2/v2.0/devicecode"),
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "msgraph_host": "graph.microsoft.com",
    })
}

/// Whether a request is for an endpoint of version 2.
fn is_version_2(call: &Call) -> bool {
    call.path.to_ascii_lowercase().contains("/v2.0/")
}

/// The requested resource: `scope` in v2, `resource` in v1.
fn audience<'a>(call: &Call, form: &'a Form) -> Result<&'a str, Refused> {
    if !is_version_2(call) {
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
        None => resource.table().roles.clone(),
    }
}

fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    name.contains('.') && name.split('.').all(label)
}
