//! Private files: folders with mode 0700, files with mode 0600, atomic replacement, locks.
//!
//! Only this module writes tokens and states. A lock belongs to an open file, so the kernel
//! releases it when the process ends. A killed process can leave a lock file or a temporary file;
//! both are harmless.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes: larger than any file that is written.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Creates the folder and its parents, if they do not exist.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A lock, held until it is dropped. Its file is never deleted: otherwise a process could lock the
/// deleted file, and another one a new file.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a forked process has the file open until it calls `exec`.
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Locks this file; `None` if it is locked already.
    pub(super) fn try_lock(file: &Path) -> io::Result<Option<Self>> {
        let lock = file.with_extension("lock");
        // Opening a pipe would wait for its other end, without a time limit.
        if std::fs::symlink_metadata(&lock).is_ok_and(|found| !found.is_file()) {
            return Err(not_ordinary());
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let opened = options.open(lock)?;
        match opened.try_lock() {
            Ok(()) => Ok(Some(Lock(opened))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn not_ordinary() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not an ordinary file")
}

/// The content of the file; `None` if it does not exist.
pub(super) fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let is_file = match std::fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?.is_file(),
    };
    if !is_file {
        return Err(not_ordinary());
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Replaces the file atomically and durably. The lock ensures that one process at a time uses the
/// temporary name. A temporary file of a killed process is overwritten.
pub(super) fn replace(file: &Path, bytes: &[u8], _held: &Lock) -> io::Result<()> {
    let temporary = file.with_extension("tmp");
    remove(&temporary)?;
    let written = write_new(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, file));
    if written.is_err() {
        // The first error is the one to report.
        let _ = remove(&temporary);
    }
    written?;
    File::open(folder_of(file))?.sync_all()
}

fn write_new(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut opened = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    opened.write_all(bytes)?;
    opened.sync_all()
}

/// Creates the file if it does not exist; returns whether this call created it. If several
/// processes try, one creates it, and none reads an incomplete file.
pub(super) fn create(file: &Path, bytes: &[u8]) -> io::Result<bool> {
    let temporary = file.with_extension(format!("tmp-{:x}", fastrand::u64(..)));
    let linked = write_new(&temporary, bytes).and_then(|()| std::fs::hard_link(&temporary, file));
    // The temporary file is now a second name of the file, or it is incomplete.
    let _ = remove(&temporary);
    match linked {
        Ok(()) => File::open(folder_of(file))?.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The files whose names have this prefix. If the folder does not exist, there are none.
pub(super) fn with_prefix(folder: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(prefix) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Deletes the file, if it exists.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        let meta = std::fs::metadata(path).expect("it exists");
        meta.permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_private() {
        let outer = tempfile::tempdir().expect("a folder");
        let inner = outer.path().join("a/b");
        folder(&inner).expect("it is created");
        folder(&inner).expect("it exists");
        let file = inner.join("x.json");
        let lock = Lock::try_lock(&file).expect("a lock").expect("it is free");
        replace(&file, b"one", &lock).expect("it is written");
        replace(&file, b"two", &lock).expect("it is replaced");
        assert_eq!(read(&file).expect("it reads").as_deref(), Some(&b"two"[..]));
        assert_eq!(mode(&outer.path().join("a")), 0o700);
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(&inner.join("x.lock")), 0o600);
        assert!(!inner.join("x.tmp").exists());
    }

    #[test]
    fn lock_is_exclusive_and_its_file_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.json");
        let take = || Lock::try_lock(&file).expect("it opens");
        let held = take().expect("it is free");
        assert!(take().is_none());
        drop(held);
        assert!(take().is_some());
        assert!(folder.path().join("x.lock").exists());
    }

    #[test]
    fn files_of_a_killed_process_are_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.json");
        for left in ["x.tmp", "x.lock"] {
            File::create(folder.path().join(left))
                .and_then(|mut file| file.write_all(b"half of"))
                .expect("a file");
        }
        let lock = Lock::try_lock(&file).expect("a lock").expect("it is free");
        assert!(read(&file).expect("it reads").is_none());
        replace(&file, b"whole", &lock).expect("it is written");
        assert_eq!(mode(&file), 0o600);
        assert!(!folder.path().join("x.tmp").exists());
    }

    #[test]
    fn create_does_not_replace_existing_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.key");
        assert!(create(&file, b"one").expect("it is created"));
        assert!(!create(&file, b"two").expect("it exists"));
        assert_eq!(read(&file).expect("it reads").as_deref(), Some(&b"one"[..]));
        assert_eq!(mode(&file), 0o600);
        let found = with_prefix(folder.path(), "x").expect("a folder");
        assert_eq!(found, [file], "nothing else is left");
        assert!(
            with_prefix(&folder.path().join("no"), "")
                .expect("none")
                .is_empty()
        );
    }

    #[test]
    fn folder_is_not_read_as_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = read(folder.path()).expect_err("a folder is no file");
        assert_eq!(refused.to_string(), "it is not an ordinary file");
    }
}
