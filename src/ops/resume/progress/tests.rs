//! Checks the invariants of the algorithm with random histories of one content type.
//!
//! Blobs appear late and out of order, fail in some runs, vanish, or are listed twice. The `Date`
//! is hours off. Runs have limits and small capacities, and are killed before the commit. After
//! every run the invariants are checked. At the end, every blob was delivered once or is named as a
//! gap. `SOARHOST_SEEDS` sets the number of histories. Each mistake that is made on purpose must be
//! found.

#![allow(
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "the number of histories is set by hand; a history reads best from top to bottom"
)]

mod invariants;
mod world;

use std::collections::HashSet;

use chrono::TimeDelta;

use super::*;
use invariants::{Account, check, check_listing};
use world::{Attempt, DAY_MS, MINUTE, World, at};

use crate::ops::resume::fingerprint::FingerprintSet;

const OVERLAP: i64 = 10 * MINUTE;
/// More fingerprints than any history needs.
const UNBOUNDED: usize = 100_000;

#[derive(Default)]
struct Ran {
    delivered: Vec<usize>,
    named: Vec<usize>,
    spans: Vec<TimeWindow>,
    listed: Vec<usize>,
    windows: Vec<TimeWindow>,
    /// The retry queue or the fingerprints were full.
    is_full: bool,
    /// New blobs that a run without a limit did not request.
    starved: bool,
    /// The run ended without looking ahead, and its listing was in order until then.
    ended_in_order: bool,
}

struct Limits {
    deliveries: usize,
    fingerprints: usize,
    retry: usize,
    /// The rule that is broken on purpose; 0: none.
    mistake: u8,
}

impl Limits {
    fn bounds(&self) -> Bounds {
        Bounds {
            overlap: TimeDelta::milliseconds(OVERLAP),
            fingerprints: self.fingerprints,
            retry: self.retry,
        }
    }
}

fn fingerprint(n: usize) -> Fingerprint {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&u32::try_from(n).expect("small").to_be_bytes());
    Fingerprint::from_bytes(bytes)
}

/// One run, as the reader performs it.
fn run(
    world: &mut World,
    checkpoint: &Checkpoint,
    (t, now): (i64, i64),
    limits: &Limits,
) -> (Ran, RunOutcome) {
    let mut checkpoint = checkpoint.clone();
    if limits.mistake == 1 {
        let overlap = limits.bounds().overlap;
        checkpoint.floor = (checkpoint.watermark - overlap).max(checkpoint.start);
    }
    let (mut progress, lost) =
        Progress::begin(checkpoint, limits.bounds(), at(now).trunc_subsecs(0));
    let mut ran = Ran::default();
    ran.spans.extend(lost);
    let (due, expired) = progress.split_retries();
    ran.named
        .extend((0..world.blobs.len()).filter(|n| expired.contains_key(&fingerprint(*n))));
    let mut is_full = false;
    ran.windows = progress.windows();
    'windows: for window in progress.windows() {
        progress.window(&window);
        let mut pages = world.pages(&window, (t, now)).into_iter();
        while let Some(page) = pages.next() {
            progress.page(page.iter().map(|n| at(world.blobs[*n].available)).min());
            let new: Vec<usize> = page
                .iter()
                .copied()
                .filter(|n| {
                    progress.list(
                        fingerprint(*n),
                        at(world.blobs[*n].available),
                        &n.to_string(),
                    )
                })
                .collect();
            ran.listed.extend(page);
            for n in new {
                is_full |= !progress.has_capacity(1);
                if is_full || ran.delivered.len() >= limits.deliveries {
                    let is_late = at(world.blobs[n].available) < progress.checkpoint.watermark;
                    if limits.mistake == 2 && is_late {
                        progress.set_handled(fingerprint(n));
                    }
                    ran.starved |= limits.deliveries > world.blobs.len() && !is_full;
                    continue;
                }
                match world.attempt(n) {
                    Attempt::Delivered => ran.delivered.push(n),
                    Attempt::Gone => ran.named.push(n),
                    Attempt::Failed => {
                        progress.queue_failed(fingerprint(n));
                        continue;
                    }
                }
                progress.set_handled(fingerprint(n));
            }
            let is_limited = ran.delivered.len() >= limits.deliveries;
            if is_limited && !is_full {
                progress.cut();
            }
            if is_limited || is_full {
                // A deadline leaves no time to look ahead. Then the reader knows that blobs can be
                // missing only if the listing was out of order.
                if limits.mistake < 8 && !world.dice.chance(20) {
                    look_ahead(&mut progress, pages, world);
                } else {
                    ran.ended_in_order = !progress.is_out_of_order;
                    progress.is_out_of_order &= limits.mistake != 9;
                }
                break 'windows;
            }
        }
    }
    for n in (0..world.blobs.len()).filter(|n| due.contains_key(&fingerprint(*n))) {
        match world.attempt(n) {
            Attempt::Delivered => ran.delivered.push(n),
            Attempt::Gone => ran.named.push(n),
            Attempt::Failed => {
                progress.count_failed_attempt(fingerprint(n));
                continue;
            }
        }
        progress.remove_retry(fingerprint(n));
    }
    ran.is_full = is_full;
    let until = progress.until();
    let newest = progress.checkpoint.newest;
    let mut closed = progress.close(limits.fingerprints);
    ran.named.extend(
        closed
            .dropped
            .iter()
            .map(|name| name.parse::<usize>().expect("a number")),
    );
    ran.spans.extend(closed.skipped);
    let next = &mut closed.checkpoint;
    match limits.mistake {
        3 => next.watermark = next.watermark.max(until),
        4 if closed.is_open => next.watermark = next.watermark.max(newest),
        5 => next.floor = next.watermark,
        6 => next.retry.retain(|_, retry| retry.available >= next.floor),
        7 => next.fingerprints = FingerprintSet::default(),
        _ => {}
    }
    if limits.mistake > 0 {
        let looking_back = next.watermark - limits.bounds().overlap;
        next.floor = next
            .floor
            .max(looking_back.trunc_subsecs(0))
            .min(next.watermark);
        next.fingerprints.forget_before(next.floor);
    }
    (ran, closed)
}

