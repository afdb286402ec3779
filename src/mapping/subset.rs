//! Parses the most frequent paths of mappings without the full grammar: names, indexes, wildcards.
//!
//! Rejects no path: `path` parses all others.

use super::syntax::{Query, Segment, Selector};

/// Parses names, indexes and wildcards. `None`: the text needs the full grammar.
pub(crate) fn common(text: &str) -> Option<Query> {
    let (mut rest, mut segments) = (text, Vec::new());
    while !rest.is_empty() {
        let deep = rest.starts_with("..");
        let (selector, after) = match rest.strip_prefix("..").unwrap_or(rest) {
            bracket if bracket.starts_with('[') => bracketed(&bracket[1..])?,
            name if deep => shorthand(name)?,
            name => shorthand(name.strip_prefix('.')?)?,
        };
        let selectors = vec![selector];
        segments.push(Segment { deep, selectors });
        rest = after;
    }
    Some(Query(segments))
}

fn shorthand(text: &str) -> Option<(Selector, &str)> {
    if let Some(after) = text.strip_prefix('*') {
        return Some((Selector::Wildcard, after));
    }
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    let end = text.find(|c| !named(c)).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    (!name.is_empty() && !digit).then(|| (Selector::Name(name.to_owned()), after))
}

fn bracketed(text: &str) -> Option<(Selector, &str)> {
    if let Some(after) = text.strip_prefix("*]") {
        return Some((Selector::Wildcard, after));
    }
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (name, after) = text[1..].split_once(quote)?;
        let plain = !name.contains(|c: char| c == '\\' || c < ' ');
        let selector = plain.then(|| Selector::Name(name.to_owned()))?;
        return Some((selector, after.strip_prefix(']')?));
    }
    let (digits, after) = text.split_once(']')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = canonical && digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit());
    let index = plain.then(|| digits.parse().ok()).flatten()?;
    Some((Selector::Index(index), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_the_common_subset_is_recognized() {
        for text in [
            "",
            ".a",
            "..a[*]",
            "['a-b']..*",
            "[0]",
            "..[12]['é']",
            ".é_1[\"'\"]",
        ] {
            assert!(common(text).is_some(), "{text}");
        }
        for text in [
            ".", "a", ".1", "[01]", "[-1]", "['a", "['\\n']", ".a b", "[ 0]", "..", "[0,1]",
        ] {
            assert!(common(text).is_none(), "{text}");
        }
    }
}
