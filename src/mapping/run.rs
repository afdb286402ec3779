//! Applies a compiled mapping: finds the root, selects a source for each record, creates the event.
//!
//! One pass over the document, one record after the other. A fault in one record does not affect the
//! others.

use std::borrow::Cow;

use super::compile::Compiled;
use super::extract::too_much;
use super::path::FieldPath;
use super::plan::Found;
use super::record::{DocumentValues, RecordMapper, kind_of};
use super::syntax::{Query, Selector};
use super::value::Record;
use super::{Mapped, RecordFault};
use crate::json::document::members;
use crate::json::scan;
use crate::json::tape::Tape;
use crate::names;
use crate::protocol::{ErrorKind, Event, Failure, Watch};

/// Maps the text of a valid document.
pub(crate) fn apply(compiled: &Compiled, text: &str, watch: Watch<'_>) -> Result<Mapped, Failure> {
    let mut mapper = Mapper {
        compiled,
        text,
        document: document_values(compiled, text)?,
        record: RecordMapper::new(compiled, watch),
        mapped: Mapped::default(),
        records: 0,
        roots: 0,
        wrong: None,
        watch,
    };
    mapper.find_roots()?;
    if let Some(stopped) = mapper.record.stopped {
        return Err(stopped);
    }
    if let Some(kind) = mapper.wrong {
        return Err(no_records(compiled.root.text(), kind));
    }
    if mapper.roots == 0 {
        let names = text.starts_with('{').then(|| names_of(text)).flatten();
        return Err(root_absent(&compiled.root, names.as_deref()));
    }
    mapper.mapped.warnings = mapper.record.warnings();
    Ok(mapper.mapped)
}

fn names_of(text: &str) -> Option<Vec<String>> {
    let all = members(text).ok()?;
    Some(all.iter().map(|one| one.name().into_owned()).collect())
}

/// The failure of a document without the root. `names` are its members; `None`: it is not an object.
pub(crate) fn root_absent(root: &FieldPath, names: Option<&[String]>) -> Failure {
    let listed = |names: &[String]| {
        let names = names.iter().take(12).map(|name| format!("\"{name}\""));
        names.collect::<Vec<_>>().join(", ")
    };
    let there = match names {
        None => "it is not an object".to_owned(),
        Some([]) => "it has no members".to_owned(),
        Some(names) => format!("its members are {}", listed(names)),
    };
    let mut message = format!(
        "The response has no value at the root path \"{}\": {there}.",
        root.text()
    );
    let first = root
        .query()
        .0
        .first()
        .and_then(|step| step.selectors.first());
    if let Some(Selector::Name(wanted)) = first {
        let names = names.unwrap_or_default().iter().map(String::as_str);
        // A member with the name exists if the path fails at a later step.
        let near = names::nearest(wanted, names).filter(|near| near != wanted);
        message.extend(near.map(|near| format!(" Did you mean \"{near}\"?")));
    }
    Failure::new(ErrorKind::BadResponse, message)
        .cause("The response does not have the structure that the mapping expects.")
        .advice("Compare `raw_data` with the mapping's root; `mapping.root` replaces it.")
}

pub(crate) fn no_records(root: &str, kind: &str) -> Failure {
    Failure::new(
        ErrorKind::BadResponse,
        format!("The value at the root path \"{root}\" must be an array or object; the response has {kind}."),
    )
    .cause("The response does not have the structure that the mapping expects.")
    .advice("Compare `raw_data` with the mapping's root; `mapping.root` replaces it.")
}

struct Mapper<'a> {
    compiled: &'a Compiled,
    text: &'a str,
    document: DocumentValues<'a>,
    record: RecordMapper<'a>,
    mapped: Mapped,
    records: usize,
    roots: usize,
    wrong: Option<&'static str>,
    watch: Watch<'a>,
}

