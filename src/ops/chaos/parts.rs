//! Operations with several parts: `chaos.partial`, `chaos.flap`, `chaos.slow_page`.
//!
//! Each part has the coverage and the state of a real listing, so the same request with that state
//! resumes. Records are invented; their ids are numbered.

use std::num::NonZeroU64;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{failure, pause};
use crate::microsoft::TimeWindow;
use crate::microsoft::coverage::CoverageBuilder;
use crate::ops::resume::scope::{Resumed, invalid_state, members, read, resume};
use crate::ops::{Call, Input, Needs, Reply, scope};
use crate::protocol::{ErrorKind, Failure, State, Warning};
use crate::when::rfc3339;

/// The maximum number of records. `chaos.huge` returns more.
const MAX_RECORDS: u64 = 100_000;

/// Delivers some records and fails; a request with the state delivers the missing ones.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    /// The number of records before the failure.
    pub records: NonZeroU64,
    /// The number of records missing after the failure.
    pub missing: NonZeroU64,
    /// The kind of the failure.
    pub kind: ErrorKind,
    /// The value of `retry_after_ms`.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

impl Input for Partial {
    const SUMMARY: &'static str =
        "Delivers some records and fails; a request with the state delivers the missing ones.";
    const RESULT: &'static str = "An array of invented records: `$[*]`.";
    const STATE: bool = true;
    const NEEDS: Needs = Needs::Nothing;

    fn check(&self, _: DateTime<Utc>) -> Result<(), Failure> {
        not_too_many(self.total())
    }
}

impl Partial {
    fn first(&self) -> u64 {
        self.records.get()
    }

    fn total(&self) -> u64 {
        self.first().saturating_add(self.missing.get())
    }
}

/// Fails every other time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// The kind of the failure.
    pub kind: ErrorKind,
    /// The number of this attempt, from 1: odd attempts fail, even attempts succeed. Without it,
    /// runs with the returned state alternate between partially successful (one event missing) and
    /// successful (the missing event).
    #[serde(default)]
    pub attempt: Option<NonZeroU64>,
}

impl Input for Flap {
    const SUMMARY: &'static str = "Fails every other time.";
    const RESULT: &'static str = "An array of invented records: `$[*]`.";
    const STATE: bool = true;
    const NEEDS: Needs = Needs::Nothing;
}

/// Delivers pages of records with a pause between pages.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowPage {
    /// The number of pages.
    pub pages: NonZeroU64,
    /// The number of records of a page.
    pub records: NonZeroU64,
    /// The pause between two pages of a run, in milliseconds.
    pub pause_ms: u64,
}

impl Input for SlowPage {
    const SUMMARY: &'static str = "Delivers pages of records with a pause between pages.";
    const RESULT: &'static str = "An array of invented records: `$[*]`.";
    const STATE: bool = true;
    const NEEDS: Needs = Needs::Nothing;

    fn check(&self, _: DateTime<Utc>) -> Result<(), Failure> {
        not_too_many(self.total())
    }
}

impl SlowPage {
    fn total(&self) -> u64 {
        self.pages.get().saturating_mul(self.records.get())
    }
}

fn not_too_many(records: u64) -> Result<(), Failure> {
    if records <= MAX_RECORDS {
        return Ok(());
    }
    let message = format!("{records} records were requested; the maximum is {MAX_RECORDS}.");
    Err(Failure::invalid_input("/inputs/records", message))
}

/// Delivers the first part with a failure, or the missing part.
pub async fn partial(call: &Call<'_>, input: Partial) -> Result<Reply, Failure> {
    let (first, total) = (input.first(), input.total());
    let mut parts = Parts::begin(call, "chaos.partial", &input, |_| (0, total))?;
    if parts.next >= first {
        parts.take(total);
        return parts.close(None, false);
    }
    parts.take(first);
    let failed = failure(input.kind, None, input.retry_after_ms);
    parts.close(Some(failed), false)
}

/// Delivers one record. Every other run fails before a second record, which the next run delivers.
pub async fn flap(call: &Call<'_>, input: Flap) -> Result<Reply, Failure> {
    let failed = failure(input.kind, None, None);
    let pair = |next: u64| (next / 2 * 2, next / 2 * 2 + 2);
    let mut parts = match input.attempt {
        Some(attempt) if attempt.get() % 2 == 1 => return Err(failed),
        Some(_) => Parts::begin(call, "chaos.flap", &input, |next| (next, next + 1))?,
        None => Parts::begin(call, "chaos.flap", &input, pair)?,
    };
    parts.take(parts.next + 1);
    let incomplete = parts.is_incomplete().then_some(failed);
    parts.close(incomplete, input.attempt.is_none())
}

