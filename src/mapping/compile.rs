//! From a definition to what runs: paths, steps, conditions, and what a source inherits.
//!
//! Every rule without which a mapping cannot run is checked here, all faults at once. What runs but
//! is unwise is the business of `lint`; no vocabulary is known here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::definition::{
    self, Definition, MAX_FIELDS, MAX_SOURCES, Vocabulary, place, refusal, within,
};
use super::path::{self, FieldPath, PathFault};
use super::plan::Plan;
use super::steps::Steps;
use super::syntax::{Filter, Query};
use crate::protocol::{Failure, Watch};

/// The most patterns (`regex`) a mapping may have: each takes a millisecond and more to compile.
pub const MAX_PATTERNS: usize = 100;

/// A source, ready to run.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: Arc<str>,
    pub(crate) when: Option<Filter>,
    pub(crate) plan: Plan,
    pub(crate) fields: Vec<Field>,
    /// The slot of the Unique Event Key.
    pub(crate) key: Option<usize>,
    /// Does a path name the record itself? Then a record may be a bare value.
    pub(crate) whole: bool,
}

/// A field, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    /// The place of its definition.
    pub(crate) at: Arc<str>,
    pub(crate) from: From,
    pub(crate) steps: Arc<Steps>,
    query: Query,
}

/// Where a field's values come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// A slot of the source's plan.
    Record(usize),
    /// A slot of the plan over the raw document.
    Document(usize),
}

/// Everything that a mapping runs.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) root: FieldPath,
    pub(crate) sources: Vec<Source>,
    /// The absolute paths of all sources.
    pub(crate) document: Plan,
    pub(crate) absolute: bool,
}

/// Compiles a definition; `origin` names it in faults. The outer error is that of `watch`.
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
    }
    Ok(match root {
        Some(root) if compiler.faults.is_empty() => Ok(Compiled {
            root,
            sources,
            document: Plan::new(&compiler.absolute),
            absolute: !compiler.absolute.is_empty(),
        }),
        _ => Err(compiler.faults),
    })
}

/// Counts first: a patch can add what a file may not have.
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
        let root = self.path(text, "/root")?;
        if !root.absolute() {
            self.fault(
                "/root",
                format!("The root path \"{text}\" is relative; begin it with \"$\"."),
            );
        }
        Some(root)
    }

    fn key(&mut self, text: &str) -> Option<FieldPath> {
        let key = self.path(text, "/key")?;
        if key.absolute() {
            let said = format!(
                "The key path \"{text}\" begins at the raw document, so every record would have \
                 the same key; leave out the \"$\"."
            );
            self.fault("/key", said);
        }
        Some(key)
    }

    /// Exactly the last source is for all records, or some would have none, others never be reached.
    fn order(&mut self, definition: &Definition) {
        let Some(last) = definition.sources.len().checked_sub(1) else {
            self.fault("/sources", "There is no source; give at least one.");
            return;
        };
        for (n, source) in definition.sources.iter().enumerate() {
            let pointer = format!("/sources/{n}");
            match source.when {
                None if n < last => self.fault(
                    &pointer,
                    format!(
                        "The source \"{}\" has no `when`, so those after it are never reached; \
                         only the last may be without.",
                        source.id
                    ),
                ),
                Some(_) if n == last => self.fault(
                    &format!("{pointer}/when"),
                    "The last source must be for every record; remove its `when` or add a source \
                     without one.",
                ),
                _ => {}
            }
            let ids = definition.sources[..n].iter().map(|other| &other.id);
            if ids.into_iter().any(|other| *other == source.id) {
                let said = format!("Two sources are called \"{}\"; rename one.", source.id);
                self.fault(&format!("{pointer}/id"), said);
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
                        let said = format!("The condition \"{when}\" cannot be read: {why}.");
                        self.fault(&format!("/sources/{n}/when"), said);
                    })
                    .ok()
            });
            let fields = match source.when {
                None => own,
                Some(_) => merged(&inherited, own),
            };
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
                let said = format!("The field \"{}\" stands twice; remove one.", field.field);
                self.fault(&format!("{pointer}/field"), said);
            }
            compiled.extend(self.field(field, name.as_str().into(), &pointer));
        }
        Ok(compiled)
    }

    fn field(&mut self, field: &definition::Field, name: Arc<str>, pointer: &str) -> Option<Field> {
        let path = self.path(&field.path, &format!("{pointer}/path"));
        let singular = path.as_ref().is_none_or(FieldPath::singular);
        let steps = match Steps::compile(field, singular) {
            Ok(steps) => steps,
            Err(faults) => {
                for (key, said) in faults {
                    self.fault(&format!("{pointer}/{key}"), said);
                }
                return None;
            }
        };
        let path = path?;
        let from = if path.absolute() {
            self.absolute.push(path.query().clone());
            From::Document(self.absolute.len() - 1)
        } else {
            From::Record(0)
        };
        Some(Field {
            name,
            at: place(self.origin, pointer).into(),
            from,
            steps: Arc::new(steps),
            query: path.query().clone(),
        })
    }

    /// A name cannot be a value and an object of values at once.
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
                rest.is_some_and(|rest| rest.starts_with('.'))
            };
            if let Some(other) = every().map(|(_, _, name)| name).find(inner) {
                let said = format!(
                    "\"{name}\" would be a value and, for \"{other}\", an object; rename one."
                );
                self.fault(&format!("/sources/{s}/fields/{f}/field"), said);
            }
        }
    }
}

/// The last source's fields with those of the same name replaced in place, then the new ones.
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
    let relative = |field: &&Field| matches!(field.from, From::Record(_));
    let queries = fields.iter().filter(relative).map(|field| &field.query);
    let plan = Plan::new(queries.chain(key.map(FieldPath::query)));
    let whole = fields
        .iter()
        .filter(relative)
        .any(|field| field.query.0.is_empty());
    Source {
        id,
        when,
        plan,
        whole,
        key: key.map(|_| slots),
        fields,
    }
}

/// Why a text is no path, and how it is written if that can be guessed.
pub(crate) fn not_a_path(text: &str, why: &PathFault) -> String {
    let said = format!("The path \"{text}\" is not legal in RFC 9535: {why}.");
    match bracketed(text) {
        Some(right) => format!("{said} Write \"{right}\"."),
        None => format!(
            "{said} Correct the path. Names with characters other than letters, digits and \"_\" need brackets: ['a-name']."
        ),
    }
}

/// The path with names such as `@odata.type` in brackets, if that makes it legal.
fn bracketed(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(".@") {
        let name = &rest[at + 1..];
        // An annotation is `@namespace.term`: its dot belongs to the name.
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
        let first = name.find(|c| !word(c)).unwrap_or(name.len());
        let second = match name[first..].strip_prefix('.') {
            Some(term) => first + 1 + term.find(|c| !word(c)).unwrap_or(term.len()),
            None => first,
        };
        let (before, name, after) = (&rest[..at], &name[..second], &name[second..]);
        // `..@x` keeps its descent; the dot that was found is the second of the two.
        let descent = if before.ends_with('.') { "." } else { "" };
        for part in [before, descent, "['", name, "']"] {
            out.push_str(part);
        }
        rest = after;
    }
    out.push_str(rest);
    (out != text && FieldPath::parse(&out).is_ok()).then_some(out)
}
