//! The coverage of a run: what was listed, fetched, kept, and what is missing.
//!
//! Two identities always hold: `listed == fetched + duplicate + expired + failed` and
//! `records == kept + filtered + repeated`. This module defines the shape and checks the
//! identities. The clients count.

use schemars::JsonSchema;
use serde::Serialize;

/// Whether the run is complete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Coverage {
    /// `true` if every record that matched the request and that the service still had was
    /// delivered.
    pub complete: bool,
    /// What was listed: one entry for each scope and time window.
    pub windows: Vec<Window>,
    /// What is missing, and whether it is lost permanently.
    pub gaps: Vec<Gap>,
}

/// What was listed in one scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Window {
    /// A content type, `alerts` or `search`.
    pub scope: String,
    /// Start of the window, inclusive, RFC 3339 UTC.
    pub from: String,
    /// End of the window, exclusive, RFC 3339 UTC.
    pub to: String,
    /// Pages listed.
    pub pages: u64,
    /// Content blobs listed. For commands without blobs: records of the pages.
    pub listed: u64,
    /// Listed blobs that were fetched.
    pub fetched: u64,
    /// Listed blobs that had been listed before.
    pub duplicate: u64,
    /// Listed blobs that had expired at the service.
    pub expired: u64,
    /// Listed blobs that could not be fetched.
    pub failed: u64,
    /// Records received.
    pub records: u64,
    /// Received records that were delivered.
    pub kept: u64,
    /// Received records that the request's filter or limit removed.
    pub filtered: u64,
    /// Received records that had been seen before.
    pub repeated: u64,
    /// A limit of the caller ended the window early. This is not a gap.
    pub limited: bool,
}

impl Coverage {
    /// Adds another coverage.
    pub fn add(&mut self, other: Coverage) {
        self.windows.extend(other.windows);
        self.gaps.extend(other.gaps);
        self.complete = self.gaps.is_empty();
    }

    /// Joins two coverages.
    #[must_use]
    pub fn joined(mut self, other: Coverage) -> Coverage {
        self.add(other);
        self
    }
}

impl Window {
    /// Whether the two identities hold.
    pub fn balances(&self) -> bool {
        self.listed == self.fetched + self.duplicate + self.expired + self.failed
            && self.records == self.kept + self.filtered + self.repeated
    }
}

/// A part that is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Gap {
    /// The scope of the missing part.
    pub scope: String,
    /// The blob, if one blob is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Start of the missing time span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// End of the missing time span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The cause: `expired`, `failed`, `missing`, `older_than_7_days`, `interrupted`.
    pub cause: String,
    /// The service's error code, if it returned one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `true` if it is lost permanently. Otherwise a run with the result's `state`, or the same
    /// request, can still fetch it.
    pub lost: bool,
}
