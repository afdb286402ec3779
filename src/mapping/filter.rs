//! Filter expressions: tests, comparisons, the five functions of RFC 9535.
//!
//! Only well-typed expressions can be written down with these types. Integers are compared digit by
//! digit, other numbers as doubles, as I-JSON has it. Patterns run in linear time.

use std::borrow::Cow;
use std::cmp::Ordering;

use regex::Regex;

use super::query::{Evaluator, Exhausted, Query};
use crate::json::scan;

/// A logical expression.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    /// One of them holds.
    Or(Vec<Filter>),
    /// All of them hold.
    And(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// The query selects something.
    Exists(Nodes),
    /// A comparison.
    Compare(Operand, Comparator, Operand),
    /// `match()` or `search()`.
    Matches {
        text: Operand,
        pattern: Pattern,
        whole: bool,
    },
}

/// A query inside a filter, from the current node (`@`) or from the record (`$`).
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    pub(crate) from_root: bool,
    pub(crate) query: Query,
}

/// What can be compared.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    /// A literal.
    Literal(Literal),
    /// The one node of a singular query.
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

/// A pattern: compiled once where it stands in the query, else for each node.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// `None` where the literal is not a pattern: it matches nothing.
    Fixed(Option<Regex>),
    /// Read from the record.
    Computed(Operand),
}

/// A number, exact as long as it is an integer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Integer(i128),
    Float(f64),
}

/// What an operand gives for one node.
enum Datum<'a> {
    Nothing,
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Node(usize),
}

impl Filter {
    /// Does it hold with `current` as `@`?
    pub(crate) fn holds(
        &self,
        over: &Evaluator<'_, '_>,
        current: usize,
    ) -> Result<bool, Exhausted> {
        match self {
            Filter::Or(any) => any.iter().try_fold(false, |held, filter| {
                Ok(held || filter.holds(over, current)?)
            }),
            Filter::And(all) => {
                all.iter().try_fold(
                    true,
                    |held, filter| Ok(held && filter.holds(over, current)?),
                )
            }
            Filter::Not(filter) => Ok(!filter.holds(over, current)?),
            Filter::Exists(nodes) => Ok(!nodes.select(over, current)?.is_empty()),
            Filter::Compare(left, comparator, right) => {
                let (left, right) = (left.datum(over, current)?, right.datum(over, current)?);
                comparator.holds(over, &left, &right)
            }
            Filter::Matches {
                text,
                pattern,
                whole,
            } => match text.datum(over, current)? {
                Datum::Text(text) => pattern.matches(over, current, (&text, *whole)),
                _ => Ok(false),
            },
        }
    }
}

impl Nodes {
    fn select(&self, over: &Evaluator<'_, '_>, current: usize) -> Result<Vec<usize>, Exhausted> {
        over.nodes(&self.query, if self.from_root { 0 } else { current })
    }
}

impl Operand {
    fn datum<'a>(
        &'a self,
        over: &Evaluator<'_, 'a>,
        current: usize,
    ) -> Result<Datum<'a>, Exhausted> {
        Ok(match self {
            Operand::Literal(literal) => literal.datum(),
            // A member that stands twice: the last one, as everywhere one value is wanted.
            Operand::Singular(nodes) => match nodes.select(over, current)?.last() {
                Some(node) => datum_at(over, *node),
                None => Datum::Nothing,
            },
            Operand::Value(nodes) => match *nodes.select(over, current)? {
                [node] => datum_at(over, node),
                _ => Datum::Nothing,
            },
            Operand::Count(nodes) => count(nodes.select(over, current)?.len()),
            Operand::Length(of) => match of.datum(over, current)? {
                Datum::Text(text) => count(text.chars().count()),
                Datum::Node(node) => count(over.tape.children(node).count()),
                _ => Datum::Nothing,
            },
        })
    }
}

fn count<'a>(items: usize) -> Datum<'a> {
    Datum::Number(Number::Integer(i128::try_from(items).unwrap_or(i128::MAX)))
}

fn datum_at<'a>(over: &Evaluator<'_, 'a>, node: usize) -> Datum<'a> {
    let raw = over.tape.raw(node);
    match raw.as_bytes().first() {
        Some(b'{' | b'[') => Datum::Node(node),
        Some(b'"') => Datum::Text(scan::unescape(raw)),
        Some(b'n') => Datum::Null,
        Some(b't') => Datum::Bool(true),
        Some(b'f') => Datum::Bool(false),
        _ => Datum::Number(Number::read(raw)),
    }
}

impl Literal {
    fn datum(&self) -> Datum<'_> {
        match self {
            Literal::Null => Datum::Null,
            Literal::Bool(bool) => Datum::Bool(*bool),
            Literal::Number(number) => Datum::Number(*number),
            Literal::Text(text) => Datum::Text(Cow::Borrowed(text)),
        }
    }
}

