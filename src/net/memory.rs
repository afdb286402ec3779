//! The memory budget of one run for the services' responses.
//!
//! Bodies count while they are received, including those of requests in flight. Records count as
//! long as a reader holds them. Counts bytes only: allocates nothing and aborts nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::protocol::{Detail, ErrorKind, Failure, Warning};

/// The default memory budget of a run, in bytes.
pub const DEFAULT: u64 = 512 << 20;

/// The memory budget of one run: `call.http.memory()` in an operation. Cheap to clone.
///
/// A body that [`Caller::send`](super::Caller::send) returns is counted until its
/// [`ApiResponse`](super::ApiResponse) is dropped. A reader that holds records longer, or a
/// [`Sink`](super::Sink) that stores them, counts them itself with [`MemoryBudget::hold`].
///
/// A reader must check [`MemoryBudget::is_exhausted`] before the next page or blob, and
/// [`is_memory`] after a failed request. In both cases it drops incomplete items, delivers complete
/// ones, and ends as at `max_events`, with [`MemoryBudget::warning`].
///
/// Parallel requests can exhaust the budget before the first item is delivered. The reader then
/// calls [`MemoryBudget::retry`] and requests the first item alone. If that fails too, it skips the
/// item, so that the next run does not stop at it again.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    used: AtomicU64,
    exhausted: AtomicBool,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        MemoryBudget::new(DEFAULT)
    }
}

impl MemoryBudget {
    /// A budget of this number of bytes.
    pub fn new(limit: u64) -> Self {
        MemoryBudget(Arc::new(Shared {
            limit,
            used: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
        }))
    }

    /// The bytes that are counted now.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// True once the budget was exceeded: no further page or blob must be requested.
    pub fn is_exhausted(&self) -> bool {
        self.0.exhausted.load(Ordering::Relaxed)
    }

    /// Allows requests again, after the failed ones were dropped.
    pub fn retry(&self) {
        self.0.exhausted.store(false, Ordering::Relaxed);
    }

    /// A counter of this budget, which starts at zero.
    pub fn hold(&self) -> Held {
        Held {
            budget: self.clone(),
            bytes: 0,
        }
    }

    /// The warning of a run that ended because its budget is used up.
    pub fn warning(&self) -> Warning {
        let message = format!(
            "The run ended early: the service's answers use up the {} that --max-memory allows. \
             Send the request again with this `state` for the rest.",
            self.limit_text()
        );
        Warning::new("memory_limit", message)
    }

    /// Parses a size: a number and `KiB`, `MiB` or `GiB`, at least 1 MiB.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let shift = match text[digits.len()..].trim_start() {
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return None,
        };
        let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
        (bytes >= 1 << 20).then(|| MemoryBudget::new(bytes))
    }

    /// An unused budget of the same size, for another run.
    #[must_use]
    pub fn renewed(&self) -> Self {
        MemoryBudget::new(self.0.limit)
    }

    fn limit_text(&self) -> String {
        let (limit, mib) = (self.0.limit, 1 << 20);
        match (limit / mib, limit % mib) {
            (0, _) | (_, 1..) => format!("{limit} bytes"),
            (whole, 0) => format!("{whole} MiB"),
        }
    }

    fn refusal(&self) -> Failure {
        let message = format!(
            "The service's answers use up the {} that --max-memory allows.",
            self.limit_text()
        );
        Failure::new(ErrorKind::BadResponse, message)
            .with_detail(Detail::MemoryUsedUp)
            .cause("The run holds as much data of the service as the operator allows.")
            .advice("Request less at once, or allow more with --max-memory.")
    }
}

/// Returns whether the request failed because the memory budget is used up.
pub fn is_memory(failure: &Failure) -> bool {
    failure.detail() == Some(Detail::MemoryUsedUp)
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
pub struct Held {
    budget: MemoryBudget,
    bytes: u64,
}

impl Held {
    /// Adds `bytes`. Fails, and adds nothing, if they exceed the budget.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        let shared = &*self.budget.0;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let room = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= shared.limit);
        let grown = shared
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        if grown.is_err() {
            shared.exhausted.store(true, Ordering::Relaxed);
            return Err(self.budget.refusal());
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Adds the bytes of another counter of the same budget.
    pub fn absorb(&mut self, mut other: Held) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Releases all bytes.
    pub fn clear(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.budget.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beyond_the_budget_fail_until_others_are_released() {
        let budget = MemoryBudget::new(10);
        let (mut first, mut second) = (budget.hold(), budget.hold());
        assert!(first.grow(7).is_ok() && !budget.is_exhausted());
        let refused = second.grow(4).expect_err("11 of 10 bytes");
        assert!(is_memory(&refused) && budget.is_exhausted());
        assert!(refused.message().contains("10 bytes"), "{refused}");
        drop(first);
        assert!(budget.is_exhausted(), "stays true for the run");
        budget.retry();
        assert!(second.grow(10).is_ok() && !budget.is_exhausted());
        assert_eq!(budget.used(), 10);
    }

    #[test]
    fn absorbed_bytes_are_counted_once() {
        let budget = MemoryBudget::new(10);
        let (mut merged, mut blob) = (budget.hold(), budget.hold());
        assert!(blob.grow(6).is_ok());
        merged.absorb(blob);
        assert_eq!(budget.used(), 6);
        merged.clear();
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn size_is_a_number_and_a_binary_unit() {
        let limit = |text: &str| MemoryBudget::parse(text).map(|budget| budget.0.limit);
        assert_eq!(limit("512MiB"), Some(512 << 20));
        assert_eq!(limit(" 2 GiB "), Some(2 << 30));
        assert_eq!(limit("2048KiB"), Some(2 << 20));
        for text in [
            "", "MiB", "512", "512MB", "-1MiB", "1.5GiB", "0MiB", "1023KiB",
        ] {
            assert_eq!(limit(text), None, "{text}");
        }
        assert_eq!(limit("99999999999999999999GiB"), None);
        assert_eq!(limit("17179869184GiB"), None, "more than 64 bits");
    }

    #[test]
    fn warning_shows_the_limit_with_its_unit() {
        let message = MemoryBudget::new(512 << 20).warning().message;
        assert!(message.contains("512 MiB"), "{message}");
    }
}
