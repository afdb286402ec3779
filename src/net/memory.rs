//! The memory that one run may use for what services send, as a counter of bytes.
//!
//! The counter bounds a run without aborting it. Bodies count while they are received, so requests
//! in flight count too; records count as long as a reader holds them. Nothing is allocated here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::protocol::{Detail, ErrorKind, Failure, Warning};

/// The memory of a run for which no other is set, in bytes.
pub const DEFAULT: u64 = 512 << 20;

/// The memory of one run: `call.http.memory()` in an operation. Cheap to clone.
///
/// A body that [`Caller::send`](super::Caller::send) returns is counted until its
/// [`ApiResponse`](super::ApiResponse) is dropped. A reader that holds records longer, or a
/// [`Sink`](super::Sink) that stores them, counts them itself:
///
/// ```ignore
/// let mut held = call.http.memory().hold();  // counts nothing yet; releases all when dropped
/// held.grow(text.len())?;                    // before storing; `Err` is a failure of the request
/// merged.absorb(held);                       // when the bytes move to another owner
/// ```
///
/// Is the budget used up? Before the next page or blob: [`MemoryBudget::is_exhausted`]. It is true
/// once a byte was refused, in whichever request, and stays true for the run. After a request that
/// failed: [`is_memory`] is true for the failure. In both cases the reader drops what is not
/// complete, delivers what is, and ends as at `max_events`: `more: true`, a state that resumes at the
/// first item that was not delivered, `limited` in its window, and the warning of
/// [`MemoryBudget::warning`].
///
/// If nothing was delivered yet and requests ran in parallel, they took the memory from each other:
/// drop them all, call [`MemoryBudget::retry`] and request the first item alone. If that fails too,
/// the item alone is too large, and repeating it does not help: treat it as one that is too large
/// for good, so that the next run does not stop at it again.
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
    /// A budget of that many bytes.
    pub fn new(limit: u64) -> Self {
        MemoryBudget(Arc::new(Shared {
            limit,
            used: AtomicU64::new(0),
            exhausted: AtomicBool::new(false),
        }))
    }

    /// The bytes that are held now.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// True once bytes were refused: no further page or blob must be requested.
    pub fn is_exhausted(&self) -> bool {
        self.0.exhausted.load(Ordering::Relaxed)
    }

    /// Allows requests again, after the refused ones were dropped.
    pub fn retry(&self) {
        self.0.exhausted.store(false, Ordering::Relaxed);
    }

    /// A counter of this budget that holds nothing yet.
    pub fn hold(&self) -> Held {
        Held {
            budget: self.clone(),
            bytes: 0,
        }
    }

    /// What a run says that ended because its budget is used up.
    pub fn warning(&self) -> Warning {
        let words = format!(
            "The run ended early: the service's answers use up the {} that --max-memory allows. \
             Send the request again with this `state` for the rest.",
            self.limit_text()
        );
        Warning::new("memory_limit", words)
    }

    /// Reads a size as an operator writes it: a number and `KiB`, `MiB` or `GiB`, at least 1 MiB.
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

    /// A budget of the same size of which nothing is used: for another run.
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
        let words = format!(
            "The service's answers use up the {} that --max-memory allows.",
            self.limit_text()
        );
        Failure::new(ErrorKind::BadResponse, words)
            .with_detail(Detail::MemoryUsedUp)
            .cause("The run holds as much data of the service as the operator allows.")
            .advice("Request less at once, or allow more with --max-memory.")
    }
}

/// Is this the failure of a request for which no memory was left?
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
    /// Counts `bytes` more. Fails, and counts nothing, if the budget has no room for them.
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

    /// Takes over what another counter of the same budget holds.
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
    fn bytes_beyond_the_budget_are_refused_until_others_are_released() {
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
    fn a_size_is_a_number_and_a_binary_unit() {
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
    fn the_warning_names_the_limit_as_an_operator_writes_it() {
        let words = MemoryBudget::new(512 << 20).warning().message;
        assert!(words.contains("512 MiB"), "{words}");
    }
}
