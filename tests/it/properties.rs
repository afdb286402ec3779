//! JSONPath: the automaton, the general evaluator and two libraries agree, and the compliance suite of
//! RFC 9535 passes.
//!
//! Where a library is known to differ from the RFC, a comment in the test says how.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use soarhost::json::Document;
use soarhost::mapping::{Extractor, FieldPath};

/// The values that the automaton finds, or the general evaluator if the automaton does not support
/// the path.
fn by_extractor<'a>(path: &str, document: &'a Document) -> Vec<&'a str> {
    let extractor = Extractor::compile([("x", path)], "t").expect("a legal path");
    let found = extractor.run(document).expect("within the budget");
    // The names borrow from the extractor, the values from the document.
    let places: Vec<(usize, usize)> = found[0]
        .values
        .iter()
        .map(|value| {
            (
                value.as_ptr() as usize - document.text().as_ptr() as usize,
                value.len(),
            )
        })
        .collect();
    places
        .into_iter()
        .map(|(at, len)| &document.text()[at..at + len])
        .collect()
}

fn parsed(raw: &[&str]) -> Vec<Value> {
    raw.iter()
        .map(|text| serde_json::from_str(text).expect("plain JSON"))
        .collect()
}

#[test]
fn compliance_suite_passes() {
    let suite: Value = serde_json::from_str(include_str!("../rfc9535/cts.json")).expect("JSON");
    let cases = suite["tests"].as_array().expect("a list");
    assert_eq!(cases.len(), 703);
    let mut common = 0;
    let mut failed = Vec::new();
    for case in cases {
        let path = FieldPath::parse(case["selector"].as_str().expect("a text"));
        let legal = path.ok().filter(FieldPath::absolute);
        let is_correct = match legal {
            None => case["invalid_selector"] == true,
            Some(_) if case["invalid_selector"] == true => false,
            Some(path) => {
                let document = Document::from_value(&case["document"]).expect("JSON");
                let general = path.evaluate(&document).expect("within the budget");
                common += usize::from(path.common());
                expected(case, &parsed(&general)) && by_extractor(path.text(), &document) == general
            }
        };
        if !is_correct {
            failed.push(format!("{}: {}", case["name"], case["selector"]));
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(common > 60, "the automaton took only {common} of the paths");
}

fn expected(case: &Value, found: &[Value]) -> bool {
    let is = |wanted: &Value| wanted.as_array().is_some_and(|wanted| wanted == found);
    is(&case["result"])
        || case["results"]
            .as_array()
            .is_some_and(|any| any.iter().any(is))
}

/// A document as text, so that it can contain tokens that a tree cannot represent.
fn document(
    scalars: &'static [&'static str],
    names: &'static [&'static str],
    distinct: bool,
) -> impl Strategy<Value = String> {
    let leaf = select(scalars).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let array = prop::collection::vec(inner.clone(), 0..5);
        let object = prop::collection::vec((select(names), inner), 0..6);
        prop_oneof![
            array.prop_map(|items| format!("[{}]", items.join(","))),
            object.prop_map(move |members| {
                let mut seen = std::collections::HashSet::new();
                let kept = members
                    .iter()
                    .filter(|(name, _)| !distinct || seen.insert(*name));
                let members: Vec<_> = kept
                    .map(|(name, value)| format!("{name}:{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn plain() -> impl Strategy<Value = String> {
    document(
        &[
            "0",
            "1",
            "2.5",
            "-1",
            "100",
            "\"a\"",
            "\"b\\\"]\"",
            "\"\"",
            "true",
            "null",
            "\"ab\"",
            "{}",
            "[]",
        ],
        &["\"a\"", "\"b\"", "\"c\"", "\"é\"", "\"a b\""],
        true,
    )
}

/// Documents that a tree cannot represent: long numbers, `1e400`, lone surrogates, repeated members.
fn unrepresentable() -> impl Strategy<Value = String> {
    document(
        &[
            "18446744073709551616",
            "1e400",
            "-0.0",
            "1.50",
            "\"\\ud83d\"",
            "\"\\u0041\"",
            "null",
        ],
        &[
            "\"a\"",
            "\"b\"",
            "\"\\u0061\"",
            "\"\\ud83d\"",
            "\"$serde_json::private::RawValue\"",
            "\"c\"",
        ],
        false,
    )
}

fn common_segment() -> impl Strategy<Value = &'static str> {
    select(
        &[
            ".a",
            ".b",
            "['c']",
            ".é",
            "[\"a b\"]",
            "[0]",
            "[1]",
            "[*]",
            ".*",
        ][..],
    )
}

/// A path of the common subset with at most one `..`.
fn common_path() -> impl Strategy<Value = String> {
    let tail = || prop::collection::vec(common_segment(), 0..4);
    let deep = select(
        &[
            "",
            "",
            "..a",
            "..b",
            "..*",
            "..[0]",
            "..['c']",
            "..[\"a b\"]",
        ][..],
    );
    (tail(), deep, tail())
        .prop_map(|(before, deep, after)| format!("${}{deep}{}", before.concat(), after.concat()))
}

fn any_path() -> impl Strategy<Value = String> {
    let special = select(
        &[
            "[-1]",
            "[1:]",
            "[::-1]",
            "[0,1]",
            "['a','b']",
            "..['b','a']",
            "..a",
            "..*",
            "..[1:]",
            "[?@.a]",
            "[?@.a == 1]",
            "[?@ > 0]",
            "[?@.a != @.b]",
            "[?@.a < $[0]]",
            "[?!@.b]",
            "[?count(@.*) > 1]",
            "[?length(@) == 2]",
            "[?value(@..a) == 1]",
            "[?@[?@ > 0]]",
            "[?search(@, 'a.?')]",
            "[?match(@.a, 'a')]",
            "[?@.a && (@.b || @.c)]",
            "..[?@.a == @.b]",
            "[?@..a]",
            "[*,0]",
            "[?@.*, 0]",
        ][..],
    );
    let segment = prop_oneof![common_segment(), special];
    prop::collection::vec(segment, 0..4).prop_map(|segments| format!("${}", segments.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn automaton_general_evaluator_and_libraries_agree(text in plain(), path in common_path()) {
        let document = Document::parse(&text).expect("JSON");
        let read = FieldPath::parse(&path).expect("a legal path");
        prop_assert!(read.common());
        let found = by_extractor(&path, &document);
        prop_assert_eq!(&found, &read.evaluate(&document).expect("within the budget"));
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let found = parsed(&found);
        prop_assert_eq!(&found, &by_serde_json_path(&path, &value));
        let rust = jsonpath_rust::parser::parse_json_path(&path).expect("a legal path");
        let rust = jsonpath_rust::query::js_path_process(&rust, &value).expect("nodes");
        let rust: Vec<Value> = rust.into_iter().map(|node| node.val().clone()).collect();
        // The RFC does not fix the order of nodes below `..`, and jsonpath-rust has another one.
        if path.contains("..") {
            prop_assert_eq!(sorted(&found), sorted(&rust));
        } else {
            prop_assert_eq!(found, rust);
        }
    }

    #[test]
    fn any_legal_path_finds_the_same_as_the_library(text in plain(), path in any_path()) {
        let document = Document::parse(&text).expect("JSON");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let found = by_extractor(&path, &document);
        prop_assert_eq!(parsed(&found), by_serde_json_path(&path, &value));
    }

    #[test]
    fn values_that_a_tree_cannot_represent_are_unchanged(text in unrepresentable(), path in common_path()) {
        let document = Document::parse(&text).expect("JSON");
        let general = FieldPath::parse(&path).expect("legal").evaluate(&document);
        let general = general.expect("within the budget");
        let places = |found: &[&str]| -> Vec<_> { found.iter().map(|raw| raw.as_ptr()).collect() };
        let found = by_extractor(&path, &document);
        prop_assert_eq!(&found, &general);
        prop_assert_eq!(places(&found), places(&general), "the same places of the text");
    }

    #[test]
    fn path_is_legal_if_and_only_if_the_library_accepts_it(
        path in any_path(),
        at in any::<prop::sample::Index>(),
        cut in 0..2_usize,
        put in select(&["", " ", ".", "[", "]", "'", "a", "1", "0", "-", "(", ")", "?", "@", "$", "*",
            ",", ":", "!", "&&", "||", "==", "<", "\"", "\\", "\n", " a", "count(@)", "true", "..", "é", "1e5 "][..]),
    ) {
        let mut letters: Vec<char> = path.chars().collect();
        let at = 1 + at.index(letters.len());
        let end = (at + cut).min(letters.len());
        letters.splice(at.min(letters.len())..end.max(at.min(letters.len())), put.chars());
        let text: String = letters.into_iter().collect();
        // serde_json_path refuses white space before `..`, which the RFC allows.
        prop_assume!(!text.contains(" ..") && !text.contains("\n.."));
        let ours = FieldPath::parse(&text);
        let theirs = serde_json_path::JsonPath::parse(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}: {:?}", text, ours.err());
    }
}

fn by_serde_json_path(path: &str, value: &Value) -> Vec<Value> {
    let path = serde_json_path::JsonPath::parse(path).expect("a legal path");
    path.query(value)
        .iter()
        .map(|node| (*node).clone())
        .collect()
}

fn sorted(values: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}
