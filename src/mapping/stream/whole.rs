//! Maps a document that must be in memory because its root needs the whole document: `..`, filters,
//! slices.
//!
//! Such a document can be as large as one value of the input. Other roots are found by `shape`.

use std::borrow::Cow;
use std::io;

use super::shape::{Outcome, Shape};
use super::sink::{Sink, compacted, failure, unholdable};
use crate::json::document::members;
use crate::json::scan;
use crate::json::window::Place;
use crate::mapping::run::{document_values, general_roots, root_absent};
use crate::protocol::Failure;

impl Shape<'_, '_> {
    /// Maps a document whose root needs the whole document.
    pub(super) fn whole(&mut self) -> Outcome {
        let place = self.window.place(self.window.position());
        let root = &self.mapping.compiled.root;
        let range = self.window.value(0).map_err(|why| match unholdable(&why) {
            Some(reason) => {
                let message = format!(
                    "The root \"{}\" needs the whole document, and the document cannot be held: {reason}.",
                    root.text()
                );
                failure(message, place).into()
            }
            None => self.broken(&why),
        })?;
        let text = compacted(self.window.bytes(range), place)
            .map_err(|why| failure(format!("The input is not a document: {why}."), place))?;
        let text = raw_data_of(&text, place)?;
        for (slot, values) in document_values(&self.mapping.compiled, text)?
            .into_iter()
            .enumerate()
        {
            let values = values
                .into_iter()
                .map(|value| Cow::Owned(value.into_owned()));
            self.sink.document[slot] = values.collect();
        }
        let (roots, exists) = general_roots(root.query(), text)?;
        if roots.is_empty() && !exists {
            return Err(root_absent(root, None).into());
        }
        for root in roots {
            self.sink.root_in_memory(text, root, place)?;
        }
        Ok(())
    }
}

/// The `raw_data` of a result, also of one below its request; of another text, the text.
fn raw_data_of(text: &str, place: Place) -> Result<&str, Failure> {
    let Ok(members) = members(text) else {
        return Ok(text);
    };
    let value = |name: &str| members.iter().find(|one| one.name() == name);
    if let [request, result] = &*members
        && request.name() == "request"
        && result.name() == "result"
    {
        return raw_data_of(result.value(), place);
    }
    let (Some(_), Some(_), Some(raw)) =
        (value("protocol"), value("return_data"), value("raw_data"))
    else {
        return Ok(text);
    };
    match raw.value() {
        "null" => Err(failure("The result has no `raw_data`.", place)
            .advice("Send the request with `raw_data` in `options.include`.")),
        raw => Ok(raw),
    }
}

impl Sink<'_> {
    /// Maps the value at `at`: the elements of an array, or one record.
    fn root_in_memory(&mut self, text: &str, at: usize, place: Place) -> io::Result<()> {
        let bytes = text.as_bytes();
        let mut items = vec![at];
        if bytes.get(at) == Some(&b'[') {
            items.clear();
            let mut next = at + 1;
            while let Some(item) = scan::next_item(bytes, next) {
                items.push(item);
                next = scan::value_end(bytes, item);
            }
        }
        for item in items {
            let end = scan::value_end(bytes, item);
            self.record(place, &bytes[item..end])?;
        }
        Ok(())
    }
}
