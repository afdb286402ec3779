//! Resuming: what the operations that keep a state have in common.
//!
//! * [`fingerprint`]: what stands for a blob, a record or an alert, and the bounded set of them.
//! * [`state`]: which state a request continues, and how its members are read.
//! * [`time`]: the service's time, and the warning about a clock that differs.
//!
//! Sends no request and knows no service.

#![allow(dead_code, reason = "the operations move here one after the other")]

pub(in crate::ops) mod fingerprint;
pub(in crate::ops) mod state;
pub(in crate::ops) mod time;
