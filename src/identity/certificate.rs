//! Sign-in of an application with a certificate: the assertion that its private key signs.
//!
//! Keys and files are parsed when the first assertion is signed, because most runs use a stored
//! token. Does not check whether the certificate is registered: the login service does that.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER_PERMISSIVE;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256};
use serde_json::{Map, Value, json};
use url::Url;

use crate::identity::digest::sha256;
use crate::identity::key_file::{self, CERTIFICATE, PRIVATE_KEY};
use crate::protocol::{ErrorKind, Failure, Secret};

/// The place of a failure of the thumbprint.
const THUMBPRINT: &str = "/connection/certificate_thumbprint";

/// How long an assertion is valid.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// The certificate of a connection. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<CertificateParameters>);

/// The parameters of a certificate. [`Certificate::new`] needs a private key and either the
/// certificate or its thumbprint.
#[derive(Debug, Default)]
pub struct CertificateParameters {
    /// A PFX file in Base64, or PEM text.
    pub certificate: Option<Secret>,
    /// The password of the PFX file.
    pub password: Option<Secret>,
    /// The private key, PEM text.
    pub private_key: Option<Secret>,
    /// The thumbprint of the certificate.
    pub thumbprint: Option<Thumbprint>,
    /// The algorithm that signs assertions.
    pub algorithm: Algorithm,
}

/// The algorithm that signs assertions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: every login service accepts it.
    #[default]
    Rs256,
    /// RSASSA-PSS with SHA-256: Microsoft's documentation recommends it.
    Ps256,
}

impl Algorithm {
    /// The algorithm with this name, in any case.
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

/// The hash that identifies a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thumbprint {
    /// SHA-1, as the portal shows it.
    Sha1(Vec<u8>),
    /// SHA-256.
    Sha256(Vec<u8>),
}

