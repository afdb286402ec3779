//! One audit record, as far as a filter and a ledger have to look into it.
//!
//! A record stays bytes; only the few members that decide are read, in one pass that also checks
//! that the record is JSON. Of a member that stands twice the last one counts. Names differ in
//! case between documentation and wire only inside the loss-prevention objects.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::document::members;
use crate::json::whitespace::compact;

/// What is read of a record.
#[derive(Debug, Default)]
pub struct Record<'a> {
    id: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    workload: Option<&'a RawValue>,
    operation: Option<&'a RawValue>,
    /// The objects that hold who acted where `UserId` names only an agent.
    about: Vec<&'a RawValue>,
}

impl<'a> Record<'a> {
    /// Reads a record; the error says what is wrong with its JSON. What is JSON but no object has
    /// no members.
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

    /// Its id.
    pub fn id(&self) -> Option<String> {
        text(self.id?).filter(|id| !id.is_empty())
    }

    /// The workload it comes from.
    pub fn workload(&self) -> Option<String> {
        text(self.workload?)
    }

    /// What was done.
    pub fn operation(&self) -> Option<String> {
        text(self.operation?)
    }

    /// The record type as received: a number, some exports write it as text.
    pub fn kind(&self) -> Option<String> {
        let raw = self.kind?;
        text(raw).or_else(|| Some(raw.get().to_owned()))
    }

    /// Who acted: `UserId`, and in loss-prevention records, where that names an agent, the people
    /// that the record is about.
    pub fn users(&self) -> Vec<String> {
        let about = self.about.iter().flat_map(|object| people(object.get()));
        self.user.and_then(text).into_iter().chain(about).collect()
    }
}

/// Members of a loss-prevention object that name a person.
const PEOPLE: [&str; 4] = [
    "from",
    "fileowner",
    "documentlastmodifier",
    "documentsharer",
];

fn people(object: &str) -> Vec<String> {
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
        // Names with escapes in them are none of these.
        while let Some(name) = map.next_key::<&RawValue>()? {
            match name.get() {
                "\"Id\"" => record.id = Some(map.next_value()?),
                "\"UserId\"" => record.user = Some(map.next_value()?),
                "\"RecordType\"" => record.kind = Some(map.next_value()?),
                "\"Workload\"" => record.workload = Some(map.next_value()?),
                "\"Operation\"" => record.operation = Some(map.next_value()?),
                "\"ExchangeMetaData\"" | "\"SharePointMetaData\"" | "\"EndpointMetaData\"" => {
                    record.about.push(map.next_value()?);
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
    fn the_deciding_members_are_read_and_the_last_of_two_counts() {
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
    fn loss_prevention_names_people_elsewhere() {
        let text = r#"{"UserId":"DlpAgent","ExchangeMetaData":{"From":"ada@x","To":["bo@x"]},
            "SharePointMetaData":{"FileOwner":"cy@x","from":7}}"#;
        let record = Record::read(text).expect("JSON");
        assert_eq!(record.users(), ["DlpAgent", "ada@x", "cy@x"]);
    }

    #[test]
    fn what_is_not_json_is_refused_and_what_is_no_object_has_no_members() {
        for text in ["{", "{\"a\":}", "{\"a\":1}x", "nul", "{\"a\":tru}"] {
            assert!(Record::read(text).is_err(), "{text}");
        }
        for text in ["null", "7", "[1]", "\"x\""] {
            assert_eq!(Record::read(text).expect("JSON").id(), None, "{text}");
        }
    }
}
