//! The guides: every page of `guides/` is in the binary, and its console blocks do what they show.
//!
//! Each guide runs in an empty folder of its own, as a reader with only the binary starts.

use std::collections::BTreeSet;
use std::path::Path;

use soarhost::front::cli::GUIDES;

use crate::architecture::{assert_none, files};
use crate::console;

#[test]
fn every_console_block_does_what_it_says() {
    let run = |guide: &soarhost::front::cli::Guide| {
        let folder = tempfile::tempdir().expect("a folder");
        console::faults(
            &format!("guides/{}.md", guide.topic),
            guide.text,
            folder.path(),
        )
    };
    let faults = std::thread::scope(|scope| {
        let started: Vec<_> = GUIDES
            .iter()
            .map(|guide| scope.spawn(move || run(guide)))
            .collect();
        let ended = started.into_iter().map(|one| one.join().expect("a guide"));
        ended.flatten().collect::<Vec<String>>()
    });
    assert_none(faults);
}

#[test]
fn every_page_is_a_topic_and_every_link_leads_to_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = files(&root.join("guides"), "md");
    let pages = pages
        .iter()
        .map(|path| path.file_stem().expect("a name").to_string_lossy());
    let topics = GUIDES.iter().map(|guide| guide.topic.into());
    assert_eq!(pages.collect::<BTreeSet<_>>(), topics.collect());
    let link = regex::Regex::new(r"\]\(([^)#:]+)(?:#[^)]*)?\)").expect("a pattern");
    let readme = [(
        "README.md",
        include_str!("../../README.md"),
        root.to_owned(),
    )];
    let guides = GUIDES
        .iter()
        .map(|guide| (guide.topic, guide.text, root.join("guides")));
    let broken = readme
        .into_iter()
        .chain(guides)
        .flat_map(|(name, text, folder)| {
            let links = link.captures_iter(text).map(|found| found[1].to_owned());
            let broken = links.filter(move |link| !folder.join(link).exists());
            broken.map(move |link| format!("{name}: {link} does not exist"))
        });
    assert_none(broken);
}

/// A new user makes a product of their own with the binary, the guide and an empty folder.
#[test]
fn guide_of_manifests_leads_to_a_command_that_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let guide = include_str!("../../guides/manifest.md");
    let codes = console::exit_codes("guides/manifest.md", guide, folder.path());
    let failed = codes.iter().filter(|(_, code)| *code != Some(0));
    assert_none(failed.map(|(command, code)| format!("{command} ends with {code:?}")));
    for command in ["validate", "--catalog . try", "--catalog . run"] {
        assert!(
            codes.iter().any(|(one, _)| one.contains(command)),
            "{command}"
        );
    }
}
