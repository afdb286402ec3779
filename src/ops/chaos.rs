//! `chaos.*`: faults on request, so that platforms can test how they handle failures.
//!
//! Calls no service and needs no connection. The deadline and signals are real. Each outcome is
//! deterministic. Operations with several parts are in `parts`. Does not imitate a service; the
//! simulator does.

mod parts;

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::ops::{Call, Input, Needs, Reply, from_compact};
use crate::protocol::{Detail, ErrorKind, Failure, Signal};

pub use parts::{Flap, Partial, SlowPage, flap, partial, slow_page};

/// The allowed sizes of a huge result, in bytes.
const SIZES: std::ops::RangeInclusive<u64> = 64..=256 * 1024 * 1024;

/// The size of one record of a huge result, in bytes.
const RECORD: usize = 1024;

/// The deadline is checked after this number of records, about once a millisecond.
const CHECK_INTERVAL: u64 = 1024;

/// Succeeds after a delay.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// How long, in milliseconds.
    pub duration_ms: u64,
}

impl Input for Sleep {
    const SUMMARY: &'static str = "Succeeds after a delay.";
    const RESULT: &'static str = "An object: `slept_ms`.";
    const NEEDS: Needs = Needs::Nothing;
}

/// Fails with the given kind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The kind of the failure.
    pub kind: ErrorKind,
    /// Its message. With the kind `cancelled`, the signal in it decides the exit code.
    #[serde(default)]
    pub message: Option<String>,
    /// The value of `retry_after_ms`.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// Fail by a panic, like a bug in the host. Only with the kind `internal`.
    #[serde(default)]
    pub panic: bool,
}

impl Input for Fail {
    const SUMMARY: &'static str = "Fails with the given kind.";
    const RESULT: &'static str = "None: it always fails.";
    const NEEDS: Needs = Needs::Nothing;

    fn check(&self, _: DateTime<Utc>) -> Result<(), Failure> {
        if self.panic && self.kind != ErrorKind::Internal {
            let message = "A panic always has the kind \"internal\".";
            return Err(Failure::invalid_input("/inputs/panic", message));
        }
        Ok(())
    }
}

/// Returns a result of the given size.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Huge {
    /// The size of the raw data in bytes, 64 to 268435456.
    pub bytes: u64,
}

impl Input for Huge {
    const SUMMARY: &'static str = "Returns a result of the given size.";
    const RESULT: &'static str = "An array of invented records: `$[*]`.";
    const NEEDS: Needs = Needs::Nothing;

    fn check(&self, _: DateTime<Utc>) -> Result<(), Failure> {
        if SIZES.contains(&self.bytes) {
            return Ok(());
        }
        let (least, most) = SIZES.into_inner();
        let message = format!("Expected {least} to {most} bytes.");
        Err(Failure::invalid_input("/inputs/bytes", message))
    }
}

/// Sleeps until the duration, the deadline or a signal ends it.
pub async fn sleep(call: &Call<'_>, input: Sleep) -> Result<Reply, Failure> {
    pause(call, input.duration_ms, "the sleep").await?;
    Reply::of_value(&json!({ "slept_ms": input.duration_ms }))
}

/// Fails.
///
/// # Panics
///
/// If `panic` is set: the host must turn it into a result.
#[expect(clippy::unused_async, reason = "every operation is asynchronous")]
pub async fn fail(_: &Call<'_>, input: Fail) -> Result<Reply, Failure> {
    assert!(!input.panic, "This panic was requested.");
    Err(failure(input.kind, input.message, input.retry_after_ms))
}

/// Returns exactly the given number of bytes.
pub async fn huge(call: &Call<'_>, input: Huge) -> Result<Reply, Failure> {
    let bytes = usize::try_from(input.bytes).unwrap_or(usize::MAX);
    let mut text = String::with_capacity(bytes);
    text.push('[');
    let mut records = 0;
    while text.len() + 1 < bytes {
        if records % CHECK_INTERVAL == 0 {
            // Signals are handled only while the task waits.
            tokio::task::yield_now().await;
            call.http.deadline().check("the next records")?;
        }
        let left = bytes - text.len() - 1;
        let size = if left < 2 * RECORD { left } else { RECORD };
        records += 1;
        push_record(&mut text, records, size);
    }
    text.push(']');
    let raw = from_compact(text)?;
    Ok(Reply {
        records,
        ..Reply::of(raw)
    })
}

/// Adds a record, and the comma before it, of `size` bytes.
fn push_record(text: &mut String, number: u64, size: usize) {
    let end = text.len() + size;
    if number > 1 {
        text.push(',');
    }
    // Writing to a string cannot fail.
    let _ = write!(text, "{{\"id\":\"record-{number}\",\"text\":\"");
    text.push_str(&"x".repeat(end.saturating_sub(text.len() + 2)));
    text.push_str("\"}");
}

async fn pause(call: &Call<'_>, milliseconds: u64, attempt: &str) -> Result<(), Failure> {
    let asleep = async {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        Ok(())
    };
    call.http.deadline().race(attempt, asleep).await
}

fn failure(kind: ErrorKind, message: Option<String>, retry_after_ms: Option<u64>) -> Failure {
    let message = message.unwrap_or_else(|| match kind {
        ErrorKind::Cancelled => "Stopped by SIGTERM, as requested.".to_owned(),
        _ => format!("A failure of the kind \"{}\" was requested.", kind.name()),
    });
    // The message selects the signal, because each signal has its own exit code.
    let signal = if message.contains("SIGINT") {
        Signal::Interrupt
    } else {
        Signal::Terminate
    };
    let failure = match kind {
        ErrorKind::Cancelled => Failure::new(kind, message).with_detail(Detail::Stopped(signal)),
        _ => Failure::new(kind, message),
    };
    failure.retry_after(retry_after_ms.map(Duration::from_millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_has_requested_size() {
        let mut text = String::new();
        for (number, size) in [(1, 62), (2, RECORD), (1_000_000, 2 * RECORD - 1)] {
            let before = text.len();
            push_record(&mut text, number, size);
            assert_eq!(text.len() - before, size);
        }
        let read: Result<Vec<serde_json::Value>, _> = serde_json::from_str(&format!("[{text}]"));
        assert_eq!(read.expect("JSON").len(), 3);
    }
}
