//! Reads a certificate and its private key: PEM text, or a PFX (PKCS#12) file as Base64.
//!
//! Accepts PEM text without line breaks, and RSA keys only: the login service accepts no others.
//! Does not check whether a certificate is trusted or expired. Failures never quote the input.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use ring::rsa::KeyPair;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{PemObject, SectionKind};
use secrecy::zeroize::Zeroizing;

#[cfg(feature = "pfx")]
use crate::identity::pfx::{Archive, Error as PfxError};
use crate::protocol::{Failure, Secret};

/// The place of a failure of the certificate.
pub(super) const CERTIFICATE: &str = "/connection/certificate";
/// The place of a failure of its password.
pub(super) const PASSWORD: &str = "/connection/certificate_password";
/// The place of a failure of the private key.
pub(super) const PRIVATE_KEY: &str = "/connection/private_key";

/// The object identifiers of RSA and elliptic-curve keys, as DER.
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";

/// A private key, DER.
pub(super) type PrivateKey = Zeroizing<PrivateKeyDer<'static>>;

/// The certificates and private keys of a file.
#[derive(Default)]
pub(super) struct Contents {
    /// Certificates, DER.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Private keys.
    pub(super) keys: Vec<PrivateKey>,
}

/// Returns whether the text is PEM. Otherwise it is a PFX file.
pub(super) fn is_pem(text: &str) -> bool {
    text.contains("-----BEGIN")
}

/// Reads PEM text or a PFX file. Errors: `invalid_input` at `place`.
pub(super) fn read(
    text: &Secret,
    password: Option<&Secret>,
    place: &str,
) -> Result<Contents, Failure> {
    if is_pem(text.expose()) {
        read_pem(text.expose(), place)
    } else {
        read_pfx(text.expose(), password, place)
    }
}

fn encrypted(place: &str) -> Failure {
    Failure::invalid_input(place, "The private key is encrypted. Only an unencrypted key can be used.")
        .advice("Decrypt it (openssl pkey -in key.pem -out bare.pem) and set it as a secret reference, or set a PFX file in Base64 with its password.")
}

fn not_rsa(place: &str) -> Failure {
    Failure::invalid_input(place, "The private key is not an RSA key.")
        .cause("The login service accepts assertions signed with RSA keys only.")
        .advice("Register a certificate with an RSA key (2048 bits or more) for the application.")
}

fn unreadable(place: &str, message: &str) -> Failure {
    Failure::invalid_input(place, message).advice(
        "Set PEM text from BEGIN to END line, or a PFX file in Base64 (base64 -w0 app.pfx).",
    )
}

fn read_pem(text: &str, place: &str) -> Result<Contents, Failure> {
    if text.contains("ENCRYPTED") {
        return Err(encrypted(place));
    }
    let mut contents = Contents::default();
    let lines = restore_lines(text);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(lines.as_bytes()) {
        let (kind, der) = section
            .map_err(|_| unreadable(place, "The PEM text is incomplete, or is not Base64."))?;
        if kind == SectionKind::Certificate {
            contents.certificates.push(der);
        } else if let Some(key) = PrivateKeyDer::from_pem(kind, der) {
            contents.keys.push(Zeroizing::new(key));
        }
    }
    if contents.keys.is_empty() && contents.certificates.is_empty() {
        return Err(unreadable(
            place,
            "The PEM text contains no certificate and no private key.",
        ));
    }
    Ok(contents)
}

/// Puts each marker of the PEM text and each word of a body on its own line: a form's field or JSON
/// inside JSON can have removed or escaped the line breaks.
fn restore_lines(text: &str) -> Zeroizing<String> {
    let text = Zeroizing::new(text.replace("\\n", "\n"));
    let mut lines = Zeroizing::new(String::with_capacity(text.len() + 64));
    for part in text.split("-----") {
        if part.starts_with("BEGIN ") || part.starts_with("END ") {
            lines.extend(["-----", part, "-----\n"]);
        } else {
            lines.extend(part.split_ascii_whitespace().flat_map(|word| [word, "\n"]));
        }
    }
    lines
}

fn read_pfx(text: &str, password: Option<&Secret>, place: &str) -> Result<Contents, Failure> {
    let compact = Zeroizing::new(text.split_ascii_whitespace().collect::<String>());
    let der = STANDARD.decode(compact.as_bytes());
    let der = Zeroizing::new(der.map_err(|_| {
        unreadable(
            place,
            "The certificate is neither PEM text nor a PFX file in Base64.",
        )
    })?);
    open_pfx(
        &der,
        password.map(Secret::expose).unwrap_or_default(),
        place,
    )
}

#[cfg(feature = "pfx")]
fn open_pfx(der: &[u8], password: &str, place: &str) -> Result<Contents, Failure> {
    let archive = Archive::open(der, password).map_err(|error| match error {
        PfxError::WrongPassword => Failure::invalid_input(
            PASSWORD,
            "The password does not open the PFX file.",
        )
        .advice("Set the password that the file was exported with. Omit it if there is none."),
        PfxError::Damaged => unreadable(place, "The PFX file is damaged, or is not a PFX file."),
        PfxError::Unsupported(feature) => {
            let message = format!("The PFX file cannot be read: its {feature} is not supported.");
            Failure::invalid_input(place, message).advice(
                "Export it again with AES-256 and SHA-256, or set the certificate and the key as PEM text.",
            )
        }
    })?;
    if archive.keys.is_empty() {
        return Err(
            Failure::invalid_input(place, "The PFX file contains no private key.")
                .advice("Export it together with its private key."),
        );
    }
    let keys = archive.keys.iter();
    Ok(Contents {
        certificates: archive.certificates,
        keys: keys
            .map(|der| Zeroizing::new(PrivateKeyDer::Pkcs8(der.to_vec().into())))
            .collect(),
    })
}

/// In a build without the feature `pfx`.
#[cfg(not(feature = "pfx"))]
fn open_pfx(_: &[u8], _: &str, place: &str) -> Result<Contents, Failure> {
    let message =
        "This build of soarhost cannot read PFX files (it was built without the feature `pfx`).";
    Err(Failure::invalid_input(place, message)
        .advice("Set the certificate and its private key as PEM text, or use a build with the feature `pfx`."))
}

/// Prepares the key for signing. Errors: `invalid_input` at `place`.
pub(super) fn key_pair(key: &PrivateKeyDer<'_>, place: &str) -> Result<KeyPair, Failure> {
    let opened = match key {
        PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => {
            let der = key.secret_pkcs8_der();
            if memmem::find(der, RSA).is_none() && memmem::find(der, EC).is_some() {
                return Err(not_rsa(place));
            }
            KeyPair::from_pkcs8(der)
        }
        _ => return Err(not_rsa(place)),
    };
    opened.map_err(|error| {
        let message = format!("The private key cannot be used: {error}.");
        Failure::invalid_input(place, message)
            .advice("Set the unencrypted RSA key (PKCS#8 or PKCS#1, 2048 to 4096 bits) of the registered certificate.")
    })
}

/// Returns whether the certificate is for this key: it contains the public key as the key itself
/// encodes it.
pub(super) fn is_certificate_of(certificate: &[u8], key: &KeyPair) -> bool {
    memmem::find(certificate, key.public().as_ref()).is_some()
}
