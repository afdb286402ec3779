//! The mapping of a request: the command's default, a mapping of the catalog, an inline mapping, or
//! a patch of the default.
//!
//! Inline mappings and patches are checked like files, before anything is sent. Each fault has its
//! place in the request.

use serde_json::{Map, Value};

use crate::host::catalog::Catalog;
use crate::manifest::CommandSpec;
use crate::mapping::{self, Definition, Mapping, MappingPatch};
use crate::protocol::envelope::{Envelope, MappingChoice};
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{Watch, further_faults, repaired};

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
    let definition = match object.get("patch") {
        None => Definition::from_object(object, "/mapping")?,
        Some(Value::Object(patch)) if object.len() == 1 => {
            return patched(catalog, patch, &catalog.mapping(default)?, watch);
        }
        Some(_) => {
            let message = "\"patch\" must be an object and the only member of \"mapping\".";
            return Err(Failure::new(ErrorKind::InvalidMapping, message).at("/mapping/patch"));
        }
    };
    let faults = faults(catalog, &definition, 0, watch)?;
    Failure::join(faults).map_or(Ok(definition), Err)
}

/// The command's default mapping with the patch. Reports the faults of the patch and of the result
/// together.
fn patched(
    catalog: &Catalog,
    object: &Map<String, Value>,
    default: &Definition,
    watch: Watch<'_>,
) -> Result<Definition, Failure> {
    const AT: &str = "/mapping/patch";
    MappingPatch::within_limits(object, AT)?;
    let (patches, mut known) = match MappingPatch::from_object(object, AT) {
        Ok(patch) => (vec![patch], Vec::new()),
        Err(failure) => (repaired(object), failure.split()),
    };
    let (mut lists, mut definition) = (Vec::new(), default.clone());
    for patch in patches {
        let faulty;
        (definition, faulty) = default.patched_with_faults(&patch, AT);
        let of_result = faults(catalog, &definition, patch.add.len(), watch)?;
        let of_result = further_faults(&faulty, &[of_result]);
        lists.push([faulty, of_result].concat());
    }
    known.extend(further_faults(&known, &lists));
    Failure::join(known).map_or(Ok(definition), Err)
}

/// The faults of a definition whose last fields are those that a patch added.
fn faults(
    catalog: &Catalog,
    definition: &Definition,
    added: usize,
    watch: Watch<'_>,
) -> Result<Vec<Failure>, Failure> {
    let vocabulary = catalog.vocabulary()?;
    let names: Vec<&str> = vocabulary.iter().map(String::as_str).collect();
    let faults = mapping::lint_within(definition, &names, "/mapping", watch);
    let faults = faults.into_iter();
    Ok(faults
        .map(|fault| in_request(fault, definition, added))
        .collect())
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
