//! Compiles a definition: paths, steps, conditions, and the fields that a source inherits.
//!
//! Reports all faults that stop a mapping from running. Mistakes in a mapping that runs are reported
//! by `lint`, which also knows the vocabulary.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::definition::{
    self, Definition, MAX_FIELDS, MAX_SOURCES, Vocabulary, place, refusal, within,
};
use super::path::{self, FieldPath, PathFault};
use super::plan::Plan;
use super::steps::Steps;
use super::syntax::{Filter, Query};
use crate::names;
use crate::protocol::{Failure, Watch};

/// The maximum number of patterns (`regex`) of a mapping: each takes a millisecond or more to
/// compile.
pub const MAX_PATTERNS: usize = 100;

/// A compiled source.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: Arc<str>,
    pub(crate) when: Option<Filter>,
    pub(crate) plan: Plan,
    pub(crate) fields: Vec<Field>,
    /// The slot of the Unique Event Key.
    pub(crate) key: Option<usize>,
    /// True if a path selects the whole record: then a record can be a text or a number.
    pub(crate) whole: bool,
}

/// A compiled field.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    /// The place of its definition.
    pub(crate) at: Arc<str>,
    pub(crate) from: From,
    pub(crate) steps: Arc<Steps>,
    /// The path from the record or the document; `None` for fields of another origin.
    pub(crate) path: Option<Arc<FieldPath>>,
}

/// The origin of a field's values.
#[derive(Clone, Debug)]
pub(crate) enum From {
    /// A slot of the source's plan.
    Record(usize),
    /// A slot of the plan over the raw document.
    Document(usize),
    /// The value of a field above.
    Event(Arc<str>),
    /// None: the field is a constant.
    Constant,
}

/// A compiled mapping.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) root: FieldPath,
    pub(crate) sources: Vec<Source>,
    /// The absolute paths of all sources.
    pub(crate) document: Plan,
    pub(crate) absolute: Vec<Query>,
    pub(crate) nest: bool,
    /// The name of the field with the members that no field holds.
    pub(crate) rest: Option<String>,
}

/// Compiles a definition; `origin` is its name in faults. The outer error is that of `watch`.
pub(crate) fn compile(
    definition: &Definition,
    origin: &str,
    watch: Watch<'_>,
) -> Result<Result<Compiled, Vec<Failure>>, Failure> {
    if let Err(fault) = count(definition, origin) {
        return Ok(Err(vec![fault]));
    }
    let mut compiler = Compiler {
        origin,
        watch,
        vocabulary: definition.vocabulary,
        absolute: Vec::new(),
        faults: Vec::new(),
    };
    let root = compiler.root(&definition.root);
    let key = definition.key.as_deref().and_then(|key| compiler.key(key));
    compiler.order(definition);
    let sources = compiler.sources(definition, key.as_ref())?;
    if definition.nest {
        compiler.nesting(definition);
    } else if definition.rest.is_some() {
        compiler.fault(
            "/rest",
            "`rest` requires `nest`: true, because its value is an object.",
        );
    }
    Ok(match root {
        Some(root) if compiler.faults.is_empty() => Ok(Compiled {
            root,
            sources,
            document: Plan::new(&compiler.absolute),
            absolute: compiler.absolute,
            nest: definition.nest,
            rest: definition.rest.clone(),
        }),
        _ => Err(compiler.faults),
    })
}

/// Checks the counts first: a patch can add more than a file can have.
fn count(definition: &Definition, origin: &str) -> Result<(), Failure> {
    let (sources, at) = (&definition.sources, place(origin, "/sources"));
    let fields = || sources.iter().flat_map(|source| &source.fields);
    let patterns = fields().filter(|field| field.regex.is_some()).count();
    within(sources.len(), MAX_SOURCES, "sources", &at)?;
    within(fields().count(), MAX_FIELDS, "fields", &at)?;
    within(patterns, MAX_PATTERNS, "patterns", &at)
}

struct Compiler<'a> {
    origin: &'a str,
    watch: Watch<'a>,
    vocabulary: Vocabulary,
    absolute: Vec<Query>,
    faults: Vec<Failure>,
}

