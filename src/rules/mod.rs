//! Detection rules: Sigma rules evaluated over audit records.
//!
//! `rsigma-parser` reads rules and `rsigma-eval` evaluates their conditions. This module adapts them:
//! field names of audit records (`fields`), records as events (`record`), the selection of the rules
//! that can match a record (`scope`), and correlations that give the same alerts however the records
//! are ordered and split over runs (`burst`, `saved`).
//!
//! How to use it:
//!
//! ```text
//! let texts = [RuleText::of_catalog("mappings/x/rules/spray.yml", text), RuleText::inline("/inputs/rules/0", text)];
//! let rules = RuleSet::compile(&texts).map_err(RuleFault::join)?;     // all faults at once
//! let mut run = rules.start(saved_state, now);                        // state of the previous run, if any
//! for record in records { run.record(record); }                       // JSON text, in any order
//! let Outcome { alerts, state, warnings } = run.finish();             // store `state` for the next run
//! ```
//!
//! # Alerts
//!
//! A detection rule gives one alert per record. A correlation gives one alert per group until the
//! condition has not held for its timespan (`rsigma.suppress` lengthens this). Records are sorted by
//! time first, so their order in a run does not matter, and a record that is repeated counts once. A
//! record without a value for a field of `group-by` is in no group. A rule that a correlation names
//! gives no alerts of its own, unless the correlation has `generate: true`.
//!
//! # Late records
//!
//! The state contains the matched records of the last 24 hours before the newest one, plus the
//! timespan of the rule ([`Limits`]). A record that arrives within that time is counted in the windows
//! where it belongs, and can complete them. A record that arrives later is correlated only with
//! records of the same run: alerts can then be missed, and a warning says so.
//!
//! Without the feature `rules`, every rule is a fault that says so.

mod alert;
mod sample;
mod text;

#[cfg(feature = "rules")]
mod burst;
#[cfg(feature = "rules")]
mod compile;
#[cfg(feature = "rules")]
mod evaluation;
#[cfg(feature = "rules")]
mod explain;
#[cfg(feature = "rules")]
mod fields;
#[cfg(feature = "rules")]
mod lint;
#[cfg(feature = "rules")]
mod message;
#[cfg(feature = "rules")]
mod record;
#[cfg(feature = "rules")]
mod record_id;
#[cfg(feature = "rules")]
mod saved;
#[cfg(feature = "rules")]
mod scope;
#[cfg(feature = "rules")]
mod set;
#[cfg(test)]
#[cfg(feature = "rules")]
mod tests;

#[cfg(not(feature = "rules"))]
mod absent;

#[cfg(not(feature = "rules"))]
pub use absent::{Evaluation, RuleSet};
pub use alert::{Alert, MAX_RECORD_IDS};
#[cfg(feature = "rules")]
pub use evaluation::Evaluation;
#[cfg(feature = "rules")]
pub use explain::Explanation;
pub use sample::{Sample, Samples};
#[cfg(feature = "rules")]
pub use set::RuleSet;
pub use text::{RuleFault, RuleText, Severity};

use serde_json::Value;

use crate::protocol::Warning;

/// What a run found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The alerts, severe ones first.
    pub alerts: Vec<Alert>,
    /// What the correlations must remember for the next run. `None` if there is nothing to remember.
    pub state: Option<Value>,
    /// What was skipped or dropped.
    pub warnings: Vec<Warning>,
}

/// Bounds of what correlations remember between runs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest size of the state in bytes; a matched record takes about 26. Over it, the groups with the oldest last hit are dropped.
    pub state_bytes: usize,
    /// How late a record can arrive, in seconds, and still be counted where it belongs.
    pub lateness: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            state_bytes: 4 << 20,
            lateness: 24 * 60 * 60,
        }
    }
}
