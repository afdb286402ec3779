//! Reading: windows in turn, pages in turn, blobs several at once.
//!
//! It decides how far the listing goes and where the next one begins. What is done about a blob is
//! `blobs`' part, what it all means for the run is `settle`'s.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::blobs::{Task, carry_out};
use super::met::Met;
use super::point::{Carried, Mark};
use super::resume::{Plan, named, second};
use crate::microsoft::feed::Feed;
use crate::microsoft::feed::content::Blob;
use crate::microsoft::feed::filter::Filter;
use crate::microsoft::ledger::Ledger;
use crate::microsoft::{ContentType, TimeWindow};
use crate::net::Links;
use crate::ops::Call;
use crate::protocol::{Coverage, ErrorKind, Failure};

/// Blobs that are fetched at once.
pub(super) const AT_ONCE: usize = 8;

/// Blobs that may be under way or finished while an earlier one is waited for: one that is repeated
/// does not hold up all others. Of a finished one only what is kept is held.
const AHEAD: usize = 128;

/// How the reading ended.
pub(in crate::ops) enum End {
    /// Everything that is listed was asked for.
    Done,
    /// The caller's `max_events` is reached.
    Enough,
    /// It broke off: the rest was not listed or not asked for.
    Broken(Failure),
}

/// What was read so far.
pub(in crate::ops) struct Reading<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) content_type: ContentType,
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
    /// Where the listing of the window at hand must go on, if it is not through.
    pub(super) back_to: Option<DateTime<Utc>>,
    pub(super) settled: Vec<(DateTime<Utc>, Mark)>,
    pub(super) carried: Vec<Carried>,
    /// Records that came again with other content.
    pub(super) changed: u64,
    /// Blobs that came.
    pub(super) came: u64,
    /// The service's clock when the window at hand was listed.
    pub(super) clock: Option<DateTime<Utc>>,
    /// The earliest moment of the page at hand.
    pub(super) page_from: DateTime<Utc>,
    /// Refusals one after the other.
    pub(super) refused: usize,
    pub(super) window: TimeWindow,
    /// While carried blobs are looked for: their marks and tries. Nothing else is fetched then.
    pub(super) wanted: Option<HashMap<Mark, u8>>,
    pub(super) links: Links,
    pub(super) before: HashSet<Mark>,
    /// Of those, the ones that were not listed again so far.
    pub(super) unmet: HashSet<Mark>,
    pub(super) listed: HashSet<(Option<String>, Option<String>)>,
    pub(super) addresses: HashSet<String>,
    /// Records that were met, here or in what was read before.
    pub(in crate::ops) met: Met,
    /// Records that were kept before, which count towards the caller's limit.
    pub(in crate::ops) kept_before: u64,
    /// How many blobs may be carried.
    pub(super) room: usize,
}

impl<'a> Reading<'a> {
    pub(in crate::ops) fn new(call: &'a Call<'a>, content_type: ContentType, plan: &Plan) -> Self {
        let window = plan.first(call.now);
        let scope = content_type.name();
        let mut account = Ledger::new(scope, &window);
        for span in &plan.too_old {
            let (from, to) = named(span);
            account.too_old(from, to);
        }
        Reading {
            call,
            content_type,
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
            clock: None,
            page_from: window.start,
            refused: 0,
            window,
            wanted: None,
            links: Links::new(&call.connection.cloud.management),
            before: plan.delivered.clone(),
            unmet: plan.delivered.clone(),
            listed: HashSet::new(),
            addresses: HashSet::new(),
            met: Met::default(),
            kept_before: 0,
            room: plan.room,
        }
    }

    /// Reads what the plan names: carried blobs first, then window after window.
    pub(in crate::ops) async fn all(&mut self, plan: &Plan, filter: &Filter) -> End {
        let mut left = plan.carried.as_slice();
        for alike in plan
            .carried
            .chunk_by(|a, b| second(a.created) == second(b.created))
        {
            let end = self.again(alike, filter).await;
            left = &left[alike.len()..];
            if !matches!(end, End::Done) {
                // Those that were not looked for stay what they were.
                self.carried.extend_from_slice(left);
                return end;
            }
        }
        for window in &plan.windows {
            let end = self.window(*window, filter).await;
            let dealt_with = match (&end, self.back_to) {
                (End::Done, None) => self.served_until(window.end),
                // A blob that found no room among the carried ones is listed again.
                (_, Some(back_to)) => back_to,
                _ => self.page_from,
            };
            self.cursor = self.cursor.max(dealt_with);
            if !matches!(end, End::Done) || self.back_to.is_some() {
                return end;
            }
        }
        End::Done
    }

