//! `feed.content.collect`: fetches new content of several content types.
//!
//! Each content type has its own checkpoint and is read independently: if one fails, the others are
//! still fetched. The type with the largest lag is read first, so that a run which ends early never
//! skips the same type twice in a row. Results keep the order of the request.
//!
//! The checkpoint of a content type that is not requested stays in the state, so a subscription
//! that was disabled for a while resumes at its checkpoint.
//!
//! With times, a run reads this fixed window. Its state belongs to the window, and exists only while
//! something is left of it. A run that resumes a window whose start has expired reports the expired
//! part as a gap.
//!
//! Spans that expired at the feed before they were read stay in the state until a run back-fills them.
//!
//! Does not start subscriptions, and does not interpret records.

mod backfill;
mod fault;

use std::collections::{BTreeMap, HashSet};

use backfill::Backfill;
use chrono::{DateTime, SubsecRound, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::microsoft::feed::filter::Wanted;
use crate::microsoft::{ContentType, TimeWindow};
use crate::net::transcript::is_dry_run;
use crate::ops::connection::SearchWith;
use crate::ops::feed::record_filter::{RecordFilter, input_with_record_filter};
use crate::ops::feed::{self, ReadEnd, ReadOutcome, ReadPlan, ReadReport};
use crate::ops::resume::checkpoint::Checkpoint;
use crate::ops::resume::feed_state::{FINGERPRINTS, FeedState};
use crate::ops::resume::progress::skip_expired;
use crate::ops::resume::records::SeenRecords;
use crate::ops::resume::scope::{Resumed, resume, scope_of};
use crate::ops::{
    Call, Input, Permission, READ_DLP, READ_FEED, Reply, all_valid, in_future, span, start_and_end,
    subscriptions,
};
use crate::protocol::{ErrorKind, Failure, State, Warning, state};
use crate::when::rfc3339;

const NAME: &str = "feed.content.collect";

/// The default time range of the first run of a content type.
const FIRST_FETCH: &str = "10 minutes";

/// Cause and advice for the gap of a first fetch that starts too early.
const FIRST_FETCH_EXPIRED: (&str, &str) = (
    "The first fetch starts more than 7 days ago. The service stores content for 7 days.",
    "No action is needed: the next run resumes here.",
);

/// Cause and advice for the gap of a later run.
const EXPIRED: (&str, &str) = (
    feed::EXPIRED.0,
    "Run more often than every 7 days. `coverage` lists the lost content. If the command has the input Backfill, set it to search the audit log for this content.",
);

input_with_record_filter! {
    /// Fetches new content of several content types since the last run.
    #[derive(Default)]
    pub struct Collect {
        /// The content types, in the order of the result. Default: all with an enabled
        /// subscription.
        #[serde(default)]
        pub content_types: Vec<ContentType>,
        /// The time range of the first run of a content type: a number and minutes, hours, days or
        /// weeks, such as `3 days`. Default: `10 minutes`. The service stores 7 days.
        #[serde(default)]
        pub first_fetch: Option<String>,
        /// Start of a fixed window, inclusive, RFC 3339; compared with the time of availability. Set
        /// both times or neither. Default: where the last run ended.
        #[serde(default)]
        pub start_time: Option<String>,
        /// End of the fixed window, exclusive, RFC 3339.
        #[serde(default)]
        pub end_time: Option<String>,
        /// Searches the audit log for what the feed has deleted before it was read.
        #[serde(default)]
        pub backfill: bool,
        /// The service that searches for `backfill`.
        #[serde(default)]
        pub search_with: SearchWith,
    }
}

impl Input for Collect {
    const SUMMARY: &'static str =
        "Fetches new content of several content types since the last run.";
    const RESULT: &'static str = "An array of audit records: `$[*]`.";
    const STATE: bool = true;
    const PERMISSIONS: &'static [Permission] = &[READ_FEED, READ_DLP];

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        all_valid([
            self.first(now).err(),
            self.window(now).err(),
            self.filter().err(),
        ])
    }

    fn check_resumed(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        // The window can have begun more than 7 days ago when it is resumed.
        let [start, _] = self.times()?;
        let then = start.map_or(now, |start| start.min(now));
        all_valid([
            self.first(now).err(),
            self.window(then).err(),
            self.filter().err(),
        ])
    }
}

