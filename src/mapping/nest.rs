//! Nested objects and lists for the names of fields, and the place of the record's other members.
//!
//! A name such as `a.b` is the member `b` of the object `a`; `list[x]` and `list[y]` are elements of
//! the array `list`. Each object and list is at the place of its first member. Does not check
//! names: `compile` rejects those that cannot be nested.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::rest::Member;
use crate::json::scan;

type Named = (Arc<str>, Box<RawValue>);

/// A part of an event: JSON text, or the members of an object or list.
#[derive(Debug, Default)]
struct Node<'a> {
    value: Option<&'a str>,
    members: Members<'a>,
    /// True for a list: the names of its members are labels.
    list: bool,
}

/// Names as JSON texts, with their values.
type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// The fields as nested objects. `rest` is the name of an object, and members that are added to it.
pub(super) fn nested(flat: &[Named], rest: Option<(&str, &[Member<'_>])>) -> Vec<Named> {
    let mut members = Members::new();
    for (name, value) in flat {
        enter(&mut members, name).value = Some(value.get());
    }
    if let Some((name, found)) = rest.filter(|(_, found)| !found.is_empty()) {
        let object = &mut enter(&mut members, name).members;
        for (name, json) in found {
            if object.iter().all(|(known, _)| known != name) {
                let value = Some(&**json);
                object.push((
                    Cow::Borrowed(name),
                    Node {
                        value,
                        ..Node::default()
                    },
                ));
            }
        }
    }
    let named = members.iter().filter_map(|(name, node)| {
        let value = RawValue::from_string(node.json()).ok()?;
        Some((scan::unescape(name).into(), value))
    });
    named.collect()
}

/// The node with this name, created if it does not exist.
fn enter<'n, 'a>(members: &'n mut Members<'a>, name: &str) -> &'n mut Node<'a> {
    let (head, below) = match name.split_once('.') {
        Some((head, below)) => (head, Some(below)),
        None => (name, None),
    };
    let labelled = head.strip_suffix(']').and_then(|head| head.split_once('['));
    let node = match labelled {
        None => child(members, head),
        Some((name, label)) => {
            let list = child(members, name);
            list.list = true;
            child(&mut list.members, label)
        }
    };
    match below {
        None => node,
        Some(below) => enter(&mut node.members, below),
    }
}

fn child<'n, 'a>(members: &'n mut Members<'a>, name: &str) -> &'n mut Node<'a> {
    let name = Value::from(name).to_string();
    let known = members.iter().position(|(known, _)| *known == name);
    let at = known.unwrap_or_else(|| {
        members.push((Cow::Owned(name), Node::default()));
        members.len() - 1
    });
    &mut members[at].1
}

impl Node<'_> {
    /// The JSON text. The elements of an array in a list become elements of the list.
    fn json(&self) -> String {
        if let Some(value) = self.value {
            return value.to_owned();
        }
        let members = self.members.iter().map(|(name, node)| (name, node.json()));
        if self.list {
            let elements = members.map(|(_, json)| {
                let inner = json
                    .strip_prefix('[')
                    .and_then(|json| json.strip_suffix(']'));
                inner.map_or(json.clone(), str::to_owned)
            });
            let elements: Vec<String> = elements.filter(|json| !json.is_empty()).collect();
            return format!("[{}]", elements.join(","));
        }
        let members: Vec<String> = members
            .map(|(name, json)| format!("{name}:{json}"))
            .collect();
        format!("{{{}}}", members.join(","))
    }
}
