//! The operator's stored connections: `--profiles FILE`.
//!
//! A request selects one by name and does not contain its parameters. Secrets in the file should be
//! references; they are resolved like those of a request.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::host::catalog::Catalog;
use crate::manifest::bind::connection_faults;
use crate::names::{alike, suggestion};
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{decode_object, escape, strict_object};

/// The stored connections.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// The schema of this file, for editors.
    #[serde(rename = "$schema", default)]
    #[expect(dead_code, reason = "only editors read it")]
    schema: Option<String>,
    /// Version of this file format; 1.
    #[serde(rename = "profiles")]
    version: u32,
    /// The connections by name.
    connections: BTreeMap<String, Profile>,
}

/// One stored connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The integration of the connection.
    pub integration: String,
    /// The connection parameters, as in a request.
    pub params: Map<String, Value>,
}

impl Profiles {
    /// Reads the operator's file.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let placed = |failure: Failure| {
            let at = format!("--profiles{}", failure.place().unwrap_or_default());
            Failure::invalid_input(at, failure.message())
                .advice("Correct the file. Its form is {\"profiles\": 1, \"connections\": {…}}.")
        };
        let object = strict_object(text).map_err(placed)?;
        let read: Profiles = decode_object(&object, "--profiles", ErrorKind::InvalidInput)
            .map_err(|faults| {
                let unreadable = || Failure::invalid_input("--profiles", "The file is invalid.");
                Failure::join(faults).unwrap_or_else(unreadable)
            })?;
        if read.version != 1 {
            let message = format!("`profiles` must be 1; got {}.", read.version);
            return Err(Failure::invalid_input("--profiles/profiles", message));
        }
        Ok(read)
    }

    /// The faults of the connections, checked against their integrations.
    pub fn faults(&self, catalog: &Catalog, now: DateTime<Utc>) -> Result<Vec<Failure>, Failure> {
        let mut faults = Vec::new();
        for (name, profile) in &self.connections {
            let at = format!("/connections/{}", escape(name));
            match catalog.integration(&profile.integration) {
                Ok(manifest) => faults.extend(connection_faults(
                    &manifest.connection,
                    &profile.params,
                    &format!("{at}/params"),
                    now,
                )),
                Err(failure) => faults.push(failure.at(format!("{at}/integration"))),
            }
        }
        Ok(faults)
    }

    /// The connections with their names.
    pub fn connections(&self) -> impl Iterator<Item = (&str, &Profile)> {
        let connections = self.connections.iter();
        connections.map(|(name, profile)| (name.as_str(), profile))
    }

    /// Finds a connection by name. Case and punctuation are ignored.
    pub fn find(&self, name: &str) -> Result<&Profile, Failure> {
        let found = self
            .connections
            .iter()
            .find(|(known, _)| alike(known, name));
        found.map(|(_, profile)| profile).ok_or_else(|| {
            let hint = suggestion(name, self.connections.keys().map(String::as_str));
            let message = format!("There is no stored connection \"{name}\". {hint}");
            Failure::new(ErrorKind::UnknownName, message)
                .at("/connection")
                .advice("Add it to the file of --profiles, or send the parameters in the request.")
        })
    }
}
