//! The one TLS configuration: ring, compiled-in roots, extra roots as text, the system's on demand.
//!
//! Reading the system's roots costs milliseconds and is done only when asked for. There is no way
//! to switch verification off: a lab gives its own root.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::protocol::Failure;

/// Whom to trust beside the compiled-in roots.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Further roots.
    pub extra: Vec<ExtraRoots>,
    /// The machine's own store too.
    pub system: bool,
}

/// Further roots, and the operator's setting they came from.
#[derive(Clone, Debug)]
pub struct ExtraRoots {
    /// One or more certificates as PEM text.
    pub pem: String,
    /// The setting, as failures name it: `--ca-file`, `--endpoints`.
    pub setting: &'static str,
}

/// The configuration for that trust; a certificate that cannot be read is `invalid_input` at its
/// setting.
pub fn config(trust: &Trust) -> Result<ClientConfig, Failure> {
    let roots = roots(trust)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            Failure::invalid_input("--ca-file", format!("No usable TLS version: {error}."))
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The one place that names a cryptography provider.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(trust: &Trust) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for extra in &trust.extra {
        add(&mut store, extra)?;
    }
    if trust.system {
        add_system(&mut store)?;
    }
    Ok(store)
}

fn add(store: &mut RootCertStore, extra: &ExtraRoots) -> Result<(), Failure> {
    let wrong = |number: usize, why: &dyn std::fmt::Display| {
        Failure::invalid_input(
            extra.setting,
            format!("Certificate {number} is not readable as PEM: {why}."),
        )
        .advice("Give certificates as PEM text, each between BEGIN and END CERTIFICATE lines.")
    };
    let mut number = 0;
    for certificate in CertificateDer::pem_slice_iter(extra.pem.as_bytes()) {
        number += 1;
        let certificate = certificate.map_err(|error| wrong(number, &error))?;
        store
            .add(certificate)
            .map_err(|error| wrong(number, &error))?;
    }
    match number {
        0 => Err(wrong(1, &"no certificate found")),
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
        .advice("Install the system's CA certificates, or leave --system-roots out."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pem: &str) -> Result<ClientConfig, Failure> {
        config(&Trust {
            extra: vec![ExtraRoots {
                pem: pem.to_owned(),
                setting: "--ca-file",
            }],
            system: false,
        })
    }

    #[test]
    fn the_compiled_in_roots_are_enough_and_http2_is_offered() {
        let config = config(&Trust::default()).expect("a configuration");
        assert_eq!(
            config.alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
    }

    #[test]
    fn what_is_not_a_certificate_is_refused_at_its_setting() {
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "not PEM at all", garbled] {
            let failure = with(pem).expect_err("not a certificate");
            assert_eq!(failure.place(), Some("--ca-file"));
            assert!(failure.message().starts_with("Certificate 1 is not"));
        }
    }
}
