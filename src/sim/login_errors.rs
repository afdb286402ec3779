//! The sign-in errors: number, HTTP status, OAuth error and text, and how a body is made of them.
//!
//! It deliberately does not decide which error a request has earned; `login.rs` does.

use serde_json::json;

use crate::sim::site::Site;
use crate::sim::wire::{Answer, Call};
use crate::sim::world::Separator;

/// A refused sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The number after `AADSTS`.
    pub(super) number: u32,
    status: u16,
    error: &'static str,
    text: String,
}

/// The errors by number: HTTP status, OAuth error, text with `{0}`, `{1}` for the arguments.
const TABLE: [(u32, u16, &str, &str); 17] = [
    (
        50194,
        400,
        "invalid_request",
        "Application '{0}' is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the application to be multi-tenant.",
    ),
    (
        70003,
        400,
        "unsupported_grant_type",
        "The app requested an unsupported grant type '{0}'.",
    ),
    (
        70011,
        400,
        "invalid_scope",
        "The provided value for the input parameter 'scope' is not valid. The scope {0} is not valid.",
    ),
    (
        90002,
        400,
        "invalid_request",
        "Tenant '{0}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.",
    ),
    (
        500_011,
        400,
        "invalid_resource",
        "The resource principal named {0} was not found in the tenant named {1}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
    ),
    (
        700_016,
        400,
        "unauthorized_client",
        "Application with identifier '{0}' was not found in the directory '{1}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    (
        700_027,
        401,
        "invalid_client",
        "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]",
    ),
    (
        900_023,
        400,
        "invalid_request",
        "Specified tenant identifier '{0}' is neither a valid DNS name, nor a valid external domain.",
    ),
    (
        900_144,
        400,
        "invalid_request",
        "The request body must contain the following parameter: '{0}'.",
    ),
    (
        900_561,
        405,
        "invalid_request",
        "The endpoint only accepts {0} requests. Received a {1} request.",
    ),
    (
        901_002,
        400,
        "invalid_request",
        "The 'resource' request parameter is not supported.",
    ),
    (
        1_002_012,
        400,
        "invalid_scope",
        "The provided value for scope {0} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
    ),
    (
        7_000_112,
        400,
        "unauthorized_client",
        "Application '{0}'({1}) is disabled.",
    ),
    (
        7_000_215,
        401,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{0}'.",
    ),
    (
        7_000_218,
        401,
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    (
        7_000_222,
        401,
        "invalid_client",
        "The provided client secret keys for app '{0}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.",
    ),
    (
        7_000_229,
        401,
        "invalid_client",
        "The client application {0} is missing service principal in the tenant {1}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119",
    ),
];

/// The error with this number; `arguments` fill the places of its text.
pub(super) fn refused(number: u32, arguments: &[&str]) -> Refused {
    let unknown = (number, 400, "invalid_request", "");
    let row = TABLE
        .into_iter()
        .find(|row| row.0 == number)
        .unwrap_or(unknown);
    let mut text = row.3.to_owned();
    for (at, argument) in arguments.iter().enumerate() {
        text = text.replace(&format!("{{{at}}}"), argument);
    }
    Refused {
        number,
        status: row.1,
        error: row.2,
        text,
    }
}

impl Refused {
    /// The same error at the discovery endpoint, which calls a missing tenant by another name.
    pub(super) fn at_discovery(mut self) -> Self {
        if self.number == 90002 {
            self.error = "invalid_tenant";
        }
        self
    }

    /// The answer that tells it. Its trace id is the `x-ms-request-id` of the headers.
    pub(super) fn answer(&self, site: &Site, call: &Call) -> Answer {
        let trace = site.id_of("request", call);
        let correlation = correlation(site, call);
        let at = site.now.format("%Y-%m-%d %H:%M:%SZ").to_string();
        let gap = match site.world.error_separator {
            Separator::Space => " ",
            Separator::Crlf => "\r\n",
        };
        let description = format!(
            "AADSTS{}: {}{gap}Trace ID: {trace}{gap}Correlation ID: {correlation}{gap}Timestamp: {at}",
            self.number, self.text
        );
        let body = json!({
            "error": self.error,
            "error_description": description,
            "error_codes": [self.number],
            "timestamp": at,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        });
        Answer::new(self.status, body.to_string())
    }
}

/// What the service calls the exchange: the caller's `client-request-id`, or one of its own.
fn correlation(site: &Site, call: &Call) -> String {
    let own = || site.id_of("correlation", call);
    call.header("client-request-id")
        .map_or_else(own, str::to_owned)
}
