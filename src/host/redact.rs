//! Strikes a request's secrets out of its result: the last thing that happens to it.
//!
//! Free text and what a service sent are struck out of. The state, times, verdicts and counts are
//! the host's own and stay; names, keys and codes stay unless a secret cannot be one
//! ([`crate::protocol::redact`]). Words for people also have their control characters shown.

use std::time::{Duration, Instant};

use crate::host::{Cancel, Checked, TIMEOUT};
use crate::json::Document;
use crate::json::Stopped;
use crate::net::deadline::stopped;
use crate::protocol::event::Fields;
use crate::protocol::failure::{ErrorBlock, ErrorKind, Upstream};
use crate::protocol::{Event, Failure, Redactor, ResultEnvelope};

/// How long a run that must end may still search its result. Hundreds of megabytes take less.
const GRACE: Duration = Duration::from_secs(1);

/// When to give the search up: the time is over, or a signal came, and the grace with it.
pub(super) struct Ends {
    cancel: Cancel,
    limit: Duration,
    started: Instant,
}

impl Ends {
    pub(super) fn new(checked: &Checked<'_>, cancel: &Cancel) -> Self {
        let options = &checked.envelope.options;
        let limits = &checked.target.command.limits;
        let limit = options.timeout_ms.or(limits.timeout_ms);
        Ends {
            cancel: cancel.clone(),
            limit: limit.map_or(TIMEOUT, Duration::from_millis),
            started: Instant::now(),
        }
    }

    fn must_end(&self) -> bool {
        self.cancel.raised().is_some() || self.started.elapsed() > self.limit
    }

    /// Asked by a search that began at that time.
    pub(super) fn over(&self, search: Instant) -> bool {
        search.elapsed() > GRACE && self.must_end()
    }

    /// What a run whose search was given up failed of.
    pub(super) fn failure(&self) -> Failure {
        let when = "before the result was searched for secrets";
        if let Some(signal) = self.cancel.raised() {
            return stopped(signal, when);
        }
        if !self.must_end() {
            return super::internal();
        }
        let limit = self.limit.as_millis();
        Failure::new(
            ErrorKind::Timeout,
            format!("The {limit} ms allowed ran out {when}."),
        )
    }
}

/// Strikes the secrets out. If it is stopped, the result must not be used.
pub(super) fn strike(
    result: &mut ResultEnvelope,
    redactor: &Redactor,
    stop: &dyn Fn() -> bool,
) -> Result<(), Stopped> {
    let words = |text: &mut String| *text = redactor.redact_text(text);
    let name = |text: &mut String| *text = redactor.redact_name(text);
    words(&mut result.result);
    result.id.iter_mut().for_each(name);
    result.readable.iter_mut().for_each(words);
    if let Some(error) = &mut result.error {
        strike_error(error, redactor);
    }
    for warning in &mut result.warnings {
        words(&mut warning.message);
        warning.at.iter_mut().for_each(words);
    }
    if let Some(coverage) = &mut result.coverage {
        for gap in &mut coverage.gaps {
            gap.id.iter_mut().chain(&mut gap.code).for_each(name);
        }
    }
    if redactor.is_empty() {
        return Ok(());
    }
    let document = |document: &mut Document| -> Result<(), Stopped> {
        *document = redactor.redact_document(document, stop)?;
        Ok(())
    };
    let raw = result.raw_data.clone();
    result.raw_data.iter_mut().try_for_each(document)?;
    match (&mut result.context_data, raw) {
        // Often it is the raw data itself.
        (Some(context), Some(raw)) if context.ptr_eq(&raw) => {
            result.context_data.clone_from(&result.raw_data);
        }
        (context, _) => context.iter_mut().try_for_each(document)?,
    }
    let keys = result.key_fields.iter_mut().map(|keys| &mut keys.0);
    keys.chain(result.meta.document_mut())
        .try_for_each(document)?;
    for event in result.events.iter_mut().flatten() {
        strike_event(event, redactor, stop)?;
    }
    Ok(())
}

fn strike_event(
    event: &mut Event,
    redactor: &Redactor,
    stop: &dyn Fn() -> bool,
) -> Result<(), Stopped> {
    event.key = redactor.redact_name(&event.key);
    let Fields(fields) = &mut event.fields;
    for (_, value) in fields {
        if let Some(struck) = redactor.redact_value(value, stop)? {
            *value = struck;
        }
    }
    Ok(())
}

fn strike_error(error: &mut ErrorBlock, redactor: &Redactor) {
    let words = |text: &mut String| *text = redactor.redact_text(text);
    let name = |text: &mut String| *text = redactor.redact_name(text);
    for text in [&mut error.message, &mut error.cause, &mut error.assistance] {
        words(text);
    }
    error.at.iter_mut().for_each(words);
    name(&mut error.status_code);
    for item in &mut error.items {
        item.at.iter_mut().for_each(words);
        words(&mut item.message);
        name(&mut item.status_code);
    }
    if let Some(upstream) = &mut error.upstream {
        let Upstream {
            url,
            code,
            request_id,
            client_request_id,
            date,
            ..
        } = upstream;
        words(url);
        request_id.iter_mut().for_each(words);
        for text in [code, client_request_id, date] {
            text.iter_mut().for_each(name);
        }
    }
}
