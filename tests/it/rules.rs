//! The built-in rules: they have no fault, are documented, and pass their samples.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::DateTime;
use serde_json::Value;
use soarhost::host::catalog::Catalog;
use soarhost::rules::{RuleSet, RuleText};

use crate::corpus::{self, Corpus, target};
use crate::process::{feed, soarhost};

#[test]
fn rules_of_the_pack_have_no_fault_and_no_warning() {
    let catalog = Catalog::builtin().expect("the catalog");
    let rules = catalog.rules();
    assert!(rules.len() >= 25, "{} rules", rules.len());
    let faults = RuleSet::check(&rules).into_iter();
    let faults: Vec<String> = faults
        .map(|fault| format!("{}: {fault}", fault.place))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn rules_of_the_pack_are_documented_and_have_their_own_ids() {
    let catalog = Catalog::builtin().expect("the catalog");
    let mut ids = BTreeSet::new();
    for rule in catalog.rules() {
        let documents: Vec<&str> = rule.text.split("\n---\n").collect();
        let main = documents.last().expect("a document");
        let parts = [
            "description:",
            "references:",
            "author:",
            "date:",
            "tags:",
            "falsepositives:",
            "level:",
        ];
        for part in parts {
            let has_part = main.lines().any(|line| line.starts_with(part));
            assert!(has_part, "{} has no {part}", rule.place);
        }
        assert!(
            main.contains("  - attack.t1"),
            "{} names no technique",
            rule.place
        );
        for line in rule.text.lines().filter(|line| line.starts_with("id: ")) {
            assert!(
                ids.insert(line.to_owned()),
                "{}: {line} is used twice",
                rule.place
            );
        }
    }
}

#[test]
fn rules_of_the_pack_pass_their_positive_and_negative_samples() {
    let output = feed(soarhost(&["rules", "test", "--json"]), "");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(0), "{shown:#}");
    let results = shown["results"].as_array().expect("results");
    let of = |rule: &str, is_positive: bool| {
        let mut results = results.iter().filter(|one| one["rule"] == rule);
        results.any(|one| (one["expected"] != 0) == is_positive)
    };
    let catalog = Catalog::builtin().expect("the catalog");
    for rule in catalog.rules() {
        assert!(
            of(rule.stem(), true),
            "{} has no positive sample",
            rule.place
        );
        assert!(
            of(rule.stem(), false),
            "{} has no negative sample",
            rule.place
        );
    }
}

#[test]
fn rule_file_outside_the_build_is_reported() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalog = Catalog::read(root).expect("a catalog").0;
    let builtin = Catalog::builtin().expect("the catalog");
    let names = |catalog: &Catalog| -> Vec<String> {
        catalog
            .rules()
            .iter()
            .map(|rule| rule.place.to_string())
            .collect()
    };
    assert_eq!(names(&builtin), names(&catalog));
}

/// Any text is compiled or refused with faults; what is compiled can be evaluated.
fn any_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let texts = [RuleText::inline("/inputs/rules/0", &*text)];
    match RuleSet::compile(&texts) {
        Ok(rules) => {
            let mut run = rules.start(None, DateTime::UNIX_EPOCH);
            let record = include_str!("faulty/record.json");
            run.record(record);
            run.record(&record.replace("New-InboxRule", "UserLoginFailed"));
            run.record(&text);
            let state = run.finish().state;
            rules.start(state.as_ref(), DateTime::UNIX_EPOCH).finish();
        }
        Err(faults) => assert!(!faults.is_empty(), "{text}"),
    }
}

#[test]
fn any_text_of_rules_is_compiled_or_refused() {
    target!("rules", any_text);
}
