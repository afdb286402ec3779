//! HTTP requests of one run, for any service.
//!
//! A [`Caller`] sends each request in this order: deadline → rate limit → retry { token → send →
//! classify }. Does not know the services: their clients classify their own error responses
//! ([`Classify`]).

pub mod auth;
mod caller;
pub mod client;
pub mod deadline;
pub mod links;
pub mod memory;
pub mod message;
mod meter;
mod probe;
pub mod rate_limit;
pub mod refusal;
pub mod retry;
pub mod tls;
pub mod transcript;

pub use auth::{Audience, Auth, DevicePrompt, Token, TokenProvider};
pub use caller::{Access, Caller, Classify, ServiceDate};
pub use client::{HttpClient, HttpSettings, Proxy};
pub use deadline::{Cancel, Deadline, Grace};
pub use links::Links;
pub use memory::{Held, MemoryBudget};
pub use message::{ApiRequest, ApiResponse, Body, Sink, SinkError};
pub use meter::{Meter, TokenSource, Usage};
pub use refusal::Reason;
pub use retry::RetryPolicy;
pub use transcript::Transcript;
