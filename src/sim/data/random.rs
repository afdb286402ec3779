//! Seeded random numbers.
//!
//! Only raw 64-bit numbers of `ChaCha8` are used: its streams are fixed, while the ranges of a
//! random-number library can change with its version.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sim::ids::guid_of;

/// One stream of random numbers.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// The stream with this number, of a world's seed.
    pub(crate) fn of_world(seed: u64, stream: u64) -> Self {
        Self::stream(ChaCha8Rng::seed_from_u64(seed), stream)
    }

    /// The stream with this number, of a hash.
    pub(crate) fn of_hash(seed: [u8; 32], stream: u64) -> Self {
        Self::stream(ChaCha8Rng::from_seed(seed), stream)
    }

    fn stream(mut generator: ChaCha8Rng, stream: u64) -> Self {
        generator.set_stream(stream);
        Self(generator)
    }

    /// A number below the limit, or 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit.max(1)
    }

    /// An index below the limit, or 0.
    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or(0)
    }

    /// One of several values, of which there must be at least one.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// One of several texts, of which there must be at least one.
    pub(crate) fn text<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.index(from.len())]
    }

    /// One of several values, or none, each with probability one half.
    pub(crate) fn maybe<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (self.below(2) == 0).then(|| self.pick(from))
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    pub(crate) fn guid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        guid_of(&bytes)
    }
}
