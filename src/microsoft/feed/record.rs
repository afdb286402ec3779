//! The members of an audit record that filters and deduplication need.
//!
//! Reads them in one pass, which also checks that the record is JSON. If a member is repeated, the
//! last one counts. Ignores case only inside the data-loss-prevention objects, where the
//! documentation and the service differ. Does not interpret the record.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::document::members;
use crate::json::whitespace::compact;

/// The members of a record.
#[derive(Debug, Default)]
pub struct Record<'a> {
    id: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    workload: Option<&'a RawValue>,
    operation: Option<&'a RawValue>,
    /// The objects that name the people if `UserId` names only an agent.
    metadata: Vec<&'a RawValue>,
}

impl<'a> Record<'a> {
    /// Reads a record. Errors: why it is not JSON. JSON that is not an object has no members.
    pub fn read(text: &'a str) -> Result<Self, String> {
        let checked = || compact(text).map(|_| ()).map_err(|error| error.0);
        if !text.starts_with('{') {
            return checked().map(|()| Record::default());
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let record = reader.deserialize_map(Members).map_err(|e| e.to_string())?;
        reader.end().map_err(|e| e.to_string())?;
        Ok(record)
    }

    /// The id.
    pub fn id(&self) -> Option<String> {
        text(self.id?).filter(|id| !id.is_empty())
    }

    /// The workload.
    pub fn workload(&self) -> Option<String> {
        text(self.workload?)
    }

    /// The operation.
    pub fn operation(&self) -> Option<String> {
        text(self.operation?)
    }

    /// The record type as received: a number, or text in some exports.
    pub fn kind(&self) -> Option<String> {
        let raw = self.kind?;
        text(raw).or_else(|| Some(raw.get().to_owned()))
    }

    /// The users: `UserId`, and the people in data-loss-prevention records, whose `UserId` names an
    /// agent.
    pub fn users(&self) -> Vec<String> {
        let people = self
            .metadata
            .iter()
            .flat_map(|object| people_in(object.get()));
        self.user.and_then(text).into_iter().chain(people).collect()
    }
}

/// Members of a data-loss-prevention object that name a person.
const PEOPLE: [&str; 4] = [
    "from",
    "fileowner",
    "documentlastmodifier",
    "documentsharer",
];

fn people_in(object: &str) -> Vec<String> {
    let members = members(object).unwrap_or_default();
    members
        .iter()
        .filter(|member| PEOPLE.contains(&member.name().to_ascii_lowercase().as_str()))
        .filter_map(|member| serde_json::from_str(member.value()).ok())
        .collect()
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut record = Record::default();
        // None of these names is written with escapes.
        while let Some(name) = map.next_key::<&RawValue>()? {
            match name.get() {
                "\"Id\"" => record.id = Some(map.next_value()?),
                "\"UserId\"" => record.user = Some(map.next_value()?),
                "\"RecordType\"" => record.kind = Some(map.next_value()?),
                "\"Workload\"" => record.workload = Some(map.next_value()?),
                "\"Operation\"" => record.operation = Some(map.next_value()?),
                "\"ExchangeMetaData\"" | "\"SharePointMetaData\"" | "\"EndpointMetaData\"" => {
                    record.metadata.push(map.next_value()?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_of_repeated_members_counts() {
        let text = r#"{"Id":"a","RecordType":"15","UserId":"x","UserId":"Ada@x","Workload":null,"n":1e400}"#;
        let record = Record::read(text).expect("JSON");
        assert_eq!(record.id().as_deref(), Some("a"));
        assert_eq!(record.kind().as_deref(), Some("15"));
        assert_eq!(record.users(), ["Ada@x"]);
        assert_eq!(record.workload(), None);
        let number = Record::read(r#"{"RecordType":9999,"Id":""}"#).expect("JSON");
        assert_eq!(
            (number.kind().as_deref(), number.id()),
            (Some("9999"), None)
        );
    }

    #[test]
    fn data_loss_prevention_record_has_people_in_its_metadata() {
        let text = r#"{"UserId":"DlpAgent","ExchangeMetaData":{"From":"ada@x","To":["bo@x"]},
            "SharePointMetaData":{"FileOwner":"cy@x","from":7}}"#;
        let record = Record::read(text).expect("JSON");
        assert_eq!(record.users(), ["DlpAgent", "ada@x", "cy@x"]);
    }

    #[test]
    fn invalid_json_is_refused_and_other_values_have_no_members() {
        for text in ["{", "{\"a\":}", "{\"a\":1}x", "nul", "{\"a\":tru}"] {
            assert!(Record::read(text).is_err(), "{text}");
        }
        for text in ["null", "7", "[1]", "\"x\""] {
            assert_eq!(Record::read(text).expect("JSON").id(), None, "{text}");
        }
    }
}
