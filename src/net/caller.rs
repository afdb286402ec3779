//! Sends the requests of one run: waits for the rate limit, signs in, retries, classifies.
//!
//! A request is retried only if that is safe, and not beyond the deadline: the run then reports the
//! last response. Does not read error bodies: the services' clients do, or [`failure_by_status`].

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::net::auth::{Auth, Token};
use crate::net::client::{Exchange, HttpClient};
use crate::net::deadline::Deadline;
use crate::net::memory::MemoryBudget;
use crate::net::message::{ApiRequest, ApiResponse, Sink};
use crate::net::meter::{Meter, TokenSource, Usage};
use crate::net::rate_limit::Wait;
use crate::net::refusal::failure_by_status;
use crate::net::retry::{Backoff, is_transient};
use crate::net::transcript::Transcript;
use crate::protocol::{ErrorKind, Failure};

/// Reads a response as its service defines it. Returns the failure that the response reports, if
/// any.
pub type Classify = fn(&ApiResponse) -> Option<Failure>;

/// How a service is called.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// How its requests are authorized.
    pub auth: Auth<'a>,
    /// How its error responses are read.
    pub classify: Classify,
}

/// The service's time: the `Date` header of the run's first response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceDate {
    /// The `Date` header.
    pub date: DateTime<Utc>,
    /// The time from the start of the run to that response.
    pub after: Duration,
}

/// Sends the requests of one run.
#[derive(Debug)]
pub struct Caller {
    pub(super) client: HttpClient,
    deadline: Deadline,
    id: String,
    transcript: Transcript,
    memory: MemoryBudget,
    meter: Meter,
    started: Instant,
    service_date: OnceLock<ServiceDate>,
}