impl Collect {
    /// The start of the first run of a content type.
    fn first(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
        let text = self.first_fetch.as_deref().unwrap_or(FIRST_FETCH);
        span("first_fetch", text, now.trunc_subsecs(0))
    }

    /// Returns the spans that have expired at the service. The feed reports them as lost, unless they
    /// are back-filled.
    fn skip_expired(
        &self,
        pending: &mut [TypeToRead],
        now: DateTime<Utc>,
    ) -> Vec<(ContentType, TimeWindow)> {
        let skip = |one: &mut TypeToRead| {
            let mut skipped = one.checkpoint.clone();
            let span = skip_expired(&mut skipped, now)?;
            if self.backfill {
                one.checkpoint = skipped;
            }
            Some((one.content_type, span))
        };
        pending.iter_mut().filter_map(skip).collect()
    }

    /// The first checkpoint of a content type, and a warning about a window in the future.
    fn first_checkpoint(
        &self,
        now: DateTime<Utc>,
    ) -> Result<(Checkpoint, Option<Warning>), Failure> {
        Ok(match self.times()? {
            [Some(start), Some(end)] => {
                let warning = in_future(&TimeWindow { start, end }, now);
                (Checkpoint::first(start, Some(end)), warning)
            }
            _ => (Checkpoint::first(self.first(now)?, None), None),
        })
    }

    fn times(&self) -> Result<[Option<DateTime<Utc>>; 2], Failure> {
        start_and_end(self.start_time.as_deref(), self.end_time.as_deref())
    }

    /// The fixed window, if there is one.
    fn window(&self, now: DateTime<Utc>) -> Result<Option<TimeWindow>, Failure> {
        let [start, end] = self.times()?;
        let now = match start {
            // What has expired is searched.
            Some(start) if self.backfill => now.min(start),
            _ => now,
        };
        TimeWindow::of_days(start, end, now.trunc_subsecs(0))
    }

    /// What a state belongs to: the content of one tenant, or a fixed window of it. Content types,
    /// filters, the first fetch and the application can change from run to run.
    fn scope(&self, call: &Call<'_>, tenant: &str) -> Result<String, Failure> {
        let (cloud, tenant) = (
            call.connection.cloud.id.as_str(),
            tenant.to_ascii_lowercase(),
        );
        Ok(match self.times()? {
            [Some(start), Some(end)] => {
                scope_of(&[NAME, cloud, &tenant, &rfc3339(start), &rfc3339(end)])
            }
            _ => scope_of(&[NAME, cloud, &tenant]),
        })
    }
}

/// A content type to read.
struct TypeToRead {
    content_type: ContentType,
    checkpoint: Checkpoint,
    /// Cause and advice for an expired span.
    expired: (&'static str, &'static str),
}

/// A content type that was read, or that the run ended before.
struct TypeRead<'a> {
    was_read: bool,
    /// The watermark before the run.
    watermark: DateTime<Utc>,
    outcome: ReadOutcome<'a>,
}

/// The result of one content type.
struct TypeReport {
    content_type: ContentType,
    was_read: bool,
    /// Whether a later run can fetch more.
    continues: bool,
    report: ReadReport,
}

