//! A session: a connection made usable for one run.
//!
//! It picks cloud and credential, owns the client and the tokens' memory, opens the vault, and hands an operation
//! all it may touch. What the operation does is not its business.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::host::close::Counts;
use crate::host::secrets::Secrets;
use crate::host::vault::Vault;
use crate::host::{Cancel, Checked, Opened, TIMEOUT};
use crate::identity::cache::TokenCache;
use crate::identity::{Credential, SignIn, TokenStore};
use crate::manifest::Bound;
use crate::microsoft::{Cloud, Connection};
use crate::net::tls::{ExtraRoots, Trust};
use crate::net::transcript::Rehearsed;
use crate::net::{Caller, Deadline, HttpClient, HttpSettings, Proxy, Transcript};
use crate::ops::{Call, Limits, Operation, Reply};
use crate::protocol::{Failure, Redactor, Secret};

/// What every run of a process shares: one client, and the tokens that were got so far.
#[derive(Debug, Default)]
pub(super) struct Net {
    client: OnceLock<HttpClient>,
    tokens: TokenCache,
}

/// The connection that a binding describes, if the operation needs one; its shapes are checked,
/// nothing is sent.
pub(super) fn connection(
    operation: &Operation,
    bound: &Bound,
    mut secrets: Secrets,
    operator: Option<&str>,
) -> Result<Connection, Failure> {
    if !operation.connects {
        return Connection::nobody();
    }
    let slot = |name: &str| {
        bound
            .connection
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let named = Cloud::named(slot("cloud"))?;
    let cloud = match operator {
        None => named,
        Some(text) => Cloud::from_operator(text, &named)?.cloud,
    };
    let secret = secrets
        .remove("client_secret")
        .unwrap_or_else(|| Secret::new(""));
    let credential = Credential::ClientSecret(secret);
    let opened = Connection::new(cloud, slot("tenant_id"), slot("client_id"), credential);
    let named = opened.and_then(|opened| {
        let publisher = slot("publisher");
        opened.published_by(publisher).map_err(|fault| vec![fault])
    });
    named.map_err(|faults| {
        let placed = faults
            .into_iter()
            .map(|fault| fault.relocated(&bound.places))
            .collect();
        Failure::join(placed).unwrap_or_else(super::internal)
    })
}

/// One run's session.
pub(super) struct Session {
    caller: Caller,
    tokens: TokenCache,
    redactor: Redactor,
}

impl Opened {
    /// Opens the session of a checked request.
    pub(super) fn session(
        &self,
        checked: &Checked<'_>,
        cancel: &Cancel,
        redactor: Redactor,
    ) -> Result<Session, Failure> {
        let options = &checked.envelope.options;
        let allowed = options
            .timeout_ms
            .or(checked.target.command.limits.timeout_ms);
        let allowed = allowed.map_or(TIMEOUT, Duration::from_millis);
        let transcript = if options.dry_run {
            Transcript::dry_run()
        } else {
            Transcript::default()
        };
        let deadline = Deadline::new(allowed, cancel);
        let caller = Caller::new(self.client()?, deadline, checked.head.id(), transcript);
        Ok(Session {
            caller,
            tokens: self.net.tokens.clone(),
            redactor,
        })
    }

    /// Where tokens outlive a run; a dry run asks for none.
    pub(super) fn vault(&self, checked: &Checked<'_>) -> Option<Vault> {
        let settings = &self.settings;
        let wanted = settings.keeps_tokens && !checked.envelope.options.dry_run;
        let folder = settings.state.as_deref().filter(|_| wanted)?;
        Some(Vault::new(folder, settings.clock))
    }

    /// The one client of the process, made when first needed.
    fn client(&self) -> Result<HttpClient, Failure> {
        if let Some(client) = self.net.client.get() {
            return Ok(client.clone());
        }
        let settings = &self.settings;
        let mut extra = Vec::new();
        if let Some(file) = &settings.roots {
            let pem = super::read("--ca-file", file)?;
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
        let client = HttpClient::new(&HttpSettings {
            trust: Trust {
                extra,
                system: settings.system_roots,
            },
            proxy: if settings.direct {
                Proxy::Off
            } else {
                Proxy::Environment
            },
            pace: settings.pace,
            ..HttpSettings::default()
        })?;
        Ok(self.net.client.get_or_init(|| client).clone())
    }
}

impl Session {
    /// Stage 5.
    pub(super) async fn carry_out(
        &self,
        checked: &Checked<'_>,
        vault: Option<&Vault>,
    ) -> Result<Reply, Failure> {
        let connection = &checked.connection;
        let account = connection.account();
        let sign_in = SignIn::new(
            &self.caller,
            account,
            self.tokens.clone(),
            self.redactor.clone(),
        )
        .keeping(vault.map(|vault| vault as &dyn TokenStore));
        let options = &checked.envelope.options;
        let call = Call {
            connection,
            http: &self.caller,
            tokens: &sign_in,
            now: checked.now,
            state: checked.state.as_ref(),
            kept: options.state_key.is_some(),
            overlap: checked.target.command.overlap(checked.now),
            limits: Limits {
                max_events: options
                    .max_events
                    .or(checked.target.command.limits.max_events),
            },
        };
        let input = Value::Object(checked.bound.input.clone());
        checked.target.operation.run(&call, &input).await
    }

    /// What the run has used.
    pub(super) fn counts(&self) -> Counts {
        let usage = self.caller.usage();
        Counts {
            calls: usage.calls,
            retries: usage.retries,
            bytes_received: usage.bytes_received,
            token_source: usage.token_source,
            ..Counts::default()
        }
    }

    /// The requests of a dry run; lanes run side by side, so they are put in one order.
    pub(super) fn requests(&self) -> Vec<Rehearsed> {
        let mut requests = self.caller.transcript().requests();
        requests
            .sort_by(|a, b| (a.service != "login", &a.url).cmp(&(b.service != "login", &b.url)));
        requests
    }
}
