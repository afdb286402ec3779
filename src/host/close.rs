//! Closing: one shape for success, partial success and failure.
//!
//! The only place that builds a [`ResultEnvelope`].

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value};

use crate::host::catalog::Target;
use crate::host::secrets;
use crate::json::Document;
use crate::manifest::{CommandSpec, Permission};
use crate::names::alike;
use crate::net::transcript::Rehearsed;
use crate::ops::Reply;
use crate::output::{self, Presentation, Presented};
use crate::protocol::envelope::{Envelope, Meta, Options, Section};
use crate::protocol::failure::{Codes, ErrorBlock, ErrorKind, Failure, FaultItem};
use crate::protocol::result::{Metrics, ReturnData};
use crate::protocol::{Detail, PROTOCOL, Redactor, ResultEnvelope, State, Watch};

use super::stop::Stop;
use super::{Checked, redact};

/// The largest `meta` that the reproduction line repeats, in bytes.
const MAX_META: usize = 4096;

/// At most this many single faults of a failure are logged.
const LOGGED_FAULTS: usize = 20;

/// What is known of a request for its answer, filled in stage by stage.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) id: Option<String>,
    pub(super) meta: Meta,
    integration: Option<String>,
    command: Option<String>,
    title: String,
    indicator: String,
    codes: Codes,
    permissions: Vec<Permission>,
    state: Option<State>,
    reproduce: Option<Value>,
    /// The operator's settings as flags for a shell, each after a blank.
    pub(super) flags: String,
    started: Instant,
}

/// What a run counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) retries: u64,
    pub(super) bytes_received: u64,
    pub(super) token_source: &'static str,
    pub(super) records: u64,
    pub(super) events: u64,
}

impl Head {
    /// Nothing is known yet.
    pub(super) fn unread(started: Instant) -> Self {
        Head {
            id: None,
            meta: Meta::default(),
            integration: None,
            command: None,
            title: "Request".to_owned(),
            indicator: "Request failed.".to_owned(),
            codes: Codes::new(),
            permissions: Vec::new(),
            state: None,
            reproduce: None,
            flags: String::new(),
            started,
        }
    }

    /// The envelope is known.
    pub(super) fn new(envelope: &Envelope, started: Instant) -> Self {
        let id = envelope
            .id
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        Head {
            id: Some(id),
            meta: envelope.meta.clone(),
            state: envelope.read_state().ok().flatten(),
            // Only the log tells it.
            reproduce: tracing::enabled!(tracing::Level::ERROR)
                .then(|| reproducible(envelope).map(given))
                .flatten(),
            ..Head::unread(started)
        }
    }

    /// The state to go on from is known; a run that fails leaves it as it is.
    pub(super) fn resume(&mut self, state: Option<&State>) {
        self.state = state.cloned();
    }

    /// When the request was read.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The id that joins three logs.
    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// The command is known. Literal secrets are struck out of what is kept for the log.
    pub(super) fn address(&mut self, target: &Target<'_>, parameters: &Map<String, Value>) {
        let command: &CommandSpec = target.command;
        self.integration = Some(target.manifest.full_id());
        self.command = Some(command.id.clone());
        self.title.clone_from(&command.title);
        self.indicator = command.indicator();
        self.codes.clone_from(&target.manifest.codes);
        self.permissions.clone_from(&command.permissions);
        let is_secret = |key: &str| {
            let found = target
                .manifest
                .connection
                .iter()
                .find(|param| param.names().any(|name| alike(name, key)));
            found.is_none_or(|param| param.secret)
        };
        if let Some(kept) = &mut self.reproduce
            && kept["connection"].is_object()
        {
            kept["connection"] = Value::Object(secrets::shown(parameters, is_secret));
        }
    }

    /// Refused before anything was sent.
    pub(super) fn refuse(self, failure: Failure, redactor: &Redactor) -> ResultEnvelope {
        let counts = Counts::default();
        let mut result = self.fail(failure, counts);
        // Nothing stops this: a refusal is short.
        let _ = redact::strike(&mut result, redactor, &|| false);
        self.report(&result);
        result
    }

    /// Failed: D3's form, and every key.
    pub(super) fn fail(&self, failure: Failure, counts: Counts) -> ResultEnvelope {
        log_source(&failure);
        let error = self.advised(failure).close(&self.indicator, &self.codes);
        let sentence = format!(
            "{} Status Code: {}. Message: {}",
            error.failure_indicator, error.status_code, error.message
        );
        let mut result = self.empty(ReturnData::Failed, sentence, counts);
        result.error = Some(error);
        result.state.clone_from(&self.state);
        result
    }

