//! A failure: its kind, place, cause and advice, and the request that failed.
//!
//! `block` turns a failure into the `error` block of a result, `join` combines several failures
//! into one. The kinds are in `protocol::kind`. Details that only operators should see are
//! the [`std::error::Error::source`] and appear only in the log.

mod block;
mod join;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::protocol::detail::Detail;
pub use crate::protocol::kind::ErrorKind;
use crate::when::instant;
pub(crate) use block::MAX_MESSAGE;
pub use block::{Codes, ErrorBlock, FaultItem, FaultSource, Upstream};
pub use join::MAX_ITEMS;
pub(crate) use join::fault_count;

/// Why a command, a request or a file failed.
#[derive(Clone, Debug)]
pub struct Failure(Box<Inner>);

#[derive(Clone, Debug)]
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
    /// Is the name of the member at the place wrong, not its value?
    is_name: bool,
    retry_after: Option<Duration>,
    upstream: Option<Upstream>,
    /// The single faults of a joined failure. They have no cause and no items.
    items: Vec<Failure>,
    /// The number of faults beyond [`MAX_ITEMS`].
    unlisted: usize,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// Creates a failure. The message is the service's own, or one sentence of the host.
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
            is_name: false,
            retry_after: None,
            upstream: None,
            items: Vec::new(),
            unlisted: 0,
            source: None,
        }))
    }

    /// Creates a failure for an invalid value in the request; `at` is a JSON Pointer.
    pub fn invalid_input(at: impl Into<String>, message: impl Into<String>) -> Self {
        Failure::new(ErrorKind::InvalidInput, message).at(at)
    }

    /// Names the rule that was broken. An integration can define a code for `kind.rule`.
    #[must_use]
    pub fn rule(mut self, rule: &'static str) -> Self {
        self.0.rule = Some(rule);
        self
    }

    /// Sets what other modules must know beyond the kind.
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

    /// Sets the cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Sets the advice.
    #[must_use]
    pub fn advice(mut self, assistance: impl Into<String>) -> Self {
        self.0.assistance = Some(assistance.into());
        self
    }

    /// Sets the place: a JSON Pointer, `line 7`, or `file:pointer`.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.0.at = Some(at.into());
        self
    }

    /// Says that the name of the member at the place is wrong, not its value.
    #[must_use]
    pub fn about_name(mut self) -> Self {
        self.0.is_name = true;
        self
    }

    /// Sets how long the service asks the caller to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Sets the request that failed.
    #[must_use]
    pub fn upstream(mut self, upstream: Upstream) -> Self {
        self.0.upstream = Some(upstream);
        self
    }

    /// Sets the request that failed, unless it is set already.
    #[must_use]
    pub fn or_upstream(mut self, upstream: Upstream) -> Self {
        self.0.upstream.get_or_insert(upstream);
        self
    }

    /// Sets the error that only the log may show.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// The same failure with another message and without a place.
    #[must_use]
    pub fn reworded(&self, message: String) -> Failure {
        let mut other = self.clone();
        other.0.message = message;
        other.0.at = None;
        other
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

    /// What other modules must know beyond the kind.
    pub fn detail(&self) -> Option<Detail> {
        self.0.detail
    }

    /// The place, if it is known.
    pub fn place(&self) -> Option<&str> {
        self.0.at.as_deref()
    }

    /// Is the name of the member at the place wrong, not its value?
    pub fn is_about_name(&self) -> bool {
        self.0.is_name
    }

    /// The advice, if it was set.
    pub fn assistance(&self) -> Option<&str> {
        self.0.assistance.as_deref()
    }

    /// How long the service asks the caller to wait.
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The HTTP status, if a response was received.
    pub fn http_status(&self) -> Option<u16> {
        self.0.upstream.as_ref().and_then(|call| call.http_status)
    }

    /// The service's time, if a response was received.
    pub fn service_date(&self) -> Option<DateTime<Utc>> {
        let call = self.0.upstream.as_ref();
        instant(call?.date.as_deref()?, &[])
    }

    /// The cause, if it was set.
    pub fn reason(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The service's own code, unchanged.
    pub fn vendor_code(&self) -> Option<&str> {
        let call = self.0.upstream.as_ref();
        call.and_then(|call| call.code.as_deref())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = shown_place(self.place()) {
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

/// The place for people: without the empty pointer, which means the whole document.
pub fn shown_place(at: Option<&str>) -> Option<&str> {
    at.map(|at| at.trim_end_matches(':'))
        .filter(|at| !at.is_empty())
}

/// Cuts a redacted text to `limit` bytes. In other text it could cut a secret, and half of a
/// secret is not found.
pub(crate) fn shorten(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
}

/// The largest text that a failure holds until it is redacted and cut, in bytes.
const LARGEST: usize = 64 * 1024;

/// The text; only its length if it is too long to hold.
fn bounded(text: String) -> String {
    match text.len() {
        0..=LARGEST => text,
        length => format!("A message of {length} bytes, which is too long to show."),
    }
}
