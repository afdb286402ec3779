//! A search with an audit log query of Graph, which runs at the service for minutes or hours.
//!
//! A query that is not finished in time is not created again: the state has its id.

use std::time::Duration;

use super::plan::{Position, RunningQuery, SearchOutcome, SearchPlan};
use crate::microsoft::graph::Graph;
use crate::microsoft::graph::alerts::{self, ApiVersion};
use crate::microsoft::graph::audit_query::{self, PAGE, QueryStatus, RecordsPage};
use crate::net::Links;
use crate::ops::Call;
use crate::protocol::{ErrorKind, Failure};

/// The first and the longest wait between two polls.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Searches. `running` is where the last run ended.
pub(super) async fn find(
    call: &Call<'_>,
    plan: &SearchPlan,
    running: RunningQuery,
) -> SearchOutcome {
    let mut search = Search {
        call,
        plan,
        graph: Graph::new(call.http, call.tokens, &call.connection.cloud),
        outcome: SearchOutcome::new(call, &plan.window),
        running,
    };
    if let Err(failure) = search.run().await {
        search.interrupt(failure);
    }
    search.outcome
}

struct Search<'a> {
    call: &'a Call<'a>,
    plan: &'a SearchPlan,
    graph: Graph<'a>,
    outcome: SearchOutcome,
    running: RunningQuery,
}

impl Search<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let saved = self.running.query.clone();
        let mut id = match saved.clone() {
            Some(id) => id,
            None => self.create().await?,
        };
        if self.running.link.is_none() {
            match self.wait(&id).await {
                // The service has deleted it, and none of its records was read.
                Err(failure) if saved.is_some() && is_unknown(&failure) => {
                    id = self.create().await?;
                    self.wait(&id).await?;
                }
                other => other?,
            }
        }
        self.read(&id).await?;
        if self.outcome.position.is_none() && self.outcome.failure.is_none() {
            audit_query::delete(&self.graph, self.running.version, &id).await;
        }
        Ok(())
    }

    /// Creates the query.
    async fn create(&mut self) -> Result<String, Failure> {
        let (window, filter) = (&self.plan.window, &self.plan.filter);
        let version = self.running.version;
        let created = audit_query::create(&self.graph, version, window, filter).await;
        let created = match created {
            // In some directories, only the beta version has queries.
            Err(failure) if is_unknown(&failure) => {
                self.running.version = ApiVersion::Beta;
                audit_query::create(&self.graph, ApiVersion::Beta, window, filter).await
            }
            other => other,
        }?;
        self.running.query = Some(created.id.clone());
        Ok(created.id)
    }

    /// Polls until the query has succeeded.
    async fn wait(&mut self, id: &str) -> Result<(), Failure> {
        let mut wait = POLL.0;
        loop {
            let query = audit_query::status(&self.graph, self.running.version, id).await?;
            match query.status() {
                QueryStatus::Succeeded => return Ok(()),
                QueryStatus::Running => {}
                status => {
                    // A query that ended cannot be resumed.
                    self.running.query = None;
                    return Err(ended(status));
                }
            }
            let longest = self.call.http.longest_wait();
            let shown = wait.min(longest);
            if !self
                .call
                .http
                .pause("the next poll of the query", shown)
                .await?
            {
                return Err(still_running());
            }
            wait = (wait * 2).min(POLL.1);
        }
    }

    /// Reads the pages until the limit.
    async fn read(&mut self, id: &str) -> Result<(), Failure> {
        let base = self.graph.address();
        let size = self.plan.limit.map_or(PAGE, |limit| limit.min(PAGE));
        let first = audit_query::records_url(base, self.running.version, id, size);
        let mut links = Links::new(&first);
        let mut url = match &self.running.link {
            // A state comes from the request, so its link is checked like one of an answer.
            Some(link) => links.follow(link)?,
            None => first,
        };
        links.visited(&url);
        let (mut reported, mut received) = (None, 0);
        loop {
            let page = alerts::page(&self.graph, url.clone()).await?;
            let page = audit_query::records(&page)?;
            let is_whole = self.running.link.is_none();
            reported = page.count.filter(|_| is_whole).or(reported);
            received += page.records.len();
            let next = page.next.clone();
            let sizes = page.records.iter().map(|found| found.record.text().len());
            self.outcome.held.grow(sizes.sum())?;
            if self.deliver(page, url.as_str()) {
                return Ok(());
            }
            let Some(link) = next else { break };
            url = links.follow(&link)?;
            self.running.link = Some(url.to_string());
            self.running.skip = 0;
            if self.is_full() {
                self.limited();
                return Ok(());
            }
        }
        let missing = reported.map_or(0, |reported: usize| reported.saturating_sub(received));
        if missing > 0 {
            let coverage = &mut self.outcome.coverage;
            coverage.add_missing_records(&self.plan.window, missing);
            self.outcome.failure = Some(lost(missing));
        }
        Ok(())
    }

    /// Delivers the records of a page. Returns true if the limit cuts the page.
    fn deliver(&mut self, page: RecordsPage, url: &str) -> bool {
        let received = page.records.len();
        let delivered = self.outcome.records.len();
        let limit = self.plan.limit.unwrap_or(usize::MAX);
        let skip = self.running.skip.min(received);
        let records = page.records.into_iter().skip(skip);
        let left = limit.saturating_sub(delivered);
        self.outcome.records.extend(records.take(left));
        let kept = self.outcome.records.len() - delivered;
        self.outcome.coverage.add_page(received, kept, skip);
        if skip + kept == received {
            return false;
        }
        self.running.link = Some(url.to_owned());
        self.running.skip = skip + kept;
        self.limited();
        true
    }

    fn is_full(&self) -> bool {
        let delivered = self.outcome.records.len();
        let most = self.call.max_events;
        self.plan.limit.is_some_and(|limit| delivered >= limit)
            || most.is_some_and(|most| delivered as u64 >= most)
            || self.call.http.memory().is_exhausted()
    }

    fn limited(&mut self) {
        self.outcome.coverage.set_limited();
        self.outcome.position = Some(Position::Graph(self.running.clone()));
    }

    fn interrupt(&mut self, failure: Failure) {
        // A query that the service does not know cannot be resumed.
        let resumes = self.running.query.is_some() && !is_unknown(&failure);
        let coverage = &mut self.outcome.coverage;
        coverage.add_interruption(failure.vendor_code(), !resumes);
        self.outcome.position = resumes.then(|| Position::Graph(self.running.clone()));
        self.outcome.failure = Some(failure);
    }
}

fn is_unknown(failure: &Failure) -> bool {
    failure.http_status() == Some(404)
}

fn still_running() -> Failure {
    let message = "The query is still running at the service.";
    Failure::new(ErrorKind::Timeout, message)
        .cause("A query takes minutes, and in large directories hours.")
        .advice("Wait some minutes.")
}

fn ended(status: QueryStatus) -> Failure {
    let how = match status {
        QueryStatus::Cancelled => "was cancelled",
        _ => "failed",
    };
    Failure::new(
        ErrorKind::Unavailable,
        format!("The query {how} at the service."),
    )
    .cause("The service gives no reason. A long window is the usual one.")
    .advice("Send the request again without `state`, with a shorter window or more filters if it fails again.")
}

fn lost(records: usize) -> Failure {
    let message = format!("Graph did not return {records} records of the query that it reported.");
    Failure::new(ErrorKind::BadResponse, message)
        .advice("Send the request again: identical queries can return different records.")
}
