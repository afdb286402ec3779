//! A compiled set of rules: what rules name of each other is resolved here. Holds nothing of a run,
//! so several runs can share a set.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rsigma_eval::correlation::compile_correlation;
use rsigma_eval::{CompiledCorrelation, CompiledRule, Engine, RuleFieldSet, compile_rule};
use rsigma_parser::{
    ConditionOperator, CorrelationRule, CorrelationType, Modifier, SigmaRule, SigmaValue,
    WindowMode,
};
use serde_json::Value;

use crate::rules::compile::{self, Section};
use crate::rules::record::{Record, Wanted};
use crate::rules::scope::{Scope, Selector};
use crate::rules::{Evaluation, Limits, RuleFault, RuleText, lint};

/// Rules that are ready to be evaluated.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) detectors: Vec<Detector>,
    /// The correlations, each after those that it names.
    pub(super) correlators: Vec<Correlator>,
    pub(super) selector: Selector,
    pub(super) wanted: Wanted,
}

/// What all kinds of rules have.
#[derive(Debug)]
pub(super) struct Header {
    /// The id, else the name or title.
    pub(super) id: String,
    /// The id and the name, by which correlations refer to the rule.
    pub(super) references: Vec<String>,
    /// The place of the text that contains the rule.
    pub(super) place: String,
    /// Fields that the message shows.
    pub(super) fields: Vec<String>,
    /// Does the rule give alerts of its own?
    pub(super) alerts: bool,
}

/// A rule about single records.
#[derive(Debug)]
pub(super) struct Detector {
    pub(super) header: Header,
    pub(super) rule: CompiledRule,
    pub(super) scope: Scope,
    /// The correlations that count its records, with the reference that they use.
    pub(super) counted_by: Vec<(usize, String)>,
}

/// A rule about several records.
#[derive(Debug)]
pub(super) struct Correlator {
    pub(super) header: Header,
    pub(super) rule: CompiledCorrelation,
    /// The correlations that count its alerts, with the reference that they use.
    pub(super) counted_by: Vec<(usize, String)>,
}

impl Detector {
    /// Does the rule match?
    pub(super) fn matches(&self, record: &Record) -> bool {
        let matches = |condition| {
            let rule = &self.rule;
            rsigma_eval::compiler::eval_condition(
                condition,
                &rule.detections,
                &record.event,
                &mut Vec::new(),
            )
        };
        self.scope.has_workload(&record.workload) && self.rule.conditions.iter().any(matches)
    }
}

impl RuleSet {
    /// Compiles rules. Reports the faults of all texts at once.
    pub fn compile(texts: &[RuleText<'_>]) -> Result<Self, Vec<RuleFault>> {
        let (set, faults) = Builder::build(texts);
        set.filter(|_| faults.is_empty()).ok_or(faults)
    }

    /// The faults and warnings of rules.
    pub fn check(texts: &[RuleText<'_>]) -> Vec<RuleFault> {
        let (_, mut faults) = Builder::build(texts);
        let (sections, _) = compile::read(texts);
        faults.extend(lint::lint(&sections));
        faults
    }

    /// The number of rules.
    pub fn len(&self) -> usize {
        self.detectors.len() + self.correlators.len()
    }

    /// Are there no rules?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the rules with their places: id or else name or title, and the title.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let detectors = self.detectors.iter();
        let detectors = detectors.map(|one| (&one.header, one.rule.title.as_str()));
        let correlators = self.correlators.iter();
        let correlators = correlators.map(|one| (&one.header, one.rule.title.as_str()));
        detectors
            .chain(correlators)
            .map(|(header, title)| (header.id.as_str(), title, header.place.as_str()))
    }

    /// Starts a run. `saved` is the state of the previous run; `now` bounds the times of records.
    pub fn start(&self, saved: Option<&Value>, now: DateTime<Utc>) -> Evaluation<'_> {
        self.start_with(saved, now, Limits::default())
    }

    /// Starts a run with other limits.
    pub fn start_with(
        &self,
        saved: Option<&Value>,
        now: DateTime<Utc>,
        limits: Limits,
    ) -> Evaluation<'_> {
        Evaluation::new(self, saved, now, limits)
    }
}

/// Collects what the sections contain.
#[derive(Default)]
struct Builder {
    faults: Vec<RuleFault>,
    detectors: Vec<Detector>,
    correlators: Vec<(Correlator, usize)>,
}