fn look_ahead(progress: &mut Progress, mut pages: impl Iterator<Item = Vec<usize>>, world: &World) {
    if !progress.look_ahead() {
        return;
    }
    let mut next = pages.next();
    while !progress.has_looked_ahead(next.is_none())
        && let Some(page) = next.take()
    {
        for n in page {
            progress.list_ahead(fingerprint(n), at(world.blobs[n].available), &n.to_string());
        }
        next = pages.next();
    }
}

/// Another run from the same checkpoint, with another order of the listing, delivers the same.
fn check_repeat(
    mut world: World,
    (checkpoint, ran): (&Checkpoint, &Ran),
    times: (i64, i64),
    limits: &Limits,
) -> Result<(), &'static str> {
    world.dice.next();
    let (again, _) = run(&mut world, checkpoint, times, limits);
    let delivered = |ran: &Ran| ran.delivered.iter().copied().collect::<HashSet<_>>();
    if !ran.is_full && !again.is_full && delivered(&again) != delivered(ran) {
        return Err("7: two runs from one checkpoint differ");
    }
    Ok(())
}

/// Runs one history. Errors: the broken invariant.
fn history(seed: u64, mistake: u8) -> Result<(), &'static str> {
    let mut world = World::new(seed);
    let dice = &mut world.dice;
    let mut limits = Limits {
        deliveries: 0,
        fingerprints: dice.pick(&[20, 60, 150, UNBOUNDED]),
        retry: dice.pick(&[2, 10, 1_000]),
        mistake,
    };
    let fixed = dice.chance(20);
    let end = 30 * MINUTE + dice.below(world.span.min(DAY_MS));
    let mut checkpoint = Checkpoint::first(at(0), fixed.then(|| at(end)));
    let ahead = if fixed {
        0
    } else {
        dice.pick(&[0, 0, 120, 1_200]) * MINUTE
    };
    let behind = if fixed {
        0
    } else {
        dice.pick(&[0, 0, 120, 1_200]) * MINUTE
    };
    let (mut account, mut t, mut quiet) = (Account::default(), 0, 0);
    while quiet < 12 {
        let is_final = t >= world.span + 60 * MINUTE;
        let dice = &mut world.dice;
        t += if is_final {
            MINUTE
        } else {
            dice.pick(&[0, 1, 3, 7, 60, 500, 2_000]) * MINUTE
        };
        let is_wrong = !is_final && dice.chance(30);
        let error = dice.below(ahead + behind + 1) - behind;
        let now = t + if is_wrong { error } else { 0 };
        limits.deliveries = if is_final && dice.chance(50) {
            usize::MAX
        } else {
            dice.pick(&[1, 2, 10, usize::MAX])
        };
        let same = world.clone();
        let (ran, closed) = run(&mut world, &checkpoint, (t, now), &limits);
        if limits.deliveries == usize::MAX {
            check_repeat(same, (&checkpoint, &ran), (t, now), &limits)?;
        }
        let is_new = |n: &usize| !account.knows(*n, &world.blobs[*n]);
        let has_settled =
            ran.delivered.iter().chain(&ran.named).any(is_new) || !ran.spans.is_empty();
        let has_progress = has_settled
            || closed.checkpoint.watermark > checkpoint.watermark
            || closed.checkpoint.retry != checkpoint.retry;
        if closed.more && closed.has_progress && !has_progress {
            return Err("2: more without progress");
        }
        if ran.starved {
            return Err("3: new content is starved");
        }
        // Killed before the commit: the next run starts from the same checkpoint.
        if world.dice.chance(10) && !is_final {
            continue;
        }
        let nothing = ran.delivered.is_empty() && !(closed.more && closed.has_progress);
        quiet = if is_final && nothing && closed.checkpoint.retry.is_empty() {
            quiet + 1
        } else {
            0
        };
        account.add(&ran, &closed, &limits);
        check_listing((&checkpoint, &closed, &ran), (&account, &world, t))?;
        check((&checkpoint, &closed), &account, &world, &limits)?;
        checkpoint = closed.checkpoint;
        if t > world.span + 40_000 * MINUTE {
            return Err("2: it does not end");
        }
    }
    for (n, blob) in world.blobs.iter().enumerate() {
        let is_due = !fixed || blob.available < end;
        if is_due && !account.knows(n, blob) && !account.excuses(blob, &world) {
            return Err("1: a blob is lost");
        }
    }
    if account.delivered.values().any(|times| *times > 1) {
        return Err("7: a blob is delivered twice");
    }
    Ok(())
}

