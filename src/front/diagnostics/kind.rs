//! The kinds of files that authors write, and how a file shows its kind.
//!
//! A file shows its kind by its `$schema`, else by a member, else by its folder or name. Does not
//! check files.

use std::path::Path;

use serde_json::{Map, Value};

use crate::names::nearest;
use crate::protocol::envelope::Envelope;
use crate::protocol::field_names;

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Manifest,
    Mapping,
    Fields,
    Profiles,
    Endpoints,
    Request,
    World,
    Rule,
}

/// The kinds of JSON files, each with the name of its schema and the member that identifies it.
const KINDS: [(&str, &str, Kind); 7] = [
    ("manifest", "manifest", Kind::Manifest),
    ("mapping", "mapping", Kind::Mapping),
    ("fields", "fields", Kind::Fields),
    ("profiles", "profiles", Kind::Profiles),
    ("endpoints", "cloud", Kind::Endpoints),
    ("request", "command", Kind::Request),
    ("world", "world", Kind::World),
];

impl Kind {
    /// The kinds in the order of their rules in a SARIF log.
    pub(super) const ALL: [Kind; 8] = [
        Kind::Manifest,
        Kind::Mapping,
        Kind::Fields,
        Kind::Profiles,
        Kind::Endpoints,
        Kind::Request,
        Kind::World,
        Kind::Rule,
    ];

    /// The kind in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Manifest => "manifest",
            Kind::Mapping => "mapping",
            Kind::Fields => "fields",
            Kind::Profiles => "profiles",
            Kind::Endpoints => "endpoints",
            Kind::Request => "request",
            Kind::World => "world",
            Kind::Rule => "rule",
        }
    }

    /// Can a file of this kind hold secrets?
    pub(super) fn can_hold_secrets(self) -> bool {
        matches!(self, Kind::Request | Kind::Profiles)
    }

    /// The kind of an object. `is_world_member` is about the names of members.
    pub(super) fn of(
        object: &Map<String, Value>,
        is_world_member: fn(&str) -> bool,
    ) -> Option<Self> {
        let schema = object.get("$schema").and_then(Value::as_str);
        let file = schema.unwrap_or_default().rsplit('/').next();
        let stem = file.unwrap_or_default().split('.').next();
        let by_schema = KINDS.iter().find(|(name, _, _)| Some(*name) == stem);
        let named = |wanted: &str| KINDS.iter().find(|(_, member, _)| *member == wanted);
        // A request can contain a mapping.
        let request = object.get("command").and_then(|_| named("command"));
        let members = || {
            object
                .keys()
                .map(String::as_str)
                .filter(|name| *name != "$schema")
        };
        let found = by_schema.or(request).or_else(|| members().find_map(named));
        if let Some((_, _, kind)) = found {
            return Some(*kind);
        }
        // `world` is optional in a world, and `command` can be misspelt.
        let is_of_request = |name| field_names::<Envelope>().contains(&name);
        if members().any(is_world_member) {
            Some(Kind::World)
        } else if members().any(is_of_request) {
            Some(Kind::Request)
        } else {
            let known = KINDS.map(|(_, member, _)| member);
            let near = members().find_map(|name| nearest(name, known));
            near.and_then(named).map(|(_, _, kind)| *kind)
        }
    }

    /// The kind of a file by its folder or its name.
    pub(super) fn of_path(path: &Path) -> Option<Self> {
        let mut folders = path.iter().rev().skip(1).filter_map(|name| name.to_str());
        let by_folder = folders.find_map(|name| match name {
            "manifests" => Some(Kind::Manifest),
            "mappings" => Some(Kind::Mapping),
            "requests" => Some(Kind::Request),
            "worlds" => Some(Kind::World),
            _ => None,
        });
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_named = |(name, _, _): &&(&str, &str, Kind)| Some(*name) == stem;
        by_folder.or_else(|| KINDS.iter().find(is_named).map(|(_, _, kind)| *kind))
    }

    /// The members that identify a file.
    pub(super) fn members() -> String {
        KINDS.map(|(_, member, _)| member).join(", ")
    }
}
