//! Schemas and reference pages are snapshots, and results, samples and files fit the schemas.
//!
//! The snapshots are plain `.json` and `.md` files in `snapshots/schema` and `snapshots/reference`,
//! so editors and readers can use them directly.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use soarhost::front::cli::{SCHEMAS, Standard, reference_page};
use soarhost::host::catalog::Catalog;
use soarhost::json::whitespace::indented;
use soarhost::manifest::schema::{request_schema, sample_request};

use crate::architecture::{assert_none, files};
use crate::bench::{Bench, NOW, block_on, connection};

fn bind(folder: &str, check: impl FnOnce()) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("snapshots")
            .join(folder),
    );
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(check);
}

fn text(schema: &Value) -> Vec<u8> {
    let mut text = indented(&schema.to_string()).into_bytes();
    text.push(b'\n');
    text
}

#[test]
fn schemas_of_the_wire_are_snapshots() {
    bind("schema", || {
        for (name, make) in SCHEMAS.iter().copied() {
            insta::assert_binary_snapshot!(&format!("{name}.json"), text(&Value::from(make())));
        }
    });
}

#[test]
fn schemas_of_the_commands_are_snapshots() {
    let catalog = Catalog::builtin().expect("the catalog");
    bind("schema", || {
        for manifest in catalog.manifests().expect("manifests") {
            for command in &manifest.commands {
                let name = format!("{}-{}.json", manifest.id, command.id);
                insta::assert_binary_snapshot!(&name, text(&request_schema(manifest, command)));
            }
        }
    });
}

#[test]
fn reference_pages_are_snapshots() {
    let catalog = Catalog::builtin().expect("the catalog");
    bind("reference", || {
        for manifest in catalog.manifests().expect("manifests") {
            let page = reference_page(manifest, &catalog).expect("a page");
            for grant in ["application", "delegated"] {
                let unexplained = format!("| {grant} |  |");
                assert!(!page.contains(&unexplained), "{page}");
            }
            insta::assert_binary_snapshot!(&format!("{}.md", manifest.id), page.into_bytes());
        }
        for standard in Standard::ALL {
            let page = standard.page(&catalog).expect("a page");
            insta::assert_binary_snapshot!(&format!("{}.md", standard.name()), page.into_bytes());
        }
    });
}

#[test]
fn schema_or_reference_page_without_source_is_reported() {
    let catalog = Catalog::builtin().expect("the catalog");
    let manifests = catalog.manifests().expect("manifests");
    let commands = manifests.iter().flat_map(|manifest| {
        let commands = manifest.commands.iter();
        commands.map(|command| format!("schema/{}-{}", manifest.id, command.id))
    });
    let expected: BTreeSet<String> = SCHEMAS
        .iter()
        .map(|(name, _)| format!("schema/{name}"))
        .chain(commands)
        .chain(manifests.iter().map(|one| format!("reference/{}", one.id)))
        .chain(Standard::ALL.map(|one| format!("reference/{}", one.name())))
        .collect();
    let mut found = BTreeSet::new();
    for folder in ["schema", "reference"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("snapshots")
            .join(folder);
        for entry in std::fs::read_dir(path).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_string_lossy();
            let (name, _) = name.split_once(".snap").expect("a snapshot");
            found.insert(format!("{folder}/{name}"));
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn built_in_catalog_has_no_fault() {
    let catalog = Catalog::builtin_strict().expect("it reads strictly");
    let found = catalog.check().into_iter().chain(catalog.unused());
    let faults: Vec<String> = found.map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The faster way to read it has the same result.
    let quick = Catalog::builtin().expect("it reads");
    let shown = |catalog: &Catalog| format!("{:?}", catalog.manifests().expect("manifests"));
    assert_eq!(shown(&quick), shown(&catalog));
}

#[test]
fn manifest_or_mapping_file_outside_the_catalog_is_reported() {
    let catalog = Catalog::builtin().expect("the catalog");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| -> Vec<String> {
        let folder = root.join(folder);
        let files = files(&folder, "json").into_iter().map(|file| {
            let name = file.strip_prefix(&folder).expect("below the folder");
            name.with_extension("").display().to_string()
        });
        files.collect()
    };
    let (manifests, mappings) = (names("manifests"), names("mappings"));
    assert!(!manifests.is_empty() && !mappings.is_empty());
    let manifests = manifests
        .into_iter()
        .filter(|id| catalog.integration(id).is_err())
        .map(|id| format!("manifests/{id}.json is not in the table of the catalog"));
    let mappings = mappings
        .into_iter()
        .filter(|name| name != "fields" && catalog.mapping(name).is_err())
        .map(|name| format!("mappings/{name}.json is not in the table of the catalog"));
    assert_none(manifests.chain(mappings));
}

fn schema(name: &str) -> jsonschema::Validator {
    let (_, make) = SCHEMAS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a schema");
    jsonschema::validator_for(&Value::from(make())).expect("a valid schema")
}

fn assert_fits(validator: &jsonschema::Validator, instance: &Value, what: &str) {
    let faults: Vec<String> = validator
        .iter_errors(instance)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

#[test]
fn results_fit_the_schema_of_results() {
    let validator = schema("result");
    block_on(async {
        let bench = Bench::new("{}", NOW).await;
        let good = serde_json::json!({ "command": "Fetch Event", "connection": connection(),
            "inputs": { "Top Recent Event Number": 3 } });
        let bad = serde_json::json!({ "command": "Fetch Event", "inputs": { "x": 1 } });
        for envelope in [
            good.to_string(),
            bad.to_string(),
            "{".to_owned(),
            String::new(),
        ] {
            let ran = bench.run(&envelope).await;
            let result: Value = serde_json::from_str(&ran.text).expect("JSON");
            assert_fits(&validator, &result, &envelope);
        }
    });
    let short = serde_json::json!({ "protocol": 1 });
    assert!(
        !validator.is_valid(&short),
        "always-present keys are required"
    );
}

#[test]
fn samples_and_files_fit_their_schemas() {
    let catalog = Catalog::builtin().expect("the catalog");
    let (request, manifest_schema, mapping) =
        (schema("request"), schema("manifest"), schema("mapping"));
    for manifest in catalog.manifests().expect("manifests") {
        for command in &manifest.commands {
            let sample = sample_request(manifest, command);
            assert_fits(&request, &sample, &command.title);
            let own =
                jsonschema::validator_for(&request_schema(manifest, command)).expect("a schema");
            assert_fits(&own, &sample, &command.title);
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
    };
    assert_fits(
        &manifest_schema,
        &read(&root.join("manifests/purview_audit_alert_v2.json")),
        "manifest",
    );
    let file = root.join("mappings/purview_audit_alert_v2/fetch_event.json");
    assert_fits(&mapping, &read(&file), "mapping");
}

#[test]
fn document_order_is_on() {
    let text = r#"{"b":1,"a":{"d":2,"c":3}}"#;
    let read: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(read.to_string(), text, "serde_json's preserve_order is off");
}
