//! The authorization endpoint: where a client sends a person, who here always signs in and
//! consents.
//!
//! What is wrong before it is known where to send the person back is shown on a page; the rest is
//! told to the client. There is deliberately no form to fill in, and `response_mode=form_post` is
//! not known.

use url::Url;

use crate::sim::login::client::Client;
use crate::sim::login::errors::{Refused, refused};
use crate::sim::login::form::Form;
use crate::sim::login::scope::Wanted;
use crate::sim::login::sealed::Code;
use crate::sim::login::user::asked;
use crate::sim::login::{Login, second_version};
use crate::sim::server::call::{Answer, Call};
use crate::sim::world::apps::App;

/// What a client sent a person with, checked as far as the way back.
struct Visit<'a> {
    form: &'a Form,
    client: Client<'a>,
    tenant: String,
    back: Url,
    scope: String,
}

impl Login {
    /// Answers a person's browser.
    pub(super) fn authorize(&self, call: &Call) -> Answer {
        let form = Form::of_query(call);
        let answer = match self.visit(call, &form) {
            Ok(visit) => self.send_back(call, &visit),
            Err(error) => Answer::new(error.status, error.page(&self.site, call)),
        };
        answer.with("Content-Type", "text/html; charset=utf-8")
    }

    fn visit<'a>(&'a self, call: &Call, form: &'a Form) -> Result<Visit<'a>, Refused> {
        if call.method != "GET" {
            return Err(refused(900_561, &["GET", &call.method]));
        }
        let tenant = self.tenant_of_person(call, form)?;
        let client = Client::find(&self.site.world, form.need("client_id")?, &tenant)?;
        form.need("response_type")?;
        let wanted = if second_version(call) {
            "scope"
        } else {
            "resource"
        };
        let given = form.need("redirect_uri")?;
        let back =
            way_back(given, client.app).ok_or_else(|| refused(50011, &[given, client.id]))?;
        form.need(wanted)?;
        let scope = asked(call, form)?.unwrap_or_default();
        Ok(Visit {
            form,
            client,
            tenant,
            back,
            scope,
        })
    }

    fn send_back(&self, call: &Call, visit: &Visit<'_>) -> Answer {
        let mut told = match self.code(call, visit) {
            Ok(code) => vec![("code", code)],
            Err(error) => vec![
                ("error", error.error.clone()),
                ("error_description", error.description(&self.site, call)),
            ],
        };
        if let Some(state) = visit.form.get("state") {
            told.push(("state", state.to_owned()));
        }
        told.push(("session_state", self.site.id_of("session", call)));
        let mut back = visit.back.clone();
        if visit.form.get("response_mode") == Some("fragment") {
            let mut text = url::form_urlencoded::Serializer::new(String::new());
            back.set_fragment(Some(&text.extend_pairs(told).finish()));
        } else {
            back.query_pairs_mut().extend_pairs(told);
        }
        Answer::new(302, String::new()).with("Location", back.as_str())
    }

    fn code(&self, call: &Call, visit: &Visit<'_>) -> Result<String, Refused> {
        let form = visit.form;
        if let Some(other) = form.get("response_type").filter(|kind| *kind != "code") {
            return Err(refused(70005, &[other]));
        }
        if !["query", "fragment"].contains(&form.get("response_mode").unwrap_or("query")) {
            return Err(refused(9_002_313, &[]));
        }
        let challenge = form.get("code_challenge");
        let plain = match form.get("code_challenge_method") {
            Some("S256") => false,
            None | Some("plain") => true,
            Some(_) => return Err(refused(50149, &[])),
        };
        if challenge.is_some_and(|text| !(43..=128).contains(&text.len())) {
            return Err(refused(501_491, &[]));
        }
        let wanted = Wanted::read(&visit.scope)?;
        let audience = wanted.audience()?;
        if self.site.tokens.resource(audience).is_none() {
            return Err(refused(500_011, &[audience, &visit.tenant]));
        }
        if !visit.client.consented() {
            return Err(refused(65004, &[]));
        }
        Ok(self.codes.seal.close(&Code {
            app: visit.client.id.to_owned(),
            tenant: visit.tenant.clone(),
            redirect_uri: form.need("redirect_uri")?.to_owned(),
            challenge: challenge.map(str::to_owned),
            plain,
            scope: visit.scope.clone(),
            nonce: form.get("nonce").map(str::to_owned),
            at: self.site.now().timestamp(),
            number: call.number,
        }))
    }
}

/// The address to send a person back to, if the app may name it.
fn way_back(given: &str, app: Option<&App>) -> Option<Url> {
    let url = Url::parse(given).ok()?;
    if !["http", "https"].contains(&url.scheme()) {
        return None;
    }
    let listed = app.map(|app| app.redirect_uris.as_slice());
    let listed = listed.unwrap_or_default();
    // A program on the person's machine takes any free port.
    let portless = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        let local = url.scheme() == "http" && url.host_str() == Some("localhost");
        url.set_port(None).ok()?;
        local.then_some(url)
    };
    let fits = |known: &String| {
        let same = portless(known).is_some_and(|known| portless(given) == Some(known));
        known == given || same
    };
    (listed.is_empty() || listed.iter().any(fits)).then_some(url)
}
