//! Subscriptions: started, stopped, listed; each tenant's begin as the world says.
//!
//! Reading and calling a webhook is the business of `webhook.rs`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Feed, Refused, refused};
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::{Answer, Call};
use crate::sim::world::{Status, Subscription};

/// What is subscribed to, by tenant.
#[derive(Default)]
pub(super) struct Subscribed(Mutex<HashMap<String, State>>);

/// A tenant's subscriptions, and how many starts it has asked for.
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

    /// Starts or changes a subscription. A webhook is validated first and, once it is accepted,
    /// notified of what there is, both before the answer: so the log has one order.
    pub(super) async fn start(
        &self,
        call: &Call,
        claims: &Claims,
        content_type: &str,
    ) -> Result<Answer, Refused> {
        self.unhurried(claims)?;
        let wanted = Subscription {
            content_type: content_type.to_owned(),
            status: Some(Status::Enabled),
            webhook: self.webhook(call)?,
        };
        self.change(claims, |state| differs(&state.list, &wanted))?;
        if let Some(webhook) = &wanted.webhook {
            self.validate(call, webhook).await?;
        }
        let body = entry(&wanted).to_string();
        self.change(claims, |state| put(&mut state.list, &wanted));
        if let Some(webhook) = &wanted.webhook {
            self.notify(claims, content_type, webhook).await;
        }
        Ok(Answer::new(200, body))
    }

    /// Stops a subscription.
    pub(super) fn stop(&self, claims: &Claims, content_type: &str) -> Result<Answer, Refused> {
        self.change(claims, |state| {
            let mut list = state.list.iter_mut();
            let known = list.find(|known| known.content_type == content_type && is_running(known));
            let known = known.ok_or_else(unknown)?;
            known.status = Some(Status::Disabled);
            known.webhook = None;
            Ok(Answer::new(200, String::new()))
        })
    }

    /// Whether content of a type can be had.
    pub(super) fn running(&self, claims: &Claims, content_type: &str) -> Result<(), Refused> {
        self.change(claims, |state| {
            let mut list = state.list.iter();
            let known = list.find(|known| known.content_type == content_type);
            if is_running(known.ok_or_else(unknown)?) {
                return Ok(());
            }
            Err(refused("AF20023", &[]))
        })
    }

    /// Counts a start; from some number on the tenant is told to wait.
    fn unhurried(&self, claims: &Claims) -> Result<(), Refused> {
        let count = self.change(claims, |state| {
            state.starts += 1;
            state.starts
        });
        match self.site.world.starts_before_cooldown {
            Some(most) if count > most => Err(refused("429", &[])),
            _ => Ok(()),
        }
    }

    /// Works on the state of a tenant, which begins as the world says.
    fn change<T>(&self, claims: &Claims, work: impl FnOnce(&mut State) -> T) -> T {
        let tid = claims.tid.to_ascii_lowercase();
        let all = &self.subscribed.0;
        let mut tenants = all.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || State {
            list: self.site.world.subscriptions_of(&claims.tid),
            starts: 0,
        };
        work(tenants.entry(tid).or_insert_with(begin))
    }
}

fn unknown() -> Refused {
    refused("AF20022", &[])
}

fn is_running(subscription: &Subscription) -> bool {
    matches!(subscription.status, None | Some(Status::Enabled))
}

/// Whether a start would change anything.
fn differs(list: &[Subscription], wanted: &Subscription) -> Result<(), Refused> {
    let same = |known: &Subscription| {
        known.content_type == wanted.content_type
            && is_running(known)
            && known.webhook == wanted.webhook
    };
    if list.iter().any(same) {
        return Err(refused("AF20024", &[]));
    }
    Ok(())
}

/// Puts a subscription in the place of the one of its type, or last.
fn put(list: &mut Vec<Subscription>, wanted: &Subscription) {
    let mut known = list.iter_mut();
    match known.find(|known| known.content_type == wanted.content_type) {
        Some(known) => known.clone_from(wanted),
        None => list.push(wanted.clone()),
    }
}

/// A subscription as the service writes it; some are listed without their status.
fn entry(subscription: &Subscription) -> Value {
    let mut entry = json!({"contentType": subscription.content_type});
    if let Some(status) = subscription.status {
        entry["status"] = json!(status);
    }
    entry["webhook"] = json!(subscription.webhook);
    entry
}
