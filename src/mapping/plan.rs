//! All paths of a source as one automaton that runs once over a record's text.
//!
//! The paths are merged into a tree of steps. While the text is scanned, the automaton holds the
//! steps that are reached at the current value, and skips values that no path enters. Matches are
//! positions in the text: nothing is decoded, so nothing is lost. Paths that need the general
//! evaluator for the order and number of RFC 9535 (filters, slices, negative indexes, two `..`) use
//! a tape of the record.

use std::ops::Range;

use super::syntax::{Query, Selector};
use super::value::{Exhausted, Record};
use crate::json::scan;
use crate::json::tape::Tape;

/// Compiled paths. The slot of a path is its position in the compiled list.
#[derive(Debug)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    general: Vec<(usize, Query)>,
    slots: usize,
}

/// A step, shared by paths with the same beginning.
#[derive(Debug, Default)]
struct Step {
    /// The paths that end here.
    slots: Vec<usize>,
    names: Vec<(Box<[u8]>, usize)>,
    /// The lengths of `names` as bits: most names of a record differ in length.
    lengths: u64,
    indexes: Vec<(usize, usize)>,
    any: Option<usize>,
    /// The step that `..` leads to.
    deep: Option<usize>,
    /// True after a `..`: reached in all descendants, too.
    stays: bool,
}

/// A step that is reached at the current value.
#[derive(Clone, Copy, Debug)]
struct Reached {
    step: usize,
    /// The start of the node whose child the first step after `..` selected. RFC 9535 orders matches
    /// by this node first: a parent's match is before those of its descendants.
    anchor: usize,
}

/// A match.
#[derive(Clone, Copy, Debug)]
struct Match {
    slot: usize,
    anchor: usize,
    start: usize,
    end: usize,
}

/// The matches of a run. Reused for the next run to keep its memory.
#[derive(Debug, Default)]
pub(crate) struct Found {
    matches: Vec<Match>,
    reached: Vec<Reached>,
    first_of: Vec<usize>,
}

impl Found {
    /// The values of a slot as slices of the text, in the order of RFC 9535.
    pub(crate) fn values<'a>(
        &self,
        slot: usize,
        text: &'a str,
    ) -> impl DoubleEndedIterator<Item = &'a str> + Clone {
        let range = match (self.first_of.get(slot), self.first_of.get(slot + 1)) {
            (Some(from), Some(to)) => *from..*to,
            _ => 0..0,
        };
        let slice = move |found: &Match| text.get(found.start..found.end).unwrap_or("");
        self.matches[range].iter().map(slice)
    }

    /// The positions of the values of a slot inside the record at `record`.
    pub(crate) fn positions(
        &self,
        slot: usize,
        record: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let of_slot = self.matches.iter().filter(move |found| found.slot == slot);
        // The record itself is not a part of it.
        of_slot.map(move |found| {
            if found.start > record {
                found.start..found.end
            } else {
                record..record
            }
        })
    }

    /// The size of all values together, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let len = |found: &Match| found.end - found.start;
        self.matches.iter().map(len).sum()
    }

    fn index(&mut self, slots: usize) {
        let key = |found: &Match| (found.slot, found.anchor, found.start);
        self.matches.sort_unstable_by_key(key);
        self.first_of.clear();
        let mut at = 0;
        for slot in 0..=slots {
            let rest = &self.matches[at..];
            at += rest.iter().take_while(|found| found.slot < slot).count();
            self.first_of.push(at);
        }
    }
}

