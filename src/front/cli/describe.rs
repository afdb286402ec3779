//! `list`, `describe` and `sample`: the integrations, their commands and parameters.
//!
//! Reads no request and sends nothing.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use crate::front::cli::ExitResult;
use crate::front::cli::out::Out;
use crate::front::cli::reference::{aliases, attributes, meaning, permissions};
use crate::host::catalog::Catalog;
use crate::json::whitespace::indented;
use crate::manifest::outputs::Context;
use crate::manifest::schema::{request_schema, sample_request};
use crate::manifest::{CommandSpec, Manifest, Param};
use crate::names::{alike, nearest};
use crate::protocol::{ErrorKind, Failure, PROTOCOL};

/// Arguments of `list`.
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// Include `chaos`, which returns faults on request
    #[arg(long)]
    pub(super) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `describe`.
#[derive(Args, Debug)]
pub(super) struct DescribeArgs {
    /// INTEGRATION, COMMAND, or INTEGRATION.COMMAND if the name is not unique [default: all]
    pub(super) name: Option<String>,
    /// Include `chaos`, which returns faults on request
    #[arg(long)]
    pub(super) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `sample`.
#[derive(Args, Debug)]
pub(super) struct SampleArgs {
    /// The command; INTEGRATION.COMMAND if the name is not unique
    pub(super) command: String,
}

/// The integrations. Integrations for tests are at the end, and are included only with `--all`.
pub(super) fn integrations(catalog: &Catalog, all: bool) -> Result<Vec<&Manifest>, Failure> {
    let is_test = |manifest: &&Manifest| {
        let mut commands = manifest.commands.iter();
        commands.all(|command| command.operation.starts_with("chaos."))
    };
    let (tests, mut shown): (Vec<_>, Vec<_>) = catalog.manifests()?.into_iter().partition(is_test);
    shown.extend(tests.into_iter().filter(|_| all));
    Ok(shown)
}

/// Prints one line per command.
pub(super) fn list(args: &ListArgs, catalog: &Catalog, out: &mut Out) -> ExitResult {
    let shown = integrations(catalog, args.all)?;
    if args.json {
        let all: Vec<Value> = shown
            .into_iter()
            .map(|manifest| {
                let commands: Vec<Value> = manifest
                    .commands
                    .iter()
                    .map(|c| json!({ "id": c.id, "title": c.title, "summary": c.summary }))
                    .collect();
                json!({ "id": manifest.id, "version": manifest.version, "title": manifest.title,
                        "summary": manifest.summary, "commands": commands })
            })
            .collect();
        return print_json(
            &json!({ "protocols": [PROTOCOL], "integrations": all }),
            out,
        );
    }
    for manifest in shown {
        writeln!(out, "{}  {}", manifest.full_id(), manifest.title)?;
        let titles = manifest
            .commands
            .iter()
            .map(|command| command.title.chars().count());
        let width = titles.max().unwrap_or_default().max(26) + 2;
        for command in &manifest.commands {
            writeln!(out, "  {:<width$}{}", command.title, command.summary)?;
        }
    }
    Ok(0)
}

/// Prints parameters, permissions and outputs.
pub(super) fn describe(args: &DescribeArgs, catalog: &Catalog, out: &mut Out) -> ExitResult {
    let chosen = chosen(args, catalog)?;

    if args.json {
        let all: Vec<Value> = chosen
            .iter()
            .map(|(manifest, commands)| integration_json(manifest, *commands))
            .collect();
        return print_json(
            &json!({ "protocols": [PROTOCOL], "integrations": all }),
            out,
        );
    }
    for (manifest, commands) in chosen {
        if let Commands::One(command) = commands {
            print_command(manifest, command, out)?;
            connection_names(manifest, out)?;
            continue;
        }
        let (title, id) = (&manifest.title, manifest.full_id());
        writeln!(out, "{title} ({id})\n{}\n", manifest.summary)?;
        params("Connection", &manifest.connection, out)?;
        for command in &manifest.commands {
            writeln!(out)?;
            print_command(manifest, command, out)?;
        }
    }
    Ok(0)
}

/// Prints a command's inputs, outputs and permissions.
fn print_command(manifest: &Manifest, command: &CommandSpec, out: &mut Out) -> std::io::Result<()> {
    let aliases = aliases(&command.title, command.names().skip(1));
    let (title, id, summary) = (&command.title, &command.id, &command.summary);
    let id = if id == title {
        String::new()
    } else {
        format!(" ({id})")
    };
    writeln!(out, "{title}{id}\n{summary}{aliases}")?;
    for note in &command.notes {
        writeln!(out, "  {note}")?;
    }
    params("  Inputs", &command.inputs, out)?;
    if let Some(Context::Rows(rows)) = &command.outputs.context {
        writeln!(out, "  Context: {}", manifest.platform.merge_key(rows))?;
    }
    for (name, api, grant) in permissions(command) {
        writeln!(out, "  Permission: {name} of {api} ({grant})")?;
    }
    Ok(())
}

/// Prints the names of the connection parameters, and the command that describes them.
fn connection_names(manifest: &Manifest, out: &mut Out) -> std::io::Result<()> {
    let (required, optional): (Vec<&Param>, Vec<&Param>) =
        manifest.connection.iter().partition(|param| param.required);
    for (heading, params) in [("required", required), ("optional", optional)] {
        let names: Vec<&str> = params.iter().map(|param| param.title.as_str()).collect();
        if !names.is_empty() {
            writeln!(out, "  Connection, {heading}: {}", names.join(", "))?;
        }
    }
    writeln!(
        out,
        "  `soarhost describe {}` describes the connection.",
        manifest.id
    )
}

type Chosen<'a> = Vec<(&'a Manifest, Commands<'a>)>;

/// The commands of an integration to describe.
#[derive(Clone, Copy)]
enum Commands<'a> {
    All,
    One(&'a CommandSpec),
}

/// All integrations, one integration, or one command.
fn chosen<'a>(args: &DescribeArgs, catalog: &'a Catalog) -> Result<Chosen<'a>, Failure> {
    let whole = |manifest: &'a Manifest| (manifest, Commands::All);
    match args.name.as_deref() {
        None => {
            let shown = integrations(catalog, args.all)?;
            Ok(shown.into_iter().map(whole).collect())
        }
        Some(name) => match catalog.integration(name) {
            Ok(manifest) => Ok(vec![whole(manifest)]),
            Err(_) => match catalog.find_dotted(name) {
                Ok(target) => Ok(vec![(target.manifest, Commands::One(target.command))]),
                Err(other) if name.contains('.') => Err(other),
                Err(other) => Err(unknown_name(name, catalog)?.unwrap_or(other)),
            },
        },
    }
}

