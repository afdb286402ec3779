//! Sign-in of a person: the login URL, and the form that redeems an authorization code.
//!
//! One run generates the login URL and another one redeems the code. The PKCE verifier is therefore
//! not random but derived from the application's credential. Stores nothing: the token store does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use url::Url;

use crate::identity::account::Account;
use crate::identity::credential::AuthorizationCode;
use crate::net::Audience;
use crate::net::message::{Text, append_path, with_query};
use crate::protocol::{Failure, Secret};

/// The place of a failure of the code.
const CODE: &str = "/connection/authorization_code";

/// Codes of the login service after which the person must sign in again.
pub(super) const SIGN_IN_AGAIN: &[&str] = &[
    "AADSTS70008",
    "AADSTS700082",
    "AADSTS700084",
    "AADSTS50173",
    "AADSTS54005",
    "AADSTS70000",
    "AADSTS501481",
    "AADSTS7000222",
];

/// Checks that the value is only the code. Errors: `invalid_input`, without the value.
pub fn check(code: &str) -> Result<(), Failure> {
    let other = ["session_state", "code=", "://", "&"];
    if !other.iter().any(|mark| code.contains(mark)) {
        return Ok(());
    }
    Err(Failure::invalid_input(
        CODE,
        "The value contains the redirect address or a part of it, not only the authorization code.",
    )
    .advice("Paste only the value between `code=` and the next `&` (before `session_state`)."))
}

