//! What went wrong, as a caller sees it: one type, and the `error` block it closes into.
//!
//! The kinds themselves are in `kind`. What only an
//! operator should see travels as [`std::error::Error::source`] and goes to the log alone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::protocol::detail::{Detail, Signal};
pub use crate::protocol::kind::ErrorKind;
use crate::protocol::shape::name_of;

/// The most single faults that a failure lists; the others are counted.
pub const MAX_ITEMS: usize = 100;

/// The longest message and the longest place that an `error` block carries, in bytes.
const MAX_MESSAGE: usize = 8 * 1024;

/// The longest message and the longest place of a single fault, in bytes.
const MAX_ITEM: usize = 1024;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The call that failed, without secrets: enough to find it in three logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Upstream {
    /// HTTP method.
    pub method: String,
    /// Address asked, without secret parameters.
    pub url: String,
    /// HTTP status, if an answer came.
    pub http_status: Option<u16>,
    /// The service's own code, untranslated.
    pub code: Option<String>,
    /// The service's id of the request.
    pub request_id: Option<String>,
    /// Our id of the request, as sent.
    pub client_request_id: Option<String>,
    /// The service's clock, RFC 3339 where it could be read.
    pub date: Option<String>,
}

/// One single fault among several.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FaultItem {
    /// JSON Pointer into the request, or what else identifies the place.
    pub at: Option<String>,
    /// The code a playbook was documented to expect.
    pub status_code: String,
    /// The kind of this fault.
    pub kind: ErrorKind,
    /// One sentence.
    pub message: String,
}

/// The `error` block of a result.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ErrorBlock {
    /// What failed, in the product's words.
    pub failure_indicator: String,
    /// The code a playbook was documented to expect.
    pub status_code: String,
    /// The service's own words, trimmed; for our own faults one sentence.
    pub message: String,
    /// What a program may branch on.
    pub kind: ErrorKind,
    /// Whose fault it is.
    pub source: FaultSource,
    /// Will the identical request possibly succeed later?
    pub retryable: bool,
    /// When, if the service said so: milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// Why: one sentence.
    pub cause: String,
    /// What to do: one sentence.
    pub assistance: String,
    /// JSON Pointer into the request, `line 7`, or `file:pointer` of a manifest or mapping.
    pub at: Option<String>,
    /// The call that failed.
    pub upstream: Option<Upstream>,
    /// Single faults: every bad input, every failed blob.
    pub items: Vec<FaultItem>,
    /// The signal that stopped the run; `message` names it for readers of the result.
    #[serde(skip)]
    pub stopped_by: Option<Signal>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultSource {
    /// A service said so.
    Upstream,
    /// The host said so.
    Host,
}

/// A face's own codes: a vendor code, `kind.rule` or a kind → the code its playbooks expect.
pub type Codes = BTreeMap<String, String>;

/// What went wrong.
#[derive(Debug)]
pub struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    rule: Option<&'static str>,
    detail: Option<Detail>,
    /// Is the service's code one that its documentation lists for callers?
    is_code_documented: bool,
    message: String,
    cause: Option<String>,
    assistance: Option<String>,
    at: Option<String>,
    retry_after: Option<Duration>,
    upstream: Option<Upstream>,
    items: Vec<Fault>,
    /// Single faults that are not listed.
    unlisted: usize,
    source: Option<Source>,
}

#[derive(Clone, Debug)]
struct Fault {
    at: Option<String>,
    rule: Option<&'static str>,
    vendor_code: Option<String>,
    is_code_documented: bool,
    http_status: Option<u16>,
    kind: ErrorKind,
    message: String,
}

