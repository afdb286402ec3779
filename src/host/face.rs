//! One integration of the catalog: its names at hand, the rest read when it is first addressed.
//!
//! A process carries out one command of one integration; the other manifests are only looked at
//! for their names.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::manifest::{CommandSpec, Manifest};
use crate::names::fold;
use crate::protocol::failure::{ErrorKind, Failure};

/// One manifest file.
#[derive(Debug)]
pub(super) struct Face {
    /// The file's name, for messages.
    pub(super) file: String,
    /// The names in it.
    pub(super) names: Names,
    text: Cow<'static, str>,
    manifest: OnceLock<Manifest>,
    /// By command: the manifest with that command alone.
    single: Vec<OnceLock<Manifest>>,
}

/// What a request can address.
#[derive(Debug, Deserialize)]
pub(super) struct Names {
    /// Id of the integration.
    pub(super) id: String,
    commands: Vec<CommandNames>,
}

#[derive(Debug, Deserialize)]
struct CommandNames {
    id: String,
    title: String,
    #[serde(default)]
    aliases: Vec<String>,
}

impl Names {
    /// Positions of the commands that answer to the name.
    pub(super) fn commands(&self, name: &str) -> impl Iterator<Item = usize> {
        let folded = fold(name);
        let answers = move |command: &CommandNames| {
            [&command.id, &command.title]
                .into_iter()
                .chain(&command.aliases)
                .any(|known| fold(known) == folded)
        };
        let commands = self.commands.iter().enumerate();
        commands
            .filter(move |(_, command)| answers(command))
            .map(|(n, _)| n)
    }

    /// The titles of all commands.
    pub(super) fn titles(&self) -> impl Iterator<Item = &str> {
        self.commands.iter().map(|command| command.title.as_str())
    }
}

impl Face {
    /// A compiled-in file. That it is strictly right is a test's business; here only speed counts.
    pub(super) fn builtin(file: &str, text: &'static str) -> Result<Self, Failure> {
        let names: Names = serde_json::from_str(text).map_err(|error| broken(file, &error))?;
        let (file, text) = (file.to_owned(), Cow::Borrowed(text));
        Ok(Face {
            file,
            text,
            manifest: OnceLock::new(),
            single: vec![OnceLock::new(); names.commands.len()],
            names,
        })
    }

    /// A file that others wrote: read strictly, and at once.
    pub(super) fn strict(file: String, text: String) -> Result<Self, Failure> {
        let manifest = Manifest::parse(&text, &file)?;
        let names: Names = serde_json::from_str(&text).map_err(|error| broken(&file, &error))?;
        Ok(Face {
            file,
            text: Cow::Owned(text),
            manifest: OnceLock::from(manifest),
            single: vec![OnceLock::new(); names.commands.len()],
            names,
        })
    }

    /// The whole manifest.
    pub(super) fn manifest(&self) -> Result<&Manifest, Failure> {
        if let Some(read) = self.manifest.get() {
            return Ok(read);
        }
        let read = serde_json::from_str(&self.text).map_err(|error| broken(&self.file, &error))?;
        Ok(self.manifest.get_or_init(|| read))
    }
}

impl Face {
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
            let read = self.single(n)?;
            place.get_or_init(|| read)
        };
        let command = manifest.commands.first().ok_or_else(none)?;
        Ok((manifest, command))
    }

    fn single(&self, n: usize) -> Result<Manifest, Failure> {
        let wrong = |error| broken(&self.file, &error);
        let raw: Manifest<&RawValue> = serde_json::from_str(&self.text).map_err(wrong)?;
        let command = raw.commands.get(n).map(|command| command.get());
        let command = serde_json::from_str(command.unwrap_or_default()).map_err(wrong)?;
        Ok(raw.with(vec![command]))
    }
}

fn broken(file: &str, error: &serde_json::Error) -> Failure {
    Failure::new(
        ErrorKind::InvalidManifest,
        format!("The manifest cannot be read: {error}."),
    )
    .at(file)
}
