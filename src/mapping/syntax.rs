//! The syntax tree of an RFC 9535 query, with the filters inside it.
//!
//! Only well-typed expressions can be written with these types. `path` and `subset` parse them,
//! `plan` and `evaluate` evaluate them.

use regex::Regex;

use super::value::Number;

/// A query: segments, applied one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(pub(crate) Vec<Segment>);

/// A segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// True for `..`: applied to the node and all its descendants.
    pub(crate) deep: bool,
    /// The selectors, in order.
    pub(crate) selectors: Vec<Selector>,
}

/// A selector.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// `['name']`
    Name(String),
    /// `[n]`; a negative index counts from the end.
    Index(i64),
    /// `[*]`
    Wildcard,
    /// `[start:end:step]`
    Slice(Slice),
    /// `[?…]`
    Filter(Filter),
}

/// The three numbers of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    pub(crate) step: Option<i64>,
}

/// A logical expression.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    /// True if one of them is true.
    Or(Vec<Filter>),
    /// True if all of them are true.
    And(Vec<Filter>),
    /// True if it is false.
    Not(Box<Filter>),
    /// True if the query selects a node.
    Exists(Nodes),
    /// A comparison.
    Compare(Operand, Comparator, Operand),
    /// `match()` if `whole`, else `search()`.
    Matches {
        text: Operand,
        pattern: Pattern,
        whole: bool,
    },
}

/// A query inside a filter, from the record (`$`) or from the current node (`@`).
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    pub(crate) from_root: bool,
    pub(crate) query: Query,
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    /// A literal.
    Literal(Literal),
    /// The node of a singular query.
    Singular(Nodes),
    /// `length()`
    Length(Box<Operand>),
    /// `count()`
    Count(Nodes),
    /// `value()`
    Value(Nodes),
}

/// A literal.
#[derive(Clone, Debug)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

/// A comparison operator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A pattern. A literal one is compiled once, any other one for each node.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// `None` if the literal is not a valid pattern: it matches nothing.
    Fixed(Option<Regex>),
    /// A value of the record.
    Computed(Operand),
}

impl Query {
    /// True if the query selects at most one node in any document.
    pub(crate) fn singular(&self) -> bool {
        self.0.iter().all(Segment::singular)
    }

    /// True if the automaton can run the query: names, indexes and wildcards only, and at most one
    /// `..`.
    pub(crate) fn common(&self) -> bool {
        self.0.iter().filter(|segment| segment.deep).count() <= 1
            && self.0.iter().all(|segment| match &*segment.selectors {
                [Selector::Name(_) | Selector::Wildcard] => true,
                [Selector::Index(index)] => *index >= 0,
                _ => false,
            })
    }
}

impl Query {
    /// The normalized path (RFC 9535, 2.7) of a singular query.
    pub(crate) fn normalized(&self) -> Option<String> {
        let mut path = "$".to_owned();
        for selector in self.0.iter().flat_map(|segment| &segment.selectors) {
            match selector {
                Selector::Name(name) => path.push_str(&normalized_name(name)),
                Selector::Index(index) if *index >= 0 => {
                    path.extend(["[", &index.to_string(), "]"]);
                }
                _ => return None,
            }
        }
        Some(path)
    }
}

impl Segment {
    /// True if the segment is one name or one index, not after `..`.
    pub(crate) fn singular(&self) -> bool {
        !self.deep && matches!(&*self.selectors, [Selector::Name(_) | Selector::Index(_)])
    }
}

impl Slice {
    /// The indexes selected in an array of that length (RFC 9535, 2.3.4.2.2).
    pub(crate) fn indexes(self, len: usize) -> impl Iterator<Item = usize> {
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let step = self.step.unwrap_or(1);
        let normal = |index: i64| if index >= 0 { index } else { len + index };
        let (from, to) = if step >= 0 {
            (self.start.unwrap_or(0), self.end.unwrap_or(len))
        } else {
            (
                self.start.unwrap_or(len - 1),
                self.end.unwrap_or((-len).saturating_sub(1)),
            )
        };
        let (low, high) = if step >= 0 { (0, len) } else { (-1, len - 1) };
        let (mut at, end) = (normal(from).clamp(low, high), normal(to).clamp(low, high));
        std::iter::from_fn(move || {
            let inside = (step > 0 && at < end) || (step < 0 && at > end);
            let index = usize::try_from(at).ok().filter(|_| inside)?;
            at = at.saturating_add(step);
            Some(index)
        })
    }
}

impl Pattern {
    /// A literal pattern.
    pub(crate) fn fixed(text: &str, whole: bool) -> Self {
        Pattern::Fixed(compile(text, whole))
    }
}

/// A name in a normalized path.
pub(crate) fn normalized_name(name: &str) -> String {
    let mut text = "['".to_owned();
    for c in name.chars() {
        match c {
            '\'' => text.push_str("\\'"),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            c if c < ' ' => text.extend(["\\u", &format!("{:04x}", u32::from(c))]),
            c => text.push(c),
        }
    }
    text + "']"
}

/// An I-Regexp as a pattern of the regex crate: a dot matches neither line feed nor carriage return.
pub(crate) fn compile(pattern: &str, whole: bool) -> Option<Regex> {
    // The pattern must be valid alone: `a)(b` must not become valid inside the group.
    let alone = build(pattern)?;
    if whole {
        return build(&format!(r"\A(?:{pattern})\z"));
    }
    Some(alone)
}

fn build(pattern: &str) -> Option<Regex> {
    regex::RegexBuilder::new(pattern)
        .crlf(true)
        .size_limit(1 << 20)
        .build()
        .ok()
}
