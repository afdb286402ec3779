//! Reading a token's claims: tenant, permissions, audience and authority, **unverified**.
//!
//! The signature is not checked: the token came from the login service over TLS, and only the
//! service it is for judges it. Nothing here decides whether somebody may do something; it is used
//! for addresses and for advice. A token of another form has no claims for us, which is no failure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The claims that are of use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// The tenant's GUID.
    #[serde(default)]
    pub tid: Option<String>,
    /// Application permissions; absent when none were granted.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Permissions that a person delegated, separated by blanks.
    #[serde(default)]
    pub scp: Option<String>,
    /// The service it is for: its address or its application's id.
    #[serde(default)]
    pub aud: Option<String>,
    /// The authority that issued it, an address.
    #[serde(default)]
    pub iss: Option<String>,
}

impl Claims {
    /// Every permission, an application's own and those delegated to it.
    pub fn permissions(&self) -> Vec<String> {
        let delegated = self.scp.iter().flat_map(|scp| scp.split_whitespace());
        let delegated = delegated.map(str::to_owned);
        self.roles.iter().cloned().chain(delegated).collect()
    }
}

/// The claims of a token, or none.
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
    fn delegated_permissions_count_too() {
        let claims: Claims =
            serde_json::from_str(r#"{"roles":["A"],"scp":"B.Read C"}"#).expect("claims");
        assert_eq!(claims.permissions(), ["A", "B.Read", "C"]);
    }

    #[test]
    fn a_token_of_another_form_has_no_claims() {
        for token in ["", "opaque", "a.b.c", "a.!!.c", "a.e30.c"] {
            assert_eq!(read(token), Claims::default(), "{token}");
        }
    }
}
