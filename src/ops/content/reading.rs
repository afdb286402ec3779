//! Reading: windows in turn, pages in turn, blobs several at once, records once each.
//!
//! It notes what became of every blob; what that means for the run is `settle`'s part.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use url::Url;

use super::List;
use super::resume::{Carried, MAX_CARRIED, Mark, Plan, mark, named, second};
use crate::microsoft::TimeWindow;
use crate::microsoft::feed::Feed;
use crate::microsoft::feed::content::{Blob, Kept};
use crate::microsoft::feed::filter::Filter;
use crate::microsoft::ledger::{Absence, Counted, Ledger};
use crate::net::Links;
use crate::ops::Call;
use crate::protocol::{Coverage, ErrorKind, Failure};

/// Blobs that are fetched at once.
const AT_ONCE: usize = 8;

/// Blobs that may be under way or finished while an earlier one is waited for: one that is repeated
/// does not hold up all others.
const AHEAD: usize = 32;

/// How the reading ended.
pub(super) enum End {
    /// Everything that is listed was asked for.
    Done,
    /// The caller's `max_events` is reached.
    Enough,
    /// It broke off: the rest was not listed or not asked for.
    Broken(Failure),
}

/// What was read so far.
pub(super) struct Reading<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) input: &'a List,
    /// The account of the window at hand; those before are in `account`.
    pub(super) ledger: Ledger,
    pub(super) account: Coverage,
    /// The kept records as an array that is not closed yet.
    pub(super) text: String,
    /// Blobs that failed, in the listing's order, with their names as places.
    pub(super) failed: Vec<Failure>,
    /// The first answer that said expired or missing.
    pub(super) aged: Option<Failure>,
    /// Everything before was dealt with, but for what is carried.
    pub(super) cursor: DateTime<Utc>,
    /// The earliest moment of what was not asked for in the window at hand.
    back_to: Option<DateTime<Utc>>,
    pub(super) settled: Vec<(DateTime<Utc>, Mark)>,
    pub(super) carried: Vec<Carried>,
    /// Records that came again with other content.
    pub(super) changed: u64,
    /// Blobs that came.
    pub(super) came: u64,
    /// The last availability that was listed.
    pub(super) reached: DateTime<Utc>,
    window: TimeWindow,
    /// While carried blobs are looked for: their marks and tries. Nothing else is fetched then.
    wanted: Option<HashMap<Mark, u8>>,
    links: Links,
    before: HashSet<Mark>,
    /// Of those, the ones that were not listed again so far.
    pub(super) unmet: HashSet<Mark>,
    listed: HashSet<(Option<String>, Option<String>)>,
    addresses: HashSet<String>,
    seen: HashMap<u128, u64>,
}

/// What is to be done about a listed blob.
enum Task {
    Fetch(Blob, Url),
    Refuse(Blob, Failure),
    Skip,
}

/// What became of it.
enum Outcome {
    Came(Blob, Result<Kept, Failure>),
    Skipped,
}

impl<'a> Reading<'a> {
    pub(super) fn new(call: &'a Call<'a>, input: &'a List, plan: &Plan) -> Self {
        let window = plan.first(call.now);
        let scope = input.content_type.name();
        let mut account = Ledger::new(scope, &window);
        for span in &plan.too_old {
            let (from, to) = named(span);
            account.too_old(from, to);
        }
        Reading {
            call,
            input,
            ledger: Ledger::new(scope, &window),
            account: Coverage {
                windows: Vec::new(),
                ..account.close()
            },
            text: "[".to_owned(),
            failed: Vec::new(),
            aged: None,
            cursor: plan.from,
            back_to: None,
            settled: Vec::new(),
            carried: Vec::new(),
            changed: 0,
            came: 0,
            reached: window.start,
            window,
            wanted: None,
            links: Links::new(&call.connection.cloud.management),
            before: plan.delivered.clone(),
            unmet: plan.delivered.clone(),
            listed: HashSet::new(),
            addresses: HashSet::new(),
            seen: HashMap::new(),
        }
    }

    /// Reads what the plan names: carried blobs first, then window after window.
    pub(super) async fn all(&mut self, plan: &Plan, filter: &Filter) -> End {
        let moments = plan
            .carried
            .chunk_by(|a, b| second(a.created) == second(b.created));
        let mut left = plan.carried.as_slice();
        for alike in moments {
            self.wanted = Some(alike.iter().map(|blob| (blob.mark, blob.tries)).collect());
            let end = self.window(second(alike[0].created), filter).await;
            if !matches!(end, End::Done) {
                // Those that were not looked for stay what they were.
                self.carried.extend_from_slice(left);
                return end;
            }
            left = &left[alike.len()..];
        }
        self.wanted = None;
        for window in &plan.windows {
            let end = self.window(*window, filter).await;
            if !matches!(end, End::Done) {
                let back_to = self.back_to.unwrap_or(self.reached);
                self.cursor = self.cursor.max(back_to);
                return end;
            }
            // A blob that found no room among the carried ones is listed again.
            self.cursor = self.cursor.max(self.back_to.unwrap_or(window.end));
            if self.back_to.is_some() {
                return End::Done;
            }
        }
        End::Done
    }

