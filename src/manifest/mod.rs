//! A manifest: one product's face over the operations, as data.
//!
//! It names commands, says which operation each one calls, how the product's parameters become the
//! operation's inputs, and how the answer is presented. Names and shapes, never logic: no
//! conditions, loops, addresses, headers or paging rules. If a face needs one of these, an
//! operation is missing.

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
    /// Where an editor finds the schema of this file.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Version of this file format; 1.
    pub manifest: u32,
    /// Id of the integration: lower case letters, digits and underscores.
    pub id: String,
    /// The product's name for it.
    pub title: String,
    /// Version of this face, `major.minor.patch`.
    pub version: String,
    /// What it does, in one sentence.
    pub summary: String,
    /// What an administrator does once before the first command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// What the product's platform expects of results.
    #[serde(default)]
    pub platform: Platform,
    /// The connection parameters, in display order.
    pub connection: Vec<Param>,
    /// The product's own status codes: a vendor code, `kind.rule` or a kind → the documented code.
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    pub codes: Codes,
    /// The commands, in display order.
    pub commands: Vec<CommandSpec>,
}

/// One command of an integration.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// Canonical id.
    pub id: String,
    /// The product's name for it.
    pub title: String,
    /// Further names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What kind of command it is.
    pub kind: CommandKind,
    /// The operation that carries it out.
    pub operation: String,
    /// What it does, in one or two sentences.
    pub summary: String,
    /// What a playbook author should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The permissions the service demands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    /// The inputs, in display order.
    #[serde(default)]
    pub inputs: Vec<Param>,
    /// Operation inputs that the product does not show.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fixed: Map<String, Value>,
    /// How the answer is presented.
    #[serde(default)]
    pub outputs: Outputs,
    /// The mapping that makes events, by name; null where the command makes none.
    #[serde(default)]
    pub mapping: Option<String>,
    /// Does it keep state between runs? Then a run without a window of its own goes on where the
    /// last one ended.
    #[serde(default)]
    pub state: bool,
    /// How far such a run looks back behind that point, as a span such as `10 minutes`: what became
    /// available late is found there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// What applies where the request says nothing.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What failed, in the product's words; default: "{title} failed."
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_indicator: Option<String>,
}

/// What kind of command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandKind {
    /// Brings events in.
    Ingest,
    /// Reads.
    Read,
    /// Changes something; never repeated by the host after an unclear answer.
    Write,
    /// Checks the connection.
    Test,
}

/// A permission that the service demands.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// The service it is granted on.
    pub api: String,
    /// Its name.
    pub name: String,
    /// How it is granted.
    #[serde(rename = "type", default)]
    pub grant: Grant,
}

/// How a permission is granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// To the application itself.
    #[default]
    Application,
    /// To a person who signed in.
    Delegated,
}

impl Grant {
    /// The kind in one word, as Microsoft's portal has it.
    pub fn word(self) -> &'static str {
        match self {
            Grant::Application => "application",
            Grant::Delegated => "delegated",
        }
    }
}

/// Defaults of a command's options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How long it may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// No further page after so many events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u64>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

impl Manifest {
    /// Reads a manifest file; `origin` is its name for messages.
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

    /// How far a run looks back behind the point that the last one reached; none if it keeps no
    /// state.
    pub fn overlap(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let span = self.overlap.as_deref().and_then(|span| ago(span, now));
        let span = span.map_or_else(TimeDelta::zero, |then| now - then);
        self.state.then_some(span)
    }

    /// Every name it answers to: id, title, aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [self.id.as_str(), self.title.as_str()]
            .into_iter()
            .chain(self.aliases.iter().map(String::as_str))
    }
}
