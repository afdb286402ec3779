//! Compatibility with the last release: every request that was valid then is valid now, and no
//! member of a result has disappeared.
//!
//! `tests/it/compatibility.json` is a frozen copy of the schemas of requests, results and commands.
//! It has no descriptions. `FREEZE=1 cargo test --test it compatibility` writes it again: after each
//! release, and before the first one also for an incompatible change. Does not compare the schemas
//! of files: their authors change them together with the host.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use soarhost::front::cli::SCHEMAS;
use soarhost::host::catalog::Catalog;
use soarhost::manifest::schema::request_schema;

use crate::architecture::assert_none;

/// The keywords that decide what is valid, with a schema, a list of schemas or a plain value.
const KEYWORDS: [&str; 18] = [
    "type",
    "const",
    "enum",
    "anyOf",
    "oneOf",
    "$ref",
    "$defs",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
];
/// The keywords that do not.
const ANNOTATIONS: [&str; 8] = [
    "$schema",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "writeOnly",
    "deprecated",
];

/// A schema without annotations.
fn bare(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else {
        return schema.clone();
    };
    let each = |named: &Value| -> Value {
        let named = named.as_object().expect("schemas by name").iter();
        named.map(|(name, one)| (name.clone(), bare(one))).collect()
    };
    let members = members.iter().filter_map(|(keyword, value)| {
        if ANNOTATIONS.contains(&keyword.as_str()) {
            return None;
        }
        assert!(KEYWORDS.contains(&keyword.as_str()), "compare {keyword}");
        let value = match keyword.as_str() {
            "properties" | "$defs" => each(value),
            "anyOf" | "oneOf" => value
                .as_array()
                .expect("schemas")
                .iter()
                .map(bare)
                .collect(),
            "items" | "additionalProperties" => bare(value),
            _ => value.clone(),
        };
        Some((keyword.clone(), value))
    });
    Value::Object(members.collect())
}

/// The schemas of requests, results and commands by name.
fn schemas() -> Map<String, Value> {
    let wire = SCHEMAS
        .iter()
        .filter(|(name, _)| matches!(*name, "request" | "result"));
    let wire = wire.map(|(name, make)| ((*name).to_owned(), bare(&Value::from(make()))));
    let mut all: Map<String, Value> = wire.collect();
    let catalog = Catalog::builtin().expect("the catalog");
    for manifest in catalog.manifests().expect("manifests") {
        for command in &manifest.commands {
            let name = format!("{}.{}", manifest.id, command.id);
            all.insert(name, bare(&request_schema(manifest, command)));
        }
    }
    all
}

/// Whether everything that one schema allows is allowed by another one.
struct Comparison<'a> {
    wide: &'a Value,
    narrow: &'a Value,
    /// Results can have new members, and keep all old ones.
    is_result: bool,
}

