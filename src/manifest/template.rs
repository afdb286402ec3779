//! Texts with placeholders: `{name}` stands for a value.
//!
//! Finds and fills placeholders. Which names a text can use is decided by its caller.

/// The names of the placeholders, in order.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let after_braces = text.split('{').skip(1);
    after_braces.filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// The text with each placeholder replaced by its value. A placeholder without a value stays.
pub fn fill<E>(
    text: &str,
    mut value: impl FnMut(&str) -> Result<Option<String>, E>,
) -> Result<String, E> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        match value(name)? {
            Some(value) => filled.push_str(&value),
            None => filled.extend(["{", name, "}"]),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
