//! The built-in rules on a whole day of a company, with and without attacks.

use serde_json::{Value, json};

use crate::bench::{Bench, block_on, connection, read};

/// The titles of the alerts about the simulator's world.
async fn alerts(world: &str) -> Vec<String> {
    let bench = Bench::plain(world, "2026-01-14T12:00:00Z").await;
    let request = json!({ "integration": "office365_audit", "command": "collect_and_alert",
        "connection": connection(), "inputs": { "start_time": "2026-01-13", "end_time": "2026-01-14 12:00" },
        "options": { "include": ["context_data"] } });
    let result = read(&bench.run(&request.to_string()).await);
    assert_eq!(result["return_data"], "Successful", "{}", result["result"]);
    let alerts = result["context_data"]["Alerts"].as_array();
    let alerts = alerts.expect("alerts").iter();
    let titles = alerts.map(|alert: &Value| alert["title"].as_str().expect("a title").to_owned());
    titles.collect()
}

fn world(attacks: &Value) -> String {
    let types = [
        "Audit.AzureActiveDirectory",
        "Audit.Exchange",
        "Audit.SharePoint",
        "Audit.General",
        "DLP.All",
    ];
    let subscriptions = types.map(|name| json!({ "content_type": name }));
    let mut story = json!({ "day": "2026-01-13" });
    if attacks.is_array() {
        story["attacks"] = attacks.clone();
    }
    json!({ "subscriptions": subscriptions, "content": { "story": story } }).to_string()
}

#[test]
fn five_attacks_in_a_day_of_traffic_are_alerted() {
    let found = block_on(alerts(&world(&Value::Null)));
    for title in [
        "Password spray from one address",
        "Sign-in from an anonymous network",
        "Inbox rule forwards mail",
        "Consent to an application with wide permissions",
        "Mass download of files",
    ] {
        assert!(found.iter().any(|one| one == title), "{title}: {found:?}");
    }
}

#[test]
fn day_of_traffic_without_attacks_gives_no_alert() {
    let found = block_on(alerts(&world(&json!([]))));
    assert!(found.is_empty(), "{found:?}");
}
