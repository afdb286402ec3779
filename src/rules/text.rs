//! The text of rules, and what is wrong with it. Reads no YAML, so that catalogs can list rules in a
//! build without the feature `rules`.

use std::borrow::Cow;
use std::fmt;

use crate::protocol::{ErrorKind, Failure};

/// A YAML text with one or more Sigma documents.
#[derive(Clone, Debug)]
pub struct RuleText<'a> {
    /// Where faults are reported: a file name, or a JSON Pointer.
    pub place: Cow<'a, str>,
    /// The YAML text.
    pub text: Cow<'a, str>,
    /// Comes from a request, so the budget applies.
    pub is_inline: bool,
}

impl<'a> RuleText<'a> {
    /// A file of a catalog.
    pub fn of_catalog(file: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        RuleText {
            place: file.into(),
            text: text.into(),
            is_inline: false,
        }
    }

    /// A text in a request, at a JSON Pointer.
    pub fn inline(pointer: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) -> Self {
        RuleText {
            is_inline: true,
            ..RuleText::of_catalog(pointer, text)
        }
    }

    /// The file's name without folder and extension.
    pub fn stem(&self) -> &str {
        let name = self.place.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }
}

impl RuleText<'_> {
    /// Is this the stem of the file, or the id or title of a rule in it?
    pub fn is_named(&self, name: &str) -> bool {
        if self.stem() == name {
            return true;
        }
        let mut lines = self.text.lines().filter_map(|line| line.split_once(':'));
        lines.any(|(key, value)| {
            let value = value.trim().trim_matches(['\'', '"']);
            matches!(key, "id" | "title" | "name") && value.eq_ignore_ascii_case(name)
        })
    }
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rule cannot be evaluated.
    Error,
    /// The rule can be evaluated, but probably does not do what its author wants.
    Warning,
}

impl Severity {
    /// The name as reports show it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One fault of a rule, with its place.
#[derive(Clone, Debug)]
pub struct RuleFault {
    /// The place of the text: a file name, or a JSON Pointer.
    pub place: String,
    /// Line and column in the text, counted from 1.
    pub position: Option<(usize, usize)>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, and what is allowed.
    pub message: String,
    /// What to do.
    pub advice: Option<String>,
}

impl RuleFault {
    /// An error.
    pub(super) fn error(text: &RuleText<'_>, message: impl Into<String>) -> Self {
        RuleFault {
            place: text.place.clone().into_owned(),
            position: None,
            severity: Severity::Error,
            message: message.into(),
            advice: None,
        }
    }

    #[must_use]
    #[cfg_attr(not(feature = "rules"), expect(dead_code))]
    pub(super) fn at(mut self, position: Option<(usize, usize)>) -> Self {
        self.position = position;
        self
    }

    #[must_use]
    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The faults as one failure of kind `invalid_input`.
    pub fn join(faults: Vec<RuleFault>) -> Failure {
        let failures = faults.into_iter().map(|fault| {
            let failure = Failure::new(ErrorKind::InvalidInput, fault.to_string()).at(fault.place);
            match fault.advice {
                Some(advice) => failure.advice(advice),
                None => failure,
            }
        });
        let unknown = || Failure::new(ErrorKind::InvalidInput, "The rules are invalid.");
        Failure::join(failures.collect()).unwrap_or_else(unknown)
    }
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(f, "Line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}
