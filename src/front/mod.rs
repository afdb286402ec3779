//! Entry points: each of them creates requests, calls the host, and delivers the results.

pub mod cli;
pub mod poll;
