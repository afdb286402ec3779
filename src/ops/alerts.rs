//! `graph.alerts.fetch`: alerts of a time window, the newest first, over as many pages as it
//! takes.
//!
//! Two lanes run at once: the alerts, and the subscription that some of them depend on. Only the
//! first can fail the run; the second ends in a warning at most. A page that fails after others
//! came ends the run early, with a state that goes on there. Where the command keeps state, a run
//! without a window of its own begins where the last one ended.

mod resume;
mod subscription;

use std::num::NonZeroU64;

use chrono::{DateTime, SubsecRound, Utc};
use futures_util::future::join;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::microsoft::graph::Graph;
use crate::microsoft::graph::alert_filter::{
    AnyOf, AssignedTo, Classification, Determination, ServiceSource, Severity, Status,
};
use crate::microsoft::graph::alerts::{self, ApiVersion, Body, Query, TimeField};
use crate::microsoft::ledger::Ledger;
use crate::microsoft::{ContentType, TimeWindow};
use crate::net::Links;
use crate::ops::resume::state::foreign;
use crate::ops::{Call, Input, Reply, in_future, instant, scope};
use crate::protocol::document::Pages;
use crate::protocol::{ErrorKind, Failure, State, Warning, state};

use resume::{Resume, Seen, not_ours};

const NAME: &str = "graph.alerts.fetch";

/// Fetches security alerts of a time window, the most recent first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fetch {
    /// Graph's version, a segment of the path.
    pub api_version: ApiVersion,
    /// Start of the window, inclusive, RFC 3339. Both times or neither; neither: the last 24 hours.
    pub start_time: Option<String>,
    /// End of the window, exclusive, RFC 3339; at most 24 hours after the start.
    pub end_time: Option<String>,
    /// Only so many, the most recent ones over all pages.
    pub top: Option<NonZeroU64>,
    /// A further condition in Graph's filter language; it is passed on as it stands, in
    /// parentheses.
    pub filter: Option<String>,
    /// Only alerts of these severities; several mean any of them. The same holds for the inputs
    /// below; those that are given combine by `and`, also with `filter`.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub severity: AnyOf<Severity>,
    /// Only alerts with this status.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub status: AnyOf<Status>,
    /// Only alerts of this product.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub service_source: AnyOf<ServiceSource>,
    /// Only alerts classified so.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub classification: AnyOf<Classification>,
    /// Only alerts with this determination.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub determination: AnyOf<Determination>,
    /// Only alerts assigned to this person.
    #[serde(skip_serializing_if = "AnyOf::is_empty")]
    pub assigned_to: AnyOf<AssignedTo>,
    /// The time of an alert that the window is about: last update (updated alerts come again) or
    /// creation.
    pub time_field: TimeField,
    /// The content type whose subscription some of the alerts depend on; a warning says when it is
    /// not enabled.
    pub ensure_subscription: Option<ContentType>,
    /// Start that subscription when it is not enabled.
    pub start_subscription: bool,
}

impl Input for Fetch {
    const SUMMARY: &'static str =
        "Fetches security alerts of a time window, the most recent first.";
    const RESULT: &'static str = "Graph's body with the alerts of all pages: `$.value[*]`.";
    const STATE: bool = true;
    const PERMISSIONS: &'static [(&'static str, &'static str)] =
        &[("Microsoft Graph", "SecurityAlert.Read.All")];

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let faults: Vec<_> = [self.window(now).err(), self.condition().err()]
            .into_iter()
            .flatten()
            .collect();
        Failure::join(faults).map_or(Ok(()), Err)
    }
}

impl Fetch {
    fn window(&self, now: DateTime<Utc>) -> Result<TimeWindow, Failure> {
        let start = instant("start_time", self.start_time.as_deref())?;
        let end = instant("end_time", self.end_time.as_deref())?;
        TimeWindow::new(start, end, now)
    }

