//! What a world says about the content of the activity feed: blobs made up by number, and blobs
//! written out.
//!
//! It deliberately makes nothing: which blobs that comes to is laid out in `data/content_store.rs`, what stands
//! in them is made in `data/audit.rs`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The content types, in their only spelling.
pub(crate) const CONTENT_TYPES: [&str; 5] = [
    "Audit.AzureActiveDirectory",
    "Audit.Exchange",
    "Audit.SharePoint",
    "Audit.General",
    "DLP.All",
];

/// The content of the activity feed, the same for every tenant but for the identifiers in it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Content {
    /// Blobs that are made up.
    pub generated: Vec<GeneratedContent>,
    /// Blobs that are written out.
    pub blobs: Vec<LiteralBlob>,
}

/// Made-up blobs of one content type.
///
/// There are `blobs * records` places for records. Of them
/// `min(blobs * records * repeated_percent / 100, (blobs - 1) * records)`, rounded down, hold a
/// byte-identical repeat; all others hold a record with an `Id` of its own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneratedContent {
    /// One of the five content types.
    #[serde(rename = "type")]
    pub content_type: String,
    /// How many blobs.
    pub blobs: usize,
    /// How many records are in each blob. Default 5.
    #[serde(default = "five")]
    pub records: usize,
    /// Over how many hours before the start the blobs are spread, evenly and strictly inside. 1 to 168,
    /// default 24: a listing without bounds finds all.
    #[serde(default = "day")]
    pub hours: u32,
    /// How many percent of the records repeat one of an earlier blob of this entry. Default 0.
    #[serde(default)]
    pub repeated_percent: u8,
    /// How many blobs are listed but have expired (AF20051). Default 0.
    #[serde(default)]
    pub expired: usize,
    /// How many further blobs are listed but do not exist (AF20050). Default 0.
    #[serde(default)]
    pub missing: usize,
    /// To about how many bytes a record is padded. Left out or null: not at all.
    #[serde(default)]
    pub record_bytes: Option<usize>,
    /// How many further blobs become available in an hour, evenly, while the clock runs
    /// (`soarhost simulate`). 0 to 36,000, default 60: the first one a minute after the start.
    #[serde(default)]
    pub per_hour: Option<u32>,
}

/// A blob that is written out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiteralBlob {
    /// One of the five content types.
    #[serde(rename = "type")]
    pub content_type: String,
    /// When it becomes available. Left out: an hour before the start. Before that time, no listing
    /// names it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub created: Option<DateTime<Utc>>,
    /// Its records, byte for byte and in this order, whatever the token's roles.
    #[serde(default)]
    #[schemars(with = "Vec<Value>")]
    pub records: Vec<Box<RawValue>>,
    /// Its id. Left out: one of the usual shape, made up.
    #[serde(default)]
    pub id: Option<String>,
    /// Until when it can be had. Left out: seven days after it was created.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub expires: Option<DateTime<Utc>>,
    /// Whether it has expired (AF20051), whatever `expires` says.
    #[serde(default)]
    pub expired: bool,
    /// Whether it is listed but does not exist (AF20050).
    #[serde(default)]
    pub missing: bool,
    /// What listings give as `contentUri`; `{management}` in it stands for the simulator's own
    /// address of the service. Left out: the blob's address.
    #[serde(default)]
    pub uri: Option<String>,
    /// The body that is sent instead of an array of records.
    #[serde(default)]
    pub body: Option<String>,
    /// Answers every download with this status and an empty body.
    #[serde(default)]
    pub status: Option<u16>,
    /// How often listings name it. Default 1; 0: it can be had but is not listed.
    #[serde(default = "once")]
    pub listed: usize,
}

impl Content {
    /// What there is when a world says nothing: six blobs of five records of every content type,
    /// one record of thirty a repeat.
    pub(crate) fn usual() -> Self {
        let entry = |name: &&str| GeneratedContent {
            content_type: (*name).to_owned(),
            blobs: 6,
            records: 5,
            hours: 24,
            repeated_percent: 5,
            expired: 0,
            missing: 0,
            record_bytes: None,
            per_hour: None,
        };
        Self {
            generated: CONTENT_TYPES.iter().map(entry).collect(),
            blobs: vec![],
        }
    }
}

impl GeneratedContent {
    /// How many records are repeats.
    pub(crate) fn repeats(&self) -> usize {
        let all = self.blobs * self.records;
        let wanted = all * usize::from(self.repeated_percent) / 100;
        wanted.min(all.saturating_sub(self.records))
    }
}

fn five() -> usize {
    5
}

fn day() -> u32 {
    24
}

fn once() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(members: &str) -> GeneratedContent {
        serde_json::from_str(&format!(r#"{{"type":"Audit.Exchange",{members}}}"#)).unwrap()
    }

    #[test]
    fn repeats_are_counted_exactly_and_never_fill_the_first_blob() {
        let count = |members: &str| entry(members).repeats();
        assert_eq!(
            count(r#""blobs":1000,"records":5,"repeated_percent":5"#),
            250
        );
        assert_eq!(count(r#""blobs":3,"records":7,"repeated_percent":10"#), 2);
        assert_eq!(count(r#""blobs":4,"records":5,"repeated_percent":100"#), 15);
        assert_eq!(count(r#""blobs":1,"repeated_percent":50"#), 0);
        assert_eq!(count(r#""blobs":0,"repeated_percent":50"#), 0);
    }
}
