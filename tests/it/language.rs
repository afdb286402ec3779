//! What users read is plain English: help, reference pages, schemas, guides and the README avoid these
//! phrases.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// Phrases that readers had to read twice, and what to write instead.
const PHRASES: [(&str, &str); 26] = [
    ("whoever", "the client, the user"),
    ("whatever", "any, each; or the name of the thing"),
    ("nobody|anybody", "no client, any client"),
    ("tells?|told", "reports, lists, distinguishes"),
    ("for ever|for good", "permanently"),
    (
        "(?:status codes|quota|trouble|names?|places?|parameters?|application) of (?:its|their|your) own",
        "its own, your",
    ),
    ("in place of", "instead of"),
    ("(?:go|goes|going|went) on", "continues, resumes"),
    ("(?:a|the|this|each) face|faces", "integration"),
    ("the house", "the architecture"),
    ("mends?|mended", "correct, fix"),
    ("is no", "is not a"),
    ("strangers?", "independent"),
    (
        "kept state|keeps? (?:\\w+ )+(?:back|from)",
        "stored state; \"the others are still fetched\"",
    ),
    ("thr(?:ow|ows|own|ew) away", "deletes"),
    ("anew|afresh", "again"),
    ("ask(?:s|ed)?", "requests, sends"),
    ("so many|so much", "the given number"),
    ("unless given|without any,", "Default:"),
    ("what stands|stands (?:in|for)|stood", "is in, is at, means"),
    ("(?:is|are|was|were) to (?:be|do|have)", "must"),
    ("need not|beside", "does not need to; next to, also"),
    ("as far as|says so|judges?|judged", "up to; reports; checks"),
    ("by itself", "independently, without a user"),
    ("brought back|comes back|come back", "returned"),
    ("had later|is gone", "fetched later; is deleted"),
];

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let pattern = |(phrase, _): &(&str, &str)| {
        Regex::new(&format!(r"(?i)\b(?:{phrase})\b")).expect("a pattern")
    };
    PHRASES.iter().map(pattern).collect()
});

fn texts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = vec![root.join("README.md")];
    for folder in [
        "guides",
        "snapshots/cli",
        "snapshots/reference",
        "snapshots/schema",
    ] {
        let files = std::fs::read_dir(root.join(folder)).expect("a folder");
        texts.extend(files.map(|file| file.expect("a file").path()));
    }
    texts
}

/// Each phrase of the list in the text, with the words before it and the replacement.
fn faults(text: &str) -> Vec<String> {
    // A sentence can continue on the next line, also inside a JSON text; "there is no …" is plain.
    let text = text.replace("\\n", " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.replace("here is no ", "");
    let found = PATTERNS
        .iter()
        .zip(PHRASES)
        .flat_map(|(phrase, (_, instead))| {
            let near = phrase.find_iter(&text).map(|found| {
                let before = text[..found.start()].char_indices().rev().nth(40);
                &text[before.map_or(0, |(at, _)| at)..found.end()]
            });
            near.map(|near| format!("…{near}: write {instead}"))
                .collect::<Vec<_>>()
        });
    found.collect()
}

#[test]
fn visible_text_has_none_of_the_worst_phrases() {
    let found: Vec<String> = texts()
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("a text");
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            faults(&text)
                .into_iter()
                .map(move |fault| format!("{name}: {fault}"))
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn phrase_is_found_as_whole_words_across_lines() {
    assert_eq!(faults("A run goes\non where it ended.").len(), 1);
    assert_eq!(faults("Give it in place of\n  a secret.").len(), 1);
    assert_eq!(faults(r"The service\nasks again.").len(), 1);
    assert!(faults("Recommends a tellurium surface. There is no command.").is_empty());
}
