//! Paths: parses the RFC 9535 queries of mapping files.
//!
//! `subset` parses names, indexes and wildcards, `jsonpath_rust` everything else; no other file names
//! this crate. Its grammar accepts some invalid white space and ill-typed functions, so its result is
//! checked before it becomes a [`Query`]. Does not evaluate queries.

use jsonpath_rust::parser::model::{
    self as parsed, FilterAtom, FnArg, JpQuery, SingularQuery, SingularQuerySegment, Test,
    TestFunction,
};
use jsonpath_rust::parser::parse_json_path;

use super::subset::common;
use super::syntax::{
    Comparator, Filter, Literal, Nodes, Operand, Pattern, Query, Segment, Selector, Slice,
};
use super::value::{Number, Record};
use crate::json::Document;
use crate::json::tape::Tape;

/// The maximum length of a path, in bytes.
pub const MAX_PATH: usize = 1024;

/// The maximum depth of nested function calls. The parser tries a call several times before it fails,
/// so its work on an invalid text triples with each level.
const MAX_CALLS: usize = 6;

/// A path: relative to the record, or absolute (`$…`) from the raw document.
#[derive(Clone, Debug)]
pub struct FieldPath {
    text: String,
    absolute: bool,
    query: Query,
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFault {
    /// The reason.
    pub reason: String,
    /// The byte of the text where parsing stopped, if it is known.
    pub position: Option<usize>,
}

impl std::fmt::Display for PathFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.position {
            Some(position) => write!(f, "{} at character {}", self.reason, position + 1),
            None => f.write_str(&self.reason),
        }
    }
}

impl FieldPath {
    /// Parses a path. A relative path is valid if it is a valid query after a `$`.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        let absolute = text.starts_with('$');
        let segments = if absolute { &text[1..] } else { text };
        let query = match common(segments) {
            _ if text.len() > MAX_PATH => return Err(too_long()),
            Some(query) => query,
            None => {
                let query = read(&format!("${segments}"), 1 - usize::from(absolute))?;
                queried(&query.segments)?
            }
        };
        let text = text.to_owned();
        Ok(FieldPath {
            text,
            absolute,
            query,
        })
    }

    /// The path as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if the path starts at the raw document.
    pub fn absolute(&self) -> bool {
        self.absolute
    }

    /// True if the path selects at most one value in any document.
    pub fn singular(&self) -> bool {
        self.query.singular()
    }

    /// True if the path has names, indexes, wildcards and at most one `..`: one pass over the text
    /// finds its values.
    pub fn common(&self) -> bool {
        self.query.common()
    }

    /// The values at the path, as slices of the document, from the general evaluator. `None` if the
    /// budget of work is used up.
    pub fn evaluate<'a>(&self, document: &'a Document) -> Option<Vec<&'a str>> {
        let tape = Tape::of(document.text(), 0);
        let nodes = Record::new(&tape).nodes(&self.query, 0).ok()?;
        Some(nodes.into_iter().map(|node| tape.raw(node)).collect())
    }

    pub(crate) fn query(&self) -> &Query {
        &self.query
    }
}

/// Parses a filter expression such as `@.a == 'b'`.
pub(crate) fn condition(text: &str) -> Result<Filter, PathFault> {
    if text.len() > MAX_PATH {
        return Err(too_long());
    }
    // The text is put in brackets: it must not close them.
    match queried(&read(&format!("$[?{text}]"), 3)?.segments)?
        .0
        .as_mut_slice()
    {
        [Segment { selectors, .. }] if selectors.len() == 1 => match selectors.pop() {
            Some(Selector::Filter(filter)) => Ok(filter),
            _ => Err(fault("not a filter expression")),
        },
        _ => Err(fault("more than one filter expression")),
    }
}

fn too_long() -> PathFault {
    fault(format!("longer than {MAX_PATH} bytes"))
}

fn fault(reason: impl Into<String>) -> PathFault {
    PathFault {
        reason: reason.into(),
        position: None,
    }
}

/// Parses a query. `prefix` is the number of characters that were added before the author's text.
fn read(query: &str, prefix: usize) -> Result<JpQuery, PathFault> {
    if let Some(position) = stray_blank(query) {
        return Err(PathFault {
            reason: "white space that is not allowed".to_owned(),
            position: Some(position.saturating_sub(prefix)),
        });
    }
    if calls(query) > MAX_CALLS {
        return Err(fault(format!("functions nested deeper than {MAX_CALLS}")));
    }
    parse_json_path(query).map_err(|error| refusal(&error.to_string(), prefix))
}

