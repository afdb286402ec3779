//! Binding: the parameters of a request become the connection's slots and the operation's input.
//!
//! Names match in any spelling that folds alike, and every fault is reported. A connection parameter
//! can be an input of the operation (`input.NAME`). An input of a command can be a slot of the
//! connection (`connection.NAME`): it overrides the connection's own value unless it is omitted or 0.
//! In a slot, 0 means that no value was given. Secret references are not resolved here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::manifest::param::Unsupported;
use crate::manifest::{CommandSpec, Outputs, Param, Slot};
use crate::names::{alike, suggestion};
use crate::protocol::{Failure, escape, quoted};

/// The bound parameters of one request.
#[derive(Debug, Default)]
pub struct Bound {
    slots: BTreeMap<Slot, SlotValue>,
    /// The operation's input.
    pub input: Map<String, Value>,
    /// The JSON Pointer of each slot and operation input, by name: where the request has it, or
    /// where it would be.
    places: BTreeMap<String, String>,
    /// The inputs as written in the request, by id.
    pub written: BTreeMap<String, String>,
    /// The selected rules: names or texts. `None`: all.
    pub rules: Option<Vec<String>>,
    /// Connection parameters with values that are not supported. They fail the commands that sign in
    /// with the credential of an application.
    pub unsupported: Vec<UnsupportedValue>,
}

/// The value of a slot. A secret one is a reference or the value itself.
#[derive(Debug)]
struct SlotValue {
    value: Value,
    secret: bool,
}

/// A value of a connection parameter that is not supported.
#[derive(Debug)]
pub struct UnsupportedValue {
    place: String,
    message: String,
    advice: String,
}

impl UnsupportedValue {
    /// The fault of the value.
    pub fn fault(&self) -> Failure {
        Failure::invalid_input(self.place.as_str(), self.message.as_str())
            .advice(self.advice.as_str())
    }
}

/// One value of a request, or a default.
struct Given<'a> {
    param: &'a Param,
    /// The name in the request; of a default, the title.
    name: &'a str,
    value: &'a Value,
    place: String,
}

impl Given<'_> {
    /// The value, if the parameter declares it as not supported.
    fn unsupported(&self, value: &Value) -> Option<UnsupportedValue> {
        let declared = self.param.unsupported.as_ref();
        let Unsupported {
            allowed, advice, ..
        } = declared.filter(|declared| declared.value == *value)?;
        let (name, got) = (self.name, quoted(value));
        Some(UnsupportedValue {
            place: self.place.clone(),
            message: format!("\"{name}\" must be {allowed}; got {got}."),
            advice: advice.clone(),
        })
    }
}

/// The parameters of a request, before binding.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Connection parameters.
    pub connection: &'a Map<String, Value>,
    /// The JSON Pointer of the connection parameters: `/connection`, or a place in the profiles.
    pub connection_at: &'a str,
    /// Inputs.
    pub inputs: &'a Map<String, Value>,
    /// The time of day, for spans.
    pub now: DateTime<Utc>,
}

impl CommandSpec {
    /// Binds connection and inputs: the valid values, and every fault. `accepts` returns whether the
    /// operation has an input of that name.
    pub fn bind(
        &self,
        connection: &[Param],
        request: Request<'_>,
        accepts: impl Fn(&str) -> bool,
    ) -> (Bound, Vec<Failure>) {
        let mut faults = Vec::new();
        let mut bound = Bound {
            input: self.fixed.clone(),
            ..Bound::default()
        };
        bound.declare(connection, request.connection_at);
        bound.declare(&self.inputs, "/inputs");
        let at = request.connection_at;
        for given in read(connection, request.connection, at, &mut faults) {
            // A parameter of other commands cannot make this command fail.
            if !given.param.concerns(&self.id) {
                continue;
            }
            let Some(value) = coerced(&given, request.now, &mut faults) else {
                continue;
            };
            bound.unsupported.extend(given.unsupported(&value));
            let target = given.param.target();
            match target.strip_prefix("input.") {
                Some(input) if accepts(input) => bound.set_input(input, value, &given),
                Some(_) => {}
                None => bound.set_slot(target, value, &given),
            }
        }
        for given in read(&self.inputs, request.inputs, "/inputs", &mut faults) {
            let Some(value) = coerced(&given, request.now, &mut faults) else {
                continue;
            };
            let id = given.param.id.clone();
            bound.written.insert(id, as_written(given.value));
            match given.param.target().strip_prefix("connection.") {
                Some(slot) => bound.set_slot(slot, value, &given),
                None if self.selects_rules(given.param) => {
                    bound.set_rules(&value, &given);
                }
                None => bound.set_input(given.param.target(), value, &given),
            }
        }
        (bound, faults)
    }
}

