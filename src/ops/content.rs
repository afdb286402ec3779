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
use crate::ops::feed::record_filter::{RecordFilter, input_with_record_filter};
use crate::ops::feed::{self, ReadPlan};
use crate::ops::resume::checkpoint::Checkpoint;
use crate::ops::resume::feed_state::{FINGERPRINTS, FeedState};
use crate::ops::resume::scope::{Resumed, invalid_state, resume, scope_of};
use crate::ops::{
    Call, Input, Permission, READ_DLP, READ_FEED, Reply, all_valid, in_future, start_and_end,
};
use crate::protocol::{Failure, State, Warning};
use crate::when::rfc3339;

const NAME: &str = "feed.content.list";

input_with_record_filter! {
    /// Lists the audit records of one content type and time window, with filters.
    pub struct List {
        /// The content type; its subscription must be enabled.
        pub content_type: ContentType,
        /// Start of the window, inclusive, RFC 3339; compared with the time of availability. Set
        /// both times or neither. Default: the last 24 hours.
        #[serde(default)]
        pub start_time: Option<String>,
        /// End of the window, exclusive, RFC 3339; at most 24 hours after the start.
        #[serde(default)]
        pub end_time: Option<String>,
    }
}

impl Input for List {
    const SUMMARY: &'static str =
        "Lists the audit records of one content type and time window, with filters.";
    const RESULT: &'static str = "An array of audit records: `$[*]`.";
    const STATE: bool = true;
    const PERMISSIONS: &'static [Permission] = &[READ_FEED, READ_DLP];

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        all_valid([self.window(now, false).err(), self.filter().err()])
    }
}

impl List {
    fn times(&self) -> Result<[Option<DateTime<Utc>>; 2], Failure> {
        start_and_end(self.start_time.as_deref(), self.end_time.as_deref())
    }

    /// The window. A start that is too old is rejected only in the first run of a window: a later
    /// run resumes it from its state.
    fn window(&self, now: DateTime<Utc>, is_first_run: bool) -> Result<TimeWindow, Failure> {
        let [start, end] = self.times()?;
        let now = now.trunc_subsecs(0);
        let now = start.map_or(now, |start| if is_first_run { now } else { now.min(start) });
        TimeWindow::new(start, end, now)
    }

    /// The scopes of a state in the current and in the first version.
    fn scopes(&self, call: &Call<'_>, tenant: &str) -> Result<[String; 2], Failure> {
        let [start, end] = self.times()?;
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
/// Errors: nothing was delivered and at least one failure is not an expiry. If a part was
/// delivered, the reply lists what is missing.
pub async fn list(call: &Call<'_>, input: List) -> Result<Reply, Failure> {
    let filter = input.filter()?;
    // Faults are reported before anything is sent.
    let tenant = call.connection.tenant_guid();
    let early = tenant.map(|tenant| begin(call, &input, tenant, call.now));
    if !early.transpose()?.is_some_and(|run| run.resumes) {
        let is_first_run = call.state.is_none() || tenant.is_some();
        let fault = input.window(call.now, is_first_run);
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
    let (checkpoint, mut report) = outcome.close(FINGERPRINTS);
    let continues = report.continues(&checkpoint, input.end_time.is_some());
    let has_failed = report.has_failed();
    let fault = std::mem::take(&mut report.faults).report();
    if has_failed && let Some(fault) = fault {
        return Err(fault);
    }
    let mut reply = feed::reply(call, run.warnings, vec![report])?;
    reply.warnings.extend(filter.warnings(state.filter));
    reply.incomplete = fault;
    reply.state = continues.then(|| {
        let state = FeedState {
            filter: Some(filter.fingerprint),
            records,
            types: [(content_type, checkpoint)].into(),
            missing: Vec::new(),
        };
        State::new(run.scope, state.pack())
    });
    Ok(reply)
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
    let [start, end] = input.times()?;
    match resume(call, &scopes)? {
        Resumed::Own(state) => {
            run.state = FeedState::read(&state.resume, Some(input.content_type), now)?;
            let checkpoint = run.state.types.remove(&input.content_type);
            let of_request = checkpoint.filter(|known| known.end.is_none() == is_rolling);
            run.checkpoint = of_request.ok_or_else(invalid_state)?;
            run.checkpoint.not_before(start);
            run.resumes = true;
            return Ok(run);
        }
        Resumed::None => {}
        Resumed::Ignored(warning) => run.warnings.push(warning),
    }
    if !is_rolling {
        // A window that is too old is a gap; one that is too long was rejected before.
        let window = match (start, end) {
            (Some(start), Some(end)) => TimeWindow { start, end },
            _ => TimeWindow::new(None, None, now)?,
        };
        run.warnings.extend(in_future(&window, now));
        run.checkpoint = Checkpoint::first(window.start, Some(window.end));
    }
    Ok(run)
}
