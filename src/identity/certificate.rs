//! Application and certificate: the assertion that is signed with the certificate's key.
//!
//! What was given is read when the first assertion is signed, not before: most runs find a token
//! that was kept. Registered certificates are known by their thumbprints; that one belongs to the
//! application is the login service's to say.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256};
use serde_json::{Map, Value, json};
use url::Url;

use crate::identity::key_file::{self, CERTIFICATE, PRIVATE_KEY};
use crate::identity::sha256;
use crate::protocol::{ErrorKind, Failure, Secret};

/// Where faults of a thumbprint stand.
const THUMBPRINT: &str = "/connection/certificate_thumbprint";

/// How long an assertion is good for.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// A certificate as it was given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<Given>);

/// What was given of a certificate; [`Certificate::new`] wants a key, and something to know the
/// certificate by.
#[derive(Debug, Default)]
pub struct Given {
    /// PFX in Base64, or PEM.
    pub certificate: Option<Secret>,
    /// What opens the PFX.
    pub password: Option<Secret>,
    /// The key, PEM.
    pub private_key: Option<Secret>,
    /// What the certificate is known by.
    pub thumbprint: Option<Thumbprint>,
    /// How assertions are signed.
    pub algorithm: Algorithm,
}

/// How assertions are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: accepted everywhere.
    #[default]
    Rs256,
    /// RSASSA-PSS with SHA-256: what the present documentation asks for.
    Ps256,
}

impl Algorithm {
    /// By its name, in whatever case.
    pub fn named(name: &str) -> Option<Self> {
        [Algorithm::Rs256, Algorithm::Ps256]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(name.trim()))
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Ps256 => "PS256",
        }
    }
}

/// What a certificate is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thumbprint {
    /// SHA-1, as the portal shows it.
    Sha1(Vec<u8>),
    /// SHA-256.
    Sha256(Vec<u8>),
}

impl Thumbprint {
    /// Reads 40 or 64 hexadecimal digits, with or without colons and blanks between them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Option<Vec<u32>> = text
            .chars()
            // Copied from Windows' dialogue it begins with a mark that nobody sees.
            .filter(|sign| !sign.is_whitespace() && !matches!(sign, ':' | '-' | '\u{200e}'))
            .map(|sign| sign.to_digit(16))
            .collect();
        let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap_or_default();
        let bytes: Option<Vec<u8>> = digits
            .filter(|digits| digits.len().is_multiple_of(2))
            .map(|digits| digits.chunks(2).map(byte).collect());
        match bytes {
            Some(bytes) if bytes.len() == 20 => Some(Thumbprint::Sha1(bytes)),
            Some(bytes) if bytes.len() == 32 => Some(Thumbprint::Sha256(bytes)),
            _ => None,
        }
    }

    fn is_of(&self, certificate: &[u8]) -> bool {
        match self {
            Thumbprint::Sha1(bytes) => sha1_of(certificate) == *bytes,
            Thumbprint::Sha256(bytes) => sha256_of(certificate) == *bytes,
        }
    }
}

