//! What a search looks for, where it continues, and what it has found.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::microsoft::TimeWindow;
use crate::microsoft::coverage::CoverageBuilder;
use crate::microsoft::graph::alerts::ApiVersion;
use crate::microsoft::search::{FoundRecord, SearchFilter};
use crate::net::Held;
use crate::ops::Call;
use crate::protocol::{Failure, Warning};

/// A search.
#[derive(Clone, Debug)]
pub(in crate::ops) struct SearchPlan {
    /// The window of event times.
    pub(in crate::ops) window: TimeWindow,
    pub(in crate::ops) filter: SearchFilter,
    /// The maximum number of records, exactly.
    pub(in crate::ops) limit: Option<usize>,
    /// Where an earlier run of the same search ended, or the service for a first run.
    pub(in crate::ops) position: Position,
}

/// Where a search continues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::ops) enum Position {
    Exchange(Remaining),
    Graph(RunningQuery),
}

/// The rest of a search with Exchange Online, which returns the newest records first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::ops) struct Remaining {
    /// Everything from this time on was delivered, except in the last second before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) end: Option<DateTime<Utc>>,
    /// Fingerprints of the delivered records of that second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::ops) seen: Vec<String>,
    /// A window of this length did not finish within the time of a run, so a shorter one is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) seconds: Option<i64>,
}

/// A query that runs at Graph, or whose records were read in part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::ops) struct RunningQuery {
    pub(in crate::ops) version: ApiVersion,
    /// The query's id. None: it was not created yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) query: Option<String>,
    /// The page to continue with. None: the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) link: Option<String>,
    /// The delivered records of that page.
    #[serde(default)]
    pub(in crate::ops) skip: usize,
}

/// The outcome of a search.
#[derive(Debug)]
pub(in crate::ops) struct SearchOutcome {
    /// The records, the newest first if Exchange Online searched.
    pub(in crate::ops) records: Vec<FoundRecord>,
    /// The memory of the records.
    pub(in crate::ops) held: Held,
    /// Scope `search`: reported and delivered rows, and gaps.
    pub(in crate::ops) coverage: CoverageBuilder,
    /// Where the next run continues. None: the search is finished.
    pub(in crate::ops) position: Option<Position>,
    /// Why the search is incomplete.
    pub(in crate::ops) failure: Option<Failure>,
    pub(in crate::ops) warnings: Vec<Warning>,
}

impl SearchOutcome {
    pub(super) fn new(call: &Call<'_>, window: &TimeWindow) -> Self {
        SearchOutcome {
            held: call.http.memory().hold(),
            records: Vec::new(),
            coverage: CoverageBuilder::new("search", window),
            position: None,
            failure: None,
            warnings: Vec::new(),
        }
    }
}
