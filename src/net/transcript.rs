//! Records requests without secrets: in the log, and as the result of a dry run.
//!
//! In a dry run, requests are recorded instead of sent. Never records response bodies.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::net::message::{ApiRequest, ApiResponse, Body};
use crate::protocol::{Detail, ErrorKind, Failure};

/// A request that a dry run did not send.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DryRunRequest {
    /// The service: `login`, `graph`, `management`, ….
    pub service: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// The address with its query.
    pub url: String,
    /// Headers by name; secret ones are `***`.
    pub headers: Map<String, Value>,
    /// A form as an object (secret fields are `***`), JSON, or null.
    pub body: Value,
}

/// The requests of one run.
#[derive(Debug, Default)]
pub struct Transcript {
    dry_run: bool,
    requests: Mutex<Vec<DryRunRequest>>,
}

impl Transcript {
    /// The transcript of a dry run.
    pub fn dry_run() -> Self {
        Transcript {
            dry_run: true,
            ..Transcript::default()
        }
    }

    /// Returns whether nothing is sent.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The requests of a dry run, in the order of sending.
    pub fn requests(&self) -> Vec<DryRunRequest> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records a request. In a dry run it returns a failure, so that the request is not sent.
    pub(crate) fn begin(&self, request: &ApiRequest, bearer: bool) -> Result<(), Failure> {
        let (service, method, url) = (request.service, request.method.name(), &request.url);
        if !self.dry_run {
            tracing::debug!(service, method, %url, "request");
            return Ok(());
        }
        let next = describe(request, bearer);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        // A dry run has no token, so parallel requests sign in more than once. One is shown.
        if !requests.contains(&next) {
            requests.push(next);
        }
        Err(
            Failure::new(ErrorKind::Cancelled, "Dry run: nothing was sent.")
                .with_detail(Detail::DryRun),
        )
    }

    /// Logs a response.
    pub(crate) fn end(response: &ApiResponse, started: std::time::Instant) {
        tracing::debug!(
            service = response.service,
            status = response.status,
            bytes = response.body.len(),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_id = response.upstream(None).request_id,
            "response"
        );
    }
}

/// Returns whether this failure only ends a request of a dry run.
pub fn is_dry_run(failure: &Failure) -> bool {
    failure.detail() == Some(Detail::DryRun)
}

fn describe(request: &ApiRequest, bearer: bool) -> DryRunRequest {
    let mut headers = Map::new();
    if bearer {
        headers.insert("Authorization".to_owned(), "Bearer ***".into());
    }
    for (name, value) in &request.headers {
        headers.insert((*name).to_owned(), value.shown().into());
    }
    DryRunRequest {
        service: request.service,
        method: request.method.name(),
        url: request.url.to_string(),
        headers,
        body: body(&request.body),
    }
}

fn body(body: &Body) -> Value {
    match body {
        Body::Empty => Value::Null,
        Body::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        Body::Form(fields) => fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.shown())))
            .collect::<Map<_, _>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Secret;
    use url::Url;

    #[test]
    fn dry_run_records_requests_without_secrets() {
        let url = Url::parse("https://login.test/t/oauth2/v2.0/token").expect("an address");
        let secret = Secret::new("canary-canary");
        let request = ApiRequest::post("login", url)
            .header("Accept", "application/json")
            .header("X-IDENTITY-HEADER", &secret)
            .body(Body::Form(vec![
                ("client_id", "c".into()),
                ("client_secret", (&secret).into()),
            ]));
        let transcript = Transcript::dry_run();
        let stop = transcript
            .begin(&request, true)
            .expect_err("nothing is sent");
        assert!(is_dry_run(&stop));
        let written = serde_json::to_string(&transcript.requests()).expect("JSON");
        assert_eq!(
            written,
            concat!(
                r#"[{"service":"login","method":"POST","url":"https://login.test/t/oauth2/v2.0/token","#,
                r#""headers":{"Authorization":"Bearer ***","Accept":"application/json","X-IDENTITY-HEADER":"***"},"#,
                r#""body":{"client_id":"c","client_secret":"***"}}]"#
            )
        );
    }
}
