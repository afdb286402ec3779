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
    /// All received rows with a record.
    pub(super) received: usize,
    /// Rows that were received before.
    pub(super) repeated: usize,
    /// The keys of rows with another time.
    pub(super) outside: HashSet<String>,
    /// The highest number of rows that a session reported.
    pub(super) reported: u64,
    /// Rows that the service reported and did not return.
    pub(super) missing: usize,
    /// The numbers of rows whose record cannot be read.
    pub(super) unreadable: HashSet<i64>,
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
    Exhausted {
        /// The rows that were reported and not returned.
        missing: usize,
        /// Whether there can be more rows although none was reported.
        is_doubtful: bool,
    },
    /// The search timed out at the service: its rows are not valid.
    TimedOut,
    Enough,
    TooLarge,
}

/// What the rows of one session say about their number.
#[derive(Default)]
struct Reported {
    indexes: HashSet<u64>,
    highest: u64,
    /// The number of all rows, as far as it is known to be that.
    total: u64,
    /// Rows with another time.
    outside: HashSet<u64>,
    received: usize,
    /// Whether the last page with rows was as long as a page can be.
    is_full: bool,
}

impl Reported {
    /// Adds a page. Returns whether it has new rows.
    fn add(&mut self, page: &Page, page_size: usize) -> bool {
        let known = self.indexes.len();
        for row in &page.rows {
            let (index, count) = (row.index.unsigned_abs(), row.count.unsigned_abs());
            self.indexes.insert(index);
            self.highest = self.highest.max(index);
            // Some tenants report the rows of the page here, or its size.
            if count > page.rows.len() as u64 && count != page_size as u64 {
                self.total = self.total.max(count);
            }
        }
        self.received += page.rows.len();
        if !page.rows.is_empty() {
            self.is_full = page.rows.len() >= page_size;
        }
        self.indexes.len() > known
    }

    /// The rows that were skipped before the last one.
    fn skipped(&self) -> usize {
        let skipped = self.highest.saturating_sub(self.indexes.len() as u64);
        usize::try_from(skipped).unwrap_or(usize::MAX)
    }

    /// Whether the session can have more rows than it has said.
    fn is_doubtful(&self) -> bool {
        self.received == 0 || self.total == 0 && self.is_full
    }
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
            outside: HashSet::new(),
            reported: 0,
            missing: 0,
            unreadable: HashSet::new(),
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
                // Another session shows whether there are more.
                Ok(SessionEnd::Exhausted {
                    missing: 0,
                    is_doubtful: true,
                }) if attempt == 0 || attempt < REPAIRS && self.rows.found.len() > before => {
                    continue;
                }
                Ok(SessionEnd::Exhausted { missing: 0, .. }) => {
                    self.rows.missing = 0;
                    return WindowEnd::Complete;
                }
                Ok(SessionEnd::Exhausted { missing, .. }) => {
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
                Ok(false) => return WindowEnd::Failed(no_time()),
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
        let (mut reported, mut truncated) = (Reported::default(), false);
        let (mut last, mut idle) = (None, 0);
        loop {
            let page = self.exchange.page(session).await?;
            self.rows.pages += 1;
            truncated |= page.truncated;
            if page.rows.iter().any(|row| row.index < 0) {
                return Ok(SessionEnd::TimedOut);
            }
            let is_new = reported.add(&page, session.page_size);
            let is_empty = page.rows.is_empty();
            self.add((session.window, page), &mut reported, &mut last)?;
            self.rows.reported = self.rows.reported.max(reported.highest.max(reported.total));
            let inside = reported.indexes.len() - reported.outside.len();
            if self.wanted.is_some_and(|wanted| inside >= wanted) {
                return Ok(match reported.skipped() {
                    0 => SessionEnd::Enough,
                    missing => SessionEnd::Exhausted {
                        missing,
                        is_doubtful: false,
                    },
                });
            }
            if !session.sorted && self.rows.reported > most as u64 || reported.received >= most {
                return Ok(SessionEnd::TooLarge);
            }
            idle = if is_new { 0 } else { idle + 1 };
            // Without the number of all rows, one more page shows whether the session goes on.
            let goes_on = reported.total == 0 && (!is_empty || reported.is_full);
            if idle > usize::from(goes_on) {
                return Ok(self.exhausted(&reported, truncated));
            }
        }
    }

    fn exhausted(&self, reported: &Reported, truncated: bool) -> SessionEnd {
        let rows = &self.rows;
        // The rows of an earlier session can fill the gaps of this one.
        let known = rows.found.len() + rows.outside.len() + rows.unreadable.len();
        let known = known.max(reported.indexes.len());
        let most = usize::try_from(rows.reported).unwrap_or(usize::MAX);
        SessionEnd::Exhausted {
            missing: most.saturating_sub(known).max(usize::from(truncated)),
            is_doubtful: reported.is_doubtful(),
        }
    }

    /// Adds the rows of a page that are in the window and new.
    fn add(
        &mut self,
        (window, page): (&TimeWindow, Page),
        reported: &mut Reported,
        last: &mut Option<DateTime<Utc>>,
    ) -> Result<(), Failure> {
        let rows = &mut self.rows;
        for row in page.rows {
            let Some(found) = row.found else {
                rows.unreadable.insert(row.index);
                continue;
            };
            rows.received += 1;
            let is_inside = |time| time >= window.start && time < window.end;
            if found.time.is_some_and(|time| !is_inside(time)) {
                rows.outside.insert(found.key().to_owned());
                reported.outside.insert(row.index.unsigned_abs());
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

fn no_time() -> Failure {
    let message = "Exchange Online did not return all rows, and the time of the run ends before another session can be read.";
    Failure::new(ErrorKind::Timeout, message)
}

fn timed_out() -> Failure {
    let message = "The search timed out at the service again and again (ResultIndex -1).";
    Failure::new(ErrorKind::Unavailable, message)
        .cause("The window has too much data for one search, or the service is busy.")
        .advice("Use a shorter window or more filters, or send the request again later.")
}
