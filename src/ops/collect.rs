//! `feed.content.collect`: what became available in every content type since the last run.
//!
//! Each content type has a point of its own and is read by itself: one that fails costs the others
//! nothing. They are read in the order of how far they are behind, so that a run that ends early
//! leaves none behind for ever, and told in the order in which they were named. No subscription is
//! ever started here, and what a record means is not its business.

mod fault;
mod points;

use std::collections::HashSet;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::microsoft::ContentType;
use crate::microsoft::feed::filter::{Filter, Wanted};
use crate::net::transcript::is_rehearsal;
use crate::ops::content::met::Met;
use crate::ops::content::point::{Mark, Point};
use crate::ops::content::reading::{End, Reading};
use crate::ops::content::resume::{LATE, Plan, go_on};
use crate::ops::content::settle::{Part, changed, document, settle};
use crate::ops::{Call, Input, Reply, span, subscriptions};
use crate::protocol::{Coverage, ErrorKind, Failure};

const NAME: &str = "feed.content.collect";

/// How far back the first run of a content type looks when nothing else is said.
const FIRST_FETCH: &str = "10 minutes";

/// Why a first fetch is cut, and what to do.
const TOO_FAR: (&str, &str) = (
    "The first fetch reaches back further than 7 days, which is how long the service keeps its content.",
    "Nothing needs to be done: the next run goes on from here.",
);

/// Collects what became available in every content type since the last run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// The content types, in the order in which their records are told; none: all whose
    /// subscriptions are enabled.
    #[serde(default)]
    pub content_types: Vec<ContentType>,
    /// How far back the first run of a content type looks: a number and minutes, hours, days,
    /// weeks, months or years, such as `3 days`. At most 7 days come; default `10 minutes`.
    #[serde(default)]
    pub first_fetch: Option<String>,
    /// Only records of these users: `UserId`, and the people whom a loss-prevention record names.
    #[serde(default)]
    pub users: Vec<String>,
    /// Only records of these types: numbers, known or not, or names.
    #[serde(default)]
    pub record_types: Vec<String>,
    /// Only records of these workloads.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// Only records of these operations.
    #[serde(default)]
    pub operations: Vec<String>,
}

impl Input for Collect {
    const SUMMARY: &'static str =
        "Collects what became available in every content type since the last run.";
    const RESULT: &'static str = "An array of audit records: `$[*]`.";
    const STATE: bool = true;
    const PERMISSIONS: &'static [(&'static str, &'static str)] = &[
        ("Office 365 Management APIs", "ActivityFeed.Read"),
        ("Office 365 Management APIs", "ActivityFeed.ReadDlp"),
    ];

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let faults: Vec<_> = [self.first(now).err(), self.filter().err()]
            .into_iter()
            .flatten()
            .collect();
        Failure::join(faults).map_or(Ok(()), Err)
    }
}

impl Collect {
    /// Where the first run of a content type begins.
    fn first(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
        let text = self.first_fetch.as_deref().unwrap_or(FIRST_FETCH);
        span("first_fetch", text, now.trunc_subsecs(0))
    }

    fn filter(&self) -> Result<Filter, Failure> {
        Filter::new(Wanted {
            users: &self.users,
            record_types: &self.record_types,
            workloads: &self.workloads,
            operations: &self.operations,
        })
    }
}

/// One content type of this run.
struct Turn {
    content_type: ContentType,
    plan: Plan,
    /// Records that earlier runs met.
    records: Vec<Mark>,
    /// Did the last run get nowhere?
    stuck: bool,
}

/// What a turn came to.
struct Told {
    content_type: ContentType,
    /// Was it read, or was the run over before?
    read: bool,
    part: Part,
}

/// Collects.
///
/// Errors: every content type failed, and nothing could be delivered. A part that could is a reply
/// that says what is missing.
pub async fn collect(call: &Call<'_>, input: Collect) -> Result<Reply, Failure> {
    let filter = input.filter()?;
    let given = call.connection.tenant_guid();
    let early = given.map(|tenant| points::read(call, tenant)).transpose()?;
    // A refused sign-in is refused for every content type, and counts against the account.
    let waiting = call
        .tokens
        .token(&call.connection.cloud.audiences.management);
    let token = call.http.deadline().race("the sign-in", waiting).await?;
    let named = token.tenant.unwrap_or(call.connection.tenant.clone());
    let tenant = given.unwrap_or(&named);
    let (mut points, mut warnings) = early.map_or_else(|| points::read(call, tenant), Ok)?;
    let mut types = input.content_types.clone();
    if types.is_empty() {
        let (enabled, said) = subscriptions::enabled(call).await?;
        types = enabled;
        warnings.extend(said);
    }
    let mut known = HashSet::new();
    types.retain(|content_type| known.insert(*content_type));
    let before = points.iter().flat_map(|(_, point)| point.records.clone());
    let met = Met::remembering(before.collect());
    let first = input.first(call.now)?;
    let turns: Vec<Turn> = types
        .into_iter()
        .map(|content_type| {
            let place = points.iter().position(|(known, _)| *known == content_type);
            let point = place.map(|place| points.remove(place).1);
            turn(call, content_type, (point, first))
        })
        .collect();
    let mut told = take_turns(call, turns, (&filter, met)).await;
    let fault = fault::told(&mut told)?;
    let mut reply = close(told, &mut points)?;
    reply.warnings.splice(0..0, warnings);
    reply.warnings.extend(filter.warnings());
    reply.incomplete = fault;
    reply.state = Some(points::state(call, tenant, points));
    Ok(reply)
}

