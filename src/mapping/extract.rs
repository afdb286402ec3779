//! Values at several absolute paths of one document, for indicators and context.
//!
//! Returns JSON texts and does not change them.

use super::definition::{place, refusal};
use super::path::FieldPath;
use super::plan::{Found, Plan};
use crate::json::Document;
use crate::protocol::{ErrorKind, Failure};

/// Named absolute paths, compiled.
#[derive(Debug)]
pub struct Extractor {
    names: Vec<String>,
    plan: Plan,
}

/// The values of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted<'a> {
    /// The name of the path.
    pub name: &'a str,
    /// The values as JSON texts, in the order of RFC 9535.
    pub values: Vec<&'a str>,
}

impl Extractor {
    /// Compiles paths such as `$.value[*].id`, each with its name. The place of a fault is `origin`
    /// and the name.
    pub fn compile<'p>(
        paths: impl IntoIterator<Item = (&'p str, &'p str)>,
        origin: &str,
    ) -> Result<Self, Failure> {
        let (mut names, mut read, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for (name, text) in paths {
            let at = || {
                place(
                    origin,
                    &format!("/{}", name.replace('~', "~0").replace('/', "~1")),
                )
            };
            names.push(name.to_owned());
            match FieldPath::parse(text) {
                _ if !text.starts_with('$') => {
                    faults.push(refusal(super::compile::relative(text), at()));
                }
                Ok(path) => read.push(path),
                Err(why) => faults.push(refusal(super::compile::not_a_path(text, &why), at())),
            }
        }
        let plan = Plan::new(read.iter().map(FieldPath::query));
        Failure::join(faults).map_or(Ok(Extractor { names, plan }), Err)
    }

    /// The values of all paths in a document. A path without a match has no values.
    pub fn run<'a>(&'a self, document: &'a Document) -> Result<Vec<Extracted<'a>>, Failure> {
        let mut found = Found::default();
        let text = document.text();
        self.plan.run(text, 0, &mut found).map_err(|_| too_much())?;
        let names = self.names.iter().enumerate();
        Ok(names
            .map(|(slot, name)| Extracted {
                name,
                values: found.values(slot, text).collect(),
            })
            .collect())
    }
}

/// The failure of a query that visits too many nodes.
pub(crate) fn too_much() -> Failure {
    Failure::new(
        ErrorKind::InvalidMapping,
        "The absolute paths exceed the work limit in the raw document.",
    )
    .advice("Use fewer `..` and filters inside filters.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_values_unchanged() {
        let paths = [
            ("Ids", "$.value[*].id"),
            ("None", "$.x"),
            ("Odd", "$.value[?@.id > 1].id"),
        ];
        let extractor = Extractor::compile(paths, "/key_fields").expect("compiles");
        let document =
            Document::parse(r#"{"value":[{"id":1.0},{"id":"a"},{"id":18446744073709551616}]}"#);
        let document = document.expect("JSON");
        let found = extractor.run(&document).expect("within the budget");
        assert_eq!(found[0].values, ["1.0", r#""a""#, "18446744073709551616"]);
        assert!(found[1].values.is_empty());
        assert_eq!(found[2].values, ["18446744073709551616"]);
    }

    #[test]
    fn relative_path_is_refused_at_its_place() {
        let failure = Extractor::compile([("a/b", ".x")], "f.json").expect_err("relative");
        assert_eq!(failure.place(), Some("f.json:/a~1b"));
    }
}
