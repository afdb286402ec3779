//! Ids of records, in a form that takes little memory and little space in a state.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// The id of a record. Most are GUIDs, which take 16 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RecordId {
    Guid(Uuid),
    Text(Box<str>),
}

impl RecordId {
    pub(super) fn new(id: &str) -> Self {
        match Uuid::try_parse(id) {
            // Any other spelling must come out as it was.
            Ok(guid) if guid.hyphenated().to_string() == id => RecordId::Guid(guid),
            _ => RecordId::Text(id.into()),
        }
    }

    /// The id in 22 characters if it is a GUID, else `=` and the id.
    pub(super) fn packed(&self) -> String {
        match self {
            RecordId::Guid(guid) => URL_SAFE_NO_PAD.encode(guid),
            RecordId::Text(text) => format!("={text}"),
        }
    }

    pub(super) fn unpacked(packed: &str) -> Option<Self> {
        if let Some(text) = packed.strip_prefix('=') {
            return Some(RecordId::Text(text.into()));
        }
        let bytes = URL_SAFE_NO_PAD.decode(packed).ok()?;
        Uuid::from_slice(&bytes).ok().map(RecordId::Guid)
    }
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RecordId::Guid(guid) => guid.hyphenated().fmt(f),
            RecordId::Text(text) => text.fmt(f),
        }
    }
}
