//! `map`: applies a mapping to saved raw data of any size, offline, and explains the events.
//!
//! Reads the input in pieces and writes each event as soon as it is mapped: memory does not depend on
//! the size of the input, and a slow reader slows the reading. Needs no request and no connection.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use crate::front::cli::explain::Explainer;
use crate::front::cli::out::Out;
use crate::front::cli::progress::Progress;
use crate::front::cli::settings::SettingsArgs;
use crate::front::cli::standard::Standard;
use crate::front::cli::{CliError, ExitResult, stdin};
use crate::front::counted;
use crate::host::catalog::Catalog;
use crate::mapping::{Definition, Interruption, Mapping, Streamed, Summary};
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::strict_object;

/// The help after the flags of `map`.
pub(super) const HINT: &str = "\
FILE is a saved response, an array of records, a result (its `raw_data`), or records one per line, of
any size. Prints one event per line. Exit codes: 0 all records mapped, 2 the mapping or the input is
invalid, 3 some records or the end of the input could not be read.";

/// The maximum number of faulty records that are listed.
const LISTED: usize = 20;

/// Arguments of `map`.
#[derive(Args, Debug)]
pub(super) struct MapArgs {
    /// The name of a mapping, or a mapping file
    #[arg(required_unless_present = "standard")]
    pub(super) mapping: Option<String>,
    /// The raw data, a result that holds it, or records one per line [default: stdin]
    pub(super) file: Option<PathBuf>,
    /// Instead of MAPPING: print alerts or audit records as nested events of OCSF 1.5.0 (`ocsf`) or ECS
    /// 8.11 (`ecs`)
    #[arg(long = "as", value_name = "VOCABULARY", hide_possible_values = true)]
    pub(super) standard: Option<Standard>,
    /// Print one JSON document with events, warnings and the number of matches per field
    #[arg(long)]
    pub(super) json: bool,
    /// Show the source, the nodes of each path, the value after each step, and the nearest name
    #[arg(long)]
    pub(super) explain: bool,
}

/// Prints one event per line, one document with `--json`, or explanations.
pub(super) fn map(
    args: &MapArgs,
    settings: &SettingsArgs,
    catalog: &Catalog,
    out: &mut Out,
) -> ExitResult {
    let (name, source) = input(args)?;
    let mapping = Mapping::compile(definition(&name, catalog)?, &name)?;
    let progress = Progress::beside(out, settings, "Mapping");
    let out = RefCell::new(out);
    let input = Input {
        source,
        out: &out,
        unwritable: &Cell::default(),
    };
    let unwritable = input.unwritable;
    let mut printer = Printer {
        args,
        mapping: &mapping,
        out: &out,
        explainer: Explainer::default(),
        events: 0,
        faults: 0,
    };
    let (summary, ended) = mapping.stream(input, &mut |record| {
        printer.record(&record)?;
        progress.set(printer.records(), "records");
        Ok(())
    });
    drop(progress);
    if let Some(error) = unwritable.take() {
        return Err(error.into());
    }
    match ended {
        Ok(()) => printer.finish(&summary, None),
        Err(Interruption::Receiver(error)) => Err(error.into()),
        Err(Interruption::Input(failure)) => printer.finish(&summary, Some(failure)),
    }
}

/// The name of the mapping, and the raw data. With `--as` the only name is that of the file.
fn input(args: &MapArgs) -> Result<(String, Box<dyn Read>), Failure> {
    let mapping = args.mapping.clone().unwrap_or_default();
    match args.standard {
        None => Ok((mapping, open(args.file.as_deref())?)),
        Some(_) if args.file.is_some() => {
            let message = format!("`--as` and the mapping \"{mapping}\" cannot be used together.");
            Err(Failure::invalid_input("--as", message).advice("Remove one of them."))
        }
        Some(standard) => standard.mapping_for(open(args.mapping.as_deref().map(Path::new))?),
    }
}

/// A mapping of the catalog, or a file.
pub(super) fn definition(name: &str, catalog: &Catalog) -> Result<Definition, Failure> {
    let file = Path::new(name);
    if !file.is_file() {
        let is_here = Path::new("mappings").join(format!("{name}.json")).is_file();
        let advice = if is_here {
            "The current folder has this mapping: add `--catalog .`."
        } else {
            "Use the name of a mapping of the catalog, or the path of a file."
        };
        return catalog
            .mapping(name)
            .map_err(|failure| failure.advice(advice));
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(
            ErrorKind::InvalidMapping,
            format!("{name} cannot be read: {error}."),
        )
    })?;
    let object = strict_object(&text).ok();
    if object
        .is_some_and(|object| !object.contains_key("mapping") && !object.contains_key("sources"))
    {
        let message = format!("{name} is not a mapping: it has neither `mapping` nor `sources`.");
        return Err(Failure::new(ErrorKind::InvalidMapping, message).advice(
            "Name the mapping before the raw data: `soarhost map MAPPING FILE`, or `soarhost map --as ocsf FILE`.",
        ));
    }
    Definition::parse(&text, name)
}

