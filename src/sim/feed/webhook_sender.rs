//! Posts to webhooks on this machine, and to no other.
//!
//! It trusts the authority of its own simulator alone, follows nothing and tries nothing twice.
//! An address elsewhere counts as one that does not answer; deliberately no name is looked up but
//! `localhost`.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

/// How long a webhook may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Posts to webhooks.
pub(super) struct Messenger {
    authority: Option<String>,
}

/// One message to a webhook.
pub(super) struct Letter<'a> {
    /// Its content type.
    pub(super) kind: &'a str,
    /// What it carries as `Webhook-AuthID`, unless it is empty.
    pub(super) auth_id: &'a str,
    /// What it carries as `Webhook-ValidationCode`.
    pub(super) validation_code: Option<&'a str>,
    /// Its body.
    pub(super) body: String,
}

impl Messenger {
    /// A messenger who trusts an authority given as PEM, or nobody.
    pub(super) fn new(authority: Option<&str>) -> Self {
        Self {
            authority: authority.map(str::to_owned),
        }
    }

    /// Posts a message; gives the status of the answer, if there was one.
    pub(super) async fn post(&self, address: &str, letter: Letter<'_>) -> Option<u16> {
        let url = Url::parse(address).ok().filter(is_here)?;
        // Webhooks are rare: a client that is kept would cost every start of a simulator.
        let client = self.client()?;
        let call = client.post(url).header("Content-Type", letter.kind);
        let call = marked(call, "Webhook-AuthID", Some(letter.auth_id));
        let call = marked(call, "Webhook-ValidationCode", letter.validation_code);
        let answer = call.body(letter.body).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    fn client(&self) -> Option<Client> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.authority {
            let root = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
            roots.add(root).ok()?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(config)
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .no_proxy();
        client.build().ok()
    }
}

fn marked(call: RequestBuilder, name: &str, value: Option<&str>) -> RequestBuilder {
    match value {
        Some(value) if !value.is_empty() => call.header(name, value),
        _ => call,
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_called() {
        let here = |text: &str| is_here(&Url::parse(text).unwrap());
        for address in [
            "https://127.8.0.1/x",
            "https://[::1]:4/",
            "https://LOCALHOST/",
        ] {
            assert!(here(address), "{address}");
        }
        for address in [
            "https://10.0.0.1/",
            "https://localhost.example.test/",
            "https://[2001:db8::1]/",
            "mailto:a@localhost",
        ] {
            assert!(!here(address), "{address}");
        }
    }
}