    /// The condition, if there is one. What it says is the service's to judge; only a parenthesis
    /// that would lead out of it, and so out of the window, is refused.
    fn condition(&self) -> Result<Option<String>, Failure> {
        let own = self.own_condition()?.map(|own| format!("({own})"));
        let typed = [
            self.severity.condition(),
            self.status.condition(),
            self.service_source.condition(),
            self.classification.condition(),
            self.determination.condition(),
            self.assigned_to.condition(),
        ];
        if typed.iter().all(Option::is_none) {
            return Ok(self.own_condition()?.map(str::to_owned));
        }
        let all: Vec<String> = typed.into_iter().chain([own]).flatten().collect();
        Ok(Some(all.join(" and ")))
    }

    fn own_condition(&self) -> Result<Option<&str>, Failure> {
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

/// Does every parenthesis outside of quotes close what was opened inside the text?
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

/// Where to begin.
struct Plan {
    first: Url,
    window: TimeWindow,
    /// How many are still wanted, if that is limited.
    left: Option<u64>,
    /// Alerts that earlier runs delivered.
    seen: Seen,
    resumed: bool,
    warning: Option<Warning>,
}

/// Fetches the alerts.
///
/// Errors: whatever kept the first page from coming. What fails later stands in the reply.
pub async fn fetch(call: &Call<'_>, input: Fetch) -> Result<Reply, Failure> {
    let plan = plan(call, &input)?;
    let read = read(call, &input, &plan);
    let (outcome, notice) = join(read, subscription::ensure(call, &input)).await;
    let mut reply = outcome.map_err(|failure| match (plan.resumed, failure.kind()) {
        (true, ErrorKind::Rejected) => {
            failure.advice("Send the request without `state` to start afresh.")
        }
        _ => failure,
    })?;
    let future = in_future(&plan.window, call.now);
    let notice = match notice {
        Ok(notice) => notice,
        Err(stopped) => {
            reply.incomplete.get_or_insert(stopped);
            None
        }
    };
    let read = std::mem::take(&mut reply.warnings);
    reply.warnings = plan
        .warning
        .into_iter()
        .chain(future)
        .chain(read)
        .chain(notice)
        .collect();
    Ok(reply)
}

fn plan(call: &Call<'_>, input: &Fetch) -> Result<Plan, Failure> {
    let Some(state) = call.state else {
        return afresh(call, input, None);
    };
    if state.state != state::VERSION || state.scope != scope(NAME, call.connection, input) {
        return afresh(call, input, Some(foreign(call)?));
    }
    go_on(call, input, state)
}

fn afresh(call: &Call<'_>, input: &Fetch, warning: Option<Warning>) -> Result<Plan, Failure> {
    let window = input.window(call.now)?;
    Ok(Plan {
        warning,
        ..window_of(call, input, (window, Seen::default()))?
    })
}

/// A window from its first page on.
fn window_of(
    call: &Call<'_>,
    input: &Fetch,
    (window, seen): (TimeWindow, Seen),
) -> Result<Plan, Failure> {
    let left = input.top.map(NonZeroU64::get);
    // Where some are known already, a page of just so many might hold nothing new.
    let top = left.filter(|_| seen.is_empty());
    let limits = [top, call.limits.max_events, Some(alerts::PAGE_SIZE)];
    let query = Query {
        version: input.api_version,
        time: input.time_field,
        window,
        condition: input.condition()?,
        page_size: limits.into_iter().flatten().min().unwrap_or(1).max(1),
    };
    Ok(Plan {
        first: query.url(&call.connection.cloud.graph),
        window,
        left,
        seen,
        resumed: false,
        warning: None,
    })
}

/// Goes on at a page, or where the last window ended.
fn go_on(call: &Call<'_>, input: &Fetch, state: &State) -> Result<Plan, Failure> {
    let resume = Resume::read(state, call.now)?;
    let seen = resume.seen()?;
    let Some(link) = &resume.link else {
        // A clock that went back must not take the point that was reached with it.
        let end = call.now.trunc_subsecs(3).max(resume.to);
        let start = resume.to - call.overlap.unwrap_or_default();
        return window_of(call, input, (TimeWindow { start, end }, seen));
    };
    let graph = &call.connection.cloud.graph;
    let link = Url::parse(link)
        .ok()
        .filter(|link| alerts::leads_to_alerts(link, graph, input.api_version))
        .ok_or_else(|| not_ours("its link does not lead to the alerts of this cloud"))?;
    Ok(Plan {
        first: link,
        window: TimeWindow {
            start: resume.from,
            end: resume.to,
        },
        left: resume.left,
        seen,
        resumed: true,
        warning: None,
    })
}

/// How the reading ended.
enum End {
    /// There is no further page, or no further one is wanted.
    Done,
    /// The caller's `max_events` is reached; there is a further page.
    Enough(Url),
    /// A page could not be read; it can be tried again there, or not at all.
    Broken(Failure, Option<Url>),
}

/// The pages so far.
struct Reading<'a> {
    call: &'a Call<'a>,
    input: &'a Fetch,
    window: TimeWindow,
    left: Option<u64>,
    seen: Seen,
    /// Did a limit leave out what no later run will ask for?
    left_out: bool,
    /// The service's clock when the first page came.
    clock: Option<DateTime<Utc>>,
    links: Links,
    ledger: Ledger,
    pages: Option<Pages>,
    /// The time of the last alert that came: all older ones are still missing.
    reached: Option<String>,
}

async fn read(call: &Call<'_>, input: &Fetch, plan: &Plan) -> Result<Reply, Failure> {
    let mut reading = Reading {
        call,
        input,
        window: plan.window,
        left: plan.left,
        seen: plan.seen.clone(),
        left_out: false,
        clock: None,
        links: Links::new(&call.connection.cloud.graph),
        ledger: Ledger::new("alerts", &plan.window),
        pages: None,
        reached: None,
    };
    let end = reading.pages(plan.first.clone()).await?;
    reading.close(end)
}

impl Reading<'_> {
    /// Reads page after page. Errors: the first one did not come.
    async fn pages(&mut self, first: Url) -> Result<End, Failure> {
        let graph = Graph::new(
            self.call.http,
            self.call.tokens,
            &self.call.connection.cloud,
        );
        self.links.visited(&first);
        let mut url = first;
        loop {
            let came = alerts::page(&graph, url.clone()).await;
            let next = match came.and_then(|body| self.take(&body)) {
                Ok(next) => next,
                Err(failure) if self.pages.is_none() => return Err(failure),
                Err(failure) => return Ok(End::Broken(failure, Some(url))),
            };
            let Some(link) = next else {
                return Ok(End::Done);
            };
            url = match self.links.follow(&link) {
                Ok(url) => url,
                Err(failure) => return Ok(End::Broken(failure, None)),
            };
            if self.is_enough() {
                return Ok(End::Enough(url));
            }
            if let Some(pages) = &mut self.pages {
                pages.followed(alerts::NEXT_LINK);
            }
        }
    }

