//! What a world says about alerts, and how a list of them misbehaves.
//!
//! It deliberately answers nothing itself.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The alerts of every tenant.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// So many generated alerts.
    pub count: Option<usize>,
    /// How many further alerts are generated in an hour, evenly, while the clock runs (`soarhost
    /// simulate`). 0 to 36,000, default 60. Literal alerts get no company.
    pub per_hour: Option<u32>,
    /// Alert objects as the wire shall hold them, byte for byte. They are filtered, ordered and
    /// paged like generated ones; `Prefer: include-unknown-enum-members` changes nothing in them.
    #[schemars(with = "Option<Vec<Value>>")]
    pub literal: Option<Vec<Box<RawValue>>>,
    /// What a link to the next page carries: `skiptoken` (default) or `skip`.
    pub paging: Paging,
    /// The order of a list: `requested` (default), `ignored` or `shuffled`.
    pub order: ListOrder,
    /// Every link to a next page is refused with this status: 400, 404 or 410.
    pub expired_links: Option<u16>,
    /// Alerts that are updated while a client lists them.
    pub updates: Vec<Update>,
}

/// What a link to the next page carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Paging {
    /// An opaque `$skiptoken`.
    #[default]
    Skiptoken,
    /// A plain `$skip`.
    Skip,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListOrder {
    /// As `$orderby` says.
    #[default]
    Requested,
    /// As if `$orderby` had not been sent: last created first.
    Ignored,
    /// None, but the same in every answer.
    Shuffled,
}

/// An update of an alert.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// It is updated after so many requests for the list.
    pub after: u64,
    /// Its place among the alerts, from 0.
    pub alert: usize,
    /// Its new `lastUpdateDateTime`.
    #[schemars(with = "String")]
    pub at: DateTime<Utc>,
}

impl Alerts {
    /// The time of the last update of an alert that is due at that request.
    pub(crate) fn updated(&self, alert: usize, request: u64) -> Option<DateTime<Utc>> {
        let due = |update: &&Update| update.alert == alert && update.after < request;
        self.updates.iter().rfind(due).map(|update| update.at)
    }
}
