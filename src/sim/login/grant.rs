//! The contents of an access token. Who gets one is decided in the other files of `login`.

use serde_json::{Map, Value, json};

use crate::sim::context::Context;
use crate::sim::server::call::Call;

/// A sign-in that passed all checks.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// The GUID of the tenant.
    pub(crate) tenant: String,
    pub(crate) app: String,
    pub(crate) audience: String,
    /// How the client proved its identity: `0` not at all, `1` with a secret, `2` with a
    /// certificate.
    pub(crate) proof: &'static str,
    pub(crate) rights: Rights,
}

/// The permissions of a token.
#[derive(Debug, Clone)]
pub(crate) enum Rights {
    /// Application permissions.
    Roles(Vec<String>),
    /// Delegated permissions of a user.
    Delegated {
        /// The user's sign-in name.
        user: String,
        scopes: Vec<String>,
    },
}

/// An issued token.
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) exp: i64,
    /// The lifetime in seconds, as returned to the client.
    pub(crate) lifetime: i64,
}

impl Grant {
    /// Issues an access token for a request.
    pub(crate) fn issue(&self, context: &Context, call: &Call) -> Issued {
        let now = context.now().timestamp();
        let lifetime = i64::from(context.world.token_lifetime_seconds);
        // A real token lives one second longer than `expires_in`.
        let lasting = lifetime > 0 && !call.expired;
        let exp = if lasting { now + lifetime + 1 } else { now };
        Issued {
            token: context.tokens.issue(&self.claims(context, call, exp)),
            exp,
            lifetime,
        }
    }

    /// The object id of the user or the service principal.
    pub(crate) fn principal(&self, context: &Context) -> String {
        match &self.rights {
            Rights::Roles(_) => context.ids.guid(&["principal", &self.tenant, &self.app]),
            Rights::Delegated { user, .. } => context.ids.guid(&["user", &self.tenant, user]),
        }
    }

    fn claims(&self, context: &Context, call: &Call, exp: i64) -> Value {
        let begin = context.now().timestamp() - 300;
        let issuer = format!("https://sts.windows.net/{}/", self.tenant);
        let principal = self.principal(context);
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("aud", self.audience.clone().into());
        put("iss", issuer.clone().into());
        put("iat", begin.into());
        put("nbf", begin.into());
        put("exp", exp.into());
        put("appid", self.app.clone().into());
        put("appidacr", self.proof.into());
        put("idp", issuer.into());
        put("oid", principal.clone().into());
        match &self.rights {
            // Tokens without permissions have no member for them.
            Rights::Roles(roles) if roles.is_empty() => {}
            Rights::Roles(roles) => {
                put("roles", roles.clone().into());
            }
            Rights::Delegated { user, scopes } => {
                put("amr", json!(["pwd"]));
                put("scp", scopes.join(" ").into());
                put("unique_name", user.clone().into());
                put("upn", user.clone().into());
            }
        }
        put("sub", principal.into());
        put("tid", self.tenant.clone().into());
        put("uti", context.id_of("token", call).into());
        put("ver", "1.0".into());
        Value::Object(claims)
    }
}
