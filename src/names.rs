//! Compares names as people write them, and suggests the most similar one.
//!
//! Commands, parameters and inputs are compared folded. Keys of the envelope must match exactly.

/// Folds a name: letters and digits only, ASCII letters in lower case.
///
/// `Fetch Event`, `fetch_event` and `fetchEvent` are equal when folded. Other letters are
/// unchanged, so that names that differ in them stay different.
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    folded.extend(letters(name));
    folded
}

/// Are two names equal when folded? Each start compares hundreds of names, so no string is
/// allocated.
pub fn alike(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .map(|c| c.to_ascii_lowercase())
}

/// The known name that is most similar to `given`, if it is similar enough to be a typing error.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(given);
    let likeness = |name: &str| {
        let name = fold(name);
        // Equal starts count more: names of commands start with the verb.
        let begin = folded.bytes().zip(name.bytes()).take(4);
        let alike = begin.take_while(|(a, b)| a == b).count() == 4;
        strsim::jaro_winkler(&folded, &name) + if alike { 0.1 } else { 0.0 }
    };
    known
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= 0.78)
        .fold(None, |best: Option<(f64, &str)>, next| match best {
            Some(kept) if kept.0 >= next.0 => Some(kept),
            _ => Some(next),
        })
        .map(|(_, name)| name)
}

/// A sentence that suggests the most similar name, or lists all names if none is similar.
pub fn suggestion<'a>(given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(given, known.clone()) {
        return format!("Did you mean \"{name}\"?");
    }
    let all: Vec<&str> = known.into_iter().collect();
    match all.as_slice() {
        [] => "None are defined.".to_owned(),
        names => format!("Known: {}.", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_name_are_equal_when_folded() {
        for spelling in ["Fetch Event", "fetch_event", "fetchEvent", "FETCH-EVENT"] {
            assert_eq!(fold(spelling), "fetchevent");
        }
        assert_ne!(fold("Größe"), fold("Gre"));
    }

    #[test]
    fn similar_name_is_suggested() {
        let known = [
            "timeout_ms",
            "max_events",
            "include",
            "dry_run",
            "state_key",
        ];
        assert_eq!(nearest("dry-run", known), Some("dry_run"));
        assert_eq!(nearest("timeout", known), Some("timeout_ms"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(suggestion("zzz", ["a", "b"]), "Known: a, b.");
    }
}
