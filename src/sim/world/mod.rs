//! The world file: tenants, apps, subscriptions, alerts, content and faults of a simulator.
//!
//! Authors write it by hand as JSON. Every member has a default; an unknown one is rejected.
//! Nothing here reads the clock: the caller sets [`World::now`] if the file has
//! no time.
//!
//! ```json
//! {
//!   "seed": 7,
//!   "now": "2026-01-14T12:00:00Z",
//!   "apps": [{"id": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
//!             "tenant": "11111111-2222-3333-4444-555555555555",
//!             "secrets": [{"value": "s3cret"}],
//!             "roles": {"graph": ["SecurityAlert.Read.All"]}}],
//!   "alerts": {"count": 250},
//!   "page_size": 100,
//!   "content": {"generated": [{"type": "Audit.Exchange", "blobs": 1000, "repeated_percent": 5}]},
//!   "faults": [{"route": "graph.alerts", "nth": 2, "status": 429,
//!               "headers": {"Retry-After": "1"}}]
//! }
//! ```

pub(super) mod alerts;
pub(super) mod apps;
pub(super) mod audit_queries;
mod check;
pub(super) mod content;
pub(super) mod device_sign_in;
pub(super) mod exchange;
pub(super) mod story;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::sim::faults::Fault;
use crate::sim::world::alerts::Alerts;
use crate::sim::world::apps::{App, ManagedIdentity};
use crate::sim::world::audit_queries::AuditQueries;
use crate::sim::world::content::{CONTENT_TYPES, Content};
use crate::sim::world::device_sign_in::DeviceSignIn;
use crate::sim::world::exchange::Exchange;
use crate::sim::world::story::Story;

pub use check::InvalidValue;

/// The tenant of the default world.
const CONTOSO: &str = "11111111-2222-3333-4444-555555555555";

/// The data and the behavior of the simulated services.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// The schema that an editor checks this file with.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// Version of this file format. Default and only value: 1.
    #[schemars(range(min = 1, max = 1))]
    pub world: u32,
    /// Seed of all generated ids, tokens, alerts and records. Default 1.
    pub seed: u64,
    /// The time at which the simulator starts. Default: the current time, or `--now`. With
    /// `simulate`, time passes from there on.
    #[schemars(with = "Option<String>")]
    pub now: Option<DateTime<Utc>>,
    /// Tenants. Default: one, Contoso, with the domain `contoso.onmicrosoft.com`.
    pub tenants: Vec<Tenant>,
    /// Registered apps. Default: none, and any credentials are accepted.
    pub apps: Vec<App>,
    /// Whether well-formed tenants, apps, secrets, client assertions and authorization codes (20
    /// visible characters or more, each accepted once) that are not listed are accepted, with all
    /// permissions. Default: true if `apps` is empty.
    pub any_credentials: Option<bool>,
    /// The user who signs in and consents at the authorization endpoint. Default: `analyst@` and
    /// the first domain of the tenant.
    pub user: Option<String>,
    /// How the user answers a device code. Default: approves after one token request.
    pub device_sign_in: DeviceSignIn,
    /// Managed identities of the virtual machine and of the app service. Default: one
    /// system-assigned identity, and any client id that is a GUID. `[]`: none.
    pub managed_identities: Option<Vec<ManagedIdentity>>,
    /// The value that the app service's endpoint expects in `X-IDENTITY-HEADER`. Default
    /// `simulated-identity-header`.
    pub identity_header: String,
    /// The `expires_in` of access tokens. Default 3599. 0: tokens are expired when they are issued.
    pub token_lifetime_seconds: u32,
    /// Whether the v2 token endpoint writes numbers as strings. The v1 endpoint always does.
    pub numbers_as_strings: bool,
    /// Subscriptions that exist at the start: a list for all tenants, or an object with a list for
    /// each tenant GUID. Default: none.
    pub subscriptions: Subscriptions,
    /// The alerts of each tenant, generated or literal. Default: 40 generated ones.
    pub alerts: Alerts,
    /// The maximum number of alerts of a page. Default: 100 without `$top`, up to 1000 with it.
    pub page_size: Option<usize>,
    /// The number of subscription starts after which a tenant must wait (403). Default: no limit.
    pub starts_before_cooldown: Option<u64>,
    /// The content of the activity feed. Default: six blobs of five records of each content type
    /// within the last 24 hours; one record of thirty is a repeat. `{}`: none.
    pub content: Option<Content>,
    /// The maximum number of blobs of a listing page. Default 200.
    pub content_page_size: usize,
    /// Listings are out of order by up to this many seconds. Default 0.
    pub content_disorder_seconds: u32,
    /// A fixed `NextPageUri`, for tests of invalid links. `{management}` in it is replaced by the
    /// simulator's address of the service, `{request}` by the address of the request. The last page
    /// has none.
    pub next_page_uri: Option<String>,
    /// Whether HTTP/2 is offered. Default true. Without it, each concurrent request has its own
    /// connection, so a dropped connection affects one request only.
    pub http2: bool,
    /// How Microsoft Graph answers audit-log queries.
    pub audit_queries: AuditQueries,
    /// How Exchange Online answers searches of the audit log.
    pub exchange: Exchange,
    /// Faults to inject.
    pub faults: Vec<Fault>,
}

