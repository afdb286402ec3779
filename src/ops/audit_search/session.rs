//! Reads one window from Exchange Online: the pages of its sessions, without repeats and gaps.
//!
//! A session can repeat and skip rows, start again, and time out. `ResultIndex` and `ResultCount`
//! show this. A window with missing rows is read again in a new session, and the rows of all
//! sessions are joined. Does not split windows.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::identity::sha256;
use crate::microsoft::TimeWindow;
use crate::microsoft::exchange::{Exchange, PAGE, Page, SORTED_ROWS, Session, UNSORTED_ROWS};
use crate::microsoft::search::{FoundRecord, SearchFilter};
use crate::net::Held;
use crate::ops::Call;
use crate::protocol::{ErrorKind, Failure};

/// How often a window is read again.
const REPAIRS: u32 = 3;

/// The pause before the first repair. Doubled each time.
const PAUSE: Duration = Duration::from_millis(500);

/// The rows of one window.
#[derive(Debug)]
pub(super) struct WindowRows {
    /// The memory of the records.
    pub(super) held: Held,
    /// The records by their keys.
    pub(super) found: HashMap<String, FoundRecord>,
    pub(super) pages: usize,
    /// All received rows.
    pub(super) received: usize,
    /// Rows that were received before.
    pub(super) repeated: usize,
    /// Rows with another time.
    pub(super) outside: usize,
    /// Rows that the service reported and did not return.
    pub(super) missing: usize,
    /// Rows whose record cannot be read.
    pub(super) unreadable: usize,
    /// Whether a sorted session was in the order of time.
    pub(super) in_order: bool,
}

/// How the reading of a window ended.
#[derive(Debug)]
pub(super) enum WindowEnd {
    /// All rows were read, or the rest is missing.
    Complete,
    /// The wanted number of rows was read. There can be more.
    Enough,
    /// It has more rows than a session returns.
    TooLarge,
    Failed(Failure),
}

/// How one session ended.
enum SessionEnd {
    /// The rows that it reported and did not return.
    Exhausted {
        missing: usize,
    },
    /// The search timed out at the service: its rows are not valid.
    TimedOut,
    Enough,
    TooLarge,
}

/// Reads a window. `wanted` rows are the newest ones; without it, all rows are read.
pub(super) async fn read(
    call: &Call<'_>,
    filter: &SearchFilter,
    window: &TimeWindow,
    wanted: Option<usize>,
) -> (WindowRows, WindowEnd) {
    let mut reader = Reader {
        call,
        exchange: Exchange::new(call.http, call.tokens, call.connection),
        wanted: wanted.filter(|wanted| *wanted < SORTED_ROWS),
        rows: WindowRows {
            held: call.http.memory().hold(),
            found: HashMap::new(),
            pages: 0,
            received: 0,
            repeated: 0,
            outside: 0,
            missing: 0,
            unreadable: 0,
            in_order: true,
        },
    };
    let end = reader.window(filter, window).await;
    (reader.rows, end)
}

struct Reader<'a> {
    call: &'a Call<'a>,
    exchange: Exchange<'a>,
    wanted: Option<usize>,
    rows: WindowRows,
}

