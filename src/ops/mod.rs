//! Operations on Microsoft's services. Each has one typed input and one function.
//!
//! Knows no product. [`Operation::check`] rejects everything that can be rejected without the
//! network, before a runtime or a client exists.

pub mod alerts;
pub mod audit_search;
#[cfg(feature = "sim")]
pub mod chaos;
pub mod collect;
pub mod connection;
pub mod content;
pub mod diagnose;
mod feed;
mod resume;
pub mod sign_in;
pub mod subscriptions;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::json::Document;
use crate::microsoft::{Connection, TimeWindow};
use crate::net::{Caller, TokenProvider};
use crate::protocol::{
    Coverage, ErrorKind, Failure, State, Warning, decode_object, field_names, member_faults,
};
use crate::when;

/// An operation on a service.
pub struct Operation {
    /// The name in manifests.
    pub name: &'static str,
    /// One sentence about the operation.
    pub summary: &'static str,
    /// The JSON Schema of its input.
    pub input: fn() -> Schema,
    /// The parts of the connection that it needs.
    pub needs: Needs,
    /// The shape of the raw data: one sentence with the path of the records.
    pub result: &'static str,
    /// Whether a later run can resume where this one ends.
    pub state: bool,
    /// Required permissions: API and name.
    pub permissions: &'static [Permission],
    member_faults: fn(&Map<String, Value>) -> Vec<Failure>,
    fields: fn() -> &'static [&'static str],
    check: fn(&Value, DateTime<Utc>) -> Result<(), Failure>,
    check_resumed: fn(&Value, DateTime<Utc>) -> Result<(), Failure>,
    run: for<'a> fn(&'a Call<'a>, &'a Value) -> BoxFuture<'a, Result<Reply, Failure>>,
}

/// The parts of a connection that an operation needs. Callers can omit the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// None: it calls no service.
    Nothing,
    /// The account without a credential: it reads or deletes stored data.
    Account,
    /// Everything for the login page: all except the authorization code.
    LoginPage,
    /// The account of a person who signs in with a device code, and a state folder.
    DeviceCode,
    /// The whole connection: it calls a service.
    Credential,
}

/// The host's services and the request's settings for one run of an operation.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The account and the cloud.
    pub connection: &'a Connection,
    /// Sends the requests of this run, within its deadline.
    pub http: &'a Caller,
    /// Provides tokens.
    pub tokens: &'a dyn TokenProvider,
    /// The time when the run began. The input was checked with the same time.
    pub now: DateTime<Utc>,
    /// The state of an earlier run.
    pub state: Option<&'a State>,
    /// Whether the state is stored under a `state_key`. A state of another request is then an
    /// error, because this run would overwrite it.
    pub is_stored: bool,
    /// For a command with a state: how far it looks back before the watermark.
    pub overlap: Option<TimeDelta>,
    /// No further page is requested after this number of events. A page is never cut.
    pub max_events: Option<u64>,
}

/// A permission: API and name.
pub type Permission = (&'static str, &'static str);

/// For subscriptions and content.
const READ_FEED: Permission = ("Office 365 Management APIs", "ActivityFeed.Read");

/// For subscriptions and content of data loss prevention.
const READ_DLP: Permission = ("Office 365 Management APIs", "ActivityFeed.ReadDlp");

/// The outcome of an operation.
#[derive(Debug)]
pub struct Reply {
    /// The service's body, with all pages joined.
    pub raw: Document,
    /// The changed object in the form of the service's listing. `None` if nothing was changed.
    pub changed: Option<Document>,
    /// The state for the next run, if there is something to resume.
    pub state: Option<State>,
    /// Whether the state of the call was ignored because it belongs to another request.
    pub ignores_state: bool,
    /// Whether more can be fetched now.
    pub more: bool,
    /// The windows that were read, and the gaps.
    pub coverage: Option<Coverage>,
    /// Warnings for the user.
    pub warnings: Vec<Warning>,
    /// Why the result is incomplete.
    pub incomplete: Option<Failure>,
    /// Records received from the service.
    pub records: u64,
}

impl Reply {
    /// A complete reply with this value as the document.
    fn of_value(value: &impl Serialize) -> Result<Self, Failure> {
        document(value).map(Reply::of)
    }

