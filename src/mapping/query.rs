//! A query of RFC 9535 and its general evaluation: any segment, any selector, the RFC's order.
//!
//! Where the RFC leaves the members of an object free, document order rules. Members that repeat a
//! name are nodes of their own. Reading query text is the business of `path`, filters that of
//! `filter`. Every node looked at costs one unit of a budget, because a query may come from a caller.

use std::cell::Cell;

use super::filter::Filter;
use crate::json::tape::Tape;

/// A query: segments applied one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(pub(crate) Vec<Segment>);

/// A segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Applied to the node and all its descendants (`..`), or to the node alone.
    pub(crate) deep: bool,
    /// What it selects, in order.
    pub(crate) selectors: Vec<Selector>,
}

/// A selector.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// `['name']`
    Name(String),
    /// `[n]`, negative from the end
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

impl Query {
    /// Does it give at most one node, by its grammar?
    pub(crate) fn singular(&self) -> bool {
        self.0.iter().all(Segment::singular)
    }

    /// Names, indexes and wildcards only, and at most one `..`: what the automaton runs.
    pub(crate) fn common(&self) -> bool {
        self.0.iter().filter(|segment| segment.deep).count() <= 1
            && self.0.iter().all(|segment| match &*segment.selectors {
                [Selector::Name(_) | Selector::Wildcard] => true,
                [Selector::Index(index)] => *index >= 0,
                _ => false,
            })
    }
}

impl Segment {
    /// A name or an index of the node itself?
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

/// The work allowed was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// Evaluates queries over one record.
#[derive(Debug)]
pub(crate) struct Evaluator<'t, 'a> {
    /// The record.
    pub(crate) tape: &'t Tape<'a>,
    left: Cell<usize>,
}

impl<'t, 'a> Evaluator<'t, 'a> {
    /// An evaluator with a budget that grows with the record: every path may look at every node,
    /// a quadratic one only in a small record.
    pub(crate) fn new(tape: &'t Tape<'a>) -> Self {
        let left = Cell::new(200_000 + 100 * tape.len());
        Evaluator { tape, left }
    }

    /// Pays for nodes looked at.
    pub(crate) fn pay(&self, nodes: usize) -> Result<(), Exhausted> {
        let left = self.left.get().checked_sub(nodes).ok_or(Exhausted)?;
        self.left.set(left);
        Ok(())
    }

    /// The nodes that a query selects, beginning at `node`.
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
                let mut looked = 0;
                found.extend(
                    tape.children(node)
                        .inspect(|_| looked += 1)
                        .filter(|child| tape.name(*child) == name.as_str()),
                );
                self.pay(looked)?;
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
                    if filter.holds(self, child)? {
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
