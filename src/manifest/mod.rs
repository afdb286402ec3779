//! A manifest: one product's integration, as data.
//!
//! A manifest lists the commands: the operation that each one calls, how the product's parameters
//! become the operation's inputs, and how the result is presented. It has no conditions, loops,
//! addresses, headers or paging rules. An integration that needs one of these needs a new operation.

pub mod bind;
pub mod lint;
pub mod outputs;
pub mod param;
pub mod platform;
pub mod schema;
pub mod slot;
pub mod template;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::failure::{Codes, ErrorKind, Failure};
use crate::protocol::{decode_object, strict_object};
pub use bind::Bound;
pub use outputs::{Outputs, Readable};
pub use param::{Param, ParamType};
pub use platform::Platform;
pub use slot::Slot;

use crate::when::ago;
use param::Choices;

/// One integration.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The address of this file's schema, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The version of the file format: 1.
    pub manifest: u32,
    /// The integration's id: lower case letters, digits, underscores and hyphens.
    pub id: String,
    /// The integration's name in the product.
    pub title: String,
    /// The integration's version: `major.minor.patch`.
    pub version: String,
    /// What the integration does, in one sentence.
    pub summary: String,
    /// The steps of an administrator before the first command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// What the product's platform expects of results.
    #[serde(default)]
    pub platform: Platform,
    /// The connection parameters, in display order.
    pub connection: Vec<Param>,
    /// The product's own status codes, by the service's error code, by `kind.rule` or by kind of
    /// failure.
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    pub codes: Codes,
    /// The commands, in display order.
    pub commands: Vec<CommandSpec>,
}

/// One command of an integration.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// The command's id: lower case letters, digits, underscores and hyphens.
    pub id: String,
    /// The command's name in the product.
    pub title: String,
    /// Other accepted names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The kind of command.
    pub kind: CommandKind,
    /// The operation that runs the command, by name.
    pub operation: String,
    /// What the command does, in one or two sentences.
    pub summary: String,
    /// Notes for authors of playbooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The permissions that the service requires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    /// The inputs, in display order.
    #[serde(default)]
    pub inputs: Vec<Param>,
    /// Inputs of the operation with fixed values, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fixed: Map<String, Value>,
    /// How the result is presented.
    #[serde(default)]
    pub outputs: Outputs,
    /// The mapping that creates events, by name; null: the command creates no events.
    #[serde(default)]
    pub mapping: Option<String>,
    /// If true, a run without a time window resumes at the state of the last run.
    #[serde(default)]
    pub state: bool,
    /// How far a resumed run looks back for records that became available late, as a span such as
    /// `10 minutes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// Defaults of the options that a request does not set.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What failed, in the product's words. Default: "{title} failed."
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_indicator: Option<String>,
}

/// The kind of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Fetches events.
    Ingest,
    /// Reads data.
    Read,
    /// Changes data. Not retried if the outcome of a call is unclear.
    Write,
    /// Tests the connection.
    Test,
}

/// A permission that the service requires.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// The service that has the permission.
    pub api: String,
    /// The permission's name.
    pub name: String,
    /// How the permission is granted.
    #[serde(rename = "type", default)]
    pub grant: Grant,
}

/// How a permission is granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// To the application.
    #[default]
    Application,
    /// To a user who signed in.
    Delegated,
}

impl Grant {
    /// The word in Microsoft's portal.
    pub fn word(self) -> &'static str {
        match self {
            Grant::Application => "application",
            Grant::Delegated => "delegated",
        }
    }
}

/// Default values of a command's options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The deadline of a run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The number of events after which no further page is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u64>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

impl Manifest {
    /// Parses a manifest file; `origin` is its name in messages.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        let object = strict_object(text).map_err(|failure| {
            Failure::new(ErrorKind::InvalidManifest, failure.message()).at(origin)
        })?;
        let prefix = format!("{origin}:");
        let manifest: Manifest = decode_object(&object, &prefix, ErrorKind::InvalidManifest)
            .map_err(|faults| {
                Failure::join(faults).unwrap_or_else(|| {
                    Failure::new(ErrorKind::InvalidManifest, "The file is not a manifest.")
                })
            })?;
        Ok(manifest)
    }

    /// Replaces the names of shared lists of choices with their values. An unknown name stays.
    pub fn resolve_choices(&mut self, list: impl Fn(&str) -> Option<Vec<String>>) {
        let inputs = self.commands.iter_mut().flat_map(|one| &mut one.inputs);
        for param in self.connection.iter_mut().chain(inputs) {
            if let Some(Choices::Named(name)) = &param.choices
                && let Some(values) = list(name)
            {
                param.choices = Some(Choices::Listed(values));
            }
        }
    }

    /// `id@version`.
    pub fn full_id(&self) -> String {
        format!("{}@{}", self.id, self.version)
    }
}

impl CommandSpec {
    /// What failed, in the product's words.
    pub fn indicator(&self) -> String {
        let usual = || format!("{} failed.", self.title);
        self.failure_indicator.clone().unwrap_or_else(usual)
    }

    /// Whether the input selects detection rules. It is then no input of the operation.
    pub fn selects_rules(&self, input: &Param) -> bool {
        self.outputs.rules.is_some() && input.target() == Outputs::RULES
    }

    /// The inputs of the operation, with their positions.
    pub fn operation_inputs(&self) -> impl Iterator<Item = (usize, &Param)> {
        let inputs = self.inputs.iter().enumerate();
        inputs.filter(|(_, input)| !self.selects_rules(input))
    }

    /// How far a run looks back before the last run's checkpoint; none without state.
    pub fn overlap(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let span = self.overlap.as_deref().and_then(|span| ago(span, now));
        let span = span.map_or_else(TimeDelta::zero, |then| now - then);
        self.state.then_some(span)
    }

    /// All names of the command: id, title, aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [self.id.as_str(), self.title.as_str()]
            .into_iter()
            .chain(self.aliases.iter().map(String::as_str))
    }
}
