//! `$filter` of alerts: lexer, parser and evaluation. It supports the eight documented properties,
//! `and`, `or`, `not`, parentheses, the six comparisons, `in (…)` and `null`. Functions
//! (`contains`, …) and order comparisons of enumerations are rejected, because they are not
//! documented for alerts.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use crate::sim::data::alerts::properties;
use crate::sim::graph::{Refused, refused};

/// The values of a record.
pub(crate) trait Fields {
    /// The value of a property; `None` is null.
    fn field(&self, property: Property) -> Option<Literal>;
}

/// A property that can be filtered, with its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Property {
    /// Text.
    Text(&'static str),
    /// An enumeration; its members are written as quoted text.
    Enum(&'static str),
    /// A time, written without quotes.
    Time(&'static str),
}

const PROPERTIES: [Property; 8] = [
    Property::Text("assignedTo"),
    Property::Enum("classification"),
    Property::Enum("determination"),
    Property::Time("createdDateTime"),
    Property::Time("lastUpdateDateTime"),
    Property::Enum("severity"),
    Property::Enum("serviceSource"),
    Property::Enum("status"),
];

impl Property {
    /// The name of the property.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Enum(name) | Self::Time(name) => name,
        }
    }

    fn type_name(self) -> &'static str {
        match self {
            Self::Text(_) | Self::Enum(_) => "Edm.String",
            Self::Time(_) => "Edm.DateTimeOffset",
        }
    }
}

/// A constant of a filter, or a value of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// Text.
    Text(String),
    /// A time.
    Time(DateTime<Utc>),
}

impl Literal {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "Edm.String",
            Self::Time(_) => "Edm.DateTimeOffset",
        }
    }
}

/// A parsed filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Both filters.
    And(Box<Self>, Box<Self>),
    /// One of the filters.
    Or(Box<Self>, Box<Self>),
    /// Not the filter.
    Not(Box<Self>),
    /// A property compared with a constant; `None` is null.
    Compare(Property, Operator, Option<Literal>),
    /// A property is one of the constants.
    In(Property, Vec<Option<Literal>>),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
}

impl Operator {
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "gt" => Self::Gt,
            "ge" => Self::Ge,
            "lt" => Self::Lt,
            "le" => Self::Le,
            _ => return None,
        })
    }

    /// The name in error messages of the service.
    fn kind(self) -> &'static str {
        match self {
            Self::Eq => "Equal",
            Self::Ne => "NotEqual",
            Self::Gt => "GreaterThan",
            Self::Ge => "GreaterThanOrEqual",
            Self::Lt => "LessThan",
            Self::Le => "LessThanOrEqual",
        }
    }

    fn orders(self) -> bool {
        !matches!(self, Self::Eq | Self::Ne)
    }

    /// Evaluates the comparison. Null equals null and has no order.
    fn holds(self, left: Option<&Literal>, right: Option<&Literal>) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Gt => order(left, right) == Some(Ordering::Greater),
            Self::Ge => order(left, right).is_some_and(Ordering::is_ge),
            Self::Lt => order(left, right) == Some(Ordering::Less),
            Self::Le => order(left, right).is_some_and(Ordering::is_le),
        }
    }
}

