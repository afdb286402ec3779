//! The faults and warnings of detection rules, each with its line.
//!
//! `crate::rules` finds them.

use std::path::Path;

use crate::front::diagnostics::excerpt::{Excerpt, yaml_word};
use crate::front::diagnostics::kind::Kind;
use crate::front::diagnostics::{Fault, Place};
use crate::host::catalog::Catalog;
use crate::rules::{RuleFault, RuleSet, RuleText};

/// The faults and warnings of rules.
pub(super) fn rule_faults(rules: &[RuleText<'_>], folder: &Path) -> Vec<Fault> {
    let fault = |fault: RuleFault| {
        let text = rules.iter().find(|rule| rule.place == fault.place);
        let text = text.map_or("", |rule| &*rule.text);
        let range = fault.position.and_then(|at| yaml_word(text, at));
        Fault {
            kind: Some(Kind::Rule),
            place: range.as_ref().and_then(|range| Place::of(text, range)),
            severity: fault.severity,
            advice: fault.advice,
            excerpt: range.map(|range| Excerpt::of(text, &range, &[])),
            ..Fault::of_file(&folder.join(&fault.place).to_string_lossy(), "")
        }
        .saying(&fault.message)
    };
    RuleSet::check(rules).into_iter().map(fault).collect()
}

/// The faults of one file of rules. Its correlations can name rules of its catalog.
pub(super) fn rule_file_faults(file: &str, text: &str, catalog: Option<&Catalog>) -> Vec<Fault> {
    let own = RuleText::of_catalog(file, text);
    let stem = own.stem().to_owned();
    let others = catalog.into_iter().flat_map(Catalog::rules);
    let mut rules: Vec<RuleText<'_>> = others.filter(|other| other.stem() != stem).collect();
    rules.push(own);
    let mut faults = rule_faults(&rules, Path::new(""));
    faults.retain(|fault| fault.file == file);
    faults
}