impl Mapper<'_> {
    fn find_roots(&mut self) -> Result<(), Failure> {
        let (compiled, text) = (self.compiled, self.text);
        let query = compiled.root.query();
        if query.singular() && query.common() {
            let path: Vec<&Selector> = query.0.iter().flat_map(|step| &step.selectors).collect();
            self.descend(scan::skip_whitespace(text.as_bytes(), 0), &path);
            return Ok(());
        }
        let (roots, exists) = general_roots(query, text)?;
        for root in roots {
            self.root(root);
        }
        self.roots += usize::from(exists);
        Ok(())
    }

    /// Follows names and indexes to the root in the pass that maps; returns the end of the value. Of
    /// members with the same name, the last one counts.
    fn descend(&mut self, at: usize, path: &[&Selector]) -> usize {
        let bytes = self.text.as_bytes();
        let Some((first, rest)) = path.split_first() else {
            self.restart();
            return self.root(at);
        };
        let named = match (bytes.get(at), first) {
            (Some(b'{'), Selector::Name(_)) => true,
            (Some(b'['), Selector::Index(_)) => false,
            _ => return scan::value_end(bytes, at),
        };
        let (mut next, mut index) = (at + 1, 0);
        while let Some(item) = scan::next_item(bytes, next) {
            let (wanted, value) = if named {
                let end = scan::string_end(bytes, item);
                let name = scan::unescape(self.text.get(item..end).unwrap_or(""));
                let wanted = matches!(first, Selector::Name(wanted) if *wanted == name);
                (wanted, scan::member_value(bytes, end))
            } else {
                index += 1;
                (
                    matches!(first, Selector::Index(wanted) if *wanted == index - 1),
                    item,
                )
            };
            next = if wanted {
                self.descend(value, rest)
            } else {
                scan::value_end(bytes, value)
            };
        }
        scan::skip_bracket(bytes, next)
    }

    fn restart(&mut self) {
        self.mapped = Mapped::default();
        self.record.restart();
        self.records = 0;
        self.wrong = None;
    }

    /// Maps the value at the root: the elements of an array, or one object.
    fn root(&mut self, at: usize) -> usize {
        self.roots += 1;
        let bytes = self.text.as_bytes();
        match bytes.get(at) {
            Some(b'{') => self.record(at),
            Some(b'[') => {
                let mut next = at + 1;
                while let Some(item) = scan::next_item(bytes, next) {
                    next = self.record(item);
                }
                scan::skip_bracket(bytes, next)
            }
            _ => {
                let end = scan::value_end(bytes, at);
                self.wrong = Some(kind_of(self.text.get(at..end).unwrap_or("")));
                end
            }
        }
    }

    fn record(&mut self, at: usize) -> usize {
        if self.record.stopped.is_some() {
            return scan::value_end(self.text.as_bytes(), at);
        }
        let index = self.records;
        self.records += 1;
        match self.record.event(self.text, at, &self.document) {
            Ok((event, end)) => {
                self.stop(size(&event));
                self.mapped.events.push(event);
                end
            }
            Err(why) => {
                let message = format!("Record {index} was not mapped: {why}.");
                self.stop(message.len());
                self.mapped.faults.push(RecordFault { index, message });
                scan::value_end(self.text.as_bytes(), at)
            }
        }
    }

    fn stop(&mut self, made: usize) {
        if let Err(stopped) = self.watch.check(made) {
            self.record.stopped = Some(stopped);
        }
    }
}

/// The positions of the values at the root, from the general evaluator; and whether the value before
/// the first `*` exists: `$.value[*]` of an empty page has no record.
pub(crate) fn general_roots(query: &Query, text: &str) -> Result<(Vec<usize>, bool), Failure> {
    let tape = Tape::of(text, 0);
    let evaluator = Record::new(&tape);
    let roots = evaluator.nodes(query, 0).map_err(|_| too_much())?;
    let fixed = query.0.iter().take_while(|step| step.singular());
    let fixed = evaluator.nodes(&Query(fixed.cloned().collect()), 0);
    let exists = fixed.is_ok_and(|nodes| !nodes.is_empty());
    Ok((
        roots.into_iter().map(|root| tape.start(root)).collect(),
        exists,
    ))
}

/// The values of the absolute paths in a document.
pub(crate) fn document_values<'a>(
    compiled: &Compiled,
    text: &'a str,
) -> Result<DocumentValues<'a>, Failure> {
    if compiled.absolute.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Found::default();
    let run = compiled.document.run(text, 0, &mut found);
    run.map_err(|_| too_much())?;
    let slots = 0..compiled.absolute.len();
    let values = |slot| found.values(slot, text).map(Cow::Borrowed).collect();
    Ok(slots.map(values).collect())
}

/// The memory of an event in bytes: its texts, and their containers.
fn size(event: &Event) -> usize {
    let values = event
        .fields
        .0
        .iter()
        .map(|(_, value)| value.get().len() + 32);
    size_of::<Event>() + event.key.len() + values.sum::<usize>()
}
