//! Entry points: each turns something into a request, calls the host, and delivers the result.
//!
//! What a command does is decided below.

pub mod cli;
pub mod poll;
