//! `graph.alerts.fetch`: fetches the alerts of a time window, newest first.
//!
//! `listing` lists the alerts in parts, from the `checkpoint` in the state. With *Top Recent N* it
//! starts with the newest alert and stops after N; otherwise it starts with the oldest.
//!
//! A round is one pass over a span of time. If the inputs have a window, this window is the only
//! round, and there is a state until the round is finished. Otherwise, a command with a state
//! starts the next round at the watermark less the overlap. The service stores alerts for months,
//! so a round can start more than 7 days ago.
//!
//! The subscription that some alerts depend on is checked at the same time. A failure of this check
//! is only a warning.

mod checkpoint;
mod listing;
mod subscription;

use std::num::NonZeroU64;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::microsoft::coverage::CoverageBuilder;
use crate::microsoft::graph::alert_filter::{
    AnyOf, AssignedTo, Classification, Determination, ServiceSource, Severity, Status,
};
use crate::microsoft::graph::alerts::{ApiVersion, TimeField};
use crate::microsoft::{ContentType, TimeWindow};
use crate::ops::resume::scope::{Resumed, resume, scope_of};
use crate::ops::resume::time::{clocks_differ, service_time};
use crate::ops::{Call, Input, Permission, Reply, all_valid, in_future, scope, start_and_end};
use crate::protocol::{Failure, State, Warning};

use checkpoint::{Checkpoint, Round};
use listing::{Listing, ListingEnd};

const NAME: &str = "graph.alerts.fetch";

/// The largest age of a window in its first run.
const MAX_AGE: TimeDelta = TimeDelta::days(7);

/// Fetches security alerts of a time window, the most recent first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fetch {
    /// Graph's version, a segment of the path.
    pub api_version: ApiVersion,
    /// Start of the window, inclusive, RFC 3339. Set both times or neither. Default: the last 24
    /// hours.
    pub start_time: Option<String>,
    /// End of the window, exclusive, RFC 3339; at most 24 hours after the start.
    pub end_time: Option<String>,
    /// The maximum number of alerts, the most recent first.
    pub top: Option<NonZeroU64>,
    /// An additional condition in Graph's filter language, sent unchanged in parentheses.
    pub filter: Option<String>,
    /// Only alerts with one of these severities. This input, the inputs below and `filter` are
    /// combined with `and`.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub severity: AnyOf<Severity>,
    /// Only alerts with this status.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub status: AnyOf<Status>,
    /// Only alerts of this product.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub service_source: AnyOf<ServiceSource>,
    /// Only alerts with this classification.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub classification: AnyOf<Classification>,
    /// Only alerts with this determination.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub determination: AnyOf<Determination>,
    /// Only alerts assigned to this person.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub assigned_to: AnyOf<AssignedTo>,
    /// The time of an alert that the window selects by: last update (updated alerts are fetched
    /// again) or creation.
    pub time_field: TimeField,
    /// The content type whose subscription some of the alerts depend on. If it is not enabled, the
    /// result has a warning.
    pub ensure_subscription: Option<ContentType>,
    /// Starts that subscription if it is not enabled.
    pub start_subscription: bool,
}

impl Input for Fetch {
    const SUMMARY: &'static str =
        "Fetches security alerts of a time window, the most recent first.";
    const RESULT: &'static str = "Graph's body with the alerts of all pages: `$.value[*]`.";
    const STATE: bool = true;
    const PERMISSIONS: &'static [Permission] = &[("Microsoft Graph", "SecurityAlert.Read.All")];

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        all_valid([self.window(now).err(), self.condition().err()])
    }

    /// A window that was valid in its first run can be resumed when it is older.
    fn check_resumed(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let start = self.bounds().ok().flatten().map_or(now, |[start, _]| start);
        self.check(now.min(start + MAX_AGE))
    }
}

impl Fetch {
    fn times(&self) -> Result<[Option<DateTime<Utc>>; 2], Failure> {
        start_and_end(self.start_time.as_deref(), self.end_time.as_deref())
    }

    fn window(&self, now: DateTime<Utc>) -> Result<TimeWindow, Failure> {
        let [start, end] = self.times()?;
        TimeWindow::new(start, end, now)
    }

