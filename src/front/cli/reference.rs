//! `reference`: a Markdown page for each integration, generated from its manifest, mappings and
//! operations.
//!
//! Texts about a product are in its manifest.

mod errors;
mod fields;
mod samples;
mod terms;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use clap::Args;
use fields::{conversion, origin, plain};
use serde_json::Value;

use crate::front::cli::ExitResult;
use crate::front::cli::out::Out;
use crate::front::cli::settings::SettingsArgs;
use crate::front::cli::standard::Standard;
use crate::host::catalog::Catalog;
use crate::manifest::outputs::{Column, Context};
use crate::manifest::param::Choices;
use crate::manifest::{CommandSpec, Grant, Manifest, Param, Platform};
use crate::names::fold;
use crate::ops;
use crate::protocol::Failure;

/// Arguments of `reference`.
#[derive(Args, Debug)]
pub(super) struct ReferenceArgs {
    /// The integration, or `ocsf` or `ecs` [default: all]
    pub(super) integration: Option<String>,
    /// Print nothing; name the pages in snapshots/reference of the catalog folder (default: the
    /// current folder) that differ, and exit with 1 if there are any
    #[arg(long)]
    check: bool,
}

/// Prints one page, or all, or compares them with those in the folder.
pub(super) fn print(
    args: &ReferenceArgs,
    operator: &SettingsArgs,
    catalog: &Catalog,
    out: &mut Out,
) -> ExitResult {
    let folder = operator.catalog.as_deref().unwrap_or(Path::new("."));
    let mut differing = false;
    for (name, page) in pages(args, catalog)? {
        if !args.check {
            out.write_all(page.as_bytes())?;
            continue;
        }
        let file = folder
            .join("snapshots/reference")
            .join(format!("{name}.snap.md"));
        let state = match std::fs::read_to_string(&file) {
            Ok(text) if text == page => continue,
            Ok(_) => "differs",
            Err(_) => "is missing",
        };
        differing = true;
        let file = file.strip_prefix(".").unwrap_or(&file).display();
        writeln!(
            out,
            "{file} {state}. Write it: soarhost reference {name} > {file}"
        )?;
    }
    Ok(u8::from(differing))
}

/// The pages with their names.
fn pages(args: &ReferenceArgs, catalog: &Catalog) -> Result<Vec<(String, String)>, Failure> {
    let wanted = args.integration.as_deref();
    // Without a name, the pages are those of the catalog.
    let has = |one: &Standard| {
        catalog
            .mapping_names()
            .any(|name| name.starts_with(one.name()))
    };
    let is_wanted = |one: &Standard| wanted.map_or(has(one), |wanted| wanted == one.name());
    let standards: Vec<Standard> = Standard::ALL.into_iter().filter(is_wanted).collect();
    let manifests: Vec<&Manifest> = match wanted {
        Some(_) if !standards.is_empty() => Vec::new(),
        Some(id) => vec![catalog.integration(id)?],
        None => catalog.manifests()?,
    };
    let of_manifests = manifests
        .into_iter()
        .map(|manifest| Ok((manifest.id.clone(), page(manifest, catalog)?)));
    let of_standards = standards
        .into_iter()
        .map(|standard| Ok((standard.name().to_owned(), standard.page(catalog)?)));
    of_manifests.chain(of_standards).collect()
}

/// The page of one integration.
pub fn page(manifest: &Manifest, catalog: &Catalog) -> Result<String, Failure> {
    let mut page = format!(
        "# {}\n\n`{}`. {}\n",
        manifest.title,
        manifest.full_id(),
        manifest.summary
    );
    if !manifest.setup.is_empty() {
        page.push_str("\n## Before the first command\n\n");
        for (n, step) in manifest.setup.iter().enumerate() {
            line(&mut page, &format!("{}. {step}", n + 1));
        }
    }
    page.push_str("\n## Connection\n\n");
    match manifest.connection.as_slice() {
        [] => line(&mut page, "This integration needs no connection."),
        connection => params(&mut page, connection),
    }
    terms::permissions_section(&mut page, manifest);
    terms::content_types(&mut page, manifest);
    page.push_str("\n## Commands\n");
    for command in &manifest.commands {
        command_section(&mut page, &manifest.platform, command, catalog)?;
        samples::section(&mut page, manifest, command);
    }
    errors::section(&mut page, manifest);
    Ok(page)
}

