//! Resuming: what the operations that keep a state have in common.
//!
//! * [`checkpoint`]: where a content type resumes. [`progress`]: the algorithm that moves it.
//! * [`packed`]: how a state holds checkpoints. [`records`]: the records that were seen.
//! * [`fingerprint`]: what stands for a blob, a record or an alert, and the bounded set of them.
//! * [`state`]: which state a request continues, and how its members are read.
//! * [`time`]: the service's time, and the warning about a clock that differs.
//!
//! Sends no request and knows no service.

pub(in crate::ops) mod checkpoint;
pub(in crate::ops) mod fingerprint;
pub(in crate::ops) mod packed;
pub(in crate::ops) mod progress;
pub(in crate::ops) mod records;
pub(in crate::ops) mod state;
pub(in crate::ops) mod time;
