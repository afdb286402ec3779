//! Checks that a state belongs to the request, and reads its members.
//!
//! A scope is a digest of the values that a state is bound to. Each operation selects these values.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::identity::sha256;
use crate::ops::Call;
use crate::protocol::{Failure, State, Warning};

/// The scope of these values.
pub(in crate::ops) fn scope_of(values: &impl Serialize) -> String {
    sha256(&serde_json::to_vec(values).unwrap_or_default())
}

/// The state of the request, checked against this run.
pub(in crate::ops) enum Resumed<'a> {
    /// There is no state.
    None,
    /// The state belongs to this request.
    Own(&'a State),
    /// The state belongs to another request; it is ignored with this warning.
    Ignored(Warning),
}

/// Checks that the state of the call belongs to one of these scopes.
///
/// Errors: the state belongs to another request and is stored under a name, where this run would
/// overwrite it.
pub(in crate::ops) fn resume<'a>(
    call: &Call<'a>,
    scopes: &[String],
) -> Result<Resumed<'a>, Failure> {
    match call.state {
        None => Ok(Resumed::None),
        Some(state) if scopes.contains(&state.scope) => Ok(Resumed::Own(state)),
        Some(_) => foreign(call).map(Resumed::Ignored),
    }
}

/// The warning that a state of another connection or of other inputs is ignored.
///
/// Errors: the state is stored under a name.
pub(in crate::ops) fn foreign(call: &Call<'_>) -> Result<Warning, Failure> {
    let message = "The state belongs to another connection or to other inputs";
    if call.is_stored {
        return Err(
            Failure::invalid_input("/state", format!("{message}.")).advice(
                "Use another `state_key`: each connection and each set of inputs needs its own.",
            ),
        );
    }
    let message = format!("{message}. It was ignored, and this run starts again.");
    Ok(Warning::new("state_ignored", message).at("/state"))
}

/// Reads the members of a state or of a part of it.
pub(in crate::ops) fn read<T: DeserializeOwned>(members: Value) -> Result<T, Failure> {
    serde_json::from_value(members).map_err(|_| invalid_state())
}

/// The members of a state.
pub(in crate::ops) fn members(of: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// Whether a run can have written this time: clocks differ, but not by years.
pub(in crate::ops) fn is_plausible(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (time - now).abs() < TimeDelta::days(3660)
}

/// The failure for a state that was not written by a run.
pub(in crate::ops) fn invalid_state() -> Failure {
    let message = "The state is invalid: its members were not written by this program.";
    Failure::invalid_input("/state/resume", message)
        .advice("Send the last result's `state` unchanged, or omit `state`.")
}