/// A text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn command_section(
    page: &mut String,
    platform: &Platform,
    command: &CommandSpec,
    catalog: &Catalog,
) -> Result<(), Failure> {
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\n### {}\n\n`{}`. {}{}\n",
        command.title,
        command.id,
        command.summary,
        aliases(&command.title, command.names().skip(1))
    );
    for note in &command.notes {
        let _ = write!(page, "\n{note}\n");
    }
    let permissions = permissions(command);
    if !permissions.is_empty() {
        page.push_str("\n| Permission | API | Type |\n|---|---|---|\n");
        for (name, api, grant) in permissions {
            line(page, &format!("| {name} | {api} | {grant} |"));
        }
    }
    if !command.inputs.is_empty() {
        page.push_str("\nInputs:\n\n");
        params(page, &command.inputs);
    }
    operation(page, command);
    outputs(page, platform, command, catalog)?;
    let _ = write!(
        page,
        "\nOn failure, `result` begins \"{}\".\n",
        command.indicator()
    );
    Ok(())
}

fn params(page: &mut String, params: &[Param]) {
    page.push_str("| Name | Type | | Meaning |\n|---|---|---|---|\n");
    for param in params {
        let kind = String::from(param.kind.clone());
        let cells = [
            &param.title,
            &kind,
            &attributes(param),
            &meaning(param).replace('|', "\\|"),
        ];
        line(
            page,
            &format!("| {} |", cells.map(String::as_str).join(" | ")),
        );
    }
}

/// The permissions of a command, each with its API and how it is granted: those that the manifest
/// names, else those of the operation.
pub(super) fn permissions(command: &CommandSpec) -> Vec<(&str, &str, &'static str)> {
    let named = command.permissions.iter();
    let named: Vec<_> = named
        .map(|one| (one.name.as_str(), one.api.as_str(), one.grant.word()))
        .collect();
    match ops::find(&command.operation) {
        Some(operation) if named.is_empty() => {
            let of_operation = operation.permissions.iter();
            let grant = Grant::default().word();
            of_operation
                .map(|(api, name)| (*name, *api, grant))
                .collect()
        }
        _ => named,
    }
}

/// "required" and "secret", if they apply.
pub(super) fn attributes(param: &Param) -> String {
    let attributes = [(param.required, "required"), (param.secret, "secret")];
    let words: Vec<&str> = attributes
        .iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, word)| *word)
        .collect();
    words.join(", ")
}

/// A sentence with the names that differ from the title in more than case and punctuation.
pub(super) fn aliases<'a>(title: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut folded = vec![fold(title)];
    let mut aliases = Vec::new();
    for name in names {
        if !folded.contains(&fold(name)) {
            folded.push(fold(name));
            aliases.push(format!("`{name}`"));
        }
    }
    match aliases.as_slice() {
        [] => String::new(),
        names => format!(" Also: {}.", names.join(", ")),
    }
}

/// The description of a parameter.
pub(super) fn meaning(param: &Param) -> String {
    let mut meaning = param.summary.clone();
    if let Some(more) = &param.note {
        let _ = write!(meaning, " {more}");
    }
    meaning.push_str(&aliases(&param.title, param.names()));
    if !param.commands.is_empty() {
        let _ = write!(meaning, " For: {}.", param.commands.join(", "));
    }
    if let Some(choices) = param.choices.as_ref().map(Choices::values) {
        let _ = write!(meaning, " One of: {}.", choices.join(", "));
    }
    if let Some(default) = &param.default {
        let _ = write!(meaning, " Default: `{}`.", plain(default));
    }
    if let Some(example) = &param.example {
        let _ = write!(meaning, " Example: `{}`.", plain(example));
    }
    meaning
}

/// The operation of the command, and its fixed inputs.
fn operation(page: &mut String, command: &CommandSpec) {
    let Some(operation) = ops::find(&command.operation) else {
        return;
    };
    let _ = write!(
        page,
        "\nOperation `{}`: {}\n",
        operation.name, operation.summary
    );
    if command.fixed.is_empty() {
        return;
    }
    let schema = Value::from((operation.input)());
    page.push_str("\n| Fixed input | Value | Meaning |\n|---|---|---|\n");
    for (name, value) in &command.fixed {
        let meaning = schema["properties"][name]["description"]
            .as_str()
            .unwrap_or_default();
        let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
        line(
            page,
            &format!("| `{name}` | `{}` | {meaning} |", plain(value)),
        );
    }
}

