//! The layout of manifests and mappings.
//!
//! Members are in the order of the schema. Tokens are never changed, and members that the schema does
//! not name keep their order. There is no width: the layout of a line does not depend on others.

use serde_json::Value;

use crate::json::document::{elements, members};

/// The types whose objects have one member in each line.
const TALL: [&str; 7] = [
    "Platform",
    "Param",
    "Unsupported",
    "CommandSpec",
    "Outputs",
    "Readable",
    "Assessment",
];

/// The types of which an array has one element in each line.
const ROWS: [&str; 6] = [
    "Param",
    "CommandSpec",
    "Permission",
    "KeyField",
    "MappingSource",
    "MappingField",
];

/// Lists of sentences, which have one element in each line.
const SENTENCES: [&str; 2] = ["setup", "notes"];

/// The largest lookup table that stays in one line.
const TABLE_IN_A_LINE: usize = 24;

/// The text of a valid file in the canonical layout.
pub fn canonical(text: &str, schema: &Value) -> String {
    let mut layout = Layout {
        root: schema,
        out: String::new(),
    };
    layout.object(
        text.trim_start_matches('\u{feff}').trim(),
        schema,
        (0, true),
    );
    layout.out + "\n"
}

struct Layout<'a> {
    root: &'a Value,
    out: String,
}

impl<'a> Layout<'a> {
    fn value(&mut self, text: &str, schema: &'a Value, (name, depth): (&str, usize)) {
        let (kind, schema) = self.resolve(schema, text);
        match text.as_bytes().first() {
            Some(b'{') => {
                let count = members(text).map_or(0, |members| members.len());
                let is_long_table = name == "values" && count > TABLE_IN_A_LINE;
                let is_tall = TALL.contains(&kind) || name == "codes" || is_long_table;
                self.object(text, schema, (depth, is_tall && count > 1));
            }
            Some(b'[') => self.array(text, schema, (name, depth)),
            _ => self.out.push_str(text),
        }
    }

    fn object(&mut self, text: &str, schema: &'a Value, (depth, is_tall): (usize, bool)) {
        let order = schema["properties"].as_object();
        let place =
            |name: &str| order.and_then(|order| order.keys().position(|known| known == name));
        // A text that is not an object is never lost.
        let Ok(mut members) = members(text) else {
            return self.out.push_str(text);
        };
        members.sort_by_key(|member| place(&member.name()).unwrap_or(usize::MAX));
        self.out.push('{');
        let inner = depth + usize::from(is_tall);
        for (n, member) in members.iter().enumerate() {
            self.separate(n, is_tall.then_some(inner), " ");
            let name = member.name();
            self.out.push_str(member.token());
            self.out.push_str(": ");
            let below = schema["properties"].get(&*name).unwrap_or(&Value::Null);
            self.value(member.value(), below, (&*name, inner));
        }
        self.close(!members.is_empty(), is_tall.then_some(depth), " }");
    }

    fn array(&mut self, text: &str, schema: &'a Value, (name, depth): (&str, usize)) {
        let of = &schema["items"];
        let elements = elements(text).unwrap_or_default();
        let first = elements.first().copied().unwrap_or_default();
        let (kind, _) = self.resolve(of, first);
        let has_rows = SENTENCES.contains(&name) || ROWS.contains(&kind);
        let is_tall = has_rows && !elements.is_empty();
        self.out.push('[');
        let inner = depth + usize::from(is_tall);
        for (n, element) in elements.iter().enumerate() {
            self.separate(n, is_tall.then_some(inner), "");
            self.value(element, of, ("", inner));
        }
        self.close(!elements.is_empty(), is_tall.then_some(depth), "]");
    }

    /// The white space before the n-th part: a new line with an indent, or a space.
    fn separate(&mut self, n: usize, depth: Option<usize>, first: &str) {
        let comma = if n > 0 { "," } else { "" };
        self.out.push_str(comma);
        match depth {
            Some(depth) => self.line(depth),
            None if n > 0 => self.out.push(' '),
            None => self.out.push_str(first),
        }
    }

