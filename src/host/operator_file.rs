//! The files of operator settings: reads them, and adds file and line to their faults.
//!
//! Their formats are checked where they are used.

use std::path::{Path, PathBuf};

use crate::json::document::position_of;
use crate::protocol::Failure;

/// The text of an operator's file.
#[derive(Clone, Debug)]
pub struct OperatorFile {
    /// The path; `None` for text that is not from a file.
    path: Option<PathBuf>,
    /// The content.
    pub(super) text: String,
}

impl From<String> for OperatorFile {
    /// Text that is not from a file.
    fn from(text: String) -> Self {
        OperatorFile { path: None, text }
    }
}

impl OperatorFile {
    /// Reads the file of a setting.
    pub fn read(setting: &str, path: &Path) -> Result<Self, Failure> {
        Ok(OperatorFile {
            path: Some(path.to_owned()),
            text: read(setting, path)?,
        })
    }

    /// Adds the file and the line to each message whose place is in `setting`.
    pub(super) fn fault(&self, setting: &str, failure: Failure) -> Failure {
        let is_in_setting = failure.place().is_some_and(|at| at.starts_with(setting));
        let failure = if is_in_setting {
            failure.cause("A file of the operator's settings is invalid.")
        } else {
            failure
        };
        let is_single = failure.clone().split().len() == 1;
        failure.reworded_each(
            |at, message| match at.and_then(|at| at.strip_prefix(setting)) {
                Some(pointer) if is_single => self.located_message(setting, pointer, message),
                Some(pointer) => self.located(pointer, message),
                None => message.to_owned(),
            },
        )
    }

    /// The message with the file, and the line of the pointer.
    pub(super) fn located_message(&self, setting: &str, pointer: &str, message: &str) -> String {
        if self.path.is_none() {
            return message.to_owned();
        }
        let (setting, located) = (
            setting.trim_end_matches(':'),
            self.located(pointer, message),
        );
        format!("The file of {setting} is invalid: {located}")
    }

    /// The message after the file and the line of the pointer.
    fn located(&self, pointer: &str, message: &str) -> String {
        let Some(path) = &self.path else {
            return message.to_owned();
        };
        let line = position_of(&self.text, pointer)
            .map(|at| at.0)
            .filter(|_| !pointer.is_empty());
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}: {message}", path.display())
    }
}

/// Reads an operator's file. Errors: `invalid_input` at the setting.
pub(super) fn read(setting: &str, path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        let message = format!("The file of {setting} cannot be read: {path}: {error}.");
        Failure::invalid_input(setting, message).advice(format!("Correct {setting} or the file."))
    })
}
