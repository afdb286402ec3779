//! Suggests fields for the values of sample records that no field of a mapping selects.
//!
//! A standard name is suggested if a member has this name, or if another mapping uses the path for it;
//! other fields get a custom name made of the names of the members. Does not change a mapping.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::definition::{Definition, FieldType, Vocabulary};
use super::path::FieldPath;
use super::record::source_of;
use super::stream::Streamed;
use super::syntax::Query;
use super::value::Record;
use super::{Mapping, compile};
use crate::json::tape::Tape;
use crate::names;
use crate::when;

/// Text in examples is shortened to this number of characters.
const SHOWN: usize = 60;

/// A field for a path that no field selects.
#[derive(Debug, Serialize)]
pub struct Suggestion {
    /// The path, with `[*]` for the elements of arrays.
    pub path: String,
    /// The name of the field.
    pub field: String,
    /// True if the name is not a standard name.
    pub custom: bool,
    /// The type, if all values have it and it is not text.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<FieldType>,
    /// The first value; text is shortened.
    pub example: Box<RawValue>,
    /// The number of records that have a value.
    pub count: usize,
}

/// The values at one path in all records.
#[derive(Debug)]
struct Found {
    path: String,
    /// The names of the members on the path.
    names: Vec<String>,
    covered: bool,
    kind: Option<FieldType>,
    example: String,
    count: usize,
    /// The number of the last record that was counted.
    last: usize,
    /// The standard names that other mappings use for the path.
    known_as: BTreeMap<String, usize>,
}

/// Collects the paths of records.
#[derive(Debug)]
pub struct Suggester<'a> {
    mapping: &'a Mapping,
    standard: Vec<String>,
    /// Standard names and the paths that mappings use for them.
    known: Vec<(String, Query)>,
    found: Vec<Found>,
    positions: HashMap<String, usize>,
    records: usize,
}

impl<'a> Suggester<'a> {
    /// Suggests fields for `mapping`. `standard` are the standard names, `others` mappings that use
    /// them.
    pub fn new(mapping: &'a Mapping, standard: Vec<String>, others: &[Definition]) -> Self {
        let others = others
            .iter()
            .filter(|other| other.vocabulary == Vocabulary::Standard);
        let fields = others.flat_map(|other| other.sources.iter().flat_map(|one| &one.fields));
        let known = fields.filter(|field| !field.custom).filter_map(|field| {
            let path = FieldPath::parse(field.path.as_deref()?).ok()?;
            let is_usable = !path.absolute() && !path.text().is_empty();
            is_usable.then(|| (field.field.clone(), path.query().clone()))
        });
        Suggester {
            mapping,
            standard,
            known: known.collect(),
            found: Vec::new(),
            positions: HashMap::new(),
            records: 0,
        }
    }

    /// The number of records.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Adds the paths of a record.
    pub fn add(&mut self, record: &Streamed<'_>) {
        if record.text.is_empty() {
            return;
        }
        self.records += 1;
        let tape = Tape::of(record.text, 0);
        let mut covered = vec![false; tape.len()];
        for query in selecting(self.mapping, record.text) {
            for node in Record::new(&tape).nodes(query, 0).unwrap_or_default() {
                covered[tape.subtree(node)].fill(true);
            }
        }
        let mut paths = vec![None; tape.len()];
        self.visit(&tape, (0, &mut Step::default()), &mut paths);
        for (position, covered) in paths.iter().zip(covered) {
            if let Some(position) = position {
                self.found[*position].covered |= covered;
            }
        }
        for (name, query) in &self.known {
            let nodes = Record::new(&tape).nodes(query, 0).unwrap_or_default();
            let at: BTreeSet<usize> = nodes
                .iter()
                .flat_map(|node| leaves(&tape, *node))
                .filter_map(|node| paths[node])
                .collect();
            for position in at {
                *self.found[position]
                    .known_as
                    .entry(name.clone())
                    .or_default() += 1;
            }
        }
    }

    /// Adds the values below a node. `paths` gets the position of each value's path.
    fn visit(
        &mut self,
        tape: &Tape<'_>,
        (node, step): (usize, &mut Step),
        paths: &mut [Option<usize>],
    ) {
        let raw = tape.raw(node);
        if !tape.is_object(node) && !tape.is_array(node) {
            if raw != "null" && !step.path.is_empty() {
                let position = self.value(step, raw);
                paths[node] = Some(position);
            }
            return;
        }
        let children: Vec<usize> = tape.children(node).collect();
        for child in children {
            let (len, names) = (step.path.len(), step.names.len());
            if tape.is_object(node) {
                step.enter(&tape.name(child));
            } else {
                step.path.push_str("[*]");
            }
            self.visit(tape, (child, step), paths);
            step.path.truncate(len);
            step.names.truncate(names);
        }
    }

