//! Builds the [`ResultEnvelope`] of every success, partial success and failure.
//!
//! Does not redact: `redact` does.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Map, Value};

use crate::host::catalog::Target;
use crate::host::limits::StageLimits;
use crate::host::report::{self, Reproduction};
use crate::host::{Checked, redact};
use crate::json::Document;
use crate::manifest::{CommandSpec, Permission, Platform};
use crate::net::TokenSource;
use crate::net::transcript::DryRunRequest;
use crate::ops::Reply;
use crate::output::{self, Presentation, Presented};
use crate::protocol::envelope::{Envelope, Meta, Section};
use crate::protocol::failure::{Codes, ErrorBlock, ErrorKind, Failure};
use crate::protocol::result::{Metrics, ReturnData};
use crate::protocol::{Detail, PROTOCOL, Redactor, ResultEnvelope, State, Watch};
use crate::rules::Alert;

/// The facts about a request that its result repeats. Facts that are not known yet have defaults.
#[derive(Clone, Debug)]
pub(super) struct ResultHead {
    pub(super) id: Option<String>,
    pub(super) meta: Meta,
    integration: Option<String>,
    command: Option<String>,
    title: String,
    indicator: String,
    codes: Codes,
    platform: Platform,
    permissions: Vec<Permission>,
    state: Option<State>,
    pub(super) reproduction: Reproduction,
    started: Instant,
}

impl ResultHead {
    /// The head of a request that was not parsed yet.
    pub(super) fn of_unparsed(started: Instant) -> Self {
        ResultHead {
            id: None,
            meta: Meta::default(),
            integration: None,
            command: None,
            title: "Request".to_owned(),
            indicator: "Request failed.".to_owned(),
            codes: Codes::new(),
            platform: Platform::default(),
            permissions: Vec::new(),
            state: None,
            reproduction: Reproduction::default(),
            started,
        }
    }

    /// The head of a parsed request.
    pub(super) fn of(envelope: &Envelope, started: Instant) -> Self {
        let id = envelope
            .id
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        ResultHead {
            id: Some(id),
            meta: envelope.meta.clone(),
            state: envelope.read_state().ok().flatten(),
            reproduction: Reproduction::of(envelope),
            ..ResultHead::of_unparsed(started)
        }
    }

    /// Sets the state to resume from. A failed run returns it unchanged.
    pub(super) fn set_state(&mut self, state: Option<&State>) {
        self.state = state.cloned();
    }

    /// The time at which reading the request began.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The id of the request in every log.
    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// Sets the command.
    pub(super) fn set_command(&mut self, target: &Target<'_>, parameters: &Map<String, Value>) {
        let command: &CommandSpec = target.command;
        self.integration = Some(target.manifest.full_id());
        self.command = Some(command.id.clone());
        self.title.clone_from(&command.title);
        self.indicator = command.indicator();
        self.codes.clone_from(&target.manifest.codes);
        self.platform.clone_from(&target.manifest.platform);
        self.permissions.clone_from(&command.permissions);
        self.reproduction.hide_secrets(target.manifest, parameters);
    }

    /// The redacted and logged result of a request that was rejected before anything was sent.
    pub(super) fn rejected(self, failure: Failure, redactor: &Redactor) -> ResultEnvelope {
        let mut result = self.failed(failure, Metrics::default());
        // Redaction has no time limit here, because the result is short.
        let _ = redact::redact(&mut result, redactor, &|| false);
        self.report(&result);
        result
    }

    /// The result of a failure, with the sentence that the product's platform expects.
    pub(super) fn failed(&self, failure: Failure, metrics: Metrics) -> ResultEnvelope {
        report::log_sources(&failure);
        let error = self.advised(failure).close(&self.indicator, &self.codes);
        let sentence = self.platform.failure_sentence(&error);
        let mut result = self.without_data(ReturnData::Failed, sentence, metrics);
        result.error = Some(error);
        result.state.clone_from(&self.state);
        result
    }

    /// Names the required permissions in the advice of a `forbidden` failure.
    fn advised(&self, failure: Failure) -> Failure {
        // The advice of a rejected sign-in is not replaced, because no permission was checked.
        let at_login = failure
            .vendor_code()
            .is_some_and(|code| code.starts_with("AADSTS"));
        let has_advice = at_login || failure.detail() == Some(Detail::StatedReason);
        if failure.kind() != ErrorKind::Forbidden || has_advice || self.permissions.is_empty() {
            return failure;
        }
        let texts = [failure.message(), failure.assistance().unwrap_or_default()];
        let is_named =
            |permission: &&Permission| texts.iter().any(|text| text.contains(&permission.name));
        let mut missing: Vec<&Permission> = self.permissions.iter().filter(is_named).collect();
        if missing.is_empty() {
            missing = self.permissions.iter().collect();
        }
        let distinct = |texts: Vec<&str>, separator: &str| {
            let mut distinct: Vec<&str> = Vec::new();
            for text in texts {
                if !distinct.contains(&text) {
                    distinct.push(text);
                }
            }
            distinct.join(separator)
        };
        let names = missing.iter().map(|permission| permission.name.as_str());
        let grants = missing.iter().map(|permission| permission.grant.word());
        let (names, grants) = (
            distinct(names.collect(), ", "),
            distinct(grants.collect(), " or "),
        );
        failure.advice(format!(
            "Grant {names} ({grants}) and give admin consent, then send the request again."
        ))
    }

