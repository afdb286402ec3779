//! `connection.test`: signs in to each service and returns the permissions of the tokens.
//!
//! Needs no permission and checks none. Calls no service except to list the subscriptions, if that
//! is requested. Can renew the tokens, which shows that the refresh token of a person is still valid.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::microsoft::ContentType;
use crate::microsoft::feed::filter::{Filter, Wanted};
use crate::net::{Audience, TokenSource};
use crate::ops::{Call, Input, Reply, all_valid, span, subscriptions};
use crate::protocol::{Failure, Warning};

/// Signs in to each service in `services`, and lists the subscriptions on request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Test {
    /// The services to sign in for.
    pub services: Vec<Service>,
    /// Signs in only for the service that audit searches use.
    pub search_with: Option<SearchWith>,
    /// Requests new tokens although the stored ones are valid.
    pub renew: bool,
    /// Checks the time range of a first fetch: a number and minutes, hours, days or weeks. More
    /// than one week is rejected.
    pub first_fetch: Option<String>,
    /// Lists the subscriptions after the sign-ins. This needs the permission to read the feed, so
    /// it distinguishes a missing permission from a wrong secret.
    pub subscriptions: bool,
    /// Checks that these content types have an enabled subscription.
    pub content_types: Vec<ContentType>,
    /// Checks the names of these record types.
    pub record_types: Vec<String>,
}

/// A service that tokens are for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Microsoft Graph.
    Graph,
    /// The Office 365 Management APIs.
    Management,
    /// The administration of Exchange Online.
    Exchange,
}

/// The service that audit searches use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchWith {
    /// The service that the permissions of the credential allow, Exchange Online first.
    #[default]
    Automatic,
    /// The administration of Exchange Online.
    Exchange,
    /// Microsoft Graph.
    Graph,
}

impl SearchWith {
    /// The audience of the tokens of a person, whose permissions are not known before the sign-in.
    pub(in crate::ops) fn audience<'a>(self, call: &Call<'a>) -> &'a Audience {
        let audiences = &call.connection.cloud.audiences;
        match self {
            SearchWith::Automatic | SearchWith::Exchange => &audiences.exchange,
            SearchWith::Graph => &audiences.graph,
        }
    }
}

impl Service {
    /// The name in Microsoft's portal.
    pub(in crate::ops) fn name(self) -> &'static str {
        match self {
            Service::Graph => "Microsoft Graph",
            Service::Management => "Office 365 Management APIs",
            Service::Exchange => "Office 365 Exchange Online",
        }
    }
}

impl Default for Test {
    fn default() -> Self {
        Test {
            services: vec![Service::Management, Service::Graph],
            search_with: None,
            renew: false,
            first_fetch: None,
            subscriptions: false,
            content_types: Vec::new(),
            record_types: Vec::new(),
        }
    }
}

impl Input for Test {
    const SUMMARY: &'static str = "Signs in to each service in `services`.";
    const RESULT: &'static str =
        "An array, one object per service: `service`, `audience`, `roles`.";

    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let filter = Filter::new(Wanted {
            record_types: &self.record_types,
            ..Wanted::default()
        });
        all_valid([self.within_a_week(now).err(), filter.err()])
    }
}

impl Test {
    fn within_a_week(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let Some(text) = &self.first_fetch else {
            return Ok(());
        };
        // Allows five minutes more, because the request took time to arrive.
        let week = now - TimeDelta::days(7) - TimeDelta::minutes(5);
        if span("first_fetch", text, now)? > week {
            return Ok(());
        }
        let message = format!(
            "\"{text}\" is more than one week. The first fetch can start at most 7 days ago."
        );
        Err(Failure::invalid_input("/inputs/first_fetch", message)
            .cause("The service stores content for 7 days.")
            .advice("Use a time range of at most `7 days`."))
    }
}

/// Signs in to one service after the other. Stops at the first refusal, so that a wrong secret
/// is one failed sign-in, not several.
pub async fn test(call: &Call<'_>, input: Test) -> Result<Reply, Failure> {
    let mut rows = Vec::new();
    let services = match input.search_with {
        Some(SearchWith::Graph) => vec![Service::Graph],
        Some(_) => vec![Service::Exchange],
        None => input.services,
    };
    for service in services {
        let audience = audience(call, service);
        let deadline = call.http.deadline();
        let sign_in = || deadline.race("the sign-in", call.tokens.token(audience));
        let mut token = sign_in().await?;
        if input.renew && call.http.usage().token_source != TokenSource::SignIn {
            call.tokens.forget(audience, &token);
            token = sign_in().await?;
        }
        rows.push(json!({
            "service": service,
            "audience": audience.0,
            "tenant": token.tenant,
            "roles": token.roles,
        }));
    }
    let mut reply = Reply::of_value(&rows)?;
    if input.subscriptions {
        let (enabled, warnings) = subscriptions::enabled(call).await?;
        let mut missing = input.content_types;
        if missing.is_empty() {
            reply.warnings.extend(warnings);
        }
        missing.retain(|content_type| !enabled.contains(content_type));
        reply.warnings.extend(missing.into_iter().map(unsubscribed));
    }
    Ok(reply)
}

fn unsubscribed(content_type: ContentType) -> Warning {
    let message = format!("{content_type} has no enabled subscription. Start its subscription.");
    Warning::new("no_subscription", message)
}

/// The audience of the service.
pub(in crate::ops) fn audience<'a>(call: &Call<'a>, service: Service) -> &'a Audience {
    let audiences = &call.connection.cloud.audiences;
    match service {
        Service::Graph => &audiences.graph,
        Service::Management => &audiences.management,
        Service::Exchange => &audiences.exchange,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when::instant;

    #[test]
    fn first_fetch_of_more_than_a_week_or_without_unit_is_rejected() {
        let now = instant("2026-01-14T12:00:00Z", &[]).expect("a time");
        let check = |text: &str| {
            let test = Test {
                first_fetch: Some(text.to_owned()),
                ..Test::default()
            };
            test.check(now)
        };
        for text in ["10 minutes", "7 days", "1 week", "168 hours"] {
            assert!(check(text).is_ok(), "{text}");
        }
        for text in ["8 days", "10085 minutes", "1 month"] {
            let refused = check(text).expect_err(text);
            assert_eq!(refused.place(), Some("/inputs/first_fetch"));
            assert!(
                refused.message().contains("more than one week"),
                "{refused}"
            );
        }
        for text in ["5", "ten minutes", "10 fortnights", ""] {
            let refused = check(text).expect_err(text);
            assert!(refused.message().contains("expected a number"), "{refused}");
        }
        assert!(Test::default().check(now).is_ok());
    }
}
