//! A record as a flat list of its nodes in document order (a tape, as simdjson calls it).
//!
//! The general evaluator of JSONPath reads it. A node is a range of the text, not a value, so
//! digits, escapes and repeated members are preserved, and every valid text can be represented.

use std::borrow::Cow;

use crate::json::scan;

/// A value in the text.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The range of the member's name, quotes included. Empty for elements and for the root.
    name: (usize, usize),
    start: usize,
    end: usize,
    /// The index after the last descendant.
    after: usize,
}

/// The nodes of one value. All descendants of a node directly follow it.
#[derive(Debug)]
pub(crate) struct Tape<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

impl<'a> Tape<'a> {
    /// Lists the nodes of the value that starts at `start`. The text must be valid.
    pub(crate) fn of(text: &'a str, start: usize) -> Self {
        let nodes = Vec::new();
        let mut tape = Tape { text, nodes };
        tape.value(start, (0, 0));
        tape
    }

    fn value(&mut self, start: usize, name: (usize, usize)) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node {
            name,
            start,
            end: start,
            after: index + 1,
        });
        let end = match self.text.as_bytes().get(start) {
            Some(b'{') => self.items(start, true),
            Some(b'[') => self.items(start, false),
            _ => scan::value_end(self.text.as_bytes(), start),
        };
        let after = self.nodes.len();
        let node = &mut self.nodes[index];
        (node.end, node.after) = (end, after);
        end
    }

    fn items(&mut self, start: usize, named: bool) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        while let Some(item) = scan::next_item(bytes, at) {
            at = if named {
                let end = scan::string_end(bytes, item);
                self.value(scan::member_value(bytes, end), (item, end))
            } else {
                self.value(item, (0, 0))
            };
        }
        scan::skip_bracket(bytes, at)
    }

    /// The number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node and its descendants: parents before children, siblings in document order.
    pub(crate) fn subtree(&self, node: usize) -> std::ops::Range<usize> {
        node..self.nodes[node].after
    }

    /// The children of a node, in document order.
    pub(crate) fn children(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let (mut next, end) = (node + 1, self.nodes[node].after);
        std::iter::from_fn(move || {
            let child = (next < end).then_some(next)?;
            next = self.nodes[child].after;
            Some(child)
        })
    }

    /// The JSON text of a node.
    pub(crate) fn raw(&self, node: usize) -> &'a str {
        let Node { start, end, .. } = self.nodes[node];
        self.text.get(start..end).unwrap_or("")
    }

    /// The position of a node in the text.
    pub(crate) fn start(&self, node: usize) -> usize {
        self.nodes[node].start
    }

    /// The name of a member, escapes resolved.
    pub(crate) fn name(&self, node: usize) -> Cow<'a, str> {
        let (from, to) = self.nodes[node].name;
        scan::unescape(self.text.get(from..to).unwrap_or(""))
    }

    /// Is it an object?
    pub(crate) fn is_object(&self, node: usize) -> bool {
        self.raw(node).starts_with('{')
    }

    /// Is it an array?
    pub(crate) fn is_array(&self, node: usize) -> bool {
        self.raw(node).starts_with('[')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_listed_in_document_order() {
        let tape = Tape::of(r#"{"a":[1,{"b":2.50}],"\u0061":"x"}"#, 0);
        let raw: Vec<_> = (1..tape.len()).map(|node| tape.raw(node)).collect();
        assert_eq!(
            raw,
            [r#"[1,{"b":2.50}]"#, "1", r#"{"b":2.50}"#, "2.50", r#""x""#]
        );
        assert_eq!(tape.children(0).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(tape.subtree(1), 1..5);
        assert_eq!((tape.name(1), tape.name(5)), ("a".into(), "a".into()));
    }
}