fn outputs(
    page: &mut String,
    platform: &Platform,
    command: &CommandSpec,
    catalog: &Catalog,
) -> Result<(), Failure> {
    if let Some(name) = &command.mapping {
        events(page, name, catalog)?;
        for variant in catalog.variants(name) {
            let _ = write!(
                page,
                "\nWith `\"mapping\": \"{variant}\"` in the request:\n"
            );
            events(page, variant, catalog)?;
        }
    }
    context(page, platform, command, catalog)?;
    if !command.outputs.key_fields.is_empty() {
        page.push_str("\n| Key field | Content |\n|---|---|\n");
        for field in &command.outputs.key_fields {
            line(page, &format!("| {} | {} |", field.name, field.summary));
        }
    }
    readable(page, command);
    Ok(())
}

/// The event fields of a mapping.
fn events(page: &mut String, name: &str, catalog: &Catalog) -> Result<(), Failure> {
    let mapping = catalog.mapping(name)?;
    let _ = write!(
        page,
        "\nEvents: mapping `{name}`, one event for each record at `{}` (the Main Event JSON Path).\n",
        mapping.root
    );
    match &mapping.key {
        Some(key) => line(page, &format!("Unique Event Key: `{key}`.")),
        None => line(
            page,
            "No Unique Event Key: the key is a hash of the record's content.",
        ),
    }
    fields::tables(page, &mapping);
    Ok(())
}

fn context(
    page: &mut String,
    platform: &Platform,
    command: &CommandSpec,
    catalog: &Catalog,
) -> Result<(), Failure> {
    let rows = match &command.outputs.context {
        None => return Ok(()),
        Some(Context::Path(path)) => {
            let text = format!("\n`context_data`: the part of the raw data at `{path}`.");
            line(page, &text);
            return Ok(());
        }
        Some(Context::Rows(rows)) => rows,
    };
    let mapping = catalog.mapping(&rows.mapping)?;
    let _ = write!(
        page,
        "\n`context_data`: rows at `{}`, from the mapping `{}`, {}.\n",
        rows.at,
        rows.mapping,
        if rows.whole_records {
            "with all members of the records"
        } else {
            "without empty values"
        }
    );
    if rows.merge.is_some() {
        let key = platform.merge_key(rows);
        line(page, &format!("Merge expression: `{key}`."));
    }
    page.push_str("\n| Context path | Source | Content |\n|---|---|---|\n");
    for field in mapping.sources.iter().flat_map(|source| &source.fields) {
        let (at, name, path) = (&rows.at, &field.field, origin(field));
        line(
            page,
            &format!("| `{at}.{name}` | {path} | {} |", conversion(field)),
        );
    }
    Ok(())
}

fn readable(page: &mut String, command: &CommandSpec) {
    let Some(readable) = &command.outputs.readable else {
        return;
    };
    if !readable.table.is_empty() {
        let columns: Vec<&str> = readable.table.iter().map(Column::heading).collect();
        let _ = write!(page, "\n`readable`: a table of {}", columns.join(", "));
        let titled = readable.title.as_ref();
        let titled = titled.map_or(String::new(), |title| format!(" under \"{title}\""));
        line(page, &format!("{titled}."));
    }
    if let Some(rules) = &command.outputs.rules {
        let at = &rules.at;
        let _ = writeln!(
            page,
            "\n`context_data.{at}`: the alerts of detection rules. `readable` shows them first."
        );
    }
    if let Some(assessment) = &readable.assessment {
        let counts: Vec<&str> = assessment.counts.iter().map(Column::heading).collect();
        let _ = writeln!(
            page,
            "\n`readable`: the first and the last time, and the number of events for each {}.",
            counts.join(", ")
        );
    }
    if let Some(text) = &readable.text {
        let _ = write!(page, "\n`readable`: \"{}\".\n", text.replace('\n', " "));
    }
    if let Some(text) = &readable.empty {
        line(page, &format!("Without rows: \"{text}\"."));
    }
    if let Some(text) = &readable.unchanged {
        line(page, &format!("If nothing changes: \"{text}\"."));
    }
}
