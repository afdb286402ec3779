//! Access tokens: issued by login, read by the resource services.
//!
//! They have the shape and the claims of real ones (a JSON Web Token of version 1.0 for an app),
//! but are signed with a key derived from the seed, so that the same world issues the same tokens.
//! They are good for nothing outside; deliberately no public keys are offered.

use ring::hmac;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sim::base64::{decode, encode};
use crate::sim::ids::Ids;
use crate::sim::server::call::Call;
use crate::sim::site::Site;

/// What a token may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Microsoft Graph.
    Graph,
    /// Office 365 Management APIs.
    Management,
    /// Exchange Online.
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

    /// All application permissions that exist here.
    pub(crate) fn all_roles(self) -> &'static [&'static str] {
        match self {
            Self::Graph => &["SecurityAlert.Read.All", "AuditLogsQuery.Read.All"],
            Self::Management => &["ActivityFeed.Read", "ActivityFeed.ReadDlp"],
            Self::Exchange => &["Exchange.ManageAsApp"],
        }
    }

    /// All delegated permissions that exist here.
    pub(crate) fn all_scopes(self) -> &'static [&'static str] {
        match self {
            Self::Exchange => &["Exchange.Manage"],
            other => other.all_roles(),
        }
    }

    /// The audiences of the service in every cloud, then its application id.
    fn audiences(self) -> &'static [&'static str] {
        match self {
            Self::Graph => &[
                "https://graph.microsoft.com",
                "https://graph.microsoft.us",
                "https://dod-graph.microsoft.us",
                "00000003-0000-0000-c000-000000000000",
            ],
            Self::Management => &[
                "https://manage.office.com",
                "https://manage-gcc.office.com",
                "https://manage.office365.us",
                "https://manage.protection.apps.mil",
                "c5393580-f805-4401-95e8-94b7a6ef2fc2",
            ],
            Self::Exchange => &[
                "https://outlook.office365.com",
                "https://outlook.office365.us",
                "https://webmail.apps.mil",
                "00000002-0000-0ff1-ce00-000000000000",
            ],
        }
    }
}

/// The claims of a token that the services look at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Claims {
    /// The audience, as it was asked for.
    pub(crate) aud: String,
    /// The tenant.
    pub(crate) tid: String,
    /// The app.
    pub(crate) appid: String,
    /// The second from which it is no longer good.
    pub(crate) exp: i64,
    /// Application permissions; absent when there are none.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// Delegated permissions, between spaces; absent when no person signed in.
    #[serde(default)]
    pub(crate) scp: String,
}

impl Claims {
    /// Every permission, of the app's own or lent by a person.
    pub(crate) fn permissions(&self) -> impl Iterator<Item = &str> {
        let own = self.roles.iter().map(String::as_str);
        own.chain(self.scp.split_whitespace())
    }
}

/// Why a bearer token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is none.
    Empty,
    /// It is not a token, or not one of ours.
    Malformed,
    /// It is no longer good.
    Expired,
    /// It is for another service.
    Audience,
}

/// Issues and reads tokens.
pub(crate) struct Tokens {
    key: hmac::Key,
    key_id: String,
    base: String,
}

