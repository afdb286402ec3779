//! Tokens: which kind of sign-in an account uses, and keeping what it gave.
//!
//! It knows the token endpoint, a machine's own endpoint for identities and no other service, and
//! no files: tokens are kept in memory, and beyond the process by whatever [`TokenStore`] it is
//! given. Claims are read without verification: judging tokens is the services' part.

pub mod auth_code;
pub mod cache;
pub mod certificate;
pub mod claims;
mod credential;
mod key_file;
mod managed_identity;
mod mismatch;
#[cfg(feature = "pfx")]
mod pfx;
pub mod store;
pub mod token_endpoint;

use data_encoding::HEXLOWER;
use ring::digest;
use url::Url;

pub use cache::TokenCache;
pub use certificate::Certificate;
pub use credential::{AuthorizationCode, Credential, IdentityEndpoint, ManagedIdentity, Proof};
pub use mismatch::Resource;
pub use store::TokenStore;

use crate::clock::Clock;
use crate::identity::cache::{Granted, Key, Owner};
use crate::identity::store::Entry;
use crate::net::message::Text;
use crate::net::transcript::is_rehearsal;
use crate::net::{Audience, Caller, Pending, Token, TokenProvider};
use crate::protocol::{Failure, Redactor, Secret};

/// Who signs in, and where.
#[derive(Clone, Debug)]
pub struct Account {
    /// The cloud's id, which tells equal tenants of two clouds apart.
    pub cloud: String,
    /// The login service's address.
    pub login: Url,
    /// The address of a virtual machine's metadata service.
    pub metadata: Url,
    /// The tenant: a GUID or a domain name; empty for a machine, which has one of its own.
    pub tenant: String,
    /// The application's GUID; empty for the machine's own identity.
    pub client_id: String,
    /// What it proves itself with.
    pub credential: Credential,
    /// What the services call themselves, so that a token for another one can be told.
    pub resources: Vec<Resource>,
}

impl Account {
    fn owner(&self) -> Owner {
        Owner {
            cloud: self.cloud.clone(),
            login: self.login.to_string(),
            tenant: self.tenant.to_ascii_lowercase(),
            client_id: self.client_id.to_ascii_lowercase(),
        }
    }
}

/// What a process has for all its sign-ins.
#[derive(Clone, Debug)]
pub struct Means {
    /// The tokens in memory.
    pub cache: TokenCache,
    /// Learns every token and every assertion before anything else sees it.
    pub redactor: Redactor,
    /// Dates assertions, and tells how long a token lasts that only says when it ends.
    pub clock: Clock,
}

/// Signs in for one run; tokens come from the cache while they last.
#[derive(Debug)]
pub struct SignIn<'a> {
    caller: &'a Caller,
    account: Account,
    means: Means,
    store: Option<&'a dyn TokenStore>,
}

impl<'a> SignIn<'a> {
    /// The sign-in of that account through that run's caller.
    pub fn new(caller: &'a Caller, account: Account, means: Means) -> Self {
        SignIn {
            caller,
            account,
            means,
            store: None,
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
            owner: self.account.owner(),
            audience: audience.clone(),
            credential: format!("{} {}", credential.kind(), credential.fingerprint()),
        };
        let once = matches!(credential, Credential::AuthorizationCode(_));
        Entry {
            once,
            key,
            material: credential.key_material(),
        }
    }

    async fn obtain(&self, audience: &Audience) -> Result<Token, Failure> {
        let entry = self.entry(audience);
        let ask = |refresh| self.ask(audience, refresh);
        let outcome = self.means.cache.get_or(&entry, self.store, ask).await;
        match outcome {
            Ok((token, source)) => {
                self.means.redactor.register(&token.value);
                self.caller.used_token(source);
                Ok(token)
            }
            Err(stop) if is_rehearsal(&stop) => Ok(self.dummy()),
            Err(failure) => Err(failure),
        }
    }

    async fn ask(&self, audience: &Audience, refresh: Option<Secret>) -> Result<Granted, Failure> {
        let account = &self.account;
        let now = self.means.clock.now();
        let granted = match &account.credential {
            Credential::ManagedIdentity(identity) => {
                let to = managed_identity::Asked {
                    account,
                    identity,
                    audience,
                };
                managed_identity::ask(self.caller, to, now).await
            }
            Credential::AuthorizationCode(code) => {
                if let Some(token) = &refresh {
                    self.means.redactor.register(token);
                }
                let mut form = code.form(account, audience, refresh.as_ref());
                form.extend(self.proof(&code.client)?);
                let asked = token_endpoint::ask(self.caller, account, form).await;
                asked.map_err(auth_code::advised)
            }
            Credential::ClientSecret(secret) => {
                let proof = Proof::Secret(secret.clone());
                self.for_itself(&proof, audience).await
            }
            Credential::Certificate(certificate) => {
                let proof = Proof::Certificate(certificate.clone());
                self.for_itself(&proof, audience).await
            }
        }?;
        if let Some(token) = &granted.refresh {
            self.means.redactor.register(token);
        }
        Ok(granted)
    }

    /// The application as itself, without a person: everything that was granted for one audience.
    async fn for_itself(&self, proof: &Proof, audience: &Audience) -> Result<Granted, Failure> {
        let mut form = vec![
            ("grant_type", "client_credentials".into()),
            ("client_id", self.account.client_id.as_str().into()),
        ];
        form.extend(self.proof(proof)?);
        form.push(("scope", format!("{}/.default", audience.0).into()));
        token_endpoint::ask(self.caller, &self.account, form).await
    }

    /// The fields that show that it is the application that asks.
    fn proof(&self, proof: &Proof) -> Result<Vec<(&'static str, Text)>, Failure> {
        let certificate = match proof {
            Proof::Secret(secret) => return Ok(vec![("client_secret", secret.into())]),
            Proof::Certificate(certificate) => certificate,
        };
        let endpoint = token_endpoint::address(&self.account);
        let now = self.means.clock.now();
        let assertion = certificate.assertion(&self.account.client_id, &endpoint, now)?;
        self.means.redactor.register(&assertion);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        Ok(vec![
            ("client_assertion_type", kind.into()),
            ("client_assertion", (&assertion).into()),
        ])
    }

    /// What a dry run goes on with after the sign-in that was not sent.
    fn dummy(&self) -> Token {
        let tenant = match self.account.tenant.as_str() {
            "" => "the-tenant-of-the-machine",
            known => known,
        };
        Token {
            value: Secret::new("dry-run"),
            tenant: Some(tenant.to_owned()),
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
        self.means.cache.forget(&entry.key, refused);
        if let Some(store) = self.store {
            store.forget(&entry, refused);
        }
    }

    fn explain(&self, audience: &Audience, refused: &Token, failure: Failure) -> Failure {
        mismatch::explain(&self.account, audience, refused, failure)
    }

    fn reset(&self) -> Result<usize, Failure> {
        let owner = self.account.owner();
        let remembered = self.means.cache.reset(&owner);
        match self.store {
            Some(store) => store.reset(&owner),
            None => Ok(remembered),
        }
    }
}

/// The SHA-256 hash of the bytes, as hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}
