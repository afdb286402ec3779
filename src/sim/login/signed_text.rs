//! Authorization codes, device codes and refresh tokens: signed texts that contain their own data. So a simulator
//! that is restarted with the same seed still accepts them. They are not encrypted.

use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sim::base64::{decode, encode};
use crate::sim::ids::Ids;

/// The data of an authorization code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) app: String,
    pub(super) tenant: String,
    pub(super) redirect_uri: String,
    /// The code challenge, if there is one.
    pub(super) challenge: Option<String>,
    /// Whether the challenge is the verifier itself, not its hash.
    pub(super) plain: bool,
    pub(super) scope: String,
    /// The `nonce` of the identity token.
    pub(super) nonce: Option<String>,
    /// The time of issue, in seconds.
    pub(super) at: i64,
    /// A number that makes each code unique.
    pub(super) number: u64,
}

/// The data of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefreshToken {
    pub(super) app: String,
    pub(super) tenant: String,
    pub(super) scope: String,
    /// The time of issue, in seconds.
    pub(super) at: i64,
    /// The number of the request, which makes each token unique.
    pub(super) number: u64,
    /// Whether the sign-in began with a device code.
    #[serde(default)]
    pub(super) device: bool,
}

/// Signs and verifies one kind of text.
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// The signer of a world for one kind of text.
    pub(super) fn new(ids: &Ids, kind: &str) -> Self {
        let secret = ids.digest(&["seal", kind]);
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()))
    }

    pub(super) fn sign(&self, content: &impl Serialize) -> String {
        // These types can always be serialized.
        let text = serde_json::to_string(content).unwrap_or_default();
        let content = encode(text.as_bytes());
        let mac = hmac::sign(&self.0, content.as_bytes());
        format!("1.{content}.{}", encode(mac.as_ref()))
    }

    /// The content of a text that this world has signed.
    pub(super) fn verify<T: DeserializeOwned>(&self, text: &str) -> Option<T> {
        let (content, mac) = text.strip_prefix("1.")?.split_once('.')?;
        hmac::verify(&self.0, content.as_bytes(), &decode(mac)?).ok()?;
        serde_json::from_slice(&decode(content)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_world_and_kind_verifies() {
        let content = RefreshToken {
            app: "a".to_owned(),
            tenant: "t".to_owned(),
            scope: "s".to_owned(),
            at: 1,
            number: 1,
            device: false,
        };
        let is_own = Signer::new(&Ids::new(1), "refresh");
        let text = is_own.sign(&content);
        assert_eq!(is_own.verify(&text), Some(content));
        assert_eq!(is_own.verify::<RefreshToken>(&format!("{text}A")), None);
        assert_eq!(is_own.verify::<RefreshToken>("1.x"), None);
        for other in [
            Signer::new(&Ids::new(2), "refresh"),
            Signer::new(&Ids::new(1), "code"),
        ] {
            assert_eq!(other.verify::<RefreshToken>(&text), None);
        }
    }
}
