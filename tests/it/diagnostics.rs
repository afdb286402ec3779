//! Tools of authors: the faults that `validate` shows, `fmt`, and the folder of `init`.
//!
//! `mistakes` is a catalog folder with the typical mistakes of authors; the snapshot is the whole
//! output.

use std::path::{Path, PathBuf};

use serde_json::Value;
use soarhost::front::cli::{SCHEMAS, canonical};

use crate::bench::{NOW, files};
use crate::process::{feed, printed, soarhost};

const MISTAKES: &str = "tests/it/mistakes";
/// A value of `mistakes` that no output may show.
const SECRET: &str = "not-a-real-secret";

/// Stdout, stderr and the exit code, with `DIR` for a folder.
fn shown(args: &[&str], folder: &Path) -> String {
    let output = feed(soarhost(args), "");
    let text = printed(&output).replace(&*folder.to_string_lossy(), "DIR");
    let args = args.join(" ").replace(&*folder.to_string_lossy(), "DIR");
    let code = output.status.code().unwrap_or(-1);
    format!("$ soarhost {args}\n{}\n── exit {code}\n", text.trim_end())
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/cli"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn schema(name: &str) -> Value {
    let found = SCHEMAS.iter().find(|(known, _)| *known == name);
    Value::from(found.expect("a schema").1())
}

#[test]
fn mistakes_are_shown_with_their_place_and_what_to_do() {
    let text = shown(&["validate", MISTAKES, "--now", NOW], Path::new("DIR"));
    assert!(!text.contains(SECRET), "{text}");
    assert!(text.matches("error: ").count() + text.matches("warning: ").count() >= 30);
    snapshot("mistakes", &text);
}

#[test]
fn help_pages_are_snapshots() {
    let pages = ["init", "validate", "fmt"].map(|name| shown(&[name, "--help"], Path::new("DIR")));
    snapshot("authors_help", &pages.concat());
}

#[test]
fn json_and_sarif_have_the_same_faults_at_places_that_exist() {
    let read = |flag| -> Value {
        let args = ["validate", MISTAKES, flag, "--now", NOW];
        let output = feed(soarhost(&args), "");
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(!text.contains(SECRET), "{text}");
        serde_json::from_str(&text).expect("JSON")
    };
    let (json, sarif) = (read("--json"), read("--sarif"));
    let faults = json["faults"].as_array().expect("faults");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    assert_eq!(faults.len(), results.len());
    for (fault, result) in faults.iter().zip(results) {
        let place = &result["locations"][0]["physicalLocation"];
        let file = fault["file"].as_str().expect("a file");
        assert_eq!(
            place["artifactLocation"]["uri"], file,
            "relative to the repository"
        );
        let text = std::fs::read_to_string(file).expect("a file that exists");
        let line = fault["line"].as_u64().expect("a line");
        let line_text = text.lines().nth(usize::try_from(line).expect("small") - 1);
        let length = line_text.expect("a line that exists").chars().count() as u64;
        let region = &place["region"];
        assert_eq!(
            (&region["startLine"], &region["startColumn"]),
            (&fault["line"], &fault["column"])
        );
        assert!(
            region["endColumn"].as_u64().expect("a column") <= length + 1,
            "{result}"
        );
        assert_eq!(result["level"], fault["severity"]);
        let index =
            usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let message = result["message"]["text"].as_str().expect("a message");
        let parts = [&fault["message"], &fault["advice"]];
        assert!(
            parts
                .iter()
                .filter_map(|part| part.as_str())
                .all(|part| message.contains(part))
        );
    }
}

#[test]
fn built_in_manifests_and_mappings_have_the_canonical_layout() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let template = root.join("src/front/cli/init/catalog");
    let mut checked = 0;
    for (kind, folder) in [("manifest", "manifests"), ("mapping", "mappings")] {
        let schema = schema(kind);
        let of = |root: &Path| files(&root.join(folder));
        let mut all: Vec<PathBuf> = [of(root), of(&template)].concat();
        all.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "json")
        });
        all.retain(|file| !file.ends_with("mappings/fields.json"));
        for file in all {
            let text = std::fs::read_to_string(&file).expect("a file");
            assert_eq!(
                canonical(&text, &schema),
                text,
                "run `soarhost fmt`: {}",
                file.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 10);
}

