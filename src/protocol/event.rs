//! A mapped event: its key, its source, and its fields in order.
//!
//! Values are JSON text, not trees, so digits and escapes are unchanged.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// A mapped event.
#[derive(Clone, Debug, serde::Serialize, JsonSchema)]
pub struct Event {
    /// The value of the Unique Event Key, or `sha256:` and the hash of the record's canonical form.
    pub key: String,
    /// The event source whose condition matched.
    pub source: Arc<str>,
    /// The fields in the order of the mapping file, without those that matched nothing.
    pub fields: Fields,
}

/// Field names and values, in order.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(Arc<str>, Box<RawValue>)>);

impl Fields {
    /// The JSON text of a field's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| &**field == name)
            .map(|(_, value)| value.get())
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

impl JsonSchema for Fields {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fields".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Field names and values, in the order of the mapping file.",
            "additionalProperties": true
        })
    }
}