/// A tenant.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The GUID of the tenant.
    pub id: String,
    /// The verified domains.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Whether unified auditing is on. Default true.
    #[serde(default = "yes")]
    pub audit_enabled: bool,
    /// Whether the activity feed serves the tenant. Default `ready`.
    #[serde(default)]
    pub feed: FeedState,
}

/// Whether the activity feed serves a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedState {
    /// The tenant is served.
    #[default]
    Ready,
    /// The tenant does not exist in the feed (AF20011).
    Missing,
    /// The tenant is incorrectly configured, for example without a license (AF20012).
    Unlicensed,
}

/// Subscriptions that exist at the start.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Subscriptions {
    /// A list for all tenants.
    ForAll(Vec<Subscription>),
    /// A list for each tenant GUID.
    ByTenant(BTreeMap<String, Vec<Subscription>>),
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::ForAll(vec![])
    }
}

impl<'de> Deserialize<'de> for Subscriptions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let read = if value.is_array() {
            serde_json::from_value(value).map(Self::ForAll)
        } else {
            serde_json::from_value(value).map(Self::ByTenant)
        };
        read.map_err(|error| D::Error::custom(format!("subscriptions: {error}")))
    }
}

/// A subscription to a content type.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The content type.
    pub content_type: String,
    /// `enabled` (default) or `disabled`. Null: enabled, but listed without a status.
    #[serde(default = "enabled")]
    pub status: Option<Status>,
    /// The webhook.
    #[serde(default)]
    pub webhook: Option<Webhook>,
}

/// The status of a subscription or a webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Enabled.
    #[default]
    Enabled,
    /// Stopped, or a webhook that failed too often.
    Disabled,
    /// A webhook whose expiration is in the past.
    Expired,
}

/// A webhook. The member names are those of the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Webhook {
    /// The status.
    #[serde(default)]
    pub status: Status,
    /// The address to which notifications are posted.
    pub address: String,
    /// The value of `Webhook-AuthID` in notifications.
    #[serde(default)]
    pub auth_id: String,
    /// The expiration time.
    #[serde(default)]
    pub expiration: Option<String>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            schema: None,
            world: 1,
            seed: 1,
            now: None,
            tenants: vec![Tenant {
                id: CONTOSO.to_owned(),
                domains: vec!["contoso.onmicrosoft.com".to_owned()],
                audit_enabled: true,
                feed: FeedState::Ready,
            }],
            apps: vec![],
            any_credentials: None,
            user: None,
            device_sign_in: DeviceSignIn::default(),
            managed_identities: None,
            identity_header: "simulated-identity-header".to_owned(),
            token_lifetime_seconds: 3599,
            numbers_as_strings: false,
            subscriptions: Subscriptions::default(),
            alerts: Alerts::default(),
            page_size: None,
            starts_before_cooldown: None,
            content: None,
            content_page_size: 200,
            content_disorder_seconds: 0,
            next_page_uri: None,
            http2: true,
            audit_queries: AuditQueries::default(),
            exchange: Exchange::default(),
            faults: vec![],
        }
    }
}