/// Where a content type begins: where its last run ended, or with the first fetch.
fn turn(
    call: &Call<'_>,
    content_type: ContentType,
    (point, first): (Option<Point>, DateTime<Utc>),
) -> Turn {
    let now = call.now.trunc_subsecs(0);
    let (point, overlap, late) = if let Some(point) = point {
        (point, call.overlap.unwrap_or_default(), LATE)
    } else {
        let mut point = Point::at(first);
        point.since = Some(first);
        (point, TimeDelta::zero(), TOO_FAR)
    };
    let (records, stuck, ahead) = (point.records.clone(), point.stuck, point.from > now);
    // A clock that went back: nothing may be left out until it is where it was.
    let from = point.from.min(now);
    let mut plan = go_on(call, Point { from, ..point }, overlap, points::ROOM);
    plan.late = late;
    plan.keeps_marks = ahead;
    Turn {
        content_type,
        plan,
        records,
        stuck,
    }
}

/// Reads one content type after the other, those that are furthest behind first. One that got
/// nowhere the last time comes after the others: it may use up all the time there is.
///
/// What comes back stands in the order in which the turns were named.
async fn take_turns(
    call: &Call<'_>,
    turns: Vec<Turn>,
    (filter, mut met): (&Filter, Met),
) -> Vec<Told> {
    let mut queue: Vec<(usize, Turn)> = turns.into_iter().enumerate().collect();
    queue.sort_by_key(|(_, turn)| (turn.stuck, turn.plan.from));
    let (mut told, mut stop, mut kept) = (Vec::new(), None::<Failure>, 0);
    for (place, turn) in queue {
        let mut reading = Reading::new(call, turn.content_type, &turn.plan);
        (reading.met, reading.kept_before) = (met, kept);
        let read = stop.is_none() && !reading.is_enough();
        let end = match &stop {
            _ if read => reading.all(&turn.plan, filter).await,
            Some(failure) => reading.pass(&turn.plan, End::Broken(failure.again())),
            None => reading.pass(&turn.plan, End::Enough),
        };
        if let End::Broken(failure) = &end
            && concerns_all(failure)
        {
            stop = Some(failure.again());
        }
        let from = turn.plan.from;
        let mut part = settle(reading, end, turn.plan);
        met = std::mem::take(&mut part.met);
        kept += part.account.windows.iter().map(|w| w.kept).sum::<u64>();
        part.point.records = [turn.records, met.latest()].concat();
        part.point.stuck = if read {
            part.faults.broken.is_some() && part.came == 0 && part.point.from == from
        } else {
            turn.stuck
        };
        let content_type = turn.content_type;
        let one = Told {
            content_type,
            read,
            part,
        };
        told.push((place, one));
    }
    told.sort_by_key(|(place, _)| *place);
    told.into_iter().map(|(_, told)| told).collect()
}

/// The run must stop, the service wants a pause, or it refuses who asks: the next content type would
/// meet the same.
fn concerns_all(failure: &Failure) -> bool {
    use ErrorKind::{AuthFailed, Cancelled, Throttled, Timeout};
    matches!(failure.kind(), AuthFailed | Cancelled | Throttled | Timeout) && !is_rehearsal(failure)
}

/// All parts as one reply; where each goes on is added to the points.
fn close(told: Vec<Told>, points: &mut points::Points) -> Result<Reply, Failure> {
    let mut account = Coverage {
        complete: true,
        ..Coverage::default()
    };
    let (mut text, mut again, mut more) = ("[".to_owned(), 0, false);
    let mut warnings = Vec::new();
    for Told {
        content_type, part, ..
    } in told
    {
        if text.len() == 1 {
            // Moved, not copied: the records may be most of the memory.
            text = part.text;
        } else if part.text.len() > 1 {
            text.push(',');
            text.push_str(&part.text[1..]);
        }
        account.add(part.account);
        points.push((content_type, part.point));
        again += part.changed;
        more |= part.more;
        // That a clock is off need be said only once.
        if warnings.is_empty() {
            warnings = part.warnings;
        }
    }
    warnings.extend(changed(again));
    let mut reply = Reply::of(document(text)?);
    reply.records = account.windows.iter().map(|window| window.records).sum();
    reply.coverage = Some(account);
    reply.warnings = warnings;
    reply.more = more;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when::instant;

    #[test]
    fn what_is_wrong_is_refused_before_anything_is_sent() {
        let now = instant("2026-01-14T12:00:00Z", &[]).expect("a time");
        let check = |first_fetch: Option<&str>, kinds: &[&str]| {
            let input = Collect {
                first_fetch: first_fetch.map(str::to_owned),
                record_types: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
                ..Collect::default()
            };
            input.check(now)
        };
        for text in [None, Some("10 minutes"), Some("1 Hour"), Some("2 months")] {
            assert!(check(text, &["15", "exchangeadmin", "9999"]).is_ok());
        }
        for text in ["5", "ten minutes", "10 fortnights", ""] {
            let refused = check(Some(text), &[]).expect_err(text);
            assert_eq!(refused.place(), Some("/inputs/first_fetch"));
            assert!(refused.message().contains("expected a number"), "{refused}");
        }
        let both = check(Some("5"), &["nonsense"]).expect_err("two faults");
        assert_eq!(both.split().len(), 2);
    }
}
