//! `audit.search`: searches the unified audit log with Exchange Online or Graph.
//!
//! `find` searches for other operations, too. If there are more records than the caller wants,
//! or the time of the run ends first, the state continues the search where it ended. Does not
//! interpret records.

mod exchange;
mod graph;
mod plan;
mod session;

use chrono::{DateTime, Datelike, SubsecRound, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::microsoft::coverage::CoverageBuilder;
use crate::microsoft::graph::alerts::ApiVersion;
use crate::microsoft::search::SearchFilter;
use crate::microsoft::{TimeWindow, record_type};
use crate::net::transcript::is_dry_run;
use crate::ops::connection::SearchWith;
use crate::ops::resume::scope::{Resumed, invalid_state, members, read, resume, scope_of};
use crate::ops::resume::time::clocks_differ;
use crate::ops::{Call, Input, Permission, Reply, all_valid, from_compact, in_future};
use crate::protocol::{ErrorKind, Failure, State, Warning};
use crate::when::{self, rfc3339};

pub(in crate::ops) use plan::{Position, Remaining, RunningQuery, SearchOutcome, SearchPlan};

const NAME: &str = "audit.search";

/// The window of a search without a start.
const DAY: TimeDelta = TimeDelta::hours(24);

/// Searches the unified audit log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Start of the window, inclusive: RFC 3339, or a span before now such as `3 days`. Compared
    /// with the time of the event. Default: 24 hours before the end.
    pub start_date: Option<String>,
    /// End of the window, exclusive, RFC 3339. Not together with a span. Default: now.
    pub end_date: Option<String>,
    /// Only records with this text. Quotes make it an exact phrase; they are sent unchanged.
    pub free_text: Option<String>,
    /// Only records of this type: a name or a number.
    pub record_type: Option<String>,
    /// Only records from these client addresses.
    pub ip_addresses: Vec<String>,
    /// Only records of these operations.
    pub operations: Vec<String>,
    /// Only records of these users.
    pub users: Vec<String>,
    /// The maximum number of records, at least 1. The state continues after them.
    pub result_size: i64,
    /// The service that searches.
    pub search_with: SearchWith,
    /// Graph's version, a segment of the path.
    pub graph_version: ApiVersion,
}

impl Default for Search {
    fn default() -> Self {
        Search {
            start_date: None,
            end_date: None,
            free_text: None,
            record_type: None,
            ip_addresses: Vec::new(),
            operations: Vec::new(),
            users: Vec::new(),
            result_size: 10,
            search_with: SearchWith::Automatic,
            graph_version: ApiVersion::V1,
        }
    }
}

impl Input for Search {
    const SUMMARY: &'static str = "Searches the unified audit log.";
    const RESULT: &'static str =
        "An object: `start` and `end` of the window, and the audit records: `$.records[*]`.";
    const STATE: bool = true;
    const PERMISSIONS: &'static [Permission] = &[
        ("Office 365 Exchange Online", "Exchange.ManageAsApp"),
        ("Microsoft Graph", "AuditLogsQuery.Read.All"),
    ];

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        all_valid([
            self.window(now).err(),
            self.filter().err(),
            self.limit().err(),
        ])
    }
}

impl Search {
    fn window(&self, now: DateTime<Utc>) -> Result<TimeWindow, Failure> {
        let now = now.trunc_subsecs(0);
        let start = self.start_date.as_deref().map(str::trim);
        let start = start.filter(|text| !text.is_empty());
        let span = start.and_then(|text| when::ago(text, now));
        let end = time("end_date", self.end_date.as_deref())?;
        if let (Some(_), Some(end), Some(text)) = (span, end, start) {
            let end = rfc3339(end);
            let message = format!(
                "The span \"{text}\" ends now, so an end cannot be given with it; got {end}."
            );
            return Err(Failure::invalid_input("/inputs/end_date", message)
                .advice("Omit the end, or use a date as the start."));
        }
        let end = end.unwrap_or(now);
        let start = match (start, span) {
            (None, _) => end - DAY,
            (Some(_), Some(start)) => start,
            (Some(text), None) => when::instant(text, &[]).ok_or_else(|| {
                let message = format!(
                    "The start must be a date, or a span such as \"3 days\"; got \"{text}\"."
                );
                Failure::invalid_input("/inputs/start_date", message)
            })?,
        };
        if start >= end {
            let (start, end) = (rfc3339(start), rfc3339(end));
            let message = format!("The start must be before the end; got {start} and {end}.");
            return Err(Failure::invalid_input("/inputs/start_date", message)
                .advice("Times without a zone are UTC."));
        }
        Ok(TimeWindow { start, end })
    }