    /// Adds a value; returns the position of its path.
    fn value(&mut self, step: &Step, raw: &str) -> usize {
        let next = self.found.len();
        let position = *self.positions.entry(step.path.clone()).or_insert(next);
        let kind = kind_of(raw);
        if position == next {
            self.found.push(Found {
                path: step.path.clone(),
                names: step.names.clone(),
                covered: false,
                kind,
                example: raw.to_owned(),
                count: 0,
                last: 0,
                known_as: BTreeMap::new(),
            });
        }
        let found = &mut self.found[position];
        if found.kind != kind {
            found.kind = None;
        }
        if found.last != self.records {
            found.last = self.records;
            found.count += 1;
        }
        position
    }

    /// The suggestions, in the order of the paths in the records.
    pub fn finish(self) -> Vec<Suggestion> {
        let definition = self.mapping.definition();
        let fields = definition.sources.iter().flat_map(|source| &source.fields);
        let mut taken: BTreeSet<String> = fields.map(|field| field.field.clone()).collect();
        let uses_standard = definition.vocabulary == Vocabulary::Standard;
        let mut suggestions = Vec::new();
        for found in self.found.iter().filter(|found| !found.covered) {
            let standard = uses_standard
                .then(|| self.standard_name(found, &taken))
                .flatten();
            let custom = uses_standard && standard.is_none();
            let field =
                standard.unwrap_or_else(|| custom_name(&found.names, &taken, &self.standard));
            taken.insert(field.clone());
            let Ok(example) = RawValue::from_string(example(&found.example)) else {
                continue;
            };
            suggestions.push(Suggestion {
                path: found.path.clone(),
                field,
                custom,
                kind: found.kind,
                example,
                count: found.count,
            });
        }
        suggestions
    }

    /// The standard name that other mappings use for the path most often, or that is the member's name.
    fn standard_name(&self, found: &Found, taken: &BTreeSet<String>) -> Option<String> {
        let free = |name: &&String| !taken.contains(*name);
        let used = found.known_as.iter().filter(|(name, _)| free(name));
        let used = used.max_by_key(|(_, count)| **count).map(|(name, _)| name);
        let last = found.names.last()?;
        let named = || {
            self.standard
                .iter()
                .filter(free)
                .find(|name| names::alike(name, last))
        };
        used.or_else(named).cloned()
    }
}

/// The way to a value.
#[derive(Debug, Default)]
struct Step {
    path: String,
    names: Vec<String>,
}

impl Step {
    fn enter(&mut self, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
        let digit = name.starts_with(|c: char| c.is_ascii_digit());
        if !name.is_empty() && !digit && name.chars().all(plain) {
            self.path.extend([".", name]);
        } else {
            self.path.push_str(&super::syntax::normalized_name(name));
        }
        self.names.push(name.to_owned());
    }
}

/// The paths of the fields of the record's source.
fn selecting<'m>(mapping: &'m Mapping, text: &str) -> Vec<&'m Query> {
    let Ok(source) = source_of(&mapping.compiled, text, 0) else {
        return Vec::new();
    };
    let fields = source.fields.iter();
    let fields = fields.filter(|field| matches!(field.from, compile::From::Record(_)));
    fields
        .filter_map(|field| field.path.as_deref().map(FieldPath::query))
        .collect()
}

/// A value, or the values of an array.
fn leaves(tape: &Tape<'_>, node: usize) -> Vec<usize> {
    if tape.is_array(node) {
        return tape.children(node).collect();
    }
    vec![node]
}

/// The type of a value, if it is not text.
fn kind_of(raw: &str) -> Option<FieldType> {
    match raw.as_bytes().first()? {
        b't' | b'f' => Some(FieldType::Boolean),
        b'"' => {
            let text: String = serde_json::from_str(raw).ok()?;
            let is_time = text.len() >= 16 && when::normalise(&text).is_some();
            is_time.then_some(FieldType::Datetime)
        }
        _ if raw
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-') =>
        {
            Some(FieldType::Integer)
        }
        _ => Some(FieldType::Number),
    }
}

/// A value as an example: a long text is shortened.
fn example(raw: &str) -> String {
    match serde_json::from_str::<String>(raw) {
        Ok(text) if text.chars().count() > SHOWN => {
            let start: String = text.chars().take(SHOWN).collect();
            Value::from(start + "…").to_string()
        }
        _ => raw.to_owned(),
    }
}