fn sha1_of(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

fn sha256_of(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// A key, ready to sign, and what its certificate is known by.
struct Opened {
    key: KeyPair,
    sha1: Option<Vec<u8>>,
    sha256: Option<Vec<u8>>,
}

impl Certificate {
    /// A certificate of that description. Errors: one `invalid_input` for every half that lacks its
    /// other half.
    pub fn new(given: Given) -> Result<Self, Vec<Failure>> {
        let mut faults = Vec::new();
        let mut add = |at: &str, words: &str, advice: &str| {
            faults.push(Failure::invalid_input(at, words).advice(advice));
        };
        let pem = given.certificate.as_ref().map(Secret::expose);
        let pem = pem.filter(|text| key_file::is_pem(text));
        let holds = |label: &str| pem.is_some_and(|text| text.contains(label));
        match (&given.certificate, &given.private_key, &given.thumbprint) {
            (None, None, Some(_)) => add(
                THUMBPRINT,
                "The private key of the certificate is missing.",
                "Set the private key too, or the certificate with its key.",
            ),
            (None, Some(_), None) => add(
                PRIVATE_KEY,
                "The thumbprint of the key's certificate is missing.",
                "Set the thumbprint of the registered certificate too, or the certificate itself.",
            ),
            (Some(_), None, _) if pem.is_some() && !holds("PRIVATE KEY-----") => add(
                CERTIFICATE,
                "The private key of the certificate is missing.",
                "Set the private key too, or use a PFX file in Base64 with both.",
            ),
            (Some(_), None, None) if pem.is_some() && !holds("BEGIN CERTIFICATE") => add(
                CERTIFICATE,
                "The PEM text has a private key but no certificate.",
                "Add the certificate, or set the certificate's thumbprint.",
            ),
            _ => {}
        }
        if given.password.is_some() && given.certificate.is_none() {
            add(
                key_file::PASSWORD,
                "There is no certificate that the password could open.",
                "Set the certificate (a PFX file in Base64), or omit the password.",
            );
        }
        if faults.is_empty() {
            Ok(Certificate(Arc::new(given)))
        } else {
            Err(faults)
        }
    }

    /// Known to whoever has the key, and to nobody else.
    pub fn key_material(&self) -> Secret {
        let parts = [&self.0.private_key, &self.0.certificate, &self.0.password];
        let parts = parts.map(|part| part.as_ref().map_or("", Secret::expose));
        Secret::new(Value::from_iter(parts).to_string())
    }

    /// What tells it from another one.
    pub fn fingerprint(&self) -> String {
        let thumbprint = format!("{:?}", self.0.thumbprint);
        sha256(format!("{thumbprint} {}", self.key_material().expose()).as_bytes())
    }

    /// The signed assertion for that token endpoint. Errors: `invalid_input` at whatever of the
    /// certificate cannot be used.
    pub fn assertion(
        &self,
        client_id: &str,
        endpoint: &Url,
        now: DateTime<Utc>,
    ) -> Result<Secret, Failure> {
        let opened = self.open()?;
        let claims = json!({
            "aud": endpoint.as_str(),
            "iss": client_id,
            "sub": client_id,
            "jti": uuid::Uuid::new_v4().to_string(),
            "nbf": now.timestamp(),
            "iat": now.timestamp(),
            "exp": (now + LIFETIME).timestamp(),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&self.header(&opened)), part(&claims));
        let signature = sign(&opened.key, self.0.algorithm, signed.as_bytes())?;
        Ok(Secret::new(format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }

    fn header(&self, opened: &Opened) -> Value {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.0.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        for (name, bytes) in [("x5t", &opened.sha1), ("x5t#S256", &opened.sha256)] {
            if let Some(bytes) = bytes {
                header.insert(name.to_owned(), URL_SAFE_NO_PAD.encode(bytes).into());
            }
        }
        Value::Object(header)
    }

    fn open(&self) -> Result<Opened, Failure> {
        let given = &*self.0;
        let file = match &given.certificate {
            Some(text) => key_file::read(text, given.password.as_ref(), CERTIFICATE)?,
            None => key_file::Contents::default(),
        };
        let own = match &given.private_key {
            Some(text) => key_file::read(text, None, PRIVATE_KEY)?.keys,
            None => Vec::new(),
        };
        let keys = own.iter().map(|key| (key, PRIVATE_KEY));
        let mut keys = keys.chain(file.keys.iter().map(|key| (key, CERTIFICATE)));
        let (key, at) = keys.next().ok_or_else(|| {
            let at = if given.private_key.is_some() {
                PRIVATE_KEY
            } else {
                CERTIFICATE
            };
            Failure::invalid_input(at, "There is no private key in it.")
        })?;
        let key = key.open(at)?;
        let certificates = &file.certificates;
        match certificates.iter().find(|one| key_file::belongs(one, &key)) {
            Some(certificate) => known_by(key, certificate, given.thumbprint.as_ref()),
            None if certificates.is_empty() => by_thumbprint(key, given.thumbprint.clone()),
            None => Err(Failure::invalid_input(
                CERTIFICATE,
                "The certificate and the private key do not belong together.",
            )
            .advice("Give the key that the certificate was made for.")),
        }
    }
}

/// Known by the certificate; a thumbprint must be its own.
fn known_by(
    key: KeyPair,
    certificate: &[u8],
    thumbprint: Option<&Thumbprint>,
) -> Result<Opened, Failure> {
    if thumbprint.is_some_and(|thumbprint| !thumbprint.is_of(certificate)) {
        let words = "The thumbprint is not that of the certificate.";
        return Err(Failure::invalid_input(THUMBPRINT, words)
            .advice("Leave the thumbprint out, or give the certificate that it is of."));
    }
    Ok(Opened {
        key,
        sha1: Some(sha1_of(certificate)),
        sha256: Some(sha256_of(certificate)),
    })
}

fn by_thumbprint(key: KeyPair, thumbprint: Option<Thumbprint>) -> Result<Opened, Failure> {
    let (sha1, sha256) = match thumbprint {
        Some(Thumbprint::Sha1(bytes)) => (Some(bytes), None),
        Some(Thumbprint::Sha256(bytes)) => (None, Some(bytes)),
        None => {
            let words = "There is no certificate with the private key, and no thumbprint of one.";
            return Err(Failure::invalid_input(CERTIFICATE, words)
                .advice("Give the certificate's thumbprint."));
        }
    };
    Ok(Opened { key, sha1, sha256 })
}

fn sign(key: &KeyPair, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut signature = vec![0; key.public().modulus_len()];
    let random = SystemRandom::new();
    let signed = match algorithm {
        Algorithm::Rs256 => key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature),
        Algorithm::Ps256 => key.sign(&RSA_PSS_SHA256, &random, message, &mut signature),
    };
    signed.map_err(|_| Failure::new(ErrorKind::Internal, "The assertion could not be signed."))?;
    Ok(signature)
}

#[cfg(test)]
mod tests;
