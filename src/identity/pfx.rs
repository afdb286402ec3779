//! Reads PFX files (PKCS#12, RFC 7292): certificates and private keys, opened with a password.
//!
//! Reads what OpenSSL, Windows and Azure Key Vault write: DER, integrity by password, AES or
//! Triple DES by PBES2, and the older ciphers. Does not check certificates, and writes no files.

mod encryption;
mod structure;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, SequenceRef};
use der::{Decode, Encode, ErrorKind};
use secrecy::zeroize::Zeroizing;

use encryption::Password;
use structure::{
    AlgorithmIdentifier, CertBag, ContentInfo, EncryptedData, EncryptedPrivateKeyInfo, Pfx, SafeBag,
};

/// Bytes that are overwritten with zeros when they are dropped.
pub(super) type Bytes = Zeroizing<Vec<u8>>;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.6");
const X509_CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.9.22.1");
const KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.3");
const SAFE_CONTENTS_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.6");

/// The maximum number of encrypted parts: deriving a key for each takes time.
const MAX_PARTS: usize = 16;
/// The maximum nesting of bags.
const MAX_DEPTH: usize = 4;

/// Why a file cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// It is not a PFX file, or it is incomplete or altered.
    Damaged,
    /// The file is undamaged and the password is wrong.
    WrongPassword,
    /// It uses this feature, which is not supported.
    Unsupported(&'static str),
}

impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        match error.kind() {
            // Old versions of Windows and Firefox wrote these lengths.
            ErrorKind::IndefiniteLength => Error::Unsupported("encoding (BER)"),
            _ => Error::Damaged,
        }
    }
}

/// What a file contains, as DER.
#[derive(Default)]
pub(super) struct Archive {
    pub(super) certificates: Vec<Vec<u8>>,
    /// Private keys, PKCS#8.
    pub(super) keys: Vec<Bytes>,
    encrypted_parts: usize,
}

impl Archive {
    /// Opens a file with its password. An empty password stands for none.
    pub(super) fn open(file: &[u8], password: &str) -> Result<Self, Error> {
        let (file, _) = Pfx::from_der_partial(file)?;
        if file.auth_safe.content_type != DATA {
            return Err(Error::Unsupported("protection by certificate"));
        }
        let content = octets(file.auth_safe.content)?;
        let mut passwords = vec![Password::new(password)];
        if password.is_empty() {
            passwords.push(Password::absent());
        }
        let Some(mac) = file.mac_data else {
            return Archive::read(content, &passwords[0]);
        };
        for password in &passwords {
            if password.verify(&mac, content)? {
                // The password is right, so content that does not decrypt is damaged.
                return Archive::read(content, password).map_err(|error| match error {
                    Error::WrongPassword => Error::Damaged,
                    other => other,
                });
            }
        }
        // A password that decrypts the content but does not match the integrity code: the file was
        // altered.
        let decrypts = passwords.iter().any(|password| {
            Archive::read(content, password).is_ok_and(|archive| archive.encrypted_parts > 0)
        });
        Err(if decrypts {
            Error::Damaged
        } else {
            Error::WrongPassword
        })
    }

    fn read(content: &[u8], password: &Password) -> Result<Self, Error> {
        let mut archive = Archive::default();
        for part in Vec::<ContentInfo<'_>>::from_der(content)? {
            match part.content_type {
                DATA => archive.add_bags(octets(part.content)?, password, 0)?,
                ENCRYPTED_DATA => {
                    let data = part.content.decode_as::<EncryptedData<'_>>()?;
                    let data = data.encrypted_content_info;
                    let algorithm = data.content_encryption_algorithm;
                    let encrypted = data.encrypted_content.as_bytes();
                    let bags = archive.decrypt(password, &algorithm, encrypted)?;
                    archive
                        .add_bags(&bags, password, 0)
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
        algorithm: &AlgorithmIdentifier<'_>,
        data: &[u8],
    ) -> Result<Bytes, Error> {
        self.encrypted_parts += 1;
        if self.encrypted_parts > MAX_PARTS {
            return Err(Error::Unsupported("number of encrypted parts"));
        }
        password.decrypt(algorithm, data)
    }

    fn add_bags(&mut self, bags: &[u8], password: &Password, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Damaged);
        }
        for bag in Vec::<SafeBag<'_>>::from_der(bags)? {
            match bag.id {
                KEY_BAG => self.keys.push(Zeroizing::new(bag.value.to_der()?)),
                SHROUDED_KEY_BAG => {
                    let encrypted = bag.value.decode_as::<EncryptedPrivateKeyInfo<'_>>()?;
                    let algorithm = encrypted.encryption_algorithm;
                    let data = encrypted.encrypted_data.as_bytes();
                    let key = self.decrypt(password, &algorithm, data)?;
                    <&SequenceRef>::from_der(&key).map_err(|_| Error::WrongPassword)?;
                    self.keys.push(key);
                }
                CERT_BAG => {
                    let certificate = bag.value.decode_as::<CertBag<'_>>()?;
                    if certificate.id == X509_CERTIFICATE {
                        let der = octets(certificate.value)?;
                        self.certificates.push(der.to_vec());
                    }
                }
                SAFE_CONTENTS_BAG => {
                    let bags = Zeroizing::new(bag.value.to_der()?);
                    self.add_bags(&bags, password, depth + 1)?;
                }
                // Revocation lists and secrets of other kinds.
                _ => {}
            }
        }
        Ok(())
    }
}

fn octets(value: AnyRef<'_>) -> Result<&[u8], Error> {
    Ok(value.decode_as::<&OctetStringRef>()?.as_bytes())
}

#[cfg(test)]
mod tests;