fn seeds() -> u64 {
    let given = std::env::var("SOARHOST_SEEDS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(200)
}

#[test]
fn random_histories_hold_all_invariants() {
    let broken: Vec<_> = (0..seeds())
        .filter_map(|seed| history(seed, 0).err().map(|why| (seed, why)))
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_mistake_in_a_rule_is_found() {
    for mistake in 1..=9 {
        let found = (0..400).find_map(|seed| history(seed, mistake).err());
        assert!(found.is_some(), "mistake {mistake} is not found");
    }
}

#[test]
fn late_blob_without_room_in_retry_queue_leaves_watermark() {
    let limits = Bounds {
        overlap: TimeDelta::milliseconds(OVERLAP),
        fingerprints: 2,
        retry: 0,
    };
    let mut checkpoint = Checkpoint::first(at(0), None);
    checkpoint.watermark = at(5 * MINUTE);
    for n in 5..7 {
        checkpoint
            .fingerprints
            .insert(fingerprint(n), at(5 * MINUTE));
    }
    let (mut progress, _) = Progress::begin(checkpoint, limits, at(30 * 60 * MINUTE));
    progress.window(&progress.windows()[0]);
    progress.page(Some(at(MINUTE)));
    assert!(progress.list(fingerprint(1), at(MINUTE), "late"));
    progress.queue_failed(fingerprint(1));
    assert!(!progress.has_capacity(1), "the listing ends here");
    let closed = progress.close(2);
    assert_eq!(closed.dropped, ["late"]);
    assert_eq!(closed.checkpoint.watermark, at(5 * MINUTE));
}

#[test]
fn more_blobs_than_fingerprints_raise_the_floor_and_end() {
    let limits = Bounds {
        overlap: TimeDelta::minutes(10),
        fingerprints: 2_000,
        retry: 10,
    };
    let mut checkpoint = Checkpoint::first(at(0), None);
    let (mut delivered, mut runs, mut was_shortened) = (HashSet::new(), 0, false);
    loop {
        let (mut progress, _) = Progress::begin(checkpoint, limits, at(20 * MINUTE));
        let mut new = 0;
        'pages: for page in (0..7_000_i64).collect::<Vec<_>>().chunks(200) {
            let inside: Vec<i64> = page
                .iter()
                .copied()
                .filter(|n| at(n * 83) >= progress.low)
                .collect();
            progress.page(inside.iter().map(|n| at(n * 83)).min());
            let todo: Vec<i64> = inside
                .into_iter()
                .filter(|n| progress.list(Fingerprint::of(n.to_string()), at(n * 83), ""))
                .collect();
            for n in todo.into_iter().take(500 - new) {
                assert!(delivered.insert(n), "delivered twice");
                progress.set_handled(Fingerprint::of(n.to_string()));
                new += 1;
            }
            if new == 500 {
                progress.cut();
                break 'pages;
            }
        }
        let closed = progress.close(2_000);
        checkpoint = closed.checkpoint;
        was_shortened |= closed.shortened.is_some();
        runs += 1;
        assert!(runs < 20, "it does not end");
        if !closed.more {
            break;
        }
    }
    assert_eq!(delivered.len(), 7_000);
    assert!(was_shortened);
}
