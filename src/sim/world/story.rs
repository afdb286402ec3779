//! The story of a world: a day of a small company with attacks. The records are in
//! `data/story.json`, and are made by `data/story.rs`.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Deserialize;

/// A day of a small company: records of many types, with attacks among them.
///
/// The records depend on the seed and the day only. Without attacks, all others are the same. They
/// belong to the first tenant.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Story {
    /// The day, in UTC, such as `2026-01-13`. Default: the day before the start.
    #[schemars(with = "Option<String>")]
    pub day: Option<NaiveDate>,
    /// The number of records of normal traffic. 0 to 100,000, default 4000.
    pub records: usize,
    /// The attacks. Default: all. `[]`: none.
    pub attacks: Vec<Attack>,
}

/// An attack. All except the first one use the account of `bo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attack {
    /// From 02:10: failed sign-ins of all accounts from one address.
    PasswordSpray,
    /// From 02:47: sign-ins from another country and an anonymous network, and an alert.
    Takeover,
    /// From 03:12: inbox rules that forward and hide messages, and a forwarded mailbox.
    InboxRule,
    /// From 03:25: consent to an application that reads and sends messages.
    AppConsent,
    /// From 03:40: 180 files are downloaded within 24 minutes.
    MassDownload,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            day: None,
            records: 4000,
            attacks: vec![
                Attack::PasswordSpray,
                Attack::Takeover,
                Attack::InboxRule,
                Attack::AppConsent,
                Attack::MassDownload,
            ],
        }
    }
}