impl Builder {
    fn build(texts: &[RuleText<'_>]) -> (Option<RuleSet>, Vec<RuleFault>) {
        let (mut sections, faults) = compile::read(texts);
        let mut builder = Builder {
            faults,
            ..Builder::default()
        };
        for (n, section) in sections.iter().enumerate() {
            for rule in &section.content.rules {
                builder.add_rule(rule, section);
            }
            for rule in &section.content.correlations {
                builder.add_correlation(rule, (n, section));
            }
        }
        builder.reject_duplicates(&sections);
        builder.apply_filters(&mut sections);
        let order = builder.order(&sections);
        if !builder.faults.is_empty() {
            return (None, builder.faults);
        }
        (Some(builder.finish(&sections, &order)), Vec::new())
    }

    fn add_rule(&mut self, rule: &SigmaRule, section: &Section<'_>) {
        match compile_rule(rule) {
            Ok(compiled) => self.detectors.push(Detector {
                header: Header {
                    fields: rule.fields.clone(),
                    ..header([&rule.id, &rule.name], &rule.title, section)
                },
                scope: Scope::of(rule),
                rule: compiled,
                counted_by: Vec::new(),
            }),
            Err(error) => self.faults.push(section.fault(&error.to_string())),
        }
    }

    fn add_correlation(&mut self, rule: &CorrelationRule, (n, section): (usize, &Section<'_>)) {
        if let Some(why) = unsupported(rule) {
            self.faults.push(section.fault(&why));
        }
        match compile_correlation(rule) {
            Ok(mut compiled) => {
                require_all(&mut compiled);
                let correlator = Correlator {
                    header: Header {
                        fields: rule.fields.clone(),
                        ..header([&rule.id, &rule.name], &rule.title, section)
                    },
                    rule: compiled,
                    counted_by: Vec::new(),
                };
                self.correlators.push((correlator, n));
            }
            Err(error) => self.faults.push(section.fault(&error.to_string())),
        }
    }

    /// Alerts and states name a rule by its id, so two rules must not share one.
    fn reject_duplicates(&mut self, sections: &[Section<'_>]) {
        let detectors = self.detectors.iter().map(|one| &one.header);
        let headers = detectors.chain(self.correlators.iter().map(|(one, _)| &one.header));
        let mut seen = BTreeSet::new();
        for id in headers.map(|header| &header.id) {
            if seen.insert(id) {
                continue;
            }
            let why =
                format!("Two rules have the id '{id}' (a rule without `id` has its name or title)");
            let mut places = sections.iter().rev();
            let section = places.find(|section| section.find(id).is_some());
            self.faults
                .extend(section.map(|section| section.fault(&why)));
        }
    }

    /// Adds the conditions of filters to the rules that they name.
    fn apply_filters(&mut self, sections: &mut [Section<'_>]) {
        let names = self.detectors.iter().flat_map(|one| {
            let references = one.header.references.iter();
            references.map(|name| (name.clone(), one.rule.title.clone()))
        });
        let names: Vec<(String, String)> = names.collect();
        let mut engine = Engine::new();
        engine.extend_compiled_rules(self.detectors.iter().map(|one| one.rule.clone()));
        let mut has_filter = false;
        for section in sections {
            let mut filters = std::mem::take(&mut section.content.filters);
            for filter in &mut filters {
                compile::resolve_filter(&mut filter.rules, &names);
                if let Err(error) = engine.apply_filter(filter) {
                    self.faults.push(section.fault(&error.to_string()));
                }
                has_filter = true;
            }
            section.content.filters = filters;
        }
        if has_filter {
            for (detector, rule) in self.detectors.iter_mut().zip(engine.rules()) {
                detector.rule = rule.clone();
            }
        }
    }

    /// The order in which the correlations can be evaluated: each after those that it names.
    fn order(&mut self, sections: &[Section<'_>]) -> Vec<usize> {
        let own = |header: &Header| header.references.clone();
        let mut known: BTreeSet<String> = self
            .detectors
            .iter()
            .flat_map(|one| own(&one.header))
            .collect();
        let all: BTreeSet<String> = self
            .correlators
            .iter()
            .flat_map(|(one, _)| own(&one.header))
            .collect();
        for (one, section) in &self.correlators {
            let missing = one.rule.rule_refs.iter();
            for name in missing.filter(|name| !known.contains(*name) && !all.contains(*name)) {
                let why = format!("There is no rule '{name}', which this correlation names");
                let fault = sections.get(*section).map(|section| section.fault(&why));
                let advice = "Add that rule, with this value as its `id` or `name`.";
                self.faults.extend(fault.map(|fault| fault.advice(advice)));
            }
        }
        let mut open: Vec<usize> = (0..self.correlators.len()).collect();
        let mut order = Vec::new();
        while !open.is_empty() {
            let ready = |n: &usize| {
                let names = self.correlators.get(*n).map(|(one, _)| &one.rule.rule_refs);
                let waits = |name: &String| all.contains(name) && !known.contains(name);
                !names.into_iter().flatten().any(waits)
            };
            let (now, later): (Vec<usize>, Vec<usize>) = open.iter().copied().partition(ready);
            if now.is_empty() {
                let section = self
                    .correlators
                    .get(later[0])
                    .and_then(|(_, n)| sections.get(*n));
                let why = "This correlation names itself through other correlations";
                self.faults
                    .extend(section.map(|section| section.fault(why)));
                return order;
            }
            let done = now.iter().filter_map(|n| self.correlators.get(*n));
            known.extend(done.flat_map(|(one, _)| own(&one.header)));
            order.extend(now);
            open = later;
        }
        order
    }

    fn finish(mut self, sections: &[Section<'_>], order: &[usize]) -> RuleSet {
        let mut correlators: BTreeMap<usize, Correlator> = BTreeMap::new();
        for (n, (correlator, _)) in self.correlators.drain(..).enumerate() {
            let place = order.iter().position(|known| *known == n).unwrap_or(n);
            correlators.insert(place, correlator);
        }
        let mut correlators: Vec<Correlator> = correlators.into_values().collect();
        let mut parents: HashMap<String, Vec<usize>> = HashMap::new();
        // A rule that a correlation names is silent, unless a correlation says otherwise.
        let mut silent: BTreeMap<String, bool> = BTreeMap::new();
        for (n, one) in correlators.iter().enumerate() {
            for name in &one.rule.rule_refs {
                parents.entry(name.clone()).or_default().push(n);
                let is_silent = silent.entry(name.clone()).or_insert(true);
                *is_silent &= !one.rule.generate;
            }
        }
        let connect = |header: &mut Header| {
            let names = header.references.iter();
            header.alerts = !names.clone().any(|name| silent.get(name) == Some(&true));
            let counted = names.filter_map(|name| Some((name, parents.get(name)?)));
            counted
                .flat_map(|(name, list)| list.iter().map(|n| (*n, name.clone())))
                .collect::<Vec<_>>()
        };
        for one in &mut self.detectors {
            one.counted_by = connect(&mut one.header);
        }
        for one in &mut correlators {
            one.counted_by = connect(&mut one.header);
        }
        RuleSet {
            selector: Selector::new(self.detectors.iter().map(|one| &one.scope)),
            detectors: self.detectors,
            correlators,
            wanted: wanted(sections),
        }
    }
}

fn header(names: [&Option<String>; 2], title: &str, section: &Section<'_>) -> Header {
    let references: Vec<String> = names.into_iter().flatten().cloned().collect();
    Header {
        id: references.first().map_or(title, String::as_str).to_owned(),
        references,
        place: section.source.place.clone().into_owned(),
        fields: Vec::new(),
        alerts: true,
    }
}

/// Without a condition, a temporal correlation needs all its rules. The parser says one of them.
fn require_all(rule: &mut CompiledCorrelation) {
    use CorrelationType::{Temporal, TemporalOrdered};
    let is_temporal = matches!(rule.correlation_type, Temporal | TemporalOrdered);
    if let [(ConditionOperator::Gte, least)] = rule.condition.predicates.as_mut_slice()
        && is_temporal
        && rule.extended_expr.is_none()
    {
        let all = u32::try_from(rule.rule_refs.len()).unwrap_or(u32::MAX);
        *least = least.max(f64::from(all));
    }
}

/// Why a correlation cannot be evaluated.
fn unsupported(rule: &CorrelationRule) -> Option<String> {
    use CorrelationType::{EventCount, Temporal, TemporalOrdered, ValueCount};
    let kind = rule.correlation_type;
    if !matches!(kind, EventCount | ValueCount | Temporal | TemporalOrdered) {
        return Some(format!(
            "Correlations of type '{}' are not supported. Supported: event_count, value_count, \
             temporal, temporal_ordered",
            kind.as_str()
        ));
    }
    (rule.window != WindowMode::Sliding).then(|| {
        let window = rule.window.as_str();
        format!("Windows of type '{window}' are not supported. Supported: sliding")
    })
}

/// The fields that the rules read.
fn wanted(sections: &[Section<'_>]) -> Wanted {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut everything = false;
    for section in sections {
        let fields = RuleFieldSet::collect(&section.content, &[], true);
        names.extend(fields.names().map(str::to_owned));
        for item in compile::all_items(&section.content) {
            if item.field.modifiers.contains(&Modifier::FieldRef) {
                names.extend(item.values.iter().filter_map(|value| match value {
                    SigmaValue::String(text) => text.as_plain(),
                    _ => None,
                }));
            }
        }
        let rules = section.content.rules.iter().map(|rule| &rule.detection);
        let filters = section
            .content
            .filters
            .iter()
            .map(|filter| &filter.detection);
        let mut detections = rules.chain(filters).flat_map(|one| one.named.values());
        everything |= detections.any(compile::has_keywords);
    }
    Wanted::of(names, everything)
}
