//! JSON Pointers (RFC 6901): escapes names and shows pointers to people.
//!
//! Does not look up values.

/// A JSON Pointer as messages show it: `sources[0].fields[2].path`.
pub fn name_of(pointer: &str) -> String {
    let mut name = String::new();
    for step in pointer.split('/').skip(1) {
        let step = unescape(step);
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            name = format!("{name}[{step}]");
        } else if name.is_empty() {
            name = step;
        } else {
            name = format!("{name}.{step}");
        }
    }
    name
}

/// The name of a step of a JSON Pointer.
pub(crate) fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// Escapes a name as a step of a JSON Pointer.
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
