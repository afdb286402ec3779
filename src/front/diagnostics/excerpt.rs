//! The line of a fault and the part of it that is marked.
//!
//! Secrets in the line are replaced. Finds places in JSON and in YAML; does not render.

use std::ops::Range;

use crate::front::diagnostics::Place;
use crate::json::document::{Span, line_and_column};

/// A line of a file, and the bytes of it to mark.
#[derive(Debug)]
pub(super) struct Excerpt {
    pub(super) line: String,
    pub(super) marked: Range<usize>,
}

/// The text that replaces a secret.
const MASK: &str = "***";

impl Excerpt {
    /// The line that contains the start of a range of bytes, without secrets.
    pub(super) fn of(text: &str, range: &Range<usize>, secrets: &[Range<usize>]) -> Self {
        let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let (mut line, mut at) = (String::new(), start);
        let mut marked = None..None;
        let mut push = |to: usize, line: &mut String, is_secret: bool| {
            for (limit, edge) in [
                (range.start, &mut marked.start),
                (range.end, &mut marked.end),
            ] {
                let inside = if is_secret {
                    0
                } else {
                    limit.saturating_sub(at)
                };
                let here = line.len() + inside;
                if edge.is_none() && (at..to).contains(&limit) {
                    *edge = Some(here);
                }
            }
            line.push_str(if is_secret { MASK } else { &text[at..to] });
            at = to;
        };
        for secret in secrets
            .iter()
            .filter(|one| one.start >= start && one.end <= end)
        {
            push(secret.start, &mut line, false);
            push(secret.end, &mut line, true);
        }
        push(end, &mut line, false);
        let line = line.trim_end_matches('\r').to_owned();
        let from = marked.start.unwrap_or(line.len()).min(line.len());
        let to = marked.end.unwrap_or(line.len()).clamp(from, line.len());
        Excerpt {
            line,
            marked: from..to,
        }
    }
}

impl Excerpt {
    /// The column of the marked part in the shown line, counted from 1.
    pub(super) fn column(&self) -> usize {
        let before = self.line.get(..self.marked.start).unwrap_or_default();
        before.chars().count() + 1
    }
}

impl Place {
    /// The place of a range of bytes. It ends with its first line.
    pub(super) fn of(text: &str, range: &Range<usize>) -> Option<Self> {
        let (line, column) = line_and_column(text, range.start)?;
        let marked = text.get(range.clone())?.lines().next().unwrap_or_default();
        Some(Place {
            line,
            column,
            end_column: column + marked.chars().count(),
        })
    }
}

/// The part of a JSON text to mark: the name if it is wrong, else the value. If the value does not
/// exist or has several lines, the name.
pub(super) fn marked(text: &str, span: Span, is_about_name: bool) -> Range<usize> {
    let value = span.value;
    let is_one_line = text
        .get(value.clone())
        .is_some_and(|text| !text.contains('\n'));
    match span.name {
        Some(name) if is_about_name || !span.exists || !is_one_line => name,
        _ if is_one_line => value,
        _ => value.start..value.start + 1,
    }
}

/// The key of an object that ends at a byte, else this character.
pub(super) fn key_or_character(text: &str, at: usize) -> Range<usize> {
    let at = text.floor_char_boundary(at.min(text.len().saturating_sub(1)));
    let length = text[at..].chars().next().map_or(0, char::len_utf8);
    let before = text[at..]
        .starts_with('"')
        .then(|| text[..at].rfind('"'))
        .flatten();
    before.unwrap_or(at)..at + length
}

/// The word of a YAML text at a line and a column.
pub(super) fn yaml_word(text: &str, (line, column): (usize, usize)) -> Option<Range<usize>> {
    let lines = text.split_inclusive('\n').take(line.checked_sub(1)?);
    let start: usize = lines.map(str::len).sum();
    let line = text[start..].split(['\n', '\r']).next()?;
    let from = line
        .char_indices()
        .nth(column - 1)
        .map_or(line.len(), |(at, _)| at);
    let word = &line[from..];
    let end = match word.chars().next() {
        Some(quote @ ('"' | '\'')) => word[1..].find(quote).map_or(word.len(), |at| at + 2),
        _ => plain_word(&line[..from], word),
    };
    Some(start + from..start + from + end)
}

/// The length of a word without quotes. A value can have spaces.
fn plain_word(before: &str, word: &str) -> usize {
    let is_value = before.ends_with(": ");
    let is_flow = before.contains(['{', '[']);
    let ends = |(at, letter): (usize, char)| match letter {
        ':' => word[at + 1..].starts_with(' ') || word.len() == at + 1,
        ',' | ']' | '}' => is_flow || !is_value,
        '|' => !is_value,
        letter => letter.is_whitespace() && !is_value,
    };
    let end = word.char_indices().find(|one| ends(*one));
    let word = &word[..end.map_or(word.len(), |(at, _)| at)];
    word.trim_end().len()
}

/// The byte at a line and a byte column, both counted from 1.
pub(super) fn byte_at(text: &str, (line, column): (usize, usize)) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    let start: usize = lines.map(str::len).sum();
    (start + column.saturating_sub(1)).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_marks_the_range_after_masked_secrets() {
        let text = "{\n \"s\": \"hidden\", \"Cloud\": \"gc\"\n}";
        let (hidden, cloud) = (text.find("hidden").unwrap(), text.find("\"gc\"").unwrap());
        let secrets: Vec<Range<usize>> = std::iter::once(hidden..hidden + 6).collect();
        let excerpt = Excerpt::of(text, &(cloud..cloud + 4), &secrets);
        assert_eq!(excerpt.line, " \"s\": \"***\", \"Cloud\": \"gc\"");
        assert_eq!(&excerpt.line[excerpt.marked], "\"gc\"");
        let excerpt = Excerpt::of(text, &(hidden - 1..hidden + 7), &secrets);
        assert_eq!(&excerpt.line[excerpt.marked], "\"***\"");
        let place = Place::of(text, &(cloud..cloud + 4)).expect("a place");
        assert_eq!((place.line, place.column, place.end_column), (2, 26, 30));
    }

    #[test]
    fn yaml_word_ends_before_a_colon_and_after_a_quote() {
        let text = "a:\n  Op|contains: x\n  'b c': 1\n  span: 10 minutes \n";
        let word = |line, column| yaml_word(text, (line, column)).map(|at| &text[at]);
        assert_eq!(word(2, 6), Some("contains"));
        assert_eq!(word(2, 3), Some("Op"));
        assert_eq!(word(3, 3), Some("'b c'"));
        assert_eq!(word(4, 9), Some("10 minutes"));
    }
}
