//! Entry points: each of them creates requests, calls the host, and delivers the results.
//!
//! None of them calls a service.

pub mod cli;
mod diagnostics;
pub mod poll;

/// The number with the noun, in the singular or the plural.
fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
