//! From YAML texts to documents of Sigma, with the place of each fault, and the budget of inline
//! rules. `set` compiles the documents and checks what they name.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rsigma_parser::{
    Detection, DetectionItem, Detections, FilterRuleTarget, Modifier, SigmaCollection, SigmaValue,
    parse_sigma_yaml,
};

use crate::names::{nearest, suggestion};
use crate::rules::{RuleFault, RuleText};

/// The budget of all inline rules of a request.
const MAX_BYTES: usize = 256 * 1024;
const MAX_RULES: usize = 200;
const MAX_PATTERNS: usize = 1_000;
const MAX_PATTERN_BYTES: usize = 4 * 1024;
/// Each `not` of a condition takes stack when the condition is parsed and evaluated.
const MAX_NOTS: usize = 1_000;
/// The words of all conditions, the selections that each `of` looks at, and the rules that
/// correlations name: compiling takes time for each.
const MAX_TERMS: usize = 5_000;
/// The compiled sizes of one regular expression, and of all.
const MAX_REGEX_BYTES: usize = 256 * 1024;
const MAX_REGEXES_BYTES: usize = 16 * 1024 * 1024;

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
    /// The YAML of the section. After a fault it is repaired, so that its other faults are found too.
    yaml: Cow<'a, str>,
    /// What it contains.
    pub(super) content: SigmaCollection,
}

/// How often the YAML of a section is repaired to find further faults.
const MAX_REPAIRS: usize = 20;

impl<'a> Section<'a> {
    /// Parses a document of a text. Reports its faults. If one stops the parser, it is repaired and
    /// the document is parsed again.
    fn read(
        source: &'a RuleText<'a>,
        (first_line, yaml): (usize, &'a str),
    ) -> (Self, Vec<RuleFault>) {
        let mut section = Section {
            source,
            first_line,
            yaml: yaml.into(),
            content: SigmaCollection::new(),
        };
        let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
        for _ in 0..=MAX_REPAIRS {
            // Empty lines before the section keep the line numbers of YAML faults.
            let padded = format!("{}{}", "\n".repeat(first_line), section.yaml);
            let errors = match parse_sigma_yaml(&padded) {
                Ok(content) => {
                    section.content = content;
                    std::mem::take(&mut section.content.errors)
                }
                Err(error) => vec![error.to_string()],
            };
            let new: Vec<&String> = errors
                .iter()
                .filter(|error| !seen.contains(*error))
                .collect();
            faults.extend(new.iter().map(|error| section.fault(error)));
            seen.extend(new.into_iter().cloned());
            match errors.iter().find_map(|error| section.repaired(error)) {
                Some(yaml) => section.yaml = yaml.into(),
                None => break,
            }
        }
        (section, faults)
    }

    /// The YAML without the fault of a message, if the message names it.
    fn repaired(&self, message: &str) -> Option<String> {
        let quoted = message.split('\'').nth(1).unwrap_or_default();
        let replace = |wrong: String, right: &str| {
            let has = self.yaml.contains(&wrong);
            has.then(|| self.yaml.replacen(&wrong, right, 1))
        };
        if message.starts_with("Unknown modifier ") {
            return replace(format!("|{quoted}"), "|contains");
        }
        if message.starts_with("Invalid timespan ") {
            return replace(format!(" {quoted}"), " 1h");
        }
        if let Some((_, kind)) = message.split_once("Unknown correlation type: ") {
            return replace(format!("type: {kind}"), "type: event_count");
        }
        if message == "Missing required field 'title'" {
            return Some(format!("{}\ntitle: Rule\n", self.yaml.trim_end()));
        }
        if message.starts_with("Condition parse error") {
            let lines = self.yaml.lines();
            let line = lines
                .clone()
                .find(|line| line.trim_start().starts_with("condition:"))?;
            let indent = line.find("condition:").and_then(|at| line.get(..at))?;
            return replace(line.to_owned(), &format!("{indent}condition: 1 of them"));
        }
        None
    }
}

impl Section<'_> {
    /// A fault with the position that its message contains or implies.
    pub(super) fn fault(&self, message: &str) -> RuleFault {
        let position = yaml_position(message).or_else(|| self.in_condition(message));
        let position = position.or_else(|| self.position_of(message));
        RuleFault::error(self.source, self.reworded(message)).at(position)
    }

