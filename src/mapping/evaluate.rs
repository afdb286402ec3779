//! The general evaluation of queries: any segment, any selector, filters with the functions of
//! RFC 9535.
//!
//! The RFC leaves the order of an object's members free; here it is document order. Members with
//! the same name are separate nodes. Patterns run in linear time.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::syntax::{
    Comparator, Filter, Literal, Nodes, Operand, Pattern, Query, Selector, compile,
};
use super::value::{Datum, Exhausted, Record};

impl Record<'_, '_> {
    /// The nodes that a query selects, starting at `node`.
    pub(crate) fn nodes(&self, query: &Query, node: usize) -> Result<Vec<usize>, Exhausted> {
        let mut nodes = vec![node];
        for segment in &query.0 {
            let mut next = Vec::new();
            for node in nodes {
                let visited = if segment.deep {
                    self.tape.subtree(node)
                } else {
                    node..node + 1
                };
                self.pay(visited.len())?;
                for node in visited {
                    for selector in &segment.selectors {
                        self.select(selector, node, &mut next)?;
                    }
                }
            }
            nodes = next;
        }
        Ok(nodes)
    }

    /// True if the filter holds for the node.
    pub(crate) fn matches(&self, filter: &Filter, node: usize) -> Result<bool, Exhausted> {
        filter.holds(Current { record: self, node })
    }

    fn select(
        &self,
        selector: &Selector,
        node: usize,
        found: &mut Vec<usize>,
    ) -> Result<(), Exhausted> {
        let tape = self.tape;
        let (object, array) = (tape.is_object(node), tape.is_array(node));
        if !object && !array {
            return Ok(());
        }
        let before = found.len();
        match selector {
            Selector::Name(name) if object => {
                let mut visited = 0;
                found.extend(
                    tape.children(node)
                        .inspect(|_| visited += 1)
                        .filter(|child| tape.name(*child) == name.as_str()),
                );
                self.pay(visited)?;
            }
            Selector::Index(index) if array => found.extend(self.element(node, *index)?),
            Selector::Slice(slice) if array => {
                let children: Vec<usize> = tape.children(node).collect();
                self.pay(children.len())?;
                found.extend(slice.indexes(children.len()).map(|index| children[index]));
            }
            Selector::Wildcard => found.extend(tape.children(node)),
            Selector::Filter(filter) => {
                for child in tape.children(node) {
                    self.pay(1)?;
                    if self.matches(filter, child)? {
                        found.push(child);
                    }
                }
            }
            _ => {}
        }
        self.pay(found.len() - before)
    }

    fn element(&self, array: usize, index: i64) -> Result<Option<usize>, Exhausted> {
        if let Ok(index) = usize::try_from(index) {
            self.pay(index.min(self.tape.subtree(array).len()))?;
            return Ok(self.tape.children(array).nth(index));
        }
        let len = self.tape.children(array).count();
        self.pay(len)?;
        let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(len
            .checked_sub(back)
            .and_then(|index| self.tape.children(array).nth(index)))
    }
}

/// The node for which a filter is evaluated: `@`.
#[derive(Clone, Copy)]
struct Current<'t, 'a> {
    record: &'t Record<'t, 'a>,
    node: usize,
}

impl Filter {
    /// True if the filter holds.
    fn holds(&self, at: Current<'_, '_>) -> Result<bool, Exhausted> {
        match self {
            Filter::Or(any) => any
                .iter()
                .try_fold(false, |held, filter| Ok(held || filter.holds(at)?)),
            Filter::And(all) => all
                .iter()
                .try_fold(true, |held, filter| Ok(held && filter.holds(at)?)),
            Filter::Not(filter) => Ok(!filter.holds(at)?),
            Filter::Exists(nodes) => Ok(!nodes.select(at)?.is_empty()),
            Filter::Compare(left, comparator, right) => {
                let (left, right) = (left.datum(at)?, right.datum(at)?);
                comparator.holds(at.record, &left, &right)
            }
            Filter::Matches {
                text,
                pattern,
                whole,
            } => match text.datum(at)? {
                Datum::Text(text) => pattern.matches(at, &text, *whole),
                _ => Ok(false),
            },
        }
    }
}

impl Nodes {
    fn select(&self, at: Current<'_, '_>) -> Result<Vec<usize>, Exhausted> {
        let start = if self.from_root { 0 } else { at.node };
        at.record.nodes(&self.query, start)
    }
}

impl Operand {
    fn datum<'a>(&'a self, at: Current<'_, 'a>) -> Result<Datum<'a>, Exhausted> {
        Ok(match self {
            Operand::Literal(literal) => literal.datum(),
            // Of members with the same name, the last one counts.
            Operand::Singular(nodes) => match nodes.select(at)?.last() {
                Some(node) => at.record.datum(*node),
                None => Datum::Nothing,
            },
            Operand::Value(nodes) => match *nodes.select(at)? {
                [node] => at.record.datum(node),
                _ => Datum::Nothing,
            },
            Operand::Count(nodes) => Datum::count(nodes.select(at)?.len()),
            Operand::Length(of) => match of.datum(at)? {
                Datum::Text(text) => Datum::count(text.chars().count()),
                Datum::Node(node) => Datum::count(at.record.tape.children(node).count()),
                _ => Datum::Nothing,
            },
        })
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
        record: &Record<'_, '_>,
        left: &Datum<'_>,
        right: &Datum<'_>,
    ) -> Result<bool, Exhausted> {
        let less = |one: &Datum<'_>, other| one.order(other) == Some(Ordering::Less);
        Ok(match self {
            Comparator::Equal => record.equal(left, right)?,
            Comparator::NotEqual => !record.equal(left, right)?,
            Comparator::Less => less(left, right),
            Comparator::Greater => less(right, left),
            Comparator::LessOrEqual => less(left, right) || record.equal(left, right)?,
            Comparator::GreaterOrEqual => less(right, left) || record.equal(left, right)?,
        })
    }
}

impl Pattern {
    fn matches(&self, at: Current<'_, '_>, text: &str, whole: bool) -> Result<bool, Exhausted> {
        at.record.pay(1 + text.len() / 16)?;
        Ok(match self {
            Pattern::Fixed(regex) => regex.as_ref().is_some_and(|regex| regex.is_match(text)),
            Pattern::Computed(operand) => match operand.datum(at)? {
                Datum::Text(pattern) => {
                    // Compiling costs about as much as visiting a thousand nodes.
                    at.record.pay(1_000)?;
                    compile(&pattern, whole).is_some_and(|regex| regex.is_match(text))
                }
                _ => false,
            },
        })
    }
}
