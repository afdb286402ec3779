//! The session of one run: the HTTP client, the tokens and the limits of its operation.
//!
//! The checks before a run are in `prepare`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::host::operator_file::read;
use crate::host::vault::Vault;
use crate::host::{Checked, Opened, TIMEOUT};
use crate::identity::cache::TokenCache;
use crate::identity::{SignIn, SignInContext, TokenStore};
use crate::manifest::{CommandSpec, Slot};
use crate::net::rate_limit::RateLimiter;
use crate::net::tls::{ExtraRoots, Trust};
use crate::net::transcript::DryRunRequest;
use crate::net::{Caller, HttpClient, HttpSettings, Meter, Proxy, Transcript};
use crate::ops::{Call, Needs, Reply};
use crate::protocol::envelope::Options;
use crate::protocol::result::Metrics;
use crate::protocol::{Failure, Warning};

/// The parts that all runs of a process share: clients, rate limits and cached tokens.
#[derive(Debug, Default)]
pub(super) struct Net {
    clients: Mutex<HashMap<Variant, HttpClient>>,
    rate_limiter: RateLimiter,
    tokens: TokenCache,
}

/// The connection settings of a client. Each combination has its own client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Variant {
    insecure_tls: bool,
    proxied: bool,
    read_timeout: Option<u64>,
}

impl Variant {
    fn of(checked: &Checked<'_>) -> Self {
        let bound = &checked.bound;
        let timeout = bound.value(Slot::CallTimeout);
        Variant {
            insecure_tls: bound.flag(Slot::TrustAnyCertificate) == Some(true),
            proxied: bound.flag(Slot::UseProxy) != Some(false),
            read_timeout: timeout.and_then(Value::as_u64),
        }
    }
}

/// The time limit of a command. It starts before the request is parsed.
pub(super) fn time_limit(options: &Options, command: &CommandSpec) -> Duration {
    let milliseconds = options.timeout_ms.or(command.limits.timeout_ms);
    milliseconds.map_or(TIMEOUT, Duration::from_millis)
}

impl Checked<'_> {
    /// Counts the requests and bytes of this run.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }
}

/// The warning of a run with insecure TLS.
pub(super) fn insecure_tls(checked: &Checked<'_>) -> Option<Warning> {
    let needs = checked.target.operation.needs;
    let calls_service = matches!(needs, Needs::Credential | Needs::DeviceCode);
    if !calls_service || !Variant::of(checked).insecure_tls {
        return None;
    }
    let message = "Any certificate was trusted: anyone on the network path could read and change the traffic, including the sign-in. Add the missing root with --ca-file instead.";
    let place = checked.bound.place(Slot::TrustAnyCertificate);
    Some(Warning::new("any_certificate_trusted", message).at(place))
}

/// One run's session.
pub(super) struct Session {
    caller: Caller,
    context: SignInContext,
}

impl Opened {
    /// Opens the session of a checked request.
    pub(super) fn session(&self, checked: &Checked<'_>) -> Result<Session, Failure> {
        let options = &checked.envelope.options;
        let transcript = if options.dry_run {
            Transcript::dry_run()
        } else {
            Transcript::default()
        };
        let caller = Caller::new(
            self.client(Variant::of(checked))?,
            checked.deadline.clone(),
            checked.head.id(),
            transcript,
        )
        .with_memory(self.settings.memory.renewed())
        .with_meter(checked.meter.clone());
        Ok(Session {
            caller,
            context: SignInContext {
                cache: self.net.tokens.clone(),
                redactor: checked.redactor.clone(),
                clock: self.settings.clock,
            },
        })
    }

    /// The stored tokens; none for a dry run, which needs no token.
    pub(super) fn vault(&self, checked: &Checked<'_>) -> Option<Vault> {
        let settings = &self.settings;
        let is_used = settings.stores_tokens() && !checked.envelope.options.dry_run;
        let folder = settings.state.as_deref().filter(|_| is_used)?;
        let operator_key = settings.vault_key.clone();
        Some(Vault::new(folder, settings.clock, operator_key))
    }

