//! Generated ids, derived from the seed of the world.
//!
//! An id is a hash of the seed and of what it identifies, such as a route and the number of the
//! request. So the ids of a world are the same on every machine and in any order of concurrent
//! requests.

use ring::digest::{Digest, SHA256, digest};

/// Generates the ids of a world.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    seed: u64,
}

impl Ids {
    /// The ids of the world with this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub(crate) fn guid(&self, parts: &[&str]) -> String {
        guid_of(self.digest(parts).as_ref())
    }

    /// A GUID for a request of a route.
    pub(crate) fn of_call(&self, what: &str, route: &str, number: u64) -> String {
        self.guid(&[what, route, &number.to_string()])
    }

    /// A hash of the seed and these parts.
    pub(crate) fn digest(&self, parts: &[&str]) -> Digest {
        let mut text = self.seed.to_string();
        for part in parts {
            text.push('\0');
            text.push_str(part);
        }
        digest(&SHA256, text.as_bytes())
    }
}

/// The bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves
        .filter_map(|half| char::from_digit(half.into(), 16))
        .collect()
}

/// The first 16 bytes as a GUID of version 4.
pub(crate) fn guid_of(bytes: &[u8]) -> String {
    let digits = hex(bytes.get(..16).unwrap_or(bytes));
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-4{}-a{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_the_seed_and_on_every_part() {
        let ids = Ids::new(1);
        let one = ids.of_call("request", "graph.alerts", 1);
        assert!(is_guid(&one), "{one}");
        assert_eq!(one, Ids::new(1).of_call("request", "graph.alerts", 1));
        assert_ne!(one, ids.of_call("request", "graph.alerts", 2));
        assert_ne!(one, Ids::new(2).of_call("request", "graph.alerts", 1));
        assert_ne!(ids.guid(&["a", "b"]), ids.guid(&["ab"]));
    }

    #[test]
    fn guid_has_hyphens() {
        assert!(is_guid("11111111-2222-3333-4444-555555555555"));
        assert!(!is_guid("111111112222333344445555555555555555"));
        assert!(!is_guid("contoso.onmicrosoft.com"));
    }
}
