//! The account that signs in.
//!
//! Does not check whether the account exists: the login service does.

use url::Url;

use crate::identity::credential::Credential;
use crate::identity::store::Owner;
use crate::net::Audience;

/// An application or a machine in a tenant, with its credential.
#[derive(Clone, Debug)]
pub struct Account {
    /// The cloud's id: the same tenant can exist in two clouds.
    pub cloud: String,
    /// The address of the login service.
    pub login: Url,
    /// The address of a virtual machine's metadata service.
    pub metadata: Url,
    /// The tenant: a GUID or a domain name; empty for a managed identity.
    pub tenant: String,
    /// The application's GUID; empty for a system-assigned managed identity.
    pub client_id: String,
    /// The credential.
    pub credential: Credential,
    /// The services that tokens of this cloud are for.
    pub resources: Vec<Resource>,
}

/// A service as tokens name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its address.
    pub audience: Audience,
    /// Its application id, which some tokens have instead of the address.
    pub application_id: &'static str,
}

impl Account {
    /// The owner of the account's stored tokens.
    pub(super) fn owner(&self) -> Owner {
        Owner {
            cloud: self.cloud.clone(),
            login: self.login.to_string(),
            tenant: self.tenant.to_ascii_lowercase(),
            client_id: self.client_id.to_ascii_lowercase(),
        }
    }
}
