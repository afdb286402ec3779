//! The files below a folder.
//!
//! Folders with a hidden name are left out, and links that lead back or stand below another link: so
//! the search ends, also in a folder that somebody else has prepared. Reads no content.

use std::io;
use std::path::{Path, PathBuf};

/// The files below a folder with one of these extensions, sorted. A folder that does not exist has none.
pub(crate) fn files(folder: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.exists() {
        add(folder, extensions, false, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn add(
    folder: &Path,
    extensions: &[&str],
    below_link: bool,
    found: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let named = |error: io::Error| {
        let message = format!("the folder {}: {error}", folder.display());
        io::Error::new(error.kind(), message)
    };
    for entry in std::fs::read_dir(folder).map_err(named)? {
        let entry = entry.map_err(named)?;
        let path = entry.path();
        if path.is_dir() {
            let is_link = path.is_symlink();
            let leads_back = || Ok(folder.canonicalize()?.starts_with(path.canonicalize()?));
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !is_hidden && !(is_link && (below_link || leads_back().map_err(named)?)) {
                add(&path, extensions, below_link || is_link, found)?;
            }
            continue;
        }
        // A pipe would be waited for. A link that leads nowhere is found, so that reading it fails.
        let target = path.metadata();
        let is_other = target.is_ok_and(|target| !target.is_file());
        let has_extension = path
            .extension()
            .is_some_and(|own| extensions.iter().any(|one| own == *one));
        if has_extension && !is_other {
            found.push(path);
        }
    }
    Ok(())
}
