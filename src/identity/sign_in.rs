//! Signs in an account: requests a token with its credential when the cache and the store have
//! none.
//!
//! Does not decide how long a token is used: the cache does.

use futures_util::future::BoxFuture;

use crate::clock::Clock;
use crate::identity::account::Account;
use crate::identity::cache::TokenCache;
use crate::identity::credential::{ClientCredential, Credential};
use crate::identity::device_code::DeviceSignIn;
use crate::identity::store::{Entry, Key, TokenGrant, TokenStore};
use crate::identity::{auth_code, device_code, managed_identity, mismatch, token_endpoint};
use crate::net::message::Text;
use crate::net::transcript::is_dry_run;
use crate::net::{Audience, Caller, DevicePrompt, Token, TokenProvider};
use crate::protocol::{Failure, Redactor, Secret};

/// What all sign-ins of a process share.
#[derive(Clone, Debug)]
pub struct SignInContext {
    /// The tokens in memory.
    pub cache: TokenCache,
    /// Every token and assertion is registered here before it is used.
    pub redactor: Redactor,
    /// The time of assertions, and of tokens whose response has an end but no lifetime.
    pub clock: Clock,
}

/// The sign-in of one run.
#[derive(Debug)]
pub struct SignIn<'a> {
    caller: &'a Caller,
    account: Account,
    context: SignInContext,
    store: Option<&'a dyn TokenStore>,
}

impl<'a> SignIn<'a> {
    /// The sign-in of this account, without a store.
    pub fn new(caller: &'a Caller, account: Account, context: SignInContext) -> Self {
        SignIn {
            caller,
            account,
            context,
            store: None,
        }
    }

    /// The sign-in with a store that keeps tokens between runs.
    #[must_use]
    pub fn with_store(mut self, store: Option<&'a dyn TokenStore>) -> Self {
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
        Entry {
            single_use: matches!(credential, Credential::AuthorizationCode(_)),
            key,
            key_secret: credential.key_secret(),
        }
    }

    async fn obtain(&self, audience: &Audience) -> Result<Token, Failure> {
        let entry = self.entry(audience);
        let request = |refresh| self.request(audience, refresh);
        let outcome = self.context.cache.get_or(&entry, self.store, request).await;
        match outcome {
            Ok((token, source)) => {
                self.context.redactor.register(&token.value);
                self.caller.used_token(source);
                Ok(token)
            }
            Err(failure) if is_dry_run(&failure) => Ok(self.placeholder()),
            Err(failure) => Err(failure),
        }
    }

    /// Requests a token, with the refresh token if there is one and the credential uses it.
    async fn request(
        &self,
        audience: &Audience,
        refresh: Option<Secret>,
    ) -> Result<TokenGrant, Failure> {
        let account = &self.account;
        let granted = match &account.credential {
            Credential::ManagedIdentity(identity) => {
                let request = managed_identity::Request {
                    account,
                    identity,
                    audience,
                };
                request.send(self.caller, self.context.clock.now()).await
            }
            Credential::AuthorizationCode(code) => {
                if let Some(token) = &refresh {
                    self.context.redactor.register(token);
                }
                let mut form = code.form(account, audience, refresh.as_ref());
                form.extend(self.client_authentication(&code.client)?);
                token_endpoint::request(self.caller, account, form)
                    .await
                    .map_err(auth_code::with_advice)
            }
            Credential::DeviceCode(user) => {
                // A dry run shows the request that would refresh the token.
                let dry_run = self.caller.transcript().is_dry_run();
                let refresh = refresh.or_else(|| dry_run.then(|| Secret::new("dry-run")));
                let refresh = refresh.ok_or_else(|| device_code::not_signed_in(user))?;
                self.context.redactor.register(&refresh);
                let form = device_code::refresh_form(account, audience, &refresh);
                token_endpoint::request(self.caller, account, form)
                    .await
                    .map_err(device_code::with_advice)
            }
            Credential::Application(client) => {
                self.client_credentials_grant(client, audience).await
            }
        }?;
        if let Some(token) = &granted.refresh {
            self.context.redactor.register(token);
        }
        Ok(granted)
    }

    /// Requests a token for the application itself, with all permissions granted for the audience.
    async fn client_credentials_grant(
        &self,
        client: &ClientCredential,
        audience: &Audience,
    ) -> Result<TokenGrant, Failure> {
        let mut form = vec![
            ("grant_type", "client_credentials".into()),
            ("client_id", self.account.client_id.as_str().into()),
        ];
        form.extend(self.client_authentication(client)?);
        form.push(("scope", format!("{}/.default", audience.0).into()));
        token_endpoint::request(self.caller, &self.account, form).await
    }

    /// The form fields that authenticate the application.
    fn client_authentication(
        &self,
        client: &ClientCredential,
    ) -> Result<Vec<(&'static str, Text)>, Failure> {
        let certificate = match client {
            ClientCredential::Secret(secret) => return Ok(vec![("client_secret", secret.into())]),
            ClientCredential::Certificate(certificate) => certificate,
        };
        let endpoint = token_endpoint::address(&self.account);
        let now = self.context.clock.now();
        let assertion = certificate.assertion(&self.account.client_id, &endpoint, now)?;
        self.context.redactor.register(&assertion);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        Ok(vec![
            ("client_assertion_type", kind.into()),
            ("client_assertion", (&assertion).into()),
        ])
    }

    fn device_code<'s>(
        &'s self,
        entry: &'s (dyn Fn(&Audience) -> Entry + Sync),
    ) -> DeviceSignIn<'s> {
        DeviceSignIn {
            caller: self.caller,
            account: &self.account,
            cache: &self.context.cache,
            redactor: &self.context.redactor,
            store: self.store,
            entry,
        }
    }

    /// The token that a dry run continues with after its sign-in request.
    fn placeholder(&self) -> Token {
        let tenant = match self.account.tenant.as_str() {
            "" => "the-tenant-of-the-machine",
            tenant => tenant,
        };
        Token {
            value: Secret::new("dry-run"),
            tenant: Some(tenant.to_owned()),
            roles: Vec::new(),
        }
    }
}

impl TokenProvider for SignIn<'_> {
    fn token<'a>(&'a self, audience: &'a Audience) -> BoxFuture<'a, Result<Token, Failure>> {
        Box::pin(self.obtain(audience))
    }

    fn forget(&self, audience: &Audience, refused: &Token) {
        let entry = self.entry(audience);
        self.context.cache.forget(&entry.key, refused);
        if let Some(store) = self.store {
            store.forget(&entry, refused);
        }
    }

    fn explain(&self, audience: &Audience, refused: &Token, failure: Failure) -> Failure {
        mismatch::explain(&self.account, audience, refused, failure)
    }

    fn start_device_code<'a>(
        &'a self,
        audience: &'a Audience,
    ) -> BoxFuture<'a, Result<DevicePrompt, Failure>> {
        Box::pin(async move {
            self.device_code(&|audience| self.entry(audience))
                .start(audience)
                .await
        })
    }

    fn complete_device_code(&self) -> BoxFuture<'_, Result<Token, Failure>> {
        Box::pin(async move {
            self.device_code(&|audience| self.entry(audience))
                .complete()
                .await
        })
    }

    fn reset(&self) -> Result<usize, Failure> {
        let owner = self.account.owner();
        let in_memory = self.context.cache.reset(&owner);
        match self.store {
            Some(store) => store.reset(&owner),
            None => Ok(in_memory),
        }
    }
}
