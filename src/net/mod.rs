//! HTTP without knowing what for.
//!
//! A [`Caller`] makes the calls of one run, always in this order: deadline → token → send →
//! classify. The services say what their own error bodies mean ([`Classify`]); what no service
//! explains is judged here, by the status alone. Repeating and slowing down have their place
//! between the deadline and the token; a call is made once.

pub mod auth;
pub mod client;
pub mod deadline;
pub mod links;
pub mod message;
pub mod tls;
pub mod transcript;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

pub use auth::{Audience, Auth, Pending, Token, TokenProvider};
pub use client::{HttpClient, HttpSettings, Proxy};
pub use deadline::{CancelSignal, Deadline};
pub use links::Links;
pub use message::{ApiRequest, ApiResponse, Body, Sink};
pub use transcript::Transcript;

use crate::protocol::{ErrorKind, Failure};

/// A service's own reading of an answer: a failure if the answer explains one.
pub type Classify = fn(&ApiResponse) -> Option<Failure>;

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenSource {
    /// No token was needed.
    None,
    /// From memory.
    Memory,
    /// Kept by an earlier run.
    Vault,
    /// From a sign-in of this run.
    SignIn,
}

/// What a run has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// HTTP requests sent, sign-ins included.
    pub calls: u64,
    /// Bytes of bodies received, after decompression.
    pub bytes_received: u64,
    /// Where the tokens came from: `none`, `memory`, `vault`, `sign_in`.
    pub token_source: &'static str,
}

/// Makes the calls of one run.
#[derive(Debug)]
pub struct Caller {
    client: HttpClient,
    deadline: Deadline,
    id: String,
    transcript: Transcript,
    calls: AtomicU64,
    bytes: AtomicU64,
    tokens: AtomicU8,
}

impl Caller {
    /// Calls of the run with that envelope `id`, which every request carries as
    /// `client-request-id`. A transcript of a dry run means that nothing is sent.
    pub fn new(
        client: HttpClient,
        deadline: Deadline,
        id: impl Into<String>,
        transcript: Transcript,
    ) -> Self {
        Caller {
            client,
            deadline,
            id: id.into(),
            transcript,
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            tokens: AtomicU8::new(TokenSource::None as u8),
        }
    }

    /// When the run must stop.
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// The record of the calls.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// What the run has used so far.
    pub fn usage(&self) -> Usage {
        let (memory, vault) = (TokenSource::Memory as u8, TokenSource::Vault as u8);
        Usage {
            calls: self.calls.load(Ordering::Relaxed),
            bytes_received: self.bytes.load(Ordering::Relaxed),
            token_source: match self.tokens.load(Ordering::Relaxed) {
                source if source > vault => "sign_in",
                source if source == vault => "vault",
                source if source == memory => "memory",
                _ => "none",
            },
        }
    }

    /// Notes where a token came from; the dearest source counts.
    pub fn used_token(&self, source: TokenSource) {
        self.tokens.fetch_max(source as u8, Ordering::Relaxed);
    }

    /// Sends the request; an answer with a 2xx status that the service does not call a failure.
    ///
    /// Errors: `timeout` and `cancelled` from the deadline, those of the sign-in, `network`, what
    /// `classify` makes of the answer, else what the status means. A token that a service answers
    /// with 401 is forgotten.
    pub async fn send(
        &self,
        request: ApiRequest,
        auth: Auth<'_>,
        classify: Classify,
    ) -> Result<ApiResponse, Failure> {
        self.call(request, (auth, classify), None).await
    }

    /// The same; the array of a successful answer goes to the sink as it comes.
    pub async fn stream(
        &self,
        request: ApiRequest,
        how: (Auth<'_>, Classify),
        sink: &mut dyn Sink,
    ) -> Result<ApiResponse, Failure> {
        self.call(request, how, Some(sink)).await
    }

    async fn call(
        &self,
        request: ApiRequest,
        (auth, classify): (Auth<'_>, Classify),
        sink: Option<&mut dyn Sink>,
    ) -> Result<ApiResponse, Failure> {
        let attempt = request.attempt();
        let work = self.authorised(&request, auth, sink);
        let response = self
            .deadline
            .race(&attempt, work)
            .await
            .map_err(|failure| match failure.kind() {
                ErrorKind::Timeout => failure.or_upstream(request.upstream(&self.id)),
                _ => failure,
            })?;
        match classify(&response).or_else(|| by_status(&response)) {
            Some(failure) => Err(failure),
            None => Ok(response),
        }
    }

    async fn authorised(
        &self,
        request: &ApiRequest,
        auth: Auth<'_>,
        sink: Option<&mut dyn Sink>,
    ) -> Result<ApiResponse, Failure> {
        let token = match auth {
            Auth::Open => None,
            Auth::Bearer(tokens, audience) => Some(tokens.token(audience).await?),
        };
        self.transcript.begin(request, token.is_some())?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let token = token.as_ref();
        let response = match sink {
            None => self.client.exchange(request, &self.id, token).await?,
            Some(sink) => {
                let with = (self.id.as_str(), token);
                self.client.stream(request, with, sink).await?
            }
        };
        let bytes = u64::try_from(response.received).unwrap_or(u64::MAX);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Transcript::end(&response, started);
        if response.status == 401
            && let (Auth::Bearer(tokens, audience), Some(refused)) = (auth, token)
        {
            tokens.forget(audience, refused);
        }
        Ok(response)
    }
}

/// What an answer means that no service explains.
fn by_status(response: &ApiResponse) -> Option<Failure> {
    let status = response.status;
    let kind = match status {
        200..=299 => return None,
        401 => ErrorKind::AuthFailed,
        403 => ErrorKind::Forbidden,
        429 => ErrorKind::Throttled,
        408 | 500.. => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Rejected,
        _ => ErrorKind::BadResponse,
    };
    let words = match response.header("location") {
        Some(to) if (300..400).contains(&status) => {
            format!("HTTP {status}, a redirect to {to}, which is not followed.")
        }
        _ => format!("HTTP {status} with {}.", response.content()),
    };
    Some(response.refusal(kind, None, &words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;

    fn judged(status: u16, body: &str, headers: &[(&str, &str)]) -> (ErrorKind, String) {
        let failure = by_status(&answer(status, body, headers)).expect("a failure");
        (failure.kind(), failure.message().to_owned())
    }

    #[test]
    fn a_status_that_nobody_explains_has_a_kind() {
        use ErrorKind as K;
        for (status, kind) in [
            (400, K::Rejected),
            (401, K::AuthFailed),
            (403, K::Forbidden),
            (404, K::Rejected),
            (408, K::Unavailable),
            (429, K::Throttled),
            (500, K::Unavailable),
            (503, K::Unavailable),
            (304, K::BadResponse),
        ] {
            assert_eq!(judged(status, "", &[]).0, kind, "{status}");
        }
        assert!(by_status(&answer(204, "", &[])).is_none());
    }

    #[test]
    fn pages_and_redirects_are_named() {
        let page = "<html><head><title>502 Bad Gateway</title></head></html>";
        assert_eq!(
            judged(502, page, &[]).1,
            "HTTP 502 with an HTML page titled \"502 Bad Gateway\"."
        );
        let elsewhere = ("Location", "https://evil.test/");
        assert_eq!(
            judged(302, "", &[elsewhere]).1,
            "HTTP 302, a redirect to https://evil.test/, which is not followed."
        );
    }
}
