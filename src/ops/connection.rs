//! `connection.test`: does the connection's application get a token for every service it is for?
//!
//! No permission is needed for that and none is judged; which ones the tokens hold is told. It asks
//! the services themselves nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::net::Audience;
use crate::ops::{Call, Input, Reply};
use crate::protocol::{Document, ErrorKind, Failure};

/// Signs in for every service that is named.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Test {
    /// The services to sign in for.
    pub services: Vec<Service>,
}

/// A service that tokens are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Microsoft Graph.
    Graph,
    /// The Office 365 Management APIs.
    Management,
}

impl Default for Test {
    fn default() -> Self {
        Test {
            services: vec![Service::Management, Service::Graph],
        }
    }
}

impl Input for Test {
    const SUMMARY: &'static str = "Signs in for every service that is named.";
}

/// Signs in for one service after the other and stops at the first refusal, so that a wrong secret
/// counts once against the account.
pub async fn test(call: &Call<'_>, input: Test) -> Result<Reply, Failure> {
    let mut rows = Vec::new();
    for service in input.services {
        let audience = audience(call, service);
        let waiting = call.tokens.token(audience);
        let token = call.http.deadline().race("the sign-in", waiting).await?;
        rows.push(json!({
            "service": service,
            "audience": audience.0,
            "tenant": token.tenant,
            "roles": token.roles,
        }));
    }
    let signed_in = Document::of(&rows).map_err(|error| {
        Failure::new(ErrorKind::Internal, "The sign-ins could not be told.").caused_by(error)
    })?;
    Ok(Reply::of(signed_in))
}

fn audience<'a>(call: &Call<'a>, service: Service) -> &'a Audience {
    let audiences = &call.connection.cloud.audiences;
    match service {
        Service::Graph => &audiences.graph,
        Service::Management => &audiences.management,
    }
}
