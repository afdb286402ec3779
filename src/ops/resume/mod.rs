//! Resuming from a state, for all operations that have one.
//!
//! * [`checkpoint`]: where a content type resumes. [`progress`]: the algorithm that moves it.
//! * [`feed_state`]: the checkpoints in a state. [`records`]: the records that were seen.
//! * [`fingerprint`]: 64-bit fingerprints of blobs, records and alerts, and a bounded set of them.
//! * [`scope`]: checks that a state belongs to the request, and reads its members.
//! * [`time`]: the service's time, and the warning about a clock that differs.
//!
//! Sends no request and knows no service.

pub(in crate::ops) mod checkpoint;
pub(in crate::ops) mod feed_state;
pub(in crate::ops) mod fingerprint;
pub(in crate::ops) mod progress;
pub(in crate::ops) mod records;
pub(in crate::ops) mod scope;
pub(in crate::ops) mod time;