/// Delivers page after page, until the deadline or a signal.
pub async fn slow_page(call: &Call<'_>, input: SlowPage) -> Result<Reply, Failure> {
    let (page, total) = (input.records.get(), input.total());
    let mut parts = Parts::begin(call, "chaos.slow_page", &input, |_| (0, total))?;
    let stopped = loop {
        let number = parts.next / page + 1;
        parts.take(number * page);
        if !parts.is_incomplete() || parts.is_enough() {
            break None;
        }
        let attempt = format!("the pause before page {}", number + 1);
        if let Err(stopped) = pause(call, input.pause_ms, &attempt).await {
            break Some(stopped);
        }
    };
    parts.close(stopped, false)
}

/// The members of a state of these operations.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    next: u64,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

/// The records from `first` to before `total`, of which those before `next` were delivered.
struct Parts<'a> {
    call: &'a Call<'a>,
    scope: String,
    window: TimeWindow,
    first: u64,
    next: u64,
    total: u64,
    rows: Vec<Value>,
    coverage: CoverageBuilder,
    warnings: Vec<Warning>,
}

impl<'a> Parts<'a> {
    /// Starts at the first record or resumes from the state. `span` returns the range of records
    /// that a record belongs to.
    fn begin(
        call: &'a Call<'a>,
        name: &str,
        input: &impl Serialize,
        span: impl Fn(u64) -> (u64, u64),
    ) -> Result<Self, Failure> {
        let scope = scope(name, call.connection, input);
        let mut window = TimeWindow::new(None, None, call.now)?;
        let (mut next, mut warnings) = (0, Vec::new());
        match resume(call, std::slice::from_ref(&scope))? {
            Resumed::None => {}
            Resumed::Own(state) => {
                let resume: Resume = read(Value::Object(state.resume.clone()))?;
                next = resume.next;
                if next > span(next).0 {
                    (window.start, window.end) = (resume.from, resume.to);
                }
            }
            Resumed::Ignored(warning) => warnings.push(warning),
        }
        let (first, total) = span(next);
        if next >= total {
            return Err(invalid_state());
        }
        Ok(Parts {
            call,
            scope,
            window,
            first,
            next,
            total,
            rows: Vec::new(),
            coverage: CoverageBuilder::new("chaos", &window),
            warnings,
        })
    }

    /// Delivers a page: the records before `until`.
    fn take(&mut self, until: u64) {
        let before = self.rows.len();
        for number in self.next..until {
            self.rows.push(json!({
                "id": format!("record-{}", number + 1),
                "createdDateTime": rfc3339(self.time(number)),
                "title": "A record that means nothing",
                "severity": "informational",
            }));
        }
        self.next = until;
        let count = self.rows.len() - before;
        self.coverage.add_page(count, count, 0);
    }

    /// The time of a record. Records are spread evenly over the window.
    fn time(&self, number: u64) -> DateTime<Utc> {
        let whole = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
        let span = self.window.end - self.window.start;
        self.window.start + span / whole(self.total - self.first) * whole(number - self.first)
    }

    fn is_incomplete(&self) -> bool {
        self.next < self.total
    }

    fn is_enough(&self) -> bool {
        let max = self.call.max_events;
        max.is_some_and(|max| self.coverage.kept() >= max)
    }

    /// The reply. `always_has_state`: return a state even if nothing is missing.
    fn close(
        mut self,
        incomplete: Option<Failure>,
        always_has_state: bool,
    ) -> Result<Reply, Failure> {
        let is_incomplete = self.is_incomplete();
        if incomplete.is_some() {
            let span = TimeWindow {
                start: self.time(self.next),
                end: self.window.end,
            };
            self.coverage.add_interrupted_span(&span, None, false);
        } else if is_incomplete {
            self.coverage.set_limited();
        }
        let state = (is_incomplete || always_has_state).then(|| self.state());
        Ok(Reply {
            state,
            more: is_incomplete,
            records: self.coverage.records(),
            coverage: Some(self.coverage.close()),
            warnings: self.warnings,
            incomplete,
            ..Reply::of_value(&self.rows)?
        })
    }

    fn state(&self) -> State {
        let resume = Resume {
            next: self.next,
            from: self.window.start,
            to: self.window.end,
        };
        State::new(self.scope.clone(), members(&resume))
    }
}