    async fn window(&mut self, window: TimeWindow, filter: &Filter) -> End {
        let next = Ledger::new(self.input.content_type.name(), &window);
        if self.ledger.is_used() {
            let done = std::mem::replace(&mut self.ledger, next);
            self.account.add(done.close());
        } else {
            self.ledger = next;
        }
        self.window = window;
        self.reached = window.start;
        self.back_to = None;
        self.pages(filter).await.unwrap_or_else(End::Broken)
    }

    /// Reads page after page. Errors: a page did not come, or its link leads astray.
    async fn pages(&mut self, filter: &Filter) -> Result<End, Failure> {
        let call = self.call;
        let feed = Feed::new(call.http, call.tokens, call.connection);
        let first = feed
            .content_url(self.input.content_type, &self.window)
            .await?;
        self.links.visited(&first);
        let mut page = feed.content(first).await?;
        loop {
            self.ledger.listing();
            if let Some(end) = self.blobs(&feed, page.blobs, filter).await {
                return Ok(end);
            }
            let Some(link) = page.next else {
                return Ok(End::Done);
            };
            if self.is_enough() {
                return Ok(End::Enough);
            }
            page = feed.content(self.links.follow(&link)?).await?;
        }
    }

    /// Fetches the blobs of a page; says so if that ended the reading.
    ///
    /// What was begun is always taken, so nothing that came is thrown away.
    async fn blobs(&mut self, feed: &Feed<'_>, blobs: Vec<Blob>, filter: &Filter) -> Option<End> {
        let times: Vec<_> = blobs.iter().map(|blob| self.created(blob)).collect();
        let tasks: Vec<Task> = blobs.into_iter().map(|blob| self.task(blob)).collect();
        let stop = AtomicBool::new(false);
        let tasks = tasks
            .into_iter()
            .take_while(|_| !stop.load(Ordering::Relaxed));
        let places = Semaphore::new(AT_ONCE);
        // Where the caller sets a limit, no more is begun than can be fetched at once.
        let ahead = match self.call.limits.max_events {
            Some(_) => AT_ONCE,
            None => AHEAD,
        };
        let mut outcomes = stream::iter(tasks)
            .map(|task| carry_out(feed, (task, &places), filter))
            .buffered(ahead);
        let (mut end, mut taken) = (None, 0);
        while let Some(outcome) = outcomes.next().await {
            taken += 1;
            if let Some(failure) = self.take(outcome) {
                end.get_or_insert(End::Broken(failure));
            } else if self.is_enough() {
                end.get_or_insert(End::Enough);
            }
            stop.store(end.is_some(), Ordering::Relaxed);
        }
        drop(outcomes);
        match times[taken..].iter().min() {
            Some(earliest) => self.come_back(*earliest),
            // The whole page was under way when the limit was reached.
            None if matches!(end, Some(End::Enough)) => return None,
            None => {}
        }
        end
    }

    /// When a blob became available; the window's start if the listing does not say.
    fn created(&self, blob: &Blob) -> DateTime<Utc> {
        blob.created().unwrap_or(self.window.start)
    }

    /// Judges a listed blob before it is asked for.
    fn task(&mut self, blob: Blob) -> Task {
        if let Some(created) = blob.created() {
            self.reached = self.reached.max(created);
        }
        let known = mark(blob.name());
        self.unmet.remove(&known);
        let skipped = match &self.wanted {
            Some(wanted) => !wanted.contains_key(&known),
            None => self.before.contains(&known),
        };
        if skipped {
            // The next state must know it too.
            self.settle(&blob);
            return Task::Skip;
        }
        self.before.extend(self.wanted.is_some().then_some(known));
        let same = (blob.content_id.clone(), blob.content_uri.clone());
        if !self.listed.insert(same) {
            return Task::Skip;
        }
        let address = match &blob.content_uri {
            Some(address) => self.links.check(address),
            None => Err(Failure::new(
                ErrorKind::BadResponse,
                "The listing gives no address for this content.",
            )),
        };
        match address {
            Err(refused) => Task::Refuse(blob, refused),
            Ok(url) if !self.addresses.insert(url.to_string()) => {
                let words = "The address of this content was listed for other content before; it was not asked again.";
                Task::Refuse(blob, Failure::new(ErrorKind::BadResponse, words))
            }
            Ok(url) => Task::Fetch(blob, url),
        }
    }

