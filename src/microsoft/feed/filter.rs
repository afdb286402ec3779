//! Which records are wanted: by user, record type, workload and operation.
//!
//! The feed cannot filter, so it is done here, record by record, while a blob comes. Each list that
//! is not empty must have the record's value in it; blanks around do not count. Case counts for
//! operations and workloads, because the service has some that differ in nothing else
//! (`DlpRuleMatch` of Exchange, `DLPRuleMatch` of `SharePoint`), so what was missed by it is told.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::microsoft::feed::record::Record;
use crate::microsoft::record_type;
use crate::protocol::{Failure, Warning};

/// Which records are wanted. Empty lists want all.
#[derive(Debug, Default)]
pub struct Filter {
    users: Vec<String>,
    record_types: Vec<i64>,
    workloads: Exact,
    operations: Exact,
}

/// Texts that must be met to the letter.
#[derive(Debug, Default)]
struct Exact {
    wanted: Vec<String>,
    met: Mutex<Met>,
}

/// What was met of them.
#[derive(Debug, Default)]
struct Met {
    /// To the letter.
    exactly: BTreeSet<String>,
    /// But for the case: what was wanted, and what the record has.
    nearly: BTreeSet<(String, String)>,
}

/// The lists as a caller gave them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// User principal names.
    pub users: &'a [String],
    /// Record types: numbers or names.
    pub record_types: &'a [String],
    /// Workloads.
    pub workloads: &'a [String],
    /// Operations.
    pub operations: &'a [String],
}

impl Filter {
    /// A filter for those lists; a name that no record type has is `invalid_input` at
    /// `/inputs/record_types`.
    pub fn new(wanted: Wanted<'_>) -> Result<Self, Failure> {
        let mut record_types = Vec::new();
        let mut faults = Vec::new();
        for name in wanted.record_types.iter().filter(|name| !is_blank(name)) {
            match record_type::numbers(name) {
                Ok(numbers) => record_types.extend(numbers),
                Err(words) => faults.push(Failure::invalid_input("/inputs/record_types", words)),
            }
        }
        let folded = |list: &[String]| -> Vec<String> {
            let some = list.iter().filter(|text| !is_blank(text));
            some.map(|text| folded(text)).collect()
        };
        let filter = Filter {
            users: folded(wanted.users),
            record_types,
            workloads: Exact::new(wanted.workloads),
            operations: Exact::new(wanted.operations),
        };
        Failure::join(faults).map_or(Ok(filter), Err)
    }

    /// Is that record wanted?
    pub fn keeps(&self, record: &Record<'_>) -> bool {
        self.of_type(record)
            && self.workloads.has(|| record.workload())
            && self.operations.has(|| record.operation())
            && has(&self.users, || record.users())
    }

    /// What a person should know of the records that came: names that were met in other case only.
    pub fn warnings(&self) -> Vec<Warning> {
        let workloads = self.workloads.missed("workload");
        let operations = self.operations.missed("operation");
        workloads.into_iter().chain(operations).collect()
    }

    fn of_type(&self, record: &Record<'_>) -> bool {
        if self.record_types.is_empty() {
            return true;
        }
        // Some exports write the name instead of the number.
        let numbers = record
            .kind()
            .and_then(|kind| record_type::numbers(&kind).ok());
        numbers.is_some_and(|numbers| numbers.iter().any(|n| self.record_types.contains(n)))
    }
}

impl Exact {
    fn new(list: &[String]) -> Self {
        let some = list.iter().filter(|text| !is_blank(text));
        Exact {
            wanted: some.map(|text| text.trim().to_owned()).collect(),
            met: Mutex::default(),
        }
    }

    fn has(&self, value: impl FnOnce() -> Option<String>) -> bool {
        if self.wanted.is_empty() {
            return true;
        }
        let Some(value) = value() else { return false };
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if self.wanted.contains(&value) {
            met.exactly.insert(value);
            return true;
        }
        let alike = self.wanted.iter();
        for wanted in alike.filter(|wanted| folded(wanted) == folded(&value)) {
            met.nearly.insert((wanted.clone(), value.clone()));
        }
        false
    }