impl Plan {
    /// Compiles paths.
    pub(crate) fn new<'q>(queries: impl IntoIterator<Item = &'q Query>) -> Self {
        let mut plan = Plan {
            steps: vec![Step::default()],
            general: Vec::new(),
            slots: 0,
        };
        for query in queries {
            let slot = plan.slots;
            plan.slots += 1;
            if query.common() {
                plan.add(query, slot);
            } else {
                plan.general.push((slot, query.clone()));
            }
        }
        plan
    }

    fn add(&mut self, query: &Query, slot: usize) {
        let mut step = 0;
        for segment in &query.0 {
            if segment.deep {
                step = self.deep_step(step);
            }
            for selector in &segment.selectors {
                step = self.next_step(step, selector);
            }
        }
        self.steps[step].slots.push(slot);
    }

    fn new_step(&mut self) -> usize {
        self.steps.push(Step::default());
        self.steps.len() - 1
    }

    fn deep_step(&mut self, from: usize) -> usize {
        if let Some(step) = self.steps[from].deep {
            return step;
        }
        let step = self.new_step();
        self.steps[step].stays = true;
        self.steps[from].deep = Some(step);
        step
    }

    fn next_step(&mut self, from: usize, selector: &Selector) -> usize {
        let known = match selector {
            Selector::Name(name) => self.steps[from].named(name.as_bytes()),
            Selector::Index(index) => self.steps[from].indexed(position(*index)),
            _ => self.steps[from].any,
        };
        if let Some(step) = known {
            return step;
        }
        let step = self.new_step();
        let origin = &mut self.steps[from];
        match selector {
            Selector::Name(name) => {
                origin.lengths |= length_bit(name.len());
                origin.names.push((name.as_bytes().into(), step));
            }
            Selector::Index(index) => origin.indexes.push((position(*index), step)),
            _ => origin.any = Some(step),
        }
        step
    }

    /// Runs over the value at `start` of a valid text. Returns the end of the value.
    pub(crate) fn run(
        &self,
        text: &str,
        start: usize,
        found: &mut Found,
    ) -> Result<usize, Exhausted> {
        found.matches.clear();
        found.reached.clear();
        found.reached.push(Reached { step: 0, anchor: 0 });
        let mut run = Run {
            steps: &self.steps,
            text,
            matches: &mut found.matches,
            reached: &mut found.reached,
            most: 100_000 + text.len() / 2,
        };
        let end = run.value(start, 0);
        run.pay()?;
        self.run_general(text, start, found)?;
        found.index(self.slots);
        Ok(end)
    }

    fn run_general(&self, text: &str, start: usize, found: &mut Found) -> Result<(), Exhausted> {
        if self.general.is_empty() {
            return Ok(());
        }
        let tape = Tape::of(text, start);
        let evaluator = Record::new(&tape);
        for (slot, query) in &self.general {
            let nodes = evaluator.nodes(query, 0)?;
            let matches = nodes.into_iter().enumerate().map(|(anchor, node)| Match {
                slot: *slot,
                anchor,
                start: tape.start(node),
                end: tape.start(node) + tape.raw(node).len(),
            });
            found.matches.extend(matches);
        }
        Ok(())
    }
}

fn position(index: i64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn length_bit(len: usize) -> u64 {
    1 << len.min(63)
}

impl Step {
    #[inline]
    fn named(&self, name: &[u8]) -> Option<usize> {
        if self.lengths & length_bit(name.len()) == 0 {
            return None;
        }
        let same = |(known, _): &&(Box<[u8]>, usize)| {
            known.len() == name.len() && known.first() == name.first() && **known == *name
        };
        self.names.iter().find(same).map(|(_, step)| *step)
    }

    fn indexed(&self, index: usize) -> Option<usize> {
        let same = |(known, _): &&(usize, usize)| *known == index;
        self.indexes.iter().find(same).map(|(_, step)| *step)
    }

    fn has_next(&self) -> bool {
        !self.names.is_empty() || !self.indexes.is_empty() || self.any.is_some() || self.stays
    }
}

/// An object or an array that is being read.
#[derive(Clone, Copy)]
struct Container {
    /// Its position in the text.
    start: usize,
    /// The index of the first step that is reached at it.
    from: usize,
}

/// One run. The steps reached at a value are the last ones of `reached`.
struct Run<'r> {
    steps: &'r [Step],
    text: &'r str,
    matches: &'r mut Vec<Match>,
    reached: &'r mut Vec<Reached>,
    /// The maximum number of matches: many paths times many nodes must not fill the memory.
    most: usize,
}

