//! Rules for source files: outside effects, product names, module docs, sizes, and snapshots without
//! a test.
//!
//! Which file imports which is checked in `imports`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bench;

/// A file of `src`.
pub struct Source {
    path: PathBuf,
    pub text: String,
}

impl Source {
    /// The top-level module the file belongs to: `src/net/client.rs` → `net`.
    fn module(&self) -> String {
        let below = self
            .path
            .strip_prefix(root().join("src"))
            .expect("below src");
        let first = below
            .components()
            .next()
            .expect("a name")
            .as_os_str()
            .to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    pub fn name(&self) -> String {
        self.path
            .strip_prefix(root())
            .expect("below the root")
            .to_string_lossy()
            .into_owned()
    }

    /// The file without its inline tests.
    fn product(&self) -> &str {
        self.text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default()
    }

    /// Lines of code, with their numbers. Comments are left out.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.product()
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line.trim()))
            .filter(|(_, line)| !line.starts_with("//"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = bench::files(folder);
    found.retain(|path| path.extension().is_some_and(|own| own == extension));
    found
}

pub fn sources() -> Vec<Source> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        Source { path, text }
    };
    files(&root().join("src"), "rs")
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs") && !path.ends_with("live.rs"))
        .map(read)
        .collect()
}

/// Fails with one line for each fault.
pub fn assert_none(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn outside_effect_in_other_file_is_reported() {
    let effects: [(&str, &[&str]); 8] = [
        (
            "reqwest::",
            &["src/net/client.rs", "src/net/client/interruption.rs"],
        ),
        ("jsonpath_rust::", &["src/mapping/path.rs"]),
        ("Utc::now()", &["src/clock.rs"]),
        (
            "env::var",
            &["src/host/secrets.rs", "src/front/cli/settings.rs"],
        ),
        ("io::stdout", &["src/front/cli/out.rs"]),
        ("io::stdin", &["src/front/cli/mod.rs"]),
        (
            "OpenOptions::",
            &[
                "src/front/cli/fmt.rs",
                "src/front/poll/file.rs",
                "src/host/private_file.rs",
            ],
        ),
        ("DirBuilder::", &["src/host/private_file.rs"]),
    ];
    let mut faults = Vec::new();
    for (needle, allowed) in effects {
        let mut found = 0;
        for source in sources().iter().filter(|source| source.module() != "sim") {
            for (number, line) in source
                .code_lines()
                .filter(|(_, line)| line.contains(needle))
            {
                found += 1;
                if !allowed.contains(&source.name().as_str()) {
                    faults.push(format!(
                        "{}:{number}: {needle} belongs in another file: {line}",
                        source.name()
                    ));
                }
            }
        }
        if found == 0 {
            faults.push(format!(
                "{needle} was not found: update the list of this test"
            ));
        }
    }
    assert_none(faults);
}

/// Product names, integration ids, and the products' own names of parameters, commands and context.
fn product_names() -> BTreeSet<String> {
    // Also names of the platform-independent engine: `chaos` is a family of operations, the others
    // are terms of OAuth.
    const SHARED: [&str; 3] = ["chaos", "refresh_token", "auth_code"];
    let names = [
        "purview", "xsoar", "cortex", "demisto", "d3 ", "d3_", "d3's",
    ];
    let mut names: BTreeSet<String> = names.map(str::to_owned).into();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for file in files(&root().join("manifests"), "json") {
        let manifest = std::fs::read(&file).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest is JSON");
        names.extend(text(&manifest["id"]));
        let commands = manifest["commands"].as_array().expect("commands");
        for command in commands {
            names.extend(text(&command["id"]).filter(|id| id.contains('-')));
            let rows = text(&command["outputs"]["context"]["at"]);
            names.extend(rows.and_then(|at| at.split('.').next().map(str::to_lowercase)));
        }
        let inputs = commands.iter().map(|command| &command["inputs"]);
        for param in inputs
            .chain([&manifest["connection"]])
            .filter_map(Value::as_array)
            .flatten()
        {
            let id = text(&param["id"]).expect("an id");
            let renamed = param["to"].as_str().is_some_and(|to| !to.contains(&id));
            names.extend(Some(id).filter(|id| renamed && id.contains('_')));
        }
    }
    names.retain(|name| !SHARED.contains(&name.as_str()));
    names
}

#[test]
fn engine_that_names_a_product_is_reported() {
    let names = product_names();
    assert!(
        names.contains("management_activity") && names.contains("enc_key"),
        "{names:?}"
    );
    let mut faults = Vec::new();
    for source in sources() {
        // The table of compiled-in integrations is in the catalog.
        if source.name() == "src/host/catalog.rs" || source.module() == "sim" {
            continue;
        }
        for (number, line) in (1..).zip(source.product().lines()) {
            let lower = line.to_lowercase();
            for name in names.iter().filter(|name| lower.contains(name.as_str())) {
                faults.push(format!(
                    "{}:{number}: names {name:?}: {line}",
                    source.name()
                ));
            }
        }
    }
    assert_none(faults);
}

/// Files whose name and first sentence say everything.
const ONE_SENTENCE: [&str; 2] = [
    "src/microsoft/exchange/error.rs",
    "src/ops/audit_search/plan.rs",
];

/// The number of sentences in the comment that opens a file.
fn sentences(text: &str) -> usize {
    let doc = text.lines().map_while(|line| line.strip_prefix("//!"));
    let doc: String = doc.flat_map(|line| [line, " "]).collect();
    let words: Vec<&str> = doc.split_whitespace().collect();
    let starts = |word: Option<&&str>| {
        let first = word.and_then(|word| word.chars().find(|c| !matches!(c, '`' | '[' | '*')));
        first.is_none_or(|first| {
            first.is_uppercase() || word.is_some_and(|word| word.starts_with('`'))
        })
    };
    let ends = words
        .iter()
        .enumerate()
        .filter(|(n, word)| word.ends_with('.') && word.len() > 2 && starts(words.get(n + 1)));
    ends.count()
}

/// The first sentence says what a file is for. Another one says what it leaves out, who does that,
/// or what a reader must know.
#[test]
fn file_without_module_doc_is_reported() {
    let mut faults = Vec::new();
    for source in sources() {
        let name = source.name();
        if name.ends_with("_tests.rs") {
            continue;
        }
        match (
            sentences(&source.text),
            ONE_SENTENCE.contains(&name.as_str()),
        ) {
            (0, _) => faults.push(format!("{name} does not open with a sentence after //!")),
            (1, false) => faults.push(format!("{name} does not say what it leaves out")),
            _ => {}
        }
    }
    assert_none(faults);
}

#[test]
fn sentences_of_a_module_doc_are_counted() {
    for (text, count) in [
        ("use a;", 0),
        ("//! a heading\nuse a;", 0),
        ("//! One, e.g. this.\nuse a;", 1),
        (
            "//! One.\n//!\n//! Two `a.b`\n//! more. `c` is three.\nuse a;",
            3,
        ),
    ] {
        assert_eq!(sentences(text), count, "{text}");
    }
}

#[test]
fn file_named_for_leftovers_is_reported() {
    let vague = ["util", "utils", "common", "helpers", "types", "misc"];
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| {
            source.path.components().any(|part| {
                vague.contains(&part.as_os_str().to_string_lossy().trim_end_matches(".rs"))
            })
        })
        .map(Source::name)
        .collect();
    assert_none(faults);
}

