//! Correlations over time: finds the bursts of a group, independently of the order of its records.
//!
//! A correlation *fires* at the time of a hit if its condition holds for the hits of the timespan
//! before it. Firings that are at most the quiet time apart are one burst, and a burst is one alert.
//! A burst within the quiet time of an earlier alert belongs to that alert, also if the alert was
//! given in an earlier run.

use std::collections::{HashMap, HashSet};

use rsigma_eval::{CompiledCorrelation, WindowState};
use rsigma_parser::{ConditionOperator, CorrelationType};

use crate::rules::record_id::RecordId;

/// A record that a correlation counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hit {
    /// The event's time, in seconds.
    pub(super) time: i64,
    /// The place of the matched rule in the correlation's list.
    pub(super) rule: u16,
    /// The record.
    pub(super) id: RecordId,
    /// The value that `value_count` counts.
    pub(super) value: Option<Box<str>>,
}

/// The first and the last firing of an alert, in seconds.
pub(super) type Span = (i64, i64);

/// The hits of one group, and the alerts that were given for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) hits: Vec<Hit>,
    pub(super) alerted: Vec<Span>,
}

/// A burst: the positions of its hits, and its firings.
#[derive(Debug)]
pub(super) struct Burst {
    /// The first hit of the window of the first firing.
    pub(super) first: usize,
    /// The hit of the last firing.
    pub(super) last: usize,
    /// The first and the last firing.
    pub(super) span: Span,
}

/// The time without a firing that ends a burst, in seconds.
pub(super) fn quiet_time(rule: &CompiledCorrelation) -> i64 {
    let suppress = rule.suppress_secs.unwrap_or_default();
    seconds(rule.timespan_secs.max(suppress))
}

/// The longest time that is calculated with, in seconds: 34,000 years.
pub(super) const LONGEST: i64 = 1 << 40;

pub(super) fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(LONGEST).min(LONGEST)
}

impl Group {
    /// Sorts the hits by time and removes repeated ones.
    pub(super) fn sort(&mut self) {
        let key = |one: &Hit| (one.time, one.rule);
        self.hits
            .sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id)));
        let mut seen = HashSet::new();
        self.hits
            .retain(|hit| seen.insert((hit.rule, hit.id.clone())));
    }

    /// The bursts for which no alert was given yet. The hits must be sorted.
    pub(super) fn new_bursts(&mut self, rule: &CompiledCorrelation) -> Vec<Burst> {
        let quiet = quiet_time(rule);
        let mut bursts = Vec::new();
        for burst in bursts_of(&self.hits, rule, quiet) {
            let (from, to) = burst.span;
            let near = |known: &&mut Span| from <= known.1 + quiet && to >= known.0 - quiet;
            if let Some(known) = self.alerted.iter_mut().find(near) {
                *known = (from.min(known.0), to.max(known.1));
            } else {
                self.alerted.push(burst.span);
                bursts.push(burst);
            }
        }
        bursts
    }

    /// Drops what no later record can need: hits before `oldest`, and hits inside an alert.
    ///
    /// A window that ends inside an alert belongs to it, so only hits in the timespan before its end
    /// count; of these, a threshold needs only the last ones.
    pub(super) fn prune(&mut self, rule: &CompiledCorrelation, oldest: i64) {
        let timespan = seconds(rule.timespan_secs);
        self.hits.retain(|hit| hit.time >= oldest);
        self.alerted
            .retain(|span| span.1 >= oldest - quiet_time(rule));
        for (from, to) in self.alerted.clone() {
            let mut kept = Counted::default();
            let mut keep: Vec<bool> = Vec::with_capacity(self.hits.len());
            for hit in self.hits.iter().rev() {
                let inside = from < hit.time && hit.time <= to;
                keep.push(!inside || (hit.time >= to - timespan && kept.adds(hit, rule)));
            }
            let mut keep = keep.into_iter().rev();
            self.hits.retain(|_| keep.next().unwrap_or(true));
        }
    }

    /// The time of the last hit or firing.
    pub(super) fn last_time(&self) -> i64 {
        let hits = self.hits.iter().map(|hit| hit.time);
        let alerts = self.alerted.iter().map(|span| span.1);
        hits.chain(alerts).max().unwrap_or(i64::MIN)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hits.is_empty() && self.alerted.is_empty()
    }
}

/// The hits inside an alert that are kept, from the last one backwards.
#[derive(Default)]
struct Counted {
    hits: u64,
    values: HashSet<Option<Box<str>>>,
}

