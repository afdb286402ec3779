//! `schema`: the contract as JSON Schema 2020-12, derived from the types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::front::cli::Ended;
use crate::front::cli::args::SchemaArgs;
use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::host::Host;
use crate::host::profiles::Profiles;
use crate::manifest::Manifest;
use crate::manifest::schema::request_schema;
use crate::mapping::{Definition, MappingPatch};
use crate::microsoft::cloud::EndpointsFile;
use crate::protocol::{Envelope, ErrorKind, Failure, ResultEnvelope};

/// Makes a schema.
type Make = fn() -> Schema;

/// THE TABLE of schemas that are not a command's: name and how it is made.
pub const SCHEMAS: &[(&str, Make)] = &[
    ("request", read::<Envelope>),
    ("result", written::<ResultEnvelope>),
    ("manifest", read::<Manifest>),
    ("mapping", read::<Definition>),
    ("patch", read::<MappingPatch>),
    ("endpoints", read::<EndpointsFile>),
    ("profiles", read::<Profiles>),
    #[cfg(feature = "sim")]
    ("world", super::simulate::world_schema),
];

/// What may be sent to us.
fn read<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// What we send: keys that are always there are required.
fn written<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Prints one schema.
pub(super) fn print(args: &SchemaArgs, host: &Host, out: &mut Out) -> Ended {
    if let Some((_, make)) = SCHEMAS.iter().find(|(name, _)| *name == args.name) {
        return print_json(&Value::from(make()), out);
    }
    let target = host.catalog()?.find_dotted(&args.name).map_err(|_| {
        let names: Vec<&str> = SCHEMAS.iter().map(|(name, _)| *name).collect();
        let message = format!("There is no schema \"{}\".", args.name);
        Failure::new(ErrorKind::UnknownName, message).advice(format!(
            "Known: {}, or a command as INTEGRATION.COMMAND.",
            names.join(", ")
        ))
    })?;
    print_json(&request_schema(target.manifest, target.command), out)
}
