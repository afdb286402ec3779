//! `mapping test`: maps the samples of a folder and compares the events with their snapshots.
//!
//! With `--update` it writes the snapshots instead. It does not check the mappings: `validate` does.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use similar::TextDiff;

use super::junit;
use super::report::{Coverage, Outcome, Report, Tested, number};
use super::samples::{Folder, Sample, name, read};
use crate::front::cli::ExitResult;
use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::front::cli::progress::Progress;
use crate::front::cli::settings::{SettingsArgs, text_variable};
use crate::front::cli::style::Style;
use crate::front::counted;
use crate::host::catalog::Catalog;
use crate::mapping::Mapping;
use crate::mapping::sample::{FieldCoverage, page_of, snapshot};
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::redact::escape_control_characters;

const HINT: &str = "\
DIR holds saved answers of a service in samples/MAPPING/NAME.json and the events they must give in
snapshots/MAPPING/NAME.snap; MAPPING is the name of a mapping, such as acme/alert. It can be a catalog
too: then its own mappings/MAPPING.json are tested. `--update` writes the snapshots. Read them, and
commit them with the samples.

Exit codes: 0 all passed; 1 a sample failed, or a snapshot has no sample; 2 invalid arguments.";

/// Arguments of `mapping test`.
#[derive(Args, Debug)]
#[command(after_help = HINT)]
pub(in crate::front::cli) struct TestArgs {
    /// The folder with samples and snapshots
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Write the snapshots that are missing or differ, and delete those without a sample. Refused if the
    /// environment variable CI is set
    #[arg(long)]
    update: bool,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tests the samples of a folder.
pub(super) fn test(
    args: &TestArgs,
    settings: &SettingsArgs,
    in_use: &Catalog,
    out: &mut Out,
) -> ExitResult {
    if args.update && text_variable("CI").is_some() {
        let message = "`--update` is refused because the environment variable CI is set: a build must \
                       not accept its own results.";
        return Err(Failure::invalid_input("--update", message)
            .advice("Update the snapshots on your machine, read them, and commit them.")
            .into());
    }
    let own = args.folder.join("mappings").is_dir();
    let own = own.then(|| Catalog::read(&args.folder)).transpose()?;
    let own = own.map(|(catalog, _)| catalog);
    let catalog = own.as_ref().unwrap_or(in_use);
    let folder = Folder::of(&args.folder);
    let mappings: Vec<&str> = catalog.mapping_names().collect();
    let samples = folder.samples(|name| mappings.contains(&name))?;
    if samples.is_empty() {
        let folder = args.folder.display();
        let message = format!("The folder {folder} has no samples of mappings.");
        let advice = "Save answers of the service as samples/MAPPING/NAME.json, where MAPPING is the name \
                      of a mapping.";
        return Err(Failure::new(ErrorKind::InvalidInput, message)
            .advice(advice)
            .into());
    }
    let mut orphans = folder.orphans(&samples)?;
    let mut report = run(
        &samples,
        catalog,
        &Progress::start(settings, "mapping test"),
    );
    if own.is_some() {
        let tested = |name: &&str| report.results.iter().any(|one| one.mapping == **name);
        let untested = mappings.into_iter().filter(|name| !tested(name));
        report.untested = untested.map(str::to_owned).collect();
    }
    let deleted = if args.update {
        update(&mut report, &args.folder, &orphans)?;
        std::mem::take(&mut orphans)
    } else {
        Vec::new()
    };
    report.orphans = orphans.iter().map(|file| shown(file)).collect();
    report.passed = report.results.iter().filter(|one| one.passed()).count();
    report.failed = report.results.len() - report.passed;
    if let Some(file) = &args.junit {
        write(file, junit::xml(&report).as_bytes(), "--junit")?;
    }
    if args.json {
        print_json(&json!(report), out)?;
    } else {
        print(&report, &deleted, &args.folder, out)?;
    }
    Ok(u8::from(report.failed + report.orphans.len() > 0))
}

/// Maps all samples.
fn run(samples: &[Sample], catalog: &Catalog, progress: &Progress) -> Report {
    let (mut results, mut coverage) = (Vec::new(), BTreeMap::new());
    for samples in samples.chunk_by(|one, next| one.mapping == next.mapping) {
        let Some(mapping) = samples.first().map(|one| one.mapping.as_str()) else {
            continue;
        };
        let compiled = catalog.checked_mapping(mapping).and_then(|definition| {
            let counted = FieldCoverage::new(&definition, mapping)?;
            Ok((Mapping::compile(definition, mapping)?, counted))
        });
        match compiled {
            Ok((compiled, mut counted)) => {
                for sample in samples {
                    results.push(tested(sample, &compiled, &mut counted));
                    progress.set(number(results.len()), "samples");
                }
                coverage.insert(mapping.to_owned(), Coverage::of(&counted, samples.len()));
            }
            Err(failure) => results.extend(samples.iter().map(|one| invalid(one, &failure))),
        }
    }
    Report {
        passed: 0,
        failed: 0,
        orphans: Vec::new(),
        coverage,
        untested: Vec::new(),
        results,
    }
}

/// Maps one sample and compares the events with its snapshot.
fn tested(sample: &Sample, mapping: &Mapping, coverage: &mut FieldCoverage) -> Tested {
    let mapped = read(&sample.file).and_then(|raw| {
        coverage.add(&raw)?;
        mapping.apply(&raw)
    });
    let page = match mapped {
        Ok(mapped) => page_of(&mapped.page()),
        Err(failure) => return invalid(sample, &failure),
    };
    let file = shown(&sample.snapshot);
    let (outcome, message, diff) = match std::fs::read_to_string(&sample.snapshot) {
        Ok(snapshot) if page_of(&snapshot) == page => (Outcome::Passed, None, None),
        Ok(snapshot) => {
            let old = page_of(&snapshot);
            let diff = TextDiff::from_lines(&old, &page);
            let diff = diff
                .unified_diff()
                .header(&file, "the events now")
                .to_string();
            let message = "The events differ from the snapshot.".to_owned();
            (Outcome::Changed, Some(message), Some(diff))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("There is no snapshot {file}.");
            (Outcome::New, Some(message), None)
        }
        Err(error) => {
            let message = format!("The snapshot {file} cannot be read: {error}.");
            (Outcome::Changed, Some(message), None)
        }
    };
    Tested {
        outcome,
        message,
        diff,
        page: Some(page),
        ..failed(sample)
    }
}

/// A sample that cannot be mapped.
fn invalid(sample: &Sample, failure: &Failure) -> Tested {
    let file = sample.file.display().to_string();
    let place = failure.place().filter(|place| *place != file);
    let place = place.map_or_else(String::new, |place| format!(" (at {place})"));
    Tested {
        message: Some(format!("{}{place}", failure.message())),
        ..failed(sample)
    }
}

fn failed(sample: &Sample) -> Tested {
    Tested {
        sample: shown(&sample.file),
        mapping: sample.mapping.clone(),
        outcome: Outcome::Invalid,
        message: None,
        diff: None,
        name: sample.name.clone(),
        snapshot: sample.snapshot.clone(),
        page: None,
    }
}

/// A path without the leading `./`.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Writes the snapshots that are missing or differ, and deletes those without a sample.
fn update(report: &mut Report, folder: &Path, orphans: &[PathBuf]) -> Result<(), Failure> {
    let written = report.results.iter().filter(|one| !one.passed());
    for file in written.map(|one| &one.snapshot).chain(orphans) {
        require_no_link(folder, file)?;
    }
    for one in report.results.iter_mut().filter(|one| !one.passed()) {
        let Some(page) = &one.page else { continue };
        let replaced = std::fs::read_to_string(&one.snapshot).ok();
        let sample = Path::new(&one.sample);
        let sample = name(sample.strip_prefix(shown(folder)).unwrap_or(sample));
        let text = snapshot(page, replaced.as_deref(), &sample);
        write(&one.snapshot, text.as_bytes(), "--update")?;
        one.outcome = Outcome::Updated;
        one.message = None;
    }
    for orphan in orphans {
        std::fs::remove_file(orphan).map_err(|error| {
            let message = format!("{} cannot be deleted: {error}.", orphan.display());
            Failure::invalid_input("--update", message)
        })?;
        // The folder stays if it has other files.
        let _ = orphan.parent().map(std::fs::remove_dir);
    }
    Ok(())
}

/// Fails if a part of the path below the folder is a link: the file could be anywhere.
fn require_no_link(folder: &Path, file: &Path) -> Result<(), Failure> {
    let below = file.ancestors().take_while(|path| *path != folder);
    for path in below {
        if path.is_symlink() {
            let message = format!(
                "{} is a symbolic link. Nothing was written: snapshots are written and deleted only in the \
                 folder itself.",
                path.display()
            );
            return Err(Failure::invalid_input("--update", message).advice(
                "Replace the link by a folder or a file, or name the folder that it leads to.",
            ));
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "an author's tool that writes files on request"
)]
fn write(file: &Path, bytes: &[u8], flag: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, bytes));
    written.map_err(|error| {
        let message = format!("{} cannot be written: {error}.", file.display());
        Failure::invalid_input(flag, message)
    })
}

