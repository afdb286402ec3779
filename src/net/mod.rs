//! HTTP without knowing what for.
//!
//! A [`Caller`] makes the calls of one run, always in this order: deadline → throttle → retry
//! { token → send → classify }. The services say what their own error bodies mean ([`Classify`]);
//! what no service explains is judged here, by the status alone. A repeat is made only where it is
//! safe, and never outlasts the deadline: the last answer is then what the run says.

pub mod auth;
pub mod client;
pub mod deadline;
pub mod links;
pub mod memory;
pub mod message;
pub mod refusal;
pub mod retry;
pub mod throttle;
pub mod tls;
pub mod transcript;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

pub use auth::{Audience, Auth, Pending, Token, TokenProvider};
pub use client::{HttpClient, HttpSettings, Proxy};
pub use deadline::{Cancel, Deadline, Grace};
pub use links::Links;
pub use memory::{Held, MemoryBudget};
pub use message::{ApiRequest, ApiResponse, Body, Sink, SinkError};
pub use refusal::Reason;
pub use retry::Pace;
pub use transcript::Transcript;

use refusal::by_status;
use retry::{Waits, is_passing};
use throttle::Wait;

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
    /// Of those, repeated.
    pub retries: u64,
    /// Bytes of bodies received, after decompression.
    pub bytes_received: u64,
    /// Where the tokens came from: `none`, `memory`, `vault`, `sign_in`.
    pub token_source: &'static str,
}

/// The service's time, as the `Date` of the run's first answer gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceDate {
    /// The `Date` header.
    pub date: DateTime<Utc>,
    /// How long after the start of the run the answer came.
    pub after: Duration,
}

