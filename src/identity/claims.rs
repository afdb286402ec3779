//! Reads a token's claims: tenant, permissions, audience and issuer, **unverified**.
//!
//! Does not check the signature: the token comes from the login service over TLS, and the service
//! that it is for verifies it. The claims are used for addresses and advice only. A token of
//! another format has no claims, which is not a failure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The claims that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// The tenant's GUID.
    #[serde(default)]
    pub tid: Option<String>,
    /// Application permissions; absent when none were granted.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Delegated permissions, separated by spaces.
    #[serde(default)]
    pub scp: Option<String>,
    /// The service that the token is for: its address or application id.
    #[serde(default)]
    pub aud: Option<String>,
    /// The address of the issuer.
    #[serde(default)]
    pub iss: Option<String>,
}

impl Claims {
    /// All permissions, application and delegated.
    pub fn permissions(&self) -> Vec<String> {
        let delegated = self.scp.iter().flat_map(|scp| scp.split_whitespace());
        let delegated = delegated.map(str::to_owned);
        self.roles.iter().cloned().chain(delegated).collect()
    }
}

/// The claims of a token; none if it has another format.
pub fn read(token: &str) -> Claims {
    token
        .split('.')
        .nth(1)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_and_roles_are_read() {
        // {"tid":"11111111-2222-3333-4444-555555555555","roles":["SecurityAlert.Read.All"],"n":"ü?>"}
        let token = concat!(
            "eyJhbGciOiJub25lIn0.",
            "eyJ0aWQiOiIxMTExMTExMS0yMjIyLTMzMzMtNDQ0NC01NTU1NTU1NTU1NTUiLCJyb2xlcyI6WyJTZWN1cml0",
            "eUFsZXJ0LlJlYWQuQWxsIl0sIm4iOiLDvD8-In0.c2ln"
        );
        let claims = read(token);
        assert_eq!(
            claims.tid.as_deref(),
            Some("11111111-2222-3333-4444-555555555555")
        );
        assert_eq!(claims.roles, ["SecurityAlert.Read.All"]);
    }

    #[test]
    fn delegated_permissions_are_included() {
        let claims: Claims =
            serde_json::from_str(r#"{"roles":["A"],"scp":"B.Read C"}"#).expect("claims");
        assert_eq!(claims.permissions(), ["A", "B.Read", "C"]);
    }

    #[test]
    fn token_of_another_format_has_no_claims() {
        for token in ["", "opaque", "a.b.c", "a.!!.c", "a.e30.c"] {
            assert_eq!(read(token), Claims::default(), "{token}");
        }
    }
}
