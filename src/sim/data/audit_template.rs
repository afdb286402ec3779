//! Templates of audit records: text with holes, taken apart once and filled by dice.
//!
//! A hole is a name or alternatives between percent signs, see [`Template::parse`]. Filling is
//! writing text into one growing string, fast enough for gigabytes; there is deliberately no JSON
//! value anywhere, and no number of a random-number library's ranges (raw draws of `ChaCha8` stay
//! the same for ever).

use chrono::{DateTime, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sim::ids::guid_of;

/// The local parts of the accounts, as they come and go in upper and lower case.
const ACCOUNTS: [&str; 12] = [
    "ada", "ada", "ada", "bo", "bo", "bo", "cleo", "cleo", "sales", "admin", "Ada", "BO",
];

/// Where generated requests come from.
const NETS: [&str; 3] = ["192.0.2", "198.51.100", "203.0.113"];

/// A template in pieces.
pub(crate) struct Template(Vec<Piece>);

enum Piece {
    Text(&'static str),
    Hole(Hole),
    OneOf(Vec<&'static str>),
}

#[derive(Clone, Copy)]
enum Hole {
    Id,
    Time,
    Moment,
    Tenant,
    Domain,
    Account,
    Other,
    Ip,
    Guid,
    Digits,
    Number,
    Pad,
    Detected,
    Included,
}

/// What a record is about, apart from chance.
pub(crate) struct Subject<'a> {
    /// The tenant's GUID.
    pub(crate) tenant: &'a str,
    /// Its domain.
    pub(crate) domain: &'a str,
    /// When it happened.
    pub(crate) moment: DateTime<Utc>,
    /// Whether matched values are shown.
    pub(crate) detected: bool,
}

/// The matched values of a rule about sensitive information.
const DETECTED: &str = r#","SensitiveInformationDetections":{"DetectedValues":[{"Value":"4111 1111 1111 1111","Context":"Karte 4111 1111 1111 1111, gültig bis 12/29"},{"Value":"5500-0000-0000-0004","Context":"and 5500-0000-0000-0004"}],"ResultsTruncated":false}"#;

impl Template {
    /// Takes a template apart.
    ///
    /// `%id%`, `%time%` (in changing forms), `%moment%` (the same without a zone), `%tenant%`,
    /// `%domain%`, `%account%` (in changing case) and `%other%`, `%ip%`, `%guid%`, `%digits%`
    /// (twelve hexadecimal ones), `%n%` (two digits), `%pad%`, `%detected%` and `%included%`
    /// (matched values, and whether they are there), `%one|or|another%`.
    pub(crate) fn parse(text: &'static str) -> Self {
        let pieces = text.split('%').enumerate().map(|(at, part)| {
            if at % 2 == 0 {
                return Piece::Text(part);
            }
            hole(part).map_or_else(|| Piece::OneOf(part.split('|').collect()), Piece::Hole)
        });
        Self(pieces.collect())
    }

    /// Appends a record to a text; gives the place where it may be padded.
    pub(crate) fn fill(
        &self,
        draws: &mut Draws,
        subject: &Subject<'_>,
        text: &mut String,
    ) -> usize {
        let mut place = text.len();
        for piece in &self.0 {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::OneOf(parts) => text.push_str(draws.pick(parts)),
                Piece::Hole(Hole::Pad) => place = text.len(),
                Piece::Hole(hole) => draws.write(*hole, subject, text),
            }
        }
        place
    }
}

fn hole(name: &str) -> Option<Hole> {
    Some(match name {
        "id" => Hole::Id,
        "time" => Hole::Time,
        "moment" => Hole::Moment,
        "tenant" => Hole::Tenant,
        "domain" => Hole::Domain,
        "account" => Hole::Account,
        "other" => Hole::Other,
        "ip" => Hole::Ip,
        "guid" => Hole::Guid,
        "digits" => Hole::Digits,
        "n" => Hole::Number,
        "pad" => Hole::Pad,
        "detected" => Hole::Detected,
        "included" => Hole::Included,
        _ => return None,
    })
}

/// The dice of one record. The first draw is its id.
pub(crate) struct Draws {
    stream: ChaCha8Rng,
    id: String,
}

impl Draws {
    /// Dice for the record with a number, of a family of records.
    pub(crate) fn new(family: [u8; 32], number: u64) -> Self {
        let mut stream = ChaCha8Rng::from_seed(family);
        stream.set_stream(number);
        let mut draws = Self {
            stream,
            id: String::new(),
        };
        draws.id = draws.guid();
        draws
    }

    /// A number from 0 up to, not including, the limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.stream.next_u64() % limit).unwrap_or(0)
    }

    /// One of several; the alternatives are never empty in the tables.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Words without meaning, about as long as wanted.
    pub(crate) fn words(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 16);
        let mut bytes = [0; 64];
        while text.len() < length {
            self.stream.fill_bytes(&mut bytes);
            for byte in bytes {
                text.push_str(WORDS[usize::from(byte) % WORDS.len()]);
            }
        }
        text.truncate(length);
        text
    }

    fn guid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.stream.fill_bytes(&mut bytes);
        guid_of(&bytes)
    }

    fn write(&mut self, hole: Hole, subject: &Subject<'_>, text: &mut String) {
        match hole {
            Hole::Id => text.push_str(&self.id),
            Hole::Time => text.push_str(&self.time(subject.moment)),
            Hole::Moment => text.push_str(&subject.moment.format("%Y-%m-%dT%H:%M:%S").to_string()),
            Hole::Tenant => text.push_str(subject.tenant),
            Hole::Domain => text.push_str(subject.domain),
            Hole::Account => text.push_str(self.pick(&ACCOUNTS)),
            Hole::Other => text.push_str(self.pick(&["eve", "finn", "grace", "haru"])),
            Hole::Ip => {
                let net = self.pick(&NETS);
                text.push_str(net);
                text.push('.');
                text.push_str(&(1 + self.below(254)).to_string());
            }
            Hole::Guid => text.push_str(&self.guid()),
            Hole::Digits => {
                let guid = self.guid();
                text.push_str(guid.get(24..).unwrap_or_default());
            }
            Hole::Number => text.push_str(&(10 + self.below(90)).to_string()),
            Hole::Detected if subject.detected => text.push_str(DETECTED),
            Hole::Pad | Hole::Detected => {}
            Hole::Included => text.push_str(if subject.detected { "true" } else { "false" }),
        }
    }

    /// Mostly without a zone designator, as the service writes it; sometimes with a fraction,
    /// sometimes with `Z`.
    fn time(&mut self, moment: DateTime<Utc>) -> String {
        let whole = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
        let fraction = self.below(10_000_000);
        match self.below(10) {
            0 => format!("{whole}Z"),
            1 => format!("{whole}.{:03}", fraction % 1000),
            2 => format!("{whole}.{fraction:07}Z"),
            _ => whole,
        }
    }
}