/// Makes the calls of one run.
#[derive(Debug)]
pub struct Caller {
    client: HttpClient,
    deadline: Deadline,
    id: String,
    transcript: Transcript,
    memory: MemoryBudget,
    calls: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    tokens: AtomicU8,
    started: Instant,
    service_date: OnceLock<ServiceDate>,
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
            memory: MemoryBudget::default(),
            calls: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            tokens: AtomicU8::new(TokenSource::None as u8),
            started: Instant::now(),
            service_date: OnceLock::new(),
        }
    }

    /// The service's time: the `Date` of the first successful answer. `None` before that answer.
    ///
    /// Answers of a metadata endpoint do not count: they carry the time of this machine.
    pub fn service_date(&self) -> Option<ServiceDate> {
        self.service_date.get().copied()
    }

    /// With that much memory for what the services send.
    #[must_use]
    pub fn with_memory(self, memory: MemoryBudget) -> Self {
        Caller { memory, ..self }
    }

    /// The memory for what the services send, shared by all requests of the run.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
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
            retries: self.retries.load(Ordering::Relaxed),
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
    /// `classify` makes of the last answer, else what its status means.
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
        how: (Auth<'_>, Classify),
        mut sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<ApiResponse, Failure> {
        let mut waits = Waits::new(self.client.pace);
        let (mut renewed, mut last, mut silent) = (false, None, None);
        loop {
            self.admitted(&request).await?;
            let (token, failure) = match self.attempt(&request, how, sink.as_deref_mut()).await {
                Ok(response) => return Ok(response),
                // What was answered last says more than that the time ran out.
                Err(Stopped::Before(failure)) => {
                    let late = failure.kind() == ErrorKind::Timeout;
                    let told = last.filter(|_| late).unwrap_or(failure);
                    return Err(with_reason(told, silent.filter(|_| late)));
                }
                Err(Stopped::After(token, failure)) => (token, failure),
            };
            // Tokens end in the middle of long runs; once more with a new one, whatever it is for,
            // because a request that was not let in has done nothing.
            if let (Auth::Bearer(tokens, audience), Some(token)) = (how.0, &token)
                && failure.kind() == ErrorKind::AuthFailed
            {
                tokens.forget(audience, token);
                if !std::mem::replace(&mut renewed, true) {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
            let failure = explained(how.0, token.as_ref(), failure);
            last = failure.http_status().map(|_| failure.clone());
            silent = (last.is_none()).then(|| failure.message().to_owned());
            self.wait_for_another(&request, &mut waits, failure).await?;
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for a place on the request's lane; fails if there will be none in time.
    async fn admitted(&self, request: &ApiRequest) -> Result<(), Failure> {
        let attempt = request.attempt();
        self.deadline.ask(&attempt)?;
        if self.transcript.is_dry_run() {
            return Ok(());
        }
        while let Err(wait) = self.client.throttle.admit(&request.lane) {
            let (why, wait) = match wait {
                Wait::Pause(left) => ("the service asked for a pause", left),
                Wait::Rate(left) => ("its quota is used up for now", left),
            };
            if !self.deadline.allows(wait) {
                let words = format!("{attempt} was not sent: {why}.");
                return Err(Failure::new(ErrorKind::Throttled, words)
                    .cause("Other requests of this process have used up what the service allows.")
                    .retry_after(Some(wait)));
            }
            self.sleep(&attempt, wait).await?;
        }
        Ok(())
    }

    /// Waits as long as that failure asks for; gives it back if nothing more is to be tried.
    async fn wait_for_another(
        &self,
        request: &ApiRequest,
        waits: &mut Waits,
        failure: Failure,
    ) -> Result<(), Failure> {
        if failure.kind() == ErrorKind::Throttled
            && let Some(asked) = failure.wait()
        {
            self.client.throttle.pause(&request.lane, asked);
        }
        if !is_passing(&failure, request.repeat) {
            return Err(failure);
        }
        let Some(wait) = waits.next(&failure) else {
            return Err(failure);
        };
        if !self.deadline.allows(wait) {
            return Err(failure);
        }
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(attempt = request.attempt(), ms, why = %failure, "again");
        match self.sleep(&request.attempt(), wait).await {
            Err(stop) if stop.kind() == ErrorKind::Timeout => Err(failure),
            other => other,
        }
    }

    async fn sleep(&self, attempt: &str, wait: Duration) -> Result<(), Failure> {
        let pause = async {
            tokio::time::sleep(wait).await;
            Ok(())
        };
        self.deadline
            .race(&format!("the wait before {attempt}"), pause)
            .await
    }

    /// One attempt: token → send → classify.
    async fn attempt(
        &self,
        request: &ApiRequest,
        (auth, classify): (Auth<'_>, Classify),
        sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<ApiResponse, Stopped> {
        let attempt = request.attempt();
        let streamed = sink.is_some();
        let token = match auth {
            Auth::Open => None,
            Auth::Bearer(tokens, audience) => {
                let token = self.deadline.race(&attempt, tokens.token(audience)).await;
                Some(token.map_err(Stopped::Before)?)
            }
        };
        let work = self.exchange(request, token.as_ref(), sink);
        let came = self.deadline.race(&attempt, work).await;
        let mut response = match came {
            Ok(response) => response,
            Err(failure) if failure.kind() == ErrorKind::Timeout => {
                let failure = failure.or_upstream(request.upstream(&self.id));
                return Err(Stopped::Before(failure));
            }
            Err(failure) => return Err(Stopped::After(token, failure)),
        };
        if let Some(failure) = classify(&response).or_else(|| by_status(&response)) {
            return Err(Stopped::After(token, failure));
        }
        self.note_date(request, &response);
        // An array that was passed on was judged there.
        let passed_on = streamed && response.received > 0 && response.body.is_empty();
        if request.expects_json && !passed_on {
            let read = response.document();
            response.read = Some(read.map_err(|failure| Stopped::After(token, failure))?);
        }
        Ok(response)
    }

    fn note_date(&self, request: &ApiRequest, response: &ApiResponse) {
        if let Some(date) = response.date().filter(|_| request.service != "metadata") {
            let after = self.started.elapsed();
            self.service_date
                .get_or_init(|| ServiceDate { date, after });
        }
    }

    async fn exchange(
        &self,
        request: &ApiRequest,
        token: Option<&Token>,
        sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<ApiResponse, Failure> {
        self.transcript.begin(request, token.is_some())?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let with = (self.id.as_str(), token);
        let response = match sink {
            None => self.client.exchange(request, with, &self.memory).await?,
            Some(sink) => {
                let to = (sink as &mut dyn Sink, &self.memory);
                self.client.stream(request, with, to).await?
            }
        };
        let bytes = u64::try_from(response.received).unwrap_or(u64::MAX);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Transcript::end(&response, started);
        Ok(response)
    }
}

/// Time that ran out, and why it did: what happened to the attempt before.
fn with_reason(failure: Failure, silent: Option<String>) -> Failure {
    match silent {
        Some(words) => {
            failure.reworded(format!("{} The attempt before: {words}", failure.message()))
        }
        None => failure,
    }
}

/// A refusal of the token itself, with why, if the token tells it.
fn explained(auth: Auth<'_>, token: Option<&Token>, failure: Failure) -> Failure {
    match (auth, token, failure.http_status()) {
        (Auth::Bearer(tokens, audience), Some(token), Some(401 | 403)) => {
            tokens.explain(audience, token, failure)
        }
        _ => failure,
    }
}

/// How an attempt ended badly.
enum Stopped {
    /// Before anything was sent, or because the run must stop: nothing is to be tried again.
    Before(Failure),
    /// The attempt itself failed, with that token.
    After(Option<Token>, Failure),
}