impl Reader<'_> {
    async fn window(&mut self, filter: &SearchFilter, window: &TimeWindow) -> WindowEnd {
        let mut page_size = self.wanted.unwrap_or(PAGE);
        let mut fewest_missing = usize::MAX;
        for attempt in 0..=REPAIRS {
            let sorted = self.wanted.is_some();
            let session = Session {
                filter,
                window,
                id: self.session_id(window, attempt),
                sorted,
                page_size,
            };
            let before = self.rows.found.len();
            match self.session(&session).await {
                Err(failure) => return WindowEnd::Failed(failure),
                Ok(SessionEnd::Enough) => return WindowEnd::Enough,
                Ok(SessionEnd::TooLarge) => return WindowEnd::TooLarge,
                // A session without rows says nothing about their number.
                Ok(SessionEnd::Exhausted { missing: 0 })
                    if attempt == 0 && self.rows.received == 0 =>
                {
                    continue;
                }
                Ok(SessionEnd::Exhausted { missing: 0 }) => {
                    self.rows.missing = 0;
                    return WindowEnd::Complete;
                }
                Ok(SessionEnd::Exhausted { missing }) => {
                    fewest_missing = fewest_missing.min(missing);
                    if attempt > 0 && self.rows.found.len() == before {
                        break;
                    }
                    // Smaller pages have no links, which can expire.
                    page_size = page_size.min(PAGE / 5);
                }
                Ok(SessionEnd::TimedOut) => {}
            }
            let pause = PAUSE * 2_u32.pow(attempt);
            let pause = pause.min(self.call.http.longest_wait());
            match self.call.http.pause("the repair of a search", pause).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(stopped) => return WindowEnd::Failed(stopped),
            }
        }
        if fewest_missing == usize::MAX {
            return WindowEnd::Failed(timed_out());
        }
        self.rows.missing = fewest_missing;
        WindowEnd::Complete
    }

    /// An id that no other session has: a session with the id of an earlier one would continue it.
    fn session_id(&self, window: &TimeWindow, attempt: u32) -> String {
        let run = (self.call.http.id(), self.call.now.timestamp_micros());
        let part = (window.start.timestamp(), window.end.timestamp());
        let sorted = self.wanted.is_some();
        let text = format!("{run:?} {part:?} {sorted} {attempt}");
        sha256(text.as_bytes())[..32].to_owned()
    }

    async fn session(&mut self, session: &Session<'_>) -> Result<SessionEnd, Failure> {
        let most = if session.sorted {
            SORTED_ROWS
        } else {
            UNSORTED_ROWS
        };
        let (mut indexes, mut reported) = (HashSet::new(), 0);
        let (mut received, mut truncated, mut last) = (0, false, None);
        loop {
            let page = self.exchange.page(session).await?;
            self.rows.pages += 1;
            self.rows.unreadable += page.unreadable;
            truncated |= page.truncated;
            if page.rows.iter().any(|row| row.index < 0) {
                return Ok(SessionEnd::TimedOut);
            }
            let known = indexes.len();
            for row in &page.rows {
                let (index, count) = (row.index.unsigned_abs(), row.count.unsigned_abs());
                indexes.insert(index);
                reported = reported.max(index);
                // Some tenants report the rows of the page here, or its size.
                if count != session.page_size as u64 {
                    reported = reported.max(count);
                }
            }
            received += page.rows.len();
            let is_new = indexes.len() > known;
            self.add(session, page, &mut last)?;
            let reported = usize::try_from(reported).unwrap_or(usize::MAX);
            if self
                .wanted
                .is_some_and(|wanted| self.rows.found.len() >= wanted)
            {
                return Ok(SessionEnd::Enough);
            }
            if !session.sorted && reported > most || received >= most {
                return Ok(SessionEnd::TooLarge);
            }
            if !is_new {
                // The rows of an earlier session can fill the gaps of this one.
                let known = self.rows.found.len() + self.rows.outside;
                let missing = reported.saturating_sub(indexes.len().max(known));
                let missing = missing.max(usize::from(truncated));
                return Ok(SessionEnd::Exhausted { missing });
            }
        }
    }

    /// Adds the rows of a page that are in the window and new.
    fn add(
        &mut self,
        session: &Session<'_>,
        page: Page,
        last: &mut Option<DateTime<Utc>>,
    ) -> Result<(), Failure> {
        let rows = &mut self.rows;
        for row in page.rows {
            rows.received += 1;
            let found = row.found;
            let window = session.window;
            let is_inside = |time| time >= window.start && time < window.end;
            if found.time.is_some_and(|time| !is_inside(time)) {
                rows.outside += 1;
                continue;
            }
            rows.in_order &= match (*last, found.time) {
                (Some(last), Some(time)) => time <= last,
                (_, time) => time.is_some(),
            };
            *last = found.time.or(*last);
            if rows.found.contains_key(found.key()) {
                rows.repeated += 1;
            } else {
                rows.held.grow(found.record.text().len())?;
                rows.found.insert(found.key().to_owned(), found);
            }
        }
        Ok(())
    }
}

fn timed_out() -> Failure {
    let message = "The search timed out at the service again and again (ResultIndex -1).";
    Failure::new(ErrorKind::Unavailable, message)
        .cause("The window has too much data for one search, or the service is busy.")
        .advice("Use a shorter window or more filters, or send the request again later.")
}
