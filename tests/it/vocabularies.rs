//! The events of `mappings/ocsf` and `mappings/ecs` fit the published schemas.
//!
//! `tests/vocabularies` holds what the mappings use of them, with version, source and licence. Every
//! record of the samples is checked, also those of the rules and of the simulator's demo.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use soarhost::host::catalog::Catalog;
use soarhost::json::Document;
use soarhost::mapping::Mapping;

use crate::process::{feed, soarhost};

type Object = Map<String, Value>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// The raw data of a mapping's samples, and for audit records those of the rules.
fn raw(mapping: &str) -> Vec<Value> {
    let mut folders = vec![root().join("tests/samples").join(mapping)];
    if mapping.ends_with("/audit") {
        folders.push(root().join("tests/samples/office365_audit/rules"));
    }
    let files = folders.iter().flat_map(|folder| {
        let files = std::fs::read_dir(folder).expect("samples");
        files.map(|file| file.expect("a sample").path())
    });
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files.iter().map(|file| json(file)).map(records).collect()
}

/// The records of a rule's sample, those that match and those that do not.
fn records(sample: Value) -> Value {
    if sample.get("positive").is_none() {
        return sample;
    }
    let parts = ["positive", "negative"].into_iter();
    let parts = parts.flat_map(|part| sample[part].as_array().cloned().unwrap_or_default());
    let records = parts.flat_map(|part| part["records"].as_array().cloned().unwrap_or_default());
    // Some are cut to what the rule reads.
    records
        .filter(|record| record.get("CreationTime").is_some())
        .collect()
}

/// Each event with its record.
fn events(mapping: &str) -> Vec<(Value, Value)> {
    let catalog = Catalog::builtin().expect("the catalog");
    let definition = catalog.mapping(mapping).expect("a built-in mapping");
    let compiled = Mapping::compile(definition, mapping).expect("it compiles");
    let mut all = Vec::new();
    for raw in raw(mapping) {
        let document = Document::from_value(&raw).expect("JSON");
        let mapped = compiled.apply(&document).expect("it maps");
        assert!(mapped.faults.is_empty(), "{:?}", mapped.faults);
        assert!(mapped.warnings.is_empty(), "{:?}", mapped.warnings);
        let records = raw.get("value").unwrap_or(&raw);
        let records = records.as_array().expect("records");
        assert_eq!(records.len(), mapped.events.len());
        for (record, event) in records.iter().zip(mapped.events) {
            let event = serde_json::to_value(&event.fields).expect("an event");
            all.push((record.clone(), event));
        }
    }
    all
}

/// A check of events against an extract of the OCSF schema.
struct Ocsf {
    extract: Value,
    profiles: Vec<Value>,
    faults: Vec<String>,
}

