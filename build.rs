//! Prepares the built-in manifests and, with the feature `fast-start`, the linking on Linux.
//!
//! A host is started once per command, so start-up time matters. Relocating a position-independent
//! binary of this size takes a quarter of the run time of an empty program; loading shared
//! libraries takes a fifth. `fast-start` therefore links the binary at a fixed address and, on
//! glibc, links the C library statically. Heap and stack keep random addresses.
//!
//! Rust's own switch `crt-static` cannot be used: without `--target`, cargo also applies it to
//! procedural macros, which then do not build. Instead, the linker searches a folder that contains
//! the C library as archives only. A statically linked glibc cannot safely load the system's
//! resolver modules, so the host resolves names in Rust (hickory) in all builds. Without the
//! archives the C library is linked dynamically, with a warning. Tests and other targets are not
//! affected.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a build script communicates with cargo through stdout and the environment"
)]

#[path = "build/integrations.rs"]
mod integrations;

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The C libraries that Rust's standard library links on glibc.
const LIBRARIES: [&str; 6] = ["c", "m", "rt", "pthread", "util", "dl"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let folder = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .unwrap_or_default()
    };
    let (root, out) = (folder("CARGO_MANIFEST_DIR"), folder("OUT_DIR"));
    let prepared = integrations::prepare(&root, &out);
    if let Err(error) = prepared.and_then(|()| integrations::prepare_rules(&root, &out)) {
        println!("cargo::error={error}");
        return;
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_linux = variable("CARGO_CFG_TARGET_OS") == "linux";
    if !is_linux || std::env::var_os("CARGO_FEATURE_FAST_START").is_none() {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    if variable("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    let is_native = variable("HOST") == variable("TARGET");
    match archives(&out).filter(|_| is_native) {
        Some(folder) => {
            println!("cargo::rustc-link-arg-bins=-static");
            println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
        }
        None => println!(
            "cargo::warning=fast-start: the archives of the C library (libc.a) were not found, or the build \
             is not for this machine. The C library is linked dynamically."
        ),
    }
}

/// Creates a folder with the C library as archives, and with the unwinder under the name that Rust
/// links. `None` if the archives are not installed.
fn archives(out: &Path) -> Option<PathBuf> {
    let folder = out.join("archives");
    std::fs::create_dir_all(&folder).ok()?;
    for name in LIBRARIES.map(|name| format!("lib{name}.a")) {
        link(&find_archive(&name)?, &folder.join(name)).ok()?;
    }
    let unwinder = [find_archive("libgcc_eh.a")?, find_archive("libgcc.a")?];
    let [unwinder, runtime] = unwinder.map(|path| path.display().to_string());
    let script = format!("GROUP ( {unwinder} {runtime} )\n");
    std::fs::write(folder.join("libgcc_s.a"), script).ok()?;
    Some(folder)
}

fn link(target: &Path, path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(target, path),
    }
}

/// Returns where the C compiler finds the archive. It prints the bare name if there is none.
fn find_archive(name: &str) -> Option<PathBuf> {
    let mut compiler = Command::new("cc");
    compiler.arg(format!("-print-file-name={name}"));
    let output = String::from_utf8(compiler.output().ok()?.stdout).ok()?;
    let path = PathBuf::from(output.trim());
    path.is_absolute().then_some(path)
}