/// What padding is made of; no character in it needs an escape.
const WORDS: [&str; 16] = [
    "lorem ",
    "ipsum ",
    "dolor ",
    "sit ",
    "amet ",
    "consectetur ",
    "elit ",
    "sed ",
    "do ",
    "tempor ",
    "ut ",
    "labore ",
    "magna ",
    "aliqua ",
    "quis ",
    "nostrud ",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &'static str, number: u64, detected: bool) -> (String, usize) {
        let mut text = "[".to_owned();
        let subject = Subject {
            tenant: "t",
            domain: "contoso.test",
            moment: "2026-01-14T12:00:00Z".parse().unwrap(),
            detected,
        };
        let mut draws = Draws::new([1; 32], number);
        let place = Template::parse(template).fill(&mut draws, &subject, &mut text);
        (text, place)
    }

    #[test]
    fn holes_are_filled_the_same_way_each_time() {
        let template = r#"{"Id":"%id%","a":"%account%@%domain%","b":"%pad%%one|two%"}"#;
        let (text, place) = filled(template, 3, false);
        assert_eq!((text.clone(), place), filled(template, 3, false));
        assert_ne!(text, filled(template, 4, false).0);
        assert!(
            text[place..] == *"one\"}" || text[place..] == *"two\"}",
            "{text}"
        );
        assert!(!text.contains('%'), "{text}");
    }

    #[test]
    fn matched_values_change_nothing_else() {
        let template = r#"{"a":"%guid%"%detected%,"i":%included%,"b":"%guid%"}"#;
        let (shown, hidden) = (filled(template, 1, true).0, filled(template, 1, false).0);
        assert_eq!(shown.replace(DETECTED, "").replace("true", "false"), hidden);
    }

    #[test]
    fn words_are_as_long_as_wanted() {
        assert_eq!(Draws::new([1; 32], 1).words(1000).len(), 1000);
        assert_eq!(Draws::new([1; 32], 1).words(0), "");
    }
}