    /// A missing permission is named from the manifest.
    fn advised(&self, failure: Failure) -> Failure {
        // The login service's own codes have advice of their own: no permission was looked at yet.
        let at_login = failure
            .vendor_code()
            .is_some_and(|code| code.starts_with("AADSTS"));
        let other = at_login || failure.detail() == Some(Detail::StatedReason);
        if failure.kind() != ErrorKind::Forbidden || other || self.permissions.is_empty() {
            return failure;
        }
        let texts = [failure.message(), failure.assistance().unwrap_or_default()];
        let said =
            |permission: &&Permission| texts.iter().any(|text| text.contains(&permission.name));
        let mut meant: Vec<&Permission> = self.permissions.iter().filter(said).collect();
        if meant.is_empty() {
            meant = self.permissions.iter().collect();
        }
        let distinct = |texts: Vec<&str>, between: &str| {
            let mut once: Vec<&str> = Vec::new();
            for text in texts {
                if !once.contains(&text) {
                    once.push(text);
                }
            }
            once.join(between)
        };
        let names = meant.iter().map(|permission| permission.name.as_str());
        let grants = meant.iter().map(|permission| permission.grant.word());
        let (names, grants) = (
            distinct(names.collect(), ", "),
            distinct(grants.collect(), " or "),
        );
        failure.advice(format!(
            "Grant {names} ({grants}) and give admin consent, then send the request again."
        ))
    }

    /// Nothing was sent; the requests that would have been are the context.
    pub(super) fn rehearsed(&self, requests: &[Rehearsed], counts: Counts) -> ResultEnvelope {
        let sentence = format!("{}: dry run, nothing was sent.", self.title);
        let mut result = self.empty(ReturnData::Successful, sentence, counts);
        result.context_data = Document::from_value(&requests).ok();
        result.state.clone_from(&self.state);
        result
    }

    fn empty(&self, return_data: ReturnData, sentence: String, counts: Counts) -> ResultEnvelope {
        let elapsed = self.started.elapsed().as_millis();
        ResultEnvelope {
            protocol: PROTOCOL,
            id: self.id.clone(),
            integration: self.integration.clone(),
            command: self.command.clone(),
            return_data,
            result: sentence,
            error: None,
            events: None,
            key_fields: None,
            context_data: None,
            raw_data: None,
            readable: None,
            coverage: None,
            state: None,
            more: false,
            warnings: Vec::new(),
            metrics: Metrics {
                host_version: env!("CARGO_PKG_VERSION"),
                duration_ms: u64::try_from(elapsed).unwrap_or(u64::MAX),
                calls: counts.calls,
                retries: counts.retries,
                bytes_received: counts.bytes_received,
                token_source: if counts.token_source.is_empty() {
                    "none"
                } else {
                    counts.token_source
                },
                records: counts.records,
                events: counts.events,
            },
            meta: self.meta.clone(),
        }
    }

    /// Logs the outcome: its warnings, and what failed with cause, advice, places, and the command
    /// line that reproduces it.
    pub(super) fn report(&self, result: &ResultEnvelope) {
        for warning in &result.warnings {
            tracing::warn!("{}: {}", warning.code, one_line(&warning.message));
        }
        let outcome = one_line(&result.result);
        let Some(error) = &result.error else {
            return tracing::info!("{outcome}");
        };
        let cause = one_line(&error.cause);
        let advice = one_line(&error.assistance);
        let (at, faults) = (error.at.as_deref().map(one_line), faults(error));
        let (at, faults) = (at.as_deref(), faults.as_deref());
        let at = at.filter(|_| faults.is_none());
        if result.return_data != ReturnData::Failed {
            return tracing::warn!(cause, advice, at, fault = faults, "{outcome}");
        }
        let reproduce = self.reproduction();
        let reproduce = reproduce.as_deref();
        tracing::error!(cause, advice, at, fault = faults, reproduce, "{outcome}");
    }

    /// The command line that runs the request again.
    fn reproduction(&self) -> Option<String> {
        let request = self.reproduce.as_ref().filter(|_| self.command.is_some())?;
        let quoted = request.to_string().replace('\'', "'\\''");
        Some(format!("echo '{quoted}' | soarhost run{}", self.flags))
    }
}

/// The single faults, one per line, if the failure does not say the same already.
fn faults(error: &ErrorBlock) -> Option<String> {
    let own = |item: &FaultItem| item.at == error.at && item.message == error.message;
    if error.items.is_empty() || matches!(error.items.as_slice(), [item] if own(item)) {
        return None;
    }
    let line = |item: &FaultItem| {
        let at = item.at.as_deref().map(|at| format!("{at}: "));
        one_line(&format!("{}{}", at.unwrap_or_default(), item.message))
    };
    let mut lines: Vec<String> = error.items.iter().take(LOGGED_FAULTS).map(line).collect();
    let rest = error.items.len() - lines.len();
    if rest > 0 {
        lines.push(format!("{rest} more; see `error.items` of the result"));
    }
    Some(lines.join("\n"))
}

/// One line, whatever a service's words hold.
fn one_line(words: &str) -> String {
    let words: Vec<&str> = words.split(char::is_control).collect();
    words.join(" ").replace(['\u{2028}', '\u{2029}'], " ")
}

