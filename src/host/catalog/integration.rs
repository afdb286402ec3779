//! One integration of the catalog, read when it is first used.
//!
//! A process usually runs one command, and needs only the names of the other commands. The build
//! script extracts the names of the built-in manifests.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::manifest::{CommandSpec, Manifest};
use crate::microsoft::{Cloud, ContentType};
use crate::names::alike;
use crate::protocol::failure::{ErrorKind, Failure};

/// A built-in manifest, split by the build script.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The file's name, for messages.
    pub(super) file: &'static str,
    /// Id of the integration.
    pub(super) id: &'static str,
    /// The complete manifest.
    pub(super) text: &'static str,
    /// The manifest without its commands.
    pub(super) head: &'static str,
    /// The commands.
    pub(super) commands: &'static [CompiledCommand],
}

/// One command of a built-in manifest.
#[derive(Debug)]
pub(super) struct CompiledCommand {
    /// The id, the title and the aliases.
    pub(super) names: &'static [&'static str],
    /// The command's JSON text in the manifest.
    pub(super) text: &'static str,
}

/// One integration.
#[derive(Debug)]
pub(super) struct Integration {
    /// The file's name, for messages.
    pub(super) file: String,
    pub(super) id: String,
    /// A built-in manifest. `None`: an operator's manifest, which is read completely when it is
    /// loaded.
    compiled: Option<&'static Compiled>,
    manifest: OnceLock<Manifest>,
    /// For each command: the manifest with this command only.
    single: Vec<OnceLock<Manifest>>,
}

impl Integration {
    /// A built-in integration. A test checks it, so it is not checked here.
    pub(super) fn builtin(compiled: &'static Compiled) -> Self {
        Integration {
            file: compiled.file.to_owned(),
            id: compiled.id.to_owned(),
            compiled: Some(compiled),
            manifest: OnceLock::new(),
            single: vec![OnceLock::new(); compiled.commands.len()],
        }
    }

    /// An operator's integration, read and checked.
    pub(super) fn strict(file: String, text: &str) -> Result<Self, Failure> {
        let mut manifest = Manifest::parse(text, &file)?;
        manifest.resolve_choices(shared_choices);
        Ok(Integration {
            file,
            id: manifest.id.clone(),
            compiled: None,
            single: vec![OnceLock::new(); manifest.commands.len()],
            manifest: OnceLock::from(manifest),
        })
    }

    /// The names of each command: id, title, aliases.
    fn names(&self) -> Vec<Vec<&str>> {
        if let Some(compiled) = self.compiled {
            let commands = compiled.commands.iter();
            return commands.map(|command| command.names.to_vec()).collect();
        }
        let manifest = self.manifest.get().into_iter();
        let commands = manifest.flat_map(|manifest| &manifest.commands);
        commands.map(|command| command.names().collect()).collect()
    }

    /// The positions of the commands with this name.
    pub(super) fn commands<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_named = move |names: &Vec<&str>| names.iter().any(|known| alike(known, name));
        let numbered = self.names().into_iter().enumerate();
        numbered
            .filter(move |(_, names)| is_named(names))
            .map(|(n, _)| n)
    }

    /// The titles of all commands.
    pub(super) fn titles(&self) -> impl Iterator<Item = &str> {
        let names = self.names().into_iter();
        names.filter_map(|names| names.get(1).copied())
    }

    /// The complete manifest.
    pub(super) fn manifest(&self) -> Result<&Manifest, Failure> {
        if let Some(read) = self.manifest.get() {
            return Ok(read);
        }
        let text = self.compiled.map_or("", |compiled| compiled.text);
        let mut manifest: Manifest = read(&self.file, text)?;
        manifest.resolve_choices(shared_choices);
        Ok(self.manifest.get_or_init(|| manifest))
    }

    /// The manifest with its n-th command only, which is faster to read than the complete one.
    pub(super) fn with_command(&self, n: usize) -> Result<(&Manifest, &CommandSpec), Failure> {
        let unknown = || {
            let message = format!("The manifest has no command number {n}.");
            Failure::new(ErrorKind::Internal, message)
        };
        let cell = self.single.get(n).ok_or_else(unknown)?;
        let manifest = if let Some(manifest) = cell.get() {
            manifest
        } else {
            let manifest = self.read_with_command(n)?.ok_or_else(unknown)?;
            cell.get_or_init(|| manifest)
        };
        let command = manifest.commands.first().ok_or_else(unknown)?;
        Ok((manifest, command))
    }

    fn read_with_command(&self, n: usize) -> Result<Option<Manifest>, Failure> {
        let (head, command): (Manifest, Option<CommandSpec>) = if let Some(compiled) = self.compiled
        {
            let command = compiled.commands.get(n);
            let command = command.map(|command| read(&self.file, command.text));
            (read(&self.file, compiled.head)?, command.transpose()?)
        } else {
            let whole = self.manifest()?.clone();
            let command = whole.commands.get(n).cloned();
            (whole, command)
        };
        Ok(command.map(|command| {
            let commands = vec![command];
            let mut manifest = Manifest { commands, ..head };
            manifest.resolve_choices(shared_choices);
            manifest
        }))
    }
}

/// The values of a list of choices that manifests refer to by name.
pub(super) fn shared_choices(name: &str) -> Option<Vec<String>> {
    match name {
        "clouds" => Some(Cloud::names().map(str::to_owned).collect()),
        "content_types" => {
            let names = ContentType::ALL.iter().map(|one| one.name().to_owned());
            Some(names.collect())
        }
        _ => None,
    }
}

fn read<'a, T: Deserialize<'a>>(file: &str, text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("The manifest is invalid: {error}.");
        Failure::new(ErrorKind::InvalidManifest, message).at(file)
    })
}
