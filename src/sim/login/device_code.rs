//! Device codes: the endpoint that issues them, and their redemption at the token endpoint. The
//! world says how the user answers; there is no page to enter a user code.
//!
//! A token request is checked in this order: tenant, app, client proof, device code, use, age,
//! `slow_down`, decision of the user, scope, resource, consent.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::sim::context::Context;
use crate::sim::login::client::Client;
use crate::sim::login::errors::{Refused, refused, refused_as};
use crate::sim::login::form::Form;
use crate::sim::login::scope::RequestedScope;
use crate::sim::login::signed_text::Signer;
use crate::sim::login::user::{Approval, SignIn, requested_scope};
use crate::sim::login::{Login, is_version_2};
use crate::sim::server::call::{Answer, Call};
use crate::sim::world::device_sign_in::Decision;

/// The characters of user codes: no vowels and none that look alike.
const ALPHABET: &[u8] = b"BCDFGHJKLMNPQRSTVWXYZ23456789";

/// Where the user enters the code.
const PAGE: &str = "https://microsoft.com/devicelogin";

/// The data of a device code.
#[derive(Debug, Serialize, Deserialize)]
struct DeviceCode {
    app: String,
    tenant: String,
    scope: String,
    /// The time of issue, in seconds.
    at: i64,
    /// A number that makes each code unique.
    number: u64,
}

pub(super) struct DeviceCodes {
    signer: Signer,
    /// The token requests for each code.
    polls: Mutex<HashMap<String, Polls>>,
}

/// The token requests for one code.
#[derive(Debug, Clone, Copy, Default)]
struct Polls {
    count: u64,
    redeemed: bool,
}

impl DeviceCodes {
    /// The codes of a world.
    pub(super) fn new(context: &Context) -> Self {
        Self {
            signer: Signer::new(&context.ids, "device code"),
            polls: Mutex::default(),
        }
    }

    fn update(&self, code: &str, change: impl FnOnce(&mut Polls)) -> Polls {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        let known = polls.entry(code.to_owned()).or_default();
        let before = *known;
        change(known);
        before
    }
}

impl Login {
    /// Issues a device code.
    pub(super) fn device_code(&self, call: &Call) -> Answer {
        match self.device_code_body(call, &Form::read(call)) {
            Ok(body) => Answer::new(200, body.to_string()),
            Err(error) => error.answer(&self.context, call),
        }
    }

    fn device_code_body(&self, call: &Call, form: &Form) -> Result<Value, Refused> {
        if call.method != "POST" {
            return Err(refused(900_561, &["POST", &call.method]));
        }
        let tenant = self.tenant_of_user(call, form)?;
        let client = Client::find(&self.context.world, form.need("client_id")?, &tenant)?;
        let second = is_version_2(call);
        form.need(if second { "scope" } else { "resource" })?;
        let scope = requested_scope(call, form)?.unwrap_or_default();
        RequestedScope::read(&scope)?;
        let code = self.device_codes.signer.sign(&DeviceCode {
            app: client.id.to_owned(),
            tenant,
            scope,
            at: self.context.now().timestamp(),
            number: call.number,
        });
        let user_code = user_code(&self.context, &code);
        let options = &self.context.world.device_sign_in;
        let number = |value: u32| {
            if second {
                json!(value)
            } else {
                json!(value.to_string())
            }
        };
        // Version 1 has another name for the address. This is not documented.
        let page = if second {
            "verification_uri"
        } else {
            "verification_url"
        };
        Ok(json!({
            "user_code": user_code,
            "device_code": code,
            page: PAGE,
            "expires_in": number(options.lifetime_seconds),
            "interval": number(options.interval_seconds),
            "message": format!(
                "To sign in, use a web browser to open the page {PAGE} and enter the code \
                 {user_code} to authenticate."
            ),
        }))
    }

    pub(super) fn by_device_code(&self, call: &Call, form: &Form) -> Result<Approval, Refused> {
        let known = self.known(call, form)?;
        // The service also accepts `code`, and names this one if both are missing.
        let text = form.get("device_code").or_else(|| form.get("code"));
        let text = text.ok_or_else(|| refused(900_144, &["code"]))?;
        let code: Option<DeviceCode> = self.device_codes.signer.verify(text);
        let is_own = |code: &DeviceCode| {
            code.app.eq_ignore_ascii_case(known.client.id)
                && code.tenant.eq_ignore_ascii_case(&known.tenant)
        };
        let code = code.filter(is_own).ok_or_else(|| refused(70018, &[]))?;
        self.decision(text, code.at)?;
        let sign_in = SignIn {
            tenant: code.tenant,
            scope: code.scope,
            requested_scope: requested_scope(call, form)?,
            nonce: None,
            renewed: false,
            device: true,
        };
        let approval = self.approve(call, &known, sign_in)?;
        let before = self
            .device_codes
            .update(text, |polls| polls.redeemed = true);
        if before.redeemed {
            // A concurrent request has redeemed it since it was checked.
            return Err(refused(54005, &[]));
        }
        Ok(approval)
    }

    /// Counts a token request for a code. Succeeds if the user has approved.
    fn decision(&self, code: &str, issued: i64) -> Result<(), Refused> {
        let options = &self.context.world.device_sign_in;
        let before = self.device_codes.update(code, |polls| polls.count += 1);
        if before.redeemed {
            return Err(refused(54005, &[]));
        }
        let age = self.context.now().timestamp() - issued;
        if age >= i64::from(options.lifetime_seconds) {
            return Err(refused(70019, &[]));
        }
        let Some(polls) = before.count.checked_sub(options.slow_down_polls) else {
            return Err(refused_as("70016_slow_down", &[]));
        };
        let decided = polls >= options.after_polls && age >= i64::from(options.after_seconds);
        match options.decision {
            Decision::Approve if decided => Ok(()),
            Decision::Decline if decided => Err(refused(70017, &[])),
            _ => Err(refused(70016, &[])),
        }
    }
}

/// The code that the user enters, nine characters.
fn user_code(context: &Context, device_code: &str) -> String {
    let digest = context.ids.digest(&["user code", device_code]);
    let bytes = digest.as_ref().iter().take(9);
    bytes
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}