impl AuthorizationCode {
    /// The URL where a person signs in and consents.
    pub fn login_url(&self, account: &Account, audience: &Audience) -> Url {
        let page = [account.tenant.as_str(), "oauth2", "v2.0", "authorize"];
        let verifier = self.verifier(account);
        let challenge = digest::digest(&digest::SHA256, verifier.expose().as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        with_query(
            append_path(&account.login, page),
            &[
                ("response_type", "code"),
                ("client_id", &account.client_id),
                ("redirect_uri", &self.redirect_uri),
                ("scope", &scope(audience)),
                ("response_mode", "query"),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
                ("prompt", "select_account"),
            ],
        )
    }

    /// The form that requests tokens, with the refresh token if there is one and with the code
    /// otherwise. The fields that authenticate the application are not included.
    pub fn form(
        &self,
        account: &Account,
        audience: &Audience,
        refresh: Option<&Secret>,
    ) -> Vec<(&'static str, Text)> {
        let mut form = vec![
            ("client_id", account.client_id.as_str().into()),
            ("scope", scope(audience).into()),
        ];
        if let Some(token) = refresh {
            form.push(("grant_type", "refresh_token".into()));
            form.push(("refresh_token", token.into()));
        } else {
            form.push(("grant_type", "authorization_code".into()));
            form.push(("code", (&self.code).into()));
            form.push(("redirect_uri", self.redirect_uri.as_str().into()));
            form.push(("code_verifier", (&self.verifier(account)).into()));
        }
        form
    }

    /// The PKCE verifier. JSON separates its parts, so that different parts have different texts.
    fn verifier(&self, account: &Account) -> Secret {
        let parts = [&account.tenant, &account.client_id, &self.redirect_uri];
        let parts = serde_json::Value::from_iter(parts.map(String::as_str)).to_string();
        let secret = self.client.key_secret();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let tag = hmac::sign(&key, parts.as_bytes());
        Secret::new(URL_SAFE_NO_PAD.encode(tag))
    }
}

/// All permissions granted for the audience, and a refresh token.
pub(super) fn scope(audience: &Audience) -> String {
    format!("offline_access {}/.default", audience.0)
}

/// Adds the advice to sign in again to the failure of a refused code or refresh token.
pub fn with_advice(failure: Failure) -> Failure {
    let code = failure.vendor_code().unwrap_or_default();
    if !SIGN_IN_AGAIN.contains(&code) {
        return failure;
    }
    let first = match code {
        "AADSTS7000222" => {
            "Create a new client secret for the app registration and set its value. Then generate"
        }
        _ => "Generate",
    };
    failure.advice(format!(
        "{first} a new login URL, sign in with it and set the new authorization code. If it is refused too, reset the sign-in first."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ClientCredential, Credential};
    use crate::protocol::ErrorKind;
    use crate::protocol::failure::Upstream;

    fn audience() -> Audience {
        Audience("https://manage.office.com".to_owned())
    }

    fn code(secret: &str) -> AuthorizationCode {
        AuthorizationCode {
            redirect_uri: "https://localhost/my app?x=1&y=2".to_owned(),
            code: Secret::new("canary-code"),
            client: ClientCredential::Secret(Secret::new(secret)),
        }
    }

    fn account(tenant: &str, client: &str) -> Account {
        let url = |text: &str| Url::parse(text).expect("an address");
        Account {
            cloud: "commercial".to_owned(),
            login: url("https://login.test"),
            metadata: url("http://metadata.test"),
            tenant: tenant.to_owned(),
            client_id: client.to_owned(),
            credential: Credential::client_secret("s"),
            resources: Vec::new(),
        }
    }

    #[test]
    fn login_url_is_encoded_and_has_the_challenge_of_the_verifier() {
        let (code, account) = (code("canary-secret"), account("t", "c"));
        let url = code.login_url(&account, &audience());
        let shown = url.as_str();
        assert!(
            shown.starts_with(concat!(
                "https://login.test/t/oauth2/v2.0/authorize?response_type=code&client_id=c",
                "&redirect_uri=https%3A%2F%2Flocalhost%2Fmy%20app%3Fx%3D1%26y%3D2",
                "&scope=offline_access%20https%3A%2F%2Fmanage.office.com%2F.default",
                "&response_mode=query&code_challenge="
            )),
            "{shown}"
        );
        let verifier = code.verifier(&account);
        assert_eq!(verifier.expose().len(), 43);
        let challenge = digest::digest(&digest::SHA256, verifier.expose().as_bytes());
        assert!(shown.contains(&URL_SAFE_NO_PAD.encode(challenge)));
        assert!(!shown.contains(verifier.expose()));
    }

    #[test]
    fn verifier_differs_for_other_accounts_and_secrets() {
        let of = |tenant: &str, client: &str, secret: &str| {
            code(secret)
                .verifier(&account(tenant, client))
                .expose()
                .to_owned()
        };
        assert_eq!(of("t", "c", "s"), of("t", "c", "s"));
        let all = [
            of("t", "c", "s"),
            of("tc", "", "s"),
            of("t\",\"", "c", "s"),
            of("t", "c", "z"),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn form_redeems_the_code_or_the_refresh_token() {
        let shown = |refresh: Option<&Secret>| {
            let form = code("s").form(&account("t", "c"), &audience(), refresh);
            let pairs = form
                .iter()
                .map(|(name, text)| format!("{name}={}", text.shown()));
            pairs.collect::<Vec<_>>().join(" ")
        };
        let scope = "client_id=c scope=offline_access https://manage.office.com/.default";
        assert_eq!(
            shown(None),
            format!(
                "{scope} grant_type=authorization_code code=*** redirect_uri=https://localhost/my app?x=1&y=2 code_verifier=***"
            )
        );
        let stored = Secret::new("r");
        assert_eq!(
            shown(Some(&stored)),
            format!("{scope} grant_type=refresh_token refresh_token=***")
        );
    }

    #[test]
    fn value_with_more_than_the_code_is_refused_and_not_quoted() {
        assert!(check("0.AXoA-canary_code.x~y").is_ok());
        for pasted in [
            "code=canary",
            "canary&session_state=1",
            "https://localhost/?code=canary",
        ] {
            let failure = check(pasted).expect_err(pasted);
            assert_eq!(failure.place(), Some(CODE));
            assert!(!failure.message().contains("canary"));
        }
    }

    #[test]
    fn refused_code_or_refresh_token_has_advice_to_sign_in_again() {
        let refused = |code: &str| {
            let call = Upstream {
                code: Some(code.to_owned()),
                ..Upstream::default()
            };
            let failure = Failure::new(ErrorKind::AuthFailed, "x").upstream(call);
            let advice = with_advice(failure)
                .assistance()
                .unwrap_or_default()
                .to_owned();
            advice.contains("new login URL")
        };
        for code in [
            "AADSTS70008",
            "AADSTS700082",
            "AADSTS50173",
            "AADSTS54005",
            "AADSTS7000222",
        ] {
            assert!(refused(code), "{code}");
        }
        assert!(!refused("AADSTS7000215"));
        assert!(!refused("invalid_grant"));
    }
}
