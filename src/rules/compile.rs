//! From YAML texts to documents of Sigma, with the place of each fault, and the budget of inline
//! rules. `set` compiles the documents and checks what they name.

use std::collections::BTreeSet;

use rsigma_parser::{
    Detection, DetectionItem, Detections, FilterRuleTarget, SigmaCollection, SigmaValue,
    parse_sigma_yaml,
};

use crate::names::{nearest, suggestion};
use crate::rules::{RuleFault, RuleText};

/// The budget of all inline rules of a request.
const MAX_BYTES: usize = 256 * 1024;
const MAX_RULES: usize = 200;
const MAX_PATTERNS: usize = 1_000;
const MAX_PATTERN_BYTES: usize = 4 * 1024;

const MODIFIERS: &str = "contains, startswith, endswith, all, re, i, m, s, cidr, cased, exists, fieldref, \
     gt, gte, lt, lte, neq, windash, base64, base64offset, wide, utf16, utf16be, expand, minute, hour, \
     day, week, month, year";

/// One document of a text, or several that share `action: global`.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// The text that contains it.
    pub(super) source: &'a RuleText<'a>,
    /// The first line in the text, counted from 0.
    first_line: usize,
    /// The YAML of the section.
    yaml: &'a str,
    /// What it contains.
    pub(super) content: SigmaCollection,
}

impl Section<'_> {
    /// A fault with the position that its message contains or implies.
    pub(super) fn fault(&self, message: &str) -> RuleFault {
        let position = yaml_position(message).or_else(|| self.position_of(message));
        RuleFault::error(self.source, self.reworded(message)).at(position)
    }

    /// The parser's message as a sentence that names what is allowed.
    fn reworded(&self, message: &str) -> String {
        if let Some(name) = message.strip_prefix("Unknown modifier ") {
            let name = name.trim_matches('\'');
            let hint =
                nearest(name, MODIFIERS.split(", ")).map(|near| format!(" Did you mean '{near}'?"));
            return format!(
                "There is no modifier '{name}'.{} Modifiers: {MODIFIERS}.",
                hint.unwrap_or_default()
            );
        }
        if let Some(rest) = message.strip_prefix("Condition parse error at 1:") {
            let column = rest.split(':').next().unwrap_or_default();
            return format!(
                "Invalid condition at its character {column}. A condition joins names of selections \
                 with and, or, not and parentheses; '1 of name_*' and 'all of name_*' select several."
            );
        }
        if let Some(name) = message.strip_prefix("unknown detection identifier: ") {
            let rules = self.content.rules.iter();
            let names = rules.flat_map(|rule| rule.detection.named.keys().map(String::as_str));
            let names: BTreeSet<&str> = names.collect();
            let hint = suggestion(name, names);
            return format!(
                "The condition names '{name}', which is not the name of a selection. {hint}"
            );
        }
        sentence(message)
    }

    /// The first line with a word that the message quotes, or with the part of the rule that it names.
    fn position_of(&self, message: &str) -> Option<(usize, usize)> {
        let quoted = message.split(['\'', '"', '`']).skip(1).step_by(2);
        let quoted = quoted.filter(|word| !word.is_empty()).map(str::to_owned);
        let part = ["condition", "logsource", "detection", "correlation"]
            .into_iter()
            .find(|part| message.to_lowercase().contains(part))
            .map(|part| format!("{part}:"));
        let last = message.rsplit(": ").next().map(str::to_owned);
        let words = quoted.chain(last).chain(part);
        let found = words.into_iter().find_map(|word| self.find(&word));
        found.or(Some((self.first_line + 1, 1)))
    }

    /// The first place of a text in the section.
    pub(super) fn find(&self, word: &str) -> Option<(usize, usize)> {
        let mut lines = self.yaml.lines().enumerate();
        lines.find_map(|(n, line)| {
            let at = line.find(word)?;
            let column = line.get(..at).unwrap_or_default().chars().count();
            Some((self.first_line + n + 1, column + 1))
        })
    }
}

/// Reads all texts. The faults do not stop the reading of other documents.
pub(super) fn read<'a>(texts: &'a [RuleText<'a>]) -> (Vec<Section<'a>>, Vec<RuleFault>) {
    let mut faults: Vec<RuleFault> = size_fault(texts).into_iter().collect();
    if !faults.is_empty() {
        return (Vec::new(), faults);
    }
    let mut sections = Vec::new();
    for text in texts {
        for (first_line, yaml) in documents(&text.text) {
            // Empty lines before the section keep the line numbers of YAML faults.
            let padded = format!("{}{yaml}", "\n".repeat(first_line));
            let mut section = Section {
                source: text,
                first_line,
                yaml,
                content: SigmaCollection::new(),
            };
            match parse_sigma_yaml(&padded) {
                Ok(content) => section.content = content,
                Err(error) => faults.push(section.fault(&error.to_string())),
            }
            let errors = std::mem::take(&mut section.content.errors);
            faults.extend(errors.iter().map(|error| section.fault(error)));
            sections.push(section);
        }
    }
    faults.extend(budget_faults(&sections));
    (sections, faults)
}

