//! The vault: stored tokens in the operator's folder, one encrypted file for each.
//!
//! The key of a file is derived from the credential of the sign-in. The file is bound to cloud, login
//! service, tenant, client, audience and credential. A managed identity and a person with a
//! device code have no credential: their key is the operator's key, or a random key in the state
//! folder. A file's name begins with a hash of its owner, so that a reset finds all tokens of an
//! account.
//!
//! If a file cannot be read or written, the result has a warning, and the run signs in. Does not
//! decide whether a token has expired.

mod encryption;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::host::private_file::{self, Lock};
use crate::host::vault::encryption::Encryption;
use crate::identity::sha256;
use crate::identity::store::{Entry, EntryLock, StoredToken, TokenStore};
use crate::identity::store::{Owner, TokenGrant};
use crate::net::Token;
use crate::protocol::{Failure, Secret, Warning};

/// The number of hexadecimal digits of the owner's hash in a file's name.
const OWNER: usize = 16;

/// The length of the generated key, in bytes.
const KEY_LENGTH: usize = 32;

/// The file of the generated key.
const GENERATED_KEY: &str = "vault.key";

/// The longest wait for a lock, which is longer than a sign-in. If another process holds the lock
/// longer than this, the run signs in and stores no token.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The first and the longest pause between two attempts to lock.
const LOCK_PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// The largest accepted difference of clocks. A token from further in the future is not used.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// The effects of a token that cannot be stored, for warnings.
const SIGNS_IN: &str =
    " The command is not affected, but each run signs in until tokens can be stored.";
const LOST: &str = " The refresh token is lost. Correct this, then sign in again.";

/// The vault of one run.
#[derive(Debug)]
pub(super) struct Vault {
    folder: PathBuf,
    operator_key: Option<Secret>,
    clock: Clock,
    warnings: Mutex<Vec<Warning>>,
}

/// The encrypted content. It has no `Debug`, because it holds secrets.
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
    /// The vault in the state folder, which is created when it is needed. The operator's key is for
    /// managed identities.
    pub(super) fn new(state: &Path, clock: Clock, operator_key: Option<Secret>) -> Self {
        Vault {
            folder: state.join("tokens"),
            operator_key,
            clock,
            warnings: Mutex::default(),
        }
    }

    /// The warnings in a fixed order, because the order of parallel calls differs.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut warnings = std::mem::take(&mut *warnings);
        warnings.sort_by(|a, b| (&a.code, &a.message).cmp(&(&b.code, &b.message)));
        warnings.dedup();
        warnings
    }

    fn warn(&self, code: &str, message: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(Warning::new(code, message).at("--state"));
    }

    /// Warns that a token could not be read or stored, and of the effect.
    fn warn_unusable(&self, message: &str, error: &io::Error, effect: &str) {
        self.warn("vault_unusable", format!("{message}: {error}.{effect}"));
    }

    /// Warns of a file that is not a valid token.
    fn warn_ignored(&self, file: &Path) {
        let file = display_path(file);
        let message = format!(
            "The stored token {file} is damaged or not from this host. It was ignored. The next sign-in replaces it."
        );
        self.warn("vault_ignored", message);
    }

    fn file(&self, entry: &Entry) -> PathBuf {
        let owner = prefix(&entry.key.owner);
        let name = format!("{owner}{}.json", sha256(entry.key.text().as_bytes()));
        self.folder.join(name)
    }

    /// The secret that the entry's key is derived from: the credential, the operator's key, or the
    /// generated key.
    fn key_secret(&self, entry: &Entry) -> io::Result<Secret> {
        match entry.key_secret.as_ref().or(self.operator_key.as_ref()) {
            Some(secret) => Ok(secret.clone()),
            None => self.generated_key(),
        }
    }

    fn generated_key(&self) -> io::Result<Secret> {
        let file = self.folder.with_file_name(GENERATED_KEY);
        let mut key = [0; KEY_LENGTH];
        if !file.exists() {
            let failed = |_| io::Error::other("the system has no random numbers");
            SystemRandom::new().fill(&mut key).map_err(failed)?;
            private_file::create(&file, STANDARD.encode(key).as_bytes())?;
        }
        let bytes = private_file::read(&file)?.unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let is_valid = STANDARD
            .decode(text.trim())
            .is_ok_and(|key| key.len() == KEY_LENGTH);
        let damaged = || io::Error::other(format!("{GENERATED_KEY} is damaged; remove it"));
        is_valid
            .then(|| Secret::new(text.trim()))
            .ok_or_else(damaged)
    }

    fn delete_tokens(&self, owner: &Owner) -> io::Result<usize> {
        let files = private_file::with_prefix(&self.folder, &prefix(owner))?;
        let mut removed = 0;
        for file in &files {
            let has = |wanted: &str| {
                file.extension()
                    .is_some_and(|extension| extension == wanted)
            };
            // A killed process can leave a temporary file.
            if has("json") || has("tmp") {
                private_file::remove(file)?;
                removed += usize::from(has("json"));
            }
        }
        Ok(removed)
    }

    /// Locks the file of an entry; `None` if another process holds the lock too long.
    async fn lock_file<'a>(&'a self, entry: &'a Entry) -> io::Result<Option<LockedFile<'a>>> {
        private_file::folder(&self.folder)?;
        let encryption = Encryption {
            text: entry.key.text(),
            key_secret: self.key_secret(entry)?,
        };
        let file = self.file(entry);
        let (started, mut pause) = (Instant::now(), LOCK_PAUSE.0);
        loop {
            if let Some(lock) = Lock::try_lock(&file)? {
                return Ok(Some(LockedFile {
                    vault: self,
                    encryption,
                    file,
                    lock,
                }));
            }
            if started.elapsed() >= LOCK_TIMEOUT {
                return Ok(None);
            }
            sleep(pause).await;
            pause = LOCK_PAUSE.1.min(pause * 2);
        }
    }

    /// The token in the entry's file, if it is valid.
    fn open(&self, file: &Path, encryption: &Encryption) -> Option<(TokenGrant, DateTime<Utc>)> {
        let bytes = match private_file::read(file) {
            Ok(bytes) => bytes?,
            Err(error) => {
                let message = format!("The stored token {} could not be read", display_path(file));
                self.warn_unusable(&message, &error, SIGNS_IN);
                return None;
            }
        };
        let stored = decrypt(&bytes, encryption);
        if stored.is_none() {
            self.warn_ignored(file);
        }
        stored
    }

    fn delete_token(&self, entry: &Entry, refused: &Token) -> io::Result<()> {
        let file = self.file(entry);
        // The process that holds the lock refreshes the token, or is refused, too.
        let Some(lock) = Lock::try_lock(&file)? else {
            return Ok(());
        };
        let encryption = Encryption {
            text: entry.key.text(),
            key_secret: self.key_secret(entry)?,
        };
        match self.open(&file, &encryption) {
            Some((stored, at)) if stored.token.value.expose() == refused.value.expose() => {
                let Some(refresh) = stored.refresh else {
                    return private_file::remove(&file);
                };
                // The refresh token is not deleted.
                let without_token = TokenGrant {
                    token: Token {
                        value: Secret::new(""),
                        ..stored.token
                    },
                    lifetime: Duration::ZERO,
                    refresh: Some(refresh),
                };
                private_file::replace(&file, &encrypt(&without_token, at, &encryption)?, &lock)
            }
            _ => Ok(()),
        }
    }
}