#[test]
fn fmt_changes_the_layout_only_and_leaves_files_with_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    for name in ["manifests", "mappings/own"] {
        std::fs::create_dir_all(dir.join(name)).expect("a folder");
    }
    let mapping = "{\"sources\":[{\"fields\":[{\"path\":\".a\",\"field\":\"Severity\"}],\"id\":\"d\"}],\n \"root\":\"$\", \"mapping\": 1}";
    let manifest = include_str!("mistakes/catalog/manifests/own.json");
    let files = [
        ("mappings/own/a.json", mapping),
        ("manifests/own.json", manifest),
    ];
    for (name, text) in files {
        std::fs::write(dir.join(name), text).expect("a file");
    }
    let arg = dir.to_str().expect("UTF-8");
    let one = dir.join("mappings/own/a.json");
    let one = one.to_str().expect("UTF-8");
    let steps = [
        shown(&["fmt", one, "--check"], dir),
        shown(&["fmt", arg], dir),
        shown(&["fmt", one, "--check"], dir),
        shown(&["fmt", "src"], dir),
    ];
    let text = std::fs::read_to_string(one).expect("a file");
    snapshot("fmt", &format!("{}\n{text}", steps.concat()));
    let same = std::fs::read_to_string(dir.join("manifests/own.json")).expect("a file");
    assert_eq!(same, manifest);
}

#[test]
fn fmt_loses_no_text_no_link_and_no_permission() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let read = |name: &str| std::fs::read_to_string(file(name)).expect("a file");
    let (mapping, request) = (
        r#"{"root":"$","mapping":1,"sources":[{"id":"d","fields":[{"field":"Severity","path":".a"}]}]}"#,
        r#"{"inputs":{},"mapping":null,"command":"Sleep"}"#,
    );
    let rule =
        include_str!("../../src/front/cli/init/catalog/mappings/my_alerts/rules/inbox_rule.yml");
    for (name, text) in [
        ("marked.json", format!("\u{feff}{mapping}")),
        ("target", mapping.to_owned()),
        ("rule.yml", rule.to_owned()),
        ("request.json", request.to_owned()),
    ] {
        std::fs::write(file(name), text).expect("a file");
    }
    symlink("target", file("link.json")).expect("a link");
    std::fs::set_permissions(file("target"), PermissionsExt::from_mode(0o600)).expect("a file");
    for (name, code) in [
        ("marked.json", 0),
        ("link.json", 0),
        ("rule.yml", 2),
        ("request.json", 2),
    ] {
        let output = feed(soarhost(&["fmt", &file(name)]), "");
        assert_eq!(output.status.code(), Some(code), "{}", printed(&output));
    }
    assert!(read("target").starts_with("{\n  \"mapping\": 1,\n"));
    assert_eq!(read("marked.json"), read("target"), "without the mark");
    assert!(Path::new(&file("link.json")).is_symlink());
    let mode = std::fs::metadata(file("target"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        (read("rule.yml"), read("request.json")),
        (rule.to_owned(), request.to_owned())
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        5
    );
}

#[test]
fn folder_that_links_to_itself_is_read_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("cat");
    let arg = dir.to_str().expect("UTF-8");
    feed(soarhost(&["init", arg]), "");
    for name in ["mappings", "samples", "requests"] {
        std::os::unix::fs::symlink("..", dir.join(name).join("loop")).expect("a link");
    }
    let pipe = dir.join("requests/pipe.json");
    let made = std::process::Command::new("mkfifo").arg(pipe).status();
    assert!(made.is_ok_and(|status| status.success()));
    for (args, end) in [
        (&["validate", arg][..], "0 faults; 5 files checked.\n"),
        (&["fmt", arg], "0 files changed, 2 unchanged.\n"),
        (&["mapping", "test", arg], "1 sample passed, 0 failed.\n"),
    ] {
        let text = printed(&feed(soarhost(args), ""));
        assert!(text.ends_with(end) && text.len() < 200, "{args:?}: {text}");
    }
}

#[test]
fn secret_at_a_wrong_place_of_a_file_is_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = Value::from(SECRET);
    let own = serde_json::json!({ "Client Secret": SECRET });
    let list = Value::from(vec![own.clone()]);
    let mut files = Vec::new();
    let mut add = |kind: &str, file: &Value| {
        let path = folder.path().join(format!("{}_{kind}.json", files.len()));
        std::fs::write(&path, file.to_string()).expect("a file");
        files.push(path.to_str().expect("UTF-8").to_owned());
    };
    for value in [&own, &list, &Value::from(vec![secret.clone()])] {
        for pointer in [
            "integration",
            "command",
            "connection",
            "inputs",
            "options",
            "mapping",
            "state",
            "id",
        ] {
            let mut request =
                serde_json::json!({ "integration": "office365_audit", "command": "Collect" });
            request[pointer] = value.clone();
            add("request", &request);
        }
        let nested =
            serde_json::json!({ "command": "Collect", "connection": { "Tenant ID": [value] } });
        add("request", &nested);
    }
    add(
        "mapping",
        &serde_json::json!({ "mapping": 1, "connection": own }),
    );
    for connections in [
        secret.clone(),
        own.clone(),
        list,
        serde_json::json!({ "a": { "integration": own, "params": [SECRET] } }),
        serde_json::json!({ "a": { "integration": "office365_audit", "params": SECRET } }),
    ] {
        let file = serde_json::json!({ "profiles": 1, "connections": connections, "x": SECRET });
        add("profiles", &file);
    }
    let args = ["validate"]
        .into_iter()
        .chain(files.iter().map(String::as_str));
    let text = printed(&feed(soarhost(&args.collect::<Vec<_>>()), ""));
    let count = format!(" {} files checked.\n", files.len());
    assert!(text.ends_with(&count) && !text.contains(SECRET), "{text}");
}