    /// The window of the inputs.
    fn bounds(&self) -> Result<Option<[DateTime<Utc>; 2]>, Failure> {
        let [start, end] = self.times()?;
        Ok(start.zip(end).map(|(start, end)| [start, end]))
    }

    /// The search condition. The service checks it. Only unbalanced parentheses and quotes are
    /// rejected: they could change the condition of the window.
    fn condition(&self) -> Result<Option<String>, Failure> {
        let additional = self.additional_condition()?;
        let typed = [
            self.severity.condition(),
            self.status.condition(),
            self.service_source.condition(),
            self.classification.condition(),
            self.determination.condition(),
            self.assigned_to.condition(),
        ];
        if typed.iter().all(Option::is_none) {
            return Ok(additional.map(str::to_owned));
        }
        let additional = additional.map(|condition| format!("({condition})"));
        let all: Vec<String> = typed.into_iter().chain([additional]).flatten().collect();
        Ok(Some(all.join(" and ")))
    }

    fn additional_condition(&self) -> Result<Option<&str>, Failure> {
        let condition = self.filter.as_deref().map(str::trim).unwrap_or_default();
        match condition {
            "" => Ok(None),
            _ if balanced(condition) => Ok(Some(condition)),
            _ => Err(Failure::invalid_input(
                "/inputs/filter",
                "The parentheses or quotes of the condition do not match.",
            )
            .advice(
                "Close every parenthesis and every single quote; a quote inside text is doubled.",
            )),
        }
    }
}

/// Whether all parentheses and quotes are balanced.
fn balanced(text: &str) -> bool {
    let (mut depth, mut quoted) = (0_i64, false);
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0 && !quoted
}

/// Where the run starts.
struct Plan {
    checkpoint: Checkpoint,
    round: Round,
    /// Whether the start is based on the host's clock.
    provisional: bool,
    warnings: Vec<Warning>,
}

/// Fetches the alerts.
///
/// Errors: the failure of the first page. A later failure is part of the reply.
pub async fn fetch(call: &Call<'_>, input: Fetch) -> Result<Reply, Failure> {
    let plan = plan(call, &input)?;
    let start = (plan.checkpoint, plan.round);
    let mut listing = Listing::new(call, &input, start, plan.provisional);
    let work = join(listing.read(), subscription::ensure(call, &input));
    let (end, notice) = work.await;
    let mut reply = close(call, &input, listing, end?)?;
    let notice = match notice {
        Ok(notice) => notice,
        Err(stopped) => {
            reply.incomplete.get_or_insert(stopped);
            None
        }
    };
    let read = std::mem::take(&mut reply.warnings);
    let mut warnings = plan.warnings;
    warnings.extend(clocks_differ(call));
    warnings.extend(read);
    warnings.extend(notice);
    reply.warnings = warnings;
    Ok(reply)
}

fn plan(call: &Call<'_>, input: &Fetch) -> Result<Plan, Failure> {
    let first_version = scope(NAME, call.connection, input);
    let scopes = [state_scope(call, input)?, first_version];
    let mut warnings = Vec::new();
    match resume(call, &scopes)? {
        Resumed::Own(state) => return resumed(call, input, state),
        Resumed::Ignored(warning) => warnings.push(warning),
        Resumed::None => {}
    }
    let window = input.window(call.now)?;
    let fixed = input.start_time.is_some();
    let left = input.top.map(NonZeroU64::get);
    let mut checkpoint = Checkpoint::new(window.start);
    checkpoint.filter = filter_of(input)?;
    Ok(Plan {
        checkpoint,
        round: Round::new(window.start, fixed.then_some(window.end), left),
        provisional: !fixed,
        warnings,
    })
}

