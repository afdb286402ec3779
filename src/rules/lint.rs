//! Warnings about rules that can be evaluated, but cannot find what their authors look for.
//! Runs for `validate` only: a run never refuses such a rule.

use std::collections::BTreeSet;

use rsigma_parser::{ConditionExpr, SigmaRule};

use crate::names::suggestion;
use crate::rules::compile::{self, Section};
use crate::rules::fields::Fields;
use crate::rules::scope::{Scope, plain_values, values};
use crate::rules::{RuleFault, Severity};

/// Members with one value, so that no record can have two of them.
const SINGLE: [&str; 8] = [
    "Operation",
    "Workload",
    "RecordType",
    "UserId",
    "ResultStatus",
    "eventName",
    "eventSource",
    "status",
];

/// The warnings of all sections.
pub(super) fn lint(sections: &[Section<'_>]) -> Vec<RuleFault> {
    let mut warnings = Vec::new();
    for section in sections {
        for rule in &section.content.rules {
            let found = log_source(rule)
                .into_iter()
                .chain(never(rule))
                .chain(fields(rule));
            warnings.extend(found.map(|(word, message, advice)| RuleFault {
                severity: Severity::Warning,
                position: section.find_value(&word).or_else(|| section.find("title:")),
                advice: Some(advice),
                ..RuleFault::error(section.source, message)
            }));
        }
    }
    warnings
}

/// A word of the rule, the message and the advice.
type Finding = (String, String, String);

fn log_source(rule: &SigmaRule) -> Option<Finding> {
    let source = &rule.logsource;
    if let Some(product) = &source.product
        && !product.eq_ignore_ascii_case("m365")
    {
        let message =
            format!("No record matches the log source: `product` must be m365; got {product}.");
        let advice = "Use `product: m365` for audit records.".to_owned();
        return Some(("product:".to_owned(), message, advice));
    }
    let service = source.service.as_deref()?;
    let known = Fields::get().workloads(service).err()?;
    let hint = suggestion(service, known);
    let message = format!("The service {service} is unknown, so it selects every record. {hint}");
    let advice = "Use one of the known services, or `audit` for every record.".to_owned();
    Some(("service:".to_owned(), message, advice))
}

/// A condition that no record can meet.
fn never(rule: &SigmaRule) -> Option<Finding> {
    let found = |what: String| {
        let message = format!("The condition is never true: {what}.");
        let advice = "Join the selections with `or`, or correct their values.".to_owned();
        Some(("condition:".to_owned(), message, advice))
    };
    for field in SINGLE {
        let values = values(&rule.detection, &|item| {
            let is_own = item.field.name.as_deref() == Some(field);
            is_own.then(|| plain_values(item)).flatten()
        });
        if values.is_some_and(|values| values.is_empty()) {
            return found(format!("{field} would need two values at once"));
        }
    }
    if rule.detection.conditions.iter().all(contradicts) {
        return found("a selection is both required and excluded".to_owned());
    }
    let is_ours = log_source(rule).is_none();
    let workloads = Scope::of(rule).workloads.filter(|_| is_ours);
    if workloads.is_some_and(|workloads| workloads.is_empty()) {
        return found("the log source has no records of this workload".to_owned());
    }
    None
}

/// `x and not x`.
fn contradicts(condition: &ConditionExpr) -> bool {
    let ConditionExpr::And(parts) = condition else {
        return false;
    };
    let is_excluded = |part: &ConditionExpr| {
        let mut others = parts.iter();
        others.any(|other| matches!(other, ConditionExpr::Not(inner) if **inner == *part))
    };
    parts.iter().any(is_excluded) || parts.iter().any(contradicts)
}

/// Fields that records of the log source cannot have.
fn fields(rule: &SigmaRule) -> Vec<Finding> {
    let table = Fields::get();
    let service = rule.logsource.service.as_deref().unwrap_or("audit");
    let workloads = table.workloads(service).unwrap_or_default();
    let known = table.members(workloads);
    let items = compile::items(&rule.detection);
    let names: BTreeSet<&str> = items
        .iter()
        .filter_map(|item| item.field.name.as_deref())
        .collect();
    let is_unknown = |name: &&str| {
        let root = name.split(['.', '[']).next().unwrap_or(name);
        !known.contains(name) && !known.contains(&root) && !table.aliases.contains_key(*name)
    };
    let unknown = names.into_iter().filter(is_unknown);
    let finding = |name: &str| {
        let list = known
            .iter()
            .copied()
            .chain(table.aliases.keys().map(String::as_str));
        let near = crate::names::nearest(name, list);
        let hint = near
            .map(|near| format!(" Did you mean {near}?"))
            .unwrap_or_default();
        let message = format!("Records of the service {service} have no field {name}.{hint}");
        let advice = "Check the name in the audit schema. Values of lists are fields such as \
                      Parameters.ForwardTo."
            .to_owned();
        (name.to_owned(), message, advice)
    };
    unknown.map(finding).collect()
}