    fn missed(&self, what: &str) -> Vec<Warning> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let nearly = met.nearly.iter();
        let missed = nearly.filter(|(wanted, _)| !met.exactly.contains(wanted));
        let told = missed.map(|(wanted, found)| {
            let words = format!(
                "No record has the {what} \"{wanted}\", but some have \"{found}\": upper and lower case count."
            );
            Warning::new("filter_case", words)
        });
        told.collect()
    }
}

fn has(wanted: &[String], values: impl FnOnce() -> Vec<String>) -> bool {
    wanted.is_empty() || values().iter().any(|value| wanted.contains(&folded(value)))
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn keeps(wanted: Wanted<'_>, record: &str) -> bool {
        let filter = Filter::new(wanted).expect("a filter");
        filter.keeps(&Record::read(record).expect("JSON"))
    }

    #[test]
    fn every_list_that_is_given_must_have_the_value() {
        let record = r#"{"UserId":"Ada@Contoso.com","RecordType":15,"Workload":"AzureActiveDirectory","Operation":"UserLoggedIn"}"#;
        let (users, kinds) = (list(&[" ada@contoso.COM "]), list(&["1", "15"]));
        let operations = list(&[" UserLoggedIn "]);
        let none = Wanted::default();
        assert!(keeps(none, record));
        let wanted = Wanted {
            users: &users,
            record_types: &kinds,
            operations: &operations,
            ..none
        };
        assert!(keeps(wanted, record));
        let workloads = list(&["Exchange"]);
        assert!(!keeps(
            Wanted {
                workloads: &workloads,
                ..wanted
            },
            record
        ));
        assert!(!keeps(
            Wanted {
                users: &users,
                ..none
            },
            r#"{"UserId":null}"#
        ));
        assert!(!keeps(
            Wanted {
                users: &users,
                ..none
            },
            "7"
        ));
    }

    #[test]
    fn record_types_are_numbers_or_names_on_both_sides() {
        for kinds in [["ExchangeAdmin"], ["exchangeadmin"], [" 1 "]] {
            let kinds = list(&kinds);
            let wanted = Wanted {
                record_types: &kinds,
                ..Wanted::default()
            };
            for record in [
                r#"{"RecordType":1}"#,
                r#"{"RecordType":"1"}"#,
                r#"{"RecordType":"ExchangeAdmin"}"#,
            ] {
                assert!(keeps(wanted, record), "{kinds:?} {record}");
            }
            assert!(!keeps(wanted, r#"{"RecordType":2}"#));
            assert!(!keeps(wanted, "{}"));
        }
        let kinds = list(&["nonsense", "1", "other"]);
        let wanted = Wanted {
            record_types: &kinds,
            ..Wanted::default()
        };
        let faults = Filter::new(wanted).expect_err("two names that are none");
        assert_eq!(faults.split().len(), 2);
    }

    #[test]
    fn case_counts_for_operations_and_what_was_missed_by_it_is_told() {
        let operations = list(&["DLPRuleMatch", "Send", "create"]);
        let wanted = Wanted {
            operations: &operations,
            ..Wanted::default()
        };
        let filter = Filter::new(wanted).expect("a filter");
        let keeps = |record| filter.keeps(&Record::read(record).expect("JSON"));
        assert!(!keeps(r#"{"Operation":"DlpRuleMatch"}"#));
        assert!(keeps(r#"{"Operation":"Send"}"#));
        assert!(!keeps(r#"{"Operation":"send"}"#));
        assert!(!keeps(r#"{"Operation":"Other"}"#));
        let told: Vec<String> = filter.warnings().into_iter().map(|w| w.message).collect();
        assert_eq!(
            told,
            [
                "No record has the operation \"DLPRuleMatch\", but some have \"DlpRuleMatch\": upper and lower case count."
            ]
        );
    }

    #[test]
    fn blank_entries_do_not_count() {
        let blank = list(&["", "  "]);
        let wanted = Wanted {
            users: &blank,
            record_types: &blank,
            ..Wanted::default()
        };
        assert!(keeps(wanted, "{}"));
    }
}
