//! The vault: tokens between runs, in the operator's folder, one private file each.
//!
//! A file is sealed (ChaCha20-Poly1305) with a key derived (HKDF-SHA256, a salt of its own) from the
//! credential that the token was got with, and bound to the whole key: cloud, login service, tenant,
//! client, audience, credential. A machine's identity has no credential: then the key is the
//! operator's, or a random one that lies beside the tokens. A file's name begins with its owner, so
//! that a reset finds everything of an account. Without the credential it is worthless, under another name it
//! opens for nobody, and a changed credential has another file. The vault never fails a command:
//! what cannot be read or written becomes a warning, and the run signs in. It decides neither when a
//! token is too old nor what it is good for, and it looks after no state.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::host::private_file::{self, Lock};
use crate::identity::cache::{Granted, Owner};
use crate::identity::sha256;
use crate::identity::store::{Entering, Entry, Kept, Place, TokenStore};
use crate::net::Token;
use crate::protocol::{Failure, Secret, Warning};

/// The version of the file format that is written; an older one is read, too. Version 2 may hold
/// what gets the next token.
const VERSION: u32 = 2;

/// Bytes of a salt.
const SALT: usize = 32;

/// Hexadecimal digits of a file's name that tell its owner.
const OWNER: usize = 16;

/// The file of a key of the vault's own.
const OWN_KEY: &str = "vault.key";

/// How long a place that another process holds is waited for: longer than a sign-in takes. Then
/// that process hangs, and two sign-ins are better than none.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether the place is free: at first, and at last.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// How far clocks may differ before a token from the future is not believed.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// The vault of one run.
#[derive(Debug)]
pub(super) struct Vault {
    folder: PathBuf,
    own_key: Option<Secret>,
    clock: Clock,
    warnings: Mutex<Vec<Warning>>,
}

/// A file of the vault; the binary parts in Base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    vault: u32,
    salt: String,
    nonce: String,
    sealed: String,
}

/// What is sealed. It has no `Debug`.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    tenant: Option<String>,
    roles: Vec<String>,
    lifetime_seconds: u64,
    granted_at: DateTime<Utc>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    refresh: Option<Cow<'a, str>>,
}

impl Vault {
    /// The vault in the operator's state folder. Nothing is touched before it is needed.
    pub(super) fn new(state: &Path, clock: Clock) -> Self {
        Vault {
            folder: state.join("tokens"),
            own_key: None,
            clock,
            warnings: Mutex::default(),
        }
    }

    /// The same, with the operator's key for what has no credential of its own.
    pub(super) fn with_key(self, own_key: Option<Secret>) -> Self {
        Vault { own_key, ..self }
    }

