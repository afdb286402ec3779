//! Lists the alerts of a round, part by part.
//!
//! Only an answer without a next link is complete: it contains every alert of its span at one
//! moment, in any order. The alerts of an answer with a next link only show where to split the
//! span. The first part is then requested by its times. The result therefore depends neither on the
//! order of an answer nor on a link, and an alert that is updated during the listing hides no other
//! alert.
//!
//! One exception saves a request: if the first page is in order and has as many alerts as
//! requested, it is the result. The warning about the limit covers the alerts that it leaves out.
//!
//! Within one instant, times cannot split the span. There, [`instant`] follows links.

mod instant;
mod part;

use std::cmp::Reverse;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use url::Url;

use super::Fetch;
use super::checkpoint::{Checkpoint, Round};
use crate::json::Document;
use crate::microsoft::TimeWindow;
use crate::microsoft::coverage::CoverageBuilder;
use crate::microsoft::graph::Graph;
use crate::microsoft::graph::alerts::{
    self, Identity, Order, PAGE_SIZE, Query, identity, whole_ticks,
};
use crate::net::memory::is_memory;
use crate::net::{Held, Links};
use crate::ops::Call;
use crate::ops::resume::time::service_time;
use crate::protocol::{ErrorKind, Failure};
use part::{Row, Span, UnhandledAlerts, fingerprint, is_in_order, split};

/// The start of a first run is corrected if the host's clock is further off than this.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Why the listing ended.
pub(super) enum ListingEnd {
    /// All alerts of the round were listed, or as many as requested.
    Done,
    /// The caller's `max_events` is reached.
    Enough,
    /// The memory of the run is used up.
    Memory,
    /// A page could not be read.
    Broken(Failure),
}

/// The next span to list.
enum Step {
    /// This part of the round.
    Part(Span),
    /// The remaining span of the round.
    Rest,
    /// None: the listing has ended.
    End(ListingEnd),
}

/// One page.
struct Page {
    rows: Vec<Row>,
    next: Option<String>,
}

