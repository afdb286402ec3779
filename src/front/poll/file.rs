//! The file sink: appends lines, for one process at a time. Removes an incomplete last line, which
//! a crash can leave.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::front::counted;
use crate::protocol::{ErrorKind, Failure};

/// The number of bytes that are read at once to find the last line.
const CHUNK: u64 = 64 * 1024;

/// Opens the file for appending. A new file is private (mode 0600).
///
/// Errors: `busy` if another process appends to it; `invalid_input` at `--to`.
pub fn open(path: &Path) -> Result<File, Failure> {
    let unusable = |error: io::Error| {
        let message = format!(
            "The file of --to cannot be used: {}: {error}.",
            path.display()
        );
        Failure::invalid_input("--to", message).advice("Correct --to or the file's permissions.")
    };
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
        Err(TryLockError::WouldBlock) => {
            let message = format!("Another process appends to {}.", path.display());
            let busy = Failure::new(ErrorKind::Busy, message).at("--to");
            return Err(busy.advice("Wait until it has ended, or use another file."));
        }
    }
    if file.metadata().map_err(unusable)?.is_file() {
        remove_incomplete_line(&mut file).map_err(unusable)?;
        sync_folder(path).map_err(unusable)?;
    }
    Ok(file)
}

/// Removes the bytes after the last line end.
fn remove_incomplete_line(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut complete = 0;
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut chunk)?;
        if let Some(at) = memchr::memrchr(b'\n', &chunk) {
            complete = start + u64::try_from(at).unwrap_or_default() + 1;
            break;
        }
        end = start;
    }
    if complete < length {
        tracing::warn!(
            "an incomplete last line of {} was removed",
            counted(length - complete, "byte")
        );
        file.set_len(complete)?;
    }
    Ok(())
}

/// Syncs the folder, so that a new file survives a power failure.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
