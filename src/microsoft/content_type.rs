//! The content types of the activity feed. [`ContentType::ALL`] is the only list of them.
//!
//! Input can have any case; requests have the service's spelling. Does not depend on a service
//! client.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names::alike;

/// A content type of the activity feed. States list them in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentType {
    /// Entra ID.
    AzureActiveDirectory,
    /// Exchange.
    Exchange,
    /// All other workloads.
    General,
    /// `SharePoint` and `OneDrive`.
    SharePoint,
    /// Data loss prevention, of all workloads.
    Dlp,
}

impl ContentType {
    /// All content types, in the service's order.
    pub const ALL: [ContentType; 5] = [
        ContentType::AzureActiveDirectory,
        ContentType::Exchange,
        ContentType::SharePoint,
        ContentType::General,
        ContentType::Dlp,
    ];

    /// The service's spelling.
    pub fn name(self) -> &'static str {
        match self {
            ContentType::AzureActiveDirectory => "Audit.AzureActiveDirectory",
            ContentType::Exchange => "Audit.Exchange",
            ContentType::SharePoint => "Audit.SharePoint",
            ContentType::General => "Audit.General",
            ContentType::Dlp => "DLP.All",
        }
    }

    /// What its records are about.
    pub fn contains(self) -> &'static str {
        match self {
            ContentType::AzureActiveDirectory => {
                "Sign-ins, and changes of users, groups, roles and applications in Microsoft Entra ID."
            }
            ContentType::Exchange => "Mail, mailboxes, calendars, and administration of Exchange.",
            ContentType::SharePoint => "Files and sites of SharePoint and OneDrive.",
            ContentType::General => {
                "All other workloads, such as Teams, Power BI, Defender and the compliance center."
            }
            ContentType::Dlp => "Matches of data loss prevention policies, of all workloads.",
        }
    }

    /// The content type that contains the records of this workload and operation.
    pub fn of_record(workload: &str, operation: &str) -> Self {
        let has_prefix = |prefix: &str| {
            let start = operation.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        match workload {
            _ if has_prefix("DLPRule") => ContentType::Dlp,
            "AzureActiveDirectory" => ContentType::AzureActiveDirectory,
            "Exchange" => ContentType::Exchange,
            "SharePoint" | "OneDrive" => ContentType::SharePoint,
            _ => ContentType::General,
        }
    }

    /// The content type with this name, in any spelling.
    pub fn parse(text: &str) -> Option<Self> {
        ContentType::ALL
            .into_iter()
            .find(|known| alike(known.name(), text))
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for ContentType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        ContentType::parse(&text).ok_or_else(|| {
            let names = ContentType::ALL.map(ContentType::name).join(", ");
            serde::de::Error::custom(format!("invalid value, expected one of {names}"))
        })
    }
}

impl JsonSchema for ContentType {
    fn schema_name() -> Cow<'static, str> {
        "ContentType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A content type of the activity feed.",
            "enum": ContentType::ALL.map(ContentType::name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_type_parses_in_any_spelling_and_serializes_in_the_services() {
        for kind in ContentType::ALL {
            let lower = kind.name().to_lowercase();
            assert_eq!(ContentType::parse(&lower), Some(kind));
        }
        let read: ContentType = serde_json::from_str("\"dlp_all\"").expect("a content type");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), "\"DLP.All\"");
        let error = serde_json::from_str::<ContentType>("\"Audit.Exchang\"").expect_err("none");
        assert!(
            error
                .to_string()
                .contains("expected one of Audit.AzureActiveDirectory, ")
        );
    }
}
