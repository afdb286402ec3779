//! Mapping: creates the fields of events from a service's response, with `JSONPath` and fixed steps.
//!
//! A [`Definition`] is a mapping file as data. A [`Mapping`] is compiled once and applied to many
//! documents. One automaton runs all paths of a source (`plan`). Paths that it does not support go
//! to a general evaluator (`evaluate`) over a list of the record's nodes (`json::tape`). Both return
//! slices of the text, so digits, escapes and order are kept, and both follow RFC 9535. Its order of
//! members is document order here. All members with the same name are found; if one value is
//! needed, the last one counts. `path` and `subset` parse queries.
//!
//! A mapping is a pure function of the document: no clock, no network, no files.

mod compile;
mod definition;
pub mod diff;
mod evaluate;
mod explain;
mod extract;
mod lint;
mod nest;
mod patch;
mod path;
mod plan;
mod record;
mod rest;
mod run;
pub mod sample;
mod steps;
mod stream;
mod subset;
mod suggest;
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
pub use explain::{Condition, FieldExplanation, RecordExplanation, StepValue};
pub use extract::{Extracted, Extractor};
pub use lint::{lint, lint_within};
pub use patch::MappingPatch;
pub use path::{FieldPath, MAX_PATH, PathFault};
pub use stream::{Interruption, Receiver, Streamed, Summary};
pub use suggest::{Suggester, Suggestion};
pub use vocabulary::{StandardField, StandardFields, vocabulary};

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {
    definition: Definition,
    origin: String,
    compiled: compile::Compiled,
}

/// The result of mapping a document.
#[derive(Debug, Default)]
pub struct Mapped {
    /// The events, in the order of the records.
    pub events: Vec<Event>,
    /// Records without an event.
    pub faults: Vec<RecordFault>,
    /// Values that were left out of events: one warning for each field.
    pub warnings: Vec<Warning>,
}

/// A record without an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// The position of the record below the root, from 0.
    pub index: usize,
    /// The reason, in one sentence.
    pub message: String,
}

impl Mapping {
    /// Parses and compiles a mapping file. `origin` is its name in faults: a file, or the JSON
    /// Pointer of its place in another document.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        Mapping::compile(Definition::parse(text, origin)?, origin)
    }

    /// Parses and compiles a mapping inside another document.
    pub fn from_object(object: &Map<String, Value>, origin: &str) -> Result<Self, Failure> {
        Mapping::compile(Definition::from_object(object, origin)?, origin)
    }

    /// Compiles a definition.
    pub fn compile(definition: Definition, origin: &str) -> Result<Self, Failure> {
        Mapping::compile_within(definition, origin, Watch::unlimited())
    }

    /// Compiles a definition. Fails also if `watch` stops it.
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

    /// Compiles a definition whose events have all fields side by side, also with `nest`: to count and
    /// compare fields.
    pub(crate) fn flat(definition: &Definition, origin: &str) -> Result<Self, Failure> {
        let flat = Definition {
            nest: false,
            rest: None,
            ..definition.clone()
        };
        Mapping::compile(flat, origin)
    }

    /// Compiles the mapping with a patch. Faults of the patch have places below `origin`, faults of
    /// the result below the mapping's origin.
    pub fn patched(&self, patch: &MappingPatch, origin: &str) -> Result<Self, Failure> {
        Mapping::compile(self.definition.patched(patch, origin)?, &self.origin)
    }

    /// The definition.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The keys of all fields in events, each once, in order.
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

    /// Maps a document. Records that cannot be mapped are faults in the result. Fails only if the
    /// root path finds no record.
    pub fn apply(&self, raw: &Document) -> Result<Mapped, Failure> {
        self.apply_within(raw, Watch::unlimited())
    }

    /// Maps a document. Fails also if `watch` stops it.
    pub fn apply_within(&self, raw: &Document, watch: Watch<'_>) -> Result<Mapped, Failure> {
        run::apply(&self.compiled, raw.text(), watch)
    }
}

#[cfg(test)]
mod tests;
