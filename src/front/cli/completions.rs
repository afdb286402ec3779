//! `completions` and `man`: completion scripts and man pages, generated from the flags.
//!
//! A script also completes the names of the catalog in use: integrations, commands, mappings,
//! operations and rules. They become possible values only here, so that no other subcommand parses
//! differently. Does not install anything.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Args, Command as Clap};
use clap_complete::Shell;

use crate::front::cli::ExitResult;
use crate::front::cli::describe::integrations;
use crate::front::cli::guide::GUIDES;
use crate::front::cli::out::Out;
use crate::front::cli::schema::SCHEMAS;
use crate::front::cli::standard::Standard;
use crate::host::catalog::Catalog;
use crate::ops;
use crate::protocol::Failure;

pub(super) const COMPLETIONS_HINT: &str = "\
Install:
  bash        soarhost completions bash > ~/.local/share/bash-completion/completions/soarhost
  zsh         soarhost completions zsh > ~/.zfunc/_soarhost   (~/.zfunc must be in $fpath)
  fish        soarhost completions fish > ~/.config/fish/completions/soarhost.fish
  powershell  soarhost completions powershell >> $PROFILE
  elvish      soarhost completions elvish >> ~/.config/elvish/rc.elv

The script completes the names of the catalog at the time it is printed. Print it again, with
--catalog DIR for your own catalog, when names change.";

pub(super) const MAN_HINT: &str = "\
Read the page: soarhost man | man -l -
Install:       soarhost man --dir ~/.local/share/man/man1";

/// Arguments of `completions`.
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// Write one page for each subcommand to this folder, as soarhost-SUBCOMMAND.1
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The kind of things that an argument names.
#[derive(Clone, Copy, Debug)]
enum Named {
    Commands,
    IntegrationsAndCommands,
    Mappings,
    Operations,
    ReferencePages,
    Rules,
    Schemas,
    Topics,
}

/// THE TABLE of arguments that name something: subcommand, argument, kind.
const NAMED: &[(&[&str], &str, Named)] = &[
    (&["try"], "command", Named::Commands),
    (&["describe"], "name", Named::IntegrationsAndCommands),
    (&["sample"], "command", Named::Commands),
    (&["operations"], "name", Named::Operations),
    (&["schema"], "name", Named::Schemas),
    (&["map"], "mapping", Named::Mappings),
    (&["mapping", "diff"], "old", Named::Mappings),
    (&["mapping", "diff"], "new", Named::Mappings),
    (&["mapping", "suggest"], "mapping", Named::Mappings),
    (&["rules", "explain"], "rule", Named::Rules),
    (&["reference"], "integration", Named::ReferencePages),
    (&["guide"], "topic", Named::Topics),
];

/// Prints the script of a shell.
pub(super) fn print(
    args: &CompletionsArgs,
    mut command: Clap,
    catalog: &Catalog,
    out: &mut Out,
) -> ExitResult {
    let mut additions = Vec::new();
    for (path, argument, named) in NAMED {
        let values = values(*named, catalog)?;
        if let Some(found) = find(&mut command, path) {
            let is_positional = set_values(found, argument, &values);
            additions.extend(is_positional.then_some((*path, values)));
        }
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "soarhost", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    for (path, values) in additions {
        add_positional_values(args.shell, &mut script, path, &values);
    }
    out.write_all(script.as_bytes())?;
    Ok(0)
}

/// The subcommand at this path.
fn find<'a>(command: &'a mut Clap, path: &[&str]) -> Option<&'a mut Clap> {
    path.iter()
        .try_fold(command, |command, name| command.find_subcommand_mut(name))
}

/// Sets an argument's possible values. True if the argument exists and is positional.
fn set_values(command: &mut Clap, argument: &str, values: &[PossibleValue]) -> bool {
    let known = command.get_arguments().find(|one| one.get_id() == argument);
    let Some(is_positional) = known.map(Arg::is_positional) else {
        return false;
    };
    let parser = PossibleValuesParser::new(values.to_vec());
    let set = |one: Arg| {
        if one.get_id() == argument {
            one.value_parser(parser.clone())
        } else {
            one
        }
    };
    *command = std::mem::take(command).mut_args(set);
    is_positional
}

/// Adds values to a script where `clap_complete` completes options only: fish, elvish, PowerShell.
fn add_positional_values(
    shell: Shell,
    script: &mut String,
    path: &[&str],
    values: &[PossibleValue],
) {
    let subcommand = path.join(";");
    let (before, line): (String, fn(&str, &str) -> String) = match shell {
        Shell::Elvish => (format!("&'soarhost;{subcommand}'= {{\n"), |name, help| {
            format!("            cand '{name}' '{help}'\n")
        }),
        Shell::PowerShell => (format!("'soarhost;{subcommand}' {{\n"), |name, help| {
            format!(
                "            [CompletionResult]::new('{name}', '{name}', \
                 [CompletionResultType]::ParameterValue, '{help}')\n"
            )
        }),
        Shell::Fish => return add_fish_values(script, path, values),
        _ => return,
    };
    let lines = values
        .iter()
        .map(|value| line(value.get_name(), &help_of(value)));
    let lines: String = lines.collect();
    if let Some(at) = script.find(&before) {
        script.insert_str(at + before.len(), &lines);
    }
}