    /// Takes a page in; the link to the next one, if more is wanted.
    fn take(&mut self, body: &Body) -> Result<Option<String>, Failure> {
        let page = body.open()?;
        self.clock = self.clock.or(body.date());
        let received = page.records.len();
        let mut fresh = page.records;
        if self.rolls() {
            let field = self.input.time_field.name();
            fresh.retain(|record| !self.seen.has(record, field));
        }
        let repeated = received - fresh.len();
        let wanted = self.left.map_or(fresh.len(), |left| {
            usize::try_from(left).unwrap_or(usize::MAX).min(fresh.len())
        });
        let kept = &fresh[..wanted];
        if let Some(last) = kept.last() {
            self.reached = alerts::text_of(last, self.input.time_field.name());
        }
        if self.rolls() {
            let field = self.input.time_field.name();
            for record in kept {
                self.seen.add(record, field);
            }
        }
        self.ledger.page(received, (wanted, repeated));
        self.pages
            .get_or_insert_with(|| Pages::new(body.document(), Some(alerts::ITEMS)))
            .extend(kept.iter().copied());
        if let Some(left) = &mut self.left {
            *left -= wanted as u64;
        }
        let next = page.next.map(std::borrow::Cow::into_owned);
        if self.left != Some(0) {
            return Ok(next);
        }
        if fresh.len() > wanted || next.is_some() {
            self.ledger.limited();
            // A run that the next one goes on from leaves them out for good.
            self.left_out = self.rolls();
        }
        Ok(None)
    }

