//! Checks the subscription that some alerts depend on, and starts it on request.
//!
//! Runs at the same time as the listing of alerts. A failure is a warning that explains how to
//! receive those alerts. Only a signal or the deadline ends the run.

use std::time::Duration;

use super::Fetch;
use crate::microsoft::ContentType;
use crate::microsoft::feed::Started;
use crate::net::transcript::is_dry_run;
use crate::ops::{Call, subscriptions};
use crate::protocol::{ErrorKind, Failure, Warning};

/// The maximum duration of the check. The alerts do not depend on it.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Checks the subscription. Returns a warning if it was not enabled. Errors: the run must stop.
pub(super) async fn ensure(call: &Call<'_>, input: &Fetch) -> Result<Option<Warning>, Failure> {
    let Some(kind) = input.ensure_subscription else {
        return Ok(None);
    };
    let work = tokio::time::timeout(TIME_LIMIT, check(call, input, kind));
    work.await.unwrap_or_else(|_| {
        let message = format!("no answer within {} seconds", TIME_LIMIT.as_secs());
        Ok(Some(unknown(
            kind,
            &Failure::new(ErrorKind::Timeout, message),
        )))
    })
}

async fn check(
    call: &Call<'_>,
    input: &Fetch,
    kind: ContentType,
) -> Result<Option<Warning>, Failure> {
    let listed = match subscriptions::current(call).await {
        Ok((listed, _)) => listed,
        Err(failure) => return stopped_or(failure, |failure| unknown(kind, failure)),
    };
    if listed.iter().any(|known| known.is_enabled(kind)) {
        return Ok(None);
    }
    if !input.start_subscription {
        return Ok(Some(not_enabled(kind)));
    }
    match subscriptions::started(call, kind, None).await {
        Ok(Started::AlreadyEnabled(_)) => Ok(None),
        Ok(Started::New(_)) => Ok(Some(started(kind))),
        Err(failure) => stopped_or(failure, |failure| not_started(kind, failure)),
    }
}

fn stopped_or(
    failure: Failure,
    warning: impl Fn(&Failure) -> Warning,
) -> Result<Option<Warning>, Failure> {
    match failure.kind() {
        ErrorKind::Cancelled if !is_dry_run(&failure) => Err(failure),
        _ => Ok(Some(warning(&failure))),
    }
}

fn started(kind: ContentType) -> Warning {
    let message = format!(
        "The subscription to {kind} was not enabled and was started. Events that depend on it can \
         take up to 12 hours to arrive."
    );
    Warning::new("subscription_started", message)
}

fn not_enabled(kind: ContentType) -> Warning {
    let message = format!(
        "The subscription to {kind} is not enabled, so events that depend on it are missing. To \
         receive them, start that subscription or set the input that starts it."
    );
    Warning::new("subscription_not_enabled", message)
}

fn unknown(kind: ContentType, failure: &Failure) -> Warning {
    let (reason, remedy) = (reason(failure), remedy(failure));
    let message = format!(
        "The status of the subscription to {kind} could not be read: {reason}. Events that depend \
         on it can be missing. To receive them, {remedy} and start that subscription."
    );
    Warning::new("subscription_unknown", message)
}

fn not_started(kind: ContentType, failure: &Failure) -> Warning {
    let (reason, remedy) = (reason(failure), remedy(failure));
    let message = format!(
        "The subscription to {kind} is not enabled and could not be started: {reason}. Events that \
         depend on it are missing. To receive them, {remedy} and start that subscription."
    );
    Warning::new("subscription_not_started", message)
}

/// The service's message, with its code, without the full stop.
fn reason(failure: &Failure) -> String {
    let message = failure.message().trim_end_matches('.');
    match failure.vendor_code() {
        Some(code) => format!("{code}: {message}"),
        None => message.to_owned(),
    }
}

fn remedy(failure: &Failure) -> &'static str {
    match failure.kind() {
        ErrorKind::Forbidden | ErrorKind::AuthFailed => {
            "grant ActivityFeed.Read (application) of Office 365 Management APIs with admin consent"
        }
        kind if kind.retryable() => "wait",
        _ => "remove the cause",
    }
}