impl Compiler<'_> {
    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        let at = place(self.origin, pointer);
        self.faults.push(refusal(message, at));
    }

    fn path(&mut self, text: &str, pointer: &str) -> Option<FieldPath> {
        FieldPath::parse(text)
            .map_err(|why| self.fault(pointer, not_a_path(text, &why)))
            .ok()
    }

    fn root(&mut self, text: &str) -> Option<FieldPath> {
        if !text.starts_with('$') {
            self.fault("/root", relative(text));
            return None;
        }
        self.path(text, "/root")
    }

    fn key(&mut self, text: &str) -> Option<FieldPath> {
        let key = self.path(text, "/key")?;
        if key.absolute() {
            let message = format!(
                "The key path \"{text}\" is absolute: every record would have the same key. \
                 Remove the \"$\"."
            );
            self.fault("/key", message);
        }
        Some(key)
    }

    /// Only the last source has no condition: every record has a source, and each source is reachable.
    fn order(&mut self, definition: &Definition) {
        let Some(last) = definition.sources.len().checked_sub(1) else {
            self.fault("/sources", "The mapping has no source. Add at least one.");
            return;
        };
        for (n, source) in definition.sources.iter().enumerate() {
            let pointer = format!("/sources/{n}");
            match source.when {
                None if n < last => self.fault(
                    &pointer,
                    format!(
                        "The source \"{}\" has no `when`, so the sources after it are never used. \
                         Only the last source can be without `when`.",
                        source.id
                    ),
                ),
                Some(_) if n == last => self.fault(
                    &format!("{pointer}/when"),
                    "The last source must accept every record. Remove its `when`, or add a source \
                     without `when`.",
                ),
                _ => {}
            }
            let ids = definition.sources[..n].iter().map(|other| &other.id);
            if ids.into_iter().any(|other| *other == source.id) {
                let message = format!("Two sources have the id \"{}\". Rename one.", source.id);
                self.fault(&format!("{pointer}/id"), message);
            }
        }
    }

    fn sources(
        &mut self,
        definition: &Definition,
        key: Option<&FieldPath>,
    ) -> Result<Vec<Source>, Failure> {
        let mut own: Vec<Vec<Field>> = Vec::new();
        for (n, source) in definition.sources.iter().enumerate() {
            own.push(self.fields(&source.fields, &format!("/sources/{n}/fields"))?);
        }
        let inherited = own.last().cloned().unwrap_or_default();
        let mut sources = Vec::new();
        for (n, (source, own)) in definition.sources.iter().zip(own).enumerate() {
            self.watch.check(0)?;
            let when = source.when.as_deref().and_then(|when| {
                path::condition(when)
                    .map_err(|why| {
                        let hint = if when.contains(" = ") {
                            "Write `==` to compare"
                        } else {
                            "A condition starts with `@`"
                        };
                        let message = format!("The condition \"{when}\" is invalid: {why}. {hint}, for example `@.severity == 'high'`.");
                        self.fault(&format!("/sources/{n}/when"), message);
                    })
                    .ok()
            });
            let fields = match source.when {
                None => own,
                Some(_) => merged(&inherited, own),
            };
            self.above(&fields);
            sources.push(assemble(source.id.as_str().into(), when, fields, key));
        }
        Ok(sources)
    }

    fn fields(
        &mut self,
        fields: &[definition::Field],
        pointer: &str,
    ) -> Result<Vec<Field>, Failure> {
        let (mut compiled, mut names) = (Vec::new(), HashSet::new());
        for (n, field) in fields.iter().enumerate() {
            self.watch.check(0)?;
            let pointer = format!("{pointer}/{n}");
            let name = field.event_name(self.vocabulary);
            if !names.insert(name.clone()) {
                let message = format!(
                    "The field \"{}\" is defined twice. Remove one.",
                    field.field
                );
                self.fault(&format!("{pointer}/field"), message);
            }
            compiled.extend(self.field(field, name.as_str().into(), &pointer));
        }
        Ok(compiled)
    }

    fn field(&mut self, field: &definition::Field, name: Arc<str>, pointer: &str) -> Option<Field> {
        let path = field.path.as_deref();
        let path = path.map(|text| self.path(text, &format!("{pointer}/path")));
        let singular = !matches!(&path, Some(Some(path)) if !path.singular());
        let steps = match Steps::compile(field, singular) {
            Ok(steps) => steps,
            Err(faults) => {
                for (key, message) in faults {
                    self.fault(&format!("{pointer}/{key}"), message);
                }
                return None;
            }
        };
        let (from, path) = match (path, &field.from) {
            (Some(path), None) => {
                let path = path?;
                let from = if path.absolute() {
                    self.absolute.push(path.query().clone());
                    From::Document(self.absolute.len() - 1)
                } else {
                    From::Record(0)
                };
                (from, Some(Arc::new(path)))
            }
            (None, Some(above)) => (From::Event(above.as_str().into()), None),
            (None, None) if field.default.is_some() => (From::Constant, None),
            (None, None) => {
                let message = "The field has no `path`, so it never has a value. Add a `path`, or a \
                               `default` for a constant.";
                self.fault(pointer, message);
                return None;
            }
            (Some(_), Some(_)) => {
                let message = "A field has either `path` or `from`. Remove one.";
                self.fault(&format!("{pointer}/from"), message);
                return None;
            }
        };
        Some(Field {
            name,
            at: place(self.origin, pointer).into(),
            from,
            steps: Arc::new(steps),
            path,
        })
    }

    /// Each `from` names a field above it, in every source that has the field.
    fn above(&mut self, fields: &[Field]) {
        for (n, field) in fields.iter().enumerate() {
            let From::Event(from) = &field.from else {
                continue;
            };
            if fields[..n].iter().any(|above| above.name == *from) {
                continue;
            }
            let names = fields[..n].iter().map(|above| &*above.name);
            let hint = names::suggestion(from, names);
            let message = format!("There is no field \"{from}\" above this one. {hint}");
            let fault = refusal(message, format!("{}/from", field.at));
            if self
                .faults
                .iter()
                .all(|known| known.place() != fault.place())
            {
                self.faults.push(fault);
            }
        }
    }

    /// A name cannot be both a value and an object.
    fn nesting(&mut self, definition: &Definition) {
        let every = || {
            let sources = definition.sources.iter().enumerate();
            sources.flat_map(|(s, source)| {
                let fields = source.fields.iter().enumerate();
                fields.map(move |(f, field)| (s, f, &field.field))
            })
        };
        for (s, f, name) in every() {
            let inner = |other: &&String| {
                let rest = other.strip_prefix(name.as_str());
                rest.is_some_and(|rest| rest.starts_with(['.', '[']))
            };
            let others = every().map(|(_, _, name)| name).chain(&definition.rest);
            if let Some(other) = others.into_iter().find(inner) {
                let message = format!(
                    "\"{name}\" is a value, but \"{other}\" needs an object or a list of this name. Rename one."
                );
                self.fault(&format!("/sources/{s}/fields/{f}/field"), message);
            }
        }
    }
}

