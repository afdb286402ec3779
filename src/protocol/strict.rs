//! Strict parsing: refuses repeated and unknown keys, and reports every fault with its place.
//!
//! The known keys come from the type's `Deserialize`, so no list of fields is written twice. What
//! is allowed comes from the type's schema (`shape`).

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;

use schemars::{JsonSchema, schema_for};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::names;
use crate::protocol::failure::{ErrorKind, Failure, MAX_ITEMS};
use crate::protocol::pointer::{escape, name_of};
use crate::protocol::shape::{Difference, differences, type_name};

/// Parses one JSON object. Fails if any object has a repeated key.
pub fn strict_object(text: &str) -> Result<Map<String, Value>, Failure> {
    check(text)?;
    match serde_json::from_str(text).map_err(|error| malformed(&error))? {
        Value::Object(map) => Ok(map),
        other => Err(Failure::new(
            ErrorKind::MalformedRequest,
            format!("Expected one JSON object; got {}.", type_name(&other)),
        )),
    }
}

/// The line and the column, counted from 1, at which a text is not valid JSON.
pub fn unreadable_at(text: &str) -> Option<(usize, usize)> {
    let error = checked(text).err()?;
    Some((error.line(), error.column()))
}

/// Checks JSON text as strictly as [`strict_object`], without building values. Uses little memory.
pub(crate) fn check(text: &str) -> Result<(), Failure> {
    checked(text).map_err(|error| malformed(&error))
}

fn checked(text: &str) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let hasher = RandomState::new();
    Checked(&hasher)
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
}

/// Checks a value. Fails if an object has a repeated key.
///
/// Keys are compared by a 64-bit hash with a random key, so an object with two million members
/// takes 40 MB instead of 200 MB. The probability of a false repetition is one in ten million.
#[derive(Clone, Copy)]
struct Checked<'h>(&'h RandomState);

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while map.next_key_seed(Key(self.0, &mut keys))?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// Checks that a key is not one of the keys before it.
struct Key<'k>(&'k RandomState, &'k mut HashSet<u64>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        if self.1.insert(self.0.hash_one(key)) {
            return Ok(());
        }
        Err(E::custom(format!("the key \"{key}\" is repeated")))
    }
}

fn malformed(error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let reason = match text.split_once(" at line ") {
        Some((reason, _)) => reason,
        None => &text,
    };
    let reason = match reason {
        "recursion limit exceeded" => "nested deeper than 127 levels",
        "trailing characters" => "unexpected text after the object",
        other => other,
    };
    let place = format!("line {}, column {}", error.line(), error.column());
    Failure::new(
        ErrorKind::MalformedRequest,
        format!("Invalid JSON at {place}: {reason}."),
    )
}

/// The names of the fields of `T`, from its `Deserialize`.
pub fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Names<'a>(&'a mut &'static [&'static str]);
    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = de::value::Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("only the names are needed"))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            self.deserialize_any(visitor)
        }
        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut names: &'static [&'static str] = &[];
    let _ = T::deserialize(Names(&mut names));
    names
}