    /// What a person should know, in an order that does not depend on which call came first.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.told(std::mem::take);
        warnings.sort_by(|a, b| (&a.code, &a.message).cmp(&(&b.code, &b.message)));
        warnings.dedup();
        warnings
    }

    fn told<T>(&self, work: impl FnOnce(&mut Vec<Warning>) -> T) -> T {
        work(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that the vault could not do its part.
    fn unusable(&self, what: &str, why: &io::Error) {
        let words = format!(
            "{what}: {why}. The command does not need it, but each run signs in until that is mended."
        );
        self.told(|told| told.push(unusable(words)));
    }

    /// Notes that what renews the sign-in is gone with this process.
    fn lost(&self, what: &str, why: &io::Error) {
        let words = format!(
            "{what}: {why}. The refresh token is lost with it: when that is mended a person has to sign in again."
        );
        self.told(|told| told.push(unusable(words)));
    }

    /// Notes that something else than our token was found.
    fn ignored(&self, file: &Path) {
        let words = format!(
            "The kept token {} is damaged or not from this host; it was ignored and is replaced.",
            shown(file)
        );
        self.told(|warnings| warnings.push(Warning::new("vault_ignored", words).at("--state")));
    }

    fn file(&self, entry: &Entry) -> PathBuf {
        let owner = prefix(&entry.key.owner);
        let name = format!("{owner}{}.json", sha256(entry.key.text().as_bytes()));
        self.folder.join(name)
    }

    /// What the entry is sealed with: its credential's, the operator's key, or one made here.
    fn material(&self, entry: &Entry) -> io::Result<Secret> {
        match entry.material.as_ref().or(self.own_key.as_ref()) {
            Some(secret) => Ok(secret.clone()),
            None => self.made_key(),
        }
    }

    fn made_key(&self) -> io::Result<Secret> {
        let file = self.folder.with_file_name(OWN_KEY);
        let mut key = [0; SALT];
        if !file.exists() {
            let failed = |_| io::Error::other("the system gives no random numbers");
            SystemRandom::new().fill(&mut key).map_err(failed)?;
            private_file::make(&file, STANDARD.encode(key).as_bytes())?;
        }
        let bytes = private_file::read(&file)?.unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let whole = STANDARD
            .decode(text.trim())
            .is_ok_and(|key| key.len() == SALT);
        let damaged = || io::Error::other(format!("{OWN_KEY} is damaged; remove it"));
        whole.then(|| Secret::new(text.trim())).ok_or_else(damaged)
    }

    fn reset_now(&self, owner: &Owner) -> io::Result<usize> {
        let files = private_file::beginning(&self.folder, &prefix(owner))?;
        let mut removed = 0;
        for file in &files {
            let is = |extension: &str| file.extension().is_some_and(|own| own == extension);
            // A process that was killed may have left one that it was about to put in its place.
            if is("json") || is("tmp") {
                private_file::remove(file)?;
                removed += usize::from(is("json"));
            }
        }
        Ok(removed)
    }

    async fn place<'a>(&'a self, entry: &'a Entry) -> io::Result<Option<Locked<'a>>> {
        private_file::folder(&self.folder)?;
        let sealing = Sealing {
            text: entry.key.text(),
            material: self.material(entry)?,
        };
        let file = self.file(entry);
        let (started, mut pause) = (Instant::now(), LOOK_AGAIN.0);
        loop {
            if let Some(lock) = Lock::try_take(&file)? {
                return Ok(Some(Locked {
                    vault: self,
                    sealing,
                    file,
                    lock,
                }));
            }
            if started.elapsed() >= PATIENCE {
                return Ok(None);
            }
            sleep(pause).await;
            pause = LOOK_AGAIN.1.min(pause * 2);
        }
    }

    /// What is in the entry's file, if it is ours.
    fn open(&self, file: &Path, sealing: &Sealing) -> Option<(Granted, DateTime<Utc>)> {
        let bytes = match private_file::read(file) {
            Ok(bytes) => bytes?,
            Err(error) => {
                let what = format!("The kept token {} could not be read", shown(file));
                self.unusable(&what, &error);
                return None;
            }
        };
        let kept = unsealed(&bytes, sealing);
        if kept.is_none() {
            self.ignored(file);
        }
        kept
    }

    fn forget_now(&self, entry: &Entry, refused: &Token) -> io::Result<()> {
        let file = self.file(entry);
        // Whoever holds the place meanwhile renews the token, or will meet the same refusal.
        let Some(held) = Lock::try_take(&file)? else {
            return Ok(());
        };
        let sealing = Sealing {
            text: entry.key.text(),
            material: self.material(entry)?,
        };
        match self.open(&file, &sealing) {
            Some((kept, at)) if kept.token.value.expose() == refused.value.expose() => {
                let Some(refresh) = kept.refresh else {
                    return private_file::remove(&file);
                };
                // Only what gets the next token stays: nothing else could.
                let rest = Granted {
                    token: Token {
                        value: Secret::new(""),
                        ..kept.token
                    },
                    lifetime: Duration::ZERO,
                    refresh: Some(refresh),
                };
                private_file::replace(&file, &sealed(&rest, at, &sealing)?, &held)
            }
            _ => Ok(()),
        }
    }
}

impl TokenStore for Vault {
    fn enter<'a>(&'a self, entry: &'a Entry) -> Entering<'a> {
        Box::pin(async move {
            let (what, why) = match self.place(entry).await {
                Ok(Some(place)) => return Some(Box::new(place) as Box<dyn Place>),
                Ok(None) => (
                    "A kept token could not be waited for any longer",
                    io::Error::other("another process has held it for 30 seconds"),
                ),
                Err(error) => ("Tokens cannot be kept in the state folder", error),
            };
            if entry.once {
                self.told(|told| told.push(unusable(format!("{what}: {why}."))));
            } else {
                self.unusable(what, &why);
            }
            None
        })
    }

    fn forget(&self, entry: &Entry, refused: &Token) {
        if let Err(error) = self.forget_now(entry, refused) {
            self.unusable("A refused token could not be thrown away", &error);
        }
    }

    fn reset(&self, owner: &Owner) -> Result<usize, Failure> {
        self.reset_now(owner).map_err(|error| {
            let words = format!("What is kept of the sign-in could not be thrown away: {error}.");
            Failure::invalid_input("--state", words)
                .advice("Let the host write to its state folder, then reset again.")
        })
    }
}

/// A place that is held.
struct Locked<'a> {
    vault: &'a Vault,
    sealing: Sealing,
    file: PathBuf,
    lock: Lock,
}

