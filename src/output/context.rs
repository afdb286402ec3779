//! The context: data that playbooks address by path, either a part of the raw data or mapped rows.
//!
//! Decides where the rows are and which values they omit. A mapping decides their content.

use crate::json::Document;
use crate::mapping::{Extractor, FieldPath, Mapped, Mapping};
use crate::protocol::failure::ErrorKind;
use crate::protocol::{Event, Failure, Watch};

/// The value at an absolute path: for a path that can match several values, an array of them.
pub(super) fn at_path(raw: &Document, path: &str) -> Result<Document, Failure> {
    let extractor = Extractor::compile([("context", path)], "outputs")?;
    let found = extractor.run(raw)?;
    let values = found
        .first()
        .map(|found| found.values.as_slice())
        .unwrap_or_default();
    let singular = FieldPath::parse(path).is_ok_and(|path| path.singular());
    let text = match values {
        // The whole document can be large and is not copied.
        [whole] if singular && whole.len() == raw.text().len() => return Ok(raw.clone()),
        [.., last] if singular => (*last).to_owned(),
        several => format!("[{}]", several.join(",")),
    };
    read(text)
}

/// The rows of a mapping: one object if its root is an object, otherwise an array. Also returns the
/// mapping's warnings and faults.
pub(super) fn rows(
    source: &Document,
    mapping: &Mapping,
    watch: Watch<'_>,
) -> Result<(Document, Mapped), Failure> {
    let mut mapped = mapping.apply_within(source, watch)?;
    let single = mapped.events.len() == 1 && is_object(source, &mapping.definition().root)?;
    let mut text = String::new();
    for event in mapped.events.drain(..) {
        if !single {
            text.push(if text.is_empty() { '[' } else { ',' });
        }
        push_row(&event, &mut text);
    }
    if !single {
        text.push_str(if text.is_empty() { "[]" } else { "]" });
    }
    Ok((read(text)?, mapped))
}

/// Puts the rows into nested objects: `a.b` gives `{"a":{"b":rows}}`.
pub(super) fn nested_at(names: &str, rows: &Document) -> Result<Document, Failure> {
    let mut whole = String::with_capacity(rows.text().len() + 2 * names.len());
    for name in names.split('.') {
        whole.extend(["{", &serde_json::Value::from(name).to_string(), ":"]);
    }
    whole.push_str(rows.text());
    whole.extend(names.split('.').map(|_| '}'));
    read(whole)
}

/// Appends the fields as one object, without empty values.
fn push_row(event: &Event, text: &mut String) {
    let is_empty = |value: &str| matches!(value, "null" | "\"\"" | "[]" | "{}");
    text.push('{');
    let fields = event.fields.0.iter();
    let fields = fields.map(|(name, value)| (name, value.get()));
    let fields = fields.filter(|(_, value)| !is_empty(value));
    for (n, (name, value)) in fields.enumerate() {
        let name = serde_json::Value::from(&**name).to_string();
        text.extend([if n > 0 { "," } else { "" }, &name, ":", value]);
    }
    text.push('}');
}

fn is_object(source: &Document, root: &str) -> Result<bool, Failure> {
    if !FieldPath::parse(root).is_ok_and(|path| path.singular()) {
        return Ok(false);
    }
    let extractor = Extractor::compile([("root", root)], "mapping")?;
    let found = extractor.run(source)?;
    let mut values = found.iter().flat_map(|found| &found.values);
    Ok(values.next().is_some_and(|value| value.starts_with('{')))
}

fn read(text: String) -> Result<Document, Failure> {
    Document::from_compact(text).map_err(|error| {
        Failure::new(
            ErrorKind::Internal,
            format!("The context is not JSON: {error}."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: &str = r#"{"mapping":1,"id":"a/b","vocabulary":"own","root":"$","sources":[
        {"id":"default","fields":[{"field":"ID","path":".Id"},{"field":"Scope","path":".Scope"},
            {"field":"UserType","path":".UserType"},{"field":"Old","path":".Old"},
            {"field":"List","path":".List"}]}]}"#;

    fn shown(source: &str) -> String {
        let source = Document::parse(source).expect("valid JSON");
        let mapping = Mapping::parse(MAPPING, "m.json").expect("a mapping");
        let (rows, _) = rows(&source, &mapping, Watch::unlimited()).expect("rows");
        let whole = nested_at("A.B", &rows).expect("a context");
        whole.text().to_owned()
    }

    #[test]
    fn array_gives_rows_without_empty_values() {
        assert_eq!(
            shown(r#"[{"Scope":null,"Id":"","UserType":0,"Old":false,"List":[]},{"Id":"x"}]"#),
            r#"{"A":{"B":[{"UserType":0,"Old":false},{"ID":"x"}]}}"#
        );
        assert_eq!(shown("[]"), r#"{"A":{"B":[]}}"#);
        assert_eq!(shown(r#"[{"Id":"x"}]"#), r#"{"A":{"B":[{"ID":"x"}]}}"#);
    }

    #[test]
    fn object_gives_one_row() {
        assert_eq!(shown(r#"{"Id":"x"}"#), r#"{"A":{"B":{"ID":"x"}}}"#);
    }

    #[test]
    fn path_gives_the_value_or_an_array() {
        let raw = Document::parse(r#"{"value":[{"id":1},{"id":2}]}"#).expect("valid JSON");
        let at = |path| at_path(&raw, path).expect("a document");
        assert_eq!(at("$.value[0]").text(), r#"{"id":1}"#);
        assert_eq!(at("$.value[*].id").text(), "[1,2]");
        assert_eq!(at("$").text(), raw.text());
    }
}