/// The documents of a text, with their first lines. Documents with an `action` stay together.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let text = text.trim_start_matches('\u{feff}');
    if text.lines().any(|line| line.starts_with("action:")) {
        return vec![(0, text)];
    }
    let (mut documents, mut first_line, mut start, mut at) = (Vec::new(), 0, 0, 0);
    for (n, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            documents.push((first_line, text.get(start..at).unwrap_or_default()));
            (first_line, start) = (n + 1, at + line.len());
        }
        at += line.len();
    }
    documents.push((first_line, text.get(start..).unwrap_or_default()));
    let is_blank = |yaml: &str| {
        let mut lines = yaml.lines().map(str::trim);
        lines.all(|line| line.is_empty() || line.starts_with('#'))
    };
    documents.retain(|(_, yaml)| !is_blank(yaml));
    documents
}

/// The size of the inline texts, which is checked before they are parsed. The YAML parser itself limits
/// what aliases can repeat.
fn size_fault(texts: &[RuleText<'_>]) -> Option<RuleFault> {
    let inline = || texts.iter().filter(|text| text.is_inline);
    let bytes: usize = inline().map(|text| text.text.len()).sum();
    let message = format!("The inline rules have {bytes} bytes. The maximum is {MAX_BYTES}.");
    let first = inline().next().filter(|_| bytes > MAX_BYTES)?;
    Some(over_budget(first, message))
}

/// The numbers of rules and patterns, which are checked before a rule is compiled.
fn budget_faults(sections: &[Section<'_>]) -> Vec<RuleFault> {
    let inline = || sections.iter().filter(|section| section.source.is_inline);
    let Some(first) = inline().next().map(|section| section.source) else {
        return Vec::new();
    };
    let (mut rules, mut patterns, mut faults) = (0, 0, Vec::new());
    for section in inline() {
        let content = &section.content;
        rules += content.rules.len() + content.correlations.len() + content.filters.len();
        for item in all_items(content) {
            patterns += item.values.len();
            let lengths = item.values.iter().map(|value| match value {
                SigmaValue::String(text) => text.original.len(),
                _ => 0,
            });
            for length in lengths.filter(|length| *length > MAX_PATTERN_BYTES) {
                let field = item.field.name.as_deref().unwrap_or("a keyword");
                let message = format!(
                    "A pattern of {field} has {length} bytes. The maximum is {MAX_PATTERN_BYTES}."
                );
                faults.push(over_budget(section.source, message));
            }
        }
    }
    if rules > MAX_RULES {
        let message = format!("There are {rules} inline rules. The maximum is {MAX_RULES}.");
        faults.push(over_budget(first, message));
    }
    if patterns > MAX_PATTERNS {
        let message =
            format!("The inline rules have {patterns} patterns. The maximum is {MAX_PATTERNS}.");
        faults.push(over_budget(first, message));
    }
    faults
}

fn over_budget(text: &RuleText<'_>, message: String) -> RuleFault {
    RuleFault::error(text, message).advice("Put the rules into a catalog, which has no such limit.")
}

/// The items of all detections of a section.
pub(super) fn all_items(content: &SigmaCollection) -> Vec<&DetectionItem> {
    let rules = content.rules.iter().map(|rule| &rule.detection);
    let filters = content.filters.iter().map(|filter| &filter.detection);
    rules.chain(filters).flat_map(items).collect()
}

/// The items of a rule's detections. A keyword search is an item without a field.
pub(super) fn items(detections: &Detections) -> Vec<&DetectionItem> {
    let mut found = Vec::new();
    let mut open: Vec<&Detection> = detections.named.values().collect();
    while let Some(detection) = open.pop() {
        match detection {
            Detection::AllOf(items) => found.extend(items),
            Detection::AnyOf(parts) | Detection::And(parts) => open.extend(parts),
            Detection::ArrayMatch { body, .. } => open.push(body),
            Detection::Conditional { named, .. } => open.extend(named.values()),
            Detection::Keywords(_) => {}
        }
    }
    found
}

/// Does a detection search all values of a record?
pub(super) fn has_keywords(detection: &Detection) -> bool {
    match detection {
        Detection::Keywords(_) => true,
        Detection::AllOf(items) => items.iter().any(|item| item.field.name.is_none()),
        Detection::AnyOf(parts) | Detection::And(parts) => parts.iter().any(has_keywords),
        Detection::ArrayMatch { .. } | Detection::Conditional { .. } => false,
    }
}

/// Adds ids or titles for the names in a filter's list of rules: the evaluation knows no names.
pub(super) fn resolve_filter(target: &mut FilterRuleTarget, names: &[(String, String)]) {
    if let FilterRuleTarget::Specific(rules) = target {
        let known = |rule: &String| names.iter().find(|(name, _)| name == rule);
        let resolved: Vec<String> = rules
            .iter()
            .filter_map(|rule| known(rule).map(|(_, id)| id.clone()))
            .collect();
        rules.extend(resolved);
    }
}

/// The position in a message of the YAML parser: `… at line 3 column 7`.
fn yaml_position(message: &str) -> Option<(usize, usize)> {
    let number = |after: &str| -> Option<usize> {
        let (_, rest) = message.split_once(after)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    Some((number(" at line ")?, number(" column ")?))
}

/// A message of the parser as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
