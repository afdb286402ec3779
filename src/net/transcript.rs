//! The redacted record of calls: lines for the trace log, and the whole of a dry run.
//!
//! In a dry run every request stops here: it is written down and not sent. Nothing secret is
//! written either way; bodies of answers never are.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::net::message::{ApiRequest, ApiResponse, Body};
use crate::protocol::{Detail, ErrorKind, Failure};

/// One request that would have been sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rehearsed {
    /// The service: `login`, `graph`, `management`, ….
    pub service: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// Headers by name; secret ones are `***`.
    pub headers: Map<String, Value>,
    /// A form as an object (secret fields are `***`), JSON as it is, or null.
    pub body: Value,
}

/// The record of one run.
#[derive(Debug, Default)]
pub struct Transcript {
    dry_run: bool,
    requests: Mutex<Vec<Rehearsed>>,
}

impl Transcript {
    /// The record of a dry run.
    pub fn dry_run() -> Self {
        Transcript {
            dry_run: true,
            ..Transcript::default()
        }
    }

    /// Is nothing to be sent?
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The requests of a dry run, in the order in which they would have been sent.
    pub fn requests(&self) -> Vec<Rehearsed> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Writes a request down. In a dry run that is all that happens to it: the failure ends the
    /// lane that wanted to send it.
    pub(crate) fn begin(&self, request: &ApiRequest, bearer: bool) -> Result<(), Failure> {
        let (service, method, url) = (request.service, request.method.name(), &request.url);
        if !self.dry_run {
            tracing::debug!(service, method, %url, "request");
            return Ok(());
        }
        let next = rehearsed(request, bearer);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        // A dry run keeps no token, so a lane that needs one twice signs in twice; once is shown.
        if !requests.contains(&next) {
            requests.push(next);
        }
        Err(
            Failure::new(ErrorKind::Cancelled, "Dry run: nothing was sent.")
                .with_detail(Detail::DryRun),
        )
    }

    /// Writes an answer down.
    pub(crate) fn end(response: &ApiResponse, started: std::time::Instant) {
        tracing::debug!(
            service = response.service,
            status = response.status,
            bytes = response.body.len(),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_id = response.upstream(None).request_id,
            "answer"
        );
    }
}

/// Is this failure only the end of a dry run's lane?
pub fn is_rehearsal(failure: &Failure) -> bool {
    failure.detail() == Some(Detail::DryRun)
}

fn rehearsed(request: &ApiRequest, bearer: bool) -> Rehearsed {
    let mut headers = Map::new();
    if bearer {
        headers.insert("Authorization".to_owned(), "Bearer ***".into());
    }
    for (name, value) in &request.headers {
        headers.insert((*name).to_owned(), value.shown().into());
    }
    Rehearsed {
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
    fn a_dry_run_writes_down_and_stops_and_hides_secrets() {
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
        let stop = transcript.begin(&request, true).expect_err("the lane ends");
        assert!(is_rehearsal(&stop));
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