    fn filter(&self) -> Result<SearchFilter, Failure> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let record_type = filled(&self.record_type).map(|name| {
            record_type::names(&name)
                .map_err(|message| Failure::invalid_input("/inputs/record_type", message))
        });
        Ok(SearchFilter {
            free_text: filled(&self.free_text),
            record_type: record_type.transpose()?,
            ip_addresses: self.ip_addresses.clone(),
            operations: self.operations.clone(),
            users: self.users.clone(),
        })
    }

    fn limit(&self) -> Result<usize, Failure> {
        let size = usize::try_from(self.result_size).ok();
        size.filter(|size| *size > 0).ok_or_else(|| {
            let message = format!(
                "The number of results must be a whole number, 1 or more; got {}.",
                self.result_size
            );
            Failure::invalid_input("/inputs/result_size", message)
                .advice("For all records, use a large number, or continue with `state` while `more` is true.")
        })
    }

    /// The scope of a state: the account and everything that decides which records are found.
    fn scope(&self, call: &Call<'_>) -> String {
        let connection = call.connection;
        let filter = (
            (&self.start_date, &self.end_date),
            (&self.free_text, &self.record_type),
            (&self.ip_addresses, &self.operations, &self.users),
            connection.user(),
        );
        let account = (
            &connection.cloud.id,
            connection.tenant.to_ascii_lowercase(),
            connection.client_id.to_ascii_lowercase(),
        );
        scope_of(&(NAME, account, filter))
    }
}

/// An absolute time among the inputs.
fn time(input: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, Failure> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let Some(text) = text else { return Ok(None) };
    when::instant(text, &[]).map(Some).ok_or_else(|| {
        let message =
            format!("The end must be a date such as 2026-01-31T00:00:00Z; got \"{text}\".");
        Failure::invalid_input(format!("/inputs/{input}"), message)
    })
}

/// The state of a search that is not finished.
#[derive(Serialize, Deserialize)]
struct SavedSearch {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    position: Position,
}

impl SavedSearch {
    /// Whether a run can have written it: another one could hide records or fail in arithmetic.
    fn is_possible(&self) -> bool {
        let years = 0..10_000;
        let (start, end) = (self.start, self.end);
        let is_window = start < end && years.contains(&start.year()) && years.contains(&end.year());
        let is_position = || match &self.position {
            Position::Exchange(remaining) => {
                let is_inside = |time| time > start && time <= end + TimeDelta::seconds(1);
                let is_length = |seconds| (1..=(end - start).num_seconds() + 1).contains(&seconds);
                remaining.end.is_none_or(is_inside) && remaining.seconds.is_none_or(is_length)
            }
            Position::Graph(_) => true,
        };
        is_window && is_position()
    }
}

/// Searches the audit log and returns at most `result_size` records.
///
/// Errors: nothing was delivered, and no state can continue.
pub async fn search(call: &Call<'_>, input: Search) -> Result<Reply, Failure> {
    let mut warnings = Vec::new();
    let scope = input.scope(call);
    let saved = match resume(call, std::slice::from_ref(&scope))? {
        Resumed::Own(state) => {
            let saved: SavedSearch = read(Value::Object(state.resume.clone()))?;
            Some(
                saved
                    .is_possible()
                    .then_some(saved)
                    .ok_or_else(invalid_state)?,
            )
        }
        Resumed::Ignored(warning) => {
            warnings.push(warning);
            None
        }
        Resumed::None => None,
    };
    let (window, position) = match saved {
        Some(saved) => {
            let (start, end) = (saved.start, saved.end);
            (TimeWindow { start, end }, saved.position)
        }
        None => (
            input.window(call.now)?,
            first_position(call, input.search_with, input.graph_version).await?,
        ),
    };
    warnings.extend(in_future(&window, call.now));
    let plan = SearchPlan {
        window,
        filter: input.filter()?,
        limit: Some(input.limit()?),
        position,
    };
    let outcome = find(call, &plan).await;
    warnings.extend(clocks_differ(call));
    reply(&plan, outcome, (scope, warnings))
}

