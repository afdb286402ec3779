//! The stages of a diagnosis: their names, their order, and their results.
//!
//! Does not run them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::Failure;

/// One stage of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// The stage: `dns`, `sign_in`, ….
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// The outcome.
    pub status: Status,
    /// The finding.
    pub detail: String,
    /// The remedy; null if none is needed.
    pub remedy: Option<String>,
}

/// The outcome of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It works.
    Pass,
    /// It does not work.
    Fail,
    /// It works, but data can be missing.
    Warn,
    /// It was not checked. The detail says why.
    Skipped,
}

/// Identifiers and titles of all stages, in their order.
const TITLES: [(&str, &str); 14] = [
    ("settings", "Settings"),
    ("dns", "Name resolution"),
    ("tls", "TCP and TLS"),
    ("proxy", "Proxy"),
    ("clock", "Clock"),
    ("sign_in", "Sign-in"),
    ("audience", "Audience"),
    ("permissions", "Permissions"),
    ("auditing", "Auditing"),
    ("subscriptions", "Subscriptions"),
    ("listing", "Content listing"),
    ("content", "Content"),
    ("alerts", "Alerts"),
    ("search", "Audit search"),
];

/// All stages after the settings, skipped because the settings are invalid.
pub fn after_settings() -> impl Iterator<Item = Stage> {
    let others = TITLES.iter().skip(1);
    others.map(|(id, _)| Stage::after(id, "settings"))
}

/// The title of a stage.
fn title(id: &str) -> &str {
    let known = TITLES.iter().find(|(known, _)| *known == id);
    known.map_or(id, |(_, title)| title)
}

impl Stage {
    fn new(id: &str, status: Status, detail: impl Into<String>) -> Self {
        Stage {
            id: id.to_owned(),
            title: title(id).to_owned(),
            status,
            detail: detail.into(),
            remedy: None,
        }
    }

    /// A stage that works.
    pub fn pass(id: &str, detail: impl Into<String>) -> Self {
        Stage::new(id, Status::Pass, detail)
    }

    /// A stage that works with a warning.
    pub fn warn(id: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Stage {
            remedy,
            ..Stage::new(id, Status::Warn, detail)
        }
    }

    /// A stage that does not work.
    pub fn fail(id: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let status = Status::Fail;
        Stage {
            status,
            ..Stage::warn(id, detail, remedy)
        }
    }

    /// A stage that failed with this failure.
    pub fn failed(id: &str, failure: &Failure) -> Self {
        let (detail, advice) = (reason(failure), failure.assistance());
        let usual = "Send the request again. If the failure persists, report the message to the service's support.";
        Stage::fail(id, detail, advice.unwrap_or(usual))
    }

    /// A stage that was not checked because another one failed.
    pub fn after(id: &str, failed: &str) -> Self {
        let detail = format!("Needs {}, which failed.", title(failed));
        Stage::new(id, Status::Skipped, detail)
    }

    /// A stage that was not checked.
    pub fn skipped(id: &str, why: impl Into<String>) -> Self {
        Stage::new(id, Status::Skipped, why)
    }

    /// Its position among all stages.
    pub(super) fn position(&self) -> usize {
        let is_own = |(id, _): &(&str, &str)| *id == self.id;
        TITLES.iter().position(is_own).unwrap_or(TITLES.len())
    }
}

/// The message of a failure with the service's code and the cause, which can add information.
pub(super) fn reason(failure: &Failure) -> String {
    let message = failure.message();
    let message = match failure.vendor_code() {
        Some(code) if !message.contains(code) && code.len() <= 20 => format!("{code}: {message}"),
        _ => message.to_owned(),
    };
    match failure.reason() {
        Some(cause) => format!("{message} {cause}"),
        None => message,
    }
}
