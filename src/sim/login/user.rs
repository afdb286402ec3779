//! Tokens for signed-in users: an authorization code, a device code or a refresh token is redeemed. A request is
//! checked in this order: tenant, app, client proof, code or refresh token, scope, resource,
//! consent.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::sim::base64;
use crate::sim::login::client::Client;
use crate::sim::login::codes::Redeemer;
use crate::sim::login::errors::{Refused, refused};
use crate::sim::login::form::Form;
use crate::sim::login::grant::{Grant, Rights};
use crate::sim::login::scope::RequestedScope;
use crate::sim::login::signed_text::RefreshToken;
use crate::sim::login::tokens::Resource;
use crate::sim::login::{Login, is_version_2};
use crate::sim::server::call::Call;
use crate::sim::server::routes::Service;
use crate::sim::world::apps::{App, RefreshTokens};

/// The lifetime of a refresh token that is not used.
const REFRESH_LIFETIME: TimeDelta = TimeDelta::days(90);

/// The checked request of a client that signs in a user.
pub(super) struct Approval {
    grant: Grant,
    requested: RequestedScope,
    nonce: Option<String>,
    refresh: Option<RefreshToken>,
}

/// The sign-in, and the scope of the token request.
pub(super) struct SignIn {
    pub(super) tenant: String,
    /// The scope of the sign-in.
    pub(super) scope: String,
    /// The scope of the token request.
    pub(super) requested_scope: Option<String>,
    /// The `nonce` of the identity token.
    pub(super) nonce: Option<String>,
    /// Whether a refresh token is redeemed.
    pub(super) renewed: bool,
    /// Whether the sign-in began with a device code.
    pub(super) device: bool,
}

/// A client that has proven its identity, and its tenant.
pub(super) struct Known<'a> {
    pub(super) client: Client<'a>,
    /// The tenant of the path, or the tenant of the app.
    pub(super) tenant: String,
    proof: &'static str,
}

impl Login {
    /// Checks a request with an authorization code.
    pub(super) fn by_code(&self, call: &Call, form: &Form) -> Result<Approval, Refused> {
        let known = self.known(call, form)?;
        let redeemer = Redeemer {
            id: known.client.id,
            app: known.client.app,
            tenant: &known.tenant,
            now: self.context.now().timestamp(),
        };
        let code = self.codes.check(form, &redeemer)?;
        let sign_in = SignIn {
            tenant: code.tenant,
            scope: code.scope,
            requested_scope: requested_scope(call, form)?,
            nonce: code.nonce,
            renewed: false,
            device: false,
        };
        let approval = self.approve(call, &known, sign_in)?;
        self.codes.mark_used(form)?;
        Ok(approval)
    }

    /// Checks a request with a refresh token.
    pub(super) fn by_refresh(&self, call: &Call, form: &Form) -> Result<Approval, Refused> {
        let known = self.known(call, form)?;
        let token: Option<RefreshToken> = self.refresh_tokens.verify(form.need("refresh_token")?);
        let is_own = |one: &RefreshToken| {
            one.app.eq_ignore_ascii_case(known.client.id)
                && one.tenant.eq_ignore_ascii_case(&known.tenant)
        };
        let token = token.filter(is_own).ok_or_else(|| refused(70000, &[]))?;
        self.check_lifetime(&token)?;
        let sign_in = SignIn {
            tenant: token.tenant,
            scope: token.scope,
            requested_scope: requested_scope(call, form)?,
            nonce: None,
            renewed: true,
            device: token.device,
        };
        self.approve(call, &known, sign_in)
    }

    /// The client of a request and its proof of identity.
    pub(super) fn known<'a>(&'a self, call: &Call, form: &'a Form) -> Result<Known<'a>, Refused> {
        let tenant = self.tenant_of_user(call, form)?;
        let client = Client::find(&self.context.world, form.need("client_id")?, &tenant)?;
        let proven = ["client_secret", "client_assertion"];
        let proven = proven.iter().any(|name| form.get(name).is_some());
        // Of a client that is not listed, only the flow says whether it is public.
        let proof = if client.app.is_none() && !proven && self.is_device_flow(form) {
            "0"
        } else {
            self.user_client_proof(call, form, &client)?
        };
        Ok(Known {
            client,
            tenant,
            proof,
        })
    }

    /// Whether a form redeems a device code, or a refresh token that was issued for one.
    fn is_device_flow(&self, form: &Form) -> bool {
        let token = form.get("refresh_token");
        let token: Option<RefreshToken> = token.and_then(|text| self.refresh_tokens.verify(text));
        form.is_device_grant() || token.is_some_and(|token| token.device)
    }

    fn check_lifetime(&self, known: &RefreshToken) -> Result<(), Refused> {
        let age = TimeDelta::seconds(self.context.now().timestamp() - known.at);
        if age < REFRESH_LIFETIME {
            return Ok(());
        }
        let issued = self.context.now() - age;
        let issued = issued.format("%Y-%m-%dT%H:%M:%S.0000000Z").to_string();
        let span = format!("{}.00:00:00", REFRESH_LIFETIME.num_days());
        Err(refused(700_082, &[&issued, &span]))
    }