#[test]
fn file_that_is_too_long_is_reported() {
    let sizes: Vec<(usize, String)> = sources()
        .iter()
        .map(|source| (source.product().lines().count(), source.name()))
        .collect();
    let mut faults: Vec<String> = sizes
        .iter()
        .filter(|(lines, _)| *lines > 600)
        .map(|(lines, name)| format!("{name} has {lines} lines without its tests"))
        .collect();
    let mut counts: Vec<usize> = sizes.iter().map(|(lines, _)| *lines).collect();
    counts.sort_unstable();
    let at = |share: usize| counts[(counts.len() - 1) * share / 100];
    if at(50) > 200 {
        faults.push(format!("the median file has {} lines", at(50)));
    }
    if at(90) > 400 {
        faults.push(format!("one file in ten has more than {} lines", at(90)));
    }
    assert_none(faults);
}

#[test]
fn note_of_unfinished_work_is_reported() {
    let soft = ["todo!", "unimplemented!", "FIXME", "TODO", "XXX"];
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if soft.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}: {line}", source.name(), number + 1));
            }
        }
    }
    assert_none(faults);
}

#[test]
fn test_file_that_does_not_run_is_reported() {
    let folder = root().join("tests/it");
    let names = |path: &Path, name: &str| {
        let text = std::fs::read_to_string(path).expect("the file that lists it");
        text.contains(&format!("mod {name};"))
    };
    let faults: Vec<String> = files(&folder, "rs")
        .iter()
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?;
            let parent = path.parent()?;
            let listing = if parent == folder {
                folder.join("main.rs")
            } else {
                parent.with_extension("rs")
            };
            let is_listed = name == "main" || names(&listing, name);
            (!is_listed).then(|| format!("{} is not listed and never runs", path.display()))
        })
        .collect();
    assert_none(faults);
}

/// Each snapshot belongs to a case, a sample or a name in a test, and none is pending: the check of
/// `cargo insta test --unreferenced=reject` without a second tool.
#[test]
fn snapshot_without_a_test_is_reported() {
    let tests = files(&root().join("tests/it"), "rs");
    let tests: Vec<String> = tests
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("a test file"))
        .collect();
    let is_named = |name: &str| {
        tests
            .iter()
            .any(|test| test.contains(&format!("\"{name}\"")))
    };
    let snapshots = root().join("snapshots");
    let mut expected = BTreeSet::new();
    for path in ["cases", "samples"]
        .iter()
        .flat_map(|kind| files(&root().join("tests").join(kind), "json"))
    {
        let below = path
            .strip_prefix(root().join("tests"))
            .expect("below tests");
        // Samples of rules state their own results.
        if below
            .parent()
            .is_none_or(|folder| !folder.ends_with("rules"))
        {
            expected.insert(below.with_extension("snap"));
        }
    }
    let mut faults: Vec<String> = expected
        .iter()
        .filter(|below| !snapshots.join(below).is_file())
        .map(|below| format!("snapshots/{} is missing", below.display()))
        .collect();
    for path in files(&snapshots, "snap") {
        let below = path.strip_prefix(&snapshots).expect("below snapshots");
        let folder = below.iter().next().expect("a folder").to_string_lossy();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let has_test = match folder.as_ref() {
            "cases" | "samples" => expected.contains(below),
            // Their names come from the catalog: `contracts` compares the two.
            "schema" | "reference" => below.iter().count() == 2,
            "cli" => is_named(&name),
            _ => false,
        };
        if !has_test {
            faults.push(format!("snapshots/{} belongs to no test", below.display()));
        }
    }
    for (folder, extension) in [
        ("snapshots", "new"),
        ("src", "pending-snap"),
        ("tests", "pending-snap"),
    ] {
        let pending = files(&root().join(folder), extension);
        faults.extend(
            pending
                .iter()
                .map(|path| format!("{} is pending", path.display())),
        );
    }
    assert_none(faults);
}
