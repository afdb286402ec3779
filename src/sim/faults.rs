//! Fault injection: "the second listing of alerts returns 429".
//!
//! A fault names a route, the requests that it applies to, and one effect. `server` applies the
//! effects. There is no randomness.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sim::server::routes::Route;

/// A fault.
///
/// Exactly one of `status`, `truncate`, `delay_ms`, `reset`, `replace` and `expire_token` is given.
/// If several faults apply to a request, delays come first, then a reset or the first status, then
/// replacements, then the first truncation.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `login.instance`, `login.discovery`, `login.authorize`, `login.device_code`, `login.token`,
    /// `graph.alerts`, `graph.alert`, `graph.audit_queries`, `graph.audit_query`,
    /// `graph.audit_records`, `management.subscriptions.start`, `….stop` or `….list`,
    /// `management.content`, `management.blob`, `exchange.command`, `hook.receive`, `identity.vm` or
    /// `identity.app_service`.
    pub route: String,
    /// The requests of the route to which the fault applies: a number, counted from 1 since the
    /// start, or a list of numbers. Default: all.
    #[serde(default)]
    pub nth: Option<Nth>,
    /// The number of requests to which the fault applies, from the first one on. Not together with
    /// `nth`.
    #[serde(default)]
    pub times: Option<u64>,
    /// Returns this status; the service does not process the request.
    #[serde(default)]
    pub status: Option<u16>,
    /// The body of that response: text, or JSON that is sent as it is written here.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Value>")]
    pub body: Option<Box<RawValue>>,
    /// The headers of that response.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Sends this many bytes of the uncompressed body with the length of the whole body, then drops
    /// the connection.
    #[serde(default)]
    pub truncate: Option<usize>,
    /// Waits before the response.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Drops the connection without a response; the service does not process the request.
    #[serde(default)]
    pub reset: bool,
    /// Replaces all occurrences of a text in the body.
    #[serde(default)]
    pub replace: Option<Replace>,
    /// Treats the token of the request as expired. On `login.token` and the routes of `identity`:
    /// issues an expired token.
    #[serde(default)]
    pub expire_token: bool,
}

/// The requests of a route to which a fault applies.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "nth is the number of a call (from 1) or a list of such numbers"
)]
pub enum Nth {
    /// The request with this number.
    One(u64),
    /// The requests with these numbers.
    Each(Vec<u64>),
}

/// A replacement in a body.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The text to replace.
    pub from: String,
    /// The replacement.
    pub to: String,
}

impl Fault {
    /// Body and content type of the response with `status`.
    pub(super) fn content(&self) -> (String, &'static str) {
        let Some(raw) = &self.body else {
            return (String::new(), "text/plain");
        };
        match serde_json::from_str::<String>(raw.get()) {
            Ok(text) if text.starts_with('<') => (text, "text/html; charset=utf-8"),
            Ok(text) => (text, "text/plain; charset=utf-8"),
            Err(_) => (raw.get().to_owned(), "application/json; charset=utf-8"),
        }
    }

    fn applies_to(&self, call: u64) -> bool {
        match &self.nth {
            None => true,
            Some(Nth::One(number)) => *number == call,
            Some(Nth::Each(numbers)) => numbers.contains(&call),
        }
    }
}

/// Counts the requests of each route and selects the faults that apply.
pub(super) struct FaultPlan {
    faults: Vec<Fault>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    calls: HashMap<Route, u64>,
    applied: HashMap<usize, u64>,
}

impl FaultPlan {
    /// The plan for the faults of a world.
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self {
            faults,
            counts: Mutex::default(),
        }
    }

    /// Counts a request; returns its number on the route and the faults that apply to it, in order.
    pub(super) fn next(&self, route: Route) -> (u64, Vec<&Fault>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let number = counts.calls.entry(route).or_default();
        *number += 1;
        let number = *number;
        let mut applicable = vec![];
        for (at, fault) in self.faults.iter().enumerate() {
            let applied = counts.applied.entry(at).or_default();
            let left = fault.times.is_none_or(|times| *applied < times);
            if fault.route == route.name() && left && fault.applies_to(number) {
                *applied += 1;
                applicable.push(fault);
            }
        }
        (number, applicable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> FaultPlan {
        let faults: Vec<Fault> = serde_json::from_str(text).unwrap();
        FaultPlan::new(faults)
    }

    fn affected(plan: &FaultPlan, route: Route, calls: u64) -> Vec<u64> {
        (0..calls)
            .map(|_| plan.next(route))
            .filter_map(|(number, faults)| (!faults.is_empty()).then_some(number))
            .collect()
    }

    #[test]
    fn nth_applies_to_its_own_route_only() {
        let plan = plan(r#"[{"route":"graph.alerts","nth":2,"status":500}]"#);
        assert_eq!(affected(&plan, Route::LoginToken, 3), Vec::<u64>::new());
        assert_eq!(affected(&plan, Route::GraphAlerts, 4), [2]);
    }

    #[test]
    fn nth_can_be_a_list_and_times_limits() {
        let listed = plan(r#"[{"route":"login.token","nth":[1,3],"reset":true}]"#);
        assert_eq!(affected(&listed, Route::LoginToken, 4), [1, 3]);
        let limited = plan(r#"[{"route":"login.token","times":2,"delay_ms":1}]"#);
        assert_eq!(affected(&limited, Route::LoginToken, 4), [1, 2]);
    }

    #[test]
    fn body_is_text_or_unchanged_json() {
        let content = |text: &str| serde_json::from_str::<Fault>(text).unwrap().content();
        let html = content(r#"{"route":"login.token","status":502,"body":"<html>\u00e4"}"#);
        assert_eq!(html, ("<html>ä".to_owned(), "text/html; charset=utf-8"));
        let json = content(r#"{"route":"login.token","status":500,"body":{"a": 1.0,"a":2}}"#);
        assert_eq!(json.0, r#"{"a": 1.0,"a":2}"#);
    }

    #[test]
    fn nth_that_is_not_a_number_is_rejected() {
        let nth = serde_json::from_str::<Fault>(r#"{"route":"x","nth":"two"}"#).unwrap_err();
        assert!(nth.to_string().contains("number of a call"), "{nth}");
    }
}
