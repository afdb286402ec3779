//! `feed.content.list`: the audit records of one content type and time window, filtered while they
//! come, with an account of every blob.
//!
//! Pages are listed one after the other, the blobs of a page are fetched several at once and taken
//! in the order of the listing, so that two runs give the same bytes. A blob that is expired,
//! missing or unreadable keeps nothing else back. It never decides what a record means.

mod blobs;
pub(super) mod met;
pub(super) mod point;
pub(super) mod reading;
pub(super) mod resume;
pub(super) mod settle;

use chrono::{DateTime, SubsecRound, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::microsoft::feed::filter::{Filter, Wanted};
use crate::microsoft::{ContentType, TimeWindow};
use crate::ops::{Call, Input, Reply, instant};
use crate::protocol::Failure;

const NAME: &str = "feed.content.list";

/// Lists the audit records of one content type and time window, filtered record by record.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The content type; its subscription must be enabled.
    pub content_type: ContentType,
    /// Start of the window, inclusive, RFC 3339; the time is that of availability. Both times or
    /// neither; neither: the last 24 hours.
    #[serde(default)]
    pub start_time: Option<String>,
    /// End of the window, exclusive, RFC 3339; at most 24 hours after the start.
    #[serde(default)]
    pub end_time: Option<String>,
    /// Only records of these users: `UserId`, and the people whom a loss-prevention record names.
    #[serde(default)]
    pub users: Vec<String>,
    /// Only records of these types: numbers, known or not, or names.
    #[serde(default)]
    pub record_types: Vec<String>,
    /// Only records of these workloads, upper and lower case as in the records.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// Only records of these operations, upper and lower case as in the records.
    #[serde(default)]
    pub operations: Vec<String>,
}

impl Input for List {
    const SUMMARY: &'static str =
        "Lists the audit records of one content type and time window, filtered record by record.";
    const RESULT: &'static str = "An array of audit records: `$[*]`.";
    const STATE: bool = true;
    const PERMISSIONS: &'static [(&'static str, &'static str)] = &[
        ("Office 365 Management APIs", "ActivityFeed.Read"),
        ("Office 365 Management APIs", "ActivityFeed.ReadDlp"),
    ];

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let faults: Vec<_> = [self.window(now).err(), self.filter().err()]
            .into_iter()
            .flatten()
            .collect();
        Failure::join(faults).map_or(Ok(()), Err)
    }
}

impl List {
    /// The window; the feed's own times have whole seconds.
    fn window(&self, now: DateTime<Utc>) -> Result<TimeWindow, Failure> {
        let start = instant("start_time", self.start_time.as_deref())?;
        let end = instant("end_time", self.end_time.as_deref())?;
        TimeWindow::new(start, end, now.trunc_subsecs(0))
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

/// Lists the records.
///
/// Errors: nothing could be delivered for a cause other than age. A part that could is a reply
/// that says what is missing.
pub async fn list(call: &Call<'_>, input: List) -> Result<Reply, Failure> {
    let plan = resume::plan(call, &input)?;
    let filter = input.filter()?;
    let mut reading = reading::Reading::new(call, input.content_type, &plan);
    let end = reading.all(&plan, &filter).await;
    let mut reply = settle::reply(call, &input, settle::settle(reading, end, plan))?;
    reply.warnings.extend(filter.warnings());
    Ok(reply)
}
