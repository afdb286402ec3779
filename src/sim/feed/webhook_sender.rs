//! Sends requests to webhooks on loopback. It trusts the certificate authority of its own simulator
//! only, follows no redirects and does not retry. A webhook with another address counts as
//! unreachable.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

/// The time-out of a webhook.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct WebhookSender {
    authority: Option<String>,
}

pub(super) struct Message<'a> {
    pub(super) kind: &'a str,
    /// The value of `Webhook-AuthID`; none if it is empty.
    pub(super) auth_id: &'a str,
    /// The value of `Webhook-ValidationCode`.
    pub(super) validation_code: Option<&'a str>,
    pub(super) body: String,
}

impl WebhookSender {
    pub(super) fn new(authority: Option<&str>) -> Self {
        Self {
            authority: authority.map(str::to_owned),
        }
    }

    /// Sends a message; returns the status of the response, if there was one.
    pub(super) async fn post(&self, address: &str, message: Message<'_>) -> Option<u16> {
        let url = Url::parse(address).ok().filter(is_loopback)?;
        // The client is not stored: webhooks are rare, and it would slow down each start of a
        // simulator.
        let client = self.client()?;
        let call = client.post(url).header("Content-Type", message.kind);
        let call = with_header(call, "Webhook-AuthID", Some(message.auth_id));
        let call = with_header(call, "Webhook-ValidationCode", message.validation_code);
        let answer = call.body(message.body).send().await.ok()?;
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
            .timeout(TIMEOUT)
            .no_proxy();
        client.build().ok()
    }
}

fn with_header(call: RequestBuilder, name: &str, value: Option<&str>) -> RequestBuilder {
    match value {
        Some(value) if !value.is_empty() => call.header(name, value),
        _ => call,
    }
}

fn is_loopback(url: &Url) -> bool {
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
    fn only_loopback_addresses_are_called() {
        let here = |text: &str| is_loopback(&Url::parse(text).unwrap());
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
