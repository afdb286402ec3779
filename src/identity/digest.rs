//! SHA-256 as text, for file names and fingerprints.
//!
//! Does not compare secrets: digests are looked up, not verified.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

/// The SHA-256 hash of the bytes, as hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}
