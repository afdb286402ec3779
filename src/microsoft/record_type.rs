//! Record types of audit records: their numbers and names.
//!
//! The number identifies a type. Microsoft's two lists of names (the schema document and Graph's
//! metadata) contradict each other for some numbers, so a name can have several numbers. Does not
//! reject unknown numbers: new ones are used before they are documented. Each row of
//! `record_types.json` has the number, Graph's name, and the schema document's name if it differs.

use std::sync::OnceLock;

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
    let names = table()
        .iter()
        .flat_map(|row| row.1.iter().map(String::as_str));
    let hint = nearest(wanted, names).map(|name| format!(" Did you mean \"{name}\"?"));
    Err(format!(
        "There is no record type named \"{wanted}\".{} A number is always accepted.",
        hint.unwrap_or_default()
    ))
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
