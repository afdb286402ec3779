//! `$filter` of alerts: lexer, parser and evaluation. It supports the eight documented properties,
//! `and`, `or`, `not`, parentheses, the six comparisons, `in (…)` and `null`. Functions
//! (`contains`, …) and order comparisons of enumerations are rejected, because they are not
//! documented for alerts.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::sim::data::alerts::properties;
use crate::sim::graph::{Refused, refused};

/// The properties that can be filtered, with their types.
pub(crate) const PROPERTIES: [Property; 8] = [
    ("assignedTo", Kind::Text),
    ("classification", Kind::Enum),
    ("determination", Kind::Enum),
    ("createdDateTime", Kind::Time),
    ("lastUpdateDateTime", Kind::Time),
    ("severity", Kind::Enum),
    ("serviceSource", Kind::Enum),
    ("status", Kind::Enum),
];

type Property = (&'static str, Kind);

/// The type of a property. Members of enumerations are written as quoted text, times without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Enum,
    Time,
}

/// The comparisons, with their names in errors of the service.
const OPERATORS: [Operator; 6] = [
    EQUAL,
    ("ne", "NotEqual"),
    ("gt", "GreaterThan"),
    ("ge", "GreaterThanOrEqual"),
    ("lt", "LessThan"),
    ("le", "LessThanOrEqual"),
];

const EQUAL: Operator = ("eq", "Equal");

type Operator = (&'static str, &'static str);

/// A parsed filter.
#[derive(Debug)]
pub(crate) enum Filter {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    /// A property compared with a constant; `None` is null.
    Compare(Property, Operator, Option<Literal>),
}

/// A constant of a filter, or a value of a record.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Literal {
    Text(String),
    Time(DateTime<Utc>),
}

/// The name of the type of texts and enumerations, or of times.
fn type_name(is_time: bool) -> &'static str {
    if is_time {
        "Edm.DateTimeOffset"
    } else {
        "Edm.String"
    }
}

impl Filter {
    pub(crate) fn parse(text: &str) -> Result<Self, Refused> {
        let tokens = lex(text)?;
        let mut parser = Parser {
            text,
            tokens,
            at: 0,
        };
        let filter = parser.either()?;
        match parser.peek() {
            None => Ok(filter),
            Some(_) => Err(parser.syntax()),
        }
    }

    /// Whether a record with these properties passes the filter.
    pub(crate) fn passes(&self, fields: &HashMap<String, String>) -> bool {
        match self {
            Self::And(left, right) => left.passes(fields) && right.passes(fields),
            Self::Or(left, right) => left.passes(fields) || right.passes(fields),
            Self::Not(inner) => !inner.passes(fields),
            Self::Compare((name, kind), (operator, _), right) => {
                let left = fields.get(*name).and_then(|text| match kind {
                    Kind::Time => parse_time(text).map(Literal::Time),
                    Kind::Text | Kind::Enum => Some(Literal::Text(text.clone())),
                });
                holds(operator, left.as_ref(), right.as_ref())
            }
        }
    }
}

/// Evaluates a comparison. Null equals null and has no order.
fn holds(operator: &str, left: Option<&Literal>, right: Option<&Literal>) -> bool {
    let order = left.zip(right).map(|(left, right)| left.cmp(right));
    match operator {
        "eq" => left == right,
        "ne" => left != right,
        "gt" => order.is_some_and(std::cmp::Ordering::is_gt),
        "ge" => order.is_some_and(std::cmp::Ordering::is_ge),
        "lt" => order.is_some_and(std::cmp::Ordering::is_lt),
        _ => order.is_some_and(std::cmp::Ordering::is_le),
    }
}

/// Words, quoted texts with their quotes, parentheses and commas, each with its position.
fn lex(text: &str) -> Result<Vec<(usize, &str)>, Refused> {
    let mut tokens = vec![];
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let (rest, place) = (&text[at..], at.to_string());
        let length = match first {
            ' ' | '\t' | '(' | ')' | ',' => 1,
            '\'' => quoted(rest).ok_or_else(|| refused("filter_string", &[&place, text]))?,
            _ => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
        };
        if length == 0 {
            let character = first.to_string();
            return Err(refused("filter_character", &[&character, &place, text]));
        }
        if ![' ', '\t'].contains(&first) {
            tokens.push((at, &rest[..length]));
        }
        at += length;
    }
    Ok(tokens)
}

