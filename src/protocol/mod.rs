//! What crosses the pipe: types only, no input or output, no service.
//!
//! One JSON object in, one JSON line out. The laws: every request gets exactly one result; the exit
//! code is a function of the result; `events` can be made again from `raw_data`; an unknown key in
//! a request is refused, an unknown key in a result is ignored by callers, so results may grow (new
//! keys come after `meta`, with a minor version). What is *done* with these types is the business
//! of `host`.

pub mod coverage;
pub mod detail;
pub mod envelope;
pub mod event;
pub mod failure;
pub mod redact;
pub mod result;
pub mod secret;
pub mod state;
pub mod watch;

mod kind;
mod shape;
mod strict;

pub use coverage::Coverage;
pub use detail::{Detail, Signal};
pub use envelope::Envelope;
pub use event::Event;
pub use failure::{ErrorKind, Failure};
pub use redact::Redactor;
pub use result::{ResultEnvelope, Warning};
pub use secret::Secret;
pub use shape::name_of;
pub(crate) use shape::{quoted, type_name};
pub use state::State;
pub(crate) use strict::escape;
pub use strict::{decode_object, field_names, member_faults, strict_object, unreadable_at};
pub use watch::Watch;

/// The version of the protocol that this host speaks.
pub const PROTOCOL: u64 = 1;
