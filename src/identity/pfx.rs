//! Reads PFX files (PKCS#12, RFC 7292): certificates and private keys, opened with a password.
//!
//! Takes what OpenSSL, Windows and Azure Key Vault write: DER, integrity by password, AES or
//! Triple DES by PBES2, and the older ciphers. Does not check certificates, and writes no files.

mod der;
mod encryption;

use secrecy::zeroize::Zeroizing;

use der::{CONTEXT, CONTEXT_OCTETS, Elements, INTEGER, OCTETS, OID, SEQUENCE};
use encryption::Password;

/// Bytes that are wiped.
pub(super) type Bytes = Zeroizing<Vec<u8>>;

const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
/// Before the number of a kind of bag.
const BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1];

/// The most encrypted parts: each takes time to derive a key for.
const MAX_PARTS: usize = 16;
/// The deepest nesting of bags.
const MAX_DEPTH: usize = 4;

/// Why a file cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// It is no PFX file, or not a whole one.
    Damaged,
    /// It is whole, and the password is not its own.
    WrongPassword,
    /// It uses something that is not known here.
    Unsupported(&'static str),
}

/// What a file holds, DER.
#[derive(Default)]
pub(super) struct Archive {
    pub(super) certificates: Vec<Vec<u8>>,
    /// Private keys, PKCS#8.
    pub(super) keys: Vec<Bytes>,
    parts: usize,
}

impl Archive {
    /// Opens a file with its password; an empty one is none.
    pub(super) fn open(file: &[u8], password: &str) -> Result<Self, Error> {
        let mut whole = Elements::new(file).enter(SEQUENCE)?;
        whole.take(INTEGER)?;
        let content = content(&mut whole, DATA)?.take(OCTETS)?;
        let check = if whole.is_empty() {
            None
        } else {
            Some(whole.enter(SEQUENCE)?)
        };
        let mut passwords = vec![Password::new(password)];
        if password.is_empty() {
            passwords.push(Password::absent());
        }
        let Some(check) = check else {
            return Archive::read(content, &passwords[0]);
        };
        for password in &passwords {
            if password.verify(check, content)? {
                // The password is the file's own: what does not open now is damaged.
                return Archive::read(content, password).map_err(|error| match error {
                    Error::WrongPassword => Error::Damaged,
                    other => other,
                });
            }
        }
        // A password that opens the content and fails the check: the file was altered.
        let opens = passwords
            .iter()
            .any(|password| Archive::read(content, password).is_ok_and(|file| file.parts > 0));
        Err(if opens {
            Error::Damaged
        } else {
            Error::WrongPassword
        })
    }

    fn read(content: &[u8], password: &Password) -> Result<Self, Error> {
        let mut archive = Archive::default();
        let mut parts = Elements::new(content).enter(SEQUENCE)?;
        while !parts.is_empty() {
            let mut part = parts.enter(SEQUENCE)?;
            let name = part.take(OID)?;
            let mut inner = part.enter(CONTEXT)?;
            match name {
                DATA => archive.bags(inner.take(OCTETS)?, password, 0)?,
                ENCRYPTED_DATA => {
                    let mut inner = inner.enter(SEQUENCE)?;
                    inner.take(INTEGER)?;
                    let mut encrypted = inner.enter(SEQUENCE)?;
                    encrypted.take(OID)?;
                    let algorithm = encrypted.enter(SEQUENCE)?;
                    let data = encrypted.take(CONTEXT_OCTETS)?;
                    let bags = archive.decrypt(password, algorithm, data)?;
                    archive
                        .bags(&bags, password, 0)
                        .map_err(|_| Error::WrongPassword)?;
                }
                _ => return Err(Error::Unsupported("protection by certificate")),
            }
        }
        Ok(archive)
    }

    fn decrypt(
        &mut self,
        password: &Password,
        algorithm: Elements<'_>,
        data: &[u8],
    ) -> Result<Bytes, Error> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Error::Unsupported("number of encrypted parts"));
        }
        password.decrypt(algorithm, data)
    }

    fn bags(&mut self, bags: &[u8], password: &Password, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Damaged);
        }
        let mut bags = Elements::new(bags).enter(SEQUENCE)?;
        while !bags.is_empty() {
            let mut bag = bags.enter(SEQUENCE)?;
            let kind = bag.take(OID)?.strip_prefix(BAG);
            let value = bag.take(CONTEXT)?;
            let mut inner = Elements::new(value);
            match kind {
                Some([1]) => self.keys.push(Zeroizing::new(value.to_vec())),
                Some([2]) => {
                    let mut encrypted = inner.enter(SEQUENCE)?;
                    let algorithm = encrypted.enter(SEQUENCE)?;
                    let key = self.decrypt(password, algorithm, encrypted.take(OCTETS)?)?;
                    let whole = Elements::new(&key).take(SEQUENCE);
                    whole.map_err(|_| Error::WrongPassword)?;
                    self.keys.push(key);
                }
                Some([3]) => {
                    let mut certificate = inner.enter(SEQUENCE)?;
                    if certificate.take(OID)? == X509 {
                        let der = certificate.enter(CONTEXT)?.take(OCTETS)?;
                        self.certificates.push(der.to_vec());
                    }
                }
                Some([6]) => self.bags(value, password, depth + 1)?,
                // Lists of revoked certificates, and secrets of other kinds.
                _ => {}
            }
        }
        Ok(())
    }
}

/// The content of a `ContentInfo`, which must be of that type.
fn content<'a>(elements: &mut Elements<'a>, kind: &[u8]) -> Result<Elements<'a>, Error> {
    let mut info = elements.enter(SEQUENCE)?;
    if info.take(OID)? != kind {
        return Err(Error::Unsupported("protection by certificate"));
    }
    info.enter(CONTEXT)
}

#[cfg(test)]
mod tests;
