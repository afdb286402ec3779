//! Links the binary at a fixed address on Linux.
//!
//! A position-independent binary of this size spends a quarter of an empty program's run time on
//! relocating itself, and a host is started once per command. Libraries, heap and stack keep their
//! random addresses. It deliberately does nothing else: no code is generated.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a build script speaks to cargo on stdout and asks it through the environment"
)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if linux {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
