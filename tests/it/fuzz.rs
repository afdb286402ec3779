//! Fuzz targets of the parsers of requests, mappings and paths. Those of the activity feed are next
//! to its private code, in `src/microsoft/feed/fuzz.rs`.

use serde_json::Value;
use soarhost::host::{Cancel, Host, Settings};
use soarhost::json::Document;
use soarhost::mapping::{Extractor, FieldPath, Mapping};
use soarhost::protocol::{Envelope, ErrorKind, Redactor};

use crate::corpus::{self, Corpus, target};

/// A value that no message may quote.
const CANARY: &str = "canary";

/// Does the text contain the canary only in values that messages must not quote?
fn is_only_in_unquoted_values(text: &str) -> bool {
    fn in_keys(value: &Value) -> bool {
        match value {
            Value::Object(members) => members
                .iter()
                .any(|(key, value)| key.contains(CANARY) || in_keys(value)),
            Value::Array(items) => items.iter().any(in_keys),
            _ => false,
        }
    }
    // Messages can quote the members that contain no secret.
    let quoted = ["id", "integration", "command", "options"];
    let shown = |value: &Value| {
        quoted
            .iter()
            .any(|name| value[name].to_string().contains(CANARY))
    };
    text.contains(CANARY)
        && serde_json::from_str(text).is_ok_and(|value| !in_keys(&value) && !shown(&value))
}

fn envelope(bytes: &[u8]) {
    match Envelope::parse(bytes) {
        Ok(read) => {
            let text = serde_json::to_string(&read).expect("a request serializes");
            let again = Envelope::parse(text.as_bytes()).expect("a serialized request parses");
            let meta = |envelope: &Envelope| serde_json::to_string(&envelope.meta);
            assert_eq!(meta(&read).expect("JSON"), meta(&again).expect("JSON"));
            assert_eq!(serde_json::to_string(&again).expect("JSON"), text);
        }
        Err(refused) => {
            let failure = refused.failure;
            assert!(!failure.message().is_empty());
            let message = format!("{failure} {failure:?}");
            let text = String::from_utf8_lossy(bytes);
            if is_only_in_unquoted_values(&text) {
                assert!(!message.contains(CANARY), "{text}: {message}");
            }
        }
    }
}

#[test]
fn parsed_request_serializes_to_the_same_request() {
    target!("envelope", envelope);
}

/// A host with the built-in catalog. Opened once, because it does not change.
fn host() -> &'static Host {
    static HOST: std::sync::OnceLock<Host> = std::sync::OnceLock::new();
    HOST.get_or_init(|| Host::open(Settings::default(), Redactor::default()))
}

/// Runs every stage before the network. None may end with an internal error.
fn checked(bytes: &[u8]) {
    if let Err(refused) = host().check(bytes, &Cancel::default()) {
        let error = refused.error.as_ref().expect("an error");
        assert_ne!(error.kind, ErrorKind::Internal, "{}", error.message);
        assert_eq!(refused.exit_code(), 2, "{}", error.message);
        serde_json::to_string(&refused).expect("a result serializes");
    }
}

#[test]
fn check_of_any_request_has_no_internal_error() {
    target!("envelope", checked);
}

const RECORDS: &str = r#"{"value":[{"id":"a","n":1.50,"t":"2026-01-14T09:31:12.345+02:00","list":[1,null,"x",{"id":2}]},
    {"id":7,"id":"b","é":{"a":{"a":{"a":[]}}},"severity":"high"},null,"text",[[],{}]]}"#;

fn mapping(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let raw = Document::parse(RECORDS).expect("JSON");
    match Mapping::parse(&text, "m.json") {
        Ok(mapping) => {
            if let Ok(mapped) = mapping.apply(&raw) {
                serde_json::to_string(&mapped.events).expect("events serialize");
            }
        }
        Err(failure) => {
            assert_eq!(failure.kind(), ErrorKind::InvalidMapping);
            assert!(failure.place().is_some(), "{failure}");
        }
    }
}

#[test]
fn mapping_is_valid_or_refused_with_its_place() {
    target!("mapping", mapping);
}

fn path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let raw = Document::parse(RECORDS).expect("JSON");
    let Ok(path) = FieldPath::parse(&text) else {
        return;
    };
    let general = path.evaluate(&raw);
    if path.absolute() {
        let extractor = Extractor::compile([("x", path.text())], "t").expect("a legal path");
        // Each has its own limit of work.
        if let (Ok(found), Some(general)) = (extractor.run(&raw), general) {
            assert_eq!(found[0].values, general, "{text}");
        }
    }
}

#[test]
fn both_engines_find_the_same_values() {
    target!("path", path);
}
