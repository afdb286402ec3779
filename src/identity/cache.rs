//! Tokens in memory: renewed early, and requested once when several callers need one.
//!
//! Lifetimes are measured on the monotonic clock, so that a fixed time of day does not extend them.
//! Writes nothing: a [`TokenStore`] keeps tokens beyond the process.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::identity::store::{Entry, Key, Owner, TokenGrant, TokenStore};
use crate::net::{Token, TokenSource};
use crate::protocol::{Failure, Secret};

/// A token is renewed this long before its end, but at most a tenth of its lifetime before.
const RENEW_EARLY: Duration = Duration::from_mins(5);

/// The token of one key.
#[derive(Debug, Default)]
struct CacheEntry {
    /// Locked during a sign-in; other callers wait for its result.
    cached: tokio::sync::Mutex<Option<CachedToken>>,
    /// The token that a service refused last. It is not used again, from memory or from the store.
    refused: Mutex<Option<Secret>>,
}

#[derive(Debug)]
struct CachedToken {
    token: Token,
    renew_at: Option<Instant>,
    refresh: Option<Secret>,
}

impl CachedToken {
    fn new(granted: &TokenGrant, left: Duration) -> Self {
        CachedToken {
            token: granted.token.clone(),
            renew_at: Instant::now().checked_add(left),
            refresh: granted.refresh.clone(),
        }
    }
}

impl CacheEntry {
    fn is_refused(&self, token: &Token) -> bool {
        let same = |refused: &Secret| refused.expose() == token.value.expose();
        self.refused(|refused| refused.as_ref().is_some_and(same))
    }