impl Failure {
    /// A failure of that kind, with the service's own words or one sentence of ours.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure(Box::new(Inner {
            kind,
            rule: None,
            detail: None,
            is_code_documented: false,
            message: message.into(),
            cause: None,
            assistance: None,
            at: None,
            retry_after: None,
            upstream: None,
            items: Vec::new(),
            unlisted: 0,
            source: None,
        }))
    }

    /// A bad value in the request; `at` is a JSON Pointer.
    pub fn invalid_input(at: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new(ErrorKind::InvalidInput, message).at(at)
    }

    /// Names the rule that was broken, so that a face can give it a code: `kind.rule`.
    #[must_use]
    pub fn rule(mut self, rule: &'static str) -> Self {
        self.0.rule = Some(rule);
        self
    }

    /// Sets what code must know of it.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// Marks the service's code as one that its documentation lists: it becomes the status code.
    #[must_use]
    pub fn with_documented_code(mut self) -> Self {
        self.0.is_code_documented = true;
        self
    }

    /// Says why.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn advice(mut self, assistance: impl Into<String>) -> Self {
        self.0.assistance = Some(assistance.into());
        self
    }

    /// Says where: JSON Pointer, `line 7`, or `file:pointer`.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.0.at = Some(at.into());
        self
    }

    /// Says when a repeat may help.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Names the call that failed.
    #[must_use]
    pub fn upstream(mut self, upstream: Upstream) -> Self {
        self.0.upstream = Some(upstream);
        self
    }

    /// Names the call that failed, unless one is named already.
    #[must_use]
    pub fn or_upstream(mut self, upstream: Upstream) -> Self {
        self.0.upstream.get_or_insert(upstream);
        self
    }

    /// Keeps what only the log may show.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds a single fault; beyond [`MAX_ITEMS`] it is only counted.
    #[must_use]
    pub fn with_item(mut self, item: Failure) -> Self {
        if self.0.items.len() >= MAX_ITEMS {
            self.0.unlisted += 1;
            return self;
        }
        let Inner {
            kind,
            rule,
            is_code_documented,
            message,
            at,
            upstream,
            ..
        } = *item.0;
        let http_status = upstream.as_ref().and_then(|call| call.http_status);
        let vendor_code = upstream.and_then(|call| call.code);
        self.0.items.push(Fault {
            at: at.map(|at| shortened(at, MAX_ITEM)),
            rule,
            vendor_code,
            is_code_documented,
            http_status,
            kind,
            message: shortened(message, MAX_ITEM),
        });
        self
    }

    /// Joins faults that were found together. One alone stays itself; several become one failure
    /// of the first one's kind with every fault in `items`.
    pub fn join(faults: Vec<Failure>) -> Option<Self> {
        let mut faults: Vec<Failure> = faults.into_iter().flat_map(Failure::split).collect();
        if faults.len() <= 1 {
            return faults.pop().map(Failure::listed);
        }
        let first = faults.first()?;
        let same_rule = faults.iter().all(|fault| fault.0.rule == first.0.rule);
        let same_words = faults
            .iter()
            .all(|fault| fault.0.message == first.0.message);
        let message = if same_words {
            first.0.message.clone()
        } else {
            summary(&faults)
        };
        let mut joined = Failure::new(first.0.kind, message);
        joined.0.rule = if same_rule { first.0.rule } else { None };
        joined.0.at.clone_from(&first.0.at);
        Some(faults.into_iter().fold(joined, Failure::with_item))
    }

    /// The failure once more, for another request; what only the log may show stays behind.
    #[must_use]
    pub fn again(&self) -> Failure {
        let own = &*self.0;
        Failure(Box::new(Inner {
            message: own.message.clone(),
            cause: own.cause.clone(),
            assistance: own.assistance.clone(),
            at: own.at.clone(),
            upstream: own.upstream.clone(),
            items: own.items.clone(),
            unlisted: own.unlisted,
            source: None,
            ..*own
        }))
    }

    /// The failure once more, in other words and for no place.
    #[must_use]
    pub fn reworded(&self, message: String) -> Failure {
        let mut other = self.again();
        other.0.message = message;
        other.0.at = None;
        other
    }

    /// The failure with its place, and its items' places, in the words of the request: `places`
    /// tells where the author gives each input and each slot of the connection. Where a message
    /// names the place, it names the new one.
    #[must_use]
    pub fn relocated(mut self, places: &BTreeMap<String, String>) -> Failure {
        relocate(&mut self.0.at, &mut self.0.message, places);
        for item in &mut self.0.items {
            relocate(&mut item.at, &mut item.message, places);
        }
        self
    }

    /// The failure with the message of each fault, whose place is `words`' first argument, replaced.
    #[must_use]
    pub fn reworded_each(mut self, words: impl Fn(Option<&str>, &str) -> String) -> Failure {
        let own = &mut *self.0;
        for item in &mut own.items {
            item.message = words(item.at.as_deref(), &item.message);
        }
        own.message = match own.items.as_slice() {
            [] | [_] => words(own.at.as_deref(), &own.message),
            items => {
                let all: Vec<&str> = items.iter().map(|item| item.message.as_str()).collect();
                format!("{} faults: {}", all.len(), all.join(" "))
            }
        };
        self
    }

    /// The single faults of a joined failure; of any other, itself.
    pub fn split(self) -> Vec<Failure> {
        if self.0.items.len() < 2 {
            return vec![self];
        }
        let single = |fault: Fault| {
            let mut failure = Failure::new(fault.kind, fault.message);
            (failure.0.at, failure.0.rule) = (fault.at, fault.rule);
            failure
        };
        self.0.items.into_iter().map(single).collect()
    }

    /// The failure with itself as its only item, so that `items` always holds every bad input.
    fn listed(mut self) -> Self {
        let about_request = matches!(
            self.0.kind,
            ErrorKind::InvalidInput | ErrorKind::MalformedRequest
        );
        if self.0.items.is_empty() && self.0.at.is_some() && about_request {
            let Inner {
                kind,
                rule,
                ref message,
                ref at,
                ..
            } = *self.0;
            let (message, at) = (message.clone(), at.clone());
            self.0.items.push(Fault {
                at,
                rule,
                vendor_code: None,
                is_code_documented: false,
                http_status: None,
                kind,
                message,
            });
        }
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The rule that was broken, if it has a name.
    pub fn broken_rule(&self) -> Option<&'static str> {
        self.0.rule
    }

    /// What code must know of it, if anything.
    pub fn detail(&self) -> Option<Detail> {
        self.0.detail
    }

    /// Where the fault is, if it has a place.
    pub fn place(&self) -> Option<&str> {
        self.0.at.as_deref()
    }

    /// What was said about how to mend it.
    pub fn assistance(&self) -> Option<&str> {
        self.0.assistance.as_deref()
    }

    /// How long the service asks to wait, if it said so.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The HTTP status of the answer, if one came.
    pub fn http_status(&self) -> Option<u16> {
        self.0.upstream.as_ref().and_then(|call| call.http_status)
    }

    /// The service's own code, untranslated.
    pub fn vendor_code(&self) -> Option<&str> {
        self.0
            .upstream
            .as_ref()
            .and_then(|call| call.code.as_deref())
    }

    /// The `error` block: codes as the face documents them, words for every person.
    pub fn close(self, indicator: &str, codes: &Codes) -> ErrorBlock {
        let Inner {
            kind,
            rule,
            detail,
            is_code_documented,
            message,
            cause,
            assistance,
            at,
            retry_after,
            upstream,
            items,
            unlisted,
            ..
        } = *self.0;
        let (usual_cause, usual_advice) = match kind.usual() {
            (cause, _) if kind == ErrorKind::InvalidInput && items.is_empty() => (
                cause,
                "Correct the value that `at` names; nothing was sent.",
            ),
            usual => usual,
        };
        let code = StatusCode {
            kind,
            rule,
            vendor: upstream.as_ref().and_then(|call| call.code.as_deref()),
            is_vendor_documented: is_code_documented,
            http_status: upstream.as_ref().and_then(|call| call.http_status),
        };
        let mut listed: Vec<FaultItem> =
            items.into_iter().map(|fault| fault.close(codes)).collect();
        if unlisted > 0 {
            listed.push(FaultItem {
                at: None,
                status_code: code.text(codes),
                kind,
                message: format!("{unlisted} more faults are not listed."),
            });
        }
        ErrorBlock {
            failure_indicator: indicator.to_owned(),
            status_code: code.text(codes),
            message: shortened(message, MAX_MESSAGE),
            kind,
            source: if upstream.is_some() {
                FaultSource::Upstream
            } else {
                FaultSource::Host
            },
            retryable: kind.retryable(),
            retry_after_ms: retry_after
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            cause: cause.unwrap_or_else(|| usual_cause.to_owned()),
            assistance: assistance.unwrap_or_else(|| usual_advice.to_owned()),
            at: at.map(|at| shortened(at, MAX_MESSAGE)),
            upstream,
            items: listed,
            stopped_by: detail.and_then(Detail::signal),
        }
    }
}