/// White space that RFC 9535 does not allow and the parser accepts: at the end, after a dot, or
/// inside a word.
fn stray_blank(query: &str) -> Option<usize> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    let (mut quote, mut escaped, mut last, mut blank) = (None, false, '$', None);
    for (at, c) in query.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) => quote = quote.filter(|_| open != c),
            (None, ' ' | '\t' | '\n' | '\r') => {
                blank = blank.or(Some(at));
                continue;
            }
            (None, _) if blank.is_some() && (last == '.' || word(last) && word(c)) => return blank,
            (None, '\'' | '"') => quote = Some(c),
            (None, _) => {}
        }
        (last, blank) = (c, None);
    }
    blank
}

/// The depth of nested function calls: parentheses after a word.
fn calls(query: &str) -> usize {
    let (mut open, mut deepest, mut last) = (Vec::new(), 0, '$');
    let (mut quote, mut escaped) = (None, false);
    for c in query.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(end), _) => quote = quote.filter(|_| end != c),
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ' | '\t' | '\n' | '\r') => continue,
            (None, '(') => {
                open.push(last.is_ascii_alphanumeric() || last == '_');
                deepest = deepest.max(open.iter().filter(|call| **call).count());
            }
            (None, ')') => drop(open.pop()),
            (None, _) => {}
        }
        last = c;
    }
    deepest
}

/// The parser's message without its drawing: where it stopped and what it expected.
fn refusal(message: &str, prefix: usize) -> PathFault {
    let column = message
        .split_once("--> ")
        .and_then(|(_, rest)| rest.lines().next()?.split_once(':'))
        .filter(|(line, _)| *line == "1")
        .and_then(|(_, column)| column.trim().parse::<usize>().ok());
    let reason = match message.rsplit_once("  = ") {
        Some((_, expected)) => expected.trim().replace('_', " "),
        None => message.trim_start_matches("Invalid json path: ").to_owned(),
    };
    PathFault {
        reason,
        position: column.map(|column| column.saturating_sub(1 + prefix)),
    }
}

fn queried(segments: &[parsed::Segment]) -> Result<Query, PathFault> {
    let segments: Result<_, _> = segments.iter().map(segment).collect();
    Ok(Query(segments?))
}

fn segment(segment: &parsed::Segment) -> Result<Segment, PathFault> {
    let (deep, selectors) = match segment {
        parsed::Segment::Descendant(inner) => {
            let Segment { selectors, .. } = self::segment(inner)?;
            return Ok(Segment {
                deep: true,
                selectors,
            });
        }
        parsed::Segment::Selector(one) => (false, vec![selector(one)?]),
        parsed::Segment::Selectors(many) => {
            let many: Result<_, _> = many.iter().map(selector).collect();
            (false, many?)
        }
    };
    Ok(Segment { deep, selectors })
}

fn selector(selector: &parsed::Selector) -> Result<Selector, PathFault> {
    Ok(match selector {
        parsed::Selector::Name(name) => Selector::Name(name.clone()),
        parsed::Selector::Wildcard => Selector::Wildcard,
        parsed::Selector::Index(index) => Selector::Index(*index),
        parsed::Selector::Slice(start, end, step) => Selector::Slice(Slice {
            start: *start,
            end: *end,
            step: *step,
        }),
        parsed::Selector::Filter(filter) => Selector::Filter(logical(filter)?),
    })
}

fn logical(filter: &parsed::Filter) -> Result<Filter, PathFault> {
    let all =
        |filters: &[parsed::Filter]| -> Result<Vec<_>, _> { filters.iter().map(logical).collect() };
    match filter {
        parsed::Filter::Or(filters) => Ok(Filter::Or(all(filters)?)),
        parsed::Filter::And(filters) => Ok(Filter::And(all(filters)?)),
        parsed::Filter::Atom(FilterAtom::Filter { expr, not }) => Ok(negated(logical(expr)?, *not)),
        parsed::Filter::Atom(FilterAtom::Test { expr, not }) => Ok(negated(test(expr)?, *not)),
        parsed::Filter::Atom(FilterAtom::Comparison(comparison)) => compared(comparison),
    }
}

fn negated(filter: Filter, not: bool) -> Filter {
    if not {
        Filter::Not(Box::new(filter))
    } else {
        filter
    }
}

fn test(tested: &Test) -> Result<Filter, PathFault> {
    match tested {
        Test::Function(function) => match &**function {
            TestFunction::Match(text, pattern) => matches(text, pattern, true),
            TestFunction::Search(text, pattern) => matches(text, pattern, false),
            other => Err(fault(format!(
                "{}() returns a value and must be compared",
                function_name(other)
            ))),
        },
        query => Ok(Filter::Exists(nodes(query)?)),
    }
}

