//! What an account proves itself with: four ways to sign in, and the two proofs of an application.
//!
//! A credential is only held here. How it is used stands in a file of its own for each way; which
//! one a connection means is decided where its parameters are read.

use url::Url;

use crate::identity::certificate::Certificate;
use crate::identity::sha256;
use crate::protocol::Secret;

/// What an account proves itself with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The application's secret.
    ClientSecret(Secret),
    /// The application's certificate.
    Certificate(Certificate),
    /// A person's consent, given in a browser, and the application's proof.
    AuthorizationCode(Box<AuthorizationCode>),
    /// The machine that this runs on.
    ManagedIdentity(ManagedIdentity),
}

/// What an application proves itself with.
#[derive(Clone, Debug)]
pub enum Proof {
    /// Its secret.
    Secret(Secret),
    /// A signature with its certificate's key.
    Certificate(Certificate),
}

/// A person's consent.
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// Where the login service sends the person to, as registered for the application.
    pub redirect_uri: String,
    /// The code that it gives them; empty before anybody has signed in.
    pub code: Secret,
    /// The application's own proof.
    pub client: Proof,
}

/// The identity of a machine.
#[derive(Clone, Debug)]
pub struct ManagedIdentity {
    /// Which of the machine's identities; none: the one of its own.
    pub client_id: Option<String>,
    /// The endpoint of an application platform; none: a virtual machine's metadata service.
    pub platform: Option<IdentityEndpoint>,
}

/// Where an application platform answers for the identity of what runs on it.
#[derive(Clone, Debug)]
pub struct IdentityEndpoint {
    /// Its address.
    pub address: Url,
    /// What shows that it is asked from there.
    pub header: Secret,
}

impl Credential {
    /// What kind it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Credential::ClientSecret(_) => "client_secret",
            Credential::Certificate(_) => "certificate",
            Credential::AuthorizationCode(_) => "authorization_code",
            Credential::ManagedIdentity(_) => "managed_identity",
        }
    }

    /// What tokens got with it are sealed with: known to whoever has the credential, and to nobody
    /// else. A machine has no such thing.
    pub fn key_material(&self) -> Option<Secret> {
        match self {
            Credential::ClientSecret(secret) => Some(secret.clone()),
            Credential::Certificate(certificate) => Some(certificate.key_material()),
            Credential::AuthorizationCode(code) => Some(code.client.key_material()),
            Credential::ManagedIdentity(_) => None,
        }
    }

    /// A fingerprint (SHA-256, hexadecimal), so that a changed credential never meets an old token.
    pub fn fingerprint(&self) -> String {
        match self {
            Credential::ClientSecret(secret) => sha256(secret.expose().as_bytes()),
            Credential::Certificate(certificate) => certificate.fingerprint(),
            Credential::AuthorizationCode(code) => {
                let client = sha256(code.client.key_material().expose().as_bytes());
                let parts = [&client, &code.redirect_uri, code.code.expose()];
                sha256(serde_json::Value::from_iter(parts).to_string().as_bytes())
            }
            Credential::ManagedIdentity(identity) => {
                let which = identity.client_id.as_deref().unwrap_or_default();
                sha256(which.to_ascii_lowercase().as_bytes())
            }
        }
    }
}

impl Proof {
    /// As a credential of its own.
    pub fn alone(self) -> Credential {
        match self {
            Proof::Secret(secret) => Credential::ClientSecret(secret),
            Proof::Certificate(certificate) => Credential::Certificate(certificate),
        }
    }

    /// Known to whoever has the proof, and to nobody else.
    pub fn key_material(&self) -> Secret {
        match self {
            Proof::Secret(secret) => secret.clone(),
            Proof::Certificate(certificate) => certificate.key_material(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_the_digest_and_not_the_secret() {
        let credential = Credential::ClientSecret(Secret::new("abc"));
        assert_eq!(
            credential.fingerprint(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(format!("{credential:?}"), "ClientSecret(***)");
        assert_eq!(credential.kind(), "client_secret");
        let material = credential.key_material().expect("a secret has one");
        assert_eq!(material.expose(), "abc");
    }

    #[test]
    fn another_code_or_another_secret_is_another_credential() {
        let code = |code: &str, secret: &str| {
            Credential::AuthorizationCode(Box::new(AuthorizationCode {
                redirect_uri: "https://localhost/r".to_owned(),
                code: Secret::new(code),
                client: Proof::Secret(Secret::new(secret)),
            }))
        };
        let one = code("canary-code", "canary-secret");
        assert_eq!(
            one.fingerprint(),
            code("canary-code", "canary-secret").fingerprint()
        );
        assert_ne!(
            one.fingerprint(),
            code("other", "canary-secret").fingerprint()
        );
        assert_ne!(
            one.fingerprint(),
            code("canary-code", "other").fingerprint()
        );
        assert!(!format!("{one:?}").contains("canary"));
    }
}
