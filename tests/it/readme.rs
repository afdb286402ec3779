//! The README: its console blocks do what they show, and its table lists all integrations.

use std::collections::BTreeSet;

use soarhost::host::catalog::Catalog;

use crate::architecture::assert_none;
use crate::console;

#[test]
fn every_console_block_does_what_it_says() {
    let text = include_str!("../../README.md");
    // Commands may write files: they run in a folder that only links to the repository.
    let folder = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the repository") {
        let path = entry.expect("an entry").path();
        let link = folder.path().join(path.file_name().expect("a name"));
        std::os::unix::fs::symlink(path, link).expect("a link");
    }
    assert_none(console::faults("README.md", text, folder.path()));
}

#[test]
fn table_of_integrations_lists_all_manifests_and_commands() {
    let readme = include_str!("../../README.md").lines();
    let mut rows: Vec<Vec<&str>> = readme
        .filter(|line| line.starts_with("| `") && line.contains("](snapshots/reference/"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let catalog = Catalog::builtin().expect("the catalog");
    let mut missing = Vec::new();
    for manifest in catalog.manifests().expect("manifests") {
        // For tests of platforms: the README describes it in its own section.
        if manifest.id == "chaos" {
            continue;
        }
        let (id, title) = (format!("`{}`: ", manifest.id), &manifest.title);
        let page = format!("[page](snapshots/reference/{}.snap.md)", manifest.id);
        let titles: BTreeSet<&str> = manifest
            .commands
            .iter()
            .map(|one| one.title.as_str())
            .collect();
        let is_own = |row: &Vec<&str>| {
            let listed = row[2]
                .split([',', ';'])
                .map(|name| full_name(name.trim(), &titles));
            let listed: Option<BTreeSet<&str>> = listed.collect();
            row[1].starts_with(&id)
                && row[1].contains(title)
                && row[3] == page
                && listed.as_ref() == Some(&titles)
        };
        match rows.iter().position(is_own) {
            Some(row) => drop(rows.remove(row)),
            None => missing.push(format!("| {id}{title} | {titles:?} | {page} |")),
        }
    }
    assert!(
        missing.is_empty() && rows.is_empty(),
        "missing: {missing:?}\nwrong: {rows:?}"
    );
}

/// The command with this title. `-list` is the end of one.
fn full_name<'a>(name: &str, titles: &BTreeSet<&'a str>) -> Option<&'a str> {
    let is_meant =
        |title: &&&str| **title == name || name.starts_with('-') && title.ends_with(name);
    let mut meant = titles.iter().filter(is_meant);
    let found = meant.next().copied();
    found.filter(|_| meant.next().is_none())
}
