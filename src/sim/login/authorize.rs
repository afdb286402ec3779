//! The authorization endpoint. The user always signs in and consents; there is no form. Errors are
//! shown on a page until the redirect address is known, then they are returned to the client.
//! `response_mode=form_post` is not supported.

use url::Url;

use crate::sim::login::client::Client;
use crate::sim::login::errors::{Refused, refused};
use crate::sim::login::form::Form;
use crate::sim::login::scope::RequestedScope;
use crate::sim::login::signed_text::Code;
use crate::sim::login::user::requested_scope;
use crate::sim::login::{Login, is_version_2};
use crate::sim::server::call::{Answer, Call};
use crate::sim::world::apps::App;

/// A request whose redirect address was checked.
struct AuthorizationRequest<'a> {
    form: &'a Form,
    client: Client<'a>,
    tenant: String,
    back: Url,
    scope: String,
}

impl Login {
    /// Processes a request of the user's browser.
    pub(super) fn authorize(&self, call: &Call) -> Answer {
        let form = Form::of_query(call);
        let answer = match self.request(call, &form) {
            Ok(request) => self.redirect(call, &request),
            Err(error) => Answer::new(error.status, error.page(&self.context, call)),
        };
        answer.with("Content-Type", "text/html; charset=utf-8")
    }

    fn request<'a>(
        &'a self,
        call: &Call,
        form: &'a Form,
    ) -> Result<AuthorizationRequest<'a>, Refused> {
        if call.method != "GET" {
            return Err(refused(900_561, &["GET", &call.method]));
        }
        let tenant = self.tenant_of_user(call, form)?;
        let client = Client::find(&self.context.world, form.need("client_id")?, &tenant)?;
        form.need("response_type")?;
        let requested = if is_version_2(call) {
            "scope"
        } else {
            "resource"
        };
        let given = form.need("redirect_uri")?;
        let back = redirect_address(given, client.app)
            .ok_or_else(|| refused(50011, &[given, client.id]))?;
        form.need(requested)?;
        let scope = requested_scope(call, form)?.unwrap_or_default();
        Ok(AuthorizationRequest {
            form,
            client,
            tenant,
            back,
            scope,
        })
    }

    fn redirect(&self, call: &Call, request: &AuthorizationRequest<'_>) -> Answer {
        let mut parameters = match self.code(call, request) {
            Ok(code) => vec![("code", code)],
            Err(error) => vec![
                ("error", error.error.clone()),
                ("error_description", error.description(&self.context, call)),
            ],
        };
        if let Some(state) = request.form.get("state") {
            parameters.push(("state", state.to_owned()));
        }
        parameters.push(("session_state", self.context.id_of("session", call)));
        let mut back = request.back.clone();
        if request.form.get("response_mode") == Some("fragment") {
            let mut text = url::form_urlencoded::Serializer::new(String::new());
            back.set_fragment(Some(&text.extend_pairs(parameters).finish()));
        } else {
            back.query_pairs_mut().extend_pairs(parameters);
        }
        Answer::new(302, String::new()).with("Location", back.as_str())
    }

    fn code(&self, call: &Call, request: &AuthorizationRequest<'_>) -> Result<String, Refused> {
        let form = request.form;
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
        let requested = RequestedScope::read(&request.scope)?;
        let audience = requested.audience()?;
        if self.context.tokens.resource(audience).is_none() {
            return Err(refused(500_011, &[audience, &request.tenant]));
        }
        if !request.client.consented() {
            return Err(refused(65004, &[]));
        }
        Ok(self.codes.signer.sign(&Code {
            app: request.client.id.to_owned(),
            tenant: request.tenant.clone(),
            redirect_uri: form.need("redirect_uri")?.to_owned(),
            challenge: challenge.map(str::to_owned),
            plain,
            scope: request.scope.clone(),
            nonce: form.get("nonce").map(str::to_owned),
            at: self.context.now().timestamp(),
            number: call.number,
        }))
    }
}

fn redirect_address(given: &str, app: Option<&App>) -> Option<Url> {
    let url = Url::parse(given).ok()?;
    if !["http", "https"].contains(&url.scheme()) {
        return None;
    }
    let listed = app.map(|app| app.redirect_uris.as_slice());
    let listed = listed.unwrap_or_default();
    // A loopback address matches with any port.
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
