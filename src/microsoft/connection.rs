//! A connection: which cloud, which tenant, which application, and what it proves itself with.
//!
//! Shapes are checked here; whether they exist is the login service's to say.

use uuid::Uuid;

use crate::identity::Account;
pub use crate::identity::{AuthorizationCode, Certificate, Credential, ManagedIdentity, Proof};
use crate::microsoft::Cloud;
use crate::protocol::{Failure, Secret};

/// A tenant's application, ready to sign in.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Where its services are.
    pub cloud: Cloud,
    /// The tenant: a GUID or a domain name; empty for a machine, whose token names it.
    pub tenant: String,
    /// The application's GUID; empty for the identity of a machine's own.
    pub client_id: String,
    /// What it proves itself with.
    pub credential: Credential,
    /// Who is named to the activity feed as the author of the client, a GUID; the tenant if not
    /// given.
    pub publisher: Option<String>,
}

impl Connection {
    /// A connection of checked shape.
    ///
    /// Errors: one `invalid_input` per fault, at `/connection/tenant_id` and
    /// `/connection/client_id`.
    pub fn new(
        cloud: Cloud,
        tenant: &str,
        client_id: &str,
        credential: Credential,
    ) -> Result<Self, Vec<Failure>> {
        let faults = Connection::faults(tenant, client_id);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Connection {
            cloud,
            tenant: tenant.trim().to_owned(),
            client_id: client_id.trim().to_owned(),
            credential,
            publisher: None,
        })
    }

    /// A machine's, which needs neither tenant nor application: both come with its identity.
    pub fn of_machine(cloud: Cloud, identity: ManagedIdentity) -> Self {
        Connection {
            cloud,
            tenant: String::new(),
            client_id: identity.client_id.clone().unwrap_or_default(),
            credential: Credential::ManagedIdentity(identity),
            publisher: None,
        }
    }

    /// Nobody's: for what asks no service. No login service would take it.
    pub fn nobody() -> Result<Self, Failure> {
        Ok(Connection {
            cloud: Cloud::named("commercial")?,
            tenant: String::new(),
            client_id: String::new(),
            credential: Credential::ClientSecret(Secret::new("")),
            publisher: None,
        })
    }

    /// The same, asking in the name of that publisher; blank text names none.
    ///
    /// Errors: `invalid_input` at `/connection/publisher` if it is no GUID.
    pub fn published_by(mut self, publisher: &str) -> Result<Self, Failure> {
        let publisher = publisher.trim();
        if !publisher.is_empty() && !is_guid(publisher) {
            return Err(Failure::invalid_input(
                "/connection/publisher",
                "The publisher is not a GUID (the tenant ID of the company that runs the client).",
            ));
        }
        self.publisher = (!publisher.is_empty()).then(|| publisher.to_owned());
        Ok(self)
    }

    /// What is wrong with the shapes, before a credential is at hand.
    pub fn faults(tenant: &str, client_id: &str) -> Vec<Failure> {
        let mut faults = Vec::new();
        if !is_guid(tenant.trim()) && !is_domain(tenant.trim()) {
            faults.push(Failure::invalid_input(
                "/connection/tenant_id",
                "The tenant is neither a GUID nor a domain name such as contoso.onmicrosoft.com.",
            ));
        }
        if !is_guid(client_id.trim()) {
            faults.push(Failure::invalid_input(
                "/connection/client_id",
                "The client ID is not a GUID. Use the application (client) ID, not the object ID or the name.",
            ));
        }
        faults
    }

    /// Who signs in.
    pub fn account(&self) -> Account {
        Account {
            cloud: self.cloud.id.clone(),
            login: self.cloud.login.clone(),
            metadata: self.cloud.metadata.clone(),
            tenant: self.tenant.clone(),
            client_id: self.client_id.clone(),
            credential: self.credential.clone(),
            resources: self.cloud.resources(),
        }
    }

    /// The tenant's GUID, if that is how the tenant was given.
    pub fn tenant_guid(&self) -> Option<&str> {
        is_guid(&self.tenant).then_some(self.tenant.as_str())
    }
}

/// Thirty-two hexadecimal digits with the four hyphens.
pub fn is_guid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let plain = label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain && !label.is_empty() && label.len() <= 63 && !label.starts_with('-')
    };
    text.contains('.') && text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    pub(crate) const CLIENT: &str = "66666666-7777-8888-9999-000000000000";

    fn open(tenant: &str, client_id: &str) -> Result<Connection, Vec<Failure>> {
        let cloud = Cloud::named("commercial").expect("a cloud");
        let credential = Credential::ClientSecret(Secret::new("canary-canary"));
        Connection::new(cloud, tenant, client_id, credential)
    }

    #[test]
    fn a_tenant_is_a_guid_or_a_domain() {
        let connection = open(TENANT, CLIENT).expect("a connection");
        assert_eq!(connection.tenant_guid(), Some(TENANT));
        let connection = open(" contoso.onmicrosoft.com ", CLIENT).expect("a connection");
        assert_eq!(connection.tenant, "contoso.onmicrosoft.com");
        assert_eq!(connection.tenant_guid(), None);
        assert!(!format!("{connection:?}").contains("canary"));
    }

    #[test]
    fn other_shapes_are_refused_all_at_once() {
        for tenant in [
            "common",
            "",
            "a b.c",
            "../x",
            "11111111222233334444555555555555",
            "a..b",
        ] {
            let faults = open(tenant, "app").expect_err(tenant);
            let places: Vec<_> = faults.iter().filter_map(Failure::place).collect();
            assert_eq!(places, ["/connection/tenant_id", "/connection/client_id"]);
        }
    }
}
