//! `feed.subscription.start`, `.stop`, `.list` and `.ensure`: the subscriptions of one tenant.
//!
//! Webhook addresses are checked by the service, and its answers are returned unchanged. The
//! manifest decides whether "already enabled" is a failure.

mod ensure;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::json::Document;
use crate::microsoft::ContentType;
use crate::microsoft::feed::{Feed, Started, Subscription};
use crate::ops::{Call, Input, Permission, READ_DLP, READ_FEED, Reply, document};
use crate::protocol::{Failure, Warning};

pub use ensure::{Ensure, ensure};

/// Starts the subscription to a content type.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The content type to subscribe to.
    pub content_type: ContentType,
    /// The address to notify of new content, sent to the service unchanged.
    #[serde(default)]
    pub webhook: Option<String>,
    /// The outcome if the subscription is already enabled and nothing changes.
    #[serde(default)]
    pub already_enabled: AlreadyEnabled,
}

/// The outcome if the subscription is already enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlreadyEnabled {
    /// A failure with the service's message.
    #[default]
    Failure,
    /// A success with a warning.
    Success,
}

impl Input for Start {
    const SUMMARY: &'static str = "Starts the subscription to a content type.";
    const RESULT: &'static str = "The subscription: `contentType`, `status`, `webhook`.";
    const PERMISSIONS: &'static [Permission] = &[READ_FEED];
}

/// Stops the subscription to a content type.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The content type to unsubscribe from.
    pub content_type: ContentType,
}

impl Input for Stop {
    const SUMMARY: &'static str = "Stops the subscription to a content type.";
    const RESULT: &'static str =
        "The service's answer, usually null. Context rows are made of the stopped subscription.";
    const PERMISSIONS: &'static [Permission] = &[READ_FEED];
}

/// Lists the current subscriptions with their webhooks.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {}

impl Input for List {
    const SUMMARY: &'static str = "Lists the current subscriptions with their webhooks.";
    const RESULT: &'static str =
        "An array of subscriptions: `$[*]` with `contentType`, `status`, `webhook`.";
    const PERMISSIONS: &'static [Permission] = &[READ_FEED, READ_DLP];
}

/// Starts a subscription; the reply holds the service's answer.
pub async fn start(call: &Call<'_>, input: Start) -> Result<Reply, Failure> {
    let webhook = input.webhook.as_deref();
    match started(call, input.content_type, webhook).await? {
        Started::New(answer) => changed(answer, input.content_type, "enabled"),
        Started::AlreadyEnabled(failure) if input.already_enabled == AlreadyEnabled::Failure => {
            Err(failure)
        }
        Started::AlreadyEnabled(failure) => {
            let warning = Warning::new("already_enabled", failure.message());
            Ok(Reply {
                warnings: vec![warning],
                ..Reply::of_value(&())?
            })
        }
    }
}

/// Stops a subscription.
pub async fn stop(call: &Call<'_>, input: Stop) -> Result<Reply, Failure> {
    let feed = Feed::new(call.http, call.tokens, call.connection);
    let answer = feed.stop(input.content_type).await?;
    changed(answer, input.content_type, "disabled")
}

/// The service's answer, and the changed subscription: the answer can be empty.
fn changed(answer: Document, content_type: ContentType, status: &str) -> Result<Reply, Failure> {
    let now = json!({ "contentType": content_type, "status": status });
    Ok(Reply {
        changed: Some(document(&now)?),
        ..Reply::of(answer)
    })
}

/// Lists the subscriptions.
pub async fn list(call: &Call<'_>, List {}: List) -> Result<Reply, Failure> {
    let (listed, body) = current(call).await?;
    Ok(Reply {
        records: listed.len() as u64,
        ..Reply::of(body)
    })
}

/// The current subscriptions, and the body that lists them.
pub(super) async fn current(call: &Call<'_>) -> Result<(Vec<Subscription>, Document), Failure> {
    let feed = Feed::new(call.http, call.tokens, call.connection);
    feed.subscriptions().await
}

/// The content types with an enabled subscription, in the documented order, and warnings about the
/// others.
pub(super) async fn enabled(call: &Call<'_>) -> Result<(Vec<ContentType>, Vec<Warning>), Failure> {
    let (listed, _) = current(call).await?;
    let types: Vec<ContentType> = ContentType::ALL
        .into_iter()
        .filter(|known| listed.iter().any(|row| row.is_enabled(*known)))
        .collect();
    let unknown = listed
        .iter()
        .map(|row| &row.content_type)
        .filter(|name| ContentType::parse(name).is_none())
        .map(|name| {
            let message = format!(
                "The service lists a subscription to \"{name}\", which is not one of the five known content types. It was skipped."
            );
            Warning::new("unknown_content_type", message)
        });
    let mut warnings: Vec<Warning> = unknown.collect();
    if types.is_empty() {
        let message = "No subscription is enabled, so the service collects nothing; start the subscription of each content type that you need.";
        warnings.push(Warning::new("no_subscription", message));
    }
    Ok((types, warnings))
}

/// Starts a subscription. [`Started`] distinguishes a new subscription from an enabled one.
pub(super) async fn started(
    call: &Call<'_>,
    content_type: ContentType,
    webhook: Option<&str>,
) -> Result<Started, Failure> {
    let feed = Feed::new(call.http, call.tokens, call.connection);
    feed.start(content_type, webhook).await
}
