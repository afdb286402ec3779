//! Managed identities: the metadata service of a virtual machine and the identity endpoint of an
//! app service. Requests are authenticated by a header, not by credentials. An identity is found by
//! `client_id` only; object ids, resource ids and the older endpoint of app services
//! (`MSI_ENDPOINT`) are not supported.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::context::Context;
use crate::sim::ids::is_guid;
use crate::sim::login::grant::{Grant, Rights, owned};
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

/// The two services.
pub(crate) struct Identity {
    context: Arc<Context>,
}

/// Why no token is issued.
enum Refused {
    /// A required header is missing, or a forbidden one was sent.
    Header(&'static str),
    /// The header of an app service is missing (401) or wrong (403).
    Secret(u16),
    /// A parameter is missing or invalid.
    Parameter(&'static str),
    /// The identity does not exist.
    Nobody,
    /// The resource does not exist in the tenant.
    Resource(String, String),
}

impl Identity {
    /// The services.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// Processes a request.
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
            Err(Refused::Header("Required metadata header not specified"))
        } else if call.header("x-forwarded-for").is_some() {
            // A forwarding proxy must not expose tokens.
            Err(Refused::Header("X-Forwarded-For header is not allowed"))
        } else {
            self.grant(call, &["2018-02-01", "2019-08-01", "2021-02-01"])
        };
        let grant = match checked {
            Ok(grant) => grant,
            Err(refused) => return refused.of_machine(),
        };
        let (issued, begin) = (grant.issue(&self.context, call), self.begin());
        let body = json!({
            "access_token": issued.token,
            "client_id": grant.app,
            "refresh_token": "",
            "expires_in": issued.lifetime.to_string(),
            "expires_on": issued.exp.to_string(),
            "not_before": begin,
            "resource": grant.audience,
            "token_type": "Bearer",
        });
        Answer::new(200, body.to_string())
    }

    fn app_service(&self, call: &Call) -> Answer {
        let checked = match call.header("x-identity-header") {
            None => Err(Refused::Secret(401)),
            Some(given) if given != self.context.world.identity_header => Err(Refused::Secret(403)),
            Some(_) => self.grant(call, &["2019-08-01"]),
        };
        let grant = match checked {
            Ok(grant) => grant,
            Err(refused) => return refused.of_app_service(&self.context.id_of("request", call)),
        };
        let (issued, begin) = (grant.issue(&self.context, call), self.begin());
        let body = json!({
            "access_token": issued.token,
            "client_id": grant.app,
            "expires_on": issued.exp.to_string(),
            "not_before": begin,
            "resource": grant.audience,
            "token_type": "Bearer",
        });
        Answer::new(200, body.to_string())
    }

    fn begin(&self) -> String {
        (self.context.now().timestamp() - 300).to_string()
    }

    fn grant(&self, call: &Call, versions: &[&str]) -> Result<Grant, Refused> {
        let given = |name: &str| call.parameter(name).filter(|text| !text.is_empty());
        if call.method != "GET" {
            return Err(Refused::Parameter("Only GET is allowed"));
        }
        let version = given("api-version").unwrap_or_default();
        if !versions.contains(&version) {
            return Err(Refused::Parameter(
                "api-version is invalid or was not specified in the request",
            ));
        }
        let missing = Refused::Parameter("Required query variable 'resource' is missing");
        let audience = given("resource").ok_or(missing)?;
        let chosen = SELECTORS.iter().find(|name| given(name).is_some());
        let found = match chosen {
            None => self.unnamed(),
            Some(&"client_id") => self.named(given("client_id").unwrap_or_default()),
            Some(_) => None,
        };
        let (app, tenant, listed) = found.ok_or(Refused::Nobody)?;
        let unknown = || Refused::Resource(audience.to_owned(), tenant.clone());
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
        return owned(resource.all_roles());
    };
    let elsewhere = |role: &String| {
        let others = Resource::ALL.iter().filter(|other| **other != resource);
        others
            .flat_map(|other| other.all_roles())
            .any(|known| known == role)
    };
    let here = granted.iter().filter(|role| !elsewhere(role));
    here.cloned().collect()
}

impl Refused {
    /// The response of the metadata service.
    fn of_machine(self) -> Answer {
        let (error, text) = match self {
            Self::Header(text) => ("bad_request_102", text.to_owned()),
            Self::Parameter(text) => ("invalid_request", text.to_owned()),
            Self::Nobody | Self::Secret(_) => ("invalid_request", "Identity not found".to_owned()),
            Self::Resource(name, tenant) => ("invalid_resource", not_found(&name, &tenant)),
        };
        let body = json!({"error": error, "error_description": text});
        Answer::new(400, body.to_string())
    }

    /// The response of an app service's endpoint.
    fn of_app_service(self, correlation: &str) -> Answer {
        let (status, text): (u16, String) = match self {
            Self::Header(text) | Self::Parameter(text) => (400, text.to_owned()),
            Self::Secret(status) => (
                status,
                "The X-IDENTITY-HEADER is missing or is not the one of this app.".to_owned(),
            ),
            Self::Nobody => (
                400,
                "No User Assigned or Delegated Managed Identity found for specified \
                 ClientId/ResourceId/PrincipalId."
                    .to_owned(),
            ),
            Self::Resource(name, tenant) => (400, not_found(&name, &tenant)),
        };
        let body: Value = json!({
            "statusCode": status, "message": text, "correlationId": correlation,
        });
        Answer::new(status, body.to_string())
    }
}

fn not_found(name: &str, tenant: &str) -> String {
    format!(
        "AADSTS50001: The application named {name} was not found in the tenant named {tenant}. \
         This can happen if the application has not been installed by the administrator of the \
         tenant or consented to by any user in the tenant. You might have sent your authentication \
         request to the wrong tenant."
    )
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
