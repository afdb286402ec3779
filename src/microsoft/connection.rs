//! A connection: the cloud, the tenant, the application and its credential.
//!
//! Does not check whether the tenant and the application exist: the login service does.

use uuid::Uuid;

use crate::identity::Account;
pub use crate::identity::{
    AuthorizationCode, Certificate, ClientCredential, Credential, ManagedIdentity,
};
use crate::microsoft::Cloud;
use crate::protocol::Failure;

/// A tenant's application with its credential.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The addresses of its services.
    pub cloud: Cloud,
    /// A GUID or a domain name; empty for a managed identity, whose token names the tenant.
    pub tenant: String,
    /// The application's GUID; empty for a system-assigned managed identity.
    pub client_id: String,
    /// The credential.
    pub credential: Credential,
    /// The `PublisherIdentifier` that is sent to the activity feed, a GUID; default: the tenant.
    pub publisher: Option<String>,
}

impl Connection {
    /// The connection of an application.
    pub fn new(cloud: Cloud, tenant: &str, client_id: &str, credential: Credential) -> Self {
        Connection {
            cloud,
            tenant: tenant.trim().to_owned(),
            client_id: client_id.trim().to_owned(),
            credential,
            publisher: None,
        }
    }

    /// The connection of a managed identity, whose token names the tenant.
    pub fn of_machine(cloud: Cloud, identity: ManagedIdentity) -> Self {
        let client_id = identity.client_id.clone().unwrap_or_default();
        Connection::new(cloud, "", &client_id, Credential::ManagedIdentity(identity))
    }

    /// A connection for operations that call no service. No service accepts it.
    pub fn unused() -> Result<Self, Failure> {
        let secret = Credential::client_secret("");
        Ok(Connection::new(
            Cloud::named(Cloud::DEFAULT)?,
            "",
            "",
            secret,
        ))
    }

    /// The connection with this publisher.
    #[must_use]
    pub fn published_by(self, publisher: Option<&str>) -> Self {
        let publisher = publisher.map(str::to_owned);
        Connection { publisher, ..self }
    }

    /// The account to sign in with.
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

    /// The user principal name of the person who signs in with a device code.
    pub fn user(&self) -> Option<&str> {
        match &self.credential {
            Credential::DeviceCode(user) => Some(user),
            _ => None,
        }
    }

    /// The tenant's GUID; none if the tenant is a domain name.
    pub fn tenant_guid(&self) -> Option<&str> {
        is_guid(&self.tenant).then_some(self.tenant.as_str())
    }
}

/// True for 32 hexadecimal digits with four hyphens.
pub fn is_guid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// True for a GUID or a domain name.
pub fn is_tenant(text: &str) -> bool {
    is_guid(text) || is_domain(text)
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

    #[test]
    fn tenant_is_a_guid_or_a_domain() {
        let open = |tenant| {
            let cloud = Cloud::named("commercial").expect("a cloud");
            let secret = Credential::client_secret("canary-canary");
            Connection::new(cloud, tenant, CLIENT, secret)
        };
        assert_eq!(open(TENANT).tenant_guid(), Some(TENANT));
        let connection = open(" contoso.onmicrosoft.com ");
        assert_eq!(connection.tenant, "contoso.onmicrosoft.com");
        assert_eq!(connection.tenant_guid(), None);
        assert!(!format!("{connection:?}").contains("canary"));
        assert!(is_tenant(TENANT) && is_tenant("contoso.onmicrosoft.com"));
        let invalid = [
            "common",
            "",
            "a b.c",
            "../x",
            "a..b",
            "11111111222233334444555555555555",
        ];
        assert!(invalid.into_iter().all(|tenant| !is_tenant(tenant)));
    }
}
