//! The folders of samples and snapshots.
//!
//! A sample's folder is the name of its mapping. Samples of rules (`NAME/rules/*.json`) are left
//! out: `rules test` reads them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::host::catalog::folder;
use crate::json::Document;
use crate::json::document::members;
use crate::protocol::failure::{ErrorKind, Failure};

/// A folder with samples, and where their snapshots are.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) samples: PathBuf,
    pub(super) snapshots: PathBuf,
}

/// One sample.
#[derive(Debug)]
pub(super) struct Sample {
    /// The name of its mapping.
    pub(super) mapping: String,
    /// The file.
    pub(super) file: PathBuf,
    /// The file's name without extension.
    pub(super) name: String,
    /// The file of its snapshot, which can be missing.
    pub(super) snapshot: PathBuf,
}

impl Folder {
    /// `tests/samples` with `snapshots/samples`, as in soarhost's own repository, or else `samples`
    /// with `snapshots`.
    pub(super) fn of(folder: &Path) -> Self {
        let own = folder.join("tests/samples");
        if own.is_dir() {
            return Folder {
                samples: own,
                snapshots: folder.join("snapshots/samples"),
            };
        }
        Folder {
            samples: folder.join("samples"),
            snapshots: folder.join("snapshots"),
        }
    }

    /// All samples, in the order of their paths.
    pub(super) fn samples(
        &self,
        is_mapping: impl Fn(&str) -> bool,
    ) -> Result<Vec<Sample>, Failure> {
        let files = files(&self.samples, "json")?.into_iter();
        let samples = files
            .filter_map(|file| self.sample(file))
            .filter(|one| !one.mapping.ends_with("/rules") || is_mapping(&one.mapping));
        Ok(samples.collect())
    }

    /// The samples of one mapping.
    pub(super) fn samples_of(&self, mapping: &str) -> Result<Vec<PathBuf>, Failure> {
        let samples = self.samples(|name| name == mapping)?.into_iter();
        let own = samples.filter(|one| one.mapping == mapping);
        Ok(own.map(|one| one.file).collect())
    }

    fn sample(&self, file: PathBuf) -> Option<Sample> {
        let below = file.strip_prefix(&self.samples).ok()?;
        let mapping = name(below.parent()?);
        let snapshot = self.snapshots.join(below).with_extension("snap");
        Some(Sample {
            name: file.file_stem()?.to_string_lossy().into_owned(),
            mapping,
            snapshot,
            file,
        })
    }

    /// The snapshots that belong to none of these samples.
    pub(super) fn orphans(&self, samples: &[Sample]) -> Result<Vec<PathBuf>, Failure> {
        let expected: BTreeSet<&Path> = samples.iter().map(|one| &*one.snapshot).collect();
        let mut found = files(&self.snapshots, "snap")?;
        found.retain(|file| !expected.contains(&**file));
        Ok(found)
    }
}

/// The raw data in a file: a document, or the `raw_data` of a saved result.
pub(super) fn read(file: &Path) -> Result<Document, Failure> {
    let unreadable = |why: String| {
        let advice =
            "Save one JSON document: an answer of the service, or a result with `raw_data`.";
        Failure::new(
            ErrorKind::BadResponse,
            format!("The raw data cannot be read: {why}."),
        )
        .at(file.display().to_string())
        .advice(advice)
    };
    let bytes = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let document = Document::from_bytes(&bytes).map_err(|error| unreadable(error.to_string()))?;
    let mut found = members(document.text()).unwrap_or_default();
    // What `try --json` prints.
    if let [request, result] = &*found
        && request.name() == "request"
        && result.name() == "result"
    {
        found = members(result.value()).unwrap_or_default();
    }
    let member = |name| found.iter().find(|one| one.name() == name);
    let Some(raw) = member("protocol")
        .and(member("return_data"))
        .and(member("raw_data"))
    else {
        return Ok(document);
    };
    match raw.value() {
        "null" => Err(unreadable("the result has no `raw_data`".to_owned())),
        raw => Document::parse(raw).map_err(|error| unreadable(error.to_string())),
    }
}

/// A path with slashes.
pub(super) fn name(path: &Path) -> String {
    let parts = path.iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// A folder that cannot be read is a fault: its snapshots would have no sample, or be missing.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    folder::files(folder, &[extension]).map_err(|error| {
        let message = format!("{} cannot be read: {error}.", folder.display());
        Failure::invalid_input("", message)
    })
}