/// Searches. The outcome has the records with their ids, and what is missing.
pub(in crate::ops) async fn find(call: &Call<'_>, plan: &SearchPlan) -> SearchOutcome {
    match plan.position.clone() {
        Position::Exchange(remaining) => exchange::find(call, plan, remaining).await,
        Position::Graph(running) => graph::find(call, plan, running).await,
    }
}

/// Where a new search starts: at the service that the connection names, or at the one that the
/// credential has permissions for.
///
/// Errors: those of the sign-in, and `forbidden` if the credential can search with neither.
pub(in crate::ops) async fn first_position(
    call: &Call<'_>,
    search_with: SearchWith,
    version: ApiVersion,
) -> Result<Position, Failure> {
    let exchange = || Position::Exchange(Remaining::default());
    let graph = || {
        Position::Graph(RunningQuery {
            version,
            ..RunningQuery::default()
        })
    };
    match search_with {
        SearchWith::Exchange => return Ok(exchange()),
        SearchWith::Graph => return Ok(graph()),
        SearchWith::Automatic if call.connection.user().is_some() => return Ok(exchange()),
        SearchWith::Automatic => {}
    }
    let audiences = &call.connection.cloud.audiences;
    let deadline = call.http.deadline();
    let roles = |audience| async move {
        let token = call.tokens.token(audience);
        let token = deadline.race("the sign-in", token).await?;
        Ok::<_, Failure>(token.roles)
    };
    let own = match roles(&audiences.exchange).await {
        // The directory can have no Exchange Online.
        Err(failure) if failure.kind() == ErrorKind::Forbidden => Vec::new(),
        other => other?,
    };
    let is_dry_run = call.http.transcript().is_dry_run();
    if is_dry_run || own.iter().any(|role| role.starts_with("Exchange.Manage")) {
        return Ok(exchange());
    }
    let has_query = |role: &String| role.starts_with("AuditLogsQuery");
    if roles(&audiences.graph).await?.iter().any(has_query) {
        return Ok(graph());
    }
    let message = "The application has no permission to search the audit log.";
    Err(Failure::new(ErrorKind::Forbidden, message)
        .cause("Its tokens have neither Exchange.ManageAsApp nor AuditLogsQuery.Read.All."))
}

fn reply(
    plan: &SearchPlan,
    outcome: SearchOutcome,
    (scope, warnings): (String, Vec<Warning>),
) -> Result<Reply, Failure> {
    let SearchOutcome {
        records,
        coverage,
        position,
        failure,
        ..
    } = outcome;
    let is_empty = records.is_empty();
    match &failure {
        Some(failure) if is_dry_run(failure) => return Err(failure.clone()),
        // Nothing was delivered, and the same request does the same again.
        Some(failure) if is_empty && !advances(plan, position.as_ref(), failure.kind()) => {
            return Err(failure.clone());
        }
        _ => {}
    }
    let head = json!({ "start": rfc3339(plan.window.start), "end": rfc3339(plan.window.end) });
    let mut text = head.to_string();
    text.pop();
    text.push_str(",\"records\":[");
    for (n, found) in records.iter().enumerate() {
        text.extend([if n > 0 { "," } else { "" }, found.record.text()]);
    }
    text.push_str("]}");
    let mut reply = Reply::of(from_compact(text)?);
    let coverage: CoverageBuilder = coverage;
    reply.records = coverage.records();
    reply.coverage = Some(coverage.close());
    reply.more = position.is_some();
    reply.state = position.map(|position| {
        let (start, end) = (plan.window.start, plan.window.end);
        let saved = SavedSearch {
            start,
            end,
            position,
        };
        State::new(scope, members(&saved))
    });
    reply.warnings = warnings.into_iter().chain(outcome.warnings).collect();
    reply.incomplete = failure;
    Ok(reply)
}

