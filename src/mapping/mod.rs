//! Mapping: from what a service sent to the fields of events, by `JSONPath` and a few fixed steps.
//!
//! A [`Definition`] is a mapping file as data; a [`Mapping`] is one that is compiled, once, and
//! applied to many documents. All paths of a source run as one automaton (`plan`); what that cannot
//! follow goes to a general evaluator (`evaluate`) over a list of the record's nodes
//! (`tape`). Both give slices of the text, so digits, escapes and order survive; both follow RFC 9535,
//! and where it leaves the members of an object free, document order. Members that repeat a name
//! are all found; where one value is wanted, the last counts. `path` and `subset` read queries.
//!
//! A mapping is a pure function of the document: no clock, no network, no file.

mod compile;
mod definition;
mod evaluate;
mod extract;
mod lint;
mod patch;
mod path;
mod plan;
mod run;
mod steps;
mod subset;
mod syntax;
mod value;
mod vocabulary;

use serde_json::{Map, Value};

use crate::json::Document;
use crate::protocol::{Event, Failure, Warning, Watch};

pub use compile::MAX_PATTERNS;
pub use definition::{
    Definition, Field, FieldType, MAX_FIELDS, MAX_SOURCES, Source, Take, Vocabulary,
};
pub use extract::{Extracted, Extractor};
pub use lint::{lint, lint_within};
pub use patch::MappingPatch;
pub use path::{FieldPath, MAX_PATH, PathFault};
pub use vocabulary::{StandardField, StandardFields, vocabulary};

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {
    definition: Definition,
    origin: String,
    compiled: compile::Compiled,
}

/// What a mapping made of a document.
#[derive(Debug, Default)]
pub struct Mapped {
    /// The events, in the order of the records.
    pub events: Vec<Event>,
    /// Records that gave no event.
    pub faults: Vec<RecordFault>,
    /// What was left out although the record was mapped: one warning a field.
    pub warnings: Vec<Warning>,
}

/// A record that gave no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// The position of the record below the root, from 0.
    pub index: usize,
    /// One sentence.
    pub message: String,
}

impl Mapping {
    /// Reads and compiles a mapping file. `origin` names it in faults: a file, or the JSON Pointer
    /// of the place where it stands.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        Mapping::compile(Definition::parse(text, origin)?, origin)
    }

    /// Reads and compiles a mapping that stands inside another document.
    pub fn from_object(object: &Map<String, Value>, origin: &str) -> Result<Self, Failure> {
        Mapping::compile(Definition::from_object(object, origin)?, origin)
    }

    /// Compiles a definition.
    pub fn compile(definition: Definition, origin: &str) -> Result<Self, Failure> {
        Mapping::compile_within(definition, origin, Watch::unlimited())
    }

    /// Compiles a definition, unless `watch` ends it.
    pub fn compile_within(
        definition: Definition,
        origin: &str,
        watch: Watch<'_>,
    ) -> Result<Self, Failure> {
        match compile::compile(&definition, origin, watch)? {
            Ok(compiled) => Ok(Mapping {
                definition,
                origin: origin.to_owned(),
                compiled,
            }),
            Err(faults) => Err(Failure::join(faults).unwrap_or_else(|| {
                definition::refusal("The mapping cannot be compiled.", origin.to_owned())
            })),
        }
    }

    /// The mapping with a patch applied, compiled anew. Faults of the patch have places below
    /// `origin`, those of the result below the mapping's own.
    pub fn patched(&self, patch: &MappingPatch, origin: &str) -> Result<Self, Failure> {
        Mapping::compile(self.definition.patched(patch, origin)?, &self.origin)
    }

    /// The data it was compiled from.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The names of all fields as events carry them, each once, in order.
    pub fn fields(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for source in self.compiled.sources.iter().rev() {
            for field in &source.fields {
                if !names.contains(&&*field.name) {
                    names.push(&field.name);
                }
            }
        }
        names
    }

    /// Maps a document. A record that cannot be mapped is a fault of its own; the call fails only
    /// when the root path gives nothing to map.
    pub fn apply(&self, raw: &Document) -> Result<Mapped, Failure> {
        self.apply_within(raw, Watch::unlimited())
    }

    /// Maps a document; fails as well when `watch` ends it.
    pub fn apply_within(&self, raw: &Document, watch: Watch<'_>) -> Result<Mapped, Failure> {
        run::apply(&self.compiled, self.definition.nest, raw.text(), watch)
    }
}

#[cfg(test)]
mod tests;
