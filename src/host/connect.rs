//! From what was bound to a connection: which cloud, whose account, which way to sign in.
//!
//! Shapes, halves and contradictions are refused here, all at once and in the words of the request;
//! nothing is read, built or sent. Whether a certificate can be used shows when it is.

use std::ops::RangeInclusive;

use serde_json::Value;
use url::Url;

use crate::host::Settings;
use crate::host::secrets::{self, Secrets};
use crate::identity::certificate::{Algorithm, Given, Thumbprint};
use crate::identity::{Certificate, auth_code};
use crate::manifest::Bound;
use crate::microsoft::connection::{
    AuthorizationCode, Credential, ManagedIdentity, Proof, is_guid,
};
use crate::microsoft::{Cloud, Connection};
use crate::ops::Needs;
use crate::protocol::redact::is_short;
use crate::protocol::{Failure, Redactor, Secret, Warning};

/// How many seconds a call may take; 0 is the usual time.
const LONGEST: RangeInclusive<f64> = 0.0..=86_400.0;

/// What of a connection's secrets an operation needs, by slot.
fn wants(needs: Needs, slot: &str) -> bool {
    match needs {
        Needs::Nothing | Needs::Credential => true,
        Needs::LoginPage => slot != "authorization_code",
        Needs::Account => matches!(
            slot,
            "tenant_id" | "client_id" | "managed_identity_client_id"
        ),
    }
}

/// The connection that a binding describes, if the operation needs one: its secrets resolved, its
/// shapes checked, nothing sent.
pub(super) fn connection(
    needs: Needs,
    bound: &Bound,
    settings: &Settings,
    redactor: &Redactor,
) -> Result<(Connection, Vec<Warning>), Vec<Failure>> {
    let wanted = |slot: &str| wants(needs, slot);
    let (secrets, mut faults) = secrets::resolve(bound, wanted, &settings.allowed, redactor);
    let warnings = short(bound, &secrets);
    let opened = match needs {
        Needs::Nothing => Connection::nobody().map_err(|failure| vec![failure]),
        _ => opened(&Slots { bound, secrets }, needs, settings),
    };
    match opened {
        Ok(connection) if faults.is_empty() => Ok((connection, warnings)),
        Ok(_) => Err(faults),
        Err(found) => {
            // A secret that could not be resolved is reported once, not as missing, too.
            let placed = found
                .into_iter()
                .map(|fault| fault.relocated(&bound.places));
            let known: Vec<String> = faults
                .iter()
                .filter_map(Failure::place)
                .map(str::to_owned)
                .collect();
            faults.extend(
                placed.filter(|fault| !known.iter().any(|at| Some(at.as_str()) == fault.place())),
            );
            Err(faults)
        }
    }
}

/// A warning for each secret that is too short to be struck out of longer words.
fn short(bound: &Bound, secrets: &Secrets) -> Vec<Warning> {
    let short = secrets
        .iter()
        .filter(|(_, secret)| !secret.expose().is_empty() && is_short(secret));
    short
        .map(|(slot, _)| {
            let at = bound.places.get(slot).map_or("/connection", String::as_str);
            let title = at.rsplit('/').next().unwrap_or(slot);
            let words = format!(
                "\"{title}\" is shorter than 6 characters. It is removed from results and logs only where no letter or digit stands beside it, and not at all if it is shorter than 4. Use a longer secret."
            );
            Warning::new("secret_short", words).at(at)
        })
        .collect()
}

fn opened(
    slots: &Slots<'_>,
    needs: Needs,
    settings: &Settings,
) -> Result<Connection, Vec<Failure>> {
    let mut faults = Vec::new();
    let cloud = cloud(slots, settings)
        .map_err(|fault| faults.push(fault))
        .ok();
    let wait = slots.bound.connection.get("call_timeout");
    if wait
        .and_then(Value::as_f64)
        .is_some_and(|seconds| !LONGEST.contains(&seconds))
    {
        let words = "The time-out of a call must be from 1 second to 1 day.";
        let fault = Failure::invalid_input("/connection/call_timeout", words);
        faults.push(fault.advice("Set a number of seconds, or omit it for the default."));
    }
    let publisher = slots.text("publisher").unwrap_or_default();
    let way = way(slots, needs, settings, &mut faults);
    let (tenant, client_id) = (slots.text("tenant_id"), slots.text("client_id"));
    // A machine has its tenant and its client of itself.
    if slots.flag("managed_identity") != Some(true) {
        faults.splice(0..0, slots.missing(&["tenant_id", "client_id"]));
        let wrong = Connection::faults(tenant.unwrap_or_default(), client_id.unwrap_or_default());
        let given = |fault: &Failure| {
            let slot = fault.place().and_then(|at| at.strip_prefix("/connection/"));
            slot.is_some_and(|slot| slots.text(slot).is_some())
        };
        faults.extend(wrong.into_iter().filter(given));
    }
    let (Some(cloud), Some(way), true) = (cloud, way, faults.is_empty()) else {
        return Err(faults);
    };
    let connection = match way {
        Way::Machine(identity) => Connection::of_machine(cloud, identity),
        Way::Application(credential) => Connection::new(
            cloud,
            tenant.unwrap_or_default(),
            client_id.unwrap_or_default(),
            credential,
        )?,
    };
    connection
        .published_by(publisher)
        .map_err(|fault| vec![fault])
}