impl Run<'_> {
    fn pay(&self) -> Result<(), Exhausted> {
        let paid = self.matches.len() < self.most;
        paid.then_some(()).ok_or(Exhausted)
    }

    /// Scans the value at `at`. The steps from `from` on are reached there.
    fn value(&mut self, at: usize, from: usize) -> usize {
        let bytes = self.text.as_bytes();
        let first = self.matches.len();
        let enters = self.arrive(at, from);
        let last = self.matches.len();
        let end = match bytes.get(at) {
            Some(b'{') if enters => self.object(Container { start: at, from }),
            Some(b'[') if enters => self.array(Container { start: at, from }),
            _ => scan::value_end(bytes, at),
        };
        for found in &mut self.matches[first..last] {
            found.end = end;
        }
        end
    }

    /// Adds the matches at this value and follows `..`. Returns true if a path enters the value.
    fn arrive(&mut self, at: usize, from: usize) -> bool {
        let (steps, mut enters, mut next) = (self.steps, false, from);
        while let Some(Reached { step, anchor }) = self.reached.get(next).copied() {
            let step = &steps[step];
            let room = self.most.saturating_sub(self.matches.len());
            self.matches
                .extend(step.slots.iter().take(room).map(|slot| Match {
                    slot: *slot,
                    anchor,
                    start: at,
                    end: at,
                }));
            if let Some(step) = step.deep {
                self.reached.push(Reached { step, anchor: 0 });
            }
            enters |= step.has_next();
            next += 1;
        }
        enters
    }

    fn object(&mut self, parent: Container) -> usize {
        let (text, mut at) = (self.text, parent.start + 1);
        let bytes = text.as_bytes();
        while let Some(item) = scan::next_item(bytes, at) {
            let (end, escaped) = scan::string_end_and_escapes(bytes, item);
            let value = scan::member_value(bytes, end);
            at = if escaped {
                let name = scan::unescape(text.get(item..end).unwrap_or(""));
                self.child(|step| step.named(name.as_bytes()), value, parent)
            } else {
                let bare = bytes.get(item + 1..end - 1).unwrap_or_default();
                self.child(|step| step.named(bare), value, parent)
            };
        }
        scan::skip_bracket(bytes, at)
    }

    fn array(&mut self, parent: Container) -> usize {
        let bytes = self.text.as_bytes();
        let (mut at, mut index) = (parent.start + 1, 0);
        while let Some(item) = scan::next_item(bytes, at) {
            at = self.child(|step| step.indexed(index), item, parent);
            index += 1;
        }
        scan::skip_bracket(bytes, at)
    }

    /// Reads a child of a container. `lookup` finds the step for the child's name or index.
    #[inline]
    fn child(
        &mut self,
        lookup: impl Fn(&Step) -> Option<usize>,
        at: usize,
        parent: Container,
    ) -> usize {
        let bytes = self.text.as_bytes();
        let here = self.reached.len();
        for n in parent.from..here {
            let reached = self.reached[n];
            let step = &self.steps[reached.step];
            let mut anchor = reached.anchor;
            if step.stays {
                anchor = parent.start;
                if matches!(bytes.get(at), Some(b'{' | b'[')) {
                    self.reached.push(reached);
                }
            }
            if let Some(step) = lookup(step) {
                self.reached.push(Reached { step, anchor });
            }
            if let Some(step) = step.any {
                self.reached.push(Reached { step, anchor });
            }
        }
        if self.reached.len() == here {
            return scan::value_end(bytes, at);
        }
        let end = self.value(at, here);
        self.reached.truncate(here);
        end
    }
}