fn add_fish_values(script: &mut String, path: &[&str], values: &[PossibleValue]) {
    let mut condition = format!("__fish_soarhost_using_subcommand {}", path[0]);
    for name in &path[1..] {
        condition.push_str("; and __fish_seen_subcommand_from ");
        condition.push_str(name);
    }
    for value in values {
        let (name, help) = (value.get_name(), help_of(value));
        let _ = writeln!(
            script,
            "complete -c soarhost -n \"{condition}\" -a '{name}' -d '{help}'"
        );
    }
}

/// A value's description, without the quotation mark of the shells.
fn help_of(value: &PossibleValue) -> String {
    let help = value.get_help().map(ToString::to_string);
    help.unwrap_or_default().replace('\'', "’")
}

fn values(named: Named, catalog: &Catalog) -> Result<Vec<PossibleValue>, Failure> {
    let manifests = || -> Result<Vec<PossibleValue>, Failure> {
        let manifests = integrations(catalog, false)?.into_iter();
        Ok(manifests
            .map(|one| described(&one.id, &one.title))
            .collect())
    };
    Ok(match named {
        Named::Commands => commands(catalog)?,
        Named::ReferencePages => {
            let standards = Standard::ALL.map(|one| named_only(one.name()));
            [manifests()?, standards.to_vec()].concat()
        }
        Named::IntegrationsAndCommands => [manifests()?, commands(catalog)?].concat(),
        Named::Mappings => catalog.mapping_names().map(named_only).collect(),
        Named::Operations => ops::operations()
            .iter()
            .filter(|one| !one.name.starts_with("chaos."))
            .map(|one| described(one.name, one.summary))
            .collect(),
        Named::Rules => {
            let rules = catalog.rules();
            rules.iter().map(|one| named_only(one.stem())).collect()
        }
        Named::Schemas => {
            let of_types = SCHEMAS.iter().map(|(name, _)| PossibleValue::new(*name));
            of_types.chain(dotted(catalog)?).collect()
        }
        Named::Topics => GUIDES
            .iter()
            .map(|guide| described(guide.topic, guide.title()))
            .collect(),
    })
}

/// A value with the first sentence of its description.
fn described(name: &str, help: &str) -> PossibleValue {
    let sentence = help.split_inclusive(". ").next().unwrap_or_default();
    named_only(name).help(sentence.trim_end().to_owned())
}

/// A value without a description. Its name is never freed: clap takes static texts only, unless a
/// feature is on that makes every start slower.
fn named_only(name: &str) -> PossibleValue {
    let name: &'static str = name.to_owned().leak();
    PossibleValue::new(name)
}

/// Each command as INTEGRATION.COMMAND.
fn dotted(catalog: &Catalog) -> Result<Vec<PossibleValue>, Failure> {
    let mut values = Vec::new();
    for manifest in integrations(catalog, false)? {
        for command in &manifest.commands {
            let name = format!("{}.{}", manifest.id, command.id);
            values.push(described(&name, &command.summary));
        }
    }
    Ok(values)
}

/// Each command by its ID if that is unique, and as INTEGRATION.COMMAND.
fn commands(catalog: &Catalog) -> Result<Vec<PossibleValue>, Failure> {
    let mut values = Vec::new();
    for manifest in integrations(catalog, false)? {
        for command in &manifest.commands {
            if catalog.find(None, &command.id).is_ok() {
                values.push(described(&command.id, &command.summary));
            }
        }
    }
    values.extend(dotted(catalog)?);
    Ok(values)
}

/// Prints the man page of the program, or writes the pages of all subcommands.
pub(super) fn man(args: &ManArgs, command: Clap, out: &mut Out) -> ExitResult {
    let Some(folder) = &args.dir else {
        return main_page(command, out);
    };
    let pages = write_pages(&command, folder).map_err(|error| {
        let message = format!("{} cannot be written: {error}.", folder.display());
        Failure::invalid_input("--dir", message)
    })?;
    writeln!(out, "{pages} pages written to {}.", folder.display())?;
    Ok(0)
}

/// The page of the program, with all operator settings. Its synopsis does not list them.
fn main_page(command: Clap, out: &mut Out) -> ExitResult {
    let page = |command: Clap| clap_mangen::Man::new(command).manual("soarhost");
    let brief = page(command.clone());
    brief.render_title(out)?;
    brief.render_name_section(out)?;
    brief.render_synopsis_section(out)?;
    brief.render_description_section(out)?;
    let settings = command.find_subcommand("settings");
    let variables = settings.and_then(Clap::get_after_help).cloned();
    let command = command.mut_args(|arg| arg.hide(false));
    let whole = page(command.after_help(variables.unwrap_or_default()));
    whole.render_options_section(out)?;
    whole.render_subcommands_section(out)?;
    whole.render_extra_section(out)?;
    whole.render_version_section(out)?;
    Ok(0)
}

/// Returns the number of pages.
fn write_pages(command: &Clap, folder: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command.clone(), folder)?;
    let names =
        std::fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with("soarhost")).count())
}