impl Counted {
    /// Is this hit needed for a later window?
    fn adds(&mut self, hit: &Hit, rule: &CompiledCorrelation) -> bool {
        let enough = match rule.condition.predicates.as_slice() {
            [(ConditionOperator::Gte, least)] => *least,
            [(ConditionOperator::Gt, above)] => *above + 1.0,
            _ => return true,
        };
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let is_below = |count: u64| (count as f64) < enough;
        match rule.correlation_type {
            CorrelationType::EventCount => {
                self.hits += 1;
                is_below(self.hits - 1)
            }
            CorrelationType::ValueCount => {
                is_below(self.values.len() as u64) && self.values.insert(hit.value.clone())
            }
            _ => true,
        }
    }
}

fn bursts_of(hits: &[Hit], rule: &CompiledCorrelation, quiet: i64) -> Vec<Burst> {
    let timespan = seconds(rule.timespan_secs);
    let mut window = Window::new(rule);
    let (mut first, mut bursts): (usize, Vec<Burst>) = (0, Vec::new());
    for (n, hit) in hits.iter().enumerate() {
        while let Some(old) = hits.get(first).filter(|old| old.time < hit.time - timespan) {
            window.remove(old);
            first += 1;
        }
        window.add(hit, timespan);
        // All hits of one second count before the condition is checked.
        if hits.get(n + 1).is_some_and(|next| next.time == hit.time) || !window.holds() {
            continue;
        }
        match bursts
            .last_mut()
            .filter(|last| hit.time - last.span.1 <= quiet)
        {
            Some(burst) => (burst.last, burst.span.1) = (n, hit.time),
            None => bursts.push(Burst {
                first,
                last: n,
                span: (hit.time, hit.time),
            }),
        }
    }
    bursts
}

/// The hits of the timespan before one hit.
struct Window<'a> {
    rule: &'a CompiledCorrelation,
    hits: u64,
    /// How often each value occurs.
    values: HashMap<&'a str, u64>,
    /// The hits of each rule, for the temporal types.
    state: WindowState,
    /// The latest start of a chain of hits in the order of the rules, for each length. The chain of
    /// all rules counts if it started within the timespan.
    chains: Vec<Option<i64>>,
    is_chained: bool,
}

impl<'a> Window<'a> {
    fn new(rule: &'a CompiledCorrelation) -> Self {
        Window {
            rule,
            hits: 0,
            values: HashMap::new(),
            state: WindowState::new_for(CorrelationType::Temporal),
            chains: vec![None; rule.rule_refs.len()],
            is_chained: false,
        }
    }

    fn add<'h: 'a>(&mut self, hit: &'h Hit, timespan: i64) {
        self.hits += 1;
        match self.rule.correlation_type {
            CorrelationType::ValueCount => {
                if let Some(value) = &hit.value {
                    *self.values.entry(value).or_default() += 1;
                }
            }
            CorrelationType::Temporal | CorrelationType::TemporalOrdered => {
                self.state.evict(hit.time - timespan);
                if let Some(name) = self.rule.rule_refs.get(usize::from(hit.rule)) {
                    self.state.push_temporal(hit.time, name);
                    self.extend_chains(hit.time, name);
                }
                let start = self.chains.last().copied().flatten();
                self.is_chained = start.is_some_and(|start| hit.time - start <= timespan);
            }
            _ => {}
        }
    }

    fn extend_chains(&mut self, time: i64, name: &str) {
        for n in (0..self.chains.len()).rev() {
            if self
                .rule
                .rule_refs
                .get(n)
                .is_some_and(|known| known == name)
            {
                let before = n
                    .checked_sub(1)
                    .map(|n| self.chains.get(n).copied().flatten());
                let start = before.unwrap_or(Some(time));
                if let Some(chain) = self.chains.get_mut(n) {
                    *chain = start.max(*chain);
                }
            }
        }
    }

    fn remove(&mut self, hit: &'a Hit) {
        self.hits -= 1;
        if let Some(value) = &hit.value
            && let Some(count) = self.values.get_mut(value.as_ref())
        {
            *count -= 1;
            if *count == 0 {
                self.values.remove(value.as_ref());
            }
        }
    }

    /// Does the condition hold?
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn holds(&self) -> bool {
        let CompiledCorrelation {
            condition,
            rule_refs,
            extended_expr,
            ..
        } = self.rule;
        let temporal = || {
            let kind = CorrelationType::Temporal;
            let state = &self.state;
            state.check_condition(condition, kind, rule_refs, extended_expr.as_ref())
        };
        match self.rule.correlation_type {
            CorrelationType::ValueCount => condition.check(self.values.len() as f64),
            CorrelationType::Temporal => temporal().is_some(),
            CorrelationType::TemporalOrdered => self.is_chained && temporal().is_some(),
            _ => condition.check(self.hits as f64),
        }
    }
}