/// Whether a run that continues at a position can get further than this one, which failed.
fn advances(plan: &SearchPlan, position: Option<&Position>, failure: ErrorKind) -> bool {
    match position {
        None => false,
        Some(Position::Exchange(remaining)) => {
            let begun = match &plan.position {
                Position::Exchange(begun) => (begun.end.unwrap_or(plan.window.end), begun.seconds),
                Position::Graph(_) => return true,
            };
            (remaining.end.unwrap_or(plan.window.end), remaining.seconds) != begun
        }
        // The state saves a second query. What else fails would fail again.
        Some(Position::Graph(_)) => failure.retryable() || position != Some(&plan.position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        when::instant("2026-01-14T12:00:00Z", &[]).expect("a time")
    }

    fn window(start: Option<&str>, end: Option<&str>) -> Result<[String; 2], Failure> {
        let search = Search {
            start_date: start.map(str::to_owned),
            end_date: end.map(str::to_owned),
            ..Search::default()
        };
        let window = search.window(now())?;
        Ok([rfc3339(window.start), rfc3339(window.end)])
    }

    #[test]
    fn state_that_no_run_has_written_is_refused() {
        let saved = |start: &str, end: &str, exchange: Value| {
            let saved = json!({ "start": start, "end": end, "position": { "exchange": exchange } });
            let saved: SavedSearch = serde_json::from_value(saved).expect("a state");
            saved.is_possible()
        };
        let (start, end) = ("2026-01-14T00:00:00Z", "2026-01-14T12:00:00.5Z");
        for possible in [
            json!({}),
            json!({ "end": "2026-01-14T12:00:01Z", "seconds": 9 }),
        ] {
            assert!(saved(start, end, possible));
        }
        for exchange in [
            json!({ "end": start }),
            json!({ "end": "+262142-12-31T23:59:59Z" }),
            json!({ "seconds": 0 }),
            json!({ "seconds": i64::MAX }),
        ] {
            assert!(!saved(start, end, exchange));
        }
        assert!(!saved(end, start, json!({})));
        assert!(!saved(
            "+262142-12-31T23:59:58Z",
            "+262142-12-31T23:59:59Z",
            json!({})
        ));
    }

    #[test]
    fn window_is_made_of_dates_or_a_span() {
        let expect = |start: &str, end: &str| [start.to_owned(), end.to_owned()];
        assert_eq!(
            window(None, None).expect("a window"),
            expect("2026-01-13T12:00:00Z", "2026-01-14T12:00:00Z")
        );
        assert_eq!(
            window(Some("3 days"), None).expect("a window"),
            expect("2026-01-11T12:00:00Z", "2026-01-14T12:00:00Z")
        );
        assert_eq!(
            window(None, Some("2026-01-10")).expect("a window"),
            expect("2026-01-09T00:00:00Z", "2026-01-10T00:00:00Z")
        );
        let places = [
            (Some("3 days"), Some("2026-01-10"), "/inputs/end_date"),
            (Some("gibberish"), None, "/inputs/start_date"),
            (Some("2026-01-10"), Some("2026-01-10"), "/inputs/start_date"),
            (None, Some("gibberish"), "/inputs/end_date"),
        ];
        for (start, end, place) in places {
            let fault = window(start, end).expect_err("a fault");
            assert_eq!(fault.place(), Some(place), "{fault}");
        }
    }

    #[test]
    fn result_size_below_one_is_rejected_with_all_other_faults() {
        for result_size in [0, -1] {
            let search = Search {
                result_size,
                record_type: Some("Exchange Admn".to_owned()),
                start_date: Some("gibberish".to_owned()),
                ..Search::default()
            };
            let faults = search.check(now()).expect_err("faults");
            assert_eq!(faults.split().len(), 3);
        }
    }
}
