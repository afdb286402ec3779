//! The sessions of searches: what a search has found, and how much of it was returned. Parameters
//! are read in `search`.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ring::digest::{SHA256, digest};

use crate::sim::data::audit_log::AuditRecord;
use crate::sim::exchange::search::{Search, SessionCommand};
use crate::sim::exchange::{Refused, refused};
use crate::sim::world::exchange::{Exchange, OddEffect, ResultCount};

/// The most rows of a session with `ReturnNextPreviewPage`.
const PREVIEW_ROWS: usize = 5_000;

/// The most rows of a session that mixes both session commands.
const MIXED_ROWS: usize = 10_000;

/// The lifetime of links to next pages.
const LINK_LIFETIME: TimeDelta = TimeDelta::minutes(30);

/// A page of a search.
#[derive(Default)]
pub(super) struct Page {
    /// The rows, with their `ResultIndex`.
    pub(super) rows: Vec<(i64, Arc<AuditRecord>)>,
    /// The `ResultCount` of each row.
    pub(super) count: usize,
    /// Whether it has a warning.
    pub(super) warning: bool,
    /// Whether it gets a row from outside of the searched time.
    pub(super) out_of_range: bool,
    /// The link to the rows that did not fit into the response.
    pub(super) next: Option<String>,
}

impl Page {
    /// Adds one of these records.
    pub(super) fn with_one_of(mut self, records: Vec<Arc<AuditRecord>>) -> Self {
        let index = self.rows.last().map_or(0, |(index, _)| *index) + 1;
        self.rows
            .extend(records.into_iter().take(1).map(|record| (index, record)));
        self
    }

    /// Takes off the rows after a number of rows.
    pub(super) fn split(&mut self, size: usize) -> Option<Self> {
        (self.rows.len() > size).then(|| Self {
            rows: self.rows.split_off(size),
            count: self.count,
            ..Self::default()
        })
    }
}

/// A session.
struct Session {
    found: Vec<Arc<AuditRecord>>,
    /// The number of rows that were returned or skipped.
    next: usize,
    /// Where the last page began.
    last: usize,
    pages: u64,
    commands: Vec<SessionCommand>,
}

/// All sessions, and the pages to which links lead.
pub(super) struct Sessions {
    world: Exchange,
    known: HashMap<String, Session>,
    /// How often each odd page was returned.
    odd: HashMap<usize, u64>,
    links: Vec<(DateTime<Utc>, Option<Page>)>,
}

impl Sessions {
    /// The sessions of a world.
    pub(super) fn new(world: &Exchange) -> Self {
        Self {
            world: world.clone(),
            known: HashMap::new(),
            odd: HashMap::new(),
            links: vec![],
        }
    }

    /// The next page of the session with a key. A new session finds its records.
    pub(super) fn next(
        &mut self,
        key: &str,
        search: &Search,
        find: impl FnOnce() -> Vec<Arc<AuditRecord>>,
    ) -> Result<Page, Refused> {
        let session = self.known.entry(key.to_owned());
        let session = session.or_insert_with(|| Session {
            found: ordered(find(), search.command, key),
            next: 0,
            last: 0,
            pages: 0,
            commands: vec![],
        });
        session.pages += 1;
        session.commands.extend(search.command);
        let effect = self.world.odd_pages.iter().enumerate().find(|(at, odd)| {
            let times = self.odd.get(at).copied().unwrap_or(0);
            odd.page == session.pages && times < odd.times
        });
        if let Some((at, _)) = effect {
            *self.odd.entry(at).or_default() += 1;
        }
        let effect = effect.map(|(_, odd)| odd.effect);
        let size = search.size.min(self.world.page_rows);
        let mut page = Page::default();
        match effect {
            Some(OddEffect::Busy) => return Err(refused("busy", &[])),
            Some(OddEffect::Throttled) => return Err(refused("throttled", &[])),
            Some(OddEffect::Warning | OddEffect::Empty) => {
                page.warning = effect == Some(OddEffect::Warning);
                return Ok(page);
            }
            Some(OddEffect::Repeat) => session.next = session.last,
            Some(OddEffect::Restart) => session.next = 0,
            Some(OddEffect::Skip) => session.next += size,
            Some(OddEffect::TimedOut | OddEffect::OutOfRange) | None => {}
        }
        page.rows = session.page(size, self.world.session_rows);
        page.count = match self.world.result_count {
            ResultCount::Total => session.found.len(),
            ResultCount::Page => page.rows.len(),
        };
        page.out_of_range = effect == Some(OddEffect::OutOfRange);
        if effect == Some(OddEffect::TimedOut) {
            page.count = 0;
            page.rows.iter_mut().for_each(|(index, _)| *index = -1);
        }
        Ok(page)
    }

    /// Keeps a page for a link; returns the token of the link.
    pub(super) fn keep(&mut self, page: Page, now: DateTime<Utc>) -> String {
        self.links.push((now, Some(page)));
        format!("page{}", self.links.len())
    }

    /// The page of a link, once.
    pub(super) fn follow(&mut self, token: &str, now: DateTime<Utc>) -> Option<Page> {
        let number: usize = token.strip_prefix("page")?.parse().ok()?;
        let (kept, page) = self.links.get_mut(number.checked_sub(1)?)?;
        page.take().filter(|_| now - *kept < LINK_LIFETIME)
    }
}

impl Session {
    fn page(&mut self, size: usize, most: usize) -> Vec<(i64, Arc<AuditRecord>)> {
        let previews = self.commands.contains(&SessionCommand::PreviewPage);
        let large = self.commands.contains(&SessionCommand::LargeSet);
        let most = match (large, previews) {
            (true, true) => MIXED_ROWS,
            (true, false) => most,
            // Without a session command there is one page only.
            (false, true) => PREVIEW_ROWS,
            (false, false) if self.pages > 1 => 0,
            (false, false) => size,
        };
        let end = self
            .next
            .saturating_add(size)
            .min(most)
            .min(self.found.len());
        self.last = self.next.min(end);
        self.next = end.max(self.last);
        let rows = self.found[self.last..end].iter().cloned();
        (self.last as u64 + 1..)
            .map(u64::cast_signed)
            .zip(rows)
            .collect()
    }
}

/// The newest records first; a large set has no order.
fn ordered(
    mut found: Vec<Arc<AuditRecord>>,
    command: Option<SessionCommand>,
    key: &str,
) -> Vec<Arc<AuditRecord>> {
    if command == Some(SessionCommand::LargeSet) {
        found.sort_by_cached_key(|record| {
            let text = format!("{key}{}", record.id);
            digest(&SHA256, text.as_bytes()).as_ref().to_vec()
        });
    } else {
        found.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    }
    found
}
