//! `rules`: tests rules with their samples, and explains why a rule matches a record or not.
//!
//! Rules are evaluated in `rules`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::front::cli::ExitResult;
use crate::front::cli::args::{RulesCommand, RulesExplainArgs, RulesTestArgs};
use crate::front::cli::describe::print_json;
use crate::front::cli::out::Out;
use crate::front::counted;
use crate::host::catalog::Catalog;
use crate::names::suggestion;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::redact::escape_control_characters;
use crate::rules::{Explanation, RuleFault, RuleSet, RuleText, Samples};

/// Runs a subcommand of `rules`.
pub(super) fn rules(command: &RulesCommand, catalog: &Catalog, out: &mut Out) -> ExitResult {
    match command {
        RulesCommand::Test(args) => test(args, catalog, out),
        RulesCommand::Explain(args) => explain(args, catalog, out),
    }
}

/// The result of one sample.
struct Tested {
    rule: String,
    sample: String,
    expected: usize,
    got: usize,
}

impl Tested {
    fn passed(&self) -> bool {
        self.expected == self.got
    }
}

fn test(args: &RulesTestArgs, in_use: &Catalog, out: &mut Out) -> ExitResult {
    let has_catalog = args.folder.join("mappings").is_dir();
    let own = has_catalog
        .then(|| Catalog::read(&args.folder))
        .transpose()?;
    let own = own.map(|(catalog, _)| catalog);
    let rules = own.as_ref().unwrap_or(in_use).rules();
    let files = sample_files(&args.folder);
    if files.is_empty() {
        let folder = args.folder.display();
        let message = format!("The folder {folder} has no samples of rules.");
        let advice = "Put them into samples/NAME/rules/*.json, one file for each file of rules.";
        return Err(Failure::new(ErrorKind::InvalidInput, message)
            .advice(advice)
            .into());
    }
    let (mut tested, mut without): (Vec<Tested>, BTreeSet<&str>) =
        (Vec::new(), rules.iter().map(RuleText::stem).collect());
    for file in files {
        let place = file.display().to_string();
        let samples = Samples::parse(&read(&file)?, &place)?;
        without.remove(samples.rule.as_str());
        tested.extend(run(&samples, &rules).map_err(|fault| fault.at(&place))?);
    }
    let failed = tested.iter().filter(|one| !one.passed()).count();
    let code = u8::from(failed > 0);
    if args.json {
        let results = tested.iter().map(|one| {
            json!({ "rule": one.rule, "sample": one.sample, "expected": one.expected, "got": one.got })
        });
        let results: Vec<Value> = results.collect();
        let passed = tested.len() - failed;
        print_json(
            &json!({ "passed": passed, "failed": failed, "results": results }),
            out,
        )?;
        return Ok(code);
    }
    for one in tested.iter().filter(|one| !one.passed()) {
        let count = |n: usize| counted(u64::try_from(n).unwrap_or(u64::MAX), "alert");
        let (expected, got) = (count(one.expected), count(one.got));
        let Tested { rule, sample, .. } = one;
        let sample = escape_control_characters(sample);
        writeln!(
            out,
            "{rule}: \"{sample}\" must give {expected}; it gives {got}."
        )?;
    }
    if failed > 0 {
        writeln!(
            out,
            "`soarhost rules explain` shows which part of a rule does not match a record."
        )?;
    }
    if !without.is_empty() {
        let without: Vec<&str> = without.into_iter().collect();
        writeln!(out, "No samples: {}.", without.join(", "))?;
    }
    let passed = u64::try_from(tested.len() - failed).unwrap_or(u64::MAX);
    writeln!(
        out,
        "{} passed, {failed} failed.",
        counted(passed, "sample")
    )?;
    Ok(code)
}

/// Evaluates a rule on each of its samples.
fn run(samples: &Samples, rules: &[RuleText<'_>]) -> Result<Vec<Tested>, Failure> {
    let Some(text) = rules.iter().find(|text| text.stem() == samples.rule) else {
        let hint = suggestion(&samples.rule, rules.iter().map(RuleText::stem));
        let message = format!("There is no rule \"{}\". {hint}", samples.rule);
        let advice = "Write the name of a file of rules without its extension.";
        return Err(Failure::new(ErrorKind::UnknownName, message).advice(advice));
    };
    let set = RuleSet::compile(std::slice::from_ref(text)).map_err(RuleFault::join)?;
    let tested = samples.samples.iter().map(|sample| {
        let mut run = set.start(None, DateTime::<Utc>::MAX_UTC);
        for record in &sample.records {
            run.record(record);
        }
        Tested {
            rule: samples.rule.clone(),
            sample: sample.name.clone(),
            expected: sample.alerts,
            got: run.finish().alerts.len(),
        }
    });
    Ok(tested.collect())
}

/// The files `samples/*/rules/*.json`, also below `tests`.
fn sample_files(folder: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let roots = ["tests/samples", "samples"].map(|name| folder.join(name));
    let integrations = roots.iter().flat_map(|root| list(root));
    let files = integrations.flat_map(|integration| list(&integration.join("rules")));
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|own| own == "json"))
        .collect();
    files.sort();
    files
}

fn explain(args: &RulesExplainArgs, catalog: &Catalog, out: &mut Out) -> ExitResult {
    let file = Path::new(&args.rule);
    let text = if file.is_file() {
        RuleText::of_catalog(args.rule.as_str(), read(file)?)
    } else {
        catalog.rule(&args.rule)?
    };
    let set = RuleSet::compile(std::slice::from_ref(&text)).map_err(RuleFault::join)?;
    let record = read(&args.record)?;
    let explained = set.explain(&record).ok_or_else(|| {
        let why = serde_json::from_str::<Value>(&record).err();
        let why = why.map_or_else(String::new, |error| format!(": {error}"));
        let message = format!("{} is not a JSON object{why}.", args.record.display());
        Failure::new(ErrorKind::InvalidInput, message).advice("Give a file with one audit record.")
    })?;
    if args.json {
        let all: Vec<Value> = explained.iter().map(as_json).collect();
        let shown = match <[Value; 1]>::try_from(all) {
            Ok([one]) => one,
            Err(all) => Value::Array(all),
        };
        return print_json(&shown, out);
    }
    for one in &explained {
        writeln!(
            out,
            "{}: {}",
            escape_control_characters(&one.title),
            if one.matched {
                "matches"
            } else {
                "does not match"
            }
        )?;
        if !one.in_log_source {
            let workload = &one.workload;
            writeln!(
                out,
                "  no    the log source has no records of the workload {workload}"
            )?;
        }
        for line in one.lines() {
            writeln!(out, "{}", escape_control_characters(&line))?;
        }
    }
    if set.names().count() > explained.len() {
        writeln!(
            out,
            "A correlation needs several records: see `rules test`."
        )?;
    }
    Ok(0)
}

fn as_json(one: &Explanation) -> Value {
    json!({ "rule": one.title, "matched": one.matched, "condition": one.condition() })
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let message = format!("{} cannot be read: {error}.", file.display());
        Failure::new(ErrorKind::InvalidInput, message)
    })
}
