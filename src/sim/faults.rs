//! What goes wrong on purpose: "the second listing of alerts answers 429".
//!
//! A fault names a route, which of its calls it strikes, and one thing that happens. This file
//! decides; the wire effects (a cut body, a dropped connection) are done in `server`. It
//! deliberately has no chance in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sim::server::routes::Route;

/// One thing that goes wrong.
///
/// Exactly one of `status`, `truncate`, `delay_ms`, `reset`, `replace` and `expire_token` is
/// given. Several faults may strike the same call: delays come first, then a reset or the
/// first status, then replacements, then the first cut.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `login.discovery`, `login.authorize`, `login.token`, `graph.alerts`, `graph.alert`,
    /// `management.subscriptions.start`, `….stop` or `….list`, `management.content`,
    /// `management.blob`, `hook.receive`, `identity.vm` or `identity.app_service`.
    pub route: String,
    /// Which calls of the route, counted from 1 since the simulator started: a number or a list.
    /// Left out: every call.
    #[serde(default)]
    pub nth: Option<Nth>,
    /// How often it strikes at most, counted from the first call; not together with `nth`.
    #[serde(default)]
    pub times: Option<u64>,
    /// Answers with this status; the service itself does not act.
    #[serde(default)]
    pub status: Option<u16>,
    /// Body of that answer: a text, or JSON that is sent as it stands here.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Value>")]
    pub body: Option<Box<RawValue>>,
    /// Headers of that answer.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Sends so many bytes of the (unpacked) body, promises all, and drops the connection.
    #[serde(default)]
    pub truncate: Option<usize>,
    /// Waits before the answer.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Drops the connection without an answer; the service itself does not act.
    #[serde(default)]
    pub reset: bool,
    /// Replaces a text in the body, wherever it occurs.
    #[serde(default)]
    pub replace: Option<Replace>,
    /// Judges the token expired; on `login.token` and the routes of `identity`: issues an expired
    /// one.
    #[serde(default)]
    pub expire_token: bool,
}

/// Which calls of a route.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "nth is the number of a call (from 1) or a list of such numbers"
)]
pub enum Nth {
    /// That one.
    One(u64),
    /// Any of these.
    Each(Vec<u64>),
}

/// A replacement in a body.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The text to look for.
    pub from: String,
    /// What stands there instead.
    pub to: String,
}

impl Fault {
    /// Body and content type of the answer that a status brings.
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

    fn strikes(&self, call: u64) -> bool {
        match &self.nth {
            None => true,
            Some(Nth::One(number)) => *number == call,
            Some(Nth::Each(numbers)) => numbers.contains(&call),
        }
    }
}

/// Counts the calls of every route and says which faults strike.
pub(super) struct FaultBook {
    faults: Vec<Fault>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    calls: HashMap<Route, u64>,
    struck: HashMap<usize, u64>,
}

impl FaultBook {
    /// The book of a world.
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self {
            faults,
            counts: Mutex::default(),
        }
    }

    /// Counts a call; gives its number on its route and the faults that strike it, in order.
    pub(super) fn next(&self, route: Route) -> (u64, Vec<&Fault>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let number = counts.calls.entry(route).or_default();
        *number += 1;
        let number = *number;
        let mut striking = vec![];
        for (at, fault) in self.faults.iter().enumerate() {
            let struck = counts.struck.entry(at).or_default();
            let left = fault.times.is_none_or(|times| *struck < times);
            if fault.route == route.name() && left && fault.strikes(number) {
                *struck += 1;
                striking.push(fault);
            }
        }
        (number, striking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(text: &str) -> FaultBook {
        let faults: Vec<Fault> = serde_json::from_str(text).unwrap();
        FaultBook::new(faults)
    }

    fn struck(book: &FaultBook, route: Route, calls: u64) -> Vec<u64> {
        (0..calls)
            .map(|_| book.next(route))
            .filter_map(|(number, faults)| (!faults.is_empty()).then_some(number))
            .collect()
    }

    #[test]
    fn the_nth_call_of_its_own_route_is_struck() {
        let book = book(r#"[{"route":"graph.alerts","nth":2,"status":500}]"#);
        assert_eq!(struck(&book, Route::LoginToken, 3), Vec::<u64>::new());
        assert_eq!(struck(&book, Route::GraphAlerts, 4), [2]);
    }

    #[test]
    fn lists_and_limits() {
        let listed = book(r#"[{"route":"login.token","nth":[1,3],"reset":true}]"#);
        assert_eq!(struck(&listed, Route::LoginToken, 4), [1, 3]);
        let limited = book(r#"[{"route":"login.token","times":2,"delay_ms":1}]"#);
        assert_eq!(struck(&limited, Route::LoginToken, 4), [1, 2]);
    }

    #[test]
    fn bodies_are_text_or_json_as_it_stands() {
        let content = |text: &str| serde_json::from_str::<Fault>(text).unwrap().content();
        let html = content(r#"{"route":"login.token","status":502,"body":"<html>\u00e4"}"#);
        assert_eq!(html, ("<html>ä".to_owned(), "text/html; charset=utf-8"));
        let json = content(r#"{"route":"login.token","status":500,"body":{"a": 1.0,"a":2}}"#);
        assert_eq!(json.0, r#"{"a": 1.0,"a":2}"#);
    }

    #[test]
    fn nth_that_is_no_number_is_refused() {
        let nth = serde_json::from_str::<Fault>(r#"{"route":"x","nth":"two"}"#).unwrap_err();
        assert!(nth.to_string().contains("number of a call"), "{nth}");
    }
}
