//! Every file of `tests/samples`: raw data. The snapshot shows the events that the mapping makes.
//!
//! The folder names the mapping, and every compiled-in mapping has a sample. `mapping test` compares
//! the same pages. No host and no network are involved.

use std::path::{Path, PathBuf};

use soarhost::host::catalog::Catalog;
use soarhost::json::Document;
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

/// The names of the mappings, from the files of `mappings/`: `integration/purpose`.
fn mappings() -> impl Iterator<Item = String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let integrations = entries(&folder).into_iter().filter(|path| path.is_dir());
    let files = integrations.flat_map(|path| entries(&path));
    let files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.into_iter().map(move |file| {
        let below = file.strip_prefix(&folder).expect("below the mappings");
        below.with_extension("").display().to_string()
    })
}

#[test]
fn sample_of_every_mapping_gives_the_events_of_its_snapshot() {
    let catalog = Catalog::builtin().expect("the catalog");
    for name in mappings() {
        let definition = catalog.mapping(&name).expect("a compiled-in mapping");
        let compiled = Mapping::compile(definition, &name).expect("it compiles");
        let folder = root().join(&name);
        assert!(folder.is_dir(), "the mapping {name} has no sample");
        for sample in entries(&folder) {
            let text = std::fs::read_to_string(&sample).expect("a sample");
            let raw = Document::parse(&text).expect("a sample is JSON");
            let page = compiled.apply(&raw).expect("it maps").page();
            let stem = sample.file_stem().expect("a name").to_string_lossy();
            settings(&name, &sample).bind(|| insta::assert_snapshot!(&*stem, page));
        }
    }
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
