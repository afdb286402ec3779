//! Filters records by user, record type, workload and operation while a blob is received.
//!
//! A record must have a value of each list that is not empty. Operations and workloads are
//! case-sensitive, because some differ only in case (`DlpRuleMatch` of Exchange, `DLPRuleMatch` of
//! `SharePoint`); a warning lists values that were missed for this reason. Does not change records.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::microsoft::feed::record::Record;
use crate::microsoft::record_type;
use crate::protocol::{Failure, Warning};

/// A filter for records. An empty list matches all.
#[derive(Debug, Default)]
pub struct Filter {
    users: Vec<String>,
    record_types: Vec<i64>,
    workloads: CaseSensitive,
    operations: CaseSensitive,
}

/// A case-sensitive list of values.
#[derive(Debug, Default)]
struct CaseSensitive {
    wanted: Vec<String>,
    found: Mutex<Found>,
}

/// The values that records have.
#[derive(Debug, Default)]
struct Found {
    /// Wanted values.
    equal: BTreeSet<String>,
    /// Wanted values, each with a value that differs from it only in case.
    other_case: BTreeSet<(String, String)>,
}

/// The lists of a request.
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
    /// A filter for these lists. Errors: `invalid_input` at `/inputs/record_types` for each unknown
    /// name of a record type.
    pub fn new(wanted: Wanted<'_>) -> Result<Self, Failure> {
        let mut record_types = Vec::new();
        let mut faults = Vec::new();
        for name in wanted.record_types.iter().filter(|name| !is_blank(name)) {
            match record_type::numbers(name) {
                Ok(numbers) => record_types.extend(numbers),
                Err(message) => {
                    faults.push(Failure::invalid_input("/inputs/record_types", message));
                }
            }
        }
        let folded = |list: &[String]| -> Vec<String> {
            let some = list.iter().filter(|text| !is_blank(text));
            some.map(|text| folded(text)).collect()
        };
        let filter = Filter {
            users: folded(wanted.users),
            record_types,
            workloads: CaseSensitive::new(wanted.workloads),
            operations: CaseSensitive::new(wanted.operations),
        };
        Failure::join(faults).map_or(Ok(filter), Err)
    }

    /// Returns whether the record matches.
    pub fn matches(&self, record: &Record<'_>) -> bool {
        self.has_type(record)
            && self.workloads.has(|| record.workload())
            && self.operations.has(|| record.operation())
            && has(&self.users, || record.users())
    }

    /// A warning for each wanted value that records have only in other case.
    pub fn warnings(&self) -> Vec<Warning> {
        let workloads = self.workloads.warnings("workload");
        let operations = self.operations.warnings("operation");
        workloads.into_iter().chain(operations).collect()
    }

    fn has_type(&self, record: &Record<'_>) -> bool {
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

impl CaseSensitive {
    fn new(list: &[String]) -> Self {
        let some = list.iter().filter(|text| !is_blank(text));
        CaseSensitive {
            wanted: some.map(|text| text.trim().to_owned()).collect(),
            found: Mutex::default(),
        }
    }

    fn has(&self, value: impl FnOnce() -> Option<String>) -> bool {
        if self.wanted.is_empty() {
            return true;
        }
        let Some(value) = value() else { return false };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if self.wanted.contains(&value) {
            found.equal.insert(value);
            return true;
        }
        let alike = self.wanted.iter();
        for wanted in alike.filter(|wanted| folded(wanted) == folded(&value)) {
            found.other_case.insert((wanted.clone(), value.clone()));
        }
        false
    }

    fn warnings(&self, what: &str) -> Vec<Warning> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = found.other_case.iter();
        let missed = missed.filter(|(wanted, _)| !found.equal.contains(wanted));
        let warnings = missed.map(|(wanted, other)| {
            let message = format!(
                "No record has the {what} \"{wanted}\", but some have \"{other}\". The filter is case-sensitive."
            );
            Warning::new("filter_case", message)
        });
        warnings.collect()
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

    fn matches(wanted: Wanted<'_>, record: &str) -> bool {
        let filter = Filter::new(wanted).expect("a filter");
        filter.matches(&Record::read(record).expect("JSON"))
    }

    #[test]
    fn record_must_match_every_list() {
        let record = r#"{"UserId":"Ada@Contoso.com","RecordType":15,"Workload":"AzureActiveDirectory","Operation":"UserLoggedIn"}"#;
        let (users, kinds) = (list(&[" ada@contoso.COM "]), list(&["1", "15"]));
        let operations = list(&[" UserLoggedIn "]);
        let none = Wanted::default();
        assert!(matches(none, record));
        let wanted = Wanted {
            users: &users,
            record_types: &kinds,
            operations: &operations,
            ..none
        };
        assert!(matches(wanted, record));
        let workloads = list(&["Exchange"]);
        assert!(!matches(
            Wanted {
                workloads: &workloads,
                ..wanted
            },
            record
        ));
        assert!(!matches(
            Wanted {
                users: &users,
                ..none
            },
            r#"{"UserId":null}"#
        ));
        assert!(!matches(
            Wanted {
                users: &users,
                ..none
            },
            "7"
        ));
    }

    #[test]
    fn record_type_is_a_number_or_a_name() {
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
                assert!(matches(wanted, record), "{kinds:?} {record}");
            }
            assert!(!matches(wanted, r#"{"RecordType":2}"#));
            assert!(!matches(wanted, "{}"));
        }
        let kinds = list(&["nonsense", "1", "other"]);
        let wanted = Wanted {
            record_types: &kinds,
            ..Wanted::default()
        };
        let faults = Filter::new(wanted).expect_err("two unknown names");
        assert_eq!(faults.split().len(), 2);
    }

    #[test]
    fn operation_in_other_case_is_reported() {
        let operations = list(&["DLPRuleMatch", "Send", "create"]);
        let wanted = Wanted {
            operations: &operations,
            ..Wanted::default()
        };
        let filter = Filter::new(wanted).expect("a filter");
        let matches = |record| filter.matches(&Record::read(record).expect("JSON"));
        assert!(!matches(r#"{"Operation":"DlpRuleMatch"}"#));
        assert!(matches(r#"{"Operation":"Send"}"#));
        assert!(!matches(r#"{"Operation":"send"}"#));
        assert!(!matches(r#"{"Operation":"Other"}"#));
        let messages: Vec<String> = filter.warnings().into_iter().map(|w| w.message).collect();
        assert_eq!(
            messages,
            [
                "No record has the operation \"DLPRuleMatch\", but some have \"DlpRuleMatch\". The filter is case-sensitive."
            ]
        );
    }

    #[test]
    fn blank_entry_is_ignored() {
        let blank = list(&["", "  "]);
        let wanted = Wanted {
            users: &blank,
            record_types: &blank,
            ..Wanted::default()
        };
        assert!(matches(wanted, "{}"));
    }
}
