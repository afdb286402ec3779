//! The inputs that select records, which all operations on content have, and their filter.
//!
//! `microsoft::feed::filter` compares records with them.

use crate::microsoft::feed::filter::{Filter, Wanted};
use crate::ops::resume::fingerprint::Fingerprint;
use crate::ops::resume::scope::scope_of;
use crate::protocol::{Failure, Warning};

/// Declares an input that ends with the lists that select records. It is a macro because
/// `#[serde(flatten)]` hides the names of the members, and unknown ones would not be rejected.
macro_rules! input_with_record_filter {
    ($(#[$attribute:meta])* pub struct $input:ident { $($members:tt)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $input {
            $($members)*
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

        impl $input {
            fn filter(&self) -> Result<RecordFilter, Failure> {
                RecordFilter::new(Wanted {
                    users: &self.users,
                    record_types: &self.record_types,
                    workloads: &self.workloads,
                    operations: &self.operations,
                })
            }
        }
    };
}
pub(in crate::ops) use input_with_record_filter;

/// The record filter, with the fingerprint that a state stores.
pub(in crate::ops) struct RecordFilter {
    pub(in crate::ops) filter: Filter,
    pub(in crate::ops) fingerprint: Fingerprint,
}

impl RecordFilter {
    /// Errors: a record type that does not exist.
    pub(in crate::ops) fn new(wanted: Wanted<'_>) -> Result<Self, Failure> {
        let Wanted {
            users,
            record_types,
            workloads,
            operations,
        } = wanted;
        let lists = (users, record_types, workloads, operations);
        Ok(RecordFilter {
            filter: Filter::new(wanted)?,
            fingerprint: Fingerprint::of(scope_of(&lists)),
        })
    }

    /// The warnings of a run with this filter. `before` is the filter of the last run.
    pub(in crate::ops) fn warnings(&self, before: Option<Fingerprint>) -> Vec<Warning> {
        let mut warnings = self.filter.warnings();
        if before.is_some_and(|before| before != self.fingerprint) {
            let message = "The filters differ from those of the last run. Earlier records were selected by the old filters.";
            warnings.push(Warning::new("filter_changed", message));
        }
        warnings
    }
}
