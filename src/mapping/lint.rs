//! Checks of a mapping file. Each fault has its place.
//!
//! Adds to the faults of `compile` the mistakes that do not stop a mapping from running: unknown
//! names of fields, and a `take` without effect. Does not read any data.

use super::compile;
use super::definition::{Definition, Field, Take, Vocabulary, place, refusal};
use super::path::FieldPath;
use crate::names;
use crate::protocol::{Failure, Watch};

/// All faults of a definition. `vocabulary` lists the standard fields; `origin` is the mapping's
/// name in faults.
///
/// A `take` after a path with at most one value is a fault: it suggests that there could be more.
pub fn lint(definition: &Definition, vocabulary: &[&str], origin: &str) -> Vec<Failure> {
    lint_within(definition, vocabulary, origin, Watch::unlimited())
}

/// All faults of a definition. If `watch` stops the check, this is the only fault.
pub fn lint_within(
    definition: &Definition,
    vocabulary: &[&str],
    origin: &str,
    watch: Watch<'_>,
) -> Vec<Failure> {
    let mut faults = match compile::compile(definition, origin, watch) {
        Ok(compiled) => compiled.err().unwrap_or_default(),
        Err(stopped) => return vec![stopped],
    };
    if definition.nest && definition.vocabulary == Vocabulary::Standard {
        let message = "`nest` requires `vocabulary`: \"own\", because standard names have no dots.";
        faults.push(refusal(message, place(origin, "/nest")));
    }
    for (s, source) in definition.sources.iter().enumerate() {
        for (f, field) in source.fields.iter().enumerate() {
            let at = |key: &str| place(origin, &format!("/sources/{s}/fields/{f}/{key}"));
            let name = match definition.vocabulary {
                Vocabulary::Standard => standard_name(field, vocabulary),
                Vocabulary::Own => own_name(field),
            };
            faults.extend(name.map(|message| refusal(message, at("field"))));
            faults.extend(useless_take(field).map(|message| refusal(message, at("take"))));
        }
    }
    faults
}

fn standard_name(field: &Field, vocabulary: &[&str]) -> Option<String> {
    let name = field.field.as_str();
    let known = vocabulary.contains(&name);
    if field.custom {
        return known.then(|| {
            format!("\"{name}\" is a standard field. Remove `custom` or choose another name.")
        });
    }
    (!known).then(|| {
        let hint = match names::nearest(name, vocabulary.iter().copied()) {
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => "Correct the name.".to_owned(),
        };
        format!("\"{name}\" is not a standard field. {hint} A custom field needs `custom`: true.")
    })
}

fn own_name(field: &Field) -> Option<String> {
    field.custom.then(|| {
        format!(
            "\"{}\" is a name of an own vocabulary, which has no custom fields. Remove `custom`.",
            field.field
        )
    })
}

fn useless_take(field: &Field) -> Option<String> {
    let take = field.take.filter(|take| *take != Take::All)?;
    let text = field.path.as_deref()?;
    let path = FieldPath::parse(text).ok()?;
    path.singular().then(|| {
        let take = format!("{take:?}").to_lowercase();
        format!(
            "The path \"{text}\" gives at most one value, so `take`: \"{take}\" has no effect. Remove it."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["Severity", "Start Time"];

    fn faults_of(sources: &str) -> Vec<String> {
        let text = format!("{{\"mapping\":1,\"root\":\"$\",\"sources\":{sources}}}");
        let definition = Definition::parse(&text, "m").expect("a definition");
        let faults = lint(&definition, &KNOWN, "m");
        faults.iter().map(ToString::to_string).collect()
    }

    fn one(field: &str) -> String {
        let faults = faults_of(&format!("[{{\"id\":\"d\",\"fields\":[{field}]}}]"));
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.into_iter().next().expect("one fault")
    }

    #[test]
    fn name_outside_the_vocabulary_is_a_fault_with_the_nearest_name() {
        let message = one(r#"{"field":"Severty","path":".s"}"#);
        assert!(message.contains("Did you mean \"Severity\"?"), "{message}");
        assert!(message.contains("m:/sources/0/fields/0/field"), "{message}");
        let message = one(r#"{"field":"Severity","custom":true,"path":".s"}"#);
        assert!(message.contains("is a standard field"), "{message}");
    }

    #[test]
    fn annotation_with_dots_is_a_fault_with_the_correct_path() {
        for (wrong, right) in [
            (".@odata.type", "['@odata.type']"),
            (".a..@odata.type", ".a..['@odata.type']"),
            (".a.@odata.type.b", ".a['@odata.type'].b"),
        ] {
            let message = one(&format!(r#"{{"field":"Severity","path":"{wrong}"}}"#));
            assert!(
                message.contains(&format!("Write \"{right}\".")),
                "{message}"
            );
        }
    }

    #[test]
    fn invalid_path_is_a_fault_with_the_position() {
        let message = one(r#"{"field":"Severity","path":".a["}"#);
        assert!(message.contains("at character 4"), "{message}");
        let message = one(r#"{"field":"Severity","path":".a[?count(@.b)]"}"#);
        assert!(message.contains("count() returns a value"), "{message}");
        let long = format!(r#"{{"field":"Severity","path":"{}"}}"#, ".a".repeat(600));
        assert!(one(&long).contains("longer than 1024 bytes"));
    }

    #[test]
    fn step_that_cannot_work_is_a_fault() {
        let message = one(r#"{"field":"Severity","path":".a","regex":"("}"#);
        assert!(message.contains("/regex"), "{message}");
        for format in ["x", "{} {}"] {
            let message = one(&format!(
                r#"{{"field":"Severity","path":".a","format":"{format}"}}"#
            ));
            assert!(message.contains("exactly once"), "{message}");
        }
        let message = one(r#"{"field":"Severity","path":".a","take":"join"}"#);
        assert!(message.contains("at most one value"), "{message}");
    }

    #[test]
    fn unreachable_or_repeated_source_is_a_fault() {
        let faults =
            faults_of(r#"[{"id":"a","fields":[]},{"id":"a","when":"@.x ==","fields":[]}]"#);
        let all = faults.join("\n");
        for part in [
            "are never used",
            "must accept every record",
            "Two sources",
            "is invalid",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        let faults = faults_of(
            r#"[{"id":"a","fields":[{"field":"Severity","path":".a"},{"field":"Severity","path":".b"}]}]"#,
        );
        assert!(faults[0].contains("is defined twice"), "{faults:?}");
    }
}
