//! Sign-in of a person on another device (RFC 8628), in two runs.
//!
//! The first run requests a code, stores it, and returns the address and the user code for the
//! person. The second run polls until the person has signed in, and stores the tokens. Later runs
//! use the refresh token. The device code is a secret: it is stored like a token and never
//! returned.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::identity::account::Account;
use crate::identity::auth_code::{SIGN_IN_AGAIN, scope};
use crate::identity::cache::TokenCache;
use crate::identity::store::{Entry, TokenGrant, TokenStore};
use crate::identity::token_endpoint::{
    self, DECLINED, EXPIRED, Form, PENDING, SLOW_DOWN, UNKNOWN_CODE, seconds,
};
use crate::net::message::append_path;
use crate::net::{Audience, Caller, DevicePrompt, Token};
use crate::protocol::{ErrorKind, Failure, Redactor, Secret};

/// Microsoft's public application for the administration of Exchange Online, for connections
/// without an application of their own. It needs no registration and has no secret.
pub const PUBLIC_CLIENT: &str = "fb78d390-0c51-40cd-8e17-fdbfab77341b";

/// The interval between two polls if the service names none, and the increase after `slow_down`.
const INTERVAL: Duration = Duration::from_secs(5);

/// The shortest interval. A shorter one from the service is not used.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The longest lifetime of a code. A longer one from the service is not used.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24);

/// The advice of every failure after which the person must begin again.
const START_AGAIN: &str =
    "Start a new sign-in with a device code, with the same connection and state folder.";

/// The response to a request for a code. It has no `Debug`, because it holds a secret.
#[derive(Deserialize)]
struct CodeResponse {
    device_code: String,
    user_code: String,
    #[serde(alias = "verification_url")]
    verification_uri: String,
    #[serde(deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    interval: Option<u64>,
    #[serde(default)]
    message: String,
}

/// The stored part of the response. It has no `Debug`, because it holds a secret.
#[derive(Serialize, Deserialize)]
struct StartedSignIn {
    device_code: String,
    user_code: String,
    verification_uri: String,
    interval: u64,
    audience: String,
}

/// The form that refreshes a person's token.
pub(super) fn refresh_form(account: &Account, audience: &Audience, refresh: &Secret) -> Form {
    vec![
        ("client_id", account.client_id.as_str().into()),
        ("scope", scope(audience).into()),
        ("grant_type", "refresh_token".into()),
        ("refresh_token", refresh.into()),
    ]
}

/// The failure of a connection whose person has not signed in.
pub(super) fn not_signed_in(user: &str) -> Failure {
    let message = format!("{user} has not signed in with a device code.");
    Failure::new(ErrorKind::AuthFailed, message)
        .cause("The state folder has no tokens of this connection.")
        .advice("Start a sign-in with a device code, complete it, then send the request again.")
}

/// Adds cause and advice to the failure of a refused refresh token.
pub(super) fn with_advice(failure: Failure) -> Failure {
    match failure.vendor_code() {
        Some(code) if code == "invalid_grant" || SIGN_IN_AGAIN.contains(&code) => failure
            .cause("The sign-in of the person has ended: the refresh token has expired or was revoked.")
            .advice(START_AGAIN),
        _ => failure,
    }
}

/// The sign-in of one account on another device.
pub(super) struct DeviceSignIn<'a> {
    pub(super) caller: &'a Caller,
    pub(super) account: &'a Account,
    pub(super) cache: &'a TokenCache,
    pub(super) redactor: &'a Redactor,
    /// Only a dry run has no store.
    pub(super) store: Option<&'a dyn TokenStore>,
    /// The entry of the token for an audience.
    pub(super) entry: &'a (dyn Fn(&Audience) -> Entry + Sync),
}

