//! Who is registered in a world's tenants: applications with what they may sign in by, and managed
//! identities.
//!
//! It deliberately holds no rules of sign-in, which are in `login`: this is what
//! a world file may say.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use schemars::JsonSchema;
use serde::Deserialize;

/// Ninety days, which is how long a refresh token usually lives.
const NINETY_DAYS: u32 = 90 * 86_400;

/// A registered application.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Its GUID.
    pub id: String,
    /// Its display name. Default `Lab App`.
    #[serde(default = "app_name")]
    pub name: String,
    /// The GUID of the tenant that it is in.
    pub tenant: String,
    /// Its client secrets.
    #[serde(default)]
    pub secrets: Vec<AppSecret>,
    /// Its certificates, each as PEM text. An assertion must be signed with the key of one, so
    /// that without any none is good.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Whether it is a public client: a person signs in with it, and it has neither secret nor
    /// certificate.
    #[serde(default)]
    pub public: bool,
    /// Where a signed-in person may be sent back to. Default: any http or https address.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Codes that a person has brought back already, for clients that cannot click.
    #[serde(default)]
    pub codes: Vec<ReadyCode>,
    /// Whether the answer to a refresh token brings a new one: `renew` (default) or `omit`.
    #[serde(default)]
    pub refresh_tokens: RefreshTokens,
    /// How long a refresh token lives. Default 7776000, ninety days. 0: expired when issued.
    #[serde(default = "ninety_days")]
    pub refresh_lifetime_seconds: u32,
    /// Whether it is disabled.
    #[serde(default)]
    pub disabled: bool,
    /// Granted application permissions by service (`graph`, `management`, `exchange`). Left out:
    /// all that exist here. A service left out: none.
    #[serde(default)]
    pub roles: Option<BTreeMap<String, Vec<String>>>,
    /// Granted delegated permissions by service, which a signed-in person lends to it. Left out:
    /// all that exist here. A service left out: none, so that nobody has consented (65001).
    #[serde(default)]
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// Whether the tenant has a service principal for it, and its people consent to it. Default
    /// true.
    #[serde(default = "yes")]
    pub consented: bool,
}

/// The certificate that a PEM text holds.
pub(crate) fn der(pem: &str) -> anyhow::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).context("this is not a certificate in PEM")
}

/// A client secret.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppSecret {
    /// The secret itself.
    pub value: String,
    /// When it stops being good. Left out: never.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub expires: Option<DateTime<Utc>>,
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSecret")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// An authorization code that exists from the start. It is good once.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadyCode {
    /// The code itself.
    pub code: String,
    /// Where the person was sent back to.
    pub redirect_uri: String,
    /// The S256 challenge that the address for signing in had. Left out: none, and no verifier is
    /// looked at.
    #[serde(default)]
    pub code_challenge: Option<String>,
    /// The scopes that the address for signing in had. Default
    /// `https://manage.office.com/.default offline_access`.
    #[serde(default = "feed_scope")]
    pub scope: String,
    /// Whether its ten minutes are over.
    #[serde(default)]
    pub expired: bool,
}

impl fmt::Debug for ReadyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyCode")
            .field("redirect_uri", &self.redirect_uri)
            .field("expired", &self.expired)
            .finish_non_exhaustive()
    }
}

/// Whether the answer to a refresh token brings a new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefreshTokens {
    /// It does, as the service does.
    #[default]
    Renew,
    /// It does not: the client keeps the one that it has.
    Omit,
}

/// An identity that the machine or the app service has, without any secret.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedIdentity {
    /// Its client id, a GUID.
    pub client_id: String,
    /// Whether it is the system-assigned one, which needs no `client_id` in a request.
    #[serde(default)]
    pub system: bool,
    /// The GUID of its tenant. Default: the first tenant of the world.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Its application permissions. Left out: all that exist here. One that belongs to another
    /// service than the token's is not in the token.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

fn app_name() -> String {
    "Lab App".to_owned()
}

fn ninety_days() -> u32 {
    NINETY_DAYS
}

fn feed_scope() -> String {
    "https://manage.office.com/.default offline_access".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_secrets_and_codes() {
        let secret = AppSecret {
            value: "s3cret".to_owned(),
            expires: None,
        };
        assert!(!format!("{secret:?}").contains("s3cret"));
        let code: ReadyCode =
            serde_json::from_str(r#"{"code":"c0de","redirect_uri":"https://a.test"}"#).unwrap();
        assert!(!format!("{code:?}").contains("c0de"));
    }
}
