//! Record types of audit records: their numbers and names.
//!
//! The number identifies a type. Microsoft's two lists of names (the schema document and Graph's
//! metadata) contradict each other for some numbers, so a name can have several numbers. Does not
//! reject unknown numbers: new ones are used before they are documented. Each row of
//! `record_types.json` has the number, Graph's name, and the schema document's name if it differs.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::microsoft::search::RecordTypeNames;
use crate::names::{alike, nearest};

/// A number and its names.
type Row = (i64, Vec<String>);

fn table() -> &'static [Row] {
    static TABLE: OnceLock<Vec<Row>> = OnceLock::new();
    TABLE.get_or_init(|| {
        // A test parses it, so this never fails.
        serde_json::from_str(include_str!("record_types.json")).unwrap_or_default()
    })
}

/// The numbers of a type, given as a number or as a name in any case.
///
/// Errors: a message with the most similar name.
pub fn numbers(wanted: &str) -> Result<Vec<i64>, String> {
    let wanted = wanted.trim();
    if let Ok(number) = wanted.parse() {
        return Ok(vec![number]);
    }
    let has_name = |row: &&Row| row.1.iter().any(|name| alike(name, wanted));
    let found: Vec<i64> = table().iter().filter(has_name).map(|row| row.0).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    Err(unknown(wanted, "A number is always accepted."))
}

/// Names to list if none is similar: there are several hundred.
const COMMON: [&str; 8] = [
    "AzureActiveDirectory",
    "AzureActiveDirectoryStsLogon",
    "ExchangeAdmin",
    "ExchangeItem",
    "MicrosoftTeams",
    "SharePointFileOperation",
    "SecurityComplianceAlerts",
    "ComplianceDLPExchange",
];

fn unknown(wanted: &str, allowed: &str) -> String {
    let names = table()
        .iter()
        .flat_map(|row| row.1.iter().map(String::as_str));
    let folded = wanted.to_ascii_lowercase();
    let begins = |name: &&str| name.to_ascii_lowercase().starts_with(&folded);
    let longer: BTreeSet<&str> = names.clone().filter(begins).collect();
    let longer: Vec<&str> = longer.into_iter().collect();
    let hint = if wanted.len() > 2 && longer.len() > 1 {
        format!(" Names that begin with it: {}.", longer.join(", "))
    } else {
        let similar = nearest(wanted, names).map(|name| format!(" Did you mean \"{name}\"?"));
        similar.unwrap_or_else(|| format!(" Common names: {}.", COMMON.join(", ")))
    };
    format!("There is no record type named \"{wanted}\".{hint} {allowed}")
}

/// The names of a type for searches, given as a number or as a name in any case. The spelling of one
/// of the names is kept: Exchange Online accepts the beginning of a name and then finds nothing.
///
/// Errors: a message with the most similar name.
pub fn names(wanted: &str) -> Result<RecordTypeNames, String> {
    let wanted = wanted.trim();
    let number: Option<i64> = wanted.parse().ok();
    let is_wanted = |row: &&Row| match number {
        Some(number) => row.0 == number,
        None => row.1.iter().any(|name| alike(name, wanted)),
    };
    let Some((_, names)) = table().iter().find(is_wanted) else {
        return Err(match number {
            Some(_) => format!("There is no record type with the number {wanted}."),
            None => unknown(wanted, "Use one of the names exactly, or its number."),
        });
    };
    let exact = names.iter().find(|name| *name == wanted).or(names.first());
    Ok(RecordTypeNames {
        exchange: exact.cloned().unwrap_or_default(),
        graph: camel_case(names.first().map_or("", String::as_str)),
    })
}

/// The name as Graph spells it: `exchangeAdmin`, `crm`, `dlpEndpoint`, `aeD`.
fn camel_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let is_upper = |n: usize| letters.get(n).is_some_and(char::is_ascii_uppercase);
    let lower_until = (0..letters.len())
        .find(|n| !is_upper(*n) || *n > 0 && *n + 1 < letters.len() && !is_upper(*n + 1))
        .unwrap_or(letters.len());
    let (first, rest) = letters.split_at(lower_until);
    let first = first.iter().map(char::to_ascii_lowercase);
    first.chain(rest.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_complete_and_in_order() {
        let numbers: Vec<i64> = table().iter().map(|row| row.0).collect();
        assert_eq!(numbers.len(), 472);
        assert!(numbers.is_sorted());
        assert!(table().iter().all(|row| !row.1.is_empty()));
    }

    #[test]
    fn names_for_searches_are_spelled_exactly() {
        let found = |wanted| names(wanted).map(|names| (names.exchange, names.graph));
        for (wanted, exchange, graph) in [
            ("exchangeadmin", "ExchangeAdmin", "exchangeAdmin"),
            ("1", "ExchangeAdmin", "exchangeAdmin"),
            (
                "ComplianceDLPExchange",
                "ComplianceDLPExchange",
                "complianceDLPExchange",
            ),
            ("CRM", "CRM", "crm"),
            ("AeD", "AeD", "aeD"),
        ] {
            assert_eq!(found(wanted), Ok((exchange.to_owned(), graph.to_owned())));
        }
        assert_eq!(camel_case("HRSignal"), "hrSignal");
        let message = found("ExchangeAdm").expect_err("the beginning of a name");
        assert!(
            message.contains("Did you mean \"ExchangeAdmin\"?"),
            "{message}"
        );
        assert!(found("9999999").is_err());
    }

    #[test]
    fn type_is_found_by_number_or_name() {
        assert_eq!(numbers(" 15 "), Ok(vec![15]));
        assert_eq!(numbers("99999"), Ok(vec![99999]));
        assert_eq!(numbers("exchangeadmin"), Ok(vec![1]));
        assert_eq!(numbers("Viva Engage"), numbers("yammer"));
        // The two lists have different numbers for this name.
        assert_eq!(numbers("CrossTenantAccessPolicy"), Ok(vec![370, 372]));
        let message = numbers("ExchangeAdmn").expect_err("no such name");
        assert!(message.contains("ExchangeAdmin"), "{message}");
    }
}