/// The request for the reproduction line; a large `meta` is left out, because it changes nothing.
fn reproducible(envelope: &Envelope) -> Option<Value> {
    if envelope.meta.bytes() <= MAX_META {
        return serde_json::to_value(envelope).ok();
    }
    let meta = Meta::default();
    serde_json::to_value(Envelope {
        meta,
        ..envelope.clone()
    })
    .ok()
}

/// What was said, without what was left to its default.
fn given(mut value: Value) -> Value {
    if let Value::Object(object) = &mut value {
        object
            .values_mut()
            .for_each(|member| *member = given(member.take()));
        object.retain(|_, member| match member {
            Value::Null | Value::Bool(false) => false,
            Value::Object(inner) => !inner.is_empty(),
            _ => true,
        });
    }
    value
}

/// The advice of a partial result: the identical request would repeat what was delivered.
fn continued(failure: Failure) -> Failure {
    let first = failure.assistance().unwrap_or("Wait a moment.").to_owned();
    failure.advice(format!(
        "{first} Store the delivered records, and send the request with this `state` to resume."
    ))
}

/// What only operators should see goes to the log.
fn log_source(failure: &Failure) {
    let mut source = std::error::Error::source(failure);
    while let Some(error) = source {
        tracing::debug!("caused by: {error}");
        source = error.source();
    }
}

impl Checked<'_> {
    /// Presents a reply and closes.
    pub(super) fn close(self, reply: Reply, counts: Counts, stop: &Stop<'_>) -> ResultEnvelope {
        let check = |made| stop.check(made);
        let written: &BTreeMap<String, String> = &self.bound.written;
        let how = Presentation {
            command: self.target.command,
            mapping: self.mapping.as_ref(),
            context: self.context.as_ref(),
            changed: reply.changed.as_ref(),
            written,
            watch: Watch::new(&check),
        };
        let mut counts = Counts {
            records: reply.records,
            ..counts
        };
        let options = &self.envelope.options;
        let shown = match output::present(&reply.raw, &how, options) {
            Ok(shown) => shown,
            Err(failure) => return self.head.unmapped(failure, reply, (counts, options)),
        };
        counts.events = u64::try_from(shown.made).unwrap_or(u64::MAX);
        let incomplete = reply.incomplete.or(shown.incomplete);
        let error = incomplete.map(|failure| {
            log_source(&failure);
            let failure = if reply.more {
                continued(failure)
            } else {
                failure
            };
            self.head
                .advised(failure)
                .close(&self.head.indicator, &self.head.codes)
        });
        let (return_data, sentence) =
            self.head
                .sentence(error.as_ref(), shown.events.is_some(), shown.made);
        let mut result = self.head.empty(return_data, sentence, counts);
        result.error = error;
        let Presented {
            events,
            key_fields,
            context,
            readable,
            warnings,
            ..
        } = shown;
        result.events = events;
        result.key_fields = key_fields;
        result.context_data = context;
        result.readable = readable;
        result.raw_data = options.includes(Section::RawData).then_some(reply.raw);
        result.coverage = reply.coverage;
        result.state = reply.state;
        result.more = reply.more;
        result.warnings = reply.warnings.into_iter().chain(warnings).collect();
        result
    }
}

impl Head {
    /// What was fetched but could not be presented: failed, with the raw data, so that it can be
    /// looked at and mapped again.
    fn unmapped(
        &self,
        failure: Failure,
        reply: Reply,
        (counts, options): (Counts, &Options),
    ) -> ResultEnvelope {
        let mut result = self.fail(failure, counts);
        result.raw_data = options.includes(Section::RawData).then_some(reply.raw);
        result.coverage = reply.coverage;
        result.warnings = reply.warnings;
        result
    }

    fn sentence(
        &self,
        error: Option<&ErrorBlock>,
        maps: bool,
        made: usize,
    ) -> (ReturnData, String) {
        let events = match (maps, made) {
            (false, _) => String::new(),
            (true, 1) => " 1 event.".to_owned(),
            (true, n) => format!(" {n} events."),
        };
        match error {
            None if maps => (
                ReturnData::Successful,
                format!("{} succeeded:{events}", self.title),
            ),
            None => (ReturnData::Successful, format!("{} succeeded.", self.title)),
            Some(error) => {
                let what = format!(
                    "Status Code: {}. Message: {}",
                    error.status_code, error.message
                );
                let said = format!("{} partially succeeded:{events} {what}", self.title);
                (ReturnData::PartiallySuccessful, said)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_literal_secret_does_not_reach_the_reproduction_line() {
        let parameters = json!({ "Client Secret": "canary", "Other": "env:SOAR_X", "Tenant": "t" });
        let Value::Object(parameters) = parameters else {
            panic!("an object")
        };
        let shown = secrets::shown(&parameters, |key| key != "Tenant");
        let expected = json!({ "Client Secret": "***", "Other": "env:SOAR_X", "Tenant": "t" });
        assert_eq!(Value::Object(shown), expected);
    }
}
