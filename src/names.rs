//! Names as people write them: folding, and "did you mean …?".
//!
//! Only names that authors type fold (commands, parameters, inputs). The envelope's own keys do
//! not: for them there is only the nearest name, offered in the refusal.

/// A name as it is compared: ASCII lower case, letters and digits only.
///
/// `Fetch Event`, `fetch_event` and `fetchEvent` fold alike. Letters beyond ASCII are kept as they
/// are, so that two different names never fold alike by losing them.
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    folded.extend(letters(name));
    folded
}

/// Do two names fold alike? Every start compares hundreds of them, so none is made for it.
pub fn alike(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .map(|c| c.to_ascii_lowercase())
}

/// The known name nearest to `given`, if one is near enough to be what was meant.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(given);
    let likeness = |name: &str| {
        let name = fold(name);
        // A name that begins alike is meant rather than one that ends alike: the verb comes first.
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

/// A sentence that offers the nearest name, or lists what is known when none is near.
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
    fn spellings_of_one_name_fold_alike() {
        for spelling in ["Fetch Event", "fetch_event", "fetchEvent", "FETCH-EVENT"] {
            assert_eq!(fold(spelling), "fetchevent");
        }
        assert_ne!(fold("Größe"), fold("Gre"));
    }

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
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