/// Opens a file or stdin.
pub(super) fn open(file: Option<&Path>) -> Result<Box<dyn Read>, Failure> {
    let Some(path) = file else {
        return Ok(Box::new(stdin().lock()));
    };
    let opened = File::open(path).map_err(|error| {
        let message = format!(
            "The raw data from {} cannot be read: {error}.",
            path.display()
        );
        Failure::new(ErrorKind::BadResponse, message)
    })?;
    Ok(Box::new(opened))
}

/// The input. Before it waits for more, it writes the events that were mapped.
struct Input<'a, 'o> {
    source: Box<dyn Read>,
    out: &'a RefCell<&'o mut Out>,
    /// The error if stdout could not be written.
    unwritable: &'a Cell<Option<io::Error>>,
}

impl Read for Input<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Err(error) = self.out.borrow_mut().flush() {
            self.unwritable.set(Some(error));
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.source.read(buffer)
    }
}

/// Prints records as they are mapped.
struct Printer<'a, 'o> {
    args: &'a MapArgs,
    mapping: &'a Mapping,
    out: &'a RefCell<&'o mut Out>,
    explainer: Explainer,
    events: u64,
    faults: u64,
}

impl Printer<'_, '_> {
    fn records(&self) -> u64 {
        self.events + self.faults
    }

    fn record(&mut self, record: &Streamed<'_>) -> io::Result<()> {
        let mut out = self.out.borrow_mut();
        match &record.event {
            Err(message) => {
                self.faults += 1;
                if self.faults <= LISTED as u64 {
                    tracing::error!("{message}");
                }
            }
            Ok(event) => {
                self.events += 1;
                if self.args.json {
                    let before = if self.events == 1 {
                        "{\"events\":["
                    } else {
                        ","
                    };
                    out.write_all(before.as_bytes())?;
                    serde_json::to_writer(&mut **out, event)?;
                } else if !self.args.explain {
                    match self.args.standard {
                        Some(_) => serde_json::to_writer(&mut **out, &event.fields)?,
                        None => serde_json::to_writer(&mut **out, event)?,
                    }
                    out.write_all(b"\n")?;
                }
            }
        }
        if !self.args.explain {
            return Ok(());
        }
        let explanation = self.mapping.explain(record);
        match explanation {
            Some(explanation) if self.args.json => self.explainer.hold(&explanation),
            Some(explanation) => out.write_all(
                self.explainer
                    .text(&explanation, self.events > 1)
                    .as_bytes(),
            ),
            None => Ok(()),
        }
    }

    fn finish(self, summary: &Summary, failure: Option<Failure>) -> ExitResult {
        let mut out = self.out.borrow_mut();
        if self.events == 0
            && let Some(failure) = failure
        {
            return Err(CliError::Failure(failure));
        }
        if self.args.json {
            if self.events == 0 {
                out.write_all(b"{\"events\":[")?;
            }
            write!(out, "],\"warnings\":")?;
            serde_json::to_writer(&mut **out, &summary.warnings).map_err(io::Error::from)?;
            write!(out, ",\"fields\":{}", self.fields(summary))?;
            if self.args.explain {
                self.explainer.write(&mut **out)?;
            }
            out.write_all(b"}\n")?;
        } else {
            if self.args.explain {
                out.write_all(self.explainer.never_matched(self.events).as_bytes())?;
            }
            for warning in &summary.warnings {
                tracing::warn!("{}: {}", warning.code, warning.message);
            }
        }
        if self.faults > LISTED as u64 {
            let more = counted(self.faults - LISTED as u64, "further record");
            tracing::error!("{more} could not be mapped.");
        }
        if self.records() == 0 && failure.is_none() {
            tracing::warn!("The input has no records.");
        }
        if let Some(failure) = &failure {
            let message = failure.message();
            let events = counted(self.events, "event");
            tracing::error!("{message} Mapped before: {events}.");
        }
        Ok(if self.faults > 0 || failure.is_some() {
            3
        } else {
            0
        })
    }

    /// In how many events each field matched.
    fn fields(&self, summary: &Summary) -> Value {
        let names = self.mapping.fields().into_iter();
        let fields: Map<String, Value> = names
            .map(|name| {
                let matched = summary.matched.get(name).copied().unwrap_or_default();
                let counts = json!({ "matched": matched, "of": self.events });
                (name.to_owned(), counts)
            })
            .collect();
        Value::Object(fields)
    }
}