/// The cloud by its name or by its address, or the operator's instead.
fn cloud(slots: &Slots<'_>, settings: &Settings) -> Result<Cloud, Failure> {
    let name = slots.text("cloud");
    let named = match (name, slots.text("base_url")) {
        (_, None) => Cloud::named(name.unwrap_or("commercial"))?,
        (None, Some(url)) => Cloud::at(url)?,
        (Some(name), Some(url)) => {
            let (named, at) = (Cloud::named(name)?, Cloud::at(url)?);
            if named.id != at.id {
                let words = format!(
                    "This is the address of the cloud \"{}\", and \"{}\" says \"{}\".",
                    at.id,
                    slots.title("cloud"),
                    named.id
                );
                return Err(Failure::invalid_input("/connection/base_url", words)
                    .advice("Give one of the two, or both for the same cloud."));
            }
            at
        }
    };
    match &settings.endpoints {
        None => Ok(named),
        Some(file) => Ok(Cloud::from_operator(&file.text, &named)?.cloud),
    }
}

/// How to sign in.
enum Way {
    Machine(ManagedIdentity),
    Application(Credential),
}

fn way(
    slots: &Slots<'_>,
    needs: Needs,
    settings: &Settings,
    faults: &mut Vec<Failure>,
) -> Option<Way> {
    if slots.flag("managed_identity") == Some(true) {
        if needs == Needs::LoginPage {
            let words =
                "A machine signs in by itself; there is nothing to sign in to for a person.";
            faults.push(
                Failure::invalid_input("/connection/managed_identity", words)
                    .advice("Turn the managed identity off, or go without a login URL."),
            );
            return None;
        }
        return machine(slots, settings)
            .map_err(|fault| faults.push(fault))
            .ok()
            .map(Way::Machine);
    }
    if needs == Needs::Account {
        return Some(Way::Application(Proof::Secret(Secret::new("")).alone()));
    }
    if slots.flag("self_deployed") == Some(false) {
        faults.push(not_self_deployed(slots));
    }
    let code = slots.secret("authorization_code").cloned();
    if let Some(code) = &code {
        keep(auth_code::check(code.expose().trim()), faults);
        if needs == Needs::Credential && !settings.keeps_tokens() {
            faults.push(nowhere_to_keep());
        }
    }
    let wants_redirect = needs == Needs::LoginPage || code.is_some();
    if wants_redirect {
        faults.extend(slots.missing(&["redirect_uri"]));
        keep(slots.text("redirect_uri").map_or(Ok(()), address), faults);
    }
    let client = proof(slots, faults)?;
    if !wants_redirect {
        return Some(Way::Application(client.alone()));
    }
    let code = code.map_or(String::new(), |code| code.expose().trim().to_owned());
    let code = AuthorizationCode {
        redirect_uri: slots.text("redirect_uri")?.to_owned(),
        code: Secret::new(code),
        client,
    };
    Some(Way::Application(Credential::AuthorizationCode(Box::new(
        code,
    ))))
}

/// A person must be able to come back to it.
fn address(redirect_uri: &str) -> Result<(), Failure> {
    if Url::parse(redirect_uri).is_ok_and(|url| !url.cannot_be_a_base()) {
        return Ok(());
    }
    let words = "The redirect URI is not an address.";
    Err(Failure::invalid_input("/connection/redirect_uri", words)
        .advice("Give it exactly as it is registered, with https:// before it."))
}

fn machine(slots: &Slots<'_>, settings: &Settings) -> Result<ManagedIdentity, Failure> {
    let client_id = slots.text("managed_identity_client_id");
    if client_id.is_some_and(|id| !is_guid(id)) {
        return Err(Failure::invalid_input(
            "/connection/managed_identity_client_id",
            "The identity's client id is not a GUID.",
        )
        .advice(
            "Give the client id of a user-assigned identity, or nothing for the machine's own.",
        ));
    }
    Ok(ManagedIdentity {
        client_id: client_id.map(str::to_owned),
        platform: settings.identity_endpoint.clone(),
    })
}