impl DeviceSignIn<'_> {
    /// Requests a code and stores it. A code that was requested before is replaced.
    pub(super) async fn start(&self, audience: &Audience) -> Result<DevicePrompt, Failure> {
        let entry = self.code_entry();
        // Locked first, so that no person enters a code that could not be stored.
        let lock = match self.store {
            Some(store) => Some(store.lock(&entry).await.ok_or_else(not_stored)?),
            None => None,
        };
        let account = self.account;
        let path = [account.tenant.as_str(), "oauth2", "v2.0", "devicecode"];
        let form = vec![
            ("client_id", account.client_id.as_str().into()),
            ("scope", scope(audience).into()),
        ];
        let request = (append_path(&account.login, path), form);
        let response = token_endpoint::post(self.caller, account, request).await?;
        let code: CodeResponse = response.object().ok_or_else(|| {
            response.bad("the body has no device_code, user_code, verification_uri and expires_in.")
        })?;
        self.redactor
            .register(&Secret::new(code.device_code.as_str()));
        let page = shown_page(&code).ok_or_else(|| {
            response.bad("the code cannot be used: verification_uri must be an https address, and user_code letters, digits and hyphens.")
        })?;
        let lifetime = Duration::from_secs(code.expires_in.unwrap_or(900)).min(LONGEST_LIFETIME);
        let started = StartedSignIn {
            device_code: code.device_code,
            user_code: code.user_code.clone(),
            verification_uri: page.clone(),
            interval: code.interval.unwrap_or(INTERVAL.as_secs()),
            audience: audience.0.clone(),
        };
        let text = serde_json::to_string(&started).map_err(|error| {
            Failure::new(ErrorKind::Internal, "The code could not be written.").caused_by(error)
        })?;
        let lock = lock.ok_or_else(not_stored)?;
        lock.write(&TokenGrant {
            token: stored_token(text),
            lifetime,
            refresh: None,
        });
        lock.read().ok_or_else(not_stored)?;
        Ok(DevicePrompt {
            verification_uri: page,
            user_code: code.user_code,
            message: code.message,
            lifetime,
        })
    }

    /// Polls until the person has signed in, and stores the tokens.
    pub(super) async fn complete(&self) -> Result<Token, Failure> {
        let entry = self.code_entry();
        let (stored, started, left) = self.started(&entry).await?;
        let outcome = self.poll(&started, left).await;
        let is_final = |failure: &Failure| {
            let rule = failure.broken_rule();
            rule.is_some_and(|rule| [DECLINED, EXPIRED, UNKNOWN_CODE].contains(&rule))
        };
        let is_used = outcome.as_ref().map_or_else(is_final, |_| true);
        let outcome = match outcome {
            Ok(granted) => {
                self.redactor.register(&granted.token.value);
                let entry = (self.entry)(&Audience(started.audience));
                self.cache.replace(&entry, self.store, granted).await
            }
            Err(failure) => Err(failure),
        };
        if let Some(store) = self.store.filter(|_| is_used) {
            store.forget(&entry, &stored);
        }
        outcome
    }

    /// The stored code: as a token, its parts, and how long it is still valid.
    async fn started(&self, entry: &Entry) -> Result<(Token, StartedSignIn, Duration), Failure> {
        let none = || {
            let message = "No sign-in with a device code was started, or it was completed already.";
            Failure::new(ErrorKind::AuthFailed, message)
                .cause("The state folder has no code of this connection.")
                .advice(START_AGAIN)
        };
        let Some(store) = self.store else {
            let started = StartedSignIn {
                device_code: "dry-run".to_owned(),
                user_code: String::new(),
                verification_uri: String::new(),
                interval: INTERVAL.as_secs(),
                audience: String::new(),
            };
            return Ok((stored_token(String::new()), started, Duration::ZERO));
        };
        let lock = store.lock(entry).await.ok_or_else(not_stored)?;
        let stored = lock.read().ok_or_else(none)?;
        let token = stored.granted.token;
        let started = serde_json::from_str(token.value.expose()).map_err(|_| none())?;
        match stored.granted.lifetime.checked_sub(stored.age) {
            Some(left) if !left.is_zero() => Ok((token, started, left)),
            _ => Err(Failure::new(
                ErrorKind::AuthFailed,
                "The code expired before the sign-in was completed.",
            )
            .rule(EXPIRED)
            .cause("A code is valid for some minutes only.")
            .advice(START_AGAIN)),
        }
    }

    async fn poll(&self, started: &StartedSignIn, left: Duration) -> Result<TokenGrant, Failure> {
        let code = Secret::new(started.device_code.as_str());
        self.redactor.register(&code);
        let mut interval = Duration::from_secs(started.interval).max(SHORTEST_INTERVAL);
        loop {
            let form = vec![
                ("client_id", self.account.client_id.as_str().into()),
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:device_code".into(),
                ),
                ("device_code", (&code).into()),
            ];
            let outcome = token_endpoint::request(self.caller, self.account, form).await;
            let failure = match outcome {
                Ok(granted) => return Ok(granted),
                Err(failure) => failure,
            };
            match failure.broken_rule() {
                Some(PENDING) => {}
                Some(SLOW_DOWN) => interval = interval.saturating_add(INTERVAL),
                rule => return Err(explained(failure, rule)),
            }
            if !self.caller.pause("the next poll", interval).await? {
                return Err(still_pending(started, left));
            }
        }
    }

    /// The entry of a started sign-in, beside those of the tokens.
    fn code_entry(&self) -> Entry {
        Entry {
            single_use: true,
            ..(self.entry)(&Audience("device_code".to_owned()))
        }
    }
}

/// The address for the person. None: address or code must not be shown to a person.
fn shown_page(code: &CodeResponse) -> Option<String> {
    let page = Url::parse(&code.verification_uri).ok()?;
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    let is_code = (1..=64).contains(&code.user_code.len()) && code.user_code.bytes().all(is_plain);
    (page.scheme() == "https" && is_code).then(|| page.into())
}

/// The form in which a started sign-in is stored.
fn stored_token(text: String) -> Token {
    Token {
        value: Secret::new(text),
        tenant: None,
        roles: Vec::new(),
    }
}

/// Adds cause and advice to a failure that ends the sign-in.
fn explained(failure: Failure, rule: Option<&str>) -> Failure {
    let cause = match rule {
        Some(DECLINED) => "The person declined the sign-in.",
        Some(EXPIRED) => "The code expired before the sign-in was completed.",
        Some(UNKNOWN_CODE) => {
            "The login service does not know the code. A later start can have replaced it."
        }
        _ => return failure,
    };
    failure.cause(cause).advice(START_AGAIN)
}

/// The failure of a run whose time ends before the person has signed in.
fn still_pending(started: &StartedSignIn, left: Duration) -> Failure {
    let minutes = left.as_secs().div_ceil(60);
    let (address, code) = (&started.verification_uri, &started.user_code);
    Failure::new(
        ErrorKind::Timeout,
        "The sign-in is not complete: the code was not used yet.",
    )
    .rule(PENDING)
    .cause("The time of this run ends before the next poll.")
    .advice(format!(
        "Open {address}, enter {code} and sign in. Then send the same request again; the code expires in less than {minutes} minutes."
    ))
}

/// A code is not shown, and not redeemed, if it cannot be stored.
fn not_stored() -> Failure {
    Failure::invalid_input("--state", "The code of the sign-in could not be stored.")
        .cause("The state folder cannot be used. A warning has the reason if there is one.")
        .advice("Repair the state folder, then send the same request.")
}
