//! The diagnosis of a connection: the commands of an integration that it concerns, and their needs.
//!
//! `ops::diagnose` runs the stages. Does not present them: the command line does.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::host::{Checked, Host};
use crate::manifest::schema::sample_request;
use crate::manifest::{CommandKind, CommandSpec, Manifest};
use crate::net::Cancel;
use crate::ops::diagnose::stage::Stage;
use crate::ops::{self, Needs};
use crate::protocol::envelope::Options;
use crate::protocol::failure::ErrorKind;
use crate::protocol::{Envelope, Failure, ResultEnvelope};

/// The operation that runs the stages.
const OPERATION: &str = "connection.diagnose";

/// The inputs of commands that the diagnosis has, too.
const INPUTS: [&str; 6] = [
    "users",
    "record_types",
    "workloads",
    "operations",
    "filter",
    "search_with",
];

impl Host {
    /// A request that tests a stored connection.
    pub fn request_of_profile(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let opened = self.opened()?;
        let profile = opened.profiles.find(name)?;
        let manifest = opened.catalog.integration(&profile.integration)?;
        test_request(manifest, Some(name.into()))
    }

    /// A request of the sandbox: the connection of the first integration that fetches alerts.
    pub fn sample_of_connection(&self) -> Result<Vec<u8>, Failure> {
        let manifests = self.opened()?.catalog.manifests()?;
        let fetches = |one: &CommandSpec| one.operation.starts_with("graph.alerts.");
        let mut manifests = manifests.into_iter();
        let found = manifests.find(|one| one.commands.iter().any(fetches));
        test_request(
            found.ok_or_else(|| unreadable("no such integration"))?,
            None,
        )
    }

    /// Checks a request whose connection will be diagnosed. Its state and options are ignored, so
    /// that no other run is disturbed. A command that calls no service is replaced by a test.
    pub fn check_connection(
        &self,
        request: &[u8],
        cancel: &Cancel,
    ) -> Result<Checked<'_>, Box<ResultEnvelope>> {
        let reset = |envelope: &mut Envelope| {
            envelope.state = None;
            envelope.options = Options::default();
        };
        let checked = self.check_changed(request, cancel, reset)?;
        if checked.target.operation.needs == Needs::Credential {
            return Ok(checked);
        }
        let id = &checked.target.manifest.id;
        // It was read before, so it is an object.
        let given: Value = serde_json::from_slice(request).unwrap_or_default();
        let manifest = self
            .opened()
            .and_then(|opened| opened.catalog.integration(id));
        let test = manifest.and_then(|one| test_request(one, given.get("connection").cloned()));
        match test {
            Ok(test) => self.check_changed(&test, cancel, reset),
            Err(failure) => Err(Box::new(self.refuse(failure))),
        }
    }

    /// Diagnoses the connection of a checked request. Each request to a service has this limit.
    ///
    /// Errors: it was cancelled, or the settings are invalid.
    pub async fn diagnose(
        &self,
        mut checked: Checked<'_>,
        limit: Duration,
    ) -> Result<Vec<Stage>, Failure> {
        let opened = self.opened()?;
        let manifest = opened.catalog.integration(&checked.target.manifest.id)?;
        let operation = ops::find(OPERATION).ok_or_else(|| unreadable("no such operation"))?;
        checked.bound.input = input(manifest, &checked, limit);
        checked.target.operation = operation;
        checked.state = None;
        let session = opened.session(&checked)?;
        let vault = opened.vault(&checked);
        let reply = session.run(&checked, vault.as_ref()).await?;
        let stages: Vec<Stage> = serde_json::from_str(reply.raw.text())
            .map_err(|error| unreadable(&error.to_string()))?;
        let redact = |text: String| checked.redactor.redact_text(&text);
        let stages = stages.into_iter().map(|stage| Stage {
            detail: redact(stage.detail),
            remedy: stage.remedy.map(redact),
            ..stage
        });
        Ok(stages.collect())
    }
}

