//! Tests of the comparison: which events belong together, and the parts of a definition that differ.
//!
//! Printing is tested with the command line.

use super::*;

fn definition(root: &str, key: &str, sources: &str) -> Definition {
    let text = format!(
        r#"{{"mapping":1,"vocabulary":"own","root":"{root}","key":"{key}","sources":[{sources}]}}"#
    );
    Definition::parse(&text, "m").expect("a mapping")
}

fn compare(old: &Definition, new: &Definition, sample: &str) -> Difference {
    let mut comparison = Comparison::new(old, new).expect("both compile");
    let raw = Document::parse(sample).expect("JSON");
    comparison.add("s", &raw).expect("it maps");
    comparison.finish()
}

/// `part key: old → new` of each difference in an event.
fn rows(difference: &Difference) -> Vec<String> {
    let text =
        |value: &Option<Box<RawValue>>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
    let row = |one: &EventChange| {
        format!(
            "{:?} {}: {} → {}",
            one.part,
            one.key,
            text(&one.old),
            text(&one.new)
        )
    };
    difference.events.iter().map(row).collect()
}

const X: &str = r#"{"id":"default","fields":[{"field":"x","path":".x"}]}"#;
const Y: &str = r#"{"id":"default","fields":[{"field":"x","path":".y"}]}"#;

#[test]
fn events_of_the_same_record_are_compared_also_if_the_key_changed() {
    let (old, new) = (definition("$", ".a", X), definition("$", ".b", Y));
    let sample = r#"[{"a":1,"b":2,"x":"u","y":"v"},{"a":2,"b":1,"x":"w","y":"w"},null]"#;
    let found = compare(&old, &new, sample);
    let expected = [
        "Key 1: \"1\" → \"2\"",
        "Field 1: \"u\" → \"v\"",
        "Key 2: \"2\" → \"1\"",
    ];
    assert_eq!(rows(&found), expected);
    assert_eq!((found.compared, found.differing), (2, 2));
    assert_eq!(found.fields[0].events, 1);
}

#[test]
fn events_of_different_records_are_paired_by_key() {
    let (old, new) = (definition("$.p", ".a", X), definition("$.q", ".a", X));
    let sample = r#"{"p":[{"a":1,"x":1},{"a":2,"x":2},{"a":2,"x":3}],
                     "q":[{"a":3,"x":1},{"a":2,"x":2},{"a":2,"x":4}]}"#;
    let found = compare(&old, &new, sample);
    let expected = ["Event 1: \"1\" → -", "Field 2: 3 → 4", "Event 3: - → \"3\""];
    assert_eq!(rows(&found), expected);
    assert_eq!(found.definition[0].part, "root");
}

#[test]
fn events_are_paired_in_their_order_if_root_and_key_changed() {
    let (old, new) = (definition("$.p", ".a", X), definition("$.p[*]", ".b", X));
    let sample = r#"{"p":[{"a":1,"b":5,"x":1},{"a":2,"b":6,"x":2}]}"#;
    let expected = ["Key 1: \"1\" → \"5\"", "Key 2: \"2\" → \"6\""];
    assert_eq!(rows(&compare(&old, &new, sample)), expected);
}

#[test]
fn change_that_no_event_shows_is_reported_and_a_note_is_not() {
    let table = |entries: &str| {
        format!(
            r#"{{"id":"default","fields":[{{"field":"x","path":".x","values":{{{entries}}}}}]}}"#
        )
    };
    let old = definition("$", ".a", &table(r#""u":1,"v":2"#));
    let new = definition("$", ".a", &table(r#""v":3,"u":1"#));
    let found = compare(&old, &new, r#"[{"a":1,"x":"u"}]"#);
    let part = PartChange {
        source: None,
        part: "values.\"v\"".to_owned(),
        old: Some(2.into()),
        new: Some(3.into()),
    };
    assert_eq!(found.fields[0].definition, [part]);
    assert_eq!((found.fields[0].events, found.differing), (0, 0));
    assert!(!found.is_empty());

    let noted = X
        .replace(r#"".x""#, r#"".x","note":"n""#)
        .replace("{\"id\"", "{\"title\":\"t\",\"id\"");
    let (old, new) = (definition("$", ".a", X), definition("$", ".a", &noted));
    assert!(compare(&old, &new, r#"[{"a":1,"x":"u"}]"#).is_empty());
}

#[test]
fn source_that_is_added_renamed_or_moved_is_reported() {
    let one = r#"{"id":"one","when":"@.one","fields":[{"field":"x","path":".z"}]},"#;
    let two = r#"{"id":"two","when":"@.two","fields":[]},"#;
    let last = X.replace("default", "rest");
    let old = definition("$", ".a", &format!("{one}{two}{X}"));
    let new = definition("$", ".a", &format!("{two}{one}{last}"));
    let found = compare(&old, &new, r#"[{"a":1,"one":1,"two":1,"x":1,"z":2}]"#);
    let parts: Vec<&str> = found
        .definition
        .iter()
        .map(|one| one.part.as_str())
        .collect();
    assert_eq!(parts, ["id", "order of sources"]);
    assert_eq!(
        rows(&found),
        ["Source 1: \"one\" → \"two\"", "Field 1: 2 → 1"]
    );

    let (old, new) = (
        definition("$", ".a", X),
        definition("$", ".a", &format!("{one}{X}")),
    );
    let found = compare(&old, &new, "[]");
    assert_eq!(found.definition[0].part, "when");
    assert_eq!(found.fields[0].definition[0].source.as_deref(), Some("one"));
}

#[test]
fn nesting_and_rest_are_compared() {
    let own = |members: &str| {
        let text = format!(
            r#"{{"mapping":1,"vocabulary":"own",{members}"root":"$","sources":[{{"id":"default",
            "fields":[{{"field":"x","path":".x"}}]}}]}}"#
        );
        Definition::parse(&text, "m").expect("a mapping")
    };
    let sample = r#"[{"x":1,"y":2}]"#;
    let found = compare(&own(""), &own(r#""nest":true,"#), sample);
    assert_eq!(found.definition[0].part, "nest");
    let (old, new) = (own(r#""nest":true,"#), own(r#""nest":true,"rest":"left","#));
    let found = compare(&old, &new, sample);
    assert_eq!(found.definition[0].part, "rest");
    assert_eq!(found.fields[0].name, "left");
    assert_eq!(
        found.events[0].new.as_ref().map(ToString::to_string),
        Some(r#"{"y":2}"#.to_owned())
    );
}

#[test]
fn numbers_keep_their_digits_and_fields_of_nested_events_are_compared_one_by_one() {
    let nested = |path: &str| {
        let text = format!(
            r#"{{"mapping":1,"vocabulary":"own","nest":true,"root":"$","sources":[{{"id":"default",
            "fields":[{{"field":"a.b","path":".x"}},{{"field":"a.c","path":"{path}"}}]}}]}}"#
        );
        Definition::parse(&text, "m").expect("a mapping")
    };
    let found = compare(
        &nested(".y"),
        &nested(".z"),
        r#"[{"x":1,"y":18446744073709551616,"z":1.0}]"#,
    );
    let json = serde_json::to_string(&found).expect("it serializes");
    assert!(
        json.contains(r#""field":"a.c","old":18446744073709551616,"new":1.0"#),
        "{json}"
    );
    assert!(
        json.contains(r#""fields":{"a.c":{"change":"changed","events":1,"#),
        "{json}"
    );
}