    /// The parser's message as a sentence that names what is allowed.
    fn reworded(&self, message: &str) -> String {
        if let Some(name) = message.strip_prefix("Unknown modifier ") {
            let name = name.trim_matches('\'');
            let near = nearest(name, MODIFIERS.split(", "));
            let hint = near.map_or_else(
                || format!("Modifiers: {MODIFIERS}."),
                |near| format!("Did you mean '{near}'?"),
            );
            return format!("There is no modifier '{name}'. {hint}");
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
        if let Some(value) = message.strip_prefix("invalid level: ") {
            return format!(
                "There is no level {value}. Levels: informational, low, medium, high, critical."
            );
        }
        if let Some(value) = message.strip_prefix("invalid status: ") {
            return format!(
                "There is no status {value}. Statuses: stable, test, experimental, deprecated, unsupported."
            );
        }
        if let Some((_, kind)) = message.split_once("Unknown correlation type: ") {
            return format!(
                "There is no correlation type '{kind}'. Supported: event_count, value_count, temporal, \
                 temporal_ordered."
            );
        }
        if let Some(value) = message.strip_prefix("Invalid timespan ") {
            return format!(
                "Invalid timespan {value}. Write a number and a unit: 30s, 15m, 2h or 7d."
            );
        }
        if let Some(field) = message.strip_prefix("Missing required field ") {
            return format!("The rule has no {field}. Add it.");
        }
        if message.contains("did not find expected")
            || message.contains("not allowed in this context")
        {
            let (what, _) = message.rsplit_once(" at line ").unwrap_or((message, ""));
            let what = what.trim_start_matches("YAML parse error: ");
            return format!(
                "Invalid YAML: {what}. Check the indentation, and quote texts with `: ` or `#`."
            );
        }
        sentence(message)
    }

    /// The character of the condition that a message names.
    fn in_condition(&self, message: &str) -> Option<(usize, usize)> {
        let rest = message.strip_prefix("Condition parse error at 1:")?;
        let character: usize = rest.split(':').next()?.parse().ok()?;
        let (line, column) = self.find("condition: ")?;
        Some((line, column + "condition: ".len() + character - 1))
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

    /// The first place of a key's value in the section; of the key, if the value is below it.
    pub(super) fn find_value(&self, key: &str) -> Option<(usize, usize)> {
        let (line, column) = self.find(key)?;
        let after = self.find(&format!("{key} "));
        let is_same = after == Some((line, column));
        let value = column + key.len() + 1;
        Some((line, if is_same { value } else { column }))
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
        for document in documents(&text.text) {
            let (section, found) = Section::read(text, document);
            faults.extend(found);
            sections.push(section);
        }
    }
    let over = budget_faults(&sections);
    if !over.is_empty() {
        // Nothing is compiled.
        sections.clear();
        faults.extend(over);
    }
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
    let first = inline().next()?;
    if bytes > MAX_BYTES {
        return Some(over_budget(first, message));
    }
    // Escapes of double-quoted texts can spell a word, too.
    let signs = ["not", "\\x", "\\u", "\\U", "\\\n", "\\\r"];
    let count = |text: &str| {
        signs
            .iter()
            .map(|sign| text.matches(sign).count())
            .sum::<usize>()
    };
    let nots: usize = inline().map(|text| count(&text.text)).sum();
    let message = format!(
        "The inline rules have 'not', or an escape such as '\\x', {nots} times. The maximum is {MAX_NOTS}."
    );
    (nots > MAX_NOTS).then(|| over_budget(first, message))
}

/// The numbers of rules and patterns, which are checked before a rule is compiled.
fn budget_faults(sections: &[Section<'_>]) -> Vec<RuleFault> {
    let inline = || sections.iter().filter(|section| section.source.is_inline);
    let Some(first) = inline().next().map(|section| section.source) else {
        return Vec::new();
    };
    let (mut rules, mut patterns, mut regexes, mut faults) = (0, 0_usize, Vec::new(), Vec::new());
    let terms: usize = inline().map(|section| terms(&section.content)).sum();
    if terms > MAX_TERMS {
        let message = format!(
            "The conditions and correlations of the inline rules have {terms} terms: words, selections \
             that `of` looks at, and names of rules. The maximum is {MAX_TERMS}."
        );
        faults.push(over_budget(first, message));
    }
    for section in inline() {
        let content = &section.content;
        rules += content.rules.len() + content.correlations.len() + content.filters.len();
        for pattern in all_patterns(content) {
            patterns = pattern.variants().saturating_add(patterns);
            let (field, length) = (pattern.field, pattern.text.len());
            if length > MAX_PATTERN_BYTES {
                let message = format!(
                    "A pattern of {field} has {length} bytes. The maximum is {MAX_PATTERN_BYTES}."
                );
                faults.push(over_budget(section.source, message));
            } else if pattern.modifiers.contains(&Modifier::Re) {
                regexes.push((section.source, pattern));
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
    if faults.is_empty() {
        let limit = MAX_REGEX_BYTES.min(MAX_REGEXES_BYTES / regexes.len().max(1));
        let large = regexes.iter().find(|(_, regex)| regex.is_larger(limit));
        faults.extend(large.map(|(text, regex)| {
            let (field, bytes) = (regex.field, MAX_REGEXES_BYTES);
            let message = format!(
                "A regular expression of {field} has more than {limit} bytes when it is compiled. \
                 The maximum is {MAX_REGEX_BYTES}, and {bytes} for all inline rules."
            );
            over_budget(text, message)
        }));
    }
    faults
}

/// What compiling the conditions and correlations of a section takes time for.
fn terms(content: &SigmaCollection) -> usize {
    let conditions = all_detections(content).flat_map(|detections| {
        let selections = detections.named.len();
        let words = |text: &String| text.split_whitespace().count();
        let of = |text: &String| text.split_whitespace().filter(|word| *word == "of").count();
        let texts = detections.condition_strings.iter();
        texts.map(move |text| words(text) + of(text) * selections)
    });
    let named = content.correlations.iter().map(|one| one.rules.len());
    conditions.chain(named).sum()
}

/// A text that a rule compares with values.
struct Pattern<'a> {
    field: &'a str,
    modifiers: &'a [Modifier],
    text: &'a str,
}

impl Pattern<'_> {
    /// The number of texts that are compared: `windash` replaces each dash by five characters.
    fn variants(&self) -> usize {
        if !self.modifiers.contains(&Modifier::WindAsh) {
            return 1;
        }
        let dashes = u32::try_from(self.text.matches('-').count());
        5_usize.saturating_pow(dashes.unwrap_or(u32::MAX))
    }

    /// Is the compiled regular expression larger? Invalid ones are reported when rules are compiled.
    fn is_larger(&self, limit: usize) -> bool {
        let built = regex::RegexBuilder::new(self.text)
            .case_insensitive(true)
            .size_limit(limit)
            .build();
        matches!(built, Err(regex::Error::CompiledTooBig(_)))
    }
}

/// The patterns of all detections of a section, keywords included.
fn all_patterns(content: &SigmaCollection) -> Vec<Pattern<'_>> {
    let parts = all_detections(content).flat_map(parts);
    let values = parts.flat_map(|part| match part {
        Detection::Keywords(values) => vec![("a keyword", &[][..], values)],
        Detection::AllOf(items) => items.iter().map(named_values).collect(),
        _ => Vec::new(),
    });
    let patterns = values.flat_map(|(field, modifiers, values)| {
        values.iter().map(move |value| Pattern {
            field,
            modifiers,
            text: match value {
                SigmaValue::String(text) => &text.original,
                _ => "",
            },
        })
    });
    patterns.collect()
}

fn named_values(item: &DetectionItem) -> (&str, &[Modifier], &Vec<SigmaValue>) {
    let field = item.field.name.as_deref().unwrap_or("a keyword");
    (field, &item.field.modifiers, &item.values)
}

fn over_budget(text: &RuleText<'_>, message: String) -> RuleFault {
    RuleFault::error(text, message).advice("Put the rules into a catalog, which has no such limit.")
}

/// The detections of all rules and filters of a section.
fn all_detections(content: &SigmaCollection) -> impl Iterator<Item = &Detections> {
    let rules = content.rules.iter().map(|rule| &rule.detection);
    rules.chain(content.filters.iter().map(|filter| &filter.detection))
}

/// The items of all detections of a section.
pub(super) fn all_items(content: &SigmaCollection) -> Vec<&DetectionItem> {
    all_detections(content).flat_map(items).collect()
}

/// The items of a rule's detections. A keyword search is an item without a field.
pub(super) fn items(detections: &Detections) -> Vec<&DetectionItem> {
    let parts = parts(detections).into_iter();
    let items = parts.filter_map(|part| match part {
        Detection::AllOf(items) => Some(items),
        _ => None,
    });
    items.flatten().collect()
}

/// The detections of a rule that contain no others.
fn parts(detections: &Detections) -> Vec<&Detection> {
    let mut found = Vec::new();
    let mut open: Vec<&Detection> = detections.named.values().collect();
    while let Some(detection) = open.pop() {
        match detection {
            Detection::AllOf(_) | Detection::Keywords(_) => found.push(detection),
            Detection::AnyOf(parts) | Detection::And(parts) => open.extend(parts),
            Detection::ArrayMatch { body, .. } => open.push(body),
            Detection::Conditional { named, .. } => open.extend(named.values()),
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
