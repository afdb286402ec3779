//! Samples: the events of a document as the text of a snapshot, and the fields that matched.
//!
//! The text is a page of events, as the snapshots of `insta` have it: below a header between two
//! lines `---`, which can be missing. Reads and writes no files.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::{Definition, Mapped, Mapping};
use crate::json::Document;
use crate::json::whitespace::indented;
use crate::protocol::{Event, Failure};

impl Mapped {
    /// The events with warnings and faults, for a snapshot.
    pub fn page(&self) -> String {
        let mut page = String::new();
        for event in &self.events {
            // An event always serializes, and writing to a string cannot fail.
            let line = serde_json::to_string(event).unwrap_or_default();
            page.push_str(&indented(&line));
            page.push('\n');
        }
        for warning in &self.warnings {
            let _ = writeln!(page, "warning {}: {}", warning.code, warning.message);
        }
        for fault in &self.faults {
            let _ = writeln!(page, "record {}: {}", fault.index, fault.message);
        }
        page
    }
}

/// The page of a snapshot: without its header, and with the line ends of a page.
pub fn page_of(snapshot: &str) -> String {
    let text = snapshot.replace("\r\n", "\n");
    let (_, page) = divided(&text);
    format!("{}\n", page.trim_end())
}

/// A snapshot with this page. The header of the replaced snapshot stays; a new one names the sample.
pub fn snapshot(page: &str, replaced: Option<&str>, sample: &str) -> String {
    let header = match replaced.map(divided) {
        Some((header, _)) => header.to_owned(),
        None => format!("---\ninput_file: {sample}\n---\n"),
    };
    format!("{header}{}\n", page.trim_end())
}

/// The header of a snapshot, and its page.
fn divided(snapshot: &str) -> (&str, &str) {
    let lines = snapshot.strip_prefix("---").map(|rest| rest.find("\n---"));
    let end = lines.flatten().map(|at| at + "---\n---".len());
    let end = end.and_then(|from| Some(from + snapshot.get(from..)?.find('\n')? + 1));
    snapshot.split_at(end.unwrap_or_default())
}

/// Which fields and sources of a mapping matched in its samples.
#[derive(Debug)]
pub struct FieldCoverage {
    flat: Mapping,
    fields: BTreeSet<Arc<str>>,
    sources: BTreeSet<Arc<str>>,
}

impl FieldCoverage {
    /// No field has matched.
    pub fn new(definition: &Definition, origin: &str) -> Result<Self, Failure> {
        Ok(FieldCoverage {
            flat: Mapping::flat(definition, origin)?,
            fields: BTreeSet::new(),
            sources: BTreeSet::new(),
        })
    }

    /// Maps a document and counts its fields.
    pub fn add(&mut self, raw: &Document) -> Result<(), Failure> {
        for Event { source, fields, .. } in self.flat.apply(raw)?.events {
            self.sources.insert(source);
            self.fields
                .extend(fields.0.into_iter().map(|(name, _)| name));
        }
        Ok(())
    }

    /// The number of fields.
    pub fn of(&self) -> usize {
        self.flat.fields().len()
    }

    /// The fields that never matched.
    pub fn never(&self) -> Vec<&str> {
        let all = self.flat.fields().into_iter();
        all.filter(|name| !self.fields.contains(*name)).collect()
    }

    /// The sources that no record has.
    pub fn unused_sources(&self) -> Vec<&str> {
        let sources = &self.flat.definition().sources;
        let ids = sources.iter().map(|source| source.id.as_str());
        ids.filter(|id| !self.sources.contains(*id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_has_the_page_below_an_optional_header() {
        let page = "{\n  \"key\": \"---\"\n}\n";
        assert_eq!(page_of(page), page);
        let with_header = format!("---\r\nsource: a\r\n---\r\n{page}\n");
        assert_eq!(page_of(&with_header), page);
        assert_eq!(page_of("---\na: 1\n---\n"), "\n");
        assert_eq!(page_of("---\nno end"), "---\nno end\n");
    }

    #[test]
    fn replaced_snapshot_keeps_its_header() {
        let old = "---\nsource: a\n---\nold\n";
        assert_eq!(
            snapshot("new\n", Some(old), "s.json"),
            "---\nsource: a\n---\nnew\n"
        );
        assert_eq!(snapshot("new\n", Some("old\n"), "s.json"), "new\n");
        let new = snapshot("new\n", None, "s.json");
        assert_eq!(new, "---\ninput_file: s.json\n---\nnew\n");
        assert_eq!(page_of(&new), "new\n");
    }

    #[test]
    fn coverage_names_fields_of_nested_events_and_unused_sources() {
        let text = r#"{"mapping":1,"vocabulary":"own","nest":true,"root":"$","sources":[
            {"id":"odd","when":"@.odd","fields":[]},
            {"id":"default","fields":[{"field":"a.b","path":".x"},{"field":"a.c","path":".y"}]}]}"#;
        let definition = Definition::parse(text, "m").expect("a mapping");
        let mut coverage = FieldCoverage::new(&definition, "m").expect("it compiles");
        let raw = Document::parse(r#"[{"x":1},{"x":2}]"#).expect("JSON");
        coverage.add(&raw).expect("it maps");
        assert_eq!(coverage.of(), 2);
        assert_eq!(coverage.never(), ["a.c"]);
        assert_eq!(coverage.unused_sources(), ["odd"]);
    }
}
