//! Subscriptions of each tenant: start, stop and list. They begin as the world says.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Feed, Refused, refused};
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::{Answer, Call};
use crate::sim::world::{Status, Subscription};

/// The subscriptions by tenant.
#[derive(Default)]
pub(super) struct SubscriptionStore(Mutex<HashMap<String, State>>);

/// The subscriptions of a tenant, and the number of starts.
struct State {
    list: Vec<Subscription>,
    starts: u64,
}

impl Feed {
    /// All subscriptions of a tenant.
    pub(super) fn list(&self, claims: &Claims) -> Answer {
        let entries: Value = self.change(claims, |state| state.list.iter().map(entry).collect());
        Answer::new(200, entries.to_string())
    }

    /// Starts or changes a subscription. A webhook is validated and then notified before the
    /// response, so that the log has a fixed order.
    pub(super) async fn start(
        &self,
        call: &Call,
        claims: &Claims,
        content_type: &str,
    ) -> Result<Answer, Refused> {
        self.check_start_limit(claims)?;
        let wanted = Subscription {
            content_type: content_type.to_owned(),
            status: Some(Status::Enabled),
            webhook: self.webhook(call)?,
        };
        self.change(claims, |state| check_changed(&state.list, &wanted))?;
        if let Some(webhook) = &wanted.webhook {
            self.validate(call, webhook).await?;
        }
        let body = entry(&wanted).to_string();
        self.change(claims, |state| store_subscription(&mut state.list, &wanted));
        if let Some(webhook) = &wanted.webhook {
            self.notify(claims, content_type, webhook).await;
        }
        Ok(Answer::new(200, body))
    }

    /// Stops a subscription.
    pub(super) fn stop(&self, claims: &Claims, content_type: &str) -> Result<Answer, Refused> {
        self.change(claims, |state| {
            let mut list = state.list.iter_mut();
            let known = list.find(|known| known.content_type == content_type && is_enabled(known));
            let known = known.ok_or_else(no_subscription)?;
            known.status = Some(Status::Disabled);
            known.webhook = None;
            Ok(Answer::new(200, String::new()))
        })
    }

    /// Checks that the subscription to a content type is enabled.
    pub(super) fn check_enabled(&self, claims: &Claims, content_type: &str) -> Result<(), Refused> {
        self.change(claims, |state| {
            let mut list = state.list.iter();
            let known = list.find(|known| known.content_type == content_type);
            if is_enabled(known.ok_or_else(no_subscription)?) {
                return Ok(());
            }
            Err(refused("AF20023", &[]))
        })
    }

    /// Counts a start; rejects it above the limit of the world.
    fn check_start_limit(&self, claims: &Claims) -> Result<(), Refused> {
        let count = self.change(claims, |state| {
            state.starts += 1;
            state.starts
        });
        match self.context.world.starts_before_cooldown {
            Some(most) if count > most => Err(refused("429", &[])),
            _ => Ok(()),
        }
    }

    /// Reads or changes the state of a tenant.
    fn change<T>(&self, claims: &Claims, work: impl FnOnce(&mut State) -> T) -> T {
        let tid = claims.tid.to_ascii_lowercase();
        let all = &self.subscriptions.0;
        let mut tenants = all.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || State {
            list: self.context.world.subscriptions_of(&claims.tid),
            starts: 0,
        };
        work(tenants.entry(tid).or_insert_with(begin))
    }
}

fn no_subscription() -> Refused {
    refused("AF20022", &[])
}

fn is_enabled(subscription: &Subscription) -> bool {
    matches!(subscription.status, None | Some(Status::Enabled))
}

/// Checks that a start would change something.
fn check_changed(list: &[Subscription], wanted: &Subscription) -> Result<(), Refused> {
    let same = |known: &Subscription| {
        known.content_type == wanted.content_type
            && is_enabled(known)
            && known.webhook == wanted.webhook
    };
    if list.iter().any(same) {
        return Err(refused("AF20024", &[]));
    }
    Ok(())
}

/// Replaces the subscription to a content type, or adds it.
fn store_subscription(list: &mut Vec<Subscription>, wanted: &Subscription) {
    let mut known = list.iter_mut();
    match known.find(|known| known.content_type == wanted.content_type) {
        Some(known) => known.clone_from(wanted),
        None => list.push(wanted.clone()),
    }
}

/// A subscription as it is listed; some have no status.
fn entry(subscription: &Subscription) -> Value {
    let mut entry = json!({"contentType": subscription.content_type});
    if let Some(status) = subscription.status {
        entry["status"] = json!(status);
    }
    entry["webhook"] = json!(subscription.webhook);
    entry
}