    /// The client with these settings, created when first needed.
    fn client(&self, variant: Variant) -> Result<HttpClient, Failure> {
        let clients = &self.net.clients;
        let mut clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&variant) {
            return Ok(client.clone());
        }
        let client = HttpClient::new(&self.http_settings(variant)?);
        let client = client.map_err(|failure| self.located(failure))?;
        clients.insert(variant, client.clone());
        Ok(client)
    }

    /// Adds the file to a fault of the operator's certificates.
    fn located(&self, failure: Failure) -> Failure {
        let settings = &self.settings;
        let roots = settings.roots.as_deref();
        failure.reworded_each(|at, message| match (at, roots, &settings.endpoints) {
            (Some("--ca-file"), Some(path), _) => {
                format!(
                    "The file of --ca-file is invalid: {}: {message}",
                    path.display()
                )
            }
            (Some("--endpoints"), _, Some(file)) => {
                file.located_message("--endpoints", "/ca", message)
            }
            _ => message.to_owned(),
        })
    }

    fn http_settings(&self, variant: Variant) -> Result<HttpSettings, Failure> {
        let settings = &self.settings;
        let default = HttpSettings::default();
        let proxied = variant.proxied && !settings.direct;
        Ok(HttpSettings {
            trust: self.trust(variant)?,
            proxy: if proxied {
                Proxy::Environment
            } else {
                Proxy::Off
            },
            retry_policy: settings.retry_policy,
            rate_limiter: self.net.rate_limiter.clone(),
            read_timeout: variant
                .read_timeout
                .map_or(default.read_timeout, Duration::from_secs),
            ..default
        })
    }

    fn trust(&self, variant: Variant) -> Result<Trust, Failure> {
        if variant.insecure_tls {
            return Ok(Trust::Insecure);
        }
        let settings = &self.settings;
        let mut extra = Vec::new();
        if let Some(file) = &settings.roots {
            let pem = read("--ca-file", file)?;
            extra.push(ExtraRoots {
                pem,
                setting: "--ca-file",
            });
        }
        if let Some(pem) = self.operator_ca.clone() {
            extra.push(ExtraRoots {
                pem,
                setting: "--endpoints",
            });
        }
        Ok(Trust::Roots {
            extra,
            system: settings.system_roots,
        })
    }
}

impl Session {
    /// Stage 5: runs the operation.
    pub(super) async fn run(
        &self,
        checked: &Checked<'_>,
        vault: Option<&Vault>,
    ) -> Result<Reply, Failure> {
        let connection = &checked.connection;
        let account = connection.account();
        let store = vault.map(|vault| vault as &dyn TokenStore);
        let sign_in = SignIn::new(&self.caller, account, self.context.clone()).with_store(store);
        let options = &checked.envelope.options;
        let call = Call {
            connection,
            http: &self.caller,
            tokens: &sign_in,
            now: checked.now,
            state: checked.state.as_ref(),
            is_stored: options.state_key.is_some(),
            overlap: checked.target.command.overlap(checked.now),
            max_events: options
                .max_events
                .or(checked.target.command.limits.max_events),
        };
        let input = Value::Object(checked.bound.input.clone());
        let ran = checked.target.operation.run(&call, &input).await;
        // A certificate is parsed when it signs an assertion.
        ran.map_err(|failure| checked.bound.located(failure))
    }

    /// The metrics of the run. Records and events are counted later.
    pub(super) fn metrics(&self) -> Metrics {
        let usage = self.caller.usage();
        Metrics {
            calls: usage.calls,
            retries: usage.retries,
            bytes_received: usage.bytes_received,
            token_source: usage.token_source.name(),
            ..Metrics::default()
        }
    }

    /// The requests of a dry run, sorted: parallel requests have no fixed order.
    pub(super) fn requests(&self) -> Vec<DryRunRequest> {
        let mut requests = self.caller.transcript().requests();
        requests
            .sort_by(|a, b| (a.service != "login", &a.url).cmp(&(b.service != "login", &b.url)));
        requests
    }
}

#[cfg(test)]
mod tests;
