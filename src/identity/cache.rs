//! Tokens in memory: renewed early, forgotten on request, signed in for once at a time.
//!
//! Lifetimes are measured on the monotonic clock, so a still time of day does not keep a token
//! alive. Nothing is written anywhere.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::net::{Audience, Token, TokenSource};
use crate::protocol::Failure;

/// A token is renewed this long before its end, and at most a tenth of its lifetime before.
const RENEW_EARLY: Duration = Duration::from_mins(5);

/// What a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The cloud's id.
    pub cloud: String,
    /// The login service's address.
    pub login: String,
    /// The tenant, lower case.
    pub tenant: String,
    /// The application, lower case.
    pub client_id: String,
    /// The service.
    pub audience: Audience,
    /// The credential's fingerprint.
    pub credential: String,
}

/// A token as the login service granted it.
#[derive(Debug)]
pub struct Granted {
    /// The token.
    pub token: Token,
    /// How long it is good for, from now.
    pub lifetime: Duration,
}

/// A place for one key; whoever holds it signs in, everybody else waits for that.
type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

#[derive(Debug)]
struct Held {
    token: Token,
    renew_at: Option<Instant>,
}

/// The tokens of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TokenCache(Arc<Mutex<HashMap<Key, Slot>>>);

impl TokenCache {
    /// The token of that key, or what `sign_in` gives. Several callers at once sign in once; when
    /// that fails, the next of them tries by itself.
    pub async fn get_or<F>(
        &self,
        key: Key,
        sign_in: impl FnOnce() -> F,
    ) -> Result<(Token, TokenSource), Failure>
    where
        F: Future<Output = Result<Granted, Failure>>,
    {
        let slot = self.slot(key);
        let mut held = slot.lock().await;
        if let Some(held) = held.as_ref()
            && held.renew_at.is_some_and(|at| Instant::now() < at)
        {
            return Ok((held.token.clone(), TokenSource::Memory));
        }
        let Granted { token, lifetime } = sign_in().await?;
        *held = Some(Held {
            token: token.clone(),
            renew_at: renew_at(lifetime),
        });
        Ok((token, TokenSource::SignIn))
    }

    /// Drops the token of that key if it is the one that was refused. Where somebody is signing in
    /// for it already, a new one is coming anyway.
    pub fn forget(&self, key: &Key, refused: &Token) {
        let slot = self.slot(key.clone());
        if let Ok(mut held) = slot.try_lock()
            && held
                .as_ref()
                .is_some_and(|held| held.token.value.expose() == refused.value.expose())
        {
            *held = None;
        }
    }

    fn slot(&self, key: Key) -> Slot {
        self.slots(|slots| slots.entry(key).or_default().clone())
    }

    fn slots<T>(&self, work: impl FnOnce(&mut HashMap<Key, Slot>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn renew_at(lifetime: Duration) -> Option<Instant> {
    let early = RENEW_EARLY.min(lifetime / 10);
    Instant::now().checked_add(lifetime.saturating_sub(early))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ErrorKind, Secret};
    use std::cell::Cell;

    fn key(audience: &str) -> Key {
        Key {
            cloud: "commercial".into(),
            login: "https://login.test".into(),
            tenant: "t".into(),
            client_id: "c".into(),
            audience: Audience(audience.to_owned()),
            credential: "f".into(),
        }
    }

    fn granted(value: &str, lifetime: u64) -> Granted {
        Granted {
            token: Token {
                value: Secret::new(value),
                tenant: None,
                roles: Vec::new(),
            },
            lifetime: Duration::from_secs(lifetime),
        }
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(work)
    }

    #[test]
    fn callers_at_once_sign_in_once_per_audience() {
        let (cache, calls) = (TokenCache::default(), Cell::new(0));
        let sign_in = || async {
            calls.set(calls.get() + 1);
            tokio::task::yield_now().await;
            Ok(granted("t", 3599))
        };
        let sources = run(async {
            let ask = |audience| cache.get_or(key(audience), sign_in);
            let asked = ["graph", "graph", "management"].map(ask);
            let outcomes = futures_util::future::join_all(asked).await;
            outcomes
                .into_iter()
                .map(|outcome| outcome.expect("a token").1)
                .collect::<Vec<_>>()
        });
        assert_eq!(calls.get(), 2);
        let expected = [
            TokenSource::SignIn,
            TokenSource::Memory,
            TokenSource::SignIn,
        ];
        assert_eq!(sources, expected);
    }

    #[test]
    fn short_lives_failures_and_forgotten_tokens_lead_to_a_new_sign_in() {
        let cache = TokenCache::default();
        let ask = |outcome| {
            let token = run(cache.get_or(key("graph"), || async { outcome }));
            token.map(|(token, _)| token.value.expose().to_owned())
        };
        assert_eq!(ask(Ok(granted("one", 0))).expect("a token"), "one");
        let refused = Failure::new(ErrorKind::AuthFailed, "No.");
        assert!(ask(Err(refused)).is_err());
        assert_eq!(ask(Ok(granted("two", 3599))).expect("a token"), "two");
        assert_eq!(ask(Ok(granted("three", 3599))).expect("a token"), "two");
        let (refused, _) = run(cache.get_or(key("graph"), || async { panic!("it is there") }))
            .expect("from memory");
        cache.forget(&key("graph"), &granted("another", 3600).token);
        assert_eq!(refused.value.expose(), "two");
        cache.forget(&key("graph"), &refused);
        assert_eq!(ask(Ok(granted("four", 3599))).expect("a token"), "four");
    }

    #[test]
    fn a_token_is_renewed_five_minutes_or_a_tenth_early() {
        let left = |seconds| {
            let at = renew_at(Duration::from_secs(seconds)).expect("a time");
            (at - Instant::now() + Duration::from_millis(500)).as_secs()
        };
        assert_eq!(left(86_399), 86_099);
        assert_eq!(left(1_000), 900);
        assert!(renew_at(Duration::MAX).is_none());
    }
}
