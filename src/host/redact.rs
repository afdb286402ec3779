//! Redaction: removes a request's secrets from its result, after everything else.
//!
//! Secrets are removed from free text and from what a service sent. The state, times, verdicts and
//! counts are the host's own and do not change. Names, keys and codes change only where a secret can
//! be one (`json::search`). Control characters in sentences are escaped.

use std::time::Duration;

use crate::json::{Document, Stopped};
use crate::net::Grace;
use crate::protocol::event::Fields;
use crate::protocol::failure::{ErrorBlock, Upstream};
use crate::protocol::{Event, Redactor, ResultEnvelope};

/// How long a run that must stop may search its result: enough for hundreds of megabytes.
pub(super) const GRACE: Grace = Grace {
    time: Duration::from_secs(1),
    signal: Duration::from_secs(1),
};

/// Removes the secrets. If it is stopped, the result must not be used.
pub(super) fn redact(
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
        redact_error(error, redactor);
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
        redact_event(event, redactor, stop)?;
    }
    Ok(())
}

fn redact_event(
    event: &mut Event,
    redactor: &Redactor,
    stop: &dyn Fn() -> bool,
) -> Result<(), Stopped> {
    event.key = redactor.redact_name(&event.key);
    let Fields(fields) = &mut event.fields;
    for (_, value) in fields {
        if let Some(redacted) = redactor.redact_value(value, stop)? {
            *value = redacted;
        }
    }
    Ok(())
}

fn redact_error(error: &mut ErrorBlock, redactor: &Redactor) {
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
