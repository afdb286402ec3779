//! Tokens: which kind of sign-in an account uses, and keeping what it gave.
//!
//! It knows the token endpoint and no other service, and no files: tokens are kept in memory, and
//! beyond the process by whatever [`TokenStore`] it is given. Claims are read without verification: judging tokens is the services' part.

pub mod cache;
pub mod claims;
pub mod client_secret;
pub mod store;
pub mod token_endpoint;

use ring::digest;
use url::Url;

pub use cache::TokenCache;
pub use store::TokenStore;

use crate::identity::cache::Key;
use crate::identity::store::Entry;
use crate::net::transcript::is_rehearsal;
use crate::net::{Audience, Caller, Pending, Token, TokenProvider};
use crate::protocol::{Failure, Redactor, Secret};

/// What an account proves itself with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The application's secret.
    ClientSecret(Secret),
}

impl Credential {
    /// What kind it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Credential::ClientSecret(_) => "client_secret",
        }
    }

    /// What tokens got with it are sealed with: known to whoever has the credential, and to nobody
    /// else.
    pub fn key_material(&self) -> Secret {
        match self {
            Credential::ClientSecret(secret) => secret.clone(),
        }
    }

    /// A fingerprint (SHA-256, hexadecimal), so that a changed credential never meets an old token.
    pub fn fingerprint(&self) -> String {
        match self {
            Credential::ClientSecret(secret) => sha256(secret.expose().as_bytes()),
        }
    }
}

/// Who signs in, and where.
#[derive(Clone, Debug)]
pub struct Account {
    /// The cloud's id, which tells equal tenants of two clouds apart.
    pub cloud: String,
    /// The login service's address.
    pub login: Url,
    /// The tenant: a GUID or a domain name.
    pub tenant: String,
    /// The application's GUID.
    pub client_id: String,
    /// What it proves itself with.
    pub credential: Credential,
}

/// Signs in for one run; tokens come from the cache while they last.
#[derive(Debug)]
pub struct SignIn<'a> {
    caller: &'a Caller,
    account: Account,
    cache: TokenCache,
    store: Option<&'a dyn TokenStore>,
    redactor: Redactor,
}

impl<'a> SignIn<'a> {
    /// The sign-in of that account through that run's caller. Every token is registered with the
    /// redactor before anything else sees it.
    pub fn new(
        caller: &'a Caller,
        account: Account,
        cache: TokenCache,
        redactor: Redactor,
    ) -> Self {
        SignIn {
            caller,
            account,
            cache,
            store: None,
            redactor,
        }
    }

    /// The same, with tokens that outlive the process.
    #[must_use]
    pub fn keeping(mut self, store: Option<&'a dyn TokenStore>) -> Self {
        self.store = store;
        self
    }

    fn entry(&self, audience: &Audience) -> Entry {
        let credential = &self.account.credential;
        let key = Key {
            cloud: self.account.cloud.clone(),
            login: self.account.login.to_string(),
            tenant: self.account.tenant.to_ascii_lowercase(),
            client_id: self.account.client_id.to_ascii_lowercase(),
            audience: audience.clone(),
            credential: format!("{} {}", credential.kind(), credential.fingerprint()),
        };
        Entry {
            key,
            material: credential.key_material(),
        }
    }

    async fn obtain(&self, audience: &Audience) -> Result<Token, Failure> {
        let form = match &self.account.credential {
            Credential::ClientSecret(secret) => {
                client_secret::form(&self.account.client_id, secret, audience)
            }
        };
        let ask = || token_endpoint::ask(self.caller, &self.account, form);
        let entry = self.entry(audience);
        let outcome = self.cache.get_or(&entry, self.store, ask).await;
        match outcome {
            Ok((token, source)) => {
                self.redactor.register(&token.value);
                self.caller.used_token(source);
                Ok(token)
            }
            Err(stop) if is_rehearsal(&stop) => Ok(self.dummy()),
            Err(failure) => Err(failure),
        }
    }

    /// What a dry run goes on with after the sign-in that was not sent.
    fn dummy(&self) -> Token {
        Token {
            value: Secret::new("dry-run"),
            tenant: Some(self.account.tenant.clone()),
            roles: Vec::new(),
        }
    }
}

impl TokenProvider for SignIn<'_> {
    fn token<'a>(&'a self, audience: &'a Audience) -> Pending<'a, Token> {
        Box::pin(self.obtain(audience))
    }

    fn forget(&self, audience: &Audience, refused: &Token) {
        let entry = self.entry(audience);
        self.cache.forget(&entry.key, refused);
        if let Some(store) = self.store {
            store.forget(&entry, refused);
        }
    }
}

/// SHA-256 as hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().fold(
        String::with_capacity(64),
        |mut text, byte| {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
            text
        },
    )
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
        assert_eq!(credential.key_material().expose(), "abc");
    }
}
