//! Tokens for a person's client: a code or a refresh token is redeemed.
//!
//! The order of the checks: tenant, app, proof, code or refresh token, scope, resource, consent.
//! Signatures of identity tokens are deliberately as little checkable as those of access tokens.

use serde_json::{Value, json};

use crate::sim::base64;
use crate::sim::login::client::Client;
use crate::sim::login::codes::Bearer;
use crate::sim::login::errors::{Refused, refused};
use crate::sim::login::form::Form;
use crate::sim::login::grant::{Grant, Rights, owned};
use crate::sim::login::scope::Wanted;
use crate::sim::login::sealed::Refresh;
use crate::sim::login::tokens::Resource;
use crate::sim::login::{Login, second_version};
use crate::sim::server::call::Call;
use crate::sim::server::routes::Service;
use crate::sim::world::apps::{App, RefreshTokens};

/// What a person's client gets.
pub(super) struct Admission {
    grant: Grant,
    wanted: Wanted,
    nonce: Option<String>,
    refresh: Option<Refresh>,
}

/// Where and for what a person signed in, and what the client asks for now.
struct SignIn {
    tenant: String,
    scope: String,
    asked: Option<String>,
    nonce: Option<String>,
    renewed: bool,
}

/// A client that has proven who it is, and the tenant in which it asks.
struct Known<'a> {
    client: Client<'a>,
    tenant: String,
    proof: &'static str,
}

impl Login {
    /// Judges a request that brings a code.
    pub(super) fn by_code(&self, call: &Call, form: &Form) -> Result<Admission, Refused> {
        let known = self.known(call, form)?;
        let bearer = Bearer {
            id: known.client.id,
            app: known.client.app,
            tenant: &known.tenant,
            now: self.site.now().timestamp(),
        };
        let code = self.codes.judge(form, &bearer)?;
        let sign_in = SignIn {
            tenant: code.tenant,
            scope: code.scope,
            asked: asked(call, form)?,
            nonce: code.nonce,
            renewed: false,
        };
        let admission = self.admit(call, &known, sign_in)?;
        self.codes.spend(form)?;
        Ok(admission)
    }

    /// Judges a request that brings a refresh token.
    pub(super) fn by_refresh(&self, call: &Call, form: &Form) -> Result<Admission, Refused> {
        let known = self.known(call, form)?;
        let brought: Option<Refresh> = self.refreshes.open(form.need("refresh_token")?);
        let own = |one: &Refresh| {
            one.app.eq_ignore_ascii_case(known.client.id)
                && one.tenant.eq_ignore_ascii_case(&known.tenant)
        };
        let brought = brought.filter(own).ok_or_else(|| refused(70000, &[]))?;
        self.still_good(&brought, known.client.app)?;
        let sign_in = SignIn {
            tenant: brought.tenant,
            scope: brought.scope,
            asked: asked(call, form)?,
            nonce: None,
            renewed: true,
        };
        self.admit(call, &known, sign_in)
    }

    fn known<'a>(&'a self, call: &Call, form: &'a Form) -> Result<Known<'a>, Refused> {
        let tenant = self.tenant_of_person(call, form)?;
        let client = Client::find(&self.site.world, form.need("client_id")?, &tenant)?;
        let proof = self.proof_beside_person(call, form, &client)?;
        Ok(Known {
            client,
            tenant,
            proof,
        })
    }

    fn still_good(&self, known: &Refresh, app: Option<&App>) -> Result<(), Refused> {
        let days = app.map_or(90 * 86_400, |app| i64::from(app.refresh_lifetime_seconds));
        let age = self.site.now().timestamp() - known.at;
        if age < days {
            return Ok(());
        }
        let issued = self.site.now() - chrono::TimeDelta::seconds(age);
        let issued = issued.format("%Y-%m-%dT%H:%M:%S.0000000Z").to_string();
        let (hours, minutes, seconds) = (days / 3600 % 24, days / 60 % 60, days % 60);
        let span = format!("{}.{hours:02}:{minutes:02}:{seconds:02}", days / 86_400);
        Err(refused(700_082, &[&issued, &span]))
    }

