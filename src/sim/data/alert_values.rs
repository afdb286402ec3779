//! Random values of one alert: its account, its times, and texts made from templates.
//!
//! The values depend only on the seed and on the number of the alert.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::sim::data::random::Random;
use crate::sim::ids::hex;

/// Where the values of an alert come from.
pub(crate) struct AlertValues<'a> {
    pub(crate) random: Random,
    /// Account name and display name of the account that the alert is about.
    pub(crate) account: &'a [String; 2],
    /// The tenant of the alert.
    pub(crate) tenant: &'a str,
    /// When the alert was created.
    pub(crate) created: DateTime<Utc>,
}

impl AlertValues<'_> {
    /// A time within the hour before the alert was created, as Graph writes it.
    pub(crate) fn earlier_time(&mut self) -> String {
        let seconds = self.random.below(3600).cast_signed();
        self.time(self.created - TimeDelta::seconds(seconds))
    }

    /// The time with a random fraction of 0 to 7 digits, of which the last is not 0.
    pub(crate) fn time(&mut self, time: DateTime<Utc>) -> String {
        let digits = self.random.below(8);
        let whole = time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let fraction: String = (1..=digits).map(|at| self.digit(at == digits)).collect();
        match whole.strip_suffix('Z') {
            Some(start) if digits > 0 => format!("{start}.{fraction}Z"),
            _ => whole,
        }
    }

    /// The template with a random value for each placeholder: `{guid}`, `{n}` (10 to 99),
    /// `{hex8}` to `{hex64}`, `{ip}` (RFC 5737), `{host}`, `{tenant}`, and of the account `{user}`,
    /// `{name}` and `{upn}`.
    pub(crate) fn text(&mut self, template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else {
                break;
            };
            text.push_str(before);
            text.push_str(&self.value(name));
            rest = tail;
        }
        text + rest
    }

    fn value(&mut self, name: &str) -> String {
        let [account, display] = self.account;
        match name {
            "guid" => self.random.guid(),
            "n" => (10 + self.random.below(90)).to_string(),
            "ip" => {
                let network = self.random.text(&["192.0.2", "198.51.100", "203.0.113"]);
                format!("{network}.{}", 1 + self.random.below(254))
            }
            "user" => account.clone(),
            "name" => display.clone(),
            "upn" => format!("{account}@contoso.onmicrosoft.com"),
            "host" => format!("ws-{:04}", self.random.below(10_000)),
            "tenant" => self.tenant.to_owned(),
            other => self.hexadecimal(other),
        }
    }

    /// `hex8` to `hex64`: that many hexadecimal digits.
    fn hexadecimal(&mut self, name: &str) -> String {
        let digits = name.strip_prefix("hex").and_then(|n| n.parse().ok());
        let mut bytes = vec![0; digits.unwrap_or(8) / 2];
        self.random.fill(&mut bytes);
        hex(&bytes)
    }

    fn digit(&mut self, last: bool) -> char {
        let digits = &b"0123456789"[usize::from(last)..];
        char::from(*self.random.pick(digits))
    }
}