impl Tokens {
    /// With the key of a world, for services at a base address.
    pub(crate) fn new(ids: &Ids, base: &str) -> Self {
        let secret = ids.digest(&["token key"]);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()),
            key_id: encode(&ids.digest(&["token key id"]).as_ref()[..20]),
            base: base.to_owned(),
        }
    }

    /// The service that an audience means, in any cloud or here.
    pub(crate) fn resource(&self, audience: &str) -> Option<Resource> {
        let audience = audience.trim_end_matches('/');
        Resource::ALL.into_iter().find(|resource| {
            let own = format!("{}/{}", self.base, resource.name());
            resource
                .audiences()
                .iter()
                .any(|known| known.eq_ignore_ascii_case(audience))
                || own.eq_ignore_ascii_case(audience)
        })
    }

    /// A signed token with these claims.
    pub(crate) fn issue(&self, claims: &Value) -> String {
        // What real ones say. The services here check the signature their own way.
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

    /// What stands in the log for an `Authorization` header.
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

/// The claims of a call's token, if it is good for the resource at the site's hour.
pub(crate) fn check(site: &Site, call: &Call, resource: Resource) -> Result<Claims, Refusal> {
    let token = call
        .header("authorization")
        .and_then(bearer)
        .unwrap_or_default();
    if token.is_empty() {
        return Err(Refusal::Empty);
    }
    let claims = site.tokens.read(token).ok_or(Refusal::Malformed)?;
    if call.expired || claims.exp <= site.now().timestamp() {
        return Err(Refusal::Expired);
    }
    if site.tokens.resource(&claims.aud) != Some(resource) {
        return Err(Refusal::Audience);
    }
    Ok(claims)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::server::routes::Service;

    fn issue(site: &Site, audience: &str, exp: i64) -> String {
        site.tokens
            .issue(&json!({"aud": audience, "tid": "t", "appid": "a", "exp": exp}))
    }

    fn judge(site: &Site, header: Option<&str>) -> Result<String, Refusal> {
        let mut call = Call::get(Service::Graph, "/v1.0/security/alerts_v2");
        if let Some(header) = header {
            call = call.header_set("authorization", header);
        }
        check(site, &call, Resource::Graph).map(|claims| claims.aud)
    }

    #[test]
    fn a_token_is_judged_by_signature_hour_and_audience() {
        let site = Site::sample("{}");
        let later = site.now().timestamp() + 1;
        let with = |audience: &str, exp| format!("Bearer {}", issue(&site, audience, exp));
        let graph = "https://graph.microsoft.us/";
        assert_eq!(
            judge(&site, Some(&with(graph, later))),
            Ok(graph.to_owned())
        );
        let own = "https://127.0.0.1:1/graph";
        assert_eq!(judge(&site, Some(&with(own, later))), Ok(own.to_owned()));
        assert_eq!(
            judge(&site, Some(&with(graph, later - 1))),
            Err(Refusal::Expired)
        );
        let other = with("https://manage.office.com", later);
        assert_eq!(judge(&site, Some(&other)), Err(Refusal::Audience));
        let changed = with(graph, later) + "A";
        assert_eq!(judge(&site, Some(&changed)), Err(Refusal::Malformed));
        assert_eq!(
            judge(&site, Some("Bearer nonsense")),
            Err(Refusal::Malformed)
        );
        assert_eq!(judge(&site, Some("Bearer ")), Err(Refusal::Empty));
        assert_eq!(judge(&site, Some("Basic eDp5")), Err(Refusal::Empty));
        assert_eq!(judge(&site, None), Err(Refusal::Empty));
    }

    #[test]
    fn a_world_knows_its_own_tokens_only() {
        let (one, other) = (Site::sample("{}"), Site::sample(r#"{"seed":2}"#));
        let token = issue(&one, "https://graph.microsoft.com", i64::MAX);
        assert_eq!(token, issue(&one, "https://graph.microsoft.com", i64::MAX));
        assert!(one.tokens.read(&token).is_some());
        assert!(other.tokens.read(&token).is_none());
    }

    #[test]
    fn the_log_names_the_audience_and_never_the_token() {
        let site = Site::sample("{}");
        let token = issue(&site, "https://graph.microsoft.com", 1);
        let says = |header| site.tokens.describe(header);
        let header = format!("Bearer {token}");
        assert_eq!(says(Some(&header)), "Bearer https://graph.microsoft.com");
        assert_eq!(says(Some("Bearer abc")), "Bearer ?");
        assert_eq!(says(Some("Basic eDp5")), "Basic ***");
        assert_eq!(says(None), "none");
    }
}
