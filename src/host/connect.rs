//! The connection of a request: cloud, account and sign-in method, from its bound slots.
//!
//! Reports all invalid, missing and contradictory values at once, by the names in the request.
//! Sends nothing. Checks that the parts of a certificate are complete; they are parsed when they
//! sign an assertion.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use serde_json::Value;
use url::Url;

use crate::host::secrets::{self, Secrets};
use crate::host::{Settings, add_new};
use crate::identity::certificate::{Algorithm, CertificateParameters, Thumbprint};
use crate::identity::{Certificate, PUBLIC_CLIENT, auth_code};
use crate::manifest::{Bound, Slot};
use crate::microsoft::connection::{
    AuthorizationCode, ClientCredential, Credential, ManagedIdentity, is_guid, is_tenant,
};
use crate::microsoft::{Cloud, Connection};
use crate::ops::Needs;
use crate::protocol::redact::is_short;
use crate::protocol::{Failure, Redactor, Secret, Warning, quoted};

/// The allowed time-outs of a call in seconds; 0 is the default time-out.
const CALL_TIMEOUT: RangeInclusive<f64> = 0.0..=86_400.0;

/// True if an operation with these needs uses the secret of the slot.
fn uses(needs: Needs, slot: Slot) -> bool {
    match needs {
        Needs::Nothing | Needs::Credential => true,
        Needs::DeviceCode => matches!(slot, Slot::Password | Slot::CertificatePassword),
        Needs::LoginPage => slot != Slot::AuthorizationCode,
        Needs::Account => matches!(
            slot,
            Slot::TenantId | Slot::ClientId | Slot::ManagedIdentityClientId
        ),
    }
}

/// The connection of a request, with its secrets resolved.
pub(super) fn connection(
    needs: Needs,
    bound: &Bound,
    settings: &Settings,
    redactor: &Redactor,
) -> Result<(Connection, Vec<Warning>), Vec<Failure>> {
    let used = |slot: Slot| uses(needs, slot);
    let (secrets, mut faults) = secrets::resolve(bound, used, &settings.allowed, redactor);
    let slots = Slots {
        bound,
        secrets,
        faults: RefCell::default(),
    };
    let connection = match needs {
        Needs::Nothing => slots.value_or_fault(Connection::unused()),
        _ => slots.connection(needs, settings),
    };
    let warnings = slots.short_secrets();
    // A secret that could not be resolved has a fault already and is not reported as missing.
    add_new(&mut faults, slots.faults.take());
    match connection {
        Some(connection) if faults.is_empty() => Ok((connection, warnings)),
        _ => Err(faults),
    }
}

/// The values of the connection's slots, and the faults that were found.
struct Slots<'a> {
    bound: &'a Bound,
    secrets: Secrets,
    faults: RefCell<Vec<Failure>>,
}