    /// The end of an object or an array. `end` has the space of one line.
    fn close(&mut self, has_parts: bool, depth: Option<usize>, end: &str) {
        match depth {
            Some(depth) if has_parts => {
                self.line(depth);
                self.out.push_str(end.trim_start());
            }
            _ if has_parts => self.out.push_str(end),
            _ => self.out.push_str(end.trim_start()),
        }
    }

    fn line(&mut self, depth: usize) {
        self.out.push('\n');
        self.out.push_str(&"  ".repeat(depth));
    }

    /// The name and the schema of the type that a value has: the alternative for its form.
    fn resolve(&self, schema: &'a Value, text: &str) -> (&'a str, &'a Value) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap_or_default();
            let (inner, schema) = self.resolve(&self.root["$defs"][name], text);
            return (if inner.is_empty() { name } else { inner }, schema);
        }
        let form = match text.as_bytes().first() {
            Some(b'{') => "properties",
            Some(b'[') => "items",
            _ => return ("", schema),
        };
        let several = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
        let several = several
            .into_iter()
            .flatten()
            .map(|one| self.resolve(one, text));
        let mut fitting = several.filter(|(_, schema)| schema.get(form).is_some());
        fitting.next().unwrap_or(("", schema))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemars::schema_for;

    use super::*;
    use crate::json::whitespace::compact;
    use crate::manifest::Manifest;
    use crate::mapping::Definition;

    const MANIFEST: &str = include_str!("../../../../manifests/management_activity.json");
    const MAPPING: &str = include_str!("../../../../mappings/office365_audit/event.json");

    /// The text with other white space and another order of members.
    fn scrambled(text: &str, seed: &mut u64, space: &str) -> String {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let turn = usize::try_from(*seed >> 33).expect("31 bits");
        let gap = |n: usize| {
            if (turn + n).is_multiple_of(3) {
                space
            } else {
                ""
            }
        };
        let mut parts: Vec<String> = Vec::new();
        if text.starts_with('{') {
            for (n, member) in members(text).expect("an object").iter().enumerate() {
                let value = scrambled(member.value(), seed, space);
                parts.push(format!(
                    "{}{}:{}{value}",
                    gap(n),
                    member.token(),
                    gap(n + 1)
                ));
            }
            // `fixed`, `codes` and `values` have no order in the schema.
            if text.contains("\"id\"") || text.contains("\"field\"") {
                let at = turn % parts.len().max(1);
                parts.rotate_left(at);
            }
            return format!("{{{}{}}}", parts.join(","), gap(2));
        }
        if text.starts_with('[') {
            let elements = elements(text).expect("an array");
            parts.extend(elements.iter().map(|one| scrambled(one, seed, space)));
            return format!("[{}{}]", parts.join(","), gap(0));
        }
        text.to_owned()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn layout_depends_on_the_content_only_and_keeps_every_token(
            seed: u64, space in "[ \n\t]{1,3}"
        ) {
            let schemas = [Value::from(schema_for!(Manifest)), Value::from(schema_for!(Definition))];
            for (text, schema) in [MANIFEST, MAPPING].iter().zip(&schemas) {
                let wanted = canonical(text, schema);
                let other = scrambled(text.trim(), &mut seed.clone(), &space);
                prop_assert_eq!(&canonical(&other, schema), &wanted);
                prop_assert_eq!(&canonical(&wanted, schema), &wanted);
                let sorted = |text: &str| {
                    let compact = compact(text.trim()).expect("JSON").into_owned();
                    let mut parts: Vec<String> = compact.split([',', '{', '}']).map(str::to_owned).collect();
                    parts.sort();
                    parts
                };
                prop_assert_eq!(sorted(text), sorted(&wanted));
            }
        }
    }

    #[test]
    fn empty_and_nested_values_stay_in_one_line() {
        let text = r#"{"manifest":1.0e0,"commands":[],"codes":{},"connection":[{"title":"\u0041","id":"a"}],"setup":["x"]}"#;
        let wanted = "{\n  \"manifest\": 1.0e0,\n  \"setup\": [\n    \"x\"\n  ],\n  \"connection\": [\n    {\n      \
                      \"id\": \"a\",\n      \"title\": \"\\u0041\"\n    }\n  ],\n  \"codes\": {},\n  \
                      \"commands\": []\n}\n";
        assert_eq!(canonical(text, &Value::from(schema_for!(Manifest))), wanted);
    }
}
