//! Managed identities: the metadata service of a virtual machine and the identity endpoint of an
//! app service. Requests are authenticated by a header, not by credentials. An identity is found by
//! `client_id` only; object ids, resource ids and the older endpoint of app services
//! (`MSI_ENDPOINT`) are not supported.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use crate::sim::context::Context;
use crate::sim::error_table::{ErrorEntry, ErrorTable};
use crate::sim::ids::is_guid;
use crate::sim::login::grant::{Grant, Rights};
use crate::sim::login::tokens::Resource;
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::Route;
use crate::sim::world::apps::ManagedIdentity;

/// Parameters that select an identity.
const SELECTORS: [&str; 5] = [
    "client_id",
    "object_id",
    "principal_id",
    "msi_res_id",
    "mi_res_id",
];

pub(crate) struct Identity {
    context: Arc<Context>,
}

static ERRORS: LazyLock<ErrorTable> =
    LazyLock::new(|| ErrorTable::parse(include_str!("managed_identity_errors.json")));

/// Why no token is issued: the id of the error, without its service, and its arguments.
struct Refused(&'static str, [String; 2]);

fn refused(id: &'static str) -> Refused {
    Refused(id, [String::new(), String::new()])
}

impl Identity {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    pub(crate) fn answer(&self, call: &Call) -> Answer {
        let answer = match call.route {
            Route::IdentityVm => self.machine(call).with("Server", "IMDS/150.870.65.1854"),
            Route::IdentityAppService => self.app_service(call),
            _ => Answer::new(404, String::new()),
        };
        answer.with("Content-Type", "application/json; charset=utf-8")
    }

    fn machine(&self, call: &Call) -> Answer {
        let checked = if call.header("metadata") != Some("true") {
            Err(refused("header"))
        } else if call.header("x-forwarded-for").is_some() {
            // A forwarding proxy must not expose tokens.
            Err(refused("forwarded"))
        } else {
            self.grant(call, &["2018-02-01", "2019-08-01", "2021-02-01"])
        };
        let grant = match checked {
            Ok(grant) => grant,
            Err(refused) => return refused.of_machine(),
        };
        let (mut body, lifetime) = self.body(call, &grant);
        body["refresh_token"] = json!("");
        body["expires_in"] = json!(lifetime.to_string());
        Answer::new(200, body.to_string())
    }

    fn app_service(&self, call: &Call) -> Answer {
        let checked = match call.header("x-identity-header") {
            None => Err(refused("header_missing")),
            Some(given) if given != self.context.world.identity_header => {
                Err(refused("header_wrong"))
            }
            Some(_) => self.grant(call, &["2019-08-01"]),
        };
        let grant = match checked {
            Ok(grant) => grant,
            Err(refused) => return refused.of_app_service(&self.context.id_of("request", call)),
        };
        Answer::new(200, self.body(call, &grant).0.to_string())
    }

    /// The members that both services return, and the lifetime of the token.
    fn body(&self, call: &Call, grant: &Grant) -> (Value, i64) {
        let issued = grant.issue(&self.context, call);
        let body = json!({
            "access_token": issued.token,
            "client_id": grant.app,
            "expires_on": issued.exp.to_string(),
            "not_before": (self.context.now().timestamp() - 300).to_string(),
            "resource": grant.audience,
            "token_type": "Bearer",
        });
        (body, issued.lifetime)
    }

    fn grant(&self, call: &Call, versions: &[&str]) -> Result<Grant, Refused> {
        let given = |name: &str| call.parameter(name).filter(|text| !text.is_empty());
        if call.method != "GET" {
            return Err(refused("method"));
        }
        let version = given("api-version").unwrap_or_default();
        if !versions.contains(&version) {
            return Err(refused("version"));
        }
        let audience = given("resource").ok_or_else(|| refused("resource_missing"))?;
        let chosen = SELECTORS.iter().find(|name| given(name).is_some());
        let found = match chosen {
            None => self.unnamed(),
            Some(&"client_id") => self.named(given("client_id").unwrap_or_default()),
            Some(_) => None,
        };
        let (app, tenant, listed) = found.ok_or_else(|| refused("identity"))?;
        let unknown = || Refused("resource", [audience.to_owned(), tenant.clone()]);
        let resource = self.context.tokens.resource(audience).ok_or_else(unknown)?;
        Ok(Grant {
            tenant,
            app,
            audience: audience.to_owned(),
            proof: "2",
            rights: Rights::Roles(roles(listed, resource)),
        })
    }

    /// The identity of a request that selects none: the system-assigned one, or the only one.
    fn unnamed(&self) -> Option<(String, String, Option<&ManagedIdentity>)> {
        let Some(listed) = &self.context.world.managed_identities else {
            let id = self.context.ids.guid(&["system-assigned identity"]);
            return Some((id, self.tenant(None), None));
        };
        let only = || listed.first().filter(|_| listed.len() == 1);
        let system = listed.iter().find(|one| one.system);
        system.or_else(only).map(|one| self.known(one))
    }

    fn named(&self, id: &str) -> Option<(String, String, Option<&ManagedIdentity>)> {
        let Some(listed) = &self.context.world.managed_identities else {
            return is_guid(id).then(|| (id.to_owned(), self.tenant(None), None));
        };
        let found = listed
            .iter()
            .find(|one| one.client_id.eq_ignore_ascii_case(id));
        found.map(|one| self.known(one))
    }

    fn known<'a>(&self, one: &'a ManagedIdentity) -> (String, String, Option<&'a ManagedIdentity>) {
        let tenant = self.tenant(one.tenant.as_deref());
        (one.client_id.clone(), tenant, Some(one))
    }

    fn tenant(&self, named: Option<&str>) -> String {
        let tenant = named.unwrap_or(self.context.world.home());
        tenant.to_ascii_lowercase()
    }
}