impl Ocsf {
    fn event(&mut self, event: &Value) {
        let class = &self.extract["classes"][event["class_uid"].to_string()].clone();
        self.profiles = event["metadata"]["profiles"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        self.object(event.as_object().expect("an object"), class, "");
        let id = |name: &str| event[name].as_i64().unwrap_or(-1);
        for (at, is, wanted) in [
            (
                "class_name",
                event["class_name"].clone(),
                class["caption"].clone(),
            ),
            (
                "type_uid",
                event["type_uid"].clone(),
                (id("class_uid") * 100 + id("activity_id")).into(),
            ),
            (
                "category_uid",
                event["category_uid"].clone(),
                (id("class_uid") / 1000).into(),
            ),
        ] {
            self.require(is == wanted, || format!("{at} is {is}, not {wanted}"));
        }
    }

    fn require(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    fn object(&mut self, object: &Object, schema: &Value, at: &str) {
        let Some(attributes) = schema["attributes"].as_object() else {
            return self.faults.push(format!("{at}: not in the extract"));
        };
        for (name, kind) in attributes {
            let (kind, profile) = split(kind);
            let required = kind.ends_with('!') && self.applies(profile);
            self.require(!required || object.contains_key(name), || {
                format!("{at}.{name} is missing")
            });
        }
        if let Some(any) = schema["at_least_one"].as_array() {
            let has = any
                .iter()
                .any(|name| object.contains_key(name.as_str().unwrap_or("")));
            self.require(has, || format!("{at} has none of {any:?}"));
        }
        for (name, value) in object {
            let place = format!("{at}.{name}");
            let Some(kind) = attributes.get(name) else {
                self.faults.push(format!("{place} is not an attribute"));
                continue;
            };
            let (kind, profile) = split(kind);
            self.require(self.applies(profile), || format!("{place} needs a profile"));
            let kind = kind.trim_end_matches('!');
            let (kind, is_list) = match kind.strip_suffix("[]") {
                Some(kind) => (kind, true),
                None => (kind, false),
            };
            let values = match value.as_array() {
                Some(list) if is_list => list.as_slice(),
                _ => std::slice::from_ref(value),
            };
            self.require(is_list == value.is_array() || kind == "json_t", || {
                format!("{place}: list or not")
            });
            for value in values {
                self.value(value, kind, &place);
            }
            self.enumeration(object, &schema["enums"], &place);
        }
    }

    fn applies(&self, profile: &str) -> bool {
        profile.is_empty() || self.profiles.iter().any(|one| one == profile)
    }

    fn value(&mut self, value: &Value, kind: &str, at: &str) {
        let holds = match kind {
            "integer_t" | "long_t" | "timestamp_t" | "port_t" => value.is_i64(),
            "boolean_t" => value.is_boolean(),
            "json_t" => true,
            "object" => value.is_object(),
            "ip_t" => value
                .as_str()
                .is_some_and(|text| text.parse::<IpAddr>().is_ok()),
            kind if kind.ends_with("_t") => value.is_string(),
            kind => {
                let schema = self.extract["objects"][kind].clone();
                if let Some(object) = value.as_object() {
                    self.object(object, &schema, at);
                }
                value.is_object()
            }
        };
        self.require(holds, || format!("{at}: {value} is not {kind}"));
    }

    /// A number is a member of its enumeration, and the text beside it has the member's name, except
    /// for 99, "Other": then it is the source's own text.
    fn enumeration(&mut self, object: &Object, enums: &Value, at: &str) {
        let name = at.rsplit('.').next().unwrap_or("");
        let schema = &enums[name];
        let Some(values) = schema["values"].as_object() else {
            return;
        };
        let number = object[name].to_string();
        let known = object[name].is_array() || values.contains_key(&number);
        self.require(known, || {
            format!("{at}: {number} is not in the enumeration")
        });
        let text = schema["sibling"]
            .as_str()
            .and_then(|sibling| object.get(sibling));
        if let (Some(text), Some(caption)) = (text, values.get(&number))
            && number != "99"
        {
            self.require(text == caption, || {
                format!("{at}: {number} is {caption}, not {text}")
            });
        }
    }
}

/// The type and the profile of an attribute.
fn split(kind: &Value) -> (&str, &str) {
    let kind = kind.as_str().unwrap_or("");
    kind.split_once('@').unwrap_or((kind, ""))
}

fn ocsf(mapping: &str) -> (Vec<(Value, Value)>, Vec<String>) {
    let mut check = Ocsf {
        extract: json(&root().join("tests/vocabularies/ocsf-1.5.0.json")),
        profiles: Vec::new(),
        faults: Vec::new(),
    };
    let events = events(mapping);
    for (_, event) in &events {
        check.event(event);
    }
    (events, check.faults)
}

#[test]
fn ocsf_events_fit_the_schema() {
    let mut report = String::new();
    for mapping in ["ocsf/audit", "ocsf/alert"] {
        let (events, faults) = ocsf(mapping);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let name = |record: &Value| {
            let name = record.get("Operation").or_else(|| record.get("title"));
            name.and_then(Value::as_str).unwrap_or("none").to_owned()
        };
        let all: BTreeSet<String> = events.iter().map(|(record, _)| name(record)).collect();
        let (events_count, names) = (events.len(), all.len());
        let _ = writeln!(
            report,
            "{mapping}: {events_count} events, {names} operations or alert types"
        );
        let mut classes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (record, event) in &events {
            let other = match event["activity_id"].as_i64() {
                Some(0 | 99) => ", activity Other",
                _ => "",
            };
            let class = event["class_name"].as_str().unwrap_or("");
            let class = format!("{class} {}{other}", event["class_uid"]);
            classes.entry(class).or_default().insert(name(record));
        }
        for (class, names) in classes {
            let _ = writeln!(report, "  {} {class}", names.len());
        }
    }
    insta::assert_snapshot!(report, @r"
    ocsf/audit: 214 events, 138 operations or alert types
      50 API Activity 6003
      6 API Activity 6003, activity Other
      10 Account Change 3001
      2 Account Change 3001, activity Other
      5 Authentication 3002
      4 Data Security Finding 2006
      1 Data Security Finding 2006, activity Other
      3 Detection Finding 2004
      4 Email Activity 4009
      1 Email Activity 4009, activity Other
      25 File Hosting Activity 6006
      2 File Hosting Activity 6006, activity Other
      14 Group Management 3006
      11 User Access Management 3005
    ocsf/alert: 12 events, 12 operations or alert types
      12 Detection Finding 2004
    ");
}

#[test]
fn check_of_ocsf_events_finds_faults() {
    let (events, _) = ocsf("ocsf/audit");
    let event = &events[0].1;
    let broken = |pointer: &str, value: Value| {
        let mut event = event.clone();
        let place = event.pointer_mut(pointer).expect("a member");
        *place = value;
        let mut check = Ocsf {
            extract: json(&root().join("tests/vocabularies/ocsf-1.5.0.json")),
            profiles: Vec::new(),
            faults: Vec::new(),
        };
        check.event(&event);
        check.faults
    };
    for (pointer, value) in [
        ("/time", "2026-01-14T09:12:01Z".into()),
        ("/severity_id", 7.into()),
        ("/severity", "High".into()),
        ("/type_uid", 1.into()),
        ("/class_name", "Other".into()),
        ("/metadata/product", Value::Object(Map::new())),
        ("/metadata/version", Value::Null),
        ("/metadata/profiles", Value::Array(Vec::new())),
        ("/observables", Value::Object(Map::new())),
    ] {
        assert!(!broken(pointer, value).is_empty(), "{pointer}");
    }
    assert!(broken("/severity", "Informational".into()).is_empty());
}

#[test]
fn members_without_a_place_are_in_unmapped() {
    let (events, _) = ocsf("ocsf/audit");
    let find = |operation: &str| {
        let found = events
            .iter()
            .find(|(record, _)| record["Operation"] == operation);
        found.expect("a sample").1.clone()
    };
    let event = find("NewRecordKind");
    assert_eq!(event["unmapped"]["Surprise"]["nested"][0], 1);
    assert_eq!(event["class_uid"], 6003);
    let event = find("MailItemsAccessed");
    assert_eq!(event["unmapped"]["Folders"][0]["Path"], "\\Inbox");
    assert_eq!(event["unmapped"].get("ClientInfoString"), None);
}

#[test]
fn every_member_of_a_record_has_a_path_or_is_in_the_rest() {
    for (mapping, rest) in [
        ("ocsf/audit", "/unmapped"),
        ("ocsf/alert", "/unmapped"),
        ("ecs/audit", "/o365/audit"),
        ("ecs/alert", "/m365_defender/alert"),
    ] {
        let file = root().join("mappings").join(mapping).with_extension("json");
        let text = std::fs::read_to_string(file).expect("a mapping");
        for (record, event) in events(mapping) {
            let rest = event.pointer(rest);
            for (name, value) in record.as_object().expect("a record") {
                let in_path = [format!(".{name}"), format!("'{name}'")];
                let has_path = in_path.iter().any(|path| text.contains(path));
                let in_rest = rest.is_some_and(|rest| rest.get(name).is_some());
                assert!(has_path || in_rest || value.is_null(), "{mapping}: {name}");
            }
        }
    }
}

#[test]
fn ecs_events_fit_the_schema() {
    let extract = json(&root().join("tests/vocabularies/ecs-8.11.0.json"));
    let mut faults = Vec::new();
    for mapping in ["ecs/audit", "ecs/alert"] {
        for (_, event) in events(mapping) {
            for required in extract["required"].as_array().expect("names") {
                let pointer = format!("/{}", required.as_str().unwrap_or("").replace('.', "/"));
                if event.pointer(&pointer).is_none() {
                    faults.push(format!("{required} is missing"));
                }
            }
            ecs(&event, "", &extract, &mut faults);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Checks the members of an object. Elasticsearch accepts an array of values for every field.
fn ecs(value: &Value, at: &str, extract: &Value, faults: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = format!("{at}{name}");
        if ["o365.audit", "m365_defender.alert"].contains(&name.as_str()) {
            continue;
        }
        let Some(kind) = extract["fields"][&name].as_str() else {
            if value.is_object() {
                ecs(value, &format!("{name}."), extract, faults);
            } else {
                faults.push(format!("{name} is not a field"));
            }
            continue;
        };
        if kind.ends_with("[]") && !value.is_array() {
            faults.push(format!("{name} is not an array"));
        }
        let single = std::slice::from_ref(value);
        for value in value.as_array().map_or(single, Vec::as_slice) {
            let text = value.as_str().unwrap_or("");
            let holds = match kind.trim_end_matches("[]") {
                "long" => value.is_i64(),
                "ip" => text.parse::<IpAddr>().is_ok(),
                "date" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
                _ => value.is_string(),
            };
            let allowed = extract["values"][&name].as_array();
            if !holds || allowed.is_some_and(|allowed| !allowed.contains(value)) {
                faults.push(format!("{name}: {value} is not {kind}"));
            }
        }
    }
}

#[test]
fn map_as_selects_the_mapping_by_the_input() {
    let audit = "tests/samples/ocsf/audit/dlp.json";
    let alerts = "tests/samples/ocsf/alert/alerts.json";
    for (vocabulary, file, mapping) in [
        ("ocsf", audit, "ocsf/audit"),
        ("ocsf", alerts, "ocsf/alert"),
        ("ecs", audit, "ecs/audit"),
        ("ecs", alerts, "ecs/alert"),
    ] {
        let output = feed(soarhost(&["map", "--as", vocabulary, file]), "");
        let bare = String::from_utf8(output.stdout).expect("text");
        let output = feed(soarhost(&["map", mapping, file]), "");
        let events = String::from_utf8(output.stdout).expect("text");
        let fields = events.lines().map(|line| {
            let event: Value = serde_json::from_str(line).expect("an event");
            format!("{}\n", event["fields"])
        });
        assert_eq!(bare, fields.collect::<String>(), "{mapping}");
    }
    let line = r#"{"Id":"1","CreationTime":"2026-02-03T09:00:00","Operation":"UserLoggedIn","RecordType":15}"#;
    let output = feed(
        soarhost(&["map", "--as", "ocsf"]),
        format!("{line}\n{line}\n"),
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
    for (arguments, message) in [
        (
            &["map", "--as", "ocsf"][..],
            "neither alerts of Microsoft Graph nor audit records",
        ),
        (
            &["map", "--as", "ocsf", "ecs/audit", audit],
            "cannot be used together",
        ),
    ] {
        let output = feed(soarhost(arguments), "{}");
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(printed.contains(message), "{printed}");
        assert_eq!(output.status.code(), Some(2));
    }
}
