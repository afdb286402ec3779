//! The sign-in errors: number, HTTP status, OAuth error and text, and how a body is made of them.
//!
//! It deliberately does not decide which error a request has earned; `login/` does.

use serde_json::json;

use crate::sim::server::call::{Answer, Call};
use crate::sim::site::Site;
use crate::sim::world::Separator;

/// A refused sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The number after `AADSTS`.
    pub(crate) number: u32,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The name that `OAuth` has for it.
    pub(crate) error: &'static str,
    /// The text without number and trace.
    pub(crate) text: String,
}

/// The errors by number: HTTP status, OAuth error, text with `{0}`, `{1}` for the arguments.
const TABLE: [(u32, u16, &str, &str); 41] = [
    (
        28000,
        400,
        "invalid_request",
        "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope {0} is not valid.",
    ),
    (
        28003,
        400,
        "invalid_request",
        "Provided value for the input parameter scope cannot be empty when requesting an access token using the provided authorization code. Please specify a valid scope.",
    ),
    (
        50011,
        400,
        "invalid_grant",
        "The redirect URI '{0}' specified in the request does not match the redirect URIs configured for the application '{1}'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to troubleshoot this error.",
    ),
    (
        50012,
        401,
        "invalid_client",
        "Authentication failed. The 'client_assertion_type' is not supported.",
    ),
    (
        50027,
        401,
        "invalid_client",
        "JWT token is invalid or malformed.",
    ),
    (
        50049,
        400,
        "invalid_instance",
        "Unknown or invalid instance.",
    ),
    (
        50149,
        400,
        "invalid_request",
        "Invalid Code_Challenge_method parameter.",
    ),
    (
        50194,
        400,
        "invalid_request",
        "Application '{0}' is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the application to be multi-tenant.",
    ),
    (
        54005,
        400,
        "invalid_grant",
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.",
    ),
    (
        65001,
        400,
        "invalid_grant",
        "The user or administrator has not consented to use the application with ID '{0}' named '{1}'. Send an interactive authorization request for this user and resource.",
    ),
    (
        65004,
        400,
        "access_denied",
        "User declined to consent to access the app.",
    ),
    (
        70000,
        400,
        "invalid_grant",
        "Provided grant is invalid or malformed.",
    ),
    (
        70003,
        400,
        "unsupported_grant_type",
        "The app requested an unsupported grant type '{0}'.",
    ),
    (
        70005,
        400,
        "unsupported_response_type",
        "The app returned an unsupported response type: '{0}'.",
    ),
    (
        70008,
        400,
        "invalid_grant",
        "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.",
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
        501_481,
        400,
        "invalid_grant",
        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    ),
    (
        501_491,
        400,
        "invalid_request",
        "Invalid size of Code_Challenge parameter.",
    ),
    (
        700_005,
        400,
        "invalid_grant",
        "Provided Authorization Code is intended to use against other tenant, thus rejected.",
    ),
    (
        700_016,
        400,
        "unauthorized_client",
        "Application with identifier '{0}' was not found in the directory '{1}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    (
        700_021,
        401,
        "invalid_client",
        "Client assertion application identifier doesn't match 'client_id' parameter.",
    ),
    (
        700_023,
        401,
        "invalid_client",
        "Client assertion audience claim does not match Realm issuer.",
    ),
    (
        700_024,
        401,
        "invalid_client",
        "Client assertion is not within its valid time range.",
    ),
    (
        700_025,
        401,
        "invalid_client",
        "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
    ),
    (
        700_027,
        401,
        "invalid_client",
        "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., Thumbprint of key used by client: '{0}']",
    ),
    (
        700_082,
        400,
        "invalid_grant",
        "The refresh token has expired due to inactivity. The token was issued on {0} and was inactive for {1}.",
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
        5_002_723,
        401,
        "invalid_client",
        "Invalid JWT token. No certificate SHA-1 thumbprint, certificate SHA-256 thumbprint, nor keyId specified in token header.",
    ),
    (
        5_002_738,
        401,
        "invalid_client",
        "Invalid JWT token. '{0}' is not a supported signature algorithm. Supported signing algorithms are: 'RS256, PS256'.",
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
    (
        9_002_313,
        400,
        "invalid_request",
        "Invalid request. Request is malformed or invalid.",
    ),
];

/// The error with this number; `arguments` fill the places of its text.
pub(crate) fn refused(number: u32, arguments: &[&str]) -> Refused {
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
    /// The same error in other words, where the service has several.
    pub(crate) fn reworded(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    /// The same error at the discovery endpoint, which calls a missing tenant by another name.
    pub(crate) fn at_discovery(mut self) -> Self {
        if self.number == 90002 {
            self.error = "invalid_tenant";
        }
        self
    }

    /// The text with its number before it and the traces behind it.
    pub(crate) fn description(&self, site: &Site, call: &Call) -> String {
        let gap = match site.world.error_separator {
            Separator::Space => " ",
            Separator::Crlf => "\r\n",
        };
        let (trace, correlation) = (site.id_of("request", call), correlation(site, call));
        format!(
            "AADSTS{}: {}{gap}Trace ID: {trace}{gap}Correlation ID: {correlation}{gap}Timestamp: {}",
            self.number,
            self.text,
            stamp(site)
        )
    }

    /// The page that tells it to a person.
    pub(crate) fn page(&self, site: &Site, call: &Call) -> String {
        let text = self.description(site, call);
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        format!("<!DOCTYPE html><html><title>Sign in</title><body><p>{text}</p></body></html>")
    }

    /// The answer that tells it. Its trace id is the `x-ms-request-id` of the headers.
    pub(crate) fn answer(&self, site: &Site, call: &Call) -> Answer {
        let mut body = json!({
            "error": self.error,
            "error_description": self.description(site, call),
            "error_codes": [self.number],
            "timestamp": stamp(site),
            "trace_id": site.id_of("request", call),
            "correlation_id": correlation(site, call),
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        });
        if self.number == 65001 {
            body["suberror"] = json!("consent_required");
        }
        Answer::new(self.status, body.to_string())
    }
}

fn stamp(site: &Site) -> String {
    site.now().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// What the service calls the exchange: the caller's `client-request-id`, or one of its own.
fn correlation(site: &Site, call: &Call) -> String {
    let own = || site.id_of("correlation", call);
    call.header("client-request-id")
        .map_or_else(own, str::to_owned)
}