impl Comparison<'_> {
    fn faults(&self) -> Vec<String> {
        self.compare(self.wide, self.narrow, "")
    }

    /// The schemas without alternatives of which one must hold.
    fn alternatives(root: &Value, schema: &Value) -> Vec<Value> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().expect("a name");
            return Self::alternatives(root, &root["$defs"][name]);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(several) = schema[keyword].as_array() {
                let each = several.iter().map(|one| Self::alternatives(root, one));
                return each.flatten().collect();
            }
        }
        if let Some(values) = schema["enum"].as_array() {
            return values
                .iter()
                .map(|value| json!({ "const": value }))
                .collect();
        }
        if let Some(value) = schema.get("const") {
            return vec![json!({ "const": value })];
        }
        let Some(types) = schema["type"].as_array() else {
            return vec![schema.clone()];
        };
        let of_type = |name: &Value| {
            let mut one = schema.clone();
            one["type"] = name.clone();
            one
        };
        types.iter().map(of_type).collect()
    }

    fn compare(&self, wide: &Value, narrow: &Value, at: &str) -> Vec<String> {
        let wide = Self::alternatives(self.wide, wide);
        let narrow = Self::alternatives(self.narrow, narrow);
        let faults_of = |narrow: &Value| {
            let each = wide.iter().map(|wide| self.compare_one(wide, narrow, at));
            each.min_by_key(Vec::len).unwrap_or_default()
        };
        narrow.iter().flat_map(faults_of).collect()
    }

    fn compare_one(&self, wide: &Value, narrow: &Value, at: &str) -> Vec<String> {
        if *wide == json!(true) || *wide == json!({}) {
            return Vec::new();
        }
        let differ = || vec![format!("{at}: {wide} instead of {narrow}")];
        if let Some(value) = narrow.get("const") {
            let is_same = wide.get("const") == Some(value);
            let is_of_type = value.is_string() && wide["type"] == "string";
            return if is_same || is_of_type {
                Vec::new()
            } else {
                differ()
            };
        }
        let is_integer = wide["type"] == "number" && narrow["type"] == "integer";
        if wide["type"] != narrow["type"] && !is_integer {
            return differ();
        }
        let least = |bound: &str| match (wide[bound].as_f64(), narrow[bound].as_f64()) {
            (Some(wide), Some(narrow)) => wide <= narrow,
            (wide, _) => wide.is_none(),
        };
        let most = |bound: &str| match (wide[bound].as_f64(), narrow[bound].as_f64()) {
            (Some(wide), Some(narrow)) => wide >= narrow,
            (wide, _) => wide.is_none(),
        };
        let is_bounded = ["minimum", "minLength", "minItems"].into_iter().all(least)
            && ["maximum", "maxLength", "maxItems"].into_iter().all(most)
            && (wide["pattern"].is_null() || wide["pattern"] == narrow["pattern"]);
        if !is_bounded {
            return differ();
        }
        match wide["type"].as_str() {
            Some("object") => self.compare_members(wide, narrow, at),
            Some("array") => {
                let any = json!(true);
                let items = |schema: &Value| schema.get("items").unwrap_or(&any).clone();
                self.compare(&items(wide), &items(narrow), &format!("{at}[]"))
            }
            _ => Vec::new(),
        }
    }

    fn compare_members(&self, wide: &Value, narrow: &Value, at: &str) -> Vec<String> {
        let (none, any) = (Map::new(), json!(true));
        let members = |schema: &'_ Value| schema["properties"].as_object().unwrap_or(&none).clone();
        let required = |schema: &Value| schema["required"].as_array().cloned().unwrap_or_default();
        let others = |schema: &Value| schema.get("additionalProperties").unwrap_or(&any).clone();
        let (in_wide, in_narrow, other) = (members(wide), members(narrow), others(wide));
        let mut faults = Vec::new();
        let always = required(narrow);
        for name in required(wide).iter().filter(|name| !always.contains(name)) {
            let name = name.as_str().unwrap_or_default();
            let what = if self.is_result {
                "can be missing"
            } else {
                "is required"
            };
            faults.push(format!("{at}.{name} {what} now"));
        }
        for (name, member) in &in_narrow {
            let at = format!("{at}.{name}");
            match in_wide.get(name) {
                Some(wide) => faults.extend(self.compare(wide, member, &at)),
                None if self.is_result => {}
                None if other == json!(false) => faults.push(format!("{at} is unknown now")),
                None => faults.extend(self.compare(&other, member, &at)),
            }
        }
        if self.is_result {
            let gone = in_wide.keys().filter(|name| !in_narrow.contains_key(*name));
            faults.extend(gone.map(|name| format!("{at}.{name} has disappeared")));
        }
        let narrow = others(narrow);
        match (narrow == json!(false), other == json!(false)) {
            (true, _) => {}
            (false, true) => faults.push(format!("{at} rejects unknown members now")),
            (false, false) => faults.extend(self.compare(&other, &narrow, &format!("{at}.*"))),
        }
        faults
    }
}

