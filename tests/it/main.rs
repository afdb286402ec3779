//! The one integration test binary. Tests look like use: text in, text out.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    unreachable_pub,
    missing_docs,
    reason = "a test says what it expects, reads its own files and starts its own processes"
)]

mod alerts;
mod architecture;
mod authoring;
mod bench;
mod cases;
mod chaos;
mod cli;
mod compatibility;
mod completeness;
mod completions;
mod console;
mod contracts;
mod corpus;
#[cfg(feature = "rules")]
mod detection;
mod diagnostics;
mod doctor;
mod fuzz;
mod guides;
mod histories;
mod imports;
mod language;
mod limits;
mod lossless;
mod map;
mod mapping;
mod output_samples;
mod picture;
mod poll;
mod process;
mod properties;
mod protocol;
mod readme;
mod resuming;
#[cfg(feature = "rules")]
mod rules;
mod samples;
mod searches;
mod secrets;
mod sign_in;
mod vault;
mod vocabularies;
