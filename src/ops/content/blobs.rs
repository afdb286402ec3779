//! One blob after the other: what is to be done about it, what became of it, what stays of it.
//!
//! Nothing here decides how far a listing goes; that is `reading`'s part, which calls it.

use tokio::sync::Semaphore;
use url::Url;

use super::met::Meeting;
use super::point::{Carried, Mark, mark};
use super::reading::{AT_ONCE, Reading};
use crate::microsoft::feed::Feed;
use crate::microsoft::feed::content::{Blob, Kept};
use crate::microsoft::feed::filter::Filter;
use crate::microsoft::ledger::{Absence, Counted};
use crate::net::memory::is_memory;
use crate::net::retry::{Repeat, SAME_AGAIN, is_passing};
use crate::protocol::{ErrorKind, Failure};

/// What is to be done about a listed blob.
pub(super) enum Task {
    Fetch(Blob, Url),
    Refuse(Blob, Failure),
    Skip,
}

/// What became of it.
pub(super) enum Outcome {
    Came(Blob, Result<Kept, Failure>),
    Skipped,
}

impl Reading<'_> {
    /// Judges a listed blob before it is asked for.
    pub(super) fn task(&mut self, blob: Blob) -> Task {
        let known = mark(blob.name());
        let is_named = blob.content_id.is_some() || blob.content_uri.is_some();
        if let Some(wanted) = &self.wanted {
            if !wanted.contains_key(&known) {
                return Task::Skip;
            }
        } else if is_named && self.before.contains(&known) {
            // The next state must know it too.
            self.unmet.remove(&known);
            self.settle(&blob);
            return Task::Skip;
        }
        let same = (blob.content_id.clone(), blob.content_uri.clone());
        if is_named && !self.listed.insert(same) {
            return Task::Skip;
        }
        let address = match &blob.content_uri {
            Some(address) => self.links.check(address),
            None => Err(astray("The listing gives no address for this content.")),
        };
        match address {
            Err(refused) => Task::Refuse(blob, refused),
            Ok(url) if !self.addresses.insert(url.to_string()) => {
                let words = "The address of this content was listed for other content before; it was not asked again.";
                Task::Refuse(blob, astray(words))
            }
            Ok(url) => Task::Fetch(blob, url),
        }
    }

    /// Accounts for a blob. Gives the failure that ends the reading, if it is such a one.
    pub(super) fn take(&mut self, outcome: Outcome) -> Option<Failure> {
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
                self.refused = 0;
                self.settle(&blob);
                None
            }
            Err(failure) if self.ends_all(&failure) => Some(failure),
            Err(failure) => {
                self.absent(&blob, failure);
                None
            }
        }
    }

    /// Going on makes no sense: the run must stop, the service wants a pause, or it refuses all
    /// content and not this one.
    fn ends_all(&mut self, failure: &Failure) -> bool {
        use ErrorKind::{AuthFailed, Cancelled, Forbidden, Rejected, Throttled, Timeout};
        match failure.kind() {
            _ if is_memory(failure) => true,
            Cancelled | Throttled | Timeout => true,
            AuthFailed | Forbidden => {
                self.refused += 1;
                self.refused > AT_ONCE
            }
            Rejected => failure
                .vendor_code()
                .is_some_and(|code| code.starts_with("AF20") && !code.starts_with("AF2005")),
            _ => false,
        }
    }

    fn absent(&mut self, blob: &Blob, failure: Failure) {
        let code = failure.vendor_code().map(str::to_owned);
        let why = match (code.as_deref(), failure.http_status()) {
            (Some("AF20051"), _) => Absence::Expired,
            (Some("AF20050"), _) | (None, Some(404)) => Absence::Missing,
            _ => Absence::Failed {
                again: is_passing(&failure, Repeat::Safe)
                    || matches!(failure.kind(), ErrorKind::AuthFailed | ErrorKind::Forbidden),
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

    /// The blob goes along in the state; where there is no room left, or no time by which it could
    /// be found again, the listing goes back to its page.
    fn carry(&mut self, blob: &Blob) {
        let mark = mark(blob.name());
        let created = blob.created().filter(|_| self.carried.len() < self.room);
        let Some(created) = created else {
            return self.come_back(self.page_from);
        };
        let before = self.dealt_with(mark);
        self.settled.push((created, mark));
        self.carried.push(Carried {
            created,
            mark,
            tries: before.unwrap_or(0).saturating_add(1),
        });
    }

    /// A carried blob was found; in how many runs it had failed.
    fn dealt_with(&mut self, mark: Mark) -> Option<u8> {
        let tries = self.wanted.as_mut()?.remove(&mark)?;
        self.before.insert(mark);
        Some(tries)
    }

    /// Adds the records that are not here yet.
    fn merge(&mut self, kept: &Kept) -> Counted {
        let mut counted = Counted {
            records: kept.records,
            ..Counted::default()
        };
        for (row, text) in kept.rows() {
            if let Meeting::Again { changed } = self.met.meet(row) {
                counted.repeated += 1;
                self.changed += u64::from(changed);
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
        let mark = mark(blob.name());
        self.dealt_with(mark);
        // Without a time of its own it is remembered as long as possible.
        let created = blob.created().unwrap_or(self.window.end);
        self.settled.push((created, mark));
    }
}

/// A listing that leads astray would do so again.
fn astray(words: &str) -> Failure {
    Failure::new(ErrorKind::BadResponse, words).rule(SAME_AGAIN)
}

/// Does it, when there is a place.
pub(super) async fn carry_out(
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