/// What was valid before and is not valid now.
fn incompatible(before: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    let compare = |(name, before): (&String, &Value)| {
        let Some(now) = now.get(name) else {
            return vec![format!("{name} has disappeared")];
        };
        let is_result = name == "result";
        let (wide, narrow) = if is_result {
            (before, now)
        } else {
            (now, before)
        };
        let comparison = Comparison {
            wide,
            narrow,
            is_result,
        };
        let faults = comparison.faults().into_iter();
        faults.map(|fault| format!("{name}{fault}")).collect()
    };
    before.iter().flat_map(compare).collect()
}

/// The newest version in the changelog; null before the first release.
fn last_release() -> Value {
    let changelog = include_str!("../../CHANGELOG.md").lines();
    let mut versions = changelog.filter_map(|line| line.strip_prefix("## "));
    versions.find(|version| *version != "Unreleased").into()
}

#[test]
fn request_or_result_incompatible_with_the_last_release_is_reported() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/compatibility.json");
    let text = std::fs::read_to_string(&path).expect("the frozen copy");
    let frozen: Value = serde_json::from_str(&text).expect("JSON");
    let before = frozen["schemas"].as_object().expect("schemas");
    let (now, release) = (schemas(), last_release());
    let faults = incompatible(before, &now);
    let can_break = release.is_null();
    if std::env::var_os("FREEZE").is_some() && (can_break || faults.is_empty()) {
        let lines = now
            .iter()
            .map(|(name, schema)| format!("{}: {schema}", json!(name)));
        let lines = lines.collect::<Vec<_>>().join(",\n");
        let text = format!("{{\"release\": {release}, \"schemas\": {{\n{lines}\n}}}}\n");
        std::fs::write(&path, text).expect("the copy is written");
        return;
    }
    assert_none(faults);
    let is_whole = ["request", "result"]
        .iter()
        .all(|name| before.contains_key(*name));
    assert!(is_whole, "the frozen copy is incomplete");
    assert_eq!(
        frozen["release"], release,
        "freeze the schemas of this release"
    );
}

#[test]
fn incompatible_change_is_found() {
    let object = |members: Value, required: Value| {
        json!({ "type": "object", "properties": members, "required": required,
            "additionalProperties": false })
    };
    let text = json!({ "type": "string" });
    let one = object(json!({ "a": text }), json!(["a"]));
    let two = object(json!({ "a": text, "b": text }), json!(["a"]));
    let both = object(json!({ "a": text, "b": text }), json!(["a", "b"]));
    let number = object(json!({ "a": { "type": "number" } }), json!(["a"]));
    let null = object(json!({ "a": { "type": ["string", "null"] } }), json!(["a"]));
    let words = object(json!({ "a": { "enum": ["x", "y"] } }), json!(["a"]));
    let word = object(
        json!({ "a": { "oneOf": [{ "const": "x" }] } }),
        json!(["a"]),
    );
    let short = object(
        json!({ "a": { "type": "string", "maxLength": 3 } }),
        json!(["a"]),
    );
    let is_compatible = |name: &str, before: &Value, now: &Value| {
        let of = |schema: &Value| Map::from_iter([(name.to_owned(), schema.clone())]);
        incompatible(&of(before), &of(now)).is_empty()
    };
    for (before, now, request, result) in [
        (&one, &two, true, true),
        (&one, &both, false, true),
        (&two, &one, false, false),
        (&both, &two, true, false),
        (&one, &number, false, false),
        (&one, &null, true, false),
        (&null, &one, false, true),
        (&one, &words, false, true),
        (&words, &one, true, false),
        (&words, &word, false, true),
        (&one, &short, false, true),
        (&short, &one, true, false),
    ] {
        assert_eq!(
            is_compatible("request", before, now),
            request,
            "{before} {now}"
        );
        assert_eq!(
            is_compatible("result", before, now),
            result,
            "{before} {now}"
        );
    }
    assert_eq!(
        incompatible(&Map::from_iter([("x.y".to_owned(), one)]), &Map::new()),
        ["x.y has disappeared"]
    );
}