#[test]
fn folder_of_init_passes_every_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("cat");
    let arg = dir.to_str().expect("UTF-8");
    let request = dir.join("requests/fetch_my_alerts.json");
    let request = request.to_str().expect("UTF-8");
    let secret = [("SOAR_MY_SECRET", SECRET)];
    let first = [
        shown(&["init", arg], folder.path()),
        shown(&["init", arg], folder.path()),
        shown(&["validate", arg], folder.path()),
        shown(&["fmt", arg, "--check"], folder.path()),
        shown(&["mapping", "test", arg], folder.path()),
        #[cfg(feature = "rules")]
        shown(&["rules", "test", arg], folder.path()),
        shown(
            &["try", "Fetch My Alerts", "--catalog", arg, "--now", NOW],
            folder.path(),
        ),
    ];
    snapshot("init", &first.concat());
    let mut run = soarhost(&["run", "--sandbox", "--catalog", arg, request]);
    run.envs(secret);
    let output = feed(run, "");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let sample = dir.join("samples/my_alerts/alert/two_alerts.json");
    let sample = sample.to_str().expect("UTF-8");
    let mapped = feed(
        soarhost(&["map", "my_alerts/alert", sample, "--json", "--catalog", arg]),
        "",
    );
    let mapped: Value = serde_json::from_slice(&mapped.stdout).expect("JSON");
    let golden = std::fs::read_to_string(dir.join("snapshots/my_alerts/alert/two_alerts.snap"));
    let golden: Vec<Value> = serde_json::Deserializer::from_str(&golden.expect("a snapshot"))
        .into_iter()
        .map(|event| event.expect("an event"))
        .collect();
    assert_eq!(mapped["events"].as_array(), Some(&golden));
    // Editors find the schemas at the addresses in the files.
    for file in files(&dir)
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "json"))
    {
        let text = std::fs::read_to_string(file).expect("a file");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        if let Some(at) = read["$schema"].as_str().filter(|at| at.starts_with("..")) {
            assert!(
                file.parent().expect("a folder").join(at).is_file(),
                "{}",
                file.display()
            );
        }
        for entry in read["json.schemas"].as_array().into_iter().flatten() {
            let url = entry["url"].as_str().expect("an address");
            assert!(dir.join(url).is_file(), "{url}");
        }
    }
}

#[test]
fn validate_checks_the_current_catalog_and_fails_without_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let validate = |folder: &Path, args: &[&str]| {
        let mut command = soarhost(&[&["validate"], args].concat());
        command.current_dir(folder);
        let output = feed(command, "");
        (output.status.code(), printed(&output))
    };
    let (code, text) = validate(folder.path(), &["."]);
    assert_eq!(code, Some(2));
    assert_eq!(
        text,
        "error: The folder has no files to check.\n--> .\n = help: Name a file, or a folder with \
         manifests/ or mappings/.\n\n1 error; 0 files checked.\n"
    );
    let (code, text) = validate(folder.path(), &[]);
    assert!(
        code == Some(0) && text.contains(" built-in files checked."),
        "{text}"
    );
    std::fs::create_dir(folder.path().join("mappings")).expect("a folder");
    let mapping = r#"{"mapping":1,"id":"a","root":"$","sources":[{"id":"default","fields":[
        {"field":"Alert Nam","path":".title"}]}]}"#;
    std::fs::write(folder.path().join("mappings/a.json"), mapping).expect("a file");
    let (code, text) = validate(folder.path(), &[]);
    assert!(
        code == Some(2) && text.contains("Did you mean \"Alert Name\"?"),
        "{text}"
    );
}

#[test]
fn fault_of_a_manifest_is_not_repeated_for_requests() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("own");
    let shown_folder = own.to_str().expect("UTF-8");
    let output = feed(soarhost(&["init", shown_folder]), "");
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    let manifest = own.join("manifests/my_alerts.json");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let text = text.replace("\"my_alerts/alert\"", "\"my_alerts/alerts\"");
    std::fs::write(&manifest, text).expect("a file");
    let text = shown(&["validate", shown_folder], folder.path());
    assert!(text.contains("\n1 error; 5 files checked.\n"), "{text}");
    assert!(text.contains("Did you mean \"my_alerts/alert\"?"), "{text}");
}
