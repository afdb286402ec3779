//! Checks inside one manifest. Each fault has its place.
//!
//! Checks that need mappings or operations are in the catalog.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::Value;

use crate::manifest::outputs::Context;
use crate::manifest::param::Choices;
use crate::manifest::template::placeholders;
use crate::manifest::{CommandSpec, Manifest, Param, ParamType, Platform, Readable};
use crate::names::{fold, suggestion};
use crate::protocol::failure::{ErrorKind, Failure};
use crate::when::ago;

/// The supported version of the manifest format.
const FORMAT: u32 = 1;

/// All faults of one manifest; the place of each is a JSON Pointer into it.
pub fn lint(manifest: &Manifest) -> Vec<Failure> {
    let mut faults = Faults::default();
    if manifest.manifest != FORMAT {
        faults.add("/manifest", "the format version must be 1");
    }
    faults.identifier("/id", &manifest.id);
    faults.text("/title", &manifest.title);
    faults.text("/summary", &manifest.summary);
    if !is_version(&manifest.version) {
        faults.add(
            "/version",
            "the version must be major.minor.patch, such as 1.0.0",
        );
    }
    faults.platform(manifest);
    faults.params("/connection", &manifest.connection);
    if manifest.commands.is_empty() {
        faults.add("/commands", "a manifest must have a command");
    }
    faults.distinct(
        "/commands",
        manifest.commands.iter().map(|c| c.names().collect()),
    );
    for (n, param) in manifest.connection.iter().enumerate() {
        let known = |id: &String| manifest.commands.iter().any(|command| command.id == *id);
        let ids = param.commands.iter().enumerate();
        for (k, id) in ids.filter(|(_, id)| !known(id)) {
            let hint = suggestion(id, manifest.commands.iter().map(|one| one.id.as_str()));
            let why = format!("there is no command \"{id}\". {hint}");
            faults.add(format!("/connection/{n}/commands/{k}"), why);
        }
    }
    for (n, command) in manifest.commands.iter().enumerate() {
        faults.command(&format!("/commands/{n}"), command);
    }
    faults.0
}

#[derive(Default)]
struct Faults(Vec<Failure>);

impl Faults {
    fn add(&mut self, at: impl Into<String>, why: impl Into<String>) {
        let fault = Failure::new(ErrorKind::InvalidManifest, sentence(&why.into()));
        self.0.push(fault.at(at));
    }

    fn text(&mut self, at: &str, text: &str) {
        if text.trim().is_empty() {
            self.add(at, "the text is empty; write one sentence");
        }
    }

    fn identifier(&mut self, at: &str, id: &str) {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if id.is_empty() || !id.chars().all(legal) {
            self.add(
                at,
                "an id must have only lower case letters, digits, \"_\" and \"-\"",
            );
        }
    }

