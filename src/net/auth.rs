//! The interface between HTTP requests and the sign-in.
//!
//! `identity` implements it.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::protocol::{ErrorKind, Failure, Secret};

/// The service that a token is for, as its resource URI: `https://graph.microsoft.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience(pub String);

/// An access token and its claims.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token, for the Authorization header.
    pub value: Secret,
    /// The tenant's GUID, the `tid` claim.
    pub tenant: Option<String>,
    /// Its permissions, application and delegated; empty if none were granted.
    pub roles: Vec<String>,
}

/// What a person needs to sign in on another device.
#[derive(Clone, Debug)]
pub struct DevicePrompt {
    /// The address of the page where the person enters the code.
    pub verification_uri: String,
    /// The code that the person enters.
    pub user_code: String,
    /// The service's own instructions.
    pub message: String,
    /// How long the code is valid.
    pub lifetime: Duration,
}

/// Provides tokens.
pub trait TokenProvider: Send + Sync {
    /// Returns a valid token for the audience, from the cache if there is one.
    fn token<'a>(&'a self, audience: &'a Audience) -> BoxFuture<'a, Result<Token, Failure>>;

    /// Deletes the audience's token after a service refused it, unless it was renewed meanwhile.
    fn forget(&self, audience: &Audience, refused: &Token);

    /// Adds to the failure why a service refused this token, if the token's claims show it.
    fn explain(&self, audience: &Audience, refused: &Token, failure: Failure) -> Failure {
        let _ = (audience, refused);
        failure
    }

    /// Starts the sign-in of a person on another device. Needs no token.
    fn start_device_code<'a>(
        &'a self,
        audience: &'a Audience,
    ) -> BoxFuture<'a, Result<DevicePrompt, Failure>> {
        let _ = audience;
        Box::pin(async { Err(no_device_code()) })
    }

    /// Waits until the person has signed in, and stores the tokens. Needs no token.
    fn complete_device_code(&self) -> BoxFuture<'_, Result<Token, Failure>> {
        Box::pin(async { Err(no_device_code()) })
    }

    /// Deletes all tokens of the account, from memory and from the store, for every credential.
    /// Returns their number. Sends no request.
    fn reset(&self) -> Result<usize, Failure> {
        Ok(0)
    }
}

fn no_device_code() -> Failure {
    let message = "This token provider has no sign-in with a device code.";
    Failure::new(ErrorKind::Internal, message)
}

/// How a request is authorized.
#[derive(Clone, Copy)]
pub enum Auth<'a> {
    /// Without a token: the sign-in itself.
    None,
    /// With a bearer token for the audience.
    Bearer(&'a dyn TokenProvider, &'a Audience),
}