impl Checked<'_> {
    /// The integration, the tenant, the cloud and the kind of credential, for people.
    pub fn summary(&self) -> String {
        let connection = &self.connection;
        let tenant = match connection.tenant.as_str() {
            "" => "the tenant of this machine".to_owned(),
            tenant => format!("tenant {tenant}"),
        };
        let kind = connection.credential.kind().replace('_', " ");
        let title = &self.target.manifest.title;
        format!("{title}: {tenant}, cloud {}, {kind}.", connection.cloud.id)
    }
}

/// A request of a command that tests the connection, or of another one that calls a service.
fn test_request(manifest: &Manifest, connection: Option<Value>) -> Result<Vec<u8>, Failure> {
    let calls_service = |one: &&CommandSpec| {
        ops::find(&one.operation).is_some_and(|one| one.needs == Needs::Credential)
    };
    let is_test = |one: &&CommandSpec| one.kind == CommandKind::Test && calls_service(one);
    let commands = &manifest.commands;
    let command = commands
        .iter()
        .find(is_test)
        .or(commands.iter().find(calls_service));
    let command = command.ok_or_else(|| {
        let message = format!("{} has no command that calls a service.", manifest.title);
        Failure::new(ErrorKind::UnknownName, message)
    })?;
    let mut request = sample_request(manifest, command);
    if let Some(connection) = connection {
        request["connection"] = connection;
    }
    Ok(request.to_string().into_bytes())
}

/// The input of the diagnosis for the command of the request. A command that tests the connection
/// checks all commands of its integration.
fn input(manifest: &Manifest, checked: &Checked<'_>, limit: Duration) -> Map<String, Value> {
    let own = checked.target.command;
    let given = &checked.bound.input;
    let commands: Vec<&CommandSpec> = if own.kind == CommandKind::Test {
        manifest.commands.iter().collect()
    } else {
        vec![own]
    };
    let is_used = |part: &str| commands.iter().any(|one| one.operation.starts_with(part));
    let backfills = given.get("backfill") == Some(&Value::Bool(true));
    let checks = [
        ("feed", is_used("feed.")),
        ("alerts", is_used("graph.alerts.")),
        ("search", is_used("audit.search") || backfills),
    ];
    let checks = checks
        .iter()
        .filter(|(_, used)| *used)
        .map(|(name, _)| *name);
    let needs = commands.iter().filter(|command| {
        let operation = ops::find(&command.operation);
        operation.is_some_and(|operation| operation.needs == Needs::Credential)
    });
    let needs = needs.map(|command| {
        let permissions = command.permissions.iter().map(|one| &one.name);
        json!({
            "title": command.title,
            "operation": command.operation,
            "permissions": permissions.collect::<Vec<_>>(),
        })
    });
    let mut input = Map::from_iter([
        ("checks".to_owned(), checks.collect()),
        ("commands".to_owned(), needs.collect()),
        (
            "limit_ms".to_owned(),
            json!(limit.as_millis().try_into().unwrap_or(u64::MAX)),
        ),
    ]);
    let starts = ["feed.subscription.ensure", "feed.subscription.start"];
    let mut all = manifest.commands.iter();
    if let Some(start) = all.find(|one| starts.contains(&one.operation.as_str())) {
        input.insert("start_with".to_owned(), json!(start.title));
    }
    let types = given.get("content_types").or(given.get("content_type"));
    if let Some(types) = types {
        let list = match types {
            Value::Array(_) => types.clone(),
            one => json!([one]),
        };
        input.insert("content_types".to_owned(), list);
    }
    for name in INPUTS {
        if let Some(value) = given.get(name) {
            input.insert(name.to_owned(), value.clone());
        }
    }
    input
}

fn unreadable(why: &str) -> Failure {
    let message = format!("The diagnosis could not be run: {why}.");
    Failure::new(ErrorKind::Internal, message)
}
