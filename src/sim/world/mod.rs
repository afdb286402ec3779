//! The world that is simulated: tenants, apps, subscriptions, alerts, and what goes wrong.
//!
//! A world is a JSON file that a case author writes by hand. Every member has a default, an
//! unknown one is refused. It deliberately never asks for the time: whoever starts the simulator
//! fills in [`World::now`] when the file leaves it out.
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
mod check;
pub(super) mod content;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::sim::faults::Fault;
use crate::sim::world::alerts::Alerts;
use crate::sim::world::apps::{App, ManagedIdentity};
use crate::sim::world::content::Content;

pub use check::InvalidValue;

/// The tenant of the default world.
const CONTOSO: &str = "11111111-2222-3333-4444-555555555555";

/// The header with the link to the next page of a listing, as the service writes it.
const NEXT_PAGE: &str = "NextPageUri";

/// What the default preset has subscribed to.
const SUBSCRIBED: [&str; 4] = [
    "Audit.Exchange",
    "Audit.SharePoint",
    "Audit.General",
    "DLP.All",
];

/// Everything that the simulated services know.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// The schema that an editor checks this file with.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// Version of this file format; 1, also where it is left out.
    #[schemars(range(min = 1, max = 1))]
    pub world: u32,
    /// Every made-up id, token and alert follows from it. Default 1.
    pub seed: u64,
    /// The time of day when the simulator is started; it stands still or, in `soarhost simulate`,
    /// runs from there. Left out or null: the starter of the simulator sets it.
    #[schemars(with = "Option<String>")]
    pub now: Option<DateTime<Utc>>,
    /// Known tenants. Default: one, Contoso, with the domain `contoso.onmicrosoft.com`.
    pub tenants: Vec<Tenant>,
    /// Registered apps. Default: none, which means that any credentials are accepted.
    pub apps: Vec<App>,
    /// Whether any well-formed tenant, app, secret, client assertion and authorization code (20
    /// visible characters at least, each good once) that is not listed is accepted, with all
    /// permissions. Default: true while `apps` is empty.
    pub any_credentials: Option<bool>,
    /// Who signs in and consents when a client sends a person to the authorization endpoint.
    /// Default: `analyst@` and the first domain of the tenant.
    pub user: Option<String>,
    /// The identities of the machine and of the app service that clients run on. Left out or null:
    /// one system-assigned, and any client id that is a GUID. `[]`: none.
    pub managed_identities: Option<Vec<ManagedIdentity>>,
    /// What the app service's endpoint wants in `X-IDENTITY-HEADER`. Default
    /// `simulated-identity-header`.
    pub identity_header: String,
    /// What `expires_in` says. Default 3599. 0: tokens have expired when they are issued.
    pub token_lifetime_seconds: u32,
    /// Whether the v2 token endpoint writes numbers as strings, as the v1 endpoint always does.
    pub numbers_as_strings: bool,
    /// What stands before `Trace ID` in a sign-in error: `space` (default) or `crlf`.
    pub error_separator: Separator,
    /// Subscriptions to content that exist from the start: a list (the same for every tenant) or
    /// one list per tenant GUID. Default: none.
    pub subscriptions: Subscriptions,
    /// The alerts of every tenant: generated ones or literal ones. Default: 40 generated ones.
    pub alerts: Alerts,
    /// The most alerts that a page may hold. Default: 100 without `$top`, up to 1000 with it.
    pub page_size: Option<usize>,
    /// How many starts of subscriptions a tenant has before it is told to wait (403). Default:
    /// as many as it likes.
    pub starts_before_cooldown: Option<u64>,
    /// The content of the feed. Left out or null: six blobs of five records of every content
    /// type, spread over the last 24 hours, one record in thirty a repeat. `{}`: none.
    pub content: Option<Content>,
    /// The most blobs that a page of a listing names. Default 200.
    pub content_page_size: usize,
    /// Listings are out of order by up to so many seconds. Default 0.
    pub content_disorder_seconds: u32,
    /// What every `NextPageUri` says instead of the right link, for links that lead astray.
    /// `{management}` in it stands for the simulator's own address of the service, `{request}` for
    /// the address just asked. A last page still has none.
    pub next_page_uri: Option<String>,
    /// How the name of the header `NextPageUri` is written, in HTTP/1.1: header names mean the
    /// same in every case, and HTTP/2 sends all of them in lower case. Default `NextPageUri`.
    pub next_page_header: String,
    /// Whether HTTP/2 is offered. Default true. Without it every request under way has a
    /// connection of its own, so that cutting one leaves the others alone.
    pub http2: bool,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
}

/// A directory.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its GUID.
    pub id: String,
    /// Its verified domains.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Whether unified auditing is on. Default true.
    #[serde(default = "yes")]
    pub audit_enabled: bool,
    /// What the activity feed knows of it. Default `ready`.
    #[serde(default)]
    pub feed: FeedState,
}

/// What the activity feed knows of a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedState {
    /// It serves the tenant.
    #[default]
    Ready,
    /// The tenant does not exist there (AF20011).
    Missing,
    /// The tenant is wrongly configured, say without a licence (AF20012).
    Unlicensed,
}

/// What stands before `Trace ID`, `Correlation ID` and `Timestamp` in a sign-in error.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Separator {
    /// A space, as in newer answers.
    #[default]
    Space,
    /// Carriage return and line feed, as in older answers.
    Crlf,
}