/// The permissions of a token for a resource.
fn roles(listed: Option<&ManagedIdentity>, resource: Resource) -> Vec<String> {
    let Some(granted) = listed.and_then(|one| one.roles.as_ref()) else {
        return resource.table().roles.clone();
    };
    let elsewhere = |role: &String| {
        let others = Resource::ALL.iter().filter(|other| **other != resource);
        others
            .flat_map(|other| &other.table().roles)
            .any(|known| known == role)
    };
    let here = granted.iter().filter(|role| !elsewhere(role));
    here.cloned().collect()
}

impl Refused {
    fn entry(&self, service: &str) -> ErrorEntry {
        let Self(id, arguments) = self;
        ERRORS.entry(
            &format!("{service}.{id}"),
            &arguments.each_ref().map(String::as_str),
        )
    }

    /// The response of the metadata service.
    fn of_machine(&self) -> Answer {
        let entry = self.entry("vm");
        let body = json!({"error": entry.code, "error_description": entry.text});
        Answer::new(entry.status, body.to_string())
    }

    /// The response of an app service's endpoint.
    fn of_app_service(&self, correlation: &str) -> Answer {
        let entry = self.entry("app");
        let body = json!({
            "statusCode": entry.status, "message": entry.text, "correlationId": correlation,
        });
        Answer::new(entry.status, body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::server::routes::Service;

    const VM: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01";
    const APP: &str = "/msi/token?api-version=2019-08-01";
    const FEED: &str = "&resource=https%3A%2F%2Fmanage.office.com";
    const ONE: &str = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";
    const TWO: &str = "cccccccc-0000-1111-2222-bbbbbbbbbbbb";

    fn listed() -> String {
        format!(
            r#"{{"managed_identities":[
                {{"client_id":"{ONE}","system":true,
                  "roles":["ActivityFeed.Read","SecurityAlert.Read.All"]}},
                {{"client_id":"{TWO}","tenant":"22222222-2222-3333-4444-555555555555"}}]}}"#
        )
    }

    fn ask(world: &str, call: &Call) -> (u16, Value, Arc<Context>) {
        let context = Context::sample(world);
        let answer = Identity::new(Arc::clone(&context)).answer(call);
        let body = serde_json::from_str(&answer.body).unwrap();
        (answer.status, body, context)
    }

    fn vm(world: &str, query: &str) -> (u16, Value, Arc<Context>) {
        let call = Call::get(Service::Metadata, &format!("{VM}{query}"));
        ask(world, &call.header_set("metadata", "true"))
    }

    fn app(world: &str, query: &str, header: &str) -> (u16, Value) {
        let call = Call::get(Service::Metadata, &format!("{APP}{query}"));
        let (status, body, _) = ask(world, &call.header_set("x-identity-header", header));
        (status, body)
    }

    #[test]
    fn virtual_machine_gets_a_token_with_numbers_as_text() {
        let (status, body, context) = vm(&listed(), FEED);
        assert_eq!((status, &body["expires_in"]), (200, &json!("3599")));
        assert_eq!(body["refresh_token"], "");
        assert_eq!(body["resource"], "https://manage.office.com");
        let claims = context.tokens.read(body["access_token"].as_str().unwrap());
        let claims = claims.unwrap();
        assert_eq!(claims.appid, ONE);
        assert_eq!(
            claims.roles,
            ["ActivityFeed.Read"],
            "the other one is Graph's"
        );
    }

    #[test]
    fn client_id_selects_the_identity() {
        let (_, body, context) = vm(&listed(), &format!("{FEED}&client_id={TWO}"));
        let claims = context.tokens.read(body["access_token"].as_str().unwrap());
        assert!(claims.unwrap().tid.starts_with("22222222"));
        for unknown in [
            format!("{FEED}&client_id=dddddddd-0000-1111-2222-bbbbbbbbbbbb"),
            format!("{FEED}&object_id={ONE}"),
        ] {
            let (status, body, _) = vm(&listed(), &unknown);
            assert_eq!((status, &body["error"]), (400, &json!("invalid_request")));
            assert_eq!(body["error_description"], "Identity not found");
        }
        assert_eq!(vm("{}", &format!("{FEED}&client_id={ONE}")).0, 200);
        assert_eq!(vm("{}", &format!("{FEED}&client_id=vm")).0, 400);
    }

    #[test]
    fn only_identity_is_the_default() {
        let only = format!(r#"{{"managed_identities":[{{"client_id":"{ONE}"}}]}}"#);
        assert_eq!(vm(&only, FEED).0, 200);
        let two = listed().replace(r#""system":true,"#, "");
        assert_eq!(vm(&two, FEED).1["error_description"], "Identity not found");
        assert_eq!(vm(r#"{"managed_identities":[]}"#, FEED).0, 400);
    }

    #[test]
    fn virtual_machine_needs_its_header_and_no_proxy() {
        let bare = Call::get(Service::Metadata, &format!("{VM}{FEED}"));
        let requested = json!({"error": "bad_request_102",
            "error_description": "Required metadata header not specified"});
        assert_eq!(ask("{}", &bare).1, requested);
        let passed = bare
            .header_set("metadata", "true")
            .header_set("x-forwarded-for", "10.0.0.1");
        assert_eq!(ask("{}", &passed).0, 400);
        let (_, body, _) = vm("{}", "&resource=https%3A%2F%2Fother.test");
        assert_eq!(body["error"], "invalid_resource");
        let text = body["error_description"].as_str().unwrap();
        assert!(text.starts_with("AADSTS50001: The application named https://other.test"));
        assert_eq!(vm("{}", "").1["error"], "invalid_request");
        let old = VM.replace("2018", "2017");
        let call = Call::get(Service::Metadata, &format!("{old}{FEED}"));
        assert_eq!(ask("{}", &call.header_set("metadata", "true")).0, 400);
    }

    #[test]
    fn app_service_needs_its_own_header() {
        let (status, body) = app("{}", FEED, "simulated-identity-header");
        assert_eq!(status, 200, "{body}");
        assert!(body["expires_on"].is_string() && body.get("expires_in").is_none());
        assert_eq!(app("{}", FEED, "other").0, 403);
        let is_own = r#"{"identity_header":"other"}"#;
        assert_eq!(app(is_own, FEED, "other").0, 200);
        let bare = Call::get(Service::Metadata, &format!("{APP}{FEED}"));
        assert_eq!(ask("{}", &bare).0, 401);
        let unknown = format!("{FEED}&client_id=dddddddd-0000-1111-2222-bbbbbbbbbbbb");
        let (status, body) = app(&listed(), &unknown, "simulated-identity-header");
        assert_eq!((status, &body["statusCode"]), (400, &json!(400)));
    }
}