impl World {
    /// The names of [`World::preset`].
    pub const PRESETS: [&str; 3] = ["default", "attack_story", "quiet_day"];

    /// A world by name. `default`: Contoso, any credentials, 40 alerts, some content of every type,
    /// subscriptions to four types, no faults. `attack_story`: the content is a [`Story`], with
    /// subscriptions to all types. `quiet_day`: the same without attacks.
    pub fn preset(name: &str) -> anyhow::Result<Self> {
        match name {
            "default" => Ok(Self {
                subscriptions: Subscriptions::ForAll(subscribed(&CONTENT_TYPES[1..])),
                ..Self::default()
            }),
            "attack_story" => Ok(Self::of_story(Story::default())),
            "quiet_day" => Ok(Self::of_story(Story {
                attacks: vec![],
                ..Story::default()
            })),
            other => bail!(
                "there is no preset world named {other:?}; there are {}",
                Self::PRESETS.join(", ")
            ),
        }
    }

    fn of_story(story: Story) -> Self {
        Self {
            subscriptions: Subscriptions::ForAll(subscribed(&CONTENT_TYPES)),
            content: Some(Content {
                story: Some(story),
                ..Content::default()
            }),
            ..Self::default()
        }
    }

    /// Parses a world file. The parameter is text, because literal alerts must not change.
    pub fn from_json(text: &str) -> anyhow::Result<Self> {
        let not_a_world = "this is not a world file";
        let value = serde_json::from_str(text).context(not_a_world)?;
        let invalid = Self::invalid_values(&value).into_iter();
        let all: Vec<String> = invalid
            .map(|one| format!("{} {}", one.pointer, one.message))
            .collect();
        ensure!(all.is_empty(), "{}", all.join("; "));
        serde_json::from_str(text).context(not_a_world)
    }

    /// All invalid values of a world file, also if other members have the wrong type.
    pub fn invalid_values(world: &Value) -> Vec<InvalidValue> {
        check::invalid_values(world)
    }

    /// Whether credentials that are not listed are accepted.
    pub(super) fn accepts_unlisted(&self) -> bool {
        self.any_credentials.unwrap_or(self.apps.is_empty())
    }

    /// The GUID of the home tenant of users and managed identities.
    pub(super) fn home(&self) -> &str {
        self.tenants.first().map_or(CONTOSO, |tenant| &tenant.id)
    }

    /// The user who signs in at the authorization endpoint.
    pub(super) fn sign_in_name(&self, tenant: &str) -> String {
        let domain = self.tenant(tenant).and_then(|known| known.domains.first());
        let domain = domain.map_or("contoso.onmicrosoft.com", String::as_str);
        let usual = || format!("analyst@{domain}");
        self.user.clone().unwrap_or_else(usual)
    }

    /// The listed tenant with this GUID or domain.
    pub(super) fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| {
            tenant.id.eq_ignore_ascii_case(name)
                || tenant
                    .domains
                    .iter()
                    .any(|domain| domain.eq_ignore_ascii_case(name))
        })
    }

    /// The subscriptions of a tenant at the start.
    pub(super) fn subscriptions_of(&self, tenant: &str) -> Vec<Subscription> {
        match &self.subscriptions {
            Subscriptions::ForAll(list) => list.clone(),
            Subscriptions::ByTenant(lists) => lists
                .iter()
                .find(|(id, _)| id.eq_ignore_ascii_case(tenant))
                .map_or_else(Vec::new, |(_, list)| list.clone()),
        }
    }
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a default of a member that may be null"
)]
fn enabled() -> Option<Status> {
    Some(Status::Enabled)
}