/// Subscriptions that exist from the start.
#[derive(Debug, Clone)]
pub enum Subscriptions {
    /// The same for every tenant.
    Everywhere(Vec<Subscription>),
    /// By tenant GUID.
    ByTenant(BTreeMap<String, Vec<Subscription>>),
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::Everywhere(vec![])
    }
}

impl JsonSchema for Subscriptions {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Subscriptions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Vec<Subscription>>();
        json_schema!({
            "description": "The same for every tenant, or a list per tenant GUID.",
            "anyOf": [list, { "type": "object", "additionalProperties": list }]
        })
    }
}

impl<'de> Deserialize<'de> for Subscriptions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let read = if value.is_array() {
            serde_json::from_value(value).map(Self::Everywhere)
        } else {
            serde_json::from_value(value).map(Self::ByTenant)
        };
        read.map_err(|error| D::Error::custom(format!("subscriptions: {error}")))
    }
}

/// One subscription to a content type.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// One of the five content types.
    pub content_type: String,
    /// `enabled` (default) or `disabled`. Null: it is enabled, but listed without a status.
    #[serde(default = "enabled")]
    pub status: Option<Status>,
    /// Where notifications go, as the service would list it.
    #[serde(default)]
    pub webhook: Option<Webhook>,
}

/// Whether a subscription or a webhook is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In use.
    #[default]
    Enabled,
    /// Stopped, or a webhook that failed too often.
    Disabled,
    /// A webhook whose expiration has passed.
    Expired,
}

/// A webhook, with the member names of the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Webhook {
    /// Whether it is in use.
    #[serde(default)]
    pub status: Status,
    /// Where notifications are posted.
    pub address: String,
    /// What notifications carry as `Webhook-AuthID`.
    #[serde(default)]
    pub auth_id: String,
    /// When it ends.
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
            managed_identities: None,
            identity_header: "simulated-identity-header".to_owned(),
            token_lifetime_seconds: 3599,
            numbers_as_strings: false,
            error_separator: Separator::Space,
            subscriptions: Subscriptions::default(),
            alerts: Alerts::default(),
            page_size: None,
            starts_before_cooldown: None,
            content: None,
            content_page_size: 200,
            content_disorder_seconds: 0,
            next_page_uri: None,
            next_page_header: NEXT_PAGE.to_owned(),
            http2: true,
            faults: vec![],
        }
    }
}

impl World {
    /// A world by name. There is one, `default`: Contoso, any credentials, 40 alerts, a little
    /// content of every type and subscriptions to three of them (`Audit.Exchange`,
    /// `Audit.SharePoint`, `Audit.General`), no faults.
    pub fn preset(name: &str) -> anyhow::Result<Self> {
        match name {
            "default" => Ok(Self {
                subscriptions: Subscriptions::Everywhere(SUBSCRIBED.map(subscribed).to_vec()),
                ..Self::default()
            }),
            other => bail!("there is no preset world named {other:?}; there is \"default\""),
        }
    }

    /// Reads a world file.
    ///
    /// It takes text because literal alerts keep their bytes, which a parsed value has lost.
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

    /// Every value of a world file that is not allowed, whatever its types.
    pub fn invalid_values(world: &Value) -> Vec<InvalidValue> {
        check::invalid_values(world)
    }

    /// Whether credentials that are not listed are good.
    pub(super) fn accepts_strangers(&self) -> bool {
        self.any_credentials.unwrap_or(self.apps.is_empty())
    }

    /// The GUID of the tenant in which people and machines are at home.
    pub(super) fn home(&self) -> &str {
        self.tenants.first().map_or(CONTOSO, |tenant| &tenant.id)
    }

    /// Who signs in where a client sends a person.
    pub(super) fn person(&self, tenant: &str) -> String {
        let domain = self.tenant(tenant).and_then(|known| known.domains.first());
        let domain = domain.map_or("contoso.onmicrosoft.com", String::as_str);
        let usual = || format!("analyst@{domain}");
        self.user.clone().unwrap_or_else(usual)
    }

    /// A listed tenant by GUID or domain.
    pub(super) fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| {
            tenant.id.eq_ignore_ascii_case(name)
                || tenant
                    .domains
                    .iter()
                    .any(|domain| domain.eq_ignore_ascii_case(name))
        })
    }

    /// The subscriptions with which a tenant starts.
    pub(super) fn subscriptions_of(&self, tenant: &str) -> Vec<Subscription> {
        match &self.subscriptions {
            Subscriptions::Everywhere(list) => list.clone(),
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

fn subscribed(content_type: &str) -> Subscription {
    Subscription {
        content_type: content_type.to_owned(),
        status: enabled(),
        webhook: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default_world() {
        let world = World::from_json("{}").unwrap();
        assert!(world.accepts_strangers());
        assert_eq!(world.tenant("CONTOSO.onmicrosoft.com").unwrap().id, CONTOSO);
        assert_eq!(world.subscriptions_of(CONTOSO).len(), 0);
        let preset = World::preset("default").unwrap();
        assert_eq!(preset.subscriptions_of(CONTOSO).len(), 4);
        assert!(World::preset("other").is_err());
    }

    #[test]
    fn the_example_in_the_documentation_is_a_world() {
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
    fn subscriptions_are_a_list_or_lists_by_tenant() {
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