    /// Does the next run go on where this one ends, whether anything is left or not?
    fn rolls(&self) -> bool {
        self.call.overlap.is_some() && self.input.start_time.is_none()
    }

    fn is_enough(&self) -> bool {
        let max = self.call.limits.max_events;
        max.is_some_and(|max| self.ledger.kept() >= max)
    }

    fn close(mut self, end: End) -> Result<Reply, Failure> {
        let (incomplete, next) = match end {
            // What lies ahead of the service's clock was not there to be listed.
            End::Done if self.rolls() => {
                let served = self
                    .clock
                    .map_or(self.window.end, |at| at.min(self.window.end));
                (None, Some(Next::Window(served.max(self.window.start))))
            }
            End::Done => (None, None),
            End::Enough(url) => {
                self.ledger.limited();
                (None, Some(Next::Page(url)))
            }
            End::Broken(failure, url) => {
                let reached = self.reached.take();
                // The newest come first, so what is missing is older: the whole window again.
                let next = match url {
                    Some(url) => Some(Next::Page(url)),
                    None if self.rolls() => Some(Next::Window(self.window.start)),
                    None => None,
                };
                let code = failure.vendor_code();
                self.ledger.interrupted(reached, code, next.is_none());
                (Some(failure), next)
            }
        };
        Ok(Reply {
            raw: self.pages.take().map_or_else(|| Err(unjoined()), joined)?,
            changed: None,
            more: matches!(next, Some(Next::Page(_))),
            state: next.map(|next| self.state(next)),
            records: self.ledger.records(),
            coverage: Some(self.ledger.close()),
            warnings: self.left_out.then(left_out).into_iter().collect(),
            incomplete,
        })
    }

    /// The state that goes on there.
    fn state(&self, next: Next) -> State {
        let overlap = self.call.overlap.unwrap_or_default();
        let again = matches!(&next, Next::Window(from) if *from == self.window.start);
        let all = matches!(next, Next::Window(_)) && !again && self.left != Some(0);
        let (link, to) = match next {
            Next::Page(url) => (Some(url.to_string()), self.window.end),
            Next::Window(from) if again => (None, from + overlap),
            Next::Window(from) => (None, from),
        };
        // What the next window looks back to. In the middle of one, all of it.
        let since = match link {
            Some(_) => self.window.start,
            None => to - overlap,
        };
        let resume = Resume {
            left: self.left.filter(|_| link.is_some()),
            link,
            from: self.window.start,
            to,
            seen: self.seen.packed(since, all),
        };
        State::new(
            scope(NAME, self.call.connection, self.input),
            resume.members(),
        )
    }
}

/// Where the next run goes on.
enum Next {
    /// At that page.
    Page(Url),
    /// With a window from about that moment on.
    Window(DateTime<Utc>),
}

fn left_out() -> Warning {
    let words = "There are more alerts in the window than were asked for; the older ones were left \
                 out and do not come with the state. Ask for more at once to get them.";
    Warning::new("left_out_by_limit", words)
}

fn joined(pages: Pages) -> Result<crate::protocol::Document, Failure> {
    pages.join().map_err(|error| unjoined().caused_by(error))
}

fn unjoined() -> Failure {
    Failure::new(ErrorKind::Internal, "The pages could not be joined.")
}

#[cfg(test)]
mod tests;
