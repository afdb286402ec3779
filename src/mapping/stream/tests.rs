//! Streamed input against the same documents in memory, in pieces of any size.

use std::io::{self, Read};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::json::Document;
use crate::json::window::MAX_VALUE;

/// An input that is read in pieces of these sizes, again and again.
struct Pieces<'a> {
    rest: &'a [u8],
    sizes: Vec<usize>,
    next: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.next % self.sizes.len()];
        self.next += 1;
        let count = size.min(self.rest.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest = &self.rest[count..];
        Ok(count)
    }
}

/// The output for an input: a line for each record, a line for each warning, the interruption.
fn streamed(mapping: &Mapping, input: &[u8], sizes: &[usize]) -> Vec<String> {
    let pieces = Pieces {
        rest: input,
        sizes: sizes.to_vec(),
        next: 0,
    };
    let mut lines = Vec::new();
    let mut receiver = |one: Streamed<'_>| {
        lines.push(match one.event {
            Ok(event) => serde_json::to_string(&event)?,
            Err(why) => format!("line {}: {why}", one.line),
        });
        Ok(())
    };
    let (summary, ended) = mapping.stream(pieces, &mut receiver);
    lines.extend(
        summary
            .warnings
            .iter()
            .map(|one| format!("warning: {}", one.message)),
    );
    match ended {
        Ok(()) => {}
        Err(Interruption::Input(failure)) => lines.push(format!("failure: {}", failure.message())),
        Err(Interruption::Receiver(error)) => panic!("{error}"),
    }
    lines
}

/// The same for a document in memory, as a run maps it.
fn applied(mapping: &Mapping, document: &str) -> Vec<String> {
    let mapped = mapping
        .apply(&Document::parse(document).expect("JSON"))
        .expect("the root exists");
    let mut events = mapped.events.iter();
    let count = mapped.events.len() + mapped.faults.len();
    let line = |index: usize| {
        let fault = mapped.faults.iter().find(|fault| fault.index == index);
        fault.map_or_else(
            || serde_json::to_string(events.next().expect("an event")).expect("JSON"),
            |fault| format!("line 1: {}", fault.message),
        )
    };
    let mut lines: Vec<String> = (0..count).map(line).collect();
    lines.extend(
        mapped
            .warnings
            .iter()
            .map(|one| format!("warning: {}", one.message)),
    );
    lines
}

/// The lines without `line 7: `.
fn without_lines(lines: Vec<String>) -> Vec<String> {
    let shorter = |line: String| match line.split_once(" was not mapped: ") {
        Some((_, rest)) => rest.to_owned(),
        None => line,
    };
    lines.into_iter().map(shorter).collect()
}

fn mapping(root: &str, more: &str) -> Mapping {
    let text = format!(
        r#"{{"mapping":1,"root":"{root}","sources":[
            {{"id":"odd","when":"@.n == 1","fields":[{{"field":"N","custom":true,"path":".n"}}]}},
            {{"id":"rest","fields":[{{"field":"Id","custom":true,"path":".id"}},
              {{"field":"All","custom":true,"path":"..a","take":"unique"}},
              {{"field":"Time","custom":true,"path":".time","type":"datetime"}}{more}]}}]}}"#
    );
    Mapping::parse(&text, "m").expect("a mapping")
}

