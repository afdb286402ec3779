//! The form of a token request, with the credentials of HTTP Basic. Values are not checked.

use crate::sim::base64;
use crate::sim::login::errors::{Refused, refused};
use crate::sim::server::call::{Call, pairs};

/// The fields of a request.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The fields of the body and of HTTP Basic.
    pub(super) fn read(call: &Call) -> Self {
        let mut fields = pairs(&call.body);
        fields.extend(basic(call).unwrap_or_default());
        Self(fields)
    }

    /// The query parameters.
    pub(super) fn of_query(call: &Call) -> Self {
        Self(call.query.clone())
    }

    /// A field that is present and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let field = self
            .0
            .iter()
            .find(|(key, value)| key == name && !value.is_empty());
        field.map(|(_, value)| value.as_str())
    }

    /// Whether it redeems a device code, in version 2 or 1.
    pub(super) fn is_device_grant(&self) -> bool {
        let v2 = "urn:ietf:params:oauth:grant-type:device_code";
        let given = self.get("grant_type");
        given.is_some_and(|given| given == v2 || given == "device_code")
    }

    /// A required field.
    pub(super) fn need(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| refused(900_144, &[name]))
    }
}

/// Client id and secret of an `Authorization: Basic` header; each is form-encoded.
fn basic(call: &Call) -> Option<Vec<(String, String)>> {
    let encoded = call.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(base64::decode(encoded.trim())?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some(pairs(&format!("client_id={id}&client_secret={secret}")))
}
