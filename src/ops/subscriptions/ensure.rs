//! `feed.subscription.ensure`: enables the subscriptions to several content types.
//!
//! Lists the subscriptions first and starts only those that are not enabled. If one content type
//! fails, the others are still enabled. A failure that the next content type would meet too ends the
//! changes: the service allows only a few starts in some minutes, and each start that it refuses
//! can prolong the wait. No subscription is stopped after such a failure, because it could not be
//! started again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{current, started};
use crate::json::Document;
use crate::json::document::elements;
use crate::microsoft::ContentType;
use crate::microsoft::feed::{Feed, Started};
use crate::net::transcript::is_dry_run;
use crate::ops::{Call, Input, Reply};
use crate::protocol::{ErrorKind, Failure};

/// The service's code for a subscription that cannot be stopped because it is not enabled.
const NO_SUBSCRIPTION: &str = "AF20022";

/// Enables the subscriptions to several content types. Changes only what differs.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ensure {
    /// The content types. Default: all five.
    #[serde(default)]
    pub content_types: Vec<ContentType>,
    /// Stops each enabled subscription before it is started. This removes its webhook.
    #[serde(default)]
    pub stop_first: bool,
}

impl Input for Ensure {
    const SUMMARY: &'static str =
        "Enables the subscriptions to several content types. Changes only what differs.";
    const RESULT: &'static str = "An array of the enabled subscriptions, in the order of the request: `$[*]` with `contentType`, `status`, `webhook`.";
    const PERMISSIONS: &'static [(&'static str, &'static str)] = &[
        ("Office 365 Management APIs", "ActivityFeed.Read"),
        ("Office 365 Management APIs", "ActivityFeed.ReadDlp"),
    ];
}

/// Enables the subscriptions.
///
/// Errors: no content type is enabled. If some are, the reply lists them and the failure.
pub async fn ensure(call: &Call<'_>, input: Ensure) -> Result<Reply, Failure> {
    let listed = match current(call).await {
        Ok((_, body)) => rows(&body),
        Err(failure) if is_dry_run(&failure) => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let types = if input.content_types.is_empty() {
        ContentType::ALL.to_vec()
    } else {
        input.content_types
    };
    let mut changes = Changes {
        call,
        listed,
        stop_first: input.stop_first,
        changed: false,
        end: None,
    };
    let (mut enabled, mut failed) = (Vec::<Value>::new(), Vec::new());
    for (place, content_type) in types.iter().copied().enumerate() {
        if types[..place].contains(&content_type) {
            continue;
        }
        let (row, failure) = changes.enable(content_type).await;
        enabled.extend(row);
        failed.extend(failure.map(|failure| (content_type, failure)));
    }
    let fault = match fault(failed, enabled.is_empty()) {
        Some(fault) if enabled.is_empty() => return Err(fault),
        fault => fault,
    };
    let document = Document::from_value(&enabled).map_err(|error| {
        let message = "The subscriptions could not be written as JSON.";
        Failure::new(ErrorKind::Internal, message).caused_by(error)
    })?;
    let mut reply = Reply::of(document.clone());
    reply.changed = changes.changed.then_some(document);
    reply.incomplete = fault;
    Ok(reply)
}

/// The subscriptions of a listing.
fn rows(body: &Document) -> Vec<Value> {
    let rows = elements(body.text()).unwrap_or_default();
    let rows = rows.into_iter();
    rows.filter_map(|row| serde_json::from_str(row).ok())
        .collect()
}

/// The changes of one run.
struct Changes<'a> {
    call: &'a Call<'a>,
    /// The subscriptions before the run.
    listed: Vec<Value>,
    stop_first: bool,
    /// Whether a subscription was changed.
    changed: bool,
    /// The failure after which nothing is changed.
    end: Option<Failure>,
}

impl Changes<'_> {
    /// Enables one subscription. Returns it if it is enabled, and what failed.
    async fn enable(&mut self, content_type: ContentType) -> (Option<Value>, Option<Failure>) {
        let known = self.enabled(content_type);
        let (known, restarts) = match (known, &self.end) {
            (Some(row), _) if !self.stop_first => return (Some(row), None),
            (known, Some(end)) => {
                let is_unchanged = "The subscription is enabled, but it was not stopped and started again, because an earlier request failed";
                let fault = match known {
                    Some(_) => end.reworded(format!("{is_unchanged}: {}", end.message())),
                    None => end.clone(),
                };
                return (known, Some(fault));
            }
            (Some(row), None) => (Some(row), true),
            (None, None) => (None, false),
        };
        if restarts && let Err(failure) = self.stop(content_type).await {
            self.note(&failure);
            return (known, Some(failure));
        }
        match started(self.call, content_type, None).await {
            Ok(Started::New(answer)) => {
                self.changed = true;
                let row = serde_json::from_str(answer.text()).unwrap_or_default();
                (Some(shown(content_type, &row)), None)
            }
            // The listing can be older than a change.
            Ok(Started::AlreadyEnabled(_)) => (Some(shown(content_type, &Value::Null)), None),
            Err(failure) => {
                self.note(&failure);
                let message = failure.message();
                let is_stopped = "The subscription was stopped and could not be started again";
                let fault = if restarts {
                    failure.reworded(format!("{is_stopped}: {message}"))
                } else {
                    failure
                };
                (None, Some(fault))
            }
        }
    }

    /// Ends the changes if the next one would fail for the same reason.
    fn note(&mut self, failure: &Failure) {
        if concerns_all(failure) {
            self.end.get_or_insert_with(|| failure.clone());
        }
    }

    /// The listed subscription, if it is enabled.
    fn enabled(&self, content_type: ContentType) -> Option<Value> {
        let is_enabled = |row: &&Value| {
            row["contentType"].as_str().and_then(ContentType::parse) == Some(content_type)
                && row["status"] != "disabled"
        };
        let row = self.listed.iter().find(is_enabled)?;
        Some(shown(content_type, row))
    }

    async fn stop(&mut self, content_type: ContentType) -> Result<(), Failure> {
        let call = self.call;
        let feed = Feed::new(call.http, call.tokens, call.connection);
        match feed.stop(content_type).await {
            Ok(_) => self.changed = true,
            Err(failure) if failure.vendor_code() == Some(NO_SUBSCRIPTION) => {}
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

/// A subscription as the service shows it, with all members.
fn shown(content_type: ContentType, row: &Value) -> Value {
    json!({ "contentType": content_type, "status": "enabled", "webhook": row["webhook"] })
}

/// Whether the next change would fail for the same reason.
fn concerns_all(failure: &Failure) -> bool {
    use ErrorKind::{AuthFailed, Cancelled, Throttled, Timeout};
    matches!(failure.kind(), AuthFailed | Cancelled | Throttled | Timeout) && !is_dry_run(failure)
}

/// The failure of the run, with an item for each content type.
fn fault(failed: Vec<(ContentType, Failure)>, are_all: bool) -> Option<Failure> {
    let (content_type, first) = failed.first()?;
    let message = first.message();
    let whole = match failed.len() {
        1 if are_all => first.clone(),
        1 => first.reworded(format!("{content_type}: {message}")),
        n => first.reworded(format!(
            "{n} content types failed; the first, {content_type}: {message}"
        )),
    };
    let items = failed
        .into_iter()
        .map(|(content_type, failure)| failure.at(content_type.name()));
    Some(items.fold(whole, Failure::with_item))
}
