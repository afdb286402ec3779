//! Passwords of PFX files: keys derived from them (RFC 7292 appendix B, RFC 8018), the ciphers, and
//! the integrity check.
//!
//! The algorithms that are broken are here because old files have them; nothing is encrypted.

use std::num::NonZeroU32;

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use ring::{hmac, pbkdf2};
use secrecy::zeroize::Zeroizing;

use super::der::{Elements, INTEGER, OCTETS, OID, SEQUENCE};
use super::{Bytes, Error};

/// The most rounds that a key may take: about a second.
const MAX_ROUNDS: u32 = 2_000_000;

/// Arc 1.2.840.113549 of the object identifiers.
macro_rules! rsadsi {
    ($($rest:literal),+) => { &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, $($rest),+] };
}

const PBES2: &[u8] = rsadsi!(1, 5, 13);
const PBKDF2: &[u8] = rsadsi!(1, 5, 12);
const TRIPLE_DES: &[u8] = rsadsi!(3, 7);
const AES_128: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];
const AES_192: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 22];
const AES_256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
const OLD_TRIPLE_DES: &[u8] = rsadsi!(1, 12, 1, 3);
const OLD_RC2_128: &[u8] = rsadsi!(1, 12, 1, 5);
const OLD_RC2_40: &[u8] = rsadsi!(1, 12, 1, 6);

/// What a derived key is for, as appendix B numbers it.
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Vector = 2,
    Integrity = 3,
}

/// A password in the two ways in which it is used.
pub(super) struct Password {
    text: Zeroizing<String>,
    /// UTF-16, big endian, with a closing zero.
    wide: Bytes,
}

impl Password {
    pub(super) fn new(text: &str) -> Self {
        let units = text.encode_utf16().chain(std::iter::once(0));
        Password {
            text: Zeroizing::new(text.to_owned()),
            wide: Zeroizing::new(units.flat_map(u16::to_be_bytes).collect()),
        }
    }

    /// No password, as some programs write it: not even the closing zero.
    pub(super) fn absent() -> Self {
        Password {
            wide: Zeroizing::default(),
            ..Password::new("")
        }
    }

    /// Decrypts with the algorithm that the elements name.
    pub(super) fn decrypt(&self, mut algorithm: Elements<'_>, data: &[u8]) -> Result<Bytes, Error> {
        let name = algorithm.take(OID)?;
        let parameters = algorithm.enter(SEQUENCE)?;
        match name {
            PBES2 => self.decrypt_modern(parameters, data),
            OLD_TRIPLE_DES | OLD_RC2_128 | OLD_RC2_40 => self.decrypt_old(name, parameters, data),
            _ => Err(Error::Unsupported("encryption")),
        }
    }

    fn decrypt_modern(&self, mut parameters: Elements<'_>, data: &[u8]) -> Result<Bytes, Error> {
        let mut derivation = parameters.enter(SEQUENCE)?;
        let mut cipher = parameters.enter(SEQUENCE)?;
        if derivation.take(OID)? != PBKDF2 {
            return Err(Error::Unsupported("key derivation"));
        }
        let mut derivation = derivation.enter(SEQUENCE)?;
        let salt = derivation.take(OCTETS)?;
        let rounds = rounds(derivation.number()?)?;
        if derivation.tag() == Some(INTEGER) {
            derivation.number()?;
        }
        let function = match derivation.enter(SEQUENCE) {
            Ok(mut named) => pseudo_random(named.take(OID)?)?,
            Err(_) => pbkdf2::PBKDF2_HMAC_SHA1,
        };
        let (name, vector) = (cipher.take(OID)?, cipher.take(OCTETS)?);
        let length = match name {
            AES_128 => 16,
            AES_192 | TRIPLE_DES => 24,
            AES_256 => 32,
            _ => return Err(Error::Unsupported("encryption")),
        };
        let mut key = Zeroizing::new(vec![0; length]);
        pbkdf2::derive(function, rounds, salt, self.text.as_bytes(), &mut key);
        match name {
            AES_128 => decrypt::<Decryptor<aes::Aes128>>(&key, vector, data),
            AES_192 => decrypt::<Decryptor<aes::Aes192>>(&key, vector, data),
            AES_256 => decrypt::<Decryptor<aes::Aes256>>(&key, vector, data),
            _ => decrypt::<Decryptor<des::TdesEde3>>(&key, vector, data),
        }
    }

