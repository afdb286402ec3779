//! The report of `mapping test`: the result of each sample, and which fields no sample shows.
//!
//! `--json` prints it as JSON. Does not map anything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::mapping::sample::FieldCoverage;

/// The results of all samples.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// Snapshots without a sample.
    pub(super) orphans: Vec<String>,
    pub(super) coverage: BTreeMap<String, Coverage>,
    /// Mappings without a sample.
    pub(super) untested: Vec<String>,
    pub(super) results: Vec<Tested>,
}

/// How many fields of a mapping matched in at least one of its samples.
#[derive(Debug, Serialize)]
pub(super) struct Coverage {
    pub(super) matched: usize,
    pub(super) of: usize,
    pub(super) never: Vec<String>,
    /// Sources that no record of the samples has.
    pub(super) unused_sources: Vec<String>,
    #[serde(skip)]
    pub(super) samples: u64,
}

/// The result of one sample.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    pub(super) sample: String,
    pub(super) mapping: String,
    pub(super) outcome: Outcome,
    /// Why it failed.
    pub(super) message: Option<String>,
    /// The lines of the snapshot that differ.
    pub(super) diff: Option<String>,
    #[serde(skip)]
    pub(super) name: String,
    #[serde(skip)]
    pub(super) snapshot: PathBuf,
    /// The events now; `None` if the sample cannot be mapped.
    #[serde(skip)]
    pub(super) page: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Passed,
    /// The events differ from the snapshot.
    Changed,
    /// There is no snapshot.
    New,
    /// The sample cannot be mapped.
    Invalid,
    /// `--update` wrote the snapshot.
    Updated,
}

impl Tested {
    pub(super) fn passed(&self) -> bool {
        matches!(self.outcome, Outcome::Passed | Outcome::Updated)
    }
}

impl Coverage {
    /// The counts of one mapping.
    pub(super) fn of(counted: &FieldCoverage, samples: usize) -> Self {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let never = owned(counted.never());
        Coverage {
            matched: counted.of() - never.len(),
            of: counted.of(),
            never,
            unused_sources: owned(counted.unused_sources()),
            samples: number(samples),
        }
    }
}

/// A count, for texts.
pub(super) fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
