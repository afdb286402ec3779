//! Tokens between runs, as the cache sees them: the seam that the vault fills.
//!
//! Where they lie, how they are protected and who waits for whom is the store's business; when a
//! token is still good enough is the cache's. Nothing here can fail: a store that cannot be used
//! keeps nothing and tells its owner.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::identity::cache::{Granted, Key, Owner};
use crate::net::Token;
use crate::protocol::{Failure, Secret};

/// What a token is kept under.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it belongs to.
    pub key: Key,
    /// What it is to be sealed with: the credential's own secret; none: the store has to have one.
    pub material: Option<Secret>,
    /// Is what the first sign-in is made with good for one alone? Then it is not made where what it
    /// gives could not be kept.
    pub once: bool,
}

/// A token that was kept, and how long ago it was granted.
#[derive(Debug)]
pub struct Kept {
    /// As it was granted.
    pub granted: Granted,
    /// Since then.
    pub age: Duration,
}

/// Waiting for a place.
pub type Entering<'a> = Pin<Box<dyn Future<Output = Option<Box<dyn Place + 'a>>> + Send + 'a>>;

/// Keeps tokens beyond the end of the process.
pub trait TokenStore: fmt::Debug + Send + Sync {
    /// The entry's place, as soon as nobody else holds it; none if there is no place to be had.
    /// Until it is dropped no other process is given it, so whoever holds it signs in for all.
    fn enter<'a>(&'a self, entry: &'a Entry) -> Entering<'a>;

    /// Throws away the access token that is kept, if it is still the one that a service refused:
    /// another process may have renewed it. What gets the next one stays.
    fn forget(&self, entry: &Entry, refused: &Token);

    /// Throws away everything of that owner, whatever credential it was got with, and tells how
    /// much that was. Here a failure matters: it is what somebody asked for.
    fn reset(&self, owner: &Owner) -> Result<usize, Failure>;
}

/// The place of one entry, held against everybody else.
pub trait Place: Send {
    /// What is kept here.
    fn read(&self) -> Option<Kept>;

    /// Keeps that instead.
    fn write(&self, granted: &Granted);
}
