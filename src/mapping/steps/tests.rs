//! The steps of a field, one after the other, on single values and arrays.

use super::*;
use serde_json::json;

fn steps(field: &Value, singular: bool) -> Steps {
    let mut whole = json!({"field": "F", "path": ".f"});
    let members = whole.as_object_mut().expect("an object");
    members.extend(field.as_object().expect("an object").clone());
    let field: Field = serde_json::from_value(whole).expect("a field");
    Steps::compile(&field, singular).expect("steps")
}

fn one(field: &Value, raw: &str) -> Option<String> {
    steps(field, true).run([raw].into_iter()).value
}

fn many(field: &Value, raw: &[&str]) -> Option<String> {
    steps(field, false).run(raw.iter().copied()).value
}

#[test]
fn value_of_a_singular_path_is_scalar_else_a_list() {
    assert_eq!(one(&json!({}), "1.50").as_deref(), Some("1.50"));
    assert_eq!(one(&json!({}), "null"), None);
    assert_eq!(many(&json!({}), &["1"]).as_deref(), Some("[1]"));
    assert_eq!(many(&json!({}), &["null", "2"]).as_deref(), Some("[2]"));
    assert_eq!(many(&json!({}), &["null"]), None);
    let twice = steps(&json!({}), true).run(["1", "2"].into_iter()).value;
    assert_eq!(twice.as_deref(), Some("2"));
}

#[test]
fn take_selects_from_the_matches() {
    let raw = [r#""b""#, "null", r#""a""#, r#""b""#];
    let taken = |take: &str| many(&json!({ "take": take }), &raw);
    assert_eq!(taken("all").as_deref(), Some(r#"["b","a","b"]"#));
    assert_eq!(taken("first").as_deref(), Some(r#""b""#));
    assert_eq!(taken("last").as_deref(), Some(r#""b""#));
    assert_eq!(taken("unique").as_deref(), Some(r#"["b","a"]"#));
    assert_eq!(taken("join").as_deref(), Some(r#""b, a, b""#));
}

#[test]
fn steps_run_in_a_fixed_order() {
    let field = json!({
        "regex": "level-(\\w+)", "values": {"2": 20}, "type": "integer",
        "format": "sev {}", "default": "none"
    });
    assert_eq!(one(&field, r#""level-2""#).as_deref(), Some(r#""sev 20""#));
    assert_eq!(one(&field, r#""level-03""#).as_deref(), Some(r#""sev 3""#));
    assert_eq!(one(&field, r#""other""#).as_deref(), Some(r#""none""#));
    let outcome = steps(&field, true).run([r#""level-x""#].into_iter());
    assert_eq!(
        (outcome.value.as_deref(), outcome.dropped),
        (Some(r#""none""#), 1)
    );
}

#[test]
fn type_preserves_digits_and_drops_values_that_cannot_be_converted() {
    let typed = |kind: &str, raw: &str| one(&json!({ "type": kind }), raw);
    let big = "123456789012345678901234567890";
    assert_eq!(typed("integer", big).as_deref(), Some(big));
    assert_eq!(typed("integer", r#"" 007.0 ""#).as_deref(), Some("7"));
    assert_eq!(typed("integer", "1.5"), None);
    assert_eq!(typed("integer", "true"), None);
    assert_eq!(typed("number", "1.0e400").as_deref(), Some("1.0e400"));
    assert_eq!(typed("number", r#""0.10""#).as_deref(), Some("0.10"));
    assert_eq!(typed("number", r#""x""#), None);
    assert_eq!(typed("boolean", r#""True""#).as_deref(), Some("true"));
    assert_eq!(typed("boolean", "1"), None);
    assert_eq!(
        typed("text", r#"{"a":1.0}"#).as_deref(),
        Some(r#""{\"a\":1.0}""#)
    );
    assert_eq!(typed("text", r#""\ud83d""#).as_deref(), Some(r#""\ud83d""#));
    let time = r#""2026-01-14T10:00:00.1234567""#;
    assert_eq!(
        typed("datetime", time).as_deref(),
        Some(r#""2026-01-14T10:00:00.1234567Z""#)
    );
    assert_eq!(typed("datetime", "1768384800"), None);
    assert_eq!(
        typed("json", r#""{ \"a\": 1.0 }""#).as_deref(),
        Some(r#"{"a":1.0}"#)
    );
    assert_eq!(typed("json", r#""plain""#), None);
}

#[test]
fn element_that_cannot_be_converted_is_dropped_and_counted() {
    let raw = ["1", r#""x""#, r#""3""#, "{}"];
    let outcome = steps(&json!({"type": "integer"}), false).run(raw.into_iter());
    assert_eq!(outcome.value.as_deref(), Some("[1,3]"));
    assert_eq!(outcome.dropped, 2);
}

#[test]
fn default_of_a_list_is_a_list() {
    let field = json!({"default": "Unknown"});
    assert_eq!(one(&field, "null").as_deref(), Some(r#""Unknown""#));
    assert_eq!(many(&field, &[]).as_deref(), Some(r#"["Unknown"]"#));
    assert_eq!(many(&json!({"default": []}), &[]).as_deref(), Some("[]"));
}

#[test]
fn look_up_returns_any_json_and_unlisted_values_unchanged() {
    let field = json!({"values": {"high": {"n": 1}, "true": "yes"}});
    assert_eq!(one(&field, r#""high""#).as_deref(), Some(r#"{"n":1}"#));
    assert_eq!(one(&field, "true").as_deref(), Some(r#""yes""#));
    assert_eq!(one(&field, r#""low""#).as_deref(), Some(r#""low""#));
}

#[test]
fn star_in_a_look_up_is_for_every_other_value() {
    let field = json!({"values": {"high": 4, "*": 99}});
    assert_eq!(one(&field, r#""high""#).as_deref(), Some("4"));
    assert_eq!(one(&field, r#""odd""#).as_deref(), Some("99"));
    assert_eq!(one(&field, "null"), None);
}

#[test]
fn time_becomes_milliseconds_since_1970() {
    let field = json!({"type": "epoch_ms"});
    let time = r#""2026-01-14T10:00:00.1239""#;
    assert_eq!(one(&field, time).as_deref(), Some("1768384800123"));
    assert_eq!(
        one(&field, r#""1969-12-31T23:59:59Z""#).as_deref(),
        Some("-1000")
    );
    assert_eq!(one(&field, "1768384800"), None);
}

#[test]
fn format_of_json_holds_the_value_unchanged() {
    let field = json!({"format": {"uid": "{}", "also": ["{}"], "text": "\"{}\""}});
    assert_eq!(
        one(&field, "1.50").as_deref(),
        Some(r#"{"uid":1.50,"also":[1.50],"text":"\"{}\""}"#)
    );
    let each = many(&json!({"format": {"uid": "{}"}}), &[r#""a""#, r#""b""#]);
    assert_eq!(each.as_deref(), Some(r#"[{"uid":"a"},{"uid":"b"}]"#));
}

#[test]
fn step_that_does_not_compile_is_named() {
    let field = Field {
        regex: Some("(".into()),
        format: Some("no place".into()),
        ..Field::default()
    };
    let faults = Steps::compile(&field, true).expect_err("two faults");
    let keys: Vec<_> = faults.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["regex", "format"]);
    assert!(faults[0].1.contains("unclosed group"), "{}", faults[0].1);
}
