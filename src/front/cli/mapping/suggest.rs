//! `mapping suggest`: fields for the paths of a sample that no field of a mapping selects.
//!
//! Prints lines for a mapping file. `mapping::suggest` finds the paths and the names.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::front::cli::ExitResult;
use crate::front::cli::map::{definition, open};
use crate::front::cli::out::Out;
use crate::front::counted;
use crate::host::catalog::Catalog;
use crate::mapping::{Definition, Interruption, Mapping, Source, Suggester, Suggestion};
use crate::protocol::failure::{ErrorKind, Failure};

/// Arguments of `mapping suggest`.
#[derive(Args, Debug)]
pub(in crate::front::cli) struct SuggestArgs {
    /// Saved raw data, a result, or records one per line
    sample: PathBuf,
    /// Omit paths that a field of this mapping selects: the name of a mapping, or a mapping file
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the suggestions.
pub(super) fn suggest(args: &SuggestArgs, catalog: &Catalog, out: &mut Out) -> ExitResult {
    let mut sample = Vec::new();
    let read = open(Some(&args.sample))?.read_to_end(&mut sample);
    read.map_err(|error| {
        let message = format!("{} cannot be read: {error}.", args.sample.display());
        Failure::new(ErrorKind::BadResponse, message)
    })?;
    let names = catalog.mapping_names();
    let others: Result<Vec<Definition>, Failure> =
        names.map(|name| catalog.mapping(name)).collect();
    let others = others?;
    let candidates = match &args.mapping {
        Some(name) => vec![definition(name, catalog)?],
        None => roots(&others).into_iter().map(without_fields).collect(),
    };
    let mut refused = None;
    for definition in candidates {
        let mapping = Mapping::compile(definition, args.mapping.as_deref().unwrap_or("sample"))?;
        let mut suggester = Suggester::new(&mapping, catalog.vocabulary()?, &others);
        let (_, ended) = mapping.stream(&sample[..], &mut |record| {
            suggester.add(&record);
            Ok(())
        });
        let records = suggester.records();
        match ended {
            Err(Interruption::Receiver(error)) => return Err(error.into()),
            Err(Interruption::Input(failure)) if records == 0 => {
                refused = Some(failure);
                continue;
            }
            Err(Interruption::Input(failure)) => tracing::error!("{}", failure.message()),
            Ok(()) => {}
        }
        let suggestions = suggester.finish();
        let text = if args.json {
            let suggestions = serde_json::to_string(&suggestions).map_err(io::Error::from)?;
            format!("{{\"suggestions\":{suggestions}}}\n")
        } else {
            text(&suggestions, records)
        };
        out.write_all(text.as_bytes())?;
        return Ok(0);
    }
    let none = || Failure::new(ErrorKind::BadResponse, "The sample has no records.");
    Err(refused.unwrap_or_else(none).into())
}

/// The roots of the mappings of a catalog; the whole document is the last one.
fn roots(others: &[Definition]) -> Vec<String> {
    let named = others.iter().map(|other| other.root.clone());
    let roots: BTreeSet<String> = named.filter(|root| root.starts_with("$.")).collect();
    roots.into_iter().chain(["$".to_owned()]).collect()
}

fn without_fields(root: String) -> Definition {
    let source = Source {
        id: "sample".to_owned(),
        ..Source::default()
    };
    Definition {
        mapping: 1,
        root,
        sources: vec![source],
        ..Definition::default()
    }
}

/// A table of the paths, and the lines for a mapping file.
fn text(suggestions: &[Suggestion], records: usize) -> String {
    let records = counted(records as u64, "record");
    let paths = counted(suggestions.len() as u64, "path");
    let have = if suggestions.len() == 1 {
        "has"
    } else {
        "have"
    };
    if suggestions.is_empty() {
        return format!("Each path of {records} has a field.\n");
    }
    let mut text = format!("{paths} of {records} {have} no field:\n\n");
    let width = suggestions.iter().map(|one| one.path.chars().count());
    let width = width.max().unwrap_or_default().max(4);
    let _ = writeln!(text, "  {:width$}  Records  Example", "Path");
    for one in suggestions {
        let _ = writeln!(
            text,
            "  {:width$}  {:<7}  {}",
            one.path, one.count, one.example
        );
    }
    text.push_str("\nFields for the mapping:\n\n");
    for (n, one) in suggestions.iter().enumerate() {
        let comma = if n + 1 < suggestions.len() { "," } else { "" };
        let _ = writeln!(text, "      {}{comma}", line(one));
    }
    text
}

/// A field as in a mapping file.
fn line(one: &Suggestion) -> String {
    let mut line = format!("{{ \"field\": {}", Value::from(&*one.field));
    if one.custom {
        line.push_str(", \"custom\": true");
    }
    let _ = write!(line, ", \"path\": {}", Value::from(&*one.path));
    if let Some(kind) = one.kind {
        let _ = write!(line, ", \"type\": {}", json!(kind));
    }
    line + " }"
}