fn records() -> impl Strategy<Value = Vec<Value>> {
    let text = proptest::sample::select(vec!["x", "\"]},{[\\", "é\n", "", "2026-01-01", "\\u0041"]);
    let record = (text, 0..3_i64, any::<bool>()).prop_map(|(text, n, nested)| {
        let inner = if nested {
            json!([{"a": text}, [n]])
        } else {
            json!(null)
        };
        json!({"id": text, "n": n, "time": text, "x": {"a": n, "b": inner}})
    });
    let odd = proptest::sample::select(vec![json!(null), json!(7), json!("x"), json!([1])]);
    proptest::collection::vec(prop_oneof![9 => record, 1 => odd], 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn events_of_a_stream_are_those_of_the_document(
        records in records(), sizes in proptest::collection::vec(1..40_usize, 1..6), pretty: bool
    ) {
        let objects: Vec<&Value> = records.iter().filter(|one| one.is_object()).collect();
        let absolute = r#",{"field":"Tenant","custom":true,"path":"$.tenant.id"}"#;
        let document = json!({"tenant": {"id": ["t"], "x": [{}]}, "value": records, "next": [{"value": [1]}]});
        for (root, more, document) in [
            ("$.value", absolute, document.clone()),
            ("$.d.value", r#",{"field":"T","custom":true,"path":"$.d['tenant'].x[0]"}"#, json!({"c": 1, "d": document})),
            ("$['value'][*]", "", json!({"value": objects})),
            ("$", "", json!(records)),
            ("$[1].value", r#",{"field":"T","custom":true,"path":"$[0]"}"#, json!([true, document])),
            ("$[?@.n > 0]", "", json!(records)),
            ("$", "", json!({"id": 1, "raw_data": [1], "protocol": 2})),
        ] {
            let mapping = mapping(root, more);
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
            let text = text.expect("JSON");
            let expected = without_lines(applied(&mapping, &text));
            prop_assert_eq!(without_lines(streamed(&mapping, text.as_bytes(), &sizes)), expected.clone(), "{}", root);
            for result in [
                format!("{{\"protocol\":1,\"events\":[{{}}],\"return_data\":\"x\",\"raw_data\":{text},\"more\":true}}"),
                format!("{{\"raw_data\":{text},\"return_data\":\"x\",\"protocol\":1}}"),
                format!("\u{feff}{{\"protocol\":1,\"raw_data\":{text},\"return_data\":\"x\"}}\n"),
            ] {
                prop_assert_eq!(without_lines(streamed(&mapping, result.as_bytes(), &sizes)), expected.clone(), "{}", result);
            }
        }
    }

    #[test]
    fn records_in_lines_give_the_events_of_an_array(
        records in records(), sizes in proptest::collection::vec(1..40_usize, 1..6)
    ) {
        // A record is an object: the other values would be the shape of a document.
        let mut all = vec![json!({"id": "first"})];
        all.extend(records);
        let array = json!(all).to_string();
        let lines: Vec<String> = all.iter().map(Value::to_string).collect();
        let shown: Vec<String> = all.iter().map(|one| serde_json::to_string_pretty(one).expect("JSON")).collect();
        let events = without_lines(applied(&mapping("$", ""), &array));
        for root in ["$", "$.value"] {
            let mapping = mapping(root, "");
            for text in [lines.join("\n"), lines.join("\r\n\n") + "\n", lines.join(" "), shown.join("\n"), array.clone()] {
                prop_assert_eq!(without_lines(streamed(&mapping, text.as_bytes(), &sizes)), events.clone(), "{}", text);
            }
        }
    }

    #[test]
    fn any_text_is_read_to_its_end(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"value\":", "\"raw_data\":", "\"protocol\":1", "\"return_data\":1",
            "\"", "\\", "\n", " ", "1", "nul", "{\"id\":1}", "{\n}", "é", "[]", "\n{\"a\":", "null",
        ]), 0..30),
        size in 1..9_usize,
    ) {
        let text = parts.concat();
        for root in ["$", "$.value", "$[?@.n]", "$.value[*]"] {
            let mapping = mapping(root, "");
            let lines = streamed(&mapping, text.as_bytes(), &[size]);
            prop_assert_eq!(&lines, &streamed(&mapping, text.as_bytes(), &[99]), "{}", root);
            // A number or a text has no records: the stream says so.
            if text.trim_start().starts_with(['{', '['])
                && let Ok(document) = Document::parse(&text)
                && let Ok(mapped) = mapping.apply(&document)
                && !text.contains("raw_data")
                && text.matches("value").count() < 2
            {
                prop_assert_eq!(lines.len(), mapped.events.len() + mapped.faults.len(), "{}", text);
            }
        }
    }

    #[test]
    fn input_that_is_cut_delivers_what_was_complete(records in records(), cut in 0..1000_usize) {
        let mapping = mapping("$.value", "");
        let text = json!({"a": [1, {}], "value": records}).to_string();
        let whole = streamed(&mapping, text.as_bytes(), &[7]);
        let cut = cut % text.len();
        let short = streamed(&mapping, &text.as_bytes()[..cut], &[5]);
        let is_event = |line: &&String| !line.starts_with("warning") && !line.starts_with("failure");
        let events: Vec<&String> = short.iter().filter(is_event).collect();
        prop_assert!(events.iter().zip(&whole).all(|(one, other)| *one == other), "{short:?}");
        let is_reported = short.last().is_some_and(|last| last.contains("incomplete"));
        prop_assert!(cut == 0 || is_reported, "{short:?}");
    }
}

#[test]
fn faulty_record_is_reported_and_does_not_stop_the_others() {
    let by_root = mapping("$.value", "");
    let all = mapping("$", "");
    let shown = |mapping: &Mapping, text: &[u8]| {
        let lines = streamed(mapping, text, &[3]);
        let short = |line: &String| match line.split_once("\"fields\":") {
            Some((_, fields)) => fields.trim_end_matches('}').to_owned(),
            None => line.clone(),
        };
        lines.iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(
            &by_root,
            b"{\"value\":[{\"id\":1},{\"id\":tru},\n{\"id\":\"\xff\"}, 5,{\"id\":2]]}"
        ),
        [
            "{\"__Id\":1",
            "line 1: Record 1 (line 1) was not mapped: it is not JSON at line 1, column 29: expected ident.",
            "line 2: Record 2 (line 2) was not mapped: it is not UTF-8 at line 2, column 8.",
            "line 2: Record 3 (line 2) was not mapped: it is a number, expected an object.",
            "line 2: Record 4 (line 2) was not mapped: it is not JSON at line 2, column 22: expected `,` or `}`.",
        ]
    );
    for text in [
        &b"{\"id\":1}\n{\"id\":\n\n{\"id\":3} x\n{\"id\":4}"[..],
        b"{\"id\":1}\n{\"id\":\n\n{\"id\":3}}\n{\"id\":4}\n",
    ] {
        let lines = shown(&all, text);
        assert_eq!((&*lines[0], &*lines[3]), ("{\"__Id\":1", "{\"__Id\":4"));
        assert!(
            lines[1].starts_with("line 2: Record 1 (line 2) was not mapped"),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("line 4: Record 2 (line 4) was not mapped"),
            "{lines:?}"
        );
    }
    let first = shown(&by_root, b"{\"id\":\n{\"id\":2}\n{\"id\":3}\n");
    assert!(
        first[0].starts_with("line 1: Record 0 (line 1) was not mapped"),
        "{first:?}"
    );
    assert_eq!(first[1..], ["{\"__Id\":2", "{\"__Id\":3"]);
    let deep = format!(
        "[{{\"id\":{}1{}}},{{\"id\":2}}]",
        "[".repeat(130),
        "]".repeat(130)
    );
    assert_eq!(
        shown(&all, deep.as_bytes()),
        [
            "line 1: Record 0 (line 1) was not mapped: it is nested deeper than 127 levels.",
            "{\"__Id\":2"
        ]
    );
}

