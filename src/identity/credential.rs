//! The credentials of the five sign-in methods.
//!
//! `sign_in` has the requests with a client secret and a certificate; authorization codes, device
//! codes and managed identities have their own files. Does not select the credential:
//! `host::connect` does, from a connection's parameters.

use url::Url;

use crate::identity::certificate::Certificate;
use crate::identity::digest::sha256;
use crate::protocol::Secret;

/// The credential of an account. It selects the sign-in method.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The application's own credential, without a person.
    Application(ClientCredential),
    /// A person's authorization code, with the application's credential.
    AuthorizationCode(Box<AuthorizationCode>),
    /// The managed identity of this machine.
    ManagedIdentity(ManagedIdentity),
    /// A person who signs in on another device; the user principal name.
    DeviceCode(String),
}

/// The credential of an application.
#[derive(Clone, Debug)]
pub enum ClientCredential {
    /// A client secret.
    Secret(Secret),
    /// A certificate, whose private key signs an assertion.
    Certificate(Certificate),
}

/// The authorization code of a person who signed in.
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// The redirect URI, as registered for the application.
    pub redirect_uri: String,
    /// The code; empty before the first sign-in.
    pub code: Secret,
    /// The application's credential.
    pub client: ClientCredential,
}

/// The managed identity of a machine.
#[derive(Clone, Debug)]
pub struct ManagedIdentity {
    /// The client id of a user-assigned identity. `None`: the system-assigned identity.
    pub client_id: Option<String>,
    /// The endpoint of an application platform. `None`: the metadata service of a virtual machine.
    pub platform: Option<IdentityEndpoint>,
}

/// The identity endpoint of an application platform.
#[derive(Clone, Debug)]
pub struct IdentityEndpoint {
    /// Its address.
    pub address: Url,
    /// The value of the header that authenticates the request.
    pub header: Secret,
}

impl Credential {
    /// The application's credential with this client secret.
    pub fn client_secret(secret: &str) -> Self {
        Credential::Application(ClientCredential::Secret(Secret::new(secret)))
    }

    /// The name of the sign-in method.
    pub fn kind(&self) -> &'static str {
        match self {
            Credential::Application(ClientCredential::Secret(_)) => "client_secret",
            Credential::Application(ClientCredential::Certificate(_)) => "certificate",
            Credential::AuthorizationCode(_) => "authorization_code",
            Credential::ManagedIdentity(_) => "managed_identity",
            Credential::DeviceCode(_) => "device_code",
        }
    }

    /// The secret that stored tokens are encrypted with. A managed identity and a person have none.
    pub fn key_secret(&self) -> Option<Secret> {
        match self {
            Credential::Application(client) => Some(client.key_secret()),
            Credential::AuthorizationCode(code) => Some(code.client.key_secret()),
            Credential::ManagedIdentity(_) | Credential::DeviceCode(_) => None,
        }
    }

    /// A fingerprint (SHA-256, hexadecimal). A changed credential has other stored tokens.
    pub fn fingerprint(&self) -> String {
        match self {
            Credential::Application(ClientCredential::Secret(secret)) => {
                sha256(secret.expose().as_bytes())
            }
            Credential::Application(ClientCredential::Certificate(certificate)) => {
                certificate.fingerprint()
            }
            Credential::AuthorizationCode(code) => {
                let client = sha256(code.client.key_secret().expose().as_bytes());
                let parts = [&client, &code.redirect_uri, code.code.expose()];
                sha256(serde_json::Value::from_iter(parts).to_string().as_bytes())
            }
            Credential::ManagedIdentity(identity) => {
                let which = identity.client_id.as_deref().unwrap_or_default();
                sha256(which.to_ascii_lowercase().as_bytes())
            }
            Credential::DeviceCode(user) => sha256(user.to_lowercase().as_bytes()),
        }
    }
}

impl ClientCredential {
    /// The secret that stored tokens are encrypted with.
    pub fn key_secret(&self) -> Secret {
        match self {
            ClientCredential::Secret(secret) => secret.clone(),
            ClientCredential::Certificate(certificate) => certificate.key_secret(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_a_digest() {
        let credential = Credential::client_secret("abc");
        assert_eq!(
            credential.fingerprint(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(format!("{credential:?}"), "Application(Secret(***))");
        assert_eq!(credential.kind(), "client_secret");
        let secret = credential.key_secret().expect("a secret has one");
        assert_eq!(secret.expose(), "abc");
    }

    #[test]
    fn other_code_or_secret_has_another_fingerprint() {
        let code = |code: &str, secret: &str| {
            Credential::AuthorizationCode(Box::new(AuthorizationCode {
                redirect_uri: "https://localhost/r".to_owned(),
                code: Secret::new(code),
                client: ClientCredential::Secret(Secret::new(secret)),
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
