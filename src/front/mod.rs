//! Entry points: each creates a request, calls the host, and delivers the result.

pub mod cli;
pub mod poll;
