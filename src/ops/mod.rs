//! Operations: what can be done to a Microsoft service. One typed input, one function each.
//!
//! No product is known here. Everything that can be refused without the network is refused by
//! [`Operation::check`], before a runtime or a client exists.

pub mod alerts;
#[cfg(feature = "sim")]
pub mod chaos;
pub mod collect;
pub mod connection;
pub mod content;
mod feed;
mod resume;
pub mod sign_in;
pub mod subscriptions;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::json::Document;
use crate::microsoft::{Connection, TimeWindow};
use crate::net::{Caller, Pending, TokenProvider};
use crate::protocol::{
    Coverage, ErrorKind, Failure, State, Warning, decode_object, field_names, member_faults,
};
use crate::when;

/// Something that can be done to a service.
pub struct Operation {
    /// Its name, as manifests write it.
    pub name: &'static str,
    /// What it does: one sentence.
    pub summary: &'static str,
    /// The JSON Schema of its input.
    pub input: fn() -> Schema,
    /// What it needs of a connection.
    pub needs: Needs,
    /// What its raw data is: one sentence with the path of the records.
    pub result: &'static str,
    /// Can a later run resume where it stopped?
    pub state: bool,
    /// The permissions that it needs: API and name.
    pub permissions: &'static [(&'static str, &'static str)],
    member_faults: fn(&Map<String, Value>) -> Vec<Failure>,
    fields: fn() -> &'static [&'static str],
    check: fn(&Value, DateTime<Utc>) -> Result<(), Failure>,
    check_resumed: fn(&Value, DateTime<Utc>) -> Result<(), Failure>,
    run: for<'a> fn(&'a Call<'a>, &'a Value) -> Pending<'a, Reply>,
}

/// What an operation needs of a connection; what it does not need, nobody has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it asks no service.
    Nothing,
    /// Whose it is, and no credential: it looks after what is kept.
    Account,
    /// What a person signs in with: all but the code that they get by it.
    LoginPage,
    /// All of it: it asks a service.
    Credential,
}

/// All that an operation may touch.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Whose services.
    pub connection: &'a Connection,
    /// Makes the calls of this run, within its deadline.
    pub http: &'a Caller,
    /// Signs in.
    pub tokens: &'a dyn TokenProvider,
    /// The time of day when the run began; the same that the input was checked with.
    pub now: DateTime<Utc>,
    /// Where an earlier run stopped.
    pub state: Option<&'a State>,
    /// Is that state one that the host keeps under a name? Then another request must not move it.
    pub kept: bool,
    /// For a command that keeps state: how far it looks back behind the point that it reached.
    pub overlap: Option<TimeDelta>,
    /// What the caller limits.
    pub limits: Limits,
}

/// What the caller limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// No further page after so many events; a page is never cut by it.
    pub max_events: Option<u64>,
}

/// What an operation has to say.
#[derive(Debug)]
pub struct Reply {
    /// The service's body, pages joined.
    pub raw: Document,
    /// What a change made of its object, in the message of the service's listing; none if nothing
    /// was changed, or nothing was to be.
    pub changed: Option<Document>,
    /// Where the next run goes on, if there is something to go on with.
    pub state: Option<State>,
    /// Is there more to fetch now?
    pub more: bool,
    /// Is the run complete?
    pub coverage: Option<Coverage>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// Why it is only a part, if it is.
    pub incomplete: Option<Failure>,
    /// Records received from the service.
    pub records: u64,
}

impl Reply {
    /// Everything that was asked for: that document, and nothing to say about it.
    pub fn of(raw: Document) -> Self {
        Reply {
            raw,
            changed: None,
            state: None,
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
    /// What the operation does: one sentence.
    const SUMMARY: &'static str;
    /// What its raw data is: one sentence with the path of the records.
    const RESULT: &'static str;
    /// Can a later run resume where it stopped?
    const STATE: bool = false;
    /// The permissions that it needs: API and name.
    const PERMISSIONS: &'static [(&'static str, &'static str)] = &[];
    /// What it needs of a connection.
    const NEEDS: Needs = Needs::Credential;

    /// Refuses what can be refused without the network.
    fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        let _ = now;
        Ok(())
    }

    /// The same for a request that resumes from a state.
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
    "connection.test" => connection::test(connection::Test),
    "feed.content.collect" => collect::collect(collect::Collect),
    "feed.content.list" => content::list(content::List),
    "feed.subscription.list" => subscriptions::list(subscriptions::List),
    "feed.subscription.start" => subscriptions::start(subscriptions::Start),
    "feed.subscription.stop" => subscriptions::stop(subscriptions::Stop),
    "graph.alerts.fetch" => alerts::fetch(alerts::Fetch),
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
    /// Has it an input of that name?
    pub fn has_input(&self, name: &str) -> bool {
        (self.fields)().contains(&name)
    }

    /// What of some inputs is not as the operation wants it, each at `/<name>`; that others are
    /// missing is no fault.
    pub fn member_faults(&self, given: &Map<String, Value>) -> Vec<Failure> {
        (self.member_faults)(given)
    }

    /// Refuses an input that breaks a rule: `invalid_input`, all faults at once, each at
    /// `/inputs/<name>`.
    pub fn check(&self, input: &Value, now: DateTime<Utc>) -> Result<(), Failure> {
        (self.check)(input, now)
    }

    /// The same for a request that resumes from a state.
    pub fn check_resumed(&self, input: &Value, now: DateTime<Utc>) -> Result<(), Failure> {
        (self.check_resumed)(input, now)
    }

    /// Does it. Errors: nothing could be delivered; a part that could is a reply with
    /// `incomplete`.
    pub fn run<'a>(&self, call: &'a Call<'a>, input: &'a Value) -> Pending<'a, Reply> {
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

/// The fingerprint of what a state continues: the operation, the connection and the inputs.
fn scope(operation: &str, connection: &Connection, input: &impl Serialize) -> String {
    resume::state::scope_of(&(
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
            format!("\"{text}\" is not a date and time; expected 2026-01-31T00:00:00Z or alike."),
        )
    })
}

/// How far back a span among the inputs reaches.
fn span(input: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    when::ago(text, now).ok_or_else(|| {
        Failure::invalid_input(
            format!("/inputs/{input}"),
            format!("\"{text}\" is not a span of time; expected a number, a blank and minutes, hours, days, weeks, months or years, such as \"3 days\"."),
        )
    })
}

/// A window in the future is an honest mistake, usually of time zones.
fn in_future(window: &TimeWindow, now: DateTime<Utc>) -> Option<Warning> {
    let message = match window {
        window if window.start >= now => {
            "The window begins in the future, so nothing can be in it yet; times are UTC."
        }
        window if window.end > now + TimeDelta::minutes(5) => {
            "The window ends in the future; what comes until then is not in this result."
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
