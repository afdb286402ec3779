//! `sign_in.*`: a login URL or a device code for a person, and the deletion of stored tokens.
//!
//! None of these needs a token. The authorization code is a parameter of the connection, so the next
//! command that signs in redeems it. A device code is stored, and `sign_in.device.complete` redeems
//! it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::microsoft::connection::Credential;
use crate::net::Audience;
use crate::ops::connection::SearchWith;
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

/// Starts the sign-in of a person on another device.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StartDeviceCode {
    /// The service that audit searches use. The tokens are for this service.
    pub search_with: SearchWith,
}

impl Input for StartDeviceCode {
    const SUMMARY: &'static str = "Starts the sign-in of a person on another device.";
    const RESULT: &'static str = "An object: `verification_uri`, `user_code`, `expires_in_minutes` and the service's `message`.";
    const NEEDS: Needs = Needs::DeviceCode;
}

/// Waits until the person has signed in, and stores the tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompleteDeviceCode {}

impl Input for CompleteDeviceCode {
    const SUMMARY: &'static str = "Waits until the person has signed in, and stores the tokens.";
    const RESULT: &'static str = "An object: `tenant` and `permissions` of the person's token.";
    const NEEDS: Needs = Needs::DeviceCode;
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

/// Requests a code. The host stores it.
pub async fn start(call: &Call<'_>, input: StartDeviceCode) -> Result<Reply, Failure> {
    let audience: &Audience = input.search_with.audience(call);
    let waiting = call.tokens.start_device_code(audience);
    let prompt = call.http.deadline().race("the sign-in", waiting).await?;
    let mut reply = Reply::of_value(&json!({
        "verification_uri": prompt.verification_uri,
        "user_code": prompt.user_code,
        "expires_in_minutes": prompt.lifetime.as_secs() / 60,
        "message": prompt.message,
    }))?;
    reply.changed = Some(reply.raw.clone());
    Ok(reply)
}

/// Polls within the deadline.
pub async fn complete(call: &Call<'_>, _: CompleteDeviceCode) -> Result<Reply, Failure> {
    let token = call.tokens.complete_device_code().await?;
    let mut reply =
        Reply::of_value(&json!({ "tenant": token.tenant, "permissions": token.roles }))?;
    reply.changed = Some(reply.raw.clone());
    Ok(reply)
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
