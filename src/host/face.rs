//! One integration of the catalog: its names at hand, the rest read when it is first addressed.
//!
//! A process carries out one command of one integration; of the other manifests only the names are
//! looked at. What is compiled in was cut up when it was built, so that even those need no reading.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::manifest::{CommandSpec, Manifest};
use crate::microsoft::{Cloud, ContentType};
use crate::names::alike;
use crate::protocol::failure::{ErrorKind, Failure};

/// A compiled-in manifest, cut up by the build script.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The file's name, for messages.
    pub(super) file: &'static str,
    /// Id of the integration.
    pub(super) id: &'static str,
    /// The file as it is.
    pub(super) text: &'static str,
    /// The manifest without its commands.
    pub(super) head: &'static str,
    /// The commands, each by itself.
    pub(super) commands: &'static [CompiledCommand],
}

/// One command of it.
#[derive(Debug)]
pub(super) struct CompiledCommand {
    /// Its id, its title, and further names.
    pub(super) names: &'static [&'static str],
    /// What the manifest says of it.
    pub(super) text: &'static str,
}

/// One integration.
#[derive(Debug)]
pub(super) struct Face {
    /// The file's name, for messages.
    pub(super) file: String,
    source: Source,
    manifest: OnceLock<Manifest>,
    /// By command: the manifest with that command alone.
    single: Vec<OnceLock<Manifest>>,
}

#[derive(Debug)]
enum Source {
    Compiled(&'static Compiled),
    File { text: String, names: Names },
}

/// What a request can address.
#[derive(Debug, Deserialize)]
struct Names {
    id: String,
    commands: Vec<CommandNames>,
}

#[derive(Debug, Deserialize)]
struct CommandNames {
    id: String,
    title: String,
    #[serde(default)]
    aliases: Vec<String>,
}

impl Face {
    /// A compiled-in file. That it is strictly right is a test's business; here only speed counts.
    pub(super) fn builtin(compiled: &'static Compiled) -> Self {
        Face {
            file: compiled.file.to_owned(),
            source: Source::Compiled(compiled),
            manifest: OnceLock::new(),
            single: vec![OnceLock::new(); compiled.commands.len()],
        }
    }

    /// A file that others wrote: read strictly, and at once.
    pub(super) fn strict(file: String, text: String) -> Result<Self, Failure> {
        let mut manifest = Manifest::parse(&text, &file)?;
        manifest.resolve_choices(shared_choices);
        let names: Names = read(&file, &text)?;
        Ok(Face {
            single: vec![OnceLock::new(); names.commands.len()],
            file,
            source: Source::File { text, names },
            manifest: OnceLock::from(manifest),
        })
    }

    /// Id of the integration.
    pub(super) fn id(&self) -> &str {
        match &self.source {
            Source::Compiled(compiled) => compiled.id,
            Source::File { names, .. } => &names.id,
        }
    }

    /// The names of each command: id, title, and further ones.
    fn names(&self) -> Vec<Vec<&str>> {
        match &self.source {
            Source::Compiled(compiled) => {
                let commands = compiled.commands.iter();
                commands.map(|command| command.names.to_vec()).collect()
            }
            Source::File { names, .. } => names.commands.iter().map(CommandNames::all).collect(),
        }
    }

    /// Positions of the commands that answer to the name.
    pub(super) fn commands<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let answers = move |names: &Vec<&str>| names.iter().any(|known| alike(known, name));
        let numbered = self.names().into_iter().enumerate();
        numbered
            .filter(move |(_, names)| answers(names))
            .map(|(n, _)| n)
    }

    /// The titles of all commands.
    pub(super) fn titles(&self) -> impl Iterator<Item = &str> {
        let names = self.names().into_iter();
        names.filter_map(|names| names.get(1).copied())
    }

    /// The whole manifest.
    pub(super) fn manifest(&self) -> Result<&Manifest, Failure> {
        if let Some(read) = self.manifest.get() {
            return Ok(read);
        }
        let text = match &self.source {
            Source::Compiled(compiled) => compiled.text,
            Source::File { text, .. } => text,
        };
        let mut manifest: Manifest = read(&self.file, text)?;
        manifest.resolve_choices(shared_choices);
        Ok(self.manifest.get_or_init(|| manifest))
    }

    /// The manifest with its n-th command alone, which is all that a run needs and a fraction of
    /// the work of reading it whole.
    pub(super) fn addressed(&self, n: usize) -> Result<(&Manifest, &CommandSpec), Failure> {
        let none = || {
            let words = format!("The manifest has no command number {n}.");
            Failure::new(ErrorKind::Internal, words)
        };
        let place = self.single.get(n).ok_or_else(none)?;
        let manifest = if let Some(read) = place.get() {
            read
        } else {
            let read = self.single(n)?.ok_or_else(none)?;
            place.get_or_init(|| read)
        };
        let command = manifest.commands.first().ok_or_else(none)?;
        Ok((manifest, command))
    }

    fn single(&self, n: usize) -> Result<Option<Manifest>, Failure> {
        let (head, command): (Manifest, _) = match &self.source {
            Source::Compiled(compiled) => {
                let Some(command) = compiled.commands.get(n) else {
                    return Ok(None);
                };
                let command = read(&self.file, command.text)?;
                (read(&self.file, compiled.head)?, Some(command))
            }
            Source::File { .. } => {
                let whole = self.manifest()?.clone();
                let command = whole.commands.get(n).cloned();
                (whole, command)
            }
        };
        Ok(command.map(|command| {
            let commands = vec![command];
            let mut manifest = Manifest { commands, ..head };
            manifest.resolve_choices(shared_choices);
            manifest
        }))
    }
}

impl CommandNames {
    fn all(&self) -> Vec<&str> {
        let own = [self.id.as_str(), self.title.as_str()].into_iter();
        own.chain(self.aliases.iter().map(String::as_str)).collect()
    }
}

/// The values of a list of choices that manifests name.
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
        let words = format!("The manifest cannot be read: {error}.");
        Failure::new(ErrorKind::InvalidManifest, words).at(file)
    })
}
