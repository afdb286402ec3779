//! The client of a request: its app registration and its proof of identity. Assertions are verified
//! in `assertion`.

use std::sync::LazyLock;

use crate::sim::ids::is_guid;
use crate::sim::login::Login;
use crate::sim::login::assertion::{self, Expected};
use crate::sim::login::errors::{Refused, refused};
use crate::sim::login::form::Form;
use crate::sim::server::call::Call;
use crate::sim::world::World;
use crate::sim::world::apps::App;

/// The only supported type of client assertion.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Microsoft's public client for Exchange Online. It exists in every tenant.
const EXCHANGE_CLIENT: &str = "a0c73c16-a7e3-4564-9a95-2bdf47383716";

static EXCHANGE_APP: LazyLock<Option<App>> = LazyLock::new(|| {
    let app = serde_json::json!({
        "id": EXCHANGE_CLIENT,
        "name": "Microsoft Exchange Online Remote PowerShell",
        "tenant": "",
        "public": true,
        "scopes": {"exchange": ["Exchange.Manage"]},
    });
    serde_json::from_value(app).ok()
});

/// A client: its id, and its app if it is listed.
pub(super) struct Client<'a> {
    /// The client id as it was sent.
    pub(super) id: &'a str,
    /// The listed app; `None` if unlisted clients are accepted.
    pub(super) app: Option<&'a App>,
}

impl<'a> Client<'a> {
    /// Finds the client with this id in a tenant.
    pub(super) fn find(world: &'a World, id: &'a str, tenant: &str) -> Result<Self, Refused> {
        let home = |app: &&App| app.tenant.eq_ignore_ascii_case(tenant);
        let named = |app: &&App| app.id.eq_ignore_ascii_case(id);
        let built_in = || EXCHANGE_APP.as_ref().filter(named);
        let listed = world.apps.iter().filter(home).find(named);
        let Some(app) = listed.or_else(built_in) else {
            let accepted = world.accepts_unlisted() && is_guid(id);
            return if accepted {
                Ok(Self { id, app: None })
            } else {
                Err(refused(700_016, &[id, tenant]))
            };
        };
        if app.disabled {
            return Err(refused(7_000_112, &[&app.id, &app.name]));
        }
        Ok(Self { id, app: Some(app) })
    }

    /// Whether the tenant has consented to the app.
    pub(super) fn consented(&self) -> bool {
        self.app.is_none_or(|app| app.consented)
    }

    /// Whether it is a public client.
    pub(super) fn public(&self) -> bool {
        self.app.is_some_and(|app| app.public)
    }
}

impl Login {
    /// Checks the secret or assertion; returns the `appidacr` claim.
    pub(super) fn proof(
        &self,
        call: &Call,
        form: &Form,
        client: &Client<'_>,
    ) -> Result<&'static str, Refused> {
        if let Some(secret) = form.get("client_secret") {
            return self.secret(client, secret).map(|()| "1");
        }
        let Some(given) = form.get("client_assertion") else {
            return Err(refused(7_000_218, &[]));
        };
        if form.need("client_assertion_type")? != JWT_BEARER {
            return Err(refused(50012, &[]));
        }
        let endpoint = format!("{}{}{}", self.context.base(), call.prefix, call.path);
        let expected = Expected {
            client: client.id,
            endpoint: &endpoint,
            now: seconds(self.context.now().timestamp()),
            certificates: client.app.map(|app| app.certificates.as_slice()),
        };
        assertion::check(given, &expected).map(|()| "2")
    }

    /// The same for a client that signs in a user: a public client must send neither.
    pub(super) fn user_client_proof(
        &self,
        call: &Call,
        form: &Form,
        client: &Client<'_>,
    ) -> Result<&'static str, Refused> {
        if !client.public() {
            return self.proof(call, form, client);
        }
        let sent = ["client_secret", "client_assertion"];
        if sent.iter().any(|name| form.get(name).is_some()) {
            return Err(refused(700_025, &[]));
        }
        Ok("0")
    }

    fn secret(&self, client: &Client<'_>, given: &str) -> Result<(), Refused> {
        let Some(app) = client.app else { return Ok(()) };
        match app.secrets.iter().find(|secret| secret.value == given) {
            None => Err(refused(7_000_215, &[client.id])),
            Some(secret) if secret.expires.is_some_and(|end| end <= self.context.now()) => {
                Err(refused(7_000_222, &[client.id]))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Seconds as in assertions. Whole numbers are exact beyond the year 9999.
#[expect(
    clippy::cast_precision_loss,
    reason = "the clock's seconds have 38 bits"
)]
fn seconds(whole: i64) -> f64 {
    whole as f64
}
