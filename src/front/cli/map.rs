//! `map`: applies a mapping to saved raw data, or to the raw data of a saved result, offline.
//!
//! Needs no request and no connection.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::front::cli::args::MapArgs;
use crate::front::cli::out::Out;
use crate::front::cli::{ExitResult, stdin};
use crate::host::catalog::Catalog;
use crate::json::Document;
use crate::json::document::members;
use crate::mapping::{Definition, Mapped, Mapping};
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{Event, Warning};

/// Prints one event per line, or one document with `--json`.
pub(super) fn map(args: &MapArgs, catalog: &Catalog, out: &mut Out) -> ExitResult {
    let definition = definition(&args.mapping, catalog)?;
    let mapping = Mapping::compile(definition.clone(), &args.mapping)?;
    let raw = document(args.file.as_deref())?;
    let mapped = mapping.apply(&raw)?;
    if args.json {
        serde_json::to_writer(&mut *out, &whole(&definition, &mapped))
            .map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    } else {
        for event in &mapped.events {
            serde_json::to_writer(&mut *out, event).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
        for warning in &mapped.warnings {
            tracing::warn!("{}: {}", warning.code, warning.message);
        }
    }
    for fault in &mapped.faults {
        tracing::error!(
            "record {} could not be mapped: {}",
            fault.index,
            fault.message
        );
    }
    Ok(if mapped.faults.is_empty() { 0 } else { 3 })
}

/// A mapping of the catalog, or a file.
fn definition(name: &str, catalog: &Catalog) -> Result<Definition, Failure> {
    let file = Path::new(name);
    if !file.is_file() {
        return catalog.mapping(name).map_err(|failure| {
            failure.advice("Use the name of a mapping of the catalog, or the path of a file.")
        });
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(
            ErrorKind::InvalidMapping,
            format!("{name} cannot be read: {error}."),
        )
    })?;
    Definition::parse(&text, name)
}

fn document(file: Option<&Path>) -> Result<Document, Failure> {
    let name = file.map_or("stdin".into(), Path::to_string_lossy);
    let unreadable = |why: String| {
        let message = format!("The raw data from {name} cannot be read: {why}.");
        Failure::new(ErrorKind::BadResponse, message)
            .advice("Use one JSON document: a saved result or its `raw_data`.")
    };
    let mut bytes = Vec::new();
    let read = match file {
        Some(path) => File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
        None => stdin().lock().read_to_end(&mut bytes),
    };
    read.map_err(|error| unreadable(error.to_string()))?;
    let document = Document::from_bytes(&bytes).map_err(|error| unreadable(error.to_string()))?;
    match raw_data(&document) {
        None => Ok(document),
        Some("null") => Err(unreadable("the result has no `raw_data`".to_owned())
            .advice("Send the request with `raw_data` in `options.include`.")),
        Some(raw) => Document::parse(raw).map_err(|error| unreadable(error.to_string())),
    }
}

/// The `raw_data` of a result, as its bytes: a JSON tool that parses numbers could change a `key`.
fn raw_data(document: &Document) -> Option<&str> {
    let members = members(document.text()).ok()?;
    let value = |name: &str| {
        let member = members.iter().find(|one| one.name() == name)?;
        Some(member.value())
    };
    value("protocol")
        .and(value("return_data"))
        .and(value("raw_data"))
}

/// The document of `--json`. Events are written as bytes, because parsing numbers would lose
/// digits.
#[derive(Serialize)]
struct Whole<'a> {
    events: &'a [Event],
    warnings: &'a [Warning],
    fields: Map<String, Value>,
}

/// Events, warnings, and in how many events each field matched.
fn whole<'a>(definition: &Definition, mapped: &'a Mapped) -> Whole<'a> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &mapped.events {
        for (name, _) in &event.fields.0 {
            *counts.entry(name).or_default() += 1;
        }
    }
    let of = mapped.events.len();
    let names = definition.field_names().into_iter();
    let fields = names.map(|name| {
        let matched = counts.get(name.as_str()).copied().unwrap_or_default();
        (name, json!({ "matched": matched, "of": of }))
    });
    Whole {
        events: &mapped.events,
        warnings: &mapped.warnings,
        fields: fields.collect(),
    }
}
