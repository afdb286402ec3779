//! What a token says: for whom it is, what may be done with it, and until when.
//!
//! It deliberately does not decide who gets one; the rest of `login` does.

use serde_json::{Map, Value, json};

use crate::sim::server::call::Call;
use crate::sim::site::Site;

/// A sign-in that passed every check.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// The GUID of the tenant.
    pub(crate) tenant: String,
    /// The client id.
    pub(crate) app: String,
    /// The audience, as it was asked for.
    pub(crate) audience: String,
    /// How the client proved who it is: `0` not at all, `1` by a secret, `2` by a certificate.
    pub(crate) proof: &'static str,
    /// What may be done.
    pub(crate) rights: Rights,
}

/// Permissions, and whose they are.
#[derive(Debug, Clone)]
pub(crate) enum Rights {
    /// The app's own.
    Roles(Vec<String>),
    /// Those that a person lends to the app.
    Lent {
        /// The sign-in name.
        person: String,
        /// The permissions.
        scopes: Vec<String>,
    },
}

/// A token that was issued, and how long it is good.
pub(crate) struct Issued {
    /// The token.
    pub(crate) token: String,
    /// The second from which it is no longer good.
    pub(crate) exp: i64,
    /// The seconds until then, as an answer says them.
    pub(crate) lifetime: i64,
}

impl Grant {
    /// The access token that a call has earned.
    pub(crate) fn issue(&self, site: &Site, call: &Call) -> Issued {
        let now = site.now().timestamp();
        let lifetime = i64::from(site.world.token_lifetime_seconds);
        // A real token lives a second longer than the answer says.
        let lasting = lifetime > 0 && !call.expired;
        let exp = if lasting { now + lifetime + 1 } else { now };
        Issued {
            token: site.tokens.issue(&self.claims(site, call, exp)),
            exp,
            lifetime,
        }
    }

    /// The object id of whom the token is about.
    pub(crate) fn principal(&self, site: &Site) -> String {
        match &self.rights {
            Rights::Roles(_) => site.ids.guid(&["principal", &self.tenant, &self.app]),
            Rights::Lent { person, .. } => site.ids.guid(&["user", &self.tenant, person]),
        }
    }

    fn claims(&self, site: &Site, call: &Call, exp: i64) -> Value {
        let begin = site.now().timestamp() - 300;
        let issuer = format!("https://sts.windows.net/{}/", self.tenant);
        let principal = self.principal(site);
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
            // A token is issued without any, too, and then has no member for them.
            Rights::Roles(roles) if roles.is_empty() => {}
            Rights::Roles(roles) => {
                put("roles", roles.clone().into());
            }
            Rights::Lent { person, scopes } => {
                put("amr", json!(["pwd"]));
                put("scp", scopes.join(" ").into());
                put("unique_name", person.clone().into());
                put("upn", person.clone().into());
            }
        }
        put("sub", principal.into());
        put("tid", self.tenant.clone().into());
        put("uti", site.id_of("token", call).into());
        put("ver", "1.0".into());
        Value::Object(claims)
    }
}

/// Texts of their own.
pub(crate) fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
