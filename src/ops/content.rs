//! `feed.content.list`: lists the audit records of one content type and time window, filtered.
//!
//! Without times, a command with a state lists the content that is new since the last run. With
//! times, the state is the checkpoint within the window, and content that expires before it is
//! listed is a gap. A window that ends after the service's time is cut there, with a warning.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::microsoft::feed::filter::Wanted;
use crate::microsoft::{ContentType, TimeWindow};
use crate::ops::feed::{self, ReadPlan, ReadReport, RecordFilter, changed_records, document};
use crate::ops::resume::checkpoint::Checkpoint;
use crate::ops::resume::packed::{FINGERPRINTS, FeedState, TypeState};
use crate::ops::resume::scope::{Resumed, invalid_state, resume, scope_of};
use crate::ops::resume::time::clocks_differ;
use crate::ops::{Call, Input, Reply, in_future, instant};
use crate::protocol::{Failure, State, Warning};
use crate::when::rfc3339;

const NAME: &str = "feed.content.list";

/// Lists the audit records of one content type and time window, with filters.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The content type; its subscription must be enabled.
    pub content_type: ContentType,
    /// Start of the window, inclusive, RFC 3339; compared with the time of availability. Set both
    /// times or neither. Default: the last 24 hours.
    #[serde(default)]
    pub start_time: Option<String>,
    /// End of the window, exclusive, RFC 3339; at most 24 hours after the start.
    #[serde(default)]
    pub end_time: Option<String>,
    /// Only records of these users: `UserId`, or a person in a data loss prevention record.
    #[serde(default)]
    pub users: Vec<String>,
    /// Only records of these types: numbers (also unknown ones) or names.
    #[serde(default)]
    pub record_types: Vec<String>,
    /// Only records of these workloads. Names are case-sensitive.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// Only records of these operations. Names are case-sensitive.
    #[serde(default)]
    pub operations: Vec<String>,
}

impl Input for List {
    const SUMMARY: &'static str =
        "Lists the audit records of one content type and time window, with filters.";
    const RESULT: &'static str = "An array of audit records: `$[*]`.";
    const STATE: bool = true;
    const PERMISSIONS: &'static [(&'static str, &'static str)] = &[
        ("Office 365 Management APIs", "ActivityFeed.Read"),
        ("Office 365 Management APIs", "ActivityFeed.ReadDlp"),
    ];

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let faults: Vec<_> = [self.window(now, false).err(), self.filter().err()]
            .into_iter()
            .flatten()
            .collect();
        Failure::join(faults).map_or(Ok(()), Err)
    }
}

impl List {
    /// The window. A start that is too old is rejected only in the first run of a window: a later
    /// run resumes it from its state.
    fn window(&self, now: DateTime<Utc>, is_first_run: bool) -> Result<TimeWindow, Failure> {
        let start = instant("start_time", self.start_time.as_deref())?;
        let end = instant("end_time", self.end_time.as_deref())?;
        let now = now.trunc_subsecs(0);
        let now = start.map_or(now, |start| if is_first_run { now } else { now.min(start) });
        TimeWindow::new(start, end, now)
    }

    fn filter(&self) -> Result<RecordFilter, Failure> {
        RecordFilter::new(Wanted {
            users: &self.users,
            record_types: &self.record_types,
            workloads: &self.workloads,
            operations: &self.operations,
        })
    }

    /// The scopes of a state in the current and in the first version.
    fn scopes(&self, call: &Call<'_>, tenant: &str) -> Result<[String; 2], Failure> {
        let start = instant("start_time", self.start_time.as_deref())?;
        let end = instant("end_time", self.end_time.as_deref())?;
        let of = (
            NAME,
            &call.connection.cloud.id,
            tenant.to_ascii_lowercase(),
            self.content_type,
            (start.map(rfc3339), end.map(rfc3339)),
        );
        Ok([
            scope_of(&of),
            crate::ops::scope(NAME, call.connection, self),
        ])
    }
}