/// The failure for a name that is neither an integration nor a command; none if it is a command.
fn unknown_name(name: &str, catalog: &Catalog) -> Result<Option<Failure>, Failure> {
    let manifests = catalog.manifests()?;
    let commands = || manifests.iter().flat_map(|manifest| &manifest.commands);
    if commands().any(|command| command.names().any(|known| alike(known, name))) {
        return Ok(None);
    }
    let ids = manifests.iter().map(|manifest| manifest.id.as_str());
    let titles = commands().map(|command| command.title.as_str());
    let hint = nearest(name, titles.chain(ids)).map_or_else(
        || "`soarhost list` shows the names.".to_owned(),
        |near| format!("Did you mean \"{near}\"?"),
    );
    let message = format!("There is no integration or command \"{name}\". {hint}");
    Ok(Some(Failure::new(ErrorKind::UnknownName, message)))
}

fn integration_json(manifest: &Manifest, commands: Commands<'_>) -> Value {
    let mut whole = serde_json::to_value(manifest).unwrap_or_default();
    let commands = match commands {
        Commands::All => manifest.commands.as_slice(),
        Commands::One(command) => std::slice::from_ref(command),
    };
    let commands: Vec<Value> = commands
        .iter()
        .map(|command| {
            let mut one = serde_json::to_value(command).unwrap_or_default();
            one["input_schema"] = request_schema(manifest, command);
            one
        })
        .collect();
    whole["commands"] = Value::Array(commands);
    whole
}

fn params(heading: &str, params: &[Param], out: &mut Out) -> std::io::Result<()> {
    if params.is_empty() {
        return Ok(());
    }
    writeln!(out, "{heading}:")?;
    for param in params {
        let kind = String::from(param.kind.clone());
        let attributes = attributes(param);
        let separator = if attributes.is_empty() { "" } else { ", " };
        let meaning = meaning(param);
        writeln!(
            out,
            "    {} ({kind}{separator}{attributes})\n        {meaning}",
            param.title
        )?;
    }
    Ok(())
}

/// Prints a valid request.
pub(super) fn sample(args: &SampleArgs, catalog: &Catalog, out: &mut Out) -> ExitResult {
    let target = catalog.find_dotted(&args.command)?;
    print_json(&sample_request(target.manifest, target.command), out)
}

/// Prints JSON, indented.
pub(super) fn print_json(value: &Value, out: &mut Out) -> ExitResult {
    writeln!(out, "{}", indented(&value.to_string()))?;
    Ok(0)
}