    fn decrypt_old(
        &self,
        name: &[u8],
        mut parameters: Elements<'_>,
        data: &[u8],
    ) -> Result<Bytes, Error> {
        let salt = parameters.take(OCTETS)?;
        let rounds = rounds(parameters.number()?)?;
        let derive = |purpose, length| {
            self.derive(&SHA1_FOR_LEGACY_USE_ONLY, (purpose, length), (salt, rounds))
        };
        let vector = derive(Purpose::Vector, 8);
        match name {
            OLD_TRIPLE_DES => {
                decrypt::<Decryptor<des::TdesEde3>>(&derive(Purpose::Key, 24), &vector, data)
            }
            OLD_RC2_128 => decrypt::<Decryptor<rc2::Rc2>>(&derive(Purpose::Key, 16), &vector, data),
            _ => decrypt::<Decryptor<rc2::Rc2>>(&derive(Purpose::Key, 5), &vector, data),
        }
    }

    /// Is this the integrity code of the data? `check` is the file's `MacData`.
    pub(super) fn verify(&self, mut check: Elements<'_>, data: &[u8]) -> Result<bool, Error> {
        let mut info = check.enter(SEQUENCE)?;
        let name = info.enter(SEQUENCE)?.take(OID)?;
        let code = info.take(OCTETS)?;
        let salt = check.take(OCTETS)?;
        let count = if check.is_empty() { 1 } else { check.number()? };
        let (hash, algorithm) = match name {
            [0x2b, 14, 3, 2, 26] => (
                &SHA1_FOR_LEGACY_USE_ONLY,
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            ),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1] => (&SHA256, hmac::HMAC_SHA256),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2] => (&SHA384, hmac::HMAC_SHA384),
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3] => (&SHA512, hmac::HMAC_SHA512),
            _ => return Err(Error::Unsupported("integrity check")),
        };
        let purpose = (Purpose::Integrity, hash.output_len());
        let key = self.derive(hash, purpose, (salt, rounds(count)?));
        let key = hmac::Key::new(algorithm, &key);
        Ok(hmac::verify(&key, data, code).is_ok())
    }

    /// RFC 7292, appendix B.2.
    fn derive(
        &self,
        hash: &'static digest::Algorithm,
        (purpose, length): (Purpose, usize),
        (salt, rounds): (&[u8], NonZeroU32),
    ) -> Bytes {
        let block = hash.block_len();
        let filled = |text: &[u8]| -> Vec<u8> {
            let whole = text.len().div_ceil(block) * block;
            text.iter().copied().cycle().take(whole).collect()
        };
        let mut input = Zeroizing::new([filled(salt), filled(&self.wide)].concat());
        let mut derived = Bytes::default();
        while derived.len() < length {
            let start = [vec![purpose as u8; block], input.to_vec()].concat();
            let mut hashed = digest(hash, &Zeroizing::new(start));
            for _ in 1..rounds.get() {
                hashed = digest(hash, hashed.as_ref());
            }
            derived.extend_from_slice(hashed.as_ref());
            let mut addend: Vec<u8> = hashed.as_ref().to_vec();
            addend = addend.iter().copied().cycle().take(block).collect();
            for part in input.chunks_mut(block) {
                let mut carry = 1;
                for (byte, added) in part.iter_mut().zip(&addend).rev() {
                    let sum = u16::from(*byte) + u16::from(*added) + carry;
                    [_, *byte] = sum.to_be_bytes();
                    carry = sum >> 8;
                }
            }
        }
        derived.truncate(length);
        derived
    }
}

fn rounds(count: u32) -> Result<NonZeroU32, Error> {
    NonZeroU32::new(count)
        .filter(|count| count.get() <= MAX_ROUNDS)
        .ok_or(Error::Unsupported("number of rounds"))
}

fn pseudo_random(name: &[u8]) -> Result<pbkdf2::Algorithm, Error> {
    const FUNCTIONS: &[u8] = rsadsi!(2);
    match name.strip_prefix(FUNCTIONS) {
        Some([7]) => Ok(pbkdf2::PBKDF2_HMAC_SHA1),
        Some([9]) => Ok(pbkdf2::PBKDF2_HMAC_SHA256),
        Some([10]) => Ok(pbkdf2::PBKDF2_HMAC_SHA384),
        Some([11]) => Ok(pbkdf2::PBKDF2_HMAC_SHA512),
        _ => Err(Error::Unsupported("key derivation")),
    }
}

/// Decrypts; padding that is wrong shows a wrong key.
fn decrypt<M: BlockModeDecrypt + KeyIvInit>(
    key: &[u8],
    vector: &[u8],
    data: &[u8],
) -> Result<Bytes, Error> {
    let mode = M::new_from_slices(key, vector).map_err(|_| Error::Damaged)?;
    mode.decrypt_padded_vec::<Pkcs7>(data)
        .map(Zeroizing::new)
        .map_err(|_| Error::WrongPassword)
}