/// Fetches new content.
///
/// Errors: every content type failed, and nothing was delivered. If a part was delivered, the reply
/// lists what is missing.
pub async fn collect(call: &Call<'_>, input: Collect) -> Result<Reply, Failure> {
    let filter = input.filter()?;
    if let Some(tenant) = call.connection.tenant_guid() {
        // A state of another request is rejected before anything is sent.
        begin(call, input.scope(call, tenant)?, call.now)?;
    }
    let tenant = feed::sign_in(call).await?;
    let (types, subscription_warnings) = match &input.content_types[..] {
        [] => subscriptions::enabled(call).await?,
        types => (unique(types), Vec::new()),
    };
    let now = feed::time(call).await?;
    let scope = input.scope(call, &tenant)?;
    let (mut state, mut warnings) = begin(call, scope.clone(), now)?;
    let ignores_state = !warnings.is_empty();
    warnings.extend(subscription_warnings);
    let (first, in_future) = input.first_checkpoint(now)?;
    warnings.extend(in_future);
    let pending = types.iter().map(|content_type| {
        let checkpoint = state.types.remove(content_type);
        type_to_read(*content_type, checkpoint, &first)
    });
    let mut pending: Vec<TypeToRead> = pending.collect();
    backfill::add(&mut state.missing, &input.skip_expired(&mut pending, now));
    let mut run = Run {
        call,
        filter: &filter,
        now,
        records: state.records,
        delivered: 0,
        stopped: None,
    };
    let mut read = run.read_types(pending).await;
    let place = |content_type| types.iter().position(|known| *known == content_type);
    read.sort_by_key(|one| place(one.outcome.content_type()));
    // The content types that were not requested are left.
    let mut checkpoints = state.types;
    let mut reports = close(read, &mut checkpoints);
    let continues = first.end.is_none() || reports.iter().any(|one| one.continues);
    let fault = fault::report(&mut reports)?;
    let mut reports: Vec<ReadReport> = reports.into_iter().map(|one| one.report).collect();
    let mut backfill = Backfill::default();
    if input.backfill && !state.missing.is_empty() {
        backfill = Backfill::run(&mut run, &input, &mut state.missing).await;
        reports.push(backfill.take_report());
    }
    let mut reply = feed::reply(call, warnings, reports)?;
    reply.incomplete = fault.or(backfill.failure);
    reply.warnings.extend(filter.warnings(state.filter));
    reply.ignores_state = ignores_state;
    let state = FeedState {
        filter: Some(filter.fingerprint),
        records: run.records,
        types: checkpoints,
        missing: state.missing,
    };
    let continues = continues || input.backfill && !state.missing.is_empty();
    reply.state = continues.then(|| state_of(scope, state));
    Ok(reply)
}

/// The state. If it is too large with the position of a search, that search starts again.
fn state_of(scope: String, mut state: FeedState) -> State {
    let packed = State::new(scope, state.pack());
    if packed.size() <= state::MAX_BYTES {
        return packed;
    }
    state.missing.iter_mut().for_each(|span| span.search = None);
    State::new(packed.scope, state.pack())
}

/// The content types without repetitions.
fn unique(types: &[ContentType]) -> Vec<ContentType> {
    let mut known = HashSet::new();
    let types = types.iter().copied();
    types.filter(|one| known.insert(*one)).collect()
}

/// Reads the state of an earlier run.
fn begin(
    call: &Call<'_>,
    scope: String,
    now: DateTime<Utc>,
) -> Result<(FeedState, Vec<Warning>), Failure> {
    let (mut read, mut warnings) = (FeedState::default(), Vec::new());
    match resume(call, &[scope])? {
        Resumed::None => {}
        Resumed::Own(state) => read = FeedState::read(&state.resume, None, now)?,
        Resumed::Ignored(warning) => warnings.push(warning),
    }
    Ok((read, warnings))
}

/// A content type starts at its checkpoint, or with the first fetch.
fn type_to_read(
    content_type: ContentType,
    checkpoint: Option<Checkpoint>,
    first: &Checkpoint,
) -> TypeToRead {
    let expired = match checkpoint {
        None if first.end.is_none() => FIRST_FETCH_EXPIRED,
        _ => EXPIRED,
    };
    TypeToRead {
        content_type,
        checkpoint: checkpoint.unwrap_or_else(|| first.clone()),
        expired,
    }
}

/// One run over several content types.
struct Run<'a> {
    call: &'a Call<'a>,
    filter: &'a RecordFilter,
    now: DateTime<Utc>,
    records: SeenRecords,
    /// Records delivered so far.
    delivered: u64,
    /// Why no further content type is read.
    stopped: Option<Failure>,
}

