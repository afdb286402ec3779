//! Which records a rule can match: its operations and workloads, and a quick scan of a record for
//! them.
//!
//! Most records match no rule, so they must not be parsed. The scan can accept too many records, and
//! never rejects one that a rule matches.

use std::collections::{BTreeSet, HashMap};

use memchr::memmem::Finder;
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SigmaRule,
    SigmaValue,
};

use crate::json::scan;
use crate::rules::fields::{Fields, NAME};

/// The values that a field must have, in lower case. `None`: any value.
pub(super) type Values = Option<BTreeSet<String>>;

fn both(one: Values, other: Values) -> Values {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.intersection(&other).cloned().collect()),
        (one, other) => one.or(other),
    }
}

fn either(one: Values, other: Values) -> Values {
    Some(one?.union(&other?).cloned().collect())
}

/// The values of a field with which a rule can match. An empty set: the rule never matches.
pub(super) fn values(rule: &Detections, read: &dyn Fn(&DetectionItem) -> Values) -> Values {
    let conditions = rule.conditions.iter();
    let values = conditions.map(|condition| of_condition(condition, rule, read));
    values.reduce(either).flatten()
}

fn of_condition(
    condition: &ConditionExpr,
    rule: &Detections,
    read: &dyn Fn(&DetectionItem) -> Values,
) -> Values {
    let of = |condition: &ConditionExpr| of_condition(condition, rule, read);
    match condition {
        ConditionExpr::Identifier(name) => of_detection(rule.named.get(name)?, read),
        ConditionExpr::And(parts) => parts.iter().map(of).fold(None, both),
        ConditionExpr::Or(parts) => parts.iter().map(of).reduce(either).flatten(),
        ConditionExpr::Not(_) => None,
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let named = rule.named.iter();
            let selected = named.filter(|(name, _)| pattern.matches_detection_name(name));
            let mut values = selected.map(|(_, detection)| of_detection(detection, read));
            match quantifier {
                Quantifier::All => values.fold(None, both),
                Quantifier::Count(0) => None,
                Quantifier::Any | Quantifier::Count(_) => {
                    let first = values.next()?;
                    values.fold(first, either)
                }
            }
        }
    }
}

fn of_detection(detection: &Detection, read: &dyn Fn(&DetectionItem) -> Values) -> Values {
    match detection {
        Detection::AllOf(items) => items.iter().map(read).fold(None, both),
        Detection::And(parts) => {
            let values = parts.iter().map(|part| of_detection(part, read));
            values.fold(None, both)
        }
        Detection::AnyOf(parts) => {
            let values = parts.iter().map(|part| of_detection(part, read));
            values.reduce(either).flatten()
        }
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
            None
        }
    }
}

/// The values of an item that compares whole texts.
pub(super) fn plain_values(item: &DetectionItem) -> Values {
    let is_plain = |modifier: &Modifier| *modifier == Modifier::Cased;
    if !item.field.modifiers.iter().all(is_plain) {
        return None;
    }
    let values = item.values.iter().map(|value| match value {
        SigmaValue::String(text) => Some(text.as_plain()?.to_lowercase()),
        SigmaValue::Integer(number) => Some(number.to_string()),
        _ => None,
    });
    values.collect()
}

/// The records that a rule can match.
#[derive(Debug)]
pub(super) struct Scope {
    /// The operations.
    pub(super) operations: Values,
    /// The workloads of the rule's log source and of its condition.
    pub(super) workloads: Values,
}

impl Scope {
    /// Reads the scope from a rule.
    pub(super) fn of(rule: &SigmaRule) -> Self {
        let table = Fields::get();
        let operations = values(&rule.detection, &|item| match target(item, table)? {
            "Operation" => plain_values(item),
            NAME => plain_values(item).map(|mut names| {
                // The name of an alert stands in records with these operations.
                let alerts = table.alert_operations.iter();
                names.extend(alerts.map(|name| name.to_lowercase()));
                names
            }),
            _ => None,
        });
        let workloads = values(&rule.detection, &|item| match target(item, table)? {
            "Workload" => plain_values(item),
            _ => None,
        });
        let service = rule.logsource.service.as_deref().unwrap_or("audit");
        let of_service = table.workloads(service).ok().flatten();
        let of_service = of_service.map(|list| list.iter().map(|one| one.to_lowercase()).collect());
        let is_other = |product: &String| !product.eq_ignore_ascii_case("m365");
        let of_product = rule
            .logsource
            .product
            .as_ref()
            .filter(|name| is_other(name));
        let of_product = of_product.map(|_| BTreeSet::new());
        Scope {
            operations,
            workloads: both(both(workloads, of_service), of_product),
        }
    }

