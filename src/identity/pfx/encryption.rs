//! Passwords of PFX files: key derivation (RFC 7292 appendix B, RFC 8018), decryption, and the
//! integrity check.
//!
//! Broken algorithms are included because old files use them. Nothing is encrypted here.

use std::num::NonZeroU32;

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use der::asn1::{AnyRef, ObjectIdentifier};
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use ring::{hmac, pbkdf2};
use secrecy::zeroize::Zeroizing;

use super::structure::{AlgorithmIdentifier, MacData, PbeParameter, Pbes2Params, Pbkdf2Params};
use super::{Bytes, Error, octets, oid};

/// The maximum number of rounds of a key derivation: about a second.
const MAX_ROUNDS: u32 = 2_000_000;

const PBES2: ObjectIdentifier = oid("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = oid("1.2.840.113549.1.5.12");
const HMAC_SHA1: ObjectIdentifier = oid("1.2.840.113549.2.7");
const HMAC_SHA256: ObjectIdentifier = oid("1.2.840.113549.2.9");
const HMAC_SHA384: ObjectIdentifier = oid("1.2.840.113549.2.10");
const HMAC_SHA512: ObjectIdentifier = oid("1.2.840.113549.2.11");
const TRIPLE_DES: ObjectIdentifier = oid("1.2.840.113549.3.7");
const AES_128: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.2");
const AES_192: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.22");
const AES_256: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.42");
const OLD_TRIPLE_DES: ObjectIdentifier = oid("1.2.840.113549.1.12.1.3");
const OLD_RC2_128: ObjectIdentifier = oid("1.2.840.113549.1.12.1.5");
const OLD_RC2_40: ObjectIdentifier = oid("1.2.840.113549.1.12.1.6");
const SHA1_ID: ObjectIdentifier = oid("1.3.14.3.2.26");
const SHA256_ID: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA384_ID: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA512_ID: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");

/// What a derived key is used for, with its number in appendix B.
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    InitializationVector = 2,
    Integrity = 3,
}

/// A password in both encodings that PFX files use.
pub(super) struct Password {
    text: Zeroizing<String>,
    /// UTF-16, big endian, with a terminating zero.
    utf16: Bytes,
}

impl Password {
    pub(super) fn new(text: &str) -> Self {
        let units = text.encode_utf16().chain(std::iter::once(0));
        Password {
            text: Zeroizing::new(text.to_owned()),
            utf16: Zeroizing::new(units.flat_map(u16::to_be_bytes).collect()),
        }
    }

    /// No password, as some programs write it: without the terminating zero.
    pub(super) fn absent() -> Self {
        Password {
            utf16: Zeroizing::default(),
            ..Password::new("")
        }
    }

    /// Decrypts the data with this algorithm.
    pub(super) fn decrypt(
        &self,
        algorithm: &AlgorithmIdentifier<'_>,
        data: &[u8],
    ) -> Result<Bytes, Error> {
        let parameters = parameters(algorithm)?;
        match algorithm.algorithm {
            PBES2 => self.decrypt_pbes2(&parameters.decode_as()?, data),
            old @ (OLD_TRIPLE_DES | OLD_RC2_128 | OLD_RC2_40) => {
                self.decrypt_old(old, &parameters.decode_as()?, data)
            }
            _ => Err(Error::Unsupported("encryption")),
        }
    }

    fn decrypt_pbes2(&self, parameters: &Pbes2Params<'_>, data: &[u8]) -> Result<Bytes, Error> {
        let derivation = &parameters.key_derivation_func;
        let cipher = &parameters.encryption_scheme;
        if derivation.algorithm != PBKDF2 {
            return Err(Error::Unsupported("key derivation"));
        }
        let derivation = self::parameters(derivation)?.decode_as::<Pbkdf2Params<'_>>()?;
        let function = match derivation.prf.map(|prf| prf.algorithm) {
            None | Some(HMAC_SHA1) => pbkdf2::PBKDF2_HMAC_SHA1,
            Some(HMAC_SHA256) => pbkdf2::PBKDF2_HMAC_SHA256,
            Some(HMAC_SHA384) => pbkdf2::PBKDF2_HMAC_SHA384,
            Some(HMAC_SHA512) => pbkdf2::PBKDF2_HMAC_SHA512,
            Some(_) => return Err(Error::Unsupported("key derivation")),
        };
        let rounds = rounds(derivation.iteration_count)?;
        let vector = octets(self::parameters(cipher)?)?;
        let key_of = |length| {
            let mut key = Zeroizing::new(vec![0; length]);
            let (salt, password) = (derivation.salt.as_bytes(), self.text.as_bytes());
            pbkdf2::derive(function, rounds, salt, password, &mut key);
            key
        };
        match cipher.algorithm {
            AES_128 => decrypt::<Decryptor<aes::Aes128>>(&key_of(16), vector, data),
            AES_192 => decrypt::<Decryptor<aes::Aes192>>(&key_of(24), vector, data),
            AES_256 => decrypt::<Decryptor<aes::Aes256>>(&key_of(32), vector, data),
            TRIPLE_DES => decrypt::<Decryptor<des::TdesEde3>>(&key_of(24), vector, data),
            _ => Err(Error::Unsupported("encryption")),
        }
    }