fn matches(text: &FnArg, pattern: &FnArg, whole: bool) -> Result<Filter, PathFault> {
    let pattern = match value(pattern)? {
        Operand::Literal(Literal::Text(text)) => Pattern::fixed(&text, whole),
        operand => Pattern::Computed(operand),
    };
    Ok(Filter::Matches {
        text: value(text)?,
        pattern,
        whole,
    })
}

fn compared(comparison: &parsed::Comparison) -> Result<Filter, PathFault> {
    let comparator = match comparison {
        parsed::Comparison::Eq(..) => Comparator::Equal,
        parsed::Comparison::Ne(..) => Comparator::NotEqual,
        parsed::Comparison::Gt(..) => Comparator::Greater,
        parsed::Comparison::Gte(..) => Comparator::GreaterOrEqual,
        parsed::Comparison::Lt(..) => Comparator::Less,
        parsed::Comparison::Lte(..) => Comparator::LessOrEqual,
    };
    let (left, right) = comparison.vals();
    Ok(Filter::Compare(
        comparable(left)?,
        comparator,
        comparable(right)?,
    ))
}

fn comparable(comparable: &parsed::Comparable) -> Result<Operand, PathFault> {
    match comparable {
        parsed::Comparable::Literal(literal) => Ok(Operand::Literal(read_literal(literal))),
        parsed::Comparable::SingularQuery(query) => Ok(Operand::Singular(singular(query))),
        parsed::Comparable::Function(function) => valued(function),
    }
}

fn singular(query: &SingularQuery) -> Nodes {
    let (from_root, segments) = match query {
        SingularQuery::Current(segments) => (false, segments),
        SingularQuery::Root(segments) => (true, segments),
    };
    let selector = |segment: &SingularQuerySegment| match segment {
        SingularQuerySegment::Index(index) => Selector::Index(*index),
        SingularQuerySegment::Name(name) => Selector::Name(name.clone()),
    };
    let step = |segment| Segment {
        deep: false,
        selectors: vec![selector(segment)],
    };
    let query = Query(segments.iter().map(step).collect());
    Nodes { from_root, query }
}

/// A function that returns a value (RFC 9535, 2.4.3).
fn valued(function: &TestFunction) -> Result<Operand, PathFault> {
    match function {
        TestFunction::Length(of) => Ok(Operand::Length(Box::new(value(of)?))),
        TestFunction::Count(FnArg::Test(of)) => Ok(Operand::Count(nodes(of)?)),
        TestFunction::Value(FnArg::Test(of)) => Ok(Operand::Value(nodes(of)?)),
        TestFunction::Count(_) | TestFunction::Value(_) => Err(fault(format!(
            "{}() takes a query",
            function_name(function)
        ))),
        other => Err(fault(format!(
            "{}() is not a function of RFC 9535 that returns a value",
            function_name(other)
        ))),
    }
}

/// An argument that must be a value: a literal, a singular query, or a function that returns one.
fn value(argument: &FnArg) -> Result<Operand, PathFault> {
    match argument {
        FnArg::Literal(literal) => Ok(Operand::Literal(read_literal(literal))),
        FnArg::Test(test) => match &**test {
            Test::Function(function) => valued(function),
            query => match nodes(query)? {
                nodes if nodes.query.singular() => Ok(Operand::Singular(nodes)),
                _ => Err(fault("a function takes a value here, not many nodes")),
            },
        },
        FnArg::Filter(_) => Err(fault("a function takes a value here, not a condition")),
    }
}

fn nodes(test: &Test) -> Result<Nodes, PathFault> {
    let (from_root, query) = match test {
        Test::RelQuery(segments) => (false, queried(segments)?),
        Test::AbsQuery(query) => (true, queried(&query.segments)?),
        Test::Function(_) => return Err(fault("a function takes a query here")),
    };
    Ok(Nodes { from_root, query })
}

fn read_literal(literal: &parsed::Literal) -> Literal {
    match literal {
        parsed::Literal::Int(integer) => Literal::Number(Number::Integer(i128::from(*integer))),
        parsed::Literal::Float(float) => Literal::Number(Number::Float(*float)),
        parsed::Literal::String(text) => Literal::Text(text.clone()),
        parsed::Literal::Bool(bool) => Literal::Bool(*bool),
        parsed::Literal::Null => Literal::Null,
    }
}

fn function_name(function: &TestFunction) -> &str {
    match function {
        TestFunction::Custom(name, _) => name,
        TestFunction::Length(_) => "length",
        TestFunction::Value(_) => "value",
        TestFunction::Count(_) => "count",
        TestFunction::Search(..) => "search",
        TestFunction::Match(..) => "match",
    }
}
