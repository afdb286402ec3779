//! Templates of audit records: parsed once, then filled with seeded random values.
//!
//! Filling appends to one string, fast enough for gigabytes; no JSON value is built.

use chrono::{DateTime, Utc};

use crate::sim::data::random::Random;

/// The local parts of accounts, in upper and lower case as in real records.
const ACCOUNTS: [&str; 12] = [
    "ada", "ada", "ada", "bo", "bo", "bo", "cleo", "cleo", "sales", "admin", "Ada", "BO",
];

/// A parsed template.
pub(crate) struct Template(Vec<Part>);

enum Part {
    Text(&'static str),
    Value(&'static str),
    OneOf(Vec<&'static str>),
}

/// The words of padding; no character needs an escape in JSON.
const WORDS: &str = "lorem ipsum dolor sit amet consectetur elit sed do tempor ut labore magna \
    aliqua quis nostrud ";

/// The values of a record that are not random.
pub(crate) struct Subject<'a> {
    /// The tenant's GUID.
    pub(crate) tenant: &'a str,
    pub(crate) domain: &'a str,
    /// When it happened.
    pub(crate) time: DateTime<Utc>,
    /// Whether matched values are shown.
    pub(crate) detected: bool,
}

/// The matched values of a rule about sensitive information.
const DETECTED: &str = r#","SensitiveInformationDetections":{"DetectedValues":[{"Value":"4111 1111 1111 1111","Context":"Karte 4111 1111 1111 1111, gültig bis 12/29"},{"Value":"5500-0000-0000-0004","Context":"and 5500-0000-0000-0004"}],"ResultsTruncated":false}"#;

impl Template {
    /// Parses a template. Its placeholders are `%id%`, `%time%` (in several forms), `%moment%` (the
    /// time without a zone), `%tenant%`, `%domain%`, `%account%` (in upper or lower case), `%other%`
    /// (another account), `%ip%`, `%guid%`, `%digits%` (twelve hexadecimal ones), `%n%` (two
    /// digits), `%pad%` (where padding goes), `%detected%` and `%included%` (matched values, and
    /// whether they are there), and `%one|two|three%` (one of several texts).
    pub(crate) fn parse(text: &'static str) -> Self {
        let parts = text.split('%').enumerate().map(|(at, part)| {
            if at % 2 == 0 {
                return Part::Text(part);
            }
            if part.contains('|') {
                return Part::OneOf(part.split('|').collect());
            }
            Part::Value(part)
        });
        Self(parts.collect())
    }

    /// Appends a record to a text; returns the position at which it can be padded.
    pub(crate) fn fill(
        &self,
        values: &mut Values,
        subject: &Subject<'_>,
        text: &mut String,
    ) -> usize {
        let mut padding = text.len();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::OneOf(parts) => text.push_str(values.random.text(parts)),
                Part::Value("pad") => padding = text.len(),
                Part::Value(placeholder) => values.write(placeholder, subject, text),
            }
        }
        padding
    }
}

/// The random values of one record. The first one is its id.
pub(crate) struct Values {
    pub(crate) random: Random,
    id: String,
}

impl Values {
    /// The values of the record with a number.
    pub(crate) fn new(seed: [u8; 32], number: u64) -> Self {
        let mut random = Random::of_hash(seed, number);
        let id = random.guid();
        Self { random, id }
    }

    /// Words without meaning, of a length in bytes.
    pub(crate) fn words(&mut self, length: usize) -> String {
        let words: Vec<&str> = WORDS.split_inclusive(' ').collect();
        let mut text = String::with_capacity(length + 16);
        let mut bytes = [0; 64];
        while text.len() < length {
            self.random.fill(&mut bytes);
            for byte in bytes {
                text.push_str(words[usize::from(byte) % words.len()]);
            }
        }
        text.truncate(length);
        text
    }

    fn write(&mut self, placeholder: &str, subject: &Subject<'_>, text: &mut String) {
        let random = &mut self.random;
        match placeholder {
            "id" => text.push_str(&self.id),
            "time" => text.push_str(&time(subject.time, random)),
            "moment" => text.push_str(&without_zone(subject.time)),
            "tenant" => text.push_str(subject.tenant),
            "domain" => text.push_str(subject.domain),
            "account" => text.push_str(random.text(&ACCOUNTS)),
            "other" => text.push_str(random.text(&["eve", "finn", "grace", "haru"])),
            "ip" => {
                text.push_str(random.text(&["192.0.2.", "198.51.100.", "203.0.113."]));
                text.push_str(&(1 + random.below(254)).to_string());
            }
            "guid" => text.push_str(&random.guid()),
            "digits" => text.push_str(random.guid().get(24..).unwrap_or_default()),
            "n" => text.push_str(&(10 + random.below(90)).to_string()),
            "detected" if subject.detected => text.push_str(DETECTED),
            "included" => text.push_str(&subject.detected.to_string()),
            _ => {}
        }
    }
}

/// A time as the service writes it: mostly without a zone, sometimes with a fraction or with `Z`.
fn time(time: DateTime<Utc>, random: &mut Random) -> String {
    let whole = without_zone(time);
    let fraction = random.below(10_000_000);
    match random.below(10) {
        0 => format!("{whole}Z"),
        1 => format!("{whole}.{:03}", fraction % 1000),
        2 => format!("{whole}.{fraction:07}Z"),
        _ => whole,
    }
}

fn without_zone(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &'static str, number: u64, detected: bool) -> (String, usize) {
        let mut text = "[".to_owned();
        let subject = Subject {
            tenant: "t",
            domain: "contoso.test",
            time: "2026-01-14T12:00:00Z".parse().unwrap(),
            detected,
        };
        let mut values = Values::new([1; 32], number);
        let place = Template::parse(template).fill(&mut values, &subject, &mut text);
        (text, place)
    }

    #[test]
    fn record_depends_on_seed_and_number_only() {
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
    fn matched_values_change_nothing_else_in_a_record() {
        let template = r#"{"a":"%guid%"%detected%,"i":%included%,"b":"%guid%"}"#;
        let (shown, hidden) = (filled(template, 1, true).0, filled(template, 1, false).0);
        assert_eq!(shown.replace(DETECTED, "").replace("true", "false"), hidden);
    }

    #[test]
    fn words_have_the_wanted_length() {
        assert_eq!(Values::new([1; 32], 1).words(1000).len(), 1000);
        assert_eq!(Values::new([1; 32], 1).words(0), "");
    }
}