    /// A complete reply with this document.
    pub fn of(raw: Document) -> Self {
        Reply {
            raw,
            changed: None,
            state: None,
            ignores_state: false,
            more: false,
            coverage: None,
            warnings: Vec::new(),
            incomplete: None,
            records: 0,
        }
    }
}

/// The input of an operation.
pub trait Input: DeserializeOwned + JsonSchema {
    /// One sentence about the operation.
    const SUMMARY: &'static str;
    /// The shape of the raw data: one sentence with the path of the records.
    const RESULT: &'static str;
    /// Whether a later run can resume where this one ends.
    const STATE: bool = false;
    /// Required permissions: API and name.
    const PERMISSIONS: &'static [Permission] = &[];
    /// The parts of the connection that it needs.
    const NEEDS: Needs = Needs::Credential;

    /// Rejects an input that can be rejected without the network.
    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let _ = now;
        Ok(())
    }

    /// Does the same for a request that resumes from a state.
    fn check_resumed(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        self.check(now)
    }
}

macro_rules! operations {
    ($($(#[$when:meta])* $name:literal => $module:ident::$function:ident($input:ty)),* $(,)?) => {
        static OPERATIONS: &[Operation] = &[$($(#[$when])* Operation {
            name: $name,
            summary: <$input as Input>::SUMMARY,
            input: || schema_for!($input),
            needs: <$input as Input>::NEEDS,
            result: <$input as Input>::RESULT,
            state: <$input as Input>::STATE,
            permissions: <$input as Input>::PERMISSIONS,
            member_faults: |given| member_faults::<$input>(given, ErrorKind::InvalidManifest),
            fields: field_names::<$input>,
            check: |input, now| decode::<$input>(input)?.check(now),
            check_resumed: |input, now| decode::<$input>(input)?.check_resumed(now),
            run: |call, input| Box::pin(async move {
                $module::$function(call, decode::<$input>(input)?).await
            }),
        }),*];
    };
}

operations! {
    #[cfg(feature = "sim")] "chaos.fail" => chaos::fail(chaos::Fail),
    #[cfg(feature = "sim")] "chaos.flap" => chaos::flap(chaos::Flap),
    #[cfg(feature = "sim")] "chaos.huge" => chaos::huge(chaos::Huge),
    #[cfg(feature = "sim")] "chaos.partial" => chaos::partial(chaos::Partial),
    #[cfg(feature = "sim")] "chaos.sleep" => chaos::sleep(chaos::Sleep),
    #[cfg(feature = "sim")] "chaos.slow_page" => chaos::slow_page(chaos::SlowPage),
    "audit.search" => audit_search::search(audit_search::Search),
    "connection.diagnose" => diagnose::diagnose(diagnose::Diagnose),
    "connection.test" => connection::test(connection::Test),
    "feed.content.collect" => collect::collect(collect::Collect),
    "feed.content.list" => content::list(content::List),
    "feed.subscription.ensure" => subscriptions::ensure(subscriptions::Ensure),
    "feed.subscription.list" => subscriptions::list(subscriptions::List),
    "feed.subscription.start" => subscriptions::start(subscriptions::Start),
    "feed.subscription.stop" => subscriptions::stop(subscriptions::Stop),
    "graph.alerts.fetch" => alerts::fetch(alerts::Fetch),
    "sign_in.device.complete" => sign_in::complete(sign_in::CompleteDeviceCode),
    "sign_in.device.start" => sign_in::start(sign_in::StartDeviceCode),
    "sign_in.reset" => sign_in::reset(sign_in::Reset),
    "sign_in.url" => sign_in::url(sign_in::LoginUrl),
}

/// All operations.
pub fn operations() -> &'static [Operation] {
    OPERATIONS
}

/// The operation of that name.
pub fn find(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({})", self.name)
    }
}

impl Operation {
    /// Whether it has an input of this name.
    pub fn has_input(&self, name: &str) -> bool {
        (self.fields)().contains(&name)
    }

    /// The faults of these inputs, each at `/<name>`. Missing inputs are not reported.
    pub fn member_faults(&self, given: &Map<String, Value>) -> Vec<Failure> {
        (self.member_faults)(given)
    }

    /// Rejects an invalid input with `invalid_input`: all faults at once, each at
    /// `/inputs/<name>`.
    pub fn check(&self, input: &Value, now: DateTime<Utc>) -> Result<(), Failure> {
        (self.check)(input, now)
    }

