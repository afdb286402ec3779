//! The invariants of the algorithm, checked after each run of a random history.
//!
//! `world` makes the history.

use std::collections::{HashMap, HashSet};

use chrono::SubsecRound;

use super::world::{Blob, World, at};
use super::{Checkpoint, Limits, Ran, RunOutcome, TimeWindow, UNBOUNDED, fingerprint};

/// The outcome of all runs so far.
#[derive(Default)]
pub(super) struct Account {
    pub(super) delivered: HashMap<usize, usize>,
    pub(super) named: HashSet<usize>,
    pub(super) spans: Vec<TimeWindow>,
    pub(super) listed: HashSet<usize>,
    pub(super) was_shortened: bool,
    pub(super) hid_disorder: bool,
}

impl Account {
    pub(super) fn add(&mut self, ran: &Ran, closed: &RunOutcome, limits: &Limits) {
        for n in &ran.delivered {
            *self.delivered.entry(*n).or_default() += 1;
        }
        self.named.extend(&ran.named);
        self.spans.extend(&ran.spans);
        self.listed.extend(&ran.listed);
        let is_shortened = closed.shortened.is_some() && limits.fingerprints < UNBOUNDED;
        self.was_shortened |= is_shortened;
        self.hid_disorder |= is_shortened && ran.ended_in_order && limits.mistake == 0;
    }

    pub(super) fn knows(&self, n: usize, blob: &Blob) -> bool {
        let available = at(blob.available);
        let mut spans = self.spans.iter();
        self.delivered.contains_key(&n)
            || self.named.contains(&n)
            || spans.any(|span| span.start <= available && available < span.end)
    }

    /// Whether the blob can be missing: the overlap was shortened, with a warning, and the blob is
    /// late.
    pub(super) fn excuses(&self, blob: &Blob, world: &World) -> bool {
        let is_late = blob.visible > blob.available;
        (self.was_shortened && is_late) || (self.hid_disorder && world.disorder > 0)
    }
}

/// Checks the invariants after a run. Returns which one is broken.
pub(super) fn check(
    (before, closed): (&Checkpoint, &RunOutcome),
    account: &Account,
    world: &World,
    limits: &Limits,
) -> Result<(), &'static str> {
    let next = &closed.checkpoint;
    for n in &account.listed {
        let blob = &world.blobs[*n];
        let is_due =
            at(blob.available) >= next.floor && !next.fingerprints.contains(fingerprint(*n));
        let is_safe =
            account.knows(*n, blob) || next.retry.contains_key(&fingerprint(*n)) || is_due;
        if !is_safe && !account.excuses(blob, world) {
            return Err("1: a listed blob is lost");
        }
    }
    if next.watermark < before.watermark {
        return Err("4: the watermark moved back");
    }
    if next.fingerprints.len() > limits.fingerprints || next.retry.len() > limits.retry {
        return Err("5: the state is not bounded");
    }
    if next.floor > next.watermark {
        return Err("5: the floor is above the watermark");
    }
    Ok(())
}

/// Checks which windows a run listed, and that a run without gaps is complete.
pub(super) fn check_listing(
    (before, closed, ran): (&Checkpoint, &RunOutcome, &Ran),
    (account, world, t): (&Account, &World, i64),
) -> Result<(), &'static str> {
    let (Some(first), Some(last)) = (ran.windows.first(), ran.windows.last()) else {
        return Ok(());
    };
    let days = usize::try_from((last.end - first.start).num_days()).expect("small");
    if first.start < before.floor.trunc_subsecs(0) || ran.windows.len() > days + 1 {
        return Err("5: more is listed than the overlap and what is new");
    }
    let is_complete = !closed.is_open && closed.checkpoint.retry.is_empty() && ran.spans.is_empty();
    let is_missing = |(n, blob): (usize, &Blob)| {
        let available = at(blob.available);
        blob.visible <= t
            && first.start <= available
            && available < last.end
            && !account.knows(n, blob)
            && !account.excuses(blob, world)
    };
    if is_complete && world.blobs.iter().enumerate().any(is_missing) {
        return Err("6: complete without a blob that was listed");
    }
    Ok(())
}
