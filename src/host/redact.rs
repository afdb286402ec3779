//! Redaction: removes a request's secrets from its result, as the last step.
//!
//! Secrets are removed from messages and from data of services. The host writes the state, times,
//! verdicts and counts itself, so they do not change. `json::search` decides in which names, keys
//! and codes a secret can occur. Control characters in messages are escaped. Long messages are cut
//! afterwards, because half of a secret would not be found.

use std::time::Duration;

use crate::json::{Document, Stopped};
use crate::net::Grace;
use crate::protocol::event::Fields;
use crate::protocol::failure::{ErrorBlock, MAX_MESSAGE, Upstream, shorten};
use crate::protocol::{Event, Redactor, ResultEnvelope};

/// How long a run that must stop can search its result: enough for hundreds of megabytes.
pub(super) const GRACE: Grace = Grace {
    time: Duration::from_secs(1),
    signal: Duration::from_secs(1),
};

/// Removes the secrets. Errors: it was stopped, and the result must not be used.
pub(super) fn redact(
    result: &mut ResultEnvelope,
    redactor: &Redactor,
    stop: &dyn Fn() -> bool,
) -> Result<(), Stopped> {
    let message = |text: &mut String| *text = redactor.redact_text(text);
    let name = |text: &mut String| *text = redactor.redact_name(text);
    message(&mut result.result);
    shorten(&mut result.result, MAX_MESSAGE);
    result.id.iter_mut().for_each(name);
    result.readable.iter_mut().for_each(message);
    if let Some(error) = &mut result.error {
        redact_error(error, redactor);
        error.shorten();
    }
    for warning in &mut result.warnings {
        message(&mut warning.message);
        warning.at.iter_mut().for_each(message);
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
        // The context is often the raw data itself, which is redacted already.
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
    let message = |text: &mut String| *text = redactor.redact_text(text);
    let name = |text: &mut String| *text = redactor.redact_name(text);
    for text in [&mut error.message, &mut error.cause, &mut error.assistance] {
        message(text);
    }
    error.at.iter_mut().for_each(message);
    name(&mut error.status_code);
    for item in &mut error.items {
        item.at.iter_mut().for_each(message);
        message(&mut item.message);
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
        message(url);
        request_id.iter_mut().for_each(message);
        for text in [code, client_request_id, date] {
            text.iter_mut().for_each(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Host, Settings};
    use crate::protocol::{ErrorKind, Failure, Secret};

    #[test]
    fn secret_at_the_end_of_a_cut_message_is_redacted() {
        const SECRET: &str = "canary-of-a-secret-that-is-cut";
        let redactor = Redactor::default();
        redactor.register(&Secret::new(SECRET));
        let host = Host::open(Settings::default(), redactor);
        let message = |length: usize| format!("{}{SECRET} and more", "x ".repeat(length / 2));
        let faults = (0..SECRET.len()).flat_map(|n| [1024, 8 * 1024].map(|limit| limit - n));
        for length in faults {
            let fault = || Failure::invalid_input(message(length), message(length));
            let single = host.refuse(Failure::new(ErrorKind::Rejected, message(length)));
            let joined = Failure::join(vec![fault(), fault()]).expect("two faults");
            for result in [single, host.refuse(joined)] {
                let text = serde_json::to_string(&result).expect("a result");
                assert!(!text.contains("cana"), "{length}");
            }
        }
    }
}