fn subscribed(content_types: &[&str]) -> Vec<Subscription> {
    let to = |name: &&str| Subscription {
        content_type: (*name).to_owned(),
        status: enabled(),
        webhook: None,
    };
    content_types.iter().map(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_file_is_the_default_world() {
        let world = World::from_json("{}").unwrap();
        assert!(world.accepts_unlisted());
        assert_eq!(world.tenant("CONTOSO.onmicrosoft.com").unwrap().id, CONTOSO);
        assert_eq!(world.subscriptions_of(CONTOSO).len(), 0);
        let preset = World::preset("default").unwrap();
        assert_eq!(preset.subscriptions_of(CONTOSO).len(), 4);
        assert!(World::preset("other").is_err());
        let quiet = World::preset("quiet_day").unwrap();
        assert_eq!(quiet.content.unwrap().story.unwrap().attacks, []);
    }

    #[test]
    fn documentation_example_is_a_valid_world() {
        let lines = include_str!("mod.rs")
            .lines()
            .take_while(|line| line.starts_with("//!"));
        let text: Vec<&str> = lines.map(|line| line.trim_start_matches("//!")).collect();
        let example = text.join("\n");
        let world = World::from_json(
            example
                .split("```")
                .nth(1)
                .unwrap()
                .trim_start_matches("json"),
        );
        assert_eq!(world.unwrap().faults.len(), 1);
    }

    #[test]
    fn literal_alerts_keep_their_bytes() {
        let text = r#"{"alerts":{"literal":[{"id":"a", "n":1.50e3,"n":"\u00e4"}]}}"#;
        let world = World::from_json(text).unwrap();
        let literal = world.alerts.literal.unwrap();
        assert_eq!(literal[0].get(), r#"{"id":"a", "n":1.50e3,"n":"\u00e4"}"#);
    }

    #[test]
    fn subscriptions_are_one_list_or_a_list_for_each_tenant() {
        let everywhere = r#"{"subscriptions":[{"content_type":"Audit.Exchange"}]}"#;
        let world = World::from_json(everywhere).unwrap();
        assert_eq!(world.subscriptions_of(CONTOSO).len(), 1);
        let elsewhere = r#"{"subscriptions":{"22222222-2222-3333-4444-555555555555":
            [{"content_type":"DLP.All","status":null}]}}"#;
        let world = World::from_json(elsewhere).unwrap();
        assert_eq!(world.subscriptions_of(CONTOSO).len(), 0);
        assert_eq!(
            world
                .subscriptions_of("22222222-2222-3333-4444-555555555555")
                .len(),
            1
        );
    }

    #[test]
    fn world_with_invalid_values_reports_each_with_its_place() {
        let cases = [
            (r#"{"sed":1}"#, "unknown field `sed`"),
            (
                r#"{"content":{"blobs":[{"type":"DLP.All","record":[]}]}}"#,
                "unknown field `record`",
            ),
            (
                r#"{"subscriptions":[{"content":"x"}]}"#,
                "unknown field `content`",
            ),
            (
                r#"{"world":2,"now":"noon"}"#,
                "/now must be a time such as 2026-01-14T12:00:00Z; got \"noon\"",
            ),
            (
                r#"{"device_sign_in":{"interval_seconds":301,"user":"ada"}}"#,
                "/device_sign_in/interval_seconds must be a whole number from 0 to 300; got 301; \
                 /device_sign_in/user must be a sign-in name such as ada@contoso.onmicrosoft.com; \
                 got \"ada\"",
            ),
            (
                r#"{"audit_queries":{"page_size":0},"exchange":{"session_rows":0,"odd_pages":[{"page":0,"effect":"skip","times":0}]}}"#,
                "/audit_queries/page_size must be a whole number, 1 or more; got 0; \
                 /exchange/session_rows must be a whole number from 1 to 50000; got 0; \
                 /exchange/odd_pages/0/page must be a whole number, 1 or more; got 0; \
                 /exchange/odd_pages/0/times must be a whole number, 1 or more; got 0",
            ),
            (
                r#"{"content":{"story":{"day":"13.1.","records":100001}}}"#,
                "/content/story/records must be a whole number from 0 to 100000; got 100001; \
                 /content/story/day must be a day such as 2026-01-13; got \"13.1.\"",
            ),
            (
                r#"{"world":2,"page_size":0}"#,
                "/world must be 1; got 2; /page_size must be a whole number, 1 or more; got 0",
            ),
        ];
        for (text, wanted) in cases {
            let error = format!("{:#}", World::from_json(text).unwrap_err());
            assert!(error.contains(wanted), "{error}");
        }
    }
}
