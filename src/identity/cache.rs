//! Tokens in memory: renewed early, forgotten on request, signed in for once at a time.
//!
//! Lifetimes are measured on the monotonic clock, so a still time of day does not keep a token
//! alive. Nothing is written here; what outlives the process is a [`TokenStore`]'s business, which
//! is asked before anybody signs in.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::identity::store::{Entry, TokenStore};
use crate::net::{Audience, Token, TokenSource};
use crate::protocol::{Failure, Secret};

/// A token is renewed this long before its end, and at most a tenth of its lifetime before.
const RENEW_EARLY: Duration = Duration::from_mins(5);

/// Whom a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The cloud's id.
    pub cloud: String,
    /// The login service's address.
    pub login: String,
    /// The tenant, lower case.
    pub tenant: String,
    /// The application, lower case.
    pub client_id: String,
}

/// What a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose it is.
    pub owner: Owner,
    /// The service.
    pub audience: Audience,
    /// The credential's kind and fingerprint.
    pub credential: String,
}

impl Owner {
    /// The owner as text, which no other owner gives.
    pub fn text(&self) -> String {
        let parts = [&self.cloud, &self.login, &self.tenant, &self.client_id];
        serde_json::Value::from_iter(parts.map(String::as_str)).to_string()
    }
}

impl Key {
    /// The whole key as text, which no other key gives.
    pub fn text(&self) -> String {
        let owner = &self.owner;
        let parts = [
            &owner.cloud,
            &owner.login,
            &owner.tenant,
            &owner.client_id,
            &self.audience.0,
            &self.credential,
        ];
        serde_json::Value::from_iter(parts.map(String::as_str)).to_string()
    }
}

/// A token as the login service granted it.
#[derive(Debug)]
pub struct Granted {
    /// The token.
    pub token: Token,
    /// How long it is good for, from now.
    pub lifetime: Duration,
    /// What gets the next one, where the sign-in gives that.
    pub refresh: Option<Secret>,
}

/// The room for one key.
#[derive(Debug, Default)]
struct Slot {
    /// Whoever holds it signs in, everybody else waits for that.
    held: tokio::sync::Mutex<Option<Held>>,
    /// The token that a service refused last; it is not used again, wherever it turns up.
    refused: Mutex<Option<Secret>>,
}

#[derive(Debug)]
struct Held {
    token: Token,
    renew_at: Option<Instant>,
    refresh: Option<Secret>,
}

impl Held {
    fn new(granted: &Granted, left: Duration) -> Self {
        Held {
            token: granted.token.clone(),
            renew_at: Instant::now().checked_add(left),
            refresh: granted.refresh.clone(),
        }
    }
}

impl Slot {
    fn refuses(&self, token: &Token) -> bool {
        let is_it = |refused: &Secret| refused.expose() == token.value.expose();
        self.refused(|refused| refused.as_ref().is_some_and(is_it))
    }