    /// Checks scope, resource and consent of a sign-in.
    pub(super) fn approve(
        &self,
        call: &Call,
        known: &Known<'_>,
        sign_in: SignIn,
    ) -> Result<Approval, Refused> {
        let client = &known.client;
        let requested = RequestedScope::of(sign_in.requested_scope.as_deref(), &sign_in.scope)?;
        let audience = requested.audience()?.to_owned();
        let resource = self.context.tokens.resource(&audience);
        let unknown = || refused(500_011, &[&audience, &sign_in.tenant]);
        let scopes = scopes(client.app, resource.ok_or_else(unknown)?);
        let granted = requested.names.iter().all(|name| scopes.contains(name));
        if !client.consented() || scopes.is_empty() || !granted {
            let name = client.app.map_or("Lab App", |app| &app.name);
            return Err(refused(65001, &[client.id, name]));
        }
        let omitted = client.app.map(|app| app.refresh_tokens) == Some(RefreshTokens::Omit);
        let refresh = (requested.offline && !(sign_in.renewed && omitted)).then(|| RefreshToken {
            app: client.id.to_owned(),
            tenant: sign_in.tenant.clone(),
            scope: if sign_in.scope.is_empty() {
                sign_in.requested_scope.unwrap_or_default()
            } else {
                sign_in.scope
            },
            at: self.context.now().timestamp(),
            number: call.number,
            device: sign_in.device,
        });
        let world = &self.context.world;
        let device_user = world.device_sign_in.user.clone();
        let device_user = device_user.filter(|_| sign_in.device);
        let grant = Grant {
            app: client.id.to_owned(),
            audience,
            proof: known.proof,
            rights: Rights::Delegated {
                user: device_user.unwrap_or_else(|| world.sign_in_name(&sign_in.tenant)),
                scopes,
            },
            tenant: sign_in.tenant,
        };
        Ok(Approval {
            grant,
            requested,
            nonce: sign_in.nonce,
            refresh,
        })
    }

    pub(super) fn user_token_body(&self, call: &Call, form: &Form, approval: &Approval) -> Value {
        let grant = &approval.grant;
        let mut body = self.tokens(call, grant);
        body["scope"] = json!(approval.scope());
        if let Some(refresh) = &approval.refresh {
            body["refresh_token"] = json!(self.refresh_tokens.sign(refresh));
        }
        if approval.requested.openid {
            body["id_token"] = json!(self.context.tokens.issue(&self.identity(approval)));
        }
        if form.get("client_info") == Some("1") {
            let who = json!({"uid": grant.principal(&self.context), "utid": grant.tenant});
            body["client_info"] = json!(base64::encode(who.to_string().as_bytes()));
        }
        body
    }

    fn identity(&self, approval: &Approval) -> Value {
        let grant = &approval.grant;
        let now = self.context.now().timestamp();
        let Rights::Delegated { user, .. } = &grant.rights else {
            return Value::Null;
        };
        let login = self.context.address(Service::Login);
        let mut claims = json!({
            "aud": grant.app,
            "iss": format!("{login}/{}/v2.0", grant.tenant),
            "iat": now - 300,
            "nbf": now - 300,
            "exp": now + 3600,
            "name": user,
            "oid": grant.principal(&self.context),
            "preferred_username": user,
            "sub": self.context.ids.guid(&["pairwise", &grant.app, user]),
            "tid": grant.tenant,
            "ver": "2.0",
        });
        if let Some(nonce) = &approval.nonce {
            claims["nonce"] = json!(nonce);
        }
        claims
    }

    /// The tenant of the path. For `common` and `organizations`: the tenant of the app, or the home
    /// tenant.
    pub(super) fn tenant_of_user(&self, call: &Call, form: &Form) -> Result<String, Refused> {
        let name = call.segment(0);
        match name.to_ascii_lowercase().as_str() {
            "consumers" => Err(refused(50194, &[form.need("client_id")?])),
            "common" | "organizations" => {
                let id = form.need("client_id")?;
                let world = &self.context.world;
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

impl Approval {
    /// The `scope` of the response: each permission with its resource, and `.default` if it was
    /// requested.
    fn scope(&self) -> String {
        let Rights::Delegated { scopes, .. } = &self.grant.rights else {
            return String::new();
        };
        let all = self.requested.names.is_empty().then_some(".default");
        let names = scopes.iter().map(String::as_str).chain(all);
        let full: Vec<String> = names
            .map(|name| format!("{}/{name}", self.grant.audience))
            .collect();
        full.join(" ")
    }
}

/// The requested scope; the `resource` of version 1 is converted.
pub(super) fn requested_scope(call: &Call, form: &Form) -> Result<Option<String>, Refused> {
    let resource = form.get("resource");
    if !is_version_2(call) {
        // Version 1 has no scopes: it always issues refresh tokens and identity tokens.
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
        None => resource.table().scopes.clone(),
    }
}