/// Lists the records.
///
/// Errors: nothing could be delivered, and not only because content has expired. If a part was
/// delivered, the reply lists what is missing.
pub async fn list(call: &Call<'_>, input: List) -> Result<Reply, Failure> {
    let filter = input.filter()?;
    // Faults are reported before anything is sent.
    let tenant = call.connection.tenant_guid();
    let early = tenant.map(|tenant| begin(call, &input, tenant, call.now));
    if !early.transpose()?.is_some_and(|run| run.resumes) {
        let fault = input.window(call.now, call.state.is_none() || tenant.is_some());
        fault.map_err(|fault| Failure::join(vec![fault.clone()]).unwrap_or(fault))?;
    }
    let tenant = feed::sign_in(call).await?;
    let now = feed::time(call).await?;
    let run = begin(call, &input, &tenant, now)?;
    let (content_type, state) = (input.content_type, run.state);
    let plan = ReadPlan {
        content_type,
        checkpoint: run.checkpoint,
        bounds: feed::bounds(call, 1),
        now,
        records: state.records,
        delivered: 0,
        expired: feed::EXPIRED,
    };
    let mut outcome = feed::read(call, plan, &filter.filter).await;
    let records = outcome.take_records();
    let mut report = outcome.close(FINGERPRINTS);
    report.more &= report.has_progress;
    let mut warnings: Vec<Warning> = run.warnings;
    warnings.extend(clocks_differ(call));
    warnings.extend(report.warnings.iter().cloned());
    warnings.extend(changed_records(report.changed));
    let memory = call.http.memory();
    warnings.extend(memory.is_exhausted().then(|| memory.warning()));
    warnings.extend(filter.warnings(state.filter));
    let continues = report.continues(input.end_time.is_some());
    let members = FeedState {
        filter: Some(filter.fingerprint),
        records,
        types: vec![TypeState {
            content_type,
            checkpoint: report.checkpoint.clone(),
            stuck: false,
        }],
    };
    let state = continues.then(|| State::new(run.scope, members.pack()));
    reply(report, state, warnings)
}

/// The start of a run.
struct RunStart {
    checkpoint: Checkpoint,
    /// The state without the checkpoint.
    state: FeedState,
    scope: String,
    warnings: Vec<Warning>,
    resumes: bool,
}

fn begin(
    call: &Call<'_>,
    input: &List,
    tenant: &str,
    now: DateTime<Utc>,
) -> Result<RunStart, Failure> {
    let is_rolling = call.overlap.is_some() && input.start_time.is_none();
    let scopes = input.scopes(call, tenant)?;
    let mut run = RunStart {
        checkpoint: Checkpoint::first(now - TimeDelta::hours(24), None),
        state: FeedState::default(),
        scope: scopes[0].clone(),
        warnings: Vec::new(),
        resumes: false,
    };
    let start = instant("start_time", input.start_time.as_deref())?;
    match resume(call, &scopes)? {
        Resumed::Own(state) => {
            let read = FeedState::read(&state.resume, Some(input.content_type), now)?;
            let own = read
                .types
                .iter()
                .find(|one| one.content_type == input.content_type);
            let own = own.filter(|one| one.checkpoint.end.is_none() == is_rolling);
            run.checkpoint = own.ok_or_else(invalid_state)?.checkpoint.clone();
            run.checkpoint.not_before(start);
            run.state = read;
            run.resumes = true;
            return Ok(run);
        }
        Resumed::None => {}
        Resumed::Ignored(warning) => run.warnings.push(warning),
    }
    if !is_rolling {
        // A window that is too old is a gap; one that is too long was rejected before.
        let end = instant("end_time", input.end_time.as_deref())?;
        let window = match (start, end) {
            (Some(start), Some(end)) => TimeWindow { start, end },
            _ => TimeWindow::new(None, None, now)?,
        };
        run.warnings.extend(in_future(&window, now));
        run.checkpoint = Checkpoint::first(window.start, Some(window.end));
    }
    Ok(run)
}

/// Errors: nothing was delivered, and not only because content has expired.
fn reply(
    report: ReadReport,
    state: Option<State>,
    warnings: Vec<Warning>,
) -> Result<Reply, Failure> {
    let has_failed = report.has_failed();
    let fault = match report.faults.report() {
        Some(fault) if has_failed => return Err(fault),
        fault => fault,
    };
    let coverage = report.coverage;
    let mut reply = Reply::of(document(report.text)?);
    reply.more = report.more;
    reply.state = state;
    reply.records = coverage.windows.iter().map(|window| window.records).sum();
    reply.coverage = Some(coverage);
    reply.warnings = warnings;
    reply.incomplete = fault;
    Ok(reply)
}
