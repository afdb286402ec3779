//! Fuzz targets of what reads other people's text: requests, mappings, paths. (The activity feed's
//! are next to its private code, `src/microsoft/feed/fuzz.rs`.)

use serde_json::Value;
use soarhost::host::{Cancel, Host, Settings};
use soarhost::json::Document;
use soarhost::mapping::{Extractor, FieldPath, Mapping};
use soarhost::protocol::{Envelope, ErrorKind, Redactor};

use crate::corpus::{self, Corpus, target};

/// A value that no message may quote.
const CANARY: &str = "canary";

/// Is it a value that the text holds, and no key of it?
fn only_as_value(text: &str) -> bool {
    fn in_keys(value: &Value) -> bool {
        match value {
            Value::Object(members) => members
                .iter()
                .any(|(key, value)| key.contains(CANARY) || in_keys(value)),
            Value::Array(items) => items.iter().any(in_keys),
            _ => false,
        }
    }
    // How to run is no secret: those members are quoted.
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
            let again = Envelope::parse(text.as_bytes()).expect("what was read is a request");
            let meta = |envelope: &Envelope| serde_json::to_string(&envelope.meta);
            assert_eq!(meta(&read).expect("JSON"), meta(&again).expect("JSON"));
            assert_eq!(serde_json::to_string(&again).expect("JSON"), text);
        }
        Err(refused) => {
            let failure = refused.failure;
            assert!(!failure.message().is_empty());
            let told = format!("{failure} {failure:?}");
            let text = String::from_utf8_lossy(bytes);
            if only_as_value(&text) {
                assert!(!told.contains(CANARY), "{text}: {told}");
            }
        }
    }
}

#[test]
fn a_request_is_read_or_refused_and_reads_the_same_again() {
    target!("envelope", envelope);
}

/// A host with the compiled-in catalog; opened once, as it does not change.
fn host() -> &'static Host {
    static HOST: std::sync::OnceLock<Host> = std::sync::OnceLock::new();
    HOST.get_or_init(|| Host::open(Settings::default(), Redactor::default()))
}

/// Every stage before the network answers, and never with a fault of its own.
fn checked(bytes: &[u8]) {
    if let Err(refused) = host().check(bytes, &Cancel::default()) {
        let error = refused.error.as_ref().expect("an error");
        assert_ne!(error.kind, ErrorKind::Internal, "{}", error.message);
        assert_eq!(refused.exit_code(), 2, "{}", error.message);
        serde_json::to_string(&refused).expect("a result serializes");
    }
}

#[test]
fn a_request_is_checked_without_a_fault_of_the_hosts() {
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
fn a_mapping_is_refused_with_its_place_or_maps() {
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
        // Either may find it too much work where the other does not.
        if let (Ok(found), Some(general)) = (extractor.run(&raw), general) {
            assert_eq!(found[0].values, general, "{text}");
        }
    }
}

#[test]
fn a_path_is_refused_or_both_engines_find_the_same() {
    target!("path", path);
}