impl TokenStore for Vault {
    fn lock<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Option<Box<dyn EntryLock + 'a>>> {
        Box::pin(async move {
            let (message, error) = match self.lock_file(entry).await {
                Ok(Some(lock)) => return Some(Box::new(lock) as Box<dyn EntryLock>),
                Ok(None) => (
                    "A stored token could not be locked",
                    io::Error::other("another process has locked it for 30 seconds"),
                ),
                Err(error) => ("Tokens cannot be stored in the state folder", error),
            };
            // The failure's advice covers single-use codes.
            let effect = if entry.single_use { "" } else { SIGNS_IN };
            self.warn_unusable(message, &error, effect);
            None
        })
    }

    fn forget(&self, entry: &Entry, refused: &Token) {
        if let Err(error) = self.delete_token(entry, refused) {
            self.warn_unusable("A refused token could not be deleted", &error, SIGNS_IN);
        }
    }

    fn reset(&self, owner: &Owner) -> Result<usize, Failure> {
        self.delete_tokens(owner).map_err(|error| {
            let message = format!("The stored tokens could not be deleted: {error}.");
            Failure::invalid_input("--state", message)
                .advice("Allow the host to write to its state folder, then reset again.")
        })
    }
}

/// The locked file of one entry.
struct LockedFile<'a> {
    vault: &'a Vault,
    encryption: Encryption,
    file: PathBuf,
    lock: Lock,
}

impl EntryLock for LockedFile<'_> {
    fn read(&self) -> Option<StoredToken> {
        let (granted, at) = self.vault.open(&self.file, &self.encryption)?;
        let age = self.vault.clock.now() - at;
        let mut granted = granted;
        if age < -SKEW {
            // A clock is wrong, so the token's age is unknown. The refresh token does not depend on
            // it.
            granted.lifetime = Duration::ZERO;
        }
        let age = age.to_std().unwrap_or_default();
        Some(StoredToken { granted, age })
    }

    fn write(&self, granted: &TokenGrant) {
        let written = encrypt(granted, self.vault.clock.now(), &self.encryption)
            .and_then(|bytes| private_file::replace(&self.file, &bytes, &self.lock));
        if let Err(error) = written {
            let message = format!("The token {} could not be stored", display_path(&self.file));
            let effect = match granted.refresh {
                None => SIGNS_IN,
                Some(_) => LOST,
            };
            self.vault.warn_unusable(&message, &error, effect);
        }
    }
}

/// The path of a file for warnings, relative to the state folder.
fn display_path(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    format!("tokens/{}", name.to_string_lossy())
}

/// The prefix of the names of an owner's files.
fn prefix(owner: &Owner) -> String {
    let digest = sha256(owner.text().as_bytes());
    format!("{}-", &digest[..OWNER])
}

/// The encrypted file of a token that was granted at this time.
fn encrypt(
    granted: &TokenGrant,
    at: DateTime<Utc>,
    encryption: &Encryption,
) -> io::Result<Vec<u8>> {
    let refresh = granted.refresh.as_ref();
    encryption.encrypt(serde_json::to_vec(&Content {
        token: Cow::Borrowed(granted.token.value.expose()),
        tenant: granted.token.tenant.clone(),
        roles: granted.token.roles.clone(),
        lifetime_seconds: granted.lifetime.as_secs(),
        granted_at: at,
        refresh: refresh.map(|token| Cow::Borrowed(token.expose())),
    })?)
}

/// The token of a file and the time at which it was granted, if the file is intact and was encrypted
/// for this entry with its credential.
fn decrypt(file: &[u8], encryption: &Encryption) -> Option<(TokenGrant, DateTime<Utc>)> {
    let bytes = encryption.decrypt(file)?;
    let content: Content<'_> = serde_json::from_slice(&bytes).ok()?;
    let granted = TokenGrant {
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
