//! Faults of the files that authors write, each with its place, its line and its remedy.
//!
//! `collect` finds them, `text` and `sarif` print them. Collecting prints nothing and knows no
//! flags, so another entry point can return the same faults for a text that it received.

mod collect;
mod excerpt;
mod kind;
mod rules;
mod sarif;
mod secrets;
mod source;
mod text;

pub(super) use collect::Checker;
pub(super) use sarif::sarif;
pub(super) use text::text;

use serde_json::{Value, json};

pub(super) use crate::rules::Severity;
use excerpt::Excerpt;
use kind::Kind;

/// The faults of files.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The number of files that were checked.
    pub(super) checked: usize,
    /// True if they are the files of the built-in catalog.
    is_builtin: bool,
    pub(super) faults: Vec<Fault>,
}

/// One fault with its place.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) file: String,
    kind: Option<Kind>,
    place: Option<Place>,
    /// The JSON Pointer; empty for the whole file and for rules.
    pub(super) pointer: String,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) advice: Option<String>,
    /// The line, unless it could hold a secret.
    excerpt: Option<Excerpt>,
}

/// Lines and columns, counted from 1. Columns are characters; the end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: usize,
    column: usize,
    end_column: usize,
}

impl Fault {
    /// A fault of a whole file.
    fn of_file(file: &str, message: &str) -> Self {
        Fault {
            file: file.trim_start_matches("./").to_owned(),
            kind: None,
            place: None,
            pointer: String::new(),
            severity: Severity::Error,
            message: String::new(),
            advice: None,
            excerpt: None,
        }
        .saying(message)
    }

    /// Sets the message. Its first sentence describes the fault; further ones become advice.
    fn saying(mut self, message: &str) -> Self {
        let (first, further) = message.split_at(sentence_end(message));
        let further = further.trim_start();
        let further = (!further.is_empty()).then(|| further.to_owned());
        let advice: Vec<String> = further.into_iter().chain(self.advice.take()).collect();
        self.advice = (!advice.is_empty()).then(|| advice.join(" "));
        first.clone_into(&mut self.message);
        self
    }
}

/// Where the first sentence ends. Quoted texts can contain anything.
fn sentence_end(text: &str) -> usize {
    let mut quote = None;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match (letter, quote) {
            ('\\', Some(_)) => {
                letters.next();
            }
            ('"' | '`', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            ('.' | '?', None) if text[at + 1..].starts_with(' ') => {
                let next = text[at + 2..].chars().next();
                if next.is_some_and(|next| !next.is_lowercase()) {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

impl Report {
    /// Adds the faults of further files, in the order of the files and of their lines.
    fn add(&mut self, checked: usize, mut faults: Vec<Fault>) {
        faults.sort_by(|one, other| (&one.file, one.place).cmp(&(&other.file, other.place)));
        self.checked += checked;
        self.faults.extend(faults);
    }

    /// The number of faults of a severity.
    pub(super) fn count(&self, severity: Severity) -> usize {
        let of = |fault: &&Fault| fault.severity == severity;
        self.faults.iter().filter(of).count()
    }

    /// The faults as JSON.
    pub(super) fn json(&self) -> Value {
        let faults = self.faults.iter().map(|fault| {
            let place = fault.place.map(|place| (place.line, place.column));
            let (line, column) = place.unzip();
            json!({ "file": fault.file, "line": line, "column": column, "pointer": fault.pointer,
                    "severity": fault.severity.name(), "message": fault.message,
                    "advice": fault.advice })
        });
        json!({ "checked": self.checked, "faults": faults.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sentence_is_the_message_and_quoted_texts_stay_whole() {
        for (text, message) in [
            ("No. Write \"x\".", "No."),
            ("Got \"a. B\". Did you mean \"c\"?", "Got \"a. B\"."),
            (
                "Invalid: `a. B` at v1.0. A path",
                "Invalid: `a. B` at v1.0.",
            ),
            ("Got \"say \\\"No. A\\\"\".", "Got \"say \\\"No. A\\\"\"."),
            ("See e.g. this", "See e.g. this"),
        ] {
            assert_eq!(&text[..sentence_end(text)], message);
        }
    }
}