#[test]
fn record_beyond_the_size_limit_is_skipped() {
    let mapping = mapping("$", "");
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(MAX_VALUE));
    for text in [
        format!("[{large},{{\"id\":2}}]"),
        format!("{large}\n{{\"id\":2}}\n"),
        format!("{{\"id\":1}}\n{large}\n{{\"id\":2}}\n"),
    ] {
        let lines = streamed(&mapping, text.as_bytes(), &[10_000]);
        assert!(
            lines
                .iter()
                .any(|line| line.contains("larger than 262144 bytes"))
        );
        assert!(lines.last().is_some_and(|line| line.contains("\"__Id\":2")));
    }
    // Too large for a record: only a result can have this member.
    let result = format!(
        "{{\"raw_data\":[{{\"id\":\"{}\"}}],\"protocol\":1}}",
        "x".repeat(9)
    );
    assert_eq!(streamed(&mapping, result.as_bytes(), &[9]).len(), 1);
    let many = vec!["{\"id\":12345678}"; MAX_VALUE / 14].join(",");
    let result = format!("{{\"raw_data\":[{many}],\"protocol\":1}}");
    assert_eq!(
        streamed(&mapping, result.as_bytes(), &[60_000]).len(),
        MAX_VALUE / 14
    );
}

#[test]
fn broken_input_ends_with_its_place() {
    let mapping = mapping("$.value", "");
    for (text, expected) in [
        ("", None),
        (" \n", None),
        (
            "x",
            Some("failure: The input has no records: expected an object or an array."),
        ),
        (
            "{\"value\":[{\"id\":1} {}]}",
            Some(
                "failure: The input is not JSON at line 1, column 20: expected a comma or the end of the array or object.",
            ),
        ),
        (
            "{\"value\":[{\"id\":1},]}",
            Some("failure: The input is not JSON at line 1, column 20: expected a value."),
        ),
        (
            "{\"value\":\"x\"}",
            Some(
                "failure: The value at the root path \"$.value\" must be an array or object; the response has a text.",
            ),
        ),
        (
            "{\"valeu\":[1]}",
            Some(
                "failure: The response has no value at the root path \"$.value\": its members are \"valeu\". Did you mean \"valeu\"?",
            ),
        ),
        (
            "{\"value\":[],\"value\":[{}]}",
            Some(
                "failure: The root \"$.value\" is repeated at line 1, column 21. The records of the first one were mapped; a run uses the last one.",
            ),
        ),
        (
            "{\"protocol\":1,\"return_data\":\"\",\"raw_data\":null}",
            Some("failure: The result has no `raw_data`."),
        ),
    ] {
        let lines = streamed(&mapping, text.as_bytes(), &[2]);
        assert_eq!(lines.last().map(String::as_str), expected, "{text}");
    }
    let utf16 = streamed(&mapping, b"\xff\xfe{\0", &[1]);
    assert_eq!(
        utf16,
        ["failure: The input is UTF-16. Convert it to UTF-8."]
    );
}

#[test]
fn absolute_path_that_cannot_be_streamed_is_refused() {
    for (path, reason) in [
        ("$.tags[*]", "it can select many values"),
        ("$.value[0].id", "it is inside the root"),
        ("$", "it contains the root"),
        ("$['value']", "it contains the root"),
    ] {
        let field = format!(r#",{{"field":"T","custom":true,"path":"{path}"}}"#);
        let lines = streamed(&mapping("$.value", &field), b"{\"value\":[{}]}", &[9]);
        assert!(lines.len() == 1 && lines[0].contains(reason), "{lines:?}");
    }
    let late = r#",{"field":"T","custom":true,"path":"$.after"}"#;
    let lines = streamed(
        &mapping("$.value", late),
        b"{\"value\":[{\"id\":1}],\"after\":2}",
        &[9],
    );
    assert!(
        lines[1].contains("The path \"$['after']\" stands after the root"),
        "{lines:?}"
    );
    let bare = streamed(&mapping("$.value", late), b"[{\"id\":1}]", &[9]);
    assert!(bare[1].contains("absolute paths have no value"), "{bare:?}");
}
