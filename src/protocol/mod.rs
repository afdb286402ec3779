//! The types of requests and results. No input or output, no service.
//!
//! A request is one JSON object, a result is one line of JSON. Every request gets exactly one
//! result. The exit code depends only on the result. `events` can be created again from `raw_data`.
//! A request with an unknown key is refused. Callers must ignore unknown keys of a result: a minor
//! version can add keys after `meta`.

pub mod coverage;
pub mod detail;
pub mod envelope;
pub mod event;
pub mod failure;
pub mod redact;
mod repair;
pub mod result;
pub mod secret;
pub mod state;
pub mod watch;

mod kind;
mod pointer;
mod shape;
mod strict;

pub use coverage::Coverage;
pub use detail::{Detail, Signal};
pub use envelope::Envelope;
pub use event::Event;
pub use failure::{ErrorKind, Failure};
pub use kind::CodeMeaning;
pub(crate) use pointer::escape;
pub use pointer::name_of;
pub use redact::Redactor;
pub(crate) use repair::{further_faults, repaired};
pub use result::{ResultEnvelope, Warning};
pub use secret::Secret;
pub(crate) use shape::{quoted, type_name};
pub use state::State;
pub use strict::{decode_object, field_names, member_faults, strict_object, unreadable_at};
pub use watch::Watch;

/// The version of the protocol.
pub const PROTOCOL: u64 = 1;
