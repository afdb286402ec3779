//! The service of a random history: its blobs, its listings, and the outcome of each download.
//!
//! Checks nothing: `invariants` does.

use chrono::{DateTime, Utc};

use crate::microsoft::TimeWindow;

pub(super) const MINUTE: i64 = 60_000;
pub(super) const DAY_MS: i64 = 1440 * MINUTE;
const DISORDER: i64 = 5 * MINUTE;
const WEEK: i64 = 7 * DAY_MS;

/// The generator `SplitMix64`.
#[derive(Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: i64) -> i64 {
        i64::try_from(self.next() % n.max(1).unsigned_abs()).expect("small")
    }

    pub(super) fn chance(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(i64::try_from(of.len()).expect("small"))).expect("small")]
    }
}

pub(super) fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_225_600_000 + ms).expect("a time")
}

#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) available: i64,
    pub(super) visible: i64,
    /// Runs in which it fails.
    pub(super) failures: u8,
    pub(super) is_gone: bool,
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) blobs: Vec<Blob>,
    pub(super) disorder: i64,
    pub(super) page: usize,
    pub(super) span: i64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let (count, span) = (
            dice.pick(&[20, 100, 400]),
            dice.pick(&[60, 3_000, 12_000]) * MINUTE,
        );
        let late = dice.pick(&[0, 5, 9]) * MINUTE;
        let failing = dice.pick(&[2, 20]);
        let burst = dice.pick(&[30, 10, 5]) * MINUTE;
        let blobs = (0..count).map(|_| {
            let all = if dice.chance(70) { span } else { burst };
            let available = dice.below(all);
            let later = if dice.chance(50) {
                dice.below(late + 1)
            } else {
                0
            };
            let failures = if dice.chance(failing) {
                1 + dice.below(5)
            } else {
                0
            };
            Blob {
                available,
                visible: available + later,
                failures: u8::try_from(failures).expect("small"),
                is_gone: dice.chance(3),
            }
        });
        let blobs = blobs.collect();
        let (disorder, page) = (dice.pick(&[0, 0, DISORDER]), dice.pick(&[1, 3, 50]));
        World {
            dice,
            blobs,
            disorder,
            page,
            span,
        }
    }

    /// The pages of a listing at that time. Content is stored for a week by the service's clock.
    pub(super) fn pages(&mut self, window: &TimeWindow, (t, now): (i64, i64)) -> Vec<Vec<usize>> {
        let mut rows: Vec<(i64, usize)> = Vec::new();
        for (n, blob) in self.blobs.iter().enumerate() {
            let available = at(blob.available);
            let is_inside = window.start <= available && available < window.end;
            if blob.visible <= t && now - WEEK < blob.available && is_inside {
                let shift = self.dice.below(self.disorder + 1);
                rows.push((blob.available + shift, n));
                if self.dice.chance(3) {
                    rows.push((blob.available + shift, n));
                }
            }
        }
        rows.sort_unstable();
        let rows: Vec<usize> = rows.into_iter().map(|(_, n)| n).collect();
        rows.chunks(self.page).map(<[usize]>::to_vec).collect()
    }

    pub(super) fn attempt(&mut self, n: usize) -> Attempt {
        let blob = &mut self.blobs[n];
        if blob.is_gone {
            return Attempt::Gone;
        }
        if blob.failures > 0 {
            blob.failures -= 1;
            return Attempt::Failed;
        }
        Attempt::Delivered
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Attempt {
    Delivered,
    Gone,
    Failed,
}