    fn refused<T>(&self, work: impl FnOnce(&mut Option<Secret>) -> T) -> T {
        work(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The tokens of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TokenCache(Arc<Mutex<HashMap<Key, Arc<Slot>>>>);

impl TokenCache {
    /// The token of that entry: from memory, from the store, or what `sign_in` gives, which is
    /// handed the refresh token of the last sign-in. Several callers at once sign in once, and with
    /// a store so do several processes; when that fails, the next of them tries by itself.
    pub async fn get_or<F>(
        &self,
        entry: &Entry,
        store: Option<&dyn TokenStore>,
        sign_in: impl FnOnce(Option<Secret>) -> F,
    ) -> Result<(Token, TokenSource), Failure>
    where
        F: Future<Output = Result<Granted, Failure>>,
    {
        let slot = self.slot(&entry.key);
        let mut held = slot.held.lock().await;
        if let Some(held) = held.as_ref()
            && held.renew_at.is_some_and(|at| Instant::now() < at)
            && !slot.refuses(&held.token)
        {
            return Ok((held.token.clone(), TokenSource::Memory));
        }
        let place = match store {
            Some(store) => store.enter(entry).await,
            None => None,
        };
        let remembers = held.as_ref().is_some_and(|held| held.refresh.is_some());
        if entry.once && store.is_some() && place.is_none() && !remembers {
            return Err(nowhere());
        }
        let kept = place.as_ref().and_then(|place| place.read());
        if let Some(kept) = &kept
            && let Some(left) = left(kept.granted.lifetime, kept.age)
            && !slot.refuses(&kept.granted.token)
        {
            *held = Some(Held::new(&kept.granted, left));
            return Ok((kept.granted.token.clone(), TokenSource::Vault));
        }
        // Another process may have renewed it since, so what is in the store is the younger one.
        let refresh = kept.and_then(|kept| kept.granted.refresh);
        let refresh = refresh.or_else(|| held.as_ref()?.refresh.clone());
        let mut granted = sign_in(refresh.clone()).await?;
        // An answer without one does not take the old one back.
        granted.refresh = granted.refresh.or(refresh);
        slot.refused(Option::take);
        let left = left(granted.lifetime, Duration::ZERO);
        // What is good for one call only is nothing to keep.
        let keeps = left.is_some() || granted.refresh.is_some();
        // Written at once, so that a command that fails afterwards loses nothing.
        if let Some(place) = place.filter(|_| keeps) {
            place.write(&granted);
        }
        *held = keeps.then(|| Held::new(&granted, left.unwrap_or_default()));
        Ok((granted.token, TokenSource::SignIn))
    }

    /// Throws away everything of that owner; tells how many tokens that were.
    pub fn reset(&self, owner: &Owner) -> usize {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = slots.len();
        slots.retain(|key, _| key.owner != *owner);
        before - slots.len()
    }

    /// Uses that token of the key no more.
    pub fn forget(&self, key: &Key, refused: &Token) {
        let slot = self.slot(key);
        slot.refused(|known| *known = Some(refused.value.clone()));
    }

    fn slot(&self, key: &Key) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(key.clone()).or_default().clone()
    }
}

/// What is good once is not spent on nothing.
fn nowhere() -> Failure {
    let words = "The authorization code was not redeemed: what it gives could not be kept.";
    Failure::invalid_input("--state", words)
        .cause("The state folder could not be used; the warning says why.")
        .advice("Mend the state folder, then send the same request: the code is still good for some minutes.")
}

/// How long a token of that lifetime and age is used before it is renewed; none: not at all.
fn left(lifetime: Duration, age: Duration) -> Option<Duration> {
    let early = RENEW_EARLY.min(lifetime / 10);
    let left = lifetime.checked_sub(early)?.checked_sub(age)?;
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::store::{Entering, Kept, Place};
    use crate::protocol::ErrorKind;
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
            once: false,
            key,
            material: Some(Secret::new("s")),
        }
    }

    fn token(value: &str) -> Token {
        granted(value, 0).token
    }

