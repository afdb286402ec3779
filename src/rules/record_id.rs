//! Ids of records, in a form that takes little memory and little space in a state.
//! Two spellings of a GUID are two ids, because an alert shows an id as the service sent it.

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
            // Other spellings are stored unchanged.
            Ok(guid) if guid.hyphenated().to_string() == id => RecordId::Guid(guid),
            _ => RecordId::Text(id.into()),
        }
    }

    /// Appends the id: 0 and the bytes of a GUID, else the length plus one and the text.
    pub(super) fn pack(&self, bytes: &mut Vec<u8>) {
        match self {
            RecordId::Guid(guid) => {
                bytes.push(0);
                bytes.extend(guid.as_bytes());
            }
            RecordId::Text(text) => {
                put(text.len() as u64 + 1, bytes);
                bytes.extend(text.as_bytes());
            }
        }
    }

    /// Reads an id from the start of `bytes`, and removes it.
    pub(super) fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(take(bytes)?).ok()?;
        let (id, rest) = bytes.split_at_checked(length.checked_sub(1).unwrap_or(16))?;
        *bytes = rest;
        match length {
            0 => Uuid::from_slice(id).ok().map(RecordId::Guid),
            _ => Some(RecordId::Text(std::str::from_utf8(id).ok()?.into())),
        }
    }
}

/// Appends a number in as few bytes as it needs, seven bits in each.
pub(super) fn put(number: u64, bytes: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        bytes.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
}

/// Reads a number from the start of `bytes`, and removes it.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for n in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(n * 7)?;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RecordId::Guid(guid) => guid.hyphenated().fmt(f),
            RecordId::Text(text) => text.fmt(f),
        }
    }
}