    /// Can the rule match a record of this workload?
    pub(super) fn has_workload(&self, workload: &str) -> bool {
        let workloads = self.workloads.as_ref();
        let is_own = |known: &String| known.eq_ignore_ascii_case(workload);
        workloads.is_none_or(|known| known.iter().any(is_own))
    }
}

/// The member or computed field that an item reads.
fn target<'a>(item: &'a DetectionItem, table: &'a Fields) -> Option<&'a str> {
    let name = item.field.name.as_deref()?;
    Some(table.aliases.get(name).map_or(name, String::as_str))
}

/// Finds the rules that can match a record.
#[derive(Debug)]
pub(super) struct Selector {
    /// The rules of each operation, by its name in lower case.
    by_operation: HashMap<Vec<u8>, Vec<usize>>,
    /// The rules that can match any operation.
    any_operation: Vec<usize>,
    /// The workloads of the rules that can match any operation.
    workloads: Values,
    operation: Finder<'static>,
    workload: Finder<'static>,
}

/// The longest operation that is looked up without an allocation.
const LONGEST: usize = 128;

impl Selector {
    /// Collects the scopes of the rules, in their order.
    pub(super) fn new<'a>(scopes: impl Iterator<Item = &'a Scope>) -> Self {
        let mut by_operation: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let (mut any_operation, mut workloads) = (Vec::new(), Some(BTreeSet::new()));
        for (rule, scope) in scopes.enumerate() {
            if let Some(names) = &scope.operations {
                for name in names {
                    let rules = by_operation.entry(name.clone().into_bytes());
                    rules.or_default().push(rule);
                }
            } else {
                any_operation.push(rule);
                workloads = either(workloads, scope.workloads.clone());
            }
        }
        Selector {
            by_operation,
            any_operation,
            workloads,
            operation: Finder::new("\"Operation\""),
            workload: Finder::new("\"Workload\""),
        }
    }

    /// Can a rule match this record? Reads only the values of members named `Operation` and
    /// `Workload`, at any depth.
    pub(super) fn accepts(&self, record: &str) -> bool {
        let known = |operation: &[u8]| self.with_operation(operation).is_some();
        if any_value(record, &self.operation, known) {
            return true;
        }
        let Some(workloads) = &self.workloads else {
            return true;
        };
        let known = |workload: &[u8]| {
            let text = String::from_utf8_lossy(workload).to_lowercase();
            workloads.contains(&text)
        };
        !workloads.is_empty() && any_value(record, &self.workload, known)
    }

    /// The rules that can match a record with this operation.
    pub(super) fn rules(&self, operation: &str) -> impl Iterator<Item = usize> {
        let own = self.with_operation(operation.as_bytes());
        let own = own.into_iter().flatten().copied();
        own.chain(self.any_operation.iter().copied())
    }

    fn with_operation(&self, operation: &[u8]) -> Option<&Vec<usize>> {
        let mut buffer = [0; LONGEST];
        match buffer.get_mut(..operation.len()) {
            Some(lower) if operation.is_ascii() => {
                lower.copy_from_slice(operation);
                lower.make_ascii_lowercase();
                self.by_operation.get(&*lower)
            }
            _ => {
                let text = String::from_utf8_lossy(operation).to_lowercase();
                self.by_operation.get(text.as_bytes())
            }
        }
    }
}

/// Does a member with this name have a value that is accepted? Also true if the record has no such
/// member or a value is escaped, because then only a parser can tell.
fn any_value(record: &str, name: &Finder<'_>, accepts: impl Fn(&[u8]) -> bool) -> bool {
    let bytes = record.as_bytes();
    let mut found = false;
    for at in name.find_iter(bytes) {
        let colon = scan::skip_whitespace(bytes, at + name.needle().len());
        if bytes.get(colon) != Some(&b':') {
            continue;
        }
        found = true;
        let quote = scan::skip_whitespace(bytes, colon + 1);
        if bytes.get(quote) != Some(&b'"') {
            continue;
        }
        let (end, has_escapes) = scan::string_end_and_escapes(bytes, quote);
        let value = bytes
            .get(quote + 1..end.saturating_sub(1))
            .unwrap_or_default();
        if has_escapes || accepts(value) {
            return true;
        }
    }
    !found
}