/// The faults of stored connection parameters.
pub fn connection_faults(
    parameters: &[Param],
    given: &Map<String, Value>,
    at: &str,
    now: DateTime<Utc>,
) -> Vec<Failure> {
    let mut faults = Vec::new();
    for given in read(parameters, given, at, &mut faults) {
        coerced(&given, now, &mut faults);
    }
    faults
}

impl Bound {
    /// The value of a slot that is not secret.
    pub fn value(&self, slot: Slot) -> Option<&Value> {
        let given = self.slots.get(&slot)?;
        (!given.secret).then_some(&given.value)
    }

    /// The value of a boolean slot.
    pub fn flag(&self, slot: Slot) -> Option<bool> {
        self.value(slot).and_then(Value::as_bool)
    }

    /// The secret slots: references or values.
    pub fn secrets(&self) -> impl Iterator<Item = (Slot, &str)> {
        let secret = self.slots.iter().filter(|(_, given)| given.secret);
        secret.map(|(slot, given)| (*slot, given.value.as_str().unwrap_or_default()))
    }

    /// True if the integration has a parameter for the slot.
    pub fn has_parameter(&self, slot: Slot) -> bool {
        self.places.contains_key(slot.name())
    }

    /// The JSON Pointer of the slot's parameter.
    pub fn place(&self, slot: Slot) -> &str {
        let place = self.places.get(slot.name());
        place.map_or("/connection", String::as_str)
    }

    /// The JSON Pointer of an operation input.
    pub fn input_place(&self, input: &str) -> &str {
        self.places.get(input).map_or("/inputs", String::as_str)
    }

    /// The name of the slot's parameter, as the request spells it, else its title.
    pub fn name(&self, slot: Slot) -> String {
        let place = self.places.get(slot.name()).map(|place| last_step(place));
        place.unwrap_or_else(|| slot.name().to_owned())
    }

    /// The failure with its places in the request's own names. Each message about a connection
    /// parameter names the parameter.
    pub fn located(&self, failure: Failure) -> Failure {
        let slot = |at: Option<&str>| Slot::named(at?.strip_prefix("/connection/")?);
        if slot(failure.place()).is_none() {
            return failure.relocated(&self.places);
        }
        let named = failure.reworded_each(|at, message| {
            match slot(at).map(|slot| format!("\"{}\"", self.name(slot))) {
                Some(name) if !message.contains(&name) => format!("{name}: {message}"),
                _ => message.to_owned(),
            }
        });
        named.relocated(&self.places)
    }

    /// Notes the places of parameters, before it is known which the request has.
    fn declare(&mut self, params: &[Param], at: &str) {
        for param in params {
            let target = param.target();
            // Its place is the connection's until the request has it.
            if target.starts_with("connection.") {
                continue;
            }
            let target = target.strip_prefix("input.").unwrap_or(target);
            let place = format!("{at}/{}", escape(&param.title));
            self.places.insert(target.to_owned(), place);
        }
    }

    fn set_input(&mut self, input: &str, value: Value, given: &Given<'_>) {
        self.places.insert(input.to_owned(), given.place.clone());
        self.input.insert(input.to_owned(), value);
    }

    fn set_rules(&mut self, value: &Value, given: &Given<'_>) {
        let rules = value.as_array().into_iter().flatten();
        let rules = rules.filter_map(Value::as_str).map(str::to_owned);
        self.rules = Some(rules.collect());
        let place = given.place.clone();
        self.places.insert(Outputs::RULES.to_owned(), place);
    }

