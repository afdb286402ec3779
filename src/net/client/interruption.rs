//! Exchanges that ended without a complete response: the stage, the cause and the advice.
//!
//! A response with an error status is complete and is not one of them.

use std::error::Error;
use std::io;
use std::time::Duration;

use url::Url;

use crate::protocol::{Detail, ErrorKind, Failure};

/// The failure of an interrupted exchange, with or without a proxy. It quotes the innermost error.
pub(super) fn interrupted(
    url: &Url,
    error: &reqwest::Error,
    read_timeout: Duration,
    has_proxy: bool,
) -> Failure {
    let host = url.origin().ascii_serialization();
    let why = root_message(error);
    // The resolver appends the query in its debug format.
    let why = why.split(" for Query").next().unwrap_or_default();
    let stage = match Stage::of(error) {
        // The proxy resolves the names of services.
        Stage::Name if has_proxy => Stage::ProxyName,
        stage => stage,
    };
    let (what, cause, advice) = stage.explanation();
    let what = match stage {
        Stage::ReadTimeout => format!("{what} ({} s)", read_timeout.as_secs()),
        _ => what.to_owned(),
    };
    let failure = Failure::new(stage.kind(), format!("{host}: {what}: {why}."));
    // A retry does not change which certificates are trusted.
    let failure = match stage {
        Stage::Certificate => failure.with_detail(Detail::Permanent),
        _ => failure,
    };
    failure.rule(stage.name()).cause(cause).advice(advice)
}

/// The stage at which an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Name,
    ProxyName,
    Tls,
    /// TLS, because of the service's certificate.
    Certificate,
    Proxy,
    ConnectTimeout,
    Connect,
    Compression,
    ReadTimeout,
    Exchange,
}

impl Stage {
    fn of(error: &reqwest::Error) -> Self {
        let chain = chain(error);
        // reqwest has no types for these errors.
        let contains = |words: &[&str]| {
            chain
                .iter()
                .any(|text| words.iter().any(|word| text.contains(word)))
        };
        let tls = tls_error(error);
        match () {
            () if contains(&["dns error"]) => Stage::Name,
            () if contains(&["tunnel", "proxy"]) => Stage::Proxy,
            () if error.is_timeout() && error.is_connect() => Stage::ConnectTimeout,
            () if error.is_timeout() => Stage::ReadTimeout,
            () if tls.is_some_and(is_about_certificate) => Stage::Certificate,
            () if tls.is_some() => Stage::Tls,
            () if error.is_connect() => Stage::Connect,
            () if contains(&["gzip", "deflate", "corrupt"]) => Stage::Compression,
            () => Stage::Exchange,
        }
    }

    /// The name of the step, which is the broken rule of the failure.
    fn name(self) -> &'static str {
        match self {
            Stage::Name => "dns",
            Stage::Proxy | Stage::ProxyName => "proxy",
            Stage::Tls | Stage::Certificate => "tls",
            Stage::ConnectTimeout | Stage::Connect => "connect",
            Stage::Compression | Stage::ReadTimeout | Stage::Exchange => "exchange",
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Stage::Compression => ErrorKind::BadResponse,
            _ => ErrorKind::Network,
        }
    }

    /// The failed step, the usual cause, and the advice.
    fn explanation(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Stage::Name => (
                "the name could not be resolved",
                "Name resolution failed on this machine.",
                "Check the DNS settings of this machine. If only a proxy resolves names, set HTTPS_PROXY.",
            ),
            Stage::ProxyName => (
                "the name of the proxy could not be resolved",
                "The address in HTTPS_PROXY is misspelt, or this machine cannot resolve it.",
                "Correct HTTPS_PROXY, or check the DNS settings of this machine.",
            ),
            Stage::Tls | Stage::Certificate => (
                "the TLS handshake failed",
                "The two sides did not agree on TLS, or the certificate is not trusted.",
                "If a proxy inspects TLS, set its root with --ca-file or use --system-roots.",
            ),
            Stage::Proxy => (
                "the proxy did not open the connection",
                "The proxy in HTTPS_PROXY refused the connection or failed.",
                "Check HTTPS_PROXY and NO_PROXY, and that the proxy allows this host.",
            ),
            Stage::ConnectTimeout => (
                "no connection within the time limit",
                "The address does not respond. A firewall can drop the packets.",
                "Check the firewall and the proxy of this machine.",
            ),
            Stage::Connect => (
                "no connection",
                "The connection was refused or could not be routed.",
                "Check the firewall and the proxy of this machine.",
            ),
            Stage::Compression => (
                "the response could not be decompressed",
                "The compressed body is damaged.",
                "Send the same request again. If the failure persists, check whether a proxy alters responses.",
            ),
            Stage::ReadTimeout => (
                "no response within the time limit",
                "The service accepted the request and then sent no data.",
                "Send the same request again, or increase the time-out of requests.",
            ),
            Stage::Exchange => (
                "the connection broke before the response was complete",
                "The connection was closed.",
                "Send the same request again.",
            ),
        }
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let outermost: &(dyn Error + 'static) = error;
    std::iter::successors(Some(outermost), |&error| error.source())
}

/// The messages of all causes. The outermost error is omitted, because it contains the address.
fn chain(error: &reqwest::Error) -> Vec<String> {
    causes(error)
        .skip(1)
        .map(|error| error.to_string().to_ascii_lowercase())
        .collect()
}

/// Finds the error of rustls. It is nested in I/O errors, which `source` does not show.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| {
        let outermost = cause.downcast_ref::<io::Error>();
        cause.downcast_ref::<rustls::Error>().or_else(|| {
            std::iter::successors(outermost, |error| error.get_ref()?.downcast_ref())
                .filter_map(io::Error::get_ref)
                .find_map(|inner| inner.downcast_ref::<rustls::Error>())
        })
    })
}

fn is_about_certificate(error: &rustls::Error) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    matches!(error, InvalidCertificate(_) | NoCertificatesPresented)
}

/// The message of the innermost error.
pub(super) fn root_message(error: &reqwest::Error) -> String {
    let root = causes(error).last().map(ToString::to_string);
    root.unwrap_or_default().trim_end_matches('.').to_owned()
}