fn print(
    report: &Report,
    deleted: &[PathBuf],
    folder: &Path,
    out: &mut Out,
) -> std::io::Result<()> {
    let style = Style::of(out);
    for one in report
        .results
        .iter()
        .filter(|one| one.outcome != Outcome::Passed)
    {
        if one.outcome == Outcome::Updated {
            writeln!(out, "Written: {}", shown(&one.snapshot))?;
            continue;
        }
        let message = one.message.as_deref().unwrap_or_default();
        // A sample's texts and a file's name are not instructions for a terminal.
        let failed = escape_control_characters(&format!("{}: {message}", one.sample));
        writeln!(out, "{} {failed}", style.removed("FAILED"))?;
        let diff = one.diff.as_deref().map(escape_control_characters);
        for line in diff.iter().flat_map(|diff| diff.lines()) {
            let line = match line.as_bytes().first() {
                Some(b'-') => style.removed(line),
                Some(b'+') => style.added(line),
                _ => line.to_owned(),
            };
            writeln!(out, "{line}")?;
        }
    }
    for file in deleted {
        writeln!(out, "Deleted: {} (it has no sample)", shown(file))?;
    }
    for file in &report.orphans {
        writeln!(
            out,
            "{} {file}: No sample has this snapshot.",
            style.removed("FAILED")
        )?;
    }
    print_coverage(report, out)?;
    let passed = counted(number(report.passed), "sample");
    let orphans = match report.orphans.len() {
        0 => String::new(),
        n => format!(" {} without a sample.", counted(number(n), "snapshot")),
    };
    writeln!(out, "{passed} passed, {} failed.{orphans}", report.failed)?;
    let accepts = |one: &Tested| matches!(one.outcome, Outcome::Changed | Outcome::New);
    if report.results.iter().any(accepts) || !report.orphans.is_empty() {
        let folder = if folder == Path::new(".") {
            String::new()
        } else {
            format!(" {}", folder.display())
        };
        writeln!(
            out,
            "If the events are right, accept them: soarhost mapping test{folder} --update"
        )?;
    }
    Ok(())
}

/// Which fields no sample shows.
fn print_coverage(report: &Report, out: &mut Out) -> std::io::Result<()> {
    for (mapping, coverage) in &report.coverage {
        let Coverage { matched, of, .. } = coverage;
        let samples = counted(coverage.samples, "sample");
        write!(
            out,
            "{mapping}: {samples}, {matched} of {of} fields matched"
        )?;
        if !coverage.never.is_empty() {
            write!(out, "; never: {}", coverage.never.join(", "))?;
        }
        if !coverage.unused_sources.is_empty() {
            write!(
                out,
                "; no record has the source {}",
                coverage.unused_sources.join(", ")
            )?;
        }
        writeln!(out)?;
    }
    for mapping in &report.untested {
        writeln!(out, "warning: {mapping} has no sample.")?;
    }
    Ok(())
}
