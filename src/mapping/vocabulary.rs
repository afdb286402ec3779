//! The list of standard event fields, `mappings/fields.json`.
//!
//! `lint` compares the fields of mappings with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::{FieldType, place, refusal};
use crate::protocol::{ErrorKind, Failure, decode_object, strict_object};

/// The file of standard event fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandardFields {
    /// The address of this file's schema, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of the file format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub fields: u64,
    /// The fields, in the order of the reference page.
    pub names: Vec<StandardField>,
}

/// One standard field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandardField {
    /// The field's name in events.
    pub name: String,
    /// The usual type of the values.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// The meaning of the field, in one sentence.
    pub summary: String,
}

impl StandardFields {
    /// Parses the file. `origin` is its name in faults.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        let object =
            strict_object(text).map_err(|failure| refusal(failure.message(), origin.to_owned()))?;
        let at = place(origin, "");
        let read: Result<StandardFields, _> =
            decode_object(&object, &at, ErrorKind::InvalidMapping);
        let file = read.map_err(|faults| {
            Failure::join(faults)
                .unwrap_or_else(|| refusal("The fields cannot be read.", origin.to_owned()))
        })?;
        let mut faults = Vec::new();
        if file.fields != 1 {
            let message = format!(
                "`fields` must be 1, the version of the format; got {}.",
                file.fields
            );
            faults.push(refusal(message, place(origin, "/fields")));
        }
        for (n, field) in file.names.iter().enumerate() {
            if file.names[..n].iter().any(|other| other.name == field.name) {
                let message = format!("The field \"{}\" is defined twice. Remove one.", field.name);
                faults.push(refusal(message, place(origin, &format!("/names/{n}/name"))));
            }
        }
        Failure::join(faults).map_or(Ok(file), Err)
    }
}

/// The names of the standard fields.
pub fn vocabulary(text: &str) -> Result<Vec<String>, Failure> {
    let file = StandardFields::parse(text, "mappings/fields.json")?;
    Ok(file.names.into_iter().map(|field| field.name).collect())
}