    fn admit(&self, call: &Call, known: &Known<'_>, sign_in: SignIn) -> Result<Admission, Refused> {
        let client = &known.client;
        let wanted = Wanted::of(sign_in.asked.as_deref(), &sign_in.scope)?;
        let audience = wanted.audience()?.to_owned();
        let resource = self.site.tokens.resource(&audience);
        let unknown = || refused(500_011, &[&audience, &sign_in.tenant]);
        let scopes = scopes(client.app, resource.ok_or_else(unknown)?);
        let lent = wanted.names.iter().all(|name| scopes.contains(name));
        if !client.consented() || scopes.is_empty() || !lent {
            let name = client.app.map_or("Lab App", |app| &app.name);
            return Err(refused(65001, &[client.id, name]));
        }
        let kept = client.app.map(|app| app.refresh_tokens) == Some(RefreshTokens::Omit);
        let refresh = (wanted.offline && !(sign_in.renewed && kept)).then(|| Refresh {
            app: client.id.to_owned(),
            tenant: sign_in.tenant.clone(),
            scope: if sign_in.scope.is_empty() {
                sign_in.asked.unwrap_or_default()
            } else {
                sign_in.scope
            },
            at: self.site.now().timestamp(),
            number: call.number,
        });
        let grant = Grant {
            app: client.id.to_owned(),
            audience,
            proof: known.proof,
            rights: Rights::Lent {
                person: self.site.world.person(&sign_in.tenant),
                scopes,
            },
            tenant: sign_in.tenant,
        };
        Ok(Admission {
            grant,
            wanted,
            nonce: sign_in.nonce,
            refresh,
        })
    }

    /// The answer to a person's client.
    pub(super) fn admitted(&self, call: &Call, form: &Form, admission: &Admission) -> Value {
        let grant = &admission.grant;
        let mut body = self.tokens(call, grant);
        body["scope"] = json!(admission.scope());
        if let Some(refresh) = &admission.refresh {
            body["refresh_token"] = json!(self.refreshes.close(refresh));
        }
        if admission.wanted.openid {
            body["id_token"] = json!(self.site.tokens.issue(&self.identity(admission)));
        }
        if form.get("client_info") == Some("1") {
            let who = json!({"uid": grant.principal(&self.site), "utid": grant.tenant});
            body["client_info"] = json!(base64::encode(who.to_string().as_bytes()));
        }
        body
    }

    fn identity(&self, admission: &Admission) -> Value {
        let grant = &admission.grant;
        let now = self.site.now().timestamp();
        let Rights::Lent { person, .. } = &grant.rights else {
            return Value::Null;
        };
        let login = self.site.address(Service::Login);
        let mut claims = json!({
            "aud": grant.app,
            "iss": format!("{login}/{}/v2.0", grant.tenant),
            "iat": now - 300,
            "nbf": now - 300,
            "exp": now + 3600,
            "name": person,
            "oid": grant.principal(&self.site),
            "preferred_username": person,
            "sub": self.site.ids.guid(&["pairwise", &grant.app, person]),
            "tid": grant.tenant,
            "ver": "2.0",
        });
        if let Some(nonce) = &admission.nonce {
            claims["nonce"] = json!(nonce);
        }
        claims
    }

    /// The tenant of an address; at an address for many, that of the app or of the people.
    pub(super) fn tenant_of_person(&self, call: &Call, form: &Form) -> Result<String, Refused> {
        let name = call.segment(0);
        match name.to_ascii_lowercase().as_str() {
            "consumers" => Err(refused(50194, &[form.need("client_id")?])),
            "common" | "organizations" => {
                let id = form.need("client_id")?;
                let world = &self.site.world;
                let app = world
                    .apps
                    .iter()
                    .find(|app| app.id.eq_ignore_ascii_case(id));
                let tenant = app.map_or(world.home(), |app| &app.tenant);
                Ok(tenant.to_ascii_lowercase())
            }
            _ => self.tenant(&name),
        }
    }
}

impl Admission {
    /// What the answer says of the permissions: each with its resource, and what stood for all.
    fn scope(&self) -> String {
        let Rights::Lent { scopes, .. } = &self.grant.rights else {
            return String::new();
        };
        let all = self.wanted.names.is_empty().then_some(".default");
        let names = scopes.iter().map(String::as_str).chain(all);
        let full: Vec<String> = names
            .map(|name| format!("{}/{name}", self.grant.audience))
            .collect();
        full.join(" ")
    }
}

/// The scope of a request; the resource of version 1 is written as one.
pub(super) fn asked(call: &Call, form: &Form) -> Result<Option<String>, Refused> {
    let resource = form.get("resource");
    if !second_version(call) {
        // Version 1 knows no scopes: it always lets the client go on, and tells who signed in.
        return Ok(resource.map(|name| format!("{name}/.default openid offline_access")));
    }
    if resource.is_some() {
        return Err(refused(901_002, &[]));
    }
    Ok(form.get("scope").map(str::to_owned))
}

fn scopes(app: Option<&App>, resource: Resource) -> Vec<String> {
    match app.and_then(|app| app.scopes.as_ref()) {
        Some(granted) => granted.get(resource.name()).cloned().unwrap_or_default(),
        None => owned(resource.all_scopes()),
    }
}
