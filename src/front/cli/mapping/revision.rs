//! A file of a git revision, written `REVISION:PATH`.
//!
//! `git` is started without a shell, and a name that begins with `-` is refused, so that it cannot be an
//! option. Nothing is checked out.

use std::io;
use std::process::{Command, Stdio};

use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::redact::escape_control_characters;

const ADVICE: &str = "Write REVISION:PATH, where PATH starts at the top of the repository, such as \
     HEAD~1:mappings/NAME.json, or HEAD~1:./NAME.json from the current folder.";

/// The text of a file in a revision.
pub(super) fn show(name: &str) -> Result<String, Failure> {
    let failed = |why: String| {
        Failure::new(ErrorKind::UnknownName, format!("\"{name}\" {why}.")).advice(ADVICE)
    };
    if name.starts_with('-') {
        return Err(failed(
            "is not a git revision: it starts with \"-\"".to_owned(),
        ));
    }
    let git = Command::new("git")
        .args([
            "show",
            "--no-color",
            "--no-textconv",
            "--end-of-options",
            name,
        ])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output();
    let output = git.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed("is a git revision, but git is not installed".to_owned())
            .advice("Install git, or compare two files."),
        _ => failed(format!(
            "is a git revision, but git cannot be started: {error}"
        )),
    })?;
    if !output.status.success() {
        return Err(failed(format!(
            "cannot be read by git: {}",
            reason(&output.stderr)
        )));
    }
    let text = String::from_utf8(output.stdout);
    let text = text.map_err(|_| failed("is not UTF-8".to_owned()))?;
    if text.starts_with(&format!("tree {name}")) {
        Err(failed("is a folder".to_owned()))
    } else {
        Ok(text)
    }
}

/// The first line of git's message.
fn reason(stderr: &[u8]) -> String {
    let text = escape_control_characters(&String::from_utf8_lossy(stderr));
    let line = text
        .lines()
        .find(|line| !line.is_empty())
        .unwrap_or("no reason was given");
    let line = line.trim_start_matches("fatal: ");
    line.trim_end_matches('.').to_owned()
}
