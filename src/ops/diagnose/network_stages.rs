//! The stages before the sign-in: name resolution, TLS, proxy and clock.
//!
//! One request without a token is sent to each address that the diagnosis uses. Every response
//! means that the address was reached.

use chrono::TimeDelta;
use futures_util::future::join_all;
use url::{Host, Url};

use crate::microsoft::connection::Credential;
use crate::net::ServiceDate;
use crate::ops::connection::Service;
use crate::ops::diagnose::diagnosis::Diagnosis;
use crate::ops::diagnose::stage::{Stage, reason};
use crate::protocol::Failure;

/// A larger difference of the clocks is a warning: sign-ins and windows of time can fail.
const LARGEST_DIFFERENCE: TimeDelta = TimeDelta::minutes(5);

/// An address that the diagnosis uses.
struct Address {
    url: Url,
    proxy: Option<String>,
    /// The services that cannot be used without it.
    services: Vec<Service>,
}

impl Address {
    fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The address with its proxy.
    fn through(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("{} through {proxy}", self.origin()),
            None => self.origin(),
        }
    }

    /// The stage at which a request to it failed.
    fn stage(failure: &Failure) -> &'static str {
        match failure.broken_rule() {
            Some("dns") => "dns",
            Some("proxy") => "proxy",
            _ => "tls",
        }
    }
}

impl Diagnosis<'_> {
    /// Sends one request to each address, and adds the stages.
    pub(super) async fn network(&mut self) {
        let addresses = self.addresses();
        let probes = addresses.iter().map(|address| {
            let probe = self.call.http.probe(&address.url);
            self.limited("name resolution and TLS", probe)
        });
        let outcomes: Vec<Result<Option<ServiceDate>, Failure>> = join_all(probes).await;
        let mut failures = Vec::new();
        for (address, outcome) in addresses.iter().zip(&outcomes) {
            if let Err(failure) = outcome {
                let stage = Address::stage(failure);
                failures.push((stage, address, failure));
                for service in &address.services {
                    self.block(*service, stage);
                }
            }
        }
        for (id, found) in [
            ("dns", names(&addresses)),
            ("tls", self.certificates(&addresses)),
            ("proxy", proxies(&addresses)),
        ] {
            let own = failures.iter().find(|(stage, ..)| *stage == id);
            let all_failed = failures.len() == addresses.len();
            let stage = match (own, failures.first()) {
                (Some((_, address, failure)), _) => unreachable(id, address, failure),
                (None, Some((earlier, ..))) if id == "tls" && all_failed => {
                    Stage::after(id, earlier)
                }
                _ => found,
            };
            self.add(stage);
        }
        let date = outcomes.into_iter().find_map(|outcome| outcome.ok()?);
        let stage = self.clock(date);
        self.add(stage);
    }

    /// The addresses of the sign-in and of the services, each once.
    fn addresses(&self) -> Vec<Address> {
        let cloud = &self.call.connection.cloud;
        let all = self.services();
        let mut wanted = Vec::new();
        // A machine's identity endpoint answers only with its own header.
        if !matches!(
            self.call.connection.credential,
            Credential::ManagedIdentity(_)
        ) {
            wanted.push((&cloud.login, all.clone()));
        }
        for service in all {
            let url = match service {
                Service::Graph => &cloud.graph,
                Service::Management => &cloud.management,
                Service::Exchange => &cloud.exchange,
            };
            wanted.push((url, vec![service]));
        }
        let mut addresses: Vec<Address> = Vec::new();
        for (url, services) in wanted {
            let known = addresses
                .iter_mut()
                .find(|known| known.url.origin() == url.origin());
            match known {
                Some(known) => known.services.extend(services),
                None => addresses.push(Address {
                    url: url.clone(),
                    proxy: self.call.http.proxy_for(url),
                    services,
                }),
            }
        }
        addresses
    }

    fn certificates(&self, addresses: &[Address]) -> Stage {
        let origins: Vec<String> = addresses.iter().map(Address::origin).collect();
        let origins = origins.join(", ");
        if self.call.http.is_insecure() {
            return Stage::warn(
                "tls",
                format!("{origins} answered. Certificates are not checked."),
                "Add the missing root with --ca-file, and remove \"trust any certificate\" from the connection.",
            );
        }
        let is_plain = addresses
            .iter()
            .all(|address| address.url.scheme() == "http");
        let how = if is_plain {
            "without TLS"
        } else {
            "with trusted certificates"
        };
        Stage::pass("tls", format!("{origins} answered {how}."))
    }

    /// Compares the clocks. Later stages use the service's time.
    fn clock(&mut self, date: Option<ServiceDate>) -> Stage {
        let Some(ServiceDate { date, after }) = date else {
            return match self.blocked_by(&self.services()) {
                Some(failed) => Stage::after("clock", failed),
                None => Stage::skipped("clock", "The service sent no time."),
            };
        };
        let after = TimeDelta::from_std(after).unwrap_or_default();
        let difference = self.call.now + after - date;
        self.now = date;
        let (size, direction) = match difference.abs() {
            size if difference < TimeDelta::zero() => (size, "behind"),
            size => (size, "ahead of"),
        };
        if size < TimeDelta::minutes(1) {
            let detail = "This machine's clock agrees with the service's time.";
            return Stage::pass("clock", detail);
        }
        let minutes = (size + TimeDelta::seconds(30)).num_minutes();
        let detail =
            format!("This machine's clock is {minutes} minutes {direction} the service's time.");
        if size <= LARGEST_DIFFERENCE {
            return Stage::pass("clock", detail);
        }
        Stage::warn(
            "clock",
            format!(
                "{detail} Windows of time miss the newest data or are refused, and sign-ins with a certificate fail."
            ),
            "Set the clock of this machine, for example with NTP.",
        )
    }
}

fn unreachable(id: &'static str, address: &Address, failure: &Failure) -> Stage {
    let detail = reason(failure);
    let prefix = format!("{}: ", address.origin());
    let detail = detail.strip_prefix(&prefix).unwrap_or(&detail);
    let usual = "Check the firewall and the proxy of this machine.";
    let remedy = failure.assistance().unwrap_or(usual);
    Stage::fail(id, format!("{}: {detail}", address.through()), remedy)
}

fn names(addresses: &[Address]) -> Stage {
    let is_name = |address: &&Address| matches!(address.url.host(), Some(Host::Domain(_)));
    let (through_proxy, own): (Vec<&Address>, Vec<&Address>) = addresses
        .iter()
        .filter(is_name)
        .partition(|address| address.proxy.is_some());
    let own: Vec<&str> = own
        .iter()
        .filter_map(|address| address.url.host_str())
        .collect();
    let detail = match (own.as_slice(), through_proxy.is_empty()) {
        ([], true) => "No name to resolve: the addresses are IP addresses.".to_owned(),
        ([], false) => "The proxy resolves the names.".to_owned(),
        (own, _) => format!("{} can be resolved.", own.join(", ")),
    };
    Stage::pass("dns", detail)
}

fn proxies(addresses: &[Address]) -> Stage {
    let used = addresses.iter().filter(|address| address.proxy.is_some());
    let used: Vec<String> = used.map(Address::through).collect();
    let detail = if used.is_empty() {
        "No proxy is used.".to_owned()
    } else {
        format!("{}.", used.join(", "))
    };
    Stage::pass("proxy", detail)
}