    /// The result of a dry run: its context is the requests that were not sent.
    pub(super) fn dry_run(&self, requests: &[DryRunRequest], metrics: Metrics) -> ResultEnvelope {
        let sentence = format!("{}: dry run, nothing was sent.", self.title);
        let mut result = self.without_data(ReturnData::Successful, sentence, metrics);
        result.context_data = Document::from_value(&requests).ok();
        result.state.clone_from(&self.state);
        result
    }

    /// Logs the result.
    pub(super) fn report(&self, result: &ResultEnvelope) {
        report::log(result, &self.reproduction);
    }

    fn without_data(
        &self,
        return_data: ReturnData,
        sentence: String,
        metrics: Metrics,
    ) -> ResultEnvelope {
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
                token_source: match metrics.token_source {
                    "" => TokenSource::None.name(),
                    source => source,
                },
                ..metrics
            },
            meta: self.meta.clone(),
        }
    }
}

/// Adds the advice to resume. Without a stored state, the same request delivers the same records again.
fn with_resume_advice(failure: Failure, is_stored: bool) -> Failure {
    let usual = match failure.kind() {
        ErrorKind::Cancelled => None,
        _ => Some("Wait a moment."),
    };
    let resume = if is_stored {
        "Start it again: it resumes at the stored state."
    } else {
        "Store the delivered records, and send the request with this `state` to resume."
    };
    let first = failure.assistance().or(usual).into_iter();
    let advice: Vec<&str> = first.chain([resume]).collect();
    let advice = advice.join(" ");
    failure.advice(advice)
}

impl Checked<'_> {
    /// Maps and presents the reply.
    pub(super) fn into_result(
        self,
        mut reply: Reply,
        mut metrics: Metrics,
        limits: &StageLimits,
    ) -> ResultEnvelope {
        let check = |made| limits.check(made);
        let alerts = match self.evaluate_rules(&mut reply, Watch::new(&check)) {
            Ok(alerts) => alerts,
            Err(failure) => return self.unmapped(failure, reply, metrics),
        };
        let written: &BTreeMap<String, String> = &self.bound.written;
        let how = Presentation {
            command: self.target.command,
            mapping: self.mapping.as_ref(),
            context: self.context.as_ref(),
            alerts: alerts.as_deref(),
            changed: reply.changed.as_ref(),
            written,
            watch: Watch::new(&check),
        };
        metrics.records = reply.records;
        let options = &self.envelope.options;
        let shown = match output::present(&reply.raw, &how, options) {
            Ok(shown) => shown,
            Err(failure) => return self.unmapped(failure, reply, metrics),
        };
        metrics.events = u64::try_from(shown.made).unwrap_or(u64::MAX);
        let counted = counted(&shown, alerts.as_deref());
        let incomplete = reply.incomplete.or(shown.incomplete);
        let error = incomplete.map(|failure| {
            report::log_sources(&failure);
            let failure = if reply.more {
                with_resume_advice(failure, options.state_key.is_some())
            } else {
                failure
            };
            self.head
                .advised(failure)
                .close(&self.head.indicator, &self.head.codes)
        });
        let (return_data, sentence) = self.head.sentence(error.as_ref(), &counted);
        let mut result = self.head.without_data(return_data, sentence, metrics);
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

    /// The result of a reply that could not be mapped. It contains the raw data, which can be
    /// mapped later.
    fn unmapped(&self, failure: Failure, reply: Reply, metrics: Metrics) -> ResultEnvelope {
        let mut result = self.head.failed(failure, metrics);
        result.raw_data = self
            .envelope
            .options
            .includes(Section::RawData)
            .then_some(reply.raw);
        result.coverage = reply.coverage;
        result.warnings = reply.warnings;
        result
    }
}

/// How many events and alerts the result has; empty for a command that makes none.
fn counted(shown: &Presented, alerts: Option<&[Alert]>) -> String {
    let counts = [
        (shown.events.as_ref().map(|_| shown.made), "event"),
        (alerts.map(<[Alert]>::len), "alert"),
    ];
    let counted = counts.into_iter().filter_map(|(count, what)| match count? {
        1 => Some(format!(" 1 {what}.")),
        n => Some(format!(" {n} {what}s.")),
    });
    counted.collect()
}

impl ResultHead {
    fn sentence(&self, error: Option<&ErrorBlock>, events: &str) -> (ReturnData, String) {
        match error {
            None if !events.is_empty() => (
                ReturnData::Successful,
                format!("{} succeeded:{events}", self.title),
            ),
            None => (ReturnData::Successful, format!("{} succeeded.", self.title)),
            Some(error) => {
                let reason = format!(
                    "Status Code: {}. Message: {}",
                    error.status_code, error.message
                );
                let sentence = format!("{} partially succeeded:{events} {reason}", self.title);
                (ReturnData::PartiallySuccessful, sentence)
            }
        }
    }
}
