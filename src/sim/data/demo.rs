//! The world of the first demonstration: ten alerts of the last day, as of a small tenant. A time
//! in `demo_alerts.json` is `{-35}`: 35 minutes before the time of the world. All names, addresses
//! and files are invented.

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::value::RawValue;

use crate::sim::World;

const ALERTS: &str = include_str!("demo_alerts.json");

impl World {
    /// The default world with ten realistic alerts, at the time `now`.
    pub fn demo(now: DateTime<Utc>) -> anyhow::Result<Self> {
        let alerts: Vec<Box<RawValue>> = serde_json::from_str(&at_times(ALERTS, now)?)?;
        let mut world = World::preset("default")?;
        world.now = Some(now);
        world.alerts.literal = Some(alerts);
        // A person who signs in with a device code does so at once.
        world.device_sign_in.after_polls = 0;
        Ok(world)
    }
}

/// The text with its times filled in.
fn at_times(text: &str, now: DateTime<Utc>) -> anyhow::Result<String> {
    let mut parts = text.split("{-");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (minutes, rest) = part.split_once('}').context("a time without its end")?;
        let time = now - TimeDelta::minutes(minutes.parse().context("a time in minutes")?);
        written.push_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true));
        written.push_str(rest);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demo_world_has_ten_alerts_of_the_last_day() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let world = World::demo(now).expect("a world");
        let alerts = world.alerts.literal.expect("literal alerts");
        assert_eq!(alerts.len(), 10);
        for alert in &alerts {
            let alert: serde_json::Value = serde_json::from_str(alert.get()).expect("JSON");
            for field in ["createdDateTime", "lastUpdateDateTime"] {
                let time = alert[field].as_str().expect("a time");
                let time = DateTime::parse_from_rfc3339(time).expect("RFC 3339");
                assert!(time < now && now - TimeDelta::days(1) < time, "{alert}");
            }
        }
    }
}
