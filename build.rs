//! Links the binary so that it starts at once on Linux: at a fixed address, and with no dynamic
//! loader where the C library can be linked in.
//!
//! A host is started once per command. Relocating a position-independent binary of this size takes
//! a quarter of an empty program's run time, finding and binding shared libraries another fifth.
//! Rust's own switch for it, `crt-static`, cannot be used: without `--target` cargo applies it to
//! procedural macros too, which cannot be built so. Therefore the linker is shown a folder in which
//! the C library exists as an archive only. Heap and stack keep random addresses. Names are resolved
//! in Rust (hickory), because a C library that is linked in cannot load the system's resolver
//! modules safely. Where the archives are missing the binary is linked as usual. Only binaries are
//! concerned. For the same reason the compiled-in manifests are cut into what one request needs
//! (`build/faces.rs`); it deliberately does nothing else.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a build script speaks to cargo on stdout and asks it through the environment"
)]

#[path = "build/faces.rs"]
mod faces;

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Rust's standard library asks the linker for on glibc.
const LIBRARIES: [&str; 6] = ["c", "m", "rt", "pthread", "util", "dl"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let folder = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .unwrap_or_default()
    };
    if let Err(why) = faces::prepare(&folder("CARGO_MANIFEST_DIR"), &folder("OUT_DIR")) {
        println!("cargo::error={why}");
        return;
    }
    let cfg = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if cfg("OS") != "linux" {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let native = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    if native
        && cfg("ENV") == "gnu"
        && let Some(folder) = archives()
    {
        println!("cargo::rustc-link-arg-bins=-static");
        println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
    }
}

/// A folder with the C library as archives, and the unwinder under the name by which it is asked
/// for; none where the machine has no such archives.
fn archives() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("OUT_DIR")?).join("archives");
    std::fs::create_dir_all(&folder).ok()?;
    for name in LIBRARIES.map(|name| format!("lib{name}.a")) {
        link(&archive(&name)?, &folder.join(name)).ok()?;
    }
    let unwinder = [archive("libgcc_eh.a")?, archive("libgcc.a")?];
    let [unwinder, runtime] = unwinder.map(|path| path.display().to_string());
    let script = format!("GROUP ( {unwinder} {runtime} )\n");
    std::fs::write(folder.join("libgcc_s.a"), script).ok()?;
    Some(folder)
}

fn link(to: &Path, at: &Path) -> io::Result<()> {
    match std::fs::remove_file(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(to, at),
    }
}

/// Where the C compiler finds that archive; it repeats the bare name when there is none.
fn archive(name: &str) -> Option<PathBuf> {
    let mut asked = Command::new("cc");
    asked.arg(format!("-print-file-name={name}"));
    let said = String::from_utf8(asked.output().ok()?.stdout).ok()?;
    let path = PathBuf::from(said.trim());
    path.is_absolute().then_some(path)
}
