//! Colours for a terminal. Text for a file or a pipe has none, and none with `NO_COLOR`.
//!
//! Colours repeat information that the words have.

use crate::front::cli::out::Out;
use crate::front::cli::settings::text_variable;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    coloured: bool,
}

impl Style {
    /// For text on stdout.
    pub(super) fn of(out: &Out) -> Self {
        let dumb = text_variable("TERM").is_none_or(|name| name == "dumb");
        let unwanted = text_variable("NO_COLOR").is_some();
        Style {
            coloured: out.is_terminal() && !dumb && !unwanted,
        }
    }

    /// New or correct text.
    pub(super) fn added(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Old or invalid text.
    pub(super) fn removed(self, text: &str) -> String {
        self.with("31", text)
    }

    /// The heading of a block of lines.
    pub(super) fn heading(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