/// The alerts listed so far.
pub(super) struct Listing<'a> {
    call: &'a Call<'a>,
    input: &'a Fetch,
    graph: Graph<'a>,
    pub(super) checkpoint: Checkpoint,
    pub(super) round: Round,
    /// Whether the start of the round is based on the host's clock.
    provisional: bool,
    links: Links,
    received: UnhandledAlerts,
    delivered: Vec<(Option<DateTime<Utc>>, String)>,
    held: Held,
    first: Option<Document>,
    pages: usize,
    largest_page: u64,
    /// Where the run started.
    start: Option<DateTime<Utc>>,
    /// Whether an earlier run began the round.
    resumed: bool,
    pub(super) coverage: Option<CoverageBuilder>,
    /// Whether a limit left alerts out.
    pub(super) limited: bool,
    /// Why alerts are missing although the listing continued.
    pub(super) skipped: Option<Failure>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(
        call: &'a Call<'a>,
        input: &'a Fetch,
        (checkpoint, round): (Checkpoint, Round),
        provisional: bool,
    ) -> Self {
        let cloud = &call.connection.cloud;
        Listing {
            call,
            input,
            graph: Graph::new(call.http, call.tokens, cloud),
            checkpoint,
            provisional,
            links: Links::new(&cloud.graph),
            received: UnhandledAlerts::default(),
            delivered: Vec::new(),
            held: call.http.memory().hold(),
            first: None,
            pages: 0,
            largest_page: PAGE_SIZE,
            start: round.position,
            resumed: round.to.is_some(),
            round,
            coverage: None,
            limited: false,
            skipped: None,
        }
    }

    /// Lists the round to its end or to a limit. Errors: the first page could not be read.
    pub(super) async fn read(&mut self) -> Result<ListingEnd, Failure> {
        let mut part = None;
        loop {
            match self.step(part).await {
                Ok(Step::Part(next)) => part = Some(next),
                Ok(Step::Rest) => part = None,
                Ok(Step::End(end)) => return Ok(end),
                Err(failure) if is_memory(&failure) => match self.out_of_memory() {
                    Some(end) => return Ok(end),
                    None if self.largest_page > 1 => {
                        self.largest_page = (self.largest_page / 8).max(1);
                        part = None;
                    }
                    None => return self.broken(failure),
                },
                Err(failure) => return self.broken(failure),
            }
        }
    }

    /// Lists this part of the round, or the remaining span.
    async fn step(&mut self, part: Option<Span>) -> Result<Step, Failure> {
        let requested = part.unwrap_or_else(|| self.rest());
        let size = part.map_or_else(|| self.page_size(), |_| self.largest_page);
        let page = self.request(requested, size).await?;
        if !self.begin() {
            return Ok(Step::Rest);
        }
        self.count_page();
        let span = part.unwrap_or_else(|| self.rest());
        if let Some(link) = page.next {
            let ordered = is_in_order(&page.rows, self.order());
            let split = split(span, self.order(), &page.rows, ordered);
            if ordered || split.is_none() {
                self.receive(page.rows)?;
            }
            if part.is_none() && ordered && self.is_satisfied() {
                self.limited = true;
                self.deliver();
                return Ok(Step::End(ListingEnd::Done));
            }
            match split {
                Some(at) => return Ok(Step::Part(span.first_part(self.order(), at))),
                None if requested.to.is_none() => return Ok(Step::Part(span)),
                None => self.read_by_links(span, link).await?,
            }
        } else {
            self.receive(page.rows)?;
        }
        Ok(match self.complete(span) {
            true => Step::End(ListingEnd::Done),
            false if self.is_enough() => Step::End(ListingEnd::Enough),
            false => Step::Rest,
        })
    }

    /// Uses the service's time as the end of the round. Returns false if the host's clock is wrong
    /// and the round must start again.
    fn begin(&mut self) -> bool {
        let now = service_time(self.call);
        let to = *self.round.to.get_or_insert(now.max(self.round.from));
        if std::mem::take(&mut self.provisional) {
            let start = now - TimeDelta::hours(24);
            if (start - self.round.from).abs() > TOLERANCE {
                self.checkpoint = Checkpoint::new(start);
                self.round.from = start;
                self.round.to = Some(now);
                return false;
            }
        }
        let (start, end) = (self.round.from, to);
        self.coverage
            .get_or_insert_with(|| CoverageBuilder::new("alerts", &TimeWindow { start, end }));
        true
    }

    fn order(&self) -> Order {
        match self.round.left {
            Some(_) => Order::Descending,
            None => Order::Ascending,
        }
    }

    /// The remaining span of the round.
    fn rest(&self) -> Span {
        let (from, to) = self.round.rest();
        Span {
            from: whole_ticks(from),
            to: to.map(whole_ticks),
        }
    }

    /// The number of requested alerts, and of delivered ones that are listed again.
    fn page_size(&self) -> u64 {
        let max = self.call.max_events;
        let max = max.map(|max| max.saturating_sub(self.delivered_count()));
        let wanted = self.round.left.into_iter().chain(max).min();
        let known = match self.order() {
            Order::Ascending => {
                let after = self.rest().from + TimeDelta::seconds(1);
                self.checkpoint.fingerprints.count_from(after) as u64
            }
            Order::Descending => 0,
        };
        wanted.map_or(self.largest_page, |wanted| {
            wanted.saturating_add(known).clamp(1, self.largest_page)
        })
    }

    async fn request(&mut self, span: Span, page_size: u64) -> Result<Page, Failure> {
        let query = Query {
            version: self.input.api_version,
            time: self.input.time_field,
            from: span.from,
            to: span.to,
            order: self.order(),
            condition: self.input.condition()?,
            page_size,
        };
        let url = query.url(&self.call.connection.cloud.graph);
        self.links = Links::new(&self.call.connection.cloud.graph);
        self.links.visited(&url);
        self.get(url).await
    }

    async fn get(&mut self, url: Url) -> Result<Page, Failure> {
        let body = alerts::page(&self.graph, url).await?;
        let page = body.open()?;
        let field = self.input.time_field;
        let rows = page.records.into_iter();
        let rows = rows.map(|record| (identity(record, field), record.to_owned()));
        let page = Page {
            rows: rows.collect(),
            next: page.next,
        };
        self.first.get_or_insert_with(|| body.document().clone());
        self.pages += 1;
        Ok(page)
    }

    fn count_page(&mut self) {
        if let Some(coverage) = &mut self.coverage {
            coverage.add_listing_page();
        }
    }

    /// Adds alerts of the part that is being listed.
    fn receive(&mut self, rows: Vec<Row>) -> Result<(), Failure> {
        for (known, record) in rows {
            let fingerprint = fingerprint(&known, &record);
            if !self.received.known.insert(fingerprint) {
                continue;
            }
            self.round.newest = self.round.newest.max(known.time);
            if self.checkpoint.fingerprints.contains(fingerprint) {
                self.set_handled(&known, &record);
            } else {
                self.held.grow(record.len())?;
                self.received.new.push((known, record));
            }
        }
        Ok(())
    }

    /// Delivers the alerts of a part that was listed completely. Returns true if the round has
    /// ended.
    fn complete(&mut self, span: Span) -> bool {
        let whole = span == self.rest();
        if !whole {
            // Alerts outside of the span are listed again with the next part.
            let order = self.order();
            let is_later = |time| span.is_listed_later(order, time);
            self.received
                .remove(|known| known.time.is_some_and(is_later));
        }
        let left_out = self.deliver();
        if !whole {
            self.round.position = match self.order() {
                Order::Ascending => span.to,
                Order::Descending => Some(span.from),
            };
        }
        let satisfied = self.round.left == Some(0);
        self.limited |= satisfied && (left_out || !whole);
        satisfied || whole
    }

    /// Delivers the received alerts, the most recent first. Returns true if a limit left alerts
    /// out.
    fn deliver(&mut self) -> bool {
        let mut rows = std::mem::take(&mut self.received.new);
        let received = std::mem::take(&mut self.received.known).len();
        rows.sort_by_key(|(known, _)| Reverse(known.time));
        let (new, left) = (rows.len(), self.round.left);
        let wanted = left.map_or(new, |left| {
            usize::try_from(left).map_or(new, |n| n.min(new))
        });
        if let Some(coverage) = &mut self.coverage {
            coverage.add_page_records(received, wanted, received - new);
        }
        for (known, record) in rows.into_iter().take(wanted) {
            self.set_handled(&known, &record);
            self.delivered.push((known.time, record));
        }
        self.round.left = left.map(|left| left - wanted as u64);
        new > wanted
    }

    fn set_handled(&mut self, known: &Identity, record: &str) {
        let time = known.time.unwrap_or(self.round.from);
        self.checkpoint
            .fingerprints
            .insert(fingerprint(known, record), time);
    }

    fn delivered_count(&self) -> u64 {
        self.delivered.len() as u64
    }

    /// Whether as many alerts were received as requested.
    fn is_satisfied(&self) -> bool {
        let new = self.received.new.len() as u64;
        self.round.left.is_some_and(|left| left <= new)
    }

    fn is_enough(&self) -> bool {
        let max = self.call.max_events;
        max.is_some_and(|max| self.delivered_count() >= max)
    }

    /// Whether the round began in an earlier run, so that later alerts were not listed.
    pub(super) fn is_behind(&self) -> bool {
        let now = service_time(self.call);
        self.resumed && self.round.to.is_some_and(|to| to < now)
    }

    /// Whether the run delivered something or moved the position.
    pub(super) fn has_progress(&self) -> bool {
        !self.delivered.is_empty() || self.round.position != self.start
    }

    /// Ends a run with progress. Otherwise, the caller requests the page again with fewer alerts.
    fn out_of_memory(&mut self) -> Option<ListingEnd> {
        if self.has_progress() {
            return Some(ListingEnd::Memory);
        }
        self.received = UnhandledAlerts::default();
        self.held.clear();
        self.call.http.memory().retry();
        None
    }

    /// Ends the run after a page that cannot be read. Delivers the received alerts; the next run
    /// recognizes them. Errors: it was the first page, so the run fails.
    fn broken(&mut self, failure: Failure) -> Result<ListingEnd, Failure> {
        if self.coverage.is_none() {
            return Err(failure);
        }
        self.deliver();
        let (start, end) = self.round.rest();
        if let Some(coverage) = &mut self.coverage {
            let start = start.trunc_subsecs(0);
            let end = end.unwrap_or(start);
            coverage.add_interrupted_span(&TimeWindow { start, end }, failure.vendor_code(), false);
        }
        Ok(ListingEnd::Broken(failure))
    }

    /// The pages as one document, newest alert first.
    pub(super) fn document(&mut self) -> Result<Document, Failure> {
        let unjoined = || Failure::new(ErrorKind::Internal, "The pages could not be joined.");
        let first = self.first.take().ok_or_else(unjoined)?;
        self.delivered.sort_by_key(|(time, _)| Reverse(*time));
        let records = self.delivered.iter().map(|(_, record)| record.as_str());
        // The next link is removed, because the page that it leads to is included.
        let followed = (self.pages > 1).then_some(alerts::NEXT_LINK);
        first
            .with_elements(alerts::ITEMS, records, followed)
            .map_err(|error| unjoined().caused_by(error))
    }
}