impl Thumbprint {
    /// Parses 40 or 64 hexadecimal digits. Colons, hyphens and spaces between them are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        // Text copied from Windows' certificate dialog starts with an invisible mark.
        let ignored = |c: char| c.is_whitespace() || matches!(c, ':' | '-' | '\u{200e}');
        let digits = text.replace(ignored, "");
        let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
        match bytes.len() {
            20 => Some(Thumbprint::Sha1(bytes)),
            32 => Some(Thumbprint::Sha256(bytes)),
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

/// A private key and the thumbprints of its certificate.
struct SigningKey {
    key: KeyPair,
    sha1: Option<Vec<u8>>,
    sha256: Option<Vec<u8>>,
}

impl Certificate {
    /// Checks that the parameters are complete. Errors: one `invalid_input` for each parameter that
    /// lacks another one.
    pub fn new(parameters: CertificateParameters) -> Result<Self, Vec<Failure>> {
        let mut faults = Vec::new();
        let mut add = |place: &str, message: &str, advice: &str| {
            faults.push(Failure::invalid_input(place, message).advice(advice));
        };
        let pem = parameters.certificate.as_ref().map(Secret::expose);
        let pem = pem.filter(|text| key_file::is_pem(text));
        let holds = |label: &str| pem.is_some_and(|text| text.contains(label));
        match (
            &parameters.certificate,
            &parameters.private_key,
            &parameters.thumbprint,
        ) {
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
        if parameters.password.is_some() && parameters.certificate.is_none() {
            add(
                key_file::PASSWORD,
                "A password is set but no certificate.",
                "Set the certificate (a PFX file in Base64), or omit the password.",
            );
        }
        if faults.is_empty() {
            Ok(Certificate(Arc::new(parameters)))
        } else {
            Err(faults)
        }
    }

    /// The secret that stored tokens are encrypted with.
    pub fn key_secret(&self) -> Secret {
        let parts = [&self.0.private_key, &self.0.certificate, &self.0.password];
        let parts = parts.map(|part| part.as_ref().map_or("", Secret::expose));
        Secret::new(Value::from_iter(parts).to_string())
    }

    /// A fingerprint (SHA-256, hexadecimal) that differs for every other certificate.
    pub fn fingerprint(&self) -> String {
        let thumbprint = format!("{:?}", self.0.thumbprint);
        sha256(format!("{thumbprint} {}", self.key_secret().expose()).as_bytes())
    }

    /// Signs an assertion for the token endpoint. Errors: `invalid_input` at the parameter that
    /// cannot be used.
    pub fn assertion(
        &self,
        client_id: &str,
        endpoint: &Url,
        now: DateTime<Utc>,
    ) -> Result<Secret, Failure> {
        let key = self.open()?;
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
        let signed = format!("{}.{}", part(&self.header(&key)), part(&claims));
        let signature = sign(&key.key, self.0.algorithm, signed.as_bytes())?;
        Ok(Secret::new(format!(
            "{signed}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }

    fn header(&self, key: &SigningKey) -> Value {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.0.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        for (name, bytes) in [("x5t", &key.sha1), ("x5t#S256", &key.sha256)] {
            if let Some(bytes) = bytes {
                header.insert(name.to_owned(), URL_SAFE_NO_PAD.encode(bytes).into());
            }
        }
        Value::Object(header)
    }

    /// Finds the private key and its certificate or thumbprint.
    fn open(&self) -> Result<SigningKey, Failure> {
        let parameters = &*self.0;
        let file = match &parameters.certificate {
            Some(text) => key_file::read(text, parameters.password.as_ref(), CERTIFICATE)?,
            None => key_file::Contents::default(),
        };
        let separate_keys = match &parameters.private_key {
            Some(text) => key_file::read(text, None, PRIVATE_KEY)?.keys,
            None => Vec::new(),
        };
        let in_file =
            separate_keys.is_empty() && (parameters.private_key.is_none() || !file.keys.is_empty());
        let place = if in_file { CERTIFICATE } else { PRIVATE_KEY };
        let key = separate_keys
            .first()
            .or(file.keys.first())
            .ok_or_else(|| Failure::invalid_input(place, "It contains no private key."))?;
        let key = key_file::key_pair(key, place)?;
        let certificates = &file.certificates;
        match certificates
            .iter()
            .find(|der| key_file::is_certificate_of(der, &key))
        {
            Some(certificate) => with_certificate(key, certificate, parameters.thumbprint.as_ref()),
            None if certificates.is_empty() => with_thumbprint(key, parameters.thumbprint.clone()),
            None => Err(Failure::invalid_input(
                CERTIFICATE,
                "The certificate and the private key do not belong together.",
            )
            .advice("Set the private key that the certificate was made for.")),
        }
    }
}

/// The thumbprints of the certificate. A thumbprint in the parameters must be one of them.
fn with_certificate(
    key: KeyPair,
    certificate: &[u8],
    thumbprint: Option<&Thumbprint>,
) -> Result<SigningKey, Failure> {
    if thumbprint.is_some_and(|thumbprint| !thumbprint.is_of(certificate)) {
        let message = "The thumbprint does not match the certificate.";
        return Err(Failure::invalid_input(THUMBPRINT, message)
            .advice("Omit the thumbprint, or set the certificate that it belongs to."));
    }
    Ok(SigningKey {
        key,
        sha1: Some(sha1_of(certificate)),
        sha256: Some(sha256_of(certificate)),
    })
}

fn with_thumbprint(key: KeyPair, thumbprint: Option<Thumbprint>) -> Result<SigningKey, Failure> {
    let (sha1, sha256) = match thumbprint {
        Some(Thumbprint::Sha1(bytes)) => (Some(bytes), None),
        Some(Thumbprint::Sha256(bytes)) => (None, Some(bytes)),
        None => {
            let message = "The private key comes without a certificate and without a thumbprint.";
            return Err(Failure::invalid_input(CERTIFICATE, message)
                .advice("Set the certificate's thumbprint."));
        }
    };
    Ok(SigningKey { key, sha1, sha256 })
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
