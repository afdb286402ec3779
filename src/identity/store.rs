//! Tokens between runs: the interface of a token store, and the keys that tokens are stored under.
//!
//! The store decides where and how tokens are protected, and which process may renew one. The cache
//! decides how long a token is used. Reading and writing never fails: a store that cannot be used
//! stores nothing and warns.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::net::{Audience, Token};
use crate::protocol::{Failure, Secret};

/// The account that a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The cloud's id.
    pub cloud: String,
    /// The address of the login service.
    pub login: String,
    /// The tenant, lower case.
    pub tenant: String,
    /// The application, lower case.
    pub client_id: String,
}

/// Identifies a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The account.
    pub owner: Owner,
    /// The service.
    pub audience: Audience,
    /// The credential's kind and fingerprint.
    pub credential: String,
}

impl Owner {
    fn parts(&self) -> [&str; 4] {
        [&self.cloud, &self.login, &self.tenant, &self.client_id]
    }

    /// The owner as text. Different owners have different texts.
    pub fn text(&self) -> String {
        Value::from_iter(self.parts()).to_string()
    }
}

impl Key {
    /// The key as text. Different keys have different texts.
    pub fn text(&self) -> String {
        let parts = self.owner.parts().into_iter();
        let parts = parts.chain([self.audience.0.as_str(), &self.credential]);
        parts.collect::<Value>().to_string()
    }
}

/// A token as the login service granted it.
#[derive(Debug)]
pub struct TokenGrant {
    /// The token.
    pub token: Token,
    /// How long the token is valid from the time of the response.
    pub lifetime: Duration,
    /// The refresh token, if the sign-in method has one.
    pub refresh: Option<Secret>,
}

/// The place of a token in the store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The token's key.
    pub key: Key,
    /// The credential's secret, which encrypts the stored token. `None`: the vault's key does.
    pub key_secret: Option<Secret>,
    /// True if the credential can be used once only. It is then not used while the store cannot
    /// store the result.
    pub single_use: bool,
}

/// A token from the store.
#[derive(Debug)]
pub struct StoredToken {
    /// The token as it was granted.
    pub granted: TokenGrant,
    /// The time since then.
    pub age: Duration,
}

/// Stores tokens beyond the end of the process.
pub trait TokenStore: fmt::Debug + Send + Sync {
    /// Waits until no other process has locked the entry, then locks it, so that one process signs
    /// in for all. Returns `None` if the store cannot be used.
    fn lock<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Option<Box<dyn EntryLock + 'a>>>;

    /// Deletes the stored access token if it is still the one that a service refused: another
    /// process can have renewed it. Keeps the refresh token.
    fn forget(&self, entry: &Entry, refused: &Token);

    /// Deletes all tokens of this owner, for every credential, and returns their number. Returns a
    /// failure if it cannot, because the caller requested the deletion.
    fn reset(&self, owner: &Owner) -> Result<usize, Failure>;
}

/// The lock of one entry. Dropping it unlocks the entry.
pub trait EntryLock: Send {
    /// The stored token.
    fn read(&self) -> Option<StoredToken>;

    /// Replaces the stored token.
    fn write(&self, granted: &TokenGrant);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_different_keys_differs() {
        let text = |tenant: &str, client_id: &str| {
            let owner = Owner {
                cloud: "commercial".into(),
                login: "https://login.test".into(),
                tenant: tenant.into(),
                client_id: client_id.into(),
            };
            let key = Key {
                owner,
                audience: Audience("graph".into()),
                credential: "f".into(),
            };
            key.text()
        };
        assert_ne!(text("a\",\"b", "c"), text("a", "b\",\"c"));
        assert_eq!(
            text("t", "c"),
            r#"["commercial","https://login.test","t","c","graph","f"]"#
        );
    }
}
