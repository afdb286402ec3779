//! The log lines of one request: its outcome, its faults, and the command line that reproduces it.
//!
//! `front` decides where the log goes.

use serde_json::{Map, Value};

use crate::host::secrets;
use crate::manifest::Manifest;
use crate::names::alike;
use crate::protocol::ResultEnvelope;
use crate::protocol::envelope::{Envelope, Meta};
use crate::protocol::failure::{ErrorBlock, Failure, FaultItem, fault_count, shown_place};
use crate::protocol::result::ReturnData;

/// The largest `meta` that the reproduction line repeats, in bytes.
const MAX_META: usize = 4096;

/// The largest number of single faults that are logged.
const LOGGED_FAULTS: usize = 20;

/// The command line that runs a request again.
#[derive(Clone, Debug, Default)]
pub(super) struct Reproduction {
    request: Option<Value>,
    /// True if literal secrets were replaced. The request is logged only then.
    is_safe: bool,
    /// The operator's settings as flags for a shell, each after a space. None: no line is logged.
    pub(super) flags: Option<String>,
}

impl Reproduction {
    /// Stores the request, if failures are logged. A large `meta` is omitted, because it has no
    /// effect.
    pub(super) fn of(envelope: &Envelope) -> Self {
        let logged = tracing::enabled!(tracing::Level::ERROR);
        let request = || {
            if envelope.meta.bytes() <= MAX_META {
                return serde_json::to_value(envelope).ok();
            }
            let meta = Meta::default();
            let envelope = envelope.clone();
            serde_json::to_value(Envelope { meta, ..envelope }).ok()
        };
        Reproduction {
            request: logged.then(request).flatten().map(without_defaults),
            ..Reproduction::default()
        }
    }

    /// Replaces the literal secrets of the connection.
    pub(super) fn hide_secrets(&mut self, manifest: &Manifest, parameters: &Map<String, Value>) {
        self.is_safe = true;
        let is_secret = |key: &str| {
            let named =
                |param: &&crate::manifest::Param| param.names().any(|name| alike(name, key));
            let found = manifest.connection.iter().find(named);
            let has_secret = |one: &crate::manifest::Param, named: &crate::manifest::Param| {
                one.secret && (one.id == named.id || one.part_of.as_ref() == Some(&named.id))
            };
            found.is_none_or(|named| manifest.connection.iter().any(|one| has_secret(one, named)))
        };
        if let Some(request) = &mut self.request
            && request["connection"].is_object()
        {
            request["connection"] = Value::Object(secrets::shown(parameters, is_secret));
        }
    }

    fn line(&self) -> Option<String> {
        let request = self.request.as_ref().filter(|_| self.is_safe)?;
        let flags = self.flags.as_ref()?;
        let quoted = request.to_string().replace('\'', "'\\''");
        Some(format!("echo '{quoted}' | soarhost run{flags}"))
    }
}

/// The value without nulls, `false` and empty objects.
fn without_defaults(mut value: Value) -> Value {
    if let Value::Object(object) = &mut value {
        for member in object.values_mut() {
            *member = without_defaults(member.take());
        }
        object.retain(|_, member| match member {
            Value::Null | Value::Bool(false) => false,
            Value::Object(inner) => !inner.is_empty(),
            _ => true,
        });
    }
    value
}

/// Logs the outcome and the warnings, and for a failure also cause, advice and places.
pub(super) fn log(result: &ResultEnvelope, reproduction: &Reproduction) {
    for warning in &result.warnings {
        tracing::warn!("{}: {}", warning.code, one_line(&warning.message));
    }
    let outcome = one_line(&result.result);
    let Some(error) = &result.error else {
        return tracing::info!("{outcome}");
    };
    let cause = one_line(&error.cause);
    let advice = one_line(&error.assistance);
    let at = shown_place(error.at.as_deref()).map(one_line);
    let faults = faults(error);
    let (at, faults) = (at.as_deref(), faults.as_deref());
    let at = at.filter(|_| faults.is_none());
    // The faults follow, one per line.
    let joined = faults.and_then(|_| fault_count(&error.message));
    let outcome = match joined.and_then(|count| outcome.split_once(&format!("{count}: "))) {
        Some((start, _)) => format!("{start}{}.", joined.unwrap_or_default()),
        None => outcome,
    };
    if result.return_data != ReturnData::Failed {
        return tracing::warn!(cause, advice, at, fault = faults, "{outcome}");
    }
    let reproduce = reproduction.line();
    let reproduce = reproduce.as_deref();
    tracing::error!(cause, advice, at, fault = faults, reproduce, "{outcome}");
}

/// Logs the source errors of a failure, which are for operators only.
pub(super) fn log_sources(failure: &Failure) {
    let mut source = std::error::Error::source(failure);
    while let Some(error) = source {
        tracing::debug!("caused by: {error}");
        source = error.source();
    }
}

/// The single faults, one per line; `None` if the failure's message is the only fault.
fn faults(error: &ErrorBlock) -> Option<String> {
    let is_message = |item: &FaultItem| item.at == error.at && item.message == error.message;
    if error.items.is_empty() || matches!(error.items.as_slice(), [item] if is_message(item)) {
        return None;
    }
    let line = |item: &FaultItem| {
        let at = shown_place(item.at.as_deref()).map(|at| format!("{at}: "));
        one_line(&format!("{}{}", at.unwrap_or_default(), item.message))
    };
    let mut lines: Vec<String> = error.items.iter().take(LOGGED_FAULTS).map(line).collect();
    let more = error.items.len() - lines.len();
    if more > 0 {
        lines.push(format!("{more} more; see `error.items` of the result"));
    }
    Some(lines.join("\n"))
}

/// The text without control characters and line separators.
fn one_line(text: &str) -> String {
    let parts: Vec<&str> = text.split(char::is_control).collect();
    parts.join(" ").replace(['\u{2028}', '\u{2029}'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn literal_secret_is_hidden_and_reference_is_not() {
        let parameters = json!({ "Client Secret": "canary", "Other": "env:SOAR_X", "Tenant": "t",
            "Empty": "" });
        let Value::Object(parameters) = parameters else {
            panic!("an object")
        };
        let shown = secrets::shown(&parameters, |key| key != "Tenant");
        let expected = json!({ "Client Secret": "***", "Other": "env:SOAR_X", "Tenant": "t",
            "Empty": "" });
        assert_eq!(Value::Object(shown), expected);
    }
}
