//! The values of a record, and how filters compare them.
//!
//! Integers are compared digit by digit, other numbers as doubles (I-JSON).

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use crate::json::scan;
use crate::json::tape::Tape;

/// The budget of work was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// One record, and the budget of work for the queries over it. Each visited node costs one unit:
/// a query can come from a caller.
#[derive(Debug)]
pub(crate) struct Record<'t, 'a> {
    /// The nodes.
    pub(crate) tape: &'t Tape<'a>,
    left: Cell<usize>,
}

/// A number; integers are exact.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Integer(i128),
    Float(f64),
}

/// The value of an operand for one node.
pub(super) enum Datum<'a> {
    Nothing,
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Node(usize),
}

impl<'t, 'a> Record<'t, 'a> {
    /// A record with a budget that grows with its size: each path can visit every node, but a
    /// quadratic query succeeds only on a small record.
    pub(crate) fn new(tape: &'t Tape<'a>) -> Self {
        let left = Cell::new(200_000 + 100 * tape.len());
        Record { tape, left }
    }

    /// Takes the cost of visited nodes from the budget.
    pub(crate) fn pay(&self, nodes: usize) -> Result<(), Exhausted> {
        let left = self.left.get().checked_sub(nodes).ok_or(Exhausted)?;
        self.left.set(left);
        Ok(())
    }

    /// The value of a node.
    pub(super) fn datum(&self, node: usize) -> Datum<'a> {
        let raw = self.tape.raw(node);
        match raw.as_bytes().first() {
            Some(b'{' | b'[') => Datum::Node(node),
            Some(b'"') => Datum::Text(scan::unescape(raw)),
            Some(b'n') => Datum::Null,
            Some(b't') => Datum::Bool(true),
            Some(b'f') => Datum::Bool(false),
            _ => Datum::Number(Number::read(raw)),
        }
    }

    /// True if two values are equal.
    pub(super) fn equal(&self, left: &Datum<'_>, right: &Datum<'_>) -> Result<bool, Exhausted> {
        Ok(match (left, right) {
            (Datum::Nothing, Datum::Nothing) | (Datum::Null, Datum::Null) => true,
            (Datum::Bool(left), Datum::Bool(right)) => left == right,
            (Datum::Node(left), Datum::Node(right)) => self.same_tree(*left, *right)?,
            _ => left.order(right) == Some(Ordering::Equal),
        })
    }

    fn same_tree(&self, left: usize, right: usize) -> Result<bool, Exhausted> {
        let tape = self.tape;
        self.pay(1)?;
        if tape.is_object(left) && tape.is_object(right) {
            return self.same_members(left, right);
        }
        let (mut ours, mut theirs) = (tape.children(left), tape.children(right));
        if !tape.is_array(left) || !tape.is_array(right) {
            return Ok(false);
        }
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return Ok(true),
                (Some(left), Some(right)) if self.same_child(left, right)? => {}
                _ => return Ok(false),
            }
        }
    }

    fn same_child(&self, left: usize, right: usize) -> Result<bool, Exhausted> {
        match (self.datum(left), self.datum(right)) {
            (Datum::Node(left), Datum::Node(right)) => self.same_tree(left, right),
            (left, right) => self.equal(&left, &right),
        }
    }

    fn same_members(&self, left: usize, right: usize) -> Result<bool, Exhausted> {
        let tape = self.tape;
        if tape.children(left).count() != tape.children(right).count() {
            return Ok(false);
        }
        for ours in tape.children(left) {
            self.pay(tape.subtree(right).len())?;
            let name = tape.name(ours);
            let theirs = tape
                .children(right)
                .filter(|child| tape.name(*child) == name);
            match theirs.last() {
                Some(theirs) if self.same_child(ours, theirs)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Datum<'_> {
    /// The number of items.
    pub(super) fn count(items: usize) -> Self {
        Datum::Number(Number::Integer(i128::try_from(items).unwrap_or(i128::MAX)))
    }

    /// The order of two numbers or two texts.
    pub(super) fn order(&self, other: &Datum<'_>) -> Option<Ordering> {
        match (self, other) {
            (Datum::Number(left), Datum::Number(right)) => left.compare(*right),
            (Datum::Text(left), Datum::Text(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}

impl Number {
    /// Parses the token of a number.
    pub(crate) fn read(token: &str) -> Self {
        match token.parse() {
            Ok(integer) => Number::Integer(integer),
            Err(_) => Number::Float(token.parse().unwrap_or(f64::NAN)),
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "an integer is compared with a fraction as a double (I-JSON)"
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
