//! `schema`: JSON Schemas (2020-12) of requests, results and files, derived from the types.
//! `manifest::schema` makes those of commands.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::front::cli::ExitResult;
use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::host::Host;
use crate::host::profiles::Profiles;
use crate::json::whitespace::indented;
use crate::manifest::Manifest;
use crate::manifest::schema::request_schema;
use crate::mapping::{Definition, MappingPatch, StandardFields};
use crate::microsoft::cloud::EndpointsFile;
use crate::protocol::{Envelope, ErrorKind, Failure, ResultEnvelope};

/// Arguments of `schema`.
#[derive(Args, Debug)]
pub(super) struct SchemaArgs {
    /// request, result, manifest, mapping, patch, fields, endpoints, profiles, world, or INTEGRATION.COMMAND
    pub(super) name: Option<String>,
    /// Write the schemas of a catalog's files to DIR/snapshots/schema, where their `$schema` points
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    pub(super) write: Option<PathBuf>,
}

/// Generates a schema.
type Make = fn() -> Schema;

/// THE TABLE of schemas, except those of commands.
pub const SCHEMAS: &[(&str, Make)] = &[
    ("request", read::<Envelope>),
    ("result", written::<ResultEnvelope>),
    ("manifest", read::<Manifest>),
    ("mapping", read::<Definition>),
    ("patch", read::<MappingPatch>),
    ("fields", read::<StandardFields>),
    ("endpoints", read::<EndpointsFile>),
    ("profiles", read::<Profiles>),
    #[cfg(feature = "sim")]
    ("world", super::simulate::world_schema),
];

/// The schema of an input.
fn read<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// The schema of an output: keys that are always present are required.
fn written<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Prints one schema.
pub(super) fn print(args: &SchemaArgs, host: &Host, out: &mut Out) -> ExitResult {
    if let Some(folder) = &args.write {
        return write(folder, out);
    }
    let known = || {
        let names: Vec<&str> = SCHEMAS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        format!("Known: {names}, or a command as INTEGRATION.COMMAND.")
    };
    let Some(wanted) = args.name.as_deref() else {
        let failure = Failure::new(ErrorKind::UnknownName, "No schema is named.");
        return Err(failure.advice(known()).into());
    };
    if let Some((_, make)) = SCHEMAS.iter().find(|(name, _)| *name == wanted) {
        return print_json(&Value::from(make()), out);
    }
    let target = host.catalog()?.find_dotted(wanted).map_err(|_| {
        let message = format!("There is no schema \"{wanted}\".");
        Failure::new(ErrorKind::UnknownName, message).advice(known())
    })?;
    print_json(&request_schema(target.manifest, target.command), out)
}

/// Writes the schemas, and says so.
fn write(folder: &Path, out: &mut Out) -> ExitResult {
    let below = write_schemas(folder).map_err(|failure| failure.at("--write"))?;
    let count = SCHEMAS.len();
    writeln!(out, "{count} schemas written to {}.", below.display())?;
    Ok(0)
}

/// Writes the schemas to the path that the relative `$schema` of manifests and mappings names.
#[expect(
    clippy::disallowed_methods,
    reason = "an author's tool that writes files on request"
)]
pub(super) fn write_schemas(folder: &Path) -> Result<PathBuf, Failure> {
    let below = folder.join("snapshots").join("schema");
    let failed = |error: std::io::Error| {
        let message = format!("{} cannot be written: {error}.", below.display());
        Failure::invalid_input("", message)
    };
    std::fs::create_dir_all(&below).map_err(failed)?;
    for (name, make) in SCHEMAS {
        let text = format!("{}\n", indented(&Value::from(make()).to_string()));
        std::fs::write(below.join(format!("{name}.snap.json")), text).map_err(failed)?;
    }
    Ok(below)
}