    /// Accounts for a blob. Gives the failure that ends the reading, if it is such a one.
    fn take(&mut self, outcome: Outcome) -> Option<Failure> {
        let (blob, kept) = match outcome {
            Outcome::Skipped => {
                self.ledger.duplicate();
                return None;
            }
            Outcome::Came(blob, kept) => (blob, kept),
        };
        match kept {
            Ok(kept) => {
                let counted = self.merge(&kept);
                self.ledger.fetched(counted);
                self.came += 1;
                self.settle(&blob);
                None
            }
            Err(failure) if ends_all(&failure) => {
                self.come_back(self.created(&blob));
                Some(failure)
            }
            Err(failure) => {
                self.absent(&blob, failure);
                None
            }
        }
    }

    fn absent(&mut self, blob: &Blob, failure: Failure) {
        let code = failure.vendor_code().map(str::to_owned);
        let why = match (code.as_deref(), failure.http_status()) {
            (Some("AF20051"), _) => Absence::Expired,
            (Some("AF20050"), _) | (None, Some(404)) => Absence::Missing,
            _ => Absence::Failed {
                again: failure.kind().retryable(),
            },
        };
        self.ledger.absent(blob.name(), why, code.as_deref());
        match why {
            Absence::Expired | Absence::Missing => {
                self.aged.get_or_insert(failure);
                self.settle(blob);
            }
            Absence::Failed { again } => {
                self.failed.push(failure.at(blob.name()));
                if again {
                    self.carry(blob);
                } else {
                    self.settle(blob);
                }
            }
        }
    }

    /// The blob goes along in the state; where there is no room left, the listing goes back to it.
    fn carry(&mut self, blob: &Blob) {
        let (created, mark) = (self.created(blob), mark(blob.name()));
        if self.carried.len() >= MAX_CARRIED {
            return self.come_back(created);
        }
        let before = self.wanted.as_ref().and_then(|wanted| wanted.get(&mark));
        self.settled.push((created, mark));
        self.carried.push(Carried {
            created,
            mark,
            tries: before.copied().unwrap_or(0).saturating_add(1),
        });
    }

    /// Adds the records that are not here yet.
    fn merge(&mut self, kept: &Kept) -> Counted {
        let mut counted = Counted {
            records: kept.records,
            ..Counted::default()
        };
        for (row, text) in kept.rows() {
            if let Some(id) = row.id
                && let Some(print) = self.seen.insert(id, row.print)
            {
                counted.repeated += 1;
                self.changed += u64::from(print != row.print);
                continue;
            }
            counted.kept += 1;
            if self.text.len() > 1 {
                self.text.push(',');
            }
            self.text.push_str(text);
        }
        counted
    }

    fn settle(&mut self, blob: &Blob) {
        self.settled.push((self.created(blob), mark(blob.name())));
    }

    /// The next listing must go back to that moment.
    fn come_back(&mut self, created: DateTime<Utc>) {
        let earliest = self.back_to.map_or(created, |other| other.min(created));
        self.back_to = Some(earliest);
    }

    fn is_enough(&self) -> bool {
        let kept: u64 = self.account.windows.iter().map(|window| window.kept).sum();
        let max = self.call.limits.max_events;
        max.is_some_and(|max| kept + self.ledger.kept() >= max)
    }
}

/// Going on makes no sense: the run must stop, the service wants a pause, or it refuses all
/// content and not this one.
fn ends_all(failure: &Failure) -> bool {
    use ErrorKind::{AuthFailed, Cancelled, Forbidden, Rejected, Throttled, Timeout};
    match failure.kind() {
        AuthFailed | Cancelled | Forbidden | Throttled | Timeout => true,
        Rejected => failure
            .vendor_code()
            .is_some_and(|code| code.starts_with("AF20") && !code.starts_with("AF2005")),
        _ => false,
    }
}

async fn carry_out(
    feed: &Feed<'_>,
    (task, places): (Task, &Semaphore),
    filter: &Filter,
) -> Outcome {
    match task {
        Task::Skip => Outcome::Skipped,
        Task::Refuse(blob, failure) => Outcome::Came(blob, Err(failure)),
        Task::Fetch(blob, url) => {
            // Places are never closed, so one is always got in the end.
            let _place = places.acquire().await;
            let kept = feed.blob(url, filter).await;
            Outcome::Came(blob, kept)
        }
    }
}
