//! Searches of the unified audit log: what Exchange Online and Graph have in common.
//!
//! Has the filters and the found records. Does not send requests: `exchange` and
//! `graph::audit_query` do.

use chrono::{DateTime, Utc};

use crate::json::Document;
use crate::json::document::members;
use crate::when::instant;

/// The broken rule of a failure that means that the tenant records no audit log.
pub const AUDITING_OFF: &str = "auditing_off";

/// The records that a search looks for, apart from its window.
#[derive(Clone, Debug, Default)]
pub struct SearchFilter {
    /// Text anywhere in a record.
    pub free_text: Option<String>,
    /// The names of the record type.
    pub record_type: Option<RecordTypeNames>,
    /// Addresses of clients.
    pub ip_addresses: Vec<String>,
    /// Operations.
    pub operations: Vec<String>,
    /// Users.
    pub users: Vec<String>,
}

/// The names of a record type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordTypeNames {
    /// For Exchange Online.
    pub exchange: String,
    /// For Graph.
    pub graph: String,
}

/// A found audit record.
#[derive(Clone, Debug)]
pub struct FoundRecord {
    /// The record's id; empty if it has none.
    pub id: String,
    /// The time of the event.
    pub time: Option<DateTime<Utc>>,
    /// The record.
    pub record: Document,
}

impl FoundRecord {
    /// Reads the id and the time of a record. If a member is repeated, the last one counts.
    pub fn new(record: Document) -> Self {
        let found = members(record.text()).unwrap_or_default();
        let text = |name: &str| -> Option<String> {
            let member = found.iter().rfind(|member| member.name() == name)?;
            serde_json::from_str(member.value()).ok()
        };
        let (id, time) = (text("Id").unwrap_or_default(), text("CreationTime"));
        let time = time.and_then(|time| instant(&time, &[]));
        FoundRecord { id, time, record }
    }

    /// Identifies the record: its id, or its text if it has none.
    pub fn key(&self) -> &str {
        match self.id.as_str() {
            "" => self.record.text(),
            id => id,
        }
    }
}