fn not_self_deployed(slots: &Slots<'_>) -> Failure {
    Failure::invalid_input(
        "/connection/self_deployed",
        "The vendor's own application cannot be used: its tokens come from the vendor's server.",
    )
    .advice(format!(
        "Register your own application, set its IDs and credential, and enable \"{}\".",
        slots.title("self_deployed")
    ))
}

fn nowhere_to_keep() -> Failure {
    Failure::invalid_input(
        "/connection/authorization_code",
        "An authorization code works only once, and the host has no state folder for its tokens.",
    )
    .advice(
        "Start the host with --state DIR (or SOARHOST_STATE_DIR), which stores encrypted tokens.",
    )
}

/// The application's own proof. A certificate counts before a secret.
fn proof(slots: &Slots<'_>, faults: &mut Vec<Failure>) -> Option<Proof> {
    let kept = |slot: &str| slots.secret(slot).cloned();
    let (certificate, private_key) = (kept("certificate"), kept("private_key"));
    let written = slots.text("certificate_thumbprint");
    let algorithm = algorithm(slots.text("assertion_algorithm"), faults);
    if certificate.is_none() && private_key.is_none() && written.is_none() {
        let secret = kept("client_secret").map(Proof::Secret);
        if secret.is_none() {
            faults.push(nothing_to_prove(slots));
        }
        return secret;
    }
    let thumbprint = written.map(Thumbprint::parse).transpose();
    let given = Given {
        certificate,
        password: kept("certificate_password"),
        private_key,
        // One that cannot be read is there nevertheless.
        thumbprint: keep(thumbprint, faults).unwrap_or(Some(Thumbprint::Sha1(Vec::new()))),
        algorithm,
    };
    match Certificate::new(given) {
        Ok(certificate) => Some(Proof::Certificate(certificate)),
        Err(found) => {
            faults.extend(found);
            None
        }
    }
}

fn algorithm(name: Option<&str>, faults: &mut Vec<Failure>) -> Algorithm {
    let Some(name) = name else {
        return Algorithm::default();
    };
    Algorithm::named(name).unwrap_or_else(|| {
        let words = format!("\"{name}\" signs no assertions. Known: RS256, PS256.");
        faults.push(Failure::invalid_input(
            "/connection/assertion_algorithm",
            words,
        ));
        Algorithm::default()
    })
}

/// Everything that would do, in the words of the integration.
fn nothing_to_prove(slots: &Slots<'_>) -> Failure {
    let both = |one: &str, other: &str| {
        let known = slots.knows(one) && slots.knows(other);
        known.then(|| format!("{} with {}", slots.title(one), slots.title(other)))
    };
    let one = |slot: &str| slots.knows(slot).then(|| slots.title(slot).to_owned());
    let ways: Vec<String> = [
        one("client_secret"),
        one("certificate"),
        both("private_key", "certificate_thumbprint"),
        one("managed_identity"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let at = if slots.knows("client_secret") {
        "client_secret"
    } else {
        "certificate"
    };
    let words = format!(
        "The connection has no credential. Set one of: {}.",
        ways.join("; ")
    );
    Failure::invalid_input(format!("/connection/{at}"), words)
}

fn keep<T>(outcome: Result<T, Failure>, faults: &mut Vec<Failure>) -> Option<T> {
    outcome.map_err(|fault| faults.push(fault)).ok()
}

/// What was given for the connection.
struct Slots<'a> {
    bound: &'a Bound,
    secrets: Secrets,
}

impl Slots<'_> {
    /// A text that is not blank. What an integration treats as secret is text, too.
    fn text(&self, slot: &str) -> Option<&str> {
        let open = self.bound.connection.get(slot).and_then(Value::as_str);
        let text = open.or_else(|| self.secrets.get(slot).map(Secret::expose));
        text.map(str::trim).filter(|text| !text.is_empty())
    }

    fn flag(&self, slot: &str) -> Option<bool> {
        self.bound.connection.get(slot).and_then(Value::as_bool)
    }

    fn secret(&self, slot: &str) -> Option<&Secret> {
        let given = self.secrets.get(slot)?;
        (!given.expose().trim().is_empty()).then_some(given)
    }

    /// Has the integration a parameter for it?
    fn knows(&self, slot: &str) -> bool {
        self.bound.places.contains_key(slot)
    }

    /// The parameter's name, as the author writes it.
    fn title<'a>(&'a self, slot: &'a str) -> &'a str {
        let place = self.bound.places.get(slot).map_or(slot, String::as_str);
        place.rsplit('/').next().unwrap_or(slot)
    }

    /// One fault for each that is not given.
    fn missing(&self, wanted: &[&str]) -> Vec<Failure> {
        let missing = wanted.iter().filter(|slot| self.text(slot).is_none());
        missing
            .map(|slot| {
                let words = format!("\"{}\" is required.", self.title(slot));
                Failure::invalid_input(format!("/connection/{slot}"), words)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
