//! How Microsoft Graph answers audit-log queries. The queries are in `graph/audit_query.rs`, the
//! records are those of the feed's content.

use schemars::JsonSchema;
use serde::Deserialize;

/// How Microsoft Graph answers audit-log queries. It finds the records of `content`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditQueries {
    /// The number of status requests for a query that are answered with `notStarted`. Default 1.
    pub not_started_polls: u64,
    /// The number of status requests after those that are answered with `running`. Default 1.
    pub running_polls: u64,
    /// The minimum duration of a query in seconds. Until then it is `running`. Default 0.
    pub running_seconds: u32,
    /// How queries end: `succeeded` (default), `failed`, `cancelled` or `never`.
    pub outcome: Outcome,
    /// The maximum number of unfinished queries. Another one is rejected (429). Default 10.
    pub concurrent: usize,
    /// The maximum number of records of a page. Default 1000.
    pub page_size: usize,
    /// The response to a request to delete a query: `unsupported` (405, default), `forbidden` (403)
    /// or `allowed` (204).
    pub delete: DeleteQuery,
    /// Whether only `beta` has queries, and `v1.0` returns 404 (`UnknownError`). Default false.
    pub beta_only: bool,
}

/// How a query ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The query succeeds and has records.
    #[default]
    Succeeded,
    /// The query fails.
    Failed,
    /// The query is cancelled.
    Cancelled,
    /// The query never ends.
    Never,
}

/// The response to a request to delete a query. Microsoft documents no such request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeleteQuery {
    /// 405.
    #[default]
    Unsupported,
    /// 403.
    Forbidden,
    /// 204; the query is deleted.
    Allowed,
}

impl Default for AuditQueries {
    fn default() -> Self {
        Self {
            not_started_polls: 1,
            running_polls: 1,
            running_seconds: 0,
            outcome: Outcome::Succeeded,
            concurrent: 10,
            page_size: 1000,
            delete: DeleteQuery::Unsupported,
            beta_only: false,
        }
    }
}