/// The messages of several faults as one, as far as they are listed.
fn summary(faults: &[Failure]) -> String {
    let mut text = format!("{} faults:", faults.len());
    for fault in faults.iter().take(MAX_ITEMS) {
        text.push(' ');
        text.push_str(&shortened(fault.0.message.clone(), MAX_ITEM));
    }
    text
}

/// The text, cut at a character if it is longer than `limit` bytes: names in a request can have any
/// length.
fn shortened(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
    text
}

impl Fault {
    fn close(self, codes: &Codes) -> FaultItem {
        let vendor = self.vendor_code.as_deref();
        let code = StatusCode {
            kind: self.kind,
            rule: self.rule,
            vendor,
            is_vendor_documented: self.is_code_documented,
            http_status: self.http_status,
        };
        FaultItem {
            status_code: code.text(codes),
            at: self.at,
            kind: self.kind,
            message: self.message,
        }
    }
}

struct StatusCode<'a> {
    kind: ErrorKind,
    rule: Option<&'static str>,
    vendor: Option<&'a str>,
    is_vendor_documented: bool,
    http_status: Option<u16>,
}

impl StatusCode<'_> {
    /// The face's own code (the most specific wins), the service's, the HTTP status, our number.
    fn text(&self, codes: &Codes) -> String {
        let name = self.kind.name();
        let by_rule = self.rule.map(|rule| format!("{name}.{rule}"));
        let own = [self.vendor, by_rule.as_deref(), Some(name)]
            .into_iter()
            .flatten()
            .find_map(|key| codes.get(key).cloned());
        let documented = self.vendor.filter(|_| self.is_vendor_documented);
        own.or_else(|| documented.map(str::to_owned))
            // A 200 that holds nothing usable did not fail by its status.
            .or_else(|| {
                let failing = self.http_status.filter(|status| *status >= 300);
                failing.map(|status| status.to_string())
            })
            .unwrap_or_else(|| self.kind.number().to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.0.at {
            write!(f, "{at}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

fn relocate(at: &mut Option<String>, message: &mut String, places: &BTreeMap<String, String>) {
    let Some(old) = at.as_deref() else { return };
    let own = old.strip_prefix("/inputs/");
    let own = own.or_else(|| old.strip_prefix("/connection/"));
    let Some((name, below)) = own.map(|own| own.split_at(own.find('/').unwrap_or(own.len())))
    else {
        return;
    };
    if let Some(place) = places.get(name) {
        let new = format!("{place}{below}");
        *message = message.replace(
            &format!("`{}`", name_of(old)),
            &format!("`{}`", name_of(&new)),
        );
        *at = Some(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> Codes {
        [
            ("LOGIN16", "P10"),
            ("invalid_input.time_range", "P03"),
            ("invalid_input", "P02"),
        ]
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .into()
    }

    fn code_of(failure: Failure) -> String {
        failure.close("It failed.", &codes()).status_code
    }

    fn upstream(code: &str, http_status: u16) -> Upstream {
        Upstream {
            code: Some(code.to_owned()),
            http_status: Some(http_status),
            ..Upstream::default()
        }
    }

    #[test]
    fn status_code_is_the_most_specific_that_is_documented() {
        let input = || Failure::invalid_input("/inputs/x", "No.");
        assert_eq!(code_of(input()), "P02");
        assert_eq!(code_of(input().rule("time_range")), "P03");
        let refused = |code, status| {
            Failure::new(ErrorKind::AuthFailed, "No.").upstream(upstream(code, status))
        };
        assert_eq!(code_of(refused("LOGIN16", 400)), "P10");
        assert_eq!(
            code_of(refused("LOGIN15", 401).with_documented_code()),
            "LOGIN15"
        );
        assert_eq!(code_of(refused("LOGIN15", 401)), "401");
        assert_eq!(code_of(Failure::new(ErrorKind::Network, "No.")), "503");
    }

    #[test]
    fn faults_beyond_the_limit_are_counted_and_long_texts_are_cut() {
        let fault = |n: usize| {
            let message = format!("{n} {}", "é".repeat(2 * MAX_ITEM));
            Failure::invalid_input(format!("/inputs/{n}"), message)
        };
        let joined = Failure::join((0..MAX_ITEMS + 7).map(fault).collect());
        let block = joined.expect("faults").close("It failed.", &Codes::new());
        assert_eq!(block.items.len(), MAX_ITEMS + 1);
        let last = block.items.last().expect("items");
        assert_eq!(last.message, "7 more faults are not listed.");
        assert!(
            block.message.starts_with("107 faults: 0 é"),
            "{}",
            block.message
        );
        let bytes: usize = block.items.iter().map(|item| item.message.len()).sum();
        assert!(bytes + block.message.len() < (MAX_ITEMS + 9) * (MAX_ITEM + 8));
    }

    #[test]
    fn faults_of_one_rule_keep_its_code_and_mixed_ones_do_not() {
        let range = || Failure::invalid_input("/inputs/Start Time", "Range.").rule("time_range");
        let other = Failure::invalid_input("/inputs/Top", "Top.");
        let same = Failure::join(vec![range(), range()]).expect("two faults");
        assert_eq!(code_of(same), "P03");
        let mixed = Failure::join(vec![range(), other]).expect("two faults");
        let block = mixed.close("It failed.", &codes());
        assert_eq!(block.status_code, "P02");
        assert_eq!(block.message, "2 faults: Range. Top.");
        let item_codes: Vec<_> = block.items.iter().map(|i| i.status_code.as_str()).collect();
        assert_eq!(item_codes, ["P03", "P02"]);
    }
}
