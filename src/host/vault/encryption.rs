//! The format of the vault's files: bytes that are encrypted (ChaCha20-Poly1305) and bound to a text.
//!
//! Does not interpret the bytes.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::protocol::Secret;

/// The version of the file format. Version 1 is read, too; version 2 can contain a refresh token.
const VERSION: u32 = 2;

/// The length of a salt, in bytes.
const SALT: usize = 32;

/// A file of the vault. Binary parts are Base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    vault: u32,
    salt: String,
    nonce: String,
    sealed: String,
}

/// The encryption of one file.
pub(super) struct Encryption {
    /// The text that the file is bound to.
    pub(super) text: String,
    /// The secret that the key is derived from (HKDF-SHA256 with a random salt).
    pub(super) key_secret: Secret,
}

impl Encryption {
    /// The encrypted file. Encrypts in place, so that no plain copy stays in memory.
    pub(super) fn encrypt(&self, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let (mut salt, mut nonce) = ([0; SALT], [0; NONCE_LEN]);
        let random = SystemRandom::new();
        let failed = || io::Error::other("the cipher failed");
        random.fill(&mut salt).map_err(|_| failed())?;
        random.fill(&mut nonce).map_err(|_| failed())?;
        let key = self.key(&salt).ok_or_else(failed)?;
        let sealing = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(sealing, Aad::from(&self.text), &mut bytes)
            .map_err(|_| failed())?;
        let mut file = serde_json::to_vec(&Envelope {
            vault: VERSION,
            salt: STANDARD.encode(salt),
            nonce: STANDARD.encode(nonce),
            sealed: STANDARD.encode(&bytes),
        })?;
        file.push(b'\n');
        Ok(file)
    }

    /// The decrypted bytes, if the file is intact and was encrypted with this text and secret.
    pub(super) fn decrypt(&self, file: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let envelope: Envelope = serde_json::from_slice(file).ok()?;
        if !(1..=VERSION).contains(&envelope.vault) {
            return None;
        }
        // Only this length is accepted: HMAC pads shorter salts with zeros, so a padded salt would
        // match, too.
        let salt: [u8; SALT] = STANDARD.decode(envelope.salt).ok()?.try_into().ok()?;
        let key = self.key(&salt)?;
        let nonce = STANDARD.decode(envelope.nonce).ok()?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
        let mut bytes = Zeroizing::new(STANDARD.decode(envelope.sealed).ok()?);
        let opened = key.open_in_place(nonce, Aad::from(&self.text), &mut bytes);
        let length = opened.ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }

    fn key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let derived = Salt::new(HKDF_SHA256, salt).extract(self.key_secret.expose().as_bytes());
        let info = [self.text.as_bytes()];
        let key = derived.expand(&info, &CHACHA20_POLY1305).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}