impl Caller {
    /// The caller of the run with this envelope `id`, which every request has as
    /// `client-request-id`. With the transcript of a dry run, nothing is sent.
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
            meter: Meter::default(),
            started: Instant::now(),
            service_date: OnceLock::new(),
        }
    }

    /// The service's time: the `Date` of the first successful response. `None` before that
    /// response.
    ///
    /// Responses of a metadata endpoint are ignored: they have the time of this machine.
    pub fn service_date(&self) -> Option<ServiceDate> {
        self.service_date.get().copied()
    }

    /// The caller with this memory budget for the services' responses.
    #[must_use]
    pub fn with_memory(self, memory: MemoryBudget) -> Self {
        Caller { memory, ..self }
    }

    /// The memory budget for the services' responses, shared by all requests of the run.
    pub fn memory(&self) -> &MemoryBudget {
        &self.memory
    }

    /// When the run must stop.
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// The requests of a dry run.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The requests and bytes of the run so far.
    pub fn usage(&self) -> Usage {
        self.meter.usage()
    }

    /// The caller that counts with this meter.
    #[must_use]
    pub fn with_meter(self, meter: Meter) -> Self {
        Caller { meter, ..self }
    }

    /// Counts the requests of the run.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Records the source of a token.
    pub fn used_token(&self, source: TokenSource) {
        let mut usage = self.meter.count();
        usage.token_source = usage.token_source.max(source);
    }

    /// Sends the request. Returns a response with a 2xx status that reports no failure.
    ///
    /// Errors: `timeout` and `cancelled` from the deadline, those of the sign-in, `network`, and
    /// the failure of the last response by `classify` or by its status.
    pub async fn send(
        &self,
        request: ApiRequest,
        access: Access<'_>,
    ) -> Result<ApiResponse, Failure> {
        self.call(request, access, None).await
    }

    /// Like [`Caller::send`], but streams the array of a successful response to the sink.
    pub async fn stream(
        &self,
        request: ApiRequest,
        access: Access<'_>,
        sink: &mut dyn Sink,
    ) -> Result<ApiResponse, Failure> {
        self.call(request, access, Some(sink)).await
    }

    async fn call(
        &self,
        request: ApiRequest,
        access: Access<'_>,
        mut sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<ApiResponse, Failure> {
        let mut backoff = Backoff::new(self.client.settings.retry_policy);
        let (mut renewed, mut last, mut unanswered) = (false, None, None);
        loop {
            self.wait_for_rate_limit(&request).await?;
            let attempt = self.attempt(&request, access, sink.as_deref_mut());
            let (token, failure) = match attempt.await {
                Ok(response) => return Ok(response),
                // The last response explains more than the time-out.
                Err(Stopped::Before(failure)) => {
                    let late = failure.kind() == ErrorKind::Timeout;
                    let failure = last.filter(|_| late).unwrap_or(failure);
                    return Err(with_last_error(failure, unanswered.filter(|_| late)));
                }
                Err(Stopped::After(token, failure)) => (token, failure),
            };
            // Tokens expire during long runs. A request without authorization has no effect, so
            // each one can be sent once more with a new token.
            if let (Auth::Bearer(tokens, audience), Some(token)) = (access.auth, &token)
                && failure.kind() == ErrorKind::AuthFailed
            {
                tokens.forget(audience, token);
                if !std::mem::replace(&mut renewed, true) {
                    self.meter.count().retries += 1;
                    continue;
                }
            }
            let failure = explain_refused_token(access.auth, token.as_ref(), failure);
            last = failure.http_status().map(|_| failure.clone());
            unanswered = (last.is_none()).then(|| failure.message().to_owned());
            self.wait_before_retry(&request, &mut backoff, failure)
                .await?;
            self.meter.count().retries += 1;
        }
    }

    /// Waits until the rate limit admits the request. Fails if that is not before the deadline.
    async fn wait_for_rate_limit(&self, request: &ApiRequest) -> Result<(), Failure> {
        let attempt = request.attempt();
        self.deadline.check(&attempt)?;
        if self.transcript.is_dry_run() {
            return Ok(());
        }
        while let Err(wait) = self.client.settings.rate_limiter.admit(&request.rate_limit) {
            let (why, wait) = match wait {
                Wait::Pause(left) => ("the service asked for a pause", left),
                Wait::Rate(left) => ("the quota is used up", left),
            };
            if !self.deadline.allows(wait) {
                let message = format!("{attempt} was not sent: {why}.");
                return Err(Failure::new(ErrorKind::Throttled, message)
                    .cause("Other requests of this process have used up the service's quota.")
                    .retry_after(Some(wait)));
            }
            self.sleep(&attempt, wait).await?;
        }
        Ok(())
    }

    /// Waits before the request is sent again. Returns the failure if it must not be sent again.
    async fn wait_before_retry(
        &self,
        request: &ApiRequest,
        backoff: &mut Backoff,
        failure: Failure,
    ) -> Result<(), Failure> {
        if failure.kind() == ErrorKind::Throttled
            && let Some(wait) = failure.wait()
        {
            self.client
                .settings
                .rate_limiter
                .pause(&request.rate_limit, wait);
        }
        if !is_transient(&failure, request.repeat) {
            return Err(failure);
        }
        let Some(wait) = backoff.next(&failure) else {
            return Err(failure);
        };
        if !self.deadline.allows(wait) {
            return Err(failure);
        }
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(attempt = request.attempt(), ms, why = %failure, "retry");
        match self.sleep(&request.attempt(), wait).await {
            Err(stop) if stop.kind() == ErrorKind::Timeout => Err(failure),
            other => other,
        }
    }

    /// The envelope's id, which every request has.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The longest wait between two requests that the service did not ask for.
    pub fn longest_wait(&self) -> Duration {
        self.client.settings.retry_policy.longest
    }

    /// Waits before work at the service is polled again. Returns false at once if the deadline is
    /// not after the wait. Errors: a signal.
    pub async fn pause(&self, attempt: &str, wait: Duration) -> Result<bool, Failure> {
        if !self.deadline.allows(wait) {
            return Ok(false);
        }
        match self.sleep(attempt, wait).await {
            Err(stop) if stop.kind() == ErrorKind::Timeout => Ok(false),
            other => other.map(|()| true),
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
        access: Access<'_>,
        sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<ApiResponse, Stopped> {
        let attempt = request.attempt();
        let streamed = sink.is_some();
        let token = match access.auth {
            Auth::None => None,
            Auth::Bearer(tokens, audience) => {
                let token = self.deadline.race(&attempt, tokens.token(audience)).await;
                Some(token.map_err(Stopped::Before)?)
            }
        };
        let work = self.exchange(request, token.as_ref(), sink);
        let received = self.deadline.race(&attempt, work).await;
        let mut response = match received {
            Ok(response) => response,
            Err(failure) if failure.kind() == ErrorKind::Timeout => {
                let failure = failure.or_upstream(request.upstream(&self.id));
                return Err(Stopped::Before(failure));
            }
            Err(failure) => return Err(Stopped::After(token, failure)),
        };
        if let Some(failure) = (access.classify)(&response).or_else(|| failure_by_status(&response))
        {
            return Err(Stopped::After(token, failure));
        }
        self.note_date(request, &response);
        // The sink has checked an array that was streamed.
        let passed_on = streamed && response.received > 0 && response.body.is_empty();
        if request.expects_json && !passed_on {
            let read = response.document();
            response.read = Some(read.map_err(|failure| Stopped::After(token, failure))?);
        }
        Ok(response)
    }

    /// A time of a service that was received now.
    pub(super) fn dated(&self, date: DateTime<Utc>) -> ServiceDate {
        let after = self.started.elapsed();
        ServiceDate { date, after }
    }

    fn note_date(&self, request: &ApiRequest, response: &ApiResponse) {
        if let Some(date) = response.date().filter(|_| request.service != "metadata") {
            self.service_date.get_or_init(|| self.dated(date));
        }
    }

    async fn exchange(
        &self,
        request: &ApiRequest,
        token: Option<&Token>,
        sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<ApiResponse, Failure> {
        self.transcript.begin(request, token.is_some())?;
        self.meter.count().calls += 1;
        let started = Instant::now();
        let exchange = Exchange {
            request,
            id: &self.id,
            token,
            memory: &self.memory,
        };
        let response = match sink {
            None => self.client.send(exchange).await?,
            Some(sink) => self.client.stream(exchange, sink).await?,
        };
        let bytes = u64::try_from(response.received).unwrap_or(u64::MAX);
        self.meter.count().bytes_received += bytes;
        Transcript::end(&response, started);
        Ok(response)
    }
}

/// Adds the error of the attempt before to a time-out.
fn with_last_error(failure: Failure, error: Option<String>) -> Failure {
    match error {
        Some(error) => {
            failure.reworded(format!("{} The attempt before: {error}", failure.message()))
        }
        None => failure,
    }
}

/// Explains the refusal of a token by the token's claims.
fn explain_refused_token(auth: Auth<'_>, token: Option<&Token>, failure: Failure) -> Failure {
    match (auth, token, failure.http_status()) {
        (Auth::Bearer(tokens, audience), Some(token), Some(401 | 403)) => {
            tokens.explain(audience, token, failure)
        }
        _ => failure,
    }
}

/// The failure of an attempt.
enum Stopped {
    /// Nothing was sent, or the run must stop. Not retried.
    Before(Failure),
    /// The request failed with this token.
    After(Option<Token>, Failure),
}
