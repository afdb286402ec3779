//! Every file of `tests/samples`: a raw payload and the events that its mapping makes of it.
//!
//! No network, no host: what a mapping author edits and reviews. The folder names the mapping.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use soarhost::host::catalog::Catalog;
use soarhost::json::Document;
use soarhost::json::whitespace::indented;
use soarhost::mapping::Mapping;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).expect("a folder");
    let mut found: Vec<PathBuf> = read.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

#[test]
fn every_sample_gives_the_events_of_its_snapshot() {
    let catalog = Catalog::builtin().expect("the catalog");
    let mut looked_at = 0;
    for mapping in entries(&root())
        .iter()
        .flat_map(|integration| entries(integration))
    {
        let name = mapping
            .strip_prefix(root())
            .expect("below")
            .display()
            .to_string();
        let definition = catalog
            .mapping(&name)
            .expect("a mapping of the folder's name");
        let compiled = Mapping::compile(definition, &name).expect("it compiles");
        for sample in entries(&mapping) {
            looked_at += 1;
            let text = std::fs::read_to_string(&sample).expect("a sample");
            let raw = Document::parse(&text).expect("a sample is JSON");
            let mapped = compiled.apply(&raw).expect("it maps");
            let mut page = String::new();
            for event in &mapped.events {
                let line = serde_json::to_string(event).expect("an event serializes");
                page.push_str(&indented(&line));
                page.push('\n');
            }
            for warning in &mapped.warnings {
                let _ = writeln!(page, "warning {}: {}", warning.code, warning.message);
            }
            for fault in &mapped.faults {
                let _ = writeln!(page, "record {}: {}", fault.index, fault.message);
            }
            let stem = sample
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            settings(&name, &sample).bind(|| insta::assert_snapshot!(stem, page));
        }
    }
    assert!(looked_at > 0, "there are samples");
}

fn settings(mapping: &str, sample: &Path) -> insta::Settings {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(folder.join("snapshots/samples").join(mapping));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_input_file(sample.strip_prefix(folder).expect("below the root"));
    settings.set_omit_expression(true);
    settings
}
