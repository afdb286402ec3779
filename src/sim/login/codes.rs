//! Authorization codes: given out here, listed in the world, or a stranger's; each good once.
//!
//! The order of the checks: known, spent, age, client and tenant, redirect address, verifier. A
//! code is deliberately spent by a token only, not by an attempt that fails.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use crate::sim::base64::encode;
use crate::sim::login::errors::{Refused, refused, refused_as};
use crate::sim::login::form::Form;
use crate::sim::login::sealed::{Code, Seal};
use crate::sim::site::Site;
use crate::sim::world::apps::{App, ReadyCode};

/// How long a code is good.
const LIFETIME: i64 = 600;

/// The fewest characters of a stranger's code.
const SHORTEST: usize = 20;

/// The codes of a world.
pub(super) struct Codes {
    /// Makes them.
    pub(super) seal: Seal,
    spent: Mutex<HashSet<String>>,
}

/// Who brings a code: the client, its app if it is listed, and the tenant it is at home in.
pub(super) struct Bearer<'a> {
    /// The client id.
    pub(super) id: &'a str,
    /// The listed app.
    pub(super) app: Option<&'a App>,
    /// The tenant of the address, or the app's own.
    pub(super) tenant: &'a str,
    /// The second of the call.
    pub(super) now: i64,
}

impl Codes {
    /// The codes of a site's world.
    pub(super) fn new(site: &Site) -> Self {
        Self {
            seal: Seal::new(&site.ids, "code"),
            spent: Mutex::default(),
        }
    }

    /// What the code of a form is good for, if it is good.
    pub(super) fn judge(&self, form: &Form, bearer: &Bearer<'_>) -> Result<Code, Refused> {
        let text = form.need("code")?;
        let redirect_uri = form.need("redirect_uri")?;
        let code = self.find(text, redirect_uri, bearer)?;
        if self.spent().contains(text) {
            return Err(refused(54005, &[]));
        }
        if code.at + LIFETIME <= bearer.now {
            return Err(refused(70008, &[]));
        }
        if !code.app.eq_ignore_ascii_case(bearer.id) {
            return Err(refused(70000, &[]));
        }
        if !code.tenant.eq_ignore_ascii_case(bearer.tenant) {
            return Err(refused(700_005, &[]));
        }
        if code.redirect_uri != redirect_uri {
            return Err(refused_as(
                "50011_reply_address",
                &[redirect_uri, &code.redirect_uri],
            ));
        }
        if proven(&code, form.get("code_verifier")) {
            Ok(code)
        } else {
            Err(refused(501_481, &[]))
        }
    }

    /// Makes sure that a code is never good again.
    pub(super) fn spend(&self, form: &Form) -> Result<(), Refused> {
        let text = form.need("code")?;
        if self.spent().insert(text.to_owned()) {
            Ok(())
        } else {
            // Another call was faster since it was judged.
            Err(refused(54005, &[]))
        }
    }

    fn find(&self, text: &str, redirect_uri: &str, bearer: &Bearer<'_>) -> Result<Code, Refused> {
        if let Some(code) = self.seal.open(text) {
            return Ok(code);
        }
        let listed = bearer.app.map(|app| app.codes.as_slice());
        let listed = listed.unwrap_or_default();
        if let Some(ready) = listed.iter().find(|ready| ready.code == text) {
            return Ok(of_world(ready, bearer));
        }
        let formed = text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        if bearer.app.is_none() && formed {
            // A stranger is welcome only where the world says so, and then with any code.
            return Ok(Code {
                redirect_uri: redirect_uri.to_owned(),
                ..plainly(bearer)
            });
        }
        Err(refused(70000, &[]))
    }

    fn spent(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_world(ready: &ReadyCode, bearer: &Bearer<'_>) -> Code {
    let now = bearer.now;
    Code {
        redirect_uri: ready.redirect_uri.clone(),
        challenge: ready.code_challenge.clone(),
        scope: ready.scope.clone(),
        at: if ready.expired { now - LIFETIME } else { now },
        ..plainly(bearer)
    }
}

/// A code of which nothing is known but who brings it.
fn plainly(bearer: &Bearer<'_>) -> Code {
    Code {
        app: bearer.id.to_owned(),
        tenant: bearer.tenant.to_owned(),
        redirect_uri: String::new(),
        challenge: None,
        plain: false,
        scope: String::new(),
        nonce: None,
        at: bearer.now,
        number: 0,
    }
}

/// Whether a verifier is the one of the challenge.
fn proven(code: &Code, verifier: Option<&str>) -> bool {
    match (&code.challenge, verifier) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(challenge), Some(verifier)) if code.plain => challenge == verifier,
        (Some(challenge), Some(verifier)) => {
            *challenge == encode(digest(&SHA256, verifier.as_bytes()).as_ref())
        }
    }
}
