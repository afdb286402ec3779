//! Reading a certificate and its key as people have them: PEM text, or PFX (PKCS#12) in Base64.
//!
//! PEM may have lost its line breaks in a form's field. Only RSA keys are taken, because the login
//! service takes no others. Nothing here is trusted or checked for its dates: that is the login
//! service's part. Words of failures never quote what was given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use ring::rsa::KeyPair;
use secrecy::zeroize::Zeroizing;

#[cfg(feature = "pfx")]
use crate::identity::pfx::{Archive, Error as PfxError};
use crate::protocol::{Failure, Secret};

/// Where faults of a certificate stand.
pub(super) const CERTIFICATE: &str = "/connection/certificate";
/// Where faults of its password stand.
pub(super) const PASSWORD: &str = "/connection/certificate_password";
/// Where faults of a key stand.
pub(super) const PRIVATE_KEY: &str = "/connection/private_key";

/// The object identifiers of RSA and elliptic-curve keys, as DER.
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";

/// What a file held.
#[derive(Default)]
pub(super) struct Contents {
    /// Certificates, DER.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Private keys.
    pub(super) keys: Vec<Key>,
}

/// A private key, DER.
pub(super) struct Key {
    der: Zeroizing<Vec<u8>>,
    /// PKCS#1, not PKCS#8.
    bare: bool,
}

/// Is it PEM, not PFX?
pub(super) fn is_pem(text: &str) -> bool {
    text.contains("-----BEGIN")
}

/// What stands in the text: PEM, or else PFX. Errors: `invalid_input` at `at`.
pub(super) fn read(
    text: &Secret,
    password: Option<&Secret>,
    at: &str,
) -> Result<Contents, Failure> {
    if is_pem(text.expose()) {
        pem(text.expose(), at)
    } else {
        pfx(text.expose(), password, at)
    }
}

/// A failure that says how to make what was given readable.
fn encrypted(at: &str) -> Failure {
    Failure::invalid_input(at, "The private key is encrypted, and only a bare key can be used.")
        .advice("Decrypt it (openssl pkey -in key.pem -out bare.pem) and give it as a secret reference, or give a PFX file in Base64 with its password.")
}

fn curved(at: &str) -> Failure {
    Failure::invalid_input(at, "The private key is not an RSA key.")
        .cause("The login service takes assertions signed with RSA keys only.")
        .advice("Register a certificate with an RSA key (2048 bits or more) for the application.")
}

fn unreadable(at: &str, what: &str) -> Failure {
    Failure::invalid_input(at, what).advice(
        "Give PEM text from BEGIN to END line, or a PFX file in Base64 (base64 -w0 app.pfx).",
    )
}

fn pem(text: &str, at: &str) -> Result<Contents, Failure> {
    // A form's field, or JSON inside JSON, may have spelled the line breaks out.
    let text = Zeroizing::new(text.replace("\\n", "\n"));
    let mut contents = Contents::default();
    let mut rest = text.as_str();
    while let Some((label, body, after)) = block(rest) {
        rest = after;
        if label == "ENCRYPTED PRIVATE KEY" || body.contains("ENCRYPTED") {
            return Err(encrypted(at));
        }
        let bare = match label {
            "CERTIFICATE" => None,
            "PRIVATE KEY" => Some(false),
            "RSA PRIVATE KEY" => Some(true),
            "EC PRIVATE KEY" => return Err(curved(at)),
            _ => continue,
        };
        let body = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
        let der = STANDARD
            .decode(body.as_bytes())
            .map_err(|_| unreadable(at, &format!("The {label} block is not whole PEM text.")))?;
        match bare {
            None => contents.certificates.push(der),
            Some(bare) => contents.keys.push(Key {
                der: Zeroizing::new(der),
                bare,
            }),
        }
    }
    if contents.keys.is_empty() && contents.certificates.is_empty() {
        return Err(unreadable(
            at,
            "There is no certificate and no private key in the PEM text.",
        ));
    }
    Ok(contents)
}

/// The first block: its label, what stands in it, and what follows.
fn block(text: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, rest) = rest.split_once("-----END ")?;
    let (_, rest) = rest.split_once("-----")?;
    Some((label, body, rest))
}

fn pfx(text: &str, password: Option<&Secret>, at: &str) -> Result<Contents, Failure> {
    let compact = Zeroizing::new(text.split_ascii_whitespace().collect::<String>());
    let der = STANDARD.decode(compact.as_bytes());
    let der = Zeroizing::new(der.map_err(|_| {
        unreadable(
            at,
            "The certificate is neither PEM text nor a PFX file in Base64.",
        )
    })?);
    open_pfx(&der, password.map(Secret::expose).unwrap_or_default(), at)
}

#[cfg(feature = "pfx")]
fn open_pfx(der: &[u8], password: &str, at: &str) -> Result<Contents, Failure> {
    let archive = Archive::open(der, password).map_err(|error| match error {
        PfxError::WrongPassword => {
            Failure::invalid_input(PASSWORD, "The password does not open the PFX file.")
                .advice("Give the password that the file was exported with; none if there is none.")
        }
        PfxError::Damaged => unreadable(
            at,
            "The PFX file cannot be read: it is damaged, or it is no PFX file.",
        ),
        PfxError::Unsupported(what) => {
            let words = format!("The PFX file cannot be read: its {what} is not supported.");
            Failure::invalid_input(at, words).advice(
                "Export it again with AES-256 and SHA-256, or give the certificate and the key as PEM text.",
            )
        }
    })?;
    if archive.keys.is_empty() {
        return Err(
            Failure::invalid_input(at, "The PFX file holds no private key.")
                .advice("Export it together with its private key."),
        );
    }
    let keys = archive.keys.into_iter();
    Ok(Contents {
        certificates: archive.certificates,
        keys: keys.map(|der| Key { der, bare: false }).collect(),
    })
}

/// A build without the reader of PFX files.
#[cfg(not(feature = "pfx"))]
fn open_pfx(_: &[u8], _: &str, at: &str) -> Result<Contents, Failure> {
    let words =
        "This build of soarhost cannot read PFX files (it was built without the feature `pfx`).";
    Err(Failure::invalid_input(at, words)
        .advice("Give the certificate and its private key as PEM text, or use a build with the feature `pfx`."))
}

impl Key {
    /// The key, ready to sign. Errors: `invalid_input` at `at`.
    pub(super) fn open(&self, at: &str) -> Result<KeyPair, Failure> {
        let opened = if self.bare {
            KeyPair::from_der(&self.der)
        } else {
            if memmem::find(&self.der, RSA).is_none() && memmem::find(&self.der, EC).is_some() {
                return Err(curved(at));
            }
            KeyPair::from_pkcs8(&self.der)
        };
        opened.map_err(|why| {
            let words = format!("The private key cannot be used: {why}.");
            Failure::invalid_input(at, words)
                .advice("Give the unencrypted RSA key (PKCS#8 or PKCS#1, 2048 to 4096 bits) of the registered certificate.")
        })
    }
}

/// Is the certificate that key's? A certificate holds the public key as the key itself writes it.
pub(super) fn belongs(certificate: &[u8], key: &KeyPair) -> bool {
    memmem::find(certificate, key.public().as_ref()).is_some()
}