impl Comparator {
    fn holds(
        self,
        over: &Evaluator<'_, '_>,
        left: &Datum<'_>,
        right: &Datum<'_>,
    ) -> Result<bool, Exhausted> {
        let less = |one, other| order(one, other) == Some(Ordering::Less);
        Ok(match self {
            Comparator::Equal => equal(over, left, right)?,
            Comparator::NotEqual => !equal(over, left, right)?,
            Comparator::Less => less(left, right),
            Comparator::Greater => less(right, left),
            Comparator::LessOrEqual => less(left, right) || equal(over, left, right)?,
            Comparator::GreaterOrEqual => less(right, left) || equal(over, left, right)?,
        })
    }
}

fn order(left: &Datum<'_>, right: &Datum<'_>) -> Option<Ordering> {
    match (left, right) {
        (Datum::Number(left), Datum::Number(right)) => left.compare(*right),
        (Datum::Text(left), Datum::Text(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn equal(over: &Evaluator<'_, '_>, left: &Datum<'_>, right: &Datum<'_>) -> Result<bool, Exhausted> {
    Ok(match (left, right) {
        (Datum::Nothing, Datum::Nothing) | (Datum::Null, Datum::Null) => true,
        (Datum::Bool(left), Datum::Bool(right)) => left == right,
        (Datum::Node(left), Datum::Node(right)) => same_tree(over, *left, *right)?,
        _ => order(left, right) == Some(Ordering::Equal),
    })
}

fn same_tree(over: &Evaluator<'_, '_>, left: usize, right: usize) -> Result<bool, Exhausted> {
    let tape = over.tape;
    over.pay(1)?;
    if tape.is_object(left) && tape.is_object(right) {
        return same_members(over, left, right);
    }
    let (mut ours, mut theirs) = (tape.children(left), tape.children(right));
    if !tape.is_array(left) || !tape.is_array(right) {
        return Ok(false);
    }
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return Ok(true),
            (Some(left), Some(right)) if same_child(over, left, right)? => {}
            _ => return Ok(false),
        }
    }
}

fn same_child(over: &Evaluator<'_, '_>, left: usize, right: usize) -> Result<bool, Exhausted> {
    match (datum_at(over, left), datum_at(over, right)) {
        (Datum::Node(left), Datum::Node(right)) => same_tree(over, left, right),
        (left, right) => equal(over, &left, &right),
    }
}

fn same_members(over: &Evaluator<'_, '_>, left: usize, right: usize) -> Result<bool, Exhausted> {
    let tape = over.tape;
    if tape.children(left).count() != tape.children(right).count() {
        return Ok(false);
    }
    for ours in tape.children(left) {
        over.pay(tape.subtree(right).len())?;
        let name = tape.name(ours);
        let theirs = tape
            .children(right)
            .filter(|child| tape.name(*child) == name);
        match theirs.last() {
            Some(theirs) if same_child(over, ours, theirs)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

impl Number {
    /// Reads the token of a number.
    pub(crate) fn read(token: &str) -> Self {
        match token.parse() {
            Ok(integer) => Number::Integer(integer),
            Err(_) => Number::Float(token.parse().unwrap_or(f64::NAN)),
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "against a fraction, an integer is compared as the double that I-JSON makes of it"
    )]
    fn float(self) -> f64 {
        match self {
            Number::Integer(integer) => integer as f64,
            Number::Float(float) => float,
        }
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Number::Integer(left), Number::Integer(right)) => Some(left.cmp(&right)),
            _ => self.float().partial_cmp(&other.float()),
        }
    }
}

impl Pattern {
    /// A pattern that stands in the query as text.
    pub(crate) fn fixed(text: &str, whole: bool) -> Self {
        Pattern::Fixed(compile(text, whole))
    }

    fn matches(
        &self,
        over: &Evaluator<'_, '_>,
        current: usize,
        (text, whole): (&str, bool),
    ) -> Result<bool, Exhausted> {
        over.pay(1 + text.len() / 16)?;
        Ok(match self {
            Pattern::Fixed(regex) => regex.as_ref().is_some_and(|regex| regex.is_match(text)),
            Pattern::Computed(operand) => match operand.datum(over, current)? {
                Datum::Text(pattern) => {
                    // Compiling costs about what looking at a thousand nodes does.
                    over.pay(1_000)?;
                    compile(&pattern, whole).is_some_and(|regex| regex.is_match(text))
                }
                _ => false,
            },
        })
    }
}

/// An I-Regexp as a pattern of the regex crate: a dot matches neither line feed nor carriage return.
fn compile(pattern: &str, whole: bool) -> Option<Regex> {
    // Compiled alone first: `a)(b` must not become a pattern by being wrapped.
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