    /// Does the same for a request that resumes from a state.
    pub fn check_resumed(&self, input: &Value, now: DateTime<Utc>) -> Result<(), Failure> {
        (self.check_resumed)(input, now)
    }

    /// Runs the operation. Errors: nothing could be delivered. If a part was delivered, the reply
    /// has `incomplete`.
    pub fn run<'a>(
        &self,
        call: &'a Call<'a>,
        input: &'a Value,
    ) -> BoxFuture<'a, Result<Reply, Failure>> {
        // Without a service there is no request to show, and nothing can fail.
        if self.needs == Needs::Nothing && call.http.transcript().is_dry_run() {
            return Box::pin(async { Reply::of_value(&()) });
        }
        (self.run)(call, input)
    }
}

fn decode<T: Input>(input: &Value) -> Result<T, Failure> {
    let none = Map::new();
    let object = match input {
        Value::Object(object) => object,
        Value::Null => &none,
        _ => {
            return Err(Failure::invalid_input(
                "/inputs",
                "The inputs are not an object.",
            ));
        }
    };
    decode_object(object, "/inputs", ErrorKind::InvalidInput).map_err(|faults| {
        Failure::join(faults)
            .unwrap_or_else(|| Failure::invalid_input("/inputs", "The inputs are not readable."))
    })
}

/// A value as a document.
fn document(value: &impl Serialize) -> Result<Document, Failure> {
    Document::from_value(value).map_err(|error| unwritable().caused_by(error))
}

/// JSON without white space as a document.
fn from_compact(text: String) -> Result<Document, Failure> {
    Document::from_compact(text).map_err(|error| unwritable().caused_by(error))
}

fn unwritable() -> Failure {
    Failure::new(
        ErrorKind::Internal,
        "The result could not be written as JSON.",
    )
}

/// Reports all faults of an input at once.
fn all_valid<const N: usize>(faults: [Option<Failure>; N]) -> Result<(), Failure> {
    Failure::join(faults.into_iter().flatten().collect()).map_or(Ok(()), Err)
}

/// The scope of a state: a digest of the operation, the connection and the inputs.
fn scope(operation: &str, connection: &Connection, input: &impl Serialize) -> String {
    resume::scope::scope_of(&(
        operation,
        &connection.cloud.id,
        connection.tenant.to_ascii_lowercase(),
        connection.client_id.to_ascii_lowercase(),
        input,
    ))
}

/// A time among the inputs, in any of the accepted forms.
fn instant(input: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, Failure> {
    let Some(text) = text else { return Ok(None) };
    when::instant(text, &[]).map(Some).ok_or_else(|| {
        Failure::invalid_input(
            format!("/inputs/{input}"),
            format!("\"{text}\" is not a date and time; use a form such as 2026-01-31T00:00:00Z."),
        )
    })
}

/// The inputs `start_time` and `end_time`.
fn start_and_end(
    start: Option<&str>,
    end: Option<&str>,
) -> Result<[Option<DateTime<Utc>>; 2], Failure> {
    Ok([instant("start_time", start)?, instant("end_time", end)?])
}

/// The start of a time range among the inputs that ends now.
fn span(input: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    when::ago(text, now).ok_or_else(|| {
        Failure::invalid_input(
            format!("/inputs/{input}"),
            format!("\"{text}\" is not a time range; expected a number, a space and minutes, hours, days or weeks, such as \"3 days\"."),
        )
    })
}

/// The warning about a window in the future, which is usually a mistake of time zones.
fn in_future(window: &TimeWindow, now: DateTime<Utc>) -> Option<Warning> {
    let message = match window {
        window if window.start >= now => {
            "The window begins in the future, so it is empty. Times are UTC."
        }
        window if window.end > now + TimeDelta::minutes(5) => {
            "The window ends in the future. The result contains only records from before this run."
        }
        _ => return None,
    };
    Some(Warning::new("window_in_future", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_schema_whose_members_are_described() {
        for operation in operations() {
            assert!(find(operation.name).is_some());
            assert!(operation.summary.ends_with('.'), "{}", operation.name);
            let schema = (operation.input)().to_value();
            assert_eq!(schema["type"], "object", "{}", operation.name);
            let members = schema["properties"].as_object().into_iter().flatten();
            for (name, member) in members {
                assert!(
                    member["description"].is_string(),
                    "{}: {name}",
                    operation.name
                );
            }
        }
        assert!(find("no.such").is_none());
    }
}