    /// Reads nothing: what is carried stays what it was.
    pub(in crate::ops) fn pass(&mut self, plan: &Plan, end: End) -> End {
        self.carried.clone_from(&plan.carried);
        end
    }

    /// Looks for blobs that failed in an earlier run and became available in the same second.
    async fn again(&mut self, alike: &[Carried], filter: &Filter) -> End {
        self.wanted = Some(alike.iter().map(|blob| (blob.mark, blob.tries)).collect());
        let moment = second(alike[0].created);
        let end = self.window(moment, filter).await;
        let wanted = self.wanted.take().unwrap_or_default();
        let done = matches!(end, End::Done);
        for blob in alike.iter().filter(|blob| wanted.contains_key(&blob.mark)) {
            self.carried.push(Carried {
                tries: blob.tries.saturating_add(u8::from(done)),
                ..*blob
            });
            if done {
                let (from, to) = named(&moment);
                self.ledger.unlisted(from, to);
                self.aged.get_or_insert_with(|| {
                    let words = "Content that failed before is not listed any more.";
                    Failure::new(ErrorKind::Rejected, words)
                });
            }
        }
        end
    }

    /// The end of a window in the service's own time: what lies ahead of its clock was not there
    /// to be listed, whatever the clock of this machine says.
    fn served_until(&self, end: DateTime<Utc>) -> DateTime<Utc> {
        self.clock
            .map_or(end, |clock| end.min(clock))
            .max(self.window.start)
    }

    async fn window(&mut self, window: TimeWindow, filter: &Filter) -> End {
        let next = Ledger::new(self.content_type.name(), &window);
        if self.ledger.is_used() {
            let done = std::mem::replace(&mut self.ledger, next);
            self.account.add(done.close());
        } else {
            self.ledger = next;
        }
        self.window = window;
        self.page_from = window.start;
        self.back_to = None;
        self.clock = None;
        self.pages(filter).await.unwrap_or_else(End::Broken)
    }

    /// Reads page after page. Errors: a page did not come, or its link leads astray.
    async fn pages(&mut self, filter: &Filter) -> Result<End, Failure> {
        let call = self.call;
        let feed = Feed::new(call.http, call.tokens, call.connection);
        let first = feed.content_url(self.content_type, &self.window).await?;
        self.links.visited(&first);
        let mut page = feed.content(first).await?;
        self.clock = page.date;
        loop {
            self.ledger.listing();
            self.page_from = self.earliest(&page.blobs);
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
        let listed = blobs.len();
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
            match (self.take(outcome), &end) {
                // What broke off is told before a limit: that blob was not dealt with.
                (Some(failure), None | Some(End::Enough)) => end = Some(End::Broken(failure)),
                (None, None) if self.is_enough() => end = Some(End::Enough),
                _ => {}
            }
            stop.store(end.is_some(), Ordering::Relaxed);
        }
        drop(outcomes);
        if taken < listed {
            self.come_back(self.page_from);
            return end;
        }
        // The whole page was under way when the limit was reached.
        end.filter(|end| !matches!(end, End::Enough))
    }

    /// When the first blob of a page became available: where the listing goes on if it breaks off
    /// on this page or behind it. One time out of order is enough to begin with the window again.
    fn earliest(&self, blobs: &[Blob]) -> DateTime<Utc> {
        let inside = |time: &DateTime<Utc>| self.window.start <= *time && *time < self.window.end;
        let times = blobs.iter().map(|blob| blob.created().filter(inside));
        let times: Option<Vec<_>> = times.collect();
        match times {
            Some(times) if times.is_empty() => self.page_from,
            Some(times) if times.is_sorted() && times[0] >= self.page_from => times[0],
            _ => self.window.start,
        }
    }

    /// The next listing must go back to that moment.
    pub(super) fn come_back(&mut self, created: DateTime<Utc>) {
        let earliest = self.back_to.map_or(created, |other| other.min(created));
        self.back_to = Some(earliest);
    }

    /// Is the caller's limit reached?
    pub(in crate::ops) fn is_enough(&self) -> bool {
        let max = self.call.limits.max_events;
        max.is_some_and(|max| self.kept_before + self.kept() >= max)
    }

    /// Records that were kept so far.
    fn kept(&self) -> u64 {
        let before: u64 = self.account.windows.iter().map(|window| window.kept).sum();
        before + self.ledger.kept()
    }
}