    fn set_slot(&mut self, name: &str, value: Value, given: &Given<'_>) {
        let value = match &given.param.default {
            Some(default) if is_zero(&value) => default.clone(),
            _ => value,
        };
        // A manifest that names an unknown slot does not load.
        let Some(slot) = Slot::named(name).filter(|_| !is_zero(&value)) else {
            return;
        };
        self.places.insert(name.to_owned(), given.place.clone());
        let secret = given.param.secret;
        self.slots.insert(slot, SlotValue { value, secret });
    }
}

/// The last name of a JSON Pointer.
fn last_step(pointer: &str) -> String {
    let (_, step) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    step.replace("~1", "/").replace("~0", "~")
}

/// Matches an object's members with the declared parameters and adds defaults, in declared order.
fn read<'a>(
    params: &'a [Param],
    given: &'a Map<String, Value>,
    at: &str,
    faults: &mut Vec<Failure>,
) -> Vec<Given<'a>> {
    let mut found: BTreeMap<&str, (&'a str, &'a Value)> = BTreeMap::new();
    for (key, value) in given {
        let place = format!("{at}/{}", escape(key));
        let param = params
            .iter()
            .find(|param| param.names().any(|name| alike(name, key)));
        match param {
            None => faults.push(unknown(params, key, place)),
            Some(param) => {
                let value = param.unwrapped(value);
                // A platform's form sends every spelling that it has a field for, most of them blank.
                let other = found.get(param.id.as_str());
                if other.is_some() && absent(value) {
                    continue;
                }
                let other = other
                    .filter(|(_, value)| !absent(value))
                    .map(|(key, _)| *key);
                if let Some(other) = other {
                    let why =
                        format!("\"{other}\" and \"{key}\" are the same parameter; give it once.");
                    faults.push(Failure::invalid_input(place, why).about_name());
                } else {
                    found.insert(&param.id, (key, value));
                }
            }
        }
    }
    for (key, value) in given {
        let other = params
            .iter()
            .find(|param| param.names().any(|name| alike(name, key)));
        let Some(other) = other else { continue };
        for param in params {
            if let Some(part) = param.part(other, value)
                && found
                    .get(param.id.as_str())
                    .is_none_or(|(_, value)| absent(value))
            {
                found.insert(&param.id, (key, part));
            }
        }
    }
    params
        .iter()
        .filter_map(|param| pick(param, &found, at, faults))
        .collect()
}

fn pick<'a>(
    param: &'a Param,
    found: &BTreeMap<&str, (&'a str, &'a Value)>,
    at: &str,
    faults: &mut Vec<Failure>,
) -> Option<Given<'a>> {
    let found = found
        .get(param.id.as_str())
        .filter(|(_, value)| !absent(value));
    match (found, &param.default) {
        (Some((key, value)), _) => Some(given(param, at, key, value)),
        (None, Some(default)) => Some(given(param, at, &param.title, default)),
        (None, None) if param.required => {
            let message = format!("\"{}\" is required.", param.title);
            let place = format!("{at}/{}", escape(&param.title));
            faults.push(Failure::invalid_input(place, message));
            None
        }
        (None, None) => None,
    }
}

fn given<'a>(param: &'a Param, at: &str, name: &'a str, value: &'a Value) -> Given<'a> {
    let place = format!("{at}/{}", escape(name));
    Given {
        param,
        name,
        value,
        place,
    }
}

/// Platforms send 0 for a number field that is blank.
fn is_zero(value: &Value) -> bool {
    value.as_i64() == Some(0)
}

/// Platforms send empty text for a text field that is blank.
fn absent(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn unknown(params: &[Param], key: &str, place: String) -> Failure {
    let hint = match params {
        [] => "No parameters are allowed here.".to_owned(),
        _ => suggestion(key, params.iter().map(|param| param.title.as_str())),
    };
    Failure::invalid_input(place, format!("There is no parameter \"{key}\". {hint}")).about_name()
}

fn coerced(given: &Given<'_>, now: DateTime<Utc>, faults: &mut Vec<Failure>) -> Option<Value> {
    match given.param.coerce(given.value, now) {
        Ok(value) => Some(value),
        Err(why) => {
            let message = format!("\"{}\" {why}", given.name);
            faults.push(Failure::invalid_input(given.place.clone(), message));
            None
        }
    }
}

fn as_written(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
