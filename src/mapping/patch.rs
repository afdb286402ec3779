//! Changes of a mapping by a request or a connection: custom fields, another root, another key.
//!
//! Checks names only. `compile` checks the result.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::definition::{Definition, Field, place, refusal};
use crate::names;
use crate::protocol::{ErrorKind, Failure, decode_object};

/// Changes to a mapping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingPatch {
    /// Fields that are added to each event source, after those of the mapping.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Field>,
    /// Names of fields that are removed. A custom field can also be named by its key (`__name`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// A new Main Event JSON Path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// A new Unique Event Key; null: the hash of the record's content.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>")]
    pub key: Option<Option<String>>,
}

/// Distinguishes null from a missing member.
#[allow(
    clippy::option_option,
    reason = "absent, null and text have different meanings"
)]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

impl MappingPatch {
    /// Parses the patch at `at` in a request. Checks the count first: parsing takes time for each
    /// field.
    pub fn from_object(object: &Map<String, Value>, at: &str) -> Result<Self, Failure> {
        MappingPatch::within_limits(object, at)?;
        decode_object(object, at, ErrorKind::InvalidMapping).map_err(|faults| {
            let unreadable = || refusal("The patch cannot be read.", at.to_owned());
            Failure::join(faults).unwrap_or_else(unreadable)
        })
    }

    /// Checks the number of changes.
    pub(crate) fn within_limits(object: &Map<String, Value>, at: &str) -> Result<(), Failure> {
        let list = |name| {
            object
                .get(name)
                .and_then(Value::as_array)
                .map_or(0, Vec::len)
        };
        within(list("add") + list("remove"), at)
    }
}

fn within(changes: usize, at: &str) -> Result<(), Failure> {
    if changes <= super::MAX_FIELDS {
        return Ok(());
    }
    let message = format!(
        "The patch has {changes} changes; at most {} are allowed.",
        super::MAX_FIELDS
    );
    Err(refusal(message, place(at, "")))
}

impl Definition {
    /// The changed definition. `origin` is the place of the patch.
    pub fn patched(&self, patch: &MappingPatch, origin: &str) -> Result<Self, Failure> {
        within(patch.add.len() + patch.remove.len(), origin)?;
        let (patched, faults) = self.patched_with_faults(patch, origin);
        Failure::join(faults).map_or(Ok(patched), Err)
    }

    /// The changed definition with every added field, and the faults of the patch.
    pub(crate) fn patched_with_faults(
        &self,
        patch: &MappingPatch,
        origin: &str,
    ) -> (Self, Vec<Failure>) {
        let mut patched = self.clone();
        let vocabulary = self.vocabulary;
        let mut faults = Vec::new();
        for (n, name) in patch.remove.iter().enumerate() {
            let named =
                |field: &Field| field.field == *name || field.event_name(vocabulary) == *name;
            let fields = || self.sources.iter().flat_map(|source| &source.fields);
            if !fields().any(named) {
                let known: Vec<&str> = fields().map(|field| field.field.as_str()).collect();
                let hint = names::suggestion(name, known);
                let message = format!("There is no field \"{name}\" to remove. {hint}");
                faults.push(refusal(message, place(origin, &format!("/remove/{n}"))));
            }
            for source in &mut patched.sources {
                source.fields.retain(|field| !named(field));
            }
        }
        for (n, added) in patch.add.iter().enumerate() {
            let name = added.event_name(vocabulary);
            let fields = patched.sources.iter().flat_map(|source| &source.fields);
            if fields
                .into_iter()
                .any(|field| field.event_name(vocabulary) == name)
            {
                let message = format!(
                    "The field \"{}\" is in the mapping already; name it in `remove` too to \
                     replace it.",
                    added.field
                );
                faults.push(refusal(message, place(origin, &format!("/add/{n}/field"))));
            }
            if let Some(last) = patched.sources.last_mut() {
                last.fields.push(added.clone());
            }
        }
        if let Some(root) = &patch.root {
            patched.root.clone_from(root);
        }
        if let Some(key) = &patch.key {
            patched.key.clone_from(key);
        }
        (patched, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn definition() -> Definition {
        let text = r#"{"mapping":1,"root":"$","sources":[
            {"id":"s","when":"@.x","fields":[{"field":"Severity","path":".s"}]},
            {"id":"d","fields":[{"field":"Severity","path":".sev"},
                {"field":"My Own","custom":true,"path":".o"}]}]}"#;
        Definition::parse(text, "m").expect("a definition")
    }

    fn patch(value: Value) -> MappingPatch {
        serde_json::from_value(value).expect("a patch")
    }

    #[test]
    fn field_is_removed_from_every_source_and_added_to_the_last() {
        let patch = patch(json!({
            "remove": ["Severity", "__My_Own"],
            "add": [{"field": "Severity", "path": ".level"}], "root": "$.value", "key": ".id"
        }));
        let patched = definition().patched(&patch, "/mapping").expect("patched");
        assert!(patched.sources[0].fields.is_empty());
        assert_eq!(patched.sources[1].fields.len(), 1);
        assert_eq!(patched.sources[1].fields[0].path.as_deref(), Some(".level"));
        assert_eq!(
            (patched.root.as_str(), patched.key.as_deref()),
            ("$.value", Some(".id"))
        );
    }

    #[test]
    fn null_as_key_differs_from_no_key() {
        assert_eq!(patch(json!({})).key, None);
        assert_eq!(patch(json!({"key": null})).key, Some(None));
    }

    #[test]
    fn change_that_cannot_be_made_is_refused_with_the_nearest_name() {
        let patch = patch(json!({
            "remove": ["Severty"], "add": [{"field": "My Own", "custom": true, "path": ".x"}]
        }));
        let failure = definition().patched(&patch, "/mapping").expect_err("two");
        assert!(failure.message().contains("Did you mean \"Severity\"?"));
        assert!(
            failure
                .message()
                .contains("\"My Own\" is in the mapping already")
        );
        assert_eq!(failure.place(), Some("/mapping/remove/0"));
    }
}
