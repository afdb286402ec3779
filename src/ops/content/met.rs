//! Which records were met: in this run by their ids and contents, in earlier runs by marks.
//!
//! A record without an id is always new: nothing tells that it is the same. What becomes of one that
//! was met is the caller's part.

use std::collections::{HashMap, HashSet};

use super::point::{Mark, mark_of};
use crate::microsoft::feed::content::Row;

/// The records that were met.
#[derive(Debug, Default)]
pub(in crate::ops) struct Met {
    /// Ids of this run, with the print of the content.
    seen: HashMap<u128, u64>,
    /// Where runs remember records: those of the runs before.
    before: Option<HashSet<Mark>>,
    /// Where runs remember records: those of this run since it was last asked.
    log: Vec<Mark>,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    First,
    /// It came before, as far as is known with the same content or not.
    Again {
        changed: bool,
    },
}

impl Met {
    /// Of runs that remember records, with those of the runs before.
    pub(in crate::ops) fn remembering(before: HashSet<Mark>) -> Self {
        Met {
            before: Some(before),
            ..Met::default()
        }
    }

    /// The records that were met since this was last asked.
    pub(in crate::ops) fn latest(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.log)
    }

    pub(super) fn meet(&mut self, row: &Row) -> Meeting {
        let Some(id) = row.id else {
            return Meeting::First;
        };
        let mut known = false;
        if let Some(before) = &self.before {
            // Ids are often counted up, so their own bytes would be poor marks.
            let mark = mark_of(&id.to_be_bytes());
            known = before.contains(&mark);
            self.log.push(mark);
        }
        match self.seen.insert(id, row.print) {
            Some(print) => Meeting::Again {
                changed: print != row.print,
            },
            None if known => Meeting::Again { changed: false },
            None => Meeting::First,
        }
    }
}
