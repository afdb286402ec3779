//! `list`, `describe`, `sample`: what there is, and everything a caller may ask.

use std::io::Write;

use serde_json::{Value, json};

use crate::front::cli::Ended;
use crate::front::cli::args::{DescribeArgs, ReadArgs, SampleArgs};
use crate::front::cli::out::Out;
use crate::front::cli::reference::{also, marks, meaning};
use crate::host::catalog::Catalog;
use crate::manifest::outputs::Context;
use crate::manifest::schema::{request_schema, sample_request};
use crate::manifest::{CommandSpec, Manifest, Param};
use crate::protocol::document::indented;
use crate::protocol::{Failure, PROTOCOL};

/// One line a command.
pub(super) fn list(args: &ReadArgs, catalog: &Catalog, out: &mut Out) -> Ended {
    if args.json {
        let all: Vec<Value> = catalog
            .manifests()?
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
    for manifest in catalog.manifests()? {
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

/// Everything a caller may ask of what is named.
pub(super) fn describe(args: &DescribeArgs, catalog: &Catalog, out: &mut Out) -> Ended {
    let chosen = chosen(args.name.as_deref(), catalog)?;
    if args.json {
        let all: Vec<Value> = chosen
            .iter()
            .map(|(manifest, commands)| described(manifest, commands))
            .collect();
        return print_json(
            &json!({ "protocols": [PROTOCOL], "integrations": all }),
            out,
        );
    }
    for (manifest, commands) in chosen {
        writeln!(
            out,
            "{} ({})\n{}\n",
            manifest.title,
            manifest.full_id(),
            manifest.summary
        )?;
        params("Connection", &manifest.connection, out)?;
        for command in commands {
            writeln!(
                out,
                "\n{} ({})\n{}{}",
                command.title,
                command.id,
                command.summary,
                also(&command.title, command.names().skip(1))
            )?;
            for note in &command.notes {
                writeln!(out, "  {note}")?;
            }
            params("  Inputs", &command.inputs, out)?;
            if let Some(Context::Rows(rows)) = &command.outputs.context {
                writeln!(out, "  Context: {}", rows.merge_key())?;
            }
            for permission in &command.permissions {
                writeln!(
                    out,
                    "  Permission: {} of {} ({})",
                    permission.name,
                    permission.api,
                    permission.grant.word()
                )?;
            }
        }
    }
    Ok(0)
}

type Chosen<'a> = Vec<(&'a Manifest, Vec<&'a CommandSpec>)>;

/// All, one integration, or one command of it.
fn chosen<'a>(name: Option<&str>, catalog: &'a Catalog) -> Result<Chosen<'a>, Failure> {
    let whole = |manifest: &'a Manifest| (manifest, manifest.commands.iter().collect());
    match name {
        None => Ok(catalog.manifests()?.into_iter().map(whole).collect()),
        Some(name) => match catalog.integration(name) {
            Ok(manifest) => Ok(vec![whole(manifest)]),
            Err(unknown) => match catalog.find_dotted(name) {
                Ok(target) => Ok(vec![(target.manifest, vec![target.command])]),
                Err(other) => Err(if name.contains('.') { other } else { unknown }),
            },
        },
    }
}

fn described(manifest: &Manifest, commands: &[&CommandSpec]) -> Value {
    let mut whole = serde_json::to_value(manifest).unwrap_or_default();
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
        let marks = marks(param);
        let separator = if marks.is_empty() { "" } else { ", " };
        let told = meaning(param);
        writeln!(
            out,
            "    {} ({kind}{separator}{marks})\n        {told}",
            param.title
        )?;
    }
    Ok(())
}

/// A request that validates.
pub(super) fn sample(args: &SampleArgs, catalog: &Catalog, out: &mut Out) -> Ended {
    let target = catalog.find_dotted(&args.command)?;
    print_json(&sample_request(target.manifest, target.command), out)
}

/// JSON, indented.
pub(super) fn print_json(value: &Value, out: &mut Out) -> Ended {
    writeln!(out, "{}", indented(&value.to_string()))?;
    Ok(0)
}
