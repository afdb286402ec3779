//! The app registrations and managed identities of a world file. The rules of sign-in are in
//! `login`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use schemars::JsonSchema;
use serde::Deserialize;

/// An app registration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// The client id, a GUID.
    pub id: String,
    /// The display name. Default `Lab App`.
    #[serde(default = "app_name")]
    pub name: String,
    /// The GUID of its tenant, which must be listed in `tenants`.
    pub tenant: String,
    /// The client secrets.
    #[serde(default)]
    pub secrets: Vec<AppSecret>,
    /// The certificates, each as PEM text. Client assertions must be signed with the key of one of
    /// them.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Whether it is a public client, which has neither secret nor certificate and signs in users
    /// only.
    #[serde(default)]
    pub public: bool,
    /// The redirect URIs. Default: any http or https address.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Authorization codes that exist at the start, for clients that cannot open a browser.
    #[serde(default)]
    pub codes: Vec<ReadyCode>,
    /// Whether the response to a refresh token contains a new one: `renew` (default) or `omit`.
    #[serde(default)]
    pub refresh_tokens: RefreshTokens,
    /// Whether the app is disabled.
    #[serde(default)]
    pub disabled: bool,
    /// Granted application permissions by service (`graph`, `management`, `exchange`). Default: all
    /// that the simulator knows. A service that is not listed has none.
    #[serde(default)]
    pub roles: Option<BTreeMap<String, Vec<String>>>,
    /// Granted delegated permissions by service. Default: all that the simulator knows. A service
    /// that is not listed has none: no user or administrator has consented (65001).
    #[serde(default)]
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// Whether the tenant has a service principal for the app, and users consent to it. Default
    /// true.
    #[serde(default = "yes")]
    pub consented: bool,
}

pub(crate) fn der(pem: &str) -> anyhow::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).context("this is not a certificate in PEM")
}

/// A client secret.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppSecret {
    /// The secret.
    pub value: String,
    /// When it expires. Default: never.
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

/// An authorization code that exists at the start. It is accepted once.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadyCode {
    /// The code.
    pub code: String,
    /// The redirect URI of the sign-in request.
    pub redirect_uri: String,
    /// The S256 code challenge of the sign-in request. Default: none, and the code verifier is not
    /// checked.
    #[serde(default)]
    pub code_challenge: Option<String>,
    /// The scopes of the sign-in request. Default `https://manage.office.com/.default
    /// offline_access`.
    #[serde(default = "feed_scope")]
    pub scope: String,
    /// Whether the code has expired.
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

/// Whether the response to a refresh token contains a new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefreshTokens {
    /// A new one, as from the service.
    #[default]
    Renew,
    /// None: the client continues to use its own.
    Omit,
}

/// A managed identity.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedIdentity {
    /// The client id, a GUID.
    pub client_id: String,
    /// Whether it is the system-assigned identity, the default of a request without `client_id`.
    #[serde(default)]
    pub system: bool,
    /// The GUID of its tenant. Default: the first tenant of the world.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The application permissions. Default: all that the simulator knows. A token has those of its
    /// own service only.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

fn app_name() -> String {
    "Lab App".to_owned()
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
