//! `connection.diagnose`: finds the stage at which a connection fails, and its remedy.
//!
//! Each stage checks one condition, such as a correct clock. A stage that depends on a failed one
//! is skipped, so the first failure is the cause. Only reads: starts and stops no
//! subscription, and delivers no records. The caller states the needs of each command, because
//! operations do not know the commands of an integration.

mod diagnosis;
mod feed_stages;
mod network_stages;
mod permissions;
pub mod stage;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::microsoft::ContentType;
use crate::microsoft::feed::filter::Wanted;
use crate::ops::connection::{SearchWith, Service};
use crate::ops::feed::record_filter::{RecordFilter, input_with_record_filter};
use crate::ops::{Call, Input, Reply};
use crate::protocol::{ErrorKind, Failure};

use diagnosis::Diagnosis;

/// A request without an answer ends its stage after this time.
const LIMIT_MS: u64 = 8_000;

input_with_record_filter! {
    /// Diagnoses a connection in stages, from name resolution to the first record.
    pub struct Diagnose {
        /// What is checked after the sign-in.
        #[serde(default = "checks")]
        pub checks: Vec<Check>,
        /// The service that audit searches use.
        #[serde(default)]
        pub search_with: SearchWith,
        /// The commands whose permissions are checked.
        #[serde(default)]
        pub commands: Vec<CommandNeeds>,
        /// The command that starts subscriptions, for remedies.
        #[serde(default)]
        pub start_with: Option<String>,
        /// The content types that must have an enabled subscription. Default: any of them.
        #[serde(default)]
        pub content_types: Vec<ContentType>,
        /// The condition of the search for an alert, in Graph's filter language.
        #[serde(default)]
        pub filter: Option<String>,
        /// The time limit of each request in milliseconds.
        #[serde(default = "limit")]
        pub limit_ms: u64,
    }
}

fn checks() -> Vec<Check> {
    vec![Check::Feed, Check::Alerts]
}

fn limit() -> u64 {
    LIMIT_MS
}

/// What is checked after the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Subscriptions, a listing of content, and the newest content.
    Feed,
    /// One alert.
    Alerts,
    /// A search of one record of the audit log.
    Search,
}

/// What a command needs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandNeeds {
    /// The name of the command.
    pub title: String,
    /// The operation that it calls.
    pub operation: String,
    /// The names of its permissions, required ones and others.
    #[serde(default)]
    pub permissions: Vec<String>,
}

impl Input for Diagnose {
    const SUMMARY: &'static str =
        "Diagnoses a connection in stages, from name resolution to the first record.";
    const RESULT: &'static str =
        "An array, one object per stage: `id`, `title`, `status`, `detail`, `remedy`.";

    fn check(&self, _: chrono::DateTime<chrono::Utc>) -> Result<(), Failure> {
        self.filter().map(drop)
    }
}

impl Diagnose {
    /// The services to sign in to.
    pub(super) fn services(&self, call: &Call<'_>) -> Vec<Service> {
        let is_checked = |check| self.checks.contains(&check);
        let mut services = Vec::new();
        if is_checked(Check::Feed) {
            services.push(Service::Management);
        }
        if is_checked(Check::Alerts) {
            services.push(Service::Graph);
        }
        if is_checked(Check::Search) {
            services.extend(self.search_services(call));
        }
        services.sort_unstable();
        services.dedup();
        services
    }

    /// The services that can search.
    pub(super) fn search_services(&self, call: &Call<'_>) -> &'static [Service] {
        let is_person = call.connection.user().is_some();
        match self.search_with {
            SearchWith::Exchange => &[Service::Exchange],
            SearchWith::Graph => &[Service::Graph],
            SearchWith::Automatic if is_person => &[Service::Exchange],
            SearchWith::Automatic => &[Service::Exchange, Service::Graph],
        }
    }

    /// True if the records of the content are filtered.
    pub(super) fn has_filter(&self) -> bool {
        let lists = [
            &self.users,
            &self.record_types,
            &self.workloads,
            &self.operations,
        ];
        lists.iter().any(|list| !list.is_empty())
    }

    /// The filter of the records.
    pub(super) fn record_filter(&self) -> Result<RecordFilter, Failure> {
        self.filter()
    }
}

/// Diagnoses the connection.
///
/// Errors: it was cancelled.
pub async fn diagnose(call: &Call<'_>, input: Diagnose) -> Result<Reply, Failure> {
    let mut diagnosis = Diagnosis::new(call, &input);
    for step in 0..6 {
        let work: BoxFuture<'_, ()> = match step {
            0 => Box::pin(diagnosis.network()),
            1 => Box::pin(diagnosis.sign_in()),
            2 => {
                diagnosis.permissions();
                continue;
            }
            3 if input.checks.contains(&Check::Feed) => Box::pin(diagnosis.feed()),
            4 if input.checks.contains(&Check::Alerts) => Box::pin(diagnosis.alerts()),
            5 if input.checks.contains(&Check::Search) => Box::pin(diagnosis.search()),
            _ => continue,
        };
        work.await;
        match call.http.deadline().check("the next stage") {
            Err(stop) if stop.kind() == ErrorKind::Cancelled => return Err(stop),
            _ => {}
        }
    }
    Reply::of_value(&diagnosis.close())
}
