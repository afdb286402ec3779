//! The seeded dice with which records are made up, and the fillers of their texts.
//!
//! Only raw 64-bit draws of `ChaCha8` are used: the stream is fixed for ever, while the ranges of
//! a random-number library may change with its version. Deliberately no clock: moments are counted
//! back from the alert's own.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sim::data::texts::ACCOUNTS;
use crate::sim::ids::{guid_of, hex};

/// Dice for one alert, with the account and the moment that the alert is about.
pub(crate) struct Dice {
    stream: ChaCha8Rng,
    account: [&'static str; 2],
    tenant: String,
    moment: DateTime<Utc>,
}

impl Dice {
    /// Dice for the alert with this number.
    pub(crate) fn new(seed: u64, number: u64, tenant: &str) -> Self {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        stream.set_stream(number);
        let mut dice = Self {
            stream,
            account: ACCOUNTS[0],
            tenant: tenant.to_owned(),
            moment: DateTime::UNIX_EPOCH,
        };
        dice.account = dice.pick(&ACCOUNTS);
        dice
    }

    /// Lets every later moment lie shortly before this one.
    pub(crate) fn set_moment(&mut self, moment: DateTime<Utc>) {
        self.moment = moment;
    }

    /// A number from 0 up to, not including, the limit.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.stream.next_u64() % u64::from(limit.max(1))).unwrap_or(0)
    }

    /// One of several; the alternatives are never empty in the tables.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let count = u32::try_from(from.len()).unwrap_or(u32::MAX);
        from[self.below(count) as usize]
    }

    /// One of several, or nothing, half and half.
    pub(crate) fn maybe<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (self.below(2) == 0).then(|| self.pick(from))
    }

    /// A new GUID.
    pub(crate) fn guid(&mut self) -> String {
        guid_of(&self.bytes(16))
    }

    /// A moment within the hour before the alert's own, written as Graph writes it.
    pub(crate) fn moment_before(&mut self) -> String {
        let seconds = i64::from(self.below(3600));
        self.write(self.moment - TimeDelta::seconds(seconds))
    }

    /// Writes a moment with 0 to 7 digits of fraction, the last of them never a zero.
    ///
    /// The fraction drawn replaces the moment's own; it never passes the moment's second.
    pub(crate) fn write(&mut self, moment: DateTime<Utc>) -> String {
        let digits = self.below(8) as usize;
        let whole = moment.to_rfc3339_opts(SecondsFormat::Secs, true);
        let fraction: String = (1..=digits).map(|at| self.digit(at == digits)).collect();
        match whole.strip_suffix('Z') {
            Some(start) if digits > 0 => format!("{start}.{fraction}Z"),
            _ => whole,
        }
    }

    /// The template with its fillers replaced, each occurrence by a new draw.
    pub(crate) fn fill(&mut self, template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else {
                break;
            };
            text.push_str(before);
            text.push_str(&self.filler(name));
            rest = tail;
        }
        text + rest
    }

    fn filler(&mut self, name: &str) -> String {
        let [account, display] = self.account;
        match name {
            "guid" => self.guid(),
            "n" => (10 + self.below(90)).to_string(),
            "ip" => {
                let net = self.pick(&["192.0.2", "198.51.100", "203.0.113"]);
                format!("{net}.{}", 1 + self.below(254))
            }
            "user" => account.to_owned(),
            "name" => display.to_owned(),
            "upn" => format!("{account}@contoso.onmicrosoft.com"),
            "host" => format!("ws-{:04}", self.below(10_000)),
            "tenant" => self.tenant.clone(),
            other => self.digits(other),
        }
    }

    /// `hex8` … `hex64`: so many hexadecimal digits.
    fn digits(&mut self, name: &str) -> String {
        let wanted: usize = name
            .strip_prefix("hex")
            .and_then(|n| n.parse().ok())
            .unwrap_or(8);
        hex(&self.bytes(wanted / 2))
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.fill_bytes(&mut bytes);
        bytes
    }

    fn digit(&mut self, last: bool) -> char {
        let low = u32::from(last);
        char::from_digit(low + self.below(10 - low), 10).unwrap_or('5')
    }
}