/// The length of the quoted text at the start; a doubled quote does not end it.
fn quoted(text: &str) -> Option<usize> {
    let mut from = 1;
    loop {
        let end = from + text[from..].find('\'')?;
        if !text[end + 1..].starts_with('\'') {
            return Some(end + 1);
        }
        from = end + 2;
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || "_@$./:+-".contains(character)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, &'a str)>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|(_, token)| *token)
    }

    fn accept(&mut self, wanted: &str) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), Refused> {
        if self.accept(wanted) {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    fn syntax(&self) -> Refused {
        let token = self.tokens.get(self.at);
        let at = token.map_or(self.text.len(), |(at, _)| *at);
        refused("filter_syntax", &[&at.to_string(), self.text])
    }

    fn either(&mut self) -> Result<Filter, Refused> {
        let mut left = self.both()?;
        while self.accept("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, Refused> {
        let mut left = self.negated()?;
        while self.accept("and") {
            left = Filter::And(Box::new(left), Box::new(self.negated()?));
        }
        Ok(left)
    }

    fn negated(&mut self) -> Result<Filter, Refused> {
        if self.accept("not") {
            return Ok(Filter::Not(Box::new(self.negated()?)));
        }
        if !self.accept("(") {
            return self.comparison();
        }
        let inner = self.either()?;
        self.expect(")")?;
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Filter, Refused> {
        let property = self.property()?;
        if self.accept("in") {
            return self.one_of(property);
        }
        let word = self.peek();
        let operator = OPERATORS.into_iter().find(|(name, _)| Some(*name) == word);
        let operator = operator.ok_or_else(|| self.syntax())?;
        self.at += 1;
        let filter = self.compared(property, operator)?;
        if property.1 == Kind::Enum && !["eq", "ne"].contains(&operator.0) {
            let types = ["microsoft.graph.security", property.0, operator.1];
            return Err(refused("filter_types", &types));
        }
        Ok(filter)
    }

    fn one_of(&mut self, property: Property) -> Result<Filter, Refused> {
        self.expect("(")?;
        let mut all = self.compared(property, EQUAL)?;
        while self.accept(",") {
            all = Filter::Or(Box::new(all), Box::new(self.compared(property, EQUAL)?));
        }
        self.expect(")")?;
        Ok(all)
    }

    fn property(&mut self) -> Result<Property, Refused> {
        let word = self.peek().filter(|word| word.starts_with(is_of_word));
        let word = word.ok_or_else(|| self.syntax())?;
        self.at += 1;
        if self.peek() == Some("(") {
            return Err(refused("filter_function", &[word]));
        }
        let found = PROPERTIES.into_iter().find(|(name, _)| *name == word);
        let known = properties().iter().any(|name| name == word);
        let id = if known {
            "filter_property"
        } else {
            "filter_unknown"
        };
        found.ok_or_else(|| refused(id, &[word]))
    }

    fn compared(&mut self, property: Property, operator: Operator) -> Result<Filter, Refused> {
        let token = self.peek().ok_or_else(|| self.syntax())?;
        let quoted = token.strip_prefix('\'');
        let literal = match quoted.and_then(|text| text.strip_suffix('\'')) {
            Some(text) => Some(Literal::Text(text.replace("''", "'"))),
            None if token == "null" => None,
            None => Some(Literal::Time(
                parse_time(token).ok_or_else(|| self.syntax())?,
            )),
        };
        self.at += 1;
        let is_time = matches!(literal, Some(Literal::Time(_)));
        let wants_time = property.1 == Kind::Time;
        if literal.is_some() && is_time != wants_time {
            let types = [type_name(wants_time), type_name(is_time), operator.1];
            return Err(refused("filter_types", &types));
        }
        Ok(Filter::Compare(property, operator, literal))
    }
}

/// Parses a time of the protocol: date, `T`, time with up to seven digits of fraction, zone.
pub(crate) fn parse_time(word: &str) -> Option<DateTime<Utc>> {
    let bytes = word.as_bytes();
    let fraction = word.split_once('.').map_or("", |(_, rest)| rest);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let shaped = bytes.len() >= 20 && bytes[10] == b'T' && digits <= 7;
    let read = shaped.then(|| DateTime::parse_from_rfc3339(word).ok())??;
    Some(read.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: [(&str, &str); 4] = [
        ("severity", "high"),
        ("status", "new"),
        ("assignedTo", "O'Neill, \"Tier 2\""),
        ("createdDateTime", "2026-01-14T09:12:03.4800001Z"),
    ];

    fn passes(text: &str) -> bool {
        let record = RECORD.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Filter::parse(text)
            .unwrap_or_else(|error| panic!("{text}: {error:?}"))
            .passes(&record.into())
    }

    #[test]
    fn comparison_selects_records() {
        assert!(passes("severity eq 'high'"));
        assert!(!passes("severity ne 'high'"));
        assert!(passes("severity in ('low', 'high')"));
        assert!(!passes("severity in ('low')"));
        assert!(
            !passes("severity eq 'extreme'"),
            "an unknown member matches nothing"
        );
        assert!(passes("classification eq null"));
        assert!(passes("classification ne 'truePositive'"));
        assert!(passes("classification in (null,'truePositive')"));
        assert!(passes("assignedTo eq 'O''Neill, \"Tier 2\"'"));
        assert!(passes("assignedTo gt 'A'"));
        assert!(
            !passes("lastUpdateDateTime ge 2026-01-01T00:00:00Z"),
            "null is in no order"
        );
    }

    #[test]
    fn times_compare_exactly() {
        assert!(passes("createdDateTime ge 2026-01-14T09:12:03.48Z"));
        assert!(passes("createdDateTime gt 2026-01-14T09:12:03.48Z"));
        assert!(passes("createdDateTime eq 2026-01-14T09:12:03.4800001Z"));
        assert!(passes(
            "createdDateTime eq 2026-01-14T10:12:03.4800001+01:00"
        ));
        assert!(passes("createdDateTime lt 2026-01-14T09:12:04Z"));
        assert!(!passes("createdDateTime le 2026-01-14T09:12:03.4800000Z"));
    }

    #[test]
    fn not_binds_closer_than_and_and_than_or() {
        assert!(passes(
            "severity eq 'high' or severity eq 'low' and status eq 'resolved'"
        ));
        assert!(!passes(
            "(severity eq 'high' or severity eq 'low') and status eq 'resolved'"
        ));
        assert!(passes("not status eq 'resolved' and severity eq 'high'"));
        assert!(!passes("not (status eq 'resolved' or severity eq 'high')"));
        assert!(passes("((severity eq 'high'))"));
    }

    #[test]
    fn invalid_filter_is_rejected_with_its_fault() {
        let cases = [
            ("", "Syntax error at position 0"),
            ("severity", "Syntax error at position 8"),
            ("severity eq", "Syntax error at position 11"),
            ("severity eq high", "Syntax error at position 12"),
            ("severity EQ 'high'", "Syntax error at position 9"),
            (
                "severity eq 'high",
                "unterminated string literal at position 12",
            ),
            ("severity eq 'high' and", "Syntax error at position 22"),
            ("(severity eq 'high'", "Syntax error at position 19"),
            ("severity eq 'high')", "Syntax error at position 18"),
            (
                "severity eq 'high' status eq 'new'",
                "Syntax error at position 19",
            ),
            ("severity in ()", "Syntax error at position 13"),
            (
                "severity eq 'a' && status eq 'b'",
                "character '&' is not valid",
            ),
            (
                "Severity eq 'high'",
                "Could not find a property named 'Severity'",
            ),
            (
                "investigationState eq 'queued'",
                "'investigationState' cannot be used",
            ),
            ("contains(title,'x')", "function 'contains' cannot be used"),
            (
                "createdDateTime ge '2026-01-14T00:00:00Z'",
                "'Edm.DateTimeOffset' and 'Edm.String'",
            ),
            (
                "severity eq 2026-01-14T00:00:00Z",
                "'Edm.String' and 'Edm.DateTimeOffset'",
            ),
            ("severity gt 'low'", "incompatible types"),
            (
                "createdDateTime ge 2026-01-14",
                "Syntax error at position 19",
            ),
            (
                "createdDateTime ge 2026-01-14T00:00:00.12345678Z",
                "Syntax error at position 19",
            ),
            (
                "createdDateTime ge 2026-01-14T00:00:00 00:00",
                "Syntax error at position 19",
            ),
        ];
        for (text, wanted) in cases {
            let error = Filter::parse(text).unwrap_err().text;
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