    fn refused<T>(&self, work: impl FnOnce(&mut Option<Secret>) -> T) -> T {
        work(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The tokens of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TokenCache(Arc<Mutex<HashMap<Key, Arc<CacheEntry>>>>);

impl TokenCache {
    /// Returns the token of the entry from memory, from the store, or from `sign_in`, which
    /// receives the last refresh token. Concurrent callers sign in once; with a store, so do
    /// concurrent processes. If that sign-in fails, the next caller tries again.
    pub async fn get_or<F>(
        &self,
        entry: &Entry,
        store: Option<&dyn TokenStore>,
        sign_in: impl FnOnce(Option<Secret>) -> F,
    ) -> Result<(Token, TokenSource), Failure>
    where
        F: Future<Output = Result<TokenGrant, Failure>>,
    {
        let known = self.entry(&entry.key);
        let mut cached = known.cached.lock().await;
        if let Some(cached) = cached.as_ref()
            && cached.renew_at.is_some_and(|at| Instant::now() < at)
            && !known.is_refused(&cached.token)
        {
            return Ok((cached.token.clone(), TokenSource::Memory));
        }
        let lock = match store {
            Some(store) => store.lock(entry).await,
            None => None,
        };
        let has_refresh = cached.as_ref().is_some_and(|token| token.refresh.is_some());
        if entry.single_use && store.is_some() && lock.is_none() && !has_refresh {
            return Err(not_redeemed());
        }
        let stored = lock.as_ref().and_then(|lock| lock.read());
        if let Some(stored) = &stored
            && let Some(left) = time_left(stored.granted.lifetime, stored.age)
            && !known.is_refused(&stored.granted.token)
        {
            *cached = Some(CachedToken::new(&stored.granted, left));
            return Ok((stored.granted.token.clone(), TokenSource::Vault));
        }
        // Another process can have renewed the refresh token, so the stored one comes first.
        let refresh = stored.and_then(|stored| stored.granted.refresh);
        let refresh = refresh.or_else(|| cached.as_ref()?.refresh.clone());
        let mut granted = sign_in(refresh.clone()).await?;
        // A response without a refresh token leaves the old one valid.
        granted.refresh = granted.refresh.or(refresh);
        known.refused(Option::take);
        let left = time_left(granted.lifetime, Duration::ZERO);
        // A token without a lifetime is valid for this call only.
        let reusable = left.is_some() || granted.refresh.is_some();
        // Stored at once, so that a failure later in the command does not lose it.
        if let Some(lock) = lock.filter(|_| reusable) {
            lock.write(&granted);
        }
        *cached = reusable.then(|| CachedToken::new(&granted, left.unwrap_or_default()));
        Ok((granted.token, TokenSource::SignIn))
    }

    /// Stores the token of a person who has just signed in, in place of any other.
    pub async fn replace(
        &self,
        entry: &Entry,
        store: Option<&dyn TokenStore>,
        granted: TokenGrant,
    ) -> Result<Token, Failure> {
        let known = self.entry(&entry.key);
        let mut cached = known.cached.lock().await;
        if let Some(store) = store {
            let lock = store.lock(entry).await.ok_or_else(tokens_lost)?;
            lock.write(&granted);
        }
        known.refused(Option::take);
        let left = time_left(granted.lifetime, Duration::ZERO).unwrap_or_default();
        *cached = Some(CachedToken::new(&granted, left));
        Ok(granted.token)
    }

    /// Deletes all tokens of this owner and returns their number.
    pub fn reset(&self, owner: &Owner) -> usize {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.len();
        entries.retain(|key, _| key.owner != *owner);
        before - entries.len()
    }

    /// Does not use this token for the key again.
    pub fn forget(&self, key: &Key, refused: &Token) {
        let entry = self.entry(key);
        entry.refused(|last| *last = Some(refused.value.clone()));
    }

    fn entry(&self, key: &Key) -> Arc<CacheEntry> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(key.clone()).or_default().clone()
    }
}

/// An authorization code can be redeemed once, so it is not redeemed when its tokens would be lost.
fn not_redeemed() -> Failure {
    let message =
        "The authorization code was not redeemed, because its tokens could not be stored.";
    Failure::invalid_input("--state", message)
        .cause("The state folder cannot be used. The warning has the reason.")
        .advice("Repair the state folder, then send the same request. The code is still valid for some minutes.")
}

/// The tokens of a person cannot be requested again with the same code.
fn tokens_lost() -> Failure {
    let message = "The tokens of the sign-in could not be stored.";
    Failure::invalid_input("--state", message)
        .cause("The state folder cannot be used. The warning has the reason.")
        .advice("Repair the state folder, then start a new sign-in.")
}

/// How long a token of this lifetime and age can be used before it is renewed. `None` if it cannot.
fn time_left(lifetime: Duration, age: Duration) -> Option<Duration> {
    let early = RENEW_EARLY.min(lifetime / 10);
    let left = lifetime.checked_sub(early)?.checked_sub(age)?;
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::store::{EntryLock, StoredToken};
    use crate::net::Audience;
    use crate::protocol::ErrorKind;
    use futures_util::future::BoxFuture;
    use std::cell::Cell;

    fn entry(audience: &str) -> Entry {
        let owner = Owner {
            cloud: "commercial".into(),
            login: "https://login.test".into(),
            tenant: "t".into(),
            client_id: "c".into(),
        };
        let key = Key {
            owner,
            audience: Audience(audience.to_owned()),
            credential: "f".into(),
        };
        Entry {
            single_use: false,
            key,
            key_secret: Some(Secret::new("s")),
        }
    }

    fn token(value: &str) -> Token {
        granted(value, 0).token
    }

    fn granted(value: &str, lifetime: u64) -> TokenGrant {
        TokenGrant {
            token: Token {
                value: Secret::new(value),
                tenant: None,
                roles: Vec::new(),
            },
            lifetime: Duration::from_secs(lifetime),
            refresh: None,
        }
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(work)
    }

    /// A store that cannot be used.
    #[derive(Debug)]
    struct Broken;

    impl TokenStore for Broken {
        fn lock<'a>(&'a self, _: &'a Entry) -> BoxFuture<'a, Option<Box<dyn EntryLock + 'a>>> {
            Box::pin(async { None })
        }

        fn forget(&self, _: &Entry, _: &Token) {}

        fn reset(&self, _: &Owner) -> Result<usize, Failure> {
            Ok(0)
        }
    }

    #[test]
    fn single_use_credential_is_not_used_if_its_tokens_cannot_be_stored() {
        let cache = TokenCache::default();
        let requests = Cell::new(0);
        let request = |single_use| {
            let entry = Entry {
                single_use,
                ..entry("management")
            };
            let sign_in = |_| async {
                requests.set(requests.get() + 1);
                Ok(granted("t", 0))
            };
            run(cache.get_or(&entry, Some(&Broken), sign_in)).map(drop)
        };
        let refused = request(true).expect_err("nothing is sent");
        assert_eq!(refused.place(), Some("--state"));
        assert_eq!(requests.get(), 0);
        assert!(request(false).is_ok());
        assert_eq!(requests.get(), 1);
    }

    #[test]
    fn concurrent_callers_sign_in_once_for_each_audience() {
        let (cache, calls) = (TokenCache::default(), Cell::new(0));
        let sign_in = |_| async {
            calls.set(calls.get() + 1);
            tokio::task::yield_now().await;
            Ok(granted("t", 3599))
        };
        let sources = run(async {
            let entries = ["graph", "graph", "management"].map(entry);
            let ask = |entry| cache.get_or(entry, None, sign_in);
            let requests = entries.iter().map(ask);
            let outcomes = futures_util::future::join_all(requests).await;
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
    fn expired_failed_and_forgotten_tokens_are_requested_again() {
        let cache = TokenCache::default();
        let ask = |outcome| {
            let token = run(cache.get_or(&entry("graph"), None, |_| async { outcome }));
            token.map(|(token, _)| token.value.expose().to_owned())
        };
        assert_eq!(ask(Ok(granted("one", 0))).expect("a token"), "one");
        let refused = Failure::new(ErrorKind::AuthFailed, "No.");
        assert!(ask(Err(refused)).is_err());
        assert_eq!(ask(Ok(granted("two", 3599))).expect("a token"), "two");
        assert_eq!(ask(Ok(granted("three", 3599))).expect("a token"), "two");
        cache.forget(&entry("graph").key, &token("one"));
        assert_eq!(ask(Ok(granted("four", 3599))).expect("a token"), "two");
        cache.forget(&entry("graph").key, &token("two"));
        assert_eq!(ask(Ok(granted("four", 3599))).expect("a token"), "four");
        // The login service can grant the refused token again.
        cache.forget(&entry("graph").key, &token("four"));
        assert_eq!(ask(Ok(granted("four", 3599))).expect("a token"), "four");
        assert_eq!(ask(Ok(granted("five", 3599))).expect("a token"), "four");
    }

    /// A store with one token of this age.
    #[derive(Debug, Default)]
    struct OneTokenStore(Mutex<Option<(&'static str, u64)>>);

    impl TokenStore for OneTokenStore {
        fn lock<'a>(&'a self, _: &'a Entry) -> BoxFuture<'a, Option<Box<dyn EntryLock + 'a>>> {
            Box::pin(async move { Some(Box::new(self) as Box<dyn EntryLock>) })
        }

        fn forget(&self, _: &Entry, _: &Token) {}

        fn reset(&self, _: &Owner) -> Result<usize, Failure> {
            Ok(0)
        }
    }

    impl EntryLock for &OneTokenStore {
        fn read(&self) -> Option<StoredToken> {
            let kept = *self.0.lock().expect("no panic");
            kept.map(|(value, age)| StoredToken {
                granted: granted(value, 1_000),
                age: Duration::from_secs(age),
            })
        }

        fn write(&self, _: &TokenGrant) {
            *self.0.lock().expect("no panic") = Some(("new", 0));
        }
    }

    #[test]
    fn stored_token_is_used_until_it_ends_or_is_refused() {
        let ask = |cache: &TokenCache, stored: &OneTokenStore, lifetime| {
            let sign_in = |_| async move { Ok(granted("new", lifetime)) };
            let outcome = run(cache.get_or(&entry("graph"), Some(stored), sign_in));
            let (token, source) = outcome.expect("a token");
            (token.value.expose().to_owned(), source)
        };
        let kept = |age| OneTokenStore(Mutex::new(Some(("old", age))));
        for (age, expected) in [
            (0, ("old".to_owned(), TokenSource::Vault)),
            (899, ("old".to_owned(), TokenSource::Vault)),
            // The same rule as in memory: a tenth of the lifetime early.
            (900, ("new".to_owned(), TokenSource::SignIn)),
            (5_000, ("new".to_owned(), TokenSource::SignIn)),
        ] {
            assert_eq!(ask(&TokenCache::default(), &kept(age), 3_599), expected);
        }
        let (cache, stored) = (TokenCache::default(), kept(0));
        assert_eq!(ask(&cache, &stored, 3_599).1, TokenSource::Vault);
        assert_eq!(ask(&cache, &stored, 3_599).1, TokenSource::Memory);
        cache.forget(&entry("graph").key, &token("old"));
        assert_eq!(ask(&cache, &stored, 3_599).1, TokenSource::SignIn);
        assert!(
            stored
                .0
                .lock()
                .expect("no panic")
                .is_some_and(|(kept, _)| kept == "new")
        );
        let empty = OneTokenStore::default();
        ask(&TokenCache::default(), &empty, 0);
        assert!(
            empty.0.lock().expect("no panic").is_none(),
            "valid for one call only"
        );
    }

    #[test]
    fn last_refresh_token_is_used_until_it_is_replaced() {
        let cache = TokenCache::default();
        let ask = |store: Option<&OneTokenStore>, next: Option<&str>| {
            let handed = std::cell::RefCell::new(None);
            let sign_in = |refresh: Option<Secret>| {
                *handed.borrow_mut() = refresh.map(|token| token.expose().to_owned());
                let refresh = next.map(Secret::new);
                let granted = granted("t", 0);
                async move { Ok(TokenGrant { refresh, ..granted }) }
            };
            let store = store.map(|stored| stored as &dyn TokenStore);
            run(cache.get_or(&entry("graph"), store, sign_in)).expect("a token");
            handed.into_inner()
        };
        assert_eq!(ask(None, Some("one")), None);
        assert_eq!(ask(None, None).as_deref(), Some("one"));
        // A response without a refresh token leaves the old one valid.
        assert_eq!(ask(None, Some("two")).as_deref(), Some("one"));
        assert_eq!(ask(None, None).as_deref(), Some("two"));
        // The refresh token is stored although the token itself has ended.
        let stored = OneTokenStore::default();
        ask(Some(&stored), None);
        assert!(stored.0.lock().expect("no panic").is_some());
        assert_eq!(cache.reset(&entry("graph").key.owner), 1);
        assert_eq!(ask(None, None), None);
    }

    #[test]
    fn token_is_renewed_five_minutes_or_a_tenth_early() {
        let left = |lifetime, age| {
            let seconds = Duration::from_secs;
            time_left(seconds(lifetime), seconds(age)).map(|left| left.as_secs())
        };
        assert_eq!(left(86_399, 0), Some(86_099));
        assert_eq!(left(1_000, 0), Some(900));
        assert_eq!(left(1_000, 899), Some(1));
        assert_eq!(left(1_000, 900), None);
        assert_eq!(left(0, 0), None);
        let forever = CachedToken::new(&granted("t", 0), Duration::MAX);
        assert!(forever.renew_at.is_none(), "beyond the range of the clock");
    }
}
