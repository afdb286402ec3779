//! Fuzzing as an ordinary test: the inputs in `tests/it/corpus`, and edits of them.
//!
//! Random bytes are almost never JSON. So an ordinary run edits inputs of the corpus, and the bytes
//! that bolero generates select the edits. For coverage-guided fuzzing of raw bytes, run `cargo bolero
//! test -T --corpus-dir tests/it/corpus/<target> <test>`. Tests next to private code include this file
//! by its path, so it imports nothing of this crate.

use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::path::Path;

/// The number of edited inputs in an ordinary run.
pub(crate) const EDITED: usize = 3000;
/// The number of inputs of raw bytes, which are rarely JSON.
pub(crate) const RAW: usize = 300;

/// Texts that edits insert: tokens of JSON and of paths, and others.
const TOKENS: [&[u8]; 48] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1.5e3",
    b"1e400",
    b"18446744073709551616",
    b"-0",
    b"\"a\"",
    b"\"a\":1,",
    b"{}",
    b"[]",
    b"[[[[[[[[",
    b"]]]]]]]]",
    b"{\"a\":",
    b"\"\\u0061\"",
    b"\"\\ud83d\"",
    b"\\u0000",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
    "é".as_bytes(),
    b"\x00",
    b" ",
    b"\n",
    b"\t",
    b"$",
    b".",
    b"..",
    b"@",
    b"*",
    b"?",
    b"(",
    b")",
    b"'",
    b"==",
    b"&&",
    b"!",
    b"count(@..*)",
    b"-9223372036854775808",
];

/// The inputs of one target.
pub(crate) struct Corpus {
    files: Vec<(String, Vec<u8>)>,
}

impl Corpus {
    pub(crate) fn open(target: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/corpus");
        let entries = std::fs::read_dir(folder.join(target)).expect("a folder of inputs");
        let mut files: Vec<_> = entries
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let bytes = std::fs::read(&path).expect("an input");
                (path.display().to_string(), bytes)
            })
            .collect();
        files.sort();
        assert!(!files.is_empty(), "no inputs for {target}");
        Corpus { files }
    }

    /// Checks the property for every input of the corpus. Names the first input that breaks it.
    pub(crate) fn each(&self, property: impl Fn(&[u8]) + UnwindSafe + RefUnwindSafe) {
        for (name, bytes) in &self.files {
            let checked = catch_unwind(|| property(bytes));
            assert!(checked.is_ok(), "{name} breaks the property");
        }
    }

    /// An input of the corpus with up to eight edits. Five bytes of the recipe define each edit.
    pub(crate) fn edited(&self, recipe: &[u8]) -> Vec<u8> {
        let number = |n: usize| recipe.get(n).copied().map_or(0, usize::from);
        let mut bytes = self.files[number(0) % self.files.len()].1.clone();
        for edit in recipe.get(1..).unwrap_or_default().chunks_exact(5).take(8) {
            self.edit(&mut bytes, edit);
        }
        bytes
    }

    fn edit(&self, bytes: &mut Vec<u8>, edit: &[u8]) {
        let whole = bytes.len();
        let at = (usize::from(edit[1]) << 8 | usize::from(edit[2])) % (whole + 1);
        let (first, second) = (usize::from(edit[3]), usize::from(edit[4]));
        let end = (at + first % 16).min(whole);
        match edit[0] % 8 {
            0..=2 => drop(bytes.splice(at..at, TOKENS[first % TOKENS.len()].iter().copied())),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let token = TOKENS[second % TOKENS.len()].iter().copied();
                drop(bytes.splice(at..end, token));
            }
            5 => {
                let again = bytes[at..end].repeat(1 + second % 40);
                drop(bytes.splice(at..at, again));
            }
            6 => {
                let other = &self.files[first % self.files.len()].1;
                let from = second % (other.len() + 1);
                let to = (from + 32).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            _ => bytes.truncate(at.max(whole / 2)),
        }
    }
}

/// Checks a property for one target: the corpus, raw bytes, and edits of the corpus.
macro_rules! target {
    ($name:literal, $property:path) => {
        let corpus = Corpus::open($name);
        corpus.each($property);
        // `cargo bolero` uses the first check.
        bolero::check!()
            .with_iterations(corpus::RAW)
            .with_max_len(256)
            .for_each(|bytes: &[u8]| $property(bytes));
        bolero::check!()
            .with_iterations(corpus::EDITED)
            .with_max_len(41)
            .for_each(|recipe: &[u8]| $property(&corpus.edited(recipe)));
    };
}
pub(crate) use target;