/// A name of the last member, with those of the members around it until it is unique.
fn custom_name(names: &[String], taken: &BTreeSet<String>, standard: &[String]) -> String {
    let is_free = |name: &String| !taken.contains(name) && !standard.contains(name);
    let words = |from: usize| {
        names[from..]
            .iter()
            .map(|name| words(name))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut candidates = (0..names.len()).rev().map(words);
    let numbered = (2..).map(|n| format!("{} {n}", words(0)));
    let found = candidates.find(is_free);
    found
        .or_else(|| numbered.into_iter().find(is_free))
        .unwrap_or_default()
}

/// Words that are written in capitals.
const ACRONYMS: [&str; 8] = ["id", "ip", "url", "uri", "sha1", "sha256", "md5", "upn"];

/// The words of a member's name, with capitals: `clientIp` is `Client IP`.
fn words(name: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for c in name.chars() {
        let starts = !before.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        match words.last_mut() {
            _ if !c.is_alphanumeric() => {}
            Some(word) if !starts => word.push(c),
            _ => words.push(c.to_uppercase().collect()),
        }
        before = c;
    }
    for word in &mut words {
        if ACRONYMS.contains(&word.to_lowercase().as_str()) {
            *word = word.to_uppercase();
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: [&str; 4] = ["Severity", "Incident ID", "User Evidence", "Status"];

    fn suggested(mapping: &str, input: &str) -> Vec<String> {
        let mapping = Mapping::parse(mapping, "m").expect("a mapping");
        let other = r#"{"mapping":1,"root":"$","sources":[{"id":"d","fields":[
            {"field":"User Evidence","path":"..account.name"}]}]}"#;
        let other = Definition::parse(other, "o").expect("a mapping");
        let standard = STANDARD.map(str::to_owned).to_vec();
        let mut suggester = Suggester::new(&mapping, standard, &[other]);
        let (_, ended) = mapping.stream(input.as_bytes(), &mut |record| {
            suggester.add(&record);
            Ok(())
        });
        ended.expect("JSON");
        let shown = |one: Suggestion| {
            let custom = if one.custom { "custom " } else { "" };
            let kind = one
                .kind
                .map(|kind| format!("{kind:?} "))
                .unwrap_or_default();
            format!(
                "{custom}{} {} {kind}{} {}",
                one.field, one.path, one.example, one.count
            )
        };
        suggester.finish().into_iter().map(shown).collect()
    }

    #[test]
    fn path_without_a_field_is_suggested_with_name_type_example_and_count() {
        let mapping = r#"{"mapping":1,"root":"$.value","sources":[{"id":"d","fields":[
            {"field":"Status","path":".status"},{"field":"Name","custom":true,"path":"..file"}]}]}"#;
        let input = r##"{"value":[
            {"status":"new","severity":"high","incidentId":"7","seen":"2026-01-14T10:00:00Z","n":1,
             "evidence":[{"@odata.type":"#a","account":{"name":"ada"},"file":{"name":"x"}},{"account":{"name":"bob"}}]},
            {"severity":"low","seen":"2026-01-15T10:00:00Z","n":"x","clientIp":null,"empty":[],
             "Status":"odd","tags":["a","b"],"ok":true,"host":{"name":"h"}}]}"##;
        assert_eq!(
            suggested(mapping, input),
            [
                r#"Severity .severity "high" 2"#,
                r#"Incident ID .incidentId "7" 1"#,
                r#"custom Seen .seen Datetime "2026-01-14T10:00:00Z" 2"#,
                "custom N .n 1 2",
                r##"custom Odata Type .evidence[*]['@odata.type'] "#a" 1"##,
                r#"User Evidence .evidence[*].account.name "ada" 1"#,
                r#"custom Status 2 .Status "odd" 1"#,
                r#"custom Tags .tags[*] "a" 1"#,
                "custom Ok .ok Boolean true 1",
                r#"custom Host Name .host.name "h" 1"#,
            ]
        );
    }

    #[test]
    fn suggested_fields_are_valid_and_cover_all_paths() {
        let empty = r#"{"mapping":1,"root":"$","sources":[{"id":"d","fields":[]}]}"#;
        let input = r#"[{"a-b":1,"x":[[{"y'":"z"}]],"1":{"2":2.5}},{"a":{"b":[1]}}]"#;
        let mapping = Mapping::parse(empty, "m").expect("a mapping");
        let mut suggester = Suggester::new(&mapping, Vec::new(), &[]);
        let _ = mapping.stream(input.as_bytes(), &mut |record| {
            suggester.add(&record);
            Ok(())
        });
        let fields: Vec<String> = suggester
            .finish()
            .iter()
            .map(|one| {
                let (field, path) = (Value::from(&*one.field), Value::from(&*one.path));
                format!(r#"{{"field":{field},"custom":true,"path":{path}}}"#)
            })
            .collect();
        assert_eq!(fields.len(), 4);
        let full = empty.replace("[]", &format!("[{}]", fields.join(",")));
        assert!(suggested(&full, input).is_empty(), "{full}");
    }
}