/// Parses a `T` from an object at `pointer`. Every unknown key, missing key and invalid value is a
/// fault.
///
/// `pointer` is a JSON Pointer, or the name of a file or flag before one.
pub fn decode_object<T: DeserializeOwned + JsonSchema>(
    object: &Map<String, Value>,
    pointer: &str,
    kind: ErrorKind,
) -> Result<T, Vec<Failure>> {
    let known = field_names::<T>();
    let is_known = |key: &str| known.contains(&key);
    let unknown = object.keys().map(String::as_str);
    let unknown: Vec<&str> = unknown.filter(|key| !is_known(key)).collect();
    let mut faults = unknown_keys(&unknown, kind, pointer, known);
    let known_members: Map<String, Value> = object
        .iter()
        .filter(|(key, _)| is_known(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let known_members = Value::Object(known_members);
    match serde_path_to_error::deserialize(&known_members) {
        Ok(read) if faults.is_empty() => Ok(read),
        Ok(_) => Err(faults),
        Err(error) => {
            let base = pointer_in(pointer);
            let mut found = differences(&Value::from(schema_for!(T)), &known_members, base, kind);
            if found.is_empty() {
                let inner = pointer_of(error.path());
                let name = name_of(&format!("{base}{inner}"));
                let message = sentence(&name, &error.into_inner().to_string());
                found.push(Difference {
                    pointer: inner,
                    missing: false,
                    is_name: false,
                    message,
                    choices: Vec::new(),
                });
            }
            let placed = found.into_iter().map(|one| one.fault(pointer, kind));
            faults.extend(placed);
            Err(faults)
        }
    }
}

/// The faults of some members of a `T`. Other members of the `T` can be missing.
pub fn member_faults<T: DeserializeOwned + JsonSchema>(
    members: &Map<String, Value>,
    kind: ErrorKind,
) -> Vec<Failure> {
    let found = differences(
        &Value::from(schema_for!(T)),
        &Value::Object(members.clone()),
        "",
        kind,
    );
    let found = found
        .into_iter()
        .filter(|one| !(one.missing && one.pointer.is_empty()));
    found.map(|one| one.fault("", kind)).collect()
}

/// The JSON Pointer of a place, without the file or flag before it.
pub(crate) fn pointer_in(place: &str) -> &str {
    match place.find('/') {
        Some(0) => place,
        _ => match place.rsplit_once(":/") {
            Some((before, _)) => &place[before.len() + 1..],
            None => "",
        },
    }
}

/// A fault for each unknown key of the object at a place. Finding the most similar name takes time,
/// so faults that a failure would not list are only counted.
pub(crate) fn unknown_keys(
    unknown: &[&str],
    kind: ErrorKind,
    pointer: &str,
    known: &[&str],
) -> Vec<Failure> {
    let fault = |key: &&str| {
        let hint = names::suggestion(key, known.iter().copied());
        Failure::new(kind, format!("Unknown key \"{key}\". {hint}"))
            .at(format!("{pointer}/{}", escape(key)))
            .about_name()
    };
    let mut faults: Vec<Failure> = unknown.iter().take(MAX_ITEMS).map(fault).collect();
    let rest = unknown.len() - faults.len();
    if rest > 0 {
        let message = format!("{rest} more keys are unknown.");
        faults.push(Failure::new(kind, message).at(pointer));
    }
    faults
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// serde's message with the field's name, without the value: it could be a secret.
fn sentence(name: &str, error: &str) -> String {
    let expected = error
        .strip_prefix("unknown variant `")
        .or_else(|| error.strip_prefix("invalid "))
        .and_then(|rest| rest.rsplit_once("expected "));
    match expected {
        Some((_, expected)) => format!("`{name}` must be {}.", expected.replace('`', "")),
        None => format!(
            "`{name}`: {}.",
            error.replace('`', "\"").trim_end_matches('.')
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code, reason = "only its name and type matter here")]
        count: Option<u8>,
        #[allow(dead_code, reason = "only its name and type matter here")]
        names: Option<Vec<String>>,
    }

    #[test]
    fn field_names_come_from_the_type() {
        assert_eq!(field_names::<Sample>(), ["count", "names"]);
    }

    #[test]
    fn faults_have_places_and_do_not_quote_objects() {
        let object = strict_object(r#"{"cuont":1,"names":["a",{"s":"hidden"}]}"#).expect("JSON");
        let faults = decode_object::<Sample>(&object, "/options", ErrorKind::MalformedRequest)
            .expect_err("two faults");
        let messages: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "/options/cuont: Unknown key \"cuont\". Did you mean \"count\"?",
                "/options/names/1: `options.names[1]` must be text; got an object.",
            ]
        );
    }

    #[test]
    fn repeated_key_at_any_depth_fails() {
        let error =
            strict_object("{\"a\":{\"b\":[{\"c\":1,\n\"c\":2}]}}").expect_err("a duplicate");
        assert_eq!(
            error.message(),
            "Invalid JSON at line 2, column 3: the key \"c\" is repeated."
        );
    }

    #[test]
    fn invalid_json_fails_with_the_place() {
        let why = |text: &str| {
            strict_object(text)
                .expect_err("refused")
                .message()
                .to_owned()
        };
        assert!(why("{\"a\":1e400}").contains("line 1, column 10: number out of range"));
        assert!(why("{\"a\":\"\\ud83d\"}").contains("hex escape"));
        assert!(why("{} {}").contains("unexpected text"));
        assert!(why("[1]").contains("one JSON object; got an array"));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(127), "]".repeat(127));
        assert!(why(&deep).contains("deeper than 127 levels"));
        let fine = format!("{{\"a\":{}1{}}}", "[".repeat(126), "]".repeat(126));
        assert!(strict_object(&fine).is_ok());
    }
}
