//! The mapping of a request: the command's default, a mapping of the catalog, an inline mapping, or
//! a patch of the default.
//!
//! Inline mappings and patches are checked like files, before anything is sent. Each fault has its
//! place in the request.

use serde_json::{Map, Value};

use crate::host::catalog::Catalog;
use crate::manifest::CommandSpec;
use crate::mapping::{self, Definition, Mapping, MappingPatch};
use crate::protocol::Watch;
use crate::protocol::envelope::{Envelope, MappingChoice};
use crate::protocol::failure::{ErrorKind, Failure};

/// The command's default mapping; `None` if the command makes no events.
pub(super) fn default(
    catalog: &Catalog,
    command: &CommandSpec,
) -> Result<Option<Definition>, Failure> {
    command
        .mapping
        .as_deref()
        .map(|name| catalog.mapping(name))
        .transpose()
}

/// The mapping of the context's rows. A request cannot replace it: playbooks depend on its paths.
pub(super) fn context(
    catalog: &Catalog,
    command: &CommandSpec,
) -> Result<Option<Mapping>, Failure> {
    let Some(name) = command.outputs.context_mapping() else {
        return Ok(None);
    };
    Mapping::compile(catalog.mapping(name)?, name).map(Some)
}

/// The mapping that the request selects instead of the default.
pub(super) fn requested(
    catalog: &Catalog,
    envelope: &Envelope,
    command: &CommandSpec,
    watch: Watch<'_>,
) -> Result<Option<Definition>, Failure> {
    match (command.mapping.as_deref(), &envelope.mapping) {
        (_, None) => Ok(None),
        (None, Some(_)) => {
            let message = format!("\"{}\" makes no events to map.", command.title);
            Err(Failure::invalid_input("/mapping", message))
        }
        (Some(_), Some(MappingChoice::Named(name))) => catalog
            .mapping(name)
            .map(Some)
            .map_err(|failure| failure.at("/mapping")),
        (Some(default), Some(MappingChoice::Inline(object))) => {
            inline(catalog, object, default, watch).map(Some)
        }
    }
}

fn inline(
    catalog: &Catalog,
    object: &Map<String, Value>,
    default: &str,
    watch: Watch<'_>,
) -> Result<Definition, Failure> {
    let (definition, added) = match object.get("patch") {
        None => (Definition::from_object(object, "/mapping")?, 0),
        Some(Value::Object(patch)) if object.len() == 1 => {
            let patch = MappingPatch::from_object(patch, "/mapping/patch")?;
            (
                catalog
                    .mapping(default)?
                    .patched(&patch, "/mapping/patch")?,
                patch.add.len(),
            )
        }
        Some(_) => {
            let message = "\"patch\" must be an object and the only member of \"mapping\".";
            return Err(Failure::new(ErrorKind::InvalidMapping, message).at("/mapping/patch"));
        }
    };
    let vocabulary = catalog.vocabulary()?;
    let names: Vec<&str> = vocabulary.iter().map(String::as_str).collect();
    let faults = mapping::lint_within(&definition, &names, "/mapping", watch);
    match Failure::join(
        faults
            .into_iter()
            .map(|fault| in_request(fault, &definition, added))
            .collect(),
    ) {
        Some(failure) => Err(failure),
        None => Ok(definition),
    }
}

/// The fault with its place in the request. The fields that a patch adds are the last ones of their
/// source.
fn in_request(fault: Failure, definition: &Definition, added: usize) -> Failure {
    let place = fault.place().unwrap_or_default();
    let steps: Vec<&str> = place.split('/').collect();
    let ["", "mapping", "sources", source, "fields", field, rest @ ..] = steps.as_slice() else {
        return fault;
    };
    let (Ok(source), Ok(field)) = (source.parse::<usize>(), field.parse::<usize>()) else {
        return fault;
    };
    let fields = definition
        .sources
        .get(source)
        .map_or(0, |source| source.fields.len());
    match field.checked_sub(fields.saturating_sub(added)) {
        Some(n) if added > 0 => {
            let number = n.to_string();
            let steps = ["/mapping/patch/add", &number]
                .into_iter()
                .chain(rest.iter().copied());
            let at = steps.collect::<Vec<_>>().join("/");
            fault.at(at)
        }
        _ => fault,
    }
}
