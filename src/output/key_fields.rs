//! Indicators: the distinct values of declared paths, in document order.
//!
//! Null and empty strings are not indicators. Values are unchanged JSON text.

use std::collections::HashSet;

use crate::json::Document;
use crate::manifest::outputs::KeyField;
use crate::mapping::Extractor;
use crate::protocol::Failure;
use crate::protocol::failure::ErrorKind;
use crate::protocol::result::KeyFields;

/// Extracts every declared indicator. Each is an array, which can be empty.
pub(super) fn extract(raw: &Document, declared: &[KeyField]) -> Result<KeyFields, Failure> {
    let paths = declared.iter().flat_map(|field| {
        field
            .paths
            .iter()
            .map(|path| (field.name.as_str(), path.as_str()))
    });
    let extractor = Extractor::compile(paths, "outputs")?;
    let mut found = extractor.run(raw)?.into_iter();
    let mut text = String::from("{");
    for (n, field) in declared.iter().enumerate() {
        let values = found
            .by_ref()
            .take(field.paths.len())
            .flat_map(|found| found.values);
        if n > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(field.name.as_str()).to_string());
        text.push(':');
        push_distinct(values, &mut text);
    }
    text.push('}');
    Document::parse(&text).map(KeyFields).map_err(|error| {
        Failure::new(
            ErrorKind::Internal,
            format!("The key fields are not JSON: {error}."),
        )
    })
}

fn push_distinct<'a>(values: impl Iterator<Item = &'a str>, text: &mut String) {
    let mut seen = HashSet::new();
    text.push('[');
    for value in values {
        if value == "null" || value == "\"\"" || seen.contains(value) {
            continue;
        }
        if !seen.is_empty() {
            text.push(',');
        }
        text.push_str(value);
        seen.insert(value);
    }
    text.push(']');
}
