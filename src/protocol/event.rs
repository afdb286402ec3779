//! One mapped event: a key, the source that matched, ordered fields whose values are JSON text.
//!
//! Values keep the digits and escapes they were received with, which is why they are text here and
//! not a tree.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// A mapped event.
#[derive(Clone, Debug, serde::Serialize, JsonSchema)]
pub struct Event {
    /// The Unique Event Key, or `sha256:` and the hash of the record's canonical form.
    pub key: String,
    /// The event source whose condition held.
    pub source: Arc<str>,
    /// The fields in the order of the mapping file; one that matched nothing is absent.
    pub fields: Fields,
}

/// Field names and values, in order.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(Arc<str>, Box<RawValue>)>);

impl Fields {
    /// The value of a field, as JSON text.
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