    fn decrypt_old(
        &self,
        algorithm: ObjectIdentifier,
        parameters: &PbeParameter<'_>,
        data: &[u8],
    ) -> Result<Bytes, Error> {
        let derivation = Derivation {
            hash: &SHA1_FOR_LEGACY_USE_ONLY,
            salt: parameters.salt.as_bytes(),
            rounds: rounds(parameters.iterations)?,
        };
        let vector = derivation.derive(self, Purpose::InitializationVector, 8);
        let key_of = |length| derivation.derive(self, Purpose::Key, length);
        match algorithm {
            OLD_TRIPLE_DES => decrypt::<Decryptor<des::TdesEde3>>(&key_of(24), &vector, data),
            OLD_RC2_128 => decrypt::<Decryptor<rc2::Rc2>>(&key_of(16), &vector, data),
            _ => decrypt::<Decryptor<rc2::Rc2>>(&key_of(5), &vector, data),
        }
    }

    /// Returns whether the data has this integrity code under this password.
    pub(super) fn verify(&self, check: &MacData<'_>, data: &[u8]) -> Result<bool, Error> {
        let (hash, algorithm) = match check.mac.digest_algorithm.algorithm {
            SHA1_ID => (
                &SHA1_FOR_LEGACY_USE_ONLY,
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            ),
            SHA256_ID => (&SHA256, hmac::HMAC_SHA256),
            SHA384_ID => (&SHA384, hmac::HMAC_SHA384),
            SHA512_ID => (&SHA512, hmac::HMAC_SHA512),
            _ => return Err(Error::Unsupported("integrity check")),
        };
        let derivation = Derivation {
            hash,
            salt: check.mac_salt.as_bytes(),
            rounds: rounds(check.iterations)?,
        };
        let key = derivation.derive(self, Purpose::Integrity, hash.output_len());
        let key = hmac::Key::new(algorithm, &key);
        Ok(hmac::verify(&key, data, check.mac.digest.as_bytes()).is_ok())
    }
}

/// The key derivation of RFC 7292, appendix B.2.
struct Derivation<'a> {
    hash: &'static digest::Algorithm,
    salt: &'a [u8],
    rounds: NonZeroU32,
}

impl Derivation<'_> {
    fn derive(&self, password: &Password, purpose: Purpose, length: usize) -> Bytes {
        let block = self.hash.block_len();
        let filled = |text: &[u8]| -> Vec<u8> {
            let whole = text.len().div_ceil(block) * block;
            text.iter().copied().cycle().take(whole).collect()
        };
        let mut input = Zeroizing::new([filled(self.salt), filled(&password.utf16)].concat());
        let mut derived = Bytes::default();
        while derived.len() < length {
            let start = [vec![purpose as u8; block], input.to_vec()].concat();
            let mut hashed = digest(self.hash, &Zeroizing::new(start));
            for _ in 1..self.rounds.get() {
                hashed = digest(self.hash, hashed.as_ref());
            }
            derived.extend_from_slice(hashed.as_ref());
            let addend: Vec<u8> = hashed
                .as_ref()
                .iter()
                .copied()
                .cycle()
                .take(block)
                .collect();
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

fn parameters<'a>(algorithm: &AlgorithmIdentifier<'a>) -> Result<AnyRef<'a>, Error> {
    algorithm.parameters.ok_or(Error::Damaged)
}

fn rounds(count: u32) -> Result<NonZeroU32, Error> {
    NonZeroU32::new(count)
        .filter(|count| count.get() <= MAX_ROUNDS)
        .ok_or(Error::Unsupported("number of rounds"))
}

/// Decrypts the data. Invalid padding is reported as a wrong password.
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
