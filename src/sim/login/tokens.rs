//! Access tokens: issued by sign-in, verified by the services. They have the shape and the claims
//! of real ones, but they are signed with a key that is derived from the seed. So the same world
//! issues the same tokens, and they are of no use elsewhere.

use std::collections::HashMap;
use std::sync::LazyLock;

use ring::hmac;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sim::base64::{decode, encode};
use crate::sim::ids::Ids;
use crate::sim::server::call::Call;

/// The resource of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Graph,
    Management,
    Exchange,
}

impl Resource {
    pub(crate) const ALL: [Self; 3] = [Self::Graph, Self::Management, Self::Exchange];

    /// The name in world files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Management => "management",
            Self::Exchange => "exchange",
        }
    }

    /// Permissions and audiences.
    pub(crate) fn table(self) -> &'static ResourceTable {
        static TABLES: LazyLock<HashMap<String, ResourceTable>> = LazyLock::new(|| {
            serde_json::from_str(include_str!("resources.json")).unwrap_or_default()
        });
        static NONE: ResourceTable = ResourceTable {
            roles: vec![],
            scopes: vec![],
            audiences: vec![],
        };
        TABLES.get(self.name()).unwrap_or(&NONE)
    }
}

/// A resource of `resources.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceTable {
    /// All application permissions that the simulator knows.
    pub(crate) roles: Vec<String>,
    /// All delegated permissions that the simulator knows.
    pub(crate) scopes: Vec<String>,
    /// Its addresses in each cloud, and its application id.
    audiences: Vec<String>,
}

/// The claims that the services use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: String,
    pub(crate) tid: String,
    pub(crate) appid: String,
    pub(crate) exp: i64,
    /// Application permissions; absent if there are none.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// Delegated permissions, separated by spaces; absent without a user.
    #[serde(default)]
    pub(crate) scp: String,
    /// The user's sign-in name; absent without a user.
    #[serde(default)]
    pub(crate) upn: String,
}

impl Claims {
    pub(crate) fn permissions(&self) -> impl Iterator<Item = &str> {
        let own = self.roles.iter().map(String::as_str);
        own.chain(self.scp.split_whitespace())
    }
}

/// Why a bearer token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Empty,
    /// It is not a token of this simulator.
    Malformed,
    Expired,
    Audience,
}

pub(crate) struct Tokens {
    key: hmac::Key,
    key_id: String,
    base: String,
}

