//! The `soarhost` binary.

fn main() {}
