//! Paths: RFC 9535 queries as mapping files write them, read once.
//!
//! Names, indexes and wildcards are read here; everything else by `jsonpath_rust`, the one place
//! that names it. Its grammar lets some white space and some ill-typed functions through, so what
//! it read is checked before it becomes a [`Query`]. Evaluation is the business of `query` and `plan`.

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

/// The longest path that is read, in bytes.
pub const MAX_PATH: usize = 1024;

/// The deepest nesting of function calls that is read. The parser reads a call several times before
/// it gives it up, so on a text that is no query its work triples with each level.
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
    /// What is wrong.
    pub reason: String,
    /// The byte of the text where reading stopped, if one can be named.
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
    /// Reads a path. A relative one is legal exactly when `$` before it makes a legal query.
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

    /// Does it begin at the raw document?
    pub fn absolute(&self) -> bool {
        self.absolute
    }

    /// Does it give at most one value, by its grammar?
    pub fn singular(&self) -> bool {
        self.query.singular()
    }

    /// Names, indexes and wildcards with at most one `..`: what one pass over the text finds.
    pub fn common(&self) -> bool {
        self.query.common()
    }

    /// The values that the path gives with the document as its root, as they stand there, found by
    /// the general evaluator. `None` when that takes too much work.
    pub fn evaluate<'a>(&self, document: &'a Document) -> Option<Vec<&'a str>> {
        let tape = Tape::of(document.text(), 0);
        let nodes = Record::new(&tape).nodes(&self.query, 0).ok()?;
        Some(nodes.into_iter().map(|node| tape.raw(node)).collect())
    }

    pub(crate) fn query(&self) -> &Query {
        &self.query
    }
}

/// Reads a filter expression such as `@.a == 'b'`.
pub(crate) fn condition(text: &str) -> Result<Filter, PathFault> {
    if text.len() > MAX_PATH {
        return Err(too_long());
    }
    // The brackets are put around a text of the author's: it must not close them itself.
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

/// Reads a whole query; `prefix` is how many of its first characters are not the author's.
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

/// A blank that RFC 9535 does not allow and the parser would let pass: at the end, after a dot, or
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

/// How deep function calls are nested: parentheses that follow a word.
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

/// The parser's words without its drawing: where it stopped and what it expected.
fn refusal(said: &str, prefix: usize) -> PathFault {
    let column = said
        .split_once("--> ")
        .and_then(|(_, rest)| rest.lines().next()?.split_once(':'))
        .filter(|(line, _)| *line == "1")
        .and_then(|(_, column)| column.trim().parse::<usize>().ok());
    let reason = match said.rsplit_once("  = ") {
        Some((_, expected)) => expected.trim().replace('_', " "),
        None => said.trim_start_matches("Invalid json path: ").to_owned(),
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
                "{}() gives a value and must be compared",
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

/// A function that gives a value (RFC 9535, 2.4.3).
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
            "{}() is no function of RFC 9535 that gives a value",
            function_name(other)
        ))),
    }
}

/// An argument that must be a value: a literal, a singular query, or a function that gives one.
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