impl Tokens {
    /// The tokens of a world, for services at a base address.
    pub(crate) fn new(ids: &Ids, base: &str) -> Self {
        let secret = ids.digest(&["token key"]);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()),
            key_id: encode(&ids.digest(&["token key id"]).as_ref()[..20]),
            base: base.to_owned(),
        }
    }

    /// The service of an audience, in any cloud or of this simulator.
    pub(crate) fn resource(&self, audience: &str) -> Option<Resource> {
        let audience = audience.trim_end_matches('/');
        Resource::ALL.into_iter().find(|resource| {
            let own = format!("{}/{}", self.base, resource.name());
            resource
                .table()
                .audiences
                .iter()
                .any(|known| known.eq_ignore_ascii_case(audience))
                || own.eq_ignore_ascii_case(audience)
        })
    }

    /// A signed token with these claims.
    pub(crate) fn issue(&self, claims: &Value) -> String {
        // The header of real tokens; the services verify the signature with the HMAC key.
        let header = json!({
            "typ": "JWT", "alg": "RS256", "x5t": self.key_id, "kid": self.key_id,
        });
        let header = encode(header.to_string().as_bytes());
        let payload = encode(claims.to_string().as_bytes());
        let signed = format!("{header}.{payload}");
        let signature = encode(hmac::sign(&self.key, signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }

    /// The claims of a token that was issued here.
    pub(crate) fn read(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = decode(signature)?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).ok()?;
        let (_, payload) = signed.split_once('.')?;
        serde_json::from_slice(&decode(payload)?).ok()
    }

    /// The claims of a request's token, if it is valid for the resource at a time in seconds.
    pub(crate) fn check(
        &self,
        call: &Call,
        resource: Resource,
        now: i64,
    ) -> Result<Claims, Refusal> {
        let token = call
            .header("authorization")
            .and_then(bearer)
            .unwrap_or_default();
        if token.is_empty() {
            return Err(Refusal::Empty);
        }
        let claims = self.read(token).ok_or(Refusal::Malformed)?;
        if call.expired || claims.exp <= now {
            return Err(Refusal::Expired);
        }
        if self.resource(&claims.aud) != Some(resource) {
            return Err(Refusal::Audience);
        }
        Ok(claims)
    }

    /// The logged form of an `Authorization` header.
    pub(crate) fn describe(&self, header: Option<&str>) -> String {
        let Some(header) = header else {
            return "none".to_owned();
        };
        match bearer(header) {
            Some(token) => {
                let claims = self.read(token);
                format!(
                    "Bearer {}",
                    claims.map_or_else(|| "?".to_owned(), |claims| claims.aud)
                )
            }
            None => format!("{} ***", header.split(' ').next().unwrap_or_default()),
        }
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::context::Context;
    use crate::sim::server::routes::Service;

    fn issue(context: &Context, audience: &str, exp: i64) -> String {
        context
            .tokens
            .issue(&json!({"aud": audience, "tid": "t", "appid": "a", "exp": exp}))
    }

    fn checked(context: &Context, header: Option<&str>) -> Result<String, Refusal> {
        let mut call = Call::get(Service::Graph, "/v1.0/security/alerts_v2");
        if let Some(header) = header {
            call = call.header_set("authorization", header);
        }
        context
            .claims(&call, Resource::Graph)
            .map(|claims| claims.aud)
    }

    #[test]
    fn token_is_checked_for_signature_time_and_audience() {
        let context = Context::sample("{}");
        let later = context.now().timestamp() + 1;
        let with = |audience: &str, exp| format!("Bearer {}", issue(&context, audience, exp));
        let graph = "https://graph.microsoft.us/";
        assert_eq!(
            checked(&context, Some(&with(graph, later))),
            Ok(graph.to_owned())
        );
        let own = "https://127.0.0.1:1/graph";
        assert_eq!(
            checked(&context, Some(&with(own, later))),
            Ok(own.to_owned())
        );
        assert_eq!(
            checked(&context, Some(&with(graph, later - 1))),
            Err(Refusal::Expired)
        );
        let other = with("https://manage.office.com", later);
        assert_eq!(checked(&context, Some(&other)), Err(Refusal::Audience));
        let changed = with(graph, later) + "A";
        assert_eq!(checked(&context, Some(&changed)), Err(Refusal::Malformed));
        assert_eq!(
            checked(&context, Some("Bearer nonsense")),
            Err(Refusal::Malformed)
        );
        assert_eq!(checked(&context, Some("Bearer ")), Err(Refusal::Empty));
        assert_eq!(checked(&context, Some("Basic eDp5")), Err(Refusal::Empty));
        assert_eq!(checked(&context, None), Err(Refusal::Empty));
    }

    #[test]
    fn world_accepts_its_own_tokens_only() {
        let (one, other) = (Context::sample("{}"), Context::sample(r#"{"seed":2}"#));
        let token = issue(&one, "https://graph.microsoft.com", i64::MAX);
        assert_eq!(token, issue(&one, "https://graph.microsoft.com", i64::MAX));
        assert!(one.tokens.read(&token).is_some());
        assert!(other.tokens.read(&token).is_none());
    }

    #[test]
    fn log_has_the_audience_and_not_the_token() {
        let context = Context::sample("{}");
        let token = issue(&context, "https://graph.microsoft.com", 1);
        let says = |header| context.tokens.describe(header);
        let header = format!("Bearer {token}");
        assert_eq!(says(Some(&header)), "Bearer https://graph.microsoft.com");
        assert_eq!(says(Some("Bearer abc")), "Bearer ?");
        assert_eq!(says(Some("Basic eDp5")), "Basic ***");
        assert_eq!(says(None), "none");
    }
}
