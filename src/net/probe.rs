//! Probes: one request to an address without a token, to find the step that fails.
//!
//! A response of any status is a success. A probe is sent once and never retried. Does not
//! interpret failures: `ops::diagnose` does.

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::net::auth::Auth;
use crate::net::caller::{Access, Caller, ServiceDate};
use crate::net::client::{HttpClient, Proxy};
use crate::net::message::{ApiRequest, is_loopback};
use crate::net::retry::Repeat;
use crate::net::tls::Trust;
use crate::protocol::Failure;

impl Caller {
    /// Sends a request to the address. Returns the service's time, if the response has one.
    ///
    /// Errors: there was no response. The broken rule of the failure is the step that failed:
    /// `dns`, `proxy`, `connect`, `tls` or `exchange`.
    pub async fn probe(&self, url: &Url) -> Result<Option<ServiceDate>, Failure> {
        let request = ApiRequest {
            repeat: Repeat::Never,
            ..ApiRequest::get("probe", url.clone())
        };
        let access = Access {
            auth: Auth::None,
            classify: |_| None,
        };
        let date = match self.send(request, access).await {
            Ok(response) => response.date(),
            Err(failure) if failure.http_status().is_some() => failure.service_date(),
            Err(failure) => return Err(failure),
        };
        Ok(date.map(|date| self.dated(date)))
    }

    /// The address of the proxy for requests to this address, without its credentials.
    pub fn proxy_for(&self, url: &Url) -> Option<String> {
        self.client.proxy_for(url)
    }

    /// Returns whether every certificate is accepted.
    pub fn is_insecure(&self) -> bool {
        matches!(self.client.settings.trust, Trust::Insecure)
    }
}

impl HttpClient {
    /// The address of the proxy for requests to this address, without its credentials.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<String> {
        if self.settings.proxy == Proxy::Off || is_loopback(url) {
            return None;
        }
        // As reqwest does.
        let proxy = Matcher::from_env().intercept(&url.as_str().parse().ok()?)?;
        let mut proxy = Url::parse(&proxy.uri().to_string()).ok()?;
        // An address without user and password always accepts this.
        let _ = proxy.set_username("").and(proxy.set_password(None));
        Some(proxy.origin().ascii_serialization())
    }
}