    /// Names that differ only in case, spaces, hyphens or underscores are the same name in a request.
    fn distinct<'a>(&mut self, at: &str, entries: impl Iterator<Item = Vec<&'a str>>) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (n, names) in entries.enumerate() {
            for (k, name) in names.into_iter().enumerate() {
                match seen.insert(fold(name), n) {
                    Some(other) if other != n => {
                        let member = match k {
                            0 => "id".to_owned(),
                            1 => "title".to_owned(),
                            k => format!("aliases/{}", k - 2),
                        };
                        let why = format!(
                            "\"{name}\" is also a name of entry {other}: case, spaces, \"_\" and \"-\" are ignored. Rename one"
                        );
                        self.add(format!("{at}/{n}/{member}"), why);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The platform's texts use their own placeholders, and rows that are merged have a key.
    fn platform(&mut self, manifest: &Manifest) {
        let Platform { failure, merge_key } = &manifest.platform;
        let failure = ("/platform/failure", failure, &Platform::FAILURE_NAMES[..]);
        let merge_key = merge_key.iter();
        let merge_key =
            merge_key.map(|key| ("/platform/merge_key", key, &Platform::MERGE_KEY_NAMES[..]));
        for (at, text, names) in merge_key.chain([failure]) {
            for name in placeholders(text).filter(|name| !names.contains(name)) {
                let names = names.join("}, {");
                let why = format!("there is no placeholder {{{name}}}. Placeholders: {{{names}}}");
                self.add(at, why);
            }
            for name in names
                .iter()
                .filter(|name| placeholders(text).all(|used| used != **name))
            {
                self.add(at, format!("the placeholder {{{name}}} is missing"));
            }
        }
        for (n, command) in manifest.commands.iter().enumerate() {
            if let Some(Context::Rows(rows)) = &command.outputs.context
                && rows.merge.is_some()
                && manifest.platform.merge_key.is_none()
            {
                let why = "`merge` requires `platform.merge_key`, the key by which the platform merges rows";
                self.add(format!("/commands/{n}/outputs/context/merge"), why);
            }
        }
    }

    fn command(&mut self, at: &str, command: &CommandSpec) {
        self.identifier(&format!("{at}/id"), &command.id);
        self.text(&format!("{at}/title"), &command.title);
        self.text(&format!("{at}/summary"), &command.summary);
        self.params(&format!("{at}/inputs"), &command.inputs);
        for (n, _) in command
            .inputs
            .iter()
            .enumerate()
            .filter(|(_, param)| !param.commands.is_empty())
        {
            let why = "only connection parameters have `commands`";
            self.add(format!("{at}/inputs/{n}/commands"), why);
        }
        for (n, permission) in command.permissions.iter().enumerate() {
            self.text(&format!("{at}/permissions/{n}/name"), &permission.name);
        }
        for (n, key_field) in command.outputs.key_fields.iter().enumerate() {
            self.text(
                &format!("{at}/outputs/key_fields/{n}/summary"),
                &key_field.summary,
            );
        }
        for (input, value) in &command.fixed {
            self.unsubstituted(&format!("{at}/fixed/{input}"), value);
        }
        if let Some(indicator) = &command.failure_indicator {
            self.unsubstituted(
                &format!("{at}/failure_indicator"),
                &Value::from(indicator.as_str()),
            );
        }
        self.readable(at, command);
        if let Some(Context::Rows(rows)) = &command.outputs.context
            && rows.at.split('.').any(|name| name.trim().is_empty())
        {
            let why = "the place of rows must be names with one dot between each, such as `Product.Thing`";
            self.add(format!("{at}/outputs/context/at"), why);
        }
        if let Some(span) = &command.overlap {
            let at = format!("{at}/overlap");
            if ago(span, DateTime::UNIX_EPOCH).is_none() {
                self.add(
                    &at,
                    "the overlap must be a span such as `10 minutes` or `2 hours`",
                );
            }
            if !command.state {
                self.add(&at, "`overlap` requires `state`: true");
            }
        }
    }

    /// Placeholders in texts that have none.
    fn unsubstituted(&mut self, at: &str, value: &Value) {
        let mut texts = vec![value];
        while let Some(value) = texts.pop() {
            match value {
                Value::Array(items) => texts.extend(items),
                Value::Object(members) => texts.extend(members.values()),
                Value::String(text) => {
                    if let Some(name) = placeholder(text) {
                        let why = format!(
                            "`{{{name}}}` is not filled in here. Bind an input of the command to an input of the operation with `to`; `soarhost operations` lists them"
                        );
                        self.add(at, why);
                    }
                }
                _ => {}
            }
        }
    }

    /// Each placeholder is an input of the command or a path of the raw data.
    fn readable(&mut self, at: &str, command: &CommandSpec) {
        let Some(readable) = &command.outputs.readable else {
            return;
        };
        let forms = [
            !readable.table.is_empty(),
            readable.assessment.is_some(),
            readable.text.is_some(),
        ];
        if forms.into_iter().filter(|is_set| *is_set).count() != 1 {
            let why = "set one of `table`, `assessment` and `text`";
            self.add(format!("{at}/outputs/readable"), why);
        }
        if readable.assessment.is_some() && command.mapping.is_none() {
            let why = "an assessment requires a command with a `mapping`";
            self.add(format!("{at}/outputs/readable/assessment"), why);
        }
        let Readable {
            title,
            empty,
            text,
            unchanged,
            ..
        } = readable;
        let texts = [
            ("title", title),
            ("empty", empty),
            ("text", text),
            ("unchanged", unchanged),
        ];
        for (member, text) in texts {
            for name in placeholders(text.as_deref().unwrap_or_default()) {
                let known = command.inputs.iter().any(|input| input.id == name);
                if !known && !name.starts_with('$') {
                    let ids = command.inputs.iter().map(|one| one.id.as_str());
                    let hint = match command.inputs.as_slice() {
                        [] => "The command has no inputs.".to_owned(),
                        _ => suggestion(name, ids),
                    };
                    let why = format!("there is no input \"{name}\" for the placeholder. {hint}");
                    self.add(format!("{at}/outputs/readable/{member}"), why);
                }
            }
        }
    }

    fn unsupported(&mut self, at: &str, param: &Param) {
        let Some(unsupported) = &param.unsupported else {
            return;
        };
        let at = format!("{at}/unsupported");
        if !at.starts_with("/connection/") {
            self.add(&at, "only connection parameters have `unsupported`");
        }
        self.text(&format!("{at}/allowed"), &unsupported.allowed);
        self.text(&format!("{at}/advice"), &unsupported.advice);
        match param.coerce(&unsupported.value, DateTime::UNIX_EPOCH) {
            Ok(value) if value == unsupported.value => {}
            Ok(value) => self.add(format!("{at}/value"), format!("write the value as {value}")),
            Err(expected) => self.add(format!("{at}/value"), format!("the value {expected}")),
        }
    }

    fn params(&mut self, at: &str, params: &[Param]) {
        self.distinct(at, params.iter().map(|param| param.names().collect()));
        for (n, param) in params.iter().enumerate() {
            self.param(&format!("{at}/{n}"), param);
        }
    }

    fn param(&mut self, at: &str, param: &Param) {
        self.identifier(&format!("{at}/id"), &param.id);
        self.text(&format!("{at}/title"), &param.title);
        self.text(&format!("{at}/summary"), &param.summary);
        let chooses = match &param.kind {
            ParamType::List(element) => **element == ParamType::Choice,
            single => *single == ParamType::Choice,
        };
        let values = param.choices.as_ref().map(Choices::values);
        match (chooses, values) {
            (true, None) => self.add(
                format!("{at}/type"),
                "a choice needs `choices`. Add a list of values, or \"clouds\" or \"content_types\"",
            ),
            (true, Some(values)) if values.is_empty() => {
                let why = "the list is unknown or empty. Use a list of values, or \"clouds\" or \"content_types\"";
                self.add(format!("{at}/choices"), why);
            }
            (false, Some(_)) => self.add(format!("{at}/choices"), "only a choice has `choices`"),
            _ => {}
        }
        self.unsupported(at, param);
        if param.part_of.is_some() && param.member.is_none() {
            self.add(format!("{at}/part_of"), "`part_of` requires `member`");
        }
        if let Some(default) = &param.default {
            self.unsubstituted(&format!("{at}/default"), default);
        }
        for (name, value) in [("default", &param.default), ("example", &param.example)] {
            let Some(value) = value else { continue };
            if let Err(expected) = param.coerce(value, DateTime::UNIX_EPOCH) {
                self.add(format!("{at}/{name}"), format!("the {name} {expected}"));
            }
        }
        let is_reference = |value: &Value| value.as_str().is_some_and(|v| v.starts_with("env:"));
        let shown = param.example.as_ref();
        if param.secret && param.default.is_some() {
            let why = "a secret must have no default. Remove it";
            self.add(format!("{at}/default"), why);
        }
        if param.secret && !shown.is_none_or(is_reference) {
            let why = "the example of a secret must be a reference such as env:SOAR_X";
            self.add(format!("{at}/example"), why);
        }
    }
}

/// The first placeholder.
fn placeholder(text: &str) -> Option<&str> {
    placeholders(text).find(|name| {
        let begins = name.starts_with(|c: char| c.is_alphabetic() || "_$".contains(c));
        let plain = name
            .chars()
            .all(|c| c.is_alphanumeric() || "_-. $[]*".contains(c));
        begins && plain
    })
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().collect::<String>());
    let text = format!("{}{}", first.unwrap_or_default(), letters.as_str());
    let end = if text.ends_with(['.', '?']) { "" } else { "." };
    text + end
}

fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_at_its_place() {
        let text = r#"{"manifest":1,"id":"Bad Id","title":"T","version":"1.0","summary":"S.",
          "connection":[
            {"id":"a","title":"Tenant","type":"choice","summary":"S."},
            {"id":"b","title":"tenant","type":"integer","default":"x","summary":" "}],
          "commands":[{"id":"c","title":"C","kind":"read","operation":"o","summary":"S."}]}"#;
        let manifest = Manifest::parse(text, "bad.json").expect("a manifest");
        let faults: Vec<String> = lint(&manifest).iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "/id: An id must have only lower case letters, digits, \"_\" and \"-\".",
                "/version: The version must be major.minor.patch, such as 1.0.0.",
                "/connection/1/title: \"tenant\" is also a name of entry 0: case, spaces, \"_\" and \"-\" are ignored. Rename one.",
                "/connection/0/type: A choice needs `choices`. Add a list of values, or \"clouds\" or \"content_types\".",
                "/connection/1/summary: The text is empty; write one sentence.",
                "/connection/1/default: The default must be a whole number; got \"x\".",
            ]
        );
    }

    #[test]
    fn platform_texts_and_unsupported_values_are_checked() {
        let text = r#"{"manifest":1,"id":"x","title":"T","version":"1.0.0","summary":"S.",
          "platform":{"failure":"{failure_indicator}: {message} {code}"},
          "connection":[{"id":"a","title":"A","type":"boolean","summary":"S.",
            "unsupported":{"value":"no","allowed":"","advice":"Set it."}}],
          "commands":[{"id":"c","title":"C","kind":"read","operation":"o","summary":"S.",
            "outputs":{"context":{"mapping":"x/y","at":"X.Y","merge":"ID"}}}]}"#;
        let manifest = Manifest::parse(text, "bad.json").expect("a manifest");
        let faults: Vec<String> = lint(&manifest).iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "/platform/failure: There is no placeholder {code}. Placeholders: {failure_indicator}, {status_code}, {message}.",
                "/platform/failure: The placeholder {status_code} is missing.",
                "/commands/0/outputs/context/merge: `merge` requires `platform.merge_key`, the key by which the platform merges rows.",
                "/connection/0/unsupported/allowed: The text is empty; write one sentence.",
                "/connection/0/unsupported/value: The value must be true or false; got \"no\".",
            ]
        );
    }

    #[test]
    fn parameter_without_a_summary_is_refused() {
        let text = r#"{"manifest":1,"id":"x","title":"T","version":"1.0.0","summary":"S.",
          "connection":[{"id":"a","title":"A","type":"string"}],"commands":[]}"#;
        let error = Manifest::parse(text, "bad.json").expect_err("no summary");
        assert_eq!(
            error.to_string(),
            "bad.json:/connection/0: `connection[0].summary` is missing; it must be text."
        );
    }
}
