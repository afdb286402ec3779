//! The TLS configuration: ring, built-in trust roots, additional roots, and those of the system.
//!
//! The system's roots are read only on request, because that takes milliseconds. With
//! [`Trust::Insecure`] every certificate is trusted. Does not warn of it: the host does.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::protocol::Failure;

/// The trusted certificates.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Certificates that the built-in or additional trust roots issued.
    Roots {
        /// Additional trust roots.
        extra: Vec<ExtraRoots>,
        /// True to also trust the roots of the system.
        system: bool,
    },
    /// All certificates.
    Insecure,
}

impl Default for Trust {
    fn default() -> Self {
        Trust::Roots {
            extra: Vec::new(),
            system: false,
        }
    }
}

/// Additional trust roots, and the operator's setting that names them.
#[derive(Clone, Debug)]
pub struct ExtraRoots {
    /// One or more certificates as PEM text.
    pub pem: String,
    /// The setting: `--ca-file` or `--endpoints`.
    pub setting: &'static str,
}

/// Builds the configuration. Errors: `invalid_input` at the setting of a certificate that cannot be
/// read.
pub fn config(trust: &Trust) -> Result<ClientConfig, Failure> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            Failure::invalid_input("--ca-file", format!("No usable TLS version: {error}."))
        })?;
    let builder = match trust {
        Trust::Roots { extra, system } => builder.with_root_certificates(roots(extra, *system)?),
        Trust::Insecure => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAll(provider()))),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The cryptography provider.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Accepts every certificate. The server must still have its private key.
#[derive(Debug)]
struct AcceptAll(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn roots(extra: &[ExtraRoots], system: bool) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for extra in extra {
        add(&mut store, extra)?;
    }
    if system {
        add_system(&mut store)?;
    }
    Ok(store)
}

fn add(store: &mut RootCertStore, extra: &ExtraRoots) -> Result<(), Failure> {
    let invalid = |number: usize, why: &dyn std::fmt::Display| {
        Failure::invalid_input(
            extra.setting,
            format!("Certificate {number} is not readable as PEM: {why}."),
        )
        .advice("Set certificates as PEM text, each between BEGIN and END CERTIFICATE lines.")
    };
    let mut number = 0;
    for certificate in CertificateDer::pem_slice_iter(extra.pem.as_bytes()) {
        number += 1;
        let certificate = certificate.map_err(|error| invalid(number, &error))?;
        store
            .add(certificate)
            .map_err(|error| invalid(number, &error))?;
    }
    match number {
        0 => Err(invalid(1, &"no certificate found")),
        _ => Ok(()),
    }
}

fn add_system(store: &mut RootCertStore) -> Result<(), Failure> {
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(());
    }
    let why = found
        .errors
        .first()
        .map_or("the store is empty".to_owned(), ToString::to_string);
    let message = format!("No trust root could be read from this system: {why}.");
    Err(Failure::invalid_input("--system-roots", message)
        .advice("Install the system's CA certificates, or omit --system-roots."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pem: &str) -> Result<ClientConfig, Failure> {
        config(&Trust::Roots {
            extra: vec![ExtraRoots {
                pem: pem.to_owned(),
                setting: "--ca-file",
            }],
            system: false,
        })
    }

    #[test]
    fn default_configuration_offers_http2() {
        let config = config(&Trust::default()).expect("a configuration");
        assert_eq!(
            config.alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
    }

    #[test]
    fn invalid_certificate_is_refused_at_its_setting() {
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "not PEM at all", garbled] {
            let failure = with(pem).expect_err("not a certificate");
            assert_eq!(failure.place(), Some("--ca-file"));
            assert!(failure.message().starts_with("Certificate 1 is not"));
        }
    }
}
