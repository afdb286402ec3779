//! What a call needs of a sign-in: a token for an audience, and to be able to throw it away.
//!
//! How tokens are got is `identity`'s business; this is only the seam.

use std::future::Future;
use std::pin::Pin;

use crate::protocol::{Failure, Secret};

/// Work that can fail, boxed so that it fits in a table or behind a trait.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// The service a token is for, as its resource URI: `https://graph.microsoft.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience(pub String);

/// An access token and what it says about itself.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token, for the Authorization header.
    pub value: Secret,
    /// The tenant's GUID, the `tid` claim.
    pub tenant: Option<String>,
    /// The permissions in it, an application's own and delegated ones; empty when none were granted.
    pub roles: Vec<String>,
}

/// Gives tokens. Five kinds of sign-in stand behind it.
pub trait TokenProvider: Send + Sync {
    /// A valid token for that audience, kept from before if there is one.
    fn token<'a>(&'a self, audience: &'a Audience) -> Pending<'a, Token>;

    /// Throws the audience's token away, after a service refused it; one that was renewed
    /// meanwhile stays.
    fn forget(&self, audience: &Audience, refused: &Token);

    /// The failure of a service that refused that token, with why, if the token tells it.
    fn explain(&self, audience: &Audience, refused: &Token, failure: Failure) -> Failure {
        let _ = (audience, refused);
        failure
    }

    /// Throws away everything that is kept for the account, in memory and beyond, whatever
    /// credential it was got with; tells how much that was. It asks nobody.
    fn reset(&self) -> Result<usize, Failure> {
        Ok(0)
    }
}

/// How a call is authorised.
#[derive(Clone, Copy)]
pub enum Auth<'a> {
    /// Not at all: the sign-in itself.
    Open,
    /// With a bearer token for that audience.
    Bearer(&'a dyn TokenProvider, &'a Audience),
}