impl<'a> Run<'a> {
    /// Reads one content type after the other, the largest lag first. A type without progress in
    /// the last run is read last, because it can use up the time of the run.
    async fn read_types(&mut self, mut pending: Vec<TypeToRead>) -> Vec<TypeRead<'a>> {
        pending.sort_by_key(|one| (one.checkpoint.stuck, one.checkpoint.watermark));
        let mut read = Vec::new();
        for one in pending {
            read.push(self.read(one).await);
        }
        read
    }

    async fn read(&mut self, one: TypeToRead) -> TypeRead<'a> {
        let watermark = one.checkpoint.watermark;
        let plan = ReadPlan {
            content_type: one.content_type,
            checkpoint: one.checkpoint,
            bounds: feed::bounds(self.call, ContentType::ALL.len()),
            now: self.now,
            records: std::mem::take(&mut self.records),
            delivered: self.delivered,
            expired: one.expired,
        };
        let max = self.call.max_events;
        let is_limited =
            max.is_some_and(|max| self.delivered >= max) || self.call.http.memory().is_exhausted();
        let mut outcome = match &self.stopped {
            Some(failure) => feed::skip(self.call, plan, ReadEnd::Broken(failure.clone())),
            None if is_limited => feed::skip(self.call, plan, ReadEnd::Limited),
            None => feed::read(self.call, plan, &self.filter.filter).await,
        };
        let was_read = self.stopped.is_none() && !is_limited;
        if let Some(failure) = outcome.broken().filter(|failure| concerns_all(failure)) {
            self.stopped = Some(failure.clone());
        }
        self.records = outcome.take_records();
        self.delivered = outcome.delivered();
        TypeRead {
            was_read,
            watermark,
            outcome,
        }
    }
}

/// Whether the next content type would fail for the same reason: the run must stop, or the service
/// demands a pause or rejects the credential.
fn concerns_all(failure: &Failure) -> bool {
    use ErrorKind::{AuthFailed, Cancelled, Throttled, Timeout};
    matches!(failure.kind(), AuthFailed | Cancelled | Throttled | Timeout) && !is_dry_run(failure)
}

/// Closes the outcomes, and adds their checkpoints to those of content types that were not
/// requested. All share the capacity of the state.
fn close(
    read: Vec<TypeRead<'_>>,
    checkpoints: &mut BTreeMap<ContentType, Checkpoint>,
) -> Vec<TypeReport> {
    let unrequested = checkpoints.values().map(|one| one.fingerprints.len());
    let needs = read.iter().map(|one| one.outcome.fingerprints());
    let needs: Vec<usize> = needs.chain(unrequested).collect();
    let shares = shares(&needs, FINGERPRINTS);
    for (checkpoint, share) in checkpoints.values_mut().zip(&shares[read.len()..]) {
        checkpoint.shrink(*share);
    }
    let close = |(one, share): (TypeRead<'_>, &usize)| {
        let content_type = one.outcome.content_type();
        let (mut checkpoint, report) = one.outcome.close(*share);
        if one.was_read {
            checkpoint.stuck = report.faults.broken.is_some()
                && report.blobs == 0
                && checkpoint.watermark == one.watermark;
        }
        let continues = report.continues(&checkpoint, true);
        checkpoints.insert(content_type, checkpoint);
        TypeReport {
            content_type,
            was_read: one.was_read,
            continues,
            report,
        }
    };
    read.into_iter().zip(&shares).map(close).collect()
}

/// Divides `total`. Small needs are met in full; the larger ones share the remainder equally.
fn shares(needs: &[usize], total: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|place| needs[*place]);
    let (mut shares, mut left) = (vec![0; needs.len()], total);
    for (rank, place) in order.into_iter().enumerate() {
        let share = needs[place].min(left / (needs.len() - rank));
        shares[place] = share;
        left -= share;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when::instant;

    #[test]
    fn unused_capacity_is_shared_by_other_types() {
        assert_eq!(shares(&[5, 900, 0], 1000), [5, 900, 0]);
        assert_eq!(shares(&[5, 2000, 0, 3000], 1005), [5, 500, 0, 500]);
        assert_eq!(shares(&[7, 7, 7], 7), [2, 2, 3]);
        assert!(shares(&[], 7).is_empty());
    }

    #[test]
    fn invalid_inputs_are_all_reported() {
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
