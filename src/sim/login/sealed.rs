//! Codes and refresh tokens: texts that hold what they are good for, sealed by the world.
//!
//! A simulator that is started again with the same seed still knows the ones that it gave out.
//! They are deliberately not encrypted: nothing in them is worth hiding.

use ring::hmac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sim::base64::{decode, encode};
use crate::sim::ids::Ids;

/// What a code is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Code {
    /// The client id.
    pub(super) app: String,
    /// The tenant of the person.
    pub(super) tenant: String,
    /// Where the person was sent back to.
    pub(super) redirect_uri: String,
    /// The challenge, if there was one.
    pub(super) challenge: Option<String>,
    /// Whether the challenge is the verifier itself, not its hash.
    pub(super) plain: bool,
    /// The scope that was asked for.
    pub(super) scope: String,
    /// What the identity token shall repeat.
    pub(super) nonce: Option<String>,
    /// The second in which it was given out.
    pub(super) at: i64,
    /// Its number, so that no two are the same.
    pub(super) number: u64,
}

/// What a refresh token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refresh {
    /// The client id.
    pub(super) app: String,
    /// The tenant of the person.
    pub(super) tenant: String,
    /// The scope that was asked for.
    pub(super) scope: String,
    /// The second in which it was given out.
    pub(super) at: i64,
    /// The call that it answered, so that no two are the same.
    pub(super) number: u64,
}

/// Seals one kind of text.
pub(super) struct Seal(hmac::Key);

impl Seal {
    /// The seal of a world for a kind.
    pub(super) fn new(ids: &Ids, kind: &str) -> Self {
        let secret = ids.digest(&["seal", kind]);
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()))
    }

    /// A text that only this world makes.
    pub(super) fn close(&self, content: &impl Serialize) -> String {
        // These types have nothing in them that JSON cannot hold.
        let text = serde_json::to_string(content).unwrap_or_default();
        let content = encode(text.as_bytes());
        let mac = hmac::sign(&self.0, content.as_bytes());
        format!("1.{content}.{}", encode(mac.as_ref()))
    }

    /// What a text of this world holds.
    pub(super) fn open<T: DeserializeOwned>(&self, text: &str) -> Option<T> {
        let (content, mac) = text.strip_prefix("1.")?.split_once('.')?;
        hmac::verify(&self.0, content.as_bytes(), &decode(mac)?).ok()?;
        serde_json::from_slice(&decode(content)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_world_and_kind_opens() {
        let content = Refresh {
            app: "a".to_owned(),
            tenant: "t".to_owned(),
            scope: "s".to_owned(),
            at: 1,
            number: 1,
        };
        let own = Seal::new(&Ids::new(1), "refresh");
        let text = own.close(&content);
        assert_eq!(own.open(&text), Some(content));
        assert_eq!(own.open::<Refresh>(&format!("{text}A")), None);
        assert_eq!(own.open::<Refresh>("1.x"), None);
        for other in [
            Seal::new(&Ids::new(2), "refresh"),
            Seal::new(&Ids::new(1), "code"),
        ] {
            assert_eq!(other.open::<Refresh>(&text), None);
        }
    }
}