/// Resumes the round that the last run did not finish, or starts the next one.
fn resumed(call: &Call<'_>, input: &Fetch, state: &State) -> Result<Plan, Failure> {
    let mut checkpoint = Checkpoint::read(state, call.now)?;
    let filter = filter_of(input)?;
    let is_current_version = state.scope == state_scope(call, input)?;
    let changed = is_current_version && checkpoint.filter != filter;
    checkpoint.filter = filter;
    let left = input.top.map(NonZeroU64::get);
    let round = match (checkpoint.round.take(), input.bounds()?) {
        (Some(round), _) => round,
        (None, Some([start, end])) => Round::new(start, Some(end), left),
        (None, None) => Round::new(checkpoint.floor, None, left),
    };
    Ok(Plan {
        checkpoint,
        round,
        provisional: false,
        warnings: changed.then(filter_changed).into_iter().collect(),
    })
}

/// The scope of a state: the alerts of a tenant by one of their times, and the window of the
/// inputs. The search condition can change from run to run.
fn state_scope(call: &Call<'_>, input: &Fetch) -> Result<String, Failure> {
    let tenant = call.connection.tenant.to_ascii_lowercase();
    let parts = (
        NAME,
        &call.connection.cloud.id,
        tenant,
        input.time_field,
        input.bounds()?,
    );
    Ok(scope_of(&parts))
}

fn filter_of(input: &Fetch) -> Result<Option<String>, Failure> {
    Ok(input.condition()?.map(|condition| scope_of(&condition)))
}

/// Whether each run reads up to the present.
fn is_rolling(call: &Call<'_>, input: &Fetch) -> bool {
    call.overlap.is_some() && input.start_time.is_none()
}

fn close(
    call: &Call<'_>,
    input: &Fetch,
    mut listing: Listing<'_>,
    end: ListingEnd,
) -> Result<Reply, Failure> {
    let is_rolling = is_rolling(call, input);
    let raw = listing.document()?;
    let progress = listing.has_progress();
    let behind = is_rolling && listing.is_behind();
    let mut warnings = Vec::new();
    if input.start_time.is_some() {
        let window = TimeWindow {
            start: listing.round.from,
            end: listing.round.to.unwrap_or(listing.round.from),
        };
        warnings.extend(in_future(&window, service_time(call)));
    }
    if matches!(end, ListingEnd::Memory) {
        warnings.push(call.http.memory().warning());
    }
    let done = matches!(end, ListingEnd::Done);
    let limited = listing.limited || matches!(end, ListingEnd::Enough | ListingEnd::Memory);
    let overlap = call.overlap.filter(|_| is_rolling);
    let Listing {
        mut checkpoint,
        round,
        mut coverage,
        skipped,
        ..
    } = listing;
    if let Some(coverage) = coverage.as_mut().filter(|_| limited) {
        coverage.set_limited();
    }
    if done {
        let overlap = overlap.unwrap_or_default();
        let shorter = checkpoint.finish(&round, overlap).filter(|_| is_rolling);
        warnings.extend((is_rolling && limited).then(left_out));
        warnings.extend(shorter.map(overlap_shortened));
    } else {
        checkpoint.suspend(round, overlap);
    }
    let (failure, more) = match end {
        ListingEnd::Done => (None, behind),
        ListingEnd::Enough | ListingEnd::Memory => (None, true),
        ListingEnd::Broken(failure) => (Some(failure), progress),
    };
    let state = (!done || is_rolling)
        .then(|| state_scope(call, input).map(|scope| checkpoint.state(scope)));
    Ok(Reply {
        more,
        state: state.transpose()?,
        records: coverage.as_ref().map_or(0, CoverageBuilder::records),
        coverage: coverage.map(CoverageBuilder::close),
        warnings,
        incomplete: failure.or(skipped),
        ..Reply::of(raw)
    })
}

fn left_out() -> Warning {
    let message = "The window has more alerts than the requested number. The older ones were \
                 skipped, and later runs do not fetch them. Request a larger number.";
    Warning::new("left_out_by_limit", message)
}

fn filter_changed() -> Warning {
    let message = "The search condition differs from that of the last run. Alerts up to the last run \
                 were selected by the old one.";
    Warning::new("filter_changed", message)
}

fn overlap_shortened(left: TimeDelta) -> Warning {
    let message = format!(
        "There are more alerts in the overlap than a state can hold. The next run looks back {} \
         seconds only; an alert that appears later than that is missed.",
        left.num_seconds()
    );
    Warning::new("overlap_shortened", message)
}

#[cfg(test)]
mod tests;