    fn granted(value: &str, lifetime: u64) -> Granted {
        Granted {
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

    /// A store that is of no use.
    #[derive(Debug)]
    struct Broken;

    impl TokenStore for Broken {
        fn enter<'a>(&'a self, _: &'a Entry) -> Entering<'a> {
            Box::pin(async { None })
        }

        fn forget(&self, _: &Entry, _: &Token) {}

        fn reset(&self, _: &Owner) -> Result<usize, Failure> {
            Ok(0)
        }
    }

    #[test]
    fn what_is_good_once_is_not_spent_where_nothing_can_be_kept() {
        let cache = TokenCache::default();
        let asked = Cell::new(0);
        let ask = |once| {
            let entry = Entry {
                once,
                ..entry("management")
            };
            let sign_in = |_| async {
                asked.set(asked.get() + 1);
                Ok(granted("t", 0))
            };
            run(cache.get_or(&entry, Some(&Broken), sign_in)).map(drop)
        };
        let refused = ask(true).expect_err("nothing is sent");
        assert_eq!(refused.place(), Some("--state"));
        assert_eq!(asked.get(), 0);
        assert!(ask(false).is_ok());
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn callers_at_once_sign_in_once_per_audience() {
        let (cache, calls) = (TokenCache::default(), Cell::new(0));
        let sign_in = |_| async {
            calls.set(calls.get() + 1);
            tokio::task::yield_now().await;
            Ok(granted("t", 3599))
        };
        let sources = run(async {
            let entries = ["graph", "graph", "management"].map(entry);
            let ask = |entry| cache.get_or(entry, None, sign_in);
            let asked = entries.iter().map(ask);
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
        // A service that gives the refused token again stands by it.
        cache.forget(&entry("graph").key, &token("four"));
        assert_eq!(ask(Ok(granted("four", 3599))).expect("a token"), "four");
        assert_eq!(ask(Ok(granted("five", 3599))).expect("a token"), "four");
    }

    /// A store with one token in it, of that age.
    #[derive(Debug, Default)]
    struct Shelf(Mutex<Option<(&'static str, u64)>>);

    impl TokenStore for Shelf {
        fn enter<'a>(&'a self, _: &'a Entry) -> Entering<'a> {
            Box::pin(async move { Some(Box::new(self) as Box<dyn Place>) })
        }

        fn forget(&self, _: &Entry, _: &Token) {}

        fn reset(&self, _: &Owner) -> Result<usize, Failure> {
            Ok(0)
        }
    }

    impl Place for &Shelf {
        fn read(&self) -> Option<Kept> {
            let kept = *self.0.lock().expect("no panic");
            kept.map(|(value, age)| Kept {
                granted: granted(value, 1_000),
                age: Duration::from_secs(age),
            })
        }

        fn write(&self, _: &Granted) {
            *self.0.lock().expect("no panic") = Some(("new", 0));
        }
    }

    #[test]
    fn what_is_kept_is_used_while_it_is_fresh_and_not_refused() {
        let ask = |cache: &TokenCache, shelf: &Shelf, lifetime| {
            let sign_in = |_| async move { Ok(granted("new", lifetime)) };
            let asked = run(cache.get_or(&entry("graph"), Some(shelf), sign_in));
            let (token, source) = asked.expect("a token");
            (token.value.expose().to_owned(), source)
        };
        let kept = |age| Shelf(Mutex::new(Some(("old", age))));
        for (age, expected) in [
            (0, ("old".to_owned(), TokenSource::Vault)),
            (899, ("old".to_owned(), TokenSource::Vault)),
            // The same rule as in memory: a tenth of the lifetime early.
            (900, ("new".to_owned(), TokenSource::SignIn)),
            (5_000, ("new".to_owned(), TokenSource::SignIn)),
        ] {
            assert_eq!(ask(&TokenCache::default(), &kept(age), 3_599), expected);
        }
        let (cache, shelf) = (TokenCache::default(), kept(0));
        assert_eq!(ask(&cache, &shelf, 3_599).1, TokenSource::Vault);
        assert_eq!(ask(&cache, &shelf, 3_599).1, TokenSource::Memory);
        cache.forget(&entry("graph").key, &token("old"));
        assert_eq!(ask(&cache, &shelf, 3_599).1, TokenSource::SignIn);
        assert!(
            shelf
                .0
                .lock()
                .expect("no panic")
                .is_some_and(|(kept, _)| kept == "new")
        );
        let empty = Shelf::default();
        ask(&TokenCache::default(), &empty, 0);
        assert!(
            empty.0.lock().expect("no panic").is_none(),
            "good for one call only"
        );
    }

    #[test]
    fn the_last_refresh_token_is_handed_on_until_another_comes() {
        let cache = TokenCache::default();
        let ask = |store: Option<&Shelf>, next: Option<&str>| {
            let handed = std::cell::RefCell::new(None);
            let sign_in = |refresh: Option<Secret>| {
                *handed.borrow_mut() = refresh.map(|token| token.expose().to_owned());
                let refresh = next.map(Secret::new);
                let granted = granted("t", 0);
                async move { Ok(Granted { refresh, ..granted }) }
            };
            let store = store.map(|shelf| shelf as &dyn TokenStore);
            run(cache.get_or(&entry("graph"), store, sign_in)).expect("a token");
            handed.into_inner()
        };
        assert_eq!(ask(None, Some("one")), None);
        assert_eq!(ask(None, None).as_deref(), Some("one"));
        // An answer without one keeps the old one.
        assert_eq!(ask(None, Some("two")).as_deref(), Some("one"));
        assert_eq!(ask(None, None).as_deref(), Some("two"));
        // Worth keeping, though the token itself is not.
        let shelf = Shelf::default();
        ask(Some(&shelf), None);
        assert!(shelf.0.lock().expect("no panic").is_some());
        assert_eq!(cache.reset(&entry("graph").key.owner), 1);
        assert_eq!(ask(None, None), None);
    }

    #[test]
    fn no_two_keys_have_one_text() {
        let text = |tenant: &str, client: &str| {
            let mut key = entry("graph").key;
            key.owner.tenant = tenant.to_owned();
            key.owner.client_id = client.to_owned();
            key.text()
        };
        assert_ne!(text("a\",\"b", "c"), text("a", "b\",\"c"));
        assert!(text("t", "c").starts_with(r#"["commercial","https://login.test","t","c","#));
    }

    #[test]
    fn a_token_is_renewed_five_minutes_or_a_tenth_early() {
        let left = |lifetime, age| {
            let seconds = Duration::from_secs;
            left(seconds(lifetime), seconds(age)).map(|left| left.as_secs())
        };
        assert_eq!(left(86_399, 0), Some(86_099));
        assert_eq!(left(1_000, 0), Some(900));
        assert_eq!(left(1_000, 899), Some(1));
        assert_eq!(left(1_000, 900), None);
        assert_eq!(left(0, 0), None);
        let forever = Held::new(&granted("t", 0), Duration::MAX);
        assert!(
            forever.renew_at.is_none(),
            "further away than the clock reaches"
        );
    }
}
