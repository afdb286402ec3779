//! Authorization codes: issued by the simulator, listed in the world, or unlisted. Each is accepted
//! once, and is used up only if a token is issued. They are checked in this order: known, used,
//! age, client and tenant, redirect URI, code verifier.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use crate::sim::base64::encode;
use crate::sim::context::Context;
use crate::sim::login::errors::{Refused, refused, refused_as};
use crate::sim::login::form::Form;
use crate::sim::login::signed_text::{Code, Signer};
use crate::sim::world::apps::{App, ReadyCode};

/// The lifetime of a code, in seconds.
const LIFETIME: i64 = 600;

/// The minimum length of an unlisted code.
const MIN_UNLISTED_LENGTH: usize = 20;

pub(super) struct Codes {
    /// Signs and verifies issued codes.
    pub(super) signer: Signer,
    used: Mutex<HashSet<String>>,
}

/// The client that redeems a code.
pub(super) struct Redeemer<'a> {
    pub(super) id: &'a str,
    /// The listed app.
    pub(super) app: Option<&'a App>,
    /// The tenant of the path, or the tenant of the app.
    pub(super) tenant: &'a str,
    /// The time of the request, in seconds.
    pub(super) now: i64,
}

impl Codes {
    /// The codes of a world.
    pub(super) fn new(context: &Context) -> Self {
        Self {
            signer: Signer::new(&context.ids, "code"),
            used: Mutex::default(),
        }
    }

    pub(super) fn check(&self, form: &Form, redeemer: &Redeemer<'_>) -> Result<Code, Refused> {
        let text = form.need("code")?;
        let redirect_uri = form.need("redirect_uri")?;
        let code = self.find(text, redirect_uri, redeemer)?;
        if self.used().contains(text) {
            return Err(refused(54005, &[]));
        }
        if code.at + LIFETIME <= redeemer.now {
            return Err(refused(70008, &[]));
        }
        if !code.app.eq_ignore_ascii_case(redeemer.id) {
            return Err(refused(70000, &[]));
        }
        if !code.tenant.eq_ignore_ascii_case(redeemer.tenant) {
            return Err(refused(700_005, &[]));
        }
        if code.redirect_uri != redirect_uri {
            return Err(refused_as(
                "50011_reply_address",
                &[redirect_uri, &code.redirect_uri],
            ));
        }
        if verifier_matches(&code, form.get("code_verifier")) {
            Ok(code)
        } else {
            Err(refused(501_481, &[]))
        }
    }

    /// Marks a code as used.
    pub(super) fn mark_used(&self, form: &Form) -> Result<(), Refused> {
        let text = form.need("code")?;
        if self.used().insert(text.to_owned()) {
            Ok(())
        } else {
            // A concurrent request has used it since it was checked.
            Err(refused(54005, &[]))
        }
    }

    fn find(
        &self,
        text: &str,
        redirect_uri: &str,
        redeemer: &Redeemer<'_>,
    ) -> Result<Code, Refused> {
        if let Some(code) = self.signer.verify(text) {
            return Ok(code);
        }
        let listed = redeemer.app.map(|app| app.codes.as_slice());
        let listed = listed.unwrap_or_default();
        if let Some(ready) = listed.iter().find(|ready| ready.code == text) {
            return Ok(of_world(ready, redeemer));
        }
        let formed =
            text.len() >= MIN_UNLISTED_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic());
        if redeemer.app.is_none() && formed {
            // Unlisted codes are accepted only if the world accepts unlisted credentials.
            return Ok(Code {
                redirect_uri: redirect_uri.to_owned(),
                ..unlisted(redeemer)
            });
        }
        Err(refused(70000, &[]))
    }

    fn used(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_world(ready: &ReadyCode, redeemer: &Redeemer<'_>) -> Code {
    let now = redeemer.now;
    Code {
        redirect_uri: ready.redirect_uri.clone(),
        challenge: ready.code_challenge.clone(),
        scope: ready.scope.clone(),
        at: if ready.expired { now - LIFETIME } else { now },
        ..unlisted(redeemer)
    }
}

fn unlisted(redeemer: &Redeemer<'_>) -> Code {
    Code {
        app: redeemer.id.to_owned(),
        tenant: redeemer.tenant.to_owned(),
        redirect_uri: String::new(),
        challenge: None,
        plain: false,
        scope: String::new(),
        nonce: None,
        at: redeemer.now,
        number: 0,
    }
}

/// Whether the code verifier matches the challenge.
fn verifier_matches(code: &Code, verifier: Option<&str>) -> bool {
    match (&code.challenge, verifier) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(challenge), Some(verifier)) if code.plain => challenge == verifier,
        (Some(challenge), Some(verifier)) => {
            *challenge == encode(digest(&SHA256, verifier.as_bytes()).as_ref())
        }
    }
}