fn order(left: Option<&Literal>, right: Option<&Literal>) -> Option<Ordering> {
    match (left?, right?) {
        (Literal::Text(left), Literal::Text(right)) => Some(left.cmp(right)),
        (Literal::Time(left), Literal::Time(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

impl Filter {
    /// Parses a filter.
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

    /// Whether a record passes the filter.
    pub(crate) fn passes(&self, record: &impl Fields) -> bool {
        match self {
            Self::And(left, right) => left.passes(record) && right.passes(record),
            Self::Or(left, right) => left.passes(record) || right.passes(record),
            Self::Not(inner) => !inner.passes(record),
            Self::Compare(property, operator, value) => {
                operator.holds(record.field(*property).as_ref(), value.as_ref())
            }
            Self::In(property, values) => values.contains(&record.field(*property)),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Text(String),
    Word(String),
}

/// Tokens with the positions of their first characters.
fn lex(text: &str) -> Result<Vec<(usize, Token)>, Refused> {
    let mut tokens = vec![];
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let (length, token) = match first {
            ' ' | '\t' => (1, None),
            '(' => (1, Some(Token::Open)),
            ')' => (1, Some(Token::Close)),
            ',' => (1, Some(Token::Comma)),
            '\'' => quoted(text, at).map(|(length, inner)| (length, Some(Token::Text(inner))))?,
            _ => word(text, at).map(|word| (word.len(), Some(Token::Word(word.to_owned()))))?,
        };
        tokens.extend(token.map(|token| (at, token)));
        at += length;
    }
    Ok(tokens)
}

/// Length and content of the quoted text at a position; a doubled quote is one quote.
fn quoted(text: &str, at: usize) -> Result<(usize, String), Refused> {
    let mut inner = String::new();
    let mut rest = text[at + 1..].char_indices().peekable();
    while let Some((offset, message)) = rest.next() {
        if message != '\'' {
            inner.push(message);
        } else if rest.next_if(|(_, next)| *next == '\'').is_some() {
            inner.push('\'');
        } else {
            return Ok((offset + 2, inner));
        }
    }
    Err(refused("filter_string", &[&at.to_string(), text]))
}

fn word(text: &str, at: usize) -> Result<&str, Refused> {
    let part = |message: char| message.is_alphanumeric() || "_@$./:+-".contains(message);
    let rest = &text[at..];
    let end = rest.find(|message| !part(message)).unwrap_or(rest.len());
    if end == 0 {
        let message = rest.chars().next().unwrap_or_default();
        let place = [&message.to_string(), &at.to_string(), text];
        return Err(refused("filter_character", &place));
    }
    Ok(&rest[..end])
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek()?.clone();
        self.at += 1;
        Some(token)
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word == wanted);
        self.at += usize::from(found);
        found
    }

    fn takes(&mut self, wanted: &Token) -> Result<(), Refused> {
        if self.peek() != Some(wanted) {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    fn syntax(&self) -> Refused {
        let at = self
            .tokens
            .get(self.at)
            .map_or(self.text.len(), |(at, _)| *at);
        refused("filter_syntax", &[&at.to_string(), self.text])
    }

    fn either(&mut self) -> Result<Filter, Refused> {
        let mut left = self.both()?;
        while self.takes_word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, Refused> {
        let mut left = self.negated()?;
        while self.takes_word("and") {
            left = Filter::And(Box::new(left), Box::new(self.negated()?));
        }
        Ok(left)
    }

    fn negated(&mut self) -> Result<Filter, Refused> {
        if self.takes_word("not") {
            return Ok(Filter::Not(Box::new(self.negated()?)));
        }
        if self.peek() != Some(&Token::Open) {
            return self.comparison();
        }
        self.at += 1;
        let inner = self.either()?;
        self.takes(&Token::Close)?;
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Filter, Refused> {
        let property = self.property()?;
        if self.takes_word("in") {
            return self.listed(property);
        }
        let operator = match self.peek() {
            Some(Token::Word(word)) => Operator::named(word),
            _ => None,
        };
        let operator = operator.ok_or_else(|| self.syntax())?;
        self.at += 1;
        let value = self.value(property, operator)?;
        if operator.orders() && matches!(property, Property::Enum(_)) {
            let kind = operator.kind();
            let types = ["microsoft.graph.security", property.name(), kind];
            return Err(refused("filter_types", &types));
        }
        Ok(Filter::Compare(property, operator, value))
    }

    fn listed(&mut self, property: Property) -> Result<Filter, Refused> {
        self.takes(&Token::Open)?;
        let mut values = vec![self.value(property, Operator::Eq)?];
        while self.peek() == Some(&Token::Comma) {
            self.at += 1;
            values.push(self.value(property, Operator::Eq)?);
        }
        self.takes(&Token::Close)?;
        Ok(Filter::In(property, values))
    }

    fn property(&mut self) -> Result<Property, Refused> {
        let wrong = self.syntax();
        let Some(Token::Word(word)) = self.next() else {
            return Err(wrong);
        };
        if self.peek() == Some(&Token::Open) {
            return Err(refused("filter_function", &[&word]));
        }
        let found = PROPERTIES
            .into_iter()
            .find(|property| property.name() == word);
        let known = properties().contains(&word);
        let id = if known {
            "filter_property"
        } else {
            "filter_unknown"
        };
        found.ok_or_else(|| refused(id, &[&word]))
    }

    fn value(
        &mut self,
        property: Property,
        operator: Operator,
    ) -> Result<Option<Literal>, Refused> {
        let wrong = self.syntax();
        let literal = match self.next() {
            Some(Token::Text(text)) => Literal::Text(text),
            Some(Token::Word(word)) if word == "null" => return Ok(None),
            Some(Token::Word(word)) => Literal::Time(parse_time(&word).ok_or(wrong)?),
            _ => return Err(wrong),
        };
        if literal.type_name() != property.type_name() {
            let (left, right) = (property.type_name(), literal.type_name());
            return Err(refused("filter_types", &[left, right, operator.kind()]));
        }
        Ok(Some(literal))
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

    struct Record(&'static [(&'static str, &'static str)]);

    impl Fields for Record {
        fn field(&self, property: Property) -> Option<Literal> {
            let (_, text) = self.0.iter().find(|(name, _)| *name == property.name())?;
            Some(match property {
                Property::Time(_) => Literal::Time(parse_time(text)?),
                _ => Literal::Text((*text).to_owned()),
            })
        }
    }

    const RECORD: Record = Record(&[
        ("severity", "high"),
        ("status", "new"),
        ("assignedTo", "O'Neill, \"Tier 2\""),
        ("createdDateTime", "2026-01-14T09:12:03.4800001Z"),
    ]);

    fn passes(text: &str) -> bool {
        Filter::parse(text)
            .unwrap_or_else(|error| panic!("{text}: {error:?}"))
            .passes(&RECORD)
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