impl Place for Locked<'_> {
    fn read(&self) -> Option<Kept> {
        let (granted, at) = self.vault.open(&self.file, &self.sealing)?;
        let age = self.vault.clock.now() - at;
        let mut granted = granted;
        if age < -SKEW {
            // A clock is wrong, so nobody knows how old the token is; what renews it has no age.
            granted.lifetime = Duration::ZERO;
        }
        let age = age.to_std().unwrap_or_default();
        Some(Kept { granted, age })
    }

    fn write(&self, granted: &Granted) {
        let written = sealed(granted, self.vault.clock.now(), &self.sealing)
            .and_then(|bytes| private_file::replace(&self.file, &bytes, &self.lock));
        if let Err(error) = written {
            let what = format!("The token {} could not be kept", shown(&self.file));
            match granted.refresh {
                None => self.vault.unusable(&what, &error),
                Some(_) => self.vault.lost(&what, &error),
            }
        }
    }
}

/// A file of the vault as a warning names it: below the state folder.
fn shown(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    format!("tokens/{}", name.to_string_lossy())
}

/// How the names of an owner's files begin.
fn prefix(owner: &Owner) -> String {
    let digest = sha256(owner.text().as_bytes());
    format!("{}-", &digest[..OWNER])
}

/// What one file is sealed with and bound to.
struct Sealing {
    text: String,
    material: Secret,
}

fn unusable(words: String) -> Warning {
    Warning::new("vault_unusable", words).at("--state")
}

/// The key of one file.
fn key(sealing: &Sealing, salt: &[u8]) -> Option<LessSafeKey> {
    let material = sealing.material.expose().as_bytes();
    let info = [sealing.text.as_bytes()];
    let derived = Salt::new(HKDF_SHA256, salt).extract(material);
    let key = derived.expand(&info, &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(key)))
}

fn sealed(granted: &Granted, at: DateTime<Utc>, sealing: &Sealing) -> io::Result<Vec<u8>> {
    // It is encrypted where it stands, so nothing is left of it.
    let mut bytes = serde_json::to_vec(&Content {
        token: Cow::Borrowed(granted.token.value.expose()),
        tenant: granted.token.tenant.clone(),
        roles: granted.token.roles.clone(),
        lifetime_seconds: granted.lifetime.as_secs(),
        granted_at: at,
        refresh: granted
            .refresh
            .as_ref()
            .map(|token| Cow::Borrowed(token.expose())),
    })?;
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE_LEN]);
    let random = SystemRandom::new();
    let failed = || io::Error::other("the cipher failed");
    random.fill(&mut salt).map_err(|_| failed())?;
    random.fill(&mut nonce).map_err(|_| failed())?;
    let bound_to = Aad::from(&sealing.text);
    key(sealing, &salt)
        .and_then(|key| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(nonce, bound_to, &mut bytes)
                .ok()
        })
        .ok_or_else(failed)?;
    let mut text = serde_json::to_vec(&Envelope {
        vault: VERSION,
        salt: STANDARD.encode(salt),
        nonce: STANDARD.encode(nonce),
        sealed: STANDARD.encode(&bytes),
    })?;
    text.push(b'\n');
    Ok(text)
}

/// The content, if the file is whole, for this entry and from its credential.
fn unsealed(bytes: &[u8], sealing: &Sealing) -> Option<(Granted, DateTime<Utc>)> {
    let envelope: Envelope = serde_json::from_slice(bytes).ok()?;
    if !(1..=VERSION).contains(&envelope.vault) {
        return None;
    }
    // Of the one length: HMAC takes a salt with zeros behind it for the same.
    let salt: [u8; SALT] = STANDARD.decode(envelope.salt).ok()?.try_into().ok()?;
    let key = key(sealing, &salt)?;
    let nonce = STANDARD.decode(envelope.nonce).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
    let mut bytes = Zeroizing::new(STANDARD.decode(envelope.sealed).ok()?);
    let bound_to = Aad::from(&sealing.text);
    let opened = key.open_in_place(nonce, bound_to, &mut bytes).ok()?;
    let content: Content<'_> = serde_json::from_slice(opened).ok()?;
    let granted = Granted {
        token: Token {
            value: Secret::new(content.token),
            tenant: content.tenant,
            roles: content.roles,
        },
        lifetime: Duration::from_secs(content.lifetime_seconds),
        refresh: content.refresh.map(Secret::new),
    };
    Some((granted, content.granted_at))
}

#[cfg(test)]
mod tests;