impl Slots<'_> {
    /// The connection; `None` if there are faults.
    fn connection(&self, needs: Needs, settings: &Settings) -> Option<Connection> {
        let cloud = self.cloud(settings);
        // The platform knows the tenant and the client ID of a managed identity.
        let is_person = self.is_person(needs);
        if self.bound.flag(Slot::ManagedIdentity) != Some(true) {
            if !is_person && !self.is_empty_sign_in(needs) {
                self.require(&[Slot::TenantId, Slot::ClientId]);
            }
            let tenant = "a GUID or a domain name such as contoso.onmicrosoft.com";
            self.check(Slot::TenantId, is_tenant, tenant);
            let client = "a GUID: the application (client) ID, not the object ID or the name";
            self.check(Slot::ClientId, is_guid, client);
        }
        let credential = if is_person {
            self.person(needs, settings)
        } else {
            self.credential(needs, settings)
        };
        let timeout = self.bound.value(Slot::CallTimeout).and_then(Value::as_f64);
        if timeout.is_some_and(|seconds| !CALL_TIMEOUT.contains(&seconds)) {
            let allowed = "a number of seconds from 1 to 86400 (1 day), or 0 for the default";
            self.add(self.invalid(Slot::CallTimeout, allowed));
        }
        let publisher = "a GUID: the tenant ID of the company that runs this client";
        self.check(Slot::Publisher, is_guid, publisher);
        let (cloud, credential) = (cloud?, credential?);
        let text = |slot| self.text(slot).unwrap_or_default();
        let connection = match credential {
            Credential::ManagedIdentity(identity) => Connection::of_machine(cloud, identity),
            Credential::DeviceCode(user) => {
                // The login service finds the directory of a person by the name.
                let tenant = self.text(Slot::TenantId).unwrap_or("organizations");
                let client_id = self.text(Slot::ClientId).unwrap_or(PUBLIC_CLIENT);
                Connection::new(cloud, tenant, client_id, Credential::DeviceCode(user))
            }
            credential => {
                let (tenant, client_id) = (text(Slot::TenantId), text(Slot::ClientId));
                Connection::new(cloud, tenant, client_id, credential)
            }
        };
        Some(connection.published_by(self.text(Slot::Publisher)))
    }

    /// The cloud of the name or of the base URL, with the operator's endpoints if there are any.
    fn cloud(&self, settings: &Settings) -> Option<Cloud> {
        let named = self.text(Slot::Cloud).map(|name| {
            let names: Vec<&str> = Cloud::names().collect();
            let invalid = || self.invalid(Slot::Cloud, &format!("one of {}", names.join(", ")));
            self.value_or_fault(Cloud::named(name).map_err(|_| invalid()))
        });
        let exchange = self.text(Slot::ExchangeUrl).map(|url| {
            (
                Slot::ExchangeUrl,
                Cloud::at_exchange(url),
                Cloud::exchange_urls(),
            )
        });
        let management = self.text(Slot::BaseUrl);
        let management = management.map(|url| (Slot::BaseUrl, Cloud::at(url), Cloud::base_urls()));
        let slot = exchange.as_ref().map_or(Slot::BaseUrl, |(slot, ..)| *slot);
        let at = exchange.or(management).map(|(slot, cloud, known)| {
            let invalid = || {
                let invalid = self.invalid(slot, &format!("one of {known}"));
                invalid.advice("Other addresses are an operator setting (--endpoints).")
            };
            self.value_or_fault(cloud.ok_or_else(invalid))
        });
        let cloud = match (named, at) {
            (None, None) => self.value_or_fault(Cloud::named(Cloud::DEFAULT))?,
            (Some(cloud), None) | (None, Some(cloud)) => cloud?,
            (Some(named), Some(at)) => {
                let (named, at) = (named?, at?);
                // Two clouds have the same address of Exchange Online.
                let is_shared = slot == Slot::ExchangeUrl && named.exchange == at.exchange;
                if named.id != at.id && !is_shared {
                    let (url, name) = (self.name(slot), self.name(Slot::Cloud));
                    let (of_url, of_name) = (&at.id, &named.id);
                    let message = format!(
                        "\"{url}\" is the address of the cloud {of_url}, but \"{name}\" is {of_name}."
                    );
                    let fault = Failure::invalid_input(self.bound.place(slot), message);
                    self.add(fault.advice("Set one of the two, or both for the same cloud."));
                }
                if is_shared { named } else { at }
            }
        };
        match &settings.endpoints {
            None => Some(cloud),
            Some(file) => self
                .value_or_fault(Cloud::from_operator(&file.text, &cloud))
                .map(|file| file.cloud),
        }
    }

    /// True if a person signs in, not the application. The application's own credential comes first.
    fn is_person(&self, needs: Needs) -> bool {
        let has_user = || self.text(Slot::UserName).is_some();
        match needs {
            Needs::DeviceCode => true,
            Needs::Credential | Needs::Account => has_user() && !self.has_application_credential(),
            Needs::Nothing | Needs::LoginPage => false,
        }
    }

    /// True if a person or an application could sign in, and the connection names neither.
    fn is_empty_sign_in(&self, needs: Needs) -> bool {
        let names = [Slot::UserName, Slot::TenantId, Slot::ClientId];
        needs == Needs::Credential
            && self.bound.has_parameter(Slot::UserName)
            && !self.has_application_credential()
            && names.iter().all(|slot| self.text(*slot).is_none())
    }

    fn has_application_credential(&self) -> bool {
        let own = [Slot::ClientSecret, Slot::Certificate, Slot::PrivateKey];
        let mut given = self.bound.secrets();
        given.any(|(slot, text)| own.contains(&slot) && !text.trim().is_empty())
    }

    /// A person who signs in with a device code.
    fn person(&self, needs: Needs, settings: &Settings) -> Option<Credential> {
        self.require(&[Slot::UserName]);
        let allowed = "a user principal name such as ada@contoso.onmicrosoft.com";
        self.check(Slot::UserName, is_user_name, allowed);
        if needs == Needs::Account {
            return self
                .text(Slot::UserName)
                .map(|name| Credential::DeviceCode(name.to_owned()));
        }
        // The password of a certificate's file is not the person's.
        let is_theirs = |slot: &Slot| *slot == Slot::Password || !self.has_application_credential();
        for slot in [Slot::Password, Slot::CertificatePassword]
            .into_iter()
            .filter(is_theirs)
        {
            if self.secret(slot).is_some() {
                let message = format!(
                    "A password is not allowed, and \"{}\" has one: Exchange Online refuses basic authentication (a user name and a password).",
                    self.name(slot)
                );
                let fault = Failure::invalid_input(self.bound.place(slot), message);
                self.add(
                    fault
                        .cause("Microsoft has turned off basic authentication, and with it remote PowerShell sessions.")
                        .advice("Remove the password and sign in with a device code, or use a certificate with its organization and application ID."),
                );
            }
        }
        if !settings.stores_tokens() {
            let message = "A sign-in with a device code needs a state folder: it takes two runs, and later runs use its tokens.";
            let fault = Failure::invalid_input("--state", message);
            self.add(fault.advice(settings.how_to_store_tokens()));
        }
        Some(Credential::DeviceCode(
            self.text(Slot::UserName)?.to_owned(),
        ))
    }

    /// The credential of the sign-in method that the slots select.
    fn credential(&self, needs: Needs, settings: &Settings) -> Option<Credential> {
        if self.bound.flag(Slot::ManagedIdentity) == Some(true) {
            if needs == Needs::LoginPage {
                let allowed = "false: a managed identity signs in without a person and a login URL";
                self.add(self.invalid(Slot::ManagedIdentity, allowed));
            }
            let client_id = Slot::ManagedIdentityClientId;
            let allowed = "the client ID (a GUID) of a user-assigned identity, or empty";
            self.check(client_id, is_guid, allowed);
            return Some(Credential::ManagedIdentity(ManagedIdentity {
                client_id: self.text(client_id).map(str::to_owned),
                platform: settings.identity_endpoint.clone(),
            }));
        }
        if needs == Needs::Account {
            return Some(Credential::client_secret(""));
        }
        for value in &self.bound.unsupported {
            self.add(value.fault());
        }
        let code = self.secret(Slot::AuthorizationCode);
        if let Some(code) = &code {
            self.value_or_fault(auth_code::check(code.expose().trim()));
            if needs == Needs::Credential && !settings.stores_tokens() {
                let message = format!(
                    "\"{}\" works only once, and the host has no state folder for its tokens.",
                    self.name(Slot::AuthorizationCode)
                );
                let fault =
                    Failure::invalid_input(self.bound.place(Slot::AuthorizationCode), message);
                self.add(fault.advice(settings.how_to_store_tokens()));
            }
        }
        let needs_redirect_uri = needs == Needs::LoginPage || code.is_some();
        if needs_redirect_uri {
            self.require(&[Slot::RedirectUri]);
            let allowed = "the address as registered, such as https://soar.example/oauth";
            self.check(Slot::RedirectUri, is_address, allowed);
        }
        let client = self.client_credential()?;
        if !needs_redirect_uri {
            return Some(Credential::Application(client));
        }
        let code = code.map_or(String::new(), |code| code.expose().trim().to_owned());
        Some(Credential::AuthorizationCode(Box::new(AuthorizationCode {
            redirect_uri: self.text(Slot::RedirectUri)?.to_owned(),
            code: Secret::new(code),
            client,
        })))
    }

    /// The application's credential. If there are both, the certificate is used and not the secret.
    fn client_credential(&self) -> Option<ClientCredential> {
        let certificate = self.secret(Slot::Certificate);
        let private_key = self.secret(Slot::PrivateKey);
        let thumbprint = self.text(Slot::CertificateThumbprint);
        let algorithm = self.text(Slot::AssertionAlgorithm).map(|name| {
            let invalid = || self.invalid(Slot::AssertionAlgorithm, "RS256 or PS256");
            self.value_or_fault(Algorithm::named(name).ok_or_else(invalid))
        });
        if certificate.is_none() && private_key.is_none() && thumbprint.is_none() {
            let secret = self
                .secret(Slot::ClientSecret)
                .map(ClientCredential::Secret);
            // A reference that cannot be resolved has a fault already.
            if secret.is_none() && !self.has_application_credential() {
                self.add(self.no_credential());
            }
            return secret;
        }
        let thumbprint = thumbprint.map(|text| {
            let allowed = "40 (SHA-1) or 64 (SHA-256) hexadecimal digits";
            let advice = "Copy it from the application's registered certificates.";
            let invalid = || {
                let invalid = self.invalid(Slot::CertificateThumbprint, allowed);
                invalid.advice(advice)
            };
            let parsed = self.value_or_fault(Thumbprint::parse(text).ok_or_else(invalid));
            // An invalid thumbprint has a fault already and is not reported as missing.
            parsed.unwrap_or(Thumbprint::Sha1(Vec::new()))
        });
        let certificate = Certificate::new(CertificateParameters {
            certificate,
            password: self.secret(Slot::CertificatePassword),
            private_key,
            thumbprint,
            algorithm: algorithm.flatten().unwrap_or_default(),
        });
        match certificate {
            Ok(certificate) => Some(ClientCredential::Certificate(certificate)),
            Err(faults) => {
                for fault in faults {
                    self.add(fault);
                }
                None
            }
        }
    }

    /// The fault of a connection without a credential. It names the parameters of each credential.
    fn no_credential(&self) -> Failure {
        let known = |slots: &[Slot]| {
            let known = slots.iter().all(|slot| self.bound.has_parameter(*slot));
            let names = slots.iter().map(|slot| self.name(*slot));
            known.then(|| names.collect::<Vec<_>>().join(" with "))
        };
        let credentials: Vec<String> = [
            known(&[Slot::ClientSecret]),
            known(&[Slot::Certificate]),
            known(&[Slot::PrivateKey, Slot::CertificateThumbprint]),
            known(&[Slot::UserName]),
            known(&[Slot::ManagedIdentity]),
        ]
        .into_iter()
        .flatten()
        .collect();
        let slots = [Slot::ClientSecret, Slot::Certificate];
        let at = slots
            .into_iter()
            .find(|slot| self.bound.has_parameter(*slot));
        let message = format!(
            "The connection has no credential. Set one of: {}.",
            credentials.join("; ")
        );
        Failure::invalid_input(self.bound.place(at.unwrap_or(Slot::ClientSecret)), message)
    }

    /// A warning for each secret that is too short to be redacted inside longer words.
    fn short_secrets(&self) -> Vec<Warning> {
        let short = |secret: &Secret| !secret.expose().is_empty() && is_short(secret);
        let short = self.secrets.iter().filter(|(_, secret)| short(secret));
        short
            .map(|(slot, _)| {
                let message = format!(
                    "\"{}\" is shorter than 6 characters. It is removed from results and logs only where no letter or digit is next to it. A secret shorter than 4 characters is not removed. Use a longer secret.",
                    self.name(*slot)
                );
                Warning::new("secret_short", message).at(self.bound.place(*slot))
            })
            .collect()
    }

    /// The trimmed text of a slot, if it is not empty. An integration can declare any slot secret,
    /// so the secrets are searched, too.
    fn text(&self, slot: Slot) -> Option<&str> {
        let text = self.bound.value(slot).and_then(Value::as_str);
        let text = text.or_else(|| self.secrets.get(&slot).map(Secret::expose));
        text.map(str::trim).filter(|text| !text.is_empty())
    }

    fn secret(&self, slot: Slot) -> Option<Secret> {
        let secret = self.secrets.get(&slot)?;
        (!secret.expose().trim().is_empty()).then(|| secret.clone())
    }

    fn name(&self, slot: Slot) -> String {
        self.bound.name(slot)
    }

    fn add(&self, fault: Failure) {
        self.faults.borrow_mut().push(self.bound.located(fault));
    }

    /// The value; otherwise adds the fault.
    fn value_or_fault<T>(&self, outcome: Result<T, Failure>) -> Option<T> {
        outcome.map_err(|fault| self.add(fault)).ok()
    }

    /// Adds a fault for each slot without a value.
    fn require(&self, slots: &[Slot]) {
        for slot in slots.iter().filter(|slot| self.text(**slot).is_none()) {
            let message = format!("\"{}\" is required.", self.name(*slot));
            self.add(Failure::invalid_input(self.bound.place(*slot), message));
        }
    }

    /// Adds a fault if the slot has a text that is not valid.
    fn check(&self, slot: Slot, is_valid: impl Fn(&str) -> bool, allowed: &str) {
        if self.text(slot).is_some_and(|text| !is_valid(text)) {
            self.add(self.invalid(slot, allowed));
        }
    }

    /// The fault of an invalid value: the name in the request, what is allowed, and the value.
    fn invalid(&self, slot: Slot, allowed: &str) -> Failure {
        let value = self.bound.value(slot);
        let value = value.map_or_else(|| "a secret value that is not shown".to_owned(), quoted);
        let message = format!("\"{}\" must be {allowed}; got {value}.", self.name(slot));
        Failure::invalid_input(self.bound.place(slot), message)
    }
}

/// True if it can be a user principal name.
fn is_user_name(text: &str) -> bool {
    let parts = text.split_once('@');
    let parts = parts.filter(|(name, domain)| !name.is_empty() && domain.contains('.'));
    parts.is_some() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// True if a browser can be redirected to this address.
fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| !url.cannot_be_a_base())
}

#[cfg(test)]
mod tests;
