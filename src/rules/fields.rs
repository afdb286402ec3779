//! The names that rules use for members of audit records: a table in `fields.json`.
//!
//! Sigma rules name fields and log sources in several ways. The table maps them to the audit schema.
//! Does not read records.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The computed field: the name of the alert, else the operation.
pub(super) const NAME: &str = "@name";
/// The computed field: `success`, `failure`, or the record's own value.
pub(super) const RESULT: &str = "@result";

/// The table of field names.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    /// Names of Sigma rules, with a member of a record or a computed field.
    pub(super) aliases: BTreeMap<String, String>,
    /// The operations of records that carry an alert's name.
    pub(super) alert_operations: Vec<String>,
    results: BTreeMap<String, Vec<String>>,
    /// `service` of a log source, with its workloads. An empty list selects every record.
    services: BTreeMap<String, Vec<String>>,
    /// Members that are lists of names and values.
    pub(super) lists: Vec<String>,
    /// The members of records by workload; `""` for all workloads.
    members: BTreeMap<String, Members>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Members {
    Own(Vec<String>),
    SameAs(String),
}

impl Fields {
    /// The table.
    pub(super) fn get() -> &'static Self {
        static TABLE: LazyLock<Fields> =
            LazyLock::new(|| serde_json::from_str(include_str!("fields.json")).unwrap_or_default());
        &TABLE
    }

    /// The workloads of a service: none for every record. `Err` lists the known services.
    pub(super) fn workloads(&self, service: &str) -> Result<Option<&[String]>, Vec<&str>> {
        let known = self.services.get(&service.to_ascii_lowercase());
        let known = known.ok_or_else(|| self.services.keys().map(String::as_str).collect());
        known.map(|list| (!list.is_empty()).then_some(list.as_slice()))
    }

    /// The value of `status` for a record's `ResultStatus`.
    pub(super) fn result<'a>(&'a self, status: &'a str) -> &'a str {
        let same = |known: &String| known.eq_ignore_ascii_case(status);
        let mut results = self.results.iter();
        results
            .find(|(_, known)| known.iter().any(same))
            .map_or(status, |(result, _)| result)
    }

    /// The members that records of these workloads can have; of all workloads for `None`.
    pub(super) fn members(&self, workloads: Option<&[String]>) -> Vec<&str> {
        let selected = |name: &str| {
            let of = |list: &[String]| list.iter().any(|one| one.eq_ignore_ascii_case(name));
            name.is_empty() || workloads.is_none_or(of)
        };
        let lists = self.members.iter().filter(|(name, _)| selected(name));
        let own = lists.filter_map(|(_, members)| match members {
            Members::Own(list) => Some(list),
            Members::SameAs(other) => match self.members.get(other)? {
                Members::Own(list) => Some(list),
                Members::SameAs(_) => None,
            },
        });
        own.flatten().map(String::as_str).collect()
    }
}
