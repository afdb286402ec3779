//! The house keeps its shape: ranks, doors, sizes, module docs, no forgotten files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Ranks from low to high; a module imports lower ranks only, and modules of one rank do not see
/// each other.
const RANKS: [&[&str]; 7] = [
    &["json", "protocol", "clock", "when", "names"],
    &["net", "manifest", "mapping"],
    &["identity"],
    &["microsoft"],
    &["ops", "output"],
    &["host"],
    &["front"],
];
/// The engine does not know how it is presented, and presentation not where data comes from.
const ENGINE: [&str; 4] = ["net", "identity", "microsoft", "ops"];
const PRESENTATION: [&str; 3] = ["manifest", "mapping", "output"];

struct Source {
    path: PathBuf,
    text: String,
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

    fn name(&self) -> String {
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

    /// Lines that are not comments, with their numbers.
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

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
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

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// The modules named by `crate::…` on a line.
fn imported(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .map(|(at, found)| {
            let rest = &line[at + found.len()..];
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            &rest[..end]
        })
        .filter(|name| !name.is_empty())
        .collect()
}

fn verdict(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn a_module_imports_lower_ranks_only() {
    let mut faults = Vec::new();
    let mut looked_at = 0;
    for source in sources() {
        let own = source.module();
        for (number, line) in source.code_lines() {
            for other in imported(line) {
                looked_at += 1;
                if let Some(why) = refused(&own, other, &source.name()) {
                    faults.push(format!("{}:{number}: {why}: {line}", source.name()));
                }
            }
        }
    }
    assert!(
        looked_at > 100,
        "only {looked_at} imports were found: the test is blind"
    );
    verdict(&faults);
}

fn refused(own: &str, other: &str, file: &str) -> Option<String> {
    if own == other || matches!(own, "lib" | "main") {
        return None;
    }
    if matches!(own, "sim" | "json") {
        return Some(format!("{own} imports no other module"));
    }
    if other == "sim" {
        let doors = ["src/front/cli/simulate.rs", "src/front/cli/sandbox.rs"];
        return (!doors.contains(&file))
            .then(|| "only the doors may start the simulator".to_owned());
    }
    let crosses = |from: &[&str], to: &[&str]| from.contains(&own) && to.contains(&other);
    if crosses(&ENGINE, &PRESENTATION) || crosses(&PRESENTATION, &ENGINE) {
        return Some(format!("{own} and {other} meet in host alone"));
    }
    match (rank(own), rank(other)) {
        (Some(mine), Some(theirs)) if theirs < mine => None,
        (Some(0), Some(0)) => None,
        (Some(_), Some(_)) => Some(format!("{own} may not import {other}")),
        _ => Some(format!("{own} or {other} has no rank")),
    }
}

#[test]
fn each_outside_effect_has_one_door() {
    let doors: [(&str, &[&str]); 8] = [
        ("reqwest::", &["src/net/client.rs"]),
        ("jsonpath_rust::", &["src/mapping/path.rs"]),
        ("Utc::now()", &["src/clock.rs"]),
        (
            "env::var",
            &["src/host/secrets.rs", "src/front/cli/args.rs"],
        ),
        ("io::stdout", &["src/front/cli/out.rs"]),
        ("io::stdin", &["src/front/cli/mod.rs"]),
        (
            "OpenOptions::",
            &["src/host/private_file.rs", "src/front/poll/file.rs"],
        ),
        ("DirBuilder::", &["src/host/private_file.rs"]),
    ];
    let mut faults = Vec::new();
    for (needle, allowed) in doors {
        let mut found = 0;
        for source in sources().iter().filter(|source| source.module() != "sim") {
            for (number, line) in source
                .code_lines()
                .filter(|(_, line)| line.contains(needle))
            {
                found += 1;
                if !allowed.contains(&source.name().as_str()) {
                    faults.push(format!(
                        "{}:{number}: {needle} has its door elsewhere: {line}",
                        source.name()
                    ));
                }
            }
        }
        if found == 0 {
            faults.push(format!(
                "{needle} was not found at all: the door moved, or the test is blind"
            ));
        }
    }
    verdict(&faults);
}

#[test]
fn the_engine_names_no_product() {
    let products = ["purview", "xsoar", "cortex", "d3 ", "d3_", "alert_v2\""];
    let mut faults = Vec::new();
    for source in sources() {
        if source.name() == "src/host/catalog.rs" || source.module() == "sim" {
            continue;
        }
        for (number, line) in source.code_lines() {
            let lower = line.to_lowercase();
            for product in products.iter().filter(|product| lower.contains(**product)) {
                faults.push(format!(
                    "{}:{number}: names {product:?}: {line}",
                    source.name()
                ));
            }
        }
    }
    verdict(&faults);
}

#[test]
fn every_file_introduces_itself() {
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{} does not open with //!", source.name()))
        .collect();
    verdict(&faults);
}

#[test]
fn no_drawer_for_leftovers() {
    let drawers = ["util", "utils", "common", "helpers", "types", "misc"];
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| {
            source.path.components().any(|part| {
                drawers.contains(&part.as_os_str().to_string_lossy().trim_end_matches(".rs"))
            })
        })
        .map(Source::name)
        .collect();
    verdict(&faults);
}

#[test]
fn files_stay_of_a_size_that_can_be_read() {
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
    verdict(&faults);
}

#[test]
fn nothing_is_left_for_later() {
    let soft = ["todo!", "unimplemented!", "FIXME", "TODO", "XXX"];
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if soft.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}: {line}", source.name(), number + 1));
            }
        }
    }
    verdict(&faults);
}

#[test]
fn every_test_file_is_listed() {
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
    verdict(&faults);
}

/// What `cargo insta test --unreferenced=reject` would say, without a second tool: a text snapshot
/// must have the case, sample, page or schema that it mirrors, and nothing may be pending.
#[test]
fn no_snapshot_is_orphaned_or_pending() {
    let mut faults = Vec::new();
    let snapshots = root().join("snapshots");
    let mut mirrored = BTreeSet::new();
    for kind in ["cases", "samples"] {
        for path in files(&root().join("tests").join(kind), "json") {
            let below = path
                .strip_prefix(root().join("tests"))
                .expect("below tests");
            mirrored.insert(below.with_extension("snap"));
        }
    }
    for path in files(&snapshots, "snap") {
        let below = path
            .strip_prefix(&snapshots)
            .expect("below snapshots")
            .to_path_buf();
        let is_mirror = below.starts_with("cases") || below.starts_with("samples");
        if is_mirror && !mirrored.contains(&below) {
            faults.push(format!(
                "snapshots/{} belongs to no case or sample",
                below.display()
            ));
        }
    }
    for missing in mirrored
        .iter()
        .filter(|below| !snapshots.join(below).is_file())
    {
        faults.push(format!("snapshots/{} is missing", missing.display()));
    }
    for pending in files(&snapshots, "new")
        .iter()
        .chain(&files(&root().join("src"), "pending-snap"))
    {
        faults.push(format!("{} is pending", pending.display()));
    }
    verdict(&faults);
}
