//! The alerts of a world file, and faults of their listing. Requests are answered in `graph`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The alerts of each tenant.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// The number of generated alerts. Default 40. Not together with `literal`.
    pub count: Option<usize>,
    /// The number of alerts that are added each hour while time passes (`simulate`), evenly. 0 to
    /// 36,000, default 60. Not with `literal`.
    pub per_hour: Option<u32>,
    /// Alerts as the service returns them, byte for byte. They are filtered, ordered and paged like
    /// generated ones; `Prefer: include-unknown-enum-members` does not change them.
    #[schemars(with = "Option<Vec<Value>>")]
    pub literal: Option<Vec<Box<RawValue>>>,
    /// The parameter of links to the next page: `skiptoken` (default) or `skip`.
    pub paging: Paging,
    /// The order of listings: `requested` (default), `ignored` or `shuffled`.
    pub order: ListOrder,
    /// The status with which every link to a next page is rejected: 400, 404 or 410. Default: links
    /// are valid.
    pub expired_links: Option<u16>,
    /// Updates of alerts while a client lists them.
    pub updates: Vec<Update>,
}

/// The parameter of links to the next page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Paging {
    /// An opaque `$skiptoken`.
    #[default]
    Skiptoken,
    /// A plain `$skip`.
    Skip,
}

/// The order of listings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// The order of `$orderby`.
    #[default]
    Requested,
    /// `$orderby` is ignored: last created first.
    Ignored,
    /// An order by hash, the same in every response.
    Shuffled,
}

/// An update of an alert.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The number of listing requests after which the alert is updated.
    pub after: u64,
    /// The index of the alert, from 0.
    pub alert: usize,
    /// The new `lastUpdateDateTime`.
    #[schemars(with = "String")]
    pub at: DateTime<Utc>,
}

impl Alerts {
    /// The time of the last update of an alert before a listing request.
    pub(crate) fn updated(&self, alert: usize, request: u64) -> Option<DateTime<Utc>> {
        let due = |update: &&Update| update.alert == alert && update.after < request;
        self.updates.iter().rfind(due).map(|update| update.at)
    }
}