/// The last source's fields, with those of the same name replaced, then the new ones.
fn merged(inherited: &[Field], own: Vec<Field>) -> Vec<Field> {
    let mut fields = inherited.to_vec();
    let places = inherited.iter().enumerate();
    let places: HashMap<&str, usize> = places.map(|(n, field)| (&*field.name, n)).collect();
    for field in own {
        match places.get(&*field.name) {
            Some(place) => fields[*place] = field,
            None => fields.push(field),
        }
    }
    fields
}

fn assemble(
    id: Arc<str>,
    when: Option<Filter>,
    mut fields: Vec<Field>,
    key: Option<&FieldPath>,
) -> Source {
    let mut slots = 0;
    for field in &mut fields {
        if let From::Record(slot) = &mut field.from {
            *slot = slots;
            slots += 1;
        }
    }
    let relative = || {
        let fields = fields.iter();
        let fields = fields.filter(|field| matches!(field.from, From::Record(_)));
        fields.filter_map(|field| field.path.as_deref().map(FieldPath::query))
    };
    let whole = relative().any(|query| query.0.is_empty());
    let plan = Plan::new(relative().chain(key.map(FieldPath::query)));
    Source {
        id,
        when,
        plan,
        whole,
        key: key.map(|_| slots),
        fields,
    }
}

/// The fault of a path that must be absolute, with a correction.
pub(crate) fn relative(text: &str) -> String {
    let dot = if text.starts_with(['.', '[']) || text.is_empty() {
        ""
    } else {
        "."
    };
    format!("The path \"{text}\" must be absolute. Write \"${dot}{text}\".")
}

/// Why a text is not a path, with a correction if there is a likely one.
pub(crate) fn not_a_path(text: &str, why: &PathFault) -> String {
    let message = format!("The path \"{text}\" is not valid in RFC 9535: {why}.");
    match bracketed(text).or_else(|| segments(text)) {
        Some(right) => format!("{message} Write \"{right}\"."),
        None => format!(
            "{message} Correct the path. Names with characters other than letters, digits and \"_\" need brackets: ['a-name']."
        ),
    }
}

/// The path with a dot or brackets for each of its names, if this makes it valid.
fn segments(text: &str) -> Option<String> {
    let text = text.strip_prefix('.').unwrap_or(text);
    let (root, names) = match text.strip_prefix("$.") {
        Some(names) => ("$", names),
        None => ("", text),
    };
    let is_plain = |name: &str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let segment = |name: &str| {
        if is_plain(name) {
            format!(".{name}")
        } else {
            format!("['{name}']")
        }
    };
    let is_simple =
        |name: &str| !name.is_empty() && !name.contains(['[', ']', '\'', '"', '*', '@', '$']);
    let names: Vec<&str> = names.split('.').collect();
    let right = [root.to_owned()]
        .into_iter()
        .chain(names.iter().map(|name| segment(name)));
    let right: String = right.collect();
    (names.into_iter().all(is_simple) && FieldPath::parse(&right).is_ok()).then_some(right)
}

/// The path with names such as `@odata.type` in brackets, if this makes it valid.
fn bracketed(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(".@") {
        let name = &rest[at + 1..];
        // An annotation is `@namespace.term`: the dot is part of the name.
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
        let first = name.find(|c| !word(c)).unwrap_or(name.len());
        let second = match name[first..].strip_prefix('.') {
            Some(term) => first + 1 + term.find(|c| !word(c)).unwrap_or(term.len()),
            None => first,
        };
        let (before, name, after) = (&rest[..at], &name[..second], &name[second..]);
        // In `..@x`, the dot that was found is the second one; both stay.
        let descent = if before.ends_with('.') { "." } else { "" };
        for part in [before, descent, "['", name, "']"] {
            out.push_str(part);
        }
        rest = after;
    }
    out.push_str(rest);
    (out != text && FieldPath::parse(&out).is_ok()).then_some(out)
}
