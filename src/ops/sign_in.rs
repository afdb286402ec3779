//! `sign_in.url` and `sign_in.reset`: a login URL for a person, and the deletion of stored tokens.
//!
//! Sends no request. The authorization code is a parameter of the connection, so the next command
//! that signs in redeems it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::microsoft::connection::Credential;
use crate::ops::{Call, Input, Needs, Reply};
use crate::protocol::{ErrorKind, Failure, Warning};

/// Generates the URL where a person signs in and consents.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoginUrl {}

impl Input for LoginUrl {
    const SUMMARY: &'static str = "Generates the URL where a person signs in and consents.";
    const RESULT: &'static str = "An object: `login_url`.";
    const NEEDS: Needs = Needs::LoginPage;
}

/// Deletes all stored tokens of the connection's account.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reset {}

impl Input for Reset {
    const SUMMARY: &'static str = "Deletes all stored tokens of the connection's account.";
    const RESULT: &'static str = "An object: `removed`, the number of deleted tokens.";
    const NEEDS: Needs = Needs::Account;
}

/// The login URL, for the Management APIs.
#[expect(clippy::unused_async, reason = "operations are asynchronous")]
pub async fn url(call: &Call<'_>, _: LoginUrl) -> Result<Reply, Failure> {
    let Credential::AuthorizationCode(code) = &call.connection.credential else {
        return Err(Failure::new(
            ErrorKind::Internal,
            "A login URL needs an authorization code connection.",
        ));
    };
    let audience = &call.connection.cloud.audiences.management;
    let url = code.login_url(&call.connection.account(), audience);
    Reply::of_value(&json!({ "login_url": url.as_str() }))
}

/// Deletes the stored tokens of the account for every credential and code, because the faulty one
/// is unknown.
#[expect(clippy::unused_async, reason = "operations are asynchronous")]
pub async fn reset(call: &Call<'_>, _: Reset) -> Result<Reply, Failure> {
    let removed = call.tokens.reset()?;
    let mut reply = Reply::of_value(&json!({ "removed": removed }))?;
    if removed == 0 {
        let message = "No stored tokens of this account were found, so none were deleted. Check the spelling of the account. Tokens are stored only with a state folder (--state DIR).";
        reply.warnings.push(Warning::new("nothing_kept", message));
    } else {
        reply.changed = Some(reply.raw.clone());
    }
    Ok(reply)
}
