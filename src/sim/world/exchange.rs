//! How Exchange Online answers searches of the audit log. The search itself is in `exchange`, the
//! records are those of the feed's content.

use schemars::JsonSchema;
use serde::Deserialize;

/// How Exchange Online answers `Search-UnifiedAuditLog`.
///
/// It finds the records of `content`, also those that the feed has lost. The application permission
/// `Exchange.ManageAsApp` is granted by `apps[].roles.exchange`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exchange {
    /// Whether apps and users have a directory role that may search (403 otherwise). Default true.
    pub directory_role: bool,
    /// The body of the response 403: `nul` (512 NUL bytes, default) or `empty`.
    pub forbidden_body: ForbiddenBody,
    /// Whether a request must have an `X-AnchorMailbox` for its tenant (400
    /// `ErrorIncorrectRoutingHint`). Default false.
    pub needs_anchor: bool,
    /// The maximum number of rows of a session with `ReturnLargeSet`. 1 to 50,000, the default.
    pub session_rows: usize,
    /// The maximum number of rows of a page, even if the request wants more. 1 to 5,000, the default.
    pub page_rows: usize,
    /// The `ResultCount` of rows: `total` (default) or `page`, the number of rows of the page.
    pub result_count: ResultCount,
    /// Whether links to next pages expire at once. Default false: after 30 minutes.
    pub expired_links: bool,
    /// Pages that differ from the normal one.
    pub odd_pages: Vec<OddPage>,
}

/// The body of the response 403.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForbiddenBody {
    /// NUL bytes.
    #[default]
    Nul,
    /// An empty body.
    Empty,
}

/// The `ResultCount` of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultCount {
    /// The number of records that match the search.
    #[default]
    Total,
    /// The number of rows of the page, as tenants report since 2026.
    Page,
}

/// A page that differs from the normal one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OddPage {
    /// The number of the page in its session, from 1. A search without a session has page 1 only.
    pub page: u64,
    /// How the page differs.
    pub effect: OddEffect,
    /// The number of sessions in which it differs. Default 1.
    #[serde(default = "once")]
    pub times: u64,
}

/// How a page of a search differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OddEffect {
    /// Its rows have the `ResultIndex` -1 and the `ResultCount` 0.
    TimedOut,
    /// It repeats the rows of the previous page.
    Repeat,
    /// Its rows are skipped; it has the rows of the next page.
    Skip,
    /// The session starts again: it has the rows of page 1.
    Restart,
    /// It is empty, although there are more rows. The session continues afterwards.
    Empty,
    /// It has an additional row, from the day before the searched time.
    OutOfRange,
    /// It is empty, with a warning that the search has failed.
    Warning,
    /// The service is busy (400), which is transient.
    Busy,
    /// The service limits requests (429).
    Throttled,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            directory_role: true,
            forbidden_body: ForbiddenBody::Nul,
            needs_anchor: false,
            session_rows: 50_000,
            page_rows: 5_000,
            result_count: ResultCount::Total,
            expired_links: false,
            odd_pages: vec![],
        }
    }
}

fn once() -> u64 {
    1
}
