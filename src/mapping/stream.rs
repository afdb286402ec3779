//! Maps JSON text of any size while it is read, one record after the other.
//!
//! The input is a sequence of values. A value is a document with the mapping's root, an array of
//! records, a saved result (its `raw_data` is the document), or a record; after the first record, all
//! values are records. Only one record is in memory. A faulty record does not affect the others; text
//! whose structure is broken ends the mapping. Members outside the root are skipped without parsing.
//!
//! `shape` detects what the input is, `walk` follows the root, `whole` maps documents that must be in
//! memory, `sink` maps records. `run` maps documents that are in memory.

mod shape;
mod sink;
mod walk;
mod whole;

use std::io::Read;

use super::Mapping;
use super::path::FieldPath;
use super::syntax::{Query, Selector};
use crate::json::window::Window;
use crate::protocol::{ErrorKind, Failure};

pub use sink::{Interruption, Receiver, Streamed, Summary};

impl Mapping {
    /// Maps the records of an input and passes each to `receiver`. The summary is that of the records
    /// that were mapped, also if the mapping stopped early.
    ///
    /// Refuses absolute paths that cannot be evaluated before the root.
    pub fn stream<'a>(
        &'a self,
        input: impl Read + 'a,
        receiver: &'a mut Receiver<'_>,
    ) -> (Summary, Result<(), Interruption>) {
        let route = route(self.compiled.root.query());
        if let Some(route) = &route
            && let Some(fault) = self.unstreamable(route)
        {
            return (Summary::default(), Err(Interruption::Input(fault)));
        }
        let mut shape = shape::Shape::new(self, Window::new(input), receiver);
        let ended = shape.read(route.as_deref());
        (shape.summary(), ended)
    }

    /// The fault of an absolute path that does not select one value before the root.
    fn unstreamable(&self, route: &[Selector]) -> Option<Failure> {
        let fields = self.compiled.sources.iter().flat_map(|one| &one.fields);
        let paths = fields.filter_map(|field| Some((field, field.path.as_ref()?)));
        let absolute = paths.filter(|(_, path)| path.absolute());
        let faults = absolute.filter_map(|(field, path)| {
            let reason = unreachable(path, route)?;
            let message = format!(
                "The absolute path \"{}\" cannot be evaluated while the input is read: {reason}.",
                path.text()
            );
            let fault = Failure::new(ErrorKind::InvalidMapping, message).at(&*field.at);
            Some(fault.advice("Use a relative path, or an absolute path of names and indexes that stands before the root."))
        });
        let mut faults: Vec<Failure> = faults.collect();
        // A source inherits the fields of the last one.
        faults.dedup_by(|one, other| one.place() == other.place());
        Failure::join(faults)
    }
}

/// The root as steps to children. `None`: finding the root needs the whole document.
fn route(root: &Query) -> Option<Vec<Selector>> {
    let is_child = root.common() && root.0.iter().all(|segment| !segment.deep);
    let steps = root.0.iter().flat_map(|segment| segment.selectors.clone());
    is_child.then(|| steps.collect())
}

/// Why the values of an absolute path cannot be known when the first record is mapped.
fn unreachable(path: &FieldPath, route: &[Selector]) -> Option<&'static str> {
    if !path.singular() {
        return Some("it can select many values");
    }
    let steps = path.query().0.iter().flat_map(|segment| &segment.selectors);
    for (step, of_root) in steps.zip(route) {
        match (step, of_root) {
            (Selector::Index(index), _) if *index < 0 => return Some("it counts from the end"),
            (Selector::Name(name), Selector::Name(other)) if name != other => return None,
            (Selector::Index(index), Selector::Index(other)) if index < other => return None,
            (Selector::Index(index), Selector::Index(other)) if index > other => {
                return Some("it stands after the root");
            }
            _ => {}
        }
    }
    if path.query().0.len() > route.len() {
        return Some("it is inside the root");
    }
    Some("it contains the root")
}

#[cfg(test)]
mod tests;
